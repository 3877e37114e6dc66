//! `slipstream_observed`: the states of watched runs and their task instances as they were last told to the log.
//!
//! Only runs that are active, that were active at the last look, or that are new are read.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use slipstream_core::event::Pattern;
use slipstream_core::ids::{DagId, RunId};

use super::rows_per_statement;
use crate::store::{Conn, Kind, Param, Row, StoreError};

/// What is observed: a task instance, or the run itself where `task_id` is empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// The Dag.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
    /// The task; empty for the run.
    pub task_id: String,
    /// Which copy; -1 for the run.
    pub map_index: i64,
}

/// What was last told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its state; `None` for Airflow's "none".
    pub state: Option<String>,
    /// Its try; 0 for runs.
    pub try_number: i64,
}

/// What it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// What it is.
    pub subject: Subject,
    /// Its state and try.
    pub seen: Seen,
    /// `task_instance.id`.
    pub ti_id: Option<Uuid>,
    /// When it started.
    pub start_date: Option<DateTime<Utc>>,
    /// When it was last written to.
    pub updated_at: Option<DateTime<Utc>>,
    /// When the run was last queued; `None` for task instances, and for runs that never were.
    pub queued_at: Option<DateTime<Utc>>,
    /// The kind of the run; empty for task instances.
    pub run_type: String,
}

/// A run as the polls find it.
pub type RunRef = (DagId, RunId);

/// The mark that says that a Dag is being watched: its runs as they were then are no news.
const WATCHED: &str = "watched";

/// Those of these Dags that are being watched already.
///
/// # Errors
/// As any statement.
pub async fn watched<'a, C: Conn>(
    conn: &C,
    dag_ids: impl IntoIterator<Item = &'a DagId>,
) -> Result<BTreeSet<DagId>, StoreError> {
    let sql = conn
        .sql("SELECT dag_id FROM slipstream_observed WHERE run_id = '' AND task_id = '' AND map_index = -1 AND dag_id IN (?)")
        .bind_list(dag_ids);
    conn.all(sql).await?.iter().map(|row| row.id("dag_id")).collect()
}

/// Begins to watch a Dag.
///
/// # Errors
/// As any statement.
pub async fn watch<C: Conn>(tx: &C, dag_id: &DagId, now: DateTime<Utc>) -> Result<(), StoreError> {
    let subject =
        Subject { dag_id: dag_id.clone(), run_id: RunId::from(""), task_id: String::new(), map_index: -1 };
    save(tx, &[(subject, Seen { state: Some(WATCHED.to_owned()), try_number: 0 })], now).await
}

/// Stops watching Dags that have no run and no task with one of these keys.
///
/// # Errors
/// As any statement.
pub async fn unwatch_others<C: Conn>(tx: &C, keys: &[Pattern]) -> Result<(), StoreError> {
    let sql = tx
        .sql("SELECT dag_id FROM slipstream_observed WHERE run_id = '' AND task_id = '' AND map_index = -1");
    let marked: Vec<DagId> =
        tx.all(sql).await?.iter().map(|row| row.id("dag_id")).collect::<Result<_, _>>()?;
    let wanted = Wanted::of(keys);
    let others: Vec<DagId> = marked.into_iter().filter(|dag_id| !wanted.has(dag_id)).collect();
    if others.is_empty() {
        return Ok(());
    }
    let sql = tx.sql("DELETE FROM slipstream_observed WHERE dag_id IN (?)").bind_list(others);
    tx.exec(sql).await.map(drop)
}

/// How many numbers of runs are looked at again: a number may be given earlier and become visible later than the next.
const OVERLAP: i64 = 500;

/// Runs to look at.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// All of them.
    pub runs: BTreeSet<RunRef>,
    /// Those that were made before the last look, though nothing is told of them: they were cleared long after their end.
    pub old: BTreeSet<RunRef>,
    /// The highest `dag_run.id` seen.
    pub highest: i64,
}

