//! The statements of the duties, on every database that can be reached.

use serde_json::json;
use uuid::Uuid;

use slipstream_core::state::TaskState;

use super::{awaiting_input, backfills, heartbeats, metrics, orphans, stuck_in_queued, triggers};
use crate::store::audit_log;
use crate::store::failure::log_entry;
use crate::store::testing::{NewTi, at, count, first, insert, on_each_database, one_task};
use crate::store::{Conn, Db};

async fn job(db: &Db, id: i64, state: &str, heartbeat: i64) {
    let values = vec![
        ("id", id.into()),
        ("job_type", "SchedulerJob".into()),
        ("state", state.into()),
        ("latest_heartbeat", at(heartbeat).into()),
    ];
    insert(db, "job", values).await;
}

async fn set(db: &Db, text: &str, id: Uuid) {
    db.exec(db.sql(&format!("UPDATE task_instance SET {text} WHERE id = ?")).bind(id)).await.unwrap();
}

#[test]
fn task_instances_of_a_dead_scheduler_are_adopted_or_start_afresh() {
    on_each_database(async |db| {
        let lost = one_task(db, TaskState::Queued).await;
        let held = NewTi::new("d", "r", "held").state(TaskState::Running).insert(db).await;
        let never_queued = NewTi::new("d", "r", "free").insert(db).await;
        job(db, 1, "running", 0).await;
        job(db, 2, "running", 100).await;
        for id in [lost, held] {
            set(db, "queued_by_job_id = 1", id).await;
        }
        assert!(orphans::orphans(db).await.unwrap().is_empty());
        assert_eq!(orphans::fail_dead_schedulers(db, at(50)).await.unwrap(), 1);
        let tx = db.begin().await.unwrap();
        let found = orphans::orphans(&tx).await.unwrap();
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|orphan| orphan.id != never_queued));
        orphans::reset(&tx, &[lost], at(60)).await.unwrap();
        orphans::adopt(&tx, &[held], 2, at(60)).await.unwrap();
        tx.commit().await.unwrap();

        let row =
            first(db, "SELECT id, state, queued_by_job_id FROM task_instance WHERE task_id = 't'").await;
        assert_ne!(row.uuid("id").unwrap(), lost, "a new try has a new id");
        assert_eq!(row.text_opt("state").unwrap(), None);
        assert_eq!(row.int_opt("queued_by_job_id").unwrap(), None);
        let history = first(db, "SELECT task_instance_id, state FROM task_instance_history").await;
        assert_eq!(history.uuid("task_instance_id").unwrap(), lost);
        assert_eq!(history.text("state").unwrap(), "failed");
        let row =
            first(db, "SELECT queued_by_job_id, last_heartbeat_at FROM task_instance WHERE task_id = 'held'")
                .await;
        assert_eq!(row.int("queued_by_job_id").unwrap(), 2);
        assert_eq!(row.time("last_heartbeat_at").unwrap(), at(60));
    });
}

#[test]
fn a_trigger_that_is_late_wakes_its_task_to_fail_and_an_unused_one_goes() {
    on_each_database(async |db| {
        let ti = one_task(db, TaskState::Deferred).await;
        for id in [1_i64, 2] {
            let values = vec![
                ("id", id.into()),
                ("classpath", "a.B".into()),
                ("kwargs", "{}".into()),
                ("created_date", at(0).into()),
            ];
            insert(db, "trigger", values).await;
        }
        set(db, "trigger_id = 1", ti).await;
        let sql = db.sql("UPDATE task_instance SET trigger_timeout = ?").bind(at(10));
        db.exec(sql).await.unwrap();
        assert_eq!(triggers::delete_unreferenced(db).await.unwrap(), 1);
        assert_eq!(triggers::time_out(db, at(10)).await.unwrap(), 0);
        assert_eq!(triggers::time_out(db, at(11)).await.unwrap(), 1);
        let row = first(db, "SELECT state, next_method, next_kwargs, trigger_id FROM task_instance").await;
        assert_eq!(row.text("state").unwrap(), "scheduled");
        assert_eq!(row.text("next_method").unwrap(), "__fail__");
        assert_eq!(row.json("next_kwargs").unwrap(), json!({"error": "Trigger timeout"}));
        assert_eq!(row.int_opt("trigger_id").unwrap(), None);
        assert_eq!(triggers::delete_unreferenced(db).await.unwrap(), 1);
        assert_eq!(count(db, "task_instance").await, 1);
    });
}

#[test]
fn only_our_own_task_instances_without_heartbeat_are_silent() {
    on_each_database(async |db| {
        let ours = one_task(db, TaskState::Running).await;
        let theirs = NewTi::new("d", "r", "theirs").state(TaskState::Running).insert(db).await;
        let fresh = NewTi::new("d", "r", "fresh").state(TaskState::Running).insert(db).await;
        for (id, job, beat) in [(ours, 1_i64, 10), (theirs, 2, 10), (fresh, 1, 500)] {
            let sql = db
                .sql("UPDATE task_instance SET queued_by_job_id = ?, last_heartbeat_at = ? WHERE id = ?")
                .bind(job)
                .bind(at(beat))
                .bind(id);
            db.exec(sql).await.unwrap();
        }
        let silent = heartbeats::silent(db, 1, at(400)).await.unwrap();
        assert_eq!(silent.iter().map(|ti| ti.id).collect::<Vec<_>>(), [ours]);
    });
}

