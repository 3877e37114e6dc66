//! Which row of the registry is which trigger of a Dag file, and what a new one is called.

use std::collections::BTreeMap;

use slipstream_core::ids::DagId;

use super::sync::Found;
use crate::store::triggers::registry::{Status, TriggerRow};

/// The row of each trigger, if it has one: the one that says the same, or else the one that has its name. A trigger without
/// a name is known by what it says, so that it stays itself when another one is written above it.
pub(super) fn pair<'r>(found: &[Found<'_>], rows: &[&'r TriggerRow]) -> Vec<Option<&'r TriggerRow>> {
    let mut paired = vec![None; found.len()];
    let mut free: Vec<&'r TriggerRow> = rows.to_vec();
    // The best reasons first, each for all triggers.
    for fits in [says_the_same, said_the_same, is_called_so, is_at_hand] {
        for (trigger, pair) in found.iter().zip(&mut paired).filter(|(_, pair)| pair.is_none()) {
            let same = |row: &&TriggerRow| {
                row.task_id == trigger.task_id
                    && row.spec.get("name") == trigger.declared.json.get("name")
                    && fits(trigger, row)
            };
            if let Some(at) = free.iter().position(same) {
                *pair = Some(free.remove(at));
            }
        }
    }
    paired
}

fn says_the_same(trigger: &Found<'_>, row: &TriggerRow) -> bool {
    said_the_same(trigger, row) && row.status != Status::Retired
}

fn said_the_same(trigger: &Found<'_>, row: &TriggerRow) -> bool {
    row.spec_hash == trigger.hash
}

fn is_called_so(trigger: &Found<'_>, row: &TriggerRow) -> bool {
    // The names that files give are compared already.
    trigger.is_named() || row.name == trigger.name
}

fn is_at_hand(_: &Found<'_>, row: &TriggerRow) -> bool {
    row.status != Status::Retired
}

/// The names of all triggers, and whose they are.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, DagId>);

impl Names {
    pub(super) fn of(rows: &[TriggerRow]) -> Self {
        Self(rows.iter().map(|row| (row.name.clone(), row.dag_id.clone())).collect())
    }

    pub(super) fn take(&mut self, name: &str, dag_id: &DagId) {
        self.0.insert(name.to_owned(), dag_id.clone());
    }

    /// A name for a new trigger of a Dag that no other trigger has. Ids may have dots in them, so that two Dags can come to
    /// the same one: the second has its Dag in it. `None`: the trigger names itself as another of its Dag.
    pub(super) fn free(&self, trigger: &Found<'_>, dag_id: &DagId) -> Option<String> {
        let apart = |name: &String| format!("{name}@{dag_id}");
        let pick = |name: String| match self.0.get(&name) {
            None => Some(name),
            Some(other) if other != dag_id => {
                Some(apart(&name)).filter(|name| !self.0.contains_key(name.as_str()))
            }
            Some(_) => None,
        };
        let Some((base, ordinal)) = trigger.name.rsplit_once('#').filter(|_| !trigger.is_named()) else {
            return pick(trigger.name.clone());
        };
        let first: usize = ordinal.parse().unwrap_or(0);
        (first..=first + self.0.len()).find_map(|ordinal| pick(format!("{base}#{ordinal}")))
    }
}
