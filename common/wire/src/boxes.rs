//! Where an MP4 or MOV file keeps its index (ISO/IEC 14496-12, section 4.2): a pure walk over its top-level boxes.
//!
//! A camera writes what it films (`mdat`) first and the index (`moov`) after it. Nothing can be played before the index is
//! there, so whoever sends such a file may send its end first.

/// Top-level boxes looked at: a film has fewer than ten, a fragmented one two a second and its index in front.
const MAX_BOXES: usize = 1_024;

/// Bytes of the longest head of a box that are read: size, type and large size.
pub const HEAD: usize = 16;

/// What a file of this kind begins with.
const FIRST: [&[u8; 4]; 7] = [b"ftyp", b"wide", b"free", b"skip", b"mdat", b"moov", b"pnot"];

/// Where the index of a file of this length begins, if it is behind the film; `None` when it is in front, or this is no such
/// file. `read` gives the bytes at an offset, at most 16 are asked for, and the film itself never.
///
/// # Errors
/// Those of `read`.
pub fn trailing_index<E>(
    length: u64,
    mut read: impl FnMut(u64, usize) -> Result<Vec<u8>, E>,
) -> Result<Option<u64>, E> {
    let (mut at, mut film) = (0, false);
    for number in 0..MAX_BOXES {
        let head = read(at, HEAD)?;
        let Some((size, kind)) = head_of(&head, length.saturating_sub(at)) else { return Ok(None) };
        if number == 0 && !FIRST.contains(&&kind) {
            return Ok(None);
        }
        match &kind {
            b"moov" => return Ok(film.then_some(at)),
            b"mdat" => film = true,
            // Its index is spread over it.
            b"moof" => return Ok(None),
            _ => {}
        }
        at += size;
        if at >= length {
            return Ok(None);
        }
    }
    Ok(None)
}

/// Size and type of a box with `left` bytes from its beginning to the file's end; `None` when it cannot be.
fn head_of(head: &[u8], left: u64) -> Option<(u64, [u8; 4])> {
    let size = u32::from_be_bytes(head.get(..4)?.try_into().ok()?);
    let kind: [u8; 4] = head.get(4..8)?.try_into().ok()?;
    let (size, least) = match size {
        0 => (left, 8),
        1 => (u64::from_be_bytes(head.get(8..16)?.try_into().ok()?), 16),
        size => (u64::from(size), 8),
    };
    (least..=left).contains(&size).then_some((size, kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    fn index(file: &[u8]) -> Option<u64> {
        let read = |at: u64, most: usize| {
            assert!(most <= HEAD);
            let rest = file.get(usize::try_from(at).unwrap()..).unwrap_or_default();
            Ok::<_, Infallible>(rest.get(..most.min(rest.len())).unwrap().to_vec())
        };
        trailing_index(file.len() as u64, read).unwrap()
    }

    fn of(kind: &str, bytes: usize) -> Vec<u8> {
        let mut text = u32::try_from(bytes + 8).unwrap().to_be_bytes().to_vec();
        text.extend(kind.bytes());
        text.resize(bytes + 8, 7);
        text
    }

    fn large(kind: &str, bytes: usize) -> Vec<u8> {
        let mut text = 1_u32.to_be_bytes().to_vec();
        text.extend(kind.bytes());
        text.extend((bytes as u64 + 16).to_be_bytes());
        text.resize(bytes + 16, 7);
        text
    }

    #[test]
    fn an_index_behind_the_film_is_found() {
        let (ftyp, film, moov) = (of("ftyp", 16), of("mdat", 900), of("moov", 50));
        assert_eq!(index(&[ftyp.clone(), film.clone(), moov.clone()].concat()), Some(24 + 908));
        assert_eq!(
            index(&[ftyp.clone(), large("mdat", 900), of("free", 3), moov.clone()].concat()),
            Some(24 + 916 + 11)
        );
        assert_eq!(
            index(&[of("wide", 0), film.clone(), moov.clone()].concat()),
            Some(8 + 908),
            "an old QuickTime file"
        );
        let mut last = moov.clone();
        last[..4].copy_from_slice(&[0; 4]);
        assert_eq!(index(&[film.clone(), last].concat()), Some(908), "a box to the end of the file");
        for other in [
            [ftyp.clone(), moov.clone(), film.clone()].concat(),
            [ftyp.clone(), film.clone()].concat(),
            [ftyp.clone(), film.clone(), of("moof", 9), moov.clone()].concat(),
            [film.clone(), moov[..40].to_vec()].concat(),
            b"RIFF\x00\x00\x00\x00AVI ".to_vec(),
            vec![],
            vec![0; 64],
            ftyp,
        ] {
            assert_eq!(index(&other), None);
        }
    }

    proptest! {
        #[test]
        fn whatever_stands_around_it_the_index_is_where_it_is(
            before in prop::collection::vec(("free|skip|uuid|wide", 0usize..40, any::<bool>()), 0..6),
            between in prop::collection::vec(("free|skip|uuid", 0usize..40, any::<bool>()), 0..6),
            film in 0usize..500, moov in 0usize..90, after in 0usize..30,
        ) {
            let one = |(kind, bytes, big): &(String, usize, bool)| if *big { large(kind, *bytes) } else { of(kind, *bytes) };
            let mut file = of("ftyp", 12);
            before.iter().for_each(|b| file.extend(one(b)));
            file.extend(large("mdat", film));
            between.iter().for_each(|b| file.extend(one(b)));
            let at = file.len() as u64;
            file.extend(of("moov", moov));
            file.extend(vec![9; after]);
            prop_assert_eq!(index(&file), Some(at));
        }
    }
}
