//! Tiers that speak TLS with each other, and know each other by certificates.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::client;
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::process::Process;
use sluice_tests::stack::lone_edge;
use sluice_tests::tls::{Authority, Client, Connection};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// How long a change may take to be seen on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// An origin, a shield that lets in who shows a certificate, and an edge before it.
struct Scene {
    edge: Process,
    shield: Process,
    dir: TempDir,
    _origin: ScriptedOrigin,
}

impl Scene {
    async fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("sluice-tiers-").tempdir().unwrap();
        let certificates = dir.path().join("certificates");
        std::fs::create_dir(&certificates).unwrap();
        let authority = Authority::new();
        authority.issue(&certificates, "default", &["localhost"]);
        authority.issue(dir.path(), "near", &["near.sluice.test"]);
        let servers = authority.write(dir.path(), "servers.pem").display().to_string();
        let clients = authority.write(dir.path(), "clients.pem").display().to_string();
        let origin = ScriptedOrigin::start(|_| async {
            answer(200, &[("cache-control", "max-age=600")], "from the origin")
        })
        .await;
        let folder = certificates.display().to_string();
        let flags =
            [("listen.https", "127.0.0.1:0"), ("tls.dir", folder.as_str()), ("tls.client_ca", &clients)];
        let mut shield = lone_edge(dir.path(), "shield", &origin.url(), &flags);
        shield.start().await;
        let mut edge = near(dir.path(), "near", &shield, &servers, Some("near"));
        edge.start().await;
        Self { edge, shield, dir, _origin: origin }
    }

    fn at(&self) -> &str {
        self.shield.at.https.as_deref().unwrap()
    }
}

/// An edge that asks the shield over TLS, and shows the certificate of a file where one is named.
fn near(dir: &Path, name: &str, shield: &Process, servers: &str, shown: Option<&str>) -> Process {
    let port = shield.at.https.as_ref().unwrap().rsplit(':').next().unwrap();
    let parent = format!("https://localhost:{port}");
    let pair = shown.map(|file| {
        [dir.join(format!("{file}.crt")), dir.join(format!("{file}.key"))].map(|p| p.display().to_string())
    });
    let mut flags = vec![("peer_tls.ca", servers)];
    if let Some([cert, key]) = &pair {
        flags.extend([("peer_tls.cert", cert.as_str()), ("peer_tls.key", key.as_str())]);
    }
    lone_edge(dir, name, &parent, &flags)
}

/// In TLS 1.3 a client learns with the first answer that it is refused.
async fn is_served(client: &Client, at: &str) -> bool {
    let asked = async |mut connection: Connection| connection.get("localhost", "/direct").await;
    match client.connect(at, "localhost").await {
        Ok(connection) => asked(connection).await.is_ok_and(|(status, _)| status == 200),
        Err(_) => false,
    }
}

#[tokio::test]
async fn an_edge_asks_its_shield_with_a_certificate_and_others_are_refused() {
    let scene = Scene::start().await;
    for path in ["/a", "/b", "/a"] {
        let got = client::bytes(&format!("{}{path}", scene.edge.url())).await;
        assert_eq!(got, b"from the origin", "{path}");
    }
    let shaken = scene.shield.metric("sluice_tls_handshakes_total", &["full"]).await;
    assert!(shaken >= 1.0);

    for versions in [&[&rustls::version::TLS13][..], &[&rustls::version::TLS12]] {
        assert!(!is_served(&Client::new(versions), scene.at()).await, "nothing shown");
    }
    let strangers = tempfile::tempdir().unwrap();
    Authority::new().issue(strangers.path(), "stranger", &["near.sluice.test"]);
    assert!(!is_served(&Client::showing(strangers.path(), "stranger"), scene.at()).await);
    assert!(is_served(&Client::showing(scene.dir.path(), "near"), scene.at()).await);

    // An edge with nothing to show gets nothing; one that does not trust the shield asks nothing.
    let servers = scene.dir.path().join("servers.pem").display().to_string();
    let mut bare = near(scene.dir.path(), "bare", &scene.shield, &servers, None);
    bare.start().await;
    let strange = Authority::new().write(strangers.path(), "ca.pem").display().to_string();
    let mut wary = near(scene.dir.path(), "wary", &scene.shield, &strange, Some("near"));
    wary.start().await;
    for edge in [&bare, &wary] {
        let answer = client::client().get(format!("{}/c", edge.url())).send().await.unwrap();
        assert!(answer.status().is_server_error(), "{}: {}", edge.name(), answer.status());
    }
}

#[tokio::test]
async fn authorities_and_certificates_of_tiers_are_changed_while_they_run() {
    let scene = Scene::start().await;
    let old = Client::showing(scene.dir.path(), "near");
    assert!(is_served(&old, scene.at()).await);

    let next = Authority::new();
    next.issue(scene.dir.path(), "near", &["near.sluice.test"]);
    next.write(scene.dir.path(), "clients.pem");
    let new = Client::showing(scene.dir.path(), "near");
    let begun = Instant::now();
    while is_served(&old, scene.at()).await || !is_served(&new, scene.at()).await {
        assert!(begun.elapsed() < LIMIT, "the shield goes by its former authority");
        sleep(Duration::from_millis(50)).await;
    }
    while scene.edge.metric("sluice_peer_tls_reloads_total", &["loaded"]).await == 0.0 {
        assert!(begun.elapsed() < LIMIT, "the edge does not read its certificate anew");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(client::bytes(&format!("{}/d", scene.edge.url())).await, b"from the origin");
}