/// Runs of these Dags to look at: active ones, those not told to have ended, and those with a number above `after`.
///
/// # Errors
/// As any statement.
pub async fn runs<C: Conn>(conn: &C, dag_ids: &BTreeSet<DagId>, after: i64) -> Result<Found, StoreError> {
    let sql = conn
        .sql(
            "SELECT id, dag_id, run_id FROM dag_run WHERE dag_id IN (?) AND (state IN ('queued', 'running') OR \
             (id > ? AND NOT EXISTS (SELECT 1 FROM slipstream_observed o WHERE o.dag_id = dag_run.dag_id \
             AND o.run_id = dag_run.run_id AND o.task_id = '' AND o.map_index = -1)))",
        )
        .bind_list(dag_ids)
        .bind((after - OVERLAP).max(-1));
    let mut found = Found { highest: after, ..Found::default() };
    for row in conn.all(sql).await? {
        let id = row.int("id")?;
        let run = (row.id("dag_id")?, row.id("run_id")?);
        found.highest = found.highest.max(id);
        if id <= after - OVERLAP {
            found.old.insert(run.clone());
        }
        found.runs.insert(run);
    }
    let sql = conn
        .sql(
            "SELECT dag_id, run_id FROM slipstream_observed WHERE dag_id IN (?) AND task_id = '' \
             AND state IN ('queued', 'running')",
        )
        .bind_list(dag_ids);
    for row in conn.all(sql).await? {
        let run = (row.id("dag_id")?, row.id("run_id")?);
        found.old.remove(&run);
        found.runs.insert(run);
    }
    Ok(found)
}

/// The highest `dag_run.id`; 0 if there is none.
///
/// # Errors
/// As any statement.
pub async fn highest_run<C: Conn>(conn: &C) -> Result<i64, StoreError> {
    let row = conn.one(conn.sql("SELECT max(id) AS id FROM dag_run")).await?;
    Ok(row.map(|row| row.int_opt("id")).transpose()?.flatten().unwrap_or(0))
}

/// Which Dags have runs or tasks with some keys: `<dag_id>` or `<dag_id>.<task_id>`.
struct Wanted<'k> {
    exact: BTreeSet<&'k str>,
    prefixes: Vec<&'k str>,
}

impl<'k> Wanted<'k> {
    fn of(keys: &'k [Pattern]) -> Self {
        let mut wanted = Self { exact: BTreeSet::new(), prefixes: Vec::new() };
        for key in keys {
            match key {
                // Both ids may have dots in them.
                Pattern::Exact(key) => {
                    wanted.exact.insert(key.as_str());
                    wanted.exact.extend(key.match_indices('.').map(|(at, _)| &key[..at]));
                }
                Pattern::Prefix(prefix) => wanted.prefixes.push(prefix.as_str()),
                Pattern::Any => wanted.prefixes.push(""),
            }
        }
        wanted
    }

    fn has(&self, dag_id: &DagId) -> bool {
        let of_its_tasks = format!("{dag_id}.");
        self.exact.contains(dag_id.as_str())
            || self
                .prefixes
                .iter()
                .any(|prefix| dag_id.as_str().starts_with(prefix) || prefix.starts_with(&of_its_tasks))
    }
}

/// Dags whose runs or tasks may have one of these keys.
///
/// # Errors
/// As any statement.
pub async fn dags_of<C: Conn>(conn: &C, keys: &[Pattern]) -> Result<BTreeSet<DagId>, StoreError> {
    if keys.is_empty() {
        return Ok(BTreeSet::new());
    }
    let wanted = Wanted::of(keys);
    let sql = conn.sql("SELECT dag_id FROM dag WHERE NOT is_stale");
    let sql = match wanted.prefixes.is_empty() {
        true => sql.push(" AND dag_id IN (?)").bind_list(wanted.exact.iter().copied()),
        false => sql,
    };
    let all: Vec<DagId> =
        conn.all(sql).await?.iter().map(|row| row.id("dag_id")).collect::<Result<_, _>>()?;
    Ok(all.into_iter().filter(|dag_id| wanted.has(dag_id)).collect())
}

