//! One executor callback from its process's start to its end
//! (`airflow/sdk/execution_time/callback_supervisor.py`).

use std::cell::RefCell;
use std::rc::Rc;

use rmpv::Value;
use serde_json::json;
use tokio::sync::mpsc;

use super::aside::Aside;
use super::exit::Exit;
use super::log::{LogFileError, TaskLog};
use super::process::Launcher;
use super::server::Answers;
use super::settings::Settings;
use super::supervise::{Order, Outcome};
use crate::executor::ExecuteCallback;
use crate::supervisor::value::from_json;

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
    let process = Aside {
        what: &format!("callback {}", work.callback.id),
        startup: startup(work),
        limit: settings.callback_timeout,
        limit_option: "[callbacks] callback_execution_timeout",
    };
    let exit = match process.run(&log, settings, launcher, (&mut server, &mut ()), orders).await {
        Ok(exit) => exit,
        Err(error) => return Outcome::failed(error),
    };
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
