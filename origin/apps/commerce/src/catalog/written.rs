//! What is written down of a product's edit: each field that is another now, as it was and as it is.

use serde_json::{Map, Value, json};
use sluice_platform::ApiError;
use sluice_storage::StorageError;
use sluice_storage::rows::from_json;
use sluice_wire::VideoId;

use super::edit::{Edit, NewProduct};
use crate::ids::{self, VariantId};
use crate::rows::{category, product, text, variant};

/// Characters of a text that are written down.
const MAX_TEXT: usize = 200;
/// Bytes of all fields as they were, or as they are; of more, only what they are called is written down.
const MAX_BYTES: usize = 8 << 10;

/// Fields by their names.
#[derive(Debug, Default)]
pub(super) struct Written {
    before: Map<String, Value>,
    after: Map<String, Value>,
}

impl Written {
    /// Of a product that is made.
    pub(super) fn of_new(new: &NewProduct) -> Self {
        let skus: Vec<&String> = new.variants.iter().map(|variant| &variant.sku).collect();
        let fields = [("title", json!(new.title)), ("category", json!(new.category)), ("added", json!(skus))];
        let after = fields.into_iter().map(|(name, value)| (name.to_owned(), cut(value))).collect();
        Self { before: Map::new(), after }
    }

    /// Of an edit of a product that was so, but for its variants.
    pub(super) fn of_edit(
        was: &product::Model,
        category: Option<&category::Model>,
        edit: &Edit,
    ) -> Result<Self, ApiError> {
        let mut written = Self::default();
        if let Some(title) = &edit.title {
            written.put("title", json!(was.title), json!(title));
        }
        if let Some(description) = &edit.description {
            written.put("description", json!(was.description), json!(description));
        }
        if let Some(name) = &edit.category {
            // In none is an empty one.
            let before = category.map(|row| row.category.as_str()).unwrap_or_default();
            written.put("category", json!(before), json!(name));
        }
        if let Some(images) = &edit.images {
            written.put("images", from_json("shop_products.images", &was.images)?, json!(images));
        }
        if let Some(video) = edit.video {
            let before: Option<VideoId> =
                was.video.map(|id| ids::of_column("shop_products.video", id)).transpose()?;
            written.put("video", json!(before), json!(video));
        }
        if let Some(active) = edit.active {
            written.put("active", json!(was.active), json!(active));
        }
        if !edit.add.is_empty() {
            let skus: Vec<&String> = edit.add.iter().map(|variant| &variant.sku).collect();
            written.put("added", Value::Null, json!(skus));
        }
        Ok(written)
    }

    /// And of its variants: all as they were, and those that change as they are to be.
    pub(super) fn variants(
        &mut self,
        were: &[variant::Model],
        are: &[variant::Model],
    ) -> Result<(), StorageError> {
        for now in are {
            let Some(was) = were.iter().find(|was| was.id == now.id) else { continue };
            let id: VariantId = ids::of_column("shop_variants.id", now.id)?;
            let name = |field: &str| format!("variants.{id}.{field}");
            self.put(&name("title"), json!(was.title), json!(now.title));
            let options = |row: &variant::Model| from_json("shop_variants.options", &row.options);
            self.put(&name("options"), options(was)?, options(now)?);
            let prices = |row: &variant::Model| from_json("shop_variants.prices", &row.prices);
            self.put(&name("prices"), prices(was)?, prices(now)?);
        }
        Ok(())
    }

    /// Of texts in a language, as they were and as they are.
    pub(super) fn of_texts(
        was: Option<&text::Model>,
        is: Option<&text::Model>,
    ) -> Result<Self, StorageError> {
        let mut written = Self::default();
        let Some(any) = is.or(was) else { return Ok(written) };
        let name = |field: &str| format!("texts.{}.{field}", any.language);
        let title = |row: Option<&text::Model>| json!(row.map(|row| &row.title));
        written.put(&name("title"), title(was), title(is));
        let description = |row: Option<&text::Model>| json!(row.map(|row| &row.description));
        written.put(&name("description"), description(was), description(is));
        let variants = |row: Option<&text::Model>| {
            let titles = row.map(|row| from_json::<Value>("shop_texts.variants", &row.variants));
            titles.transpose().map(Option::unwrap_or_default)
        };
        written.put(&name("variants"), variants(was)?, variants(is)?);
        Ok(written)
    }

    /// As it was, and as it is; nothing where nothing is another.
    pub(super) fn told(self) -> (Option<Value>, Option<Value>) {
        (small(self.before), small(self.after))
    }

    fn put(&mut self, name: &str, before: Value, after: Value) {
        if before != after {
            self.before.insert(name.to_owned(), cut(before));
            self.after.insert(name.to_owned(), cut(after));
        }
    }
}

/// A text that is long is only begun.
fn cut(value: Value) -> Value {
    match value {
        Value::String(text) if text.chars().count() > MAX_TEXT => {
            text.chars().take(MAX_TEXT).chain(['…']).collect::<String>().into()
        }
        other => other,
    }
}

fn small(fields: Map<String, Value>) -> Option<Value> {
    if fields.is_empty() {
        return None;
    }
    let names: Vec<String> = fields.keys().cloned().collect();
    let all = Value::Object(fields);
    Some(if all.to_string().len() > MAX_BYTES { json!({ "fields": names }) } else { all })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn was() -> product::Model {
        product::Model {
            id: 1,
            title: "Shirt".into(),
            description: "Of wool".into(),
            images: r#"["/a.jpg"]"#.into(),
            video: None,
            active: true,
            created_ms: 0,
            changed_ms: 0,
        }
    }

    fn told(edit: Value) -> (Option<Value>, Option<Value>) {
        let edit = serde_json::from_value(edit).unwrap();
        Written::of_edit(&was(), None, &edit).unwrap().told()
    }

    #[test]
    fn what_is_another_is_told_and_nothing_else() {
        let edit = json!({ "title": "Shirts", "active": true, "images": ["/a.jpg"], "category": "warm" });
        let before = json!({ "title": "Shirt", "category": "" });
        assert_eq!(told(edit), (Some(before), Some(json!({ "title": "Shirts", "category": "warm" }))));
        assert_eq!(told(json!({ "title": "Shirt", "category": "" })), (None, None));
    }

    #[test]
    fn what_is_written_down_stays_small() {
        let (before, after) = told(json!({ "description": "x".repeat(20_000) }));
        assert_eq!(before, Some(json!({ "description": "Of wool" })));
        let text = after.unwrap()["description"].as_str().unwrap().to_owned();
        assert_eq!(text.chars().count(), MAX_TEXT + 1);
        let images = vec!["/".repeat(500); 20];
        assert_eq!(told(json!({ "images": images })).1, Some(json!({ "fields": ["images"] })));
    }
}
