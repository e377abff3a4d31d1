//! What those do who wait in line at an edge.

use reqwest::Client;
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A place in line.
#[derive(Debug, Clone)]
pub struct InLine {
    /// The edge it was taken at.
    pub edge: String,
    /// The ticket.
    pub ticket: String,
}

/// Asks for a ticket; the place in line, or status and document of the answer that has none.
pub async fn take(http: &Client, edge: &str, room: &str) -> Result<InLine, (u16, Value)> {
    let answer = http.post(format!("{edge}/v1/rooms/{room}/tickets")).send().await.unwrap();
    let (status, told): (u16, Value) = (answer.status().as_u16(), answer.json().await.unwrap_or_default());
    if status != 201 {
        return Err((status, told));
    }
    Ok(InLine { edge: edge.to_owned(), ticket: told["ticket"].as_str().unwrap().to_owned() })
}

impl InLine {
    /// Asks once where it is, and lets the edge answer later; status and document.
    pub async fn ask(&self, http: &Client, room: &str, wait_s: u64) -> (u16, Value) {
        let at = format!("{}/v1/rooms/{room}/tickets/{}?wait={wait_s}", self.edge, self.ticket);
        let answer = http.get(at).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// Waits to be let in: the admission, or status and document of the answer that says why not.
    ///
    /// # Panics
    /// After a time.
    pub async fn let_in(
        &self,
        http: &Client,
        room: &str,
        patience: Duration,
    ) -> Result<String, (u16, Value)> {
        let begun = Instant::now();
        loop {
            let (status, told) = self.ask(http, room, 5).await;
            match status {
                200 if told["state"] == "admitted" => {
                    return Ok(told["admission"].as_str().unwrap().to_owned());
                }
                200 | 503 => {}
                _ => return Err((status, told)),
            }
            assert!(begun.elapsed() < patience, "never let in: {told}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}
