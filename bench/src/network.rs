//! A loopback of the run's own, where TCP does not pace.
//!
//! Congestion control that paces (BBR, the default of many servers) arms a timer for every burst of a connection. On a
//! loopback without a bottleneck that measures timers: in a virtual machine, where each is a trap, they cost more than the
//! servers. So servers and driver get a network namespace with CUBIC, if the system lets us make one.

use nix::sched::{CloneFlags, setns, unshare};
use std::fs::{self, File};
use std::process::Command;

const CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";
const WANTED: &str = "cubic";

/// Moves the calling thread, and all it starts from now on, to a loopback of its own. Says which congestion control there
/// is now.
pub(crate) fn enter_own() -> String {
    let own = File::open("/proc/thread-self/ns/net").is_ok_and(|former| {
        unshare(CloneFlags::CLONE_NEWNET).is_ok() && (is_made_ready() || !is_back(&former))
    });
    let control = fs::read_to_string(CONTROL).unwrap_or_default();
    let whose = if own { "in a network of the run's own" } else { "the machine's" };
    format!("{} ({whose})", control.trim())
}

fn is_made_ready() -> bool {
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    up.is_ok_and(|status| status.success()) && fs::write(CONTROL, WANTED).is_ok()
}

fn is_back(former: &File) -> bool {
    setns(former, CloneFlags::CLONE_NEWNET).is_ok()
}
