//! TLS at an edge: certificates by name, changed while it runs; sessions resumed; half handshakes.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use rustls::pki_types::CertificateDer;
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::process::Process;
use sluice_tests::stack::lone_edge;
use sluice_tests::tls::{Authority, Client, h3_ask, h3_get, read_answer};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// How long a change may take to be seen on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

struct Scene {
    edge: Process,
    dir: TempDir,
    _origin: ScriptedOrigin,
}

impl Scene {
    async fn start(prepare: impl FnOnce(&Path)) -> Self {
        Self::with(&[], prepare).await
    }

    /// The origin's answer names the fields of the request that a story looks at.
    async fn with(more: &[(&str, &str)], prepare: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::Builder::new().prefix("sluice-tls-").tempdir().unwrap();
        let certificates = dir.path().join("certificates");
        std::fs::create_dir(&certificates).unwrap();
        prepare(&certificates);
        let origin = ScriptedOrigin::start(|request| async move {
            let field = |name| request.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
            let seen = format!("{:?} {:?}", field("early-data"), field("x-forwarded-for"));
            match request.uri().path() {
                "/seen" => answer(200, &[("cache-control", "no-store")], seen),
                _ => answer(200, &[("cache-control", "max-age=600")], "from the origin"),
            }
        })
        .await;
        let of_dir = certificates.display().to_string();
        let mut flags =
            vec![("listen.https", "127.0.0.1:0"), ("listen.h3", "true"), ("tls.dir", of_dir.as_str())];
        flags.extend(more);
        let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &flags);
        edge.start().await;
        Self { edge, dir, _origin: origin }
    }

    fn at(&self) -> &str {
        self.edge.at.https.as_deref().unwrap()
    }

    fn certificates(&self) -> std::path::PathBuf {
        self.dir.path().join("certificates")
    }

    /// The certificate that a new client gets.
    async fn shown(&self, name: &str) -> CertificateDer<'static> {
        let client = Client::new(rustls::ALL_VERSIONS);
        client.connect(self.at(), name).await.unwrap().certificate()
    }

    async fn wait_for(&self, what: &str, metric: &str, label: &str, more_than: f64) -> f64 {
        let begun = Instant::now();
        loop {
            let now = self.edge.metric(metric, &[label]).await;
            if now > more_than {
                return now;
            }
            assert!(begun.elapsed() < LIMIT, "{what}: {metric}{{{label}}} is {now}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn certificates_are_chosen_by_name_over_tcp_and_quic() {
    let authority = Authority::new();
    let (mut a, mut wild, mut rest) = (None, None, None);
    let scene = Scene::start(|dir| {
        a = Some(authority.issue(dir, "a", &["a.sluice.test", "also.sluice.test"]));
        wild = Some(authority.issue(dir, "wild", &["*.wild.test"]));
        rest = Some(authority.issue(dir, "default", &["rest.test"]));
    })
    .await;
    let (a, wild, rest) = (a.unwrap(), wild.unwrap(), rest.unwrap());
    let h3: std::net::SocketAddr = scene.edge.at.h3.as_ref().unwrap().parse().unwrap();
    for (name, expected) in [
        ("a.sluice.test", &a),
        ("one.wild.test", &wild),
        ("two.one.wild.test", &rest),
        ("elsewhere.test", &rest),
    ] {
        assert_eq!(&scene.shown(name).await, expected, "{name}");
        let (shown, status, body) = h3_get(h3, name, &format!("https://{name}/h3")).await;
        assert_eq!((&shown, status, body.as_str()), (expected, 200, "from the origin"), "{name}");
    }
    assert_eq!(scene.shown("127.0.0.1").await, rest, "a client that asks for no name gets the default");

    let client = Client::new(rustls::ALL_VERSIONS);
    let mut connection = client.connect(scene.at(), "a.sluice.test").await.unwrap();
    // Twice: the second is a hit by the shortcut, which must judge alike.
    for _ in 0..2 {
        for (host, status) in [
            ("a.sluice.test", 200),
            ("A.sluice.test:443", 200),
            ("also.sluice.test", 200),
            ("one.wild.test", 421),
            ("elsewhere.test", 421),
        ] {
            assert_eq!(connection.get(host, "/x").await.unwrap().0, status, "{host}");
        }
    }
    let (_, status, _) = h3_get(h3, "a.sluice.test", "https://elsewhere.test/x").await;
    assert_eq!(status, 421);
    // Without a name in the handshake nothing is judged.
    let mut connection = client.connect(scene.at(), "127.0.0.1").await.unwrap();
    assert_eq!(connection.get("elsewhere.test", "/x").await.unwrap().0, 200);
}

#[tokio::test]
async fn certificates_are_changed_while_connections_live_on() {
    let authority = Authority::new();
    let mut first = None;
    let scene = Scene::start(|dir| first = Some(authority.issue(dir, "a", &["a.sluice.test"]))).await;
    let client = Client::new(rustls::ALL_VERSIONS);
    let mut old = client.connect(scene.at(), "a.sluice.test").await.unwrap();
    assert_eq!(old.certificate(), first.unwrap());
    assert_eq!(old.get("a.sluice.test", "/x").await.unwrap().0, 200);

    let second = authority.issue(&scene.certificates(), "a", &["a.sluice.test"]);
    let begun = Instant::now();
    while scene.shown("a.sluice.test").await != second {
        assert!(begun.elapsed() < LIMIT, "the new certificate is not shown");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(old.get("a.sluice.test", "/x").await.unwrap().0, 200, "a connection under way lives on");

    // Another's key, then no key at all: refused, counted, the last good pair kept.
    let refused = scene.edge.metric("sluice_tls_reloads_total", &["refused"]).await;
    let elsewhere = tempfile::tempdir().unwrap();
    authority.issue(elsewhere.path(), "b", &["b.sluice.test"]);
    std::fs::copy(elsewhere.path().join("b.key"), scene.certificates().join("a.key")).unwrap();
    let refused = scene.wait_for("another's key", "sluice_tls_reloads_total", "refused", refused).await;
    assert_eq!(scene.shown("a.sluice.test").await, second);
    std::fs::write(scene.certificates().join("a.key"), "no key").unwrap();
    scene.wait_for("no key", "sluice_tls_reloads_total", "refused", refused).await;
    assert_eq!(scene.shown("a.sluice.test").await, second);

    let third = authority.issue(&scene.certificates(), "a", &["a.sluice.test"]);
    let begun = Instant::now();
    while scene.shown("a.sluice.test").await != third {
        assert!(begun.elapsed() < LIMIT, "the mended pair is not shown");
        sleep(Duration::from_millis(50)).await;
    }
    let loaded = scene.edge.metric("sluice_tls_reloads_total", &["loaded"]).await;
    scene.edge.signal(Signal::SIGHUP);
    scene.wait_for("SIGHUP", "sluice_tls_reloads_total", "loaded", loaded).await;
    assert_eq!(old.get("a.sluice.test", "/x").await.unwrap().0, 200);
}

#[tokio::test]
async fn sessions_are_resumed_in_both_versions() {
    let authority = Authority::new();
    let scene = Scene::start(|dir| drop(authority.issue(dir, "a", &["a.sluice.test"]))).await;
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let client = Client::new(&[version]);
        let mut first = client.connect(scene.at(), "a.sluice.test").await.unwrap();
        assert!(!first.is_resumed());
        // The tickets of TLS 1.3 come with the first answer.
        first.get("a.sluice.test", "/x").await.unwrap();
        let before = scene.edge.metric("sluice_tls_handshakes_total", &["resumed"]).await;
        let mut second = client.connect(scene.at(), "a.sluice.test").await.unwrap();
        assert!(second.is_resumed(), "{version:?}");
        assert_eq!(second.get("a.sluice.test", "/x").await.unwrap().0, 200);
        scene.wait_for("a resumed session", "sluice_tls_handshakes_total", "resumed", before).await;
    }
}

/// Half handshakes at a time.
const HALVES: usize = 1_000;
/// Bytes that the edge may grow by under them.
const GROWTH: u64 = 16 << 20;

#[tokio::test]
async fn a_thousand_half_handshakes_cost_little_and_end() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(soft.max(8_192)), hard).unwrap();
    let authority = Authority::new();
    let limits = [("listen.limits.connections_per_client", "2000")];
    let scene = Scene::with(&limits, |dir| drop(authority.issue(dir, "a", &["a.sluice.test"]))).await;
    let client = Client::new(rustls::ALL_VERSIONS);
    client.connect(scene.at(), "a.sluice.test").await.unwrap().get("a.sluice.test", "/x").await.unwrap();
    let before = scene.edge.resident_kib() << 10;

    let mut halves = vec![];
    for at in 0..HALVES {
        let mut half = TcpStream::connect(scene.at()).await.unwrap();
        // Every other says nothing at all; the rest begin a record of 512 bytes with a ClientHello, and stop.
        if at % 2 == 0 {
            half.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03sluice").await.unwrap();
        }
        halves.push(half);
    }
    let mut fresh = client.connect(scene.at(), "a.sluice.test").await.unwrap();
    assert_eq!(fresh.get("a.sluice.test", "/x").await.unwrap().0, 200);
    let growth = (scene.edge.resident_kib() << 10).saturating_sub(before);
    assert!(growth <= GROWTH, "grew by {growth} bytes");

    for mut half in halves {
        let mut byte = [0];
        let ended = tokio::time::timeout(LIMIT, half.read(&mut byte)).await;
        assert!(matches!(ended, Ok(Ok(0) | Err(_))), "a half handshake is ended: {ended:?}");
    }
    #[expect(clippy::cast_precision_loss, reason = "a thousand")]
    let all = HALVES as f64;
    scene.wait_for("all counted", "sluice_tls_handshakes_total", "late", all - 1.0).await;
}

