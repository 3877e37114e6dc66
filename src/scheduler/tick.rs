//! One round of the loop, and the loop.
//!
//! The order of steps is Airflow's: make runs that are due, start queued runs, examine running runs, queue what is ready,
//! read what executors report, then the periodic duties. Each step is one short transaction of its own, so that a failure in
//! one leaves the others done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use slipstream_core::executor::ExecutorIndex;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::agenda::{Agenda, RunKey};
use super::create_runs::{BATCH, CreateOptions, CustomAnswers};
use super::custom_timetables::CustomTimetables;
use super::debug::{Progress, Question};
use super::duties::metrics::TiGauges;
use super::duties_due::DutyOptions;
use super::event_tasks::EventMemory;
use super::executor_events::Told;
use super::launched::Launched;
use super::listeners::{Lifecycle, Listeners};
use super::look_around::{Clocks, later};
use super::looking_back::LookingBack;
use super::options::{End, Options, Round};
use super::preparing::Preparing;
use super::resting::Resting;
use super::timers::{Duty, Timers};
use super::users_python::UsersPython;
use crate::config::{Config, keys};
use crate::executor::{
    Attached, Executor, ExecutorEvent, Executors, LogTemplate, LogTemplateError, Report, Reports, WorkEvent,
};
use crate::runtime::{EventWake, Shutdown};
use crate::store::create_run::RunOptions;
use crate::store::dag_bag::DagBag;
use crate::store::fernet::{FernetKeyError, FernetKeys};
use crate::store::job::{self, Beat, JobEnd, JobId};
use crate::store::runs::run_id::{DoubleDot, RunIdRules};
use crate::store::secrets::{CipherError, Sources};
use crate::store::watch::Seen;
use crate::store::{Db, StoreError};
use crate::telemetry::metrics;

