//! QUIC to strangers: little is said to who may not be there, nothing to who speaks another language in too few words, and
//! little is kept for who sends what no client should.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::h3::H3;
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::process::Process;
use sluice_tests::python::foreign;
use sluice_tests::stack::lone_edge;
use sluice_tests::tls::{Client, h3_ask};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep, timeout};

struct Scene {
    edge: Process,
    at: SocketAddr,
    _origin: ScriptedOrigin,
    _dir: tempfile::TempDir,
}

async fn scene(flags: &[(&str, &str)]) -> Scene {
    let origin = ScriptedOrigin::start(|request| async move {
        let length = if request.uri().path() == "/large" { 32 << 20 } else { 1_000 };
        answer(200, &[("cache-control", "max-age=600")], vec![b'x'; length])
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let mut all = vec![("listen.https", "127.0.0.1:0"), ("listen.h3", "true")];
    all.extend(flags);
    let mut edge = lone_edge(dir.path(), "edge-a", &origin.url(), &all);
    edge.start().await;
    let at = edge.at.h3.as_ref().unwrap().parse().unwrap();
    Scene { edge, at, _origin: origin, _dir: dir }
}

fn endpoint() -> quinn::Endpoint {
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    endpoint.set_default_client_config(Client::quic(false));
    endpoint
}

/// The first datagram of a client, which is told nothing. The endpoint goes on asking until it is dropped.
async fn first_datagram() -> (Vec<u8>, quinn::Endpoint, quinn::Connecting) {
    let trap = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint();
    let connecting = endpoint.connect(trap.local_addr().unwrap(), "localhost").unwrap();
    let mut datagram = vec![0; 2_048];
    let (length, _) = timeout(Duration::from_secs(10), trap.recv_from(&mut datagram)).await.unwrap().unwrap();
    datagram.truncate(length);
    (datagram, endpoint, connecting)
}

/// Bytes and datagrams that come in until none has for a while.
async fn comes(socket: &UdpSocket, silence: Duration) -> Vec<Vec<u8>> {
    let mut all = vec![];
    let mut datagram = vec![0; 2_048];
    while let Ok(Ok(length)) = timeout(silence, socket.recv(&mut datagram)).await {
        all.push(datagram[..length].to_vec());
    }
    all
}

#[tokio::test]
async fn who_has_not_shown_where_it_is_gets_three_times_what_it_sent_at_most() {
    let scene = scene(&[]).await;
    let (datagram, ..) = first_datagram().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(scene.at).await.unwrap();
    socket.send(&datagram).await.unwrap();
    // Longer than its timer of retransmissions doubles to within the deadline of the handshake.
    let answers = comes(&socket, Duration::from_secs(4)).await;
    let bytes: usize = answers.iter().map(Vec::len).sum();
    assert!(bytes > 0, "it answers a client that may be one");
    assert!(bytes <= 3 * datagram.len(), "{bytes} for {}", datagram.len());
}

#[tokio::test]
async fn versions_are_told_only_to_who_sends_a_whole_datagram() {
    let scene = scene(&[]).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(scene.at).await.unwrap();
    // A long header of a version that there is not (RFC 8999 section 5.1).
    let mut unknown = vec![0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0];
    unknown.resize(1_199, 0);
    socket.send(&unknown).await.unwrap();
    assert!(comes(&socket, Duration::from_millis(500)).await.is_empty(), "too little to be told anything");
    unknown.resize(1_200, 0);
    socket.send(&unknown).await.unwrap();
    let mut answer = vec![0; 2_048];
    let length = timeout(Duration::from_secs(10), socket.recv(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer[1..5], [0; 4], "Version Negotiation (RFC 9000 section 17.2.1)");
    assert!(length < 100, "{length}");
    // Noise gets nothing, and does no harm.
    for noise in [vec![0; 1_200], vec![0xff; 1_200], vec![0x40; 30], vec![0xc0; 3]] {
        socket.send(&noise).await.unwrap();
    }
    let answers = comes(&socket, Duration::from_millis(500)).await;
    assert!(answers.iter().map(Vec::len).sum::<usize>() <= 3 * 2_400, "{}", answers.len());
}

#[tokio::test]
async fn under_many_half_handshakes_newcomers_show_first_where_they_are() {
    let scene = scene(&[("listen.limits.unproven_quic", "4"), ("listen.limits.handshake_ms", "30000")]).await;
    let retries = || scene.edge.metric("sluice_quic_retries_total", &[]);
    let mut sockets = vec![];
    let begun = Instant::now();
    while retries().await < 1.0 {
        let (datagram, ..) = first_datagram().await;
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(&datagram, scene.at).await.unwrap();
        sockets.push(socket);
        assert!(begun.elapsed() < Duration::from_secs(20), "no Retry after {}", sockets.len());
    }
    assert!(sockets.len() >= 5, "{}", sockets.len());
    let before = retries().await;
    let connection =
        timeout(Duration::from_secs(20), endpoint().connect(scene.at, "localhost").unwrap()).await;
    let request =
        http::Request::get(format!("https://{}/missing", scene.at)).method("HEAD").body(()).unwrap();
    assert_eq!(h3_ask(connection.unwrap().unwrap(), request).await.0, 200);
    assert!(retries().await > before, "it came in by Retry");
}

/// A client whose window is closed is let go, and little is kept for it meanwhile.
#[tokio::test]
async fn who_takes_nothing_over_http3_is_let_go() {
    let scene = scene(&[("listen.limits.write_stall_ms", "2000")]).await;
    let mut config = Client::quic(false);
    let mut transport = quinn::TransportConfig::default();
    transport.stream_receive_window(5_000u32.into()).keep_alive_interval(Some(Duration::from_secs(1)));
    config.transport_config(std::sync::Arc::new(transport));
    let mut endpoint = endpoint();
    endpoint.set_default_client_config(config);
    let connection = endpoint.connect(scene.at, "localhost").unwrap().await.unwrap();
    let quic = h3_quinn::Connection::new(connection.clone());
    let (mut driver, mut requests) = h3::client::new(quic).await.unwrap();
    let asking = async {
        let request = http::Request::get(format!("https://{}/large", scene.at)).body(()).unwrap();
        let mut streams = vec![];
        let warm = scene.edge.resident_kib();
        for _ in 0..20 {
            let mut stream = requests.send_request(request.clone()).await.unwrap();
            stream.finish().await.unwrap();
            assert_eq!(stream.recv_response().await.unwrap().status(), 200);
            streams.push(stream);
        }
        // The body itself is kept once, in the cache.
        let grown = scene.edge.resident_kib().saturating_sub(warm);
        assert!(grown <= (64 << 10) + (2 << 10), "{grown}");
        // Three deadlines.
        sleep(Duration::from_secs(6)).await;
        for stream in &mut streams {
            let reset = timeout(Duration::from_secs(20), async {
                loop {
                    match stream.recv_data().await {
                        Ok(Some(_)) => {}
                        Ok(None) => return false,
                        Err(_) => return true,
                    }
                }
            });
            assert!(reset.await.unwrap(), "a stream that was not read is still served");
        }
    };
    tokio::select! {
        () = asking => {}
        closed = std::future::poll_fn(|cx| driver.poll_close(cx)) => panic!("{closed:?}"),
    }
}

/// Connections of an attack.
const CONNECTIONS: usize = 8;
/// What each may cost.
const KIB_EACH: u64 = 2 << 10;

/// Has aioquic attack; how many connections live afterwards, and the most that came for a byte sent.
async fn attacked(scene: &Scene, kind: &str, told: &mut String) -> (u64, f64) {
    let mut command = foreign("probe.py");
    command.args([&scene.at.ip().to_string(), &scene.at.port().to_string(), kind, &CONNECTIONS.to_string()]);
    let mut probe = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(probe.stdout.take().unwrap()).lines();
    let mut say = probe.stdin.take().unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    let idle = scene.edge.resident_kib();
    say.write_all(b"go\n").unwrap();
    let (begun, at) = (Instant::now(), scene.at);
    let waiting = tokio::task::spawn_blocking(move || lines.next().unwrap().unwrap());
    let (mut most, mut slowest, mut bystander) = (idle, Duration::ZERO, H3::new(at));
    while !waiting.is_finished() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{kind} does not end");
        let asked = Instant::now();
        assert_eq!(bystander.get("/small").await.unwrap().0, 200, "a bystander is served");
        slowest = slowest.max(asked.elapsed());
        most = most.max(scene.edge.resident_kib());
        sleep(Duration::from_millis(20)).await;
    }
    let said = waiting.await.unwrap();
    drop(say);
    probe.wait().unwrap();
    let came: serde_json::Value = serde_json::from_str(said.strip_prefix("done ").unwrap()).unwrap();
    let grown = most.saturating_sub(idle);
    let story = format!("{kind}: {grown} KiB for {CONNECTIONS} connections, a bystander waited {slowest:?}");
    told.push_str(&format!("{story}, {came}\n"));
    assert!(grown <= KIB_EACH * CONNECTIONS as u64, "{kind}: {grown} KiB");
    (came["alive"].as_u64().unwrap(), came["worst"].as_f64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_with_gaps_ids_and_paths_without_end_cost_little() {
    let scene = scene(&[]).await;
    let (all, mut told) = (CONNECTIONS as u64, String::new());
    assert_eq!(attacked(&scene, "gaps-512", &mut told).await.0, all, "gaps are no fault");
    assert_eq!(attacked(&scene, "gaps-1", &mut told).await.0, 0, "so many are one");
    assert_eq!(attacked(&scene, "new-ids", &mut told).await.0, all);
    assert_eq!(attacked(&scene, "challenges", &mut told).await.0, all);
    attacked(&scene, "retired-ids", &mut told).await;
    // A connection stays where it began, and whoever is elsewhere gets nothing of it.
    assert_eq!(attacked(&scene, "paths", &mut told).await, (all, 0.0));
    eprintln!("{told}");
}
