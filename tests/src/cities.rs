//! A control plane that knows two cities: where addresses are, and a site of edges in each.

use crate::client::{ask, client, plain};
use crate::process::Process;
use crate::stack::{Engines, control_plane};
use crate::{mmdb, nodes};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::path::Path;
use tempfile::TempDir;

/// A video's name; nothing of it has to exist.
pub const VIDEO: &str = "05b05hcr0ydvv";
/// A viewer near Frankfurt, of network 64496; the other's is 64497.
pub const GERMAN: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 7);
/// Near New York.
pub const AMERICAN: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 7);

/// The control plane. Its sites are `fra` and `nyc`.
#[derive(Debug)]
pub struct Cities {
    /// The process.
    pub process: Process,
    dir: TempDir,
}

impl Cities {
    /// With two edges in each, which only report.
    pub async fn start() -> Self {
        // Nothing serves at their addresses, which is not what these stories are about.
        let cities = Self::empty(&[("health.look_ms", "0".into())]).await;
        for (name, site) in [("fra-a", "fra"), ("fra-b", "fra"), ("nyc-a", "nyc"), ("nyc-b", "nyc")] {
            nodes::reports(&cities.process.url(), &nodes::report(name, site)).await;
        }
        cities.all_are_there(4).await;
        cities
    }

    /// Without any edge.
    pub async fn empty(more: &[(&'static str, String)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (places, networks) = (dir.path().join("places.mmdb"), dir.path().join("networks.mmdb"));
        let (german, american) = (([127, 0, 1, 0], 24), ([127, 0, 2, 0], 24));
        std::fs::write(&places, mmdb::cities(&[(german, "DE", 50.1, 8.7), (american, "US", 40.7, -74.0)]))
            .unwrap();
        std::fs::write(&networks, mmdb::networks(&[(german, 64_496), (american, 64_497)])).unwrap();
        let flags = [
            ("places_file", places.display().to_string()),
            ("networks_file", networks.display().to_string()),
            ("lease_ms", "600000".into()),
            ("origins", "http://127.0.0.1:9".into()),
        ];
        let flags = [&flags[..], more].concat();
        let mut process = control_plane(dir.path(), "control", &Engines::embedded(dir.path()), &flags);
        process.start().await;
        let cities = Self { process, dir };
        cities.configure(&sites(json!({}))).await;
        cities
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Puts a configuration in force.
    pub async fn configure(&self, config: &Value) {
        let put = client().put(format!("{}/v1/config", self.process.url()));
        let answer = put.header("if-match", "*").json(config).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }

    /// What a client at an address is told.
    pub async fn asks(&self, client: Ipv4Addr, path: &str) -> Value {
        let from = plain().local_address(Some(client.into()));
        let from = from.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let url =
            if path.starts_with("http") { path.into() } else { format!("{}{path}", self.process.url()) };
        from.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// A steering manifest for a client at an address.
    pub async fn steer(&self, client: Ipv4Addr) -> Value {
        self.asks(client, &format!("/steer/v/{VIDEO}")).await
    }

    /// What an operator is told.
    pub async fn operator(&self, path: &str) -> Value {
        ask(format!("{}{path}", self.process.url())).await.unwrap().json().await.unwrap()
    }

    /// Waits until so many edges are in the view.
    pub async fn all_are_there(&self, count: usize) {
        nodes::steerable(count, async || self.operator("/v1/steering/view").await).await;
    }
}

/// Where the two sites are, and what else is configured.
#[must_use]
pub fn sites(more: Value) -> Value {
    let mut config = json!({ "sites": {
        "fra": { "latitude": 50.0, "longitude": 8.6 },
        "nyc": { "latitude": 40.8, "longitude": -73.9 },
    }});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

/// The pathway that a manifest puts first.
#[must_use]
pub fn first(manifest: &Value) -> &str {
    manifest["PATHWAY-PRIORITY"][0].as_str().unwrap()
}

/// Where a session that does as it is told asks next.
#[must_use]
pub fn next(manifest: &Value) -> String {
    format!("{}&_HLS_pathway={}", manifest["RELOAD-URI"].as_str().unwrap(), first(manifest))
}
