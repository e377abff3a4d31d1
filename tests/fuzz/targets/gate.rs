//! Runs without end: `sluice_fuzz::gate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluice_fuzz::gate(bytes));
