//! A picture as a few cells of brightness, from whatever a decoder gives.

use super::cuts::CELLS;
use crate::ffi;
use ffmpeg_next::frame;

/// Samples of a cell on each side: not all of them are needed to know its brightness.
const SAMPLES: usize = 4;

/// The mean brightness of each cell; all of them dark where the format is one of no samples.
pub(super) fn cells(picture: &frame::Video) -> Vec<u8> {
    let (across, down) = CELLS;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let Some(place) = ffi::first_component(picture.format()) else { return vec![0; across * down] };
    let (data, stride) = (picture.data(0), picture.stride(0));
    let columns: Vec<usize> = positions(width, across).map(|x| x * place.step + place.offset).collect();
    let mut sums = vec![0u32; across * down];
    for (row, y) in positions(height, down).enumerate() {
        let line = data.get(y * stride..).unwrap_or_default();
        let cells = &mut sums[row / SAMPLES * across..][..across];
        for (at, column) in columns.iter().enumerate() {
            cells[at / SAMPLES] += u32::from(place.sample(line.get(*column..).unwrap_or_default()));
        }
    }
    sums.into_iter().map(|sum| (sum / (SAMPLES * SAMPLES) as u32) as u8).collect()
}

/// Where a length is looked at, so many times for each of its cells.
fn positions(length: usize, cells: usize) -> impl Iterator<Item = usize> {
    let all = cells * SAMPLES;
    (0..all).map(move |at| (2 * at + 1) * length / (2 * all))
}
