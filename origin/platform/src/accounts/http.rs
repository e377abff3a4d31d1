//! `/v1/accounts`: signing up, in and out, and renewing a session; what else is below it.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use sluice_storage::rows::signed;
use sluice_wire::AccountId;

use super::caller::{self, Cookies};
use super::rows::account;
use super::sessions::{Begun, RefreshToken};
use super::{ACCESS_COOKIE, Accounts, Caller, REFRESH_COOKIE, REFRESH_PATH, changes, door, password, roles};
use crate::cache::{self, Lifetime};
use crate::once::Asked;
use crate::{ApiError, describe};

/// Characters of a name that others see.
const MAX_NAME: usize = 64;
/// Characters of what a device calls itself.
const MAX_DEVICE: usize = 80;

pub(crate) fn routes(accounts: Accounts) -> Router {
    Router::new()
        .route("/v1/accounts", post(sign_up))
        .route("/v1/accounts/openapi.json", get(describe::of_accounts))
        .route("/v1/accounts/me", get(me))
        .route("/v1/accounts/session", post(sign_in).delete(sign_out))
        .route("/v1/accounts/sessions", delete(changes::sign_out_everywhere))
        .route("/v1/accounts/password", put(changes::change_password))
        .route("/v1/accounts/{account}/roles", put(roles::give))
        .route(REFRESH_PATH, post(renew))
        .with_state(accounts)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignUp {
    handle: String,
    #[serde(default)]
    name: String,
    password: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    handle: String,
    password: String,
    #[serde(default)]
    device: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Renew {
    refresh_token: Option<String>,
}

/// Who is signed in. The tokens are for clients without cookies.
#[derive(Debug, Serialize)]
struct SignedIn {
    account: AccountId,
    handle: String,
    roles: Vec<String>,
    access_token: String,
    refresh_token: String,
    expires_in: u64,
}

async fn sign_up(
    State(accounts): State<Accounts>,
    cookies: Cookies,
    asked: Asked<SignUp>,
) -> Result<Response, ApiError> {
    let SignUp { handle, name, password } = asked.body;
    let checks = [
        (door::is_handle(&handle), "handle: 2 to 32 of a-z, 0-9 and _"),
        (name.chars().count() <= MAX_NAME, "name: at most 64 characters"),
        (password::LENGTHS.contains(&password.chars().count()), "password: 8 to 200 characters"),
    ];
    let faults: Vec<&str> = checks.iter().filter(|(good, _)| !good).map(|(_, fault)| *fault).collect();
    if !faults.is_empty() {
        return Err(ApiError::new(422, "invalid", "Not an account", faults.join("; ")));
    }
    let hash = accounts.passwords.hash(password).await?;
    let id: AccountId = accounts.storage.ids.make();
    let roles = if accounts.config.admins.contains(&handle) { roles::ADMIN } else { "" };
    let row = account::Model {
        id: id.as_i64(),
        name: if name.is_empty() { handle.clone() } else { name },
        handle,
        password: hash,
        roles: roles.into(),
        created_ms: signed(accounts.storage.clock.now_ms()),
        closed: false,
    };
    accounts.make(row.clone()).await?;
    let begun = accounts.begin(&door::Seen { row, too_many: None }, "", true).await?;
    Ok(signed_in(&accounts, cookies, StatusCode::CREATED, &begun))
}

async fn sign_in(
    State(accounts): State<Accounts>,
    cookies: Cookies,
    asked: Asked<SignIn>,
) -> Result<Response, ApiError> {
    let SignIn { handle, password, device } = asked.body;
    let Some(seen) = accounts.let_in(&handle, &handle, password, "refuse-sign-in").await? else {
        return Err(caller::unauthorised("no such handle, or another password"));
    };
    let device: String = device.chars().take(MAX_DEVICE).collect();
    let begun = accounts.begin(&seen, &device, false).await?;
    Ok(signed_in(&accounts, cookies, StatusCode::OK, &begun))
}

async fn renew(
    State(accounts): State<Accounts>,
    cookies: Cookies,
    headers: HeaderMap,
    asked: Asked<Option<Renew>>,
) -> Result<Response, ApiError> {
    let told = asked.body.unwrap_or_default().refresh_token;
    if told.is_none() {
        caller::same_origin(&Method::POST, &headers)?;
    }
    let text = told.or_else(|| caller::cookie(&headers, REFRESH_COOKIE).map(str::to_owned));
    let token = text.and_then(|text| RefreshToken::parse(&text));
    let token = token.ok_or_else(|| caller::unauthorised("no refresh token"))?;
    let begun = accounts.renew(&token).await?;
    Ok(signed_in(&accounts, cookies, StatusCode::OK, &begun))
}

async fn sign_out(
    State(accounts): State<Accounts>,
    cookies: Cookies,
    caller: Caller,
) -> Result<Response, ApiError> {
    accounts.end(caller.account, caller.session).await?;
    Ok(signed_out(cookies))
}

/// 204, and no cookie is left.
pub(super) fn signed_out(cookies: Cookies) -> Response {
    let mut answer = StatusCode::NO_CONTENT.into_response();
    set_cookies(answer.headers_mut(), cookies, ("", 0), ("", 0));
    answer
}

async fn me(caller: Caller) -> Response {
    let Caller { account, name, roles, .. } = caller;
    let body = serde_json::json!({ "account": account, "handle": name, "roles": roles });
    let mut answer = axum::Json(body).into_response();
    cache::lifetime(answer.headers_mut(), Lifetime::Never);
    answer
}

fn signed_in(accounts: &Accounts, cookies: Cookies, status: StatusCode, begun: &Begun) -> Response {
    let Begun { caller, token, as_of_ms } = begun;
    let (access, config) = (accounts.access(caller, *as_of_ms), &accounts.config);
    let mut answer = HeaderMap::new();
    set_cookies(&mut answer, cookies, (&access, config.access_ttl_s), (&token.text(), config.session_ttl_s));
    cache::lifetime(&mut answer, Lifetime::Never);
    let body = SignedIn {
        account: caller.account,
        handle: caller.name.clone(),
        roles: caller.roles.clone(),
        access_token: access,
        refresh_token: token.text(),
        expires_in: config.access_ttl_s,
    };
    (status, answer, axum::Json(body)).into_response()
}

/// Says to a page's scripts that somebody is signed in, and nothing else: they need not ask in vain.
const KNOWN_COOKIE: &str = "sluice_known";

/// Cookies that pages keep and scripts cannot read, each with its seconds; and one that they can.
fn set_cookies(headers: &mut HeaderMap, cookies: Cookies, access: (&str, u64), refresh: (&str, u64)) {
    let secure = if cookies.secure { "; Secure" } else { "" };
    for (name, (value, seconds), path) in
        [(ACCESS_COOKIE, access, "/"), (REFRESH_COOKIE, refresh, REFRESH_PATH)]
    {
        let text = format!("{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        headers.append(SET_COOKIE, HeaderValue::from_str(&text).expect("tokens are plain characters"));
    }
    let known = format!("{KNOWN_COOKIE}=1; Path=/; Max-Age={}; SameSite=Lax{secure}", refresh.1);
    headers.append(SET_COOKIE, HeaderValue::from_str(&known).expect("plain characters"));
}
