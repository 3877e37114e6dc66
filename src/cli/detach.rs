//! `--daemon`: the same command again, in a session of its own. Mirrors `airflow/cli/commands/daemon_utils.py`.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::exit::Failure;
use super::options::Process;

/// Set for the process in the background.
const MARK: &str = "SLIPSTREAM_DETACHED";

/// What the calling process is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// It has started the one in the background and is done.
    Parent,
    /// It goes on.
    Worker,
}

/// Starts the process in the background, if `--daemon` asks for one.
///
/// # Errors
/// When a file cannot be opened or the process cannot be started.
pub(super) fn detach(name: &str, options: &Process, home: &Path) -> Result<Side, Failure> {
    if !options.daemon {
        return Ok(Side::Worker);
    }
    if std::env::var_os(MARK).is_some() {
        // Already a leader of its session: nothing to leave.
        let _ = nix::unistd::setsid();
        return Ok(Side::Worker);
    }
    let out = open(options.stdout.clone().unwrap_or_else(|| home.join(format!("airflow-{name}.out"))))?;
    let err = open(options.stderr.clone().unwrap_or_else(|| home.join(format!("airflow-{name}.err"))))?;
    Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(MARK, "1")
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()?;
    Ok(Side::Parent)
}

fn open(path: PathBuf) -> Result<File, Failure> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|error| Failure::failed(format!("{} cannot be written: {error}", path.display())))
}

/// Where a process in the background writes its id when nothing else is said.
pub(super) fn default_pid_file(name: &str, home: &Path) -> PathBuf {
    home.join(format!("airflow-{name}.pid"))
}