/// What these runs and their task instances are now; with `since`, only rows that were written to then or later.
///
/// # Errors
/// As any statement.
pub async fn present<C: Conn>(
    conn: &C,
    runs: &BTreeSet<RunRef>,
    since: Option<DateTime<Utc>>,
) -> Result<Vec<Present>, StoreError> {
    let runs: Vec<&RunRef> = runs.iter().collect();
    let mut found = Vec::new();
    for chunk in runs.chunks(rows_per_statement(2)) {
        let rows =
            || chunk.iter().map(|(dag_id, run_id)| -> Vec<Param> { vec![dag_id.into(), run_id.into()] });
        let sql = conn
            .sql(
                "SELECT dag_id, run_id, state, run_type, start_date, updated_at, queued_at FROM dag_run \
                 WHERE (dag_id, run_id) IN (VALUES ?)",
            )
            .bind_keys(rows());
        for row in conn.all(sql).await? {
            found.push(read_run(&row)?);
        }
        let sql = conn
            .sql(
                "SELECT id, dag_id, run_id, task_id, map_index, state, try_number, start_date, updated_at \
                 FROM task_instance WHERE (dag_id, run_id) IN (VALUES ?)",
            )
            .bind_keys(rows());
        let sql = match since {
            Some(since) => sql.push(" AND (updated_at IS NULL OR updated_at >= ?)").bind(since),
            None => sql,
        };
        for row in conn.all(sql).await? {
            found.push(read_ti(&row)?);
        }
    }
    Ok(found)
}

fn read_run(row: &Row) -> Result<Present, StoreError> {
    Ok(Present {
        subject: Subject {
            dag_id: row.id("dag_id")?,
            run_id: row.id("run_id")?,
            task_id: String::new(),
            map_index: -1,
        },
        seen: Seen { state: row.text_opt("state")?, try_number: 0 },
        ti_id: None,
        start_date: row.time_opt("start_date")?,
        updated_at: row.time_opt("updated_at")?,
        queued_at: row.time_opt("queued_at")?,
        run_type: row.text("run_type")?,
    })
}

fn read_ti(row: &Row) -> Result<Present, StoreError> {
    Ok(Present {
        subject: Subject {
            dag_id: row.id("dag_id")?,
            run_id: row.id("run_id")?,
            task_id: row.text("task_id")?,
            map_index: row.int("map_index")?,
        },
        seen: Seen { state: row.text_opt("state")?, try_number: row.int("try_number")? },
        ti_id: row.uuid_opt("id")?,
        start_date: row.time_opt("start_date")?,
        updated_at: row.time_opt("updated_at")?,
        queued_at: None,
        run_type: String::new(),
    })
}

/// What was last told of these.
///
/// # Errors
/// As any statement.
pub async fn told<'a, C: Conn>(
    conn: &C,
    subjects: impl IntoIterator<Item = &'a Subject>,
) -> Result<HashMap<Subject, Seen>, StoreError> {
    let subjects: Vec<&Subject> = subjects.into_iter().collect();
    let mut found = HashMap::with_capacity(subjects.len());
    for chunk in subjects.chunks(rows_per_statement(4)) {
        let sql = conn
            .sql(
                "SELECT dag_id, run_id, task_id, map_index, state, try_number FROM slipstream_observed \
                 WHERE (dag_id, run_id, task_id, map_index) IN (VALUES ?)",
            )
            .bind_keys(chunk.iter().map(|subject| {
                vec![
                    (&subject.dag_id).into(),
                    (&subject.run_id).into(),
                    (&subject.task_id).into(),
                    subject.map_index.into(),
                ]
            }));
        for row in conn.all(sql).await? {
            let subject = Subject {
                dag_id: row.id("dag_id")?,
                run_id: row.id("run_id")?,
                task_id: row.text("task_id")?,
                map_index: row.int("map_index")?,
            };
            let seen = Seen { state: row.text_opt("state")?, try_number: row.int("try_number")? };
            found.insert(subject, seen);
        }
    }
    Ok(found)
}

/// How the copies of mapped tasks stand, as it was last told.
#[derive(Clone, Debug, Default)]
pub struct Copies {
    /// How many copies each task has.
    all: HashMap<(DagId, RunId, String), i64>,
    /// How many of them are in a state, less those whose change has been passed by [`Copies::remaining`].
    in_state: HashMap<(DagId, RunId, String, String), i64>,
}

impl Copies {
    /// How many copies of the task are not in this state as of the change of one of them. To be asked about the changes of
    /// one look from the last to the first; `still`: whether the copy is in the state that it got.
    pub fn remaining(&mut self, subject: &Subject, state: &str, still: Still) -> i64 {
        if subject.map_index < 0 {
            return 0;
        }
        let Subject { dag_id, run_id, task_id, .. } = subject;
        let all = self.all.get(&(dag_id.clone(), run_id.clone(), task_id.clone()));
        let in_state =
            self.in_state.entry((dag_id.clone(), run_id.clone(), task_id.clone(), state.to_owned()));
        let in_state = in_state.or_default();
        let remaining = all.copied().unwrap_or_default() - *in_state;
        if still == Still::Yes {
            *in_state -= 1;
        }
        remaining
    }
}

