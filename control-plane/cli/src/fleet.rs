//! The fleet's configuration, what operators did, and operators' tokens.

use crate::api::{Api, show, text};
use crate::args::Config;
use crate::steering;
use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, IF_MATCH};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;
use time::OffsetDateTime;

/// Random bytes of a token: nobody guesses 256 bits.
const TOKEN: usize = 32;

/// Shows, changes or rolls back the configuration.
pub(crate) async fn config(control: &Api, raw: bool, wanted: Config) -> anyhow::Result<()> {
    match wanted {
        Config::Show { version: None } => show(true, &control.get("/v1/config").await?, |_| String::new()),
        Config::Show { version: Some(version) } => {
            let answer = control.get(&format!("/v1/config/versions/{version}")).await?;
            show(true, &answer, |_| String::new());
        }
        Config::Set { file, note, force } => set(control, raw, &file, &note, force).await?,
        Config::Try { file } => steering::dry_run(control, raw, &file).await?,
        Config::Log { limit } => {
            let answer = control.get(&format!("/v1/config/versions?limit={limit}")).await?;
            show(raw, &answer, |answer| lines(&answer["versions"], version_line));
        }
        Config::Rollback { version } => {
            let request = control.request(Method::POST, "/v1/config/rollback");
            let answer = control.send(request.json(&json!({ "version": version }))).await?;
            show(raw, &answer, |answer| format!("version {}: what {version} was", answer["version"]));
        }
    }
    Ok(())
}

async fn set(control: &Api, raw: bool, file: &Path, note: &str, force: bool) -> anyhow::Result<()> {
    let body = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let document: Value =
        serde_json::from_slice(&body).with_context(|| format!("{} is no JSON", file.display()))?;
    let from = if force { "*".into() } else { format!("\"{}\"", document["version"].as_u64().unwrap_or(0)) };
    let note: String = form_urlencoded::byte_serialize(note.as_bytes()).collect();
    let request = control.request(Method::PUT, &format!("/v1/config?note={note}"));
    let request = request.header(IF_MATCH, from).header(CONTENT_TYPE, "application/json").body(body);
    let answer = control.send(request).await?;
    show(raw, &answer, |answer| format!("version {} is in force", answer["version"]));
    Ok(())
}

/// Shows what operators did.
pub(crate) async fn audit(control: &Api, raw: bool, limit: u64) -> anyhow::Result<()> {
    let answer = control.get(&format!("/v1/audit?limit={limit}")).await?;
    show(raw, &answer, |answer| lines(&answer["entries"], entry_line));
    Ok(())
}

/// Makes a token; the control plane is told its digest alone.
pub(crate) fn operator(raw: bool, name: &str, role: &str) -> anyhow::Result<()> {
    let mut bytes = [0; TOKEN];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes).context("reading random bytes")?;
    let token = BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let digest = hex::encode(Sha256::digest(&token));
    let made = json!({ "token": token, "operator": { "name": name, "role": role, "token_sha256": digest } });
    show(raw, &made, |_| {
        format!(
            "SLUICE_TOKEN={token}\n\n# for the control plane's file:\n[[operators]]\nname = \"{name}\"\nrole = \
             \"{role}\"\ntoken_sha256 = \"{digest}\""
        )
    });
    Ok(())
}

fn lines(list: &Value, line: impl Fn(&Value) -> String) -> String {
    list.as_array().map(|list| list.iter().map(line).collect()).unwrap_or_default()
}

fn version_line(version: &Value) -> String {
    let (who, note) = (text(&version["who"]), text(&version["note"]));
    format!("{:<6} {} {who:<16} {note}\n", version["version"], time(&version["at_ms"]))
}

fn entry_line(entry: &Value) -> String {
    let (who, action, subject) = (text(&entry["who"]), text(&entry["action"]), text(&entry["subject"]));
    let at = time(&entry["at_ms"]);
    format!("{at} {who:<16} {action:<16} {subject:<20} {} -> {}\n", entry["before"], entry["after"])
}

/// Unix milliseconds as ISO 8601 in UTC.
fn time(ms: &Value) -> String {
    let at = OffsetDateTime::from_unix_timestamp((ms.as_u64().unwrap_or(0) / 1_000).cast_signed());
    let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", u8::from(month))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_by_people() {
        assert_eq!(time(&json!(0)), "1970-01-01T00:00:00Z");
        assert_eq!(time(&json!(1_709_210_096_789_u64)), "2024-02-29T12:34:56Z");
        assert_eq!(time(&json!(1_798_761_599_000_u64)), "2026-12-31T23:59:59Z");
    }
}
