//! One thread a core: each accepts on every port, and keeps what it has accepted.
//!
//! The threads share each listening socket (a duplicated descriptor) rather than bind one each with `SO_REUSEPORT`: a
//! port that another process has is an error then, and no connection waits at a thread that has ended.

use super::bind::Tcp;
use super::{Shell, tcp};
use crate::{HttpRequest, HttpResponse};
use std::convert::Infallible;
use std::io;
use std::thread::{self, JoinHandle};
use tokio_util::task::TaskTracker;
use tower::Service;

/// The threads.
pub(super) struct Workers {
    threads: Vec<JoinHandle<()>>,
    accepting: TaskTracker,
}

/// Starts a thread for each core that this process may use.
pub(super) fn start<S>(bound: &[Tcp], service: &S, shell: &Shell) -> Workers
where
    S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let accepting = TaskTracker::new();
    let mut threads = vec![];
    for core in 0..cores {
        match worker(core, bound, service.clone(), shell.clone(), accepting.clone()) {
            Ok(thread) => threads.push(thread),
            Err(error) => tracing::error!(%error, core, "a worker cannot start"),
        }
    }
    accepting.close();
    Workers { threads, accepting }
}

fn worker<S>(
    core: usize,
    bound: &[Tcp],
    service: S,
    shell: Shell,
    accepting: TaskTracker,
) -> io::Result<JoinHandle<()>>
where
    S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ports = bound.iter().map(Tcp::try_clone).collect::<io::Result<Vec<Tcp>>>()?;
    let handle = runtime.handle().clone();
    for port in ports {
        accepting.spawn_on(tcp::accept(port, service.clone(), shell.clone()), &handle);
    }
    let connections = shell.connections;
    let cut = shell.drain.cut();
    thread::Builder::new().name(format!("worker-{core}")).spawn(move || {
        runtime.block_on(async {
            // The tracker is closed once nothing is accepted any more.
            tokio::select! {
                () = connections.wait() => {}
                () = cut.cancelled() => {}
            }
        });
    })
}

impl Workers {
    /// Waits until nothing is accepted any more.
    pub(super) async fn accepted(&self) {
        self.accepting.wait().await;
    }

    /// Waits for the threads, whose connections have ended.
    pub(super) fn end(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
    }
}
