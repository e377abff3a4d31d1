//! What a credential allows.

use super::uri::{self, UriTest};
use super::{CLOCK_SLACK_S, Refusal, path};
use ipnet::IpNet;
use std::net::IpAddr;

/// A request as grants are asked about it.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The method.
    pub method: &'a str,
    /// True over TLS.
    pub secure: bool,
    /// Host and, if it was named, port: the `Host` field.
    pub host: &'a str,
    /// The path, as [`path::compared`] spells it.
    pub path: &'a str,
    /// The query without credentials.
    pub query: Option<&'a str>,
    /// The client's address.
    pub client: IpAddr,
    /// The client's country, two capital letters, where it is known.
    pub country: Option<&'a str>,
}

/// What a credential allows. Absent limits do not limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// Who it is for.
    pub subject: Option<String>,
    /// Who minted it.
    pub issuer: Option<String>,
    /// Whom it is meant for.
    pub audiences: Vec<String>,
    /// Whose content it is about.
    pub tenant: Option<String>,
    /// Its end, in seconds of Unix time. A grant without an end allows nothing.
    pub expires: Option<u64>,
    /// Its beginning, in seconds of Unix time.
    pub not_before: Option<u64>,
    /// When it was minted, in seconds of Unix time.
    pub issued: Option<u64>,
    /// The same in milliseconds, as finely as it was said.
    pub minted_ms: Option<u64>,
    /// The session of an account that it was minted in.
    pub session: Option<String>,
    /// Live channels: names, and beginnings of names that end in `*`.
    pub channels: Vec<String>,
    /// The number that each of them had when it was looked up whether this may be allowed; none when nobody said.
    pub versions: Vec<u64>,
    /// Prefixes of paths, of which one must cover.
    pub paths: Option<Vec<String>>,
    /// Tests of the URI, which must all hold.
    pub uri: Vec<UriTest>,
    /// Methods.
    pub methods: Option<Vec<String>>,
    /// Countries: two capital letters each (ISO 3166-1 alpha-2).
    pub countries: Option<Vec<String>>,
    /// Addresses of clients.
    pub clients: Option<IpNet>,
}

impl Grant {
    /// The number that a channel had when it was looked up whether it may be listened to.
    #[must_use]
    pub fn seen(&self, channel: &str) -> Option<u64> {
        let place = self.channels.iter().position(|name| name == channel)?;
        self.versions.get(place).copied()
    }

    /// Whether it allows a request at a time, in seconds of Unix time.
    ///
    /// # Errors
    /// The first reason why not: as [`Grant::is_in_time`], [`Refusal::Path`], [`Refusal::Method`], [`Refusal::Country`],
    /// [`Refusal::Client`].
    pub fn check(&self, asked: &Question<'_>, now_s: u64) -> Result<(), Refusal> {
        self.is_in_time(now_s)?;
        let may = |good: bool, why| if good { Ok(()) } else { Err(why) };
        let of = |list: &Option<Vec<String>>, value: Option<&str>| {
            list.as_ref().is_none_or(|list| value.is_some_and(|value| list.iter().any(|one| one == value)))
        };
        let covered = |paths: &Vec<String>| paths.iter().any(|prefix| path::covers(prefix, asked.path));
        may(self.paths.as_ref().is_none_or(covered), Refusal::Path)?;
        may(self.uri.iter().all(|test| uri::holds(test, asked)), Refusal::Path)?;
        // What may be read may be asked about (RFC 9110 section 9.3.2).
        let method = of(&self.methods, Some(asked.method))
            || (asked.method == "HEAD" && of(&self.methods, Some("GET")));
        may(method, Refusal::Method)?;
        may(of(&self.countries, asked.country), Refusal::Country)?;
        may(self.clients.is_none_or(|net| net.contains(&asked.client.to_canonical())), Refusal::Client)
    }

    /// Whether it is good at a time, in seconds of Unix time.
    ///
    /// # Errors
    /// [`Refusal::Expired`] after its end or without one, [`Refusal::Early`] before its beginning or its minting; each with
    /// [`CLOCK_SLACK_S`].
    pub fn is_in_time(&self, now_s: u64) -> Result<(), Refusal> {
        if self.expires.is_none_or(|end| end.saturating_add(CLOCK_SLACK_S) <= now_s) {
            return Err(Refusal::Expired);
        }
        let latest = now_s.saturating_add(CLOCK_SLACK_S);
        let early = [self.not_before, self.issued].into_iter().flatten().any(|from| from > latest);
        if early { Err(Refusal::Early) } else { Ok(()) }
    }

