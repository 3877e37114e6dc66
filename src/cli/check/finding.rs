//! What `slipstream check` found.

use std::fmt::Display;

use serde::Serialize;

/// What becomes of something under Slipstream. The order is that of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// As under Airflow.
    Supported,
    /// It runs, in another way or without a part.
    Differs,
    /// It does not run.
    Refused,
}

impl Verdict {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::Differs => "differs",
            Self::Refused => "refused",
        }
    }
}

/// One line of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) area: &'static str,
    pub(super) subject: String,
    pub(super) verdict: Verdict,
    pub(super) detail: String,
}

/// All of it, in the order in which it was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    pub(super) findings: Vec<Finding>,
}

impl Report {
    pub(super) fn add(
        &mut self,
        area: &'static str,
        subject: impl Display,
        verdict: Verdict,
        detail: impl Display,
    ) {
        let (subject, detail) = (subject.to_string(), detail.to_string());
        self.findings.push(Finding { area, subject, verdict, detail });
    }

    pub(super) fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == verdict).count()
    }

    pub(super) fn worst(&self) -> Verdict {
        self.findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Supported)
    }
}
