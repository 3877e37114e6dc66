//! AIFlow's own client, unmodified, against two servers on one database.

use std::path::{Path, PathBuf};

use tokio::net::TcpListener;
use tokio::process::Command;

use super::GrpcServer;
use crate::config::Config;
use crate::events::service::Service;
use crate::events::wake::LogWake;
use crate::runtime::Shutdown;
use crate::store::testing;
use crate::store::{Db, own_tables};

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aiflow_client").join(name)
}

/// The interpreter with the client.
async fn python() -> PathBuf {
    let folder = std::env::temp_dir().join("slipstream-aiflow-client");
    let made = Command::new(place("environment.sh")).arg(folder).output().await.unwrap();
    assert!(made.status.success(), "no client of AIFlow: {}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8_lossy(&made.stdout).trim().into()
}

/// A server of the service, as a scheduler of its own would have it.
async fn serve(db: &Db, shutdown: &Shutdown) -> String {
    let config = Config::from_pairs(&[]).unwrap();
    let service = Service::start(&config, db, &LogWake::new(), shutdown).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = listener.local_addr().unwrap().to_string();
    tokio::spawn(GrpcServer::on(listener, service, &uri).run(shutdown.clone()));
    uri
}

#[test]
fn the_client_of_aiflow_works_unchanged() {
    testing::on_each_database(async |db| {
        let python = python().await;
        own_tables::migrate(db).await.unwrap();
        let (_asker, shutdown) = Shutdown::by_hand();
        let first = serve(db, &shutdown).await;
        let second = serve(db, &shutdown).await;
        let members = async || crate::store::events::members::living(db, testing::at(0)).await.unwrap().len();
        while members().await < 2 {
            tokio::task::yield_now().await;
        }
        let done = Command::new(python)
            .arg(place("behaviours.py"))
            .arg(format!("{first},{second}"))
            .env("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python")
            .output()
            .await
            .unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(done.status.success(), "{}\n{}", said(&done.stdout), said(&done.stderr));
        assert_eq!(said(&done.stdout).matches("passed: ").count(), 6);
    });
}
