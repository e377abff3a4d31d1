//! A line that loses and reorders what it carries, between this network namespace and another in which a client is.
//!
//! Both ends are TUN devices, so that the kernel's own TCP sees the losses; a script carries the packets. It needs root.

use crate::python::foreign;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

/// How a line is, each way.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// Milliseconds that a packet takes.
    pub delay_ms: f64,
    /// Milliseconds more or less.
    pub jitter_ms: f64,
    /// Percent that are lost.
    pub loss: f64,
    /// Percent that overtake others.
    pub reorder: f64,
    /// Bits a second.
    pub rate: u64,
}

/// A line. It and what is beyond it end when it is dropped.
#[derive(Debug)]
pub struct Link {
    name: String,
    /// The address of this end.
    pub here: Ipv4Addr,
    pump: Child,
}

impl Link {
    /// Whether this machine has what it takes; what it lacks otherwise.
    ///
    /// # Errors
    /// What is missing.
    pub fn is_possible() -> Result<(), &'static str> {
        if !nix::unistd::geteuid().is_root() {
            return Err("network namespaces need root");
        }
        if !std::path::Path::new("/dev/net/tun").exists() {
            return Err("/dev/net/tun is missing");
        }
        let ip = Command::new("ip").arg("-V").stdout(Stdio::null()).status();
        if ip.is_ok() { Ok(()) } else { Err("the program ip is missing") }
    }

    /// Starts one; `number` tells it from others of this process.
    #[must_use]
    pub fn start(number: u8, weather: Weather) -> Self {
        let id = std::process::id();
        let name = format!("sl{}n{number}", id % 100_000);
        let third = u8::try_from(id % 200).unwrap();
        let (here, there) =
            (Ipv4Addr::new(10, 213 + number, third, 1), Ipv4Addr::new(10, 213 + number, third, 2));
        let Weather { delay_ms, jitter_ms, loss, reorder, rate } = weather;
        let numbers = [delay_ms, jitter_ms, loss, reorder].map(|n| n.to_string());
        let mut pump = foreign("link.py");
        pump.args([&name, &here.to_string(), &there.to_string()]).args(numbers).arg(rate.to_string());
        let mut pump = pump.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(pump.stdout.take().unwrap()).lines().next();
        assert_eq!(said.unwrap().unwrap(), "up");
        Self { name, here, pump }
    }

    /// Has something done on the other side, in a thread with a runtime of its own.
    pub fn beyond<T, F>(&self, story: impl FnOnce() -> F + Send + 'static) -> JoinHandle<T>
    where
        T: Send + 'static,
        F: Future<Output = T>,
    {
        let namespace = File::open(format!("/var/run/netns/{}", self.name)).unwrap();
        std::thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(story())
        })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Its input ends, and with it the line and the namespace.
        drop(self.pump.stdin.take());
        drop(self.pump.wait());
    }
}
