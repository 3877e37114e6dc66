//! The scheduler's own server. `GET /health`: 200 while the newest scheduler of this machine is alive, else 503; beside that, how
//! the loop of this process goes.
//!
//! Mirrors `airflow/utils/scheduler_health.py`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use chrono::{TimeDelta, Utc};
use serde_json::Value;
use tokio::net::TcpListener;

use super::serve::{self, ApiError, Name};
use crate::config::{Config, keys};
use crate::runtime::Shutdown;
use crate::store::Db;
use crate::store::job::{self, JobType};

const NAME: Name =
    Name { what: "the health server", option: "[scheduler] scheduler_health_check_server_port" };

/// Says how the loop goes. It must not wait for it: a loop that hangs is what people want to see.
pub type Told = Arc<dyn Fn() -> Value + Send + Sync>;

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

    /// Answers until it is asked to stop, also what `more` answers; beside the health stands what `told` says.
    ///
    /// # Errors
    /// [`ApiError::Stopped`].
    pub async fn run(self, told: Told, more: Router, shutdown: Shutdown) -> Result<(), ApiError> {
        let router = router(self.subject, told).merge(more);
        serve::serve(&NAME, self.listener, router, shutdown).await
    }
}

fn router(subject: Subject, told: Told) -> Router {
    Router::new().route("/health", get(health)).with_state((subject, told))
}

async fn health(State((subject, told)): State<(Subject, Told)>) -> (StatusCode, Json<Value>) {
    let alive =
        job::is_alive(&subject.db, JobType::Scheduler, &subject.hostname, subject.threshold, Utc::now())
            .await;
    let status = match alive {
        Ok(true) => StatusCode::OK,
        Ok(false) => StatusCode::SERVICE_UNAVAILABLE,
        Err(error) => {
            tracing::error!(%error, "The health of the scheduler cannot be read");
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    (status, Json(told()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::on_each_database;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use serde_json::json;

    async fn ask(db: &Db) -> (StatusCode, Value) {
        let threshold = TimeDelta::seconds(30);
        let subject = Subject { db: db.clone(), hostname: "here".to_owned(), threshold };
        let told = Arc::new(|| json!({"job_id": 7}));
        let request = Request::builder().uri("/health").body(Body::empty()).unwrap();
        let answer = tower_service::Service::call(&mut router(subject, told), request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn how_the_loop_goes_is_told_whether_the_scheduler_is_alive_or_not() {
        on_each_database(async |db| {
            assert_eq!(ask(db).await, (StatusCode::SERVICE_UNAVAILABLE, json!({"job_id": 7})));
            job::start(db, JobType::Scheduler, "here", Utc::now()).await.unwrap();
            assert_eq!(ask(db).await, (StatusCode::OK, json!({"job_id": 7})));
        });
    }
}
