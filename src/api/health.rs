//! The scheduler's own server. `GET /health`: 200 while the newest scheduler of this machine is alive, else 503.
//!
//! Mirrors `airflow/utils/scheduler_health.py`.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use chrono::{TimeDelta, Utc};
use tokio::net::TcpListener;

use super::serve::{self, ApiError, Name};
use crate::config::{Config, keys};
use crate::runtime::Shutdown;
use crate::store::Db;
use crate::store::job::{self, JobType};

const NAME: Name =
    Name { what: "the health server", option: "[scheduler] scheduler_health_check_server_port" };

/// The health server, listening.
#[derive(Debug)]
pub struct HealthServer {
    listener: TcpListener,
    subject: Subject,
}

#[derive(Clone, Debug)]
struct Subject {
    db: Db,
    hostname: String,
    threshold: TimeDelta,
}

impl HealthServer {
    /// Listens, if `[scheduler] enable_health_check` holds; for this machine only if it does not and only events or metrics
    /// are served.
    ///
    /// # Errors
    /// [`ApiError::Bind`].
    pub async fn bind(config: &Config, db: &Db, hostname: &str) -> Result<Option<Self>, ApiError> {
        let host = if config.get(&keys::scheduler::ENABLE_HEALTH_CHECK) {
            config.get(&keys::scheduler::SCHEDULER_HEALTH_CHECK_SERVER_HOST)
        } else if config.get(&keys::slipstream::EVENTS_HTTP) || config.get(&keys::slipstream::PROMETHEUS) {
            // Nobody asked for a port that others can reach.
            "127.0.0.1".to_owned()
        } else {
            return Ok(None);
        };
        let port = config.get(&keys::scheduler::SCHEDULER_HEALTH_CHECK_SERVER_PORT);
        let threshold = config.get(&keys::scheduler::SCHEDULER_HEALTH_CHECK_THRESHOLD);
        let threshold = TimeDelta::from_std(threshold).unwrap_or(TimeDelta::MAX);
        let listener = serve::bind(&NAME, &host, port).await?;
        Ok(Some(Self {
            listener,
            subject: Subject { db: db.clone(), hostname: hostname.to_owned(), threshold },
        }))
    }

    /// Answers until it is asked to stop, also what `more` answers.
    ///
    /// # Errors
    /// [`ApiError::Stopped`].
    pub async fn run(self, more: Router, shutdown: Shutdown) -> Result<(), ApiError> {
        let router = Router::new().route("/health", get(health)).with_state(self.subject).merge(more);
        serve::serve(&NAME, self.listener, router, shutdown).await
    }
}

async fn health(State(subject): State<Subject>) -> StatusCode {
    let alive =
        job::is_alive(&subject.db, JobType::Scheduler, &subject.hostname, subject.threshold, Utc::now())
            .await;
    match alive {
        Ok(true) => StatusCode::OK,
        Ok(false) => StatusCode::SERVICE_UNAVAILABLE,
        Err(error) => {
            tracing::error!(%error, "The health of the scheduler cannot be read");
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}
