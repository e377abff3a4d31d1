//! What stock players show while an edge, or what is behind it, fails in each of many ways: hls.js, Shaka and video.js in Chromium,
//! each with ten seconds of media at most and a budget of milliseconds for which the picture may stand still. The budget is 0
//! wherever the edge's process lives and its players reach it. A picture that stands still with three seconds and more to play
//! does so because the machine is busy: that is told beside it, and bounded for all alike.
//!
//! Three faults run each time, with a second allowed for what a busy machine does by itself; where `FAULT_MATRIX` is set, those whose names have its words in them, or for `whole` all of them,
//! which writes `bench/results/faults.md`.
//!
//! Behind the edge stands a line of its own to everything above and beside it (shield, origin, sibling), which it finds by names
//! that lead it there and the others not.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests report a broken assumption by panicking"
)]

use futures::future::join_all;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sluice_tests::fleet::{Film, Fleet, Layout, config, viewer_at};
use sluice_tests::proxy::Line;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// How long players are watched after a fault: twice what they hold.
const WATCH: Duration = Duration::from_secs(20);
/// Of each body so many bytes come: none of a segment's is so short.
const PART: u32 = 6_000;
/// How long anything may take in the browser: all players' beginning, some of them on a second try.
const PATIENCE: Duration = Duration::from_secs(180);
/// Milliseconds for which a picture may stand still because nine players and three fleets share a machine with other stories.
const BUSY_MS: u64 = 1_000;
/// Milliseconds in all for which it may stand still although there is enough to play: no machine is so busy, it is the player that
/// does not go on.
const STUCK_MS: u64 = 5_000;
/// Faults at once: nine players.
const AT_ONCE: usize = 3;

/// Where a fault is.
#[derive(Clone, Copy, PartialEq)]
enum At {
    /// At the edge, which lives.
    Edge(Act),
    /// Behind the edge, which lives.
    Behind(Line),
    /// In front of it, or itself.
    Front(Act),
}

/// What is done to an edge.
#[derive(Clone, Copy, PartialEq)]
enum Act {
    /// Its weight becomes 0.
    Weight,
    /// It is drained.
    Drain,
    /// Its process is killed.
    Kill,
    /// Its process is stopped.
    Stop,
    /// Bodies stand still on players' way to it.
    Stall,
}

struct Fault {
    name: &'static str,
    at: At,
    /// Seconds between two questions of players in peace.
    ttl: u32,
    /// Milliseconds for hls.js, Shaka, video.js; `None`: without a bound.
    budget: [Option<u64>; 3],
    /// Part of every run.
    always: bool,
}

const CALM: u32 = 300;
const NONE: [Option<u64>; 3] = [Some(0); 3];

/// What no edge can cure: of the three, hls.js alone follows pathway clones over HLS.
const STEERED: [Option<u64>; 3] = [Some(0), None, None];

const fn fault(name: &'static str, at: At, ttl: u32, budget: [Option<u64>; 3]) -> Fault {
    Fault { name, at, ttl, budget, always: false }
}

const fn always(fault: Fault) -> Fault {
    Fault { always: true, ..fault }
}

/// The twelve of section "Fault matrix", each where an edge meets it, and then what no edge can cure.
const FAULTS: [Fault; 18] = [
    fault("planned flip, TTL 1 s", At::Edge(Act::Weight), 1, NONE),
    always(fault("drained: 307 to another", At::Edge(Act::Drain), CALM, NONE)),
    fault("bodies cut short behind it", At::Behind(Line::Cut(PART)), CALM, NONE),
    fault("connections reset behind it", At::Behind(Line::Reset), CALM, NONE),
    fault("404 behind it", At::Behind(Line::Answers(404)), CALM, NONE),
    fault("429 behind it", At::Behind(Line::Answers(429)), CALM, NONE),
    always(fault("503 behind it", At::Behind(Line::Answers(503)), CALM, NONE)),
    fault("503 behind it, TTL 1 s", At::Behind(Line::Answers(503)), 1, NONE),
    fault("no answer behind it", At::Behind(Line::Silent), CALM, NONE),
    fault("no answer behind it, TTL 1 s", At::Behind(Line::Silent), 1, NONE),
    fault("bodies stall behind it", At::Behind(Line::Stalls(PART)), CALM, NONE),
    fault("bodies stall behind it, TTL 1 s", At::Behind(Line::Stalls(PART)), 1, NONE),
    fault("killed", At::Front(Act::Kill), CALM, STEERED),
    always(fault("killed, TTL 1 s", At::Front(Act::Kill), 1, STEERED)),
    fault("stopped", At::Front(Act::Stop), CALM, [None; 3]),
    fault("stopped, TTL 1 s", At::Front(Act::Stop), 1, [None; 3]),
    fault("bodies stall on the way to players", At::Front(Act::Stall), CALM, [None; 3]),
    fault("bodies stall on the way to players, TTL 1 s", At::Front(Act::Stall), 1, [None; 3]),
];

/// A fault and the fleet it befalls.
struct Case {
    fault: &'static Fault,
    fleet: Fleet,
    first: usize,
}

impl Case {
    async fn start(film: &Film, fault: &'static Fault) -> Self {
        let layout = Layout { calm_ttl_s: fault.ttl, apart: true, ..Layout::default() };
        let fleet = Fleet::start(film, &layout).await;
        let first = fleet.first_of(0).await;
        Self { fault, fleet, first }
    }

    fn edge(&self) -> &str {
        self.fleet.edges[self.first].process.name()
    }

