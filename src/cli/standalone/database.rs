//! The metadata database is made by Airflow itself when it is not there yet.

use crate::cli::exit::{Exit, Failure};
use crate::cli::start;
use crate::python::Interpreter;
use crate::store::Db;
use crate::store::migration::{self, SchemaError};

use super::Place;
use super::banner;
use super::child::{self, Program};

/// Migrates an empty database; one of another version of Airflow is refused.
///
/// # Errors
/// When it cannot be reached, is not one that we know, or `airflow db migrate` fails.
pub(super) async fn prepare(place: &Place, interpreter: &Interpreter) -> Result<(), Failure> {
    if is_migrated(place).await? {
        return Ok(());
    }
    banner::say("Making the metadata database");
    let program = Program {
        name: "db migrate",
        path: interpreter.path().to_owned(),
        arguments: ["-m", "airflow", "db", "migrate"].map(str::to_owned).to_vec(),
        env: place.env.clone(),
    };
    let status = child::run_once(&program).await?;
    if !status.success() {
        return Err(Failure::new(
            Exit::Schema,
            format!("`airflow db migrate` failed ({status}); its output is above"),
        ));
    }
    start::database(&place.config).await.map(drop)
}

async fn is_migrated(place: &Place) -> Result<bool, Failure> {
    let target = place.config.database()?;
    if place.config.sqlite_file().is_some_and(|path| !path.exists()) {
        return Ok(false);
    }
    let db = Db::connect(&target).await?;
    match migration::check(&db).await {
        Ok(_) => Ok(true),
        Err(SchemaError::NotMigrated) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