/// Whether a task instance is in the state that is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Still {
    /// It is.
    Yes,
    /// That state came and went.
    No,
}

/// How the copies of the mapped tasks among these stand. Copies that were removed are none.
///
/// # Errors
/// As any statement.
pub async fn copies<C: Conn>(conn: &C, subjects: &[&Subject]) -> Result<Copies, StoreError> {
    let mut tasks: Vec<_> = subjects
        .iter()
        .filter(|subject| subject.map_index >= 0)
        .map(|subject| (&subject.dag_id, &subject.run_id, &subject.task_id))
        .collect();
    tasks.sort_unstable();
    tasks.dedup();
    let mut copies = Copies::default();
    for chunk in tasks.chunks(rows_per_statement(3)) {
        let sql = conn
            .sql(
                "SELECT ti.dag_id, ti.run_id, ti.task_id, o.state, count(*) AS n FROM task_instance ti \
                 LEFT JOIN slipstream_observed o ON o.dag_id = ti.dag_id AND o.run_id = ti.run_id \
                 AND o.task_id = ti.task_id AND o.map_index = ti.map_index \
                 WHERE (ti.dag_id, ti.run_id, ti.task_id) IN (VALUES ?) AND (ti.state IS NULL OR ti.state <> 'removed') \
                 GROUP BY ti.dag_id, ti.run_id, ti.task_id, o.state",
            )
            .bind_keys(chunk.iter().map(|(dag_id, run_id, task_id)| {
                vec![(*dag_id).into(), (*run_id).into(), (*task_id).into()]
            }));
        for row in conn.all(sql).await? {
            let task = (row.id("dag_id")?, row.id("run_id")?, row.text("task_id")?);
            let n = row.int("n")?;
            *copies.all.entry(task.clone()).or_default() += n;
            if let Some(state) = row.text_opt("state")? {
                copies.in_state.insert((task.0, task.1, task.2, state), n);
            }
        }
    }
    Ok(copies)
}

/// Columns of `slipstream_observed`.
const KINDS: [(&str, Kind); 7] = [
    ("dag_id", Kind::Text),
    ("run_id", Kind::Text),
    ("task_id", Kind::Text),
    ("map_index", Kind::Int),
    ("state", Kind::Text),
    ("try_number", Kind::Int),
    ("seen_at", Kind::Time),
];

/// Writes what is now told.
///
/// # Errors
/// As any statement.
pub async fn save<C: Conn>(tx: &C, seen: &[(Subject, Seen)], now: DateTime<Utc>) -> Result<(), StoreError> {
    for chunk in seen.chunks(rows_per_statement(7)) {
        let values = chunk.iter().map(|(subject, seen)| {
            vec![
                (&subject.dag_id).into(),
                (&subject.run_id).into(),
                (&subject.task_id).into(),
                subject.map_index.into(),
                seen.state.clone().into(),
                seen.try_number.into(),
                now.into(),
            ]
        });
        let sql = tx
            .sql(
                "INSERT INTO slipstream_observed (dag_id, run_id, task_id, map_index, state, try_number, seen_at) \
                 ? ON CONFLICT (dag_id, run_id, task_id, map_index) DO UPDATE SET state = excluded.state, \
                 try_number = excluded.try_number, seen_at = excluded.seen_at",
            )
            .bind_table(&KINDS, values);
        tx.exec(sql).await?;
    }
    Ok(())
}

/// Forgets runs that ended long ago. One that is cleared later than that is observed from its new beginning on.
///
/// # Errors
/// As any statement.
pub async fn forget_before<C: Conn>(tx: &C, moment: DateTime<Utc>) -> Result<(), StoreError> {
    let sql = tx
        .sql(
            "DELETE FROM slipstream_observed WHERE seen_at < ? AND run_id <> '' AND EXISTS (SELECT 1 FROM \
             slipstream_observed run WHERE run.dag_id = slipstream_observed.dag_id AND run.run_id = \
             slipstream_observed.run_id AND run.task_id = '' AND run.state NOT IN ('queued', 'running'))",
        )
        .bind(moment);
    tx.exec(sql).await.map(drop)
}
