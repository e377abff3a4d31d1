//! A DNS server of a story's own, over UDP and TCP on one port of loopback, that answers as it is told to and counts what it
//! is asked.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record, RecordType};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Bytes of an answer over UDP; a longer one is cut, and asked for again over TCP.
const UDP: usize = 1_232;

/// What it says of every name.
#[derive(Debug, Clone)]
pub enum Says {
    /// These addresses, for so many seconds.
    Addresses(Vec<Ipv4Addr>, u32),
    /// Nothing, in an answer that is none.
    Empty,
    /// An error.
    Code(ResponseCode),
    /// Bytes that are no message.
    Rubbish,
    /// Nothing at all.
    Silence,
}

/// A DNS server. It ends when dropped.
#[derive(Debug)]
pub struct ScriptedDns {
    /// Where it listens.
    pub at: SocketAddr,
    says: Arc<Mutex<Says>>,
    asked: Arc<AtomicUsize>,
    last: Arc<Mutex<Instant>>,
    _serving: JoinSet<()>,
}

impl ScriptedDns {
    /// Starts a server.
    ///
    /// # Errors
    /// No port is free over both UDP and TCP.
    pub async fn start(says: Says) -> io::Result<Self> {
        let tcp = TcpListener::bind("127.0.0.1:0").await?;
        let at = tcp.local_addr()?;
        let udp = UdpSocket::bind(at).await?;
        let (says, asked) = (Arc::new(Mutex::new(says)), Arc::<AtomicUsize>::default());
        let last = Arc::new(Mutex::new(Instant::now()));
        let mut serving = JoinSet::new();
        serving.spawn(datagrams(udp, Arc::clone(&says), Arc::clone(&asked), Arc::clone(&last)));
        serving.spawn(connections(tcp, Arc::clone(&says), Arc::clone(&asked)));
        Ok(Self { at, says, asked, last, _serving: serving })
    }

    /// What it says from now on.
    pub fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    /// When it was last asked over UDP.
    #[must_use]
    pub fn last_asked(&self) -> Instant {
        *self.last.lock().unwrap()
    }

    /// How often it was asked.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn datagrams(
    udp: UdpSocket,
    says: Arc<Mutex<Says>>,
    asked: Arc<AtomicUsize>,
    last: Arc<Mutex<Instant>>,
) {
    let mut buffer = [0; 4_096];
    while let Ok((length, from)) = udp.recv_from(&mut buffer).await {
        asked.fetch_add(1, Ordering::SeqCst);
        *last.lock().unwrap() = Instant::now();
        let said = says.lock().unwrap().clone();
        if let Some(answer) = answer(&buffer[..length], said, UDP) {
            drop(udp.send_to(&answer, from).await);
        }
    }
}

async fn connections(tcp: TcpListener, says: Arc<Mutex<Says>>, asked: Arc<AtomicUsize>) {
    let mut serving = JoinSet::new();
    while let Ok((stream, _)) = tcp.accept().await {
        serving.spawn(connection(stream, Arc::clone(&says), Arc::clone(&asked)));
    }
}

async fn connection(mut stream: TcpStream, says: Arc<Mutex<Says>>, asked: Arc<AtomicUsize>) {
    while let Ok(length) = stream.read_u16().await {
        let mut question = vec![0; length.into()];
        if stream.read_exact(&mut question).await.is_err() {
            return;
        }
        asked.fetch_add(1, Ordering::SeqCst);
        let said = says.lock().unwrap().clone();
        if let Some(answer) = answer(&question, said, u16::MAX.into()) {
            let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
            drop(stream.write_all(&[&length[..], &answer].concat()).await);
        }
    }
}

fn answer(question: &[u8], says: Says, room: usize) -> Option<Vec<u8>> {
    let asked = Message::from_vec(question).ok()?;
    let query = asked.queries.first()?.clone();
    let mut said = Message::response(asked.metadata.id, asked.metadata.op_code);
    said.metadata.recursion_available = true;
    said.add_query(query.clone());
    match says {
        Says::Silence => return None,
        Says::Rubbish => return Some([&question[..2], &[0xff; 40]].concat()),
        Says::Empty => {}
        Says::Code(code) => said.metadata.response_code = code,
        Says::Addresses(addresses, ttl) if query.query_type() == RecordType::A => {
            let record = |address| Record::from_rdata(query.name().clone(), ttl, RData::A(A(address)));
            said.add_answers(addresses.into_iter().map(record));
        }
        Says::Addresses(..) => {}
    }
    let mut whole = said.to_vec().unwrap();
    while whole.len() > room {
        // As many as there is room for, and the word that there are more (RFC 1035 section 4.1.1).
        said.metadata.truncation = true;
        let fit = said.answers.len() * room / whole.len();
        said.answers.truncate(fit.min(said.answers.len() - 1));
        whole = said.to_vec().unwrap();
    }
    Some(whole)
}
