//! Whether a worker that runs already still has what a new one would be given. Tasks have the surroundings of their worker: the
//! environment, `airflow.cfg` and the packages at its start, which may be long ago.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

/// Variables that differ between two starts of the same program and mean nothing to tasks.
const OF_THE_START: &[&str] = &[
    "_",
    "PWD",
    "OLDPWD",
    "SHLVL",
    "TERM",
    "COLUMNS",
    "LINES",
    "HOSTNAME",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "SYSTEMD_EXEC_PID",
    "NOTIFY_SOCKET",
    "DISPLAY",
    "LS_COLORS",
    "SLIPSTREAM_DETACHED",
];

/// Beginnings of more such names.
const FAMILIES_OF_THE_START: &[&str] = &["MEMORY_PRESSURE_", "SSH_", "XDG_", "TMUX", "DBUS_"];

/// What has changed since the worker with this process id was started; `socket` is its own, made at its start. Empty as well where
/// the system does not tell.
pub(super) fn changed_since_the_start_of(pid: i32, socket: &Path, config_file: &Path) -> Vec<String> {
    let mut changed = Vec::new();
    if let Ok(bytes) = fs::read(format!("/proc/{pid}/environ")) {
        changed = differing(&environment(&bytes), &std::env::vars_os().collect());
    }
    let modified = |path: &Path| fs::metadata(path).and_then(|facts| facts.modified());
    if let (Ok(file), Ok(start)) = (modified(config_file), modified(socket))
        && file > start
    {
        changed.push(config_file.display().to_string());
    }
    if fs::read_link(format!("/proc/{pid}/exe"))
        .is_ok_and(|path| path.to_string_lossy().ends_with(" (deleted)"))
    {
        changed.push("the program slipstream".to_owned());
    }
    changed
}

fn environment(bytes: &[u8]) -> BTreeMap<OsString, OsString> {
    let pairs = bytes.split(|byte| *byte == 0).filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        Some((OsString::from_vec(pair[..at].to_vec()), OsString::from_vec(pair[at + 1..].to_vec())))
    });
    pairs.collect()
}

/// The names of variables that are not the same in both.
fn differing(theirs: &BTreeMap<OsString, OsString>, ours: &BTreeMap<OsString, OsString>) -> Vec<String> {
    let names: std::collections::BTreeSet<_> = theirs.keys().chain(ours.keys()).collect();
    let of_the_start = |name: &str| {
        OF_THE_START.contains(&name) || FAMILIES_OF_THE_START.iter().any(|family| name.starts_with(family))
    };
    names
        .into_iter()
        .filter(|name| theirs.get(*name) != ours.get(*name))
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| !of_the_start(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_tasks_may_read_are_compared_and_those_of_a_shell_are_not() {
        let worker = environment(b"AIRFLOW_VAR_X=1\0PATH=/bin\0SHLVL=1\0GONE=x=y\0");
        assert_eq!(worker[&OsString::from("GONE")], "x=y");
        let scheduler = environment(b"AIRFLOW_VAR_X=2\0PATH=/bin\0SHLVL=3\0XDG_RUNTIME_DIR=/run\0NEW=1\0");
        assert_eq!(differing(&worker, &scheduler), ["AIRFLOW_VAR_X", "GONE", "NEW"]);
    }

    #[test]
    fn a_configuration_that_was_written_since_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (socket, file) = (folder.path().join("socket"), folder.path().join("airflow.cfg"));
        let pid = i32::try_from(std::process::id()).unwrap();
        for (path, seconds) in [(&file, 100), (&socket, 200)] {
            let made = fs::File::create(path).unwrap();
            made.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).unwrap();
        }
        assert_eq!(changed_since_the_start_of(pid, &socket, &file), Vec::<String>::new());
        fs::write(&file, "[core]").unwrap();
        assert_eq!(changed_since_the_start_of(pid, &socket, &file), [file.display().to_string()]);
    }
}
