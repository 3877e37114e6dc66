//! Airflow's configuration: `airflow.cfg` and `AIRFLOW__SECTION__KEY`, with Airflow's precedence, names and defaults.
//!
//! The only reader of these environment variables. Every option that Slipstream reads is a typed constant in [`keys`]; all
//! of them are resolved and checked once by [`Config::load`], so that reading one later cannot fail.
//! Mirrors `airflow/configuration.py` and `airflow/_shared/configuration/parser.py`.

mod database;
mod deprecated;
mod error;
mod expand;
mod ini;
mod key;
pub mod keys;
mod not_honoured;
pub mod reference;
mod resolve;
mod unread;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use error::ConfigError;
pub use key::{AnyKey, Key, Setting};
pub use resolve::Source;

use ini::Ini;
use resolve::{Resolved, Resolver};

/// The effective configuration. Cheap to clone; it never changes after it was loaded.
#[derive(Clone)]
pub struct Config {
    inner: Arc<Inner>,
}

struct Inner {
    home: PathBuf,
    file: PathBuf,
    file_exists: bool,
    values: HashMap<(&'static str, &'static str), Resolved>,
    notes: Vec<String>,
    otel: BTreeMap<String, String>,
}

/// One option as `slipstream config` shows it.
#[derive(Debug, Clone)]
pub struct Effective {
    /// Section.
    pub section: &'static str,
    /// Option.
    pub name: &'static str,
    /// Its text, with the secrets hidden.
    pub shown: String,
    /// Where it was found.
    pub source: Source,
}

impl Config {
    /// Reads the process's environment and `airflow.cfg`, and checks every option that Slipstream reads.
    ///
    /// # Errors
    /// One [`ConfigError`] that names everything that is wrong at once.
    pub fn load() -> Result<Self, ConfigError> {
        Self::from_env(
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))),
        )
    }

    /// As [`Config::load`], from the environment given.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_env(env: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let env: BTreeMap<String, String> = env.into_iter().collect();
        let home = PathBuf::from(expand::env_vars(env.get("AIRFLOW_HOME").map_or("~/airflow", |v| v), &env));
        let file = match env.get("AIRFLOW_CONFIG") {
            Some(path) => PathBuf::from(expand::env_vars(path, &env)),
            None => home.join("airflow.cfg"),
        };
        let (ini, file_exists) = match std::fs::read_to_string(&file) {
            Ok(text) => {
                let ini = Ini::parse(&text)
                    .map_err(|why| ConfigError::File { path: file.clone(), why: why.to_string() })?;
                (ini, true)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (Ini::default(), false),
            Err(error) => return Err(ConfigError::File { path: file, why: error.to_string() }),
        };
        Self::resolve(home, file, file_exists, &ini, &env)
    }

    /// A configuration of Airflow's defaults and these options, for tests: nothing is read from the machine.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_pairs(pairs: &[(&str, &str, &str)]) -> Result<Self, ConfigError> {
        let mut env: BTreeMap<String, String> = pairs
            .iter()
            .map(|(section, name, value)| (resolve::env_name(section, name), (*value).to_owned()))
            .collect();
        env.insert("HOME".to_owned(), "/nonexistent".to_owned());
        let home = pairs.iter().find(|(section, name, _)| (*section, *name) == ("core", "airflow_home"));
        let home = PathBuf::from(home.map_or("/nonexistent/airflow", |(_, _, value)| value));
        let file = home.join("airflow.cfg");
        Self::resolve(home, file, true, &Ini::default(), &env)
    }

    fn resolve(
        home: PathBuf,
        file: PathBuf,
        file_exists: bool,
        ini: &Ini,
        env: &BTreeMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let resolver = Resolver { env, ini, home: &home };
        let mut values = HashMap::new();
        let mut notes = Vec::new();
        let mut wrong = Vec::new();
        for key in keys::all() {
            match resolver.find(key) {
                Ok(found) => {
                    if let Err(why) = key.check(&found.text) {
                        wrong.push(format!(
                            "[{}] {} {why} (from {})",
                            key.section(),
                            key.name(),
                            found.source
                        ));
                    }
                    notes.extend(found.note.clone());
                    values.insert((key.section(), key.name()), found);
                }
                Err(why) => wrong.push(format!("[{}] {}: {why}", key.section(), key.name())),
            }
        }
        if !wrong.is_empty() {
            return Err(ConfigError::Invalid(wrong));
        }
        notes.extend(not_honoured::notes(env, ini));
        let otel = env.iter().filter(|(name, value)| name.starts_with("OTEL_") && !value.is_empty());
        let otel = otel.map(|(name, value)| (name.clone(), value.clone())).collect();
        Ok(Self { inner: Arc::new(Inner { home, file, file_exists, values, notes, otel }) })
    }

    /// The value of an option.
    pub fn get<T: Setting>(&self, key: &Key<T>) -> T {
        let text = self.inner.values.get(&(key.section(), key.name())).map(|found| found.text.as_str());
        // Every key of `keys` was resolved and checked at load; one made elsewhere has its default.
        text.and_then(|text| T::parse(text).ok()).unwrap_or_else(|| key.default())
    }

    /// A standard variable of OpenTelemetry (`OTEL_…`), unless it is empty.
    pub fn otel(&self, name: &str) -> Option<&str> {
        self.inner.otel.get(name).map(String::as_str)
    }

    /// `AIRFLOW_HOME`.
    pub fn airflow_home(&self) -> &Path {
        &self.inner.home
    }

    /// The path of `airflow.cfg`, and whether the file is there.
    pub fn file(&self) -> (&Path, FileState) {
        let state = if self.inner.file_exists { FileState::Read } else { FileState::Missing };
        (&self.inner.file, state)
    }

    /// What a person should know about the options that are set: renamed ones, and those that Slipstream does not honour.
    pub fn notes(&self) -> &[String] {
        &self.inner.notes
    }

    /// Every option with its value (secrets hidden) and where the value comes from, in the order of the sections.
    pub fn effective(&self) -> Vec<Effective> {
        let shown = |key: &dyn AnyKey| {
            let found = self.inner.values.get(&(key.section(), key.name()))?;
            let shown = match found.text.as_str() {
                "" => String::new(),
                _ if key.is_sensitive() => "< hidden >".to_owned(),
                text => text.to_owned(),
            };
            Some(Effective { section: key.section(), name: key.name(), shown, source: found.source })
        };
        keys::all().filter_map(shown).collect()
    }
}

/// Whether `airflow.cfg` exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// It was read.
    Read,
    /// There is none: Airflow would make one, with secrets of its own.
    Missing,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values may be secrets.
        f.debug_struct("Config")
            .field("home", &self.inner.home)
            .field("file", &self.inner.file)
            .finish_non_exhaustive()
    }
}
