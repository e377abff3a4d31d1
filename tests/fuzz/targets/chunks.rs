//! Runs without end: `sluice_fuzz::chunks`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluice_fuzz::chunks(bytes));
