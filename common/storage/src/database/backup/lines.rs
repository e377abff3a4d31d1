//! The file's lines: each is a sum, a space and a JSON document. The sum is over the one before it and the document, so that a line
//! that is changed, missing, doubled or from elsewhere is noticed at once.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{BackupError, FORMAT, Table};

/// The longest line: a hundred times what is written, as one row may be large.
const MAX_LINE: u64 = 64 << 20;

/// Hexadecimal digits of a sum in a line.
const DIGITS: usize = 16;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// The first.
    Backup(Head),
    /// The rows that follow are of this table.
    Table(Table),
    /// Some rows.
    Rows(Vec<Vec<Value>>),
    /// The last: how many rows there were.
    End { rows: u64 },
}

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) format: u32,
    pub(super) made_ms: u64,
    pub(super) engine: String,
    pub(super) log_head: u64,
    /// Migrations that had been applied, by the table that says so.
    pub(super) migrations: BTreeMap<String, Vec<String>>,
}

/// The sum of all so far.
#[derive(Debug, Default)]
struct Sum([u8; 32]);

impl Sum {
    /// Goes on with a document; the digits of its line.
    fn add(&mut self, text: &[u8]) -> String {
        self.0 = Sha256::new().chain_update(self.0).chain_update(text).finalize().into();
        self.0.iter().take(DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Writes lines.
#[derive(Debug)]
pub(super) struct Writer<W> {
    out: W,
    sum: Sum,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, sum: Sum::default() }
    }

    pub(super) fn put(&mut self, line: &Line) -> io::Result<()> {
        let text = serde_json::to_vec(line)?;
        write!(self.out, "{} ", self.sum.add(&text))?;
        self.out.write_all(&text)?;
        self.out.write_all(b"\n")
    }

    pub(super) fn into_inner(self) -> W {
        self.out
    }
}

/// Reads lines, and takes none whose sum is wrong.
#[derive(Debug)]
pub(super) struct Reader<R> {
    from: R,
    sum: Sum,
    /// The number of the line that was read last.
    line: u64,
}

impl<R: BufRead> Reader<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, sum: Sum::default(), line: 0 }
    }

    /// The first line.
    ///
    /// # Errors
    /// As [`next`](Self::next); [`BackupError::Foreign`] for a later format.
    pub(super) fn head(&mut self) -> Result<Head, BackupError> {
        match self.next()? {
            Line::Backup(head) if head.format <= FORMAT => Ok(head),
            Line::Backup(head) => {
                Err(BackupError::Foreign(format!("format {} is not known here", head.format)))
            }
            Line::Table(_) | Line::Rows(_) | Line::End { .. } => Err(self.damaged("is not the first")),
        }
    }

    /// The next line, of which there is one until the end was read.
    ///
    /// # Errors
    /// [`BackupError::Damaged`]: which line, and how.
    pub(super) fn next(&mut self) -> Result<Line, BackupError> {
        self.line += 1;
        let mut text = vec![];
        let read = self.from.by_ref().take(MAX_LINE).read_until(b'\n', &mut text);
        read.map_err(|error| self.damaged(&error.to_string()))?;
        let Some((b'\n', line)) = text.split_last() else { return Err(self.damaged("is torn off")) };
        let Some((digits, document)) = line.split_at_checked(DIGITS) else {
            return Err(self.damaged("is torn"));
        };
        let document = document.strip_prefix(b" ").ok_or_else(|| self.damaged("is no line of a backup"))?;
        if self.sum.add(document).as_bytes() != digits {
            return Err(self.damaged("is not what was written"));
        }
        serde_json::from_slice(document).map_err(|error| self.damaged(&error.to_string()))
    }

    /// Nothing follows the end.
    ///
    /// # Errors
    /// [`BackupError::Damaged`].
    pub(super) fn ended(&mut self) -> Result<(), BackupError> {
        match self.from.fill_buf() {
            Ok([]) => Ok(()),
            Ok(_) => Err(self.damaged("is followed by something")),
            Err(error) => Err(self.damaged(&error.to_string())),
        }
    }

    fn damaged(&self, how: &str) -> BackupError {
        BackupError::Damaged(format!("line {} {how}", self.line))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn written() -> Vec<u8> {
        let mut writer = Writer::new(vec![]);
        let head = Head {
            format: FORMAT,
            made_ms: 7,
            engine: "sqlite".into(),
            log_head: 3,
            migrations: BTreeMap::new(),
        };
        writer.put(&Line::Backup(head)).unwrap();
        for n in 0..20 {
            writer.put(&Line::Rows(vec![vec![json!(n), json!("text"), Value::Null]])).unwrap();
        }
        writer.put(&Line::End { rows: 20 }).unwrap();
        writer.into_inner()
    }

    /// Reads to the end.
    fn read(bytes: &[u8]) -> Result<u64, BackupError> {
        let mut reader = Reader::new(bytes);
        reader.head()?;
        let mut rows = 0;
        loop {
            match reader.next()? {
                Line::Rows(some) => rows += some.len() as u64,
                Line::End { .. } => return reader.ended().map(|()| rows),
                Line::Backup(_) | Line::Table(_) => return Err(reader.damaged("is out of place")),
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_is_changed_or_cut_is_noticed(at in any::<prop::sample::Index>(), bit in 0u8..8, cut in any::<bool>()) {
            let mut bytes = written();
            prop_assert_eq!(read(&bytes).unwrap(), 20);
            let at = at.index(bytes.len());
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 1 << bit;
            }
            prop_assert!(matches!(read(&bytes), Err(BackupError::Damaged(_))));
        }

        #[test]
        fn lines_are_neither_left_out_nor_told_twice(from in 1usize..20, twice in any::<bool>()) {
            let bytes = written();
            let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
            if twice {
                lines.insert(from, lines[from]);
            } else {
                lines.remove(from);
            }
            prop_assert!(matches!(read(&lines.concat()), Err(BackupError::Damaged(_))));
        }
    }
}
