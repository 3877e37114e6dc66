//! Whole rounds of the loop on a real database, with an executor whose worker never answers.

use serde_json::{Value, json};
use slipstream_core::executor::ExecutorIndex;
use slipstream_core::ids::{MapIndex, TiKey};
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::debug::Progress;
use super::executor_events::Told;
use super::options::{End, Loops};
use super::tick::{Links, Scheduler};
use super::users_python::UsersPython;
use crate::config::Config;
use crate::executor::local::{LocalExecutor, LocalOptions};
use crate::executor::place::Place;
use crate::executor::{Executors, Report, WorkEvent};
use crate::runtime::EventWake;
use crate::store::dag_bag::DagBag;
use crate::store::testing::{self, NewRun, NewTi, at, count, first, insert, on_each_database};
use crate::store::{Conn, Db};

/// A Dag `d` of `(task_id, downstream ids, further fields)`; returns its version.
pub(super) async fn dag(db: &Db, tasks: &[(&str, &[&str], Value)]) -> Uuid {
    testing::dag(db, "d").await;
    dag_version(db, tasks).await
}

/// Another version of that Dag.
async fn dag_version(db: &Db, tasks: &[(&str, &[&str], Value)]) -> Uuid {
    let tasks: Vec<Value> = tasks
        .iter()
        .map(|(task_id, below, more)| {
            let mut task = json!({"task_id": task_id, "task_type": "T", "downstream_task_ids": below});
            task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"__type": "operator", "__var": task})
        })
        .collect();
    let timetable = json!({"__type": "airflow.timetables.simple.NullTimetable", "__var": {}});
    testing::serialized_dag(
        db,
        "d",
        json!({"dag_id": "d", "tasks": tasks, "timetable": timetable, "timezone": "UTC"}),
    )
    .await
}

/// A running run `r` with these task instances, of this version.
pub(super) async fn run(db: &Db, version: Uuid, tis: &[NewTi]) {
    NewRun::new("d", "r").insert(db).await;
    for ti in tis {
        ti.insert(db).await;
    }
    db.exec(db.sql("UPDATE task_instance SET dag_version_id = ?").bind(version)).await.unwrap();
}

/// What the worker says when a try's process is gone.
pub(super) fn told(key: TiKey, report: Report) -> Told {
    let event = WorkEvent::TaskEnded { key, ti_id: Uuid::nil(), report, info: None };
    Told { from: ExecutorIndex(0), event }
}

pub(super) fn waiting(task: &str) -> NewTi {
    NewTi { try_number: 0, ..NewTi::new("d", "r", task).state(None) }
}

/// A scheduler with `parallelism` slots; its worker's folder lives as long as the guard.
async fn scheduler(db: &Db, parallelism: usize) -> (Scheduler, tempfile::TempDir) {
    scheduler_with(db, parallelism, Events::None).await
}

/// Whether there is an event engine.
pub(super) type Events = Option<EventWake>;

/// [`scheduler`], beside an event engine if one is given.
pub(super) async fn scheduler_with(
    db: &Db,
    parallelism: usize,
    events: Events,
) -> (Scheduler, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    let place = Place::new(home.path(), "test", home.path(), home.path());
    let (executor, reports) = LocalExecutor::start(LocalOptions {
        place,
        parallelism,
        streaming: 1,
        worker: Vec::new(),
        config_file: std::path::PathBuf::new(),
    });
    let config = Config::from_pairs(&[]).unwrap();
    let (executors, reports) = Executors::of_local(executor, reports, parallelism);
    let links = Links {
        executors,
        reports,
        python: UsersPython::none(&config),
        events,
        progress: Progress::default(),
    };
    (
        Scheduler::start(db.clone(), &config, End { after: None, counts: Loops::All }, links, "here")
            .await
            .unwrap(),
        home,
    )
}

pub(super) async fn state(db: &Db, task: &str) -> Option<TaskState> {
    let sql = db.sql("SELECT state FROM task_instance WHERE task_id = ? AND map_index = -1").bind(task);
    db.one(sql).await.unwrap().unwrap().state_opt("state").unwrap()
}

