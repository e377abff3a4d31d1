//! Access at an edge, from outside: who is let in, who is not, and that one copy serves all who may see it.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use reqwest::{Client, RequestBuilder, Response};
use serde_json::json;
use sluice_tests::client::{client, header, plain};
use sluice_tests::mmdb;
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::process::{Process, binary, free_port};
use sluice_tests::programs::printed;
use sluice_tests::stack::lone_edge;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

const RULES: &str = r#"
[[rule]]
prefix = "/v/"
need = "either"
[[rule]]
prefix = "/v/acme"
need = "token"
tenants = ["acme"]
[[rule]]
prefix = "/v/open"
need = "open"
[[rule]]
prefix = "/v/signed"
need = "signed"
"#;

struct Story {
    dir: TempDir,
    origin: ScriptedOrigin,
    edge: Process,
    http: Client,
}

impl Story {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // The origin says in its body what it saw of credentials: it must never be any.
        let origin = ScriptedOrigin::start(|request| async move {
            let field = |name: &str| request.headers().get(name).is_some();
            let seen = field("authorization") || field("cookie") || field("common-access-token");
            let status = if request.uri().path().ends_with("/none") { 404 } else { 200 };
            let query = request.uri().query().unwrap_or_default().to_owned();
            answer(
                status,
                &[("cache-control", "public, max-age=600")],
                format!("credentials {seen} query {query}"),
            )
        })
        .await;
        std::fs::write(dir.path().join("rules.toml"), RULES).unwrap();
        std::fs::write(dir.path().join("keys.json"), key(dir.path(), "first")).unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let (rules, keys) = (path("rules.toml"), path("keys.json"));
        let flags =
            [("access.rules_file", rules.as_str()), ("access.keys_file", &keys), ("access.poll_ms", "20")];
        let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &flags);
        edge.start().await;
        Self { dir, origin, edge, http: client() }
    }

    fn get(&self, target: &str) -> RequestBuilder {
        self.http.get(format!("{}{target}", self.edge.url()))
    }

    async fn status(&self, request: RequestBuilder) -> u16 {
        request.send().await.unwrap().status().as_u16()
    }

    fn token(&self, key: &str, more: &[&str]) -> String {
        sluice(&[&["token", "--key", &file(self.dir.path(), key), "--id", key], more].concat())
    }

    fn sign(&self, more: &[&str]) -> String {
        sluice(&[&["sign-url", "--key", &file(self.dir.path(), "first"), "--id", "first"], more].concat())
    }

    /// Waits for a request to get this status, as an outside client can.
    async fn eventually(&self, status: u16, request: impl Fn() -> RequestBuilder) -> Response {
        let begun = Instant::now();
        loop {
            let answer = request().send().await.unwrap();
            if answer.status().as_u16() == status {
                return answer;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "still {}, not {status}", answer.status());
            sleep(Duration::from_millis(20)).await;
        }
    }
}

fn file(dir: &Path, key: &str) -> String {
    dir.join(format!("{key}.pem")).display().to_string()
}

fn sluice(args: &[&str]) -> String {
    let program: PathBuf = binary("sluice");
    let output = Command::new(program).args(args).output().unwrap();
    printed(args, &output).trim().to_owned()
}

/// Makes a private key; its public key as a JWKS.
fn key(dir: &Path, id: &str) -> String {
    sluice(&["key", &file(dir, id), "--id", id])
}

