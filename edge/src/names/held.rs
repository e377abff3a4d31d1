//! What is held of one name, and what to do about it now. Pure.

use super::allowed::{Networks, Place, place};
use super::engine::{Answer, Failure};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The bounds of a time to live: with less, a question would go out with every connection; with more, a move would take
/// an operator's day.
const TTL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));
/// How long addresses stand in after their time, while nobody answers: a night and a morning of somebody else's outage.
const LAST_GOOD: Duration = Duration::from_secs(24 * 3_600);
/// Time between two questions that fail.
const RETRY: Duration = Duration::from_secs(2);
/// Addresses of one answer that are tried: beyond some, a connection's time is over.
const MAX_ADDRESSES: usize = 8;

/// What to do about a name now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// Use these.
    Use(Arc<[IpAddr]>),
    /// Ask; these are the last good ones.
    Ask(Option<Arc<[IpAddr]>>),
    /// It was asked for a moment ago, in vain.
    Refuse(&'static str),
}

#[derive(Debug)]
pub(super) struct Held {
    addresses: Option<Arc<[IpAddr]>>,
    /// Until when they count.
    until: Instant,
    /// Until when they stand in.
    good_until: Instant,
    /// The last question's failure, and when the next may be.
    failed: Option<(Failure, Instant)>,
}

impl Held {
    pub(super) const fn new(now: Instant) -> Self {
        Self { addresses: None, until: now, good_until: now, failed: None }
    }

    pub(super) fn plan(&self, now: Instant) -> Plan {
        let last = self.last_good(now);
        match (last, self.failed) {
            (Ok(addresses), _) if now < self.until => Plan::Use(addresses),
            // Nobody waits again for who has just failed.
            (Ok(addresses), Some((_, next))) if now < next => Plan::Use(addresses),
            (Err(_), Some((why, next))) if now < next => Plan::Refuse(why.as_str()),
            (last, _) => Plan::Ask(last.ok()),
        }
    }

    /// The addresses there are, or why there are none.
    pub(super) fn last_good(&self, now: Instant) -> Result<Arc<[IpAddr]>, Failure> {
        let good = self.addresses.as_ref().filter(|_| now < self.good_until);
        good.cloned().ok_or_else(|| self.failed.map_or(Failure::Late, |(why, _)| why))
    }

    /// Takes an answer, as far as it leads where it may. What is good so far stays when it does not.
    pub(super) fn take(
        &mut self,
        answer: Result<Answer, Failure>,
        networks: &Networks,
        now: Instant,
    ) -> Result<(), Failure> {
        let taken = answer.and_then(|answer| {
            let addresses = self.allowed(&answer, networks)?;
            Ok((addresses, answer.ttl.clamp(TTL.0, TTL.1)))
        });
        match taken {
            Ok((addresses, ttl)) => {
                (self.until, self.good_until) = (now + ttl, now + ttl + LAST_GOOD);
                (self.addresses, self.failed) = (Some(addresses), None);
                Ok(())
            }
            Err(why) => {
                self.failed = Some((why, now + RETRY));
                Err(why)
            }
        }
    }

