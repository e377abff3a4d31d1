//! What a gateway with Stripe's interface says of money that is given back: that it was asked for is not that it is there.

use serde::Deserialize;

use super::Returned;

/// Refunds of a payment that are read: as many as a page of theirs has.
pub(super) const MOST: usize = 100;

/// The refunds of a payment.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refunds {
    data: Vec<Refund>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refund {
    /// Minor units.
    amount: u64,
    status: Option<String>,
    payment_intent: Option<String>,
}

/// What a refund's status says; `None` where it has failed, was canceled, or says nothing that is known.
pub(super) fn said(status: Option<&str>) -> Option<Returned> {
    match status? {
        "succeeded" => Some(Returned::Done),
        "pending" | "requires_action" => Some(Returned::Pending),
        _ => None,
    }
}

impl Refunds {
    /// What became of so much that is to be given back; `None` where it is to be tried (again).
    pub(super) fn of(&self, amount: u64) -> Option<Returned> {
        let sum = |wanted: &[Returned]| {
            let counts =
                |one: &&Refund| said(one.status.as_deref()).is_some_and(|said| wanted.contains(&said));
            self.data.iter().filter(counts).fold(0, |sum: u64, one| sum.saturating_add(one.amount))
        };
        if self.data.is_empty() {
            None
        } else if sum(&[Returned::Done]) >= amount {
            Some(Returned::Done)
        } else if sum(&[Returned::Done, Returned::Pending]) >= amount {
            Some(Returned::Pending)
        } else {
            None
        }
    }

    /// Those of a payment: who lists all, whatever was asked for, is not believed to speak of this one.
    pub(super) fn of_payment(mut self, intent: &str) -> Self {
        self.data.retain(|refund| refund.payment_intent.as_deref().is_none_or(|of| of == intent));
        self
    }

    /// How often it was tried.
    pub(super) fn tries(&self) -> usize {
        self.data.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(refunds: &[(&str, u64)]) -> Option<Returned> {
        let all = refunds.iter().map(|(status, amount)| json!({ "status": status, "amount": amount }));
        let all: Refunds = serde_json::from_value(json!({ "data": all.collect::<Vec<_>>() })).unwrap();
        all.of(100)
    }

    #[test]
    fn money_is_back_when_all_of_it_has_succeeded() {
        assert_eq!(of(&[("succeeded", 100)]), Some(Returned::Done));
        assert_eq!(of(&[("failed", 100), ("succeeded", 100)]), Some(Returned::Done));
        assert_eq!(of(&[("succeeded", 40), ("succeeded", 60)]), Some(Returned::Done), "in parts, by hand");
        assert_eq!(of(&[("succeeded", 40), ("pending", 60)]), Some(Returned::Pending));
        assert_eq!(of(&[("failed", 100), ("requires_action", 100)]), Some(Returned::Pending));
        assert_eq!(of(&[]), None);
        for over in [("failed", 100), ("canceled", 100), ("succeeded", 99), ("other", 100)] {
            assert_eq!(of(&[over]), None, "{over:?}");
        }
    }

    #[test]
    fn what_was_given_back_of_others_does_not_count() {
        let data = [json!({ "amount": 100, "status": "succeeded", "payment_intent": "pi_other" })];
        let all: Refunds = serde_json::from_value(json!({ "data": data })).unwrap();
        assert_eq!(all.of_payment("pi_this").of(100), None);
    }

    #[test]
    fn a_status_that_is_not_known_is_no_success() {
        assert_eq!((said(None), said(Some("failed")), said(Some("canceled"))), (None, None, None));
        assert_eq!((said(Some("")), said(Some("new"))), (None, None));
    }
}
