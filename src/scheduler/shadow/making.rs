//! The runs that another scheduler makes, against those that we would make.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use slipstream_core::ids::DagId;
use slipstream_core::schedule::{NextRunFacts, Timetable};
use slipstream_core::state::RunType;

use super::difference::{Difference, Kind, Summary};
use crate::scheduler::create_runs::{Announced, ForeseenRuns, after, chain};
use crate::store::dag_bag::{CachedDag, Dags};
use crate::store::shadow::{DagRow, MadeRun, Receptive};

/// Most runs that one Dag gets between two looks.
const MOST: usize = 1000;
/// Rows of Dags that the dag-processor wrote so lately may have said something else when a run was made.
const PARSED_LATELY: TimeDelta = TimeDelta::seconds(10);

/// What makes a run the one that it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    /// Its logical date, or the moment of a run that has none.
    Time(DateTime<Utc>),
    /// Updates of assets.
    Assets,
    /// A complete partition.
    Partition(String),
}

#[derive(Clone, Debug)]
struct Foreseen {
    run: Option<Announced>,
    since: DateTime<Utc>,
    told: Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Yes,
    No,
}

/// What is known of the runs to come.
#[derive(Debug, Default)]
pub(super) struct Making {
    /// The Dags that were due soon at the last look.
    due: HashMap<DagId, DagRow>,
    foreseen: BTreeMap<(DagId, Cause), Foreseen>,
    looked_at: Option<DateTime<Utc>>,
}

/// What one look read.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// The runs that were made since the last look.
    pub(super) runs: Vec<MadeRun>,
    /// The rows, as they are, of the Dags that these runs and [`Making::dags`] name.
    pub(super) rows: HashMap<DagId, DagRow>,
    /// The newest versions of these Dags.
    pub(super) dags: Dags,
    /// What we would make.
    pub(super) foreseen: ForeseenRuns,
    /// The Dags that are due soon.
    pub(super) due: Vec<DagRow>,
}

impl Making {
    /// The Dags whose rows are wanted at the next look.
    pub(super) fn dags(&self) -> impl Iterator<Item = &DagId> {
        self.foreseen.keys().map(|(dag_id, _)| dag_id)
    }

    /// How many runs are foreseen and not made.
    pub(super) fn open(&self) -> u64 {
        self.foreseen.values().filter(|one| one.told == Told::No).count() as u64
    }

    /// Compares the runs that were made with those that we would have made.
    pub(super) fn look(
        &mut self,
        made: Made,
        window: TimeDelta,
        now: DateTime<Utc>,
        summary: &mut Summary,
    ) -> Vec<Difference> {
        let mut found = Vec::new();
        for run in &made.runs {
            found.extend(self.judge(run, &made, now, summary));
        }
        for run in newest_by_dag(&made.runs) {
            found.extend(next_differs(run, &made, now, summary));
        }
        found.extend(self.expect(&made, now, summary));
        for ((dag_id, cause), foreseen) in &mut self.foreseen {
            if foreseen.told == Told::No && now - foreseen.since >= window {
                foreseen.told = Told::Yes;
                let theirs = format!("no run within {} s", window.num_seconds());
                found.push(difference(
                    dag_id,
                    None,
                    Kind::Late,
                    (ours(foreseen.run.as_ref(), cause), theirs),
                    now,
                ));
            }
        }
        self.due = made.due.into_iter().map(|row| (row.dag_id.clone(), row)).collect();
        self.looked_at = Some(now);
        found
    }

