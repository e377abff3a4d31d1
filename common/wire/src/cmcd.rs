//! What players say of themselves: Common Media Client Data (CTA-5004, and its second version CTA-5004-B).
//!
//! A record comes in a query parameter (`CMCD=`), in four fields (`CMCD-Request` and its like), as an object of JSON, or, in the
//! second version, as lines of a body; each but JSON is a dictionary of structured fields (RFC 9651). What is not known is
//! passed over; what cannot be true refuses the whole record.

use serde_json::Value as Json;
use sfv::{BareItem, Dictionary, InnerList, ListEntry, Parser};

/// Bytes of one record. The longest that a stock player sends has some 600.
pub const MAX_RECORD: usize = 4_096;
/// Records of one body.
pub const MAX_RECORDS: usize = 64;
/// Addresses that a player says it will ask for next.
const MAX_NEXT: usize = 8;
/// Characters of a name: what the specification allows.
const MAX_NAME: usize = 64;
/// The most that a rate can be, in kbit/s: ten gigabits a second.
const MAX_KBPS: i64 = 10_000_000;
/// The most that a length of time can be, in milliseconds: a day.
const MAX_MS: i64 = 86_400_000;

/// A record: what one request, answer or event of a player's says. Rates are at most 10 Gbit/s, times a day, names 64 bytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// The session (`sid`).
    pub session: Option<String>,
    /// What is asked for (`ot`): `v`, `a`, `av`, `i`, `m`, `c`, `tt`, `k`, `o`.
    pub object: Option<String>,
    /// Its encoded rate in kbit/s (`br`).
    pub kbps: Option<u32>,
    /// Measured throughput in kbit/s (`mtp`).
    pub throughput_kbps: Option<u32>,
    /// What is buffered, in milliseconds (`bl`).
    pub buffer_ms: Option<u32>,
    /// The buffer ran empty since the last record (`bs`), or is empty now (`sta=r`).
    pub starved: bool,
    /// It is needed urgently: start-up, seeking, or after an empty buffer (`su`).
    pub urgent: bool,
    /// The kind of an event (`e`).
    pub event: Option<String>,
    /// The status of an answer (`rc`), at most 999.
    pub status: Option<u16>,
    /// Milliseconds to an answer's first byte (`ttfb`).
    pub first_byte_ms: Option<u32>,
    /// What will be asked for next (`nor`), relative to what is asked for now: the first eight.
    pub next: Vec<String>,
    /// Where an answer came from (`url`).
    pub url: Option<String>,
}

/// Why a record is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CmcdError {
    /// Longer than [`MAX_RECORD`], or more than [`MAX_RECORDS`].
    #[error("too long")]
    TooLong,
    /// Not a dictionary of structured fields, or not an object of JSON.
    #[error("not well formed")]
    Malformed,
    /// A figure that cannot be true, or a name that is too long.
    #[error("{0} cannot be true")]
    Absurd(&'static str),
}

impl CmcdError {
    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::TooLong => "too-long",
            Self::Malformed => "malformed",
            Self::Absurd(_) => "absurd",
        }
    }
}

impl Record {
    /// Reads a dictionary: the parameter's value, decoded, the fields joined by commas, or a line of a body.
    ///
    /// # Errors
    /// [`CmcdError::TooLong`] above [`MAX_RECORD`]; [`CmcdError::Malformed`] for what is no dictionary; [`CmcdError::Absurd`] for
    /// what is out of bounds.
    pub fn parse(text: &str) -> Result<Self, CmcdError> {
        if text.len() > MAX_RECORD {
            return Err(CmcdError::TooLong);
        }
        let read: Dictionary = Parser::new(text).parse().map_err(|_| CmcdError::Malformed)?;
        let mut record = Self::default();
        for (key, entry) in &read {
            let values = match entry {
                ListEntry::Item(item) => vec![Value::of(&item.bare_item)],
                ListEntry::InnerList(InnerList { items, .. }) => {
                    items.iter().take(MAX_NEXT).map(|item| Value::of(&item.bare_item)).collect()
                }
            };
            record.take(key.as_str(), values)?;
        }
        Ok(record)
    }

    /// Reads an object of JSON.
    ///
    /// # Errors
    /// As [`Record::parse`]; [`CmcdError::Malformed`] for what is no such object.
    pub fn parse_json(text: &[u8]) -> Result<Self, CmcdError> {
        if text.len() > MAX_RECORD {
            return Err(CmcdError::TooLong);
        }
        let Ok(Json::Object(read)) = serde_json::from_slice(text) else { return Err(CmcdError::Malformed) };
        let mut record = Self::default();
        for (key, value) in &read {
            let values = match value {
                Json::Array(all) => all.iter().take(MAX_NEXT).map(Value::of_json).collect(),
                one => vec![Value::of_json(one)],
            };
            record.take(key, values)?;
        }
        Ok(record)
    }

    /// Reads the lines of a body; the last may end in a newline, and does with stock players.
    ///
    /// # Errors
    /// As [`Record::parse`], of the first line that is refused; [`CmcdError::TooLong`] for more than [`MAX_RECORDS`].
    pub fn parse_lines(text: &str) -> Result<Vec<Self>, CmcdError> {
        let lines = text.split('\n').map(str::trim).filter(|line| !line.is_empty());
        let mut records = vec![];
        for line in lines {
            if records.len() == MAX_RECORDS {
                return Err(CmcdError::TooLong);
            }
            records.push(Self::parse(line)?);
        }
        Ok(records)
    }