pub(super) async fn run_state(db: &Db) -> String {
    first(db, "SELECT state FROM dag_run WHERE run_id = 'r'").await.text("state").unwrap()
}

fn empty() -> Value {
    json!({"_is_empty": true})
}

#[test]
fn a_chain_of_empty_tasks_ends_in_one_round() {
    on_each_database(async |db| {
        let version = dag(db, &[("a", &["b"], empty()), ("b", &["c"], empty()), ("c", &[], empty())]).await;
        run(db, version, &["a", "b", "c"].map(waiting)).await;
        let (mut scheduler, _home) = scheduler(db, 4).await;

        scheduler.tick_now().await.unwrap();

        assert_eq!(run_state(db).await, "success");
        assert_eq!(state(db, "c").await, Some(TaskState::Success));
    });
}

#[test]
fn a_run_of_many_tasks_is_carried_on_in_portions_and_lets_others_in_between() {
    on_each_database(async |db| {
        let names = ["a", "b", "c", "d", "e"];
        let version = dag(db, &names.map(|name| (name, &[][..], empty()))).await;
        run(db, version, &names.map(waiting)).await;
        NewRun { logical_date: testing::at(60), ..NewRun::new("d", "other") }.insert(db).await;
        NewTi { try_number: 0, ..NewTi::new("d", "other", "a").state(None) }.insert(db).await;
        db.exec(db.sql("UPDATE task_instance SET dag_version_id = ?").bind(version)).await.unwrap();
        let (mut scheduler, _home) = scheduler(db, 4).await;
        scheduler.options.changes_per_pass = 2;
        let done = "SELECT count(*) AS n FROM task_instance WHERE state = 'success' AND run_id = 'r'";
        let other = "SELECT state FROM dag_run WHERE run_id = 'other'";

        let mut seen = Vec::new();
        while run_state(db).await == "running" {
            scheduler.tick_now().await.unwrap();
            let other = first(db, other).await.text("state").unwrap();
            seen.push((first(db, done).await.int("n").unwrap(), other));
        }

        let seen: Vec<_> = seen.iter().map(|(done, other)| (*done, other.as_str())).collect();
        assert_eq!(seen, [(2, "running"), (3, "success"), (5, "success")]);
    });
}

#[test]
fn to_read_a_large_dag_is_enough_for_one_round() {
    on_each_database(async |db| {
        let version = dag(db, &["a", "b", "c"].map(|name| (name, &[][..], empty()))).await;
        run(db, version, &["a", "b", "c"].map(waiting)).await;
        let (mut scheduler, _home) = scheduler(db, 4).await;
        scheduler.options.tasks_read_per_pass = 3;

        scheduler.tick_now().await.unwrap();
        assert_eq!(state(db, "a").await, None);
        assert!(scheduler.agenda.has_work());

        // Also when it has to be read again.
        scheduler.bag = DagBag::of_scheduler();
        scheduler.tick_now().await.unwrap();
        assert_eq!(run_state(db).await, "success");
    });
}

#[test]
fn ready_tasks_are_queued_as_far_as_there_are_slots() {
    on_each_database(async |db| {
        let version = dag(
            db,
            &[("a", &[], json!({})), ("b", &[], json!({})), ("c", &["d"], json!({})), ("d", &[], json!({}))],
        )
        .await;
        run(db, version, &["a", "b", "c", "d"].map(waiting)).await;
        let (mut scheduler, _home) = scheduler(db, 2).await;

        scheduler.tick_now().await.unwrap();

        let queued =
            "SELECT count(*) AS n FROM task_instance WHERE state = 'queued' AND queued_by_job_id IS NOT NULL";
        assert_eq!(first(db, queued).await.int("n").unwrap(), 2);
        let scheduled =
            "SELECT count(*) AS n FROM task_instance WHERE state = 'scheduled' AND try_number = 1";
        assert_eq!(first(db, scheduled).await.int("n").unwrap(), 1);
        assert_eq!(state(db, "d").await, None);
        assert!(scheduler.executors.rooms().values().all(|free| free.batch == 0));
    });
}