    /// A run that was made.
    fn judge(
        &mut self,
        run: &MadeRun,
        made: &Made,
        now: DateTime<Utc>,
        summary: &mut Summary,
    ) -> Option<Difference> {
        let cause = match (run.run_type, &run.partition_key) {
            (RunType::Scheduled, _) => Cause::Time(run.logical_date.unwrap_or(run.run_after)),
            (RunType::AssetTriggered, Some(key)) => Cause::Partition(key.clone()),
            (RunType::AssetTriggered, None) => Cause::Assets,
            // Made by people or by tasks. It may have the date of a run that we foresaw.
            _ => {
                let date = run.logical_date?;
                let taken = self.foreseen.remove(&(run.dag_id.clone(), Cause::Time(date)));
                summary.withdrawn += u64::from(taken.is_some());
                return None;
            }
        };
        let foreseen = self.foreseen.remove(&(run.dag_id.clone(), cause.clone()));
        let announced = match (&cause, foreseen) {
            (Cause::Time(_), Some(foreseen)) => foreseen.run,
            // When the events are gone, nothing tells whether they were enough.
            (_, foreseen) => {
                if let Cause::Time(at) = cause {
                    self.announced_before(run, at, made, now)
                } else {
                    let count =
                        if foreseen.is_some() { &mut summary.agreed } else { &mut summary.not_compared };
                    *count += 1;
                    return None;
                }
            }
        };
        let Some(announced) = announced else {
            if !self.is_comparable(&run.dag_id, made) {
                summary.not_compared += 1;
                return None;
            }
            let theirs = format!("made the run of {}", date_of(run.logical_date.unwrap_or(run.run_after)));
            let texts = ("make no such run".to_owned(), theirs);
            return Some(difference(&run.dag_id, Some(run), Kind::Unforeseen, texts, now));
        };
        let same = announced.run_id.as_deref().is_none_or(|id| id == run.run_id.as_str())
            && announced.data_interval == run.data_interval
            && announced.run_after == run.run_after
            && announced.partition_key == run.partition_key;
        if same {
            summary.agreed += 1;
            return None;
        }
        let texts = (text(&announced), text(&announced_of(run)));
        Some(difference(&run.dag_id, Some(run), Kind::Otherwise, texts, now))
    }

    /// The run of this date, if the row of its Dag announced it at the last look, itself or after others that were made too.
    fn announced_before(
        &self,
        run: &MadeRun,
        at: DateTime<Utc>,
        made: &Made,
        now: DateTime<Utc>,
    ) -> Option<Announced> {
        let (row, dag) = (self.due.get(&run.dag_id)?, made.dags.get(&run.dag_id)?);
        let is_made = |at: DateTime<Utc>| {
            made.runs
                .iter()
                .any(|one| one.dag_id == run.dag_id && one.logical_date.unwrap_or(one.run_after) == at)
        };
        for announced in chain(&run.dag_id, dag, &row.next, now, MOST) {
            match announced.logical_date.unwrap_or(announced.run_after) {
                date if date == at => return Some(announced),
                // It was to be made before.
                date if !is_made(date) => return None,
                _ => {}
            }
        }
        None
    }

    /// Whether the row of the Dag has been the scheduler's alone for long enough.
    fn is_comparable(&self, dag_id: &DagId, made: &Made) -> bool {
        let Some(looked_at) = self.looked_at else { return false };
        let parsed_at = made.rows.get(dag_id).map(|row| row.parsed_at);
        parsed_at.is_some_and(|at| at.is_none_or(|at| at < looked_at - PARSED_LATELY))
    }

    /// Takes what we foresee now.
    fn expect(&mut self, made: &Made, now: DateTime<Utc>, summary: &mut Summary) -> Vec<Difference> {
        let mut before = std::mem::take(&mut self.foreseen);
        let ForeseenRuns { timed, by_asset, by_partition } = &made.foreseen;
        let timed = timed.iter().map(|run| {
            let cause = Cause::Time(run.logical_date.unwrap_or(run.run_after));
            ((run.dag_id.clone(), cause), Some(run.clone()))
        });
        let by_asset = by_asset.iter().map(|dag_id| ((dag_id.clone(), Cause::Assets), None));
        let by_partition =
            by_partition.iter().map(|(dag_id, key)| ((dag_id.clone(), Cause::Partition(key.clone())), None));
        for (key, run) in timed.chain(by_asset).chain(by_partition) {
            let old = before.remove(&key);
            let (since, told) = old.map_or((now, Told::No), |old| (old.since, old.told));
            self.foreseen.insert(key, Foreseen { run, since, told });
        }
        let mut found = Vec::new();
        for ((dag_id, cause), foreseen) in before.into_iter().filter(|(_, one)| one.told == Told::No) {
            let passed_over = match (&foreseen.run, made.rows.get(&dag_id)) {
                (Some(run), Some(row)) => {
                    row.receptive == Receptive::Yes
                        && row.next.next_dagrun != run.logical_date
                        && row.parsed_at.is_none_or(|at| at < foreseen.since - PARSED_LATELY)
                }
                _ => false,
            };
            if passed_over {
                let theirs = "went on to the next one without making it".to_owned();
                let texts = (ours(foreseen.run.as_ref(), &cause), theirs);
                found.push(difference(&dag_id, None, Kind::Otherwise, texts, now));
            } else {
                summary.withdrawn += 1;
            }
        }
        found
    }
}

