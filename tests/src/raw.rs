//! An HTTP/1.1 client that reads as slowly, or stops as early, as a story wants.

use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// No story waits longer for a byte.
const LIMIT: Duration = Duration::from_secs(60);

/// One connection with one request under way.
#[derive(Debug)]
pub struct Raw(BufReader<TcpStream>);

impl Raw {
    /// Connects to `host:port` and sends a GET with further fields, each ended by CR LF.
    pub async fn get(at: &str, target: &str, fields: &str) -> Self {
        Self::send(at, &format!("GET {target} HTTP/1.1\r\nHost: story\r\n{fields}\r\n")).await
    }

    /// The same, by a client that holds little of what it has not read.
    pub async fn narrow(at: &str, target: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(32 << 10).unwrap();
        let mut stream = socket.connect(at.parse().unwrap()).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: {at}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        Self(BufReader::with_capacity(16 << 10, stream))
    }

    /// Connects and sends these bytes.
    pub async fn send(at: &str, text: &str) -> Self {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        Self(BufReader::with_capacity(16 << 10, stream))
    }

    /// Reads a head: status line and fields, in lower case.
    ///
    /// # Errors
    /// When the connection ends before it is whole.
    pub async fn head(&mut self) -> io::Result<String> {
        let mut head = vec![];
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(LIMIT, self.0.read_u8()).await.expect("a head comes or the connection ends")?);
        }
        Ok(String::from_utf8_lossy(&head).to_lowercase())
    }

    /// Reads so many bytes.
    ///
    /// # Errors
    /// When the connection ends before.
    pub async fn bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        timeout(LIMIT, self.0.read_exact(&mut bytes)).await.expect("bytes come or the connection ends")?;
        Ok(bytes)
    }

    /// Reads until the connection ends.
    ///
    /// # Errors
    /// When it is reset.
    pub async fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![];
        timeout(LIMIT, self.0.read_to_end(&mut bytes)).await.expect("the connection ends")?;
        Ok(bytes)
    }
}
