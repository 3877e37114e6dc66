//! Where the deployment lives, and what its parts are told beyond what the environment says.

use std::path::PathBuf;

use crate::cli::exit::Failure;
use crate::config::{Config, keys};

use super::Options;

/// The deployment's home, its configuration, and the variables that its parts are started with.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) config: Config,
    pub(super) home: PathBuf,
    pub(super) env: Vec<(String, String)>,
}

impl Place {
    /// As the environment and the command line say.
    pub(super) fn new(options: &Options) -> Result<Self, Failure> {
        let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let home = match given("AIRFLOW_HOME") {
            Some(home) => std::path::absolute(home)?,
            None => std::env::current_dir()?.join(".airflow"),
        };
        std::fs::create_dir_all(&home)
            .map_err(|error| Failure::failed(format!("{} cannot be made: {error}", home.display())))?;
        let mut env = vec![("AIRFLOW_HOME".to_owned(), home.to_string_lossy().into_owned())];
        let mut set = |name: &str, value: String| env.push((name.to_owned(), value));
        // Each part writes lines that may be followed.
        set("PYTHONUNBUFFERED", "1".to_owned());
        let ports = [
            ("AIRFLOW__API__PORT", options.port),
            ("AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT", options.log_port),
            ("AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT", options.trigger_log_port),
        ];
        for (name, port) in ports {
            if let Some(port) = port {
                set(name, port.to_string());
            }
        }
        let config = load(&env)?;
        if config.get(&keys::core::EXECUTOR) != "LocalExecutor" {
            env.push(("AIRFLOW__CORE__EXECUTOR".to_owned(), "LocalExecutor".to_owned()));
        }
        Ok(Self { config: load(&env)?, home, env })
    }

    /// Where the UI is, for a browser on this machine.
    pub(super) fn url(&self) -> String {
        match self.config.get(&keys::api::BASE_URL) {
            url if url.is_empty() => format!("http://localhost:{}", self.config.get(&keys::api::PORT)),
            url => url,
        }
    }
}

fn load(env: &[(String, String)]) -> Result<Config, Failure> {
    let own = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(Config::from_env(own.chain(env.iter().cloned()))?)
}
