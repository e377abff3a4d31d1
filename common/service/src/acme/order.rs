//! One order of a certificate (RFC 8555 section 7.4), from the account to the chain.

use super::challenges::Challenges;
use super::store::Store;
use crate::config::{AcmeConfig, Challenge};
use crate::process::chain;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use instant_acme::{
    Account, AccountBuilder, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder,
    OrderStatus, RetryPolicy,
};
use rustls::ClientConfig;
use std::time::Duration;

/// Time in which an authority looks at all names, and again in which it issues.
const POLLED: Duration = Duration::from_secs(90);

/// A chain with its key, PEM each.
pub(super) struct Issued {
    pub(super) chain: String,
    pub(super) key: String,
}

/// Orders a certificate for all configured names. The caller puts a deadline to it, and forgets the challenges.
///
/// # Errors
/// What the authority or the way to it came to.
pub(super) async fn order(
    config: &AcmeConfig,
    tls: &ClientConfig,
    store: &Store,
    challenges: &Challenges,
) -> Result<Issued, String> {
    let account = account(config, tls, store).await?;
    let names: Vec<Identifier> = config.names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await.map_err(told)?;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(told)?;
        match authorization.status {
            AuthorizationStatus::Pending => {}
            AuthorizationStatus::Valid => continue,
            other => return Err(format!("an authorization is {other:?}")),
        }
        let kind = match config.challenge {
            Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
            Challenge::Http01 => ChallengeType::Http01,
        };
        let Some(mut challenge) = authorization.challenge(kind) else {
            return Err(format!("the authority does not offer {:?}", config.challenge));
        };
        let answer = challenge.key_authorization();
        match config.challenge {
            Challenge::TlsAlpn01 => {
                let name = challenge.identifier().to_string();
                challenges.expect_tls(&name, answer.digest().as_ref())?;
            }
            Challenge::Http01 => challenges.expect_http(&challenge.token, answer.as_str()),
        }
        challenge.set_ready().await.map_err(told)?;
    }
    let patience = RetryPolicy::new().timeout(POLLED);
    match order.poll_ready(&patience).await.map_err(told)? {
        OrderStatus::Ready => {}
        other => {
            return Err(format!(
                "the order is {other:?}: the authority could not see that the names are ours"
            ));
        }
    }
    let key = order.finalize().await.map_err(told)?;
    let chain = order.poll_certificate(&patience).await.map_err(told)?;
    Ok(Issued { chain, key })
}

/// The account of the state folder, or a new one that is kept there.
async fn account(config: &AcmeConfig, tls: &ClientConfig, store: &Store) -> Result<Account, String> {
    let directory = config.directory.clone().unwrap_or_default();
    if let Some(kept) = store.account(&directory) {
        let credentials = serde_json::from_value(kept).map_err(|e| format!("account.json: {e}"))?;
        return builder(tls).from_credentials(credentials).await.map_err(told);
    }
    let contact: Vec<&str> = config.contact.iter().map(String::as_str).collect();
    let wanted = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (account, credentials) = builder(tls).create(&wanted, directory.clone(), None).await.map_err(told)?;
    let credentials = serde_json::to_value(&credentials).map_err(|e| e.to_string())?;
    store.keep_account(&directory, &credentials).map_err(|e| format!("account.json: {e}"))?;
    Ok(account)
}

fn builder(tls: &ClientConfig) -> AccountBuilder {
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_only().enable_http1().build();
    let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
    Account::builder_with_http(Box::new(client))
}

fn told(error: instant_acme::Error) -> String {
    chain(&error)
}
