//! The interface's description.

use axum::response::Response;
use sluice_platform::description;
use utoipa::OpenApi;

use crate::{
    conversations, cursors, events, files, list, members, messages, presence, reactions, search, sends,
    tokens,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sluice chat",
        version = "1",
        description = "Conversations: messages in order, once, on every device. Callers bring an account's access token."
    ),
    paths(
        conversations::make,
        conversations::show,
        list::list,
        list::channels,
        members::list,
        members::invite,
        members::role,
        members::remove,
        members::join,
        members::leave,
        sends::send,
        messages::edit,
        messages::delete,
        reactions::add,
        reactions::remove,
        files::http::send,
        files::http::read,
        cursors::show,
        cursors::put,
        events::after,
        events::page,
        events::shared,
        search::search,
        presence::http::be,
        presence::http::see,
        tokens::token
    )
)]
struct Description;

/// `GET /v1/chat/openapi.json`.
pub(crate) async fn document() -> Response {
    description(Description::openapi())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described() {
        let described = serde_json::to_value(Description::openapi()).unwrap();
        let source = include_str!("lib.rs");
        let routes = source.split('"').filter(|text| text.starts_with("/v1/chat"));
        let missing: Vec<&str> = routes
            .filter(|route| !route.ends_with("openapi.json") && described["paths"].get(*route).is_none())
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
