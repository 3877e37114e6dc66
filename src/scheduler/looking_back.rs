//! Runs that wait for an earlier run of their Dag (`depends_on_past`, `wait_for_downstream`): they are looked at when another run of the
//! Dag goes on. Airflow looks at all of them in each loop.

use std::collections::{BTreeSet, HashMap};

use slipstream_core::ids::DagId;

use super::judge::Past;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct LookingBack {
    runs: HashMap<DagId, BTreeSet<i64>>,
}

impl LookingBack {
    /// What a look at a run found.
    pub(super) fn note(&mut self, dag_id: &DagId, run: i64, past: Past) {
        match past {
            Past::Watched => {
                self.runs.entry(dag_id.clone()).or_default().insert(run);
            }
            Past::Irrelevant => {
                if let Some(runs) = self.runs.get_mut(dag_id) {
                    runs.remove(&run);
                    if runs.is_empty() {
                        self.runs.remove(dag_id);
                    }
                }
            }
        }
    }

    /// Those of a Dag.
    pub(super) fn of(&self, dag_id: &DagId) -> impl Iterator<Item = i64> {
        self.runs.get(dag_id).into_iter().flatten().copied()
    }

    /// Forgets runs that do not run any more.
    pub(super) fn keep(&mut self, running: &BTreeSet<i64>) {
        self.runs.retain(|_, runs| {
            runs.retain(|run| running.contains(run));
            !runs.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_runs_that_wait_are_named_and_those_that_are_gone_are_forgotten() {
        let mut waiting = LookingBack::default();
        let of = |waiting: &LookingBack| waiting.of(&"d".into()).collect::<Vec<_>>();
        for run in [1, 2, 3] {
            waiting.note(&"d".into(), run, Past::Watched);
        }
        waiting.note(&"d".into(), 2, Past::Irrelevant);
        assert_eq!(of(&waiting), [1, 3]);
        waiting.keep(&BTreeSet::from([3]));
        assert_eq!(of(&waiting), [3]);
        waiting.keep(&BTreeSet::new());
        assert_eq!(of(&waiting), Vec::<i64>::new());
    }
}
