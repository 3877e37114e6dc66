//! Names of dag runs: making them and checking them (`airflow/models/dagrun.py`, `airflow/utils/types.py`).

use chrono::{DateTime, SecondsFormat, Utc};
use regex::Regex;
use uuid::Uuid;

use slipstream_core::state::RunType;

/// Which names are allowed for dag runs.
#[derive(Clone, Debug)]
pub struct RunIdRules {
    /// `[scheduler] allowed_run_id_pattern`, matched at the start of the name; empty allows only Airflow's own names.
    pattern: Option<Regex>,
    pattern_text: String,
    double_dot: DoubleDot,
}

/// `[core] allow_double_dot_in_ids`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoubleDot {
    /// A name with `..` is refused: it becomes part of a path.
    Refused,
    /// A name with `..` is taken.
    Allowed,
}

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunIdError {
    /// It could lead out of the log folder.
    #[error("The run_id '{0}' must not contain '..' to prevent path traversal")]
    PathTraversal(String),
    /// It does not match the patterns.
    #[error(
        "The run_id provided '{run_id}' does not match regex pattern '{pattern}' or '{}'",
        RunIdRules::OWN
    )]
    Pattern {
        /// The name.
        run_id: String,
        /// `[scheduler] allowed_run_id_pattern`.
        pattern: String,
    },
    /// A manual run was given a name of another kind of run.
    #[error("A {run_type} DAG run cannot use ID '{run_id}' since it is reserved for {reserved} runs")]
    Reserved {
        /// The kind of the run.
        run_type: RunType,
        /// The name.
        run_id: String,
        /// The kind that the name is reserved for.
        reserved: RunType,
    },
}

impl RunIdRules {
    /// Names that are always allowed.
    const OWN: &str =
        r"^(?:manual|scheduled|asset_triggered)__(?:\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\+00:00)$";

    /// Airflow's default of `[scheduler] allowed_run_id_pattern`.
    pub const DEFAULT_PATTERN: &str = r"^[A-Za-z0-9_.~:+-]+$";

    /// Rules with `[scheduler] allowed_run_id_pattern` as configured.
    ///
    /// # Errors
    /// The pattern is not a regular expression.
    pub fn new(pattern: &str, double_dot: DoubleDot) -> Result<Self, regex::Error> {
        let text = pattern.trim();
        // Python's `re.match` looks at the start only; the end is the pattern's own affair.
        let pattern = if text.is_empty() { None } else { Some(Regex::new(&format!(r"\A(?:{text})"))?) };
        Ok(Self { pattern, pattern_text: text.to_owned(), double_dot })
    }

    /// Whether a run of this type may have this name.
    ///
    /// # Errors
    /// What is wrong with the name, in Airflow's words.
    pub fn check(&self, run_type: RunType, run_id: &str) -> Result<(), RunIdError> {
        if self.double_dot == DoubleDot::Refused && run_id.contains("..") {
            return Err(RunIdError::PathTraversal(run_id.to_owned()));
        }
        let matches = self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(run_id));
        if !matches && !is_own(run_id) {
            return Err(RunIdError::Pattern {
                run_id: run_id.to_owned(),
                pattern: self.pattern_text.clone(),
            });
        }
        let reserved = inferred_type(run_id);
        if run_type == RunType::Manual && reserved != RunType::Manual {
            return Err(RunIdError::Reserved { run_type, run_id: run_id.to_owned(), reserved });
        }
        Ok(())
    }
}

/// Whether this is a name that Airflow itself gives to runs without a fraction of a second: `RUN_ID_REGEX`.
fn is_own(run_id: &str) -> bool {
    let Some((kind, time)) = run_id.split_once("__") else { return false };
    matches!(kind, "manual" | "scheduled" | "asset_triggered")
        && time.len() == "2026-01-02T03:04:05+00:00".len()
        && time.bytes().zip("0000-00-00T00:00:00+00:00".bytes()).enumerate().all(|(i, (byte, shape))| {
            match shape {
                b'0' if i < 19 => byte.is_ascii_digit(),
                _ => byte == shape,
            }
        })
}

/// The kind of run that a name announces: `DagRunType.from_run_id`.
pub fn inferred_type(run_id: &str) -> RunType {
    RunType::ALL
        .iter()
        .copied()
        .find(|kind| run_id.strip_prefix(kind.as_str()).is_some_and(|rest| rest.starts_with("__")))
        .unwrap_or(RunType::Manual)
}

/// `DagRun.generate_run_id`: `<type>__<run_after>`, with a random end for a run without a logical date, because several
/// of those may have the same `run_after`.
pub fn generate(run_type: RunType, logical_date: Option<DateTime<Utc>>, run_after: DateTime<Utc>) -> String {
    let time = isoformat(run_after);
    match logical_date {
        Some(_) => format!("{run_type}__{time}"),
        None => format!("{run_type}__{time}_{}", random_end()),
    }
}

/// A time as Python's `isoformat` writes it: microseconds only when there are any.
pub fn isoformat(time: DateTime<Utc>) -> String {
    let digits =
        if time.timestamp_subsec_micros() == 0 { SecondsFormat::Secs } else { SecondsFormat::Micros };
    time.to_rfc3339_opts(digits, false)
}

/// Eight random letters and digits.
pub fn random_end() -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    Uuid::new_v4().as_bytes()[..8].iter().map(|byte| char::from(LETTERS[usize::from(*byte) % 62])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> RunIdRules {
        RunIdRules::new(RunIdRules::DEFAULT_PATTERN, DoubleDot::Refused).unwrap()
    }

    #[test]
    fn a_scheduled_run_is_named_after_the_moment_it_may_start() {
        let after = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(generate(RunType::Scheduled, Some(after), after), "scheduled__2026-01-02T03:04:05+00:00");
        let fraction = "2026-01-02T03:04:05.000120Z".parse().unwrap();
        let name = generate(RunType::AssetTriggered, None, fraction);
        assert!(name.starts_with("asset_triggered__2026-01-02T03:04:05.000120+00:00_"), "{name}");
        assert_eq!(name.len(), "asset_triggered__2026-01-02T03:04:05.000120+00:00_".len() + 8);
    }

    #[test]
    fn a_name_that_leads_out_of_the_folder_is_refused() {
        assert!(matches!(rules().check(RunType::Manual, "a..b"), Err(RunIdError::PathTraversal(_))));
        let allowed = RunIdRules::new(RunIdRules::DEFAULT_PATTERN, DoubleDot::Allowed).unwrap();
        assert_eq!(allowed.check(RunType::Manual, "a..b"), Ok(()));
    }

    #[test]
    fn a_manual_run_cannot_take_the_name_of_a_scheduled_one() {
        let error = rules().check(RunType::Manual, "scheduled__2026-01-02T03:04:05+00:00").unwrap_err();
        assert!(error.to_string().contains("reserved for scheduled runs"), "{error}");
        assert_eq!(rules().check(RunType::Scheduled, "scheduled__2026-01-02T03:04:05+00:00"), Ok(()));
    }

    #[test]
    fn an_empty_pattern_allows_only_airflows_own_names() {
        let none = RunIdRules::new(" ", DoubleDot::Refused).unwrap();
        assert_eq!(none.check(RunType::Manual, "manual__2026-01-02T03:04:05+00:00"), Ok(()));
        assert!(none.check(RunType::Manual, "mine").is_err());
        assert!(rules().check(RunType::Manual, "has space").is_err());
    }
}
