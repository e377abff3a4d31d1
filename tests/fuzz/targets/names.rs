//! Ids, paths and keys: a text is refused, or it is the one spelling of what it names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_wire::{EventKind, MediaPath, NodeId, ObjectKey, RungName, Tag, UploadId, VideoId};

fuzz_target!(|text: &str| {
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
});
