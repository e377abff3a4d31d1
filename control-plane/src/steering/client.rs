//! What is known of who asks: its address tells where it is, its query what it was told before.

use crate::config::Config;
use serde::Deserialize;
use sluice_service::{Places, ProcessError};
use sluice_wire::PlacementKey;
use sluice_wire::steering::{BASE_PATHWAY, Form, Session};
use std::net::IpAddr;
use std::path::Path;

/// Where addresses are, and whose they are.
#[derive(Debug)]
pub(crate) struct Atlas {
    places: Option<Places>,
    networks: Option<Places>,
}

impl Atlas {
    /// Reads the databases that are configured.
    pub(crate) fn open(config: &Config) -> Result<Self, ProcessError> {
        let read = |key: &str, path: Option<&Path>| {
            path.map(|path| {
                Places::read(path)
                    .map_err(|why| ProcessError::from(format!("{key}: {}: {why}", path.display())))
            })
            .transpose()
        };
        Ok(Self {
            places: read("places_file", config.places_file.as_deref())?,
            networks: read("networks_file", config.networks_file.as_deref())?,
        })
    }

    /// The number of an address's network.
    pub(crate) fn network(&self, address: IpAddr) -> Option<u32> {
        self.networks.as_ref()?.network(address)
    }

    /// Adds what an address tells.
    pub(crate) fn locate(&self, session: Session, address: IpAddr) -> Session {
        Session {
            position: self.places.as_ref().and_then(|places| places.position(address)),
            country: self.places.as_ref().and_then(|places| places.country(address)),
            network: self.network(address),
            ..session
        }
    }
}

/// What a player says of itself (rfc8216bis section 7.2; ETSI TS 103 998), and what it was told to say (`s`, `at`, `moved`).
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Said {
    #[serde(rename = "_HLS_pathway")]
    hls: Option<String>,
    #[serde(rename = "_DASH_pathway")]
    dash: Option<String>,
    s: Option<String>,
    at: Option<String>,
    moved: Option<u64>,
    /// `dash` for what a description names.
    f: Option<String>,
}

impl Said {
    /// What the player reads.
    pub(crate) fn form(&self) -> Form {
        if self.dash.is_some() || self.f.as_deref() == Some("dash") { Form::Dash } else { Form::Hls }
    }

    /// The session, as it says it is. What it says is believed of itself alone, and within bounds; what is not well formed is
    /// as if it were not there.
    pub(crate) fn session(self, key: PlacementKey, fresh: u64, now_ms: u64) -> Session {
        let name =
            |text: Option<String>| text.filter(|text| Session::is_pathway(text) && text != BASE_PATHWAY);
        // DASH players quote the name, and may list the others behind it.
        let dash =
            self.dash.map(|text| text.split(',').next().unwrap_or_default().trim_matches('"').to_owned());
        let (told, says) = (name(self.at), name(self.hls.or(dash)));
        // Who is elsewhere than it was told to be has moved itself, a moment ago.
        let moved_itself = says.is_some() && told.is_some() && says != told;
        let moved_ms = if moved_itself { Some(now_ms) } else { self.moved.map(|at| at.min(now_ms)) };
        let id = self.s.and_then(|id| u64::from_str_radix(&id, 16).ok()).unwrap_or(fresh);
        Session { pathway: says, moved_ms, ..Session::new(id, key) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(said: Said) -> Session {
        said.session(PlacementKey::of("film"), 7, 1_000)
    }

    fn text(text: &str) -> Option<String> {
        Some(text.into())
    }

    #[test]
    fn a_session_is_known_again_by_what_it_was_told() {
        assert_eq!(session(Said::default()).id, 7);
        let said = Said {
            s: text("00000000000000ff"),
            hls: text("a"),
            at: text("a"),
            moved: Some(400),
            ..Said::default()
        };
        let known = session(said.clone());
        assert_eq!((known.id, known.pathway.as_deref(), known.moved_ms), (255, Some("a"), Some(400)));
        assert_eq!(known.query(), "s=00000000000000ff&at=a&moved=400");
        let elsewhere = session(Said { hls: text("b"), ..said });
        assert_eq!((elsewhere.pathway.as_deref(), elsewhere.moved_ms), (Some("b"), Some(1_000)));
    }

    #[test]
    fn what_is_not_well_formed_is_not_there() {
        let bad =
            Said { s: text("-1"), hls: text("a b"), at: text(""), moved: Some(u64::MAX), ..Said::default() };
        let known = session(bad);
        assert_eq!((known.id, known.pathway, known.moved_ms), (7, None, Some(1_000)));
        assert_eq!(session(Said { hls: text(BASE_PATHWAY), ..Said::default() }).pathway, None);
        assert_eq!(session(Said { dash: text("\"a\",b"), ..Said::default() }).pathway.as_deref(), Some("a"));
    }
}
