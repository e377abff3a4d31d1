//! The origin's configuration.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sluice_platform::AccountsConfig;
use sluice_service::{Faults, ProcessConfig, ServerConfig};
use sluice_storage::StorageConfig;
use sluice_wire::Tag;
use sluice_wire::limits::MAX_SEGMENT;
use std::path::PathBuf;

/// The origin's keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Its listeners, certificate, log and drain.
    #[serde(flatten)]
    pub server: ServerConfig,
    /// Where rows and objects are.
    pub storage: StorageConfig,
    /// Bounds of uploads.
    pub upload: UploadConfig,
    /// What becomes of what nobody wants.
    pub library: LibraryConfig,
    /// What private videos are played with.
    pub playback: PlaybackConfig,
    /// What media is sealed with.
    pub protection: ProtectionConfig,
    /// Sources that are fetched by URL, and other requests to URLs that clients named.
    pub fetch: FetchConfig,
    /// What an owner may have.
    pub quota: QuotaConfig,
    /// Who is told of every change of a video's state.
    pub webhooks: WebhooksConfig,
    /// Live channels beside those of the library.
    pub channels: ChannelsConfig,
    /// The built web pages.
    pub pages: PagesConfig,
    /// Accounts, the same in every app.
    pub accounts: AccountsConfig,
    /// Which apps there are here, and their keys.
    pub apps: AppsConfig,
    /// Where players reach the control plane; absent, playlists name no steering.
    pub steering_url: Option<String>,
    /// A name that leads players to edges, such as `https://cdn.example.com`; absent, DASH descriptions name no steering.
    pub media_url: Option<String>,
}

/// Which apps there are here, and their keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AppsConfig {
    /// Those that this process serves. All but `videos` need `playback.key_file`, and are not there without.
    pub run: Vec<App>,
    /// The shop's.
    pub commerce: sluice_commerce::Config,
    /// The conversations'.
    pub chat: sluice_chat::Config,
    /// The feed's.
    pub feed: sluice_feed::Config,
}

/// What an origin can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum App {
    /// Uploads, the library, media.
    Videos,
    /// The shop.
    Commerce,
    /// Conversations.
    Chat,
    /// Posts and home pages.
    Feed,
}

impl Default for AppsConfig {
    fn default() -> Self {
        Self {
            run: vec![App::Videos, App::Commerce, App::Chat, App::Feed],
            commerce: sluice_commerce::Config::default(),
            chat: sluice_chat::Config::default(),
            feed: sluice_feed::Config::default(),
        }
    }
}

/// Bounds of uploads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UploadConfig {
    /// Bytes of the largest upload.
    pub max_bytes: u64,
    /// Bytes of a part: what one upload holds in memory.
    pub part_bytes: u64,
    /// Milliseconds after which an unfinished upload is removed.
    pub expire_ms: u64,
}

/// What becomes of what nobody wants: deleted videos, and rungs that nobody asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LibraryConfig {
    /// Milliseconds for which a deleted video can be restored.
    pub undo_ms: u64,
    /// Milliseconds for which a rung is kept that nobody asks for, but for the lowest: its segments are dropped then, and made
    /// again when they are asked for. Absent, all are kept.
    pub cold_ms: Option<u64>,
    /// Milliseconds between two looks for what has had its time.
    pub sweep_ms: u64,
}

/// Live channels beside those of the library: of others who write into the log. A name that ends in `:` stands for all that
/// begin with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChannelsConfig {
    /// Those that anybody may listen to.
    pub open: Vec<String>,
    /// Those that need a token which names them.
    pub by_token: Vec<String>,
}

/// What private videos are played with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlaybackConfig {
    /// PEM file of the private key (Ed25519) that signs tokens, as `sluice key` makes it. Absent, none are minted.
    pub key_file: Option<PathBuf>,
    /// The key's id; edges find the public key by it.
    pub key_id: String,
    /// Seconds for which a token is good.
    pub ttl_s: u64,
}

/// What media is sealed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProtectionConfig {
    /// File of the secrets that content keys are derived from, in hexadecimal, one a line: the first seals, keys of the
    /// others are still given out. Absent, no video is sealed.
    pub secret_file: Option<PathBuf>,
    /// Segments that share a key. Playlists that were fetched before it was changed name what is not there any more.
    pub period_segments: u32,
}

impl Default for ProtectionConfig {
    /// Ten minutes: a long film has a dozen keys.
    fn default() -> Self {
        Self { secret_file: None, period_segments: 150 }
    }
}

/// Sources that are fetched by URL, and other requests to URLs that clients named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FetchConfig {
    /// Networks outside the public net to which such URLs may lead all the same.
    pub internal: Vec<IpNet>,
    /// Ports below 1025 that are asked, beside 80 and 443.
    pub ports: Vec<u16>,
    /// Sources fetched at a time.
    pub parallel: usize,
    /// Milliseconds that a source may take, with all attempts.
    pub max_ms: u64,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self { internal: vec![], ports: vec![], parallel: 4, max_ms: 12 * 3_600_000 }
    }
}

/// What an owner may have: whoever a checked token names, and all others together as one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuotaConfig {
    /// Bytes of sources, with those under way; absent, as many as there is room for.
    pub bytes: Option<u64>,
    /// Uploads under way at a time; absent, any number.
    pub uploads: Option<u64>,
}

