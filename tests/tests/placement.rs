//! Media groups have owners among a site's near edges, which anybody can recompute from the published table; popular ones
//! have more at once, and fewer later; who joins asks who had them.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};
use sluice_tests::client::{self, header};
use sluice_tests::log::ScriptedLog;
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::process::Process;
use sluice_tests::stack::{Engines, lone_edge};
use sluice_wire::{MediaPath, NodeState, Placement, RouteTable, Tier, VideoId};
use std::collections::BTreeMap;
use std::future::ready;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// A segment of the nth group of a video's one rung.
fn segment(group: u32) -> String {
    let digest = "00112233445566778899aabbccddeeff";
    format!("/v/{}/v240/{}-{digest}.m4s", VideoId::from_parts(1_800_000_000_000, 3), group * 15)
}

fn media(request: &Request) -> Response {
    if request.headers().contains_key("if-none-match") {
        return answer(304, &[("cache-control", "max-age=600"), ("etag", "\"a\"")], "");
    }
    answer(200, &[("cache-control", "max-age=600"), ("etag", "\"a\"")], request.uri().path().to_owned())
}

/// A control plane and edges in front of one origin.
struct Site {
    origin: ScriptedOrigin,
    control: Process,
    edges: BTreeMap<String, Process>,
    dir: TempDir,
}

impl Site {
    /// `ramp_ms` is how long a node that joins takes to count in full.
    async fn start(near: &[&str], ramp_ms: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let origin = ScriptedOrigin::start(|request| ready(media(&request))).await;
        let engines = Engines::embedded(dir.path());
        let flags = [
            ("listen.http", "127.0.0.1:0".to_owned()),
            ("listen.admin", "127.0.0.1:0".into()),
            ("storage.database", engines.database),
            ("storage.bus", engines.bus),
            ("storage.objects", engines.objects),
            ("origins", origin.url()),
            ("placement.ramp_ms", ramp_ms.to_string()),
            ("placement.hold_ms", "1500".into()),
            ("placement.least_requests", "20".into()),
        ];
        let mut control = Process::new("control", "sluice-control-plane", dir.path(), &flags);
        control.start().await;
        let mut site = Self { origin, control, edges: BTreeMap::new(), dir };
        site.add("shield-a", "shield").await;
        for name in near {
            site.add(name, "near").await;
        }
        site
    }

    /// One more edge. Returns once every edge knows of it.
    async fn add(&mut self, name: &str, tier: &str) {
        let flags = [("control", &*self.control.url()), ("tier", tier), ("report_ms", "100")];
        let mut edge = lone_edge(self.dir.path(), name, &self.origin.url(), &flags);
        edge.start().await;
        self.edges.insert(name.into(), edge);
        self.settled(self.edges.len()).await;
    }

    /// Waits until so many edges are ready, and all follow the table.
    async fn settled(&self, ready: usize) {
        until("a settled fleet", async || {
            let table = self.table().await;
            let nodes = table.nodes.iter().filter(|node| node.state == NodeState::Ready).count();
            nodes == ready && self.reported().await.iter().all(|version| *version == table.version)
        })
        .await;
    }

    async fn table(&self) -> RouteTable {
        let table = client::get(&format!("{}/v1/routes?after=0", self.control.url())).await;
        let table: RouteTable = table.json().await.unwrap();
        table.check().unwrap();
        table
    }

    /// The versions of the table that ready nodes follow.
    async fn reported(&self) -> Vec<u64> {
        let nodes: Value =
            client::get(&format!("{}/v1/nodes", self.control.url())).await.json().await.unwrap();
        let ready = nodes["nodes"].as_array().unwrap().iter().filter(|node| node["state"] == "ready");
        ready.map(|node| node["report"]["table_version"].as_u64().unwrap()).collect()
    }

    async fn get(&self, edge: &str, path: &str) -> Got {
        let got = client::get(&format!("{}{path}", self.edges[edge].url())).await;
        assert_eq!(got.status(), 200);
        let (status, placed) = (header(&got, "cache-status"), header(&got, "sluice-placed"));
        assert_eq!(got.text().await.unwrap(), path);
        let (owner, version) = placed.split_once("; table=").unwrap();
        Got { owner: owner.to_owned(), version: version.parse().unwrap(), status }
    }
}

/// What an answer says.
struct Got {
    owner: String,
    version: u64,
    /// Cache-Status, the last cache last.
    status: String,
}

