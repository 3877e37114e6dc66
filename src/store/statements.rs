//! Whether statements reach PostgreSQL by name, and what a transaction begins with where they do not.

use std::sync::atomic::{AtomicBool, Ordering};

use super::StoreError;

/// `[slipstream] prepared_statements`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// What the database is found behind decides.
    Auto,
    /// By name, parsed once for each connection.
    Kept,
    /// Without a name, parsed each time.
    Unnamed,
}

impl Prepared {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Kept, Self::Unnamed];

    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Kept => "kept",
            Self::Unnamed => "unnamed",
        }
    }
}

/// How the statements of one pool are sent.
#[derive(Debug)]
pub(super) struct Statements {
    unnamed: AtomicBool,
    begin: String,
    set_local: Option<String>,
}

impl Statements {
    pub(super) fn new(unnamed: bool, read_only: bool, schema: Option<&str>) -> Self {
        let set_local = schema.map(|schema| format!("SET LOCAL search_path = {}", quoted(schema)));
        let kind = if read_only { "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY" } else { "BEGIN" };
        let begin = [Some(kind), set_local.as_deref()].into_iter().flatten().collect::<Vec<_>>().join("; ");
        Self { unnamed: AtomicBool::new(unnamed), begin, set_local }
    }

    /// Whether they have no names, and each is in a transaction.
    pub(super) fn are_unnamed(&self) -> bool {
        self.unnamed.load(Ordering::Relaxed)
    }

    /// What such a transaction begins with: all that lasts on a connection otherwise, in one message.
    pub(super) fn begin(&self) -> &str {
        &self.begin
    }

    /// The part of it that says where Airflow's tables are.
    pub(super) fn set_local(&self) -> Option<&str> {
        self.set_local.as_deref()
    }

    /// Passes a result on. An error that only a pooler explains ends the use of names: it was put in between while this
    /// process ran, or what was asked at start did not show it.
    pub(super) fn noticed<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error @ StoreError::Pooler(_)) = &result
            && !self.unnamed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                %error,
                "Statements are sent without names from now on. Restart this process, or set [slipstream] \
                 prepared_statements = unnamed"
            );
        }
        result
    }
}

/// Names of schemas with commas between them, as the driver quotes them for direct connections.
fn quoted(schema: &str) -> String {
    if schema.starts_with('"') {
        return schema.to_owned();
    }
    let name = |name: &str| if name.starts_with('"') { name.to_owned() } else { format!("\"{name}\"") };
    schema.split(',').map(name).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_begins_with_what_would_last_on_a_connection() {
        assert_eq!(Statements::new(true, false, None).begin(), "BEGIN");
        assert_eq!(
            Statements::new(true, true, Some("a,b")).begin(),
            "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL search_path = \"a\",\"b\""
        );
    }

    #[test]
    fn names_are_given_up_at_the_first_error_of_a_pooler_and_at_no_other() {
        let statements = Statements::new(false, false, None);
        let failed = |error| statements.noticed::<()>(Err(error)).is_err();
        assert!(failed(StoreError::Conflict("deadlock".to_owned())));
        assert!(!statements.are_unnamed());
        assert!(failed(StoreError::Pooler("prepared statement \"sqlx_s_1\" does not exist".to_owned())));
        assert!(statements.are_unnamed());
    }
}
