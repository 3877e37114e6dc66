//! How a task's process ended, and the words for it in the task's log (`_check_subprocess_exit` in
//! `airflow/sdk/execution_time/supervisor.py`).

use nix::sys::signal::Signal;
use serde_json::json;

use super::log::{Level, TaskLog};
use crate::python::ChildStatus;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
    /// It is gone, and who could have known how is gone as well.
    Unknown,
    /// Its parent was killed, and with it the one who speaks for the task.
    Lost,
}

impl Exit {
    /// Whether the process ended in an orderly way.
    pub(super) fn is_clean(self) -> bool {
        self == Self::Code(0)
    }

    /// The exit code as Python counts: a signal is negative.
    pub(super) fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => -signal,
            Self::Unknown | Self::Lost => 1,
        }
    }
}

impl From<ChildStatus> for Exit {
    fn from(status: ChildStatus) -> Self {
        match status {
            ChildStatus::Code(code) => Self::Code(code),
            ChildStatus::Signal(signal) => Self::Signal(signal),
            ChildStatus::Lost => Self::Lost,
        }
    }
}

/// Tells the reader of the log why the process ended, unless it ended well or by the signal that we sent last.
pub(super) fn explain(exit: Exit, sent: Option<Signal>, log: &mut TaskLog) {
    match exit {
        Exit::Code(0) | Exit::Lost => {}
        Exit::Code(code) => {
            log.note(Level::Warning, "Process exited abnormally", &[("exit_code", json!(code))]);
        }
        Exit::Signal(number) if sent.is_some_and(|signal| signal as i32 == number) => {}
        Exit::Signal(number) if number == Signal::SIGSEGV as i32 => {
            log.note(Level::Critical, SEGFAULT, &[]);
        }
        Exit::Signal(number) => {
            let killed = number == Signal::SIGKILL as i32;
            let (level, guess) = match killed {
                true => (Level::Critical, " Likely out of memory error (OOM)."),
                false => (Level::Error, ""),
            };
            let name = Signal::try_from(number).map_or("unknown", Signal::as_str);
            let text = format!("Process terminated by signal.{guess} For more information, see {MANUAL}.");
            log.note(level, &text, &[("signal", json!(-number)), ("signal_name", json!(name))]);
        }
        Exit::Unknown => {
            let text = "Process exited while its parent was being replaced; its exit code is not known";
            log.note(Level::Warning, text, &[]);
        }
    }
}

/// Airflow's page about it.
const MANUAL: &str =
    "https://airflow.apache.org/docs/apache-airflow/stable/troubleshooting.html#process-terminated-by-signal";

/// Begins as Airflow's message does, so that searches for it find this one.
const SEGFAULT: &str = "
******************************************* Received SIGSEGV *******************************************
SIGSEGV (Segmentation Violation) signal indicates Segmentation Fault error which refers to
an attempt by a program/library to write or read outside its allocated memory.

In Python this is almost always the doing of a library with native code: check that its build fits this
machine and operating system. Set the environment variable PYTHONFAULTHANDLER to `true`, start the task
again and look into the log of the worker for the traceback of the crash.
********************************************************************************************************";
