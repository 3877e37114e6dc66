//! `airflow.cfg` as Python's `configparser` reads it: values over several lines, `%(name)s`, `%%`, `[DEFAULT]`.

use std::collections::BTreeMap;

/// Section → option → raw value. Names are case-sensitive, as Airflow makes them.
#[derive(Debug, Default, Clone)]
pub(super) struct Ini {
    sections: BTreeMap<String, BTreeMap<String, String>>,
    defaults: BTreeMap<String, String>,
}

/// What is wrong with the text of a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum IniError {
    #[error("line {0} stands before any [section]")]
    NoSection(usize),
    #[error("line {0} is neither `name = value` nor a [section]: {1}")]
    NoOption(usize, String),
    #[error("line {0} repeats section [{1}]")]
    SectionTwice(usize, String),
    #[error("line {0} repeats option {2} of section [{1}]")]
    OptionTwice(usize, String, String),
}

/// How deep `%(name)s` may refer on.
const DEPTH: usize = 10;

impl Ini {
    /// Reads a file's text.
    pub(super) fn parse(text: &str) -> Result<Self, IniError> {
        let mut reader = Reader::default();
        for (index, line) in text.lines().enumerate() {
            reader.line(index + 1, line)?;
        }
        Ok(reader.finish())
    }

    /// Whether the section has the option (or `[DEFAULT]` has it for every section).
    pub(super) fn has(&self, section: &str, name: &str) -> bool {
        self.raw(section, name).is_some()
    }

    fn raw(&self, section: &str, name: &str) -> Option<&str> {
        let options = self.sections.get(section)?;
        options.get(name).or_else(|| self.defaults.get(name)).map(String::as_str)
    }

    /// The option with `%%` and `%(name)s` replaced.
    ///
    /// # Errors
    /// What is wrong with the use of `%`.
    pub(super) fn get(&self, section: &str, name: &str) -> Option<Result<String, String>> {
        Some(self.interpolate(section, self.raw(section, name)?, DEPTH))
    }

    fn interpolate(&self, section: &str, raw: &str, depth: usize) -> Result<String, String> {
        if depth == 0 {
            return Err("refers to itself with %(…)s".to_owned());
        }
        let mut out = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            if let Some(tail) = after.strip_prefix('%') {
                out.push('%');
                rest = tail;
            } else if let Some((name, tail)) =
                after.strip_prefix('(').and_then(|inner| inner.split_once(")s"))
            {
                let name = name.to_lowercase();
                let value = self
                    .raw(section, &name)
                    .ok_or_else(|| format!("refers to %({name})s, which is not set"))?;
                out.push_str(&self.interpolate(section, value, depth - 1)?);
                rest = tail;
            } else {
                return Err("has a single %: write %% for a percent sign".to_owned());
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    /// Every option that the file sets.
    pub(super) fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sections
            .iter()
            .flat_map(|(section, options)| options.keys().map(move |name| (section.as_str(), name.as_str())))
    }
}

#[derive(Default)]
struct Reader {
    ini: Ini,
    section: Option<String>,
    option: Option<(String, Vec<String>)>,
    indent: usize,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Result<(), IniError> {
        let trimmed = line.trim();
        if trimmed.starts_with(['#', ';']) {
            return Ok(());
        }
        if trimmed.is_empty() {
            if let Some((_, lines)) = &mut self.option {
                lines.push(String::new());
            }
            return Ok(());
        }
        let indent = line.chars().take_while(|c| c.is_whitespace()).count();
        if indent > self.indent
            && let Some((_, lines)) = &mut self.option
        {
            lines.push(trimmed.to_owned());
            return Ok(());
        }
        self.indent = indent;
        if let Some(name) = header(trimmed) {
            return self.open_section(number, name);
        }
        self.open_option(number, trimmed)
    }

    fn open_section(&mut self, number: usize, name: &str) -> Result<(), IniError> {
        self.close_option();
        if name != "DEFAULT" && self.ini.sections.insert(name.to_owned(), BTreeMap::new()).is_some() {
            return Err(IniError::SectionTwice(number, name.to_owned()));
        }
        self.section = Some(name.to_owned());
        Ok(())
    }

    fn open_option(&mut self, number: usize, line: &str) -> Result<(), IniError> {
        self.close_option();
        let section = self.section.clone().ok_or(IniError::NoSection(number))?;
        let (name, value) =
            line.split_once(['=', ':']).ok_or_else(|| IniError::NoOption(number, line.to_owned()))?;
        let name = name.trim().to_owned();
        if name.is_empty() {
            return Err(IniError::NoOption(number, line.to_owned()));
        }
        if self.options(&section).contains_key(&name) {
            return Err(IniError::OptionTwice(number, section, name));
        }
        self.option = Some((name, vec![value.trim().to_owned()]));
        Ok(())
    }

    fn options(&mut self, section: &str) -> &mut BTreeMap<String, String> {
        match section {
            "DEFAULT" => &mut self.ini.defaults,
            _ => self.ini.sections.entry(section.to_owned()).or_default(),
        }
    }

    fn close_option(&mut self) {
        let (Some((name, lines)), Some(section)) = (self.option.take(), self.section.clone()) else { return };
        let value = lines.join("\n").trim_end().to_owned();
        self.options(&section).insert(name, value);
    }

    fn finish(mut self) -> Ini {
        self.close_option();
        self.ini
    }
}

/// `[name]`, up to the last bracket of the line.
fn header(line: &str) -> Option<&str> {
    let inner = line.strip_prefix('[')?;
    let end = inner.rfind(']')?;
    (end > 0).then(|| &inner[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, section: &str, name: &str) -> String {
        Ini::parse(text).unwrap().get(section, name).unwrap().unwrap()
    }

    #[test]
    fn values_go_on_over_indented_lines_and_skip_comments() {
        let text = "[a]\nx = one\n  two\n# no\n\n  three\n\ny: 2 # kept\n";
        assert_eq!(value(text, "a", "x"), "one\ntwo\n\nthree");
        assert_eq!(value(text, "a", "y"), "2 # kept");
    }

    #[test]
    fn percent_signs_are_escapes_and_references() {
        let text = "[DEFAULT]\nroot = /r\n[a]\nx = 100%%\ny = %(root)s/%(x)s\nbad = 5%\n";
        assert_eq!(value(text, "a", "y"), "/r/100%");
        assert!(Ini::parse(text).unwrap().get("a", "bad").unwrap().is_err());
    }

    #[test]
    fn what_configparser_refuses_is_refused_with_its_line() {
        for (text, line) in [("x = 1", 1), ("[a]\nx\n", 2), ("[a]\nx=1\nx=2\n", 3), ("[a]\n[a]\n", 2)] {
            let error = Ini::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("line {line} ")), "{error}");
        }
    }
}
