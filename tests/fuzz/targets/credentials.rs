//! Runs without end: `sluice_fuzz::credentials`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluice_fuzz::credentials(bytes));
