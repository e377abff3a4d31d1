//! The description of the app's routes.

use axum::Json;
use axum::response::{IntoResponse, Response};
use sluice_platform::cache::{self, Lifetime};
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
    let mut answer = Json(Description::openapi()).into_response();
    cache::lifetime(answer.headers_mut(), Lifetime::Never);
    answer
}
