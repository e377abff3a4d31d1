//! A URL that somebody else named, checked. Pure.

use super::address::admits;
use ipnet::IpNet;
use reqwest::Url;
use std::net::IpAddr;

/// Bytes of a URL: as much as any browser or server takes.
const MAX_URL: usize = 2_048;

/// Where this process may connect on behalf of others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// Networks that are not public and may be connected to all the same.
    pub(crate) internal: Vec<IpNet>,
    /// Ports below 1025 beside 80 and 443.
    pub(crate) ports: Vec<u16>,
}

/// Why a URL is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("it is no absolute URL of at most {MAX_URL} bytes")]
    Url,
    #[error("only http and https are asked")]
    Scheme,
    #[error("a URL with a user or a password is not asked")]
    UserInfo,
    #[error("this port is not asked: 80, 443 and those above 1024 are")]
    Port,
    #[error("its host is, or leads to, an address outside the public net")]
    Address,
}

/// Reads a URL. An address in it is checked in whichever spelling it comes; a name's addresses are, when it is resolved.
pub(crate) fn read(rules: &Rules, text: &str) -> Result<Url, Refused> {
    if text.len() > MAX_URL {
        return Err(Refused::Url);
    }
    let url = Url::parse(text).map_err(|_| Refused::Url)?;
    check(rules, url)
}

/// The same for a URL that was read already: that of a redirect.
pub(crate) fn check(rules: &Rules, mut url: Url) -> Result<Url, Refused> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Refused::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refused::UserInfo);
    }
    let port = url.port_or_known_default().ok_or(Refused::Port)?;
    if !(matches!(port, 80 | 443 | 1_025..) || rules.ports.contains(&port)) {
        return Err(Refused::Port);
    }
    if url.as_str().len() > MAX_URL {
        return Err(Refused::Url);
    }
    let host = url.host_str().ok_or(Refused::Url)?;
    // The parser has made one spelling of decimal, octal and hexadecimal ones.
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    let own = host.trim_end_matches('.');
    let own = own == "localhost" || own.ends_with(".localhost");
    let refused = match literal {
        Some(address) => !admits(&rules.internal, address),
        None => own && !admits(&rules.internal, [127, 0, 0, 1].into()),
    };
    if refused {
        return Err(Refused::Address);
    }
    url.set_fragment(None);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_a_refused_address_is_let_through() {
        let read = |text: &str| read(&Rules::default(), text).map(|url| url.to_string());
        for spelled in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://0x7f.1/",
            "http://127.0.0.1./",
            "http://127%2e0.0.1/",
            "http://１２７.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http://169.254.169.254/latest/meta-data/",
            "http://2852039166/",
            "http://[fd00:ec2::254]/",
            "http://0/",
            "http://10.1/",
            "http:\\\\127.0.0.1\\",
            "http:127.0.0.1/",
            "https://[fe80::1]:8443/",
        ] {
            assert_eq!(read(spelled), Err(Refused::Address), "{spelled}");
        }
        for (wrong, why) in [
            ("", Refused::Url),
            ("/a", Refused::Url),
            ("http://", Refused::Url),
            ("http://[::1%25eth0]/", Refused::Url),
            ("file:///etc/passwd", Refused::Scheme),
            ("gopher://h/", Refused::Scheme),
            ("javascript:alert(1)", Refused::Scheme),
            ("http://u@8.8.8.8/", Refused::UserInfo),
            ("http://:p@8.8.8.8/", Refused::UserInfo),
            ("http://8.8.8.8@127.0.0.1/", Refused::UserInfo),
            ("http://8.8.8.8:22/", Refused::Port),
            ("http://8.8.8.8:1024/", Refused::Port),
        ] {
            assert_eq!(read(wrong), Err(why), "{wrong}");
        }
        assert_eq!(read(&format!("http://h/{}", "a".repeat(MAX_URL))), Err(Refused::Url));
        assert_eq!(read("https://example.com/film.mp4#t=5").unwrap(), "https://example.com/film.mp4");
        assert_eq!(read("http://8.8.8.8:8080/a b").unwrap(), "http://8.8.8.8:8080/a%20b");
        let rules = Rules { internal: vec!["127.0.0.0/8".parse().unwrap()], ports: vec![81] };
        assert!(super::read(&rules, "http://localhost:81/").is_ok());
        assert_eq!(super::read(&rules, "http://[::1]:81/"), Err(Refused::Address));
    }
}
