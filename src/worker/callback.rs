//! One executor callback from its process's start to its end
//! (`airflow/sdk/execution_time/callback_supervisor.py`).

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
use super::log::{Channel, LogFileError, TaskLog, pump};
use super::process::{Launched, Launcher};
use super::requests::Requests;
use super::secrets;
use super::server::Answers;
use super::settings::Settings;
use super::supervise::{Order, Outcome};
use crate::executor::ExecuteCallback;
use crate::supervisor::Frame;
use crate::supervisor::value::{Fields, from_json};

/// "Never", for a timer.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// What a callback may ask.
const ANSWERED: &[&str] = &["GetConnection", "GetVariable", "GetVariableKeys", "MaskSecret"];

/// Runs a callback and returns when its process is gone.
pub(super) async fn supervise(
    work: &ExecuteCallback,
    settings: &Settings,
    launcher: &impl Launcher,
    mut server: impl Answers,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) -> Outcome {
    let log = match open_log(work, settings) {
        Ok(log) => Rc::new(RefCell::new(log)),
        Err(error) => return Outcome::failed(error),
    };
    let (process, sockets) = match launcher.launch(None).await {
        Ok(launched) => launched,
        Err(error) => return Outcome::failed(error),
    };
    let mut pumps = JoinSet::new();
    pumps.spawn_local(pump(sockets.stdout, Channel::Stdout, log.clone()));
    pumps.spawn_local(pump(sockets.stderr, Channel::Stderr, log.clone()));
    pumps.spawn_local(pump(sockets.logs, Channel::Logs, log.clone()));
    let mut requests = Requests::new(sockets.requests);
    requests.send(Frame::new(0, startup(work)));
    let exit = attend(process, requests, &mut server, &log, settings, orders).await;
    let written = async { while pumps.join_next().await.is_some() {} };
    if timeout(settings.socket_cleanup, written).await.is_err() {
        tracing::warn!(id = %work.callback.id, "a callback's process has ended with open sockets; they are closed now");
    }
    explain(exit, None, &mut log.borrow_mut());
    log.borrow_mut().flush();
    if let (Some(remote), Some(path)) = (&settings.remote_logs, &work.log_path)
        && let Err(error) = remote.upload(path, None).await
    {
        tracing::error!(id = %work.callback.id, %error, "a callback's log could not be uploaded");
    }
    match exit {
        Exit::Code(0) => Outcome::DONE,
        exit => Outcome::failed(format!("Callback subprocess exited with code {}", exit.code())),
    }
}

fn open_log(work: &ExecuteCallback, settings: &Settings) -> Result<TaskLog, LogFileError> {
    let file = settings.logs.open(work.log_path.as_deref().unwrap_or_default())?;
    Ok(TaskLog::new("callback", file, settings.level, settings.masker.clone()))
}

/// The first frame of a callback's process: see `_host/callback.py`.
fn startup(work: &ExecuteCallback) -> Value {
    let data = &work.callback.data;
    from_json(&json!({
        "type": "CallbackStartup",
        "callback_path": data["path"].as_str().unwrap_or_default(),
        "callback_kwargs": data.get("kwargs").filter(|kwargs| kwargs.is_object()).unwrap_or(&json!({})),
        "dag_rel_path": work.dag_rel_path,
        "bundle_info": {"name": work.bundle_info.name, "version": work.bundle_info.version},
    }))
}

async fn attend(
    mut process: Launched,
    mut requests: Requests,
    server: &mut impl Answers,
    log: &RefCell<TaskLog>,
    settings: &Settings,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) -> Exit {
    let end = Instant::now() + settings.callback_timeout.unwrap_or(FAR);
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
                requests.send(answer(server, log, frame).await);
            },
            Some(order) = orders.recv() => if order == Order::Stop && ladder.is_none() {
                climb(&mut ladder);
            },
            () = sleep_until(due) => {
                if ladder.is_none() {
                    tracing::warn!(
                        pid = process.pid,
                        "callback execution timeout exceeded; terminating subprocess; [callbacks] \
                         callback_execution_timeout is the limit"
                    );
                }
                climb(&mut ladder);
            }
        }
    }
}

async fn answer(server: &mut impl Answers, log: &RefCell<TaskLog>, frame: Frame) -> Frame {
    let kind = Fields::new(&frame.body).map_or("", |fields| fields.kind());
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
