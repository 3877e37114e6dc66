//! The supervisor's side of the Task SDK's protocol: what stock Airflow does in one Python process per task
//! (`airflow/sdk/execution_time/supervisor.py`) and per parsed file (`airflow/dag_processing/processor.py`).
//!
//! [`frame`] moves messages over a socket, [`value`] converts what is in them, [`answer`] answers them from the database.

pub mod answer;
pub mod frame;
pub mod masker;
pub mod value;

pub use answer::{Answer, Answerer, Asker, Terminal};
pub use frame::{Frame, FrameError, FrameReader, FrameWriter};
