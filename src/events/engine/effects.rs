//! What firings do: runs, ends of runs, commands to tasks; written in the transaction of the firing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use slipstream_core::event::{Action, Event, Mark, Position, Scope, WhileActive};
use slipstream_core::ids::{DagId, TaskId};
use uuid::Uuid;

use super::batch::Care;
use super::catalog::{Armed, Catalog};
use super::new_run::{self, Plan};
use super::savepoint;
use crate::store::create_run::{self, Creation, RunOptions, RunRequest};
use crate::store::dag_bag::{DagBag, Dags};
use crate::store::events as log;
use crate::store::runs::active::recompute_exceeds_of;
use crate::store::triggers::active_runs::{self, ActiveRun};
use crate::store::triggers::commands::{self, NewCommand};
use crate::store::triggers::firings::{self, Firing, Status};
use crate::store::triggers::stop_runs::{self, WhichRuns};
use crate::store::triggers::{dags, progress};
use crate::store::{StoreError, Tx};

/// What the scheduler's loop should look at after the commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hints {
    /// Runs were made or ended.
    pub(super) runs: Notice,
    /// Tasks were commanded.
    pub(super) commands: Notice,
    /// Firings wait for their lane.
    pub(super) waiting: Notice,
}

/// Whether there is anything to tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Notice {
    /// Nothing.
    #[default]
    None,
    /// Something.
    Some,
}

/// Whether a firing counts against its trigger's `at_most`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counts {
    /// It does.
    Yes,
    /// It was skipped: nothing came of it.
    No,
}

/// The effects of one transaction.
pub(super) struct Effects<'a> {
    tx: &'a Tx,
    bag: &'a DagBag,
    options: &'a RunOptions,
    catalog: &'a Catalog,
    care: Care,
    now: DateTime<Utc>,
    /// Events that are at hand.
    events: HashMap<Position, Event>,
    /// Firings to be written.
    firings: Vec<Firing>,
    commands: Vec<NewCommand>,
    /// Runs that are made together at the end.
    runs: Vec<(Firing, Armed)>,
    hints: Hints,
}