#[tokio::test]
async fn each_kind_of_credential_is_let_in_where_it_may() {
    let story = Story::start().await;
    let token = story.token("first", &["--sub", "u1", "--path", "/v/a"]);

    // Nothing: a challenge that a page of any origin can read, and the origin is not asked.
    let refused = story.get("/v/a/1.m4s").header("origin", "http://page").send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(header(&refused, "www-authenticate"), "Bearer realm=\"sluice\"");
    assert_eq!(header(&refused, "content-type"), "application/problem+json");
    assert_eq!(header(&refused, "access-control-allow-origin"), "*");
    assert_eq!(story.status(story.http.head(format!("{}/v/a/1.m4s", story.edge.url()))).await, 401);
    assert_eq!(story.origin.asked_in_all(), 0);

    // A page asks for leave to bring a token.
    let leave = story
        .http
        .request(reqwest::Method::OPTIONS, format!("{}/v/a/1.m4s", story.edge.url()))
        .header("origin", "http://page")
        .header("access-control-request-method", "GET")
        .send()
        .await
        .unwrap();
    assert_eq!(leave.status(), 204);
    assert!(header(&leave, "access-control-allow-headers").contains("authorization"));

    // The same token in each place it may stand; one fetch for all, and no credential leaves the edge.
    let signed = story.sign(&["/v/a/1.m4s"]);
    let below = story.sign(&["/v/a/1.m4s", "--prefix", "/v/a/"]);
    for request in [
        story.get("/v/a/1.m4s").bearer_auth(&token),
        story.get("/v/a/1.m4s").header("common-access-token", &token),
        story.get("/v/a/1.m4s").header("cookie", format!("x=1; sluice-token={token}")),
        story.get(&format!("/v/a/1.m4s?sluice-token={token}")),
        story.get(&signed),
        story.get(&below),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(header(&answer, "cache-control"), "private, max-age=600");
        let body = answer.text().await.unwrap();
        assert!(body.ends_with("query "), "{body}");
    }
    assert_eq!(story.origin.asked("/v/a/1.m4s"), 1);
    assert_eq!(story.origin.asked_in_all(), 1);

    // What does not fit, each with its status.
    let acme = story.token("first", &["--tenant", "acme"]);
    let other = story.token("first", &["--tenant", "other"]);
    let later = story.token("first", &["--ttl", "0", "--client", "192.0.2.7"]);
    for (status, request) in [
        (403, story.get("/v/ab/1.m4s").bearer_auth(&token)),
        (403, story.get("/v/%61b").bearer_auth(&token)),
        (403, story.get("/v/b").bearer_auth(&token)),
        (400, story.get("/v/a//b").bearer_auth(&token)),
        (401, story.get("/v/a/1.m4s").bearer_auth(format!("{token}x"))),
        (401, story.get("/v/%61/1.m4s")),
        (401, story.get(&signed.replace("1.m4s", "2.m4s"))),
        (400, story.get(&signed).bearer_auth(&token)),
        (200, story.get("/v/acme/x").bearer_auth(&acme)),
        (403, story.get("/v/acme/x").bearer_auth(&other)),
        (401, story.get(&story.sign(&["/v/acme/x"]))),
        (401, story.get("/v/signed/x").bearer_auth(&token)),
        (200, story.get(&story.sign(&["/v/signed/x"]))),
        (403, story.get("/v/a/1.m4s").bearer_auth(&later)),
        (200, story.get("/v/open/x")),
        (200, story.get("/elsewhere")),
    ] {
        let request = request.build().unwrap();
        let target = format!("{} {:?}", request.url(), request.headers().keys().collect::<Vec<_>>());
        assert_eq!(story.http.execute(request).await.unwrap().status().as_u16(), status, "{target}");
    }
    let forged = story.edge.metric("sluice_edge_access_total", &["result=\"signature\""]).await;
    assert_eq!(forged, 1.0, "the URL signed for another path; a token with a letter more is malformed");
}

#[tokio::test]
async fn a_hit_is_no_way_around_a_rule() {
    let story = Story::start().await;
    let token = story.token("first", &[]);
    for _ in 0..2 {
        assert_eq!(story.status(story.get("/v/b/1.m4s").bearer_auth(&token)).await, 200);
    }
    assert_eq!(story.origin.asked("/v/b/1.m4s"), 1, "it is kept");
    assert_eq!(story.status(story.get("/v/b/1.m4s")).await, 401);
    // Open things take the shortest way still.
    for _ in 0..2 {
        assert_eq!(story.status(story.get("/v/open/1")).await, 200);
    }
    assert!(story.edge.metric("sluice_edge_requests_total", &["hit"]).await >= 2.0);
}

