//! Nodes of ours as private processes: any role of the demo's program, and a fleet of an origin with its apps and edges
//! before it, as `docs/accounts.md` has it: one key that the origin signs with and the edges trust.

use crate::cpu;
use crate::process::{Process, free_port, sibling};
use crate::wire::Wire;
use anyhow::{Context, ensure};
use reqwest::{Client, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_wire::AccountId;
use sluice_wire::token::jwt::Claims;
use sluice_wire::token::mint::SigningKey;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::process::Command;
use tokio::time::sleep;

/// How long a fleet may take to find itself.
const SETTLED: Duration = Duration::from_secs(30);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Connections that an edge takes of the one address that all clients here have.
const CROWD: &str = "30000";
/// Seconds for which tokens are good: longer than any run, and as long as an origin allows.
const TOKENS_S: u64 = 3_600;

/// Where a node listens, `host:port` each.
#[derive(Debug, Clone, Default, Deserialize)]
struct Addresses {
    http: Option<String>,
    https: Option<String>,
    admin: Option<String>,
}

/// One process of ours.
#[derive(Debug)]
pub(crate) struct Node {
    process: Process,
    at: Addresses,
    /// How it was started, without folders.
    pub(crate) command: String,
}

impl Node {
    /// Starts a role of the demo's program and waits until it serves. It has an admin listener and logs warnings, to
    /// `NAME.log` in the folder.
    pub(crate) async fn start(
        name: &str,
        role: &str,
        flags: &[&str],
        cpu: Option<usize>,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let announce = folder.join(format!("{name}.json"));
        // What one before it left is no sign that this one is up.
        drop(std::fs::remove_file(&announce));
        let mut command = Command::new(sibling("sluice-demo")?);
        command.args(["role", role]).args(flags);
        command.args(["--listen.admin", "127.0.0.1:0", "--log.filter", "warn"]);
        let home = folder.display().to_string();
        let words = command.as_std().get_args().map(|word| word.to_string_lossy().replace(&home, "DIR"));
        let shown = format!("sluice-demo {}", words.collect::<Vec<_>>().join(" "));
        command.arg("--listen.announce").arg(&announce);
        let mut process = Process::start(name, command, cpu, folder)?;
        let text = process.until(|| async { std::fs::read(&announce).ok() }).await?;
        let at = serde_json::from_slice(&text).context("reading an announcement")?;
        Ok(Self { process, at, command: shown })
    }

    /// Where it speaks HTTP without TLS.
    pub(crate) fn http(&self) -> anyhow::Result<&str> {
        self.at.http.as_deref().context("no plain listener")
    }

    /// Where it speaks TLS.
    pub(crate) fn https(&self) -> anyhow::Result<&str> {
        self.at.https.as_deref().context("no TLS listener")
    }

    /// The URL of its plain listener.
    pub(crate) fn url(&self) -> anyhow::Result<String> {
        Ok(format!("http://{}", self.http()?))
    }

    /// Processor time it has used so far.
    pub(crate) fn time(&self) -> anyhow::Result<Duration> {
        cpu::tree_time(self.process.pid()?)
    }

    /// Bytes it has in memory now.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        cpu::tree_resident(self.process.pid()?)
    }

    /// All that it exports.
    pub(crate) async fn metrics(&self, client: &Client) -> anyhow::Result<String> {
        let admin = self.at.admin.as_ref().context("no admin listener")?;
        Ok(client.get(format!("http://{admin}/metrics")).send().await?.text().await?)
    }

    /// The sum of all series of one name.
    pub(crate) async fn metric(&self, client: &Client, name: &str) -> anyhow::Result<f64> {
        self.metric_of(client, name, &[]).await
    }

    /// As [`Node::metric`], of series that have each of these words among their labels, such as `method="GET"`.
    pub(crate) async fn metric_of(&self, client: &Client, name: &str, words: &[&str]) -> anyhow::Result<f64> {
        Ok(series(&self.metrics(client).await?, name, words))
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(self) {
        self.process.stop().await;
    }
}

/// The sum of all series of one name, with all of these words, in what a node exports.
fn series(text: &str, name: &str, words: &[&str]) -> f64 {
    let of = |line: &&str| {
        line.split([' ', '{']).next() == Some(name) && words.iter().all(|word| line.contains(word))
    };
    text.lines().filter(of).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// What a fleet is to be.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted<'w> {
    /// The edges' names.
    pub(crate) edges: &'w [&'w str],
    /// Further flags of the origin.
    pub(crate) origin: &'w [&'w str],
    /// Further flags of each edge.
    pub(crate) edge: &'w [&'w str],
    /// The processors of the edges and of the origin; any when `None`.
    pub(crate) edge_cpu: Option<usize>,
    pub(crate) origin_cpu: Option<usize>,
    /// The database; a new SQLite file when `None`.
    pub(crate) database: Option<&'w str>,
    /// Whether what the origin sends to edges is counted, by a relay between them.
    pub(crate) counted: bool,
}