/// Who is told of every change of a video's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhooksConfig {
    /// URLs that messages are sent to, under the rules of `fetch`.
    pub urls: Vec<String>,
    /// File with the secret that messages are signed with: `whsec_` and Base64 of 24 to 64 bytes.
    pub secret_file: Option<PathBuf>,
    /// Milliseconds after which a message that a receiver does not take is given up.
    pub give_up_ms: u64,
}

impl Default for WebhooksConfig {
    fn default() -> Self {
        Self { urls: vec![], secret_file: None, give_up_ms: 24 * 3_600_000 }
    }
}

/// The built web pages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PagesConfig {
    /// Their folder; absent, there are none.
    pub dir: Option<PathBuf>,
}

impl Default for UploadConfig {
    fn default() -> Self {
        Self { max_bytes: 64 << 30, part_bytes: 8 << 20, expire_ms: 24 * 3_600_000 }
    }
}

impl Default for LibraryConfig {
    fn default() -> Self {
        Self { undo_ms: 7 * 24 * 3_600_000, cold_ms: None, sweep_ms: 60_000 }
    }
}

impl Default for PlaybackConfig {
    /// A long film, watched with a pause.
    fn default() -> Self {
        Self { key_file: None, key_id: "1".into(), ttl_s: 4 * 3_600 }
    }
}

impl ProcessConfig for Config {
    fn server(&self) -> &ServerConfig {
        &self.server
    }

    fn validate(&self, faults: &mut Faults) {
        self.storage.faults().iter().for_each(|fault| faults.add("storage", fault));
        if !(64 << 10..=256 << 20).contains(&self.upload.part_bytes) {
            faults.add("upload.part_bytes", "from 64 KiB to 256 MiB: each upload holds one part in memory");
        }
        if self.upload.max_bytes == 0 {
            faults.add("upload.max_bytes", "must be above 0");
        }
        if self.upload.expire_ms < 60_000 {
            faults.add("upload.expire_ms", "at least a minute, or a slow client loses its upload");
        }
        if self.library.cold_ms.is_some_and(|ms| ms < 1_000) {
            faults.add("library.cold_ms", "at least a second, and days where people watch");
        }
        if self.library.sweep_ms < 10 {
            faults.add("library.sweep_ms", "at least 10");
        }
        if let Some(file) = self.playback.key_file.as_ref().filter(|file| !file.is_file()) {
            faults.add("playback.key_file", format!("{} is no file; `sluice key` makes one", file.display()));
        }
        if self.apps.run.is_empty() {
            faults.add("apps.run", "names at least one of videos, commerce, chat and feed");
        }
        let run = &self.apps.run;
        if run.iter().enumerate().any(|(at, app)| run[..at].contains(app)) {
            faults.add("apps.run", "names an app twice; name each once");
        }
        self.apps.commerce.faults().iter().for_each(|fault| faults.add("apps.commerce", fault));
        if !(30..=3_600).contains(&self.accounts.access_ttl_s) {
            faults.add(
                "accounts.access_ttl_s",
                "from 30 seconds to an hour: edges remember what is revoked for an hour",
            );
        }
        if self.accounts.renew_grace_ms > 60_000 {
            faults.add(
                "accounts.renew_grace_ms",
                "at most a minute: whoever has stolen a token has it for as long",
            );
        }
        if !(60..=7 * 24 * 3_600).contains(&self.playback.ttl_s) {
            faults.add("playback.ttl_s", "from a minute to a week: a token cannot be taken back");
        }
        if let Some(file) = self.protection.secret_file.as_ref().filter(|file| !file.is_file()) {
            let why = format!("{} is no file; `openssl rand -hex 32` makes a secret", file.display());
            faults.add("protection.secret_file", why);
        }
        if !(1..=MAX_SEGMENT).contains(&self.protection.period_segments) {
            faults.add("protection.period_segments", format!("from 1 to {MAX_SEGMENT}"));
        }
        if !(1..=64).contains(&self.fetch.parallel) {
            faults.add("fetch.parallel", "from 1 to 64: each holds one part in memory");
        }
        if self.fetch.max_ms < 60_000 {
            faults.add("fetch.max_ms", "at least a minute, or a slow server's source never comes");
        }
        if !self.webhooks.urls.is_empty() && self.webhooks.secret_file.is_none() {
            faults.add("webhooks.secret_file", "is needed beside webhooks.urls: messages are signed");
        }
        if self.webhooks.urls.len() > 16 {
            faults.add("webhooks.urls", "at most 16: each is sent to by itself");
        }
        for (key, names) in
            [("channels.open", &self.channels.open), ("channels.by_token", &self.channels.by_token)]
        {
            if let Some(name) = names.iter().find(|name| Tag::new(name.as_str()).is_err()) {
                faults.add(key, format!("{name:.60} begins no channel's name"));
            }
        }
        if let Some(dir) = self.pages.dir.as_ref().filter(|dir| !dir.join("index.html").is_file()) {
            faults.add(
                "pages.dir",
                format!("{} holds no index.html; build the pages with `make web`", dir.display()),
            );
        }
        for (key, url) in [("steering_url", &self.steering_url), ("media_url", &self.media_url)] {
            if url.as_ref().is_some_and(|url| !url.starts_with("http")) {
                faults.add(key, "an http:// or https:// address that players reach");
            }
        }
    }
}
