//! Reading the tree of task groups (`TaskGroupSerialization.deserialize_task_group`).

use serde_json::Value;

use super::read::Names;
use super::{DagError, Group, GroupIndex, Task, read_expand};

/// The groups, root first, and in each task the group that it is in.
pub(super) fn groups(root: &Value, tasks: &mut [Task], names: &Names) -> Result<Vec<Group>, DagError> {
    let mut groups = Vec::new();
    let mut pending = vec![(root, None::<GroupIndex>, None::<String>)];
    while let Some((encoded, parent, prefix)) = pending.pop() {
        let index = GroupIndex(groups.len() as u32);
        let label = encoded.get("_group_id").and_then(Value::as_str).filter(|label| !label.is_empty());
        let full = match (&prefix, label) {
            (Some(prefix), Some(label)) => Some(format!("{prefix}.{label}")),
            (None, label) => label.map(str::to_owned),
            (Some(_), None) => None,
        };
        let place = || format!("group `{}`", full.as_deref().unwrap_or("(root)"));
        let expand_input = match encoded.get("is_mapped").and_then(Value::as_bool) {
            Some(true) => Some(read_expand::expand_input(
                encoded.get("expand_input").unwrap_or(&Value::Null),
                names,
                &place(),
            )?),
            _ => None,
        };
        let mut mapped_chain: Vec<GroupIndex> = expand_input.iter().map(|_| index).collect();
        if let Some(parent) = parent {
            let parent: &Group = &groups[parent.at()];
            mapped_chain.extend_from_slice(&parent.mapped_chain);
        }
        let children = encoded
            .get("children")
            .and_then(Value::as_object)
            .ok_or_else(|| names.missing("children", place()))?;
        let prefixes = encoded.get("prefix_group_id").and_then(Value::as_bool).unwrap_or(true);
        for (_, child) in children {
            match (child.get(0).and_then(Value::as_str), child.get(1)) {
                (Some("operator"), Some(Value::String(task_id))) => {
                    tasks[names.task(task_id, place())?.at()].group = index;
                }
                (_, Some(group)) => {
                    pending.push((group, Some(index), full.clone().filter(|_| prefixes)));
                }
                _ => return Err(names.missing("children", place())),
            }
        }
        groups.push(Group { group_id: full.as_deref().map(Into::into), parent, expand_input, mapped_chain });
    }
    Ok(groups)
}
