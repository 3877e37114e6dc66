//! Options of the answers, from Airflow's configuration.

use super::backend::CustomBackend;
use crate::config::{Config, keys};
use crate::python::LazyService;
use crate::store::create_run::RunOptions;
use crate::store::dag_bag::DagBag;
use crate::store::execution::{self, MultiTeam, OnSuccess, Rerun};
use crate::store::runs::run_id::{DoubleDot, RunIdRules};
use crate::store::secrets::{CipherError, Sources};
use crate::supervisor::masker::{ByName, Masker};

/// Options of the answers. Cheap to clone: made once and given to each process's [`super::Answerer`].
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What depends on Airflow's configuration in the database's effects.
    pub execution: execution::Options,
    /// The deployment's own secrets backend, asked first.
    pub backend: CustomBackend,
    /// Where secrets come from next.
    pub secrets: Sources,
    /// The masker that every process starts with.
    pub masker: Masker,
    /// Rules for runs that tasks trigger; without them, none can be triggered.
    pub runs: Option<RunOptions>,
    /// Serialised Dags, for triggered runs.
    pub dags: DagBag,
    /// What only users' Python can say of a run that a task triggers.
    pub python: Option<LazyService>,
}

/// Why the configuration does not give options.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The encryption keys.
    #[error(transparent)]
    Cipher(#[from] CipherError),
    /// `[scheduler] allowed_run_id_pattern`.
    #[error("[scheduler] allowed_run_id_pattern is not a regular expression: {0}")]
    RunIds(#[from] regex::Error),
}

impl Options {
    /// Options as configured, with the secrets in this process's environment.
    ///
    /// # Errors
    /// As [`OptionsError`].
    pub fn from_config(config: &Config, unixname: &str) -> Result<Self, OptionsError> {
        let double_dot = match config.get(&keys::core::ALLOW_DOUBLE_DOT_IN_IDS) {
            true => DoubleDot::Allowed,
            false => DoubleDot::Refused,
        };
        let run_ids = RunIdRules::new(&config.get(&keys::scheduler::ALLOWED_RUN_ID_PATTERN), double_dot)?;
        let secrets = Sources::of_process(&config.get(&keys::core::FERNET_KEY))?;
        let python = LazyService::new(config);
        Ok(Self {
            execution: execution_options(config),
            backend: CustomBackend::from_config(config, &python),
            secrets: secrets.clone(),
            masker: masker(config),
            runs: Some(RunOptions { run_ids, unixname: unixname.to_owned(), secrets }),
            dags: DagBag::default(),
            python: Some(python),
        })
    }
}

/// Options of the effects in the database, as configured.
pub fn execution_options(config: &Config) -> execution::Options {
    execution::Options {
        multi_team: if config.get(&keys::core::MULTI_TEAM) { MultiTeam::On } else { MultiTeam::Off },
        max_map_length: config.get(&keys::core::MAX_MAP_LENGTH),
        rendered_fields_runs: config.get(&keys::core::NUM_DAG_RUNS_TO_RETAIN_RENDERED_FIELDS),
        task_state: match config.get(&keys::state_store::CLEAR_ON_SUCCESS) {
            true => OnSuccess::Clear,
            false => OnSuccess::Keep,
        },
        rerun: match config.get(&keys::core::RERUN_WITH_LATEST_VERSION) {
            true => Rerun::LatestVersion,
            false => Rerun::OwnVersion,
        },
        max_downstream_keys: config.get(&keys::scheduler::PARTITION_MAPPER_MAX_DOWNSTREAM_KEYS),
    }
}

fn masker(config: &Config) -> Masker {
    let by_name = match config.get(&keys::core::HIDE_SENSITIVE_VAR_CONN_FIELDS) {
        true => ByName::Hide,
        false => ByName::Show,
    };
    let names: Vec<String> =
        config.get(&keys::core::SENSITIVE_VAR_CONN_NAMES).split(',').map(str::to_owned).collect();
    let shortest = config.get(&keys::logging::MIN_LENGTH_MASKED_SECRET);
    Masker::new(by_name, &names, usize::try_from(shortest).unwrap_or(0))
}
