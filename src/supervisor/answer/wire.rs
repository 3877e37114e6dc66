//! Store facts in the SDK's forms.

use serde_json::Value as Json;

use super::super::value::Message;
use crate::store::execution::dag_run::{ConsumedEvent, DagRunFacts};

/// `DagRun` of the SDK.
pub(super) fn dag_run(run: &DagRunFacts) -> Message {
    let events: Vec<_> = run.consumed_asset_events.iter().map(consumed_event).collect();
    let conf = match &run.conf {
        Json::Object(_) => Some(&run.conf),
        _ => None,
    };
    Message::map()
        .with("dag_id", run.dag_id.as_str())
        .with("run_id", run.run_id.as_str())
        .with("logical_date", run.logical_date)
        .with("data_interval_start", run.data_interval_start)
        .with("data_interval_end", run.data_interval_end)
        .with("run_after", run.run_after)
        .with("start_date", run.start_date)
        .with("end_date", run.end_date)
        .with("clear_number", run.clear_number)
        .with("run_type", run.run_type.as_str())
        .with("state", run.state.as_str())
        .with("conf", conf)
        .with("triggering_user_name", run.triggering_user_name.as_deref())
        .with("consumed_asset_events", events)
        .with("partition_key", run.partition_key.as_deref())
        .with("partition_date", run.partition_date)
        .with("note", None::<&str>)
        .with("team_name", run.team_name.as_deref())
}

fn consumed_event(event: &ConsumedEvent) -> Message {
    let aliases: Vec<_> =
        event.source_aliases.iter().map(|name| Message::map().with("name", name.as_str())).collect();
    Message::map()
        .with(
            "asset",
            Message::map()
                .with("name", event.asset_name.as_str())
                .with("uri", event.asset_uri.as_str())
                .with("extra", &event.asset_extra),
        )
        .with("extra", &event.extra)
        .with("source_task_id", event.source_task_id.as_deref())
        .with("source_dag_id", event.source_dag_id.as_deref())
        .with("source_run_id", event.source_run_id.as_deref())
        .with("source_map_index", event.source_map_index)
        .with("source_aliases", aliases)
        .with("timestamp", event.timestamp)
        .with("partition_key", event.partition_key.as_deref())
}
