//! Runs without end: `sluice_fuzz::hops`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluice_fuzz::hops(bytes));
