//! Runs without end: `sluice_fuzz::tus`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluice_fuzz::tus(bytes));
