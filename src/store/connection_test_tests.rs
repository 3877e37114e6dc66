//! The life of a test of a connection in its table.

use chrono::TimeDelta;
use uuid::Uuid;

use super::connection_tests::{self, BeginError, Finding, PendingTest, Verdict};
use super::secrets::{self, Access};
use super::secrets::{Cipher, NoBackend, Sources};
use super::testing::{at, first, insert, on_each_database};
use super::{Conn, Db};
use crate::store::execution::MultiTeam;

/// A request as the api-server writes it; secrets are encrypted as `cipher` does it.
async fn asked(db: &Db, name: &str, state: &str, keep: bool, cipher: &Cipher) -> Uuid {
    let id = Uuid::now_v7();
    let (password, _) = cipher.encrypt("s3cret");
    let (extra, _) = cipher.encrypt(r#"{"a": 1}"#);
    let values = vec![
        ("id", id.into()),
        ("token", format!("token of {name}").into()),
        ("connection_id", name.into()),
        ("active_connection_id", name.into()),
        ("state", state.into()),
        ("created_at", at(0).into()),
        ("updated_at", at(0).into()),
        ("conn_type", "http".into()),
        ("host", "h.example".into()),
        ("port", 81.into()),
        ("password", password.into()),
        ("is_encrypted", true.into()),
        ("extra", extra.into()),
        ("is_extra_encrypted", true.into()),
        ("commit_on_success", keep.into()),
    ];
    insert(db, "connection_test_request", values).await;
    id
}

fn cipher() -> Cipher {
    Cipher::new(&fernet::Fernet::generate_key()).unwrap()
}

async fn row(db: &Db, name: &str) -> (String, Option<String>, Option<String>) {
    let row = first(
        db,
        &format!(
            "SELECT state, result_message, active_connection_id FROM connection_test_request WHERE connection_id = '{name}'"
        ),
    )
    .await;
    (
        row.text("state").unwrap(),
        row.text_opt("result_message").unwrap(),
        row.text_opt("active_connection_id").unwrap(),
    )
}

fn works(message: &str) -> Verdict {
    Verdict { finding: Finding::Works, message: Some(message.to_owned()) }
}

#[test]
fn a_test_that_takes_too_long_says_how_far_it_came() {
    on_each_database(async |db| {
        for (name, state) in [("a", "queued"), ("b", "running"), ("c", "success")] {
            asked(db, name, state, false, &cipher()).await;
        }
        let tx = db.begin().await.unwrap();
        let reaped = connection_tests::reap(&tx, 60, at(0) + TimeDelta::seconds(91)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(reaped.len(), 2);
        let (_, message, active) = row(db, "a").await;
        assert!(message.unwrap().contains("queued but never started"));
        assert_eq!(active, None);
    });
}

#[test]
fn the_longest_waiting_tests_are_handed_on_first() {
    on_each_database(async |db| {
        let first = asked(db, "a", "pending", false, &cipher()).await;
        asked(db, "b", "pending", false, &cipher()).await;
        db.exec(
            db.sql("UPDATE connection_test_request SET created_at = ? WHERE connection_id = 'b'").bind(at(9)),
        )
        .await
        .unwrap();
        let tx = db.begin().await.unwrap();
        let pending = connection_tests::pending(&tx, 1).await.unwrap();
        let expected =
            PendingTest { id: first, connection_id: "a".to_owned(), executor: None, queue: None, team: None };
        assert_eq!(pending, [expected]);
        connection_tests::queue(&tx, first, at(10)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(row(db, "a").await, ("queued".to_owned(), None, Some("a".to_owned())));
        assert_eq!(connection_tests::waiting(db).await.unwrap(), (1, 1));
    });
}

#[test]
fn a_test_is_begun_once_and_its_secrets_are_read() {
    on_each_database(async |db| {
        let cipher = cipher();
        let id = asked(db, "a", "queued", false, &cipher).await;
        let connection = connection_tests::begin(db, &cipher, id, at(1)).await.unwrap();
        assert_eq!((connection.conn_id.as_str(), connection.password.as_deref()), ("a", Some("s3cret")));
        assert_eq!(connection.extra.as_deref(), Some(r#"{"a": 1}"#));
        assert_eq!(row(db, "a").await.0, "running");
        let again = connection_tests::begin(db, &cipher, id, at(1)).await;
        assert!(matches!(again, Err(BeginError::Begun { .. })));
        let gone = connection_tests::begin(db, &cipher, Uuid::now_v7(), at(1)).await;
        assert!(matches!(gone, Err(BeginError::Gone(_))));
    });
}

#[test]
fn a_test_whose_secrets_have_another_key_is_begun_and_can_be_failed() {
    on_each_database(async |db| {
        let id = asked(db, "a", "queued", false, &cipher()).await;
        let begun = connection_tests::begin(db, &cipher(), id, at(1)).await;
        assert!(matches!(begun, Err(BeginError::Cipher(_))));
        let verdict = Verdict { finding: Finding::Fails, message: Some("x".repeat(3000)) };
        connection_tests::finish(db, id, &verdict, at(2)).await.unwrap();
        let (state, message, active) = row(db, "a").await;
        assert_eq!((state.as_str(), message.unwrap().len(), active), ("failed", 2000, None));
    });
}

#[test]
fn a_connection_that_works_is_kept_where_that_was_asked_for() {
    on_each_database(async |db| {
        let cipher = cipher();
        let sources = Sources { cipher: cipher.clone(), ..Sources::default() };
        let access = Access { multi_team: MultiTeam::Off, team: None };
        let stored =
            async |name: &str| secrets::connection(db, &sources, &NoBackend, name, access).await.unwrap();
        for (name, keep) in [("new", true), ("not_kept", false)] {
            let id = asked(db, name, "running", keep, &cipher).await;
            connection_tests::finish(db, id, &works("fine"), at(2)).await.unwrap();
            assert_eq!(row(db, name).await, ("success".to_owned(), Some("fine".to_owned()), None));
        }
        let new = stored("new").await.unwrap();
        assert_eq!(
            (new.host.as_deref(), new.port, new.password.as_deref()),
            (Some("h.example"), Some(81), Some("s3cret"))
        );
        assert_eq!(stored("not_kept").await, None);

        // Once more: what is there is changed, but for a password that was not given.
        let id = asked(db, "again", "running", true, &cipher).await;
        let change = "UPDATE connection_test_request SET connection_id = 'new', host = 'other', password = NULL, extra = NULL, \
                      is_encrypted = ?, is_extra_encrypted = ? WHERE id = ?";
        db.exec(db.sql(change).bind(false).bind(false).bind(id)).await.unwrap();
        connection_tests::finish(db, id, &works("fine"), at(2)).await.unwrap();
        let new = stored("new").await.unwrap();
        assert_eq!(
            (new.host.as_deref(), new.password.as_deref(), new.extra),
            (Some("other"), Some("s3cret"), None)
        );
    });
}

#[test]
fn what_came_of_a_test_that_has_ended_is_not_written_again() {
    on_each_database(async |db| {
        let cipher = cipher();
        let id = asked(db, "a", "running", true, &cipher).await;
        let tx = db.begin().await.unwrap();
        connection_tests::fail(&tx, id, "too late", at(1)).await.unwrap();
        tx.commit().await.unwrap();
        connection_tests::finish(db, id, &works("fine"), at(2)).await.unwrap();
        assert_eq!(row(db, "a").await, ("failed".to_owned(), Some("too late".to_owned()), None));
    });
}
