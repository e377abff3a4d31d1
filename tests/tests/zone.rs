//! Names that lead to edges, as an independent resolver library sees them.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use serde_json::{Value, json};
use sluice_tests::cities::{Cities, VIDEO, sites};
use sluice_tests::nodes;
use sluice_tests::process::free_port;
use sluice_tests::programs::printed;
use sluice_tests::python::python;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const DNSPYTHON: &[&str] = &["dnspython==2.9.2"];

/// A control plane with a zone, and two edges in each of two cities.
struct Zone {
    cities: Cities,
    port: u16,
}

impl Zone {
    async fn start() -> Self {
        let port = free_port();
        let flags = [
            ("dns.listen", format!("127.0.0.1:{port}")),
            ("dns.zone", "cdn.example".into()),
            ("dns.servers", "[\"ns1.example\"]".into()),
        ];
        let cities = Cities::empty(&flags).await;
        for (name, site) in [("fra-a", "fra"), ("fra-b", "fra"), ("nyc-a", "nyc"), ("nyc-b", "nyc")] {
            let mut report = nodes::report(name, site);
            report["public_url"] = json!(format!("https://{name}.example:8443"));
            nodes::reports(&cities.process.url(), &report).await;
        }
        cities.all_are_there(4).await;
        let zone = Self { cities, port };
        zone.configure(json!({})).await;
        zone
    }

    async fn configure(&self, more: Value) {
        let at = |four: &str, six: &str| json!({ "addresses": [four, six] });
        let mut config = sites(json!({ "nodes": {
            "fra-a": at("192.0.2.1", "2001:db8::1"), "fra-b": at("192.0.2.2", "2001:db8::2"),
            "nyc-a": at("192.0.2.3", "2001:db8::3"), "nyc-b": at("192.0.2.4", "2001:db8::4"),
        }}));
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.cities.configure(&config).await;
    }

    async fn ask(&self, questions: Value) -> Vec<Value> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/names.py");
        let port = self.port.to_string();
        let asked = move || {
            let mut command = Command::new(python(DNSPYTHON));
            command.arg(script).args(["127.0.0.1", &port]).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(questions.to_string().as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            serde_json::from_str(&printed("names.py", &output)).unwrap()
        };
        tokio::task::spawn_blocking(asked).await.unwrap()
    }
}

#[tokio::test]
async fn a_name_leads_each_network_to_its_nearest_edges() {
    let zone = Zone::start().await;
    let name = format!("{VIDEO}.cdn.example");
    let (german, american) = ("127.0.1.0/24", "127.0.2.0/24");
    let told = zone
        .ask(json!([
            { "name": name, "kind": "A", "subnet": german },
            { "name": name, "kind": "A", "subnet": american, "tcp": true },
            { "name": name, "kind": "AAAA", "subnet": german },
            { "name": name.to_uppercase(), "kind": "A", "subnet": "127.0.1.0/20" },
            { "name": name, "kind": "A" },
            { "name": "nyc-b.nodes.cdn.example", "kind": "A" },
        ]))
        .await;
    assert_eq!(told[0]["answers"], json!(["192.0.2.1", "192.0.2.2"]), "{told:?}");
    assert_eq!((&told[0]["subnet"], &told[0]["authoritative"]), (&json!([[24, 24]]), &json!(true)));
    assert!((1..=20).contains(&told[0]["ttl"].as_u64().unwrap()));
    assert_eq!(told[1]["answers"], json!(["192.0.2.3", "192.0.2.4"]));
    assert_eq!(told[2]["answers"], json!(["2001:db8::1", "2001:db8::2"]));
    assert_eq!(
        (&told[3]["subnet"], &told[3]["code"]),
        (&json!([[20, 20]]), &json!("NOERROR")),
        "no longer than asked"
    );
    assert_eq!((told[4]["answers"].as_array().unwrap().len(), &told[4]["subnet"]), (2, &json!([])));
    assert_eq!(told[5]["answers"], json!(["192.0.2.4"]));

    let told = zone
        .ask(json!([
            { "name": name, "kind": "HTTPS", "subnet": german },
            { "name": "cdn.example", "kind": "NS" },
            { "name": "cdn.example", "kind": "SOA" },
            { "name": name, "kind": "TXT" },
            { "name": "other.example", "kind": "A" },
        ]))
        .await;
    let https: Vec<&str> =
        told[0]["answers"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    assert_eq!(https.len(), 2);
    assert!(
        https[0].starts_with("1 fra-")
            && https[0]
                .contains(".nodes.cdn.example. alpn=\"h3,h2,http/1.1\" port=\"8443\" ipv4hint=\"192.0.2."),
        "{https:?}"
    );
    assert_eq!(told[1]["answers"], json!(["ns1.example."]));
    assert!(told[2]["answers"][0].as_str().unwrap().starts_with("ns1.example. hostmaster.cdn.example. "));
    assert_eq!(
        (&told[3]["code"], &told[3]["answers"], &told[3]["authority"]),
        (&json!("NOERROR"), &json!([]), &json!(["SOA"]))
    );
    assert_eq!((&told[4]["code"], &told[4]["authoritative"]), (&json!("REFUSED"), &json!(false)));
    let refused = zone.cities.process.metric("sluice_control_dns_total", &["refused"]).await;
    assert_eq!(refused, 1.0);
}

#[tokio::test]
async fn names_follow_drains_and_an_outside_cdn_is_another_name() {
    let zone = Zone::start().await;
    let german = json!([{ "name": "film.cdn.example", "kind": "A", "subnet": "127.0.1.0/24" }]);
    let drain = format!("{}/v1/nodes/fra-a/drain", zone.cities.process.url());
    assert!(reqwest::Client::new().post(drain).send().await.unwrap().status().is_success());
    assert_eq!(zone.ask(german.clone()).await[0]["answers"], json!(["192.0.2.2"]));

    zone.configure(json!({ "pathways": { "cdn-x": { "host": "https://x.cdn.example.com", "share": 1.0 } } }))
        .await;
    let told = zone.ask(german).await;
    assert_eq!((&told[0]["kinds"], &told[0]["answers"]), (&json!(["CNAME"]), &json!(["x.cdn.example.com."])));
}
