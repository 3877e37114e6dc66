//! One test of a connection, from its row's `queued` to what came of it
//! (`airflow/sdk/execution_time/connection_test_supervisor.py`).

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use rmpv::Value;
use serde_json::json;
use tokio::sync::mpsc;

use super::aside::{Aside, Hear};
use super::exit::Exit;
use super::log::TaskLog;
use super::process::Launcher;
use super::server::Servers;
use super::settings::Settings;
use super::supervise::{Order, Outcome};
use crate::executor::TestConnection;
use crate::store::connection_tests::{BeginError, Finding, Verdict};
use crate::store::secrets::Connection;
use crate::supervisor::value::{Fields, from_json};
use crate::telemetry::metrics;

/// How much longer than it may take a test's process lives: it ends the test itself, where the hook lets it.
const GRACE: Duration = Duration::from_secs(5);

/// Tests the connection and writes what came of it.
pub(super) async fn supervise(
    work: &TestConnection,
    settings: &Settings,
    launcher: &impl Launcher,
    servers: &impl Servers,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) -> Outcome {
    let id = work.connection_test_id;
    let verdict = match servers.begin_test(id).await {
        Ok(connection) => test(work, &connection, settings, launcher, servers, orders).await,
        Err(error @ BeginError::Cipher(_)) => failed(format!("Connection test failed unexpectedly: {error}")),
        // It is not ours: there is nothing to write.
        Err(error) => return Outcome::failed(error),
    };
    let works = verdict.finding == Finding::Works;
    tracing::info!(%id, connection_id = work.connection_id, works, "a connection was tested");
    metrics::incr(if works { "connection_test.success" } else { "connection_test.failed" }, &[]);
    match servers.end_test(id, &verdict).await {
        Ok(()) => Outcome::SETTLED,
        Err(error) => Outcome::failed(error),
    }
}

async fn test(
    work: &TestConnection,
    connection: &Connection,
    settings: &Settings,
    launcher: &impl Launcher,
    servers: &impl Servers,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) -> Verdict {
    let path = format!("connection_tests/{}.log", work.connection_test_id);
    let file = match settings.logs.open(&path) {
        Ok(file) => file,
        Err(error) => return failed(format!("Connection test failed unexpectedly: {error}")),
    };
    let mut masker = settings.masker.clone();
    for secret in [&connection.password, &connection.extra].into_iter().flatten() {
        masker.add_text(secret, None);
    }
    let log = Rc::new(RefCell::new(TaskLog::new("connection_test_supervisor", file, settings.level, masker)));
    let timeout = Duration::from_secs(u64::try_from(work.timeout).unwrap_or_default());
    let process = Aside {
        what: &format!("test of connection {}", work.connection_id),
        startup: startup(work, connection),
        limit: Some(timeout + GRACE),
        limit_option: "[connection_test] timeout",
    };
    let mut heard = Told::default();
    let exit = process.run(&log, settings, launcher, (&mut servers.for_callback(), &mut heard), orders).await;
    match (heard.0, exit) {
        (Some(verdict), _) => verdict,
        (None, Err(error)) => failed(format!("Connection test failed unexpectedly: {error}")),
        (None, Ok(Exit::Signal(_))) => failed(format!(
            "Connection test timed out after {}s, or its process was killed; see its log, {path}",
            work.timeout
        )),
        (None, Ok(exit)) => failed(format!(
            "Connection test failed unexpectedly: its process exited with code {}; see its log, {path}",
            exit.code()
        )),
    }
}

fn failed(why: String) -> Verdict {
    Verdict { finding: Finding::Fails, message: Some(why) }
}

/// The first frame of a test's process: see `_host/connection_test.py`.
fn startup(work: &TestConnection, connection: &Connection) -> Value {
    from_json(&json!({
        "type": "ConnectionTestStartup",
        "timeout": work.timeout,
        "connection": {
            "conn_id": connection.conn_id,
            "conn_type": connection.conn_type,
            "host": connection.host,
            "login": connection.login,
            "password": connection.password,
            "schema": connection.schema,
            "port": connection.port,
            "extra": connection.extra,
        },
    }))
}

/// What the process says came of the test.
#[derive(Debug, Default)]
struct Told(Option<Verdict>);

impl Hear for Told {
    fn hear(&mut self, kind: &str, body: &Value) -> bool {
        let Some(fields) = Fields::new(body).filter(|_| kind == "ConnectionTestResult") else { return false };
        let works = matches!(fields.get("works"), Some(Value::Boolean(true)));
        let message = fields.text_opt("message").ok().flatten().map(str::to_owned);
        if let Some(seconds) = fields.get("seconds").and_then(Value::as_f64)
            && let Ok(took) = Duration::try_from_secs_f64(seconds)
        {
            metrics::timing("connection_test.hook_duration", took, &[]);
        }
        self.0 = Some(Verdict { finding: if works { Finding::Works } else { Finding::Fails }, message });
        true
    }
}
