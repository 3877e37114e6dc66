//! Triggers that ask a Python function: exactly once, and in nobody's way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::Utc;
use serde_json::{Value, json};
use slipstream_core::event::{Event, Passes, Question, Reply};

use super::ask::Gate;
use super::python_lane::{Turn, TurnError};
use super::testing::{dag, engine, engine_with, new_event, number, on, send, texts};
use super::{Asker, Engine, PythonLane};
use crate::config::Config;
use crate::events::triggers::{self, NewExternal, Which};
use crate::store::db::failpoint;
use crate::store::testing::{NewRun, on_each_database};
use crate::store::{Conn, Db};

fn asks(key: &str, action: Value) -> Value {
    json!({"version": 1, "name": "py", "on": {"python": {"of": on(key), "function": "checks.enough"}}, "do": action})
}

/// Adds up `data.n` and accepts the event at which it has come to 10.
fn sum(question: &Question, event: &Event) -> Result<Reply, String> {
    let n = event.data["n"].as_i64().ok_or("no number")?;
    let total = question.state.as_i64().unwrap_or(0) + n;
    Ok(match total >= 10 {
        true => Reply { passes: Passes::Yes, state: json!(0) },
        false => Reply { passes: Passes::No, state: json!(total) },
    })
}

async fn lane(db: &Db, asker: Asker) -> (Engine, PythonLane) {
    let mut engine = engine_with(db, asker);
    engine.round(Utc::now()).await.unwrap();
    let lane = engine.python_lane();
    (engine, lane)
}

async fn numbers(db: &Db, numbers: &[i64]) {
    for n in numbers {
        send(db, new_event("n", json!({"n": n}))).await;
    }
}

async fn until_idle(lane: &mut PythonLane) {
    while lane.round(Utc::now()).await.unwrap() != Turn::Idle {}
}

const RUNS: &str = "SELECT count(*) AS n FROM dag_run WHERE run_type = 'manual'";
const CURSOR: &str = "SELECT position AS n FROM slipstream_cursor WHERE name LIKE 'python/%'";

#[test]
fn a_function_with_a_memory_makes_one_run_each_time_it_says_so() {
    on_each_database(async |db| {
        dag(db, "d", &[asks("n", json!({"run": {}}))], &[("t", vec![])]).await;
        let (mut engine, mut lane) = lane(db, Asker::script(sum)).await;
        numbers(db, &[4, 5, 6, 1, 20]).await;
        assert_eq!(lane.round(Utc::now()).await.unwrap(), Turn::Idle, "the engine goes ahead");
        engine.round(Utc::now()).await.unwrap();
        assert_eq!(number(db, RUNS).await, 0, "the engine itself does not ask");
        until_idle(&mut lane).await;
        assert_eq!(number(db, RUNS).await, 2);
        assert_eq!(number(db, CURSOR).await, 5);
        let verdicts = texts(db, "SELECT verdict AS t FROM slipstream_decision ORDER BY position").await;
        assert_eq!(verdicts, ["not_matched", "not_matched", "fired", "not_matched", "fired"]);
    });
}

#[test]
fn while_a_function_is_asked_the_engine_and_other_triggers_go_on() {
    on_each_database(async |db| {
        let quick = json!({"version": 1, "name": "quick", "on": on("n"), "do": {"run": {}}});
        dag(db, "d", &[asks("n", json!({"run": {}})), quick], &[("t", vec![])]).await;
        let gate = Arc::<Gate>::default();
        let (mut engine, mut lane) = lane(db, Asker::script(sum).behind(&gate)).await;
        numbers(db, &[10]).await;
        engine.round(Utc::now()).await.unwrap();
        let meanwhile = async {
            gate.asked.notified().await;
            numbers(db, &[1]).await;
            engine.round(Utc::now()).await.unwrap();
            assert_eq!(number(db, RUNS).await, 2, "both events reached the other trigger");
            assert_eq!(number(db, CURSOR).await, 0);
            gate.open.notify_one();
        };
        let (turn, ()) = tokio::join!(lane.round(Utc::now()), meanwhile);
        assert_eq!(turn.unwrap(), Turn::Moved);
        assert_eq!((number(db, RUNS).await, number(db, CURSOR).await), (3, 1));
    });
}

