//! Secrets from all sources, and connections compared with Airflow's own class.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value as Json, json};

use super::*;
use crate::store::testing::{self, insert, on_each_database};

fn access() -> Access<'static> {
    Access { multi_team: MultiTeam::Off, team: None }
}

fn cipher() -> Cipher {
    Cipher::new(&fernet::Fernet::generate_key()).unwrap()
}

#[test]
fn a_bad_key_is_refused() {
    assert!(matches!(Cipher::new("too-short"), Err(CipherError::BadKey(_))));
}

#[test]
fn a_secret_needs_the_key_that_it_was_stored_with() {
    let (first, second) = (fernet::Fernet::generate_key(), fernet::Fernet::generate_key());
    let (token, form) = Cipher::new(&first).unwrap().encrypt("s3cret");
    let both = Cipher::new(&format!("{second},{first}")).unwrap();
    assert_eq!(both.decrypt(&token, form).unwrap(), "s3cret");
    assert_eq!(Cipher::new(&second).unwrap().decrypt(&token, form), Err(CipherError::WrongKey));
    assert_eq!(Cipher::default().decrypt(&token, form), Err(CipherError::NoKey));
}

#[test]
fn the_environment_goes_before_the_database() {
    on_each_database(async |db| {
        let environment = Environment::new([("AIRFLOW_VAR_REGION".to_owned(), "from-env".to_owned())]);
        let sources = Sources { environment, cipher: cipher() };
        put_variable(db, &sources.cipher, "region", "from-db", None, None).await.unwrap();
        put_variable(db, &sources.cipher, "zone", "old", Some("where"), None).await.unwrap();
        put_variable(db, &sources.cipher, "zone", "b", None, None).await.unwrap();
        let region = variable(db, &sources, &NoBackend, "region", access()).await.unwrap();
        assert_eq!(region.as_deref(), Some("from-env"));
        let zone = variable(db, &sources, &NoBackend, "zone", access()).await.unwrap();
        assert_eq!(zone.as_deref(), Some("b"));
        let stored = testing::first(db, "SELECT val FROM variable WHERE key = 'zone'").await;
        assert!(stored.text("val").unwrap().starts_with("gAAAA"), "stored encrypted");
        let (keys, total) = variable_keys(db, Some("r"), None, 10, 0).await.unwrap();
        assert_eq!((keys, total), (vec!["region".to_owned()], 1));
        delete_variable(db, "zone", None).await.unwrap();
        assert_eq!(variable(db, &sources, &NoBackend, "zone", access()).await.unwrap(), None);
    });
}

#[test]
fn a_variable_is_known_inside_a_transaction_too_encrypted_or_from_the_environment() {
    on_each_database(async |db| {
        let environment = Environment::new([("AIRFLOW_VAR_LIMIT".to_owned(), "60".to_owned())]);
        let sources = Sources { environment, cipher: cipher() };
        put_variable(db, &sources.cipher, "grace", "90", None, None).await.unwrap();
        let tx = db.begin().await.unwrap();
        for (key, value) in [("limit", Some("60")), ("grace", Some("90")), ("none", None)] {
            assert_eq!(known_variable(&tx, &sources, key).await.unwrap().as_deref(), value);
        }
    });
}

/// A backend of the deployment's own.
struct Vault(Result<Option<String>, BackendError>);

impl SecretsBackend for Vault {
    async fn variable(&self, _: &str, _: Option<&str>) -> Result<Option<String>, BackendError> {
        self.0.clone()
    }

    async fn connection(&self, _: &str, _: Option<&str>) -> Result<Option<String>, BackendError> {
        self.0.clone()
    }
}

