//! Deadlines that have passed (`Deadline.handle_miss`).

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use slipstream_core::ids::{DagId, RunId};

use super::super::db::{Conn, Db};
use super::super::encoding;
use super::super::error::StoreError;
use super::super::execution::MultiTeam;
use super::super::row::Row;
use super::response::dag_run_response;

/// Encrypts the arguments of a trigger with `[core] fernet_key`; without a key it returns them as they are.
pub trait Encrypt: Sync {
    /// The text that `trigger.kwargs` is to hold.
    fn encrypt(&self, plain: &str) -> String;
}

impl<F: Fn(&str) -> String + Sync> Encrypt for F {
    fn encrypt(&self, plain: &str) -> String {
        self(plain)
    }
}

/// A deadline that was found missed, for the metric `deadline_alerts.deadline_missed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissedDeadline {
    /// The Dag.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
}

struct Expired {
    id: Uuid,
    dagrun_id: i64,
    deadline_time: DateTime<Utc>,
    callback_id: Uuid,
    callback_type: String,
    /// Of the callback's bundle.
    team: Option<String>,
    data: Value,
    missed: MissedDeadline,
}

/// Marks deadlines before `now` as missed and hands their callbacks on: to the triggerer as a trigger, to an executor as
/// a pending callback. Rows that another scheduler holds are left to it.
///
/// # Errors
/// As any statement; then nothing was done.
pub async fn handle_expired(
    db: &Db,
    encrypt: &impl Encrypt,
    multi_team: MultiTeam,
    now: DateTime<Utc>,
) -> Result<Vec<MissedDeadline>, StoreError> {
    // Most looks find nothing; they need no transaction.
    let sql =
        db.sql("SELECT 1 AS any FROM deadline WHERE NOT missed AND deadline_time < ? LIMIT 1").bind(now);
    if db.one(sql).await?.is_none() {
        return Ok(Vec::new());
    }
    let tx = db.begin().await?;
    let mut missed = Vec::new();
    for deadline in expired(&tx, now).await? {
        handle(&tx, &deadline, encrypt, multi_team, now).await?;
        missed.push(deadline.missed);
    }
    tx.commit().await?;
    Ok(missed)
}

async fn expired<C: Conn>(tx: &C, now: DateTime<Utc>) -> Result<Vec<Expired>, StoreError> {
    let sql = tx
        .sql(
            "SELECT deadline.id, deadline.dagrun_id, deadline.deadline_time, deadline.callback_id, \
             callback.type AS callback_type, callback.data, dr.dag_id, dr.run_id, \
             (SELECT t.team_name FROM dag_bundle_team t WHERE t.dag_bundle_name = callback.bundle_name) AS team \
             FROM deadline JOIN callback ON callback.id = deadline.callback_id \
             JOIN dag_run dr ON dr.id = deadline.dagrun_id \
             WHERE deadline.deadline_time < ? AND NOT deadline.missed",
        )
        .push(tx.dialect().pg(" FOR UPDATE OF deadline SKIP LOCKED"))
        .bind(now);
    tx.all(sql).await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Expired, StoreError> {
    Ok(Expired {
        id: row.uuid("id")?,
        dagrun_id: row.int("dagrun_id")?,
        deadline_time: row.time("deadline_time")?,
        callback_id: row.uuid("callback_id")?,
        callback_type: row.text("callback_type")?,
        team: row.text_opt("team")?,
        data: encoding::plain(&row.json("data")?),
        missed: MissedDeadline { dag_id: row.id("dag_id")?, run_id: row.id("run_id")? },
    })
}

async fn handle<C: Conn>(
    tx: &C,
    deadline: &Expired,
    encrypt: &impl Encrypt,
    multi_team: MultiTeam,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let run = dag_run_response(tx, deadline.dagrun_id).await?.unwrap_or(Value::Null);
    let mut data = deadline.data.clone();
    if !data.get("kwargs").is_some_and(Value::is_object) {
        data["kwargs"] = json!({});
    }
    data["kwargs"]["context"] = json!({
        "dag_run": run,
        "deadline": {"id": deadline.id.to_string(), "deadline_time": encoding::datetime(deadline.deadline_time)},
    });
    let sql = if deadline.callback_type == "triggerer" {
        let team = deadline.team.as_deref().filter(|_| multi_team == MultiTeam::On);
        let trigger = insert_trigger(tx, &data, team, encrypt, now).await?;
        tx.sql("UPDATE callback SET state = 'queued', data = ?, trigger_id = ? WHERE id = ?")
            .bind(encoding::extended(&data))
            .bind(trigger)
            .bind(deadline.callback_id)
    } else {
        data["deadline_id"] = deadline.id.to_string().into();
        data["dag_run_id"] = deadline.dagrun_id.to_string().into();
        data["dag_id"] = deadline.missed.dag_id.as_str().into();
        tx.sql("UPDATE callback SET state = 'pending', data = ? WHERE id = ?")
            .bind(encoding::extended(&data))
            .bind(deadline.callback_id)
    };
    tx.exec(sql).await?;
    let sql = tx
        .sql("UPDATE deadline SET missed = true, last_updated_at = ? WHERE id = ?")
        .bind(now)
        .bind(deadline.id);
    tx.exec(sql).await?;
    Ok(())
}

async fn insert_trigger<C: Conn>(
    tx: &C,
    data: &Value,
    team: Option<&str>,
    encrypt: &impl Encrypt,
    now: DateTime<Utc>,
) -> Result<i64, StoreError> {
    let kwargs =
        encoding::to_serde(&json!({"callback_path": data["path"], "callback_kwargs": data["kwargs"]}));
    let sql = tx
        .sql(
            "INSERT INTO trigger (classpath, kwargs, created_date, team_name) \
             VALUES ('airflow.triggers.callback.CallbackTrigger', ?, ?, ?) RETURNING id",
        )
        .bind(encrypt.encrypt(&kwargs.to_string()))
        .bind(now)
        .bind(team);
    let row = tx.one(sql).await?.ok_or_else(|| StoreError::NotFound("the new trigger".to_owned()))?;
    row.int("id")
}
