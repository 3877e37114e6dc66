//! Runs that triggers of tasks act in, and runs that keep a lane busy. Only active runs are read, by the index on Dag and
//! state, so that the cost does not grow with the history.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use slipstream_core::event::Position;
use slipstream_core::ids::{DagId, RunId};

use super::rows_per_statement;
use crate::store::{Conn, Kind, Row, StoreError};

/// A run that is queued or running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveRun {
    /// `dag_run.id`.
    pub id: i64,
    /// The Dag.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
    /// The version of the Dag that it is pinned to; `None`: it follows the newest.
    pub pinned: Option<Uuid>,
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
    /// The position of the log from which on its tasks' triggers see events; `None` until that has been settled.
    pub from: Option<Position>,
    /// Whether its tasks' clocks have been set.
    pub clocks: Clocks,
}

/// Whether the clocks of a run's tasks have been set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocks {
    /// Not yet: the run is new.
    Unset,
    /// They have.
    Set,
}

fn read(row: &Row) -> Result<ActiveRun, StoreError> {
    let version = row.uuid_opt("created_dag_version_id")?;
    Ok(ActiveRun {
        id: row.int("id")?,
        dag_id: row.id("dag_id")?,
        run_id: row.id("run_id")?,
        pinned: row.text_opt("bundle_version")?.and(version),
        created_at: row.time_opt("created_at")?,
        from: row.int_opt("from_position")?.map(Position),
        clocks: row.time_opt("clocks_set_at")?.map_or(Clocks::Unset, |_| Clocks::Set),
    })
}

/// The active runs of these Dags, the oldest first.
///
/// # Errors
/// As any statement.
pub async fn of_dags<'a, C: Conn>(
    conn: &C,
    dag_ids: impl IntoIterator<Item = &'a DagId>,
) -> Result<Vec<ActiveRun>, StoreError> {
    let sql = conn
        .sql(
            "SELECT dr.id, dr.dag_id, dr.run_id, dr.bundle_version, dr.created_dag_version_id, dr.created_at, \
             er.from_position, er.clocks_set_at FROM dag_run dr \
             LEFT JOIN slipstream_run er ON er.dag_id = dr.dag_id AND er.run_id = dr.run_id \
             WHERE dr.dag_id IN (?) AND dr.state IN ('queued', 'running') ORDER BY dr.id",
        )
        .bind_list(dag_ids);
    conn.all(sql).await?.iter().map(read).collect()
}

/// Columns of `slipstream_run`.
const KINDS: [(&str, Kind); 3] =
    [("dag_id", Kind::Text), ("run_id", Kind::Text), ("from_position", Kind::Int)];

/// Writes from which position on runs see events; what is written stays.
///
/// # Errors
/// As any statement.
pub async fn settle_from<C: Conn>(tx: &C, runs: &[(DagId, RunId, Position)]) -> Result<(), StoreError> {
    for chunk in runs.chunks(rows_per_statement(3)) {
        let values =
            chunk.iter().map(|(dag_id, run_id, from)| vec![dag_id.into(), run_id.into(), from.0.into()]);
        let sql = tx
            .sql("INSERT INTO slipstream_run (dag_id, run_id, from_position) ? ON CONFLICT DO NOTHING")
            .bind_table(&KINDS, values);
        tx.exec(sql).await?;
    }
    Ok(())
}

/// Columns of `slipstream_run`, with the clocks.
const CLOCK_KINDS: [(&str, Kind); 4] = [KINDS[0], KINDS[1], KINDS[2], ("clocks_set_at", Kind::Time)];

/// Writes that the clocks of runs' tasks have been set, and from which position on the runs see events, unless that is
/// written already.
///
/// # Errors
/// As any statement.
pub async fn settle_clocks<C: Conn>(
    tx: &C,
    runs: &[(DagId, RunId, Position)],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    for chunk in runs.chunks(rows_per_statement(4)) {
        let values = chunk
            .iter()
            .map(|(dag_id, run_id, from)| vec![dag_id.into(), run_id.into(), from.0.into(), now.into()]);
        let sql = tx
            .sql(
                "INSERT INTO slipstream_run (dag_id, run_id, from_position, clocks_set_at) ? \
                 ON CONFLICT (dag_id, run_id) DO UPDATE SET clocks_set_at = excluded.clocks_set_at",
            )
            .bind_table(&CLOCK_KINDS, values);
        tx.exec(sql).await?;
    }
    Ok(())
}

/// The last position that had been given at a moment: where the log stood when a run was made.
///
/// # Errors
/// As any statement.
pub async fn position_at<C: Conn>(conn: &C, moment: DateTime<Utc>) -> Result<Position, StoreError> {
    let sql = conn
        .sql("SELECT position FROM slipstream_event WHERE received_at <= ? ORDER BY received_at DESC, position DESC LIMIT 1")
        .bind(moment);
    conn.one(sql).await?.map_or(Ok(Position(0)), |row| row.int("position").map(Position))
}

/// An active run that a trigger made in this lane of the Dag.
///
/// # Errors
/// As any statement.
pub async fn blocking<C: Conn>(conn: &C, dag_id: &DagId, lane: &str) -> Result<Option<RunId>, StoreError> {
    let sql = conn
        .sql(
            "SELECT dr.run_id FROM dag_run dr WHERE dr.dag_id = ? AND dr.state IN ('queued', 'running') \
             AND EXISTS (SELECT 1 FROM slipstream_firing f WHERE f.dag_id = dr.dag_id \
             AND f.result_run_id = dr.run_id AND f.lane = ?) ORDER BY dr.id LIMIT 1",
        )
        .bind(dag_id)
        .bind(lane);
    conn.one(sql).await?.map(|row| row.id("run_id")).transpose()
}
