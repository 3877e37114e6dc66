//! Which consumers may see an event when Dags belong to teams (`AssetManager._filter_dags_by_team`).

use std::collections::HashMap;

use serde_json::Value as Json;
use slipstream_core::ids::DagId;

use super::LockedTi;
use super::change::Consumer;
use crate::store::db::{Conn, Tx};
use crate::store::error::StoreError;
use crate::store::execution::{MultiTeam, teams};

/// Who may send to whom: what a consumer accepts, or what a producer allows.
struct Terms {
    /// Names of other teams; none means that the side does not restrict teams.
    teams: Option<Vec<String>>,
    /// Whether the other side may belong to no team.
    teamless: Teamless,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Teamless {
    Allowed,
    Refused,
}

/// Keeps the consumers that accept the producer's team and that the producer allows.
pub(super) async fn filter(
    tx: &Tx,
    ti: Option<&LockedTi>,
    asset_id: i64,
    consumers: Vec<Consumer>,
) -> Result<Vec<Consumer>, StoreError> {
    let source = match ti {
        Some(ti) => teams::of_dag(tx, MultiTeam::On, &ti.dag_id).await?,
        None => None,
    };
    let accepted = accepted_producers(tx, asset_id).await?;
    let allowed = match ti {
        Some(ti) => allowed_consumers(tx, ti, asset_id).await?,
        None => None,
    };
    let mut kept = Vec::with_capacity(consumers.len());
    for consumer in consumers {
        let team = teams::of_dag(tx, MultiTeam::On, &consumer.dag_id).await?;
        if accepts(team.as_deref(), source.as_deref(), accepted.get(&consumer.dag_id))
            && allows(team.as_deref(), source.as_deref(), allowed.as_ref())
        {
            kept.push(consumer);
        }
    }
    Ok(kept)
}

fn accepts(consumer: Option<&str>, source: Option<&str>, terms: Option<&Terms>) -> bool {
    match (consumer, source) {
        (None, _) => true,
        (Some(_), None) => terms.is_none_or(|terms| terms.teamless == Teamless::Allowed),
        (Some(consumer), Some(source)) => {
            consumer == source || terms.is_some_and(|terms| names(terms.teams.as_ref(), source))
        }
    }
}

fn allows(consumer: Option<&str>, source: Option<&str>, terms: Option<&Terms>) -> bool {
    let Some(terms) = terms else { return true };
    match consumer {
        None => terms.teamless == Teamless::Allowed,
        Some(consumer) => {
            Some(consumer) == source || terms.teams.is_none() || names(terms.teams.as_ref(), consumer)
        }
    }
}

fn names(teams: Option<&Vec<String>>, team: &str) -> bool {
    teams.is_some_and(|teams| teams.iter().any(|name| name == team))
}

fn team_names(json: &Json) -> Option<Vec<String>> {
    Some(json.as_array()?.iter().filter_map(Json::as_str).map(str::to_owned).collect())
}

fn teamless(allowed: bool) -> Teamless {
    if allowed { Teamless::Allowed } else { Teamless::Refused }
}

async fn accepted_producers(tx: &Tx, asset_id: i64) -> Result<HashMap<DagId, Terms>, StoreError> {
    let sql = tx
        .sql(
            "SELECT dag_id, allow_producer_teams, allow_global_producers FROM dag_schedule_asset_reference \
             WHERE asset_id = ?",
        )
        .bind(asset_id);
    let rows = tx.all(sql).await?;
    rows.iter()
        .map(|row| {
            let terms = Terms {
                teams: team_names(&row.json("allow_producer_teams")?),
                teamless: teamless(row.bool("allow_global_producers")?),
            };
            Ok((row.id("dag_id")?, terms))
        })
        .collect()
}

async fn allowed_consumers(tx: &Tx, ti: &LockedTi, asset_id: i64) -> Result<Option<Terms>, StoreError> {
    let sql = tx
        .sql(
            "SELECT allow_consumer_teams, allow_global_consumers FROM task_outlet_asset_reference \
             WHERE dag_id = ? AND task_id = ? AND asset_id = ?",
        )
        .bind(&ti.dag_id)
        .bind(&ti.task_id)
        .bind(asset_id);
    let Some(row) = tx.one(sql).await? else { return Ok(None) };
    Ok(Some(Terms {
        teams: team_names(&row.json("allow_consumer_teams")?),
        teamless: teamless(row.bool("allow_global_consumers")?),
    }))
}