impl Got {
    /// The caches it went through, the first asked first.
    fn hops(&self) -> Vec<&str> {
        self.status.rsplit(", ").map(|member| member.split(';').next().unwrap()).collect()
    }
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "never {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn every_owner_is_recomputed_from_the_table_and_one_that_dies_moves_no_others() {
    let mut site = Site::start(&["near-a", "near-b", "near-c", "near-d"], 0).await;
    let table = site.table().await;
    let placement = Placement::new(Arc::new(table.clone()), "local");
    let key = |path: &str| MediaPath::parse(path).unwrap().placement();
    let (mut owners, mut by_owner) = (BTreeMap::new(), 0);
    for group in 0..40 {
        let path = segment(group);
        for asked in ["near-a", "near-b"] {
            let got = site.get(asked, &path).await;
            assert_eq!(got.version, table.version);
            assert_eq!(got.owner, placement.owner(key(&path)).unwrap().node.as_str(), "recomputed");
            // By way of the owner, which asks the shield if it has not got it; beside an owner that is slow the shield is
            // asked at once.
            if asked == "near-a" {
                let (way, direct) = ([asked, &got.owner, "shield-a"], [asked, "shield-a"]);
                by_owner += u32::from(got.owner == asked || got.hops() == way);
                assert!(got.hops() == way || got.hops() == direct, "{}", got.status);
            }
            owners.insert(path.clone(), got.owner);
        }
        // A hit says so too.
        let hit = site.get("near-a", &path).await;
        assert!(hit.status.contains("near-a; hit") && hit.owner == owners[&path], "{}", hit.status);
        assert_eq!(site.origin.asked(&path), 1, "fetched once for all");
    }
    assert!(by_owner >= 20, "{by_owner} of 40 by way of their owner");
    let counted = owners.values().fold(BTreeMap::new(), |mut counts: BTreeMap<&str, u32>, owner| {
        *counts.entry(owner).or_default() += 1;
        counts
    });
    assert_eq!(counted.len(), 4, "each owns something: {counted:?}");
    recomputed_by_hand(&site, &segment(0), &owners[&segment(0)]);

    site.edges.get_mut("near-d").unwrap().kill9();
    site.settled(4).await;
    for (path, before) in &owners {
        let owner = site.get("near-a", path).await.owner;
        let order = table.order_at(Tier::Near, "local", key(path));
        let heir = order.iter().map(|node| node.node.as_str()).find(|name| *name != "near-d");
        assert_eq!(owner, if before == "near-d" { heir.unwrap() } else { before });
    }
}

/// The operator's command says the same.
fn recomputed_by_hand(site: &Site, path: &str, owner: &str) {
    let said = Command::new(sluice_tests::process::binary("sluice"))
        .args(["--json", "--control", &site.control.url(), "owner", path, "--site", "local"])
        .output()
        .unwrap();
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(said["sites"][0]["owner"], owner);
    assert_eq!(said["sites"][0]["replicas"], json!([owner]));
    assert_eq!(said["shields"], json!(["shield-a"]));
}

#[tokio::test]
async fn a_popular_group_has_more_replicas_at_once_and_fewer_later() {
    let site = Site::start(&["near-a", "near-b", "near-c"], 0).await;
    let (path, quiet) = (segment(0), segment(1));
    let key = MediaPath::parse(&path).unwrap().placement();
    let popular = async || site.table().await.popular;
    assert_eq!(popular().await, []);
    for _ in 0..30 {
        site.get("near-a", &path).await;
        site.get("near-b", &path).await;
    }
    until("popular", async || !popular().await.is_empty()).await;
    let now = popular().await;
    assert_eq!((now.len(), now[0].key, now[0].replicas), (1, key, 3), "all of what is asked for");
    site.settled(4).await;
    // Whoever has none of it asks the tier above: it is a replica now.
    let got = site.get("near-c", &path).await;
    assert_eq!(got.hops(), ["near-c", "shield-a"]);
    // What is asked for since is something else.
    until("forgotten", async || {
        site.get("near-a", &quiet).await;
        popular().await.iter().all(|popular| popular.key != key)
    })
    .await;
}

#[tokio::test]
async fn one_that_joins_counts_in_part_and_asks_who_had_its_groups() {
    let mut site = Site::start(&["near-a"], 600_000).await;
    for group in 0..60 {
        site.get("near-a", &segment(group)).await;
    }
    site.add("near-b", "near").await;
    let table = site.table().await;
    let joined = table.nodes.iter().find(|node| node.node.as_str() == "near-b").unwrap();
    assert_eq!(joined.seat.ramp, Some(0.25));
    let (mut taken, mut by_former) = (0, 0);
    for group in 0..60 {
        let (path, fetched) = (segment(group), site.origin.asked_in_all());
        let got = site.get("near-b", &path).await;
        // Its owner or its former one, unless that was slow.
        by_former += u32::from(got.hops()[..2] == ["near-b", "near-a"] && got.status.contains("near-a; hit"));
        assert_eq!(site.origin.asked_in_all(), fetched, "every tier had it");
        taken += u32::from(got.owner == "near-b");
    }
    // A fifth is due.
    assert!((2..=25).contains(&taken), "{taken}");
    assert!(by_former >= 40, "{by_former} of 60 from whoever had it");
    assert!(site.edges["near-b"].metric("sluice_edge_sibling_asks_total", &["filled"]).await >= 40.0);
}

