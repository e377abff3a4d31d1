//! A connection: requests as they come, and its leave.

use super::exchange::exchange;
use crate::listen::early::Completion;
use crate::listen::limits::{LAST_REQUEST, LINGER, MAX_HEADER_LIST, MAX_STREAMS};
use crate::listen::{Shell, h3 as streams};
use crate::{HttpRequest, HttpResponse};
use bytes::Bytes;
use h3::server::RequestResolver;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tower::Service;

/// A connection that sends nothing for so long has nothing to send: four times what a client may wait with an
/// acknowledgement (RFC 9000 section 18.2).
const SILENCE: Duration = Duration::from_millis(100);

/// Answers requests until the client goes, or the drain begins and it is told to.
pub(super) async fn converse<S>(
    connection: quinn::Connection,
    completion: Completion,
    addr: SocketAddr,
    service: S,
    shell: Shell,
) where
    S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let mut builder = h3::server::builder();
    builder.max_field_section_size(MAX_HEADER_LIST.into()).enable_extended_connect(shell.tunnels);
    let quic = streams::Connection::new(connection.clone());
    let mut session = match builder.build::<_, Bytes>(quic).await {
        Ok(session) => session,
        Err(error) => return tracing::debug!(%error, %addr, "HTTP/3 could not be begun"),
    };
    let (begun, cut) = (shell.drain.token(), shell.drain.cut());
    let requests = TaskTracker::new();
    let (drain, taken) = (shell.drain.clone(), requests.clone());
    let mut answer = move |resolver| {
        let (service, shell, completion) = (service.clone(), shell.clone(), completion.clone());
        taken.spawn(exchange(resolver, completion, addr, service, shell));
    };
    let mut had_one = false;
    let open = loop {
        let accepted = tokio::select! {
            accepted = session.accept() => accepted,
            () = begun.cancelled() => break true,
        };
        match accepted {
            Ok(Some(resolver)) => answer(resolver),
            Ok(None) => break false,
            Err(error) => {
                tracing::debug!(%error, %addr, "an HTTP/3 connection ended early");
                break false;
            }
        }
        had_one = true;
    };
    if open {
        let patience = if drain.is_succeeded() { LAST_REQUEST } else { connection.rtt() * 3 };
        take_leave(&mut session, &mut answer, had_one, patience).await;
    }
    requests.close();
    let taken = async {
        requests.wait().await;
        // What requests have sent may still wait for the client to take it.
        drop(timeout(LINGER, fallen_silent(&connection)).await);
    };
    tokio::select! {
        () = taken => {}
        () = cut.cancelled() => {}
    }
    connection.close(0x100u32.into(), b"");
}

/// Waits until nothing goes out any more, for as long as what is in flight takes to arrive: nothing is left to be sent, or sent
/// again, or the client takes nothing.
async fn fallen_silent(connection: &quinn::Connection) {
    loop {
        let before = connection.stats().udp_tx.datagrams;
        let closed = timeout((connection.rtt() * 3).max(SILENCE), connection.closed()).await;
        if closed.is_ok() || connection.stats().udp_tx.datagrams == before {
            return;
        }
    }
}

/// Tells a client that it must go elsewhere, and takes the requests that it sent before it knew. One that has not asked for
/// anything yet is told after its first request: an earlier word would say that this one was not looked at.
async fn take_leave(
    session: &mut h3::server::Connection<streams::Connection, Bytes>,
    answer: &mut impl FnMut(RequestResolver<streams::Connection, Bytes>),
    mut had_one: bool,
    patience: Duration,
) {
    let mut told = false;
    let mut end = pin!(tokio::time::sleep(patience));
    loop {
        if had_one && !told {
            told = true;
            if session.shutdown(MAX_STREAMS as usize).await.is_err() {
                return;
            }
        }
        let accepted = tokio::select! {
            accepted = session.accept() => accepted,
            () = end.as_mut() => break,
        };
        let Ok(Some(resolver)) = accepted else { return };
        answer(resolver);
        had_one = true;
    }
    if had_one {
        // Its last: the library means the first that it does not take.
        drop(session.shutdown(1).await);
    }
}
