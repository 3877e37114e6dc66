//! The log over HTTP, as a client sees it: a real server and a real connection.

mod access;
mod judging;
mod reading;
mod taking;

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use slipstream_core::event::Position;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::events::engine::{Asker, Engine};
use crate::events::service::Service;
use crate::events::wake::LogWake;
use crate::runtime::{EventWake, Shutdown};
use crate::store::create_run::RunOptions;
use crate::store::events::tokens::{self, Right};
use crate::store::events::{self, Filter, Match, NewEvent};
use crate::store::runs::run_id::{DoubleDot, RunIdRules};
use crate::store::testing::{self, at};
use crate::store::triggers::{dead_letters, registry};
use crate::store::{Conn, Db, own_tables};

/// A server of the log on a database.
struct Server {
    address: SocketAddr,
    service: Service,
    asker: crate::runtime::Asker,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start(db: &Db, options: &[(&str, &str)]) -> Self {
        own_tables::migrate(db).await.unwrap();
        let options: Vec<_> = options.iter().map(|(name, value)| ("slipstream", *name, *value)).collect();
        let config = Config::from_pairs(&options).unwrap();
        let (asker, shutdown) = Shutdown::by_hand();
        let service = Service::start(&config, db, &LogWake::new(), &shutdown).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router =
            super::router(service.clone(), engine(db)).into_make_service_with_connect_info::<SocketAddr>();
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self { address, service, asker, serving }
    }

    /// Ends it: nobody is answered any more.
    async fn stop(self) {
        self.asker.ask();
        self.serving.abort();
        let _ = self.serving.await;
    }

    /// One request on a connection of its own.
    async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (StatusCode, Value) {
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        // A request that is too large is answered before all of it is read.
        let _ = connection.write_all(text.as_bytes()).await;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        let value = serde_json::from_str(body).unwrap_or_else(|_| body.into());
        (StatusCode::from_u16(status).unwrap(), value)
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, &[], "").await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    async fn post(&self, kind: &str, body: &Value) -> (StatusCode, Value) {
        self.call(Method::POST, "/events", &[("content-type", kind)], &body.to_string()).await
    }

    async fn send(&self, body: &Value) -> Value {
        let (status, answer) = self.post("application/json", body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }
}

/// What judges again, when a person asks for it.
fn engine(db: &Db) -> Engine {
    let run_ids = RunIdRules::new(RunIdRules::DEFAULT_PATTERN, DoubleDot::Refused).unwrap();
    let options = RunOptions {
        run_ids,
        unixname: "tests".to_owned(),
        secrets: crate::store::secrets::Sources::default(),
    };
    Engine::new(db.clone(), options, LogWake::new(), EventWake::default(), Asker::nobody())
}

fn event(id: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/test", "type": "t"})
}

fn ids(page: &Value) -> Vec<&str> {
    page["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap()).collect()
}

/// A reader of Server-Sent Events.
struct Stream {
    lines: tokio::io::Lines<BufReader<TcpStream>>,
}

impl Stream {
    async fn open(server: &Server, path: &str, last: Option<&str>) -> Self {
        let last = last.map(|last| format!("last-event-id: {last}\r\n")).unwrap_or_default();
        Self::open_with(server, path, &last).await
    }

    async fn open_with(server: &Server, path: &str, headers: &str) -> Self {
        let mut connection = TcpStream::connect(server.address).await.unwrap();
        let text = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
        connection.write_all(text.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(connection).lines();
        // The head is sent when the place in the log is known.
        while !lines.next_line().await.unwrap().unwrap().is_empty() {}
        Self { lines }
    }

    /// Position and id of the next event.
    async fn next(&mut self) -> (i64, String) {
        self.next_if_any().await.unwrap()
    }

    /// The same; nothing when the server ends the stream.
    async fn next_if_any(&mut self) -> Option<(i64, String)> {
        let work = async {
            let mut position = 0;
            loop {
                let line = self.lines.next_line().await.unwrap()?;
                if let Some(id) = line.strip_prefix("id: ") {
                    position = id.parse().unwrap();
                }
                if let Some(data) = line.strip_prefix("data: ") {
                    let event: Value = serde_json::from_str(data).unwrap();
                    assert_eq!(event["position"], position);
                    return Some((position, event["id"].as_str().unwrap().to_owned()));
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), work).await.unwrap()
    }
}
