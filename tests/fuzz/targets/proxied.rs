//! Runs without end: `sluice_fuzz::proxied`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluice_fuzz::proxied(bytes));
