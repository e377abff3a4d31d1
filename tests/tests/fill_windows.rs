//! What is watched at one site is at another before its first viewer asks, within a budget that no report can blow.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use axum::response::Response;
use serde_json::{Value, json};
use sluice_tests::client::{client, header};
use sluice_tests::origin::{ScriptedOrigin, answer, pattern};
use sluice_tests::process::{Process, binary};
use sluice_tests::stack::{Engines, control_plane, lone_edge};
use sluice_wire::VideoId;
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, sleep};

/// Segments of a video, all of one group.
const SEGMENTS: u32 = 15;
/// Bytes of a segment; what a group counts for is one segment more.
const BYTES: usize = 20_000;
const GROUP: u64 = 16 * 20_000;

fn video(n: u32) -> VideoId {
    VideoId::from_parts(1_800_000_000_000, n)
}

fn name(segment: u32) -> String {
    format!("{segment}-{:032x}.m4s", segment + 1)
}

fn path(n: u32, segment: u32) -> String {
    format!("/v/{}/v720/{}", video(n), name(segment))
}

fn group(n: u32) -> String {
    format!("{}/v720/0", video(n))
}

/// Playlists, headers and segments of any video; those of videos from the hundredth on have ten times the bytes.
fn media(path: &str) -> Response {
    let file = path.rsplit('/').next().unwrap();
    if file == "index.m3u8" {
        let mut list = format!("#EXTM3U\n#EXT-X-MAP:URI=\"init-{:032x}.mp4\"\n", 0);
        (0..SEGMENTS).for_each(|segment| write!(list, "#EXTINF:4.0,\n{}\n", name(segment)).unwrap());
        return answer(200, &[("cache-control", "max-age=60")], list);
    }
    let large = (100..200).any(|n| path.contains(&video(n).to_string()));
    let bytes = match file {
        _ if file.starts_with("init-") => 500,
        _ if large => BYTES * 10,
        _ => BYTES,
    };
    answer(200, &[("cache-control", "max-age=31536000, immutable")], pattern(bytes, 1))
}

/// A control plane whose site `cold` is open for filling all day, and an edge at another site.
struct Fleet {
    origin: ScriptedOrigin,
    control: Process,
    warm: Process,
    dir: tempfile::TempDir,
}

impl Fleet {
    async fn start(budget: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let origin = ScriptedOrigin::start(|request| {
            let path = request.uri().path().to_owned();
            async move { media(&path) }
        })
        .await;
        let flags = [("origins", origin.url()), ("placement.ramp_ms", "0".into())];
        let mut control = control_plane(dir.path(), "control", &Engines::embedded(dir.path()), &flags);
        control.start().await;
        let mut warm = edge(dir.path(), "near-a", "warm", &control, &origin);
        warm.start().await;
        let fill = json!({ "from": 0, "until": 1440, "bytes": budget, "mbps": 1000.0, "chance": 0.8 });
        let config = json!({ "sites": { "cold": { "fill": fill } } });
        let put = client().put(format!("{}/v1/config", control.url())).header("if-match", "*").json(&config);
        assert_eq!(put.send().await.unwrap().status(), 200);
        Self { origin, control, warm, dir }
    }

    fn cold(&self) -> Process {
        edge(self.dir.path(), "near-b", "cold", &self.control, &self.origin)
    }

    /// What the control plane says of the cold site.
    async fn told(&self) -> Value {
        let url = format!("{}/v1/prefetch?site=cold&limit=500", self.control.url());
        let answer: Value = client().get(url).send().await.unwrap().json().await.unwrap();
        answer["sites"][0].clone()
    }

    /// Waits until so many groups are expected there.
    async fn foresees(&self, groups: usize) {
        until("foreseen", async || self.told().await["forecast"].as_array().unwrap().len() >= groups).await;
    }

    /// A message of what an edge was asked for, as anybody could send it; its status.
    async fn says(&self, node: &str, at_ms: u64, groups: Value) -> u16 {
        let url = format!("{}/v1/nodes/{node}/asked", self.control.url());
        let body = json!({ "at_ms": at_ms, "groups": groups });
        client().post(url).json(&body).send().await.unwrap().status().as_u16()
    }
}

fn edge(dir: &Path, name: &str, site: &str, control: &Process, origin: &ScriptedOrigin) -> Process {
    let flags = [("control", &*control.url()), ("site", site), ("report_ms", "100"), ("asked_ms", "100")];
    lone_edge(dir, name, &origin.url(), &flags)
}

async fn watches(edge: &Process, n: u32, segments: u32, viewers: u32) {
    for _ in 0..viewers {
        for segment in 0..segments {
            asks(edge, n, segment).await;
        }
    }
}

/// Asks for a segment; whether it was there.
async fn asks(edge: &Process, n: u32, segment: u32) -> bool {
    let answer = client().get(format!("{}{}", edge.url(), path(n, segment))).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let status = header(&answer, "cache-status");
    assert!(answer.bytes().await.unwrap().len() >= BYTES);
    status.contains("; hit")
}