#[test]
fn a_backend_goes_first_and_one_that_fails_is_passed_over_unless_it_denies() {
    on_each_database(async |db| {
        let environment = Environment::new([("AIRFLOW_VAR_X".to_owned(), "from-env".to_owned())]);
        let sources = Sources { environment, ..Sources::default() };
        let ask = async |said| variable(db, &sources, &Vault(said), "x", access()).await;
        assert_eq!(ask(Ok(Some("from-vault".to_owned()))).await.unwrap().as_deref(), Some("from-vault"));
        assert_eq!(ask(Ok(None)).await.unwrap().as_deref(), Some("from-env"));
        let failed = Err(BackendError::Failed("sealed".to_owned()));
        assert_eq!(ask(failed).await.unwrap().as_deref(), Some("from-env"));
        let denied = Err(BackendError::Denied("not yours".to_owned()));
        assert!(matches!(ask(denied).await, Err(SecretsError::Denied(_))));
    });
}

#[test]
fn a_stored_connection_is_decrypted() {
    on_each_database(async |db| {
        let sources = Sources { cipher: cipher(), ..Sources::default() };
        let row = vec![
            ("conn_id", "c".into()),
            ("conn_type", "postgres".into()),
            ("login", "me".into()),
            ("password", sources.cipher.encrypt("pw").0.into()),
            ("is_encrypted", true.into()),
            ("extra", r#"{"a": 1}"#.into()),
            ("is_extra_encrypted", false.into()),
        ];
        insert(db, "connection", row).await;
        let found = connection(db, &sources, &NoBackend, "c", access()).await.unwrap().unwrap();
        assert_eq!((found.password.as_deref(), found.extra.as_deref()), (Some("pw"), Some(r#"{"a": 1}"#)));
        let none = connection(db, &Sources::default(), &NoBackend, "c", access()).await.unwrap();
        assert_eq!(none, None, "without the key there is no connection");
    });
}

/// Definitions that Airflow and we must read alike.
const DEFINITIONS: &[&str] = &[
    "postgresql://user:p%40ss@Host.Example:5432/db?sslmode=require&n=1",
    "my-type://host",
    "http://https://example.com:8080/path",
    "aws://?region_name=eu-central-1&__extra__=%7B%22a%22%3A+1%7D",
    "sqlite:///relative/path.db",
    "sqlite://%2Ftmp%2FFile.db",
    "scheme://:password@/schema",
    "scheme://user@host:",
    "scheme://@:1234",
    "scheme://host/a%2Fb?x=&y=%5B1%2C2%5D&z=a+b",
    "ftp://host#fragment",
    r#"{"conn_type": "postgresql", "host": "h", "port": "5", "extra": {"k": [1]}}"#,
    r#"{"conn_type": "my-type", "login": "l", "password": "p", "schema": "s", "port": 7}"#,
    "spark://spark://bad@host://x",
    "scheme://host:notaport",
];

const ASK_AIRFLOW: &str = r#"
import json, sys
from airflow.models.connection import Connection
out = []
for text in json.load(sys.stdin):
    try:
        c = Connection.from_json(text, conn_id="c") if text.startswith("{") else Connection(conn_id="c", uri=text)
        out.append({"conn_type": c.conn_type, "host": c.host, "schema": c.schema, "login": c.login,
                    "password": c.password, "port": c.port, "extra": json.loads(c.extra) if c.extra else None})
    except Exception as e:
        out.append("refused")
print("ANSWER" + json.dumps(out))
"#;

#[test]
fn definitions_are_read_as_airflow_reads_them() {
    let mut child = Command::new(testing::python())
        .args(["-c", ASK_AIRFLOW])
        .env("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let input = json!(DEFINITIONS).to_string();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let answer: Json =
        serde_json::from_str(text.split_once("ANSWER").unwrap().1.lines().next().unwrap()).unwrap();
    for (definition, expected) in DEFINITIONS.iter().zip(answer.as_array().unwrap()) {
        let ours = match Connection::parse("c", definition) {
            Err(_) => json!("refused"),
            Ok(c) => json!({"conn_type": c.conn_type, "host": c.host, "schema": c.schema, "login": c.login,
                "password": c.password, "port": c.port,
                "extra": c.extra.filter(|extra| !extra.is_empty()).map(|extra| serde_json::from_str::<Json>(&extra).unwrap())}),
        };
        assert_eq!(&ours, expected, "{definition}");
    }
}
