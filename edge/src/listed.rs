//! What an origin lists for edges: newline-delimited JSON, a document each.

use crate::edge::Shared;
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::time::timeout;

/// All that an origin lists at a path. One that does not know of such things has none.
///
/// # Errors
/// Why it cannot be had within `patience`.
pub(crate) async fn at<T: DeserializeOwned>(
    edge: &Shared,
    origin: &str,
    path: &str,
    patience: Duration,
) -> Result<Vec<T>, String> {
    let asked = async {
        let answer = edge.http.get(format!("{origin}{path}")).send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(vec![]);
        }
        let answer = answer.error_for_status().map_err(|error| error.to_string())?;
        let text = answer.bytes().await.map_err(|error| error.to_string())?;
        let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let read = |line| serde_json::from_slice(line).map_err(|error| error.to_string());
        lines.map(read).collect::<Result<Vec<T>, String>>()
    };
    timeout(patience, asked).await.unwrap_or_else(|_| Err("no answer".into()))
}
