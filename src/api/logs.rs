//! `GET /log/PATH`: the log files of this machine, for the UI while a task is running elsewhere than the api-server.
//!
//! The api-server signs each request with `[api] secret_key`. Mirrors `airflow/utils/serve_logs/log_server.py`.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, Take};
use tokio::net::TcpListener;

use super::serve::{self, ApiError, Name};
use crate::config::{Config, keys};
use crate::runtime::Shutdown;

const NAME: Name = Name { what: "the log server", option: "[logging] worker_log_server_port" };
const AUDIENCE: &str = "task-instance-logs";
/// How far clocks may differ, in seconds: `[webserver] log_request_clock_grace` in stock Airflow.
const GRACE: u64 = 30;
/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;

/// The log server, listening.
#[derive(Debug)]
pub struct LogServer {
    listener: TcpListener,
    files: Files,
}

#[derive(Clone)]
struct Files {
    folder: PathBuf,
    key: Arc<DecodingKey>,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl LogServer {
    /// Listens on `[logging] worker_log_server_port`. `None`: there is no `[api] secret_key`, so that no request could be
    /// checked.
    ///
    /// # Errors
    /// [`ApiError::Bind`].
    pub async fn bind(config: &Config) -> Result<Option<Self>, ApiError> {
        let secret = config.get(&keys::api::SECRET_KEY);
        if secret.is_empty() {
            tracing::warn!(
                "[api] secret_key is not set: the logs of running tasks are not served to other machines"
            );
            return Ok(None);
        }
        let listener =
            serve::bind(&NAME, "0.0.0.0", config.get(&keys::logging::WORKER_LOG_SERVER_PORT)).await?;
        Ok(Some(Self {
            listener,
            files: Files::new(config.get(&keys::logging::BASE_LOG_FOLDER).into(), &secret),
        }))
    }

    /// Answers until it is asked to stop.
    ///
    /// # Errors
    /// [`ApiError::Stopped`].
    pub async fn run(self, shutdown: Shutdown) -> Result<(), ApiError> {
        serve::serve(&NAME, self.listener, router(self.files), shutdown).await
    }
}

fn router(files: Files) -> Router {
    Router::new().route("/log/{*path}", get(log)).with_state(files)
}

#[derive(Deserialize)]
struct Claims {
    filename: Option<String>,
}

async fn log(State(files): State<Files>, UrlPath(path): UrlPath<String>, headers: HeaderMap) -> Response {
    if let Err(why) = files.check(&headers, &path) {
        tracing::warn!(%path, why, "A request for a log is refused");
        return StatusCode::FORBIDDEN.into_response();
    }
    match files.open(&path).await {
        Some((file, length)) => {
            let kind = (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned());
            let length = (header::CONTENT_LENGTH, length.to_string());
            ([kind, length], body(file)).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

impl Files {
    fn new(folder: PathBuf, secret: &str) -> Self {
        Self { folder, key: Arc::new(DecodingKey::from_secret(secret.as_bytes())) }
    }

    /// Whether the request has a good token for exactly this file.
    fn check(&self, headers: &HeaderMap, path: &str) -> Result<(), &'static str> {
        let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = token.ok_or("it has no Authorization header")?;
        let token = token.strip_prefix("Bearer ").unwrap_or(token);
        let mut validation = Validation::new(Algorithm::HS512);
        validation.set_audience(&[AUDIENCE]);
        validation.leeway = GRACE;
        validation.validate_nbf = true;
        let claims = decode::<Claims>(token, &self.key, &validation).map_err(|_| {
            "its token is not valid: do all parts of the deployment have the same [api] secret_key and the same time?"
        })?;
        match claims.claims.filename {
            Some(name) if name == path => Ok(()),
            _ => Err("its token is for another file"),
        }
    }

    /// The file and its present length, if it is one below the log folder.
    async fn open(&self, path: &str) -> Option<(Take<File>, u64)> {
        let path = Path::new(path);
        if path.components().any(|part| !matches!(part, Component::Normal(_))) {
            return None;
        }
        let folder = tokio::fs::canonicalize(&self.folder).await.ok()?;
        let path = tokio::fs::canonicalize(folder.join(path)).await.ok()?;
        if !path.starts_with(&folder) {
            return None;
        }
        let file = File::open(path).await.ok()?;
        let about = file.metadata().await.ok()?;
        about.is_file().then(|| (file.take(about.len()), about.len()))
    }
}

/// The file as it is read, without holding it in memory.
fn body(file: Take<File>) -> Body {
    Body::from_stream(stream::unfold(file, |mut file| async move {
        let mut chunk = Vec::with_capacity(CHUNK);
        match file.read_buf(&mut chunk).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(Bytes::from(chunk)), file)),
            Err(error) => Some((Err(error), file)),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{EncodingKey, Header, encode};

    fn token(secret: &str, file: &str, expires_in: i64) -> HeaderMap {
        let now = chrono::Utc::now().timestamp();
        let claims = serde_json::json!({
            "aud": AUDIENCE, "filename": file, "iat": now, "nbf": now, "exp": now + expires_in,
        });
        let key = EncodingKey::from_secret(secret.as_bytes());
        let token = encode(&Header::new(Algorithm::HS512), &claims, &key).unwrap();
        HeaderMap::from_iter([(header::AUTHORIZATION, token.parse().unwrap())])
    }

    #[test]
    fn a_token_is_good_for_one_file_and_a_short_time() {
        let files = Files::new("/tmp".into(), "secret");
        let path = "dag_id=d/run_id=r+1/attempt=1.log";
        assert_eq!(files.check(&token("secret", path, 30), path), Ok(()));
        assert!(files.check(&token("secret", "other.log", 30), path).is_err());
        assert!(files.check(&token("wrong", path, 30), path).is_err());
        assert!(files.check(&token("secret", path, -100), path).is_err());
        assert!(files.check(&HeaderMap::new(), path).is_err());
    }

    #[tokio::test]
    async fn only_files_below_the_log_folder_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("logs");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("a.log"), "hello").unwrap();
        std::fs::write(dir.path().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret"), folder.join("link")).unwrap();
        let files = Files::new(folder, "s");
        assert_eq!(files.open("a.log").await.unwrap().1, 5);
        for path in ["../secret", "link", "", "none.log"] {
            assert!(files.open(path).await.is_none(), "{path}");
        }
    }
}