#[test]
fn a_function_that_fails_parks_the_event_and_a_retry_asks_it_again() {
    on_each_database(async |db| {
        dag(db, "d", &[asks("n", json!({"run": {}}))], &[("t", vec![])]).await;
        let broken = Arc::new(AtomicUsize::new(1));
        let is_broken = broken.clone();
        let asker = Asker::script(move |question, event| {
            match (event.data["n"].as_i64(), is_broken.load(Ordering::SeqCst)) {
                (Some(7), 1) => Err("it raised".to_owned()),
                _ => sum(question, event),
            }
        });
        let (mut engine, mut lane) = lane(db, asker).await;
        numbers(db, &[2, 7, 1]).await;
        engine.round(Utc::now()).await.unwrap();
        until_idle(&mut lane).await;
        let errors = texts(db, "SELECT error AS t FROM slipstream_dead_letter WHERE status = 'parked'").await;
        assert_eq!(errors, ["the Python function `checks.enough` failed: it raised"]);
        assert_eq!((number(db, RUNS).await, number(db, CURSOR).await), (0, 3), "others go on");
        assert_eq!(triggers::retry(&mut engine, "d:py", Which::All, Utc::now()).await.unwrap(), 0);
        broken.store(0, Ordering::SeqCst);
        assert_eq!(triggers::retry(&mut engine, "d:py", Which::All, Utc::now()).await.unwrap(), 1);
        assert_eq!(number(db, RUNS).await, 1, "2 + 1 were remembered, and 7 more make it 10");
    });
}

#[test]
fn without_python_nothing_is_lost_and_nothing_is_parked() {
    on_each_database(async |db| {
        dag(db, "d", &[asks("n", json!({"run": {}}))], &[("t", vec![])]).await;
        let (mut engine, mut lane) = lane(db, Asker::nobody()).await;
        numbers(db, &[10]).await;
        engine.round(Utc::now()).await.unwrap();
        let failed = lane.round(Utc::now()).await.unwrap_err();
        assert!(matches!(failed, TurnError::NoPython(_)), "{failed}");
        assert_eq!(number(db, CURSOR).await, 0);
        let (_, mut another) = self::lane(db, Asker::script(sum)).await;
        until_idle(&mut another).await;
        assert_eq!(number(db, RUNS).await, 1);
        assert_eq!(number(db, "SELECT count(*) AS n FROM slipstream_dead_letter").await, 0);
    });
}

#[test]
fn two_schedulers_that_ask_at_once_fire_once() {
    on_each_database(async |db| {
        dag(db, "d", &[asks("n", json!({"run": {}}))], &[("t", vec![])]).await;
        let (mut engine, mut one) = lane(db, Asker::script(sum)).await;
        let (_, mut two) = lane(db, Asker::script(sum)).await;
        for _ in 0..5 {
            numbers(db, &[6, 6]).await;
            engine.round(Utc::now()).await.unwrap();
            let (first, second) = tokio::join!(one.round(Utc::now()), two.round(Utc::now()));
            first.and(second).unwrap();
            until_idle(&mut one).await;
        }
        assert_eq!(number(db, RUNS).await, 5);
        assert_eq!(number(db, "SELECT count(*) AS n FROM slipstream_firing").await, 5);
    });
}

#[test]
fn what_is_cut_off_anywhere_fires_once_all_the_same() {
    on_each_database(async |db| {
        dag(db, "d", &[asks("n", json!({"run": {}}))], &[("t", vec![])]).await;
        engine(db).round(Utc::now()).await.unwrap();
        let mut sent = 0;
        for statements in 0..60 {
            let (mut engine, mut cut) = lane(db, Asker::script(sum)).await;
            numbers(db, &[4, 6]).await;
            sent += 1;
            engine.round(Utc::now()).await.unwrap();
            failpoint::after(statements);
            let done = cut.round(Utc::now()).await;
            let was_cut = failpoint::off();
            assert_eq!(done.is_err(), was_cut, "{done:?}");
            let (_, mut next) = lane(db, Asker::script(sum)).await;
            until_idle(&mut next).await;
            assert_eq!(number(db, RUNS).await, sent, "cut off after {statements} statements");
            if !was_cut {
                assert!(statements > 10);
                return;
            }
        }
        panic!("a round has more than 60 statements");
    });
}

