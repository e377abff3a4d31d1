//! What an operator does with an origin's database while nobody serves, or beside those who do.

use crate::config::Config;
use sluice_service::{Command, CommandOption, ProcessError, Told};
use sluice_storage::{BackupSummary, Schema, Storage, back_up, check_backup, restore};
use std::path::{Path, PathBuf};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The commands.
pub(crate) const ALL: &[Command] = &[
    Command {
        name: "backup",
        about: "writes all rows into a file, while others go on",
        options: &[option("to", "PATH", "the file, or a folder for one that is named by the time")],
    },
    Command {
        name: "restore",
        about: "puts a backup into a database, on either engine",
        options: &[
            option("from", "FILE", "the backup"),
            switch("replace", "drops what the database holds"),
            switch("check", "only reads the backup to its end, and says whether it is whole"),
        ],
    },
    Command {
        name: "replay",
        about: "tells edges, or one reader of the log, again what the log holds",
        options: &[
            option("after", "SEQ", "what comes after this number"),
            option("since", "TIME", "what was committed from this time on, as 2026-11-29T05:00:00Z"),
            option("reader", "NAME", "that reader alone goes back to there, such as a webhook's"),
        ],
    },
];

const fn option(name: &'static str, value: &'static str, help: &'static str) -> CommandOption {
    CommandOption { name, value: Some(value), help }
}

const fn switch(name: &'static str, help: &'static str) -> CommandOption {
    CommandOption { name, value: None, help }
}

/// The schemas that there may be in a database beside the shared one.
const SCHEMAS: [Schema; 4] =
    [sluice_platform::SCHEMA, sluice_commerce::SCHEMA, sluice_chat::SCHEMA, sluice_feed::SCHEMA];

/// Does a command; what is printed.
pub(crate) async fn run(name: &str, told: &Told, config: &Config) -> Result<String, ProcessError> {
    match name {
        "backup" => backup(told, config).await,
        "restore" => put_back(told, config).await,
        "replay" => replay(told, config).await,
        _ => Err(format!("{name} is no command").into()),
    }
}

async fn backup(told: &Told, config: &Config) -> Result<String, ProcessError> {
    let (to, now) = (Path::new(told.needs("to")?), OffsetDateTime::now_utc());
    let made_ms = u64::try_from(now.unix_timestamp_nanos() / 1_000_000)?;
    let file = if to.is_dir() { to.join(format!("sluice-{made_ms}.backup")) } else { to.to_owned() };
    let summary = back_up(&config.storage.database, &file, made_ms).await?;
    said("backed up", &summary, &file)
}

async fn put_back(told: &Told, config: &Config) -> Result<String, ProcessError> {
    let file = PathBuf::from(told.needs("from")?);
    if told.is_set("check") {
        return said("whole:", &check_backup(&file)?, &file);
    }
    let replace = told.is_set("replace");
    said("restored", &restore(&config.storage.database, &file, &SCHEMAS, replace).await?, &file)
}

fn said(what: &str, summary: &BackupSummary, file: &Path) -> Result<String, ProcessError> {
    let BackupSummary { tables, rows, log_head, made_ms } = summary;
    let made =
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(*made_ms) * 1_000_000)?.format(&Rfc3339)?;
    let file = file.display();
    Ok(format!("{what} {rows} rows of {tables} tables, the log at {log_head}, made {made}: {file}\n"))
}

async fn replay(told: &Told, config: &Config) -> Result<String, ProcessError> {
    let storage = Storage::open(&config.storage).await?;
    let log = storage.log();
    let after = match (told.value("after"), told.value("since")) {
        (Some(seq), None) => seq.parse().map_err(|_| format!("--after {seq} is no number"))?,
        (None, Some(time)) => {
            let time =
                OffsetDateTime::parse(time, &Rfc3339).map_err(|error| format!("--since {time}: {error}"))?;
            log.before(u64::try_from(time.unix_timestamp_nanos() / 1_000_000)?).await?
        }
        _ => return Err("one of --after and --since is needed".into()),
    };
    let text = match told.value("reader") {
        Some(reader) => {
            storage.cursors().rewind(reader, after).await?;
            format!("{reader} reads again what follows {after}\n")
        }
        None => {
            let replayed = log.replay(after).await?;
            let as_what =
                replayed.seqs.map_or_else(String::new, |(first, last)| format!(" as {first} to {last}"));
            format!("told again {} events after {after}{as_what}\n", replayed.events)
        }
    };
    storage.database.close().await?;
    Ok(text)
}
