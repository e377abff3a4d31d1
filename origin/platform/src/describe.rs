//! Descriptions of interfaces (OpenAPI): what all routes of apps share is put into each in one place, so that every status which can
//! come is told, with the document that comes with it.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::cache::{self, Lifetime};

/// The interface of accounts, which is written by hand as that of videos is (ADR 0008).
const ACCOUNTS: &str = include_str!("../accounts.json");

/// Methods as a description has them, and whether they change something.
const METHODS: [(&str, bool); 6] =
    [("get", false), ("head", false), ("post", true), ("put", true), ("patch", true), ("delete", true)];

/// An app's description as clients get it: with what its routes share.
pub fn description(of_app: impl Serialize) -> Response {
    match serde_json::to_value(of_app) {
        Ok(description) => told((StatusCode::OK, axum::Json(complete(description, true)))),
        Err(error) => {
            tracing::error!(%error, "a description cannot be written");
            told(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

fn told(what: impl IntoResponse) -> Response {
    let mut answer = what.into_response();
    cache::lifetime(answer.headers_mut(), Lifetime::Never);
    answer
}

/// `GET /v1/accounts/openapi.json`. Nothing there is answered by `Idempotency-Key`: keys are an account's, and there is none yet.
pub(crate) async fn of_accounts() -> Response {
    let description = serde_json::from_str::<Value>(ACCOUNTS).unwrap_or_default();
    told(axum::Json(complete(description, false)))
}

/// A description with what its routes share; `by_key` where what makes or changes something is answered once for its key.
fn complete(mut description: Value, by_key: bool) -> Value {
    let shared = [
        ("/components/schemas", "Problem", problem()),
        ("/components/securitySchemes", "bearer", json!({ "type": "http", "scheme": "bearer" })),
    ];
    for (place, name, what) in shared {
        object_at(&mut description, place).entry(name).or_insert(what);
    }
    // Most can be asked without; who may not is told so.
    object_at(&mut description, "").entry("security").or_insert_with(|| json!([{}, { "bearer": [] }]));
    for (name, path) in object_at(&mut description, "/paths") {
        let Some(path) = path.as_object_mut() else { continue };
        let shared = path.get("parameters").cloned();
        for (method, changes) in METHODS {
            let is_once = by_key && is_once(method, name);
            if let Some(operation) = path.get_mut(method).and_then(Value::as_object_mut) {
                tell(operation, changes, is_once, shared.as_ref());
            }
        }
    }
    description
}

/// Whether a route of an app is answered once for its key: what makes or changes something, and is not the same done again by itself.
/// A token is as good as new each time, and a gateway's events bring ids of their own.
fn is_once(method: &str, path: &str) -> bool {
    matches!(method, "post" | "patch") && !path.ends_with("/token") && !path.contains("/webhooks/")
}

/// The object at a place, made where there is none.
fn object_at<'a>(description: &'a mut Value, place: &str) -> &'a mut Map<String, Value> {
    let mut at = description;
    for name in place.split('/').skip(1) {
        at = at
            .as_object_mut()
            .expect("a description is made of objects")
            .entry(name)
            .or_insert_with(|| json!({}));
    }
    if !at.is_object() {
        *at = json!({});
    }
    at.as_object_mut().expect("it is an object")
}

/// Names the problems that an operation may end in, and their document where it only names the status.
fn tell(operation: &mut Map<String, Value>, changes: bool, by_key: bool, shared: Option<&Value>) {
    let own = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
    let parameters: Vec<&Value> = own.chain(shared.and_then(Value::as_array).into_iter().flatten()).collect();
    let is_in = |place: &str| parameters.iter().any(|parameter| parameter["in"] == place);
    let (by_path, by_query) = (is_in("path"), is_in("query"));
    let sends = operation.contains_key("requestBody");
    let kinds = kinds(changes, sends, (by_path, by_query), by_key);
    if by_key {
        take_key(operation);
    }
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    let Some(responses) = responses.as_object_mut() else { return };
    for (may_come, status, description) in kinds {
        if may_come {
            responses.entry(status).or_insert_with(|| json!({ "description": description }));
        }
    }
    for (status, response) in responses.iter_mut() {
        if (status.starts_with('4') || status.starts_with('5')) && response.get("content").is_none() {
            let described =
                response.get("description").and_then(Value::as_str).is_some_and(|text| !text.is_empty());
            if !described {
                let known = kinds.iter().find(|(_, known, _)| *known == status.as_str());
                response["description"] = known.map_or("A problem", |(.., text)| *text).into();
            }
            let schema = json!({ "$ref": "#/components/schemas/Problem" });
            response["content"] = json!({ "application/problem+json": { "schema": schema } });
        }
    }
}

/// Statuses of problems with what they mean, and whether they may come.
fn kinds(
    changes: bool,
    sends: bool,
    (by_path, by_query): (bool, bool),
    by_key: bool,
) -> [(bool, &'static str, &'static str); 11] {
    let (in_the_way, not_valid) = if by_key {
        (
            "Something is in the way; or a request with this `Idempotency-Key` is under way",
            "The document, or what is asked for, is not valid; or this `Idempotency-Key` came with another one",
        )
    } else {
        ("Something is in the way", "The document, or what is asked for, is not valid")
    };
    [
        (by_path || by_query || sends || by_key, "400", "The request cannot be read"),
        (true, "401", "Nobody is signed in, or the token is not good"),
        (changes || by_path, "403", "Not for this account, or from a page of another site"),
        (by_path, "404", "There is no such thing"),
        (sends || by_key, "409", in_the_way),
        (sends, "413", "The document is too large"),
        (sends, "415", "What is sent is not said to be JSON"),
        (sends || changes || by_query, "422", not_valid),
        (true, "429", "Too often"),
        (true, "503", "The store cannot be reached now"),
        (changes, "507", "There is no room"),
    ]
}

/// Names the key that an operation takes, where it does not do so itself.
fn take_key(operation: &mut Map<String, Value>) {
    let key = json!({
        "name": "Idempotency-Key", "in": "header", "required": false,
        "description": "The request is done once, and its answer kept for a day",
        "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
    });
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    if let Some(parameters) = parameters.as_array_mut()
        && !parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key")
    {
        parameters.push(key);
    }
}

/// RFC 9457.
fn problem() -> Value {
    json!({
        "type": "object",
        "description": "What went wrong (RFC 9457)",
        "required": ["type", "title", "status"],
        "properties": {
            "type": { "type": "string", "description": "Its kind, which programs go by" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string", "description": "What to do about it" },
            "instance": { "type": "string" },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_of_accounts_names_every_route_and_what_may_go_wrong() {
        let description = complete(serde_json::from_str(ACCOUNTS).unwrap(), false);
        let source = include_str!("accounts/http.rs");
        let routes = source.split('"').filter(|text| text.starts_with("/v1/accounts"));
        for route in routes.filter(|route| !route.ends_with("openapi.json")) {
            assert!(description["paths"].get(route).is_some(), "{route}");
        }
        let sign_up = &description["paths"]["/v1/accounts"]["post"]["responses"];
        for status in ["201", "400", "403", "409", "413", "415", "422", "503", "507"] {
            assert!(sign_up.get(status).is_some(), "{status}: {sign_up}");
        }
        let problem = &sign_up["409"]["content"]["application/problem+json"]["schema"]["$ref"];
        assert_eq!(problem, "#/components/schemas/Problem");
        assert!(!description.to_string().contains("Idempotency-Key"), "none of it goes by a key");
    }

    #[test]
    fn what_is_sent_to_an_app_may_bring_a_key() {
        let own = json!({ "paths": {
            "/a": { "post": {}, "get": {}, "put": { "requestBody": {} } }, "/a/token": { "post": { "requestBody": {} } },
        } });
        let paths = &complete(own, true)["paths"];
        let methods = &paths["/a"];
        assert_eq!(methods["post"]["parameters"][0]["name"], "Idempotency-Key");
        assert!(methods["post"]["responses"].get("409").is_some());
        for other in [&methods["get"], &methods["put"], &paths["/a/token"]["post"]] {
            assert!(other.get("parameters").is_none(), "{other}");
        }
    }

    #[test]
    fn what_a_route_says_itself_stays() {
        let own = json!({ "paths": { "/a": { "get": { "responses": {
            "401": { "description": "Mine" }, "409": { "description": "", "content": {} },
        } } } } });
        let responses = &complete(own, true)["paths"]["/a"]["get"]["responses"];
        assert_eq!(responses["401"]["description"], "Mine");
        assert_eq!(responses["409"]["content"], json!({}));
        assert!(responses.get("422").is_none(), "nothing is sent");
    }
}
