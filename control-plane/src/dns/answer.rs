//! What a question is answered, as steering decides.

use super::config::DnsConfig;
use super::question::Question;
use crate::steering::Atlas;
use hickory_server::proto::op::ResponseCode;
use hickory_server::proto::rr::rdata::svcb::{Alpn, IpHint, SVCB, SvcParamKey, SvcParamValue};
use hickory_server::proto::rr::rdata::{A, AAAA, CNAME, HTTPS, NS, SOA};
use hickory_server::proto::rr::{Name, RData, Record, RecordType};
use sluice_wire::steering::{Choice, Session, Steer, host};
use sluice_wire::{FleetConfig, MediaAsset, MediaPath, NodeId, PlacementKey, VideoId};
use std::net::IpAddr;
use std::str::FromStr;

/// Edges of an answer: enough that a client goes on when one is gone, all of one place.
const MAX_EDGES: usize = 3;
/// The label below which each edge has a name of its own.
const NODES: &str = "nodes";
/// Seconds between a secondary's looks, which there are none of, and for which an absence may be kept.
const REFRESH: i32 = 3_600;
const NEGATIVE_S: u32 = 10;

/// The zone.
#[derive(Debug, Clone)]
pub(super) struct Zone {
    pub(super) name: Name,
    servers: Vec<Name>,
    ttl_s: u32,
}

/// What answers are made of.
pub(super) struct Known<'a> {
    pub(super) steer: &'a Steer,
    pub(super) config: &'a FleetConfig,
    pub(super) atlas: &'a Atlas,
    pub(super) now: u64,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: ResponseCode,
    pub(super) records: Vec<Record>,
    /// Who says that there is nothing, where there is nothing.
    pub(super) soa: Vec<Record>,
    /// Bits of the client's address that it depends on.
    pub(super) scope: u8,
}

impl Answer {
    pub(super) fn of(code: ResponseCode) -> Self {
        Self { code, records: vec![], soa: vec![], scope: 0 }
    }

    /// Its name in metrics.
    pub(super) fn told(&self) -> &'static str {
        match (self.code, self.records.is_empty()) {
            (ResponseCode::NoError, false) => "answered",
            (ResponseCode::NoError, true) => "empty",
            (ResponseCode::Refused, _) => "refused",
            _ => "bad",
        }
    }
}

impl Zone {
    /// The zone of a configuration; `None` where a name in it is none.
    pub(super) fn of(config: &DnsConfig) -> Option<Self> {
        let servers = config.servers.iter().map(|server| name(server)).collect::<Option<_>>()?;
        Some(Self { name: name(&config.zone)?, servers, ttl_s: config.ttl_s })
    }

    /// Answers a question.
    pub(super) fn answer(&self, question: &Question, known: &Known<'_>) -> Answer {
        if !self.name.zone_of(&question.name) {
            return Answer::of(ResponseCode::Refused);
        }
        let mut answer = Answer::of(ResponseCode::NoError);
        if question.name == self.name && matches!(question.kind, RecordType::SOA | RecordType::NS) {
            answer.records = if question.kind == RecordType::SOA { vec![self.soa()] } else { self.ns() };
            return answer;
        }
        let labels = usize::from(question.name.num_labels() - self.name.num_labels());
        let label =
            |at: usize| question.name.iter().nth(at).and_then(|label| std::str::from_utf8(label).ok());
        let (choices, ttl_s) = if labels == 2 && label(1) == Some(NODES) {
            (one(known, label(0).unwrap_or_default()), self.ttl_s)
        } else {
            answer.scope = if question.named { question.scope() } else { 0 };
            self.steered(question, known, if labels == 0 { "" } else { label(0).unwrap_or_default() })
        };
        answer.records = self.records(question, known, &choices, ttl_s);
        if answer.records.is_empty() {
            answer.soa = vec![self.soa()];
        }
        answer
    }

    /// The edges of the best place for whoever asks, and for how long that holds.
    fn steered(&self, question: &Question, known: &Known<'_>, label: &str) -> (Vec<Choice>, u32) {
        let video = VideoId::from_str(label).ok().map(|video| MediaPath { video, asset: MediaAsset::Master });
        let key = video.map_or_else(|| PlacementKey::of(label), |path| path.placement());
        let session = known.atlas.locate(Session::new(question.session(), key), question.client);
        let decision = known.steer.decide(&session, known.now);
        let place = decision.choices.first().map(|choice| choice.place.clone());
        let of_place = decision.choices.into_iter().filter(|choice| Some(&choice.place) == place.as_ref());
        (of_place.take(MAX_EDGES).collect(), self.ttl_s.min(decision.ttl_s))
    }

