//! Requests to URLs that others named: sources to fetch, receivers of webhooks.
//!
//! ```text
//! URL -> target: scheme, user, port, address in any spelling -> resolved once -> every address checked
//!     -> connected to one of those and no other -> a redirect begins anew, five at most
//! ```
//!
//! `address` and `target` decide, and are pure. No proxy is asked, from wherever the environment names one.

mod address;
mod target;

pub(crate) use target::{Refused, Rules, check, read};

use address::admits;
use http::StatusCode;
use http::header::{HeaderMap, LOCATION};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Time for a connection, with its name resolved and its handshake made.
const CONNECT: Duration = Duration::from_secs(10);
/// Time for the head of an answer.
const HEAD: Duration = Duration::from_secs(30);
/// Silence within a body after which it is cut.
const STALL: Duration = Duration::from_secs(30);
/// Redirects that are followed.
const MAX_REDIRECTS: usize = 5;

/// Why a request brought no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutboundError {
    /// Not to be asked, now or later.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// Redirects that lead nowhere.
    #[error("more than {MAX_REDIRECTS} redirects, or one to no URL")]
    Redirects,
    /// It may be better another time.
    #[error("{0}")]
    Failed(String),
}

/// A client for URLs that others named. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Outbound {
    client: Client,
    rules: Arc<Rules>,
}

impl Outbound {
    pub(crate) fn new(rules: Rules) -> Result<Self, reqwest::Error> {
        let rules = Arc::new(rules);
        let client = Client::builder()
            .dns_resolver(Arc::new(Checked(Arc::clone(&rules))))
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT)
            .read_timeout(STALL)
            .user_agent(concat!("Sluice/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, rules })
    }

    /// Reads a URL that is to be asked.
    pub(crate) fn read(&self, text: &str) -> Result<Url, Refused> {
        read(&self.rules, text)
    }

    /// Asks for a URL, and for where it redirects to.
    pub(crate) async fn get(&self, text: &str, headers: HeaderMap) -> Result<Response, OutboundError> {
        let mut url = self.read(text)?;
        for _ in 0..=MAX_REDIRECTS {
            let asked = self.client.get(url.clone()).headers(headers.clone()).send();
            let answer = answered(asked).await?;
            if !is_redirect(answer.status()) {
                return Ok(answer);
            }
            let next = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let next = next.and_then(|text| url.join(text).ok()).ok_or(OutboundError::Redirects)?;
            url = check(&self.rules, next)?;
        }
        Err(OutboundError::Redirects)
    }
}

impl Outbound {
    /// Sends a body to a URL, and to no other one that it names. What is answered beside the status is not read.
    pub(crate) async fn post(
        &self,
        text: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<StatusCode, OutboundError> {
        let url = self.read(text)?;
        let asked = self.client.post(url).headers(headers).body(body).send();
        Ok(answered(asked).await?.status())
    }
}

const fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

async fn answered(
    asked: impl Future<Output = Result<Response, reqwest::Error>>,
) -> Result<Response, OutboundError> {
    match timeout(HEAD, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => match refused(&error) {
            Some(refused) => Err(refused.into()),
            None => Err(OutboundError::Failed(cause(&error))),
        },
        Err(_) => Err(OutboundError::Failed(format!("no answer within {} s", HEAD.as_secs()))),
    }
}

/// The check's word, through all that stands around it.
fn refused(error: &reqwest::Error) -> Option<Refused> {
    let mut error: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(here) = error {
        if let Some(refused) = here.downcast_ref::<Refused>() {
            return Some(*refused);
        }
        error = here.source();
    }
    None
}

/// The innermost reason: the outer ones name the URL, which may hold a secret.
fn cause(error: &reqwest::Error) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(inner) = error.source() {
        error = inner;
    }
    error.to_string()
}

/// Resolves a name, once for each connection, and gives only addresses that were checked: the connection goes to one of
/// these and asks nobody again.
struct Checked(Arc<Rules>);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = Arc::clone(&self.0);
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            // One bad address spoils the name: whoever mixes them wants something.
            if found.iter().any(|at| !admits(&rules.internal, at.ip())) {
                return Err(Refused::Address.into());
            }
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

/// What a URL that was read is held to, whatever the bytes.
pub(crate) fn fuzzing(bytes: &[u8]) {
    let rules = Rules::default();
    let text = String::from_utf8_lossy(bytes);
    let Ok(url) = read(&rules, &text) else { return };
    let again = read(&rules, url.as_str());
    assert_eq!(again.as_ref(), Ok(&url), "it has one spelling");
    assert!(matches!(url.scheme(), "http" | "https") && url.fragment().is_none());
    assert!(url.username().is_empty() && url.password().is_none());
    let host = url.host_str().unwrap_or_default();
    assert!(!host.is_empty());
    if let Ok(address) = host.trim_matches(['[', ']']).parse() {
        assert!(address::is_public(address), "{address}");
    }
}