#[test]
fn a_task_is_commanded_in_each_run_by_what_the_function_remembers_there() {
    on_each_database(async |db| {
        let starts = asks("n", json!({"start": {"when_running": "queue"}}));
        dag(db, "d", &[], &[("t", vec![starts])]).await;
        let (mut engine, mut lane) = lane(db, Asker::script(sum)).await;
        let run = |run_id: &'static str, at| NewRun {
            logical_date: crate::store::testing::at(at),
            ..NewRun::new("d", run_id)
        };
        let now = async |run_id: &str| {
            let sql = db.sql("UPDATE dag_run SET created_at = ?, updated_at = ? WHERE run_id = ?");
            db.exec(sql.bind(Utc::now()).bind(Utc::now()).bind(run_id)).await.unwrap();
        };
        run("one", 1).insert(db).await;
        now("one").await;
        numbers(db, &[5]).await;
        engine.round(Utc::now()).await.unwrap();
        run("two", 2).insert(db).await;
        now("two").await;
        engine.adopt_new_runs(Utc::now()).await.unwrap();
        numbers(db, &[5, 5]).await;
        engine.round(Utc::now()).await.unwrap();
        until_idle(&mut lane).await;
        let commands = texts(db, "SELECT run_id AS t FROM slipstream_command ORDER BY id").await;
        assert_eq!(commands, ["one", "two"]);
        let at = "SELECT position AS n FROM slipstream_firing ORDER BY position";
        let at: Vec<i64> =
            db.all(db.sql(at)).await.unwrap().iter().map(|row| row.int("n").unwrap()).collect();
        assert_eq!(at, [2, 3]);
    });
}

#[test]
fn code_from_outside_is_refused() {
    on_each_database(async |db| {
        dag(db, "d", &[], &[("t", vec![])]).await;
        let new = NewExternal {
            name: "x".to_owned(),
            dag_id: "d".into(),
            task_id: None,
            spec: asks("n", json!({"run": {}})),
        };
        let refused = triggers::add(db, &new, Utc::now()).await.unwrap_err();
        assert!(refused.to_string().contains("only be in the file of a Dag"), "{refused}");
    });
}

/// The process itself, with functions that are well, slow, wrong, and deadly.
#[tokio::test]
async fn a_real_function_is_called_with_its_limit_and_survived() {
    let config = Config::from_pairs(&[("slipstream", "python", ".venv/bin/python")]).unwrap();
    let asker = Asker::python(&config);
    let event = super::testing::event(1, "n");
    let ask = async |source: &str, state: Value| {
        let predicate = json!({"python": {"of": on("n"), "function": "f", "source": source, "limit": 2.0}});
        let spec = slipstream_core::event::TriggerSpec::from_json(
            &json!({"version": 1, "on": predicate, "do": {"run": {}}}),
        );
        let mut questions =
            slipstream_core::event::questions(&spec.unwrap(), &Default::default(), &event).unwrap();
        questions[0].state = state;
        let part = questions[0].part;
        asker.ask(&questions, &event).await.unwrap().map(|answers| answers[&part].clone())
    };
    let counts = "def f(event, state: Unknown):\n    state = (state or 0) + 1\n    return state > 1, state\n";
    assert_eq!(ask(counts, Value::Null).await, Ok(Reply { passes: Passes::No, state: json!(1) }));
    assert_eq!(ask(counts, json!(1)).await, Ok(Reply { passes: Passes::Yes, state: json!(2) }));
    let key = "def f(event, state):\n    return event['key'] == 'n'\n";
    assert_eq!(ask(key, json!([1])).await, Ok(Reply { passes: Passes::Yes, state: json!([1]) }));
    let problem = async |source: &str| ask(source, Value::Null).await.unwrap_err().to_string();
    let slow = "def f(event, state):\n    import time\n    time.sleep(600)\n";
    assert!(problem(slow).await.contains("it took longer than 2 s"));
    assert!(problem("def f(event, state):\n    return 1 / 0\n").await.contains("ZeroDivisionError"));
    assert!(problem("def f(event, state):\n    return 'yes'\n").await.contains("must return True or False"));
    assert!(problem("def f(event, state):\n    return True, {1, 2}\n").await.contains("is not JSON"));
    assert!(
        problem("def f(event, state):\n    import os\n    os._exit(1)\n").await.contains("its process ended")
    );
    assert_eq!(ask(counts, json!(1)).await, Ok(Reply { passes: Passes::Yes, state: json!(2) }));
}
