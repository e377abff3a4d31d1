//! Access: who may have what, decided before anything is looked up.
//!
//! - `config` and `rules`: which path needs what; `credentials`: what a request brings, taken out of it
//! - `keys` and `check`: whether it was signed by a known key, and allows this; `answers`: refusals and what is added
//! - `rate`: how often
//! - `live`: rules and keys are read again when they change
//!
//! Everything is checked here, offline: no other service is asked, and an edge holds public keys alone.

mod answers;
mod check;
mod config;
mod credentials;
#[cfg(test)]
mod forgeries;
pub(crate) mod fuzzing;
mod keys;
mod live;
mod rate;
mod rules;

pub(crate) use answers::{Dress, Proof, is_guarded};
pub use config::AccessConfig;
pub(crate) use live::follow;

use crate::gate::Target;
use crate::metrics::{Metrics, Outcome};
use arc_swap::{ArcSwap, ArcSwapOption};
use check::Expected;
use credentials::{Credential, Kind};
use http::header::{HOST, HeaderValue};
use keys::Keys;
use rate::Left;
pub(crate) use rate::{By, Rate, Rates, client, network};
use rules::{Need, Rule, Rules};
use sluice_service::{HttpRequest, HttpResponse, Peer, Places};
use sluice_wire::headers::{ACCESS_CHECKS, SLUICE_ACCESS};
use sluice_wire::token::{CLOCK_SLACK_S, Grant, Question, Refusal, path};
use sluice_wire::{Country, MediaPath};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What decides on access.
#[derive(Debug)]
pub(crate) struct Access {
    /// False where there are neither rules nor keys: nothing is looked at then.
    enabled: bool,
    config: ArcSwap<AccessConfig>,
    rules: ArcSwap<Rules>,
    keys: ArcSwap<Keys>,
    /// Of the file and of the URL, each as it was last good.
    sources: Mutex<(Keys, Keys)>,
    places: ArcSwapOption<Places>,
    rates: Rates,
    metrics: Metrics,
}

/// The credential that a request was let in with, as a query carries it on: an extension of the request.
#[derive(Debug, Clone)]
pub(crate) struct Carried(pub(crate) String);

/// Whom the token names that a request was let in with: an extension of the request.
#[derive(Debug, Clone)]
pub(crate) struct Owner(pub(crate) String);

/// What becomes of a request.
pub(crate) enum Verdict {
    /// It goes on; its answer is dressed.
    Passed(Dress),
    /// It is answered.
    Answered(HttpResponse, Outcome),
}

/// A client, as rules and credentials see it.
struct Asker {
    address: IpAddr,
    secure: bool,
}

/// Why a request is not let in; for one of too many, how long until there is room.
struct Refused {
    why: Refusal,
    wait: Option<(Rate, Duration)>,
}

impl From<Refusal> for Refused {
    fn from(why: Refusal) -> Self {
        Self { why, wait: None }
    }
}

impl Access {
    /// Reads rules and keys.
    ///
    /// # Errors
    /// What is wrong with which file: an edge does not start on rules that it cannot read.
    pub(crate) fn load(config: &AccessConfig, metrics: &Metrics) -> Result<Self, String> {
        let named = |key: &str, file: &std::path::Path, why| format!("{key} {}: {why}", file.display());
        let (mut rules, mut keys) = (Rules::default(), Keys::default());
        if let Some(file) = &config.rules_file {
            rules = live::rules(file).map_err(|why| named("access.rules_file", file, why))?;
        }
        if let Some(file) = &config.keys_file {
            keys = live::keys(file).map_err(|why| named("access.keys_file", file, why))?;
        }
        let mut places = None;
        if let Some(file) = &config.geo_file {
            let read = Places::read(file).map_err(|why| named("access.geo_file", file, why))?;
            places = Some(Arc::new(read));
        }
        Ok(Self {
            enabled: config.rules_file.is_some() || config.keys_file.is_some() || config.keys_url.is_some(),
            config: ArcSwap::from_pointee(config.clone()),
            rules: ArcSwap::from_pointee(rules),
            keys: ArcSwap::from_pointee(keys.clone()),
            sources: Mutex::new((keys, Keys::default())),
            places: ArcSwapOption::new(places),
            rates: Rates::new(),
            metrics: metrics.clone(),
        })
    }

    /// Takes the names and networks of a configuration into force; which files there are stays.
    pub(crate) fn take(&self, config: &AccessConfig) {
        self.config.store(Arc::new(config.clone()));
    }

