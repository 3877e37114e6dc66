//! State that tasks keep between tries and runs.

use serde_json::{Value as Json, json};

use super::super::value::{Fields, Message};
use super::asset::asset_ref;
use super::failure::{Failure, error};
use super::{Answerer, Response, SecretsBackend};
use crate::store::execution::state_store as store;
use crate::store::execution::{ExecutionError, Refusal};

impl<B: SecretsBackend> Answerer<B> {
    pub(super) async fn task_state(&mut self, fields: &Fields<'_>) -> Response {
        let ti = fields.uuid("ti_id")?;
        match fields.kind() {
            "GetTaskStateStore" => {
                let key = key(fields, "path")?;
                let found = store::get_of_task(&self.db, ti, key).await;
                return value(found, key, "TaskStateStoreResult", "TASK_STORE_NOT_FOUND");
            }
            "SetTaskStateStore" => {
                let (state, expires) = (state(fields)?, fields.time_opt("expires_at")?);
                store::set_of_task(&self.db, ti, key(fields, "path")?, &state, expires).await?;
            }
            "DeleteTaskStateStore" => store::delete_of_task(&self.db, ti, key(fields, "path")?).await?,
            _ => store::clear_of_task(&self.db, ti).await?,
        }
        ok()
    }

    pub(super) async fn asset_state(&mut self, fields: &Fields<'_>) -> Response {
        let asset = asset_ref(fields)?;
        let kind = fields.kind();
        if kind.starts_with("Get") {
            let key = key(fields, "query")?;
            let found = store::get_of_asset(&self.db, &asset, key).await;
            return value(found, key, "AssetStateStoreResult", "ASSET_STORE_NOT_FOUND");
        }
        if kind.starts_with("Set") {
            let state = state(fields)?;
            store::set_of_asset(&self.db, &asset, key(fields, "query")?, &state, self.ti()?).await?;
        } else if kind.starts_with("Delete") {
            store::delete_of_asset(&self.db, &asset, key(fields, "query")?).await?;
        } else {
            store::clear_of_asset(&self.db, &asset).await?;
        }
        ok()
    }
}

/// The key, which Airflow's API takes from this part of the request and wants not to be empty.
fn key<'a>(fields: &Fields<'a>, place: &str) -> Result<&'a str, Failure> {
    match fields.text("key")? {
        "" => Err(Refusal::empty(place, "key").into()),
        key => Ok(key),
    }
}

/// The state that is to be kept. Airflow's client writes a number that is not finite as `null`, which its API refuses.
fn state(fields: &Fields<'_>) -> Result<Json, Failure> {
    match fields.json_of_model("value")? {
        Json::Null => Err(Refusal::null("value").into()),
        state => Ok(state),
    }
}

fn ok() -> Response {
    Ok(Some(Message::new("OKResponse").with("ok", true)))
}

/// A stored state; anything that is not found is a missing key to the SDK.
fn value(found: Result<Option<Json>, ExecutionError>, key: &str, kind: &str, missing: &str) -> Response {
    match found {
        Ok(Some(state)) => Ok(Some(Message::new(kind).with("value", state))),
        Ok(None) => Ok(Some(error(missing, json!({"key": key})))),
        Err(ExecutionError::Refused(refusal)) if refusal.status == 404 => {
            Ok(Some(error(missing, json!({"key": key}))))
        }
        Err(other) => Err(other.into()),
    }
}