#[test]
fn a_failure_reaches_all_tasks_after_it_and_ends_the_run_with_its_callback() {
    on_each_database(async |db| {
        let version =
            dag(db, &[("a", &["b"], json!({})), ("b", &["c"], json!({})), ("c", &[], json!({}))]).await;
        run(db, version, &[NewTi::new("d", "r", "a").state(TaskState::Failed), waiting("b"), waiting("c")])
            .await;
        let (mut scheduler, _home) = scheduler(db, 4).await;

        scheduler.tick_now().await.unwrap();

        assert_eq!(state(db, "c").await, Some(TaskState::UpstreamFailed));
        assert_eq!(run_state(db).await, "failed");
        assert_eq!(count(db, "callback").await, 0, "the Dag has no callback");
    });
}

#[test]
fn a_task_whose_process_died_without_a_word_is_tried_again() {
    on_each_database(async |db| {
        let version = dag(db, &[("a", &[], json!({"retries": 1}))]).await;
        run(db, version, &[NewTi::new("d", "r", "a").state(TaskState::Running).retries(1)]).await;
        let (mut scheduler, _home) = scheduler(db, 4).await;
        let adopt = db.sql("UPDATE task_instance SET queued_by_job_id = ?").bind(scheduler.job);
        db.exec(adopt).await.unwrap();

        let ended = told(key("a", 1), Report::Success);
        scheduler.process_ended(&[ended], testing::at(60)).await.unwrap();

        assert_eq!(state(db, "a").await, Some(TaskState::UpForRetry));
        assert_eq!(count(db, "task_instance_history").await, 1);
        let log = "SELECT count(*) AS n FROM log WHERE event IN ('state mismatch', 'failed')";
        assert_eq!(first(db, log).await.int("n").unwrap(), 2);
    });
}

#[test]
fn a_task_of_a_pinned_run_fails_as_the_version_of_its_run_says() {
    on_each_database(async |db| {
        let version = dag(db, &[("a", &[], json!({"retries": 1}))]).await;
        run(db, version, &[NewTi::new("d", "r", "a").state(TaskState::Running).retries(1)]).await;
        // The newest version does not have the task any more.
        dag_version(db, &[]).await;
        let (mut scheduler, _home) = scheduler(db, 4).await;
        let adopt = db.sql("UPDATE task_instance SET queued_by_job_id = ?").bind(scheduler.job);
        db.exec(adopt).await.unwrap();
        let pin =
            db.sql("UPDATE dag_run SET bundle_version = 'abc', created_dag_version_id = ?").bind(version);
        db.exec(pin).await.unwrap();

        let ended = told(key("a", 1), Report::Success);
        scheduler.process_ended(&[ended], testing::at(60)).await.unwrap();

        assert_eq!(state(db, "a").await, Some(TaskState::UpForRetry));
    });
}

#[test]
fn a_task_that_was_cleared_while_it_ran_starts_again_though_its_row_has_a_new_id() {
    on_each_database(async |db| {
        let version = dag(db, &[("a", &[], json!({}))]).await;
        run(db, version, &[NewTi::new("d", "r", "a").state(TaskState::Restarting)]).await;
        let (mut scheduler, _home) = scheduler(db, 4).await;
        let adopt = db.sql("UPDATE task_instance SET queued_by_job_id = ?").bind(scheduler.job);
        db.exec(adopt).await.unwrap();

        let ended = told(key("a", 1), Report::Success);
        scheduler.process_ended(&[ended], testing::at(60)).await.unwrap();

        assert_eq!(state(db, "a").await, None);
    });
}

