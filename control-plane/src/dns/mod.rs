//! Names that lead to edges: an authoritative DNS server for one zone, which answers as steering decides.
//!
//! ```text
//! ZONE, ANYTHING.ZONE    the edges of the best place for whoever asks; a video's own, where the first label is its name
//! NODE.nodes.ZONE        that edge
//! ```
//!
//! - `config`: its keys; `question`: who asks for what; `answer`: records, pure but for what it is given
//! - here: the listeners, and the messages (RFC 1035, 6891, 7871, 9460)

mod answer;
mod config;
mod question;

pub use config::DnsConfig;

use crate::control::State;
use answer::{Answer, Zone};
use hickory_server::net::runtime::Time;
use hickory_server::proto::op::{Edns, Metadata, OpCode, ResponseCode};
use hickory_server::proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo, Server};
use hickory_server::zone_handler::MessageResponseBuilder;
use question::Question;
use sluice_service::ProcessError;
use std::net::IpAddr;
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;

/// Time for a question over TCP, and answers that wait for a connection.
const PATIENCE: Duration = Duration::from_secs(5);
const WAITING: usize = 16;
/// Bytes of an answer over UDP: what passes everywhere without being taken apart (DNS Flag Day 2020).
const PAYLOAD: u16 = 1_232;

/// The server's ports, bound.
#[derive(Debug)]
pub(crate) struct Dns {
    udp: UdpSocket,
    tcp: TcpListener,
    zone: Zone,
}

impl Dns {
    /// Binds the ports, if a zone is configured.
    pub(crate) async fn bind(config: &DnsConfig) -> Result<Option<Self>, ProcessError> {
        let (Some(at), Some(zone)) = (config.listen, Zone::of(config)) else { return Ok(None) };
        let named = |error: std::io::Error| format!("dns.listen {at}: {error}");
        let tcp = TcpListener::bind(at).await.map_err(named)?;
        // Both ports are one number, also where any was asked for.
        let udp = UdpSocket::bind(tcp.local_addr()?).await.map_err(named)?;
        tracing::info!(at = %tcp.local_addr()?, zone = %zone.name, "dns");
        Ok(Some(Self { udp, tcp, zone }))
    }

    /// Answers until the drain begins.
    pub(crate) async fn run(self, state: State, stop: CancellationToken) {
        let mut server = Server::new(Names { zone: self.zone, state });
        server.register_socket(self.udp);
        server.register_listener(self.tcp, PATIENCE, WAITING);
        stop.cancelled().await;
        if let Err(error) = server.shutdown_gracefully().await {
            tracing::warn!(%error, "dns");
        }
    }
}

/// What answers.
struct Names {
    zone: Zone,
    state: State,
}

#[async_trait::async_trait]
impl RequestHandler for Names {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut reply: R,
    ) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        let (answer, subnet) = self.answer(request);
        metadata.response_code = answer.code;
        metadata.authoritative = answer.code != ResponseCode::Refused;
        self.state.metrics.dns.with_label_values(&[answer.told()]).inc();
        let edns = request.edns.as_ref().map(|_| edns(subnet, answer.scope));
        let mut builder = MessageResponseBuilder::from_message_request(request);
        if let Some(edns) = &edns {
            builder.edns(edns);
        }
        let none = [].iter();
        let response = builder.build(metadata, &answer.records, none.clone(), &answer.soa, none);
        match reply.send_response(response).await {
            Ok(info) => info,
            Err(error) => {
                tracing::debug!(%error, "a name's answer was not sent");
                failed(&request.metadata)
            }
        }
    }
}

impl Names {
    fn answer(&self, request: &Request) -> (Answer, Option<ClientSubnet>) {
        if request.metadata.op_code != OpCode::Query {
            return (Answer::of(ResponseCode::NotImp), None);
        }
        let Ok(info) = request.request_info() else { return (Answer::of(ResponseCode::FormErr), None) };
        let subnet = request.edns.as_ref().and_then(|edns| match edns.option(EdnsCode::Subnet) {
            Some(EdnsOption::Subnet(subnet)) => Some(*subnet),
            _ => None,
        });
        if subnet.is_some_and(|subnet| !is_subnet(&subnet)) {
            return (Answer::of(ResponseCode::FormErr), None);
        }
        let question = Question::new(info.query, info.src.ip(), subnet);
        let (steer, config) = (self.state.steering.now(), self.state.fleet.config());
        let now = self.state.storage.clock.now_ms();
        let known = answer::Known { steer: &steer, config: &config, atlas: self.state.steering.atlas(), now };
        (self.zone.answer(&question, &known), subnet)
    }
}

/// RFC 7871 section 6: a scope in a question is 0, and no more bits are meant than an address has.
fn is_subnet(subnet: &ClientSubnet) -> bool {
    let bits = if matches!(subnet.addr(), IpAddr::V4(_)) { 32 } else { 128 };
    subnet.scope_prefix() == 0 && subnet.source_prefix() <= bits
}

/// What an answer says of itself: how much it can take, and for whom it is (RFC 7871 section 7.2.1).
fn edns(subnet: Option<ClientSubnet>, scope: u8) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD);
    if let Some(subnet) = subnet {
        let scope = scope.min(subnet.source_prefix());
        let told = ClientSubnet::new(subnet.addr(), subnet.source_prefix(), scope);
        edns.options_mut().insert(EdnsOption::Subnet(told));
    }
    edns
}

fn failed(request: &Metadata) -> ResponseInfo {
    let mut metadata = Metadata::response_from_request(request);
    metadata.response_code = ResponseCode::ServFail;
    hickory_server::proto::op::Header { metadata, counts: Default::default() }.into()
}
