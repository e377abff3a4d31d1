//! An origin that keeps what it was sent, byte for byte, and answers each whole request by itself.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What marks an answer as the origin's.
pub const MARK: &str = "x-of-the-origin";

/// What came in on a connection.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Requests that were whole: head and body as they came.
    pub whole: Vec<(String, Vec<u8>)>,
    /// Requests that began and did not end as they must.
    pub broken: Vec<Vec<u8>>,
}

/// The origin. It ends when dropped.
#[derive(Debug)]
pub struct LoggingOrigin {
    /// Where it listens.
    pub at: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    _serving: JoinSet<()>,
}

impl LoggingOrigin {
    /// Starts it. `/v1/log`, which edges follow, gets 404 and is not kept.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let kept = Arc::clone(&seen);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&kept)));
            }
        });
        Self { at, seen, _serving: serving }
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// What it has seen since it was last asked.
    #[must_use]
    pub fn take(&self) -> Seen {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Seen>>) {
    let mut text = vec![];
    let end = loop {
        if let Some(at) = find(&text, b"\r\n\r\n") {
            break at + 4;
        }
        if !matches!(stream.read_buf(&mut text).await, Ok(read) if read > 0) {
            if !text.is_empty() {
                seen.lock().unwrap().broken.push(text);
            }
            return;
        }
    };
    let head = String::from_utf8_lossy(&text[..end]).into_owned();
    let lower = head.to_ascii_lowercase();
    if lower.starts_with("get /v1/log") {
        drop(
            stream
                .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .await,
        );
        return;
    }
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    let chunked = lower.contains("\r\ntransfer-encoding: chunked\r\n");
    let whole = |body: &[u8]| match length {
        Some(length) => body.len() >= length,
        None => !chunked || body.ends_with(b"0\r\n\r\n"),
    };
    while !whole(&text[end..]) {
        if !matches!(stream.read_buf(&mut text).await, Ok(read) if read > 0) {
            return seen.lock().unwrap().broken.push(text);
        }
    }
    seen.lock().unwrap().whole.push((head, text[end..].to_vec()));
    let answer = format!(
        "HTTP/1.1 200 OK\r\n{MARK}: 1\r\ncache-control: no-store\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
    );
    drop(stream.write_all(answer.as_bytes()).await);
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
