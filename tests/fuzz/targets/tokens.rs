//! Runs without end: `sluice_fuzz::tokens`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluice_fuzz::tokens(bytes));