#[test]
fn a_task_cleared_while_it_ran_has_its_retries_anew_unless_it_has_a_callback() {
    on_each_database(async |db| {
        let called = json!({"retries": 1, "has_on_retry_callback": true});
        let version = dag(db, &[("plain", &[], json!({"retries": 1})), ("called", &[], called)]).await;
        let cleared = |task| NewTi::new("d", "r", task).state(TaskState::Restarting).retries(1);
        run(db, version, &[cleared("plain"), cleared("called")]).await;
        let (mut scheduler, _home) = scheduler(db, 4).await;
        let adopt = db.sql("UPDATE task_instance SET queued_by_job_id = ?").bind(scheduler.job);
        db.exec(adopt).await.unwrap();

        let ended = ["plain", "called"].map(|task| told(key(task, 1), Report::Success));
        scheduler.process_ended(&ended, testing::at(60)).await.unwrap();

        let tries = "SELECT max_tries FROM task_instance WHERE state IS NULL ORDER BY task_id";
        let rows = db.all(db.sql(tries)).await.unwrap();
        let tries: Vec<_> = rows.iter().map(|row| row.int("max_tries").unwrap()).collect();
        assert_eq!(tries, [1, 2]);
    });
}

#[test]
fn a_task_that_reported_its_own_end_is_left_alone() {
    on_each_database(async |db| {
        let version = dag(db, &[("a", &[], json!({}))]).await;
        run(db, version, &[NewTi::new("d", "r", "a").state(TaskState::Scheduled)]).await;
        let (mut scheduler, _home) = scheduler(db, 4).await;

        let ended = told(key("a", 1), Report::Settled);
        scheduler.process_ended(&[ended], testing::at(60)).await.unwrap();

        assert_eq!(state(db, "a").await, Some(TaskState::Scheduled));
        assert_eq!(count(db, "log").await, 0);
    });
}

#[test]
fn a_mapped_task_gets_its_copies_and_they_are_queued_in_the_same_round() {
    on_each_database(async |db| {
        let expand = json!({"type": "dict-of-lists", "value": {"__type": "dict", "__var": {"x": {"__type": "xcomref", "__var": {"task_id": "a", "key": "return_value"}}}}});
        let mapped = json!({"_is_mapped": true, "_needs_expansion": true, "partial_kwargs": {}, "expand_input": expand, "_expand_input_attr": "expand_input"});
        let version = dag(db, &[("a", &["m"], json!({})), ("m", &[], mapped)]).await;
        run(db, version, &[NewTi::new("d", "r", "a").state(TaskState::Success), waiting("m")]).await;
        let length = vec![
            ("dag_id", "d".into()),
            ("task_id", "a".into()),
            ("run_id", "r".into()),
            ("map_index", MapIndex::UNMAPPED.into()),
            ("length", 3.into()),
        ];
        insert(db, "task_map", length).await;
        let (mut scheduler, _home) = scheduler(db, 8).await;

        scheduler.tick_now().await.unwrap();

        let copies = "SELECT count(*) AS n FROM task_instance WHERE task_id = 'm' AND map_index BETWEEN 0 AND 2 AND state = 'queued'";
        assert_eq!(first(db, copies).await.int("n").unwrap(), 3);
    });
}

#[test]
fn a_run_of_the_future_is_left_as_it_is() {
    on_each_database(async |db| {
        let version = dag(db, &[("a", &[], json!({}))]).await;
        run(db, version, &[waiting("a")]).await;
        db.exec(db.sql("UPDATE dag_run SET logical_date = ?").bind(testing::at(5_000_000_000)))
            .await
            .unwrap();
        let (mut scheduler, _home) = scheduler(db, 8).await;

        scheduler.tick_now().await.unwrap();

        assert_eq!(state(db, "a").await, None);
        let looks = "SELECT count(*) AS n FROM dag_run WHERE last_scheduling_decision IS NOT NULL OR scheduled_by_job_id IS NOT NULL";
        assert_eq!(first(db, looks).await.int("n").unwrap(), 0);
    });
}

