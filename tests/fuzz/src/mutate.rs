//! Mutations: inputs near those that mean something, the same ones for the same number.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Bytes of the longest input: what is longer is refused for its length, and that has tests of its own.
const LONGEST: usize = 2 << 10;

/// Pieces that mean something to one reader or another.
const PIECES: [&[u8]; 40] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b",",
    b";",
    b":",
    b"=",
    b"\"",
    b"\\",
    b"/",
    b"//",
    b"/../",
    b"%2e",
    b"%00",
    b"%ff",
    b"%",
    b"?",
    b"&",
    b"#",
    b"+",
    b"-",
    b"*",
    b".",
    b"(",
    b")",
    b"0",
    b"1",
    b"18446744073709551615",
    b"18446744073709551616",
    b"-1",
    b"\xff\xfe",
    b"\xc3\xa4",
    b"W/",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 1\r\n",
    b"no-store",
    b"{}",
];

/// Inputs out of seeds.
#[derive(Debug)]
pub struct Mutations<'a> {
    seeds: &'a [Vec<u8>],
    random: StdRng,
}

impl<'a> Mutations<'a> {
    /// Of these seeds, of which there is one at least; equal numbers give equal inputs.
    #[must_use]
    pub fn new(seeds: &'a [Vec<u8>], number: u64) -> Self {
        Self { seeds, random: StdRng::seed_from_u64(number) }
    }

    fn seed(&mut self) -> &'a [u8] {
        &self.seeds[self.random.random_range(0..self.seeds.len())]
    }

    fn place(&mut self, bytes: &[u8]) -> usize {
        self.random.random_range(0..=bytes.len())
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let (a, b) = (self.place(bytes), self.place(bytes));
        let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 16));
        match self.random.random_range(0..7) {
            0 if from < bytes.len() => bytes[from] ^= 1 << self.random.random_range(0..8),
            1 if from < bytes.len() => bytes[from] = self.random.random(),
            2 => drop(bytes.drain(from..to)),
            3 => {
                let piece = PIECES[self.random.random_range(0..PIECES.len())];
                drop(bytes.splice(from..from, piece.iter().copied()));
            }
            4 => {
                let again = bytes[from..to].to_vec();
                drop(bytes.splice(to..to, again));
            }
            5 => {
                // The beginning of one and the end of another.
                let other = self.seed();
                let at = self.place(other);
                bytes.truncate(from);
                bytes.extend_from_slice(&other[at..]);
            }
            _ => {
                let piece = PIECES[self.random.random_range(0..PIECES.len())];
                drop(bytes.splice(from..to, piece.iter().copied()));
            }
        }
    }
}

impl Iterator for Mutations<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut bytes = self.seed().to_vec();
        for _ in 0..self.random.random_range(1..=6) {
            self.change(&mut bytes);
        }
        bytes.truncate(LONGEST);
        Some(bytes)
    }
}
