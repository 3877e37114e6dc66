//! What the task's templates became.

use serde_json::Value as Json;

use super::super::value::Fields;
use super::failure::Failure;
use super::{Answerer, Response, SecretsBackend};
use crate::store::execution::{ExecutionError, rtif};

/// The status for a task instance that was archived while its process still ran.
const GONE: u16 = 410;

impl<B: SecretsBackend> Answerer<B> {
    pub(super) async fn set_rendered_fields(&mut self, fields: &Fields<'_>) -> Response {
        let Json::Object(mut rendered) = fields.json("rendered_fields")? else {
            return Err(fields.bad("rendered_fields", "is not a map").into());
        };
        for (name, value) in &mut rendered {
            *value = self.masker.redact_json(value, Some(name));
        }
        let written =
            rtif::put_rendered_fields(&self.db, self.ti()?, &rendered, &self.options.execution).await;
        match written {
            // Cleared or retried meanwhile: the process will be stopped by its next heartbeat.
            Err(ExecutionError::Refused(refusal)) if refusal.status == GONE => Ok(None),
            Err(error) => Err(error.into()),
            Ok(()) => Ok(None),
        }
    }

    pub(super) async fn set_rendered_map_index(&mut self, fields: &Fields<'_>) -> Response {
        let label = fields.text("rendered_map_index")?;
        rtif::put_rendered_map_index(&self.db, self.ti()?, label).await.map_err(Failure::from)?;
        Ok(None)
    }
}
