//! A person and a command at the same moment.

use super::*;

/// What a person does to a task instance, and what a command asks at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Clearing,
    Marking(TaskState),
}

/// Who comes first; together, the person after so many turns of the scheduler's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Person,
    Command,
    Together(usize),
}

/// As the API clears or marks a task instance: it locks the row, and decides by what it finds.
async fn person(db: &Db, by: By) {
    let tx = db.begin().await.unwrap();
    let text = format!(
        "SELECT id, state, try_number, max_tries FROM task_instance WHERE task_id = 's'{}",
        tx.dialect().pg(" FOR UPDATE")
    );
    let row = tx.one(tx.sql(&text)).await.unwrap().unwrap();
    let (id, state) = (row.uuid("id").unwrap(), row.state_opt("state").unwrap());
    let set = async |id: Uuid, state: Option<TaskState>| {
        let sql = tx.sql("UPDATE task_instance SET state = ?, updated_at = ? WHERE id = ?");
        tx.exec(sql.bind(state).bind(Utc::now()).bind(id)).await.unwrap();
    };
    match by {
        By::Marking(mark) => set(id, Some(mark)).await,
        By::Clearing if state == Some(TaskState::Running) => set(id, Some(TaskState::Restarting)).await,
        By::Clearing => {
            let renewed = history::prepare_db_for_next_try(&tx, &[id], Utc::now()).await.unwrap();
            set(renewed.first().map_or(id, |(_, new)| *new), None).await;
        }
    }
    // The run is touched last, as Airflow does; the scheduler holds it first.
    tx.exec(tx.sql("UPDATE dag_run SET updated_at = ? WHERE run_id = 'r'").bind(Utc::now())).await.unwrap();
    tx.commit().await.unwrap();
}

/// What is left when both have done theirs: the state, the try, and what became of the command.
async fn left(db: &Db, version: Uuid, action: &Value, (begin, by): (TaskState, By), who: Who) -> String {
    for table in
        ["slipstream_command", "slipstream_firing", "slipstream_event", "slipstream_execution", "xcom"]
    {
        db.exec(db.sql(&format!("DELETE FROM {table}"))).await.unwrap();
    }
    db.exec(db.sql("DELETE FROM task_instance_history")).await.unwrap();
    db.exec(db.sql("DELETE FROM task_instance")).await.unwrap();
    db.exec(db.sql("DELETE FROM dag_run")).await.unwrap();
    run(db, version, &[NewTi::new("d", "r", "s").state(begin), waiting("h")]).await;
    let (mut scheduler, _home) = scheduler(db).await;
    let command = command(db, "s", action, 7).await;
    match who {
        Who::Person => person(db, by).await,
        Who::Command => {
            look(&mut scheduler).await;
            person(db, by).await;
        }
        Who::Together(turns) => {
            let late = async {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
                person(db, by).await;
            };
            tokio::join!(look(&mut scheduler), late);
        }
    }
    for _ in 0..2 {
        look(&mut scheduler).await;
    }
    let row = first(db, "SELECT state, try_number FROM task_instance WHERE task_id = 's'").await;
    let (state, tries) = (row.text_opt("state").unwrap(), row.int("try_number").unwrap());
    let (past, status) = (count(db, "task_instance_history").await, status(db, command).await);
    format!("{state:?}, try {tries}, {past} before, command {status}")
}

#[test]
fn a_person_and_a_command_at_the_same_moment_leave_what_one_after_the_other_would() {
    on_each_database(async |db| {
        tables(db).await;
        let actions = [
            json!({"start": {"mode": "gate", "when_running": "queue"}}),
            json!({"stop": {"mark": "success"}}),
            json!({"restart": {"mode": "control"}}),
        ];
        for action in &actions {
            let version = dag_once(db, action).await;
            for begin in [TaskState::Running, TaskState::Success, TaskState::Deferred] {
                for by in [By::Clearing, By::Marking(TaskState::Success), By::Marking(TaskState::Failed)] {
                    let what = (begin, by);
                    let mut serial = Vec::new();
                    for who in [Who::Person, Who::Command] {
                        serial.push(left(db, version, action, what, who).await);
                    }
                    for turns in [0, 3, 10, 25] {
                        let raced = left(db, version, action, what, Who::Together(turns)).await;
                        assert!(
                            serial.contains(&raced),
                            "{action} while {what:?}, after {turns} turns: {raced}, but one after the other {serial:?}"
                        );
                    }
                }
            }
        }
    });
}

/// The Dag of the race, with another action in place of the one before.
async fn dag_once(db: &Db, action: &Value) -> Uuid {
    for table in ["slipstream_command", "task_instance_history", "task_instance", "dag_run"] {
        db.exec(db.sql(&format!("DELETE FROM {table}"))).await.unwrap();
    }
    for table in ["serialized_dag", "dag_version", "dag"] {
        db.exec(db.sql(&format!("DELETE FROM {table}"))).await.unwrap();
    }
    dag(db, &[("s", &[], on_event(action)), ("h", &[], on_event(&gate()))]).await
}
