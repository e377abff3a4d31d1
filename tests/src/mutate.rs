//! Media that is broken a little: what a mutation is made of is a function of its number, on every machine.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Where the heads and indexes of most containers are: within so much of the beginning or the end.
const EDGE: usize = 4 << 10;
/// Changes of one mutation at most.
const CHANGES: usize = 8;
/// The longest range that is moved, doubled or left out.
const RANGE: usize = 2 << 10;
/// Numbers at which readers go wrong.
const NUMBERS: [u32; 8] = [0, 1, 2, 0x7f, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, u32::MAX];

/// A mutation of one of these by its number: which it is of, and the bytes.
///
/// # Panics
/// Without seeds.
#[must_use]
pub fn mutation(seeds: &[(String, Vec<u8>)], number: u64) -> (&str, Vec<u8>) {
    let mut random = StdRng::seed_from_u64(number);
    let (name, seed) = seeds.choose(&mut random).expect("there are seeds");
    let other = &seeds.choose(&mut random).expect("there are seeds").1;
    let mut bytes = seed.clone();
    for _ in 0..random.random_range(1..=CHANGES) {
        change(&mut bytes, other, &mut random);
    }
    (name, bytes)
}

fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut StdRng) {
    if bytes.len() < 16 {
        bytes.extend_from_slice(&other[..other.len().min(RANGE)]);
        return;
    }
    let at = place(bytes.len(), random);
    let end = at + random.random_range(1..=RANGE.min(bytes.len() - at));
    match random.random_range(0..10) {
        0 | 1 => bytes[at] ^= 1 << random.random_range(0..8),
        2 => bytes[at] = random.random(),
        3 | 4 => {
            let number = *NUMBERS.choose(random).expect("there are numbers");
            let to = bytes.len().min(at + 4);
            let sent = if random.random() { number.to_be_bytes() } else { number.to_le_bytes() };
            bytes[at..to].copy_from_slice(&sent[..to - at]);
        }
        5 => bytes[at..end].fill(0),
        6 => drop(bytes.drain(at..end)),
        7 => {
            let again = bytes[at..end].to_vec();
            let to = place(bytes.len(), random);
            bytes.splice(to..to, again);
        }
        8 => {
            let from = place(other.len().max(16), random).min(other.len());
            let foreign = other[from..other.len().min(from + (end - at))].to_vec();
            bytes.splice(at..end, foreign);
        }
        _ => bytes.truncate(at.max(16)),
    }
}

/// A place: in every second case near the beginning or the end.
fn place(length: usize, random: &mut StdRng) -> usize {
    match random.random_range(0..4) {
        0 => random.random_range(0..length.min(EDGE)),
        1 => random.random_range(length.saturating_sub(EDGE)..length),
        _ => random.random_range(0..length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutation_is_a_function_of_its_number() {
        let seeds = [("a".to_owned(), vec![1; 9_000]), ("b".to_owned(), (0..=255).collect())];
        for number in 0..2_000 {
            let (name, bytes) = mutation(&seeds, number);
            assert_eq!(mutation(&seeds, number), (name, bytes));
        }
    }
}