#[tokio::test]
async fn what_came_in_a_query_goes_on_in_a_cookie() {
    let story = Story::start().await;
    let below = story.sign(&["/v/c/master.m3u8", "--prefix", "/v/c/"]);
    for first in [format!("/v/c/master.m3u8?sluice-token={}", story.token("first", &[])), below] {
        let answer = story.get(&first).send().await.unwrap();
        let cookie = header(&answer, "set-cookie");
        assert!(cookie.starts_with("sluice-token=") && cookie.contains("Path=/v/; "), "{cookie}");
        assert!(cookie.contains("HttpOnly"), "{cookie}");
        let pair = cookie.split(';').next().unwrap().to_owned();
        assert_eq!(story.status(story.get("/v/c/1.m4s").header("cookie", pair)).await, 200);
    }
    assert_eq!(story.status(story.get("/v/c/1.m4s")).await, 401);
    let missing = story.get(&format!("/v/c/none?sluice-token={}", story.token("first", &[])));
    assert_eq!(header(&missing.send().await.unwrap(), "set-cookie"), "", "only where all went well");
}

#[tokio::test]
async fn keys_and_rules_change_while_it_runs() {
    let story = Story::start().await;
    let at = |name: &str| story.dir.path().join(name);
    let first = story.token("first", &[]);
    let get = |token: &str| {
        let (story, token) = (&story, token.to_owned());
        move || story.get("/v/a").bearer_auth(&token)
    };
    assert_eq!(story.status(story.get("/v/a").bearer_auth(&first)).await, 200);

    // A second key beside the first, then alone.
    let set = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["keys"][0].clone();
    let (one, two) = (set(&key(story.dir.path(), "first")), set(&key(story.dir.path(), "second")));
    let second = story.token("second", &[]);
    assert_eq!(story.status(story.get("/v/a").bearer_auth(&second)).await, 401);
    std::fs::write(at("keys.json"), json!({ "keys": [one, two] }).to_string()).unwrap();
    story.eventually(200, get(&second)).await;
    assert_eq!(story.status(story.get("/v/a").bearer_auth(&first)).await, 200, "until its key is removed");
    std::fs::write(at("keys.json"), json!({ "keys": [two] }).to_string()).unwrap();
    story.eventually(401, get(&first)).await;

    // A file that is none is counted, and changes nothing.
    std::fs::write(at("keys.json"), "{\"keys\": [").unwrap();
    std::fs::write(at("rules.toml"), "[[rule]]\nprefix = 7").unwrap();
    let begun = Instant::now();
    while story.edge.metric("sluice_edge_access_reads_total", &["bad"]).await < 2.0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "bad files are counted");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(story.status(story.get("/v/a").bearer_auth(&second)).await, 200);
    assert_eq!(story.status(story.get("/v/a")).await, 401);

    // Put in place at once: a file that is read while it is written would be one without rules.
    std::fs::write(at("next.toml"), "[[rule]]\nprefix = \"/w/\"\nneed = \"token\"\n").unwrap();
    std::fs::rename(at("next.toml"), at("rules.toml")).unwrap();
    story.eventually(200, || story.get("/v/a")).await;
    assert_eq!(story.status(story.get("/w/a")).await, 401);
}

