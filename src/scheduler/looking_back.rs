//! Runs that wait for an earlier run of their Dag (`depends_on_past`, `wait_for_downstream`): they are looked at when another run of the
//! Dag goes on. Airflow looks at all of them in each loop.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use slipstream_core::ids::{DagId, RunId};

use super::agenda::RunKey;
use super::judge::Past;
use crate::store::watch::Touched;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct LookingBack {
    waiting: HashMap<DagId, BTreeMap<i64, RunId>>,
    /// The runs that were running at the last look at them.
    running: HashMap<i64, DagId>,
}

impl LookingBack {
    /// What a look at a run found.
    pub(super) fn note(&mut self, (dag_id, run_id): &RunKey, run: i64, past: Past) {
        match past {
            Past::Watched => {
                self.waiting.entry(dag_id.clone()).or_default().insert(run, run_id.clone());
            }
            Past::Irrelevant => {
                if let Some(runs) = self.waiting.get_mut(dag_id) {
                    runs.remove(&run);
                }
            }
        }
    }

    /// Those of a Dag, but for one.
    pub(super) fn of(&self, dag_id: &DagId, but: Option<i64>) -> Vec<(i64, RunKey)> {
        let runs = self.waiting.get(dag_id).into_iter().flatten().filter(|(run, _)| Some(**run) != but);
        runs.map(|(run, run_id)| (*run, (dag_id.clone(), run_id.clone()))).collect()
    }

    /// Takes in which runs are running now; returns the Dags of those that are not any more.
    pub(super) fn running(&mut self, now: &[Touched]) -> BTreeSet<DagId> {
        let now: HashMap<i64, DagId> = now.iter().map(|run| (run.run, run.dag_id.clone())).collect();
        let before = std::mem::replace(&mut self.running, now);
        self.waiting.retain(|_, runs| {
            runs.retain(|run, _| self.running.contains_key(run));
            !runs.is_empty()
        });
        before
            .into_iter()
            .filter(|(run, _)| !self.running.contains_key(run))
            .map(|(_, dag_id)| dag_id)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::watch::Marks;

    fn touched(run: i64) -> Touched {
        Touched { run, dag_id: "d".into(), at: None, marks: Marks::default(), version_at: None }
    }

    #[test]
    fn only_runs_that_wait_are_named_and_those_that_are_gone_are_forgotten() {
        let mut waiting = LookingBack::default();
        let of = |waiting: &LookingBack| -> Vec<i64> {
            waiting.of(&"d".into(), Some(1)).into_iter().map(|(run, _)| run).collect()
        };
        for run in 1..=4 {
            waiting.note(&("d".into(), format!("r{run}").into()), run, Past::Watched);
        }
        waiting.note(&("d".into(), "r2".into()), 2, Past::Irrelevant);
        assert_eq!(of(&waiting), [3, 4]);
        assert!(waiting.running(&[touched(3), touched(4)]).is_empty());
        assert_eq!(waiting.running(&[touched(4)]), BTreeSet::from(["d".into()]));
        assert_eq!(of(&waiting), [4]);
        waiting.running(&[]);
        assert_eq!(of(&waiting), Vec::<i64>::new());
    }
}
