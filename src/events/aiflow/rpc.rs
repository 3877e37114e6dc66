//! One gRPC call: who calls, what was asked, what is answered.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use prost::Message;
use tonic::Status;
use tonic::server::{Grpc, UnaryService};
use tonic_prost::ProstCodec;

use super::server::Shared;
use crate::events::access::{Caller, Denied, Origin};

/// Answers a call with `work`.
pub(super) async fn answer<Q, A, W, F>(shared: Shared, request: Request, work: W) -> Response
where
    Q: Message + Default + Send + 'static,
    A: Message + Default + Send + 'static,
    W: FnOnce(Shared, Caller, Q) -> F + Send + 'static,
    F: Future<Output = Result<A, Status>> + Send + 'static,
{
    let (parts, body) = request.into_parts();
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let origin = Origin {
        peer: parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip()),
        authorization: header("authorization"),
        host: parts.uri.authority().map(|authority| authority.as_str()).or_else(|| header("host")),
        relayed: ["forwarded", "x-forwarded-for", "origin"].iter().any(|name| header(name).is_some()),
    };
    let caller = shared.service.access.caller(origin).await;
    let request = Request::from_parts(parts, body);
    let limit = shared.service.limits.batch;
    let call = Call { work: Some(work), shared, caller: Some(caller), messages: std::marker::PhantomData };
    let codec = ProstCodec::<A, Q>::default();
    let answer = Grpc::new(codec).apply_max_message_size_config(Some(limit), None).unary(call, request).await;
    answer.map(axum::body::Body::new)
}

struct Call<Q, W> {
    work: Option<W>,
    shared: Shared,
    caller: Option<Result<Caller, Denied>>,
    messages: std::marker::PhantomData<fn(Q)>,
}

impl<Q, A, W, F> UnaryService<Q> for Call<Q, W>
where
    W: FnOnce(Shared, Caller, Q) -> F,
    F: Future<Output = Result<A, Status>> + Send + 'static,
    A: Send + 'static,
{
    type Response = A;
    type Future = futures_util::future::BoxFuture<'static, Result<tonic::Response<A>, Status>>;

    fn call(&mut self, request: tonic::Request<Q>) -> Self::Future {
        // Called once for each request.
        let work = match (self.work.take(), self.caller.take()) {
            (Some(work), Some(Ok(caller))) => Ok(work(self.shared.clone(), caller, request.into_inner())),
            (_, Some(Err(denied))) => Err(status(&denied)),
            _ => Err(Status::internal("the call was answered already")),
        };
        Box::pin(async move { Ok(tonic::Response::new(work?.await?)) })
    }
}

/// A refusal, as gRPC says it.
pub(super) fn status(denied: &Denied) -> Status {
    match denied {
        Denied::NoToken | Denied::BadToken => Status::unauthenticated(denied.to_string()),
        Denied::Store(error) => {
            tracing::error!(%error, "The tokens cannot be read");
            Status::unavailable("the metadata database is not available now: try again")
        }
        refused => Status::permission_denied(refused.to_string()),
    }
}
