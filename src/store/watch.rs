//! Cheap looks at what others changed: the UI, the REST API, the triggerer, another scheduler.
//!
//! Our own worker wakes the loop at once; these polls find everything else. They only read indexed columns of rows that are
//! not finished, so that their cost does not grow with the history.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use slipstream_core::ids::DagId;
use slipstream_core::state::TaskState;

use super::{Conn, Row, StoreError};

/// What waits for the scheduler right now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// A dag run is queued.
    pub queued_runs: bool,
    /// A dag run is running.
    pub running_runs: bool,
    /// A task instance is in state `scheduled`.
    pub scheduled_tis: bool,
    /// Asset events, or pending partitions, may make a run.
    pub asset_events: bool,
    /// A callback waits for an executor.
    pub executor_callbacks: bool,
    /// A deadline has passed.
    pub deadlines: bool,
    /// Somebody wants a connection tested.
    pub connection_tests: bool,
    /// When the next time-based run is due.
    pub next_due: Option<DateTime<Utc>>,
}

/// One statement over everything that may wait.
///
/// # Errors
/// As any statement.
pub async fn pending<C: Conn>(conn: &C, now: DateTime<Utc>) -> Result<Pending, StoreError> {
    let sql = conn
        .sql(
            "SELECT \
             EXISTS (SELECT 1 FROM dag_run WHERE state = 'queued') AS queued_runs, \
             EXISTS (SELECT 1 FROM dag_run WHERE state = 'running') AS running_runs, \
             EXISTS (SELECT 1 FROM task_instance WHERE state = 'scheduled') AS scheduled_tis, \
             (EXISTS (SELECT 1 FROM asset_dag_run_queue) OR \
              EXISTS (SELECT 1 FROM asset_partition_dag_run WHERE created_dag_run_id IS NULL)) AS asset_events, \
             EXISTS (SELECT 1 FROM callback WHERE type = 'executor' AND state = 'pending') AS executor_callbacks, \
             EXISTS (SELECT 1 FROM deadline WHERE NOT missed AND deadline_time < ?) AS deadlines, \
             EXISTS (SELECT 1 FROM connection_test_request WHERE state = 'pending') AS connection_tests, \
             (SELECT min(next_dagrun_create_after) FROM dag WHERE NOT is_paused AND NOT is_stale \
              AND NOT COALESCE(has_import_errors, false) AND NOT exceeds_max_non_backfill) AS next_due",
        )
        .bind(now);
    let Some(row) = conn.one(sql).await? else { return Ok(Pending::default()) };
    Ok(Pending {
        queued_runs: row.bool("queued_runs")?,
        running_runs: row.bool("running_runs")?,
        scheduled_tis: row.bool("scheduled_tis")?,
        asset_events: row.bool("asset_events")?,
        executor_callbacks: row.bool("executor_callbacks")?,
        deadlines: row.bool("deadlines")?,
        connection_tests: row.bool("connection_tests")?,
        next_due: row.time_opt("next_due")?,
    })
}

/// The newest dag run of all: another one means that someone made a run. Costs one look at the end of an index.
///
/// # Errors
/// As any statement.
pub async fn newest_run<C: Conn>(conn: &C) -> Result<Option<i64>, StoreError> {
    let row = conn.one(conn.sql("SELECT max(id) AS id FROM dag_run")).await?;
    row.map_or(Ok(None), |row| row.int_opt("id"))
}

/// A running dag run and the last moment anything about it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// `dag_run.id`.
    pub run: i64,
    /// Its Dag.
    pub dag_id: DagId,
    /// The newest `updated_at` of its task instances.
    pub at: Option<DateTime<Utc>>,
    /// How many task instances it has, and in which states.
    pub marks: Marks,
    /// When its Dag's newest version was last written: running runs follow it.
    pub version_at: Option<DateTime<Utc>>,
}

/// The task instances of a run in two numbers. They tell of what leaves no later `updated_at`: a row that was deleted, and one
/// whose writer began before, or has a clock that is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    count: i64,
    states: i64,
}

impl Marks {
    /// One more task instance, in this state.
    pub(super) fn add(&mut self, state: Option<&str>) {
        self.count += 1;
        self.states = self.states.saturating_add(state.map_or(0, weight));
    }
}

/// A number for each state, so far apart that sums over a run differ where its states do.
fn weight(state: &str) -> i64 {
    let at = TaskState::ALL.iter().position(|known| known.as_str() == state);
    at.map_or(0, |at| 5_i64.pow(u32::try_from(at).unwrap_or(0)))
}

/// The sum of the states' weights, in a statement.
fn states_sum() -> String {
    let cases: Vec<String> = TaskState::ALL
        .iter()
        .map(|state| format!("WHEN '{state}' THEN {}", weight(state.as_str())))
        .collect();
    format!("CAST(coalesce(sum(CASE ti.state {} ELSE 0 END), 0) AS BIGINT)", cases.join(" "))
}

