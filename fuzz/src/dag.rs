//! A serialised Dag, as the scheduler reads it from the database.

use serde_json::Value;
use slipstream_core::dag::Dag;

/// Reads one, and walks over all that came out.
pub fn run(data: &[u8]) {
    let Ok(json) = serde_json::from_slice::<Value>(data) else { return };
    let Ok(dag) = Dag::from_serialized(&json) else { return };
    for (index, task) in dag.iter() {
        assert_eq!(dag.find(task.task_id.as_str()), Some(index), "a task is found by its id");
        let _ = dag.mapped_groups(task);
    }
}
