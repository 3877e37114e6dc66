//! Values that tasks hand to each other.

use serde_json::{Value as Json, json};
use slipstream_core::ids::MapIndex;

use super::super::value::{Fields, Message};
use super::failure::{Failure, error};
use super::{Answerer, Response, SecretsBackend};
use crate::store::execution::xcom::{self, NewXCom, Role, Runs, Slice, XComKey};
use crate::store::execution::{ExecutionError, MultiTeam, Refusal, teams};
use crate::store::{Conn, Dialect};

impl<B: SecretsBackend> Answerer<B> {
    pub(super) async fn get_xcom(&mut self, fields: &Fields<'_>) -> Response {
        let at = self.key(fields, Access::Read).await?;
        // A missing value is no error: the task gets its default.
        let value = xcom::get(&self.db, &at, map_index(fields)?, runs(fields)?).await?;
        let value = self.sendable(value.unwrap_or(Json::Null))?;
        Ok(Some(Message::new("XComResult").with("key", &at.key).with("value", value)))
    }

    pub(super) async fn get_xcom_count(&mut self, fields: &Fields<'_>) -> Response {
        let count = xcom::count(&self.db, &self.key(fields, Access::Read).await?).await?;
        Ok(Some(Message::new("XComCountResponse").with("len", count)))
    }

    pub(super) async fn get_xcom_item(&mut self, fields: &Fields<'_>) -> Response {
        let (at, offset) = (self.key(fields, Access::Read).await?, fields.int("offset")?);
        match xcom::item(&self.db, &at, offset).await {
            Ok(value) => {
                Ok(Some(Message::new("XComSequenceIndexResult").with("root", self.sendable(value)?)))
            }
            Err(ExecutionError::Refused(refusal)) if refusal.status == 404 => {
                let detail = json!({
                    "dag_id": at.dag_id, "run_id": at.run_id, "task_id": at.task_id, "key": at.key, "offset": offset,
                });
                Ok(Some(error("XCOM_NOT_FOUND", detail)))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn get_xcom_slice(&mut self, fields: &Fields<'_>) -> Response {
        let slice = Slice {
            start: fields.int_opt("start")?,
            stop: fields.int_opt("stop")?,
            step: fields.int_opt("step")?,
        };
        let values =
            xcom::slice(&self.db, &self.key(fields, Access::Read).await?, slice, runs(fields)?).await?;
        let values = self.sendable(Json::Array(values))?;
        Ok(Some(Message::new("XComSequenceSliceResult").with("root", values)))
    }

    /// PostgreSQL keeps a large float without its exponent, so that Airflow reads a whole number, which may be too large for
    /// MessagePack.
    fn sendable(&self, value: Json) -> Result<Json, Failure> {
        if self.db.dialect() == Dialect::Postgres && holds_too_large(&value) {
            return Err(Failure::Raised {
                message: "can't serialize ints < -2**63 or > 2**64 - 1",
                exception_type: "OverflowError",
            });
        }
        Ok(value)
    }

    pub(super) async fn set_xcom(&mut self, fields: &Fields<'_>) -> Response {
        let role = match fields.bool_opt("dag_result")? {
            Some(true) => Role::DagResult,
            _ => Role::Value,
        };
        let new = NewXCom {
            value: fields.json("value")?,
            map_index: map_index(fields)?,
            role,
            mapped_length: fields.int_opt("mapped_length")?.filter(|length| *length >= 0),
        };
        xcom::set(&self.db, &self.key(fields, Access::Write).await?, &new, &self.options.execution).await?;
        Ok(None)
    }

    /// The XCom that is asked for, if the task may have it (`has_xcom_access`): of its own team's Dags, and to read also of Dags
    /// without a team.
    async fn key(&self, fields: &Fields<'_>, access: Access) -> Result<XComKey, Failure> {
        let key = XComKey {
            dag_id: fields.text("dag_id")?.into(),
            run_id: fields.text("run_id")?.into(),
            task_id: fields.text("task_id")?.into(),
            key: fields.text("key")?.to_owned(),
        };
        let multi_team = self.options.execution.multi_team;
        if multi_team == MultiTeam::Off {
            return Ok(key);
        }
        let ours = teams::of_task_instance(&self.db, multi_team, self.ti()?).await?;
        let theirs = teams::of_dag(&self.db, multi_team, &key.dag_id).await?;
        if ours == theirs || (access == Access::Read && theirs.is_none()) {
            return Ok(key);
        }
        let message = "Task does not have access to this XCom in multi-team mode";
        Err(Refusal::new(403, "access_denied", message).into())
    }

    pub(super) async fn delete_xcom(&mut self, fields: &Fields<'_>) -> Response {
        xcom::delete(&self.db, &self.key(fields, Access::Write).await?, map_index(fields)?).await?;
        Ok(None)
    }
}

/// What is done with an XCom.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

fn holds_too_large(value: &Json) -> bool {
    match value {
        // Whole numbers up to the limit were read as such.
        Json::Number(number) if number.is_f64() => {
            number.as_f64().is_some_and(|float| !(-TWO_TO_63..2.0 * TWO_TO_63).contains(&float))
        }
        Json::Array(items) => items.iter().any(holds_too_large),
        Json::Object(members) => members.values().any(holds_too_large),
        _ => false,
    }
}

/// 2 to the 63rd.
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

fn map_index(fields: &Fields<'_>) -> Result<MapIndex, Failure> {
    let Some(index) = fields.int_opt("map_index")?.filter(|index| *index >= 0) else {
        return Ok(MapIndex::UNMAPPED);
    };
    let index = i32::try_from(index).map_err(|_| fields.bad("map_index", "is out of range"))?;
    Ok(MapIndex(index))
}

fn runs(fields: &Fields<'_>) -> Result<Runs, Failure> {
    Ok(match fields.bool_opt("include_prior_dates")? {
        Some(true) => Runs::UpToThis,
        _ => Runs::This,
    })
}
