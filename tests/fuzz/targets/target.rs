//! Runs without end: `sluice_fuzz::target`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluice_fuzz::target(bytes));
