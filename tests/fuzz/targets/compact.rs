//! Runs without end: `sluice_fuzz::compact`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluice_fuzz::compact(bytes));
