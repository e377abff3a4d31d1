//! Steering: which pathway serves whom, decided from a view of the fleet, and how that is told to players.
//!
//! ```text
//! route table, configuration, measurements -> View (versioned) -> decide(view, session, now) -> Decision
//!                                                              -> HLS and DASH manifests, redirects, DNS answers
//! ```
//!
//! A decision depends on its three arguments alone, so that any answer can be made again, bit for bit, and explained: what a
//! session brings along ([`Session`]) travels in the address it asks next.
//!
//! - [`policy`]: what operators want, as data; [`view`]: what is known of the fleet at one moment
//! - [`contract`]: what the next gigabyte costs; [`session`]: what is known of who asks
//! - [`decide`]: the decision and its reasons; [`late`]: who is silent
//! - [`manifest`]: what players are told (rfc8216bis section 7; ETSI TS 103 998)

pub mod contract;
pub mod decide;
pub mod manifest;
pub mod policy;
mod rank;
pub mod session;
mod silence;
#[cfg(test)]
mod tests;
pub mod view;

pub use contract::Contract;
pub use decide::{Choice, Decision, Explanation, Reason};
pub use manifest::{BASE_PATHWAY, Form, SteeringManifest, host};
pub use policy::Policy;
pub use rank::{Excluded, Ranked, Terms};
pub use session::Session;
pub use silence::{LATE_HEALTH, late};
pub use view::{Bar, Edge, Place, Steer, View};
