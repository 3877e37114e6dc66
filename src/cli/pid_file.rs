//! A file with the process's id, which keeps a second process away.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::exit::{Exit, Failure};

/// Held while the process runs; removed when dropped.
#[derive(Debug)]
pub(super) struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Writes this process's id.
    ///
    /// # Errors
    /// When a living process is named in it, or it cannot be written.
    pub(super) fn hold(path: &Path) -> Result<Self, Failure> {
        if let Some(pid) = living(path) {
            return Err(Failure::new(
                Exit::InUse,
                format!(
                    "process {pid} holds the PID file {}: stop it, or name another file with --pid",
                    path.display()
                ),
            ));
        }
        fs::write(path, format!("{}\n", std::process::id())).map_err(|error| {
            Failure::failed(format!("the PID file {} cannot be written: {error}", path.display()))
        })?;
        Ok(Self { path: path.to_owned() })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Only ours: somebody may have replaced it.
        if read(&self.path) == i32::try_from(std::process::id()).ok() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn read(path: &Path) -> Option<i32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn living(path: &Path) -> Option<i32> {
    let pid = read(path).filter(|pid| *pid > 0)?;
    let own = i32::try_from(std::process::id()).ok()?;
    (pid != own && kill(Pid::from_raw(pid), None).is_ok()).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_living_process_is_respected_and_an_old_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let parent = nix::unistd::getppid().as_raw();
        fs::write(&path, parent.to_string()).unwrap();
        assert!(PidFile::hold(&path).unwrap_err().to_string().contains(&parent.to_string()));
        fs::write(&path, "2147483646\n").unwrap();
        let held = PidFile::hold(&path).unwrap();
        assert_eq!(read(&path), i32::try_from(std::process::id()).ok());
        drop(held);
        assert!(!path.exists());
    }
}
