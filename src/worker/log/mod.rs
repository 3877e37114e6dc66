//! The task's log file, in the layout and the line format that Airflow's readers expect: one JSON object per line
//! (`airflow/sdk/log.py`, `airflow/sdk/execution_time/supervisor.py`).

mod file;
mod line;
mod pump;

pub use file::{LogFileError, LogFiles};
pub use line::{Level, TaskLog};
pub use pump::{Channel, pump};
