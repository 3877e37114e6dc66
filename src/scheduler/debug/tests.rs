//! A scheduler that is asked about itself.

use serde_json::json;

use super::ask;
use crate::runtime::Shutdown;
use crate::scheduler::tests::{dag, run, scheduler_with, waiting};
use crate::store::own_tables;
use crate::store::testing::on_each_database;

#[test]
fn a_scheduler_says_what_it_waits_for_and_with_what() {
    on_each_database(async |db| {
        own_tables::migrate(db).await.unwrap();
        let version = dag(db, &[("a", &[], json!({}))]).await;
        run(db, version, &[waiting("a")]).await;
        let (mut scheduler, home) = scheduler_with(db, 4, None).await;
        scheduler.tick_now().await.unwrap();
        let socket = home.path().join("debug.sock");
        let (asker, shutdown) = Shutdown::by_hand();
        let desk = tokio::spawn(scheduler.desk().serve(socket.clone(), shutdown));

        let asking = tokio::spawn({
            let socket = socket.clone();
            async move {
                loop {
                    match ask(&socket).await {
                        Ok(dump) => return dump,
                        Err(_) => tokio::task::yield_now().await,
                    }
                }
            }
        });
        let question = scheduler.questions.recv().await.unwrap();
        scheduler.answer(question);
        let dump = asking.await.unwrap();

        let state = &dump.state;
        assert_eq!(state["pid"], std::process::id());
        assert_eq!(state["scheduler"]["runs"]["examined"], 1, "{state}");
        assert_eq!(state["scheduler"]["executors"][0]["occupied_slots"], 1);
        assert_eq!(state["pools"]["default_pool"]["queued"], 1);
        assert_eq!(state["events"], json!({"position": 0, "head": 0}));
        assert!(state["scheduler"]["due"].as_array().unwrap().len() > 10);
        assert!(state["connections"]["open"].as_i64().unwrap() >= 1);
        assert!(dump.text.contains("executor     LocalExecutor"), "{}", dump.text);
        asker.ask();
        desk.await.unwrap();
        assert!(!socket.exists());
    });
}

#[test]
fn a_loop_that_does_not_answer_does_not_keep_the_rest_from_being_said() {
    on_each_database(async |db| {
        let (scheduler, _home) = scheduler_with(db, 4, None).await;
        scheduler.progress.at("poll");
        let desk = scheduler.desk();
        drop(scheduler);
        let state = desk.state().await;
        assert_eq!((state.step.name, state.scheduler.is_none()), ("poll", true));
        assert!(state.to_string().contains("loop         does not answer"), "{state}");
        assert!(state.events.is_unknown(), "our tables are not made");
    });
}
