//! `GET /metrics`: what Prometheus reads.

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::telemetry::metrics;

/// The text format's own name.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page, if one is kept.
pub fn router() -> Router {
    match metrics::page() {
        Some(_) => Router::new().route("/metrics", get(show)),
        None => Router::new(),
    }
}

async fn show() -> Response {
    match metrics::page() {
        Some(Ok(text)) => ([(CONTENT_TYPE, TEXT)], text).into_response(),
        Some(Err(error)) => {
            tracing::error!(error, "metrics cannot be shown to Prometheus");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;

    #[tokio::test]
    async fn what_was_counted_is_on_the_page_when_the_option_asks_for_it() {
        let config = Config::from_pairs(&[("slipstream", "prometheus", "True")]).unwrap();
        metrics::init(&config, metrics::Page::Served);
        metrics::incr("scheduler_heartbeat", &[]);
        let request = Request::builder().uri("/metrics").body(Body::empty()).unwrap();
        let answer = tower_service::Service::call(&mut router(), request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[CONTENT_TYPE], TEXT);
        let text =
            String::from_utf8(to_bytes(answer.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap();
        assert!(text.contains("\nairflow_scheduler_heartbeat_total 1\n"), "{text}");
    }
}
