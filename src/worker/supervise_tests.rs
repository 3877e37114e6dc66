//! The life of one task, with a process that speaks the protocol and a server that follows a script.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;

use slipstream_core::ids::{DagId, RunId};
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::fake::{FakeServer, FakeTasks, Script, execute, settings};
use super::settings::Settings;
use super::supervise::{Order, Outcome, Watcher, supervise};
use crate::executor::Report;

/// Long enough for a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Seen {
    changed: Cell<usize>,
    settled: Cell<bool>,
}

impl Watcher for Seen {
    fn started(&self, _pid: i32) {}
    fn entered(&self) {}
    fn settled(&self) {
        self.settled.set(true);
    }
    fn changed(&self, _dag_id: &DagId, _run_id: &RunId) {
        self.changed.set(self.changed.get() + 1);
    }
}

struct Trial {
    folder: tempfile::TempDir,
    settings: Settings,
    server: FakeServer,
    seen: Seen,
    orders: mpsc::UnboundedSender<Order>,
    receiver: Option<mpsc::UnboundedReceiver<Order>>,
}

impl Trial {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let (orders, receiver) = mpsc::unbounded_channel();
        let (server, seen) = (FakeServer::default(), Seen::default());
        Self { folder, settings, server, seen, orders, receiver: Some(receiver) }
    }

    fn script(&self) -> &Script {
        &self.server.0
    }

    async fn run(&mut self, what: &'static str) -> Outcome {
        let mut orders = self.receiver.take().unwrap();
        let (task, launcher) = (execute("t", 1), FakeTasks(what));
        let work = supervise(&task, &self.settings, &launcher, self.server.clone(), &self.seen, &mut orders);
        timeout(LIMIT, work).await.expect("the supervision ends")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("dag_id=d/run_id=r/task_id=t/attempt=1.log")
    }

    fn log(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.log_path()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn logged(&self, event: &str) -> serde_json::Value {
        let found = self
            .log()
            .into_iter()
            .find(|line| line["event"].as_str().is_some_and(|text| text.contains(event)));
        found.unwrap_or_else(|| panic!("`{event}` is not in the log: {:#?}", self.log()))
    }

    /// Once the task's output is in the log: it runs then.
    async fn wait_for_output(path: PathBuf) {
        while !std::fs::read_to_string(&path).is_ok_and(|text| text.contains("waiting")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn local<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}

#[test]
fn a_task_succeeds_and_its_log_has_all_three_streams() {
    local(async {
        let mut trial = Trial::new();
        assert_eq!(trial.run("succeed").await, Outcome::SETTLED);
        assert_eq!(trial.logged("hello from the task")["logger"], "task.stdout");
        assert_eq!(trial.logged("a complaint")["level"], "error");
        assert_eq!(trial.logged("record")["logger"], "my");
        assert_eq!(trial.seen.changed.get(), 1);
        assert!(trial.seen.settled.get());
        assert_eq!(*trial.script().seen.borrow(), ["run", "SucceedTask"]);
    });
}

#[test]
fn a_report_that_was_sent_just_before_the_end_counts() {
    local(async {
        let mut trial = Trial::new();
        assert_eq!(trial.run("succeed_and_vanish").await, Outcome::SETTLED);
        assert_eq!(trial.script().count("SucceedTask"), 1);
    });
}

#[test]
fn a_database_that_is_away_for_a_while_costs_no_try() {
    local(async {
        let mut trial = Trial::new();
        trial.script().outages.set(2);
        assert_eq!(trial.run("succeed").await, Outcome::SETTLED);
        assert_eq!(*trial.script().seen.borrow(), ["run", "run", "run", "SucceedTask"]);
    });
}

#[test]
fn a_report_that_could_not_be_written_is_repeated_until_it_is() {
    local(async {
        let mut trial = Trial::new();
        trial.script().down_for_reports.set(true);
        assert_eq!(trial.run("succeed").await, Outcome::SETTLED);
        assert_eq!(trial.script().count("SucceedTask"), 3);
        assert!(trial.seen.settled.get());
    });
}

#[test]
fn what_the_task_announced_is_written_when_it_has_ended() {
    local(async {
        let mut trial = Trial::new();
        trial.run("skip").await;
        assert_eq!(trial.script().count("finish skipped label"), 1);
    });
}

#[test]
fn a_bad_exit_code_fails_the_task_when_no_try_is_left() {
    local(async {
        let mut trial = Trial::new();
        trial.run("exit").await;
        assert_eq!(trial.logged("Process exited abnormally")["exit_code"], 3);
        assert_eq!(trial.script().count("finish failed -"), 1);
    });
}

#[test]
fn a_bad_exit_code_is_left_to_the_scheduler_when_tries_are_left() {
    local(async {
        let mut trial = Trial::new();
        trial.script().should_retry.set(true);
        assert_eq!(trial.run("exit").await, Outcome::DONE);
        assert_eq!(*trial.script().seen.borrow(), ["run"]);
    });
}

#[test]
fn sigkill_is_explained_as_airflow_does() {
    local(async {
        let mut trial = Trial::new();
        trial.run("kill").await;
        let line = trial.logged("Likely out of memory error (OOM)");
        assert_eq!((&line["signal"], &line["signal_name"]), (&(-9).into(), &"SIGKILL".into()));
        assert_eq!(line["level"], "critical");
    });
}

#[test]
fn a_segmentation_fault_is_explained_as_airflow_does() {
    local(async {
        let mut trial = Trial::new();
        trial.run("segfault").await;
        assert_eq!(trial.logged("Received SIGSEGV")["level"], "critical");
    });
}

#[test]
fn an_end_without_a_word_is_left_to_the_scheduler() {
    local(async {
        let mut trial = Trial::new();
        assert_eq!(trial.run("say_nothing").await, Outcome::DONE);
        assert_eq!(*trial.script().seen.borrow(), ["run"]);
    });
}

#[test]
fn a_flood_of_output_is_written_whole() {
    local(async {
        let mut trial = Trial::new();
        trial.run("flood").await;
        let text = std::fs::read_to_string(trial.log_path()).unwrap();
        assert_eq!(text.lines().filter(|line| line.contains("xxx")).count(), 200_000);
    });
}

#[test]
fn bytes_that_are_no_text_and_lines_that_are_no_records_survive() {
    local(async {
        let mut trial = Trial::new();
        trial.run("dirty").await;
        trial.logged("\u{fffd}\u{fffd} not utf-8");
        trial.logged("no line end");
        trial.logged("not json");
    });
}

#[test]
fn secrets_that_the_task_names_are_masked() {
    local(async {
        let mut trial = Trial::new();
        trial.run("secret").await;
        trial.logged("the password is ***");
    });
}

#[test]
fn a_task_that_does_not_read_its_answers_still_gets_heartbeats() {
    local(async {
        let mut trial = Trial::new();
        trial.settings.heartbeat_interval = Duration::from_millis(20);
        let (script, orders) = (trial.server.clone(), trial.orders.clone());
        tokio::task::spawn_local(async move {
            while script.0.count("SendMeMuch") < 2 || script.0.count("heartbeat") < 30 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            orders.send(Order::Stop).unwrap();
        });
        assert_eq!(trial.run("full_pipe").await, Outcome::SETTLED);
    });
}

#[test]
fn a_refused_heartbeat_ends_the_task_without_a_report() {
    local(async {
        let mut trial = Trial::new();
        trial.settings.heartbeat_interval = Duration::from_millis(20);
        trial.script().withdrawn.set(true);
        assert_eq!(trial.run("wait").await, Outcome::DONE);
        let line =
            trial.logged("Server indicated the task shouldn't be running anymore. Terminating process");
        assert_eq!(line["detail"]["detail"]["reason"], "not_running");
        trial.logged("Task killed!");
        assert!(!trial.script().seen.borrow().iter().any(|seen| seen.starts_with("finish")));
    });
}

#[test]
fn a_state_change_in_the_database_ends_the_task_before_its_next_heartbeat() {
    local(async {
        let mut trial = Trial::new();
        let (script, orders, path) = (trial.server.clone(), trial.orders.clone(), trial.log_path());
        tokio::task::spawn_local(async move {
            Trial::wait_for_output(path).await;
            script.0.withdrawn.set(true);
            orders.send(Order::Look).unwrap();
        });
        trial.run("wait").await;
        assert_eq!(trial.script().count("heartbeat"), 1);
        trial.logged("Task killed!");
    });
}

#[test]
fn a_task_that_ignores_sigterm_is_killed() {
    local(async {
        let mut trial = Trial::new();
        let (orders, path) = (trial.orders.clone(), trial.log_path());
        tokio::task::spawn_local(async move {
            Trial::wait_for_output(path).await;
            orders.send(Order::Stop).unwrap();
        });
        trial.run("stubborn").await;
        assert_eq!(trial.script().count("finish failed -"), 1);
    });
}

#[test]
fn too_many_failed_heartbeats_end_the_task() {
    local(async {
        let mut trial = Trial::new();
        trial.settings.heartbeat_interval = Duration::from_millis(20);
        trial.script().unreachable.set(true);
        trial.run("wait").await;
        assert_eq!(trial.script().count("heartbeat"), 3);
    });
}

#[test]
fn a_process_that_goes_on_after_its_success_is_ended_after_the_overtime() {
    local(async {
        let mut trial = Trial::new();
        trial.settings.overtime = Duration::from_millis(100);
        assert_eq!(trial.run("linger").await, Outcome::SETTLED);
        assert!(!trial.script().seen.borrow().iter().any(|seen| seen.starts_with("finish")));
    });
}

#[test]
fn sockets_that_a_child_holds_open_are_closed_after_the_limit() {
    local(async {
        let mut trial = Trial::new();
        trial.settings.socket_cleanup = Duration::from_millis(100);
        let started = std::time::Instant::now();
        assert_eq!(trial.run("leave_child").await, Outcome::SETTLED);
        assert!(started.elapsed() < Duration::from_secs(3));
    });
}

#[test]
fn a_task_that_must_not_start_is_killed_and_reported() {
    local(async {
        let mut trial = Trial::new();
        trial.script().refuse_start.set(true);
        let outcome = trial.run("wait").await;
        assert_eq!(outcome.report, Report::Failed);
        assert_eq!(*trial.script().seen.borrow(), ["run"]);
    });
}

#[test]
fn log_files_have_the_configured_permissions() {
    use std::os::unix::fs::PermissionsExt;
    local(async {
        let mut trial = Trial::new();
        trial.settings.logs.file_mode = 0o600;
        trial.run("succeed").await;
        let mode = std::fs::metadata(trial.log_path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    });
}
