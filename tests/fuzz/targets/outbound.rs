//! Runs without end: `sluice_fuzz::outbound`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluice_fuzz::outbound(bytes));
