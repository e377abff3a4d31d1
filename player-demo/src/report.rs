//! What the demo says on the terminal.

use crate::stack::Stack;
use std::io::{IsTerminal, Write};
use std::process::ExitStatus;

const WIDTH: usize = 40;

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // A closed terminal is no reason to end the stack.
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// A line for an error, with its causes.
pub(crate) fn failure(error: &anyhow::Error) {
    say(&format!("\nsluice: {error:#}\n"));
}

/// A progress bar that redraws itself; on no terminal, nothing but its end.
pub(crate) fn bar(what: &str, share: f64) {
    if std::io::stdout().is_terminal() || share >= 1.0 {
        let share = share.clamp(0.0, 1.0);
        let full = (share * WIDTH as f64) as usize;
        let start = if std::io::stdout().is_terminal() { "\r" } else { "" };
        let end = if std::io::stdout().is_terminal() { "" } else { "\n" };
        let (done, left) = ("#".repeat(full), "-".repeat(WIDTH - full));
        say(&format!("{start}  {what:<12} [{done}{left}] {:>3.0} %{end}", share * 100.0));
    }
}

/// Ends a bar's line.
pub(crate) fn bar_end() {
    if std::io::stdout().is_terminal() {
        say("\n");
    }
}

/// One line per process.
pub(crate) fn addresses(stack: &Stack) {
    let mut text = String::from("\nSluice is up on this machine:\n\n");
    for member in stack.members() {
        let http = member.at.http.as_ref().map_or_else(String::new, |at| format!("http://{at}"));
        let https =
            member.at.https.as_ref().map_or_else(String::new, |at| format!("https://{at} (h1, h2, h3)"));
        let admin = member.at.admin.as_ref().map_or_else(String::new, |at| format!("http://{at}/metrics"));
        text += &format!("  {:<11} {http:<24} metrics {admin:<33} {https}\n", member.name);
    }
    text.push('\n');
    say(&text);
}

/// What to open and what to try.
pub(crate) fn try_these(stack: &Stack, video: Option<&str>) {
    let (near, control) = (stack.near(), stack.url("control"));
    let mut text = format!(
        "\nOpen\n  {near}/              upload, library, player\n  {}\n                                      \
         the fleet, as its administrator; {} has the tokens of all roles\n",
        stack.operations(),
        crate::operators::FILE
    );
    if let Some(id) = video {
        text += &format!(
            "  {near}/watch/{id}\n\nTry\n  \
             curl -sI {near}/v/{id}/master.m3u8      # twice: Cache-Status says miss, then hit\n  \
             curl -sIL {control}/r/{id}              # the control plane names the best edge\n  \
             ffplay {near}/v/{id}/master.m3u8        # or mpv, vlc, ffprobe\n  \
             curl {near}/v1/videos/{id}\n"
        );
    } else {
        text += "\nTry\n";
    }
    text += &format!(
        "  curl -T film.mkv {near}/v1/videos/film.mkv\n  \
         curl -F file=@film.mkv {near}/v1/videos\n\nCtrl-C ends it; what was uploaded stays.\n"
    );
    say(&text);
}

/// A member ended and is started anew.
pub(crate) fn restarting(name: &str, status: ExitStatus) {
    say(&format!("{name} ended ({status}); the others go on; it is started anew\n"));
}

/// The stack is being ended.
pub(crate) fn stopping() {
    say("\ndraining\n");
}

/// A member is gone.
pub(crate) fn stopped(name: &str, clean: bool) {
    say(&format!("  {name:<11} {}\n", if clean { "ended" } else { "did not drain in time and was killed" }));
}
