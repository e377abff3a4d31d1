//! Texts in the language that is asked for, or the nearest to it: joined to the rows that they are of, so that they cost no
//! statement.

use std::collections::BTreeMap;

use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_LANGUAGE;
use sluice_storage::StorageError;
use sluice_storage::rows::from_json;
use sluice_storage::rows::sea_orm::sea_query::{Condition, DynIden, Expr, ExprTrait, Func, IntoIden, Query};
use sluice_storage::rows::sea_orm::{EntityTrait, Linked, RelationDef};
use sluice_wire::Language;

use crate::ids::VariantId;
use crate::rows::{product, text, variant};

/// From products to their texts: one row, or none where there is nothing in the language, nor in what it falls back to.
#[derive(Debug)]
pub(crate) struct OfProduct(Vec<String>);

/// From variants to the texts of their product, as [`OfProduct`].
#[derive(Debug)]
pub(super) struct OfVariant(Vec<String>);

impl OfProduct {
    /// Nothing without a language.
    pub(crate) fn in_language(wanted: Option<&Language>) -> Self {
        Self(candidates(wanted))
    }
}

impl OfVariant {
    /// Nothing without a language.
    pub(super) fn in_language(wanted: Option<&Language>) -> Self {
        Self(candidates(wanted))
    }
}

impl Linked for OfProduct {
    type FromEntity = product::Entity;
    type ToEntity = text::Entity;

    fn link(&self) -> Vec<RelationDef> {
        let its: RelationDef = product::Entity::belongs_to(text::Entity)
            .from(product::Column::Id)
            .to(text::Column::Product)
            .into();
        vec![its.on_condition(nearest(self.0.clone(), product::Column::Id.into_iden()))]
    }
}

impl Linked for OfVariant {
    type FromEntity = variant::Entity;
    type ToEntity = text::Entity;

    fn link(&self) -> Vec<RelationDef> {
        let its = variant::Entity::belongs_to(text::Entity);
        let its: RelationDef = its.from(variant::Column::Product).to(text::Column::Product).into();
        vec![its.on_condition(nearest(self.0.clone(), variant::Column::Product.into_iden()))]
    }
}

fn candidates(wanted: Option<&Language>) -> Vec<String> {
    wanted.into_iter().flat_map(Language::lookup).map(str::to_owned).collect()
}

/// That texts are in the best language of these that there is, where `its` names the product in what they are joined to. Each
/// candidate begins with the next one, so that the best is the greatest.
fn nearest(
    candidates: Vec<String>,
    its: DynIden,
) -> impl Fn(DynIden, DynIden) -> Condition + Send + Sync + 'static {
    move |left, right| {
        let language = || Expr::col((text::Entity, text::Column::Language));
        let best = Query::select()
            .expr(Func::max(language()))
            .from(text::Entity)
            .and_where(Expr::col((text::Entity, text::Column::Product)).equals((left, its.clone())))
            .and_where(language().is_in(candidates.clone()))
            .to_owned();
        let joined = || Expr::col((right.clone(), text::Column::Language));
        Condition::all().add(joined().is_in(candidates.clone())).add(joined().in_subquery(best))
    }
}

/// Titles of variants in the language of some texts.
pub(super) fn titles(text: Option<&text::Model>) -> Result<BTreeMap<VariantId, String>, StorageError> {
    let titles: Option<BTreeMap<_, _>> =
        text.map(|text| from_json("shop_texts.variants", &text.variants)).transpose()?;
    Ok(titles.unwrap_or_default())
}

/// Says for whom an answer is, where all texts in it are in one language (RFC 9110 section 8.5).
pub(crate) fn spoken<'a>(
    mut answer: Response,
    mut languages: impl Iterator<Item = Option<&'a str>>,
) -> Response {
    let Some(Some(first)) = languages.next() else { return answer };
    if languages.all(|other| other == Some(first))
        && let Ok(value) = HeaderValue::from_str(first)
    {
        answer.headers_mut().insert(CONTENT_LANGUAGE, value);
    }
    answer
}
