//! What the next gigabyte costs at a place, by its contract.
//!
//! What is committed to is paid whether it is used or not, so that until it is used the next gigabyte costs nothing; beyond
//! it, it costs the burst price. What counts is not what has been used but what will have been at the end of the period, so
//! that a commitment is used evenly and not in its first days.

use serde::{Deserialize, Serialize};

use crate::fleet::Faults;

/// The most that can be committed to: an exabyte.
const MAX_COMMIT: f64 = 1e9;
/// The highest price of a gigabyte, in whatever money the operator counts.
const MAX_PRICE: f64 = 1_000.0;
/// Around the commitment the price rises in a straight line, from this share below it to this share above: a step would make
/// sessions go to and fro.
const RAMP: f64 = 0.05;
/// The share of a period before which nothing is projected from it: the first hours say little of a month.
const LEAST: f64 = 0.02;

/// What is agreed with whoever carries the bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Contract {
    /// Gigabytes (10^9 bytes) of a period that are paid anyway: 0 to 10^9.
    pub commit_gb: f64,
    /// Money for a gigabyte beyond it, in whatever the operator counts: 0 to 1,000.
    pub price_per_gb: f64,
}

impl Contract {
    /// Adds what is wrong with it.
    pub(crate) fn check(&self, of: &str, faults: &mut Faults) {
        faults.range(&format!("{of}.commit_gb"), Some(self.commit_gb), 0.0, MAX_COMMIT);
        faults.range(&format!("{of}.price_per_gb"), Some(self.price_per_gb), 0.0, MAX_PRICE);
    }

    /// What the next gigabyte costs after `used_gb` in a period of which `elapsed` (0 to 1) is over.
    #[must_use]
    pub fn price(&self, used_gb: f64, elapsed: f64) -> f64 {
        if self.commit_gb <= 0.0 {
            return self.price_per_gb;
        }
        let projected = used_gb / elapsed.clamp(LEAST, 1.0) / self.commit_gb;
        let beyond = ((projected - (1.0 - RAMP)) / (2.0 * RAMP)).clamp(0.0, 1.0);
        self.price_per_gb * beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_paid_anyway_costs_nothing_more() {
        let contract = Contract { commit_gb: 1_000.0, price_per_gb: 0.02 };
        assert_eq!(contract.price(100.0, 0.5), 0.0);
        assert_eq!(contract.price(900.0, 0.5), 0.02);
        assert!((contract.price(500.0, 0.5) - 0.01).abs() < 1e-12);
        assert_eq!(Contract { commit_gb: 0.0, price_per_gb: 0.02 }.price(0.0, 0.0), 0.02);
    }

    proptest! {
        #[test]
        fn a_price_rises_with_use_and_stays_within_bounds(used in 0.0f64..1e6, more in 0.0f64..1e6, elapsed in 0.0f64..1.0) {
            let contract = Contract { commit_gb: 1_000.0, price_per_gb: 0.02 };
            let (less, more) = (contract.price(used, elapsed), contract.price(used + more, elapsed));
            prop_assert!((0.0..=0.02).contains(&less) && less <= more);
        }
    }
}
