//! One small HTTP server.

use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;

use crate::runtime::Shutdown;

/// A server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Its address cannot be listened on.
    #[error("{what} cannot listen on {address}: {error}; set {option} to another port")]
    Bind {
        /// Which server.
        what: &'static str,
        /// Where.
        address: String,
        /// The option that holds the port.
        option: &'static str,
        /// Why.
        error: std::io::Error,
    },
    /// It stopped by itself.
    #[error("{0} stopped: {1}")]
    Stopped(&'static str, std::io::Error),
}

/// What a server is called in messages.
pub(super) struct Name {
    pub(super) what: &'static str,
    pub(super) option: &'static str,
}

pub(super) async fn bind(name: &Name, host: &str, port: i64) -> Result<TcpListener, ApiError> {
    let address = format!("{host}:{port}");
    let port = u16::try_from(port).map_err(std::io::Error::other);
    let listener = match port {
        Ok(port) => TcpListener::bind((host, port)).await,
        Err(error) => Err(error),
    };
    listener.map_err(|error| ApiError::Bind { what: name.what, address, option: name.option, error })
}

pub(super) async fn serve(
    name: &Name,
    listener: TcpListener,
    router: Router,
    shutdown: Shutdown,
) -> Result<(), ApiError> {
    let until = shutdown.clone();
    let router = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::select! {
        done = async { axum::serve(listener, router).await } => done.map_err(|error| ApiError::Stopped(name.what, error)),
        // Open connections (a log that is followed) do not hold the process.
        () = until.asked() => Ok(()),
    }
}
