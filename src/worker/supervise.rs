//! One task from its process's start to its end (`supervise_task` and `ActivitySubprocess` in
//! `airflow/sdk/execution_time/supervisor.py`).

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::Signal;
use rmpv::Value;
use serde_json::json;
use slipstream_core::ids::{DagId, RunId};
use slipstream_core::state::TaskState;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::exit::{Exit, explain};
use super::ladder::{Ladder, signal_group};
use super::log::{Channel, Level, TaskLog, pump};
use super::prepared::DagFile;
use super::process::{Launched, Launcher, Sockets};
use super::requests::Requests;
use super::secrets;
use super::server::{Refused, Reply, ServerError, TaskServer, Terminal};
use super::settings::Settings;
use crate::executor::{ExecuteTask, Report};
use crate::runtime::socket_pair;
use crate::supervisor::Frame;

/// What the worker tells a running supervision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The row does not look as if the task were to run: ask at once instead of at the next heartbeat.
    Look,
    /// End the process.
    Stop,
}

/// How a supervision ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// What the executor reports.
    pub(super) report: Report,
    /// Why it failed.
    pub(super) info: Option<String>,
}

impl Outcome {
    /// The process is gone without a report of its end: the scheduler looks at the row.
    pub(super) const DONE: Self = Self { report: Report::Success, info: None };
    /// The task's end is in the database.
    pub(super) const SETTLED: Self = Self { report: Report::Settled, info: None };

    pub(super) fn failed(why: impl ToString) -> Self {
        Self { report: Report::Failed, info: Some(why.to_string()) }
    }
}

/// What a supervision tells the worker while it goes on.
pub(super) trait Watcher {
    /// The process is there.
    fn started(&self, pid: i32);
    /// The task is marked as running.
    fn entered(&self);
    /// The task's end is in the database; only its process is still there.
    fn settled(&self);
    /// A run changed in the database.
    fn changed(&self, dag_id: &DagId, run_id: &RunId);
}

/// Requests that a process has sent before its end are answered until it is quiet for this long.
const QUIET: Duration = Duration::from_millis(50);

/// How long a task's start or end waits for a server that cannot be reached. A task instance that waits longer in
/// `queued` is taken for stuck (`[scheduler] task_queued_timeout`).
const OUTAGE: Duration = Duration::from_secs(600);

/// Asks until there is an answer, for as long as [`OUTAGE`]: a database that restarts costs no try.
async fn until_reached<T>(
    what: &'static str,
    mut ask: impl AsyncFnMut() -> Result<T, ServerError>,
) -> Result<T, ServerError> {
    let end = Instant::now() + OUTAGE;
    let mut pause = Duration::from_millis(100);
    loop {
        match ask().await {
            Err(ServerError::Unreachable(why)) if Instant::now() < end => {
                tracing::warn!(what, why, "the database cannot be told about a task; it is tried again");
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            answer => return answer,
        }
    }
}

/// Runs one try of a task and returns when its process is gone and everything about it is written.
pub(super) async fn supervise(
    task: &ExecuteTask,
    settings: &Settings,
    launcher: &impl Launcher,
    server: impl TaskServer,
    watcher: &impl Watcher,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) -> Outcome {
    let log = match open_log(task, settings) {
        Ok(log) => log,
        Err(error) => return Outcome::failed(error),
    };
    let (process, sockets) = match launcher.launch(Some(&DagFile::of(task))).await {
        Ok(launched) => launched,
        Err(error) => return Outcome::failed(error),
    };
    watcher.started(process.pid);
    let mut task = Supervision::new(task, settings, server, watcher, log, sockets, process.pid);
    match task.enter().await {
        Ok(()) => task.follow(process, orders).await,
        Err(error) => {
            signal_group(process.pid, Signal::SIGKILL);
            // The process is not left behind: its end is awaited, but not for long.
            let _ = timeout(settings.escalation, process.exit).await;
            Outcome::failed(error)
        }
    }
}

fn open_log(task: &ExecuteTask, settings: &Settings) -> Result<TaskLog, super::log::LogFileError> {
    let path = task.log_path.as_deref().unwrap_or_default();
    let file = settings.logs.open(path)?;
    Ok(TaskLog::new("task", file, settings.level, settings.masker.clone()))
}

struct Supervision<'a, S, W> {
    task: &'a ExecuteTask,
    settings: &'a Settings,
    server: S,
    watcher: &'a W,
    pid: i32,
    log: Rc<RefCell<TaskLog>>,
    requests: Requests,
    pumps: JoinSet<()>,
    should_retry: bool,
    terminal: Option<Terminal>,
    /// The task's report of its end while it is not in the database.
    pending: Option<Value>,
    rendered_map_index: Option<String>,
    ended_at: Option<Instant>,
    next_heartbeat: Instant,
    failed_heartbeats: u32,
    withdrawn: bool,
    ladder: Option<Ladder>,
}

