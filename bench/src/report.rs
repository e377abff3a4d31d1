//! The document a benchmark leaves: Markdown, to be read beside earlier ones of the same file.

use crate::machine;
use anyhow::Context;
use std::io::Write;
use std::path::Path;

/// A benchmark's result.
#[derive(Debug)]
pub(crate) struct Report {
    name: &'static str,
    text: String,
}

impl Report {
    /// Begins with the machine, the commit and the command.
    pub(crate) fn new(name: &'static str, title: &str) -> Self {
        let mut text = format!("# {title}\n\n");
        for line in machine::lines() {
            text += &format!("- {line}\n");
        }
        let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
        let words = words.map(|word| without_folders(&word)).collect::<Vec<_>>().join(" ");
        text += &format!("- Command: `{}`\n", format!("sluice-bench {words}").trim_end());
        Self { name, text }
    }

    /// Adds a line to the list at the head.
    pub(crate) fn fact(&mut self, fact: impl AsRef<str>) {
        self.text += &format!("- {}\n", fact.as_ref());
    }

    /// Adds a paragraph.
    pub(crate) fn paragraph(&mut self, text: impl AsRef<str>) {
        self.text += &format!("\n{}\n", text.as_ref());
    }

    /// Adds a heading.
    pub(crate) fn heading(&mut self, text: &str) {
        self.text += &format!("\n## {text}\n");
    }

    /// Adds lines as they are.
    pub(crate) fn block(&mut self, text: &str) {
        self.text += &format!("\n```\n{}\n```\n", text.trim_end());
    }

    /// Adds a table; the first row is its head.
    pub(crate) fn table(&mut self, rows: &[Vec<String>]) {
        self.text += &format!("\n{}", table(rows));
    }

    /// Shows it and writes it to `NAME.md` in the folder.
    pub(crate) fn publish(&self, folder: &Path) -> anyhow::Result<()> {
        std::io::stdout().write_all(format!("\n{}\n", self.text).as_bytes())?;
        let file = folder.join(format!("{}.md", self.name));
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&file, &self.text))
            .with_context(|| format!("writing {}", file.display()))
    }
}

/// Says what is going on, for a person who waits.
pub(crate) fn progress(line: impl AsRef<str>) {
    drop(writeln!(std::io::stderr(), "{}", line.as_ref()));
}

/// A word of a command without the folders of the absolute path in it: those are this machine's own.
pub(crate) fn without_folders(word: &str) -> String {
    let path = Path::new(word);
    match path.file_name() {
        Some(name) if path.is_absolute() => name.to_string_lossy().into_owned(),
        _ => word.to_owned(),
    }
}

/// Columns are as wide as their widest cell.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
    let width = |column| rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0).max(3);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells =
            widths.iter().enumerate().map(|(column, &width)| format!(" {:<width$} |", cell(row, column)));
        text += &format!("|{}\n", cells.collect::<String>());
        if index == 0 {
            let rules = widths.iter().map(|&width| format!("-{}-|", "-".repeat(width)));
            text += &format!("|{}\n", rules.collect::<String>());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown_and_lines_up() {
        let rows = [vec!["what", "n"], vec!["a", "1,000"], vec!["µ"]];
        let rows = rows.map(|row| row.into_iter().map(str::to_owned).collect::<Vec<_>>());
        let expected = "| what | n     |\n|------|-------|\n| a    | 1,000 |\n| µ    |       |\n";
        assert_eq!(table(&rows), expected);
    }

    #[test]
    fn only_absolute_paths_lose_their_folders() {
        assert_eq!(without_folders("/home/somebody/clip.mp4"), "clip.mp4");
        assert_eq!(without_folders("target/clip.mp4"), "target/clip.mp4");
        assert_eq!(without_folders("--seconds"), "--seconds");
    }
}
