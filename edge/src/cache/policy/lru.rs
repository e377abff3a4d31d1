use super::Policy;
use super::queue::Queue;

/// The least recently used out first, everything admitted.
#[derive(Debug)]
pub struct Lru {
    keys: Queue,
    budget: u64,
}

impl Lru {
    /// An empty set with a budget in bytes.
    #[must_use]
    pub fn new(budget: u64) -> Self {
        Self { keys: Queue::default(), budget }
    }
}

impl Policy for Lru {
    fn touch(&mut self, key: u64) {
        self.keys.touch(key);
    }

    fn insert(&mut self, key: u64, size: u64, evicted: &mut Vec<u64>) {
        self.keys.push(key, size);
        while self.keys.bytes() > self.budget
            && let Some((oldest, _)) = self.keys.pop()
        {
            evicted.push(oldest);
        }
    }

    fn remove(&mut self, key: u64) {
        self.keys.remove(key);
    }

    fn bytes(&self) -> u64 {
        self.keys.bytes()
    }
}
