//! Names of files, bundles and pools as Airflow writes them in tags (`normalize_name_for_stats`).

use std::borrow::Cow;

/// The name with an underscore for everything but letters, digits, `_`, `.` and `-`.
pub fn normal(name: &str) -> Cow<'_, str> {
    let keep = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.chars().all(keep) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.chars().map(|c| if keep(c) { c } else { '_' }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_receiver_could_stumble_over_becomes_an_underscore() {
        assert_eq!(normal("a-b_c.py"), "a-b_c.py");
        assert_eq!(normal("team a/ü.py"), "team_a__.py");
    }
}
