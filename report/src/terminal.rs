//! Document → text for a terminal of a width, with or without colour and characters beyond ASCII.
//!
//! Invariant: no line is wider than the width (from [`NARROWEST`] on). Numbers are never broken; words are.

mod plot;
mod table;
mod wrap;

pub(crate) use plot::{lines as plot_lines, round_up};

use crate::document::{Block, Cell, Document, Tone};
use wrap::{pad, wrap};

/// The narrowest terminal that is laid out for; a narrower one gets this width.
pub const NARROWEST: usize = 40;

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether it shows colours (ANSI).
    pub colour: bool,
    /// Whether it shows characters beyond ASCII.
    pub unicode: bool,
}

/// Returns the document as text of at most `width` columns.
pub fn terminal(document: &Document, width: usize, style: Style) -> String {
    let mut page = Page { width: width.max(NARROWEST), style, text: String::new() };
    let tone = if document.title.tone == Tone::Plain { Tone::Strong } else { document.title.tone };
    page.flow(&Cell::toned(document.title.text.clone(), tone), "");
    let mut after_table = false;
    for block in &document.blocks {
        // Two tables in a row would read as one.
        let is_table = matches!(block, Block::Table(_) | Block::Facts(_));
        if is_table && after_table {
            page.line("");
        }
        page.block(block);
        after_table = is_table;
    }
    page.text
}

/// The text so far and what it may look like.
struct Page {
    width: usize,
    style: Style,
    text: String,
}

impl Page {
    fn block(&mut self, block: &Block) {
        match block {
            Block::Heading(text) => {
                self.text.push('\n');
                self.flow(&Cell::toned(text.clone(), Tone::Strong), "");
            }
            Block::Paragraph(cell) => self.flow(cell, "  "),
            Block::Table(table) => {
                for line in table::layout(table, self.width, self.style) {
                    self.line(&line);
                }
            }
            Block::Facts(facts) => self.facts(facts),
            Block::List(points) => {
                for point in points {
                    let bullet = self.plain("  · ");
                    self.hanging(&bullet, 4, point);
                }
            }
            Block::Plot(plot) => {
                for line in plot::lines(plot, self.width, self.style.unicode) {
                    self.line(&line);
                }
            }
            Block::Note { code, message, because, ways_out } => {
                let lead = Cell::toned(format!("{code}: {}", message.text), message.tone);
                self.flow(&lead, "  ");
                for reason in because {
                    self.hanging("    = because ", 14, &Cell::from(reason.as_str()));
                }
                for (index, way) in ways_out.iter().enumerate() {
                    let lead = if index == 0 { "    = ways out: " } else { "                " };
                    self.hanging(lead, 16, &Cell::from(way.as_str()));
                }
            }
        }
    }

    fn plain(&self, text: &str) -> String {
        wrap::shown(text, self.style.unicode)
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// Writes a text over as many lines as it takes.
    fn flow(&mut self, cell: &Cell, indent: &str) {
        self.hanging(indent, indent.len(), cell);
    }

    /// Writes a text behind `lead`, further lines indented by `indent`.
    fn hanging(&mut self, lead: &str, indent: usize, cell: &Cell) {
        let text = self.plain(&cell.text);
        let room = self.width.saturating_sub(indent).max(1);
        // Amounts are set right by blanks before them; they stay where the text takes one line.
        let lines = if text.chars().count() <= room { vec![text] } else { wrap(&text, room) };
        for (index, piece) in lines.iter().enumerate() {
            let start = if index == 0 { lead.to_owned() } else { " ".repeat(indent) };
            let line = format!("{start}{}", paint(piece, cell.tone, self.style));
            self.line(&line);
        }
    }

    fn facts(&mut self, facts: &[(String, Cell)]) {
        let names: Vec<String> = facts.iter().map(|(name, _)| self.plain(name)).collect();
        let room = (self.width / 2).saturating_sub(4);
        let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(room);
        for (name, (_, value)) in names.iter().zip(facts) {
            // A blank before a name says that it is part of the one above.
            let part = name.starts_with(' ');
            let mut lines = wrap(name, widest.saturating_sub(if part { 2 } else { 0 }).max(1));
            if part {
                lines.iter_mut().for_each(|line| line.insert_str(0, "  "));
            }
            let last = lines.pop().unwrap_or_default();
            for line in lines {
                self.line(&format!("  {line}"));
            }
            let lead = format!("  {}  ", pad(&last, widest));
            self.hanging(&lead, widest + 4, value);
        }
    }
}

/// Returns the text in the colour of its tone, where colours are shown.
fn paint(text: &str, tone: Tone, style: Style) -> String {
    let code = match tone {
        Tone::Plain => return text.to_owned(),
        Tone::Good => "32",
        Tone::Warn => "33",
        Tone::Bad => "1;31",
        Tone::Faint => "2",
        Tone::Strong => "1",
    };
    if style.colour && !text.trim().is_empty() {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document;
    use capstan_types::testing::blueprint::{chat_blueprint, infeasible_blueprint};

    const PLAIN: Style = Style { colour: false, unicode: true };

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for blueprint in [chat_blueprint(), infeasible_blueprint()] {
            let document = document(&blueprint);
            for width in NARROWEST..=170 {
                for unicode in [true, false] {
                    let text = terminal(&document, width, Style { colour: false, unicode });
                    for line in text.lines() {
                        assert!(line.chars().count() <= width, "{width}: {line}");
                    }
                }
            }
        }
    }

    #[test]
    fn without_unicode_everything_is_ascii() {
        let text = terminal(&document(&chat_blueprint()), 80, Style { colour: false, unicode: false });
        assert!(text.is_ascii(), "{:?}", text.chars().find(|c| !c.is_ascii()));
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let document = document(&chat_blueprint());
        let coloured = terminal(&document, 100, Style { colour: true, unicode: true });
        let mut bare = String::new();
        for (index, part) in coloured.split('\u{1b}').enumerate() {
            bare.push_str(if index == 0 { part } else { part.split_once('m').map_or("", |(_, rest)| rest) });
        }
        let trimmed: Vec<_> = bare.lines().map(str::trim_end).collect();
        assert_eq!(trimmed, terminal(&document, 100, PLAIN).lines().collect::<Vec<_>>());
    }

    #[test]
    fn every_width_shows_every_number_of_the_purchases() {
        for width in NARROWEST..=170 {
            let text = terminal(&document(&chat_blueprint()), width, PLAIN);
            for number in ["317,000.00/node", "20.69505/h", "3,170,000.00", "5,769,404.35"] {
                assert!(text.contains(number), "{number} at {width}");
            }
        }
    }

    #[test]
    fn the_first_screen_answers_what_it_costs_and_whether_it_holds() {
        let text = terminal(&document(&chat_blueprint()), 80, PLAIN);
        let screen = text.lines().take(32).collect::<Vec<_>>().join("\n");
        for answer in
            ["the plan holds", "reserved 3 y", "5,769,404.35 USD", "per month", "ttft p99", "≤ 500 ms"]
        {
            assert!(screen.contains(answer), "{answer} is not in\n{screen}");
        }
    }
}
