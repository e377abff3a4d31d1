//! Where and from what a result was made. Never the machine's name, nor a path on it.

use std::process::Command;

/// Lines for the head of a report.
pub(crate) fn lines() -> Vec<String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    // The machine's, not those that this thread is bound to.
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let model = model(&cpu).unwrap_or("unknown processor");
    let gigabytes = memory_kib(&memory).map_or(0, |kib| kib >> 20);
    vec![
        format!("Machine: {model}, {cores} cores, {gigabytes} GiB of memory, Linux {}", kernel.trim()),
        format!("Commit: {}", commit()),
        format!("Build: {}", if cfg!(debug_assertions) { "debug (numbers mean nothing)" } else { "release" }),
    ]
}

/// The first line a program prints about its version.
pub(crate) fn version(program: &str, flag: &str) -> String {
    let Ok(output) = Command::new(program).arg(flag).output() else { return format!("{program}: not found") };
    // nginx and varnishd write it to standard error.
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().next().unwrap_or_default();
    line.split(" Copyright").next().unwrap_or_default().trim().to_owned()
}

fn model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

fn memory_kib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The commit of the working folder, and whether files differ from it (results do not count).
fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok().filter(|o| o.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".into() };
    match git(&["status", "--porcelain", "--", ".", ":(exclude)bench/results"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit} with uncommitted changes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_and_memory_are_read() {
        let cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC: of some kind\nmodel name\t: other\n";
        assert_eq!(model(cpuinfo), Some("AMD EPYC: of some kind"));
        assert_eq!(model("processor: 0"), None);
        assert_eq!(memory_kib("MemFree: 1 kB\nMemTotal:       16384 kB\n"), Some(16_384));
    }

    #[test]
    fn a_missing_program_is_said_to_be_missing() {
        assert_eq!(version("no-such-program", "-v"), "no-such-program: not found");
    }
}