impl<'a> Effects<'a> {
    pub(super) fn new(
        tx: &'a Tx,
        bag: &'a DagBag,
        options: &'a RunOptions,
        catalog: &'a Catalog,
        care: Care,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            tx,
            bag,
            options,
            catalog,
            care,
            now,
            events: HashMap::new(),
            firings: Vec::new(),
            commands: Vec::new(),
            runs: Vec::new(),
            hints: Hints::default(),
        }
    }

    /// Events that need not be read again.
    pub(super) fn know(&mut self, events: &[Event]) {
        self.events.extend(events.iter().map(|event| (event.position, event.clone())));
    }

    /// A trigger fires at `position`, having consumed `events`; returns whether that counts against its `at_most`.
    ///
    /// # Errors
    /// As any statement.
    pub(super) async fn fire(
        &mut self,
        armed: &Armed,
        key: &progress::Key,
        run: Option<&ActiveRun>,
        position: Position,
        events: Vec<Position>,
    ) -> Result<Counts, StoreError> {
        let firing = Firing {
            id: Uuid::now_v7(),
            key: key.clone(),
            dag_id: armed.row.dag_id.clone(),
            task_id: armed.row.task_id.clone(),
            position,
            events,
            action: action_name(&armed.spec.action).to_owned(),
            status: Status::Done,
            reason: None,
            result_run_id: None,
            lane: None,
            fired_at: self.now,
        };
        tracing::debug!(trigger = %armed.row.name, %position, run_id = key.run_id, "the trigger fires");
        match (&armed.spec.action, run, &armed.row.task_id) {
            (Action::NewRun(_), _, _) => self.new_run(firing, armed).await,
            (Action::StopRuns { mark }, _, _) => {
                let which = self.run_of(&firing).await?;
                self.stop_runs(firing, &which, *mark).await
            }
            (Action::StopRun { mark }, Some(run), _) => {
                self.stop_runs(firing, &WhichRuns::One(run.run_id.clone()), *mark).await
            }
            (_, Some(run), Some(task_id)) => {
                self.command(firing, armed, run, task_id);
                Ok(Counts::Yes)
            }
            // An action inside a run, and no run: the trigger was put on the wrong thing.
            _ => {
                let reason = "the action is one on a task, and the trigger is not on a task".to_owned();
                self.firings.push(Firing { status: Status::Failed, reason: Some(reason), ..firing });
                Ok(Counts::Yes)
            }
        }
    }

    /// Makes a run now, at the end with others, or when its lane is free.
    async fn new_run(&mut self, firing: Firing, armed: &Armed) -> Result<Counts, StoreError> {
        let Action::NewRun(action) = &armed.spec.action else { return Ok(Counts::Yes) };
        let serial = action.while_active != WhileActive::Run;
        // What becomes of a firing that counts must be known before the next event.
        if !serial && self.care == Care::Together && armed.spec.at_most.is_none() {
            self.runs.push((firing, armed.clone()));
            return Ok(Counts::Yes);
        }
        if !serial {
            return self.make_run(firing, armed, Recorded::No).await;
        }
        self.read_events(&firing.events).await?;
        let lane = new_run::lane(armed, action, &self.told(&firing.events));
        let firing = Firing { lane: Some(lane.clone()), ..firing };
        let blocking = active_runs::blocking(self.tx, &firing.dag_id, &lane).await?;
        let waiting = firings::is_waiting(self.tx, &firing.dag_id, &lane).await?;
        match (action.while_active, blocking) {
            (_, None) if !waiting => self.make_run(firing, armed, Recorded::No).await,
            (WhileActive::Skip, blocking) => {
                let by = blocking
                    .map_or("another firing waits".to_owned(), |run| format!("the run {run} is active"));
                let firing = Firing { status: Status::Skipped, reason: Some(by), ..firing };
                firings::insert(self.tx, &[firing], self.now).await?;
                Ok(Counts::No)
            }
            (_, blocking) => {
                let by = blocking.map_or("earlier firings".to_owned(), |run| format!("the run {run}"));
                let reason = Some(format!("waits for {by}"));
                self.hints.waiting = Notice::Some;
                let firing = Firing { status: Status::Pending, reason, ..firing };
                firings::insert(self.tx, &[firing], self.now).await?;
                Ok(Counts::Yes)
            }
        }
    }

    /// Makes the run of a firing that has waited, and settles the firing.
    ///
    /// # Errors
    /// As any statement.
    pub(super) async fn resume(&mut self, firing: Firing, armed: &Armed) -> Result<(), StoreError> {
        self.make_run(firing, armed, Recorded::Yes).await.map(drop)
    }

    async fn make_run(
        &mut self,
        firing: Firing,
        armed: &Armed,
        recorded: Recorded,
    ) -> Result<Counts, StoreError> {
        self.hints.runs = Notice::Some;
        let undo = savepoint::begin(self.tx, self.care).await?;
        let made = match self.make_runs(&[(firing.clone(), armed.clone())]).await {
            Err(error) if self.care == Care::Apart && !error.is_transient() => {
                undo.roll_back(self.tx).await?;
                let reason = Some(format!("the run cannot be made: {error}"));
                vec![Firing { status: Status::Failed, reason, ..firing }]
            }
            made => {
                undo.release(self.tx).await?;
                made?
            }
        };
        match recorded {
            Recorded::No => firings::insert(self.tx, &made, self.now).await?,
            Recorded::Yes => {
                for firing in &made {
                    firings::settle(self.tx, firing, self.now).await?;
                }
            }
        }
        let skipped = made.iter().all(|firing| firing.status == Status::Skipped);
        Ok(if skipped { Counts::No } else { Counts::Yes })
    }

    /// Makes runs in a few statements; returns the firings with what became of them.
    async fn make_runs(&mut self, wanted: &[(Firing, Armed)]) -> Result<Vec<Firing>, StoreError> {
        let positions: Vec<Position> = wanted.iter().flat_map(|(firing, _)| firing.events.clone()).collect();
        self.read_events(&positions).await?;
        let dags = self.dags(wanted.iter().map(|(firing, _)| &firing.dag_id)).await?;
        let mut done: Vec<Firing> = Vec::with_capacity(wanted.len());
        let mut requests = Vec::new();
        let mut notes = Vec::new();
        for (firing, armed) in wanted {
            let told = self.told(&firing.events);
            let plan = match dags.get(&firing.dag_id) {
                Some(dag) => new_run::plan(firing, armed, &told, dag, self.options, self.now),
                None => Err("the Dag is not serialised, or cannot be understood".to_owned()),
            };
            match (plan, dags.get(&firing.dag_id)) {
                (Ok(Plan { run, note }), Some(dag)) => {
                    requests.push(RunRequest { run, dag: dag.clone() });
                    notes.push((done.len(), note));
                    done.push(firing.clone());
                }
                (Err(reason), _) => {
                    tracing::error!(trigger = %armed.row.name, position = %firing.position, "no run is made: {reason}");
                    done.push(Firing { status: Status::Failed, reason: Some(reason), ..firing.clone() });
                }
                (Ok(_), None) => {}
            }
        }
        let run_ids: Vec<_> = requests.iter().map(|request| request.run.run_id.clone()).collect();
        let made = create_run::create(self.tx, requests, self.options, self.now).await?;
        let mut noted = Vec::new();
        let mut begun = Vec::new();
        let mut full = BTreeSet::new();
        for ((creation, (at, note)), run_id) in made.into_iter().zip(notes).zip(run_ids) {
            let firing = &mut done[at];
            match creation {
                Creation::Created(run) => {
                    noted.push((run.id, note));
                    full.insert(firing.dag_id.clone());
                    if self.catalog.task_dags().contains(&firing.dag_id) {
                        begun.push((firing.dag_id.clone(), run_id.clone(), firing.position));
                    }
                    firing.status = Status::Done;
                    firing.result_run_id = Some(run_id);
                    firing.reason = None;
                }
                Creation::Exists => {
                    firing.status = Status::Skipped;
                    firing.reason = Some("another run has this logical date".to_owned());
                    tracing::warn!(dag_id = %firing.dag_id, position = %firing.position, "no run is made: another has its logical date");
                }
                Creation::Refused(why) => {
                    firing.status = Status::Failed;
                    firing.reason = Some(why.to_string());
                    tracing::error!(dag_id = %firing.dag_id, position = %firing.position, "no run is made: {why}");
                }
            }
        }
        dags::notes(self.tx, &noted, self.now).await?;
        // A run sees the events after the one that made it.
        active_runs::settle_from(self.tx, &begun).await?;
        if !full.is_empty() {
            recompute_exceeds_of(self.tx, &full).await?;
        }
        Ok(done)
    }

    /// Which runs of its Dag a firing is about: an event of one of them is about no other.
    async fn run_of(&mut self, firing: &Firing) -> Result<WhichRuns, StoreError> {
        self.read_events(&[firing.position]).await?;
        Ok(match self.events.get(&firing.position).map(|event| &event.scope) {
            Some(Scope::Run { dag_id, run_id }) if *dag_id == firing.dag_id => WhichRuns::One(run_id.clone()),
            _ => WhichRuns::All,
        })
    }

    async fn stop_runs(
        &mut self,
        firing: Firing,
        which: &WhichRuns,
        mark: Mark,
    ) -> Result<Counts, StoreError> {
        let dags = self.dags([&firing.dag_id]).await?;
        let teardowns: BTreeSet<TaskId> = dags
            .get(&firing.dag_id)
            .iter()
            .flat_map(|dag| dag.dag.iter())
            .filter(|(_, task)| task.traits.is_teardown)
            .map(|(_, task)| task.task_id.clone())
            .collect();
        // Those that this transaction makes come later.
        self.flush_runs().await?;
        let ended =
            stop_runs::stop(self.tx, &firing.dag_id, which, mark.as_str(), &teardowns, self.now).await?;
        recompute_exceeds_of(self.tx, [&firing.dag_id]).await?;
        self.hints.runs = Notice::Some;
        let names: Vec<&str> = ended.iter().map(|run| run.as_str()).collect();
        let (status, reason) = match names.as_slice() {
            [] => match which {
                WhichRuns::All => (Status::Skipped, "no run is active".to_owned()),
                WhichRuns::One(run) => (Status::Skipped, format!("the run {run} is not active")),
            },
            names => (Status::Done, format!("ended as {}: {}", mark.as_str(), names.join(", "))),
        };
        self.firings.push(Firing { status, reason: Some(reason), ..firing });
        Ok(if status == Status::Skipped { Counts::No } else { Counts::Yes })
    }

    fn command(&mut self, firing: Firing, armed: &Armed, run: &ActiveRun, task_id: &TaskId) {
        let action = match armed.spec.action {
            Action::Start { .. } => commands::Action::Start,
            Action::Stop { .. } => commands::Action::Stop,
            Action::Restart { .. } => commands::Action::Restart,
            Action::NewRun(_) | Action::StopRuns { .. } | Action::StopRun { .. } => return,
        };
        self.commands.push(NewCommand {
            firing_id: firing.id,
            dag_id: run.dag_id.clone(),
            run_id: run.run_id.clone(),
            task_id: task_id.clone(),
            action,
            options: armed.json.get("do").cloned().unwrap_or_default(),
        });
        self.hints.commands = Notice::Some;
        self.firings.push(firing);
    }

    async fn flush_runs(&mut self) -> Result<(), StoreError> {
        let wanted = std::mem::take(&mut self.runs);
        if wanted.is_empty() {
            return Ok(());
        }
        self.hints.runs = Notice::Some;
        let done = self.make_runs(&wanted).await?;
        self.firings.extend(done);
        Ok(())
    }

    /// Writes what is still to be written.
    ///
    /// # Errors
    /// As any statement.
    pub(super) async fn finish(mut self) -> Result<Hints, StoreError> {
        self.flush_runs().await?;
        firings::insert(self.tx, &self.firings, self.now).await?;
        commands::insert(self.tx, &self.commands, self.now).await?;
        Ok(self.hints)
    }

    async fn dags<'d>(&self, dag_ids: impl IntoIterator<Item = &'d DagId>) -> Result<Dags, StoreError> {
        self.bag.latest(self.tx, &dag_ids.into_iter().cloned().collect()).await
    }

    async fn read_events(&mut self, positions: &[Position]) -> Result<(), StoreError> {
        let missing: BTreeSet<Position> =
            positions.iter().copied().filter(|position| !self.events.contains_key(position)).collect();
        if !missing.is_empty() {
            let read = log::at(self.tx, &missing).await?;
            self.know(&read);
        }
        Ok(())
    }

    /// Those of these events that are still in the log.
    fn told(&self, positions: &[Position]) -> Vec<&Event> {
        let told: BTreeMap<Position, &Event> = positions
            .iter()
            .filter_map(|position| self.events.get(position).map(|event| (*position, event)))
            .collect();
        told.into_values().collect()
    }
}

/// Whether the firing has a row already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recorded {
    No,
    Yes,
}

/// An action as it is written in a trigger's `do`.
pub(super) fn action_name(action: &Action) -> &'static str {
    match action {
        Action::NewRun(_) => "run",
        Action::StopRuns { .. } => "stop_runs",
        Action::StopRun { .. } => "stop_run",
        Action::Start { .. } => "start",
        Action::Stop { .. } => "stop",
        Action::Restart { .. } => "restart",
    }
}
