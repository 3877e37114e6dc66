//! The statement that reads the next task instances that may be queued.

use std::collections::BTreeSet;

use slipstream_core::admit::Starved;
use slipstream_core::ids::{DagId, RunId};

use super::critical_section::{QueuedTi, Room};
use super::execution::MultiTeam;
use super::{Conn, Param, Sql, Tx};

/// Which candidates are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) room: &'a Room,
    /// What has no room any more.
    pub(super) starved: &'a Starved,
    /// What is queued already.
    pub(super) taken: &'a [QueuedTi],
    /// If not all Dags: these.
    pub(super) only: Option<&'a BTreeSet<DagId>>,
    /// Most of them.
    pub(super) limit: i64,
    /// How far it is seen to that they fit into their dag runs.
    pub(super) ranks: Ranks,
}

/// How far the statement sees to it that what it reads fits into `max_active_tasks` of its dag run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ranks {
    /// Candidates of runs that are full are left out. That costs little, and is enough for as long as no run becomes full.
    None,
    /// Candidates are counted within their run, so that a run of thousands of ready tasks does not fill the page with what is
    /// turned away then. All candidates are sorted once more for that.
    Within,
}

const COLUMNS: &str = "SELECT ti.id, ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.try_number, ti.dag_version_id, ti.queue, \
     ti.pool, ti.pool_slots, ti.priority_weight, ti.hostname, ti.context_carrier, ti.executor, ti.scheduled_dttm, ti.end_date";

const SOURCE: &str = " FROM task_instance ti \
     JOIN dag_run dr ON dr.dag_id = ti.dag_id AND dr.run_id = ti.run_id \
     JOIN dag ON dag.dag_id = ti.dag_id \
     LEFT JOIN (SELECT dag_id, run_id, count(*) AS n FROM task_instance WHERE state IN ('running', 'queued') \
     GROUP BY dag_id, run_id) busy ON busy.dag_id = ti.dag_id AND busy.run_id = ti.run_id \
     WHERE ti.state = 'scheduled' AND dr.state = 'running' AND dag.bundle_name IS NOT NULL AND (NOT dag.is_paused";

/// The next candidates in order of priority, locked.
pub(super) fn select(tx: &Tx, wanted: &Wanted<'_>) -> Sql {
    let sql = match wanted.ranks {
        Ranks::None => {
            let sql = tx.sql(COLUMNS).push(
                ", dr.created_dag_version_id, dr.bundle_version, dag.relative_fileloc, dag.bundle_name, \
                 dag.max_active_tasks, dag.has_task_concurrency_limits",
            );
            let sql = sql.push(team(wanted.room, wanted.ranks)).push(SOURCE);
            eligible(sql, wanted).push(
                " AND COALESCE(busy.n, 0) < dag.max_active_tasks \
                 ORDER BY -ti.priority_weight, dr.logical_date, ti.map_index, ti.id LIMIT ?",
            )
        }
        Ranks::Within => {
            let sql = tx.sql(COLUMNS).push(
                ", ranked.created_dag_version_id, ranked.bundle_version, ranked.relative_fileloc, ranked.bundle_name, \
                 ranked.max_active_tasks, ranked.has_task_concurrency_limits",
            );
            let sql = sql.push(team(wanted.room, wanted.ranks)).push(
                " FROM (SELECT ti.id, dr.logical_date, dr.bundle_version, dr.created_dag_version_id, \
                 dag.relative_fileloc, dag.bundle_name, dag.max_active_tasks, dag.has_task_concurrency_limits, \
                 row_number() OVER (PARTITION BY ti.dag_id, ti.run_id \
                 ORDER BY -ti.priority_weight, dr.logical_date, ti.map_index, ti.id) + COALESCE(busy.n, 0) AS nth",
            );
            eligible(sql.push(SOURCE), wanted).push(
                ") ranked JOIN task_instance ti ON ti.id = ranked.id WHERE ranked.nth <= ranked.max_active_tasks \
                 ORDER BY -ti.priority_weight, ranked.logical_date, ti.map_index, ti.id LIMIT ?",
            )
        }
    };
    sql.bind(wanted.limit).push(tx.dialect().pg(" FOR NO KEY UPDATE OF ti SKIP LOCKED"))
}

/// The column of the Dag's team, where there are teams.
fn team(room: &Room, ranks: Ranks) -> &'static str {
    if room.multi_team == MultiTeam::Off {
        return "";
    }
    match ranks {
        Ranks::None => {
            ", (SELECT t.team_name FROM dag_bundle_team t WHERE t.dag_bundle_name = dag.bundle_name) AS team"
        }
        Ranks::Within => {
            ", (SELECT t.team_name FROM dag_bundle_team t WHERE t.dag_bundle_name = ranked.bundle_name) AS team"
        }
    }
}

/// What [`SOURCE`] ends with: of Dags that go on, without what is starved or taken.
fn eligible(mut sql: Sql, wanted: &Wanted<'_>) -> Sql {
    let Wanted { room, starved, taken, only, .. } = *wanted;
    let pair = |(a, b): &(DagId, RunId)| vec![Param::from(a), Param::from(b)];
    if !room.launched.is_empty() {
        sql = sql.push(" OR dr.id IN (?)").bind_list(room.launched.iter().copied());
    }
    sql = sql.push(")");
    if let Some(only) = only {
        sql = sql.push(" AND ti.dag_id IN (?)").bind_list(only);
    }
    if !starved.pools.is_empty() {
        sql = sql.push(" AND ti.pool NOT IN (?)").bind_list(&starved.pools);
    }
    if !starved.runs.is_empty() {
        sql = sql
            .push(" AND (ti.dag_id, ti.run_id) NOT IN (VALUES ?)")
            .bind_rows(starved.runs.iter().map(pair));
    }
    if !starved.tasks.is_empty() {
        let rows = starved.tasks.iter().map(|(dag, task)| vec![Param::from(dag), Param::from(task)]);
        sql = sql.push(" AND (ti.dag_id, ti.task_id) NOT IN (VALUES ?)").bind_rows(rows);
    }
    if !starved.tasks_in_run.is_empty() {
        let rows = starved.tasks_in_run.iter();
        let rows = rows.map(|(dag, run, task)| vec![Param::from(dag), Param::from(run), Param::from(task)]);
        sql = sql.push(" AND (ti.dag_id, ti.run_id, ti.task_id) NOT IN (VALUES ?)").bind_rows(rows);
    }
    if !taken.is_empty() {
        sql = sql.push(" AND ti.id NOT IN (?)").bind_list(taken.iter().map(|ti| ti.id));
    }
    sql
}
