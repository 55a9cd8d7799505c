//! Blocks of a document → HTML: everything that a name could smuggle in is escaped here.

use crate::document::{Align, Block, Cell, Table};
use crate::terminal::plot_lines;

/// Columns of a plot that stands as text.
const PLOT_WIDTH: usize = 80;

/// Most characters of a cell that stays on its line.
const BRIEF: usize = 14;

/// Most characters of a name that are shown; the rest is on hover.
const SHOWN: usize = 400;

/// Returns text that HTML shows as it is, in an attribute as well; what steers the direction of text is shown as a sign.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' => safe.push('\n'),
            c => safe.push(crate::shown(c)),
        }
    }
    safe
}

/// Returns text that HTML shows as it is, words of the plan language, between backticks, as such.
fn told(text: &str) -> String {
    let parts: Vec<String> = text.split('`').map(escaped).collect();
    if parts.len().is_multiple_of(2) {
        return escaped(text);
    }
    let code = |(at, part): (usize, &String)| {
        if at % 2 == 1 { format!("<code>{part}</code>") } else { part.clone() }
    };
    parts.iter().enumerate().map(code).collect()
}

/// Returns the text of a cell, cut where it is longer than anyone reads in a table.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => told(text),
        Some((end, _)) => format!("<span title=\"{}\">{}…</span>", escaped(text), escaped(&text[..end])),
    }
}

/// Returns the anchor of a heading.
pub(super) fn anchor(heading: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    heading.chars().map(word).collect()
}

/// Returns a block; `about` is the heading that it stands under.
pub(super) fn block(block: &Block, about: &str) -> String {
    match block {
        Block::Heading(text) => format!("<h3>{}</h3>\n", escaped(text)),
        Block::Paragraph(cell) if cell.text.is_empty() => String::new(),
        Block::Paragraph(cell) => {
            format!("<p class=\"{}\">{}</p>\n", cell.tone.word(), words(cell, told(&cell.text)))
        }
        Block::Table(table) => self::table(table, about),
        Block::Facts(facts) => self::facts(facts, about),
        Block::List(points) => {
            let points: String = points
                .iter()
                .map(|point| {
                    format!("<li class=\"{}\">{}</li>", point.tone.word(), words(point, shown(&point.text)))
                })
                .collect();
            format!("<ul>{points}</ul>\n")
        }
        Block::Plot(plot) => {
            format!("<pre>{}</pre>\n", escaped(&plot_lines(plot, PLOT_WIDTH, true).join("\n")))
        }
        Block::Note { code, message, because, ways_out } => {
            let lines: String = because
                .iter()
                .map(|why| format!("<li>because {}</li>", told(why)))
                .chain(ways_out.iter().map(|way| format!("<li>way out: {}</li>", told(way))))
                .collect();
            let head = format!("<strong>{}</strong> {}", escaped(code), told(&message.text));
            format!(
                "<div class=\"note\"><p class=\"{}\">{head}</p><ul>{lines}</ul></div>\n",
                message.tone.word()
            )
        }
    }
}

fn facts(facts: &[(String, Cell)], about: &str) -> String {
    let mut table = Table::new(&["", ""]);
    table.rows = facts.iter().map(|(name, value)| vec![Cell::from(name.trim()), trimmed(value)]).collect();
    let rows: String = table.rows.iter().map(|row| self::row(row, &table)).collect();
    wrapped(&format!("<table><tbody>{rows}</tbody></table>"), about)
}

fn trimmed(cell: &Cell) -> Cell {
    Cell { text: cell.text.trim().to_owned(), ..cell.clone() }
}

/// Tables may be wider than the page: they scroll by themselves, by keyboard too.
fn wrapped(table: &str, about: &str) -> String {
    format!(
        "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{}\">{table}</div>\n",
        escaped(about)
    )
}

/// Returns a table whose headings sort it; the row of sums stays below.
pub(super) fn table(table: &Table, about: &str) -> String {
    if table.rows.is_empty() {
        return String::new();
    }
    let (body, total) = match table.rows.split_last() {
        Some((last, rows)) if table.total => (rows, Some(last)),
        _ => (&table.rows[..], None),
    };
    let heads: String = table
        .columns
        .iter()
        .map(|column| {
            let side = if column.align == Align::Right { " class=\"n\"" } else { "" };
            let label = if column.title.is_empty() { " aria-label=\"sort\"" } else { "" };
            format!(
                "<th scope=\"col\"{side}><button type=\"button\"{label}>{}</button></th>",
                escaped(&column.title)
            )
        })
        .collect();
    let rows: String = body.iter().map(|row| self::row(row, table)).collect();
    let foot = total.map_or_else(String::new, |row| format!("<tfoot>{}</tfoot>", self::row(row, table)));
    let whole = format!(
        "<table class=\"sortable\"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>{foot}</table>"
    );
    wrapped(&whole, about)
}

/// Returns the attributes by which the style sheet shows where a number comes from, to a pointer, a finger and a keyboard, and by
/// which a screen reader says it; nothing where nothing is known.
pub(super) fn hint(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!(" tabindex=\"0\" aria-description=\"{}\"", escaped(text))
}

/// Returns the text of a sentence, with where its numbers come from.
fn words(cell: &Cell, text: String) -> String {
    if cell.hint.is_empty() { text } else { format!("<span{}>{text}</span>", hint(&cell.hint)) }
}

fn row(cells: &[Cell], table: &Table) -> String {
    let mut text = String::from("<tr>");
    for (cell, column) in cells.iter().zip(&table.columns) {
        // A date or a word or two stays on its line, however narrow the page.
        let brief = cell.text.chars().nth(BRIEF).is_none();
        let number = match column.align {
            Align::Right => " n",
            Align::Left if brief => " s",
            Align::Left => "",
        };
        let hint = hint(&cell.hint);
        text.push_str(&format!(
            "<td class=\"{}{number}\"{hint}>{}</td>",
            cell.tone.word(),
            shown(&cell.text)
        ));
    }
    text.push_str("</tr>");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_directions_in_names_are_only_text() {
        assert_eq!(escaped("<b a='\"'>&\u{202e}"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;\u{fffd}");
        let long = "x".repeat(10_000);
        assert!(shown(&long).starts_with("<span title=\"xxx") && shown(&long).ends_with("x…</span>"));
    }

    #[test]
    fn words_of_the_plan_language_are_set_as_code_where_their_ticks_pair() {
        assert_eq!(told("no `a<b` in `plan`"), "no <code>a&lt;b</code> in <code>plan</code>");
        assert_eq!(told("a ` alone"), "a ` alone");
    }

    #[test]
    fn the_row_of_sums_is_no_row_that_sorts() {
        let mut one = Table::new(&["a", ">b"]);
        one.rows = vec![vec!["x".into(), "1".into()], vec!["sum".into(), "1".into()]];
        one.total = true;
        let text = table(&one, "t");
        assert!(text.contains("<tfoot><tr><td class=\"plain s\">sum</td>"), "{text}");
        assert!(
            text.contains("<th scope=\"col\" class=\"n\"><button type=\"button\">b</button></th>"),
            "{text}"
        );
    }
}
