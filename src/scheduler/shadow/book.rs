//! What is known of one run: its rows as of the last look, what we foresaw, and what we cannot explain yet.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use slipstream_core::ids::{DagId, RunId, TaskId};
use slipstream_core::run::TiFacts;
use slipstream_core::state::RunState;

use super::difference::{Difference, Kind, Summary};
use super::plan::{Act, Planned, Plans, Turn, What, task};
use super::step::{Deed, Row, Step, run_step, step};

/// The rows of a run, by name.
pub(super) type Rows = BTreeMap<What, TiFacts>;

/// Task instances by name.
pub(super) fn rows(tis: &[TiFacts]) -> Rows {
    tis.iter().map(|ti| (What::Ti(ti.task_id.clone(), ti.map_index), ti.clone())).collect()
}

#[derive(Clone, Copy, Debug)]
struct Foreseen {
    planned: Planned,
    /// Since when the other scheduler could have done it.
    since: Option<DateTime<Utc>>,
    told: Told,
}

/// Whether a difference has been reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Yes,
    No,
}

/// What was done, and what we would have done instead.
type Deeds = BTreeMap<What, (Deed, Option<Planned>)>;

/// What the other scheduler did to one task of the run, or to the run, and we did not foresee.
#[derive(Debug)]
pub(super) struct Move {
    /// The task; `None` for the run itself.
    pub(super) task: Option<TaskId>,
    seen: DateTime<Utc>,
    /// When the rows were still as they were before.
    pub(super) before_at: DateTime<Utc>,
    /// The rows of the task before.
    before: Rows,
    deeds: Deeds,
}

impl Move {
    /// The run's rows as they are, except that these did not move.
    pub(super) fn undone(&self, now: &Rows) -> Vec<TiFacts> {
        let unmoved = now.iter().filter(|(what, _)| !self.deeds.contains_key(what));
        let moved = self.before.iter().filter(|(what, _)| self.deeds.contains_key(what));
        unmoved.chain(moved).map(|(_, ti)| ti.clone()).collect()
    }

    /// Whether one of the deeds is of this kind.
    pub(super) fn has(&self, kind: impl Fn(Deed) -> bool) -> bool {
        self.deeds.values().any(|(deed, _)| kind(*deed))
    }
}

/// One run.
#[derive(Debug)]
pub(super) struct RunBook {
    dag_id: DagId,
    run_id: RunId,
    state: RunState,
    rows: Rows,
    looked_at: DateTime<Utc>,
    foreseen: BTreeMap<What, Foreseen>,
    moves: Vec<Move>,
    /// A person changed it; until then it is only followed.
    quiet_until: Option<DateTime<Utc>>,
}

impl RunBook {
    /// A run that is as it is.
    pub(super) fn found(
        dag_id: DagId,
        run_id: RunId,
        state: RunState,
        rows: Rows,
        at: DateTime<Utc>,
    ) -> Self {
        let (foreseen, moves) = (BTreeMap::new(), Vec::new());
        Self { dag_id, run_id, state, rows, looked_at: at, foreseen, moves, quiet_until: None }
    }

    /// A run that was made since the last look: it was queued, and nothing had happened to its task instances.
    pub(super) fn made(dag_id: DagId, run_id: RunId, mut rows: Rows, at: DateTime<Utc>) -> Self {
        for ti in rows.values_mut() {
            ti.state = None;
            ti.try_number = 0;
            ti.start_date = None;
            ti.end_date = None;
        }
        Self::found(dag_id, run_id, RunState::Queued, rows, at)
    }

    pub(super) fn dag_id(&self) -> &DagId {
        &self.dag_id
    }

    pub(super) fn run_id(&self) -> &RunId {
        &self.run_id
    }

    pub(super) fn state(&self) -> RunState {
        self.state
    }

    /// Whether something waits to be settled.
    pub(super) fn is_open(&self) -> bool {
        !self.moves.is_empty() || !self.foreseen.is_empty()
    }

    /// How much that is.
    pub(super) fn open(&self) -> u64 {
        let moves: usize = self.moves.iter().map(|one| one.deeds.len()).sum();
        let foreseen =
            self.foreseen.values().filter(|one| one.planned.turn == Turn::Now && one.told == Told::No);
        (moves + foreseen.count()) as u64
    }

    /// A person changed it: what was foreseen is void, and until then nothing is compared.
    pub(super) fn touch(&mut self, until: DateTime<Utc>, summary: &mut Summary) {
        summary.withdrawn += self.foreseen.len() as u64;
        summary.not_compared += self.moves.len() as u64;
        self.foreseen.clear();
        self.moves.clear();
        self.quiet_until = Some(until);
    }

