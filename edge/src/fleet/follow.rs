//! Following the route table: a question that waits until there is a newer one, and what becomes of the answer.

use crate::edge::Shared;
use reqwest::StatusCode;
use reqwest::header::ACCEPT;
use sluice_wire::limits::MAX_TABLE_BYTES;
use sluice_wire::published::{CHANGES, Document, Message, Refused};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long a control plane may let us wait, and some.
const PATIENCE: Duration = Duration::from_secs(35);
/// Pause after nobody answered.
const PAUSE: Duration = Duration::from_millis(500);

/// Follows the table until the drain begins, from the one that was kept on.
pub(crate) async fn follow(edge: Arc<Shared>, kept: Document) {
    let stop = edge.drain.token();
    let mut follower = Follower { edge, document: kept };
    loop {
        let mut answered = false;
        for control in follower.edge.config.control.clone() {
            let asked = tokio::select! {
                asked = follower.ask(&control) => asked,
                () = stop.cancelled() => return,
            };
            match asked {
                Ok(()) => {
                    answered = true;
                    break;
                }
                Err(why) => tracing::debug!(control, why, "no route table"),
            }
        }
        if !answered {
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

struct Follower {
    edge: Arc<Shared>,
    /// The table in force, as it came.
    document: Document,
}

impl Follower {
    /// Asks one control plane for what is newer. Changes that cannot be applied are asked for again as a whole.
    async fn ask(&mut self, control: &str) -> Result<(), String> {
        let mut changes = self.document.version() > 0;
        loop {
            let Some(text) = self.fetch(control, changes).await? else { return Ok(()) };
            let Err(refused) = self.take(&text) else { return Ok(()) };
            self.edge.metrics.tables_refused.with_label_values(&[refused.as_str()]).inc();
            if !changes {
                tracing::warn!(control, %refused, "a route table is refused; the last good one stays in force");
                return Err(refused.to_string());
            }
            tracing::info!(control, %refused, "changes of the route table are refused; asking for the whole");
            changes = false;
        }
    }

    /// The answer's bytes; `None` when there is nothing newer.
    async fn fetch(&self, control: &str, changes: bool) -> Result<Option<Vec<u8>>, String> {
        let version = self.document.version();
        let mut request = self.edge.http.get(format!("{control}/v1/routes?after={version}"));
        if changes {
            request = request.header(ACCEPT, format!("{CHANGES}, application/json"));
        }
        let answer = timeout(PATIENCE, request.send()).await.map_err(|_| "no answer")?;
        let mut answer = answer.map_err(|e| e.to_string())?;
        if answer.status() == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        if answer.status() != StatusCode::OK {
            return Err(answer.status().to_string());
        }
        let mut text = vec![];
        while let Some(piece) =
            timeout(PATIENCE, answer.chunk()).await.map_err(|_| "silence")?.map_err(|e| e.to_string())?
        {
            if text.len() + piece.len() > MAX_TABLE_BYTES {
                return Err("a table beyond its limit".into());
            }
            text.extend_from_slice(&piece);
        }
        Ok(Some(text))
    }

    /// Puts a table in force, or refuses it whole: of whom it is, how old it is, what it says.
    fn take(&mut self, text: &[u8]) -> Result<(), Refused> {
        let (form, document, signature) = match Message::read(text)? {
            Message::Whole(document, signature) => ("whole", document, signature),
            Message::Changes(changes, signature) => {
                ("changes", self.document.with(&changes)?, Some(signature))
            }
        };
        self.edge.trust.judge(&document, signature.as_ref())?;
        let (got, known) = (document.version(), self.document.version());
        if got <= known {
            return Err(Refused::Older { got, known });
        }
        let table = document.table()?;
        self.edge.adopt(table, &document.message(signature.as_ref()));
        self.edge.trust.remember(signature.as_ref());
        self.edge.metrics.tables.with_label_values(&[form]).inc();
        self.document = document;
        Ok(())
    }
}
