//! Nothing is left behind: whatever descends from us, in whichever session, is ended.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;

/// From now on processes whose parent dies become ours, so that they can be found.
pub(super) fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_child_subreaper(true) {
        tracing::warn!(%error, "Processes whose parent dies cannot be found again");
    }
}

/// Asks the processes that are left to end, waits for them, and kills those that do not.
pub(super) async fn end_what_is_left(patience: Duration) {
    // The processes at the top end those below them in order, e.g. the worker its tasks.
    signal(&children(), Signal::SIGTERM);
    let until = Instant::now() + patience;
    while Instant::now() < until {
        if descendants().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    signal(&descendants(), Signal::SIGKILL);
}

fn signal(pids: &HashSet<i32>, signal: Signal) {
    for pid in pids {
        // It may be gone already.
        let _ = kill(Pid::from_raw(*pid), signal);
    }
}

fn children() -> HashSet<i32> {
    let own = nix::unistd::getpid().as_raw();
    parents().into_iter().filter(|(_, parent)| *parent == own).map(|(pid, _)| pid).collect()
}

/// Every living process below us.
fn descendants() -> HashSet<i32> {
    let parents = parents();
    let own = nix::unistd::getpid().as_raw();
    let mut found = HashSet::from([own]);
    loop {
        let before = found.len();
        found.extend(
            parents
                .iter()
                .filter(|(_, parent)| found.contains(*parent))
                .map(|(pid, _)| *pid)
                .collect::<Vec<_>>(),
        );
        if found.len() == before {
            break;
        }
    }
    found.remove(&own);
    found
}

/// Process → parent, of every process that is not just waiting to be forgotten.
fn parents() -> HashMap<i32, i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return HashMap::new() };
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // `pid (name) state parent …`, and the name may hold anything.
            let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
            let state = rest.next()?;
            (state != "Z").then(|| Some((pid, rest.next()?.parse().ok()?)))?
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_found_below_us() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert!(descendants().contains(&pid) && children().contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!descendants().contains(&pid));
    }
}
