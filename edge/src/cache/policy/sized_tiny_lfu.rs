use super::Policy;
use super::queue::Queue;
use super::sketch::Sketch;

/// Share of the budget for newcomers, in hundredths.
const WINDOW: u64 = 20;
/// Share of the rest for keys that were asked for again, in hundredths.
const PROTECTED: u64 = 80;
/// Bytes of budget for each counter of the sketch: small objects are told apart too.
const BYTES_A_COUNTER: u64 = 512;
/// Bounds of the sketch's counters.
const COUNTERS: (u64, u64) = (1 << 16, 1 << 22);
/// Victims looked at for one candidate. A candidate that would cost more is not worth it.
const MAX_VICTIMS: usize = 256;

/// TinyLFU with sizes: newcomers pass through a window; what leaves it replaces others only if it was asked for more
/// often for what it costs, `frequency / size ^ 1/4`.
///
/// The window lets bursts in and keeps scans out. Dividing by the size counts requests, not dividing by it counts bytes;
/// the fourth root does well by both (window and exponent were chosen on traces of four kinds).
#[derive(Debug)]
pub struct SizedTinyLfu {
    window: Queue,
    /// Admitted, and not asked for since.
    probation: Queue,
    /// Admitted, and asked for again.
    protected: Queue,
    sketch: Sketch,
    budget: u64,
}

impl SizedTinyLfu {
    /// An empty set with a budget in bytes.
    #[must_use]
    pub fn new(budget: u64) -> Self {
        let counters = (budget / BYTES_A_COUNTER).clamp(COUNTERS.0, COUNTERS.1);
        let (window, probation, protected) = (Queue::default(), Queue::default(), Queue::default());
        Self { window, probation, protected, sketch: Sketch::new(counters as usize), budget }
    }

    /// Takes another budget; what is over it is given up, the oldest first, and added to `evicted`.
    pub fn resize(&mut self, budget: u64, evicted: &mut Vec<u64>) {
        self.budget = budget;
        while self.main_bytes() > self.main_budget()
            && let Some((oldest, _)) = self.probation.pop().or_else(|| self.protected.pop())
        {
            evicted.push(oldest);
        }
        while self.window.bytes() > self.window_budget()
            && let Some((oldest, size)) = self.window.pop()
        {
            self.admit(oldest, size, evicted);
        }
    }

    const fn main_budget(&self) -> u64 {
        self.budget - self.window_budget()
    }

    const fn window_budget(&self) -> u64 {
        self.budget / 100 * WINDOW
    }

    fn main_bytes(&self) -> u64 {
        self.probation.bytes() + self.protected.bytes()
    }

    fn worth(&self, key: u64, size: u64) -> f64 {
        f64::from(self.sketch.of(key)) / (size.max(1) as f64).powf(0.25)
    }

    /// Lets a candidate take the place of what is worth less, or gives it up.
    fn admit(&mut self, key: u64, size: u64, evicted: &mut Vec<u64>) {
        let free = self.main_budget().saturating_sub(self.main_bytes());
        if size > self.main_budget() {
            return evicted.push(key);
        }
        if let Some(mut needed) = size.checked_sub(free + 1).map(|short| short + 1) {
            let worth = self.worth(key, size);
            // Among equals newcomers replace what nobody asked for twice, and nothing else: a loop keeps its head.
            let repeated = self.sketch.of(key) > 1;
            let mut victims = vec![];
            for (victim, bytes) in self.probation.oldest().chain(self.protected.oldest()) {
                let held = self.worth(victim, bytes);
                if victims.len() == MAX_VICTIMS || held > worth || (held >= worth && repeated) {
                    return evicted.push(key);
                }
                victims.push(victim);
                needed = needed.saturating_sub(bytes);
                if needed == 0 {
                    break;
                }
            }
            for victim in victims {
                self.probation.remove(victim).or_else(|| self.protected.remove(victim));
                evicted.push(victim);
            }
        }
        self.probation.push(key, size);
    }
}

impl Policy for SizedTinyLfu {
    fn touch(&mut self, key: u64) {
        let held = self.window.len() + self.probation.len() + self.protected.len();
        self.sketch.add(key, held);
        if self.window.touch(key) || self.protected.touch(key) {
            return;
        }
        let Some(size) = self.probation.remove(key) else { return };
        self.protected.push(key, size);
        while self.protected.bytes() > self.main_budget() / 100 * PROTECTED
            && let Some((oldest, size)) = self.protected.pop()
        {
            self.probation.push(oldest, size);
        }
    }

    fn insert(&mut self, key: u64, size: u64, evicted: &mut Vec<u64>) {
        self.remove(key);
        self.window.push(key, size);
        while self.window.bytes() > self.window_budget()
            && let Some((oldest, size)) = self.window.pop()
        {
            self.admit(oldest, size, evicted);
        }
    }

    fn remove(&mut self, key: u64) {
        self.window.remove(key).or_else(|| self.probation.remove(key)).or_else(|| self.protected.remove(key));
    }

    fn bytes(&self) -> u64 {
        self.window.bytes() + self.main_bytes()
    }
}
