//! Secrets in environment variables (`airflow/secrets/environment_variables.py`).

use std::collections::HashMap;
use std::fmt;

use super::{Access, MultiTeam};

const VARIABLES: &str = "AIRFLOW_VAR_";
const CONNECTIONS: &str = "AIRFLOW_CONN_";

/// Separates a team from a name.
const TEAM_SEPARATOR: &str = "___";

/// The environment variables that hold secrets.
#[derive(Clone, Default)]
pub struct Environment(HashMap<String, String>);

impl Environment {
    /// Takes the secrets from all variables of an environment, such as [`std::env::vars`].
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let secret = |name: &str| name.starts_with(VARIABLES) || name.starts_with(CONNECTIONS);
        Self(variables.into_iter().filter(|(name, _)| secret(name)).collect())
    }

    /// This process's own.
    pub fn of_process() -> Self {
        Self::new(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    pub(super) fn variable(&self, key: &str, access: Access<'_>) -> Option<&str> {
        self.get(VARIABLES, key, access)
    }

    pub(super) fn connection(&self, conn_id: &str, access: Access<'_>) -> Option<&str> {
        self.get(CONNECTIONS, conn_id, access)
    }

    fn get(&self, prefix: &str, id: &str, access: Access<'_>) -> Option<&str> {
        // With teams, such a name could reach another team's secret.
        if access.multi_team == MultiTeam::On && id.contains(TEAM_SEPARATOR) {
            return None;
        }
        let id = id.to_uppercase();
        let of_team = access.team.and_then(|team| {
            self.0
                .get(&format!("{prefix}_{}{TEAM_SEPARATOR}{id}", team.to_uppercase()))
                .filter(|value| !value.is_empty())
        });
        of_team.or_else(|| self.0.get(&format!("{prefix}{id}"))).map(String::as_str)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
