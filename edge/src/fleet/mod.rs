//! This node in the fleet: its reports, the route table it follows, and the table's copy on disk.

mod disk;
mod follow;
mod report;
mod trust;

pub(crate) use disk::Disk;
pub(crate) use follow::follow;
pub(crate) use report::report;
pub(crate) use trust::Trust;
