//! What players are told of a decision (rfc8216bis section 7.2; ETSI TS 103 998 takes the same members for DASH).
//!
//! Published playlists are the same on every edge: all their variants are on the pathway [`BASE_PATHWAY`] with relative
//! addresses, that is, wherever the playlist came from. The manifest clones that pathway once for each choice and puts the
//! clones in order of preference.

use serde::{Deserialize, Serialize};

use super::decide::Decision;

/// The pathway every published variant is on.
pub const BASE_PATHWAY: &str = "here";

/// A steering manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub struct SteeringManifest {
    /// Always 1.
    pub version: u32,
    /// Seconds until the player asks again.
    pub ttl: u32,
    /// Where it asks again: always absolute, since one stock player follows a relative one only once.
    #[serde(rename = "RELOAD-URI")]
    pub reload_uri: String,
    /// Pathways by preference.
    #[serde(rename = "PATHWAY-PRIORITY")]
    pub pathway_priority: Vec<String>,
    /// One clone of the base pathway per near edge.
    #[serde(rename = "PATHWAY-CLONES")]
    pub pathway_clones: Vec<PathwayClone>,
}

/// A pathway made out of another by changing the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathwayClone {
    /// The pathway it is made from.
    #[serde(rename = "BASE-ID")]
    pub base_id: String,
    /// Its own name: the node's.
    #[serde(rename = "ID")]
    pub id: String,
    /// What changes in the addresses.
    #[serde(rename = "URI-REPLACEMENT")]
    pub uri_replacement: UriReplacement,
}

/// The host that replaces the base pathway's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UriReplacement {
    /// What stands in the place of the base pathway's host, as [`Form`] has it.
    #[serde(rename = "HOST")]
    pub host: String,
}

/// Who a manifest is for. Stock players differ in what they do with a clone's host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// The host alone (rfc8216bis section 7.2): hls.js, Shaka and video.js take it for a URL's host name, and refuse one that has a
    /// port. The port stays the base pathway's.
    #[default]
    Hls,
    /// Host and port: dash.js puts it in the place of both.
    Dash,
}

impl SteeringManifest {
    /// What a decision tells a player. The base pathway comes last: whoever gave out the playlist.
    #[must_use]
    pub fn of(decision: &Decision, reload_uri: String, form: Form) -> Self {
        let place = match form {
            Form::Hls => name,
            Form::Dash => host,
        };
        let priority = decision.choices.iter().map(|choice| choice.pathway.clone());
        let pathway_clones = (decision.choices.iter())
            .map(|choice| PathwayClone {
                base_id: BASE_PATHWAY.into(),
                id: choice.pathway.clone(),
                uri_replacement: UriReplacement { host: place(&choice.url).into() },
            })
            .collect();
        let pathway_priority = priority.chain([BASE_PATHWAY.to_owned()]).collect();
        Self { version: 1, ttl: decision.ttl_s, reload_uri, pathway_priority, pathway_clones }
    }
}

/// Host and port of a base URL.
#[must_use]
pub fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split_once('/').map_or(rest, |(host, _)| host)
}

/// Its host alone, in brackets if it is an IPv6 address.
fn name(url: &str) -> &str {
    let host = host(url);
    let port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|c| c.is_ascii_digit()));
    port.map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steering::{Choice, Reason};

    #[test]
    fn a_manifest_clones_the_base_pathway_for_each_choice() {
        let choice = |name: &str| Choice {
            pathway: name.into(),
            url: format!("http://{name}:8080"),
            place: "local".into(),
        };
        let decision =
            Decision { view: 1, choices: vec![choice("b"), choice("a")], reason: Reason::New, ttl_s: 300 };
        let told = SteeringManifest::of(&decision, "http://c/steer".into(), Form::Hls);
        let text = serde_json::to_value(&told).unwrap();
        assert_eq!(text["VERSION"], 1);
        assert_eq!(text["TTL"], 300);
        assert_eq!(text["PATHWAY-PRIORITY"], serde_json::json!(["b", "a", BASE_PATHWAY]));
        assert_eq!(text["PATHWAY-CLONES"][1]["URI-REPLACEMENT"], serde_json::json!({ "HOST": "a" }));
        let told = SteeringManifest::of(&decision, "http://c/steer".into(), Form::Dash);
        assert_eq!(told.pathway_clones[1].uri_replacement.host, "a:8080");
        for (url, wanted) in [
            ("http://a:1/x", "a"),
            ("https://a.example", "a.example"),
            ("http://[::1]:80", "[::1]"),
            ("http://[::1]", "[::1]"),
        ] {
            assert_eq!(name(url), wanted, "{url}");
        }
    }
}
