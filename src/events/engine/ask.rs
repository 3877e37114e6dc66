//! Asks Python functions about events. Never inside a transaction.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use slipstream_core::event::{Answers, EvalError, Event, Passes, Question, Reply};

use super::told::told;
use crate::config::Config;
use crate::python::{LazyService, PythonError};

/// Who calls Python functions: a process of its own, which is started by the first question. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Asker(Whom);

#[derive(Clone, Debug)]
enum Whom {
    Nobody,
    Python(LazyService),
    /// A test's own answers.
    #[cfg(test)]
    Script(Script),
}

#[cfg(test)]
type Answering = dyn Fn(&Question, &Event) -> Result<Reply, String> + Send + Sync;

#[cfg(test)]
#[derive(Clone)]
struct Script {
    answers: std::sync::Arc<Answering>,
    gate: Option<std::sync::Arc<Gate>>,
}

/// Holds back the answers of a test.
#[cfg(test)]
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// A question was asked.
    pub(super) asked: tokio::sync::Notify,
    /// It may be answered.
    pub(super) open: tokio::sync::Notify,
}

#[cfg(test)]
impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

/// Python cannot be asked at all: no fault of the function's, and worth another try later.
#[derive(Debug, thiserror::Error)]
#[error("Python functions cannot be asked: {0}")]
pub(in crate::events) struct NoPython(String);

#[derive(Deserialize)]
struct Answered {
    passes: bool,
    state: Value,
}

impl Asker {
    /// Asks in the deployment's Python.
    pub fn python(config: &Config) -> Self {
        Self(Whom::Python(LazyService::new(config)))
    }

    /// Asks nobody.
    pub fn nobody() -> Self {
        Self(Whom::Nobody)
    }

    /// Answers as a test says.
    #[cfg(test)]
    pub(super) fn script(
        answers: impl Fn(&Question, &Event) -> Result<Reply, String> + Send + Sync + 'static,
    ) -> Self {
        Self(Whom::Script(Script { answers: std::sync::Arc::new(answers), gate: None }))
    }

    /// Answers as a test says, and when.
    #[cfg(test)]
    pub(super) fn behind(self, gate: &std::sync::Arc<Gate>) -> Self {
        match self.0 {
            Whom::Script(script) => Self(Whom::Script(Script { gate: Some(gate.clone()), ..script })),
            other => Self(other),
        }
    }

    /// Asks each question about the event. The inner error is a function's: it raised, took too long, gave no answer, or
    /// took its process with it.
    ///
    /// # Errors
    /// [`NoPython`] when there is no process that could be asked.
    pub(in crate::events) async fn ask(
        &self,
        questions: &[Question],
        event: &Event,
    ) -> Result<Result<Answers, EvalError>, NoPython> {
        let mut answers = Answers::new();
        for question in questions {
            match self.one(question, event).await? {
                Ok(reply) => answers.insert(question.part, reply),
                Err(problem) => {
                    let function = question.predicate.function.clone();
                    return Ok(Err(EvalError::Python { function, problem }));
                }
            };
        }
        Ok(Ok(answers))
    }

    async fn one(&self, question: &Question, event: &Event) -> Result<Result<Reply, String>, NoPython> {
        let service = match &self.0 {
            Whom::Nobody => return Err(NoPython("there is no Python here".to_owned())),
            Whom::Python(service) => service,
            #[cfg(test)]
            Whom::Script(Script { answers, gate }) => {
                if let Some(gate) = gate {
                    gate.asked.notify_one();
                    gate.open.notified().await;
                }
                return Ok(answers(question, event));
            }
        };
        let predicate = &question.predicate;
        let limit = Duration::from_secs_f64(predicate.limit);
        // A process that ends may have been ended by someone else; one that ends twice has been ended by the function.
        for last in [false, true] {
            let args = json!({
                "function": predicate.function, "source": predicate.source, "event": told(event), "state": question.state,
            });
            let answered = match service.call("predicates.ask", args, limit).await {
                Ok(answered) => Answered::deserialize(answered).map_err(|error| error.to_string()),
                Err(PythonError::Op { why, .. }) => Err(why),
                Err(PythonError::Overran { .. }) => Err(format!("it took longer than {} s", predicate.limit)),
                Err(PythonError::Died) if !last => continue,
                Err(PythonError::Died) => Err("its process ended".to_owned()),
                Err(error) => return Err(NoPython(error.to_string())),
            };
            return Ok(answered.map(|Answered { passes, state }| {
                let passes = if passes { Passes::Yes } else { Passes::No };
                Reply { passes, state }
            }));
        }
        Ok(Err("its process ended".to_owned()))
    }
}
