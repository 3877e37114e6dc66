//! Whose a measurement is: with `[core] multi_team`, what is about a Dag, a pool or a bundle has the name of its team.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use super::{Tags, normal};

/// The tag that names the team.
pub(super) const TAG: &str = "team_name";

/// Which team each thing belongs to; what belongs to none is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Teams {
    /// By `dag_id`.
    pub dags: HashMap<String, String>,
    /// By name.
    pub pools: HashMap<String, String>,
    /// By name.
    pub bundles: HashMap<String, String>,
}

static TEAMS: RwLock<Option<Teams>> = RwLock::new(None);

/// From here on measurements have the names of these teams.
pub fn set_teams(teams: Teams) {
    // Tags have these names in the form that `normal` gives them.
    let tagged = |teams: HashMap<String, String>| {
        teams.into_iter().map(|(name, team)| (normal(&name).into_owned(), team)).collect()
    };
    let teams = Teams { pools: tagged(teams.pools), bundles: tagged(teams.bundles), dags: teams.dags };
    *TEAMS.write().unwrap_or_else(PoisonError::into_inner) = Some(teams);
}

/// The team of a Dag, for measurements that do not name it.
pub fn team_of_dag(dag_id: &str) -> Option<String> {
    read(|teams| teams.dags.get(dag_id))
}

/// The team of a bundle, for measurements that do not name it.
pub fn team_of_bundle(bundle: &str) -> Option<String> {
    read(|teams| teams.bundles.get(&*normal(bundle)))
}

/// The tag of a team, if there is one.
pub fn team_tag(team: Option<&str>) -> Vec<(&'static str, &str)> {
    team.map(|team| (TAG, team)).into_iter().collect()
}

/// The team of what the tags name, unless they name one themselves.
pub(super) fn of(tags: &Tags<'_>) -> Option<String> {
    if tags.iter().any(|(tag, _)| *tag == TAG) {
        return None;
    }
    read(|teams| {
        tags.iter().find_map(|(tag, name)| match *tag {
            "dag_id" => teams.dags.get(*name),
            "pool_name" => teams.pools.get(*name),
            "bundle_name" => teams.bundles.get(*name),
            _ => None,
        })
    })
}

fn read(find: impl Fn(&Teams) -> Option<&String>) -> Option<String> {
    TEAMS.read().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(find).cloned()
}
