//! Configuration and binary replaced under load, without a failed request.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use axum::body::Body;
use axum::extract::Request;
use futures::stream::unfold;
use futures::{SinkExt, StreamExt};
use nix::sys::signal::Signal;
use reqwest::Client;
use sluice_tests::client::ask;
use sluice_tests::echo::Echo;
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::process::{Process, binary};
use sluice_tests::swapped::{LIMIT, Swapped};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

/// Swaps of the binary under load.
const SWAPS: usize = 10;
/// Requests over all swaps, at least.
const REQUESTS: u64 = 20_000;
/// Clients of the load, half of them over HTTP/2.
const CLIENTS: usize = 4;

/// Clients that ask without a pause until they are told to stop. As any client of HTTP/2 they send again what a GOAWAY says
/// was not looked at (RFC 9113 section 6.8), and nothing else.
struct Load {
    over: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    clients: JoinSet<Vec<String>>,
}

impl Load {
    /// Every answer must be the one that is kept, or one that is not kept, by turns.
    fn start(edge: &Swapped) -> Self {
        Self::over(edge, true)
    }

    /// The same, over connections that are kept, or one for each request.
    fn over(edge: &Swapped, kept: bool) -> Self {
        let (over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let (over, done) = (Arc::clone(&over), Arc::clone(&done));
            let urls = [edge.url("/kept"), edge.url("/kept"), edge.url("/kept"), edge.url("/alone")];
            clients.spawn(async move {
                let builder = Client::builder().timeout(LIMIT);
                let builder = if number % 2 == 0 { builder } else { builder.http2_prior_knowledge() };
                let builder = if kept { builder } else { builder.pool_max_idle_per_host(0) };
                let client = builder.build().unwrap();
                let mut failures = vec![];
                for url in urls.iter().cycle() {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let asked = async { client.get(url).send().await?.error_for_status()?.text().await };
                    match asked.await {
                        Ok(text) if text == "the answer" => {}
                        Ok(text) => failures.push(format!("{number}: {url}: {text}")),
                        Err(error) => failures.push(format!("{number}: {error:?}")),
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
                failures
            });
        }
        Self { over, done, clients }
    }

    fn so_far(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    async fn reaches(&self, requests: u64) {
        let begun = Instant::now();
        while self.so_far() < requests {
            assert!(begun.elapsed() < LIMIT, "{} of {requests} requests", self.so_far());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends it; none may have failed.
    async fn end(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        let failures: Vec<String> = self.clients.join_all().await.into_iter().flatten().collect();
        let done = self.done.load(Ordering::Relaxed);
        assert!(
            failures.is_empty(),
            "{} of {done} failed: {:#?}",
            failures.len(),
            &failures[..failures.len().min(5)]
        );
        done
    }
}

async fn plain_origin() -> ScriptedOrigin {
    ScriptedOrigin::start(|request: Request| async move {
        if request.uri().path() == "/upload" {
            let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
            return answer(200, &[], format!("{} bytes", body.len()));
        }
        let kept = request.uri().path() == "/kept";
        answer(200, &[("cache-control", if kept { "max-age=600" } else { "no-store" })], "the answer")
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_binaries_one_after_another_fail_no_request() {
    let origin = plain_origin().await;
    let edge = Swapped::start(&origin.url(), "").await;
    let load = Load::start(&edge);
    for swap in 0..SWAPS {
        load.reaches(REQUESTS * swap as u64 / SWAPS as u64).await;
        let old = edge.pid();
        edge.signal(old, Signal::SIGUSR2);
        edge.announced(old).await;
        edge.logged("a new process has taken over", swap + 1).await;
    }
    load.reaches(REQUESTS).await;
    edge.logged("drained", SWAPS).await;
    let done = load.end().await;
    assert!(done >= REQUESTS);
    eprintln!("{SWAPS} swaps, 0 failed of {done} requests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_outlives_the_swap() {
    let (origin, echo) = (plain_origin().await, Echo::start().await);
    let edge = Swapped::start(&echo.url(), "drain_grace_ms = 30000\n").await;
    let stream = TcpStream::connect(edge.http()).await.unwrap();
    let (mut socket, _) =
        tokio_tungstenite::client_async(format!("ws://{}/chat", edge.http()), stream).await.unwrap();
    // From here on the uploads go to an origin that takes them.
    edge.configure(&format!("origins = [\"{}\"]\ndrain_grace_ms = 30000\n", origin.url()));
    assert_eq!(edge.reload().await.0, 200);
    let (piece, pieces) = mpsc::channel::<&'static str>(1);
    let body = Body::from_stream(unfold(pieces, |mut pieces| async move {
        Some((Ok::<_, Infallible>(pieces.recv().await?), pieces))
    }));
    let body = reqwest::Body::wrap_stream(body.into_data_stream());
    let upload = Client::new().post(edge.url("/upload")).body(body).send();
    let upload = async { upload.await.unwrap().text().await.unwrap() };
    let story = async {
        piece.send("before, ").await.unwrap();
        let begun = Instant::now();
        while origin.asked("/upload") == 0 {
            assert!(begun.elapsed() < LIMIT, "the upload did not begin");
            sleep(Duration::from_millis(10)).await;
        }
        let old = edge.pid();
        edge.signal(old, Signal::SIGUSR2);
        edge.announced(old).await;
        edge.logged("a new process has taken over", 1).await;
        // The new process answers new connections, and the old one what it had.
        assert_eq!(ask(edge.url("/kept")).await.unwrap().text().await.unwrap(), "the answer");
        for text in ["alive", "and well"] {
            socket.send(Message::text(text)).await.unwrap();
            let echoed = timeout(LIMIT, socket.next()).await.unwrap().unwrap().unwrap();
            assert_eq!(echoed, Message::text(text));
        }
        piece.send("after").await.unwrap();
        drop(piece);
        socket.close(None).await.unwrap();
    };
    let (uploaded, ()) = timeout(LIMIT, async { tokio::join!(upload, story) }).await.unwrap();
    assert_eq!(uploaded, "13 bytes");
    edge.logged("drained", 1).await;
    assert!(!edge.log().contains("cut after the grace"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_binary_that_fails_changes_nothing() {
    let origin = plain_origin().await;
    let edge = Swapped::start(&origin.url(), "").await;
    let old = edge.pid();
    let load = Load::start(&edge);
    load.reaches(100).await;

    edge.turn_link(&edge.script("bad", "exit 1"));
    edge.signal(old, Signal::SIGUSR2);
    edge.logged("did not take over", 1).await;

    // Killed in the middle of the handover: it has the sockets, and has not said that it is ready.
    edge.turn_link(
        &edge.script("slow", &format!("echo $$ > {}\nexec sleep 60", edge.dir().join("slow.pid").display())),
    );
    edge.signal(old, Signal::SIGUSR2);
    let begun = Instant::now();
    let slow = loop {
        let text = std::fs::read_to_string(edge.dir().join("slow.pid")).unwrap_or_default();
        if let Ok(pid) = text.trim().parse::<i32>() {
            break pid;
        }
        assert!(begun.elapsed() < LIMIT, "the successor did not start");
        sleep(Duration::from_millis(10)).await;
    };
    let before = load.so_far();
    load.reaches(before + 100).await;
    edge.signal(slow, Signal::SIGKILL);
    edge.logged("did not take over", 2).await;

    // A configuration that the new one refuses.
    edge.turn_link(&binary("sluice-edge"));
    edge.configure("nonsense = 1\n");
    edge.signal(old, Signal::SIGUSR2);
    edge.logged("did not take over", 3).await;
    assert_eq!(edge.metric("sluice_takeovers_total{result=\"failed\"}").await, 3.0);
    assert_eq!(edge.pid(), old);

    // And a good one after all.
    edge.configure(&format!("origins = [\"{}\"]\n", origin.url()));
    edge.signal(old, Signal::SIGUSR2);
    edge.announced(old).await;
    edge.logged("a new process has taken over", 1).await;
    let before = load.so_far();
    load.reaches(before + 100).await;
    edge.logged("drained", 1).await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_binary_that_is_killed_as_soon_as_it_is_ready_changes_nothing() {
    let origin = plain_origin().await;
    let edge = Swapped::start(&origin.url(), "").await;
    let old = edge.pid();
    let load = Load::over(&edge, false);
    load.reaches(100).await;
    for (number, moment) in ["0", "0.05", "0.2", "0.5"].into_iter().enumerate() {
        edge.turn_link(&edge.doomed(&format!("doomed{number}"), moment));
        edge.signal(old, Signal::SIGUSR2);
        edge.logged("did not take over", number + 1).await;
        let before = load.so_far();
        load.reaches(before + 100).await;
    }
    assert_eq!(edge.killed(), 4, "each was killed");
    assert_eq!(edge.pid(), old, "who serves is announced, and nobody else");
    load.end().await;
    edge.turn_link(&binary("sluice-edge"));
    edge.signal(old, Signal::SIGUSR2);
    edge.announced(old).await;
    edge.logged("drained", 1).await;
    assert_eq!(ask(edge.url("/kept")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_kill_right_after_a_new_configuration_is_in_force_loses_neither() {
    let (origins, dir) = ([plain_origin().await, plain_origin().await], tempfile::tempdir().unwrap());
    let file = dir.path().join("edge.toml");
    let configure = |origin: &ScriptedOrigin| {
        std::fs::write(&file, format!("origins = [\"{}\"]\n", origin.url())).unwrap();
    };
    configure(&origins[0]);
    let flags = [
        ("config", file.display().to_string()),
        ("listen.http", "127.0.0.1:0".to_owned()),
        ("listen.admin", "127.0.0.1:0".to_owned()),
        ("state_dir", dir.path().join("state").display().to_string()),
        ("cache.disk.bytes", "67108864".to_owned()),
    ];
    let mut edge = Process::new("edge", "sluice-edge", dir.path(), &flags);
    edge.start().await;
    for turn in 1..=6 {
        let origin = &origins[turn % 2];
        configure(origin);
        let admin = edge.at.admin.clone().unwrap();
        let taken = Client::new().post(format!("http://{admin}/reload")).send().await.unwrap();
        assert_eq!(taken.status(), 200, "turn {turn}");
        edge.kill9();
        edge.start().await;
        let before = origin.asked("/alone");
        for path in ["/alone", "/kept"] {
            let text = ask(format!("{}{path}", edge.url())).await.unwrap().text().await.unwrap();
            assert_eq!(text, "the answer", "turn {turn}: {path}");
        }
        assert_eq!(origin.asked("/alone"), before + 1, "turn {turn}: the new one is in force");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_is_taken_whole_or_not_at_all() {
    let (first, second) = (plain_origin().await, plain_origin().await);
    let edge = Swapped::start(&first.url(), "").await;
    let good = format!("origins = [\"{}\"]\n", second.url());
    let load = Load::start(&edge);
    load.reaches(100).await;
    let before = second.asked("/alone");

    // Partly good, wholly refused, and every fault told.
    edge.configure(&format!("{good}watchdog_ms = 1\nreport_ms = 2\n[cache]\nmemory_bytes = \"much\"\n"));
    let (status, problem) = edge.reload().await;
    assert_eq!((status, problem["faults"].as_array().unwrap().len()), (422, 1), "{problem}");
    edge.configure(&format!("{good}watchdog_ms = 1\nreport_ms = 2\n"));
    let (status, problem) = edge.reload().await;
    assert_eq!((status, problem["faults"].as_array().unwrap().len()), (422, 2), "{problem}");
    // What only a new process can take is refused by name.
    edge.configure(&format!("node = \"other\"\n{good}"));
    let (status, problem) = edge.reload().await;
    assert_eq!(status, 422);
    assert!(problem["faults"][0].as_str().unwrap().starts_with("node: cannot change"), "{problem}");
    let so_far = load.so_far();
    load.reaches(so_far + 100).await;
    assert_eq!(second.asked("/alone"), before, "the last good one is in force");

    // A good one, by signal, with ten thousand entries in a list; and the first again.
    let paths: Vec<String> = (0..10_000).map(|i| format!("\"/poll/{i}/\"")).collect();
    let text =
        format!("{good}[streams]\nlong_poll = [{}]\n[cache]\nmemory_bytes = 100000000\n", paths.join(","));
    edge.configure(&text);
    let begun = Instant::now();
    edge.signal(edge.pid(), Signal::SIGHUP);
    while second.asked("/alone") == before {
        assert!(begun.elapsed() < LIMIT, "the new origin is not asked:\n{}", edge.log());
        sleep(Duration::from_millis(5)).await;
    }
    eprintln!("10,000 entries in force after {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    edge.configure(&format!("origins = [\"{}\"]\n", first.url()));
    let (status, answer) = edge.reload().await;
    assert_eq!(status, 200);
    assert_eq!(answer["changed"], serde_json::json!(["cache.memory_bytes", "origins", "streams.long_poll"]));
    assert_eq!(edge.reload().await.1["changed"], serde_json::json!([]), "nothing more to change");
    for (result, times) in [("refused", 3.0), ("applied", 2.0), ("unchanged", 1.0)] {
        let series = format!("sluice_config_reloads_total{{result=\"{result}\"}}");
        assert_eq!(edge.metric(&series).await, times, "{result}");
    }
    load.end().await;
}

/// Answers with the host it was asked under, in a text that is worth coding.
async fn named_origin() -> ScriptedOrigin {
    ScriptedOrigin::start(|request: Request| async move {
        let host = request.headers()["host"].to_str().unwrap().to_owned();
        let fields = [("cache-control", "max-age=600"), ("content-type", "text/plain")];
        answer(200, &fields, format!("{host} {}", "and so on ".repeat(200)))
    })
    .await
}

#[tokio::test]
async fn hosts_forms_and_access_change_while_it_serves() {
    let origin = named_origin().await;
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("rules.toml");
    std::fs::write(&rules, "[[rule]]\nprefix = \"/secret/\"\nneed = \"token\"\n").unwrap();
    let access = format!("[access]\nrules_file = \"{}\"\n", rules.display());
    let edge = Swapped::start(&origin.url(), &format!("{access}[transform]\ncompress = false\n")).await;
    let client = Client::new();
    let configure = async |rest: &str| {
        edge.configure(&format!("origins = [\"{}\"]\n{rest}", origin.url()));
        edge.reload().await
    };
    let get = async |host: &str, path: &str, coding: &str| {
        let asked = client.get(edge.url(path)).header("host", host).header("accept-encoding", coding);
        let answer = asked.send().await.unwrap();
        let field = |name: &str| {
            answer.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
        };
        (answer.status().as_u16(), field("cache-status").contains("; hit"), field("content-encoding"))
    };
    let plain = |status, hit| (status, hit, String::new());

    // Before: two hosts are two, nothing is coded, a picture's query is the origin's, and a secret is one.
    assert_eq!(get("a.example", "/same", "gzip").await, plain(200, false));
    assert_eq!(get("b.example", "/same", "gzip").await, plain(200, false));
    assert_eq!(get("a.example", "/same", "gzip").await, plain(200, true));
    assert_eq!(get("a.example", "/x.jpg?w=61", "").await.0, 200);
    assert_eq!(get("a.example", "/secret/x", "").await.0, 401);

    let shop = "[[tenants]]\nname = \"shop\"\nhosts = [\"a.example\", \"b.example\"]\n";
    let more = format!(
        "{access}peers = [\"127.0.0.1/32\"]\n[transform]\ncompress = true\nimages.presets = [\"w=60\"]\n{shop}"
    );
    let (status, answer) = configure(&more).await;
    let changed = ["access.peers", "tenants", "transform.compress", "transform.images.presets"];
    assert_eq!((status, &answer["changed"]), (200, &serde_json::json!(changed)), "{answer}");
    assert!(!get("a.example", "/same", "gzip").await.1, "another tenant's now");
    assert_eq!(get("b.example", "/same", "gzip").await, (200, true, "gzip".into()));
    assert_eq!(get("a.example", "/x.jpg?w=61", "").await.0, 403, "no preset");
    assert_eq!(get("a.example", "/secret/x", "").await.0, 200, "a peer has checked");

    // What was kept for a host under a tenant that it is no more is found by a purge, and by nothing else.
    assert_eq!(configure(&access).await.0, 200);
    assert!(get("a.example", "/same", "").await.1, "as it was before");
    let purge = serde_json::json!({ "urls": ["http://a.example/same"] });
    let purge = client.post(format!("http://{}/purge", edge.admin)).json(&purge).send().await.unwrap();
    assert_eq!(purge.status(), 200);
    assert_eq!(configure(&more).await.0, 200);
    assert!(!get("b.example", "/same", "").await.1, "purged as what it was");

    // What a process is built on stays, and is named.
    let fixed =
        "[cache.disk]\nbytes = 100000000\n[listen.limits]\nidle_ms = 5000\n[tls]\nearly_data = true\n";
    let (status, problem) = configure(&format!("{more}{fixed}")).await;
    let faults: Vec<&str> =
        problem["faults"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
    assert_eq!((status, faults.len()), (422, 3), "{problem}");
    for (fault, key) in faults.iter().zip(["cache.disk.bytes", "listen.limits.idle_ms", "tls.early_data"]) {
        assert!(fault.starts_with(&format!("{key}: cannot change while this process serves")), "{fault}");
    }
    assert!(get("b.example", "/same", "").await.1, "and nothing else has changed");
}