#[tokio::test]
async fn early_data_is_answered_when_it_is_safe_and_held_when_not() {
    let authority = Authority::new();
    let scene =
        Scene::with(&[("tls.early_data", "true")], |dir| drop(authority.issue(dir, "a", &["a.sluice.test"])))
            .await;
    let at = scene.edge.at.h3.as_ref().unwrap().parse().unwrap();
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    endpoint.set_default_client_config(Client::quic(true));
    let request = |method: &str| {
        let request = http::Request::builder().method(method).uri("https://a.sluice.test/seen");
        request.body(()).unwrap()
    };
    let begun = Instant::now();
    let (mut early, mut held) = (false, 0);
    // An answer to a request that came early says so, unless the handshake was complete before it was looked at.
    while !early || held == 0 {
        for method in ["GET", "POST"] {
            let connection = match endpoint.connect(at, "a.sluice.test").unwrap().into_0rtt() {
                Ok((connection, accepted)) => {
                    let (status, seen) = h3_ask(connection, request(method)).await;
                    assert_eq!(status, 200);
                    if accepted.await {
                        early |= seen.starts_with("Some(\"1\")") && method == "GET";
                        held += usize::from(method == "POST");
                    }
                    assert!(method == "GET" || seen.starts_with("None"), "{method} was not held: {seen}");
                    continue;
                }
                // The first time there is no session to resume.
                Err(connecting) => connecting.await.unwrap(),
            };
            assert_eq!(h3_ask(connection, request(method)).await.0, 200);
        }
        assert!(begun.elapsed() < LIMIT, "nothing came early ({early}, {held})");
    }
}

