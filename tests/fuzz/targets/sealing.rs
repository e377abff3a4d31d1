//! Runs without end: `sluice_fuzz::sealing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluice_fuzz::sealing(bytes));
