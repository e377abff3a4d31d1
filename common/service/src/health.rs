//! Health: alive is answering at all; ready is every component saying so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

#[derive(Debug, Clone)]
struct State {
    ready: bool,
    reason: String,
}

/// The readiness of a server's components. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, State>>>);

impl Health {
    /// Adds a component, not ready until it says so.
    #[must_use]
    pub fn component(&self, name: &str) -> HealthFlag {
        let flag = HealthFlag { name: name.into(), health: self.clone() };
        flag.set_ready(false, "starting");
        flag
    }

    /// True when every component is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.lock().values().all(|s| s.ready)
    }

    /// Every component: its name, whether it is ready, and why.
    #[must_use]
    pub fn report(&self) -> Vec<(String, bool, String)> {
        self.lock().iter().map(|(name, s)| (name.clone(), s.ready, s.reason.clone())).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, State>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// One component's readiness.
#[derive(Debug, Clone)]
pub struct HealthFlag {
    name: String,
    health: Health,
}

impl HealthFlag {
    /// Says whether the component is ready, and why in a few words.
    pub fn set_ready(&self, ready: bool, reason: &str) {
        let state = State { ready, reason: reason.into() };
        self.health.lock().insert(self.name.clone(), state);
    }
}