#[test]
fn a_stuck_task_instance_is_counted_since_it_last_ran() {
    on_each_database(async |db| {
        let ti = one_task(db, TaskState::Queued).await;
        let sql = db.sql("UPDATE task_instance SET queued_by_job_id = 1, queued_dttm = ?").bind(at(0));
        db.exec(sql).await.unwrap();
        let stuck = stuck_in_queued::stuck(db, 1, at(1)).await.unwrap();
        let [stuck] = stuck.as_slice() else { panic!("one is stuck") };
        let log = async |event: &str, seconds| {
            audit_log::write(db, at(seconds), &[log_entry(&stuck.key, event, None)]).await.unwrap();
        };
        log(stuck_in_queued::RESCHEDULE_EVENT, 1).await;
        log("running", 2).await;
        log(stuck_in_queued::RESCHEDULE_EVENT, 3).await;
        log(stuck_in_queued::RESCHEDULE_EVENT, 4).await;
        assert_eq!(stuck_in_queued::times_stuck(db, &stuck.key).await.unwrap(), 2);
        assert!(stuck_in_queued::schedule_again(db, stuck, at(5)).await.unwrap());
        assert!(!stuck_in_queued::schedule_again(db, stuck, at(5)).await.unwrap());
        set(db, "state = 'queued'", ti).await;
        assert!(stuck_in_queued::fail(db, stuck, at(6)).await.unwrap());
        let row = first(db, "SELECT state, start_date, end_date, duration FROM task_instance").await;
        assert_eq!(row.text("state").unwrap(), "failed");
        assert_eq!(row.time("end_date").unwrap(), at(6));
        assert_eq!(row.float_opt("duration").unwrap(), Some(0.0));
    });
}

#[test]
fn a_wait_for_a_person_ends_with_the_defaults_or_with_a_timeout() {
    on_each_database(async |db| {
        let with_defaults = one_task(db, TaskState::AwaitingInput).await;
        let without = NewTi::new("d", "r", "without").state(TaskState::AwaitingInput).insert(db).await;
        let sql = db
            .sql("UPDATE task_instance SET trigger_timeout = ?, next_method = 'execute_complete'")
            .bind(at(10));
        db.exec(sql).await.unwrap();
        for (id, defaults) in [(with_defaults, Some(json!(["yes"]))), (without, None)] {
            let values = vec![
                ("ti_id", id.into()),
                ("options", json!(["yes", "no"]).into()),
                ("subject", "?".into()),
                ("defaults", defaults.into()),
                ("params", json!({"a": {"value": 1}}).into()),
                ("params_input", json!({}).into()),
                ("created_at", at(0).into()),
            ];
            insert(db, "hitl_detail", values).await;
        }
        let tx = db.begin().await.unwrap();
        let counts = awaiting_input::time_out(&tx, at(11)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!((counts.resolved, counts.failed, counts.unresumable), (1, 1, 0));
        let row = first(db, "SELECT next_kwargs, state FROM task_instance WHERE task_id = 't'").await;
        let event = row.json("next_kwargs").unwrap()["event"].clone();
        assert_eq!(event["chosen_options"], json!(["yes"]));
        assert_eq!((&event["params_input"], &event["timedout"]), (&json!({"a": 1}), &json!(true)));
        assert_eq!(row.text("state").unwrap(), "scheduled");
        let row = first(db, "SELECT next_kwargs FROM task_instance WHERE task_id = 'without'").await;
        assert_eq!(row.json("next_kwargs").unwrap()["event"]["error_type"], "timeout");
        let row = first(db, "SELECT chosen_options FROM hitl_detail WHERE responded_at IS NOT NULL").await;
        assert_eq!(row.json("chosen_options").unwrap(), json!(["yes"]));
    });
}

#[test]
fn a_backfill_is_complete_when_its_runs_have_ended_but_not_while_it_is_set_up() {
    on_each_database(async |db| {
        one_task(db, TaskState::Running).await;
        let values = vec![
            ("id", 1_i64.into()),
            ("dag_id", "d".into()),
            ("from_date", at(0).into()),
            ("to_date", at(0).into()),
            ("dag_run_conf", json!({}).into()),
            ("is_paused", false.into()),
            ("reprocess_behavior", "none".into()),
            ("max_active_runs", 1_i64.into()),
            ("created_at", at(0).into()),
            ("updated_at", at(0).into()),
        ];
        insert(db, "backfill", values).await;
        assert_eq!(backfills::mark_complete(db, at(60)).await.unwrap(), 0, "it has no runs yet");
        db.exec(db.sql("UPDATE dag_run SET backfill_id = 1")).await.unwrap();
        assert_eq!(backfills::mark_complete(db, at(600)).await.unwrap(), 0, "its run goes on");
        db.exec(db.sql("UPDATE dag_run SET state = 'success'")).await.unwrap();
        assert_eq!(backfills::mark_complete(db, at(600)).await.unwrap(), 1);
    });
}

#[test]
fn the_use_of_pools_adds_up() {
    on_each_database(async |db| {
        one_task(db, TaskState::Running).await;
        NewTi::new("d", "r", "queued").insert(db).await;
        let pools = metrics::pools(db).await.unwrap();
        let pool = &pools["default_pool"];
        assert_eq!((pool.running, pool.queued, pool.open), (1, 1, Some(pool.total - 2)));
        assert_eq!(metrics::task_instances(db).await.unwrap().len(), 2);
        assert_eq!(metrics::running_runs(db).await.unwrap(), 1);
    });
}
