//! Configuration of access: `access.*`.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sluice_service::Faults;
use std::path::PathBuf;

/// Access control. Without a file of rules everything is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessConfig {
    /// TOML file of rules: which path needs what. Read again when it changes.
    pub rules_file: Option<PathBuf>,
    /// JSON file of public keys (JWKS, RFC 7517). Read again when it changes.
    pub keys_file: Option<PathBuf>,
    /// Where a JWKS is fetched from, beside the file's.
    pub keys_url: Option<String>,
    /// Database of places in MaxMind's format (GeoLite2-Country or -City). Read again when it changes.
    pub geo_file: Option<PathBuf>,
    /// The issuer (`iss`) of every token; any when absent.
    pub issuer: Option<String>,
    /// This fleet's name in a token's `aud`; when absent, an audience must be one of the rule's tenants.
    pub audience: Option<String>,
    /// Query parameter that carries a token.
    pub param: String,
    /// Cookie that carries a token or a signed URL's parameters. It is set when they came in a query.
    pub cookie: String,
    /// Networks of edges that have checked already: what they ask for is not checked again.
    pub peers: Vec<IpNet>,
    /// Milliseconds between two looks at the files.
    pub poll_ms: u64,
    /// Milliseconds between two fetches of `keys_url`.
    pub keys_url_ms: u64,
}

impl Default for AccessConfig {
    fn default() -> Self {
        Self {
            rules_file: None,
            keys_file: None,
            keys_url: None,
            geo_file: None,
            issuer: None,
            audience: None,
            param: "sluice-token".into(),
            cookie: "sluice-token".into(),
            peers: vec![],
            poll_ms: 1_000,
            keys_url_ms: 60_000,
        }
    }
}

impl AccessConfig {
    pub(crate) fn validate(&self, faults: &mut Faults) {
        let Some(rules) = &self.rules_file else {
            return self.validate_keys(faults);
        };
        if !rules.is_file() {
            faults.add("access.rules_file", format!("{} is no file", rules.display()));
        }
        self.validate_keys(faults);
    }

    /// Without rules, keys are for private videos alone.
    fn validate_keys(&self, faults: &mut Faults) {
        for (key, file) in [("access.keys_file", &self.keys_file), ("access.geo_file", &self.geo_file)] {
            if let Some(file) = file.as_ref().filter(|file| !file.is_file()) {
                faults.add(key, format!("{} is no file", file.display()));
            }
        }
        let web = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        if let Some(url) = self.keys_url.as_ref().filter(|url| !web(url)) {
            faults.add("access.keys_url", format!("{url} is no http:// or https:// address"));
        }
        for (key, name) in [("access.param", &self.param), ("access.cookie", &self.cookie)] {
            let plain = |c: u8| c.is_ascii_alphanumeric() || b"-_".contains(&c);
            if name.is_empty() || !name.bytes().all(plain) {
                faults.add(key, "is a name of letters, digits, - and _");
            }
        }
        for (key, ms) in [("access.poll_ms", self.poll_ms), ("access.keys_url_ms", self.keys_url_ms)] {
            if ms < 10 {
                faults.add(key, "at least 10");
            }
        }
    }
}
