//! The connection with an executor's process: hands over, listens, and replaces a process that is gone or hangs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use super::held::{Phase, Resend};
use super::message::{Event, Facts, HostedKey, Queued, Said};
use super::{HostOptions, Shared, launch};
use crate::executor::event::{ExecutorEvent, Report, WorkEvent};
use crate::python::{HostProcess, PythonError};

/// Before the first new attempt with a process that failed; doubled each time, up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A process that worked for so long before it failed is replaced after the first pause.
const STEADY: Duration = Duration::from_secs(120);
/// Until a request that failed is made again: the database may be away.
const AGAIN: Duration = Duration::from_secs(2);

/// What the scheduler asks of the link.
#[derive(Debug)]
pub(super) enum Command {
    /// Start the executor for this job.
    Begin(i64),
    /// There is something to be handed over.
    Work,
    /// Take a task instance back.
    Revoke {
        /// Which.
        ti_id: Uuid,
        /// Its key.
        key: HostedKey,
    },
    /// A try was given up.
    Fail {
        /// Which.
        key: HostedKey,
    },
    /// End.
    End(oneshot::Sender<()>),
}

/// What a request was.
#[derive(Debug)]
enum Asked {
    Start,
    Queue,
    Adopt,
    Revoke { ti_id: Uuid, key: HostedKey },
    Other(&'static str),
    End(oneshot::Sender<()>),
}

/// Why the talk with a process has ended.
enum End {
    /// The scheduler is done with the executor.
    Done,
    /// The process is gone, hangs, or cannot start the executor.
    Lost(String),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Link {
    options: HostOptions,
    facts: Facts,
    held: Shared,
    handed: Arc<Notify>,
    commands: mpsc::UnboundedReceiver<Command>,
    events: mpsc::UnboundedSender<ExecutorEvent>,
    job: Option<i64>,
    asked: HashMap<u64, Asked>,
    last_request: u64,
    again: Option<Instant>,
    in_trouble: bool,
}

impl Link {
    pub(super) fn new(
        options: HostOptions,
        facts: Facts,
        held: Shared,
        handed: Arc<Notify>,
        commands: mpsc::UnboundedReceiver<Command>,
        events: mpsc::UnboundedSender<ExecutorEvent>,
    ) -> Self {
        Self {
            options,
            facts,
            held,
            handed,
            commands,
            events,
            job: None,
            asked: HashMap::new(),
            last_request: 0,
            again: None,
            in_trouble: false,
        }
    }

