//! `$NAME`, `${NAME}` and `~` in values, as Python's `os.path.expandvars` and `expanduser` treat them.

use std::collections::BTreeMap;

use nix::unistd::{Uid, User};

/// Values may name each other in a circle; Airflow would hang on that.
const ROUNDS: usize = 32;

/// Expands until nothing changes any more.
pub(super) fn env_vars(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for _ in 0..ROUNDS {
        let next = user(&variables(&text, env), env);
        if next == text {
            break;
        }
        text = next;
    }
    text
}

/// One round of `$NAME` and `${NAME}`; a name that is not set stays as it is.
fn variables(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (name, length) = match after.strip_prefix('{') {
            Some(inner) => match inner.find('}') {
                Some(end) => (&inner[..end], end + 2),
                None => ("", 0),
            },
            None => {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                (&after[..end], end)
            }
        };
        match env.get(name) {
            Some(value) if !name.is_empty() => out.push_str(value),
            _ => out.push_str(&rest[at..at + 1 + length]),
        }
        rest = &after[length..];
    }
    out.push_str(rest);
    out
}

/// A leading `~` or `~name`.
fn user(text: &str, env: &BTreeMap<String, String>) -> String {
    let Some(after) = text.strip_prefix('~') else { return text.to_owned() };
    let end = after.find('/').unwrap_or(after.len());
    let (name, rest) = after.split_at(end);
    let home = if name.is_empty() {
        env.get("HOME").cloned().or_else(|| home_of(User::from_uid(Uid::current())))
    } else {
        home_of(User::from_name(name))
    };
    match home {
        Some(home) => match format!("{}{rest}", home.trim_end_matches('/')) {
            path if path.is_empty() => "/".to_owned(),
            path => path,
        },
        None => text.to_owned(),
    }
}

fn home_of(user: nix::Result<Option<User>>) -> Option<String> {
    user.ok().flatten().map(|user| user.dir.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_home_are_expanded_until_nothing_changes() {
        let env = BTreeMap::from([
            ("HOME".to_owned(), "/home/me".to_owned()),
            ("A".to_owned(), "${B}/x".to_owned()),
            ("B".to_owned(), "~".to_owned()),
        ]);
        assert_eq!(env_vars("$A", &env), "/home/me/x");
        assert_eq!(env_vars("${NONE}-$", &env), "${NONE}-$");
        assert_eq!(env_vars("~/airflow", &env), "/home/me/airflow");
        assert_eq!(env_vars("é$Bé", &env), "é~é");
    }
}
