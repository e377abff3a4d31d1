//! The description of the app's routes.

use axum::response::Response;
use sluice_platform::description;
use utoipa::OpenApi;

use crate::http;

#[derive(OpenApi)]
#[openapi(
    info(title = "Sluice feed", description = "Posts, follows, likes, home pages"),
    paths(
        http::create,
        http::fragment,
        http::delete,
        http::thread,
        http::like,
        http::unlike,
        http::repost,
        http::unrepost,
        http::upload,
        http::photo,
        http::show,
        http::list,
        http::following,
        http::follow,
        http::unfollow,
        http::import,
        http::home,
        http::explain,
        http::seen,
        http::marks,
        http::token,
        http::lists
    )
)]
struct Description;

/// `GET /v1/feed/openapi.json`.
pub(crate) async fn document() -> Response {
    description(Description::openapi())
}
