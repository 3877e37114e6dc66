//! A process that is no task: a callback, a test of a connection. It gets one frame to begin with, may ask, writes a log, and is
//! ended when its time is over.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use rmpv::Value;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::exit::{Exit, explain};
use super::ladder::Ladder;
use super::log::{Channel, TaskLog, pump};
use super::process::{LaunchError, Launched, Launcher};
use super::requests::Requests;
use super::secrets;
use super::server::Answers;
use super::settings::Settings;
use super::supervise::Order;
use crate::supervisor::Frame;
use crate::supervisor::value::{Fields, from_json};

/// "Never", for a timer.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// What such a process may ask.
const ANSWERED: &[&str] = &["GetConnection", "GetVariable", "GetVariableKeys", "MaskSecret"];

/// One such process.
pub(super) struct Aside<'a> {
    /// For messages: what it is.
    pub(super) what: &'a str,
    /// Its first frame.
    pub(super) startup: Value,
    /// How long it may run; `None`: as long as it likes.
    pub(super) limit: Option<Duration>,
    /// The option that says so.
    pub(super) limit_option: &'a str,
}

/// What comes out of a process.
pub(super) trait Hear {
    /// A frame that is meant for us and no question; `false`: it is not.
    fn hear(&mut self, kind: &str, body: &Value) -> bool;
}

/// Nothing is expected.
impl Hear for () {
    fn hear(&mut self, _kind: &str, _body: &Value) -> bool {
        false
    }
}

impl Aside<'_> {
    /// Runs it and returns when it is gone and its log is written.
    ///
    /// # Errors
    /// When there is no process.
    pub(super) async fn run(
        self,
        log: &Rc<RefCell<TaskLog>>,
        settings: &Settings,
        launcher: &impl Launcher,
        (server, heard): (&mut impl Answers, &mut impl Hear),
        orders: &mut mpsc::UnboundedReceiver<Order>,
    ) -> Result<Exit, LaunchError> {
        let (process, sockets) = launcher.launch(None).await?;
        let mut pumps = JoinSet::new();
        pumps.spawn_local(pump(sockets.stdout, Channel::Stdout, log.clone()));
        pumps.spawn_local(pump(sockets.stderr, Channel::Stderr, log.clone()));
        pumps.spawn_local(pump(sockets.logs, Channel::Logs, log.clone()));
        let mut requests = Requests::new(sockets.requests);
        requests.send(Frame::new(0, self.startup.clone()));
        let exit = self.attend(process, requests, (server, heard), log, settings, orders).await;
        let written = async { while pumps.join_next().await.is_some() {} };
        if timeout(settings.socket_cleanup, written).await.is_err() {
            tracing::warn!("{}: its process has ended with open sockets; they are closed now", self.what);
        }
        explain(exit, None, &mut log.borrow_mut());
        log.borrow_mut().flush();
        Ok(exit)
    }

    async fn attend(
        &self,
        mut process: Launched,
        mut requests: Requests,
        (server, heard): (&mut impl Answers, &mut impl Hear),
        log: &RefCell<TaskLog>,
        settings: &Settings,
        orders: &mut mpsc::UnboundedReceiver<Order>,
    ) -> Exit {
        let end = Instant::now() + self.limit.unwrap_or(FAR);
        let mut ladder: Option<Ladder> = None;
        let climb = |ladder: &mut Option<Ladder>| match ladder {
            Some(ladder) => ladder.climb(Instant::now()),
            None => *ladder = Some(Ladder::start(process.pid, settings.escalation)),
        };
        loop {
            let due = ladder.map_or(end, |ladder| ladder.due().unwrap_or_else(|| Instant::now() + FAR));
            tokio::select! {
                exit = &mut process.exit => return exit.unwrap_or(Exit::Unknown),
                frame = requests.next(), if requests.is_open() => if let Some(frame) = frame {
                    requests.send(answer((server, heard), log, frame).await);
                },
                Some(order) = orders.recv() => if order == Order::Stop && ladder.is_none() {
                    climb(&mut ladder);
                },
                () = sleep_until(due) => {
                    if ladder.is_none() {
                        tracing::warn!(
                            pid = process.pid,
                            "{}: its time is over, its process is ended; {} is the limit", self.what, self.limit_option
                        );
                    }
                    climb(&mut ladder);
                }
            }
        }
    }
}

async fn answer(
    (server, heard): (&mut impl Answers, &mut impl Hear),
    log: &RefCell<TaskLog>,
    frame: Frame,
) -> Frame {
    let kind = Fields::new(&frame.body).map_or("", |fields| fields.kind());
    if heard.hear(kind, &frame.body) {
        return Frame::response(frame.id, None, None);
    }
    if !ANSWERED.contains(&kind) {
        let error = json!({
            "error": "API_SERVER_ERROR",
            "detail": {"status_code": 400, "message": "Unhandled request"},
            "type": "ErrorResponse",
        });
        return Frame::response(frame.id, None, Some(from_json(&error)));
    }
    let reply = server.answer(&frame.body).await;
    secrets::learn(log.borrow_mut().masker(), &frame.body, reply.body.as_ref());
    Frame::response(frame.id, reply.body, reply.error)
}