    /// Compares what has happened with what we foresaw. What we did not foresee becomes a [`Move`].
    pub(super) fn compare(
        &mut self,
        state: RunState,
        rows: &Rows,
        now: DateTime<Utc>,
        summary: &mut Summary,
    ) {
        if self.quiet_until.is_some_and(|until| now < until) {
            self.state = state;
            self.rows = rows.clone();
            self.looked_at = now;
            return;
        }
        self.quiet_until = None;
        let mut found: BTreeMap<Option<TaskId>, Deeds> = BTreeMap::new();
        let mut note =
            |what: &What, deed: Deed, foreseen: Option<Foreseen>, summary: &mut Summary| match foreseen {
                Some(ours) if ours.planned.act.admits(deed) => summary.agreed += 1,
                ours => {
                    let of_task = found.entry(task(what).cloned()).or_default();
                    of_task.insert(what.clone(), (deed, ours.map(|ours| ours.planned)));
                }
            };
        let names: BTreeSet<&What> = self.rows.keys().chain(rows.keys()).collect();
        for what in names {
            match step(self.rows.get(what).map(Row::from), rows.get(what).map(Row::from)) {
                Step::Same => {}
                Step::Elsewhere => summary.withdrawn += u64::from(self.foreseen.remove(what).is_some()),
                Step::Scheduler(deed) => note(what, deed, self.foreseen.remove(what), summary),
            }
        }
        for deed in run_step(self.state, state) {
            match self.foreseen.remove(&What::Run) {
                Some(ours) if ours.planned.act.admits(deed) => summary.agreed += 1,
                ours => {
                    let deeds = BTreeMap::from([(What::Run, (deed, ours.map(|ours| ours.planned)))]);
                    let before = Rows::new();
                    self.moves.push(Move { task: None, seen: now, before_at: self.looked_at, before, deeds });
                }
            }
        }
        for (task, deeds) in found {
            let before = self.rows.iter().filter(|(what, _)| deeds.contains_key(what));
            let before = before.map(|(what, ti)| (what.clone(), ti.clone())).collect();
            self.moves.push(Move { task, seen: now, before_at: self.looked_at, before, deeds });
        }
        self.state = state;
        self.rows = rows.clone();
        self.looked_at = now;
    }

    /// Takes what we foresee now. What we foresaw and do not any more is withdrawn.
    pub(super) fn expect(&mut self, plans: &Plans, now: DateTime<Utc>, summary: &mut Summary) {
        let mut before = std::mem::take(&mut self.foreseen);
        for (what, planned) in plans {
            let old = before.remove(what).filter(|old| old.planned.act == planned.act);
            let since = match planned.turn {
                Turn::Now => old.and_then(|old| old.since).or(Some(now)),
                Turn::Later => None,
            };
            let told = old.map_or(Told::No, |old| old.told);
            self.foreseen.insert(what.clone(), Foreseen { planned: *planned, since, told });
        }
        let countable = |one: &&Foreseen| one.planned.turn == Turn::Now && one.told == Told::No;
        summary.withdrawn += before.values().filter(countable).count() as u64;
    }

    /// What is not explained yet.
    pub(super) fn moves(&self) -> &[Move] {
        &self.moves
    }

    /// Explains what follows from these plans, which were made as if the `at`th move had not happened.
    pub(super) fn explain(&mut self, at: usize, plans: &Plans, summary: &mut Summary) {
        let Some(one) = self.moves.get_mut(at) else { return };
        let before = one.deeds.len();
        one.deeds.retain(|what, (deed, _)| !plans.get(what).is_some_and(|ours| ours.act.admits(*deed)));
        summary.agreed += (before - one.deeds.len()) as u64;
    }

    /// Takes deeds of the `at`th move that are not the scheduler's.
    pub(super) fn excuse(&mut self, at: usize, excused: impl Fn(Deed) -> bool, summary: &mut Summary) {
        let Some(one) = self.moves.get_mut(at) else { return };
        let before = one.deeds.len();
        one.deeds.retain(|_, (deed, _)| !excused(*deed));
        summary.not_compared += (before - one.deeds.len()) as u64;
    }

    /// What is not settled within the window, each once.
    pub(super) fn overdue(&mut self, window: TimeDelta, now: DateTime<Utc>) -> Vec<Difference> {
        self.moves.retain(|one| !one.deeds.is_empty());
        let mut found = Vec::new();
        let (late, rest) = std::mem::take(&mut self.moves).into_iter().partition::<Vec<_>, _>(|one| {
            now - one.seen >= window || one.has(|deed| deed == Deed::RunStarted)
        });
        self.moves = rest;
        for (what, (deed, ours)) in late.into_iter().flat_map(|one| one.deeds) {
            let kind = if ours.is_some() { Kind::Otherwise } else { Kind::Unforeseen };
            let why = match (deed, ours) {
                (_, Some(ours)) => ours.why,
                (Deed::RunStarted, None) => "as many runs of its Dag as may run are running",
                (_, None) => "nothing that we know leads to it",
            };
            let ours = ours.map_or_else(|| "leave it as it was".to_owned(), |ours| ours.act.to_string());
            found.push(self.difference(&what, kind, ours, deed.to_string(), why.to_owned(), now));
        }
        let mut late = Vec::new();
        for (what, foreseen) in &mut self.foreseen {
            if foreseen.told == Told::No && foreseen.since.is_some_and(|since| now - since >= window) {
                foreseen.told = Told::Yes;
                late.push((what.clone(), foreseen.planned));
            }
        }
        for (what, planned) in late {
            let still = self.still(&what, planned.act, window);
            let (ours, why) = (planned.act.to_string(), planned.why.to_owned());
            found.push(self.difference(&what, Kind::Late, ours, still, why, now));
        }
        found
    }

    fn still(&self, what: &What, act: Act, window: TimeDelta) -> String {
        let state = match (what, act) {
            (What::Run, _) => self.state.to_string(),
            (what, _) => self.rows.get(what).map_or_else(
                || "not there".to_owned(),
                |ti| ti.state.map_or_else(|| "none".to_owned(), |state| state.to_string()),
            ),
        };
        format!("nothing within {} s; it is {state}", window.num_seconds())
    }

    fn difference(
        &self,
        what: &What,
        kind: Kind,
        ours: String,
        theirs: String,
        why: String,
        at: DateTime<Utc>,
    ) -> Difference {
        let (task_id, map_index) = match what {
            What::Run => (None, None),
            What::Ti(task, index) => (Some(task.to_string()), Some(index.0)),
        };
        let (dag_id, run_id) = (self.dag_id.to_string(), Some(self.run_id.to_string()));
        Difference { at, kind, dag_id, run_id, task_id, map_index, ours, theirs, why }
    }
}
