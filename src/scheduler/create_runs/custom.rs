//! Timetables of the user's: only Python knows their answers, and the loop must not wait for it.
//!
//! A call that meets such a timetable returns a question instead of a run. Whoever calls has it answered in the background
//! and passes the answer to the next call, which makes the run and writes when the next one is in one transaction.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use slipstream_core::ids::DagId;
use slipstream_core::schedule::NextRunFacts;

use crate::python::{LazyService, PythonError};

/// A due run of a Dag whose timetable is the user's.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomQuestion {
    /// The Dag.
    pub dag_id: DagId,
    /// The run that is due.
    pub due: NextRunFacts,
}

/// What Python said.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomAnswer {
    /// The run that was asked about; an answer about another one is not used.
    pub due: NextRunFacts,
    /// The due run's name.
    pub run_id: String,
    /// The run after it.
    pub next: NextRunFacts,
}

/// Answers by Dag. One that was used or is out of date may be dropped at any time.
pub type CustomAnswers = HashMap<DagId, CustomAnswer>;

/// How long a timetable may take to say when its next run is.
const LIMIT: Duration = Duration::from_secs(30);

impl CustomQuestion {
    /// Asks Python.
    ///
    /// # Errors
    /// [`PythonError`] when the timetable raises, takes too long, or answers what is no answer.
    pub async fn ask(self, service: &LazyService) -> Result<(DagId, CustomAnswer), PythonError> {
        let args = json!({"dag_id": self.dag_id, "due": to_json(&self.due)});
        let said = service.call("timetables.next_run", args, LIMIT).await?;
        let run_id = said["run_id"].as_str().unwrap_or_default().to_owned();
        let next = from_json(&said["next"]);
        Ok((self.dag_id, CustomAnswer { due: self.due, run_id, next }))
    }
}

fn to_json(run: &NextRunFacts) -> Value {
    json!({
        "next_dagrun": run.next_dagrun,
        "create_after": run.create_after,
        "data_interval_start": run.data_interval_start,
        "data_interval_end": run.data_interval_end,
        "partition_key": run.partition_key,
        "partition_date": run.partition_date,
    })
}

/// Reads a next run; `null` is none.
fn from_json(value: &Value) -> NextRunFacts {
    let time = |key: &str| value.get(key).and_then(Value::as_str).and_then(|text| text.parse().ok());
    NextRunFacts {
        next_dagrun: time("next_dagrun"),
        create_after: time("create_after"),
        data_interval_start: time("data_interval_start"),
        data_interval_end: time("data_interval_end"),
        partition_key: value.get("partition_key").and_then(Value::as_str).map(str::to_owned),
        partition_date: time("partition_date"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_run_survives_the_way_to_python_and_back() {
        let run = NextRunFacts {
            next_dagrun: "2026-01-01T00:00:00Z".parse().ok(),
            create_after: "2026-01-02T00:00:00.000120Z".parse().ok(),
            ..NextRunFacts::default()
        };
        assert_eq!(from_json(&to_json(&run)), run);
        assert_eq!(from_json(&Value::Null), NextRunFacts::default());
    }
}