    /// Replaces the keys of the file, of the URL, or of both. The file's win.
    fn set_keys(&self, file: Option<Keys>, url: Option<Keys>) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.0 = file.unwrap_or_else(|| std::mem::take(&mut sources.0));
        sources.1 = url.unwrap_or_else(|| std::mem::take(&mut sources.1));
        let all = sources.0.and(&sources.1);
        tracing::info!(keys = all.len(), "keys");
        self.keys.store(Arc::new(all));
    }

    /// True when a plain GET of a plain path needs nothing at all: the shortest way is open to it.
    pub(crate) fn is_open(&self, path: &str) -> bool {
        !self.enabled || self.rules.load().of("GET", path).is_none_or(Rule::is_open)
    }

    /// True when a request comes from a network of edges.
    pub(crate) fn is_peer(&self, request: &HttpRequest) -> bool {
        let from = request.extensions().get::<Peer>().map(|peer| peer.addr.ip().to_canonical());
        from.is_some_and(|from| self.config.load().peers.iter().any(|net| net.contains(&from)))
    }

    /// What a token grants its bearer, who comes from an address: signed by a known key, meant for this fleet, in time. What
    /// it grants is for the caller to look at.
    ///
    /// # Errors
    /// The first reason why it does not count.
    pub(crate) fn bearer(&self, token: &str, from: IpAddr) -> Result<Grant, Refusal> {
        let (grant, is_late) = self.late_bearer(token, from, 0)?;
        if is_late { Err(Refusal::Expired) } else { Ok(grant) }
    }

    /// As [`bearer`](Self::bearer), also of a token whose time is over by at most so many seconds; and whether it is.
    ///
    /// # Errors
    /// As those of [`bearer`](Self::bearer).
    pub(crate) fn late_bearer(
        &self,
        token: &str,
        from: IpAddr,
        late_s: u64,
    ) -> Result<(Grant, bool), Refusal> {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let config = self.config.load();
        let grant = check::read(token, &self.keys.load())?;
        grant.is_for(config.issuer.as_deref(), config.audience.as_deref(), &[])?;
        let is_late = match grant.is_in_time(now_s) {
            Err(Refusal::Expired) if grant.expires.is_some_and(|end| now_s <= end.saturating_add(late_s)) => {
                true
            }
            in_time => {
                in_time?;
                false
            }
        };
        let here = grant.clients.is_none_or(|net| net.contains(&from));
        if here { Ok((grant, is_late)) } else { Err(Refusal::Client) }
    }

    /// Decides on a request, and takes its credentials out of it. `above` is true of a tier that edges ask.
    pub(crate) fn authorise(&self, request: &mut HttpRequest, target: &mut Target, above: bool) -> Verdict {
        let says = request.headers().get(SLUICE_ACCESS).map(HeaderValue::as_bytes);
        let checks = above && says == Some(ACCESS_CHECKS.as_bytes());
        let of_edge = || Verdict::Passed(Dress { proof: Proof::Edge, ..Dress::default() });
        // Where nothing is looked at, clients cannot come, or nothing is guarded from them.
        let anybody = self.config.load().peers.is_empty();
        if !self.enabled {
            return if checks && anybody { of_edge() } else { Verdict::Passed(Dress::default()) };
        }
        let peer = request.extensions().get::<Peer>();
        let asker = Asker {
            address: peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |p| p.addr.ip().to_canonical()),
            secure: peer.is_some_and(|peer| peer.secure),
        };
        // An edge of a lower tier has checked already.
        if self.config.load().peers.iter().any(|net| net.contains(&asker.address)) {
            return if checks { of_edge() } else { Verdict::Passed(Dress::default()) };
        }
        if checks && anybody && !self.rules.load().are_any() {
            return of_edge();
        }
        match self.decide(request, target, &asker) {
            Ok(verdict) => verdict,
            Err(Refused { why, wait }) => {
                self.metrics.access(why.as_str());
                let answer =
                    wait.map_or_else(|| answers::refusal(why), |(rate, wait)| answers::too_many(rate, wait));
                Verdict::Answered(answer, Outcome::Refused)
            }
        }
    }

    fn decide(
        &self,
        request: &mut HttpRequest,
        target: &mut Target,
        asker: &Asker,
    ) -> Result<Verdict, Refused> {
        let compared = path::compared(&target.path).ok_or(Refusal::Path)?;
        let rules = self.rules.load();
        if let Some(wanted) = answers::preflight(request.method(), request.headers())
            && rules.of(wanted, &compared).is_some_and(|rule| rule.need != Need::Open)
        {
            return Ok(Verdict::Answered(answers::preflight_answer(wanted), Outcome::Bypass));
        }
        let rule = rules.of(request.method().as_str(), &compared);
        let need = rule.map_or(Need::Open, |rule| rule.need);
        // A client's rate is for what is refused, too: guessing has a price.
        let mut rate = rule.map_or(Ok(None), |rule| self.rate(rule, By::Client, None, asker))?;
        if need == Need::Open && MediaPath::parse(&compared).is_some() {
            return self.media(request, target, &compared, rule, asker, rate);
        }
        let credential = credentials::take(&self.config.load(), need, request.headers_mut(), target)?;
        let (mut dress, mut subject) = (Dress::default(), None);
        if let Some(rule) = rule {
            let country = self.places.load().as_ref().and_then(|places| places.country(asker.address));
            if !rule.countries.allow(country) {
                return Err(Refusal::Country.into());
            }
            if need != Need::Open {
                let credential = credential.ok_or(Refusal::Missing)?;
                let asked =
                    question(request, target, &compared, asker, country.as_ref().map(Country::as_str));
                let (grant, cookie) = self.let_in(&credential, rule, &asked)?;
                (dress.private, dress.cookie, subject) = (true, cookie, grant.subject.clone());
                dress.proof = proof(&credential, &grant);
                request.extensions_mut().insert(Carried(credential.query));
            }
            if let Some(subject) = &subject {
                request.extensions_mut().insert(Owner(subject.clone()));
            }
            rate = rate.or(self.rate(rule, By::Subject, subject.as_deref(), asker)?);
        }
        self.metrics.access(if dress.private { "allowed" } else { "open" });
        dress.rate = rate;
        Ok(Verdict::Passed(dress))
    }

    /// Media that no rule closes may be of a private video: what is brought is looked at, and counts when the answer turns
    /// out to be guarded. The cookie is no wider than the video.
    fn media(
        &self,
        request: &mut HttpRequest,
        target: &mut Target,
        compared: &str,
        rule: Option<&Rule>,
        asker: &Asker,
        mut rate: Option<(Rate, Left)>,
    ) -> Result<Verdict, Refused> {
        let country = self.places.load().as_ref().and_then(|places| places.country(asker.address));
        if let Some(rule) = rule {
            if !rule.countries.allow(country) {
                return Err(Refusal::Country.into());
            }
            rate = rate.or(self.rate(rule, By::Subject, None, asker)?);
        }
        let mut dress = Dress { rate, ..Dress::default() };
        let taken = credentials::take(&self.config.load(), Need::Either, request.headers_mut(), target);
        let shown = taken.and_then(|credential| {
            let credential = credential.ok_or(Refusal::Missing)?;
            let asked = question(request, target, compared, asker, country.as_ref().map(Country::as_str));
            let (grant, cookie) = self.let_in(&credential, &Rule::of_video(compared), &asked)?;
            Ok((proof(&credential, &grant), cookie, credential.query))
        });
        match shown {
            Ok((proof, cookie, query)) => {
                (dress.proof, dress.cookie) = (proof, cookie);
                request.extensions_mut().insert(Carried(query));
            }
            Err(why) => dress.proof = Proof::Not(why),
        }
        self.metrics.access("open");
        Ok(Verdict::Passed(dress))
    }

    /// What a credential grants, and the cookie to set: what came in a query, for as long as it is good.
    fn let_in(
        &self,
        credential: &Credential,
        rule: &Rule,
        asked: &Question<'_>,
    ) -> Result<(Grant, Option<String>), Refusal> {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let config = self.config.load();
        let expected = Expected { issuer: config.issuer.as_deref(), audience: config.audience.as_deref() };
        let grant = check::check(credential, rule, &self.keys.load(), expected, asked, now_s)?;
        let left = grant.expires.unwrap_or(0).saturating_add(CLOCK_SLACK_S).saturating_sub(now_s);
        let cookie = credential
            .in_query
            .then(|| answers::cookie(&config.cookie, credential, &rule.prefix, left, asked.secure));
        Ok((grant, cookie))
    }

    /// Takes a request out of the bucket of whoever the rule counts by, when it is this.
    fn rate(
        &self,
        rule: &Rule,
        by: By,
        subject: Option<&str>,
        asker: &Asker,
    ) -> Result<Option<(Rate, Left)>, Refused> {
        let Some(rate) = rule.rate.filter(|rate| rate.by == by) else { return Ok(None) };
        let who = subject.map_or_else(|| client(asker.address), |subject| format!("subject {subject}"));
        match self.rates.take(rate, &rule.name(), &who) {
            Ok(left) => Ok(Some((rate, left))),
            Err(wait) => Err(Refused { why: Refusal::Rate, wait: Some((rate, wait)) }),
        }
    }
}

/// What is guarded is for whoever shows a credential that is about it: one that lets its bearer everywhere does not.
fn proof(credential: &Credential, grant: &Grant) -> Proof {
    let named = matches!(credential.kind, Kind::Signed(..)) || grant.paths.is_some() || !grant.uri.is_empty();
    if named { Proof::Shown } else { Proof::Not(Refusal::Path) }
}

fn question<'a>(
    request: &'a HttpRequest,
    target: &'a Target,
    path: &'a str,
    asker: &Asker,
    country: Option<&'a str>,
) -> Question<'a> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let (method, query) = (request.method().as_str(), target.query.as_deref());
    Question { method, secure: asker.secure, host, path, query, client: asker.address, country }
}
