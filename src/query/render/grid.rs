//! An aligned table for a terminal, written as its rows come.

use std::io::{self, Write};

use console::{measure_text_width, truncate_str};
use datafusion::arrow::datatypes::SchemaRef;

/// Rows that are held back to find the columns' widths; what follows is written at once.
const SAMPLE: usize = 1000;

/// No column is cut below this width.
const NARROWEST: usize = 8;

/// What stands between two columns.
const GAP: &str = "  ";

/// How NULL is shown, so that it differs from an empty text.
const NULL: &str = "NULL";

type Row = Vec<Option<String>>;

/// A table in the making.
pub(super) struct Grid {
    names: Vec<String>,
    /// Numbers stand right.
    numeric: Vec<bool>,
    limit: Option<usize>,
    /// Set once the sample is complete.
    widths: Option<Vec<usize>>,
    sample: Vec<Row>,
}

impl Grid {
    /// A table of these columns whose lines take at most `limit` characters, if the narrowest columns allow it.
    pub(super) fn new(schema: &SchemaRef, limit: Option<usize>) -> Self {
        let (names, numeric) = schema.fields().iter().map(|field| (printable(field.name()), field.data_type().is_numeric())).unzip();
        Self { names, numeric, limit, widths: None, sample: Vec::new() }
    }

    /// Takes rows and writes what needs not be held back.
    pub(super) fn take(&mut self, rows: Vec<Row>, out: &mut impl Write) -> io::Result<()> {
        if let Some(widths) = &self.widths {
            return rows.iter().try_for_each(|row| self.line(row, widths, out));
        }
        self.sample.extend(rows);
        if self.sample.len() >= SAMPLE { self.settle(out) } else { Ok(()) }
    }

    /// Writes what is held back and the number of rows.
    pub(super) fn end(mut self, rows: u64, out: &mut impl Write) -> io::Result<()> {
        if self.widths.is_none() {
            self.settle(out)?;
        }
        writeln!(out, "({rows} {})", if rows == 1 { "row" } else { "rows" })
    }

    /// Fixes the widths, then writes the header and the sample.
    fn settle(&mut self, out: &mut impl Write) -> io::Result<()> {
        let mut widths: Vec<usize> = self.names.iter().map(|name| measure_text_width(name)).collect();
        for row in &self.sample {
            for (width, cell) in widths.iter_mut().zip(row) {
                let widest = shown(cell.as_deref()).map(|line| measure_text_width(&line)).max();
                *width = (*width).max(widest.unwrap_or(0));
            }
        }
        fit(&mut widths, self.limit);
        let header: Row = self.names.iter().cloned().map(Some).collect();
        self.line(&header, &widths, out)?;
        let rule: Row = widths.iter().map(|width| Some("─".repeat(*width))).collect();
        self.line(&rule, &widths, out)?;
        for row in std::mem::take(&mut self.sample) {
            self.line(&row, &widths, out)?;
        }
        self.widths = Some(widths);
        Ok(())
    }

    /// Writes one row, on as many lines as its tallest cell has.
    fn line(&self, row: &Row, widths: &[usize], out: &mut impl Write) -> io::Result<()> {
        let mut cells: Vec<_> = row.iter().map(|cell| shown(cell.as_deref()).collect::<Vec<_>>().into_iter()).collect();
        let height = cells.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
        for _ in 0..height {
            let mut text = String::new();
            for ((cell, width), numeric) in cells.iter_mut().zip(widths).zip(&self.numeric) {
                let mut part = cell.next().unwrap_or_default();
                if self.limit.is_some() {
                    part = truncate_str(&part, *width, "…").into_owned();
                }
                let padding = " ".repeat(width.saturating_sub(measure_text_width(&part)));
                let (before, after) = if *numeric { (padding.as_str(), "") } else { ("", padding.as_str()) };
                text.extend([before, part.as_str(), after, GAP]);
            }
            writeln!(out, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

/// The lines of a cell as they are shown.
fn shown(cell: Option<&str>) -> impl Iterator<Item = String> {
    let text = cell.unwrap_or(NULL);
    // An empty text has one, empty, line.
    let lines = if text.is_empty() { vec![String::new()] } else { text.lines().map(printable).collect() };
    lines.into_iter()
}

/// Data must not command the terminal: control characters are written as escapes.
fn printable(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

/// Narrows the widest columns until the line fits, none below [`NARROWEST`].
fn fit(widths: &mut [usize], limit: Option<usize>) {
    let Some(limit) = limit else { return };
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > limit {
        match widths.iter_mut().max() {
            Some(widest) if *widest > NARROWEST => *widest -= 1,
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn table(limit: Option<usize>, rows: &[[&str; 2]]) -> String {
        let schema = Schema::new(vec![Field::new("name", DataType::Utf8, true), Field::new("n", DataType::Int64, true)]);
        let mut grid = Grid::new(&Arc::new(schema), limit);
        let mut out = Vec::new();
        for row in rows {
            grid.take(vec![row.iter().map(|cell| Some((*cell).to_owned())).collect()], &mut out).unwrap();
        }
        grid.end(rows.len() as u64, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_by_display_width() {
        assert_eq!(table(None, &[["日本", "5"], ["Zürich", "1200"]]), "name       n\n──────  ────\n日本       5\nZürich  1200\n(2 rows)\n");
    }

    #[test]
    fn a_wide_cell_is_cut_to_the_terminal() {
        let text = table(Some(20), &[["a very long name that goes on and on", "1"]]);
        assert!(text.lines().all(|line| measure_text_width(line) <= 20), "{text}");
        assert!(text.contains('…'));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let text = table(None, &[["\u{1b}[2J", "1"], ["two\nlines", "2"]]);
        assert!(!text.contains('\u{1b}'));
        assert!(text.contains("two       2\nlines\n") || text.contains("\nlines"), "{text}");
    }

    #[test]
    fn rows_beyond_the_sample_are_written_at_once() {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, true)]);
        let mut grid = Grid::new(&Arc::new(schema), None);
        let mut out = Vec::new();
        grid.take(vec![vec![Some("1".to_owned())]; SAMPLE - 1], &mut out).unwrap();
        assert!(out.is_empty());
        grid.take(vec![vec![Some("1".to_owned())]], &mut out).unwrap();
        let sampled = out.len();
        assert!(sampled > 0);
        grid.take(vec![vec![Some("2".to_owned())]], &mut out).unwrap();
        assert!(out.len() > sampled);
    }
}
