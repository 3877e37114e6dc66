//! State that tasks keep between tries and runs.

use serde_json::json;

use super::super::value::{Fields, Message};
use super::asset::asset_ref;
use super::failure::error;
use super::{Answerer, Response, SecretsBackend};
use crate::store::execution::ExecutionError;
use crate::store::execution::state_store as store;

impl<B: SecretsBackend> Answerer<B> {
    pub(super) async fn task_state(&mut self, fields: &Fields<'_>) -> Response {
        let ti = fields.uuid("ti_id")?;
        match fields.kind() {
            "GetTaskStateStore" => {
                let key = fields.text("key")?;
                let found = store::get_of_task(&self.db, ti, key).await;
                return value(found, key, "TaskStateStoreResult", "TASK_STORE_NOT_FOUND");
            }
            "SetTaskStateStore" => {
                let (state, expires) = (fields.json("value")?, fields.time_opt("expires_at")?);
                store::set_of_task(&self.db, ti, fields.text("key")?, &state, expires).await?;
            }
            "DeleteTaskStateStore" => store::delete_of_task(&self.db, ti, fields.text("key")?).await?,
            _ => store::clear_of_task(&self.db, ti).await?,
        }
        ok()
    }

    pub(super) async fn asset_state(&mut self, fields: &Fields<'_>) -> Response {
        let asset = asset_ref(fields)?;
        let kind = fields.kind();
        if kind.starts_with("Get") {
            let key = fields.text("key")?;
            let found = store::get_of_asset(&self.db, &asset, key).await;
            return value(found, key, "AssetStateStoreResult", "ASSET_STORE_NOT_FOUND");
        }
        if kind.starts_with("Set") {
            let state = fields.json("value")?;
            store::set_of_asset(&self.db, &asset, fields.text("key")?, &state, self.ti()?).await?;
        } else if kind.starts_with("Delete") {
            store::delete_of_asset(&self.db, &asset, fields.text("key")?).await?;
        } else {
            store::clear_of_asset(&self.db, &asset).await?;
        }
        ok()
    }
}

fn ok() -> Response {
    Ok(Some(Message::new("OKResponse").with("ok", true)))
}

/// A stored state; anything that is not found is a missing key to the SDK.
fn value(
    found: Result<Option<serde_json::Value>, ExecutionError>,
    key: &str,
    kind: &str,
    missing: &str,
) -> Response {
    match found {
        Ok(Some(state)) => Ok(Some(Message::new(kind).with("value", state))),
        Ok(None) => Ok(Some(error(missing, json!({"key": key})))),
        Err(ExecutionError::Refused(refusal)) if refusal.status == 404 => {
            Ok(Some(error(missing, json!({"key": key}))))
        }
        Err(other) => Err(other.into()),
    }
}
