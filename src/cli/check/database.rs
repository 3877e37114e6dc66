//! The metadata database: reachable, and of a schema that is known.

use crate::config::Config;
use crate::store::{Db, migration};

use super::report::{Report, Verdict};

const AREA: &str = "database";

/// The database, if it can be used.
pub(super) async fn look(config: &Config, report: &mut Report) -> Option<Db> {
    let target = match config.database() {
        Ok(target) => target,
        Err(error) => {
            report.add(AREA, "sql_alchemy_conn", Verdict::Refused, error.to_string());
            return None;
        }
    };
    let kind = format!("{:?}", target.dialect);
    if let Some(file) = config.sqlite_file().filter(|file| !file.exists()) {
        let why = format!("there is no file {}: run `airflow db migrate` first", file.display());
        report.add(AREA, kind, Verdict::Refused, why);
        return None;
    }
    let db = match Db::connect(&target).await {
        Ok(db) => db,
        Err(error) => {
            report.add(AREA, kind, Verdict::Refused, error.to_string());
            return None;
        }
    };
    match migration::check(&db).await {
        Ok(airflow) => report.add(AREA, kind, Verdict::Supported, format!("schema of Airflow {airflow}")),
        Err(error) => {
            report.add(AREA, kind, Verdict::Refused, error.to_string());
            return None;
        }
    }
    Some(db)
}
