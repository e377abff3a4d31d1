//! Playlists and segments, over HTTP, with a player's patience.

use super::pathways::Steering;
use reqwest::{Client, Response, Url};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// Time for the first byte: what this project tells players to allow (docs/control.md). hls.js alone allows 10 s, which is
/// all of a buffer.
const FIRST_BYTE: Duration = Duration::from_secs(2);
/// Time for all of a segment: as long as it plays. One that takes longer each time is a stall that comes; hls.js gives it up by
/// its rate so far, and goes down a rung.
const WHOLE: Duration = Duration::from_secs(4);
/// Time for a steering manifest.
const STEERING: Duration = Duration::from_secs(5);
/// Redirects that are followed.
const REDIRECTS: usize = 8;

/// A player's connections.
#[derive(Debug)]
pub(super) struct Line(Client);

impl Line {
    pub(super) fn from(address: IpAddr) -> Self {
        let client = crate::client::plain().local_address(Some(address));
        Self(client.redirect(reqwest::redirect::Policy::limited(REDIRECTS)).build().unwrap())
    }

    /// The answer's last address, its node and its body.
    async fn get(&self, url: Url) -> Result<(Url, String, Vec<u8>), String> {
        let asked = Instant::now();
        let answer = timeout(FIRST_BYTE, self.0.get(url).send()).await.map_err(|_| "no first byte")?;
        let answer = answer.and_then(Response::error_for_status).map_err(|error| short(&error))?;
        let (url, node) = (answer.url().clone(), crate::client::header(&answer, "sluice-node"));
        let body = timeout_at(asked + WHOLE, answer.bytes()).await.map_err(|_| "a slow body")?;
        Ok((url, node, body.map_err(|error| short(&error))?.to_vec()))
    }

    /// Asks for steering, from a pathway.
    pub(super) async fn steering(&self, uri: &str, pathway: &str) -> Result<Steering, String> {
        let mut uri: Url = uri.parse().map_err(|_| "no address")?;
        uri.query_pairs_mut().append_pair("_HLS_pathway", pathway);
        let answer = timeout(STEERING, self.0.get(uri).send()).await.map_err(|_| "no steering")?;
        let answer = answer.and_then(Response::error_for_status).map_err(|error| short(&error))?;
        timeout(STEERING, answer.json()).await.map_err(|_| "no steering")?.map_err(|error| short(&error))
    }
}

fn short(error: &reqwest::Error) -> String {
    error.status().map_or_else(
        || {
            let kind = [
                (error.is_connect(), "no connection"),
                (error.is_body() || error.is_decode(), "cut"),
                (error.is_redirect(), "too many redirects"),
            ];
            kind.iter().find(|(is, _)| *is).map_or("broke off", |(_, why)| why).to_owned()
        },
        |status| status.as_u16().to_string(),
    )
}

/// What a multivariant playlist says.
#[derive(Debug)]
pub(super) struct Stream {
    url: Url,
    /// The pathway it names.
    pub(super) base: String,
    /// The host it came from.
    pub(super) host: String,
    /// Where steering is asked for first.
    pub(super) steering: Option<String>,
    /// The playlists of the rung and its sound, as they are named.
    pub(super) tracks: Vec<String>,
    lists: Mutex<HashMap<(String, usize), List>>,
}

/// A media playlist: addresses and lengths.
#[derive(Debug, Clone)]
struct List(Vec<(Url, Duration)>);

impl Stream {
    /// Reads one.
    pub(super) async fn open(line: &Line, master: &str) -> Result<Self, String> {
        let (url, _, text) = line.get(master.parse().map_err(|_| "no address")?).await?;
        let (_, list) = m3u8_rs::parse_master_playlist(&text).map_err(|_| "no playlist")?;
        let pictures =
            list.variants.iter().filter(|variant| !variant.is_i_frame && variant.resolution.is_some());
        let rung = pictures.min_by_key(|variant| variant.bandwidth).ok_or("no picture")?;
        let sound = list.alternatives.iter().filter(|one| Some(&one.group_id) == rung.audio.as_ref());
        let sound = sound.filter_map(|one| one.uri.clone()).take(1);
        let tracks = std::iter::once(rung.uri.clone()).chain(sound).collect();
        let tag = list.unknown_tags.iter().find(|tag| tag.tag == "X-CONTENT-STEERING");
        let said = tag.and_then(|tag| tag.rest.clone()).unwrap_or_default();
        let attribute =
            |name: &str| Some(said.split(&format!("{name}=\"")).nth(1)?.split('"').next()?.to_owned());
        let steering = attribute("SERVER-URI").and_then(|uri| Some(url.join(&uri).ok()?.to_string()));
        let host = url.host_str().ok_or("no host")?.to_owned();
        let base = attribute("PATHWAY-ID").unwrap_or_else(|| ".".to_owned());
        Ok(Self { url, base, host, steering, tracks, lists: Mutex::default() })
    }

    /// The media playlist of a track on a host: read once of each.
    async fn list(&self, line: &Line, host: &str, track: usize) -> Result<List, String> {
        let key = (host.to_owned(), track);
        if let Some(list) = self.lists.lock().unwrap().get(&key) {
            return Ok(list.clone());
        }
        let url = self.url.join(&self.tracks[track]).map_err(|_| "no address")?;
        let (from, _, text) = line.get(on(url, host)?).await?;
        let (_, list) = m3u8_rs::parse_media_playlist(&text).map_err(|_| "no playlist")?;
        let begin = list.segments.iter().find_map(|segment| segment.map.as_ref()).map(|map| map.uri.clone());
        let begin = begin.ok_or("no header")?;
        line.get(from.join(&begin).map_err(|_| "no address")?).await?;
        let address = |uri: &str| on(from.join(uri).map_err(|_| "no address")?, host);
        let all = list.segments.iter().map(|segment| {
            Ok::<_, String>((address(&segment.uri)?, Duration::from_secs_f32(segment.duration)))
        });
        let list = List(all.collect::<Result<_, _>>()?);
        self.lists.lock().unwrap().insert(key, list.clone());
        Ok(list)
    }

    /// How long a segment plays; `None` behind the last. A playlist that is there already is not asked for again.
    pub(super) async fn length(
        &self,
        line: &Line,
        host: &str,
        at: usize,
    ) -> Result<Option<Duration>, String> {
        let known =
            self.lists.lock().unwrap().iter().find(|((_, track), _)| *track == 0).map(|(_, l)| l.clone());
        let list = match known {
            Some(list) => list,
            None => self.list(line, host, 0).await?,
        };
        Ok(list.0.get(at).map(|(_, length)| *length))
    }

    /// Loads a segment from a host; the node that gave it, and when all of it was there. `None` behind the last.
    pub(super) async fn segment(
        &self,
        line: &Line,
        host: &str,
        track: usize,
        at: usize,
    ) -> Result<Option<(String, Instant)>, String> {
        let list = self.list(line, host, track).await?;
        // The sound may end a moment before the picture.
        let Some((url, _)) = list.0.get(at) else { return Ok(None) };
        let (_, node, _) = line.get(url.clone()).await?;
        Ok(Some((node, Instant::now())))
    }
}

/// An address on another host, at the same port.
fn on(mut url: Url, host: &str) -> Result<Url, String> {
    url.set_host(Some(host)).map_err(|_| "no host")?;
    Ok(url)
}
