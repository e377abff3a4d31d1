//! Requests to replay.

use anyhow::Context;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::HashMap;
use std::path::Path;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) key: u64,
    pub(crate) size: u64,
}

#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) name: String,
    pub(crate) requests: Vec<Request>,
    pub(crate) keys: usize,
    pub(crate) unique_bytes: u64,
}

impl Trace {
    /// Reads lines of `time,key,size`; a first line of names is passed over. Keys may be any text.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let mut requests = vec![];
        for (at, line) in text.lines().enumerate() {
            let mut fields = line.split(',').map(str::trim);
            let (_, key, size) = (fields.next(), fields.next(), fields.next().and_then(|s| s.parse().ok()));
            match (key, size) {
                (Some(key), Some(size)) => requests.push((key.to_owned(), size)),
                _ if at == 0 || line.is_empty() => {}
                _ => anyhow::bail!("{}, line {}: not time,key,size", file.display(), at + 1),
            }
        }
        let name = file.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        Ok(Self::new(name, requests))
    }

    /// A trace in which the nth key is asked for about 1/n as often as the first.
    pub(crate) fn zipf(keys: u64, count: usize) -> Self {
        let mut random = StdRng::seed_from_u64(1);
        let top = (keys as f64).ln();
        let request = |_| {
            let key = (random.random::<f64>() * top).exp() as u64;
            (key.to_string(), 1_000 + hashed(&key.to_string()) % 100_000)
        };
        let requests = (0..count).map(request).collect();
        Self::new(format!("made here, Zipf, {keys} keys of 1 to 101 kB"), requests)
    }

    fn new(name: String, requests: Vec<(String, u64)>) -> Self {
        let mut sizes: HashMap<u64, u64> = HashMap::new();
        let keyed: Vec<(u64, u64)> = requests.iter().map(|(key, size)| (hashed(key), *size)).collect();
        for (key, size) in keyed {
            let largest = sizes.entry(key).or_default();
            *largest = size.max(*largest);
        }
        let request = |(key, _): &(String, u64)| {
            let key = hashed(key);
            Request { key, size: sizes[&key] }
        };
        let requests = requests.iter().map(request).collect();
        Self { name, requests, keys: sizes.len(), unique_bytes: sizes.values().sum() }
    }
}

fn hashed(key: &str) -> u64 {
    // A policy's keys are hashes spread evenly (FNV-1a, mixed).
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
