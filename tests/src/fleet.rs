//! A fleet in several cities, over a film that was made before: control planes, an origin, a shield, two near edges a site,
//! each near edge behind a line of the story's own.

use crate::client::{self, client};
use crate::clips;
use crate::dns::{Says, ScriptedDns};
use crate::mmdb;
use crate::process::Process;
use crate::proxy::Proxy;
use crate::stack::{Engines, Options, Stack, control_plane};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// How long a fleet may take to come up on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A film that any number of fleets serve.
#[derive(Debug)]
pub struct Film {
    /// Its id.
    pub id: String,
    engines: Engines,
    _stack: Stack,
}

impl Film {
    /// Makes a small one of so many seconds.
    pub async fn made(seconds: u32) -> Self {
        Self::made_of(seconds, "320x180", 25).await
    }

    /// Makes one of so many seconds, this size and so many frames a second.
    pub async fn made_of(seconds: u32, size: &str, rate: u32) -> Self {
        let mut stack = Stack::with(Options::default()).await;
        let made = client::put(&stack.edge(), "film.mp4", clips::made(seconds, size, rate)).await;
        let id = made["id"].as_str().unwrap().to_owned();
        client::wait_ready(&stack.edge(), &id).await;
        // Its store is all that is needed of it.
        [&mut stack.transcoder, &mut stack.origin, &mut stack.shield, &mut stack.control]
            .into_iter()
            .chain(&mut stack.near)
            .for_each(Process::kill9);
        Self { id, engines: stack.engines().clone(), _stack: stack }
    }
}

/// What may differ from fleet to fleet.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Its sites, at most [`CITIES`]; the sixth is far from the others.
    pub sites: &'static [&'static str],
    /// Databases of its control planes, one each; an embedded one of its own, if there is none.
    pub databases: Vec<String>,
    /// Milliseconds after which a silent node is gone.
    pub lease_ms: u64,
    /// Seconds between two questions of players in peace.
    pub calm_ttl_s: u32,
    /// Each near edge has a line of its own to all that it fetches from: [`Edge::behind`].
    pub apart: bool,
}

impl Default for Layout {
    fn default() -> Self {
        Self { sites: &["fra"], databases: vec![], lease_ms: 3_000, calm_ttl_s: 300, apart: false }
    }
}

/// Sites that have a place on earth.
pub const CITIES: usize = 6;

/// A near edge, and the line that leads players to it.
#[derive(Debug)]
pub struct Edge {
    /// The process.
    pub process: Process,
    /// Players' way to it.
    pub line: Proxy,
    /// Its own way to each node that it fetches from, where the layout has it so.
    pub behind: Vec<Proxy>,
    /// Its site.
    pub site: &'static str,
    _names: Option<ScriptedDns>,
}

/// A running fleet.
#[derive(Debug)]
pub struct Fleet {
    /// Control planes.
    pub planes: Vec<Process>,
    /// Its shield.
    pub shield: Process,
    /// Its origin.
    pub origin: Process,
    /// Its near edges, two a site: `fra-a`, `fra-b`.
    pub edges: Vec<Edge>,
    film: String,
    dir: TempDir,
    _names: ScriptedDns,
}

/// An address of a viewer near a site, by the site's place in the layout.
#[must_use]
pub fn viewer_at(site: usize, number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, u8::try_from(site + 1).unwrap(), number))
}

/// Five cities on the equator some hundred kilometres from each other, and one at the other end of it.
fn longitude(site: usize) -> f64 {
    if site == 5 { 170.0 } else { site as f64 * 5.0 }
}

/// Where viewers are.
fn atlas(dir: &Path) -> String {
    let network = |site: usize| ([127, 0, u8::try_from(site + 1).unwrap(), 0], 24);
    let places: Vec<_> = (0..CITIES).map(|site| (network(site), "DE", 0.5, longitude(site))).collect();
    let file = dir.join("places.mmdb");
    std::fs::write(&file, mmdb::cities(&places)).unwrap();
    file.display().to_string()
}

