//! Completions and the man page, made out of what the command line takes.

use crate::args::Options;
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::Write;

/// Prints completions for a shell.
pub(crate) fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut text = vec![];
    clap_complete::generate(shell, &mut Options::command(), "sluice", &mut text);
    Ok(std::io::stdout().write_all(&text)?)
}

/// Prints the man page: the commands in one, each with its options.
pub(crate) fn man() -> anyhow::Result<()> {
    let mut whole = Options::command();
    whole.build();
    let mut text = vec![];
    clap_mangen::Man::new(whole.clone()).render(&mut text)?;
    for command in whole.get_subcommands().filter(|command| command.get_name() != "help") {
        let name = command.get_name();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let page = clap_mangen::Man::new(command.clone());
        writeln!(text, ".SH \"SLUICE {}\"\n{about}", name.to_uppercase())?;
        page.render_synopsis_section(&mut text)?;
        page.render_options_section(&mut text)?;
    }
    Ok(std::io::stdout().write_all(&text)?)
}
