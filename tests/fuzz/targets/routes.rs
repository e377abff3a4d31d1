//! Runs without end: `sluice_fuzz::routes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluice_fuzz::routes(bytes));