    fn take(&mut self, key: &str, mut values: Vec<Value>) -> Result<(), CmcdError> {
        if key == "nor" {
            self.next = values.into_iter().filter_map(Value::text).collect();
            return Ok(());
        }
        // Of a list, as `br` may be, the highest is meant: it is what is played.
        values.sort_by_key(Value::number);
        let Some(value) = values.pop() else { return Ok(()) };
        match key {
            "sid" => self.session = value.name("sid")?,
            "ot" => self.object = value.name("ot")?,
            "e" => self.event = value.name("e")?,
            "url" => self.url = value.text(),
            "br" => self.kbps = value.within("br", MAX_KBPS)?,
            "mtp" => self.throughput_kbps = value.within("mtp", MAX_KBPS)?,
            "bl" => self.buffer_ms = value.within("bl", MAX_MS)?,
            "ttfb" => self.first_byte_ms = value.within("ttfb", MAX_MS)?,
            "rc" => self.status = value.within("rc", 999)?.and_then(|status| u16::try_from(status).ok()),
            "bs" => self.starved |= value.is_true(),
            "su" => self.urgent = value.is_true(),
            "sta" => self.starved |= value.text().as_deref() == Some("r"),
            _ => {}
        }
        Ok(())
    }
}

/// A value of either notation.
enum Value {
    True,
    Number(i64),
    Text(String),
    Other,
}

impl Value {
    fn of(item: &BareItem) -> Self {
        match item {
            BareItem::Boolean(true) => Self::True,
            BareItem::Integer(number) => Self::Number((*number).into()),
            BareItem::Decimal(number) => Self::Number(i64::from(number.as_integer_scaled_1000()) / 1_000),
            BareItem::String(text) => Self::Text(text.as_str().to_owned()),
            BareItem::Token(token) => Self::Text(token.as_str().to_owned()),
            _ => Self::Other,
        }
    }

    fn of_json(value: &Json) -> Self {
        match value {
            Json::Bool(true) => Self::True,
            Json::Number(number) =>
            {
                #[allow(clippy::cast_possible_truncation, reason = "what does not fit is absurd either way")]
                number.as_f64().map_or(Self::Other, |number| Self::Number(number as i64))
            }
            Json::String(text) => Self::Text(text.clone()),
            _ => Self::Other,
        }
    }

    fn number(&self) -> i64 {
        if let Self::Number(number) = self { *number } else { i64::MIN }
    }

    const fn is_true(&self) -> bool {
        matches!(self, Self::True)
    }

    fn text(self) -> Option<String> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    fn name(self, key: &'static str) -> Result<Option<String>, CmcdError> {
        let text = self.text();
        let long = text.as_ref().is_some_and(|text| text.len() > MAX_NAME);
        if long { Err(CmcdError::Absurd(key)) } else { Ok(text) }
    }

    fn within(&self, key: &'static str, most: i64) -> Result<Option<u32>, CmcdError> {
        let Self::Number(number) = self else { return Ok(None) };
        let good = (0..=most).contains(number).then(|| u32::try_from(*number).ok()).flatten();
        good.map(Some).ok_or(CmcdError::Absurd(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_of_the_first_version() {
        // As hls.js 1.7.4 sends it for a segment of video after its buffer ran empty.
        let text = "bl=2100,br=3200,bs,cid=\"faec5fc2\",d=4004,mtp=25400,nor=\"1-ab.m4s\",ot=v,rtp=15000,sf=h,sid=\"6e2fb550\",st=v,su,tb=6000";
        let record = Record::parse(text).unwrap();
        assert_eq!(record.session.as_deref(), Some("6e2fb550"));
        assert_eq!(
            (record.kbps, record.throughput_kbps, record.buffer_ms),
            (Some(3_200), Some(25_400), Some(2_100))
        );
        assert!(record.starved && record.urgent);
        assert_eq!((record.object.as_deref(), record.next), (Some("v"), vec!["1-ab.m4s".to_owned()]));
        let json = br#"{"br":3200,"bs":true,"sid":"6e2fb550","ot":"v"}"#;
        let json = Record::parse_json(json).unwrap();
        assert!(json.starved && json.kbps == Some(3_200) && json.object.as_deref() == Some("v"));
    }

    #[test]
    fn records_of_the_second_version_are_lines_with_lists() {
        let body = "br=(128;a 5000;v),e=rr,nor=(\"a.m4s\" \"b.m4s\"),rc=200,sid=\"s\",ttfb=41,url=\"http://a/x\",v=2\ne=ps,sid=\"s\",sta=r,v=2\n";
        let records = Record::parse_lines(body).unwrap();
        assert_eq!(
            (records[0].kbps, records[0].status, records[0].first_byte_ms),
            (Some(5_000), Some(200), Some(41))
        );
        assert_eq!(records[0].next, ["a.m4s", "b.m4s"]);
        assert!(!records[0].starved && records[1].starved);
    }

    #[test]
    fn what_cannot_be_true_refuses_the_record() {
        assert_eq!(Record::parse("br=-1"), Err(CmcdError::Absurd("br")));
        assert_eq!(Record::parse("bl=999999999999"), Err(CmcdError::Absurd("bl")));
        assert_eq!(Record::parse(&format!("sid=\"{}\"", "x".repeat(65))), Err(CmcdError::Absurd("sid")));
        assert_eq!(Record::parse("br=,"), Err(CmcdError::Malformed));
        assert_eq!(Record::parse_json(b"[]"), Err(CmcdError::Malformed));
        assert_eq!(Record::parse_lines(&"su\n".repeat(65)), Err(CmcdError::TooLong));
        assert_eq!(Record::parse("com.example-mine=1,dl=?0").unwrap(), Record::default());
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(text in "\\PC{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            drop(Record::parse(&text));
            drop(Record::parse_lines(&text));
            drop(Record::parse_json(&bytes));
        }
    }
}