impl<'a, S: TaskServer, W: Watcher> Supervision<'a, S, W> {
    fn new(
        task: &'a ExecuteTask,
        settings: &'a Settings,
        server: S,
        watcher: &'a W,
        log: TaskLog,
        sockets: Sockets,
        pid: i32,
    ) -> Self {
        let log = Rc::new(RefCell::new(log));
        let mut pumps = JoinSet::new();
        pumps.spawn_local(pump(sockets.stdout, Channel::Stdout, log.clone()));
        pumps.spawn_local(pump(sockets.stderr, Channel::Stderr, log.clone()));
        pumps.spawn_local(pump(sockets.logs, Channel::Logs, log.clone()));
        Self {
            task,
            settings,
            server,
            watcher,
            pid,
            log,
            requests: Requests::new(sockets.requests),
            pumps,
            should_retry: false,
            terminal: None,
            pending: None,
            rendered_map_index: None,
            ended_at: None,
            next_heartbeat: Instant::now() + settings.heartbeat_interval,
            failed_heartbeats: 0,
            withdrawn: false,
            ladder: None,
        }
    }

    /// Asks whether the task may run, and tells the process what it is.
    async fn enter(&mut self) -> Result<(), ServerError> {
        let pid = self.pid;
        let started = until_reached("start", async || self.server.run(pid).await).await?;
        self.should_retry = started.should_retry;
        self.next_heartbeat = Instant::now() + self.settings.heartbeat_interval;
        self.requests.send(Frame::new(0, started.startup));
        self.watcher.entered();
        Ok(())
    }

    async fn follow(&mut self, process: Launched, orders: &mut mpsc::UnboundedReceiver<Order>) -> Outcome {
        let exit = self.attend(process, orders).await;
        if exit == Exit::Lost {
            return self.abandon(orders).await;
        }
        self.answer_what_is_left().await;
        let all_written = timeout(QUIET, self.finish_pumps()).await.is_ok();
        explain(exit, self.ladder.map(|ladder| ladder.last()), &mut self.log.borrow_mut());
        if self.withdrawn {
            self.log.borrow_mut().note(Level::Error, "Task killed!", &[]);
            self.terminal = Some(Terminal::Withdrawn);
        }
        let outcome = self.report_end(exit).await;
        if !all_written && timeout(self.settings.socket_cleanup, self.finish_pumps()).await.is_err() {
            tracing::warn!(
                pid = self.pid,
                exit_code = exit.code(),
                "process exited with open sockets; they are closed now"
            );
        }
        self.upload_log().await;
        tracing::info!(
            ti_id = %self.task.ti.id, exit_code = exit.code(), final_state = ?self.terminal, "workload finished"
        );
        outcome
    }

    /// The last thing of all, as in Airflow: the log is whole, and the task's end does not wait for it.
    async fn upload_log(&self) {
        let (Some(remote), Some(path)) = (&self.settings.remote_logs, &self.task.log_path) else { return };
        self.log.borrow_mut().flush();
        if let Err(error) = remote.upload(path, Some(&self.task.ti)).await {
            tracing::error!(ti_id = %self.task.ti.id, %error, "a task's log could not be uploaded");
            let text = "Failed to upload remote logs";
            self.log.borrow_mut().note(Level::Error, text, &[("error", json!(error.to_string()))]);
        }
    }

    /// A task that killed its parent has killed its supervisor, as Airflow sees it: no heartbeat, no answer and no report any
    /// more. The slot stays taken until the scheduler misses the heartbeats.
    async fn abandon(&mut self, orders: &mut mpsc::UnboundedReceiver<Order>) -> Outcome {
        tracing::error!(ti_id = %self.task.ti.id, pid = self.pid, "the parent of a task's process was killed");
        // A process that still runs ends at its next request.
        self.requests.close();
        self.pumps.abort_all();
        // Either order says that the try is over.
        let _ = orders.recv().await;
        Outcome::DONE
    }