/// An origin with its apps, and edges before it. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) client: Client,
    pub(crate) origin: Node,
    pub(crate) edges: Vec<Node>,
    /// What counts the bytes between the origin and its edges, where that was wanted.
    pub(crate) wire: Option<Wire>,
    key: SigningKey,
}

/// Somebody who has signed up.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) id: String,
    /// The access token, which is good for an hour.
    pub(crate) token: String,
}

impl Fleet {
    /// Starts it below a folder, and waits until every edge hears the origin's log.
    pub(crate) async fn start(folder: &Path, wanted: &Wanted<'_>) -> anyhow::Result<Self> {
        let pem = SigningKey::generate()?;
        let key = SigningKey::from_pem(pem.as_bytes(), "first")?;
        let [key_file, keys_file] = ["signing.pem", "keys.json"].map(|name| folder.join(name));
        std::fs::write(&key_file, &pem)?;
        std::fs::write(&keys_file, key.jwks().to_string())?;
        let client = Client::builder().timeout(PATIENCE).pool_max_idle_per_host(256).build()?;
        let origin = origin(folder, &key_file, wanted).await?;
        let wire = match wanted.counted {
            true => Some(Wire::before(origin.http()?.parse()?).await?),
            false => None,
        };
        let url = wire.as_ref().map_or_else(|| origin.url(), |wire| Ok(wire.url()))?;
        let mut fleet = Self { client, origin, edges: vec![], wire, key };
        for name in wanted.edges {
            let (state, keys) = (show(&folder.join(name)), show(&keys_file));
            let flags = ["--listen.http", "127.0.0.1:0", "--node", name, "--tier", "near"];
            let more = ["--origins", &url, "--state_dir", &state, "--access.keys_file", &keys];
            let crowd = ["--listen.limits.connections_per_client", CROWD];
            let flags = [&flags[..], &more, &crowd, wanted.edge].concat();
            fleet.edges.push(Node::start(name, "edge", &flags, wanted.edge_cpu, folder).await?);
        }
        for edge in &fleet.edges {
            fleet.until(edge, "sluice_edge_feed_live", |live| live == 1.0).await?;
        }
        Ok(fleet)
    }

