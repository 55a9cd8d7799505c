//! Tables at a width: words wrap, the widest column first; where that is not enough, each row becomes a record.

use super::wrap::{pad, pieces, shown, wrap};
use super::{Style, paint};
use crate::document::{Align, Cell, Table, Tone};

/// Blanks before a table.
const INDENT: usize = 2;

/// Blanks between columns.
const GAP: usize = 2;

/// Returns the lines of a table.
pub(super) fn layout(table: &Table, width: usize, style: Style) -> Vec<String> {
    let table = with_shown_text(table, style);
    let room = width.saturating_sub(INDENT + GAP * table.columns.len().saturating_sub(1));
    match widths(&table, room) {
        Some(widths) => columns(&table, &widths, style),
        None => records(&table, width, style),
    }
}

fn with_shown_text(table: &Table, style: Style) -> Table {
    let mut table = table.clone();
    for column in &mut table.columns {
        column.title = shown(&column.title, style.unicode);
    }
    for cell in table.rows.iter_mut().flatten() {
        cell.text = shown(&cell.text, style.unicode);
    }
    table
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Returns the longest word of a text.
fn longest_word(text: &str) -> usize {
    text.split_whitespace().map(length).max().unwrap_or(0)
}

/// Returns the longest part of a text that must stand on one line.
fn unbroken(text: &str) -> usize {
    text.split_whitespace().flat_map(pieces).map(length).max().unwrap_or(0)
}

/// Returns the width of each column, `None` where they cannot all stand side by side.
fn widths(table: &Table, room: usize) -> Option<Vec<usize>> {
    let cells =
        |index: usize| table.rows.iter().filter_map(move |row| row.get(index)).map(|cell| cell.text.as_str());
    let mut widths = Vec::new();
    let mut whole_words = Vec::new();
    let mut least = Vec::new();
    for (index, column) in table.columns.iter().enumerate() {
        let widest = cells(index).map(length).max().unwrap_or(0);
        let longest = |of: fn(&str) -> usize| match column.align {
            Align::Left => cells(index).chain([column.title.as_str()]).map(of).max().unwrap_or(0),
            Align::Right => widest.max(of(&column.title)),
        };
        widths.push(widest.max(length(&column.title)));
        whole_words.push(longest(longest_word));
        least.push(longest(unbroken));
    }
    if least.iter().sum::<usize>() > room {
        return None;
    }
    // Words are broken only where wrapping between them is not enough.
    for least in [whole_words, least] {
        while widths.iter().sum::<usize>() > room {
            let slack = |index: &usize| widths[*index] > least[*index];
            let Some(widest) = (0..widths.len()).filter(slack).max_by_key(|&index| (widths[index], index))
            else {
                break;
            };
            widths[widest] -= 1;
        }
    }
    Some(widths)
}

fn columns(table: &Table, widths: &[usize], style: Style) -> Vec<String> {
    let titles: Vec<Cell> =
        table.columns.iter().map(|column| Cell::toned(column.title.clone(), Tone::Faint)).collect();
    let mut lines = row(table, &titles, widths, style);
    let rule = if style.unicode { "─" } else { "-" };
    for (index, cells) in table.rows.iter().enumerate() {
        if table.total && index + 1 == table.rows.len() {
            let all = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
            lines.push(format!("{}{}", " ".repeat(INDENT), paint(&rule.repeat(all), Tone::Faint, style)));
        }
        lines.extend(row(table, cells, widths, style));
    }
    lines
}

fn row(table: &Table, cells: &[Cell], widths: &[usize], style: Style) -> Vec<String> {
    let broken: Vec<Vec<String>> =
        cells.iter().zip(widths).map(|(cell, &width)| wrap(&cell.text, width.max(1))).collect();
    let height = broken.iter().map(Vec::len).max().unwrap_or(0);
    let mut lines = Vec::new();
    for index in 0..height {
        let mut line = " ".repeat(INDENT);
        for (column, (cell, &width)) in cells.iter().zip(widths).enumerate() {
            let piece = broken[column].get(index).map_or("", String::as_str);
            let text = match table.columns[column].align {
                Align::Left => pad(piece, width),
                Align::Right => format!("{}{piece}", " ".repeat(width.saturating_sub(length(piece)))),
            };
            line.push_str(&" ".repeat(if column > 0 { GAP } else { 0 }));
            line.push_str(&paint(&text, cell.tone, style));
        }
        lines.push(line);
    }
    lines
}

/// Each row under its first cell, one line per column.
fn records(table: &Table, width: usize, style: Style) -> Vec<String> {
    let named = table.columns.iter().map(|column| length(&column.title)).max().unwrap_or(0).min(width / 3);
    let mut lines = Vec::new();
    for cells in &table.rows {
        for (index, (column, cell)) in table.columns.iter().zip(cells).enumerate() {
            if cell.text.is_empty() {
                continue;
            }
            let (indent, name) = if index == 0 { (INDENT, 0) } else { (INDENT * 2, named) };
            let room = width.saturating_sub(indent + name + GAP).max(1);
            let mut titles = wrap(&column.title, named.max(1));
            let title = if index == 0 { String::new() } else { titles.pop().unwrap_or_default() };
            if index > 0 {
                lines.extend(titles.iter().map(|line| format!("{}{line}", " ".repeat(indent))));
            }
            for (part, piece) in wrap(&cell.text, room).iter().enumerate() {
                let lead = if index == 0 {
                    " ".repeat(indent)
                } else {
                    let title = if part == 0 { title.as_str() } else { "" };
                    format!("{}{}{}", " ".repeat(indent), pad(title, name), " ".repeat(GAP))
                };
                lines.push(format!("{lead}{}", paint(piece, cell.tone, style)));
            }
        }
    }
    lines
}
