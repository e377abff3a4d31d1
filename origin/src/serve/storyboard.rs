//! A storyboard as pages and players read it: WebVTT whose cues name a part of a sheet (`#xywh=`, Media Fragments 1.0).

use super::{Served, missing};
use crate::origin::State;
use sluice_platform::ApiError;
use sluice_storage::Storyboard;
use sluice_wire::{Digest, MediaAsset, MediaPath, ObjectKey};
use std::fmt::Write;

/// Where each picture is.
pub(super) async fn list(state: &State, path: &MediaPath) -> Result<String, ApiError> {
    let videos = state.storage.videos();
    let board = videos.storyboard(path.video).await?.ok_or_else(|| missing(path))?;
    Ok(text(&board))
}

/// A sheet.
pub(super) async fn sheet(
    state: &State,
    path: &MediaPath,
    seq: u32,
    digest: Digest,
) -> Result<Served, ApiError> {
    let board = state.storage.videos().storyboard(path.video).await?.ok_or_else(|| missing(path))?;
    if board.sheets.get(seq as usize) != Some(&digest) {
        return Err(missing(path));
    }
    let key = ObjectKey::Sheet(path.video, seq, digest);
    super::stored(state, path, key, Some(digest.to_string())).await
}

fn text(board: &Storyboard) -> String {
    let mut out = String::from("WEBVTT\n");
    let on_sheet = (board.columns * board.rows).max(1);
    for number in 0..board.count {
        let (sheet, place) = (number / on_sheet, number % on_sheet);
        let Some(digest) = board.sheets.get(sheet as usize) else { break };
        let (x, y) =
            (place % board.columns.max(1) * board.width, place / board.columns.max(1) * board.height);
        let (from, to) =
            (time(u64::from(number) * board.interval_ms), time(u64::from(number + 1) * board.interval_ms));
        let file = MediaAsset::Sheet(sheet, *digest);
        let (w, h) = (board.width, board.height);
        // Writing into memory does not fail.
        write!(out, "\n{from} --> {to}\n{file}#xywh={x},{y},{w},{h}\n").unwrap_or_default();
    }
    out
}

fn time(ms: u64) -> String {
    let (seconds, millis) = (ms / 1_000, ms % 1_000);
    format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_picture_has_its_time_and_place() {
        let sheets = vec![Digest([1; 16]), Digest([2; 16])];
        let board = Storyboard {
            interval_ms: 2_500,
            width: 160,
            height: 90,
            columns: 2,
            rows: 2,
            count: 6,
            bytes: 9,
            sheets,
        };
        let text = text(&board);
        assert_eq!(text.matches(" --> ").count(), 6);
        let third = "\n00:00:07.500 --> 00:00:10.000\nstoryboard/0-01010101010101010101010101010101.jpg#xywh=160,90,160,90\n";
        let last = "\n00:00:12.500 --> 00:00:15.000\nstoryboard/1-02020202020202020202020202020202.jpg#xywh=160,0,160,90\n";
        assert!(text.contains(third) && text.ends_with(last), "{text}");
    }
}
