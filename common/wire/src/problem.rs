//! RFC 9457 problem details, the body of every error answer.

use serde::{Deserialize, Serialize};

/// The media type of a rendered [`Problem`] (RFC 9457 section 3).
pub const CONTENT_TYPE: &str = "application/problem+json";

/// An error as a client reads it: the members of RFC 9457 section 3.1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A URI reference that names the kind: `/problems/KIND`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in a few words, the same each time.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The resource it happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

impl Problem {
    /// A problem of a kind (`upload-too-large`), its HTTP status and its fixed title.
    #[must_use]
    pub fn new(status: u16, kind: &str, title: &str) -> Self {
        Self { kind: format!("/problems/{kind}"), title: title.into(), status, detail: None, instance: None }
    }

    /// Adds what happened this time.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds the resource it happened to.
    #[must_use]
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.instance = Some(instance.into());
        self
    }

    /// The JSON document, in bytes.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and a number always serialise")
    }
}
