//! Uploads by tus, which go on where they were after a cut, a kill or a restart of the machine.
//!
//! - `state`: what is remembered of an upload under way; `tus`: the protocol; `direct`: parts to the store, without it;
//!   `progress`: how far it is
//!
//! A film whose index is at its end is sent as two partial uploads that are joined before they begin, the end first: it can
//! be worked on from then on, while the rest still comes.

mod direct;
mod progress;
mod state;
mod tus;

use crate::api::{Api, show, text};
use crate::args::Upload;
use crate::watch;
use anyhow::{Context, bail};
use progress::Progress;
use sluice_wire::boxes::trailing_index;
use state::{Identity, Piece, Plan};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use tus::Tus;

/// What is said of an upload when it is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Film<'a> {
    pub(crate) name: &'a str,
    pub(crate) title: Option<&'a str>,
    /// The video that it replaces.
    pub(crate) replaces: Option<&'a str>,
}

impl Film<'_> {
    /// Where it is made: the resource, and what it replaces.
    pub(crate) fn at(&self, resource: &str) -> String {
        self.replaces.map_or_else(|| resource.to_owned(), |id| format!("{resource}?replaces={id}"))
    }
}

/// Uploads a file, or goes on with it.
pub(crate) async fn run(edge: &Api, raw: bool, wanted: &Upload) -> anyhow::Result<()> {
    let path = &wanted.file;
    let name = path.file_name().and_then(|n| n.to_str()).context("the file's name is no text")?;
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let film = Film { name, title: wanted.title.as_deref(), replaces: wanted.replaces.as_deref() };
    let identity = Identity::of(&film.at(edge.base()), path, &file)?;
    if identity.length == 0 {
        bail!("{} is empty", path.display());
    }
    if wanted.direct {
        let id = directly(edge, &file, &identity, film).await?;
        return tell(edge, raw, wanted, &id).await;
    }
    let tus = Tus::new(edge);
    let mut plan = match state::load(&identity) {
        Some(plan) if tus.knows(&plan).await? => plan,
        _ => {
            let plan = begin(&tus, &file, &identity, film, wanted.in_order).await?;
            state::save(&identity, &plan)?;
            plan
        }
    };
    let mut progress = Progress::new(identity.length);
    send(&tus, path, &mut plan, &mut progress).await?;
    progress.end();
    let id = plan.video().context("the server gave the upload no name")?.to_owned();
    state::forget(&identity);
    tell(edge, raw, wanted, &id).await
}

/// Says what became of an upload.
async fn tell(edge: &Api, raw: bool, wanted: &Upload, id: &str) -> anyhow::Result<()> {
    let answer = if wanted.wait {
        watch::watch(edge, id).await?
    } else {
        edge.get(&format!("/v1/videos/{id}")).await?
    };
    show(raw, &answer, |video| text(&video["id"]));
    Ok(())
}

/// Uploads a file by parts that go to the store, or goes on with it; the video's id.
async fn directly(edge: &Api, file: &File, identity: &Identity, film: Film<'_>) -> anyhow::Result<String> {
    // It is remembered beside what goes by tus, under a name of its own.
    let known = state::load(identity).filter(|plan| plan.whole.contains("/v1/direct/"));
    let plan = match known {
        Some(plan) if direct::knows(edge, &plan.whole).await? => plan,
        _ => {
            let url = direct::create(edge, identity.length, film).await?;
            let plan =
                Plan { pieces: vec![Piece { url: url.clone(), from: 0, to: identity.length }], whole: url };
            state::save(identity, &plan)?;
            plan
        }
    };
    let mut progress = Progress::new(identity.length);
    direct::send(edge, file, identity, &plan.whole, &mut progress).await?;
    progress.end();
    state::forget(identity);
    plan.video().map(str::to_owned).context("the server gave the upload no name")
}

/// Makes the uploads: one, or two and what joins them.
async fn begin(
    tus: &Tus<'_>,
    file: &File,
    identity: &Identity,
    film: Film<'_>,
    in_order: bool,
) -> anyhow::Result<Plan> {
    let length = identity.length;
    let joins = !in_order && tus.extensions().await?.iter().any(|one| one == "concatenation-unfinished");
    let index = if joins { index_of(file, length).context("looking for the index")? } else { None };
    let Some(at) = index else {
        let url = tus.create(length, film).await?;
        return Ok(Plan { pieces: vec![Piece { url: url.clone(), from: 0, to: length }], whole: url });
    };
    let head = Piece { url: tus.create_part(at).await?, from: 0, to: at };
    let tail = Piece { url: tus.create_part(length - at).await?, from: at, to: length };
    let whole = tus.join(&[&head.url, &tail.url], film).await?;
    Ok(Plan { pieces: vec![tail, head], whole })
}

/// Where the index of a film begins that has it at its end.
fn index_of(file: &File, length: u64) -> std::io::Result<Option<u64>> {
    let found = trailing_index(length, |at, most| {
        let mut bytes = vec![0; most];
        let read = file.read_at(&mut bytes, at)?;
        bytes.truncate(read);
        Ok::<_, std::io::Error>(bytes)
    })?;
    Ok(found.filter(|at| *at > 0))
}

/// Sends what is missing of each piece, in the order of the plan.
async fn send(tus: &Tus<'_>, path: &Path, plan: &mut Plan, progress: &mut Progress) -> anyhow::Result<()> {
    for piece in &plan.pieces {
        let here = tus.send(path, piece, progress).await?;
        if here != piece.to - piece.from {
            bail!("the server has {here} bytes of {}", piece.to - piece.from);
        }
    }
    Ok(())
}
