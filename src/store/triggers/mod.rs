//! Triggers in the database: what they are, how far they have got, what they did and why.
//!
//! Everything that moves a trigger is written in one transaction under the row lock of the engine's cursor
//! ([`cursor::lock`]), so that of several schedulers exactly one evaluates at a time.

pub mod active_runs;
pub mod asset_updates;
pub mod cleanup;
pub mod commands;
pub mod cursor;
pub mod dags;
pub mod dead_letters;
pub mod decisions;
pub mod firings;
pub mod observed;
pub mod progress;
pub mod registry;
pub mod stop_runs;
pub mod with_triggers;

pub use registry::TriggerId;

/// Rows per statement for so many columns: both databases limit the number of values.
fn rows_per_statement(columns: usize) -> usize {
    (30_000 / columns.max(1)).max(1)
}

/// A text that every database can store: PostgreSQL has no zero character.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident, { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// The text in the database.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }

            /// Reads the text of a column.
            ///
            /// # Errors
            /// A text that this version does not know.
            pub fn parse(column: &str, text: &str) -> Result<Self, $crate::store::StoreError> {
                match text {
                    $($text => Ok($name::$variant),)+
                    other => Err($crate::store::StoreError::Column {
                        column: column.to_owned(),
                        why: format!("`{other}` is not known to this version"),
                    }),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl From<$name> for $crate::store::Param {
            fn from(value: $name) -> Self {
                value.as_str().into()
            }
        }
    };
}
pub(crate) use text_enum;
