//! Runs without end: `sluice_fuzz::names`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluice_fuzz::names(bytes));