#[test]
fn tasks_that_cannot_run_do_not_stand_in_the_way_of_others_of_their_run() {
    on_each_database(async |db| {
        let one_at_a_time = json!({"max_active_tis_per_dag": 1});
        let version = dag(db, &[("many", &[], one_at_a_time), ("z", &[], json!({}))]).await;
        let copies = (0..20).map(|index| waiting("many").copy(index));
        run(db, version, &copies.chain([waiting("z")]).collect::<Vec<_>>()).await;
        let urgent = "UPDATE task_instance SET state = 'scheduled', try_number = 1, \
             priority_weight = CASE WHEN task_id = 'many' THEN 10 ELSE 1 END";
        db.exec(db.sql(urgent)).await.unwrap();
        db.exec(db.sql("UPDATE dag SET has_task_concurrency_limits = ?").bind(true)).await.unwrap();
        let (mut scheduler, _home) = scheduler(db, 32).await;

        scheduler.tick_now().await.unwrap();

        assert_eq!(state(db, "z").await, Some(TaskState::Queued));
        let many = "SELECT count(*) AS n FROM task_instance WHERE task_id = 'many' AND state = 'queued'";
        assert_eq!(first(db, many).await.int("n").unwrap(), 1);
    });
}

#[test]
fn copies_are_of_the_version_of_the_row_that_they_come_from() {
    on_each_database(async |db| {
        let expand = json!({"type": "dict-of-lists", "value": {"__type": "dict", "__var": {"x": [1, 2, 3]}}});
        let mapped = json!({"_is_mapped": true, "_needs_expansion": true, "partial_kwargs": {}, "expand_input": expand, "_expand_input_attr": "expand_input"});
        let tasks: &[(&str, &[&str], Value)] = &[("a", &["m"], json!({})), ("m", &[], mapped)];
        let older = dag(db, tasks).await;
        run(db, older, &[NewTi::new("d", "r", "a").state(TaskState::Success), waiting("m")]).await;
        let newer = dag_version(db, tasks).await;
        let moved = db.sql("UPDATE task_instance SET dag_version_id = ? WHERE task_id = 'a'").bind(newer);
        db.exec(moved).await.unwrap();
        let (mut scheduler, _home) = scheduler(db, 8).await;

        scheduler.tick_now().await.unwrap();

        let copies = "SELECT count(*) AS n FROM task_instance WHERE task_id = 'm' AND map_index BETWEEN 0 AND 2 AND dag_version_id = ?";
        let copies = db.one(db.sql(copies).bind(older)).await.unwrap().unwrap();
        assert_eq!(copies.int("n").unwrap(), 3);
    });
}

pub(super) fn key(task: &str, try_number: i32) -> slipstream_core::ids::TiKey {
    slipstream_core::ids::TiKey {
        dag_id: "d".into(),
        task_id: task.into(),
        run_id: "r".into(),
        try_number,
        map_index: MapIndex::UNMAPPED,
    }
}

#[test]
fn a_row_in_an_unknown_state_stops_only_its_own_run() {
    on_each_database(async |db| {
        let version = dag(db, &[("a", &[], json!({})), ("b", &[], json!({}))]).await;
        NewRun { logical_date: testing::at(60), ..NewRun::new("d", "odd") }.insert(db).await;
        NewTi::new("d", "odd", "a").insert(db).await;
        run(db, version, &["a", "b"].map(waiting)).await;
        let odd = "UPDATE task_instance SET state = 'paused_forever' WHERE run_id = 'odd'";
        db.exec(db.sql(odd)).await.unwrap();
        let (mut scheduler, _home) = scheduler(db, 8).await;

        scheduler.tick_now().await.unwrap();

        let queued = "SELECT count(*) AS n FROM task_instance WHERE run_id = 'r' AND state = 'queued'";
        assert_eq!(first(db, queued).await.int("n").unwrap(), 2);
        let run = first(db, "SELECT state FROM dag_run WHERE run_id = 'odd'").await;
        assert_eq!(run.text("state").unwrap(), "running");
    });
}

#[test]
fn a_clock_that_is_set_back_holds_nothing_up() {
    on_each_database(async |db| {
        let (mut scheduler, _home) = scheduler(db, 1).await;
        let now = chrono::Utc::now();
        scheduler.tick(now + chrono::TimeDelta::hours(1)).await.unwrap();
        let version = dag(db, &[("a", &[], json!({}))]).await;
        run(db, version, &[waiting("a")]).await;

        assert!(scheduler.wake_at(now) <= scheduler.options.poll);
        scheduler.tick(now).await.unwrap();

        assert_eq!(state(db, "a").await, Some(TaskState::Queued));
        let job = first(db, "SELECT latest_heartbeat FROM job").await;
        let behind = now - job.time_opt("latest_heartbeat").unwrap().unwrap();
        assert!(behind.abs() < chrono::TimeDelta::seconds(1), "{behind}");
    });
}

