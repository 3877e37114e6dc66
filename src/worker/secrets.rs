//! Secrets that pass between a task and its server: its log must not show them.

use rmpv::Value;

use crate::supervisor::masker::Masker;
use crate::supervisor::value::{Fields, to_json};

/// Learns what a task asks to be masked, and what it was given (`airflow/sdk/execution_time/request_handlers.py`).
pub(super) fn learn(masker: &mut Masker, request: &Value, answer: Option<&Value>) {
    if let Some(fields) = Fields::new(request).filter(|fields| fields.kind() == "MaskSecret")
        && let Some(secret) = fields.get("value").and_then(|value| to_json(value).ok())
    {
        masker.add(&secret, fields.text_opt("name").ok().flatten());
    }
    let Some(fields) = answer.and_then(Fields::new) else { return };
    let mut text = |field: &str, name: Option<&str>| {
        if let Ok(Some(text)) = fields.text_opt(field) {
            masker.add_text(text, name);
        }
    };
    match fields.kind() {
        "ConnectionResult" => {
            text("password", None);
            text("extra", None);
        }
        "VariableResult" => text("value", fields.text_opt("key").ok().flatten()),
        _ => {}
    }
}