/// Every running dag run that may be examined, with when it was last written to.
///
/// # Errors
/// As any statement.
pub async fn running_runs<C: Conn>(conn: &C) -> Result<Vec<Touched>, StoreError> {
    let sql = conn.sql(&format!(
        "SELECT dr.id, dr.dag_id, max(ti.updated_at) AS at, count(ti.id) AS count, {} AS states, \
         (SELECT dv.last_updated FROM dag_version dv WHERE dv.dag_id = dr.dag_id \
          ORDER BY dv.version_number DESC LIMIT 1) AS version_at FROM dag_run dr \
         JOIN dag ON dag.dag_id = dr.dag_id \
         LEFT JOIN task_instance ti ON ti.dag_id = dr.dag_id AND ti.run_id = dr.run_id \
         WHERE dr.state = 'running' AND NOT dag.is_paused AND NOT dag.is_stale GROUP BY dr.id, dr.dag_id",
        states_sum()
    ));
    let rows = conn.all(sql).await?;
    let touched = |row: &Row| {
        Ok(Touched {
            run: row.int("id")?,
            dag_id: row.id("dag_id")?,
            at: row.time_opt("at")?,
            marks: Marks { count: row.int("count")?, states: row.int("states")? },
            version_at: row.time_opt("version_at")?,
        })
    };
    rows.iter().map(touched).collect()
}

/// Remembers up to where each running dag run has been examined.
#[derive(Debug, Default)]
pub struct Seen {
    at: HashMap<i64, (Option<DateTime<Utc>>, Option<Marks>)>,
    /// When the newest version of each Dag that had a running run was last written, as of the last look at it.
    versions: HashMap<DagId, Option<DateTime<Utc>>>,
}

impl Seen {
    /// Notes that a run was examined with everything up to `at` in sight, and these task instances; `None`: whatever they are.
    pub fn examined(&mut self, run: i64, at: Option<DateTime<Utc>>, marks: Option<Marks>) {
        self.at.insert(run, (at, marks));
    }

    /// How many runs are known.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// Has every running run looked at again.
    pub fn forget_all(&mut self) {
        self.at.clear();
    }

    /// The runs that were written to since they were last examined, or never were, or whose Dag has got another version;
    /// forgets runs that no longer run.
    pub fn changed(&mut self, running: &[Touched]) -> Vec<i64> {
        let mut kept = HashMap::with_capacity(running.len());
        let mut changed = Vec::new();
        for touched in running {
            let same_version = self.versions.get(&touched.dag_id) == Some(&touched.version_at);
            match self.at.remove(&touched.run) {
                Some((at, marks))
                    if touched.at <= at
                        && marks.is_none_or(|marks| marks == touched.marks)
                        && same_version =>
                {
                    kept.insert(touched.run, (at, marks));
                }
                _ => changed.push(touched.run),
            }
        }
        self.at = kept;
        self.versions.extend(running.iter().map(|touched| (touched.dag_id.clone(), touched.version_at)));
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u32) -> Option<DateTime<Utc>> {
        format!("2026-01-01T00:00:{second:02}Z").parse().ok()
    }

    fn touched(run: i64, dag: &str, at: Option<DateTime<Utc>>, version_at: Option<DateTime<Utc>>) -> Touched {
        Touched { run, dag_id: dag.into(), at, marks: Marks::default(), version_at }
    }

    #[test]
    fn a_run_is_looked_at_again_only_after_a_later_write() {
        let mut seen = Seen::default();
        assert_eq!(seen.changed(&[touched(1, "d", at(1), at(0))]), vec![1]);
        seen.examined(1, at(1), Some(Marks::default()));
        assert_eq!(seen.changed(&[touched(1, "d", at(1), at(0))]), Vec::<i64>::new());
        assert_eq!(seen.changed(&[touched(1, "d", at(2), at(0))]), vec![1]);
    }

    #[test]
    fn a_run_that_stopped_and_runs_again_is_looked_at() {
        let mut seen = Seen::default();
        seen.examined(1, None, None);
        assert!(seen.changed(&[]).is_empty());
        assert_eq!(seen.changed(&[touched(1, "d", None, at(0))]), vec![1]);
    }

    #[test]
    fn a_new_version_of_a_dag_has_its_runs_looked_at_and_no_others() {
        let mut seen = Seen::default();
        let running = |version| [touched(1, "d", None, version), touched(2, "other", None, at(0))];
        assert_eq!(seen.changed(&running(at(1))), vec![1, 2]);
        seen.examined(1, None, None);
        seen.examined(2, None, None);
        assert_eq!(seen.changed(&running(at(1))), Vec::<i64>::new());
        assert_eq!(seen.changed(&running(at(2))), vec![1]);
    }

    #[test]
    fn a_row_that_is_deleted_or_written_with_an_older_time_has_its_run_looked_at() {
        let mut seen = Seen::default();
        let marked = |states: &[Option<&str>]| {
            let mut marks = Marks::default();
            states.iter().for_each(|state| marks.add(*state));
            Touched { marks, ..touched(1, "d", at(1), at(0)) }
        };
        let before = marked(&[Some("running"), Some("up_for_retry"), None]);
        seen.changed(std::slice::from_ref(&before));
        seen.examined(1, at(1), Some(before.marks));
        assert!(seen.changed(std::slice::from_ref(&before)).is_empty());
        for after in [marked(&[Some("running"), None]), marked(&[Some("running"), Some("success"), None])] {
            seen.examined(1, at(1), Some(before.marks));
            assert_eq!(seen.changed(&[after]), vec![1]);
        }
    }
}
