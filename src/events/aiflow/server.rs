//! The gRPC server.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::routing::post;
use tokio::net::TcpListener;

use super::{calls, members, rpc};
use crate::config::{Config, keys};
use crate::events::service::Service;
use crate::runtime::Shutdown;

/// The server could not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum GrpcError {
    /// Its address cannot be listened on.
    #[error(
        "the notification service cannot listen on {address}: {error}; set [slipstream] grpc_port to another port"
    )]
    Bind {
        /// Where.
        address: String,
        /// Why.
        error: std::io::Error,
    },
    /// It stopped by itself.
    #[error("the notification service stopped: {0}")]
    Stopped(#[from] std::io::Error),
}

/// The server, listening.
#[derive(Debug)]
pub struct GrpcServer {
    listener: TcpListener,
    shared: Shared,
}

/// What every call is given.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) service: Service,
    /// Where clients reach this server.
    pub(super) uri: Arc<str>,
}

impl GrpcServer {
    /// Listens on `[slipstream] grpc_port`. `None`: it is not set.
    ///
    /// # Errors
    /// [`GrpcError::Bind`].
    pub async fn bind(config: &Config, service: Service) -> Result<Option<Self>, GrpcError> {
        let port = config.get(&keys::slipstream::GRPC_PORT);
        if port == 0 {
            return Ok(None);
        }
        let host = config.get(&keys::slipstream::GRPC_HOST);
        let address = format!("{host}:{port}");
        let listener = match u16::try_from(port).map_err(std::io::Error::other) {
            Ok(port) => TcpListener::bind((host.as_str(), port)).await,
            Err(error) => Err(error),
        };
        let listener = listener.map_err(|error| GrpcError::Bind { address: address.clone(), error })?;
        let advertised = config.get(&keys::slipstream::GRPC_ADVERTISED_URI);
        let uri = if advertised.is_empty() { address } else { advertised };
        Ok(Some(Self::on(listener, service, &uri)))
    }

    /// On a socket that listens already.
    pub(super) fn on(listener: TcpListener, service: Service, uri: &str) -> Self {
        Self { listener, shared: Shared { service, uri: uri.into() } }
    }

    /// Answers until it is asked to stop.
    ///
    /// # Errors
    /// [`GrpcError::Stopped`].
    pub async fn run(self, shutdown: Shutdown) -> Result<(), GrpcError> {
        let heart = members::heartbeat(self.shared.clone(), shutdown.clone());
        let router = router(self.shared).into_make_service_with_connect_info::<SocketAddr>();
        let serve = async { axum::serve(self.listener, router).await };
        tokio::select! {
            done = serve => Ok(done?),
            () = heart => Ok(()),
        }
    }
}

/// Routes of the calls.
macro_rules! calls {
    ($($name:literal => $work:path,)+) => {
        fn router(shared: Shared) -> Router {
            Router::new()
                $(.route(
                    concat!("/notification_service.NotificationService/", $name),
                    post(async |State(shared): State<Shared>, request: Request| {
                        rpc::answer(shared, request, $work).await
                    }),
                ))+
                .fallback(unknown)
                .with_state(shared)
        }
    };
}

calls! {
    "sendEvent" => calls::send_event,
    "listEvents" => calls::list_events,
    "listAllEvents" => calls::list_all_events,
    "countEvents" => calls::count_events,
    "getLatestVersionByKey" => calls::get_latest_version_by_key,
    "registerClient" => calls::register_client,
    "deleteClient" => calls::delete_client,
    "isClientExists" => calls::is_client_exists,
    "listMembers" => members::list_members,
    "notify" => members::notify,
    "notifyNewMember" => members::notify_new_member,
}

/// A call that is not known, as gRPC says it.
async fn unknown() -> axum::response::Response {
    tonic::Status::unimplemented("there is no such call").into_http()
}
