//! How often a key was asked for lately, in little memory: a count-min sketch of small counters that are halved from
//! time to time (Einziger, Friedman, Manes: TinyLFU, 2017).

/// Rows, each with a hash of its own.
const ROWS: u64 = 4;
/// What a counter holds at most.
const MOST: u8 = 15;
/// Repeated additions for each key held until all counters are halved. Keys that are new do not age the others: a scan
/// would have what is popular forgotten.
const AGE: u64 = 10;
/// Keys held that count at least, so that a small cache does not forget at once.
const LEAST: u64 = 64;

#[derive(Debug)]
pub(super) struct Sketch {
    counters: Vec<u8>,
    additions: u64,
}

impl Sketch {
    /// `width`: about as many counters as keys are to be told apart; rounded up to a power of two.
    pub(super) fn new(width: usize) -> Self {
        Self { counters: vec![0; width.next_power_of_two()], additions: 0 }
    }

    /// Counts a key, in a cache that holds this many.
    pub(super) fn add(&mut self, key: u64, held: usize) {
        let least = self.of(key);
        if least < MOST {
            // Conservative update: only the smallest of a key's counters rise.
            for row in 0..ROWS {
                let at = self.at(key, row);
                if self.counters[at] == least {
                    self.counters[at] += 1;
                }
            }
        }
        self.additions += u64::from(least > 0);
        if self.additions >= AGE * LEAST.max(held as u64) {
            self.counters.iter_mut().for_each(|counter| *counter /= 2);
            self.additions = 0;
        }
    }

    /// How often a key was counted lately: at least, and up to 15.
    pub(super) fn of(&self, key: u64) -> u8 {
        (0..ROWS).map(|row| self.counters[self.at(key, row)]).min().unwrap_or(0)
    }

    fn at(&self, key: u64, row: u64) -> usize {
        let mixed = (key ^ row.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 29)) as usize & (self.counters.len() - 1)
    }
}
