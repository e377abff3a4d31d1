//! Viewers go on when edges, a site, the shield or control planes fail: nobody's picture stands still, and everybody is on
//! another edge in less than two seconds after the failure is known to whom it concerns.
//!
//! Four fleets over one film fail side by side, each with a crowd that plays in real time with ten seconds of media at most. A
//! failure is known to a player with its first request that fails, is late, or is sent on, or with the first steering manifest
//! that names another edge.
//!
//! The ten minutes without a control plane: what could run out in them are steering manifests, asked for each 300 s, and leases
//! of 3 s. Here manifests last 3 s, leases as long as ever, and the control plane is gone for 14 s: four times of manifests and four
//! leases, where ten minutes are two of manifests and two hundred leases.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests report a broken assumption by panicking"
)]

use nix::sys::signal::Signal;
use sluice_storage::testing::Postgres;
use sluice_tests::fleet::{Film, Fleet, Layout, viewer_at};
use sluice_tests::proxy::{Line, Proxy};
use sluice_tests::viewer::{Seen, Viewer};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// Viewers of each site.
const VIEWERS: u8 = 4;
/// Until the failure: all play, each at its own place in a segment.
const BEFORE: Duration = Duration::from_secs(7);
/// Until the end: more than anybody has in its buffer, and some.
const AFTER: Duration = Duration::from_secs(14);
/// In which everybody is elsewhere.
const SOON: Duration = Duration::from_secs(2);
/// How long a node is believed to be there that says nothing.
const LEASE: Duration = Duration::from_secs(3);
/// A line of so many bytes a second is no line for a film.
const NARROW: u32 = 4_000;

/// Those who watch, by site.
struct Crowd(JoinSet<(usize, Seen)>);

impl Crowd {
    async fn gathers(fleet: &Fleet, sites: usize, until: Instant) -> Self {
        let mut crowd = JoinSet::new();
        for site in 0..sites {
            for number in 0..VIEWERS {
                let from = viewer_at(site, 10 + number);
                let master = fleet.master(from).await;
                let viewer = Viewer::at(&format!("{}-{number}", fleet.edges[2 * site].site), from);
                // Not all ask at the same moment.
                let late = Duration::from_secs(3) * u32::from(number) / u32::from(VIEWERS);
                crowd.spawn(async move {
                    sleep(late).await;
                    (site, viewer.watch(&master, until).await)
                });
            }
        }
        Self(crowd)
    }

    /// What each saw, by site; nobody's picture stood still.
    async fn saw(mut self, sites: usize) -> Vec<Vec<Seen>> {
        let mut all = vec![vec![]; sites];
        while let Some(seen) = self.0.join_next().await {
            let (site, seen) = seen.unwrap();
            assert_eq!((seen.stalls, seen.frozen), (0, Duration::ZERO), "{seen}");
            assert!(seen.position > AFTER, "it played: {seen}");
            all[site].push(seen);
        }
        all
    }
}

/// Everybody who was on an edge when it failed is elsewhere soon after it knew, and does not come back. Tells how long it took.
fn all_left(what: &str, crowd: &[Seen], edge: &str, failed: Instant) {
    let (mut knew_after, mut left_after) = (Duration::ZERO, Duration::ZERO);
    for seen in crowd {
        assert_eq!(seen.node_at(failed), Some(edge), "it was there: {seen}");
        let knew = seen.knew(edge, failed).unwrap_or_else(|| panic!("{what}: it never knew: {seen}"));
        let elsewhere = seen.first_elsewhere(edge, knew).unwrap_or_else(|| panic!("{what}: nowhere: {seen}"));
        let took = elsewhere.whole - knew;
        assert!(took < SOON, "{what}: {took:?} after it knew: {seen}");
        assert_eq!(seen.asked_of(edge, knew).count(), 0, "{what}: it came back: {seen}");
        (knew_after, left_after) = (knew_after.max(knew - failed), left_after.max(took));
    }
    tell(what, crowd, knew_after, left_after);
}

