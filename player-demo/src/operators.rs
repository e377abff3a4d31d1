//! The demo's operators: one of each role, whose tokens are made at the first start and kept.

use anyhow::Context;
use sha2::{Digest, Sha256};
use sluice_control_plane::Role;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use toml::{Table, Value};

/// The file of tokens, by role.
pub(crate) const FILE: &str = "operators.json";
/// Random bytes of a token: nobody guesses 256 bits.
const TOKEN: usize = 32;

/// Tokens by role; an operator is called as its role is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Operators(BTreeMap<String, String>);

impl Operators {
    /// Reads them, or makes them.
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Self> {
        let file = dir.join(FILE);
        if let Ok(text) = std::fs::read(&file) {
            let kept = serde_json::from_slice(&text);
            return Ok(Self(kept.with_context(|| format!("reading {}", file.display()))?));
        }
        let make = |role: Role| Ok((role.as_str().to_owned(), token()?));
        let made: BTreeMap<_, _> = [Role::Viewer, Role::Operator, Role::Admin]
            .into_iter()
            .map(make)
            .collect::<anyhow::Result<_>>()?;
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
        out.write_all(&serde_json::to_vec_pretty(&made)?).context("writing the operators' tokens")?;
        Ok(Self(made))
    }

    /// As the control plane's configuration has them.
    pub(crate) fn configured(&self) -> Value {
        let operator = |(role, token): (&String, &String)| {
            let mut table = Table::new();
            table.insert("name".into(), role.clone().into());
            table.insert("role".into(), role.clone().into());
            table.insert("token_sha256".into(), hex::encode(Sha256::digest(token)).into());
            Value::Table(table)
        };
        Value::Array(self.0.iter().map(operator).collect())
    }

    /// The administrator's token.
    pub(crate) fn admin(&self) -> &str {
        self.0.get(Role::Admin.as_str()).map_or("", String::as_str)
    }
}

fn token() -> anyhow::Result<String> {
    let mut bytes = [0; TOKEN];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes).context("reading random bytes")?;
    Ok(hex::encode(bytes))
}