impl Fleet {
    /// Starts one, and waits until all of it serves.
    pub async fn start(film: &Film, layout: &Layout) -> Self {
        let dir = tempfile::Builder::new().prefix("sluice-fleet-").tempdir().unwrap();
        let ports = Ports::new(layout);
        let origin_url = ports.url("origin", ports.origin);
        let planes = planes(dir.path(), layout, &origin_url).await;
        let control: Vec<String> = planes.iter().map(Process::url).collect();
        let mut origin = origin(dir.path(), film, ports.origin, &control[0]);
        let mut shield = ports.edge(dir.path(), "shield", ports.shield, &control);
        shield.set("tier", "shield");
        let names = ScriptedDns::start(Says::Addresses(vec![Ipv4Addr::LOCALHOST], 60)).await.unwrap();
        shield.set("dns.servers", &names.at.to_string());
        tokio::join!(origin.start(), shield.start());
        let mut edges = vec![];
        for at in 0..ports.near.len() {
            edges.push(near(dir.path(), &ports, at, &control).await);
        }
        futures::future::join_all(edges.iter_mut().map(|edge| edge.process.start())).await;
        let fleet = Self { planes, shield, origin, edges, film: film.id.clone(), dir, _names: names };
        fleet.configure(&config(layout)).await;
        fleet.settled().await;
        fleet
    }

    /// Puts a configuration in force.
    pub async fn configure(&self, config: &Value) {
        let put = client().put(format!("{}/v1/config", self.planes[0].url()));
        let answer = put.header("if-match", "*").json(config).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }

