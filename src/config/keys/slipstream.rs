//! `[slipstream]`.

use std::time::Duration;

use crate::store::Prepared;

keys! { "slipstream":
    /// The Python interpreter that has Airflow; empty: found as `docs/operations.md` says.
    PYTHON: String = "python", "";
    /// Where the sockets between our processes are; empty: `AIRFLOW_HOME/.slipstream`.
    RUNTIME_DIR: String = "runtime_dir", "";
    /// Prepared statements on PostgreSQL: `auto` finds out at start whether a pooler like PgBouncer in transaction mode is in
    /// between; `kept` keeps them by name; `unnamed` parses each statement again, which works through every pooler.
    PREPARED_STATEMENTS: Prepared = "prepared_statements", Prepared::Auto;
    /// How long the process of an executor (all but LocalExecutor) may say nothing before it is replaced.
    EXECUTOR_TIMEOUT: Duration = "executor_timeout", Duration::from_secs(120);
    /// After how long a Dag file that did not change is executed again.
    MAX_PARSE_AGE: Duration = "max_parse_age", Duration::from_secs(1_800);
    /// Most Dag files that are kept parsed for their next tasks, each in a process of its own; 0: each task parses its file.
    PREPARED_DAG_FILES: i64 = "prepared_dag_files", 8;
    /// How often the database is asked for what others changed.
    POLL_INTERVAL: Duration = "poll_interval", Duration::from_millis(200);
    /// How often running dag runs are asked for changes that others made.
    DEEP_POLL_INTERVAL: Duration = "deep_poll_interval", Duration::from_secs(1);
    /// How often every running dag run is examined, whether it changed or not.
    REEXAMINE_INTERVAL: Duration = "reexamine_interval", Duration::from_secs(30);
    /// Whether the scheduler shows its metrics to Prometheus, at `/metrics` on the port of its health server.
    PROMETHEUS: bool = "prometheus", false;
    /// Most streaming tasks at once for each scheduler; they take none of `[core] parallelism`. 0: they take those.
    STREAMING_PARALLELISM: i64 = "streaming_parallelism", 32;
    /// Dags whose changes all become events: ids with commas between them, `*` for all, `team_*` for those that begin so.
    /// Empty: only what a trigger waits for.
    AIRFLOW_EVENTS: String = "airflow_events", "";
    /// Whether the scheduler takes and gives events over HTTP, at `/events` on the port of its health server.
    EVENTS_HTTP: bool = "events_http", true;
    /// Who may send and read events without a token: `loopback` (callers on this machine), `everyone` or `nobody`.
    EVENTS_WITHOUT_TOKEN: String = "events_without_token", "loopback";
    /// Where tasks and other Python programs send events, without `/events`; empty: the port of the scheduler's health
    /// server on their own machine. Read by the Python package.
    EVENTS_URL: String = "events_url", "";
    /// The token with which they do. Read by the Python package.
    EVENTS_TOKEN: String = "events_token", "";
    /// Most bytes of data in one event.
    EVENT_MAX_BYTES: i64 = "event_max_bytes", 262_144;
    /// Most bytes of one request that sends events.
    EVENT_MAX_BATCH_BYTES: i64 = "event_max_batch_bytes", 8_388_608;
    /// For how long events are kept; 0: for ever.
    EVENT_RETENTION: Duration = "event_retention", Duration::from_secs(7 * 24 * 3600);
    /// Webhooks by name, as a JSON object: see `docs/events.md`.
    WEBHOOKS: String = "webhooks", "", sensitive;
    /// Sources of events that the scheduler reads (Kafka, NATS JetStream) by name, as a JSON object: see `docs/events.md`.
    SOURCES: String = "sources", "", sensitive;
    /// Port of AIFlow's notification service (gRPC); 0: it is off.
    GRPC_PORT: i64 = "grpc_port", 0;
    /// Address on which the notification service listens.
    GRPC_HOST: String = "grpc_host", "127.0.0.1";
    /// Address under which clients on other machines reach it, for clients that know several servers; empty: host and port.
    GRPC_ADVERTISED_URI: String = "grpc_advertised_uri", "";
}
