//! Where a parcel is: a pure function of where it was.
//!
//! ```text
//! packed --> handed-over --> in-transit --> delivered
//!    |            |              |
//!    +------------+--------------+--> returned
//! ```

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a parcel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ParcelState {
    /// It is closed, and waits for its carrier.
    Packed,
    /// Its carrier has it.
    HandedOver,
    /// It is on its way.
    InTransit,
    /// Whoever ordered has it. The end.
    Delivered,
    /// It is back, or was opened before it left: what was in it is on the shelf again, and may be sent once more. The end.
    Returned,
}

impl ParcelState {
    /// All of them.
    const ALL: [Self; 5] = [Self::Packed, Self::HandedOver, Self::InTransit, Self::Delivered, Self::Returned];

    /// The name in the database and in documents.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Packed => "packed",
            Self::HandedOver => "handed-over",
            Self::InTransit => "in-transit",
            Self::Delivered => "delivered",
            Self::Returned => "returned",
        }
    }

    /// The state with this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether a parcel in this state may come to that one: nothing is left out on the way, and nothing is twice.
    pub(crate) const fn may_become(self, to: Self) -> bool {
        matches!(
            (self, to),
            (Self::Packed, Self::HandedOver)
                | (Self::HandedOver, Self::InTransit)
                | (Self::InTransit, Self::Delivered)
                | (Self::Packed | Self::HandedOver | Self::InTransit, Self::Returned)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_read_as_they_are_written_in_rows_and_in_documents() {
        for state in ParcelState::ALL {
            assert_eq!(ParcelState::parse(state.as_str()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        assert_eq!(ParcelState::parse("lost"), None);
    }

    proptest! {
        /// However often it is told anything, a parcel comes to an end after three moves at most, and stays there.
        #[test]
        fn a_parcel_comes_to_one_end(told in prop::collection::vec(0..5_usize, 0..40)) {
            let (mut at, mut moves) = (ParcelState::Packed, 0);
            for to in told.into_iter().map(|n| ParcelState::ALL[n]) {
                let ended = matches!(at, ParcelState::Delivered | ParcelState::Returned);
                if at.may_become(to) {
                    prop_assert!(!ended);
                    (at, moves) = (to, moves + 1);
                }
            }
            prop_assert!(moves <= 3);
            prop_assert!(at != ParcelState::Delivered || moves == 3);
        }
    }
}