#[tokio::test]
async fn a_balancer_tells_the_client_by_the_proxy_protocol() {
    let authority = Authority::new();
    let scene = Scene::with(&[("listen.proxy_protocol", "127.0.0.0/8,192.0.2.0/24")], |dir| {
        drop(authority.issue(dir, "a", &["a.sluice.test"]));
    })
    .await;
    let plain = scene.edge.at.http.clone().unwrap();
    let second = [
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".as_slice(),
        &[203, 0, 113, 9, 127, 0, 0, 1, 0x1f, 0x90, 0, 80],
    ]
    .concat();
    for header in [&b"PROXY TCP4 203.0.113.9 127.0.0.1 8080 80\r\n"[..], &second] {
        let mut stream = TcpStream::connect(&plain).await.unwrap();
        stream.write_all(header).await.unwrap();
        stream.write_all(b"GET /seen HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let (status, seen) = read_answer(&mut stream).await.unwrap();
        assert_eq!((status, seen.as_str()), (200, "None Some(\"203.0.113.9\")"));

        let mut stream = TcpStream::connect(scene.at()).await.unwrap();
        stream.write_all(header).await.unwrap();
        let mut secure = Client::new(rustls::ALL_VERSIONS).over(stream, "a.sluice.test").await.unwrap();
        let (_, seen) = secure.get("a.sluice.test", "/seen").await.unwrap();
        assert_eq!(seen, "None Some(\"203.0.113.9\")", "over TLS");
    }
    // Without a header, or with a bad one, there is no answer.
    let mut bad = TcpStream::connect(&plain).await.unwrap();
    bad.write_all(b"GET /seen HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(read_answer(&mut bad).await.is_err());
    scene.wait_for("a refusal", "sluice_proxy_protocol_refused_total", "malformed", 0.0).await;
    let mut silent = TcpStream::connect(&plain).await.unwrap();
    assert!(read_answer(&mut silent).await.is_err());
    scene.wait_for("silence", "sluice_proxy_protocol_refused_total", "late", 0.0).await;
}

#[tokio::test]
async fn who_is_no_balancer_speaks_for_himself_alone() {
    let authority = Authority::new();
    let scene = Scene::with(&[("listen.proxy_protocol", "192.0.2.0/24")], |dir| {
        drop(authority.issue(dir, "a", &["a.sluice.test"]));
    })
    .await;
    let plain = scene.edge.at.http.clone().unwrap();
    let mut stream = TcpStream::connect(&plain).await.unwrap();
    stream.write_all(b"GET /seen HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let (_, seen) = read_answer(&mut stream).await.unwrap();
    assert_eq!(seen, "None Some(\"127.0.0.1\")");
    let mut stream = TcpStream::connect(&plain).await.unwrap();
    let forged = b"PROXY TCP4 203.0.113.9 127.0.0.1 8080 80\r\nGET /seen HTTP/1.1\r\nhost: a\r\n\r\n";
    stream.write_all(forged).await.unwrap();
    assert_eq!(read_answer(&mut stream).await.unwrap().0, 400);
}

/// What an independent client comes to with these options; whether it was let in, and what it said.
fn probe(at: &str, options: &[&str]) -> (bool, String) {
    let output = std::process::Command::new("openssl")
        .args(["s_client", "-connect", at, "-servername", "a.sluice.test"])
        .args(options)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
async fn old_versions_and_weak_suites_are_refused() {
    let authority = Authority::new();
    let scene = Scene::start(|dir| drop(authority.issue(dir, "a", &["a.sluice.test"]))).await;
    for good in [
        &["-tls1_3"][..],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"],
    ] {
        let (let_in, said) = probe(scene.at(), good);
        assert!(let_in, "{good:?}: {said}");
    }
    // The client offers what it would itself refuse by default: the refusal must be the server's.
    for weak in [
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"][..],
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "kRSA:kDHE:aNULL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0"],
    ] {
        let (let_in, said) = probe(scene.at(), weak);
        assert!(!let_in && said.contains("alert"), "{weak:?}: {said}");
    }
}