/// Two near edges and a shield, each with a feed of its own, by a table that a script gives out.
struct Fed {
    now: Arc<AtomicUsize>,
    edges: Vec<Process>,
    logs: Vec<ScriptedLog>,
    _others: [ScriptedOrigin; 2],
    _dir: TempDir,
}

impl Fed {
    async fn start() -> Self {
        let (now, dir) = (Arc::new(AtomicUsize::new(1)), tempfile::tempdir().unwrap());
        let shown = Arc::clone(&now);
        let origin = ScriptedOrigin::start(move |_| {
            let fields = [("cache-control", "max-age=600")];
            ready(answer(200, &fields, shown.load(Ordering::SeqCst).to_string()))
        })
        .await;
        let table: Arc<std::sync::Mutex<Value>> = Arc::default();
        let given = Arc::clone(&table);
        let control = ScriptedOrigin::start(move |request: Request| {
            let table = given.lock().unwrap().clone();
            async move {
                match request.uri().path_and_query().map(|p| p.as_str()) {
                    Some("/v1/routes?after=0") if !table.is_null() => answer(200, &[], table.to_string()),
                    Some("/v1/routes?after=0") => answer(503, &[], ""),
                    Some(routes) if routes.starts_with("/v1/routes") => {
                        sleep(Duration::from_secs(25)).await;
                        answer(304, &[], "")
                    }
                    _ => answer(200, &[], "{}"),
                }
            }
        })
        .await;
        let (mut edges, mut logs, mut nodes) = (vec![], vec![], vec![]);
        for (name, tier) in [("near-a", "near"), ("near-b", "near"), ("shield-a", "shield")] {
            let log = ScriptedLog::start().await;
            let flags = [("tier", tier), ("control", &*control.url())];
            let mut edge = lone_edge(dir.path(), name, &format!("{},{}", origin.url(), log.url()), &flags);
            edge.start().await;
            nodes.push(json!({
                "node": name, "tier": tier, "site": "local", "state": "ready", "weight": 1.0,
                "peer_url": edge.url(), "public_url": edge.url(),
            }));
            edges.push(edge);
            logs.push(log);
        }
        *table.lock().unwrap() = json!({ "version": 1, "nodes": nodes, "origins": [] });
        for edge in &edges {
            until("a live feed", async || edge.metric("sluice_edge_feed_live", &[]).await == 1.0).await;
            let admin = edge.at.admin.clone().unwrap();
            let url = format!("http://{admin}/readyz");
            until("a table", async || client::ask(&url).await.unwrap().status().is_success()).await;
        }
        Self { now, edges, logs, _others: [origin, control], _dir: dir }
    }

    /// Tells some of the edges of a purge, and waits until they have applied it.
    async fn purge(&self, told: &[usize], data: &Value) {
        for edge in told {
            let events = async || self.edges[*edge].metric("sluice_edge_events_total", &[]).await;
            let before = events().await;
            self.logs[*edge].purge("purged", 1, data);
            until("an applied purge", async || events().await > before).await;
        }
    }

    /// What the first near edge says: the text, and by which caches it came.
    async fn get(&self, path: &str) -> (String, Vec<String>) {
        let got = client::get(&format!("{}{path}", self.edges[0].url())).await;
        let status = header(&got, "cache-status");
        let hops = status.rsplit(", ").map(|member| member.split(';').next().unwrap().to_owned());
        let hops = hops.collect();
        (got.text().await.unwrap(), hops)
    }
}

#[tokio::test]
async fn a_purge_is_final_though_the_owner_has_not_heard_of_it() {
    let fed = Fed::start().await;
    // A group that the other near edge owns.
    let mut groups = (0..).map(segment);
    let (path, hops) = loop {
        let path = groups.next().unwrap();
        let (text, hops) = fed.get(&path).await;
        assert_eq!(text, "1");
        if hops.len() == 3 {
            break (path, hops);
        }
    };
    assert_eq!(hops, ["near-a", "near-b", "shield-a"]);
    fed.now.store(2, Ordering::SeqCst);
    fed.purge(&[0, 2], &json!({ "url": path })).await;
    let (text, hops) = fed.get(&path).await;
    assert_eq!((text.as_str(), hops), ("2", vec!["near-a".into(), "shield-a".into()]));
    assert_eq!(fed.edges[1].metric("sluice_edge_catch_ups_total", &["bypassed"]).await, 1.0);
    // Once it has heard, it is asked again.
    fed.purge(&[1], &json!({ "url": path })).await;
    fed.now.store(3, Ordering::SeqCst);
    fed.purge(&[1, 2, 0], &json!({ "url": path })).await;
    let (text, hops) = fed.get(&path).await;
    assert_eq!((text.as_str(), hops.len()), ("3", 3));
}
