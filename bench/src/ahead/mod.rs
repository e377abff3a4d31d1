//! What is fetched ahead of demand, by replay: how many first viewers need not wait, how much of the peak goes, what is fetched in
//! vain; beside nothing fetched ahead, and beside who knows what is coming.
//!
//! - [`world`]: the requests; [`mod@play`]: caches, forecasts and plans, by the code that the control plane and edges run

mod play;
mod world;

use crate::args::Options;
use crate::replay::Trace;
use crate::report::{Report, progress};
use play::{Scheme, Seen, play};
use sluice_wire::plan::FillWindow;
use world::World;

/// Requests of what is made here.
const REQUESTS: usize = 600_000;
/// The window: 02:00 to 06:00 UTC.
const WINDOW: (u32, u32) = (120, 360);
/// What may be fetched in it, as a share of a site's cache.
const BUDGET: f64 = 0.25;

/// Replays and reports.
pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    let mut report = Report::new("ahead", "Ahead of demand: first viewers that need not wait");
    report.fact(format!(
        "Window: 02:00 to 06:00 UTC, {:.0} % of a site's cache, spread over half of it; {} days count",
        BUDGET * 100.0,
        play::counted()
    ));
    let mut worlds = vec![World::made(REQUESTS, options.seed)];
    if let Some(file) = &options.trace {
        worlds.push(World::of(&Trace::read(file)?));
    }
    for world in &worlds {
        let name = world.name.split(':').next().unwrap_or_default();
        for anew in [false, true] {
            let how = if anew { "each day one site begins anew" } else { "sites go on" };
            report.heading(&format!("{name}: {how}"));
            report.paragraph(format!("{}; {:.1} GB in all.", world.name, world.unique_bytes as f64 / 1e9));
            report.table(&rows(options, world, anew));
        }
    }
    report.paragraph(
        "A miss is a viewer who waits for the tier above. Peak: the hour in which the sites fetch most, what is fetched ahead \
         included. In vain: bytes fetched ahead that left the cache, or lay there at the end, before anybody asked. The oracle \
         plans by the same rules with what will be asked for in a day, and sees the caches; it does not know what \
         they will let go of.",
    );
    Ok(report)
}

fn rows(options: &Options, world: &World, anew: bool) -> Vec<Vec<String>> {
    let head =
        ["cache", "fetched ahead", "misses", "removed", "peak GB/h", "removed", "bytes in all", "in vain"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for share in &options.cache {
        let cache = (world.unique_bytes as f64 * share / 100.0) as u64;
        let window = window(cache);
        let of = |scheme| {
            progress(format!(
                "{}, cache {share} %, {scheme:?}",
                world.name.split(':').next().unwrap_or_default()
            ));
            play(world, cache, &window, scheme, anew)
        };
        let none = of(Scheme::None);
        rows.push(row(*share, "nothing", &none, &none));
        for (name, scheme) in [
            ("by forecast, chance 0.5", Scheme::Forecast(0.5)),
            ("by forecast, chance 0.8", Scheme::Forecast(0.8)),
            ("oracle", Scheme::Oracle),
        ] {
            rows.push(row(*share, name, &of(scheme), &none));
        }
    }
    rows
}

/// A window in which the budget is spent in half of the time.
fn window(cache: u64) -> FillWindow {
    let bytes = ((cache as f64 * BUDGET) as u64).max(1);
    let seconds = f64::from(WINDOW.1 - WINDOW.0) * 60.0 / 2.0;
    FillWindow {
        from: WINDOW.0,
        until: WINDOW.1,
        bytes,
        mbps: bytes as f64 * 8.0 / 1e6 / seconds,
        chance: 0.5,
    }
}

fn row(share: f64, name: &str, seen: &Seen, none: &Seen) -> Vec<String> {
    let part = |of: u64, all: u64| of as f64 / all.max(1) as f64;
    let removed = |is: u64, was: u64| format!("{:.1} %", 100.0 * (1.0 - part(is, was)));
    vec![
        format!("{share} %"),
        name.to_owned(),
        format!("{:.3}", part(seen.misses, seen.requests)),
        removed(seen.misses, none.misses),
        format!("{:.3}", seen.peak() as f64 / 1e9),
        removed(seen.peak(), none.peak()),
        format!("{:+.1} %", 100.0 * (part(seen.missed_bytes + seen.fetched, none.missed_bytes) - 1.0)),
        format!("{:.1} %", 100.0 * part(seen.fetched - seen.used, seen.fetched)),
    ]
}
