//! Every Dag as it is serialised now: whether it is understood, and which parts of it only Python can answer.

use std::collections::BTreeSet;

use slipstream_core::dag::WeightRule;
use slipstream_core::executor::Roster;
use slipstream_core::schedule::Timetable;

use crate::store::dag_bag::{CachedDag, DagBag};
use crate::store::{Db, StoreError, survey};

use super::finding::{Report, Verdict};

const AREA: &str = "dags";

/// Dags that are in memory at a time.
const BATCH: usize = 50;

pub(super) async fn survey(db: &Db, executors: &Roster, report: &mut Report) -> Result<(), StoreError> {
    let all = survey::current_dags(db).await?;
    let (mut understood, mut serialised) = (0_usize, 0_usize);
    for ids in all.chunks(BATCH) {
        for (dag_id, dag) in DagBag::try_latest(db, ids).await? {
            serialised += 1;
            match dag {
                Ok(dag) => {
                    understood += 1;
                    one(&dag, executors, report);
                }
                Err(why) => report.add(
                    AREA,
                    dag_id,
                    Verdict::Refused,
                    format!("{why}; its runs would wait: `airflow dags reserialize` writes it anew"),
                ),
            }
        }
    }
    if serialised < all.len() {
        let missing = all.len() - serialised;
        report.add(
            AREA,
            format!("{missing} Dags"),
            Verdict::Differs,
            "were never serialised, so nothing is known of them",
        );
    }
    report.add(AREA, format!("{understood} Dags"), Verdict::Supported, "are understood");
    Ok(())
}

/// What is remarkable about one Dag.
fn one(dag: &CachedDag, executors: &Roster, report: &mut Report) {
    let id = &dag.dag.dag_id;
    for path in custom_timetables(&dag.timetable) {
        report.add(AREA, id, Verdict::Supported, format!("timetable {path}: asked in a Python process"));
    }
    let rules = dag.dag.tasks.iter().filter_map(|task| match &task.weight_rule {
        WeightRule::Custom(path) => Some(path),
        _ => None,
    });
    for path in rules.collect::<BTreeSet<_>>() {
        report.add(AREA, id, Verdict::Supported, format!("weight rule {path}: asked in a Python process"));
    }
    let strange: BTreeSet<_> = dag
        .dag
        .tasks
        .iter()
        .filter_map(|task| task.executor.as_ref())
        .filter(|wanted| !executors.iter().any(|(_, known)| known.answers_to(wanted)))
        .collect();
    for executor in strange {
        let detail =
            format!("some of its tasks ask for the executor {executor}, which is not in [core] executor");
        report.add(AREA, id, Verdict::Refused, detail);
    }
}

fn custom_timetables(timetable: &Timetable) -> Vec<&str> {
    match timetable {
        Timetable::Custom { path, .. } => vec![path],
        Timetable::AssetOrTime { timetable, .. } => custom_timetables(timetable),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use slipstream_core::executor::Teams;

    use super::*;
    use crate::store::testing;

    fn task(executor: Option<&str>, weight_rule: &str) -> serde_json::Value {
        json!({"__type": "operator", "__var": {"task_id": "t", "task_type": "EmptyOperator",
            "executor": executor, "weight_rule": weight_rule}})
    }

    fn dag(dag_id: &str, timetable: serde_json::Value, task: serde_json::Value) -> serde_json::Value {
        json!({"dag_id": dag_id, "timezone": "UTC", "timetable": timetable, "tasks": [task]})
    }

    #[test]
    fn a_dag_that_is_not_understood_is_refused_and_the_others_are_told_of() {
        testing::on_each_database(async |db| {
            let null = json!({"__type": "airflow.timetables.simple.NullTimetable", "__var": {}});
            let own = json!({"__type": "plugins.moon.FullMoon", "__var": {}});
            for (id, serialised) in [
                ("plain", dag("plain", null.clone(), task(None, "downstream"))),
                ("moon", dag("moon", own, task(Some("mine"), "plugins.moon.Heavy"))),
                ("elsewhere", dag("elsewhere", null, task(Some("Celery"), "downstream"))),
                ("broken", json!({"dag_id": "broken", "tasks": 7})),
            ] {
                testing::dag(db, id).await;
                testing::serialized_dag(db, id, serialised).await;
            }
            let mut report = Report::default();
            let roster = Roster::parse("LocalExecutor,mine:house.Executor", Teams::Off).unwrap();
            survey(db, &roster, &mut report).await.unwrap();
            let found: Vec<_> =
                report.findings.iter().map(|f| (f.subject.as_str(), f.verdict, f.detail.as_str())).collect();
            let mut refused: Vec<_> =
                found.iter().filter(|(_, verdict, _)| *verdict == Verdict::Refused).collect();
            refused.sort_by_key(|(dag_id, ..)| *dag_id);
            assert_eq!(refused.iter().map(|f| f.0).collect::<Vec<_>>(), ["broken", "elsewhere"], "{found:?}");
            assert!(refused[1].2.contains("Celery"));
            assert!(found.iter().any(|f| f.0 == "moon" && f.2.contains("plugins.moon.FullMoon")));
            assert!(found.iter().any(|f| f.0 == "moon" && f.2.contains("plugins.moon.Heavy")));
            assert!(found.contains(&("3 Dags", Verdict::Supported, "are understood")), "{found:?}");
        });
    }
}
