//! Files that are, or are not, MP4.

use sluice_wire::boxes::{HEAD, trailing_index};
use std::convert::Infallible;

/// The walk ends after few reads of few bytes; the index it finds is there, behind a film.
pub fn boxes(bytes: &[u8]) {
    let mut reads = 0;
    let found = trailing_index(bytes.len() as u64, |at, most| {
        reads += 1;
        assert!(most <= HEAD && reads <= 1_024, "bounded");
        let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        Ok::<_, Infallible>(rest.get(..most.min(rest.len())).unwrap_or_default().to_vec())
    });
    if let Ok(Some(at)) = found {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        assert_eq!(bytes.get(at + 4..at + 8), Some(&b"moov"[..]));
        assert!(bytes.get(..at).is_some_and(|film| film.windows(4).any(|kind| kind == b"mdat")));
    }
}
