//! Runs without end: `sluice_fuzz::cache_status`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluice_fuzz::cache_status(bytes));
