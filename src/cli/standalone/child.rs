//! One part of the deployment: a process that is started again when it dies, and whose output is shown with its name.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::time::Instant;

use crate::runtime::Shutdown;

use super::banner;

/// What is started.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) path: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) env: Vec<(String, String)>,
}

/// The first pause before a restart; each further one is twice as long, up to `LONGEST`.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// A process that has run for so long was healthy: the pauses begin anew.
const HEALTHY: Duration = Duration::from_secs(60);

/// A program that is kept running.
#[derive(Debug)]
pub(super) struct Child {
    program: Program,
    shutdown: Shutdown,
}

impl Child {
    pub(super) fn new(program: Program, shutdown: Shutdown) -> Self {
        Self { program, shutdown }
    }

    /// Runs it until it is asked to stop, and again whenever it ends by itself.
    pub(super) async fn keep_running(self) {
        let mut pause = SHORTEST;
        while !self.shutdown.is_asked() {
            let begun = Instant::now();
            let end = match self.run().await {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            };
            if self.shutdown.is_asked() {
                return;
            }
            if begun.elapsed() > HEALTHY {
                pause = SHORTEST;
            }
            let name = self.program.name;
            banner::say(&format!("{name} has ended ({end}); it is started again in {} s", pause.as_secs()));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.shutdown.asked() => {}
            }
            pause = (pause * 2).min(LONGEST);
        }
    }

    /// One life of the process.
    async fn run(&self) -> std::io::Result<ExitStatus> {
        let mut process = spawn(&self.program)?;
        tokio::select! {
            status = process.wait() => return status,
            () = self.shutdown.asked() => {}
        }
        if let Some(pid) = process.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = killpg(Pid::from_raw(pid), Signal::SIGTERM);
        }
        process.wait().await
    }
}

/// Runs a program to its end.
pub(super) async fn run_once(program: &Program) -> std::io::Result<ExitStatus> {
    spawn(program)?.wait().await
}

/// Starts the process in a group of its own, so that Ctrl-C in the terminal reaches us alone and things end in order.
fn spawn(program: &Program) -> std::io::Result<tokio::process::Child> {
    let mut process = Command::new(&program.path)
        .args(&program.arguments)
        .envs(program.env.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    if let Some(stdout) = process.stdout.take() {
        tokio::spawn(show(program.name, stdout));
    }
    if let Some(stderr) = process.stderr.take() {
        tokio::spawn(show(program.name, stderr));
    }
    Ok(process)
}

/// Prints what a process writes, line by line.
async fn show(name: &'static str, output: impl AsyncRead + Unpin) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while let Ok(1..) = output.read_until(b'\n', &mut line).await {
        banner::line(name, String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
}
