//! `--daemon`: the same command again, in a session of its own. Mirrors `airflow/cli/commands/daemon_utils.py`.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::stat::Mode;

use super::exit::Failure;
use super::options::Process;
use crate::config::{Config, keys};

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
pub(super) fn detach(name: &str, options: &Process, config: &Config) -> Result<Side, Failure> {
    if !options.daemon {
        return Ok(Side::Worker);
    }
    if std::env::var_os(MARK).is_some() {
        // Already a leader of its session: nothing to leave.
        let _ = nix::unistd::setsid();
        nix::sys::stat::umask(umask(&config.get(&keys::core::DAEMON_UMASK))?);
        return Ok(Side::Worker);
    }
    let home = config.airflow_home();
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

fn umask(text: &str) -> Result<Mode, Failure> {
    let digits = text.trim().trim_start_matches("0o");
    match u32::from_str_radix(digits, 8) {
        Ok(bits) => Ok(Mode::from_bits_truncate(bits)),
        Err(_) => {
            Err(Failure::failed(format!("[core] daemon_umask = {text} is no octal number such as 0o077")))
        }
    }
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
