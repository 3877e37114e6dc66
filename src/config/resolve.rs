//! Where a value comes from: environment, file, commands, default, in Airflow's order.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::ini::Ini;
use super::key::AnyKey;
use super::{deprecated, expand};

/// Where a value was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `AIRFLOW__SECTION__KEY`.
    Environment,
    /// The output of `AIRFLOW__SECTION__KEY_CMD` or `key_cmd`.
    Command,
    /// `airflow.cfg`.
    File,
    /// Airflow's default.
    Default,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Environment => "the environment",
            Self::Command => "a command",
            Self::File => "airflow.cfg",
            Self::Default => "the default",
        })
    }
}

/// A value before it is understood.
#[derive(Debug, Clone)]
pub(super) struct Resolved {
    pub(super) text: String,
    pub(super) source: Source,
    /// What a person should know, e.g. that the old name was used.
    pub(super) note: Option<String>,
}

/// `AIRFLOW__SECTION__KEY`.
pub(super) fn env_name(section: &str, name: &str) -> String {
    format!("AIRFLOW__{}__{}", section.replace('.', "_").to_uppercase(), name.to_uppercase())
}

/// Everything that values come from.
pub(super) struct Resolver<'a> {
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) ini: &'a Ini,
    pub(super) home: &'a Path,
}

type Found = Result<Option<(String, Source)>, String>;
/// One place to look for an option under one of its names.
type Step<'a> = fn(&Resolver<'a>, &dyn AnyKey, (&str, &str)) -> Found;

impl<'a> Resolver<'a> {
    /// The value of an option.
    pub(super) fn find(&self, key: &dyn AnyKey) -> Result<Resolved, String> {
        let new = (key.section(), key.name());
        let old = deprecated::old_name(new.0, new.1);
        // The old name is tried at every step before the next one.
        let steps: [Step<'a>; 4] = [Self::in_environment, Self::in_file, Self::in_command, Self::in_secret];
        for step in steps {
            if let Some((text, source)) = step(self, key, new)? {
                return Ok(Resolved { text, source, note: None });
            }
            let Some(old) = old else { continue };
            if let Some((text, source)) = step(self, key, old)? {
                let note =
                    format!("[{}] {} is now [{}] {}; the old name is still used", old.0, old.1, new.0, new.1);
                return Ok(Resolved { text, source, note: Some(note) });
            }
        }
        Ok(Resolved { text: self.default(key), source: Source::Default, note: None })
    }

    fn in_environment(&self, key: &dyn AnyKey, (section, name): (&str, &str)) -> Found {
        let variable = env_name(section, name);
        if let Some(value) = self.env.get(&variable) {
            return Ok(Some((expand::env_vars(value, self.env), Source::Environment)));
        }
        if !key.is_sensitive() {
            return Ok(None);
        }
        if let Some(command) = self.env.get(&format!("{variable}_CMD")) {
            return Ok(Some((output(command)?, Source::Command)));
        }
        match self.env.contains_key(&format!("{variable}_SECRET")) {
            true => self.secret(),
            false => Ok(None),
        }
    }

    fn in_file(&self, _: &dyn AnyKey, (section, name): (&str, &str)) -> Found {
        match self.ini.get(section, name) {
            Some(value) => Ok(Some((expand::env_vars(&value?, self.env), Source::File))),
            None => Ok(None),
        }
    }

    fn in_command(&self, key: &dyn AnyKey, (section, name): (&str, &str)) -> Found {
        match self.ini.get(section, &format!("{name}_cmd")) {
            Some(command) if key.is_sensitive() => {
                let text = output(&command?)?;
                Ok((!text.is_empty()).then_some((text, Source::Command)))
            }
            _ => Ok(None),
        }
    }

    fn in_secret(&self, key: &dyn AnyKey, (section, name): (&str, &str)) -> Found {
        match key.is_sensitive() && self.ini.has(section, &format!("{name}_secret")) {
            true => self.secret(),
            false => Ok(None),
        }
    }

    /// A value that is kept in a secrets backend. Without a backend Airflow goes on to the next place, and so do we.
    fn secret(&self) -> Found {
        let backend = self.env.get("AIRFLOW__SECRETS__BACKEND").cloned();
        let backend =
            backend.or_else(|| self.ini.get("secrets", "backend").and_then(Result::ok)).unwrap_or_default();
        if backend.is_empty() {
            return Ok(None);
        }
        Err(format!(
            "is to be read from the secrets backend {backend}, which is not supported for options of the configuration \
             yet; set it directly or with _CMD"
        ))
    }

    fn default(&self, key: &dyn AnyKey) -> String {
        let text = key.default_text().replace("{AIRFLOW_HOME}", &self.home.to_string_lossy());
        expand::env_vars(&text, self.env)
    }
}

/// Runs a command as `shlex.split` would cut it and takes what it prints, to the byte.
fn output(command: &str) -> Result<String, String> {
    let words = split(command).ok_or_else(|| format!("has a command with an open quote: {command}"))?;
    let (program, arguments) = words.split_first().ok_or("has an empty command")?;
    let done = Command::new(program)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|error| format!("the command {program} cannot be run: {error}"))?;
    if !done.status.success() {
        let stderr = String::from_utf8_lossy(&done.stderr);
        return Err(format!("the command {program} failed ({}): {}", done.status, stderr.trim()));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Words of a command line: blanks separate, quotes and backslashes join. None: a quote is left open.
fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            c @ ('"' | '\\') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next()?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_cut_into_words_as_shlex_does() {
        let words = split(r#"cat  'a b' "c \"d\" \n" e\ f ''"#).unwrap();
        assert_eq!(words, ["cat", "a b", "c \"d\" \\n", "e f", ""]);
        assert_eq!(split("a 'b"), None);
    }
}
