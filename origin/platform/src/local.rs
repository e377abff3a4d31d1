//! Paths of this host that clients name, and pages show as pictures and links.

/// True for a path of the same host, whatever reads it: one slash, and neither backslash, space nor control character. Browsers take a
/// backslash for a slash and leave out tabs and ends of lines, so that `/\host`, or `/` and a tab before `/host`, lead elsewhere.
#[must_use]
pub fn is_local_path(path: &str) -> bool {
    let tricks = |c: char| c == '\\' || c.is_control() || c.is_whitespace();
    path.starts_with('/') && !path.starts_with("//") && !path.contains(tricks)
}

#[cfg(test)]
mod tests {
    use super::is_local_path;

    #[test]
    fn a_path_stays_on_its_host() {
        for path in ["/", "/a.jpg", "/v1/feed/photos/1.jpg?w=320&fmt=auto", "/\u{e4}/%20#x", "/a//b"] {
            assert!(is_local_path(path), "{path}");
        }
        for path in [
            "",
            "a.jpg",
            "//evil.example/x.png",
            "/\\evil.example/x.png",
            "\\\\evil.example/x.png",
            "/\t/evil.example/x.png",
            "/\n/evil.example/x.png",
            "/\r/evil.example/x.png",
            "\t//evil.example/x.png",
            "/a b",
            "/a\u{a0}b",
            "/a\u{0}",
            "/a\u{7f}",
            "/a\\b",
            "http://evil.example/x.png",
            "javascript:alert(1)",
        ] {
            assert!(!is_local_path(path), "{path:?}");
        }
    }
}
