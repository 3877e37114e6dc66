//! The reference of options, as `docs/configuration.md` has it: made from the keys themselves.

use std::fmt::Write as _;

use super::keys;

const HEAD: &str = "\
# Configuration

Every option that Slipstream reads, with its default. They stand in `airflow.cfg` or in `AIRFLOW__SECTION__KEY`, with Airflow's
precedence; only `[slipstream]` is our own. What is set and not in this list is named in the log at start, if it belongs to the
scheduler or the dag-processor. Times are in seconds. This page is made by `slipstream config reference`; a test compares the two.
";

/// The page, in Markdown. It does not depend on the machine: paths below `AIRFLOW_HOME` are shown as such.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    let mut section = "";
    for key in keys::all() {
        if key.section() != section {
            section = key.section();
            let _ = write!(page, "\n## [{section}]\n\n| option | default | meaning |\n| --- | --- | --- |\n");
        }
        let default = match key.default_text().replace('\n', " ") {
            text if text.is_empty() => String::new(),
            text => format!("`{}`", text.replace('|', "\\|")),
        };
        let secret = if key.is_sensitive() { " A secret: also `_cmd` and `_secret`." } else { "" };
        let about = key.about().replace('|', "\\|");
        let _ = writeln!(page, "| `{}` | {default} | {about}{secret} |", key.name());
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_says_what_it_means() {
        for key in keys::all() {
            assert!(!key.about().is_empty(), "[{}] {} says nothing", key.section(), key.name());
        }
    }

    #[test]
    fn the_page_in_the_documents_is_that_of_the_program() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
        let stored = std::fs::read_to_string(path).unwrap();
        assert_eq!(stored, markdown(), "run `slipstream config reference > docs/configuration.md`");
    }
}
