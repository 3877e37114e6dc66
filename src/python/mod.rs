//! The Python side: where user code, Airflow's own functions and plugins run, always in processes of their own.
//!
//! The interpreter is the Airflow environment's. It is sent a small package (`airflow_compat/slipstream/_host`, compiled
//! into this binary) through the socket on its fd 0; nothing has to be installed in the environment.

mod ancestor;
mod error;
mod host;
mod interpreter;
mod launch;
mod lazy;
mod origin;
pub mod package;
pub mod plugins;
mod service;
mod sources;
pub mod wire;
mod zygote;

pub use error::{Cause, PythonError};
pub use host::HostProcess;
pub use interpreter::{Interpreter, Places};
pub use launch::Hello;
pub use lazy::LazyService;
pub use origin::Origin;
pub use service::Service;
pub use zygote::{ChildFds, ChildStatus, Zygote, ZygoteEvent, ZygoteKind};
