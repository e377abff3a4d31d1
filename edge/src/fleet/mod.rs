//! This node in the fleet: its reports, the route table it follows, the table's copy on disk, and what
//! it is to fetch ahead of demand.

mod asked;
mod disk;
mod follow;
mod plan;
mod post;
mod report;
mod trust;

pub(crate) use asked::tell;
pub(crate) use disk::Disk;
pub(crate) use follow::follow;
pub(crate) use plan::{News, follow as follow_plans};
pub(crate) use report::{now_ms, report};
pub(crate) use trust::Trust;
