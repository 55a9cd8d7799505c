//! Document → Markdown (GitHub's): for a pull request, a wiki, a mail.

use crate::document::{Align, Block, Cell, Document, Table, Tone};
use crate::terminal::plot_lines;

/// Columns of a plot, which stands in a fence: what a review shows without scrolling.
const PLOT_WIDTH: usize = 80;

/// Returns the document as Markdown.
pub fn markdown(document: &Document) -> String {
    let mut text = format!("# {}\n", escaped(&document.title.text));
    for block in &document.blocks {
        text.push('\n');
        text.push_str(&self::block(block));
    }
    text
}

/// Returns the text with everything escaped that Markdown would read as markup.
fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for character in text.chars() {
        match character {
            '|' | '*' | '<' | '>' | '[' | ']' | '\\' | '#' => {
                safe.push('\\');
                safe.push(character);
            }
            c => safe.push(crate::shown(c)),
        }
    }
    safe
}

fn toned(cell: &Cell) -> String {
    let text = escaped(&cell.text);
    match cell.tone {
        _ if text.is_empty() => text,
        Tone::Strong | Tone::Bad => format!("**{text}**"),
        Tone::Plain | Tone::Good | Tone::Warn | Tone::Faint => text,
    }
}

fn block(block: &Block) -> String {
    match block {
        Block::Heading(text) => format!("## {}\n", escaped(text)),
        Block::Paragraph(cell) => format!("{}\n", toned(cell)),
        Block::Table(table) => self::table(table),
        Block::Facts(facts) => {
            let mut lines = String::from("| | |\n|---|---|\n");
            for (name, value) in facts {
                let value = Cell::toned(value.text.trim(), value.tone);
                lines.push_str(&format!("| {} | {} |\n", escaped(name.trim()), toned(&value)));
            }
            lines
        }
        Block::List(points) => points.iter().map(|point| format!("- {}\n", toned(point))).collect(),
        Block::Plot(plot) => {
            let lines = plot_lines(plot, PLOT_WIDTH, true);
            format!("```text\n{}\n```\n", lines.join("\n"))
        }
        Block::Note { code, message, because, ways_out } => {
            let mut lines = format!("- **{}** {}\n", escaped(code), escaped(&message.text));
            lines.extend(because.iter().map(|reason| format!("  - because {}\n", escaped(reason))));
            lines.extend(ways_out.iter().map(|way| format!("  - way out: {}\n", escaped(way))));
            lines
        }
    }
}

fn table(table: &Table) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(table.columns.iter().map(|column| escaped(&column.title)).collect());
    let rules = table.columns.iter().map(|column| match column.align {
        Align::Left => "---".to_owned(),
        Align::Right => "---:".to_owned(),
    });
    text.push_str(&line(rules.collect()));
    for row in &table.rows {
        text.push_str(&line(row.iter().map(toned).collect()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_names_is_only_text() {
        let mut table = Table::new(&["a", ">b"]);
        table.rows.push(vec!["x|y".into(), "<b>*1*".into()]);
        let text = markdown(&Document { title: "t".into(), blocks: vec![Block::Table(table)] });
        assert!(text.contains("| x\\|y | \\<b\\>\\*1\\* |"), "{text}");
    }
}
