//! Orders: placed with their stock in one transaction, paid by a gateway, taken to an end whatever crashes on the way.
//!
//! - [`machine`]: what becomes of an order, a pure function; `turn`: one such change with all that belongs to it, in one
//!   transaction
//! - `place`, `pay`, `show`: what buyers ask; `counter`: orders that came together, placed in one transaction; `drive`: an order taken as far as it goes; `sweep`: what time and crashes left

mod counter;
mod drive;
pub(crate) mod machine;
mod pay;
mod place;
mod show;
mod sweep;
mod turn;

pub(crate) use counter::{Counter, Wanted};
pub(crate) use pay::{__path_pay, pay};
pub(crate) use place::{__path_place, place};
pub(crate) use show::{__path_channel, __path_list, __path_one, channel, list, one};
pub(crate) use sweep::run;
#[cfg(test)]
pub(crate) use sweep::{due, sweep_once};

/// An order's key: the account's id and its own.
pub(crate) type Key = (i64, i64);
