//! Commands of a server beside serving: `PROGRAM COMMAND [OPTIONS] [KEYS]`, with the configuration that the server has.

use crate::config::{self, ConfigError, ProcessConfig};
use clap::{Arg, ArgAction};
use std::collections::BTreeMap;
use std::ffi::OsString;

/// A command.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// What it can be told beside the configuration's keys.
    pub options: &'static [CommandOption],
}

/// What a command can be told: `--NAME VALUE`, or `--NAME`.
#[derive(Debug, Clone, Copy)]
pub struct CommandOption {
    /// Its name.
    pub name: &'static str,
    /// What its value is called; none for a switch.
    pub value: Option<&'static str>,
    /// What it is for.
    pub help: &'static str,
}

/// What a command was told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told(BTreeMap<&'static str, String>);

impl Told {
    /// An option's value.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// An option's value, which must be there.
    ///
    /// # Errors
    /// What is missing.
    pub fn needs(&self, name: &str) -> Result<&str, String> {
        self.value(name).ok_or_else(|| format!("--{name} is needed"))
    }

    /// True for a switch that was set.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

impl Command {
    /// Reads a command line that begins with the program and this command.
    pub(crate) fn load<C: ProcessConfig>(
        &self,
        program: &'static str,
        args: &[OsString],
        environment: &[(String, String)],
    ) -> Result<(C, Told), ConfigError> {
        // The program and its command are one name to the parser.
        let args = args.iter().take(1).chain(args.iter().skip(2)).cloned();
        let with = |mut line: clap::Command| {
            line = line.bin_name(format!("{program} {}", self.name)).about(self.about);
            for option in self.options {
                let arg = Arg::new(option.name).long(option.name).help(option.help);
                line = line.arg(match option.value {
                    Some(value) => arg.value_name(value),
                    None => arg.action(ArgAction::SetTrue),
                });
            }
            line
        };
        let (loaded, matches) = config::load_with(program, args, environment.iter().cloned(), with)?;
        let mut told = Told::default();
        for option in self.options {
            let value = match option.value {
                Some(_) => matches.get_one::<String>(option.name).cloned(),
                None => matches.get_flag(option.name).then(String::new),
            };
            told.0.extend(value.map(|value| (option.name, value)));
        }
        Ok((loaded.config, told))
    }
}

/// The commands, as a program's help lists them.
pub(crate) fn listed(commands: &[Command]) -> String {
    if commands.is_empty() {
        return String::new();
    }
    let lines = commands.iter().map(|command| format!("\n  {:<10} {}", command.name, command.about));
    format!("Commands beside serving, each with --help and all of these keys:{}", lines.collect::<String>())
}