    /// Whether it is meant for an edge of this name (`aud`) and issuer, and for one of a rule's tenants, when it has any.
    /// An audience must be recognised by one of the two (RFC 7519 section 4.1.3).
    ///
    /// # Errors
    /// The first reason why not: [`Refusal::Issuer`], [`Refusal::Audience`], [`Refusal::Tenant`].
    pub fn is_for(
        &self,
        issuer: Option<&str>,
        audience: Option<&str>,
        tenants: &[String],
    ) -> Result<(), Refusal> {
        if issuer.is_some() && self.issuer.as_deref() != issuer {
            return Err(Refusal::Issuer);
        }
        let tenant = |name: &str| tenants.iter().any(|one| one == name);
        let recognised = self.audiences.iter().any(|one| audience == Some(one) || tenant(one));
        if (audience.is_some() || !self.audiences.is_empty()) && !recognised {
            return Err(Refusal::Audience);
        }
        let meant = self.tenant.as_deref().map_or_else(|| self.audiences.iter().any(|a| tenant(a)), tenant);
        if tenants.is_empty() || meant { Ok(()) } else { Err(Refusal::Tenant) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &'static str, path: &'static str) -> Question<'static> {
        let client = "192.0.2.7".parse().unwrap();
        Question { method, secure: true, host: "h", path, query: None, client, country: Some("DE") }
    }

    #[test]
    fn each_limit_limits() {
        let open = Grant { expires: Some(1_000), ..Grant::default() };
        let get = asked("GET", "/v/a/b");
        assert_eq!(open.check(&get, 900), Ok(()));
        assert_eq!(open.check(&get, 1_059), Ok(()), "within the slack");
        assert_eq!(open.check(&get, 1_060), Err(Refusal::Expired));
        assert_eq!(Grant::default().check(&get, 0), Err(Refusal::Expired), "no end is no grant");
        let list = |one: &str| Some(vec![one.to_owned()]);
        let with = |change: &dyn Fn(&mut Grant)| {
            let mut grant = open.clone();
            change(&mut grant);
            grant.check(&get, 900)
        };
        assert_eq!(with(&|g| g.not_before = Some(961)), Err(Refusal::Early));
        assert_eq!(with(&|g| g.issued = Some(960)), Ok(()));
        assert_eq!(with(&|g| g.paths = list("/v/a")), Ok(()));
        assert_eq!(with(&|g| g.paths = list("/v/a/bc")), Err(Refusal::Path));
        assert_eq!(with(&|g| g.paths = Some(vec![])), Err(Refusal::Path));
        assert_eq!(with(&|g| g.methods = list("PUT")), Err(Refusal::Method));
        assert_eq!(with(&|g| g.countries = list("FR")), Err(Refusal::Country));
        assert_eq!(with(&|g| g.clients = Some("192.0.2.0/24".parse().unwrap())), Ok(()));
        assert_eq!(with(&|g| g.clients = Some("192.0.3.0/24".parse().unwrap())), Err(Refusal::Client));
        let reads = Grant { methods: list("GET"), ..open };
        assert_eq!(reads.check(&asked("HEAD", "/"), 900), Ok(()));
        assert_eq!(reads.check(&Question { country: None, ..get }, 900), Ok(()));
    }

    #[test]
    fn audiences_and_tenants_are_recognised_or_refused() {
        let of = |aud: &[&str], tenant: Option<&str>| Grant {
            audiences: aud.iter().map(|a| (*a).to_owned()).collect(),
            tenant: tenant.map(str::to_owned),
            ..Grant::default()
        };
        let acme = ["acme".to_owned()];
        assert_eq!(of(&[], None).is_for(None, None, &[]), Ok(()));
        assert_eq!(of(&["x"], None).is_for(None, None, &[]), Err(Refusal::Audience));
        assert_eq!(of(&["x", "cdn"], None).is_for(None, Some("cdn"), &[]), Ok(()));
        assert_eq!(of(&[], None).is_for(None, Some("cdn"), &[]), Err(Refusal::Audience));
        assert_eq!(of(&["acme"], None).is_for(None, None, &acme), Ok(()));
        assert_eq!(of(&["acme"], Some("other")).is_for(None, None, &acme), Err(Refusal::Tenant));
        assert_eq!(of(&["cdn"], Some("acme")).is_for(None, Some("cdn"), &acme), Ok(()));
        assert_eq!(of(&["cdn"], None).is_for(None, Some("cdn"), &acme), Err(Refusal::Tenant));
        assert_eq!(of(&[], None).is_for(Some("i"), None, &[]), Err(Refusal::Issuer));
    }

    #[test]
    fn numbers_are_those_of_the_channels_beside_them() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let two = Grant { channels: list(&["a", "b"]), versions: vec![3], ..Grant::default() };
        assert_eq!([two.seen("a"), two.seen("b"), two.seen("c")], [Some(3), None, None]);
    }
}
