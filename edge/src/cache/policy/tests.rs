use super::{Lru, Policy, SizedTinyLfu};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::HashMap;

fn mixed(key: u64) -> u64 {
    key.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Hits and hit bytes of a trace.
fn play(policy: &mut dyn Policy, trace: &[(u64, u64)]) -> (u64, u64) {
    let (mut held, mut evicted, mut hits) = (HashMap::new(), vec![], (0, 0));
    for &(key, size) in trace {
        let key = mixed(key);
        policy.touch(key);
        if held.contains_key(&key) {
            hits = (hits.0 + 1, hits.1 + size);
            continue;
        }
        held.insert(key, size);
        policy.insert(key, size, &mut evicted);
        evicted
            .drain(..)
            .for_each(|gone| assert!(held.remove(&gone).is_some(), "evicted once, and held before"));
    }
    assert_eq!(held.values().sum::<u64>(), policy.bytes());
    hits
}

/// A trace in which key `k` is asked for about `1 / k` as often as the first.
fn zipf(keys: u64, requests: usize, seed: u64) -> Vec<(u64, u64)> {
    let mut random = StdRng::seed_from_u64(seed);
    let top = (keys as f64).ln();
    let size = |key: u64| 1_000 + mixed(key) % 50_000;
    (0..requests)
        .map(|_| {
            let key = (random.random::<f64>() * top).exp() as u64;
            (key, size(key))
        })
        .collect()
}

proptest! {
    #[test]
    fn what_is_held_stays_within_the_budget(ops in prop::collection::vec((0u64..40, 1u64..400, 0u8..8), 1..300), budget in 100u64..2_000) {
        for mut policy in [Box::new(SizedTinyLfu::new(budget)) as Box<dyn Policy>, Box::new(Lru::new(budget))] {
            let (mut held, mut evicted) = (HashMap::new(), vec![]);
            for &(key, size, what) in &ops {
                match what {
                    0 => { policy.remove(key); held.remove(&key); }
                    1..4 => policy.touch(key),
                    _ => {
                        policy.insert(key, size, &mut evicted);
                        held.insert(key, size);
                        for gone in evicted.drain(..) {
                            prop_assert!(held.remove(&gone).is_some());
                        }
                    }
                }
                prop_assert!(policy.bytes() <= budget);
                prop_assert_eq!(held.values().sum::<u64>(), policy.bytes());
            }
        }
    }
}

proptest! {
    #[test]
    fn a_smaller_budget_is_kept_at_once(keys in prop::collection::vec((0u64..200, 1u64..60), 1..200), before in 500u64..4_000, after in 100u64..4_000) {
        let (mut policy, mut held, mut evicted) = (SizedTinyLfu::new(before), HashMap::new(), vec![]);
        for (key, size) in keys {
            policy.touch(key);
            policy.insert(key, size, &mut evicted);
            held.insert(key, size);
            for gone in evicted.drain(..) {
                held.remove(&gone);
            }
        }
        policy.resize(after, &mut evicted);
        for gone in evicted {
            prop_assert!(held.remove(&gone).is_some());
        }
        prop_assert!(policy.bytes() <= after);
        prop_assert_eq!(held.values().sum::<u64>(), policy.bytes());
    }
}

#[test]
fn a_scan_does_not_sweep_out_what_is_asked_for() {
    let popular: Vec<(u64, u64)> = (0..20_000).map(|i| (i % 50, 1_000)).collect();
    let scan: Vec<(u64, u64)> = (0..5_000).map(|i| (1_000 + i, 1_000)).collect();
    let mut policy = SizedTinyLfu::new(100_000);
    play(&mut policy, &[popular.clone(), scan].concat());
    let kept = popular[..50].iter().filter(|(key, _)| {
        let before = policy.bytes();
        policy.remove(mixed(*key));
        policy.bytes() < before
    });
    assert!(kept.count() >= 48, "what is popular survives a scan a hundred times its size");
}

#[test]
fn it_does_not_lose_to_lru() {
    let zipf = zipf(20_000, 200_000, 7);
    let looped: Vec<(u64, u64)> = (0..100_000).map(|i| (i % 400, 10_000)).collect();
    let shifting: Vec<(u64, u64)> = zipf
        .iter()
        .enumerate()
        .map(|(at, (key, size))| (key + (at / 50_000) as u64 * 100_000, *size))
        .collect();
    for (name, trace) in [("zipf", zipf), ("loop", looped), ("shifting", shifting)] {
        for budget in [300_000, 3_000_000, 30_000_000] {
            let ours = play(&mut SizedTinyLfu::new(budget), &trace);
            let lru = play(&mut Lru::new(budget), &trace);
            assert!(ours.0 >= lru.0, "{name} {budget}: {ours:?} against {lru:?} hits");
        }
    }
}