#[tokio::test]
async fn a_redirect_carries_the_credential_on() {
    let story = Story::start().await;
    let dir = tempfile::tempdir().unwrap();
    // A route table as an edge keeps it, with another edge to go to; and no origin that answers.
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let node = |name: &str| {
        let url = format!("http://{name}");
        json!({ "node": name, "tier": "near", "site": "local", "state": "ready", "weight": 1.0,
            "peer_url": url, "public_url": url })
    };
    let table = json!({ "version": 1, "nodes": [node("near-a"), node("near-b")], "origins": [nobody] });
    std::fs::create_dir(dir.path().join("near-a")).unwrap();
    std::fs::write(dir.path().join("near-a/routes.json"), table.to_string()).unwrap();
    let at = |name: &str| story.dir.path().join(name).display().to_string();
    let (rules, keys) = (at("rules.toml"), at("keys.json"));
    let flags = [("access.rules_file", rules.as_str()), ("access.keys_file", &keys)];
    let mut edge = lone_edge(dir.path(), "near-a", &nobody, &flags);
    edge.start().await;
    let id = sluice_wire::VideoId::from_parts(1_800_000_000_000, 3);
    let target = format!("/v/{id}/v240/0-00112233445566778899aabbccddeeff.m4s");
    let token = story.token("first", &[]);
    let signed = story.sign(&[&target]);
    for request in [
        story.http.get(format!("{}{target}", edge.url())).bearer_auth(&token),
        story.http.get(format!("{}{target}?sluice-token={token}", edge.url())),
        story.http.get(format!("{}{signed}", edge.url())),
    ] {
        let sent_on = request.send().await.unwrap();
        assert_eq!(sent_on.status(), 307);
        let location = header(&sent_on, "location");
        let there = location.strip_prefix("http://near-b").unwrap();
        assert!(there.starts_with(&format!("{target}?sluice-tried=near-a&sluice-")), "{location}");
        // The next edge lets it in.
        assert_eq!(story.status(story.get(there)).await, 200, "{location}");
    }
    assert_eq!(story.origin.asked(&target), 1);
}

#[tokio::test]
async fn edges_of_a_lower_tier_are_not_asked_again() {
    let story = Story::start().await;
    let at = |name: &str| story.dir.path().join(name).display().to_string();
    let (rules, keys) = (at("rules.toml"), at("keys.json"));
    let flags = [
        ("tier", "shield"),
        ("access.rules_file", rules.as_str()),
        ("access.keys_file", &keys),
        ("access.peers", "127.0.0.2/32"),
    ];
    let mut shield = lone_edge(story.dir.path(), "shield", &story.origin.url(), &flags);
    shield.start().await;
    let near = plain().local_address("127.0.0.2".parse::<IpAddr>().unwrap()).build().unwrap();
    let url = format!("{}/v/a", shield.url());
    let answer = near.get(&url).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), header(&answer, "cache-control")),
        (200, "public, max-age=600".into())
    );
    // Others are, whatever they say of themselves.
    let other = story.http.get(&url).header("x-forwarded-for", "127.0.0.2").header("via", "1.1 near");
    assert_eq!(story.status(other).await, 401);
}

#[tokio::test]
async fn too_many_requests_are_told_when_to_come_back() {
    let story = Story::start().await;
    let rules = "[[rule]]\nprefix = \"/v/\"\nneed = \"open\"\nrate = { requests = 3, seconds = 6 }\n\
        [[rule]]\nprefix = \"/w/\"\nneed = \"token\"\nrate = { requests = 1, seconds = 600, by = \"subject\" }\n";
    std::fs::write(story.dir.path().join("rules.toml"), rules).unwrap();
    story.eventually(401, || story.get("/w/x")).await;
    let from = |address: &str| {
        let address = address.parse::<IpAddr>().unwrap();
        let http = plain().local_address(address).build().unwrap();
        http.get(format!("{}/v/1", story.edge.url()))
    };
    // Even what is kept counts: the shortest way is no way around.
    let mut refused = None;
    for n in 0..20 {
        let answer = from("127.0.0.2").send().await.unwrap();
        if answer.status() == 429 {
            assert!(n >= 3, "{n}");
            refused = Some(answer);
            break;
        }
        assert!(header(&answer, "ratelimit").starts_with("\"requests\";r="), "{:?}", answer.headers());
    }
    let refused = refused.expect("the fourth of a few at once is one too many");
    let wait: u64 = header(&refused, "retry-after").parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    assert_eq!(header(&refused, "ratelimit-policy"), "\"requests\";q=3;w=6");
    assert_eq!(header(&refused, "content-type"), "application/problem+json");
    assert_eq!(story.status(from("127.0.0.3")).await, 200, "another client has a bucket of its own");
    story.eventually(200, || from("127.0.0.2")).await;

    let of = |subject: &str| story.get("/w/1").bearer_auth(story.token("first", &["--sub", subject]));
    assert_eq!(story.status(of("one")).await, 200);
    assert_eq!(story.status(of("one")).await, 429);
    assert_eq!(story.status(of("two")).await, 200);
}

