//! What a check found, and how it is shown.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// What becomes of a thing after switching.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// It works as under Airflow.
    Supported,
    /// It works, and not quite as under Airflow.
    Differs,
    /// It does not work.
    Refused,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::Differs => "differs",
            Self::Refused => "refused",
        }
    }
}

/// One thing of the deployment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding {
    area: &'static str,
    subject: String,
    verdict: Verdict,
    why: String,
}

impl Finding {
    pub(super) fn is_problem(&self) -> bool {
        self.verdict != Verdict::Supported
    }
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Report {
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn add(
        &mut self,
        area: &'static str,
        subject: impl Into<String>,
        verdict: Verdict,
        why: impl Into<String>,
    ) {
        self.findings.push(Finding { area, subject: subject.into(), verdict, why: why.into() });
    }

    pub(super) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    pub(super) fn refuses(&self) -> bool {
        self.count(Verdict::Refused) > 0
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == verdict).count()
    }
}

/// For programs: a list of objects.
pub(super) fn json<'a>(findings: impl Iterator<Item = &'a Finding>) -> Value {
    let one = |finding: &Finding| {
        json!({
            "area": finding.area,
            "subject": finding.subject,
            "verdict": finding.verdict.as_str(),
            "why": finding.why,
        })
    };
    findings.map(one).collect()
}

/// For people: a table, and the sum of it.
pub(super) fn table<'a>(findings: impl Iterator<Item = &'a Finding>, report: &Report) -> String {
    let rows: Vec<&Finding> = findings.collect();
    let widest = |of: fn(&Finding) -> usize| rows.iter().map(|row| of(row)).max().unwrap_or_default();
    let (area, subject) = (widest(|row| row.area.len()), widest(|row| row.subject.chars().count()).min(60));
    let mut text = String::new();
    for row in &rows {
        let verdict = row.verdict.as_str();
        let line = format!(
            "{:area$}  {verdict:9}  {:subject$}  {}",
            row.area,
            row.subject,
            row.why.trim().replace('\n', "\n    ")
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let of = |verdict: Verdict| report.count(verdict);
    let _ = writeln!(
        text,
        "\n{} supported, {} differ, {} refused",
        of(Verdict::Supported),
        of(Verdict::Differs),
        of(Verdict::Refused)
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        report.add("dag", "daily", Verdict::Supported, "");
        report.add("config", "[core] executor", Verdict::Refused, "CeleryExecutor is not supported");
        report
    }

    #[test]
    fn one_refusal_refuses_the_deployment() {
        assert!(report().refuses());
        assert!(!Report::default().refuses());
    }

    #[test]
    fn the_table_lines_its_columns_up_and_counts() {
        let report = report();
        let text = table(report.findings().iter(), &report);
        assert_eq!(
            text,
            "dag     supported  daily\n\
             config  refused    [core] executor  CeleryExecutor is not supported\n\
             \n1 supported, 0 differ, 1 refused\n"
        );
    }

    #[test]
    fn programs_get_the_same_findings() {
        let report = report();
        let found = json(report.findings().iter().filter(|finding| finding.is_problem()));
        assert_eq!(found.as_array().map(Vec::len), Some(1));
        assert_eq!(found[0]["verdict"], "refused");
    }
}
