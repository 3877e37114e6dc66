//! A Python environment with the executor of `house_executor.py`, on the database of a test.

use std::path::{Path, PathBuf};
use std::time::Duration;

use slipstream_core::executor::{ExecutorIndex, ExecutorName, Roster, Teams};

use super::HostOptions;
use crate::python::Interpreter;
use crate::store::testing;

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// The folder of files by which test and executor talk.
pub(crate) struct House {
    folder: tempfile::TempDir,
    database: PathBuf,
    option: String,
}

impl House {
    /// For a deployment with this `[core] executor`, on the SQLite file in `database`.
    pub(crate) fn new(database: &Path, option: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("house_executor.py"), include_str!("house_executor.py")).unwrap();
        Self { folder, database: database.to_owned(), option: option.to_owned() }
    }

    pub(crate) fn interpreter(&self) -> Interpreter {
        Interpreter::at(testing::python())
            .with_env("AIRFLOW_HOME", self.folder.path())
            .with_env("HOUSE", self.folder.path())
            .with_env("PYTHONPATH", self.folder.path())
            .with_env("AIRFLOW__CORE__EXECUTOR", &self.option)
            .with_env("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
            .with_env("AIRFLOW__API_AUTH__JWT_SECRET", "a-secret-of-the-house-a-secret-of-the-house-123")
            .with_env("AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME", "0.05")
            .with_env("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", format!("sqlite:///{}", self.database.display()))
    }

    pub(crate) fn roster(&self) -> Roster {
        Roster::parse(&self.option, Teams::Off).unwrap()
    }

    pub(crate) fn options(&self, timeout: Duration) -> HostOptions {
        let name: ExecutorName = self.roster().get(ExecutorIndex(0)).unwrap().clone();
        HostOptions { interpreter: self.interpreter(), name, timeout }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn tell(&self, name: &str) {
        std::fs::write(self.file(name), "").unwrap();
    }

    /// What stands in a file, once it is there.
    pub(crate) async fn read(&self, name: &str) -> String {
        let file = self.file(name);
        let there = async {
            loop {
                match std::fs::read_to_string(&file) {
                    Ok(text) => return text,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, there).await.expect("the file is there in time")
    }
}