    /// Waits until all control planes know all edges, and each edge follows.
    async fn settled(&self) {
        let begun = Instant::now();
        loop {
            let mut good = true;
            for plane in 0..self.planes.len() {
                good &= self.states(plane).await.iter().filter(|(_, state)| state == "ready").count()
                    == self.edges.len() + 1;
            }
            for edge in self.edges.iter().map(|edge| &edge.process).chain([&self.shield]) {
                let url = format!("http://{}/readyz", edge.at.admin.as_ref().unwrap());
                good &= client::ask(url).await.is_ok_and(|answer| answer.status().is_success());
            }
            if good {
                return;
            }
            assert!(begun.elapsed() < LIMIT, "the fleet did not settle");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Each node's state, as a control plane has it; nothing when it does not answer.
    pub async fn states(&self, plane: usize) -> Vec<(String, String)> {
        let url = format!("{}/v1/routes?after=0", self.planes[plane].url());
        let table: Value = match client::ask(url).await {
            Ok(answer) => answer.json().await.unwrap_or_default(),
            Err(_) => return vec![],
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let nodes = table["nodes"].as_array().cloned().unwrap_or_default();
        nodes.iter().map(|node| (text(&node["node"]), text(&node["state"]))).collect()
    }

    /// Waits until a control plane has a node in another state than `ready`; when.
    pub async fn knows(&self, plane: usize, node: &str) -> Instant {
        let begun = Instant::now();
        loop {
            let states = self.states(plane).await;
            if states.iter().any(|(name, state)| name == node && state != "ready") {
                return Instant::now();
            }
            assert!(begun.elapsed() < LIMIT, "{node} is thought to be well: {states:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Where a player begins: what the first control plane redirects to, asked from an address.
    pub async fn master(&self, from: IpAddr) -> String {
        let line = client::plain().local_address(Some(from));
        let line = line.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let answer = line.get(format!("{}/r/{}", self.planes[0].url(), self.film)).send().await.unwrap();
        client::header(&answer, "location")
    }

    /// The edge that viewers of a site begin at, by its place in [`edges`](Self::edges).
    pub async fn first_of(&self, site: usize) -> usize {
        let master = self.master(viewer_at(site, 7)).await;
        self.edges.iter().position(|edge| master.starts_with(&edge.line.url())).unwrap()
    }

    /// Drains a node through the API of a control plane.
    pub async fn drain(&self, plane: usize, node: &str) {
        let url = format!("{}/v1/nodes/{node}/drain", self.planes[plane].url());
        let answer = client().post(url).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

async fn planes(dir: &Path, layout: &Layout, origin: &str) -> Vec<Process> {
    let engines = Engines::embedded(dir);
    let own = [engines.database.clone()];
    let databases = if layout.databases.is_empty() { &own[..] } else { &layout.databases };
    let flags = [
        ("origins", origin.to_owned()),
        ("placement.ramp_ms", "0".into()),
        ("lease_ms", layout.lease_ms.to_string()),
        ("places_file", atlas(dir)),
    ];
    let mut planes = vec![];
    for (number, database) in databases.iter().enumerate() {
        let engines = Engines { database: database.clone(), ..engines.clone() };
        let mut plane = control_plane(dir, &format!("control-{number}"), &engines, &flags);
        plane.start().await;
        planes.push(plane);
    }
    planes
}

fn origin(dir: &Path, film: &Film, port: u16, steering: &str) -> Process {
    let flags = [
        ("listen.http", format!("127.0.0.1:{port}")),
        ("listen.admin", "127.0.0.1:0".into()),
        ("steering_url", steering.to_owned()),
        ("storage.database", film.engines.database.clone()),
        ("storage.bus", film.engines.bus.clone()),
        ("storage.objects", film.engines.objects.clone()),
    ];
    Process::new("origin", "sluice-origin", dir, &flags)
}

/// A port that nobody has, and that nobody is given: below those of the kernel's own choice. What is to listen there may be
/// started long after, by any of several fleets.
fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(std::process::id() % 100).unwrap() * 100;
    loop {
        let port = 20_000 + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if std::net::TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

/// Where everything listens, on loopback.
struct Ports {
    apart: bool,
    origin: u16,
    shield: u16,
    /// Of all near edges' lines, each at an address of its own.
    players: u16,
    /// Name, site and port.
    near: Vec<(String, &'static str, u16)>,
}

impl Ports {
    fn new(layout: &Layout) -> Self {
        let two = |site: &&'static str| ["a", "b"].map(|letter| (format!("{site}-{letter}"), *site, port()));
        let near = layout.sites.iter().flat_map(two).collect();
        Self { apart: layout.apart, origin: port(), shield: port(), players: port(), near }
    }

    /// Where the others find one: by a name, if it is not to be the same place for all.
    fn url(&self, name: &str, port: u16) -> String {
        if self.apart { format!("http://{name}.test:{port}") } else { format!("http://127.0.0.1:{port}") }
    }

    fn edge(&self, dir: &Path, name: &str, port: u16, control: &[String]) -> Process {
        let flags = [
            ("listen.http", format!("127.0.0.1:{port}")),
            ("listen.admin", "127.0.0.1:0".to_owned()),
            ("peer_url", self.url(name, port)),
            ("node", name.to_owned()),
            ("control", control.join(",")),
            ("origins", self.url("origin", self.origin)),
            ("state_dir", dir.join(name).display().to_string()),
            ("report_ms", "200".to_owned()),
            ("dns.internal", "127.0.0.0/8".to_owned()),
        ];
        Process::new(name, "sluice-edge", dir, &flags)
    }
}

async fn near(dir: &Path, ports: &Ports, at: usize, control: &[String]) -> Edge {
    let (name, site, port) = &ports.near[at];
    // One port for all: it is their hosts that tell edges apart (rfc8216bis section 7.2).
    let at_players = Ipv4Addr::new(127, 0, 0, u8::try_from(31 + at).unwrap());
    let line = Proxy::start_at((at_players, ports.players).into(), ([127, 0, 0, 1], *port).into());
    let mut process = ports.edge(dir, name, *port, control);
    process.set("site", site);
    process.set("public_url", &line.url());
    let (mut behind, mut names) = (vec![], None);
    if ports.apart {
        // All names lead it to an address of its own, where a line to each of them begins.
        let here = Ipv4Addr::new(127, 0, 0, u8::try_from(11 + at).unwrap());
        let others = ports.near.iter().map(|(_, _, port)| *port).filter(|other| other != port);
        for port in others.chain([ports.shield, ports.origin]) {
            behind.push(Proxy::start_at((here, port).into(), ([127, 0, 0, 1], port).into()));
        }
        let dns = ScriptedDns::start(Says::Addresses(vec![here], 60)).await.unwrap();
        process.set("dns.servers", &dns.at.to_string());
        names = Some(dns);
    }
    Edge { process, line, behind, site, _names: names }
}

/// The sites' places, and how often players ask.
#[must_use]
pub fn config(layout: &Layout) -> Value {
    let sites = layout.sites.iter().enumerate();
    let sites: serde_json::Map<String, Value> = sites
        .map(|(at, site)| ((*site).to_owned(), json!({ "latitude": 0.0, "longitude": longitude(at) })))
        .collect();
    json!({ "sites": sites, "steering": { "calm_ttl_s": layout.calm_ttl_s } })
}
