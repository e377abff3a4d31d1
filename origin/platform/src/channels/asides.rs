//! What is said on channels and kept nowhere: who is here, who types. It comes by the bus, from whichever process says it, and
//! goes to the edges that are subscribed. Where the bus ends with the process, what other processes say is not heard here.

use sluice_service::Drain;
use sluice_storage::{Bus, Message};
use sluice_wire::channel::{ASIDES, Aside, MAX_LIVE};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// Asides a stream may be behind before it misses some: they are of no use later.
const BACKLOG: usize = 1_024;
/// Pause while there is no bus.
const AGAIN: Duration = Duration::from_secs(1);

/// The asides of a process. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Asides(broadcast::Sender<Arc<Aside>>);

impl Asides {
    /// Hears what is said until the drain begins.
    pub(super) fn start(bus: &Bus, drain: &Drain) -> Self {
        let (told, _) = broadcast::channel(BACKLOG);
        let (sender, stop, mut heard) = (told.clone(), drain.token(), bus.subscribe(ASIDES));
        drain.tasks().spawn(async move {
            loop {
                tokio::select! {
                    message = heard.recv() => match message {
                        Some(Message::Data(bytes)) => pass_on(&sender, &bytes),
                        Some(Message::Lagged) => {}
                        None => tokio::time::sleep(AGAIN).await,
                    },
                    () = stop.cancelled() => return,
                }
            }
        });
        Self(told)
    }

    /// Asides from now on.
    pub(super) fn listen(&self) -> broadcast::Receiver<Arc<Aside>> {
        self.0.subscribe()
    }
}

fn pass_on(told: &broadcast::Sender<Arc<Aside>>, bytes: &[u8]) {
    let Ok(asides) = serde_json::from_slice::<Vec<Aside>>(bytes) else {
        tracing::debug!("asides that are not understood");
        return;
    };
    for aside in asides.into_iter().filter(|aside| aside.aside.to_string().len() <= MAX_LIVE) {
        // Nobody listening is no fault.
        drop(told.send(Arc::new(aside)));
    }
}
