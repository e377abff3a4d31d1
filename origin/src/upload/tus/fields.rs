//! The fields of tus requests, read from headers: each is refused or means one thing.

use crate::upload::intake::Role;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderMap;
use sluice_platform::ApiError;
use sluice_storage::MAX_JOINED;
use sluice_wire::UploadId;

/// The version that is spoken.
pub(super) const VERSION: &str = "1.0.0";
/// Where uploads are.
pub(super) const UPLOADS: &str = "/v1/uploads/";

/// Bytes of `Upload-Metadata` that are kept: names and a title, not documents.
const MAX_METADATA: usize = 4 << 10;
/// Pairs in it.
const MAX_PAIRS: usize = 32;

/// What a client says of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// As it was sent, for `HEAD`.
    pub(crate) sent: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) title: Option<String>,
}

/// Refuses what speaks no tus 1.0.
pub(super) fn version(headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.contains_key("x-http-method-override") {
        return Err(ApiError::bad_request("send the method itself; X-HTTP-Method-Override is not taken"));
    }
    if text(headers, "tus-resumable")?.is_some_and(|v| v == VERSION) {
        return Ok(());
    }
    let detail = format!("send Tus-Resumable: {VERSION}");
    Err(ApiError::new(412, "tus-version", "Unknown tus version", detail))
}

/// A field's value, which is there once or not at all.
fn text<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match value.to_str() {
        Ok(text) if values.next().is_none() => Ok(Some(text)),
        _ => Err(ApiError::bad_request(format!("{name} is one plain text"))),
    }
}

/// A number that may be absent.
pub(super) fn number(headers: &HeaderMap, name: &str) -> Result<Option<u64>, ApiError> {
    let Some(text) = text(headers, name)? else { return Ok(None) };
    let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    // A database column is signed: what does not fit it does not fit any disk either.
    let value = text.parse::<u64>().ok().filter(|n| digits && *n < 1 << 63);
    value.map(Some).ok_or_else(|| ApiError::bad_request(format!("{name} is no whole number below 2^63")))
}

/// What is made: `Upload-Concat`.
pub(crate) fn role(headers: &HeaderMap) -> Result<Role, ApiError> {
    match text(headers, "upload-concat")? {
        None => Ok(Role::Whole),
        Some("partial") => Ok(Role::Partial),
        Some(text) => joined(text).map(Role::Final).ok_or_else(|| {
            let detail = format!(
                "Upload-Concat is partial, or final; and from 1 to {MAX_JOINED} URLs of uploads with spaces between"
            );
            ApiError::bad_request(detail)
        }),
    }
}

/// The uploads of `final;URL URL ...`. Which host a URL names is the client's affair: it may have come by any edge.
fn joined(text: &str) -> Option<Vec<UploadId>> {
    let urls = text.strip_prefix("final;")?.split_ascii_whitespace();
    let ids: Vec<UploadId> = urls.map(id).collect::<Option<_>>()?;
    (1..=MAX_JOINED).contains(&ids.len()).then_some(ids)
}

fn id(url: &str) -> Option<UploadId> {
    let path = match url.split_once("://") {
        Some(("http" | "https", rest)) => rest.split_once('/')?.1,
        Some(_) => return None,
        None => url.strip_prefix('/')?,
    };
    path.strip_prefix(UPLOADS.strip_prefix('/')?)?.parse().ok()
}

/// `Upload-Concat` of a final upload, as `HEAD` tells it.
pub(super) fn final_of(joined: &[UploadId]) -> String {
    let urls: Vec<String> = joined.iter().map(|id| format!("{UPLOADS}{id}")).collect();
    format!("final;{}", urls.join(" "))
}

/// The length an upload begins with: `Upload-Length`, or none and `Upload-Defer-Length`; none of both for a final one.
pub(super) fn length(headers: &HeaderMap, role: &Role) -> Result<Option<u64>, ApiError> {
    let length = number(headers, "upload-length")?;
    let deferred = match text(headers, "upload-defer-length")? {
        None => false,
        Some("1") => true,
        Some(_) => return Err(ApiError::bad_request("Upload-Defer-Length is 1 or absent")),
    };
    match (role, length, deferred) {
        (Role::Final(_), None, false) => Ok(None),
        (Role::Final(_), ..) => Err(ApiError::bad_request("a final upload has the length of its parts")),
        (_, length @ Some(_), false) | (_, length @ None, true) => Ok(length),
        _ => Err(ApiError::bad_request("send Upload-Length, or Upload-Defer-Length: 1")),
    }
}

