//! Orders: how many a second one origin takes over HTTP, on SQLite and on PostgreSQL, each durable before it is answered, each
//! under a key of its own.
//!
//! The comparison is with the same shop doing one order a transaction, as shops do; in the same run. Afterwards the stock is
//! counted: what is held and sold is what clients were told, to the unit.

mod load;
mod table;

use std::path::Path;

use anyhow::ensure;
use load::{Done, Kind};
use sluice_storage::testing::Postgres;

use crate::args::{Bench, Options};
use crate::fleet::Wanted;
use crate::report::{Report, progress};
use crate::shop::Shop;

/// Orders of a transaction at most: as the shop is configured unless told otherwise, and as others do it.
const TOGETHER: [usize; 2] = [64, 1];
/// Variants on sale: one, which all want, and many.
const VARIANTS: [usize; 2] = [1, 64];
/// Units of each variant: more than any run sells.
const UNITS: i64 = 100_000_000;

/// One cell.
#[derive(Debug)]
struct Took {
    engine: &'static str,
    kind: Kind,
    together: usize,
    variants: usize,
    done: Done,
}

/// Runs it.
pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    crate::run_alone(bench(options))
}

async fn bench(options: &Options) -> anyhow::Result<Report> {
    let (server, mut all, mut command) = (Postgres::start().await, vec![], String::new());
    for kind in [Kind::Place, Kind::Buy] {
        for engine in ["SQLite", "PostgreSQL"] {
            for variants in VARIANTS {
                for together in TOGETHER {
                    let folder = tempfile::tempdir()?;
                    let database = match engine {
                        "SQLite" => format!("sqlite:{}", folder.path().join("sluice.db").display()),
                        _ => server.fresh_database().await,
                    };
                    let cell = Cell { engine, kind, together, variants };
                    let (done, words) = cell.measure(options, folder.path(), &database).await?;
                    command = words;
                    all.push(Took { engine, kind, together, variants, done });
                }
            }
        }
    }
    Ok(table::report(Bench::Orders.name(), options, &all, &command))
}

struct Cell {
    engine: &'static str,
    kind: Kind,
    together: usize,
    variants: usize,
}

impl Cell {
    async fn measure(
        &self,
        options: &Options,
        folder: &Path,
        database: &str,
    ) -> anyhow::Result<(Done, String)> {
        let Self { engine, kind, together, variants } = self;
        progress(format!("orders: {engine}, {kind:?}, {variants} variants, {together} together"));
        let most = together.to_string();
        let origin = ["--apps.commerce.together", &most];
        let wanted = Wanted { origin: &origin, database: Some(database), ..Wanted::default() };
        let shop = Shop::start(folder, &wanted, &vec![UNITS; *variants]).await?;
        let times = (options.warm_up(), options.window());
        let done = load::load(&shop, *kind, options.buyers, times).await?;
        let (reserved, sold, unbalanced) = shop.audit().await?;
        let told = i64::try_from(done.all)?;
        let (held, gone) = if *kind == Kind::Place { (told, 0) } else { (0, told) };
        ensure!((reserved, sold) == (held, gone), "{told} orders, {reserved} held and {sold} sold");
        ensure!(unbalanced == 0, "{unbalanced} orders whose books are not zero");
        let command = shop.fleet.origin.command.clone();
        shop.stop().await;
        Ok((done, command))
    }
}
