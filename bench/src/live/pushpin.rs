//! Pushpin, a private one: it holds the sockets, and an application in this process (GRIP, WebSocket over HTTP) subscribes
//! each to the one channel there is.
//!
//! `condure` has the clients, `pushpin-proxy` and `zurl` ask the application, `pushpin-handler` holds who listens.

use crate::machine;
use crate::process::{Process, free_port};
use anyhow::Context;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use reqwest::{Client, RequestBuilder};
use serde_json::json;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinSet;

/// The one channel.
const ROOM: &str = "room";
/// What its messages say beside the text: as long as what a conversation of ours says.
const BESIDE: &str = "\"type\":\"message\",\"id\":\"01k8z3v9s0m2q\",\"client_id\":\"b1000\",\"from\":\"01k8z3v9s0m2q\",\"name\":\"ann\"";

/// A running Pushpin.
#[derive(Debug)]
pub(super) struct Pushpin {
    pub(super) process: Process,
    pub(super) address: SocketAddr,
    pub(super) version: String,
    pub(super) config: String,
    publish: String,
    /// The application, which ends with it.
    _backend: JoinSet<()>,
}

impl Pushpin {
    /// Starts it on a processor with files in a folder.
    pub(super) async fn start(folder: &Path, cpu: Option<usize>) -> anyhow::Result<Self> {
        let run = folder.join("pushpin");
        std::fs::create_dir_all(&run)?;
        let mut backend = JoinSet::new();
        let application = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        std::fs::write(run.join("routes"), format!("* {},over_http\n", application.local_addr()?))?;
        backend.spawn(serve(application));
        let (address, publish) = (free_port()?, free_port()?);
        let config = config(&run, address, publish)?;
        let file = run.join("pushpin.conf");
        std::fs::write(&file, &config)?;
        let mut command = Command::new("pushpin");
        command.arg("--config").arg(&file).arg("--merge-output");
        let mut process = Process::start("pushpin", command, cpu, folder)
            .context("Pushpin is not installed; `.ci/setup bench` installs it")?;
        process.until_accepts(address).await?;
        process.until_accepts(publish).await?;
        let config = config.replace(&run.display().to_string(), "DIR");
        let version = machine::version("pushpin", "--version");
        let publish = format!("http://{publish}/publish/");
        Ok(Self { process, address, version, config, publish, _backend: backend })
    }

    /// What publishes a message: as long as a frame of ours. It has no number to go on after: Pushpin keeps nothing.
    pub(super) fn request(
        &self,
        client: &Client,
    ) -> impl Fn(u64, String) -> RequestBuilder + Send + Sync + use<> {
        let (client, url) = (client.clone(), self.publish.clone());
        move |number, text| {
            let content = format!(
                "{{\"channel\":\"{ROOM}:01k8z3v9s0m2q\",\"num\":{},\"at_ms\":1700000000000,\"data\":{{{BESIDE},\"text\":\"{text}\",\"at_ms\":1700000000000}}}}",
                number + 1
            );
            let formats = json!({ "ws-message": { "content": content } });
            client.post(&url).json(&json!({ "items": [{ "channel": ROOM, "formats": formats }] }))
        }
    }
}

/// What differs from the package's own: private ports and files, and rates that are no bound.
fn config(run: &Path, address: SocketAddr, publish: SocketAddr) -> anyhow::Result<String> {
    let dir = run.display();
    let [push, sub, command] = [free_port()?, free_port()?, free_port()?];
    Ok(format!(
        "[global]\ninclude={{libdir}}/internal.conf\nrundir={dir}\nipc_prefix=p-\n\
         [runner]\nservices=condure,zurl,pushpin-proxy,pushpin-handler\nhttp_port={address}\nlogdir={dir}\nlog_level=1\n\
         client_buffer_size=8192\nclient_maxconn=20000\ncondure_bin=condure\nzurl_bin=zurl\n\
         [proxy]\nroutesfile=routes\nupdates_check=off\nzurl_out_specs=ipc://{{rundir}}/{{ipc_prefix}}zurl-in\n\
         zurl_out_stream_specs=ipc://{{rundir}}/{{ipc_prefix}}zurl-in-stream\n\
         zurl_in_specs=ipc://{{rundir}}/{{ipc_prefix}}zurl-out\n\
         [handler]\npush_in_spec=tcp://{push}\npush_in_sub_specs=tcp://{sub}\npush_in_http_addr={}\npush_in_http_port={}\n\
         command_spec=tcp://{command}\nmessage_rate=1000000\nmessage_hwm=1000000\n",
        publish.ip(),
        publish.port(),
    ))
}

/// The application: who opens a socket is subscribed and told so, whatever else comes is noted.
async fn serve(listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).ok();
        let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
        connections.spawn(async move { drop(served.await) });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let said = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let opens = said.starts_with(b"OPEN");
    let mut answer = Response::new(Full::from(if opens { opened() } else { String::new() }));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/websocket-events"));
    if opens {
        headers.insert("sec-websocket-extensions", http::HeaderValue::from_static("grip"));
    }
    Ok(answer)
}

/// The events that answer a new socket: a word to Pushpin (`c:`), and one to the client (`m:`).
fn opened() -> String {
    let event = |text: String| format!("TEXT {:x}\r\n{text}\r\n", text.len());
    let subscribe = event(format!("c:{}", json!({ "type": "subscribe", "channel": ROOM })));
    let told = event(format!("m:{}", json!({ "subscribed": ROOM })));
    format!("OPEN\r\n{subscribe}{told}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_opens_a_socket_is_subscribed_and_told() {
        assert_eq!(
            opened(),
            "OPEN\r\nTEXT 27\r\nc:{\"channel\":\"room\",\"type\":\"subscribe\"}\r\nTEXT 17\r\nm:{\"subscribed\":\"room\"}\r\n"
        );
    }

    #[test]
    fn its_files_and_ports_are_its_own() {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 81));
        let text = config(Path::new("/tmp/x"), at, at).unwrap();
        assert!(text.contains("rundir=/tmp/x\n") && text.contains("http_port=127.0.0.1:81\n"), "{text}");
        assert!(text.contains("push_in_http_port=81\n") && !text.contains("tcp://127.0.0.1:5560"), "{text}");
    }
}