/// Reads `Upload-Metadata`: keys, each with a value in Base64 or none, separated by commas.
pub(crate) fn metadata(headers: &HeaderMap) -> Result<Metadata, ApiError> {
    let Some(sent) = text(headers, "upload-metadata")? else { return Ok(Metadata::default()) };
    let bad = || ApiError::bad_request("Upload-Metadata is a list of keys, each once, and Base64 values");
    if sent.len() > MAX_METADATA {
        let detail = format!("Upload-Metadata has at most {MAX_METADATA} bytes");
        return Err(ApiError::new(413, "metadata-too-large", "Metadata too large", detail));
    }
    let mut pairs: Vec<(&str, Vec<u8>)> = vec![];
    for pair in sent.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let value = STANDARD.decode(value.trim()).map_err(|_| bad())?;
        if pairs.len() == MAX_PAIRS || pairs.iter().any(|(known, _)| *known == key) {
            return Err(bad());
        }
        pairs.push((key, value));
    }
    let of = |key: &str| pairs.iter().find(|(known, _)| *known == key).map(|(_, value)| value.clone());
    let words = |value: Option<Vec<u8>>| value.map(String::from_utf8).transpose().map_err(|_| bad());
    let (name, title) = (words(of("filename").or_else(|| of("name")))?, words(of("title"))?);
    Ok(Metadata { sent: Some(sent.to_owned()), name, title })
}

/// What fields that were read are held to, whatever the bytes: the first line is `Upload-Concat`, the next
/// `Upload-Metadata`, the next `Upload-Length`.
pub(crate) fn fuzzing(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    for name in ["upload-concat", "upload-metadata", "upload-length"] {
        if let Ok(value) = http::HeaderValue::from_bytes(lines.next().unwrap_or_default()) {
            headers.insert(name, value);
        }
    }
    if let Ok(Role::Final(ids)) = role(&headers) {
        assert!((1..=MAX_JOINED).contains(&ids.len()));
        assert_eq!(joined(&final_of(&ids)), Some(ids));
    }
    if let Ok(read) = metadata(&headers) {
        assert!(read.sent.is_none_or(|sent| sent.len() <= MAX_METADATA));
    }
    if let Ok(Some(number)) = number(&headers, "upload-length") {
        assert!(number < 1 << 63);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_final_upload_names_its_parts_by_any_url() {
        let (a, b) = (UploadId::from_u64(1).unwrap(), UploadId::from_u64(2).unwrap());
        let text = format!("final;/v1/uploads/{a} https://edge:8443/v1/uploads/{b}");
        assert_eq!(role(&with("upload-concat", &text)).unwrap(), Role::Final(vec![a, b]));
        assert_eq!(joined(&final_of(&[b, a])), Some(vec![b, a]));
        assert_eq!(role(&with("upload-concat", "partial")).unwrap(), Role::Partial);
        assert_eq!(role(&HeaderMap::new()).unwrap(), Role::Whole);
        let many = vec![a; MAX_JOINED + 1];
        let slash = format!("final;/v1/uploads/{a}/");
        let other = format!("final;ftp://h/v1/uploads/{a}");
        for wrong in ["", "final", "final;", "final; x", "Partial", &slash, &other, &final_of(&many)] {
            assert!(role(&with("upload-concat", wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn metadata_is_read_and_kept_as_it_was_sent() {
        let sent = "filename ZmlsbS5tcDQ=,  title RmlsbQ==,is_private,blob /w==";
        let read = metadata(&with("upload-metadata", sent)).unwrap();
        assert_eq!((read.name.as_deref(), read.title.as_deref()), (Some("film.mp4"), Some("Film")));
        assert_eq!(read.sent.as_deref(), Some(sent));
        let long = format!("a {}", "AAAA".repeat(2_000));
        let many: Vec<String> = (0..=MAX_PAIRS).map(|n| format!("k{n}")).collect();
        for wrong in ["a ***", "a QQ==,a Qg==", "name /w==", &long, &many.join(",")] {
            assert!(metadata(&with("upload-metadata", wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_length_is_told_once_or_deferred() {
        let mut both = with("upload-length", "5");
        assert_eq!(length(&both, &Role::Whole).unwrap(), Some(5));
        assert!(length(&both, &Role::Final(vec![])).is_err());
        both.insert("upload-defer-length", HeaderValue::from_static("1"));
        assert!(length(&both, &Role::Partial).is_err());
        assert_eq!(length(&with("upload-defer-length", "1"), &Role::Partial).unwrap(), None);
        assert!(length(&with("upload-defer-length", "2"), &Role::Whole).is_err());
        assert!(length(&HeaderMap::new(), &Role::Whole).is_err());
        assert_eq!(length(&HeaderMap::new(), &Role::Final(vec![])).unwrap(), None);
        for wrong in ["-1", "", "1 ", "0x5", "9223372036854775808", "18446744073709551616"] {
            assert!(number(&with("upload-length", wrong), "upload-length").is_err(), "{wrong}");
        }
        let mut twice = with("upload-offset", "1");
        twice.append("upload-offset", HeaderValue::from_static("1"));
        assert!(number(&twice, "upload-offset").is_err());
    }
}
