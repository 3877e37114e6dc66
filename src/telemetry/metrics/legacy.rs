//! The old dotted names of metrics.

use super::Tags;

/// The old names of metrics (`metrics_template.yaml`), where they differ from "name, then its tags".
const LEGACY: &[(&str, &str)] = &[
    ("operator_failures", "operator_failures_{operator_name}"),
    ("ti.start", "ti.start.{dag_id}.{task_id}"),
    ("ti.finish", "ti.finish.{dag_id}.{task_id}.{state}"),
    ("task_removed_from_dag", "task_removed_from_dag.{dag_id}"),
    ("task_restored_to_dag", "task_restored_to_dag.{dag_id}"),
    ("task_instance_created", "task_instance_created_{task_type}"),
    ("dag_processing.last_run.seconds_ago", "dag_processing.last_run.seconds_ago.{file_name}"),
    ("dag_processing.last_duration", "dag_processing.last_duration.{bundle_name}.{file_name}"),
    ("executor.open_slots", "executor.open_slots.{executor_class_name}"),
    ("executor.queued_tasks", "executor.queued_tasks.{executor_class_name}"),
    ("executor.running_tasks", "executor.running_tasks.{executor_class_name}"),
    ("pool.open_slots", "pool.open_slots.{pool_name}"),
    ("pool.queued_slots", "pool.queued_slots.{pool_name}"),
    ("pool.running_slots", "pool.running_slots.{pool_name}"),
    ("pool.deferred_slots", "pool.deferred_slots.{pool_name}"),
    ("pool.scheduled_slots", "pool.scheduled_slots.{pool_name}"),
    ("pool.starving_tasks", "pool.starving_tasks.{pool_name}"),
    ("ti.scheduled", "ti.scheduled.{queue}.{dag_id}.{task_id}"),
    ("ti.queued", "ti.queued.{queue}.{dag_id}.{task_id}"),
    ("ti.running", "ti.running.{queue}.{dag_id}.{task_id}"),
    ("ti.deferred", "ti.deferred.{queue}.{dag_id}.{task_id}"),
    ("dagrun.dependency-check", "dagrun.dependency-check.{dag_id}"),
    ("task.duration", "dag.{dag_id}.{task_id}.duration"),
    ("task.scheduled_duration", "dag.{dag_id}.{task_id}.scheduled_duration"),
    ("task.queued_duration", "dag.{dag_id}.{task_id}.queued_duration"),
    ("dagrun.duration.success", "dagrun.duration.success.{dag_id}"),
    ("dagrun.duration.failed", "dagrun.duration.failed.{dag_id}"),
    ("dagrun.schedule_delay", "dagrun.schedule_delay.{dag_id}"),
    ("dagrun.first_task_scheduling_delay", "dagrun.{dag_id}.first_task_scheduling_delay"),
];

/// A metric's old name and the tags that are not part of it. None: it has none, or a tag is missing.
pub(super) fn legacy<'a>(name: &str, tags: &Tags<'a>) -> Option<(String, Vec<(&'a str, &'a str)>)> {
    let (_, template) = LEGACY.iter().find(|(new, _)| *new == name)?;
    let mut old = (*template).to_owned();
    let mut rest = Vec::new();
    for (tag, value) in tags {
        let place = format!("{{{tag}}}");
        if old.contains(&place) {
            // A dot separates levels of the name.
            old = old.replace(&place, &value.replace('.', "__"));
        } else {
            rest.push((*tag, *value));
        }
    }
    (!old.contains('{')).then_some((old, rest))
}