async fn until(what: &str, good: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !good().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "never {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

#[tokio::test]
async fn the_first_viewer_of_a_cold_site_finds_what_others_watch() {
    // Room for three groups of four that are worth it.
    let budget = 3 * GROUP + GROUP / 2;
    let fleet = Fleet::start(budget).await;
    for n in 0..4 {
        watches(&fleet.warm, n, SEGMENTS, 6 + 2 * (4 - n)).await;
        watches(&fleet.warm, 10 + n, 2, 1).await;
    }
    fleet.foresees(8).await;
    // What the last viewers asked for may still be on its way.
    fleet.control.until("sluice_control_forecast_keys", &[], |keys| keys == 8.0).await;
    until("all told", async || {
        let told = fleet.told().await;
        let of = |n| {
            told["forecast"].as_array().unwrap().iter().find(|one| one["group"] == group(n)).unwrap().clone()
        };
        of(3)["requests"].as_f64().unwrap() >= 250.0
    })
    .await;
    assert!(fleet.told().await["steps"].is_null(), "there is no edge to fill");

    let mut cold = fleet.cold();
    cold.start().await;
    cold.until("sluice_edge_plan_groups_total", &["fetched"], |groups| groups == 3.0).await;
    let before = fleet.origin.asked_in_all();
    for n in 0..3 {
        for segment in 0..SEGMENTS {
            assert!(asks(&cold, n, segment).await, "segment {segment} of {n} is there for the first viewer");
        }
    }
    assert_eq!(fleet.origin.asked_in_all(), before, "without a question to the origin");
    for n in [3, 10] {
        assert!(!asks(&cold, n, 0).await, "what there was no room for, and what is unlikely");
    }

    // The counters agree with one another and with the plan.
    let bytes = async |result: &str| cold.metric("sluice_edge_plan_bytes_total", &[result]).await;
    let segments = (3 * SEGMENTS as usize * BYTES) as f64;
    assert_eq!((bytes("used").await, bytes("wasted").await), (segments, 0.0));
    assert_eq!(bytes("fetched").await, segments + 3.0 * 500.0, "and the headers, which nobody asked for");
    assert_eq!(bytes("planned").await, (3 * GROUP) as f64);
    let told = fleet.told().await;
    assert_eq!(told["planned_bytes"], 3 * GROUP);
    let verdict = |n: u32| {
        let of = told["forecast"].as_array().unwrap().iter().find(|one| one["group"] == group(n)).unwrap();
        of["verdict"].as_str().unwrap().to_owned()
    };
    let verdicts = [0, 1, 2, 11].map(verdict);
    assert_eq!(verdicts, ["planned", "planned", "planned", "unlikely"], "{told}");
    let mut shown = Command::new(binary("sluice"));
    shown
        .args(["prefetch", "--site", "cold"])
        .env("SLUICE_CONTROL", fleet.control.url())
        .stdin(Stdio::null());
    let shown = tokio::task::spawn_blocking(move || shown.output().unwrap()).await.unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains(&group(0)) && shown.contains("unlikely") && shown.contains("near-b"), "{shown}");

    // An edge that begins anew has lost what it had. Its site has spent its budget, and it stays so.
    let plans = fleet.control.metric("sluice_control_plans_total", &[]).await;
    cold.kill9();
    cold.start().await;
    fleet.control.until("sluice_control_plans_total", &[], |now| now > plans).await;
    assert!(!asks(&cold, 0, 0).await);
    assert!(fleet.told().await["planned_bytes"].as_u64().unwrap() <= budget);
    assert_eq!(cold.metric("sluice_edge_plan_bytes_total", &["fetched"]).await, 0.0);
}

#[tokio::test]
async fn what_an_edge_makes_up_is_fetched_within_the_budget_at_the_most() {
    let budget = 4 * GROUP;
    let fleet = Fleet::start(budget).await;
    watches(&fleet.warm, 0, SEGMENTS, 1).await;
    fleet.foresees(1).await;
    // Small, it says, and asked for without end. They are ten times as large as what is known, and nobody asks.
    let lies: Vec<Value> =
        (100..200).map(|n| json!({ "group": group(n), "requests": 1_000_000, "bytes": 1_000_000 })).collect();
    let now = now_ms();
    assert_eq!(fleet.says("near-a", now + 1_000, json!(lies)).await, 204);
    assert_eq!(fleet.says("near-a", now, json!(lies)).await, 409, "older than what was told");
    assert_eq!(fleet.says("near-a", now + 60_000, json!(lies)).await, 422, "of another time");
    assert_eq!(fleet.says("near-z", now + 1_001, json!(lies)).await, 422, "of nobody");
    for absurd in [
        json!([{ "group": group(1), "requests": u64::MAX, "bytes": 1 }]),
        json!([{ "group": "../../etc", "requests": 1, "bytes": 1 }]),
        json!(vec![&lies[0]; 600]),
    ] {
        assert_eq!(fleet.says("near-a", now + 1_002, absurd).await, 422);
    }
    fleet.foresees(101).await;
    let mut cold = fleet.cold();
    cold.start().await;
    cold.until("sluice_edge_plans_total", &["out-of-budget"], |plans| plans == 1.0).await;
    let fetched = cold.metric("sluice_edge_plan_bytes_total", &["fetched"]).await;
    // The first segment of all is as large as nobody could know.
    assert!(fetched > 0.0 && fetched <= (budget + 10 * BYTES as u64) as f64, "{fetched}");
    assert!(fleet.told().await["planned_bytes"].as_u64().unwrap() <= budget);
}
