//! Runs without end: `sluice_fuzz::ranges`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluice_fuzz::ranges(bytes));