#[tokio::test]
async fn places_decide_where_a_rule_or_a_token_says_so() {
    let story = Story::start().await;
    let at = |name: &str| story.dir.path().join(name).display().to_string();
    std::fs::write(
        at("rules.toml"),
        "[[rule]]\nprefix = \"/de\"\nneed = \"open\"\ncountries = { only = [\"DE\"] }\n\
        [[rule]]\nprefix = \"/not-fr\"\nneed = \"open\"\ncountries = { never = [\"FR\"] }\n\
        [[rule]]\nprefix = \"/token\"\nneed = \"token\"\n",
    )
    .unwrap();
    let (german, french) = (([127, 0, 0, 2], 32, "DE"), ([127, 0, 0, 4], 30, "FR"));
    std::fs::write(at("places.mmdb"), mmdb::countries(&[german, french])).unwrap();
    let (rules, keys, places) = (at("rules.toml"), at("keys.json"), at("places.mmdb"));
    let flags = [
        ("access.rules_file", rules.as_str()),
        ("access.keys_file", &keys),
        ("access.geo_file", &places),
        ("access.poll_ms", "20"),
    ];
    let mut edge = lone_edge(story.dir.path(), "geo", &story.origin.url(), &flags);
    edge.start().await;
    let from = |address: &str, target: &str| {
        let address = address.parse::<IpAddr>().unwrap();
        let http = plain().local_address(address).build().unwrap();
        http.get(format!("{}{target}", edge.url()))
    };
    let token = story.token("first", &["--country", "DE"]);
    for (address, de, not_fr, with_token) in
        [("127.0.0.2", 200, 200, 200), ("127.0.0.5", 403, 403, 403), ("127.0.0.1", 403, 200, 403)]
    {
        // What it says of where it comes from is not heard.
        let claims = from(address, "/de").header("x-forwarded-for", "127.0.0.2");
        assert_eq!(story.status(claims).await, de, "{address}");
        assert_eq!(story.status(from(address, "/not-fr")).await, not_fr, "{address}");
        assert_eq!(story.status(from(address, "/token").bearer_auth(&token)).await, with_token, "{address}");
    }
    // The database changes while it runs.
    std::fs::write(at("next.mmdb"), mmdb::countries(&[([127, 0, 0, 4], 30, "DE")])).unwrap();
    std::fs::rename(at("next.mmdb"), at("places.mmdb")).unwrap();
    story.eventually(200, || from("127.0.0.5", "/de")).await;
    assert_eq!(story.status(from("127.0.0.2", "/de")).await, 403);
}

#[tokio::test]
async fn an_edge_does_not_start_on_rules_it_cannot_read() {
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("rules.toml");
    std::fs::write(&rules, "[[rule]]\nprefix = \"v\"\nneed = \"token\"\n").unwrap();
    let output = Command::new(binary("sluice-edge"))
        .args(["--origins", "http://127.0.0.1:1", "--listen.http", "127.0.0.1:0"])
        .args(["--state_dir", dir.path().join("state").to_str().unwrap()])
        .args(["--access.rules_file", rules.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("access.rules_file") && said.contains("rule v: prefix"), "{said}");
}