    /// Waits until what a node exports is as it should be.
    pub(crate) async fn until(
        &self,
        node: &Node,
        name: &str,
        good: impl Fn(f64) -> bool,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let value = node.metric(&self.client, name).await?;
            if good(value) {
                return Ok(());
            }
            ensure!(begun.elapsed() < SETTLED, "{name} is {value}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Signs somebody up; the password is the same for all.
    pub(crate) async fn account(&self, handle: &str) -> anyhow::Result<Account> {
        let body = json!({ "handle": handle, "password": "correct horse" });
        let made = self.client.post(format!("{}/v1/accounts", self.origin.url()?)).json(&body).send();
        let made = good(made.await?).await?;
        let text = |key: &str| made[key].as_str().map(str::to_owned).context("a sign-up says who it is");
        Ok(Account { id: text("account")?, token: text("access_token")? })
    }

    /// A token that lets somebody listen to these channels; a trailing `*` covers all that begin so.
    pub(crate) fn channel_token(&self, subject: &str, channels: &[String]) -> anyhow::Result<String> {
        let claims = claims(subject)?;
        Ok(self.key.token(&Claims { channels: Some(channels.to_vec()), ..claims }))
    }

    /// An access token of an account that never signed up: as those have who come with an import.
    pub(crate) fn access_token(&self, account: AccountId, handle: &str) -> anyhow::Result<String> {
        let subject = account.to_string();
        // Its session is one that nobody has ended.
        let (sid, name) = (Some(subject.clone()), Some(handle.to_owned()));
        Ok(self.key.token(&Claims { sid, name, ..claims(&subject)? }))
    }

    /// A new product of one variant, on sale in `de`, made with an administrator's token: the ids of both.
    pub(crate) async fn product(&self, boss: &str, number: usize) -> anyhow::Result<(String, String)> {
        let variant = json!({ "sku": format!("v{number}"), "title": "M", "prices": { "de": 1_190 } });
        let body = json!({ "title": format!("Shirt {number}"), "variants": [variant] });
        let asked = self.client.post(format!("{}/v1/shop/products", self.origin.url()?)).bearer_auth(boss);
        let told = good(asked.json(&body).send().await?).await?;
        let text = |id: &Value| id.as_str().map(str::to_owned).context("a product has an id and a variant");
        Ok((text(&told["id"])?, text(&told["variants"][0])?))
    }

    /// How everything was started.
    pub(crate) fn commands(&self) -> Vec<String> {
        std::iter::once(&self.origin).chain(&self.edges).map(|node| node.command.clone()).collect()
    }

    /// Ends it, edges first.
    pub(crate) async fn stop(self) {
        for edge in self.edges {
            edge.stop().await;
        }
        self.origin.stop().await;
    }
}

async fn origin(folder: &Path, key_file: &Path, wanted: &Wanted<'_>) -> anyhow::Result<Node> {
    let sqlite = format!("sqlite:{}", folder.join("sluice.db").display());
    let database = wanted.database.unwrap_or(&sqlite);
    let objects = format!("file:{}", folder.join("objects").display());
    let (at, key, ttl) = (free_port()?.to_string(), show(key_file), TOKENS_S.to_string());
    let storage = ["--storage.database", database, "--storage.objects", &objects];
    let flags = ["--listen.http", &at, "--playback.key_file", &key, "--playback.key_id", "first"];
    let crowd = ["--listen.limits.connections_per_client", CROWD, "--accounts.access_ttl_s", &ttl];
    let flags = [&storage[..], &flags, &crowd, wanted.origin].concat();
    Node::start("origin", "origin", &flags, wanted.origin_cpu, folder).await
}

/// What every token of somebody says.
fn claims(subject: &str) -> anyhow::Result<Claims> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(Claims {
        sub: Some(subject.into()),
        exp: Some((now.as_secs() + TOKENS_S).into()),
        iat_ms: Some(u64::try_from(now.as_millis())?),
        ..Claims::default()
    })
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

/// The document of a good answer.
pub(crate) async fn good(answer: Response) -> anyhow::Result<Value> {
    let (status, url) = (answer.status(), answer.url().path().to_owned());
    let text = answer.text().await?;
    ensure!(status.is_success(), "{status} of {url}: {text}");
    serde_json::from_str(&text).with_context(|| format!("the answer of {url}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_a_name_are_summed_and_others_are_not() {
        let text = "# HELP a b\na 1\na{x=\"1\"} 2\na_total 4\nb 8\n";
        let of = |name| series(text, name, &[]);
        assert_eq!([of("a"), of("a_total"), of("c")], [3.0, 4.0, 0.0]);
        assert_eq!([series(text, "a", &["x=\"1\""]), series(text, "a", &["x=\"2\""])], [2.0, 0.0]);
    }
}
