//! Every fuzz target on its seeds, and on mutations of them: the same inputs in every run, thousands for each.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_fuzz::mutate::Mutations;
use std::path::Path;

/// Mutations of one target's seeds: a second or two for the slowest, without optimisation.
const INPUTS: usize = 20_000;
/// The same, where each is signed four times.
const SIGNED: usize = 5_000;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let mut files: Vec<_> = dir.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Shows the input that a target failed on.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    #[allow(clippy::print_stderr, reason = "it is read where the panic is")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input: b\"{}\"", self.0.escape_ascii());
        }
    }
}

fn run(name: &str, target: fn(&[u8])) {
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "no seeds for {name}");
    let one = |input: &[u8]| {
        let _shown = Shown(input);
        target(input);
    };
    one(b"");
    seeds.iter().for_each(|seed| one(seed));
    let number = name.bytes().fold(1u64, |number, byte| number.wrapping_mul(31).wrapping_add(byte.into()));
    let inputs = if name == "credentials" { SIGNED } else { INPUTS };
    Mutations::new(&seeds, number).take(inputs).for_each(|input| one(&input));
}

macro_rules! targets {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name), sluice_fuzz::$name);
        })*

        /// Each has a program for libFuzzer, and none is without seeds.
        #[test]
        fn every_target_can_be_run_without_end() {
            let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
            for (of, ending) in [("targets", ".rs"), ("seeds", "")] {
                let names = dir.join(of).read_dir().unwrap();
                let mut names: Vec<String> = names
                    .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                    .map(|name| name.trim_end_matches(ending).to_owned())
                    .collect();
                names.sort();
                let mut wanted = vec![$(stringify!($name)),*];
                wanted.sort_unstable();
                assert_eq!(names, wanted, "{of}");
            }
        }
    };
}

targets!(
    boxes,
    cache_control,
    cache_status,
    chunks,
    compact,
    credentials,
    fields,
    frames,
    gate,
    head,
    hops,
    names,
    no_vary_search,
    outbound,
    proxied,
    ranges,
    records,
    routes,
    sealing,
    steering,
    target,
    text,
    tokens,
    tus,
    vary
);
