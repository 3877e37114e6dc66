//! `POST /dag-runs/{dag_id}/{run_id}/clear`: all task instances of a run are to run again (`SerializedDAG.clear`,
//! `clear_task_instances`).

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use slipstream_core::dag::Dag;
use slipstream_core::ids::{DagId, MapIndex, RunId, TaskId};
use slipstream_core::run::new_task_instance;
use slipstream_core::state::{RunState, TaskState};
use uuid::Uuid;

use super::Rerun;
use super::error::{ExecutionError, Refusal, transact};
use super::trigger_run;
use crate::store::create_run;
use crate::store::dag_bag::{CachedDag, DagBag};
use crate::store::db::{Conn, Db, Tx};
use crate::store::deadlines;
use crate::store::error::StoreError;
use crate::store::history;
use crate::store::integrity;
use crate::store::runs::carrier;
use crate::store::snapshot;

/// What clearing has to know.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Serialised Dags.
    pub dags: &'a DagBag,
    /// Which version a cleared run goes by.
    pub rerun: Rerun,
    /// `task_instance.unixname` of task instances that a newer version adds.
    pub unixname: &'a str,
}

impl Rules<'_> {
    /// `resolve_run_on_latest_version`: the Dag has the first word.
    fn prefer_latest(self, dag: &CachedDag) -> bool {
        dag.dag.rerun_with_latest_version.unwrap_or(self.rerun == Rerun::LatestVersion)
    }
}

/// Clears a run: what runs is stopped and starts again, everything else loses its state, and a finished run is queued.
///
/// # Errors
/// 404 without the Dag or the run, 400 when the Dag has import errors; as any statement.
pub async fn clear(db: &Db, dag_id: &DagId, run_id: &RunId, rules: Rules<'_>) -> Result<(), ExecutionError> {
    let dags = rules.dags;
    transact!(db, "clear", |tx| {
        trigger_run::check_parsed(tx, dag_id).await?;
        let Some(run) = ClearedRun::lock(tx, dag_id, run_id).await? else {
            return Err(Refusal::not_found(format!("Dag run with run_id: '{run_id}' not found")).into());
        };
        let now = Utc::now();
        let latest = dags.latest(tx, &BTreeSet::from([dag_id.clone()])).await?.remove(dag_id);
        let follow = latest.as_ref().filter(|dag| run.version.is_none() || rules.prefer_latest(dag));
        let dag = match run.pinned.filter(|_| follow.is_none()) {
            Some(version) => dags.versions(tx, &BTreeSet::from([version])).await?.remove(&version),
            None => latest.clone(),
        };
        let carrier = carrier::fresh(run.conf.as_ref());
        let tis = run.lock_task_instances(tx).await?;
        if tis.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = tis.iter().map(|ti| ti.id).collect();
        let renewed: HashMap<Uuid, Uuid> =
            history::prepare_db_for_next_try(tx, &ids, now).await?.into_iter().collect();
        for ti in tis {
            let id = renewed.get(&ti.id).copied().unwrap_or(ti.id);
            ti.clear(tx, id, dag.as_deref().map(|dag| &dag.dag), follow.map(|dag| dag.version_id), now)
                .await?;
        }
        run.requeue(tx, &carrier, now).await?;
        if let Some(dag) = follow {
            run.follow(tx, dag, rules.unixname, now).await?;
        }
        deadlines::requeued(tx, run.id, now).await?;
        Ok(())
    })
}

struct ClearedRun {
    id: i64,
    dag_id: DagId,
    run_id: RunId,
    state: RunState,
    conf: Option<serde_json::Value>,
    version: Option<Uuid>,
    /// The version that the run goes by, if its bundle is versioned.
    pinned: Option<Uuid>,
}

/// A task instance as it was before its clearing.
pub(in crate::store) struct ClearedTi {
    pub(in crate::store) id: Uuid,
    pub(in crate::store) task_id: TaskId,
    pub(in crate::store) map_index: MapIndex,
    pub(in crate::store) state: Option<TaskState>,
    pub(in crate::store) try_number: i64,
    pub(in crate::store) max_tries: i64,
}

impl ClearedRun {
    async fn lock(tx: &Tx, dag_id: &DagId, run_id: &RunId) -> Result<Option<Self>, StoreError> {
        let sql = tx
            .sql(
                "SELECT id, state, conf, bundle_version, created_dag_version_id FROM dag_run \
                 WHERE dag_id = ? AND run_id = ?",
            )
            .bind(dag_id)
            .bind(run_id)
            .push(tx.dialect().pg(" FOR NO KEY UPDATE"));
        let Some(row) = tx.one(sql).await? else { return Ok(None) };
        let version = row.uuid_opt("created_dag_version_id")?;
        let versioned = row.text_opt("bundle_version")?.is_some_and(|bundle| !bundle.is_empty());
        Ok(Some(Self {
            id: row.int("id")?,
            dag_id: dag_id.clone(),
            run_id: run_id.clone(),
            state: row.state("state")?,
            conf: Some(row.json("conf")?).filter(|conf| !conf.is_null()),
            version,
            pinned: version.filter(|_| versioned),
        }))
    }

