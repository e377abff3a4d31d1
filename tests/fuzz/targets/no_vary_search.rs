//! Runs without end: `sluice_fuzz::no_vary_search`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluice_fuzz::no_vary_search(bytes));
