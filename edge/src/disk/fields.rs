//! Numbers and texts as records have them: little endian, texts behind their lengths. Pure.

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Header lines of one answer; what claims more is damaged.
const MAX_LINES: u32 = 1_000;

/// Writes fields one after another.
#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn short(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn text(&mut self, bytes: &[u8]) {
        self.short(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn names(&mut self, names: &[HeaderName]) {
        self.short(u32::try_from(names.len()).unwrap_or(u32::MAX));
        names.iter().for_each(|name| self.text(name.as_str().as_bytes()));
    }

    pub(super) fn headers(&mut self, headers: &HeaderMap) {
        self.short(u32::try_from(headers.len()).unwrap_or(u32::MAX));
        for (name, value) in headers {
            self.text(name.as_str().as_bytes());
            self.text(value.as_bytes());
        }
    }
}

/// Reads them back. Whatever the bytes are, it reads no further than they go, and keeps no more than they hold.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    pub(super) fn short(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.short()?;
        self.take(usize::try_from(length).ok()?)
    }

    pub(super) fn string(&mut self) -> Option<String> {
        String::from_utf8(self.text()?.to_vec()).ok()
    }

    pub(super) fn names(&mut self) -> Option<Vec<HeaderName>> {
        let count = self.short().filter(|count| *count <= MAX_LINES)?;
        (0..count).map(|_| HeaderName::from_bytes(self.text()?).ok()).collect()
    }

    pub(super) fn headers(&mut self) -> Option<HeaderMap> {
        let count = self.short().filter(|count| *count <= MAX_LINES)?;
        let mut headers = HeaderMap::new();
        for _ in 0..count {
            let name = HeaderName::from_bytes(self.text()?).ok()?;
            headers.append(name, HeaderValue::from_bytes(self.text()?).ok()?);
        }
        Some(headers)
    }
}
