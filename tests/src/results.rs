//! What a story leaves beside the results of benches, in their form: where and from what it was made, and a table.

use std::path::Path;
use std::process::Command;

/// The top folder.
const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Puts a row into a result's table, whose first column names it; in place of the one that it had. A result of another machine, commit or command
/// begins anew. Folders are from the top folder on. Stories that write one result run one after another.
///
/// # Panics
/// When it cannot be written.
pub fn put(file: &str, (title, command): (&str, &str), columns: &[&str], row: &[String]) {
    let file = Path::new(TOP).join(file);
    let head = format!("{}\n{}|{}\n", head(title, command), line(columns), "---|".repeat(columns.len()));
    let before = std::fs::read_to_string(&file).unwrap_or_default();
    let name = format!("| {} |", row[0]);
    let kept = before.strip_prefix(&head).unwrap_or_default().lines().filter(|line| !line.starts_with(&name));
    let kept: String = kept.map(|line| format!("{line}\n")).collect();
    std::fs::write(&file, head + &kept + &line(row)).unwrap();
}

fn line(cells: &[impl AsRef<str>]) -> String {
    let cells = cells.iter().map(|cell| format!(" {} |", cell.as_ref()));
    format!("|{}\n", cells.collect::<String>())
}

/// Never the machine's name, nor a path on it.
fn head(title: &str, command: &str) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (cpu, memory, kernel) =
        (read("/proc/cpuinfo"), read("/proc/meminfo"), read("/proc/sys/kernel/osrelease"));
    let of = |text: &str, name: &str| {
        let told = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
        told.map_or_else(|| "unknown".to_owned(), |(_, told)| told.trim().to_owned())
    };
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let kib: u64 = of(&memory, "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0);
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!(
        "# {title}\n\n- Machine: {}, {cores} cores, {} GiB of memory, Linux {}\n- Commit: {}\n- Build: {build}\n- Command: `{command}`\n",
        of(&cpu, "model name"),
        kib >> 20,
        kernel.trim(),
        commit()
    )
}

/// The commit of the working folder, and whether files differ from it (results do not count).
fn commit() -> String {
    let git = |words: &[&str]| {
        let told =
            Command::new("git").current_dir(TOP).args(words).output().ok().filter(|o| o.status.success())?;
        Some(String::from_utf8_lossy(&told.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".into() };
    match git(&["status", "--porcelain", "--", ".", ":(exclude)bench/results"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit} with uncommitted changes"),
    }
}
