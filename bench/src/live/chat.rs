//! Conversations to speak in, and who may listen to them.

use super::ear::Wish;
use super::publish::Request;
use crate::fleet::{Account, Fleet, good};
use anyhow::Context;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;

/// Conversations of one account, who says all there is to say.
#[derive(Debug)]
pub(super) struct Chats {
    account: Account,
    ids: Arc<[String]>,
}

impl Chats {
    /// Signs two people up, and makes conversations of them.
    pub(super) async fn make(fleet: &Fleet, count: usize) -> anyhow::Result<Self> {
        let account = fleet.account("ann").await?;
        let other = fleet.account("ben").await?;
        let mut ids = vec![];
        for number in 0..count {
            let body = json!({ "kind": "group", "name": format!("Room {number}"), "members": [other.id] });
            let asked = fleet.client.post(format!("{}/v1/chat", fleet.origin.url()?));
            let made = good(asked.bearer_auth(&account.token).json(&body).send().await?).await?;
            ids.push(made["id"].as_str().context("a conversation has an id")?.to_owned());
        }
        Ok(Self { account, ids: ids.into() })
    }

    /// What sends a message to the conversations in turn, by way of a URL.
    pub(super) fn request(&self, fleet: &Fleet, url: &str) -> Request {
        let (client, token, ids) = (fleet.client.clone(), self.account.token.clone(), Arc::clone(&self.ids));
        let url = url.to_owned();
        Arc::new(move |number, text| {
            let id = &ids[(number % ids.len() as u64) as usize];
            let asked = client.post(format!("{url}/v1/chat/{id}/messages")).bearer_auth(&token);
            asked.json(&json!({ "client_id": format!("b{number}"), "text": text }))
        })
    }

    /// So many listeners of each conversation, by a token that names them all.
    pub(super) fn wishes(&self, fleet: &Fleet, of_each: usize) -> anyhow::Result<Vec<Wish>> {
        let token: Arc<str> = fleet.channel_token("listener", &["chat:*".into()])?.into();
        let of = |id: &String| {
            let channel = Some(format!("chat:{id}").into());
            vec![Wish { channel, token: Some(Arc::clone(&token)) }; of_each]
        };
        Ok(self.ids.iter().flat_map(of).collect())
    }
}

/// The address in what a node announced.
pub(super) fn address(at: &str) -> anyhow::Result<SocketAddr> {
    at.parse().with_context(|| format!("{at} is no address"))
}
