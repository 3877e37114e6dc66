//! JSON text as Python's `json.dumps` writes it, for text columns that Airflow fills with it.

use std::io;

use serde::Serialize;
use serde_json::Value as Json;
use serde_json::ser::{Formatter, Serializer};

/// The text: a space after each comma and colon, everything but ASCII escaped.
pub(super) fn dumps(json: &Json) -> String {
    let mut bytes = Vec::new();
    // Writing a `Value` into memory cannot fail.
    let _ = json.serialize(&mut Serializer::with_formatter(&mut bytes, Python));
    String::from_utf8_lossy(&bytes).into_owned()
}

struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut units = [0; 2];
        for c in fragment.chars() {
            if c.is_ascii() {
                write!(writer, "{c}")?;
                continue;
            }
            for unit in c.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_is_as_pythons() {
        let text = dumps(&json!({"a": [1, 2.5, null, true], "ü": "€😀\n"}));
        assert_eq!(text, r#"{"a": [1, 2.5, null, true], "\u00fc": "\u20ac\ud83d\ude00\n"}"#);
        assert_eq!(dumps(&json!({})), "{}");
    }
}