/// Of each Dag, the last one of its timetable's runs.
fn newest_by_dag(runs: &[MadeRun]) -> impl Iterator<Item = &MadeRun> {
    let mut newest: HashMap<&DagId, &MadeRun> = HashMap::new();
    for run in runs.iter().filter(|run| run.run_type == RunType::Scheduled) {
        newest.insert(&run.dag_id, run);
    }
    newest.into_values()
}

/// The run that the other scheduler has announced after this one, if it is not the one that we would have.
fn next_differs(run: &MadeRun, made: &Made, now: DateTime<Utc>, summary: &mut Summary) -> Option<Difference> {
    let (row, dag) = (made.rows.get(&run.dag_id)?, made.dags.get(&run.dag_id)?);
    let asked = run.queued_at.filter(|at| *at <= now).unwrap_or(now);
    let rewritten = row.parsed_at.is_some_and(|at| at > asked - PARSED_LATELY);
    if rewritten || matches!(dag.timetable, Timetable::Custom { .. }) || run.partition_key.is_some() {
        summary.not_compared += 1;
        return None;
    }
    let (earliest, latest) = bounds(dag, run, asked, now);
    if between(&row.next, &earliest, &latest) {
        summary.agreed += 1;
        return None;
    }
    let texts = (format!("announce {}", next_text(&latest)), format!("announced {}", next_text(&row.next)));
    Some(Difference {
        why: "what the timetable says after this run".to_owned(),
        ..difference(&run.dag_id, Some(run), Kind::Otherwise, texts, now)
    })
}

/// The next run as asked just before the run was made, and as asked now: without catch-up it depends on the moment.
fn bounds(
    dag: &CachedDag,
    run: &MadeRun,
    asked: DateTime<Utc>,
    now: DateTime<Utc>,
) -> (NextRunFacts, NextRunFacts) {
    let run = announced_of(run);
    (after(dag, &run, asked - TimeDelta::seconds(2)), after(dag, &run, now))
}

fn between(next: &NextRunFacts, earliest: &NextRunFacts, latest: &NextRunFacts) -> bool {
    let within = |field: fn(&NextRunFacts) -> Option<DateTime<Utc>>| {
        let (at, from, to) = (field(next), field(earliest), field(latest));
        at == from || at == to || (from < at && at < to)
    };
    within(|next| next.next_dagrun)
        && within(|next| next.create_after)
        && within(|next| next.data_interval_start)
        && within(|next| next.data_interval_end)
}

fn announced_of(run: &MadeRun) -> Announced {
    Announced {
        dag_id: run.dag_id.clone(),
        run_id: Some(run.run_id.to_string()),
        logical_date: run.logical_date,
        data_interval: run.data_interval,
        run_after: run.run_after,
        partition_key: run.partition_key.clone(),
    }
}

fn ours(run: Option<&Announced>, cause: &Cause) -> String {
    match (run, cause) {
        (Some(run), _) => text(run),
        (None, Cause::Time(at)) => format!("make the run of {}", date_of(*at)),
        (None, Cause::Assets) => "make a run for the assets that were updated".to_owned(),
        (None, Cause::Partition(key)) => format!("make the run of the partition {key}"),
    }
}

fn text(run: &Announced) -> String {
    let id = run.run_id.as_deref().unwrap_or("(a name that chance or a plugin makes)");
    let interval = run.data_interval.map_or_else(
        || "no data interval".to_owned(),
        |(start, end)| format!("{} to {}", date_of(start), date_of(end)),
    );
    format!("the run {id}, {interval}, after {}", date_of(run.run_after))
}

fn next_text(next: &NextRunFacts) -> String {
    match (next.next_dagrun, next.create_after) {
        (Some(date), Some(after)) => format!("the run of {}, after {}", date_of(date), date_of(after)),
        _ => "no run".to_owned(),
    }
}

fn date_of(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

fn difference(
    dag_id: &DagId,
    run: Option<&MadeRun>,
    kind: Kind,
    (ours, theirs): (String, String),
    at: DateTime<Utc>,
) -> Difference {
    let why = match kind {
        Kind::Late | Kind::Otherwise => "the Dag is due",
        Kind::Unforeseen => "the Dag announced no such run",
    };
    Difference {
        at,
        kind,
        dag_id: dag_id.to_string(),
        run_id: run.map(|run| run.run_id.to_string()),
        task_id: None,
        map_index: None,
        ours,
        theirs,
        why: why.to_owned(),
    }
}
