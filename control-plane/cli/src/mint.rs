//! Keys, tokens and signed URLs, made here without asking anybody: edges check them with the public key.

use crate::api::say;
use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use sluice_wire::token::jwt::{Claims, OneOrMore};
use sluice_wire::token::mint::SigningKey;
use sluice_wire::token::path;
use sluice_wire::token::signed::SignedUrl;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds for which a credential is good unless told otherwise: a long film.
const USUAL_TTL_S: u64 = 4 * 3_600;

/// What can be made.
#[derive(Debug, Subcommand)]
pub(crate) enum Mint {
    /// Makes a private key (Ed25519, PEM) unless the file is there; prints its public key as a JWKS for edges.
    Key {
        /// The private key's file.
        file: PathBuf,
        /// The key's id.
        #[arg(long, default_value = "1")]
        id: String,
    },
    /// Prints a token.
    Token(Token),
    /// Prints a signed URL.
    SignUrl(SignUrl),
}

/// Who signs, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Signer {
    /// The private key's file.
    #[arg(long)]
    key: PathBuf,
    /// The key's id.
    #[arg(long, default_value = "1")]
    id: String,
    /// Seconds for which it is good.
    #[arg(long, default_value_t = USUAL_TTL_S)]
    ttl: u64,
    /// A method; may be given several times.
    #[arg(long)]
    method: Vec<String>,
    /// A country, two capital letters; may be given several times.
    #[arg(long)]
    country: Vec<String>,
    /// Address or network of the client.
    #[arg(long)]
    client: Option<String>,
}

/// A token.
#[derive(Debug, Args)]
pub(crate) struct Token {
    #[command(flatten)]
    signer: Signer,
    /// Who it is for.
    #[arg(long)]
    sub: Option<String>,
    /// Who minted it.
    #[arg(long)]
    iss: Option<String>,
    /// Whom it is meant for; may be given several times.
    #[arg(long)]
    aud: Vec<String>,
    /// Whose content it is about.
    #[arg(long)]
    tenant: Option<String>,
    /// A prefix of paths; may be given several times.
    #[arg(long)]
    path: Vec<String>,
}

/// A signed URL.
#[derive(Debug, Args)]
pub(crate) struct SignUrl {
    #[command(flatten)]
    signer: Signer,
    /// The URL, or its path.
    url: String,
    /// Good for everything below this prefix: what a playlist names comes along.
    #[arg(long)]
    prefix: Option<String>,
}

pub(crate) fn run(mint: Mint) -> anyhow::Result<()> {
    say(&match mint {
        Mint::Key { file, id } => key(&file, &id)?,
        Mint::Token(token) => self::token(token)?,
        Mint::SignUrl(url) => sign_url(url)?,
    });
    Ok(())
}

fn key(file: &Path, id: &str) -> anyhow::Result<String> {
    if !file.exists() {
        let pem = SigningKey::generate()?;
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        out.write_all(pem.as_bytes()).and_then(|()| out.sync_all()).context("writing the key")?;
    }
    Ok(read(file, id)?.jwks().to_string())
}

fn token(token: Token) -> anyhow::Result<String> {
    let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
    let (signer, now) = (token.signer, now_s());
    let claims = Claims {
        sub: token.sub,
        iss: token.iss,
        aud: some(token.aud).map(OneOrMore::More),
        exp: Some(now.saturating_add(signer.ttl).into()),
        iat: Some(now.into()),
        tenant: token.tenant,
        paths: some(token.path),
        methods: some(signer.method),
        countries: some(signer.country),
        client: signer.client,
        ..Claims::default()
    };
    ensure!(
        claims.clone().grant().is_ok(),
        "a path is no prefix, or the client no network: no edge would take it"
    );
    Ok(read(&signer.key, &signer.id)?.token(&claims))
}

fn sign_url(asked: SignUrl) -> anyhow::Result<String> {
    let signer = asked.signer;
    let url = SignedUrl {
        prefix: asked.prefix,
        expires: now_s().saturating_add(signer.ttl),
        methods: signer.method,
        countries: signer.country,
        client: signer.client,
        key: signer.id.clone(),
    };
    let good = url.prefix.as_deref().is_none_or(path::is_prefix) && url.grant().is_ok();
    ensure!(good, "the prefix is none, or the client no network: no edge would take it");
    let (whole, query) =
        asked.url.split_once('?').map_or((asked.url.as_str(), None), |(at, q)| (at, Some(q)));
    let rest = whole.split_once("://").map_or(whole, |(_, rest)| rest);
    let at = rest
        .find('/')
        .and_then(|at| rest.get(at..))
        .and_then(path::compared)
        .context("the URL has no path")?;
    let signed = read(&signer.key, &signer.id)?.query(&url, &at);
    let query = query.map_or_else(String::new, |query| format!("{query}&"));
    Ok(format!("{whole}?{query}{signed}"))
}

fn read(file: &Path, id: &str) -> anyhow::Result<SigningKey> {
    let pem = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    SigningKey::from_pem(&pem, id).with_context(|| file.display().to_string())
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
