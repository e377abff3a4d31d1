//! A change as the live channel's JSON says it, and as a frame.

use super::{Frame, What};
use crate::channel;
use crate::id::AccountId;
use serde_json::{Map, Value, json};

impl Frame {
    /// The frame that says what a live channel's does; `None` where it would say less, but for attachments, of which it says
    /// that there are some.
    #[must_use]
    pub fn of_channel(said: &channel::Frame) -> Option<Self> {
        let data = said.data.as_object()?;
        let frame = Self { seq: said.seq, at_ms: data.get("at_ms")?.as_u64()?, what: What::of_data(data)? };
        let same = match &frame.what {
            What::Message { more: true, .. } => {
                let mut rest = data.clone();
                rest.remove(ATTACHMENTS);
                frame.data() == Value::Object(rest)
            }
            _ => frame.data() == said.data,
        };
        same.then_some(frame)
    }

    /// What a live channel's JSON says of it.
    #[must_use]
    pub fn data(&self) -> Value {
        let mut data = match &self.what {
            What::Message { id, from, client_id, name, text, .. } => {
                json!({ "type": "message", "id": number(*id), "from": from, "client_id": client_id, "name": name, "text": text })
            }
            What::Edit { id, by, text } => {
                json!({ "type": "edit", "id": number(*id), "by": by, "text": text })
            }
            What::Delete { id, by } => json!({ "type": "delete", "id": number(*id), "by": by }),
            What::Reaction { id, by, on, name, emoji } => {
                json!({ "type": "reaction", "id": number(*id), "by": by, "on": on, "name": name, "emoji": emoji })
            }
            What::Receipt { account, delivered, read } => {
                json!({ "type": "receipt", "account": account, "by": account, "delivered": delivered, "read": read })
            }
        };
        if let Some(fields) = data.as_object_mut() {
            fields.insert("at_ms".into(), self.at_ms.into());
            // What its reader knows is left out, and not null.
            fields.retain(|_, value| !value.is_null());
        }
        data
    }
}

/// Files that go with a message.
const ATTACHMENTS: &str = "attachments";

/// Ids of all kinds are written alike.
fn number(id: u64) -> Option<AccountId> {
    AccountId::from_u64(id).ok()
}

impl What {
    fn of_data(data: &Map<String, Value>) -> Option<Self> {
        let text = |key: &str| data.get(key)?.as_str().map(str::to_owned);
        let account = |key: &str| data.get(key)?.as_str()?.parse::<AccountId>().ok();
        let id = || account("id").map(AccountId::as_u64);
        Some(match data.get("type")?.as_str()? {
            "message" => Self::Message {
                id: id()?,
                from: account("from")?,
                client_id: text("client_id"),
                name: text("name"),
                text: text("text")?,
                more: data.contains_key(ATTACHMENTS),
            },
            "edit" => Self::Edit { id: id()?, by: account("by")?, text: text("text")? },
            "delete" => Self::Delete { id: id()?, by: account("by")? },
            "reaction" => Self::Reaction {
                id: id()?,
                by: account("by")?,
                on: data.get("on")?.as_bool()?,
                name: text("name"),
                emoji: text("emoji")?,
            },
            "receipt" => Self::Receipt {
                account: account("account")?,
                delivered: data.get("delivered")?.as_u64()?,
                read: data.get("read")?.as_u64()?,
            },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tag;

    fn of(data: Value) -> Option<Frame> {
        let channel = Tag::new("chat:1").unwrap();
        Frame::of_channel(&channel::Frame { channel, seq: 7, at_ms: 9, data })
    }

    #[test]
    fn what_a_frame_can_say_whole_is_one_and_the_rest_stays_json() {
        let id = AccountId::from_parts(1_900_000_000_000, 5);
        let message = json!({
            "type": "message", "id": id, "from": id, "client_id": "c", "name": "ann", "text": "hi",
            "at_ms": 1_900_000_000_001_u64,
        });
        let frame = of(message.clone()).unwrap();
        assert_eq!((frame.seq, frame.data()), (7, message.clone()));
        let with = |key: &str, value: Value| {
            let mut data = message.clone();
            data[key] = value;
            data
        };
        let files = of(with("attachments", json!([{ "name": "x" }]))).unwrap();
        assert!(matches!(&files.what, What::Message { more: true, .. }), "{files:?}");
        // A field that a frame has no place for.
        assert_eq!(of(with("later", json!(1))), None);
        assert_eq!(of(with("id", json!("x"))), None);
        for whole in [
            json!({ "type": "edit", "id": id, "by": id, "text": "ho", "at_ms": 1_900_000_000_001_u64 }),
            json!({ "type": "delete", "id": id, "by": id, "at_ms": 1_900_000_000_001_u64 }),
            json!({ "type": "reaction", "id": id, "by": id, "on": true, "name": "ann", "emoji": "x", "at_ms": 5 }),
            json!({ "type": "receipt", "account": id, "by": id, "delivered": 5, "read": 4, "at_ms": 5 }),
        ] {
            assert_eq!(of(whole.clone()).map(|frame| frame.data()), Some(whole));
        }
        for other in [json!(null), json!({ "n": 1 }), json!({ "type": "made", "by": id, "at_ms": 5 })] {
            assert_eq!(of(other), None);
        }
    }
}
