//! The spelling of a path that rules and tokens are about, and what a prefix covers.

use percent_encoding::percent_decode_str;

/// A path as rules compare it: every escape is read, but for those that would make another structure (`/`, `\`, `?`,
/// `#`, `%`) or no text (controls). Servers read `%21` and `!` alike, so a rule for one is a rule for both. `None` when
/// it is no UTF-8.
#[must_use]
pub fn compared(path: &str) -> Option<String> {
    let plainly = |byte: u8| !b"/\\?#%".contains(&byte) && !byte.is_ascii_control();
    let mut text = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            text.push(*first);
            continue;
        }
        let escape = after.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        rest = after.get(2..)?;
        let written = ["%", std::str::from_utf8(escape).ok()?].concat();
        let byte = percent_decode_str(&written).next()?;
        if plainly(byte) {
            text.push(byte);
        } else {
            text.extend_from_slice(written.to_ascii_uppercase().as_bytes());
        }
    }
    String::from_utf8(text).ok()
}

/// True when a prefix covers a path: the same path, or one below it. `/v/a` covers `/v/a` and `/v/a/b`, never `/v/ab`;
/// `/v/a/` covers only what is below.
#[must_use]
pub fn covers(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

/// True for what may be a prefix: it begins with a slash and is spelled as paths are compared.
#[must_use]
pub fn is_prefix(prefix: &str) -> bool {
    let tricks = prefix.contains("//") || prefix.split('/').any(|s| s == "." || s == "..");
    prefix.starts_with('/') && !tricks && compared(prefix).as_deref() == Some(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_of_one_path_are_one() {
        assert_eq!(compared("/v/%21a!/%C3%A4").unwrap(), "/v/!a!/\u{e4}");
        assert_eq!(compared("/v/%2fa%25%00%5C").unwrap(), "/v/%2Fa%25%00%5C");
        for bad in ["/%", "/%4", "/%zz", "/%4g", "/a%"] {
            assert_eq!(compared(bad), None, "{bad}");
        }
        assert_eq!(compared("/%ff"), None, "no text");
    }

    #[test]
    fn a_prefix_ends_where_a_segment_ends() {
        for (prefix, path) in
            [("/", "/"), ("/", "/a"), ("/v/a", "/v/a"), ("/v/a", "/v/a/b"), ("/v/a/", "/v/a/b")]
        {
            assert!(covers(prefix, path), "{prefix} {path}");
        }
        for (prefix, path) in
            [("/v/a", "/v/ab"), ("/v/a/", "/v/a"), ("/v/a", "/V/a"), ("/v/a", "/v/"), ("/v/a", "/x/v/a")]
        {
            assert!(!covers(prefix, path), "{prefix} {path}");
        }
        for bad in ["", "v", "/a//b", "/../a", "/%61", "/a%2f", "/."] {
            assert!(!is_prefix(bad), "{bad}");
        }
        assert!(is_prefix("/") && is_prefix("/v/!a") && is_prefix("/a%2Fb"));
    }

    proptest! {
        #[test]
        fn respelling_twice_changes_nothing(path in "/[a-z%0-9A-F./!\u{e4}]{0,30}") {
            if let Some(once) = compared(&path) {
                prop_assert_eq!(compared(&once), Some(once.clone()));
            }
        }
    }
}