    fn allowed(&self, answer: &Answer, networks: &Networks) -> Result<Arc<[IpAddr]>, Failure> {
        if answer.addresses.is_empty() {
            return Err(Failure::Absent);
        }
        let is_public = |address: &IpAddr| place(*address) == Place::Public;
        let was_public = self.addresses.as_ref().is_some_and(|before| before.iter().all(is_public));
        let may = |address: &&IpAddr| answer.of_operator || networks.allow(**address, was_public);
        let mut addresses: Vec<IpAddr> = vec![];
        for address in answer.addresses.iter().filter(may) {
            if addresses.len() < MAX_ADDRESSES && !addresses.contains(address) {
                addresses.push(*address);
            }
        }
        if addresses.is_empty() { Err(Failure::Internal) } else { Ok(addresses.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(addresses: &[&str], ttl: u64) -> Result<Answer, Failure> {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Ok(Answer { addresses, ttl: Duration::from_secs(ttl), of_operator: false })
    }

    fn used(plan: &Plan) -> Option<&[IpAddr]> {
        match plan {
            Plan::Use(addresses) | Plan::Ask(Some(addresses)) => Some(addresses),
            Plan::Ask(None) | Plan::Refuse(_) => None,
        }
    }

    #[test]
    fn times_to_live_count_and_last_good_addresses_stand_in() {
        let (networks, start) = (Networks::new(&[]), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut held = Held::new(start);
        assert_eq!(held.plan(start), Plan::Ask(None));
        assert_eq!(held.take(Err(Failure::Failed), &networks, start), Err(Failure::Failed));
        assert_eq!(held.plan(at(1)), Plan::Refuse("failed"));
        assert_eq!(held.plan(at(2)), Plan::Ask(None));
        held.take(answer(&["8.8.8.8"], 60), &networks, at(2)).unwrap();
        assert!(matches!(held.plan(at(61)), Plan::Use(_)));
        assert!(matches!(held.plan(at(62)), Plan::Ask(Some(_))), "its time is over");
        for (bad, why) in [
            (Err(Failure::Late), Failure::Late),
            (answer(&[], 60), Failure::Absent),
            (answer(&["127.0.0.1", "10.0.0.1", "169.254.169.254"], 60), Failure::Internal),
        ] {
            assert_eq!(held.take(bad, &networks, at(70)), Err(why));
            assert!(matches!(held.plan(at(71)), Plan::Use(_)), "nobody waits again so soon");
            assert!(matches!(held.plan(at(72)), Plan::Ask(Some(_))));
        }
        held.take(answer(&["9.9.9.9", "10.0.0.1", "9.9.9.9"], 0), &networks, at(80)).unwrap();
        assert_eq!(held.plan(at(80)), Plan::Use(["9.9.9.9".parse().unwrap()].into()));
        assert!(matches!(held.plan(at(81)), Plan::Ask(Some(_))), "0 counts as a second");
        let late = at(81) + LAST_GOOD;
        assert_eq!(held.plan(late), Plan::Ask(None), "not for ever");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn an_hour_of_bad_servers_fails_nobody_and_leads_nowhere_internal(
            bad in prop::collection::vec(0u8..7, 1..60),
            ttl in 0u64..90,
        ) {
            let (networks, start) = (Networks::new(&[]), Instant::now());
            let mut held = Held::new(start);
            held.take(answer(&["8.8.8.8", "1.1.1.1"], ttl), &networks, start).unwrap();
            let many: Vec<String> = (0..500).map(|n| format!("8.8.{}.{}", n / 250, n % 250)).collect();
            let many: Vec<&str> = many.iter().map(String::as_str).collect();
            let (mut asked, mut tried) = (0u64, bad.iter().cycle());
            for second in 0..3_600 {
                let now = start + Duration::from_secs(second);
                let plan = held.plan(now);
                let addresses = used(&plan).expect("a request fails");
                prop_assert!(!addresses.is_empty() && addresses.len() <= MAX_ADDRESSES);
                prop_assert!(addresses.iter().all(|address| place(*address) == Place::Public));
                if matches!(plan, Plan::Ask(_)) {
                    asked += 1;
                    let answer = match tried.next().unwrap() {
                        0 => Err(Failure::Failed),
                        1 => Err(Failure::Late),
                        2 => Err(Failure::Absent),
                        3 => answer(&[], 0),
                        4 => answer(&["127.0.0.1", "fe80::1", "192.168.0.1"], 0),
                        5 => answer(&many, 0),
                        _ => answer(&["9.9.9.9", "10.0.0.1"], 0),
                    };
                    let good = answer.as_ref().is_ok_and(|answer| answer.addresses.len() > 1)
                        && answer.as_ref().is_ok_and(|answer| place(answer.addresses[0]) == Place::Public);
                    prop_assert_eq!(held.take(answer, &networks, now).is_ok(), good);
                }
            }
            prop_assert!(asked <= 3_600);
        }
    }
}
