//! Variables and connections.

use serde_json::json;

use super::super::value::{Fields, Message};
use super::failure::{Failure, error};
use super::{Answerer, Response, SecretsBackend};
use crate::store::execution::Refusal;
use crate::store::secrets::{self, SecretsError};

impl<B: SecretsBackend> Answerer<B> {
    pub(super) async fn get_connection(&mut self, fields: &Fields<'_>) -> Response {
        let conn_id = fields.text("conn_id")?;
        let team = self.team().await?;
        let access = self.access(team.as_deref());
        let found =
            secrets::connection(&self.db, &self.options.secrets, &self.backend, conn_id, access).await;
        let connection = match found {
            Ok(Some(connection)) => connection,
            Ok(None) => return Ok(Some(error("CONNECTION_NOT_FOUND", json!({"conn_id": conn_id})))),
            Err(SecretsError::Denied(_)) => return Ok(Some(denied("conn_id", conn_id))),
            Err(other) => return Err(failed(other)),
        };
        for secret in [&connection.password, &connection.extra].into_iter().flatten() {
            self.masker.add_text(secret, None);
        }
        let message = Message::new("ConnectionResult")
            .with("conn_id", connection.conn_id)
            .with("conn_type", connection.conn_type)
            .with("host", connection.host)
            .with("schema", connection.schema)
            .with("login", connection.login)
            .with("password", connection.password)
            .with("port", connection.port)
            .with("extra", connection.extra);
        Ok(Some(message))
    }

    pub(super) async fn get_variable(&mut self, fields: &Fields<'_>) -> Response {
        let key = fields.text("key")?;
        let team = self.team().await?;
        let access = self.access(team.as_deref());
        let value = match secrets::variable(&self.db, &self.options.secrets, &self.backend, key, access).await
        {
            Ok(Some(value)) => value,
            Ok(None) => return Ok(Some(error("VARIABLE_NOT_FOUND", json!({"key": key})))),
            Err(SecretsError::Denied(_)) => return Ok(Some(denied("key", key))),
            Err(other) => return Err(failed(other)),
        };
        self.masker.add_text(&value, Some(key));
        Ok(Some(Message::new("VariableResult").with("key", key).with("value", value)))
    }

    pub(super) async fn get_variable_keys(&mut self, fields: &Fields<'_>) -> Response {
        let team = self.team().await?;
        let limit = fields.int_opt("limit")?.unwrap_or(1000);
        let offset = fields.int_opt("offset")?.unwrap_or(0);
        if !(1..=10_000).contains(&limit) || offset < 0 {
            return Err(Refusal::new(
                422,
                "validation_error",
                "`limit` must be 1 to 10000, `offset` at least 0",
            )
            .into());
        }
        let (keys, total) =
            secrets::variable_keys(&self.db, fields.text_opt("prefix")?, team.as_deref(), limit, offset)
                .await?;
        Ok(Some(Message::new("VariableKeysResult").with("keys", keys).with("total_entries", total)))
    }

    pub(super) async fn put_variable(&mut self, fields: &Fields<'_>) -> Response {
        let team = self.team().await?;
        // `Variable.set` takes `str()` of the value: nothing becomes the text `None`.
        let value = fields.text_opt("value")?.unwrap_or("None");
        let description = fields.text_opt("description")?;
        let key = fields.text("key")?;
        let cipher = &self.options.secrets.cipher;
        secrets::put_variable(&self.db, cipher, key, value, description, team.as_deref()).await?;
        Ok(None)
    }

    pub(super) async fn delete_variable(&mut self, fields: &Fields<'_>) -> Response {
        let team = self.team().await?;
        secrets::delete_variable(&self.db, fields.text("key")?, team.as_deref()).await?;
        Ok(Some(Message::new("OKResponse").with("ok", true)))
    }

    pub(super) fn mask_secret(&mut self, fields: &Fields<'_>) -> Response {
        self.masker.add(&fields.json("value")?, fields.text_opt("name")?);
        Ok(None)
    }
}

fn denied(what: &str, id: &str) -> Message {
    error("PERMISSION_DENIED", json!({what: id, "status_code": 403}))
}

fn failed(error: SecretsError) -> Failure {
    match error {
        SecretsError::Store(error) => error.into(),
        SecretsError::Denied(why) | SecretsError::Unavailable(why) => {
            Refusal::new(503, "secrets_backend_unavailable", why).into()
        }
    }
}
