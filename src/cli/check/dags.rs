//! Every active Dag: understood, and with what of it a user's Python is asked.

use std::collections::BTreeSet;

use slipstream_core::dag::WeightRule;
use slipstream_core::schedule::Timetable;

use crate::config::{Config, keys};
use crate::executor::names as executors;
use crate::store::dag_bag::CachedDag;
use crate::store::dag_survey::survey;
use crate::store::{Db, StoreError};

use super::report::{Report, Verdict};

const AREA: &str = "dag";

pub(super) async fn look(config: &Config, db: &Db, report: &mut Report) -> Result<(), StoreError> {
    // An executor that is refused is a finding of its own.
    let names = executors::local_names(&config.get(&keys::core::EXECUTOR)).ok();
    survey(db, |surveyed| match &surveyed.dag {
        Err(why) => report.add(AREA, surveyed.dag_id.to_string(), Verdict::Refused, why),
        Ok(dag) => judge(dag, names.as_deref(), report),
    })
    .await
}

fn judge(dag: &CachedDag, names: Option<&[String]>, report: &mut Report) {
    let id = dag.dag.dag_id.to_string();
    let before = report.findings().len();
    if let Timetable::Custom { path, .. } = &dag.timetable {
        let why =
            format!("the timetable {path} is asked in a process of its own, in the background of the loop");
        report.add(AREA, id.clone(), Verdict::Differs, why);
    }
    if dag.dag.iter().any(|(_, task)| matches!(task.weight_rule, WeightRule::Custom(_))) {
        let why = "custom priority weights are asked for after the task instances are written";
        report.add(AREA, id.clone(), Verdict::Differs, why);
    }
    for name in unknown_executors(dag, names) {
        let why = format!("a task asks for the executor {name}, which [core] executor does not name");
        report.add(AREA, id.clone(), Verdict::Refused, why);
    }
    if report.findings().len() == before {
        report.add(AREA, id, Verdict::Supported, "");
    }
}

fn unknown_executors<'a>(dag: &'a CachedDag, names: Option<&[String]>) -> BTreeSet<&'a str> {
    let Some(names) = names else { return BTreeSet::new() };
    let asked = dag.dag.iter().filter_map(|(_, task)| task.executor.as_deref());
    asked.filter(|name| !names.iter().any(|known| known == name)).collect()
}
