//! Processes that a killed worker left behind. Nobody heartbeats for them, and their tasks will be tried again: they are
//! ended before that happens.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;

use super::ladder::signal_group;

/// The folder with one file per running process: its name is the process id, its content the start time that the kernel
/// knows, so that another process with the same id is not mistaken for it.
#[derive(Clone, Debug)]
pub(super) struct Leftovers {
    folder: PathBuf,
}

impl Leftovers {
    pub(super) fn new(folder: PathBuf) -> Self {
        // Shows as a warning at the first process.
        let _ = fs::create_dir_all(&folder);
        Self { folder }
    }

    /// Notes a process.
    pub(super) fn note(&self, pid: i32) {
        let Some(start) = start_time(pid) else { return };
        if let Err(error) = fs::write(self.folder.join(pid.to_string()), start) {
            tracing::warn!(%error, folder = %self.folder.display(), "a task's process cannot be noted");
        }
    }

    /// The supervision of a process is over. One that still runs has lost its parent, and its task will be tried again: it
    /// is ended before that.
    pub(super) fn end(&self, pid: i32) {
        let path = self.folder.join(pid.to_string());
        if still_runs(pid, fs::read_to_string(&path).ok()) {
            tracing::warn!(pid, "the process of a task that was given up still runs; it is killed");
            signal_group(pid, Signal::SIGKILL);
        }
        let _ = fs::remove_file(path);
    }

    /// Ends every process that an earlier worker noted and that still runs; returns how many.
    pub(super) fn end_all(&self) -> usize {
        let mut ended = 0;
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
            let noted = fs::read_to_string(entry.path()).ok();
            if let Some(pid) = pid.filter(|pid| *pid > 1)
                && still_runs(pid, noted)
            {
                signal_group(pid, Signal::SIGKILL);
                ended += 1;
            }
            let _ = fs::remove_file(entry.path());
        }
        ended
    }
}

/// Whether the very process that was noted is still there.
fn still_runs(pid: i32, noted: Option<String>) -> bool {
    noted.is_some() && start_time(pid) == noted
}

/// Field 22 of `/proc/<pid>/stat`.
fn start_time(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the command in brackets, may hold blanks and brackets itself.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    #[test]
    fn only_the_very_process_that_was_noted_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let leftovers = Leftovers::new(folder.path().to_owned());
        let mut child = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        fs::write(folder.path().join(pid.to_string()), "12").unwrap();
        assert_eq!(leftovers.end_all(), 0);
        leftovers.note(pid);
        assert_eq!(leftovers.end_all(), 1);
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        assert_eq!(leftovers.end_all(), 0);
    }
}
