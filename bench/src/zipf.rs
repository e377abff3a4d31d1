//! Zipf's law: the nth of a number of things is asked for about 1/n^skew as often as the first.

use rand::Rng;

/// How likely each of so many things is.
#[derive(Debug)]
pub(crate) struct Zipf {
    /// How likely one of the first things is.
    until: Vec<f64>,
}

impl Zipf {
    /// Of at least one thing.
    pub(crate) fn new(size: usize, skew: f64) -> Self {
        let mut until: Vec<f64> = Vec::with_capacity(size);
        for rank in 1..=size {
            until.push(until.last().copied().unwrap_or(0.0) + (rank as f64).powf(-skew));
        }
        let all = until.last().copied().unwrap_or(1.0);
        until.iter_mut().for_each(|sum| *sum /= all);
        Self { until }
    }

    /// How likely one is; 0 is the most popular.
    pub(crate) fn share(&self, rank: usize) -> f64 {
        self.until[rank] - if rank == 0 { 0.0 } else { self.until[rank - 1] }
    }

    /// One of them.
    pub(crate) fn draw(&self, random: &mut impl Rng) -> usize {
        let draw: f64 = random.random();
        self.until.partition_point(|until| *until < draw).min(self.until.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn the_second_is_drawn_half_as_often_as_the_first() {
        let (zipf, mut random) = (Zipf::new(100, 1.0), StdRng::seed_from_u64(1));
        let mut drawn = [0_u32; 100];
        (0..100_000).for_each(|_| drawn[zipf.draw(&mut random)] += 1);
        let ratio = f64::from(drawn[0]) / f64::from(drawn[1]);
        assert!((1.8..2.2).contains(&ratio), "{ratio}");
        assert!((zipf.share(0) / zipf.share(3) - 4.0).abs() < 1e-9);
        assert!(drawn.iter().all(|times| *times > 0));
    }
}
