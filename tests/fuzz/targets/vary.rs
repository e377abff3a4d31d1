//! Runs without end: `sluice_fuzz::vary`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluice_fuzz::vary(bytes));
