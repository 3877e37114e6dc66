//! The calls of AIFlow's high availability: every scheduler that serves gRPC on this database is a member.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use tokio::time::{Instant, sleep_until};
use tonic::Status;

use super::calls::store;
use super::messages::*;
use super::server::Shared;
use crate::events::access::Caller;
use crate::runtime::Shutdown;
use crate::store::events::{self, members};

/// How often a member says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(3);
/// After how long without it a member is dead: AIFlow's default.
const TTL: TimeDelta = TimeDelta::seconds(10);
/// How often a call that waits for a change looks for one.
const LOOK: Duration = Duration::from_millis(500);

/// The living members. A call with a time limit waits for a change.
pub(super) async fn list_members(
    shared: Shared,
    _: Caller,
    request: ListMembersRequest,
) -> Result<ListMembersResponse, Status> {
    let wait = Duration::from_secs(u64::try_from(request.timeout_seconds).unwrap_or(0).min(60));
    let deadline = Instant::now() + wait;
    let first = living(&shared).await?;
    let mut now = first.clone();
    let names = |members: &[MemberProto]| members.iter().map(|m| m.server_uri.clone()).collect::<Vec<_>>();
    while Instant::now() < deadline && names(&now) == names(&first) {
        sleep_until(deadline.min(Instant::now() + LOOK)).await;
        now = living(&shared).await?;
    }
    Ok(ListMembersResponse { members: now, ..ListMembersResponse::default() })
}

async fn living(shared: &Shared) -> Result<Vec<MemberProto>, Status> {
    let living = members::living(&shared.service.db, Utc::now() - TTL).await.map_err(store)?;
    let proto = |member: members::Member| MemberProto {
        version: 1,
        server_uri: member.uri,
        update_time: member.updated_at.timestamp_millis(),
    };
    Ok(living.into_iter().map(proto).collect())
}

/// Another server stored events: whoever waits here looks at once.
pub(super) async fn notify(shared: Shared, _: Caller, _: NotifyRequest) -> Result<CommonResponse, Status> {
    let head = events::head(&shared.service.db).await.map_err(store)?;
    shared.service.wake.appended(head);
    Ok(CommonResponse::default())
}

/// Members are found in the database; there is nothing to remember.
pub(super) async fn notify_new_member(
    _: Shared,
    _: Caller,
    _: NotifyNewMemberRequest,
) -> Result<CommonResponse, Status> {
    Ok(CommonResponse::default())
}

/// Says that this server lives, again and again, and that it is gone at the end.
pub(super) async fn heartbeat(shared: Shared, shutdown: Shutdown) {
    let db = &shared.service.db;
    let mut ticks = tokio::time::interval(HEARTBEAT);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => (),
            () = shutdown.asked() => break,
        }
        if let Err(error) = members::beat(db, &shared.uri, Utc::now(), TTL).await {
            tracing::warn!(%error, "The notification service cannot say that it lives");
        }
    }
    if let Err(error) = members::leave(db, &shared.uri).await {
        tracing::debug!(%error, "The notification service cannot say that it ends");
    }
}