fn tell(what: &str, crowd: &[Seen], knew: Duration, left: Duration) {
    println!(
        "{what}: {} viewers, 0 ms frozen; known after {} ms at most, a segment from elsewhere {} ms later at most",
        crowd.len(),
        knew.as_millis(),
        left.as_millis()
    );
}

/// An edge of its own each: killed, drained, slowed, silent; and a whole site.
async fn edges_fail(film: &Film) {
    // Whoever fails over goes far, which is to the last of them: two faults would meet otherwise.
    let sites = ["killed", "drained", "slowed", "silent", "lost", "spare"];
    let layout =
        Layout { sites: &["killed", "drained", "slowed", "silent", "lost", "spare"], ..Layout::default() };
    let mut fleet = Fleet::start(film, &layout).await;
    let mut firsts = vec![];
    for site in 0..sites.len() {
        firsts.push(fleet.first_of(site).await);
    }
    let names: Vec<String> = firsts.iter().map(|at| fleet.edges[*at].process.name().to_owned()).collect();
    let begun = Instant::now();
    let crowd = Crowd::gathers(&fleet, sites.len(), begun + BEFORE + AFTER).await;
    sleep_until(begun + BEFORE).await;

    let failed = Instant::now();
    fleet.edges[firsts[2]].line.set(Line::Slow(NARROW));
    fleet.edges[firsts[3]].process.signal(Signal::SIGSTOP);
    fleet.edges[firsts[0]].process.kill9();
    for edge in fleet.edges.iter_mut().filter(|edge| edge.site == "lost") {
        // As a power cut: nobody says anything, not even that it is gone.
        edge.line.set(Line::Silent);
        edge.process.kill9();
    }
    fleet.drain(0, &names[1]).await;
    let drained = Instant::now();
    for victim in [0, 3] {
        // A lease later the control plane knows too, and sends nobody there any more.
        let knew = fleet.knows(0, &names[victim]).await - failed;
        println!("{} is known to the control plane after {} ms", names[victim], knew.as_millis());
        let first = fleet.first_of(victim).await;
        assert!(knew < LEASE + SOON && first != firsts[victim], "{knew:?}");
    }

    let saw = crowd.saw(sites.len()).await;
    for (site, what) in [(0, "edge killed"), (2, "edge slowed"), (3, "edge silent")] {
        all_left(what, &saw[site], &names[site], failed);
    }
    let site_lost = &saw[4];
    let mut left_after = Duration::ZERO;
    for seen in site_lost {
        let last = seen.failures.iter().rfind(|failure| failure.pathway.starts_with("lost-")).unwrap().at;
        let elsewhere = seen.parts.iter().find(|part| part.whole >= last).unwrap();
        assert!(!elsewhere.node.starts_with("lost-") && elsewhere.whole - last < SOON, "{seen}");
        left_after = left_after.max(elsewhere.whole - failed);
    }
    println!(
        "site lost: {} viewers, 0 ms frozen; elsewhere {left_after:?} after it at most",
        site_lost.len()
    );
    for seen in &saw[1] {
        assert_eq!(seen.node_at(failed), Some(names[1].as_str()), "{seen}");
        assert_eq!(seen.asked_of(&names[1], drained + SOON).count(), 0, "drained, and asked: {seen}");
        assert!(seen.failures.is_empty(), "who is drained goes in peace: {seen}");
        assert!(seen.first_elsewhere(&names[1], drained).is_some(), "{seen}");
    }
    tell(
        "edge drained",
        &saw[1],
        Duration::ZERO,
        saw[1].iter().map(|s| s.slowest_since(drained)).max().unwrap(),
    );
    assert!(
        saw[5].iter().all(|seen| seen.failures.is_empty()),
        "whoever has nothing to do with it: {}",
        saw[5][0]
    );
    // A process that stands still ends only by force.
    fleet.edges[firsts[3]].process.signal(Signal::SIGCONT);
}

