//! The commands.

use crate::api::{Api, say, show, text};
use crate::args::{Command, Options, Purge};
use crate::{fleet, manual, mint, owner, prefetch, steering, upload, videos, watch};
use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::Value;
use sluice_wire::image::{self, ImageVariant};
use sluice_wire::purge::PurgeRequest;
use std::path::Path;
use std::time::Duration;

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let (control, edge) = (Api::new(&options.control)?.bearing(options.token), Api::new(&options.edge)?);
    let raw = options.json;
    match options.command {
        Command::Nodes => show(raw, &control.get("/v1/nodes").await?, nodes),
        Command::Routes => show(true, &control.get("/v1/routes?after=0").await?, |_| String::new()),
        Command::Drain { node } => drain(&control, raw, Method::POST, &node).await?,
        Command::Undrain { node } => drain(&control, raw, Method::DELETE, &node).await?,
        Command::Purge(purge) => purge_it(&control, raw, purge).await?,
        Command::Config(wanted) => fleet::config(&control, raw, wanted).await?,
        Command::Audit { limit } => fleet::audit(&control, raw, limit).await?,
        Command::Operator { name, role } => fleet::operator(raw, &name, &role)?,
        Command::Owner { url, site } => owner::run(&control, raw, &url, site.as_deref()).await?,
        Command::Why { video, client } => steering::why(&control, raw, &video, client.as_deref()).await?,
        Command::Prefetch { site, limit } => prefetch::run(&control, raw, site.as_deref(), limit).await?,
        Command::Upload(wanted) => upload::run(&edge, raw, &wanted).await?,
        Command::List(asked) => videos::list(&edge, raw, &asked).await?,
        Command::Show { id } => show(raw, &edge.get(&format!("/v1/videos/{id}")).await?, videos::line),
        Command::Watch { id } => show(raw, &watch::watch(&edge, &id).await?, videos::line),
        Command::Edit(edit) => videos::edit(&edge, raw, edit).await?,
        Command::Delete { id, now } => videos::delete(&edge, raw, &id, now).await?,
        Command::Remake(wanted) => videos::remake(&edge, raw, wanted).await?,
        Command::Restore { id } => videos::restore(&edge, raw, &id).await?,
        Command::Playback { id } => videos::playback(&edge, raw, &id).await?,
        Command::Storage => videos::storage(&edge, raw).await?,
        Command::SignImage { target, key_file } => say(&sign_image(&target, &key_file)?),
        Command::Mint(wanted) => mint::run(wanted)?,
        Command::Completions { shell } => manual::completions(shell)?,
        Command::Man => manual::man()?,
    }
    Ok(())
}

fn sign_image(target: &str, key_file: &Path) -> anyhow::Result<String> {
    let file = std::fs::read(key_file).with_context(|| format!("reading {}", key_file.display()))?;
    let key = image::key(&file).with_context(|| format!("a key has at least {} bytes", image::MIN_KEY))?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (variant, signature) = ImageVariant::parse(query)?;
    if !path.starts_with('/') || signature.is_some() {
        bail!("name a path and a variant without a signature: /a.jpg?w=320");
    }
    Ok(image::signed_target(key, path, &variant))
}

fn nodes(answer: &Value) -> String {
    let list = answer["nodes"].as_array().cloned().unwrap_or_default();
    let line = |node: &Value| {
        let (report, c) = (&node["report"], &node["report"]["counters"]);
        format!(
            "{:<16} {:<9} {:<7} {:<10} requests {:<9} hits {:<9} {}\n",
            text(&report["node"]),
            text(&node["state"]),
            text(&report["tier"]),
            text(&report["site"]),
            c["requests"],
            c["hits"],
            text(&report["public_url"])
        )
    };
    list.iter().map(line).collect()
}

async fn drain(control: &Api, raw: bool, method: Method, node: &str) -> anyhow::Result<()> {
    let answer = control.send(control.request(method, &format!("/v1/nodes/{node}/drain"))).await?;
    show(raw, &answer, |a| format!("{node}: draining {}, route table {}", a["draining"], a["table_version"]));
    Ok(())
}

async fn purge_it(control: &Api, raw: bool, purge: Purge) -> anyhow::Result<()> {
    let Purge { tag, path, url, prefix, all, soft, wait, at } = purge;
    let body = PurgeRequest { tags: tag, paths: path, urls: url, prefixes: prefix, everything: all, soft };
    let answer = match at {
        Some(admin) => {
            let edge = Api::new(&admin)?;
            edge.send(edge.request(Method::POST, "/purge").json(&body)).await?
        }
        None => {
            let path = format!("/v1/purge?wait={wait}");
            let patience = Duration::from_millis(wait) + Duration::from_secs(30);
            control.send(control.request(Method::POST, &path).json(&body).timeout(patience)).await?
        }
    };
    show(raw, &answer, |a| {
        let purged = a["purged"].as_array().map_or(0, Vec::len);
        match (a["applied"]["nodes"].as_array(), a["applied"]["after_ms"].as_f64()) {
            (Some(nodes), Some(ms)) => {
                format!("purged {purged}; {} edges have applied it after {ms:.1} ms", nodes.len())
            }
            _ => format!("purged {purged}"),
        }
    });
    Ok(())
}
