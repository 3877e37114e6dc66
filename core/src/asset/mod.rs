//! Assets as a Dag's schedule: which of them have to be updated, and how the keys of their partitions map to the keys
//! of the Dag's (`airflow/assets/`, `airflow/partition_mappers/`, `airflow/timetables/simple.py`).

mod condition;
mod decode;
mod encode;
mod error;
mod mapper;
mod partitioned;
mod temporal;
mod wait;
mod wall;
mod window;

pub use condition::{AssetCondition, AssetKey, AssetLookup};
pub use error::{AssetError, MapError};
pub use mapper::{Downstream, Mapper, MapperKind, Rollup};
pub use partitioned::{PartitionDate, PartitionedAssets};
pub use temporal::{Period, Temporal};
pub use wait::{Satisfaction, WaitPolicy};
pub use window::{Direction, Span, Window};
