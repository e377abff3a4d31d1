//! Fetches a video as a player does, without following redirects.

use super::{Fetched, Presentation, Rung};
use crate::client::{client, header};
use m3u8_rs::ByteRange;
use std::io::Read;

/// Everything that a multivariant playlist leads to; a panic where something is no playlist.
pub async fn presentation(url: &str) -> Presentation {
    let text = get(url, None).await;
    let (_, master) = m3u8_rs::parse_master_playlist(&text.body).expect("a multivariant playlist");
    let sound = master.alternatives.iter().filter_map(|a| a.uri.clone());
    let mut rungs = vec![];
    let mut uris: Vec<String> = vec![];
    for uri in master.variants.iter().map(|v| v.uri.clone()).chain(sound) {
        if !uris.contains(&uri) {
            uris.push(uri.clone());
            rungs.push(rung(url, uri).await);
        }
    }
    Presentation { text, master, rungs }
}

async fn rung(master: &str, uri: String) -> Rung {
    let url = beside(master, &uri);
    let text = get(&url, None).await;
    let (_, list) = m3u8_rs::parse_media_playlist(&text.body).expect("a media playlist");
    let map = list.segments.iter().find_map(|s| s.map.as_ref()).expect("EXT-X-MAP");
    let init = get(&beside(&url, &map.uri), None).await;
    let mut segments = vec![];
    for segment in &list.segments {
        segments.push(get(&beside(&url, &segment.uri), segment.byte_range.as_ref()).await);
    }
    Rung { uri, text, init, segments, list }
}

fn beside(url: &str, uri: &str) -> String {
    format!("{}/{uri}", url.rsplit_once('/').unwrap().0)
}

async fn get(url: &str, range: Option<&ByteRange>) -> Fetched {
    let mut request = client().get(url).header("accept-encoding", "gzip");
    if let Some(range) = range {
        let from = range.offset.unwrap_or(0);
        request = request.header("range", format!("bytes={from}-{}", from + range.length - 1));
    }
    let answer = request.send().await.unwrap();
    let (status, kind) = (answer.status().as_u16(), header(&answer, "content-type"));
    let coding = header(&answer, "content-encoding");
    let mut body = answer.bytes().await.unwrap().to_vec();
    if coding == "gzip" {
        let mut plain = vec![];
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
        body = plain;
    }
    Fetched { url: url.to_owned(), status, kind, coding, body }
}
