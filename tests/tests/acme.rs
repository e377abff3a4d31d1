//! An edge that orders its certificate itself, from an authority that is started for the story.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use rustls::pki_types::CertificateDer;
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::process::{Process, free_port};
use sluice_tests::stack::lone_edge;
use sluice_tests::tls::{Authority, Client};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// How long an order may take on a busy machine, with a failed one before it.
const LIMIT: Duration = Duration::from_secs(60);
/// The name that is ordered for.
const NAME: &str = "video.sluice.test";

/// A program of the story; killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop((self.0.kill(), self.0.wait()));
    }
}

fn run(dir: &Path, program: &str, args: &[&str]) -> Running {
    let log = std::fs::File::create(dir.join(format!("{program}.log"))).unwrap();
    let child = Command::new(program)
        .args(args)
        .env("PEBBLE_VA_NOSLEEP", "1")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn();
    Running(child.unwrap_or_else(|e| panic!("{program}: {e}; .ci/setup test installs it")))
}

/// An authority, its resolver (every name is here), and an edge that knows of it.
struct Scene {
    edge: Process,
    management: String,
    dir: TempDir,
    _origin: ScriptedOrigin,
    _programs: [Running; 2],
}

impl Scene {
    /// `life` is that of certificates, in seconds.
    async fn start(challenge: &str, life: u32) -> Self {
        let dir = tempfile::Builder::new().prefix("sluice-acme-").tempdir().unwrap();
        let authority = Authority::new();
        let ca = authority.write(dir.path(), "ca.pem").display().to_string();
        authority.issue(dir.path(), "pebble", &["localhost"]);
        let [directory, management, dns, control, http, https] = std::array::from_fn(|_| free_port());
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{directory}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": dir.path().join("pebble.crt"),
            "privateKey": dir.path().join("pebble.key"),
            "httpPort": http,
            "tlsPort": https,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "certificateValidityPeriod": life,
        }});
        let file = dir.path().join("pebble.json").display().to_string();
        std::fs::write(&file, config.to_string()).unwrap();
        let (dns, control) = (format!("127.0.0.1:{dns}"), format!("127.0.0.1:{control}"));
        let resolver = ["-defaultIPv6", "", "-dns01", &dns, "-management", &control];
        let nothing_else = ["-http01", "", "-https01", "", "-tlsalpn01", ""];
        let programs = [
            run(dir.path(), "pebble-challtestsrv", &[&resolver[..], &nothing_else[..]].concat()),
            run(dir.path(), "pebble", &["-config", &file, "-dnsserver", &dns]),
        ];
        let origin = ScriptedOrigin::start(|_| async { answer(200, &[], "from the origin") }).await;
        let directory = format!("https://localhost:{directory}/dir");
        let state = dir.path().join("acme").display().to_string();
        let (http, https) = (format!("127.0.0.1:{http}"), format!("127.0.0.1:{https}"));
        let flags = [
            ("listen.http", http.as_str()),
            ("listen.https", &https),
            ("tls.acme.directory", &directory),
            ("tls.acme.names", NAME),
            ("tls.acme.contact", "mailto:ops@sluice.test"),
            ("tls.acme.state_dir", &state),
            ("tls.acme.challenge", challenge),
            ("tls.acme.ca", &ca),
        ];
        let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &flags);
        edge.start().await;
        let management = format!("https://localhost:{management}");
        Self { edge, management, dir, _origin: origin, _programs: programs }
    }

    fn at(&self) -> &str {
        self.edge.at.https.as_deref().unwrap()
    }

    /// A client that trusts the authority and nobody else.
    async fn client(&self) -> Client {
        let http = reqwest::Client::builder().danger_accept_invalid_certs(true).build().unwrap();
        let begun = Instant::now();
        loop {
            if let Ok(root) = http.get(format!("{}/roots/0", self.management)).send().await {
                return Client::trusting(&root.text().await.unwrap());
            }
            assert!(begun.elapsed() < LIMIT, "the authority does not come up: {}", self.said());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a handshake is good, and gives the certificate that is not `before`.
    async fn issued(&self, client: &Client, before: Option<&CertificateDer<'_>>) -> CertificateDer<'static> {
        let begun = Instant::now();
        loop {
            if let Ok(mut connection) = client.connect(self.at(), NAME).await {
                let certificate = connection.certificate();
                if before != Some(&certificate) {
                    assert_eq!(connection.get(NAME, "/").await.unwrap().0, 200);
                    return certificate;
                }
            }
            assert!(begun.elapsed() < LIMIT, "no certificate: {}", self.said());
            sleep(Duration::from_millis(100)).await;
        }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("pebble.log")).unwrap_or_default()
    }
}

#[tokio::test]
async fn a_certificate_is_ordered_over_tls_and_renewed_before_it_ends() {
    let scene = Scene::start("tls-alpn-01", 20).await;
    let client = scene.client().await;
    let first = scene.issued(&client, None).await;
    let second = scene.issued(&client, Some(&first)).await;
    assert_ne!(first, second);
    assert!(scene.edge.metric("sluice_acme_orders_total", &["issued"]).await >= 2.0);
    assert!(scene.edge.metric("sluice_acme_expires_seconds", &[]).await > 0.0);
}

#[tokio::test]
async fn a_certificate_is_ordered_over_http_and_kept_over_a_restart() {
    let mut scene = Scene::start("http-01", 86_400).await;
    let client = scene.client().await;
    let first = scene.issued(&client, None).await;
    let state = scene.dir.path().join("acme");
    for file in ["account.json", "certificate.pem"] {
        let mode = std::fs::metadata(state.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    scene.edge.kill9();
    scene.edge.start().await;
    assert_eq!(scene.issued(&client, None).await, first);
    assert_eq!(scene.edge.metric("sluice_acme_orders_total", &[]).await, 0.0);
}
