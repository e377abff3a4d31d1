//! The same bytes over HTTP/1.1, HTTP/2 and HTTP/3.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use bytes::Buf;
use futures::future::poll_fn;
use sluice_tests::client::{self, header};
use sluice_tests::clips;
use sluice_tests::stack::Stack;
use std::sync::Arc;

#[tokio::test]
async fn one_segment_has_the_same_bytes_over_every_protocol() {
    let stack = Stack::start().await;
    let document = client::put(&stack.edge(), "protocols.mp4", clips::made(4, "320x240", 25)).await;
    let id = document["id"].as_str().unwrap();
    client::wait_ready(&stack.edge(), id).await;
    let rungs = client::rungs(&stack.edge(), id).await;
    let path = rungs[0].segments[0].strip_prefix(&stack.edge()).unwrap().to_owned();
    let truth = client::bytes(&rungs[0].segments[0]).await;
    let tls = stack.near[0].at.https.clone().unwrap();

    for version in ["--http1.1", "--http2"] {
        let output = std::process::Command::new("curl")
            .args(["-sk", version, "-w", "%{stderr}%{http_version}", &format!("https://{tls}{path}")])
            .output()
            .unwrap();
        let spoken = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(spoken, if version == "--http2" { "2" } else { "1.1" });
        assert_eq!(output.stdout, truth, "{version}");
    }
    let answer = reqwest::Client::builder()
        .danger_accept_invalid_certs(true)
        .build()
        .unwrap()
        .get(format!("https://{tls}{path}"))
        .send()
        .await
        .unwrap();
    let port = tls.rsplit(':').next().unwrap().to_owned();
    assert!(
        header(&answer, "alt-svc").contains(&format!("h3=\":{port}\"")),
        "{}",
        header(&answer, "alt-svc")
    );

    let at = stack.near[0].at.h3.clone().unwrap();
    let (status, body) = h3_get(at.parse().unwrap(), &format!("https://{at}{path}")).await;
    assert_eq!(status, 200);
    assert_eq!(body, truth);
}

async fn h3_get(at: std::net::SocketAddr, url: &str) -> (u16, Vec<u8>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let quic = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(quic)));
    let connection = endpoint.connect(at, "localhost").unwrap().await.unwrap();
    let (mut driver, mut requests) = h3::client::new(h3_quinn::Connection::new(connection)).await.unwrap();
    let exchange = async {
        let mut stream = requests.send_request(http::Request::get(url).body(()).unwrap()).await.unwrap();
        stream.finish().await.unwrap();
        let status = stream.recv_response().await.unwrap().status().as_u16();
        let mut body = vec![];
        while let Some(mut piece) = stream.recv_data().await.unwrap() {
            body.extend_from_slice(&piece.copy_to_bytes(piece.remaining()));
        }
        (status, body)
    };
    tokio::select! {
        got = exchange => got,
        closed = poll_fn(|cx| driver.poll_close(cx)) => panic!("the connection closed: {closed:?}"),
    }
}

/// The development certificate is made anew by each process; this test is about bytes, not about trust.
#[derive(Debug)]
struct AnyCertificate(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
