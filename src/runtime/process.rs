//! What the kernel says about this process and those below it.

use std::fmt;
use std::fs;

use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

/// The memory of a process, in KiB; `None` where the kernel does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Resident, pages shared with others included.
    pub rss: Option<u64>,
    /// Resident, each shared page divided by the number of processes that share it.
    pub pss: Option<u64>,
}

/// A process below this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Child {
    /// Its number.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// Its command line, cut short.
    pub command: String,
    /// Its memory.
    pub memory: Memory,
}

/// Most processes that are listed.
const MOST: usize = 200;
/// Longest command line that is shown, in characters.
const COMMAND: usize = 120;

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = |size: Option<u64>| size.map_or_else(|| "unknown".to_owned(), |size| format!("{size} KiB"));
        write!(f, "RSS {}, PSS {}", kib(self.rss), kib(self.pss))
    }
}

impl fmt::Display for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}: {}; {}", self.pid, self.parent, self.command, self.memory)
    }
}

/// At each SIGUSR2, says in the log what this process and those below it are. The scheduler says more, by itself.
pub async fn tell_on_signal() {
    let Ok(mut asked) = signal(SignalKind::user_defined2()) else { return };
    while asked.recv().await.is_some() {
        let children = serde_json::to_string(&children()).unwrap_or_default();
        tracing::info!(memory = %memory(), children, "SIGUSR2 (12) received, printing debug");
    }
}

/// The memory of this process.
pub fn memory() -> Memory {
    memory_of("self")
}

/// All processes below this one, parents before their children.
pub fn children() -> Vec<Child> {
    let mut found = Vec::new();
    let mut parents = vec![std::process::id()];
    while let Some(parent) = parents.pop() {
        for pid in children_of(parent) {
            if found.len() == MOST {
                return found;
            }
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&command).replace('\0', " ");
            // Python is given whole programs as arguments.
            let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
            let command = words.chars().take(COMMAND).collect();
            found.push(Child { pid, parent, command, memory: memory_of(&pid.to_string()) });
            parents.push(pid);
        }
    }
    found
}

fn children_of(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let mut pids: Vec<u32> = lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    pids.sort_unstable();
    pids
}

fn memory_of(pid: &str) -> Memory {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    };
    Memory { rss: field("Rss:"), pss: field("Pss:") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_its_memory_and_the_processes_below_it() {
        assert!(memory().rss.is_some_and(|rss| rss > 100) && memory().pss.is_some());
        let mut child = std::process::Command::new("sh").args(["-c", "sleep 60 & wait"]).spawn().unwrap();
        let below =
            || children().into_iter().find(|one| one.command == "sleep 60" && one.parent == child.id());
        let mut found = below();
        while found.is_none() {
            std::thread::yield_now();
            found = below();
        }
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(found.unwrap().pid.cast_signed()),
            nix::sys::signal::Signal::SIGKILL,
        )
        .unwrap();
        child.wait().unwrap();
    }
}
