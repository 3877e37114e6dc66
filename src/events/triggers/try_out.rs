//! What a trigger would make of events, without any consequence.

use chrono::{DateTime, Utc};
use slipstream_core::event::{Event, Input, Progress, TriggerSpec, Verdict, questions, step};
use slipstream_core::ids::{DagId, RunId};

use crate::events::engine::Asker;
use crate::store::triggers::TriggerId;

/// What it made of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// `ignored`, `not_matched`, `matched`, `fired` or `failed`.
    pub verdict: &'static str,
    /// Why.
    pub reason: String,
}

/// Puts events to a trigger that remembers nothing yet, one after the other.
pub async fn try_out(
    spec: &TriggerSpec,
    place: (&DagId, Option<&RunId>, TriggerId),
    events: &[Event],
    asker: &Asker,
    now: DateTime<Utc>,
) -> Vec<Tried> {
    let (dag_id, run_id, id) = place;
    let spec = spec.bound_to(dag_id, run_id, id.0);
    let mut memories = std::collections::HashMap::<String, Progress>::new();
    let mut tried = Vec::with_capacity(events.len());
    for event in events {
        let named = spec
            .interests()
            .iter()
            .any(|interest| interest.namespace.accepts(&event.namespace) && interest.key.accepts(&event.key));
        if !named {
            let reason =
                format!("no term of it names key `{}` in namespace `{}`", event.key, event.namespace);
            tried.push(Tried { verdict: "ignored", reason });
            continue;
        }
        let progress = memories.entry(spec.correlation(event).unwrap_or_default()).or_default();
        let judged = match questions(&spec, progress, event) {
            Ok(asked) => asker.ask(&asked, event).await,
            Err(error) => Ok(Err(error)),
        };
        let judged = match judged {
            Ok(answers) => {
                answers.and_then(|answers| step(&spec, progress, Input::Asked(event, &answers), now))
            }
            Err(why) => {
                tried.push(Tried { verdict: "failed", reason: why.to_string() });
                continue;
            }
        };
        let (verdict, reason) = match judged {
            Ok(done) => match done.verdict {
                Verdict::Ignored => (
                    "ignored",
                    "no term of it expects such an event (type, source, sender or run)".to_owned(),
                ),
                Verdict::NotMatched(reason) => ("not_matched", reason),
                Verdict::Matched(reason) => ("matched", reason),
                Verdict::Fired { reason, .. } => ("fired", reason),
            },
            Err(error) => ("failed", error.to_string()),
        };
        tried.push(Tried { verdict, reason });
    }
    tried
}
