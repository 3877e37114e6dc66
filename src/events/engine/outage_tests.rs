//! The engine as it runs, while its connections are cut again and again.

use chrono::Utc;
use serde_json::json;

use super::testing::{dag, engine, new_event, number, on, send, texts};
use crate::runtime::Shutdown;
use crate::store::testing::{Postgres, block_on, cut};

const EVENTS: i64 = 40;

#[test]
fn an_engine_whose_connections_are_cut_goes_on_and_loses_and_doubles_nothing() {
    block_on(async {
        let Some(postgres) = Postgres::create().await else { return };
        let db = postgres.connect().await;
        dag(&db, "d", &[json!({"version": 1, "on": on("drift"), "do": {"run": {}}})], &[("t", vec![])]).await;
        engine(&db).round(Utc::now()).await.unwrap();
        let engines_db = postgres.connect_to_be_cut().await;
        let engine = engine(&engines_db);
        let (log, (asker, shutdown)) = (engine.log.clone(), Shutdown::by_hand());
        let drive = async {
            for n in 0..EVENTS {
                send(&db, new_event("drift", json!({"n": n}))).await;
                // Now it waits for an event, now it is in the middle of one.
                if n % 4 == 0 {
                    while cut(&db).await == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                let made = number(&db, "SELECT count(*) AS n FROM dag_run").await;
                while n % 8 == 7
                    && number(&db, "SELECT count(*) AS n FROM dag_run").await == made
                    && made <= n
                {
                    tokio::task::yield_now().await;
                }
            }
            while number(&db, "SELECT position AS n FROM slipstream_cursor WHERE name = 'engine'").await
                < EVENTS
            {
                tokio::task::yield_now().await;
            }
            asker.ask();
        };
        tokio::join!(engine.run(shutdown.clone()), log.follow(&engines_db, &shutdown), drive);
        let told = texts(
            &db,
            "SELECT conf->'triggering_events'->0->'data'->>'n' AS t FROM dag_run ORDER BY CAST(\
             conf->'triggering_events'->0->>'position' AS bigint)",
        )
        .await;
        assert_eq!(told, (0..EVENTS).map(|n| n.to_string()).collect::<Vec<_>>());
        let firings = number(&db, "SELECT count(*) AS n FROM slipstream_firing WHERE status = 'done'").await;
        assert_eq!(firings, EVENTS);
        assert_eq!(number(&db, "SELECT count(*) AS n FROM slipstream_dead_letter").await, 0);
        engines_db.close().await;
        db.close().await;
        postgres.drop().await;
    });
}