    async fn lock_task_instances(&self, tx: &Tx) -> Result<Vec<ClearedTi>, StoreError> {
        let sql = tx
            .sql(
                "SELECT id, task_id, map_index, state, try_number, max_tries FROM task_instance \
                 WHERE dag_id = ? AND run_id = ? ORDER BY id",
            )
            .bind(&self.dag_id)
            .bind(&self.run_id)
            .push(tx.dialect().pg(" FOR UPDATE"));
        let read = |row: &crate::store::row::Row| {
            Ok(ClearedTi {
                id: row.uuid("id")?,
                task_id: row.id("task_id")?,
                map_index: MapIndex(row.int32("map_index")?),
                state: row.state_opt("state")?,
                try_number: row.int("try_number")?,
                max_tries: row.int("max_tries")?,
            })
        };
        tx.all(sql).await?.iter().map(read).collect()
    }

    fn has_ended(&self) -> bool {
        matches!(self.state, RunState::Success | RunState::Failed)
    }

    /// Moves the run to a version of its Dag. One that had ended gets the task instances of that version now, because it
    /// counts as of that version from here on; one that runs gets them when it is examined.
    async fn follow(
        &self,
        tx: &Tx,
        dag: &CachedDag,
        unixname: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        if !self.has_ended() && self.version == Some(dag.version_id) {
            return Ok(());
        }
        let sql = tx
            .sql("UPDATE dag_run SET created_dag_version_id = ? WHERE id = ?")
            .bind(dag.version_id)
            .bind(self.id);
        tx.exec(sql).await?;
        if !dag.dag.disable_bundle_versioning {
            let text = "UPDATE dag_run SET bundle_version = \
                 COALESCE((SELECT bundle_version FROM dag WHERE dag_id = ?), bundle_version) WHERE id = ?";
            tx.exec(tx.sql(text).bind(&self.dag_id).bind(self.id)).await?;
        }
        if self.has_ended()
            && let Some(run) = snapshot::load_run(tx, self.id).await?
        {
            integrity::bring_in_line(tx, &run, dag, unixname, now).await?;
        }
        Ok(())
    }

    /// Counts the clearing, begins a new trace, and queues the run if it had ended.
    async fn requeue(
        &self,
        tx: &Tx,
        carrier: &serde_json::Value,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let state = if self.has_ended() {
            ", state = 'queued', last_scheduling_decision = NULL, start_date = NULL, end_date = NULL"
        } else {
            ""
        };
        let sql = tx
            .sql(&format!(
                "UPDATE dag_run SET clear_number = clear_number + 1, queued_at = ?, context_carrier = ?, \
                 updated_at = ?{state} WHERE id = ?"
            ))
            .bind(now)
            .bind(carrier)
            .bind(now)
            .bind(self.id);
        tx.exec(sql).await?;
        let sql = tx
            .sql("UPDATE task_instance SET context_carrier = ? WHERE dag_id = ? AND run_id = ?")
            .bind(carrier)
            .bind(&self.dag_id)
            .bind(&self.run_id);
        tx.exec(sql).await?;
        Ok(())
    }
}

impl ClearedTi {
    /// A running one is told to restart; any other takes its fields from the Dag again and has no state.
    pub(in crate::store) async fn clear(
        self,
        tx: &Tx,
        id: Uuid,
        dag: Option<&Dag>,
        version: Option<Uuid>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        if self.state == Some(TaskState::Running) {
            let sql = tx
                .sql("UPDATE task_instance SET state = 'restarting', updated_at = ? WHERE id = ?")
                .bind(now)
                .bind(id);
            tx.exec(sql).await?;
            return Ok(());
        }
        let task = dag.and_then(|dag| dag.task_by_id(self.task_id.as_str()));
        let new = task.map(|task| create_run::new_task_instance(new_task_instance(task, self.map_index)));
        // Counted from the tries there were; without a task, at least as many as there were.
        let max_tries = match &new {
            Some(new) => self.try_number + new.max_tries,
            None => self.max_tries.max(self.try_number),
        };
        let mut sql = tx
            .sql(
                "UPDATE task_instance SET state = NULL, external_executor_id = NULL, next_method = NULL, \
                 next_kwargs = NULL, dag_version_id = COALESCE(?, dag_version_id), max_tries = ?, updated_at = ?",
            )
            .bind(version)
            .bind(max_tries)
            .bind(now);
        if let Some(new) = new {
            sql = sql
                .push(
                    ", queue = ?, pool = ?, pool_slots = ?, priority_weight = ?, executor = ?, executor_config = ?, \
                     operator = ?, custom_operator_name = ?",
                )
                .bind(new.queue)
                .bind(new.pool)
                .bind(new.pool_slots)
                .bind(new.priority_weight)
                .bind(new.executor)
                .bind(new.executor_config)
                .bind(new.operator)
                .bind(new.custom_operator_name);
        }
        tx.exec(sql.push(" WHERE id = ?").bind(id)).await?;
        Ok(())
    }
}