    async fn told(&self) -> Value {
        json!({ "name": self.fault.name, "node": self.edge(), "master": self.fleet.master(viewer_at(0, 7)).await })
    }

    async fn breaks(&mut self) {
        let name = self.edge().to_owned();
        match self.fault.at {
            At::Behind(line) => {
                self.fleet.edges[self.first].behind.iter().for_each(|behind| behind.set(line))
            }
            At::Edge(Act::Drain) => self.fleet.drain(0, &name).await,
            At::Edge(_) => {
                let mut config = config(&Layout { calm_ttl_s: self.fault.ttl, ..Layout::default() });
                config["nodes"] = json!({ name: { "weight": 0.0 } });
                self.fleet.configure(&config).await;
            }
            At::Front(Act::Stop) => self.fleet.edges[self.first].process.signal(Signal::SIGSTOP),
            At::Front(Act::Stall) => self.fleet.edges[self.first].line.set(Line::Stalls(PART)),
            At::Front(_) => self.fleet.edges[self.first].process.kill9(),
        }
    }
}

/// The players.
struct Browser {
    _child: Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
}

impl Browser {
    fn start() -> Self {
        let mut child = Command::new("node")
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("browser"))
            .arg("faults.mjs")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is installed by `make setup`");
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { _child: child, to, from: BufReader::new(from).lines() }
    }

    async fn say(&mut self, line: &str) {
        self.to.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        let line = timeout(PATIENCE, self.from.next_line()).await.expect("the browser says nothing");
        let said: Value = serde_json::from_str(&line.unwrap().expect("the browser has ended")).unwrap();
        assert!(said["failure"].is_null(), "{said}");
        said
    }
}

/// Breaks some fleets under three players each; what these showed.
async fn watched(film: &Film, faults: &[&'static Fault]) -> Vec<Value> {
    let mut cases = join_all(faults.iter().map(|fault| Case::start(film, fault))).await;
    let mut browser = Browser::start();
    let told = join_all(cases.iter().map(Case::told)).await;
    let base = cases[0].fleet.planes[0].url();
    let begin = json!({ "base": base, "watch_ms": WATCH.as_millis() as u64, "cases": told });
    browser.say(&begin.to_string()).await;
    browser.hear().await;
    for case in &mut cases {
        browser.say(case.fault.name).await;
        browser.hear().await;
        case.breaks().await;
    }
    let report = browser.hear().await;
    cases
        .iter()
        .for_each(|case| case.fleet.edges.iter().for_each(|edge| edge.process.signal(Signal::SIGCONT)));
    report.as_array().unwrap().clone()
}

const PLAYERS: [&str; 3] = ["hls.js", "Shaka", "video.js"];

fn budget(one: &Value) -> Option<u64> {
    let fault = FAULTS.iter().find(|fault| one["fault"] == fault.name).unwrap();
    fault.budget[PLAYERS.iter().position(|player| one["player"] == *player).unwrap()]
}

/// The table of a whole run.
fn table(all: &[Value]) -> String {
    let mut text = String::from(HEAD);
    for one in all {
        let still = if one["still"] == true { ">= " } else { "" };
        let budget = budget(one).map_or_else(|| "-".to_owned(), |budget| budget.to_string());
        let moved =
            one["moved_ms"].as_u64().map_or_else(|| "-".to_owned(), |ms| format!("{:.1}", ms as f64 / 1e3));
        let (fault, player) = (one["fault"].as_str().unwrap(), one["player"].as_str().unwrap());
        text += &format!("| {fault} | {player} | {still}{} | {budget} | {moved} |\n", one["frozen_ms"]);
    }
    text
}

const HEAD: &str = "# What players show while an edge fails

`FAULT_MATRIX=whole cargo nextest run --workspace --locked --test fault_matrix` writes this. Debug build, two processor cores, nine
players at once in one Chromium, 4 s segments, at most 10 s of media in each player. Frozen: milliseconds that the picture stood
still for want of media in the 20 s after the fault, \">=\" where it still did at their end. Moved: seconds until the first bytes of a
segment from another edge. \"Behind it\": at everything that the edge fetches from. Players have the settings that docs/control.md recommends.

| fault | player | frozen ms | budget | moved s |
|---|---|---|---|---|
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_picture_stands_still_longer_than_its_budget() {
    let said = std::env::var("FAULT_MATRIX").unwrap_or_default();
    let whole = said == "whole";
    let wanted =
        |fault: &Fault| whole || if said.is_empty() { fault.always } else { fault.name.contains(&said) };
    // Two rungs, of few pictures: it is the players that are looked at.
    let film = Film::made_of(90, "640x360", 10).await;
    let faults: Vec<&'static Fault> = FAULTS.iter().filter(|fault| wanted(fault)).collect();
    let mut all = vec![];
    for some in faults.chunks(AT_ONCE) {
        all.extend(watched(&film, some).await);
    }
    for one in &all {
        println!("{one}");
    }
    let text = table(&all);
    println!("{text}");
    if whole {
        let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/results/faults.md");
        std::fs::write(results, &text).unwrap();
    }
    let busy = if said.is_empty() { BUSY_MS } else { 0 };
    let stood = |one: &Value, why: &str| one[why].as_u64().unwrap();
    let is_over = |one: &&Value| {
        budget(one)
            .is_some_and(|most| stood(one, "frozen_ms") > most + busy || stood(one, "busy_ms") > STUCK_MS)
    };
    let over: Vec<&Value> = all.iter().filter(is_over).collect();
    assert!(over.is_empty(), "over their budgets: {over:#?}");
}
