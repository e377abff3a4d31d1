//! The library: listed, shown, edited, deleted, brought back.

use crate::api::{Api, say, show, text};
use crate::args::{Edit, List, Remake};
use crate::watch;
use anyhow::bail;
use reqwest::Method;
use reqwest::header::IF_MATCH;
use serde_json::{Value, json};

/// Videos of one page: what the server gives at most.
const PAGE: u64 = 100;

/// Lists videos, page by page up to the limit.
pub(crate) async fn list(edge: &Api, raw: bool, asked: &List) -> anyhow::Result<()> {
    let (words, tags) = (asked.words.join(" "), asked.tag.join(","));
    let (mut after, mut left) = (asked.after.clone(), if asked.limit == 0 { u64::MAX } else { asked.limit });
    let (mut all, mut next) = (vec![], Value::Null);
    while left > 0 {
        let limit = left.min(PAGE).to_string();
        let mut query = vec![
            ("q", words.as_str()),
            ("tag", &tags),
            ("visibility", asked.visibility.as_str()),
            ("state", asked.state.as_deref().unwrap_or_default()),
            ("sort", if asked.oldest { "oldest" } else { "newest" }),
            ("limit", &limit),
        ];
        query.extend(after.as_deref().map(|after| ("after", after)));
        let query: Vec<String> =
            query.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| format!("{k}={}", escaped(v))).collect();
        let page = edge.get(&format!("/v1/videos?{}", query.join("&"))).await?;
        let videos = page["videos"].as_array().cloned().unwrap_or_default();
        left = left.saturating_sub(videos.len() as u64);
        next = page["next"].clone();
        if !raw {
            videos.iter().for_each(|video| say(&line(video)));
        }
        all.extend(videos.into_iter().filter(|_| raw));
        match next.as_str() {
            Some(id) => after = Some(id.to_owned()),
            None => break,
        }
    }
    if raw {
        say(&format!("{:#}", json!({ "videos": all, "next": next })));
    }
    Ok(())
}

/// A value of a query, with all but plain characters escaped.
fn escaped(value: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    value.bytes().map(one).collect()
}

/// A video on one line.
pub(crate) fn line(v: &Value) -> String {
    let progress = v["progress"].as_f64().unwrap_or(0.0) * 100.0;
    let why = v["error"].as_str().map_or_else(String::new, |e| format!("  {e}"));
    let tags = v["tags"].as_array().into_iter().flatten().map(|tag| format!(" #{}", text(tag)));
    format!(
        "{} {:<10} {progress:>3.0} %  {:<8} {}{}{why}",
        text(&v["id"]),
        text(&v["state"]),
        text(&v["visibility"]),
        text(&v["title"]),
        tags.collect::<String>()
    )
}

pub(crate) async fn edit(edge: &Api, raw: bool, edit: Edit) -> anyhow::Result<()> {
    let mut change = json!({});
    let tags = (edit.no_tags || !edit.tag.is_empty()).then(|| json!(edit.tag));
    for (key, value) in [
        ("title", edit.title.map(Value::from)),
        ("description", edit.description.map(Value::from)),
        ("visibility", edit.visibility.map(Value::from)),
        ("protection", edit.protection.map(Value::from)),
        ("tags", tags),
    ] {
        value.into_iter().for_each(|value| change[key] = value);
    }
    if change == json!({}) {
        bail!("nothing is to be changed: name a title, a description, tags, a visibility or a protection");
    }
    let mut request = edge.request(Method::PATCH, &format!("/v1/videos/{}", edit.id)).json(&change);
    if let Some(version) = edit.if_version {
        request = request.header(IF_MATCH, format!("\"{version}\""));
    }
    show(raw, &edge.send(request).await?, line);
    Ok(())
}

pub(crate) async fn delete(edge: &Api, raw: bool, id: &str, now: bool) -> anyhow::Result<()> {
    let how = if now { "?now=true" } else { "" };
    edge.send(edge.request(Method::DELETE, &format!("/v1/videos/{id}{how}"))).await?;
    show(raw, &json!({ "deleted": id, "for_good": now }), |_| format!("deleted {id}"));
    Ok(())
}

/// Has videos made anew; prints the editions' ids, or with `wait` the videos once they show them.
pub(crate) async fn remake(edge: &Api, raw: bool, wanted: Remake) -> anyhow::Result<()> {
    let Remake { id: mut ids, all, force, wait } = wanted;
    if all {
        ids = ready(edge).await?;
    }
    for id in ids {
        let path = format!("/v1/videos/{id}/editions?force={force}");
        let edition = match edge.send(edge.request(Method::POST, &path)).await {
            Ok(edition) => edition,
            // One that is being made anew already is no reason to leave out the others.
            Err(error) if all => {
                say(&format!("{id} {error:#}"));
                continue;
            }
            Err(error) => return Err(error),
        };
        if wait {
            watch::watch(edge, &text(&edition["id"])).await?;
            show(raw, &edge.get(&format!("/v1/videos/{id}")).await?, line);
        } else {
            show(raw, &edition, |edition| text(&edition["id"]));
        }
    }
    Ok(())
}

/// Every video that is ready, whoever comes by it.
async fn ready(edge: &Api) -> anyhow::Result<Vec<String>> {
    let (mut ids, mut after) = (vec![], String::new());
    loop {
        let asked = format!("/v1/videos?state=ready&visibility=all&limit={PAGE}{after}");
        let page = edge.get(&asked).await?;
        ids.extend(page["videos"].as_array().into_iter().flatten().map(|video| text(&video["id"])));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(ids),
        }
    }
}

pub(crate) async fn restore(edge: &Api, raw: bool, id: &str) -> anyhow::Result<()> {
    show(raw, &edge.send(edge.request(Method::POST, &format!("/v1/videos/{id}/restore"))).await?, line);
    Ok(())
}

pub(crate) async fn playback(edge: &Api, raw: bool, id: &str) -> anyhow::Result<()> {
    let answer = edge.send(edge.request(Method::POST, &format!("/v1/videos/{id}/playback"))).await?;
    let address = format!("{}{}", edge.base(), text(&answer["url"]));
    show(raw, &answer, |_| address);
    Ok(())
}

pub(crate) async fn storage(edge: &Api, raw: bool) -> anyhow::Result<()> {
    let answer = edge.get("/v1/storage").await?;
    show(raw, &answer, |a| {
        let mut lines: Vec<String> = ["sources", "renditions", "posters", "other", "bytes"]
            .iter()
            .map(|key| format!("{key:<12}{:>16}", text(&a[*key])))
            .collect();
        let rungs = a["rungs"].as_array().cloned().unwrap_or_default();
        lines.extend(rungs.iter().map(|r| format!("  {:<10}{:>16}", text(&r["rung"]), text(&r["bytes"]))));
        lines.join("\n")
    });
    Ok(())
}
