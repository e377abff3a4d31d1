//! A client over TLS that looks at what the handshake gave, and the certificates of a story.

use bytes::Buf;
use futures::future::poll_fn;
use rcgen::{CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, SupportedProtocolVersion};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long anything on one connection may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

/// A certificate authority of a story's own.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes one.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "authority of a story");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Writes its own certificate; the file.
    pub fn write(&self, dir: &Path, file: &str) -> PathBuf {
        let path = dir.join(file);
        std::fs::write(&path, &self.pem).unwrap();
        path
    }

    /// Issues a certificate as `FILE.crt` with `FILE.key`, the key before the certificate; its bytes.
    pub fn issue(&self, dir: &Path, file: &str, names: &[&str]) -> CertificateDer<'static> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        std::fs::write(dir.join(format!("{file}.key")), key.serialize_pem()).unwrap();
        std::fs::write(dir.join(format!("{file}.crt")), cert.pem()).unwrap();
        cert.der().clone()
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// A client's side of TLS: it takes any certificate, and remembers sessions.
#[derive(Debug, Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
}

impl Client {
    /// Of these versions.
    #[must_use]
    pub fn new(versions: &[&'static SupportedProtocolVersion]) -> Self {
        Self { config: Arc::new(base(versions).with_no_client_auth()) }
    }

    /// That shows a certificate (`FILE.crt` with `FILE.key`).
    #[must_use]
    pub fn showing(dir: &Path, file: &str) -> Self {
        let cert = CertificateDer::from_pem_file(dir.join(format!("{file}.crt"))).unwrap();
        let key = PrivateKeyDer::from_pem_file(dir.join(format!("{file}.key"))).unwrap();
        let config = base(rustls::ALL_VERSIONS).with_client_auth_cert(vec![cert], key).unwrap();
        Self { config: Arc::new(config) }
    }

    /// That trusts the authorities of a PEM text, and looks whether a certificate is for the name.
    #[must_use]
    pub fn trusting(pem: &str) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.add(root.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { config: Arc::new(config) }
    }

    /// Connects and asks for a name; none is asked for when it is an address.
    ///
    /// # Errors
    /// What the handshake came to. In TLS 1.3 a refusal of the client's certificate comes with the first read.
    pub async fn connect(&self, at: &str, name: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(at).await?;
        self.over(stream, name).await
    }

    /// As [`connect`](Self::connect), over a connection that was made already.
    ///
    /// # Errors
    /// See there.
    pub async fn over(&self, stream: TcpStream, name: &str) -> io::Result<Connection> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let shaking = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream);
        Ok(Connection(timeout(LIMIT, shaking).await??))
    }

    /// A QUIC endpoint's configuration with the same trust and memory, for HTTP/3.
    #[must_use]
    pub fn quic(early: bool) -> quinn::ClientConfig {
        let mut config = base(&[&rustls::version::TLS13]).with_no_client_auth();
        config.alpn_protocols = vec![b"h3".to_vec()];
        config.enable_early_data = early;
        quinn::ClientConfig::new(Arc::new(quinn::crypto::rustls::QuicClientConfig::try_from(config).unwrap()))
    }
}

fn base(
    versions: &[&'static SupportedProtocolVersion],
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
}

/// A TLS connection on which HTTP/1.1 is spoken.
#[derive(Debug)]
pub struct Connection(TlsStream<TcpStream>);

impl Connection {
    /// The certificate that the server showed.
    #[must_use]
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.0.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    }

    /// True when an earlier session was resumed.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.0.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Asks for a path of a host; status and body.
    ///
    /// # Errors
    /// The connection broke off.
    pub async fn get(&mut self, host: &str, path: &str) -> io::Result<(u16, String)> {
        let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
        self.0.write_all(head.as_bytes()).await?;
        timeout(LIMIT, read_answer(&mut self.0)).await?
    }
}

/// Reads an answer with a content-length; status and body.
///
/// # Errors
/// The connection broke off.
pub async fn read_answer<I: tokio::io::AsyncRead + Unpin>(io: &mut I) -> io::Result<(u16, String)> {
    let mut text = vec![];
    let head_end = loop {
        if io.read_buf(&mut text).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = text.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&text[..head_end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let whole = head_end + length.unwrap_or(0_usize);
    while text.len() < whole {
        if io.read_buf(&mut text).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    Ok((status, String::from_utf8_lossy(&text[head_end..whole]).into_owned()))
}

/// A GET over an HTTP/3 connection of its own that asks for a name; the server's certificate, status and body.
pub async fn h3_get(at: SocketAddr, name: &str, url: &str) -> (CertificateDer<'static>, u16, String) {
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    endpoint.set_default_client_config(Client::quic(false));
    let connection = timeout(LIMIT, endpoint.connect(at, name).unwrap()).await.unwrap().unwrap();
    let chain = connection.peer_identity().unwrap().downcast::<Vec<CertificateDer<'static>>>().unwrap();
    let (status, body) = h3_ask(connection, http::Request::get(url).body(()).unwrap()).await;
    (chain[0].clone(), status, body)
}

/// One request without a body over a QUIC connection; status and body.
pub async fn h3_ask(connection: quinn::Connection, request: http::Request<()>) -> (u16, String) {
    let (mut driver, mut requests) = h3::client::new(h3_quinn::Connection::new(connection)).await.unwrap();
    let exchange = async {
        let mut stream = requests.send_request(request).await.unwrap();
        stream.finish().await.unwrap();
        let status = stream.recv_response().await.unwrap().status().as_u16();
        let mut body = vec![];
        while let Some(mut piece) = stream.recv_data().await.unwrap() {
            body.extend_from_slice(&piece.copy_to_bytes(piece.remaining()));
        }
        (status, String::from_utf8(body).unwrap())
    };
    tokio::select! {
        got = timeout(LIMIT, exchange) => got.unwrap(),
        closed = poll_fn(|cx| driver.poll_close(cx)) => panic!("the connection closed: {closed:?}"),
    }
}

/// Takes any certificate: a story compares it with what it expects itself.
#[derive(Debug)]
struct AnyCertificate(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
