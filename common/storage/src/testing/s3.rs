//! A private S3 server, within the test's process: s3s over a temporary folder.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{HttpError, HttpResponse};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

const BUCKET: &str = "sluice";
const KEY_ID: &str = "private-test-key";
const SECRET: &str = "private/test+secret";

/// A running S3 server with one empty bucket.
#[derive(Debug)]
pub struct S3 {
    address: SocketAddr,
    _tasks: JoinSet<()>,
    _folder: TempDir,
}

impl S3 {
    /// Starts a server. It lives on the runtime that started it.
    ///
    /// # Panics
    /// When there is no temporary folder or port, with the reason.
    pub async fn start() -> Self {
        match Self::try_start().await {
            Ok(server) => server,
            Err(reason) => panic!("cannot start a private S3 server: {reason}"),
        }
    }

    async fn try_start() -> Result<Self, String> {
        let folder = tempfile::Builder::new()
            .prefix("sluice-s3-")
            .tempdir()
            .map_err(|e| format!("no temporary folder: {e}"))?;
        std::fs::create_dir(folder.path().join(BUCKET)).map_err(|e| e.to_string())?;
        let files = FileSystem::new(folder.path()).map_err(|e| format!("{e:?}"))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
        let gate = Gate { service: builder.build(), puts: Arc::new(Mutex::new(())) };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|e| e.to_string())?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, gate));
        Ok(Self { address, _tasks: tasks, _folder: folder })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of its bucket, with everything needed to use it.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_by(self.address)
    }

    /// The same by way of another address, which passes on what it is sent.
    #[must_use]
    pub fn url_by(&self, address: SocketAddr) -> String {
        let secret = SECRET.replace('/', "%2F").replace('+', "%2B");
        format!(
            "s3://{BUCKET}/private?endpoint=http://{address}&region=us-east-1&allow_http=true\
             &access_key_id={KEY_ID}&secret_access_key={secret}"
        )
    }
}

async fn accept(listener: TcpListener, gate: Gate) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { return };
                let gate = gate.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| gate.clone().answer(request));
                    let builder = auto::Builder::new(TokioExecutor::new());
                    if let Err(error) = builder.serve_connection(TokioIo::new(socket), service).await {
                        tracing::debug!(%error, "S3 connection ended");
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Lets one conditional put in at a time: S3 decides them atomically, s3s-fs looks first and writes after that.
#[derive(Debug, Clone)]
struct Gate {
    service: S3Service,
    puts: Arc<Mutex<()>>,
}

impl Gate {
    async fn answer(self, request: Request<Incoming>) -> Result<HttpResponse, HttpError> {
        let conditional = request.headers().contains_key("if-none-match");
        let _turn = if conditional { Some(self.puts.lock().await) } else { None };
        self.service.call(request.map(s3s::Body::from)).await
    }
}
