//! The report on the standard output.

use serde_json::json;

use super::finding::{Report, Verdict};

/// For people: one line per finding, what is wrong last, where the eye is.
pub(super) fn table(report: &Report) {
    let mut rows: Vec<_> = report.findings.iter().collect();
    rows.sort_by_key(|finding| finding.verdict);
    let width = |of: fn(&super::finding::Finding) -> usize| rows.iter().map(|row| of(row)).max().unwrap_or(0);
    let (area, subject) = (width(|row| row.area.len()), width(|row| row.subject.chars().count()).min(40));
    for row in &rows {
        let detail = row.detail.replace('\n', "\n    ");
        say!("{:<9}  {:<area$}  {:<subject$}  {detail}", row.verdict.as_str(), row.area, row.subject);
    }
    let count = |verdict| report.count(verdict);
    say!(
        "\n{} supported, {} different, {} refused",
        count(Verdict::Supported),
        count(Verdict::Differs),
        count(Verdict::Refused)
    );
}

/// For programs.
pub(super) fn json(report: &Report) {
    let count = |verdict| report.count(verdict);
    say!(
        "{}",
        json!({
            "findings": report.findings,
            "supported": count(Verdict::Supported),
            "differs": count(Verdict::Differs),
            "refused": count(Verdict::Refused),
        })
    );
}