    /// Serves the process until it is gone.
    async fn attend(&mut self, mut process: Launched, orders: &mut mpsc::UnboundedReceiver<Order>) -> Exit {
        loop {
            let due = self.due();
            tokio::select! {
                exit = &mut process.exit => return exit.unwrap_or(Exit::Unknown),
                frame = self.requests.next(), if self.requests.is_open() => {
                    if let Some(frame) = frame {
                        self.serve(frame).await;
                    }
                }
                Some(order) = orders.recv() => match order {
                    Order::Look => self.heartbeat().await,
                    Order::Stop => self.kill(),
                },
                () = sleep_until(due) => self.tick().await,
            }
        }
    }

    /// When [`Supervision::tick`] has something to do.
    fn due(&self) -> Instant {
        if let Some(ladder) = &self.ladder {
            return ladder.due().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        }
        match (self.overtime_ends(), self.terminal) {
            (Some(at), _) => at,
            (None, Some(_)) => Instant::now() + Duration::from_secs(3600),
            (None, None) => self.next_heartbeat,
        }
    }

    fn overtime_ends(&self) -> Option<Instant> {
        self.terminal.filter(|terminal| terminal.limits_overtime())?;
        Some(self.ended_at? + self.settings.overtime)
    }

    async fn tick(&mut self) {
        let now = Instant::now();
        if let Some(ladder) = &mut self.ladder {
            ladder.climb(now);
        } else if self.overtime_ends().is_some_and(|end| end <= now) {
            tracing::warn!(
                ti_id = %self.task.ti.id,
                "task success overtime reached; terminating process; [core] task_success_overtime is the limit"
            );
            self.kill();
        } else if self.next_heartbeat <= now {
            self.heartbeat().await;
        }
    }

    fn kill(&mut self) {
        self.kill_within(self.settings.escalation);
    }

    /// Tells the process to end, and ends it after `grace`.
    fn kill_within(&mut self, grace: Duration) {
        if self.ladder.is_none() {
            self.ladder = Some(Ladder::start(self.pid, grace));
        }
    }

    async fn heartbeat(&mut self) {
        if self.terminal.is_some() || self.ladder.is_some() {
            return;
        }
        self.next_heartbeat = Instant::now() + self.settings.heartbeat_interval;
        match self.server.heartbeat(self.pid).await {
            Ok(()) => self.failed_heartbeats = 0,
            Err(ServerError::Refused(refused)) => self.withdraw(&refused),
            Err(ServerError::Failed(why) | ServerError::Unreachable(why)) => self.miss_heartbeat(&why),
        }
    }

    fn withdraw(&mut self, refused: &Refused) {
        tracing::error!(
            ti_id = %self.task.ti.id, status_code = refused.status, detail = %refused.detail,
            "server indicated the task shouldn't be running anymore"
        );
        let text = "Server indicated the task shouldn't be running anymore. Terminating process";
        self.log.borrow_mut().note(Level::Error, text, &[("detail", json!({"detail": refused.detail}))]);
        self.withdrawn = true;
        self.kill_within(refused.grace.unwrap_or(self.settings.escalation));
    }

    fn miss_heartbeat(&mut self, why: &str) {
        self.failed_heartbeats += 1;
        let (failed, limit) = (self.failed_heartbeats, self.settings.max_failed_heartbeats);
        tracing::warn!(ti_id = %self.task.ti.id, failed, limit, why, "failed to send heartbeat; it will be retried");
        if failed >= limit {
            tracing::error!(ti_id = %self.task.ti.id, failed, "too many failed heartbeats; terminating process");
            self.kill();
        }
    }

    async fn serve(&mut self, frame: Frame) {
        let kind = text_field(&frame.body, "type").unwrap_or_default().to_owned();
        if kind == "ResendLoggingFD" {
            return self.send_log_socket(frame.id);
        }
        let reply = self.answer(&kind, &frame.body).await;
        secrets::learn(self.log.borrow_mut().masker(), &frame.body, reply.body.as_ref());
        self.requests.send(Frame::response(frame.id, reply.body, reply.error));
    }

    async fn answer(&mut self, kind: &str, body: &Value) -> Reply {
        let reports_end =
            matches!(kind, "SucceedTask" | "RetryTask" | "DeferTask" | "RescheduleTask" | "AwaitInputTask");
        if reports_end {
            self.pending = Some(body.clone());
        }
        if reports_end || kind == "TaskState" {
            self.ended_at = Some(Instant::now());
            if kind != "RescheduleTask" {
                self.rendered_map_index = text_field(body, "rendered_map_index").map(str::to_owned);
            }
        }
        let reply = self.server.answer(body).await;
        self.note_reply(&reply);
        reply
    }