    fn records(&self, question: &Question, known: &Known<'_>, choices: &[Choice], ttl_s: u32) -> Vec<Record> {
        let record = |data: RData| Record::from_rdata(question.name.clone(), ttl_s, data);
        // An outside CDN has names of its own; the apex of a zone cannot be another's (RFC 1912 section 2.4).
        let outside = choices.first().filter(|choice| addresses(known.config, choice).is_empty());
        if let Some(outside) = outside.filter(|_| question.name != self.name) {
            let target = name(bare(&outside.url));
            return target.map(|target| record(RData::CNAME(CNAME(target)))).into_iter().collect();
        }
        let each = choices.iter();
        match question.kind {
            RecordType::A | RecordType::AAAA => each
                .flat_map(|choice| addresses(known.config, choice))
                .filter(|address| address.is_ipv4() == (question.kind == RecordType::A))
                .map(|address| record(data(address)))
                .collect(),
            RecordType::HTTPS => each
                .enumerate()
                .filter_map(|(at, choice)| Some(record(self.https(known.config, at, choice)?)))
                .collect(),
            _ => vec![],
        }
    }

    /// How an edge is reached at once over HTTP/3 or HTTP/2 (RFC 9460): only one that has a certificate.
    fn https(&self, config: &FleetConfig, at: usize, choice: &Choice) -> Option<RData> {
        let authority = choice.url.strip_prefix("https://")?;
        let target =
            Name::from_str(&format!("{}.{NODES}", choice.pathway)).ok()?.append_domain(&self.name).ok()?;
        let alpn = ["h3", "h2", "http/1.1"].map(str::to_owned).to_vec();
        let mut params = vec![(SvcParamKey::Alpn, SvcParamValue::Alpn(Alpn(alpn)))];
        if let Some(port) = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok()) {
            params.push((SvcParamKey::Port, SvcParamValue::Port(port)));
        }
        let (mut four, mut six) = (vec![], vec![]);
        for address in addresses(config, choice) {
            match address {
                IpAddr::V4(address) => four.push(A(address)),
                IpAddr::V6(address) => six.push(AAAA(address)),
            }
        }
        if !four.is_empty() {
            params.push((SvcParamKey::Ipv4Hint, SvcParamValue::Ipv4Hint(IpHint(four))));
        }
        if !six.is_empty() {
            params.push((SvcParamKey::Ipv6Hint, SvcParamValue::Ipv6Hint(IpHint(six))));
        }
        let priority = u16::try_from(at + 1).ok()?;
        Some(RData::HTTPS(HTTPS(SVCB::new(priority, target, params))))
    }

    fn soa(&self) -> Record {
        let server = self.servers.first().cloned().unwrap_or_else(|| self.name.clone());
        let hostmaster = Name::from_str("hostmaster").and_then(|name| name.append_domain(&self.name));
        let hostmaster = hostmaster.unwrap_or_else(|_| self.name.clone());
        let soa = SOA::new(server, hostmaster, 1, REFRESH, REFRESH, 7 * 24 * REFRESH, NEGATIVE_S);
        Record::from_rdata(self.name.clone(), NEGATIVE_S, RData::SOA(soa))
    }

    fn ns(&self) -> Vec<Record> {
        let record =
            |server: &Name| Record::from_rdata(self.name.clone(), 3_600, RData::NS(NS(server.clone())));
        self.servers.iter().map(record).collect()
    }
}

/// The edge of a name, wherever whoever asks is.
fn one(known: &Known<'_>, pathway: &str) -> Vec<Choice> {
    let places = known.steer.view().places.iter();
    let edges = places.flat_map(|place| place.edges.iter().map(move |edge| (place, edge)));
    edges
        .filter(|(_, edge)| edge.pathway.as_str() == pathway)
        .map(|(place, edge)| Choice {
            pathway: pathway.into(),
            url: edge.url.clone(),
            place: place.name.clone(),
        })
        .take(1)
        .collect()
}

/// Addresses of an edge: those that are configured, else its URL's, if that is one.
fn addresses(config: &FleetConfig, choice: &Choice) -> Vec<IpAddr> {
    let said = NodeId::new(choice.pathway.as_str()).ok().and_then(|node| config.nodes.get(&node));
    let said = said.map(|node| node.addresses.clone()).unwrap_or_default();
    if said.is_empty() { bare(&choice.url).parse().into_iter().collect() } else { said }
}

/// The host of a URL, without port and brackets.
fn bare(url: &str) -> &str {
    let host = host(url);
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|c| c.is_ascii_digit()));
    name.map_or(host, |(name, _)| name).trim_matches(['[', ']'])
}

fn data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}

/// A full name; `None` for what is none.
pub(super) fn name(text: &str) -> Option<Name> {
    let mut name = Name::from_str(text).ok().filter(|name| name.num_labels() > 0)?;
    name.set_fqdn(true);
    Some(name.to_lowercase())
}
