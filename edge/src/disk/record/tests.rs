use super::*;
use http::HeaderMap;
use http::header::HeaderValue;
use proptest::prelude::*;

fn time() -> impl Strategy<Value = Duration> {
    (0u64..1 << 40).prop_map(Duration::from_millis)
}

fn window() -> impl Strategy<Value = Window> {
    (time(), time(), time(), time()).prop_map(|(fresh, while_revalidating, if_error, if_disconnected)| {
        Window { fresh, while_revalidating, if_error, if_disconnected }
    })
}

fn names() -> impl Strategy<Value = Vec<HeaderName>> {
    prop::collection::vec("[a-z]{1,9}".prop_map(|name| name.parse().unwrap()), 0..4)
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    let value = prop::collection::vec((0x20u8..=0xff).prop_filter("visible", |b| *b != 0x7f), 0..30);
    prop::collection::vec(("[a-z-]{1,12}", value), 0..8).prop_map(|lines| {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(&value).unwrap(),
            );
        }
        headers
    })
}

fn answer(blocks: usize) -> impl Strategy<Value = Answer> {
    let lifetimes = (window(), window(), any::<bool>());
    let head = (100u16..600, headers(), lifetimes, names(), "[ -~]{0,20}");
    let facts = (any::<u64>(), any::<u64>(), any::<u64>(), time(), any::<u64>());
    (head, facts, prop::collection::vec(any::<u64>(), blocks)).prop_map(
        |((status, headers, (pushed, plain, for_authorised), fields, selected), facts, sums)| {
            let (family, epoch, seq, age, unix_ms) = facts;
            let head = Head {
                status: StatusCode::from_u16(status).unwrap(),
                headers,
                lifetimes: Lifetimes { pushed, plain, for_authorised },
                varies: (fields, selected),
            };
            Answer {
                head,
                family,
                asked_at: FeedMark { epoch, seq, here: seq ^ epoch },
                age,
                unix_ms,
                sums: sums.into(),
            }
        },
    )
}

fn content(blocks: usize) -> impl Strategy<Value = Content> {
    prop_oneof![
        3 => answer(blocks).prop_map(|answer| Content::Answer(Box::new(answer))),
        1 => (any::<u64>(), names()).prop_map(|(family, fields)| Content::Sign { family, fields }),
    ]
}

fn written() -> impl Strategy<Value = (Record, Place, u64)> {
    let body = 0u64..300_000;
    (body, "/[ -~]{0,60}", any::<u32>(), 0u64..1 << 24).prop_flat_map(|(body, key, region, at)| {
        let place = Place { region, at: at * ALIGN };
        content(body.div_ceil(BLOCK as u64) as usize).prop_map(move |content| {
            let body = if matches!(content, Content::Sign { .. }) { 0 } else { body };
            (Record { key: key.clone(), content }, place, body)
        })
    })
}

proptest! {
    #[test]
    fn a_record_reads_as_it_was_written((record, place, body) in written()) {
        let bytes = record.encode(place, body);
        let (fixed, read) = Record::decode(&bytes, place).unwrap();
        prop_assert_eq!(read, record);
        prop_assert!(fixed.live);
        prop_assert_eq!(fixed.body_from(), bytes.len() as u64);
        prop_assert_eq!(fixed.span() % ALIGN, 0);
    }

    #[test]
    fn no_changed_byte_is_believed((record, place, body) in written(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bytes = record.encode(place, body);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        match Record::decode(&bytes, place) {
            None => {}
            // The mark alone may change: what does not say that it is in force is not.
            Some((fixed, _)) => prop_assert!((8..16).contains(&at) && !fixed.live),
        }
    }

    #[test]
    fn a_record_elsewhere_is_not_believed((record, place, body) in written(), by in 1u64..1000) {
        let bytes = record.encode(place, body);
        for other in [
            Place { at: place.at + by * ALIGN, ..place },
            Place { region: place.region.wrapping_add(1), ..place },
        ] {
            prop_assert_eq!(Record::decode(&bytes, other), None);
        }
    }

    #[test]
    fn a_cut_record_is_none((record, place, body) in written(), at in any::<prop::sample::Index>()) {
        let bytes = record.encode(place, body);
        prop_assert!(Record::decode(&bytes[..at.index(bytes.len())], place).is_none());
    }

    /// A sum is no secret: what it covers may still be nonsense.
    #[test]
    fn nonsense_under_a_right_sum_never_panics((record, place, body) in written(), noise in prop::collection::vec(any::<u8>(), 0..200), from in any::<prop::sample::Index>()) {
        let mut bytes = record.encode(place, body);
        let from = 24 + from.index(bytes.len() - 24);
        bytes.truncate(from.max(FIXED));
        let rest = noise.len();
        bytes.extend(noise);
        let head = (bytes.len() - FIXED) as u32;
        bytes[28..32].copy_from_slice(&head.to_le_bytes());
        let sum = xxh3_64(&bytes[24..]);
        bytes[16..24].copy_from_slice(&sum.to_le_bytes());
        drop((Record::decode(&bytes, place), rest));
    }
}

#[test]
fn age_goes_on_by_the_clock_and_a_clock_gone_back_makes_old() {
    let mut answer = futures::executor::block_on(async {
        let head = Head {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            lifetimes: Lifetimes::NONE,
            varies: (vec![], String::new()),
        };
        let (age, unix_ms) = (Duration::from_secs(5), 1_000_000);
        Answer { head, family: 0, asked_at: FeedMark::default(), age, unix_ms, sums: [].into() }
    });
    assert_eq!(answer.age_at(1_010_000), Duration::from_secs(15));
    assert_eq!(answer.age_at(990_000), Duration::from_secs(5));
    assert_eq!(answer.age_at(0), ANCIENT);
    answer.age = Duration::ZERO;
    assert_eq!(answer.age_at(1_000_000), Duration::ZERO);
}