    fn note_reply(&mut self, reply: &Reply) {
        for (dag_id, run_id) in &reply.changed {
            self.watcher.changed(dag_id, run_id);
        }
        if let Some(terminal) = reply.terminal {
            self.terminal = Some(terminal);
            self.pending = None;
            if matches!(terminal, Terminal::Reported(_)) {
                self.settle();
            }
        }
    }

    /// Gives the task another socket for its log records: a child that was started under another user, or with a new
    /// interpreter, has none.
    fn send_log_socket(&mut self, id: i64) {
        match socket_pair() {
            Ok((ours, theirs)) => {
                self.pumps.spawn_local(pump(ours, Channel::Logs, self.log.clone()));
                let number = std::os::fd::AsRawFd::as_raw_fd(&theirs);
                let body = Value::Map(vec![
                    ("fds".into(), Value::Array(vec![number.into()])),
                    ("type".into(), "SentFDs".into()),
                ]);
                self.requests.send_with_fd(Frame::new(id, body), theirs);
            }
            Err(error) => {
                tracing::error!(%error, "no socket for a task's log");
                self.requests.send(Frame::response(id, None, None));
            }
        }
    }

    /// Requests that the process sent just before it ended count: a report of success may be among them.
    async fn answer_what_is_left(&mut self) {
        while self.requests.is_open() {
            match timeout(QUIET, self.requests.next()).await {
                Ok(Some(frame)) => self.serve(frame).await,
                Ok(None) | Err(_) => return,
            }
        }
    }

    async fn finish_pumps(&mut self) {
        while self.pumps.join_next().await.is_some() {}
    }

    /// `update_task_state_if_needed`
    async fn report_end(&mut self, exit: Exit) -> Outcome {
        if let Some(report) = self.pending.take() {
            let written =
                until_reached("report of its end", async || self.server.repeat(&report).await).await;
            return match written {
                Ok(terminal) => {
                    self.terminal = Some(terminal);
                    self.settle();
                    Outcome::SETTLED
                }
                Err(error) => {
                    tracing::error!(
                        ti_id = %self.task.ti.id, %error, "the task's report of its end could not be written"
                    );
                    Outcome::DONE
                }
            };
        }
        let Some(state) = final_state(exit, self.terminal, self.should_retry) else {
            let reported = matches!(self.terminal, Some(Terminal::Reported(_)));
            return if reported { Outcome::SETTLED } else { Outcome::DONE };
        };
        let label = self.rendered_map_index.as_deref();
        let written = until_reached("end", async || self.server.finish(state, label).await).await;
        self.settle();
        match written {
            Ok(()) => Outcome::SETTLED,
            Err(error) => Outcome::failed(error),
        }
    }

    fn settle(&self) {
        self.watcher.settled();
        self.watcher.changed(&self.task.ti.dag_id, &self.task.ti.run_id);
    }
}

/// The state that is still to be written. None if it is there already, and none if the scheduler is to decide: a
/// process that died, or ended without a word, with tries left (`ActivitySubprocess.final_state`).
fn final_state(exit: Exit, terminal: Option<Terminal>, should_retry: bool) -> Option<TaskState> {
    match terminal {
        Some(Terminal::Withdrawn | Terminal::Reported(_)) => None,
        Some(Terminal::Announced(state)) if exit.is_clean() || exit == Exit::Unknown => Some(state),
        None if exit.is_clean() => None,
        Some(Terminal::Announced(_)) | None if should_retry => None,
        Some(Terminal::Announced(_)) | None => Some(TaskState::Failed),
    }
}

fn field<'v>(body: &'v Value, name: &str) -> Option<&'v Value> {
    body.as_map()?.iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value)
}

fn text_field<'v>(body: &'v Value, name: &str) -> Option<&'v str> {
    field(body, name)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_with_tries_left_is_the_schedulers() {
        assert_eq!(final_state(Exit::Signal(9), None, true), None);
        assert_eq!(final_state(Exit::Signal(9), None, false), Some(TaskState::Failed));
        assert_eq!(final_state(Exit::Code(1), Some(Terminal::Announced(TaskState::Skipped)), true), None);
    }

    #[test]
    fn what_the_task_announced_is_written_after_a_clean_end() {
        let skipped = Some(Terminal::Announced(TaskState::Skipped));
        assert_eq!(final_state(Exit::Code(0), skipped, true), Some(TaskState::Skipped));
        assert_eq!(final_state(Exit::Code(0), None, false), None);
        assert_eq!(final_state(Exit::Code(3), Some(Terminal::Reported(TaskState::Success)), false), None);
    }
}