/// The shield is killed, under a film that no edge has yet.
async fn the_shield_is_lost(film: &Film) {
    let mut fleet = Fleet::start(film, &Layout::default()).await;
    let begun = Instant::now();
    let crowd = Crowd::gathers(&fleet, 1, begun + BEFORE + AFTER).await;
    sleep_until(begun + BEFORE).await;
    fleet.shield.kill9();
    let lost = Instant::now();
    let saw = crowd.saw(1).await;
    for seen in &saw[0] {
        assert!(seen.failures.is_empty(), "edges ask the origin: {seen}");
        assert!(seen.slowest_since(lost) < SOON, "{seen}");
    }
    tell("shield lost", &saw[0], Duration::ZERO, saw[0].iter().map(|s| s.slowest_since(lost)).max().unwrap());
}

/// The control plane is killed and stays away, and then an edge is killed too.
async fn the_control_plane_is_lost(film: &Film) {
    let layout = Layout { sites: &["fra", "nyc"], calm_ttl_s: 3, ..Layout::default() };
    let mut fleet = Fleet::start(film, &layout).await;
    let first = fleet.first_of(0).await;
    let name = fleet.edges[first].process.name().to_owned();
    let begun = Instant::now();
    let crowd = Crowd::gathers(&fleet, 2, begun + BEFORE + AFTER).await;
    sleep_until(begun + BEFORE).await;
    fleet.planes[0].kill9();
    sleep_until(begun + BEFORE + Duration::from_secs(4)).await;
    fleet.edges[first].process.kill9();
    let failed = Instant::now();
    let saw = crowd.saw(2).await;
    all_left("edge killed while no control plane is there", &saw[0], &name, failed);
    assert!(saw[1].iter().all(|seen| seen.failures.is_empty()), "the others notice nothing: {}", saw[1][0]);
    tell("control plane lost", &saw[1], Duration::ZERO, Duration::ZERO);
}

/// Of two control planes the one that players ask is cut off from the database, and so from the other one; what is done at the
/// other is not known to it, and an edge is killed.
async fn two_control_planes_are_partitioned(film: &Film) {
    let postgres = Postgres::start().await;
    let url = postgres.url();
    let at = url.split('@').nth(1).unwrap().split('/').next().unwrap();
    let line = Proxy::start(at.replace("localhost", "127.0.0.1").parse().unwrap());
    let databases = vec![url.replace(at, &line.at.to_string()), url.clone()];
    let layout =
        Layout { sites: &["fra", "nyc"], databases, lease_ms: 3_000, calm_ttl_s: 3, ..Layout::default() };
    let mut fleet = Fleet::start(film, &layout).await;
    let firsts = [fleet.first_of(0).await, fleet.first_of(1).await];
    let names = firsts.map(|at| fleet.edges[at].process.name().to_owned());
    let begun = Instant::now();
    let crowd = Crowd::gathers(&fleet, 2, begun + BEFORE + AFTER).await;
    sleep_until(begun + BEFORE).await;
    line.set(Line::Silent);
    fleet.drain(1, &names[1]).await;
    fleet.edges[firsts[0]].process.kill9();
    let failed = Instant::now();
    fleet.knows(1, &names[0]).await;
    let others = fleet.states(1).await;
    let gone = [&names[0], &names[1]];
    let well = |(name, state): &&(String, String)| state == "ready" && !gone.contains(&name);
    assert_eq!(others.iter().filter(well).count(), 3, "who reports to it is well: {others:?}");
    sleep_until(begun + BEFORE + Duration::from_secs(9)).await;
    line.set(Line::Up);
    fleet.knows(0, &names[0]).await;
    fleet.knows(0, &names[1]).await;
    let saw = crowd.saw(2).await;
    all_left("edge killed while control planes are partitioned", &saw[0], &names[0], failed);
    for seen in &saw[1] {
        assert!(seen.failures.is_empty(), "who is on an edge that is drained elsewhere plays: {seen}");
    }
    tell("control planes partitioned", &saw[1], Duration::ZERO, Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_watches_goes_on_when_edges_sites_shields_and_control_planes_fail() {
    let film = Film::made(40).await;
    tokio::join!(
        edges_fail(&film),
        the_shield_is_lost(&film),
        the_control_plane_is_lost(&film),
        two_control_planes_are_partitioned(&film),
    );
}