    pub(super) async fn run(mut self, first: HostProcess<Said>) {
        let mut process = Some(first);
        let mut pause = PAUSE;
        loop {
            let started = Instant::now();
            let launched = match process.take() {
                Some(process) => Ok(process),
                None => launch(&self.options).await,
            };
            let why = match launched {
                Ok(mut process) => match self.talk(&mut process).await {
                    End::Done => {
                        process.kill().await;
                        return;
                    }
                    End::Lost(why) => {
                        process.kill().await;
                        why
                    }
                },
                Err(error) => error.to_string(),
            };
            self.lost();
            if started.elapsed() > STEADY {
                pause = PAUSE;
            }
            tracing::error!(
                executor = %self.options.name.shown(),
                "the executor's process was lost ({why}); a new one follows in {pause:?}, what it held is adopted then"
            );
            if self.rest(pause).await {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits; returns whether the scheduler is done meanwhile.
    async fn rest(&mut self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        loop {
            let command = tokio::select! {
                () = tokio::time::sleep_until(until) => return false,
                command = self.commands.recv() => command,
            };
            match command {
                None => return true,
                Some(Command::End(done)) => {
                    let _ = done.send(());
                    return true;
                }
                Some(Command::Begin(job)) => self.job = Some(job),
                // A later look for stuck task instances asks again.
                Some(Command::Revoke { ti_id, .. }) => {
                    self.held.lock().revoking.remove(&ti_id);
                }
                // What was given up is not adopted.
                Some(Command::Fail { .. } | Command::Work) => {}
            }
        }
    }

    fn lost(&mut self) {
        self.asked.clear();
        self.again = None;
        let resend = if self.facts.pre_assigns_external_executor_id { Resend::Yes } else { Resend::No };
        let lost = self.held.lock().orphan(self.job.unwrap_or_default(), resend);
        for id in lost {
            tracing::warn!(callback = %id, "the end of this callback will not be heard of: executors cannot adopt callbacks");
        }
    }

    async fn talk(&mut self, process: &mut HostProcess<Said>) -> End {
        let mut last_heard = Instant::now();
        if let Some(job) = self.job {
            self.ask(process, Asked::Start, "start", json!({"job_id": job}));
        }
        loop {
            let silent = last_heard + self.options.timeout;
            let again = self.again;
            tokio::select! {
                said = process.next() => match said {
                    Ok(said) => {
                        last_heard = Instant::now();
                        if let Some(end) = self.hear(process, said) {
                            return end;
                        }
                    }
                    Err(PythonError::Died) => {
                        let how = process.ended().await.map_or_else(String::new, |status| format!(", {status}"));
                        return End::Lost(format!("it has ended{how}"));
                    }
                    Err(error) => return End::Lost(error.to_string()),
                },
                command = self.commands.recv() => {
                    // It says nothing before it was told to start.
                    if self.job.is_none() {
                        last_heard = Instant::now();
                    }
                    let Some(command) = command else { return End::Done };
                    if let Some(end) = self.obey(process, command) {
                        return end;
                    }
                }
                () = tokio::time::sleep_until(silent), if self.job.is_some() => {
                    return End::Lost(format!("it has not answered for {:?}", self.options.timeout));
                }
                () = tokio::time::sleep_until(again.unwrap_or(silent)), if again.is_some() => {
                    self.again = None;
                    self.hand_over(process);
                }
            }
        }
    }

    fn obey(&mut self, process: &HostProcess<Said>, command: Command) -> Option<End> {
        let ready = self.held.lock().ready;
        match command {
            Command::Begin(job) => {
                self.job = Some(job);
                self.ask(process, Asked::Start, "start", json!({"job_id": job}));
            }
            Command::Work => self.hand_over(process),
            Command::Revoke { ti_id, key } if ready => {
                self.ask(process, Asked::Revoke { ti_id, key }, "revoke", json!({"task": ti_id}));
            }
            Command::Revoke { ti_id, .. } => {
                self.held.lock().revoking.remove(&ti_id);
            }
            Command::Fail { key } if ready => {
                self.ask(process, Asked::Other("fail"), "fail", json!({"key": key}));
            }
            Command::Fail { .. } => {}
            Command::End(done) if ready => self.ask(process, Asked::End(done), "end", json!({})),
            Command::End(done) => {
                let _ = done.send(());
                return Some(End::Done);
            }
        }
        None
    }

    fn ask(&mut self, process: &HostProcess<Said>, asked: Asked, what: &str, mut args: Value) {
        self.last_request += 1;
        args["n"] = json!(self.last_request);
        args["do"] = json!(what);
        process.send(args);
        self.asked.insert(self.last_request, asked);
    }

    /// Sends what waits to be queued or adopted, unless a request that failed is to be made again later.
    fn hand_over(&mut self, process: &HostProcess<Said>) {
        if !self.held.lock().ready || self.again.is_some() {
            return;
        }
        let request = self.last_request + 1;
        let adopted = self.held.lock().advance(|phase| match phase {
            Phase::ToAdopt { job } => Some(Phase::Adopting { request, job }),
            _ => None,
        });
        if !adopted.is_empty() {
            let pair = |(_, id, phase): &(HostedKey, Uuid, Phase)| match phase {
                Phase::ToAdopt { job } => json!([id, job]),
                _ => json!([id, null]),
            };
            let tasks: Vec<Value> = adopted.iter().map(pair).collect();
            self.ask(process, Asked::Adopt, "adopt", json!({"tasks": tasks}));
        }
        let request = self.last_request + 1;
        let queued =
            self.held.lock().advance(|phase| (phase == Phase::ToQueue).then_some(Phase::Queueing(request)));
        if !queued.is_empty() {
            let ids = |tasks: bool| -> Vec<Uuid> {
                let of_kind = |key: &HostedKey| matches!(key, HostedKey::Task { .. }) == tasks;
                queued.iter().filter(|(key, ..)| of_kind(key)).map(|(_, id, _)| *id).collect()
            };
            self.ask(process, Asked::Queue, "queue", json!({"tasks": ids(true), "callbacks": ids(false)}));
        }
    }

    fn hear(&mut self, process: &HostProcess<Said>, said: Said) -> Option<End> {
        self.held.lock().heard_of_slots(said.slots);
        if let Some(request) = said.answer {
            return self.answered(process, request, said.ok, said.error);
        }
        match (&said.trouble, self.in_trouble) {
            (Some(why), false) => tracing::error!(
                executor = %self.options.name.shown(),
                "the executor's heartbeat failed, it is tried again: {why}"
            ),
            (None, true) => tracing::info!(executor = %self.options.name.shown(), "the executor works again"),
            _ => {}
        }
        self.in_trouble = said.trouble.is_some();
        if let Some(waiting) = &said.waiting {
            self.held.lock().heard_of_queue(waiting);
            self.handed.notify_waiters();
        }
        // What follows from an event asks whether the executor still has the work.
        for key in &said.gone {
            self.held.lock().let_go(key);
        }
        for event in said.events {
            self.pass_on(event);
        }
        None
    }

    fn pass_on(&self, Event { key, state, info }: Event) {
        let Some(state) = state else { return };
        let report = match state.as_str() {
            "success" => Some(Report::Success),
            "failed" => Some(Report::Failed),
            _ => None,
        };
        let event = match (key, report) {
            (HostedKey::Callback { id }, Some(report)) => WorkEvent::CallbackEnded { id, report, info },
            (HostedKey::Callback { id }, None) if state == "running" => WorkEvent::CallbackStarted { id },
            (HostedKey::Callback { .. }, None) => return,
            (key @ HostedKey::Task { .. }, report) => {
                let ti_id = self.held.lock().get(&key).map(|entry| entry.id).unwrap_or_default();
                let HostedKey::Task { dag_id, task_id, run_id, try_number, map_index } = key else { return };
                let key = slipstream_core::ids::TiKey { dag_id, task_id, run_id, try_number, map_index };
                match report {
                    Some(report) => WorkEvent::TaskEnded { key, ti_id, report, info },
                    None if state == "queued" || state == "running" => WorkEvent::Placed { key, info },
                    // Airflow takes `restarting` for an end that is neither.
                    None if state == "restarting" => {
                        WorkEvent::TaskEnded { key, ti_id, report: Report::Failed, info }
                    }
                    None => return,
                }
            }
        };
        let _ = self.events.send(event.into());
    }

    fn answered(
        &mut self,
        process: &HostProcess<Said>,
        request: u64,
        ok: Value,
        error: Option<String>,
    ) -> Option<End> {
        let asked = self.asked.remove(&request)?;
        match (asked, error) {
            (Asked::Start, None) => {
                self.held.lock().ready = true;
                tracing::info!(executor = %self.options.name.shown(), "the executor has started");
                let _ = self.events.send(ExecutorEvent::Ready);
                self.hand_over(process);
            }
            (Asked::Start, Some(why)) => {
                return Some(End::Lost(format!("it cannot start the executor: {why}")));
            }
            (Asked::Queue, None) => self.queued(request, serde_json::from_value(ok).unwrap_or_default()),
            (Asked::Adopt, None) => {
                self.adopted(request, &serde_json::from_value::<Vec<Uuid>>(ok).unwrap_or_default())
            }
            (Asked::Queue | Asked::Adopt, Some(why)) => {
                tracing::warn!(executor = %self.options.name.shown(), "work could not be handed over, it is tried again: {why}");
                self.held.lock().advance(|phase| match phase {
                    Phase::Queueing(of) if of == request => Some(Phase::ToQueue),
                    Phase::Adopting { request: of, job } if of == request => Some(Phase::ToAdopt { job }),
                    _ => None,
                });
                self.again = Some(Instant::now() + AGAIN);
            }
            (Asked::Revoke { ti_id, key }, answer) => {
                let mut held = self.held.lock();
                held.revoking.remove(&ti_id);
                if let Some(why) = answer {
                    tracing::warn!(%ti_id, "the executor could not take a task back: {why}");
                } else if ok != json!("unsupported") {
                    held.remove(&key);
                    let _ = self.events.send(WorkEvent::Revoked { ti_id }.into());
                }
            }
            (Asked::Other(what), Some(why)) => tracing::warn!("`{what}` of the executor failed: {why}"),
            (Asked::Other(_), None) => {}
            (Asked::End(done), why) => {
                if let Some(why) = why {
                    tracing::warn!("the executor did not end well: {why}");
                }
                let _ = done.send(());
                return Some(End::Done);
            }
        }
        None
    }

    fn queued(&self, request: u64, answer: Queued) {
        let sent =
            self.held.lock().advance(|phase| (phase == Phase::Queueing(request)).then_some(Phase::Given));
        let key_of = |id: &Uuid| sent.iter().find(|(_, known, _)| known == id).map(|(key, ..)| key.clone());
        for id in &answer.dropped {
            tracing::debug!(%id, "not handed to the executor: it is not to be run any more");
            if let Some(key) = key_of(id) {
                self.held.lock().remove(&key);
            }
        }
        for (id, why) in answer.refused {
            tracing::error!(%id, executor = %self.options.name.shown(), "the executor does not take this work: {why}");
            if let Some(key) = key_of(&id) {
                self.held.lock().remove(&key);
                self.pass_on(Event { key, state: Some("failed".to_owned()), info: Some(why) });
            }
        }
    }

    fn adopted(&self, request: u64, refused: &[Uuid]) {
        let mut held = self.held.lock();
        let offered = held.advance(|phase| match phase {
            Phase::Adopting { request: of, .. } if of == request => Some(Phase::Has),
            _ => None,
        });
        for (key, ..) in offered.iter().filter(|(_, id, _)| refused.contains(id)) {
            held.remove(key);
        }
        tracing::info!(
            executor = %self.options.name.shown(),
            adopted = offered.len().saturating_sub(refused.len()),
            refused = refused.len(),
            "the executor was offered task instances for adoption"
        );
        if !refused.is_empty() {
            let _ = self.events.send(WorkEvent::NotAdopted { tis: refused.to_vec() }.into());
        }
    }
}