#[test]
fn a_run_of_a_dag_paused_meanwhile_ends_soon_after_its_last_task() {
    on_each_database(async |db| {
        let version = dag(db, &[("a", &[], json!({}))]).await;
        run(db, version, &[waiting("a")]).await;
        let (mut scheduler, _home) = scheduler(db, 1).await;
        scheduler.tick_now().await.unwrap();
        assert_eq!(state(db, "a").await, Some(TaskState::Queued));
        db.exec(db.sql("UPDATE dag SET is_paused = ?").bind(true)).await.unwrap();
        let ended = "UPDATE task_instance SET state = 'success', end_date = ?, updated_at = ?";
        let now = chrono::Utc::now();
        db.exec(db.sql(ended).bind(now).bind(now)).await.unwrap();

        let soon = now + chrono::TimeDelta::seconds(20);
        while run_state(db).await == "running" && chrono::Utc::now() < soon {
            scheduler.agenda.look_at_named("d".into(), "r".into());
            scheduler.tick_now().await.unwrap();
        }

        assert_eq!(run_state(db).await, "success");
    });
}

#[test]
fn a_run_that_waits_for_an_earlier_one_goes_on_as_soon_as_that_does() {
    on_each_database(async |db| {
        let version = dag(db, &[("a", &[], json!({"depends_on_past": true}))]).await;
        NewRun { logical_date: at(3600), ..NewRun::new("d", "later") }.insert(db).await;
        let later = NewTi { try_number: 0, ..NewTi::new("d", "later", "a").state(None) };
        run(db, version, &[waiting("a"), later]).await;
        let (mut scheduler, _home) = scheduler(db, 8).await;
        let state = async |run: &str| {
            let sql = db.sql("SELECT state FROM task_instance WHERE run_id = ?").bind(run);
            db.one(sql).await.unwrap().unwrap().state_opt::<TaskState>("state").unwrap()
        };
        scheduler.tick_now().await.unwrap();
        assert_eq!((state("r").await, state("later").await), (Some(TaskState::Queued), None));

        let ended =
            "UPDATE task_instance SET state = 'success', end_date = ?, updated_at = ? WHERE run_id = 'r'";
        let now = chrono::Utc::now();
        db.exec(db.sql(ended).bind(now).bind(now)).await.unwrap();
        // As the worker says it, and no word of the other run.
        scheduler.agenda.look_at_named("d".into(), "r".into());
        for _ in 0..3 {
            scheduler.tick_now().await.unwrap();
        }

        assert_eq!(state("later").await, Some(TaskState::Queued));
    });
}

#[test]
fn a_pause_while_a_run_starts_counts_after_its_first_tasks() {
    on_each_database(async |db| {
        let version = dag(db, &[("a", &["b"], json!({})), ("b", &[], json!({}))]).await;
        run(db, version, &["a", "b"].map(waiting)).await;
        db.exec(db.sql("UPDATE dag_run SET state = 'queued', start_date = NULL")).await.unwrap();
        let (mut scheduler, _home) = scheduler(db, 8).await;
        scheduler.start_runs(chrono::Utc::now()).await.unwrap();
        db.exec(db.sql("UPDATE dag SET is_paused = ?").bind(true)).await.unwrap();

        scheduler.tick_now().await.unwrap();

        assert_eq!(state(db, "a").await, Some(TaskState::Queued));
        let ended =
            "UPDATE task_instance SET state = 'success', end_date = ?, updated_at = ? WHERE task_id = 'a'";
        let now = chrono::Utc::now();
        db.exec(db.sql(ended).bind(now).bind(now)).await.unwrap();
        scheduler.agenda.look_at_named("d".into(), "r".into());
        scheduler.tick_now().await.unwrap();
        assert_eq!(state(db, "b").await, None);
    });
}
