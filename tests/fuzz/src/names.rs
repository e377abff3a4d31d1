//! Ids, paths and keys.

use sluice_wire::{EventKind, MediaPath, NodeId, ObjectKey, RungName, Tag, UploadId, VideoId};

/// A text is refused, or it is the one spelling of what it names.
pub fn names(bytes: &[u8]) {
    let text = &*String::from_utf8_lossy(bytes);
    if let Ok(id) = text.parse::<VideoId>() {
        assert_eq!(id.to_string(), text);
    }
    if let Ok(id) = text.parse::<UploadId>() {
        assert_eq!(id.to_string(), text);
    }
    if let Ok(node) = text.parse::<NodeId>() {
        assert_eq!(node.to_string(), text);
    }
    if let Ok(rung) = RungName::new(text) {
        assert_eq!(rung.to_string(), text);
    }
    if let Ok(tag) = Tag::new(text) {
        assert_eq!(tag.to_string(), text);
    }
    if let Some(kind) = EventKind::parse(text) {
        assert_eq!(kind.as_str(), text);
    }
    if let Some(path) = MediaPath::parse(text) {
        assert_eq!(path.to_string(), text);
        assert!(!path.tags().is_empty());
    }
    if let Some(key) = ObjectKey::parse(text) {
        assert_eq!(key.to_string(), text);
    }
}
