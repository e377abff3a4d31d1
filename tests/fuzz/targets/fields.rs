//! Runs without end: `sluice_fuzz::fields`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluice_fuzz::fields(bytes));
