//! A hostile program in the codec's place: what a decoder taken over by a film could try. Its source says what is there to
//! be had, and what to do:
//!
//! - an empty source: answer as a codec does, so that the worker takes it for one
//! - `{"do": "attack", ...}`: try everything in `attacks`, and say what came of each
//! - `{"do": "crash"}`, `"spin"`, `"hoard"`, `"crowd"`, `"sleep"`, `"foreign"`: end badly, use processor time, memory,
//!   threads, nothing but time, or the system calls of another architecture
//!
//! It speaks the codec's frames: a report is the detail of a failure.
#![expect(unsafe_code, reason = "it makes system calls that no honest program makes")]
#![allow(clippy::unwrap_used, reason = "a program for tests: what fails here fails the story")]

mod attacks;

use nix::libc;
use serde_json::{Value, json};
use sluice_wire::codec::{CodecFailure, CodecMessage, Order, SOURCE_FD, encode, read_order};
use std::io::Write;
use std::time::Duration;

fn main() {
    let source = source();
    let what: Value = serde_json::from_slice(&source).unwrap_or_default();
    match what["do"].as_str() {
        None => say("this is no film"),
        Some("attack") => say(&attacks::all(&what).to_string()),
        Some("crash") => {
            drop(std::io::stderr().write_all(b"bang"));
            std::process::abort();
        }
        Some("spin") => loop {
            std::hint::black_box(0);
        },
        Some("hoard") => say(&json!({ "bytes": hoard() }).to_string()),
        Some("crowd") => say(&json!({ "threads": crowd() }).to_string()),
        Some("sleep") => loop {
            std::thread::park_timeout(Duration::from_secs(60));
        },
        Some("foreign") => {
            foreign_call();
            say("a foreign system call was answered");
        }
        Some(other) => panic!("{other}"),
    }
}

/// All of descriptor 3, once it is said to be there; nothing without one.
fn source() -> Vec<u8> {
    let mut orders = std::io::stdin().lock();
    let (mut length, mut here) = (u64::MAX, 0);
    while here < length
        && let Ok(Some(order)) = read_order(&mut orders)
    {
        match order {
            Order::Length { bytes } => length = bytes,
            Order::Here { from, to } => here += to - from,
            _ => {}
        }
    }
    let mut source = vec![0; 64 << 10];
    // SAFETY: the buffer is as long as the call is told.
    let read = unsafe { libc::pread(SOURCE_FD, source.as_mut_ptr().cast(), source.len(), 0) };
    source.truncate(usize::try_from(read).unwrap_or(0));
    source
}

fn say(detail: &str) {
    let message = CodecMessage::Failed { reason: CodecFailure::NotMedia, detail: detail.to_owned() };
    let mut out = std::io::stdout().lock();
    out.write_all(&encode(&message, &[]).unwrap()).and_then(|()| out.flush()).unwrap();
}

/// Takes memory until there is none; gives how much it had.
fn hoard() -> usize {
    const PIECE: usize = 16 << 20;
    let mut had = 0;
    loop {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        // SAFETY: a new mapping anywhere, which nothing else refers to.
        let at = unsafe {
            libc::mmap(std::ptr::null_mut(), PIECE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
        };
        if at == libc::MAP_FAILED {
            return had;
        }
        had += PIECE;
    }
}

/// Starts threads until no more are to be had, or there are very many; gives how many there were.
fn crowd() -> usize {
    let start = || {
        std::thread::Builder::new().stack_size(16 << 10).spawn(|| {
            std::thread::park_timeout(Duration::from_secs(60));
        })
    };
    (0..20_000).map_while(|_| start().ok()).count()
}

/// A system call by the 32-bit gate, whose numbers are not those that a filter of 64-bit calls knows.
#[cfg(target_arch = "x86_64")]
fn foreign_call() {
    // SAFETY: `getpid` of the 32-bit table changes nothing but the register that it answers in.
    unsafe { std::arch::asm!("int 0x80", inout("eax") 20 => _) };
}

#[cfg(not(target_arch = "x86_64"))]
fn foreign_call() {
    std::process::abort();
}