/// Why a scheduler could not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// The metadata database failed at a moment when the scheduler cannot go on without it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The template of log file names is not understood.
    #[error(transparent)]
    LogTemplate(#[from] LogTemplateError),
    /// The encryption key cannot be used.
    #[error(transparent)]
    FernetKey(#[from] FernetKeyError),
    /// An encryption key of secrets cannot be used.
    #[error(transparent)]
    Cipher(#[from] CipherError),
    /// The pattern of run ids is not a regular expression.
    #[error("[scheduler] allowed_run_id_pattern is not a regular expression: {0}")]
    RunIdPattern(String),
}

/// What a scheduler works with besides the database.
#[derive(Debug)]
pub struct Links {
    /// Where task instances go.
    pub executors: Executors,
    /// What they report.
    pub reports: Reports,
    /// What only Python can decide.
    pub python: UsersPython,
    /// Woken by the event engine; `None`: there is none, and no table of events is read.
    pub events: Option<EventWake>,
    /// Where the loop notes how it goes.
    pub progress: Progress,
}

/// A scheduler with its job row.
#[derive(Debug)]
pub struct Scheduler {
    pub(super) db: Db,
    pub(super) bag: DagBag,
    pub(super) options: Options,
    pub(super) executors: Executors,
    pub(super) listeners: Listeners,
    pub(super) preparing: Preparing,
    pub(super) policy: Policy,
    pub(super) job: JobId,
    pub(super) agenda: Agenda,
    pub(super) seen: Seen,
    pub(super) looking_back: LookingBack,
    pub(super) launched: Launched,
    pub(super) resting: Resting,
    /// The last pass over running runs ended when their Dags had been read.
    pub(super) only_read: bool,
    pub(super) create: CreateOptions,
    pub(super) answers: CustomAnswers,
    pub(super) fernet: FernetKeys,
    pub(super) duty_options: DutyOptions,
    pub(super) unixname: String,
    pub(super) logs: LogTemplate,
    reports: Reports,
    /// The event engine's hints, if there is one.
    pub(super) events: Option<EventWake>,
    pub(super) event_memory: EventMemory,
    pub(super) ended: Vec<Told>,
    /// What could not be processed because another transaction held the row; tried again at the next poll.
    pub(super) put_off: Vec<Told>,
    pub(super) timers: Timers,
    pub(super) clocks: Clocks,
    pub(super) custom: CustomTimetables,
    /// Told when Python has answered.
    wake: Arc<Notify>,
    pub(super) ti_gauges: TiGauges,
    pub(super) round: Round,
    pub(super) progress: Progress,
    /// How long this round has dealt with the local executor.
    pub(super) with_executor: Duration,
    /// Who asks for the state of the loop sends a question here.
    pub(super) ask: UnboundedSender<Question>,
    pub(super) questions: UnboundedReceiver<Question>,
}

/// Whether a cluster policy changes new task instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// None does.
    None,
    /// One does.
    Exists,
}

impl Scheduler {
    /// Writes the job row. What a predecessor left behind is adopted as soon as the worker says what it holds.
    ///
    /// # Errors
    /// When the database cannot be written, or an option cannot be used.
    pub async fn start(
        db: Db,
        config: &Config,
        end: End,
        links: Links,
        hostname: &str,
    ) -> Result<Self, SchedulerError> {
        let now = Utc::now();
        let Links { executors, reports, python, events, progress } = links;
        let options = Options { end, ..Options::from_config(config) };
        let logs = LogTemplate::parse(&options.log_template)?;
        let fernet = FernetKeys::parse(&config.get(&keys::core::FERNET_KEY))?;
        let unixname = crate::runtime::unix_user();
        let runs = run_options(config)?;
        let job = job::start(&db, job::JobType::Scheduler, hostname, now).await?;
        progress.of(job);
        executors.begin(job.0);
        let wake = Arc::new(Notify::new());
        let (ask, questions) = unbounded_channel();
        metrics::incr("job_start", &[]);
        let listeners = Listeners::new(python.service.clone(), python.wishes);
        listeners.lifecycle(Lifecycle::Starting, job);
        if let Some(events) = &events {
            events.triggers();
        }
        let batch = config.get(&keys::scheduler::MAX_DAGRUNS_TO_CREATE_PER_LOOP).max(BATCH);
        let create = CreateOptions { runs, job_id: job.0, batch, start: batch };
        let mut timers = Timers::new(options.duties.armed(), now);
        timers.hasten(Duty::Orphans, now + ATTACH_LIMIT);
        Ok(Self {
            db,
            bag: DagBag::of_scheduler(),
            timers,
            options,
            executors,
            custom: CustomTimetables::new(python.service.clone(), wake.clone()),
            preparing: Preparing::new(python.service.clone(), wake.clone()),
            policy: if python.wishes.policy { Policy::Exists } else { Policy::None },
            listeners,
            wake,
            job,
            agenda: Agenda::default(),
            seen: Seen::default(),
            looking_back: LookingBack::default(),
            launched: Launched::default(),
            resting: Resting::default(),
            only_read: false,
            create,
            answers: CustomAnswers::new(),
            fernet,
            duty_options: DutyOptions::from_config(config),
            unixname,
            logs,
            reports,
            events,
            event_memory: EventMemory::default(),
            ended: Vec::new(),
            put_off: Vec::new(),
            clocks: Clocks::new(now),
            ti_gauges: TiGauges::default(),
            round: Round::Idle,
            progress,
            with_executor: Duration::ZERO,
            ask,
            questions,
        })
    }

    /// Goes on until told to stop, or until `--num-runs` loops are done. An error of the database is logged and the loop
    /// goes on after a growing pause.
    ///
    /// # Errors
    /// When the job row cannot be closed.
    pub async fn run(mut self, mut shutdown: Shutdown) -> Result<(), SchedulerError> {
        tracing::info!(job_id = self.job.0, "Starting the scheduler");
        let mut pause = Duration::from_millis(100);
        let mut loops = 0;
        while !shutdown.is_asked() {
            let began = Instant::now();
            // A database that does not answer must not keep the scheduler from ending. What is cut off is rolled back.
            let round = tokio::select! {
                round = self.tick(Utc::now()) => round,
                () = asked_for(&shutdown, LAST_ROUND) => {
                    tracing::warn!("the last round was cut off: the metadata database takes too long to answer");
                    break;
                }
            };
            match round {
                Ok(()) => pause = Duration::from_millis(100),
                Err(error) => {
                    tracing::error!(%error, "a step of the loop failed, it is tried again in {} ms", pause.as_millis());
                    tokio::select! { () = tokio::time::sleep(pause) => {}, () = shutdown.asked() => {} }
                    pause = (pause * 2).min(Duration::from_secs(10));
                }
            }
            let took = began.elapsed();
            metrics::timing("scheduler.scheduler_loop_duration", took, &[]);
            self.progress.round(took);
            self.answer_questions();
            self.measure_executor();
            loops = self.options.end.count(loops, std::mem::replace(&mut self.round, Round::Idle));
            if self.options.end.is_reached(loops) {
                break;
            }
            self.wait(&mut shutdown).await;
        }
        tracing::info!("Exited execute loop");
        if tokio::time::timeout(LAST_ROUND, self.executors.handed_over()).await.is_err() {
            tracing::warn!("the executors have not confirmed all work; what they have not got starts afresh");
        }
        self.executors.end(EXECUTORS_END).await;
        self.listeners.lifecycle(Lifecycle::Stopping, self.job);
        self.listeners.finish().await;
        metrics::incr("job_end", &[]);
        let complete = job::complete(&self.db, self.job, JobEnd::Success, Utc::now());
        match tokio::time::timeout(LAST_ROUND, complete).await {
            Ok(done) => Ok(done?),
            // Without a heartbeat the others will find out.
            Err(_) => Err(StoreError::Unreachable(
                "the end of the scheduler's job was not written in time".to_owned(),
            )
            .into()),
        }
    }

    /// Sleeps until an event, the next poll, or the next moment that something is due.
    async fn wait(&mut self, shutdown: &mut Shutdown) {
        self.drain();
        if self.agenda.has_work() || !self.ended.is_empty() {
            return;
        }
        let until = self.wake_at(Utc::now());
        self.progress.at("wait");
        tokio::select! {
            report = self.reports.recv() => if let Some((from, event)) = report { self.note(from, event) },
            () = tokio::time::sleep(until) => {}
            () = self.wake.notified() => self.agenda.create_runs |= self.custom.has_answers(),
            () = hinted(self.events.as_ref()) => {}
            question = self.questions.recv() => if let Some(question) = question { self.answer(question) },
            () = shutdown.asked() => {}
        }
    }

    /// Takes every event that has arrived.
    fn drain(&mut self) {
        let began = Instant::now();
        while let Ok((from, event)) = self.reports.try_recv() {
            self.note(from, event);
        }
        self.with_executor += began.elapsed();
    }

    /// What the event engine has done since the last round.
    fn take_hints(&mut self) {
        let Some(events) = &self.events else { return };
        self.agenda.start_runs |= events.take_runs();
        self.agenda.commands |= events.take_commands();
        self.agenda.triggers |= events.take_triggers();
    }

    fn note(&mut self, from: ExecutorIndex, event: ExecutorEvent) {
        // A worker that holds no task says nothing of what comes next.
        if !matches!(event, ExecutorEvent::Ready | ExecutorEvent::Attached(_)) {
            self.clocks.heard_of_tasks(Utc::now());
        }
        match event {
            ExecutorEvent::Changed { dag_id, run_id } => self.note_change((dag_id, run_id)),
            ExecutorEvent::Attached(attached) => self.attached(&attached),
            ExecutorEvent::Work(event) => self.note_work(from, event),
            ExecutorEvent::Ready => {
                self.agenda.enqueue = true;
                self.agenda.callbacks = true;
                self.timers.hasten(Duty::Orphans, Utc::now());
            }
        }
    }

    /// Something about a run changed.
    fn note_change(&mut self, key: RunKey) {
        self.look_back(&key.0, None);
        match self.resting.until(&key, Utc::now()) {
            Some((run, until)) => self.agenda.look_later(until, run),
            None => self.agenda.look_at_named(key.0, key.1),
        }
    }

    fn note_work(&mut self, from: ExecutorIndex, event: WorkEvent) {
        match &event {
            WorkEvent::TaskEnded { key, report, .. } => {
                // Of an end that is in the database we were told when it was written.
                if *report != Report::Settled {
                    self.agenda.look_at_named(key.dag_id.clone(), key.run_id.clone());
                }
                self.agenda.enqueue = true;
                // Of tasks that talk with the api-server, it tells the listeners.
                if matches!(self.executors.get(from), Some(Executor::Local(_))) {
                    self.listeners.task_ended(key);
                }
            }
            WorkEvent::CallbackEnded { .. } => self.agenda.callbacks = true,
            // Another may have waited for it.
            WorkEvent::ConnectionTested { .. } => self.agenda.connection_tests = true,
            WorkEvent::Placed { .. }
            | WorkEvent::Revoked { .. }
            | WorkEvent::NotAdopted { .. }
            | WorkEvent::CallbackStarted { .. } => {}
        }
        self.ended.push(Told { from, event });
    }

    /// A worker that holds work of a predecessor: adopt it now rather than at the next check.
    fn attached(&mut self, attached: &Attached) {
        tracing::info!(
            running = attached.running.len(),
            queued = attached.queued.len(),
            "attached to the worker"
        );
        self.agenda.enqueue = true;
        // What it told while nobody listened is lost.
        self.look_at_all_soon();
        self.timers.hasten(Duty::Orphans, Utc::now());
    }

    /// One round. Every step takes the time anew: what it reads may be younger than the round. A step that fails for a
    /// reason of its own does not keep the others from being done; it comes again when a poll finds its work.
    pub(super) async fn tick(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.mind_the_clock(now);
        self.progress.at("heartbeat");
        self.heartbeat(now).await;
        self.drain();
        self.take_hints();
        passing("learn teams", self.learn_teams(now).await)?;
        self.progress.at("poll");
        passing("poll", self.look_around(now).await)?;
        for run in self.preparing.collect() {
            self.agenda.look_at(run);
        }
        self.agenda.ripen(now);
        if self.agenda.create_runs {
            self.progress.at("create runs");
            passing("create runs", self.create_runs(Utc::now()).await)?;
        }
        if self.agenda.triggers {
            self.progress.at("learn triggers");
            passing("learn triggers", self.learn_triggers().await)?;
        }
        if self.agenda.commands {
            self.progress.at("find commands");
            passing("find commands", self.find_commands(Utc::now()).await)?;
        }
        if self.agenda.start_runs {
            self.progress.at("start runs");
            passing("start runs", self.start_runs(Utc::now()).await)?;
        }
        if self.agenda.has_runs() {
            self.progress.at("examine runs");
            passing("examine runs", self.examine_runs(Utc::now()).await)?;
        }
        if !self.ended.is_empty() {
            self.round = Round::Busy;
            self.progress.at("executor events");
            passing("executor events", self.process_all_ended(Utc::now()).await)?;
        }
        if self.agenda.enqueue {
            self.progress.at("queue task instances");
            passing("queue task instances", self.enqueue(Utc::now()).await)?;
        }
        if self.agenda.deadlines || self.agenda.callbacks {
            self.progress.at("deadlines and callbacks");
            passing("deadlines and callbacks", self.deadlines_and_callbacks(Utc::now()).await)?;
        }
        if self.agenda.connection_tests {
            self.progress.at("connection tests");
            passing("connection tests", self.hand_on_connection_tests(Utc::now()).await)?;
        }
        if let Some(duty) = self.timers.due(now) {
            self.progress.at(duty.name());
            self.duty(duty, now).await;
            self.timers.done(duty, Utc::now());
        }
        Ok(())
    }

    /// One round at the present moment.
    #[cfg(test)]
    pub(super) async fn tick_now(&mut self) -> Result<(), StoreError> {
        self.tick(Utc::now()).await
    }

    /// `perform_heartbeat`: only when the interval has passed; a failure is counted and never ends the scheduler.
    async fn heartbeat(&mut self, now: DateTime<Utc>) {
        if now < later(self.clocks.heartbeat, self.options.heartbeat) {
            return;
        }
        self.clocks.heartbeat = now;
        match job::heartbeat(&self.db, self.job, now).await {
            Ok(beat) => {
                metrics::incr("scheduler_heartbeat", &[]);
                if beat == Beat::Revived {
                    tracing::warn!(
                        "another scheduler held this one for dead, and may have started its tasks anew: one of the two \
                         was held up for longer than [scheduler] scheduler_health_check_threshold, or its clock is wrong"
                    );
                }
            }
            Err(error) => {
                metrics::incr("job_heartbeat_failure", &[]);
                tracing::warn!(%error, "the heartbeat could not be written");
            }
        }
    }
}

/// How long the round in which the scheduler is told to end may go on, and how long its job row may take to be closed.
const LAST_ROUND: Duration = Duration::from_secs(5);

/// How long hosted executors may take to end.
const EXECUTORS_END: Duration = Duration::from_secs(15);

/// Returns when the event engine has done something.
async fn hinted(events: Option<&EventWake>) {
    match events {
        Some(events) => events.notified().await,
        None => std::future::pending().await,
    }
}

/// Returns `limit` after the scheduler was told to end.
async fn asked_for(shutdown: &Shutdown, limit: Duration) {
    shutdown.asked().await;
    tokio::time::sleep(limit).await;
}

/// Lets pass only errors that every other step would meet as well: those of the connection.
fn passing(step: &'static str, done: Result<(), StoreError>) -> Result<(), StoreError> {
    match done {
        Err(error) if !error.is_transient() => {
            tracing::error!(step, %error, "a step of the loop failed; the other steps go on");
            Ok(())
        }
        other => other,
    }
}

/// How long the worker may take to say what it holds before orphans are looked for without it.
const ATTACH_LIMIT: TimeDelta = TimeDelta::seconds(15);

/// What the configuration says about new runs.
///
/// # Errors
/// The pattern of run ids is not a regular expression.
pub fn run_options(config: &Config) -> Result<RunOptions, SchedulerError> {
    Ok(RunOptions {
        run_ids: run_id_rules(config)?,
        unixname: crate::runtime::unix_user(),
        secrets: Sources::of_process(&config.get(&keys::core::FERNET_KEY))?,
    })
}

fn run_id_rules(config: &Config) -> Result<RunIdRules, SchedulerError> {
    let dots = match config.get(&keys::core::ALLOW_DOUBLE_DOT_IN_IDS) {
        true => DoubleDot::Allowed,
        false => DoubleDot::Refused,
    };
    let pattern = config.get(&keys::scheduler::ALLOWED_RUN_ID_PATTERN);
    RunIdRules::new(&pattern, dots).map_err(|error| SchedulerError::RunIdPattern(error.to_string()))
}
