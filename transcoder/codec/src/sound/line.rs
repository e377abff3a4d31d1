//! Samples on the time line: silence where there are none, each place filled once. Pure.

/// Sound by channel, gathered into frames of a fixed size.
#[derive(Debug)]
pub(super) struct Line {
    waiting: Vec<Vec<f32>>,
    frame: usize,
    /// Samples put on the line so far: the place of the next one.
    placed: u64,
    /// Samples to leave out, since their places are taken.
    surplus: u64,
}

impl Line {
    /// A line whose first sample's place is `from`: what belongs before it is left out.
    pub(super) fn new(channels: usize, frame: usize, from: u64) -> Self {
        Self { waiting: vec![Vec::new(); channels.max(1)], frame, placed: from, surplus: 0 }
    }

    /// Says that what is pushed next belongs at this place. Gives the samples of silence that go before it, for
    /// [`Line::silence`]; what lies before the place reached already is left out.
    pub(super) fn seek(&mut self, place: i64) -> u64 {
        let gap = i128::from(place) - i128::from(self.placed);
        self.surplus = u64::try_from(-gap).unwrap_or(0);
        u64::try_from(gap).unwrap_or(0)
    }

    /// Puts samples on the line, the same number for each channel.
    pub(super) fn push(&mut self, channels: &[&[f32]]) {
        let length = channels.iter().map(|c| c.len()).min().unwrap_or(0);
        let from = usize::try_from(self.surplus).unwrap_or(usize::MAX).min(length);
        self.surplus -= from as u64;
        for (index, waiting) in self.waiting.iter_mut().enumerate() {
            let channel = channels.get(index).or_else(|| channels.first());
            waiting.extend_from_slice(channel.map_or(&[], |c| &c[from..length]));
        }
        self.placed += (length - from) as u64;
    }

    /// Puts silence on the line: at most a frame of it, so that frames can be taken between. Gives what is left to do.
    pub(super) fn silence(&mut self, samples: u64) -> u64 {
        let now = samples.min(self.frame as u64);
        for waiting in &mut self.waiting {
            waiting.resize(waiting.len() + now as usize, 0.0);
        }
        self.placed += now;
        samples - now
    }

    /// A whole frame, if there is one.
    pub(super) fn pop(&mut self) -> Option<Vec<Vec<f32>>> {
        if self.waiting[0].len() < self.frame {
            return None;
        }
        Some(self.waiting.iter_mut().map(|channel| channel.drain(..self.frame).collect()).collect())
    }

    /// Samples missing to a whole frame; 0 when nothing waits.
    pub(super) fn missing(&self) -> u64 {
        let rest = self.waiting[0].len() % self.frame;
        if rest == 0 { 0 } else { (self.frame - rest) as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(line: &mut Line) -> Vec<f32> {
        std::iter::from_fn(|| line.pop()).flat_map(|mut f| f.swap_remove(0)).collect()
    }

    #[test]
    fn gaps_are_silent_and_overlaps_heard_once() {
        let mut line = Line::new(1, 2, 0);
        assert_eq!(line.seek(3), 3);
        assert_eq!(line.silence(3), 1);
        assert_eq!(line.silence(1), 0);
        line.push(&[&[1.0, 2.0, 3.0]]);
        assert_eq!(line.seek(4), 0, "two places back");
        line.push(&[&[9.0, 9.0, 4.0]]);
        assert_eq!(line.placed, 7);
        assert_eq!(line.missing(), 1);
        line.silence(1);
        assert_eq!(all(&mut line), [0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 0.0]);
    }

    #[test]
    fn a_line_may_begin_later() {
        let mut line = Line::new(1, 2, 100);
        assert_eq!(line.seek(99), 0);
        line.push(&[&[1.0, 2.0, 3.0]]);
        assert_eq!(line.seek(104), 2);
        assert_eq!(all(&mut line), [2.0, 3.0]);
    }

    #[test]
    fn what_is_before_zero_is_left_out() {
        let mut line = Line::new(2, 2, 0);
        assert_eq!(line.seek(-3), 0);
        line.push(&[&[1.0, 2.0], &[1.0, 2.0]]);
        line.push(&[&[3.0, 4.0, 5.0], &[3.0, 4.0, 5.0]]);
        assert_eq!(line.pop(), Some(vec![vec![4.0, 5.0], vec![4.0, 5.0]]));
    }
}
