//! A filter over an event: the data of the event as JSON on the first line, the filter in all that follows.

use chrono::DateTime;
use serde_json::{Map, Value, json};
use slipstream_core::event::{Event, Input, Position, Progress, Scope, TriggerSpec, step};

/// Compiles the filter, and puts the event to it.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (first, filter) = text.split_once('\n').unwrap_or(("null", text));
    let Ok(data) = serde_json::from_str::<Value>(first) else { return };
    let trigger = json!({
        "version": 1,
        "on": {"event": {"key": "t", "where": filter}},
        "do": {"run": {}},
    });
    let Ok(spec) = TriggerSpec::from_json(&trigger) else { return };
    let event = Event {
        position: Position(1),
        namespace: "default".to_owned(),
        key: "t".to_owned(),
        event_type: "t".to_owned(),
        source: "/fuzz".to_owned(),
        id: "1".to_owned(),
        sender: None,
        time: DateTime::UNIX_EPOCH,
        scope: Scope::All,
        data,
        extensions: Map::new(),
    };
    let _ = step(&spec, &mut Progress::default(), Input::Event(&event), DateTime::UNIX_EPOCH);
}
