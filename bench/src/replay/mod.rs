//! Miss ratios of the edge's eviction policy on a trace of requests.
//!
//! - [`trace`]: the requests; [`bound`]: what a cache that knows the future would miss

mod bound;
mod trace;

use crate::args::Options;
use crate::report::Report;
use bound::Worth;
use sluice_edge::policy::{Lru, Policy, SizedTinyLfu};
use std::collections::HashSet;
pub(crate) use trace::{Request, Trace};

/// Misses of objects and of bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(crate) struct Misses {
    objects: u64,
    bytes: u64,
}

impl Misses {
    fn add(&mut self, size: u64) {
        self.objects += 1;
        self.bytes += size;
    }
}

/// Replays a trace and reports.
pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    let trace = match &options.trace {
        Some(file) => Trace::read(file)?,
        None => Trace::zipf(20_000, 400_000),
    };
    let mut report = Report::new("replay", "Eviction: miss ratios on a trace of requests");
    report.fact(format!(
        "Trace: {}; {} requests, {} keys, {} unique bytes (a key's size is its largest); cold start",
        trace.name,
        trace.requests.len(),
        trace.keys,
        trace.unique_bytes
    ));
    let mut rows =
        vec![vec!["cache".to_owned(), "policy".into(), "object misses".into(), "byte misses".into()]];
    for share in &options.cache {
        let budget = (trace.unique_bytes as f64 * share / 100.0) as u64;
        let played = [
            ("LRU", play(&mut Lru::new(budget), &trace)),
            ("size-normalised TinyLFU (the edge's)", play(&mut SizedTinyLfu::new(budget), &trace)),
            ("Belady, by bytes (bound)", bound::play(&trace, budget, Worth::Bytes)),
            ("Belady, by objects (bound)", bound::play(&trace, budget, Worth::Objects)),
        ];
        for (name, misses) in played {
            let total: u64 = trace.requests.iter().map(|r| r.size).sum();
            let ratio = |part: u64, whole: u64| format!("{:.3}", part as f64 / whole as f64);
            rows.push(vec![
                format!("{share} %"),
                name.into(),
                ratio(misses.objects, trace.requests.len() as u64),
                ratio(misses.bytes, total),
            ]);
        }
    }
    report.table(&rows);
    report.paragraph(
        "A bound knows every coming request: by bytes it lets go of what comes back last, by objects of what comes back \
         last for its size. Neither is reachable; both say how far there is to go.",
    );
    Ok(report)
}

fn play(policy: &mut dyn Policy, trace: &Trace) -> Misses {
    let (mut held, mut evicted, mut misses) = (HashSet::new(), vec![], Misses::default());
    for request in &trace.requests {
        policy.touch(request.key);
        if held.insert(request.key) {
            misses.add(request.size);
            policy.insert(request.key, request.size, &mut evicted);
            evicted.drain(..).for_each(|gone| _ = held.remove(&gone));
        }
    }
    misses
}
