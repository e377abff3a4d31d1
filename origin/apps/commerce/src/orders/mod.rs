//! Orders: placed with their stock in one transaction, paid by a gateway, taken to an end whatever crashes on the way.
//!
//! - [`machine`]: what becomes of an order, a pure function
//! - `counter`: orders that came together, placed in one transaction; `till`: what happens to orders after that, together too: `book`
//!   is what it reads, `turn` what it writes
//! - `place`, `pay`, `cancel`, `show`: what buyers ask; `drive`: an order taken as far as it goes; `sweep`: what time and crashes left

mod book;
mod cancel;
mod counter;
mod drive;
pub(crate) mod machine;
mod pay;
mod place;
mod show;
mod sweep;
mod till;
mod turn;

pub(crate) use cancel::{__path_cancel, cancel};
pub(crate) use counter::{Counter, Wanted};
pub(crate) use pay::{__path_pay, pay};
pub(crate) use place::{__path_place, place};
pub(crate) use show::{__path_channel, __path_list, __path_one, channel, list, one};
pub(crate) use sweep::begin;
#[cfg(test)]
pub(crate) use sweep::{BATCH, due, sweep_once};
pub(crate) use till::{Ask, Standing, Till};
#[cfg(test)]
pub(crate) use till::{Step, Told};

/// An order's key: the account's id and its own.
pub(crate) type Key = (i64, i64);
