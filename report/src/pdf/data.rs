//! What the paper says, as data for its template: the blocks of the report, cut to what paper can hold.

use crate::build::{self, signed};
use crate::document::{Align, Block, Cell, Table, Tone};
use crate::safe::shown;
use capstan_types::blueprint::{Blueprint, Status};
use capstan_types::finance::Finance;
use serde::Serialize;
use std::collections::BTreeSet;

/// Most characters of a text, in the details and on the page that decides.
const LONGEST: usize = 400;
const SHORT: usize = 70;

/// A longer word may be broken after so many characters.
const WORD: usize = 24;

/// Most rows of a table on the page that decides: with them it is one page, whatever is bought.
const PURCHASES: usize = 9;
const LEVELS: usize = 8;
const RISKS: usize = 8;
const FINDINGS: usize = 4;

/// A column takes what is left where one of its cells is longer than this.
const NARROW: usize = 28;

/// The whole paper.
#[derive(Serialize)]
pub(super) struct Paper {
    title: String,
    name: String,
    verdict: Said,
    cover: Vec<Fact>,
    roles: [&'static str; 4],
    asked: String,
    figures: Vec<Figure>,
    summary: Vec<Part>,
    sections: Vec<Part>,
    footer: String,
    families: [&'static str; 1],
}

#[derive(Serialize)]
struct Said {
    text: String,
    tone: &'static str,
}

#[derive(Serialize)]
struct Fact {
    name: String,
    value: Said,
}

#[derive(Serialize)]
struct Figure {
    name: String,
    value: String,
}

#[derive(Serialize)]
struct Column {
    title: String,
    right: bool,
    wide: bool,
}

#[derive(Serialize)]
struct Sheet {
    columns: Vec<Column>,
    rows: Vec<Vec<Said>>,
    total: bool,
}

#[derive(Serialize)]
struct Part {
    heading: String,
    pieces: Vec<Piece>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Piece {
    Heading { text: String },
    Paragraph { text: Said },
    Table { sheet: Sheet },
    Facts { rows: Vec<Fact> },
    List { points: Vec<Said> },
    Note { code: String, message: Said, because: Vec<String>, ways: Vec<String> },
}

impl Paper {
    /// Returns what the paper on a blueprint says.
    pub(super) fn of(blueprint: &Blueprint, finance: &Finance) -> Self {
        let spec = &blueprint.inputs.spec;
        let document = build::document(blueprint);
        let mut sections = sections(&document.blocks);
        sections.extend(money(blueprint, finance));
        let oldest = build::oldest_price(blueprint).unwrap_or_else(|| "none".to_owned());
        let plan = blueprint.inputs.files.iter().find(|file| file.role == "plan");
        let digest = plan.map_or("unknown", |file| file.sha256.as_str());
        let fact =
            |name: &str, value: &str| Fact { name: name.to_owned(), value: said(&value.into(), LONGEST) };
        Self {
            title: printable(&document.title.text, LONGEST),
            name: printable(&spec.name, SHORT),
            verdict: said(&verdict(blueprint), LONGEST),
            cover: vec![
                fact("Horizon", &format!("{} to {}", spec.frame.start, spec.frame.end)),
                fact("Planned as of", &spec.frame.as_of.to_string()),
                fact("Oldest price", &oldest),
                fact("Currency", blueprint.cost.currency.code()),
                fact("Plan, sha256", digest),
                fact("Made by", &format!("capstan {}, seed {}", blueprint.tool, spec.frame.seed)),
            ],
            roles: crate::SIGNERS,
            asked: signed::decision(blueprint),
            figures: signed::key_figures(blueprint, finance)
                .into_iter()
                .map(|(name, value)| Figure { name: name.to_owned(), value: value.text })
                .collect(),
            summary: summary(blueprint, &document.blocks),
            sections,
            footer: format!("plan sha256 {digest} · oldest price {oldest}"),
            families: ["Libertinus Serif"],
        }
    }

    /// Returns what tells this paper from others.
    pub(super) fn ident(&self) -> String {
        format!("{} {}", self.name, self.footer)
    }

    /// Returns every letter of the paper that is meant to be seen.
    pub(super) fn letters(&self) -> BTreeSet<char> {
        let text = serde_json::to_value(self).map(|value| every_text(&value)).unwrap_or_default();
        text.chars().filter(|c| !c.is_whitespace() && !c.is_control() && *c != BREAK).collect()
    }
}

/// Returns all texts of a value, one after the other.
fn every_text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(values) => values.iter().map(every_text).collect(),
        serde_json::Value::Object(fields) => fields.values().map(every_text).collect(),
        _ => String::new(),
    }
}

fn verdict(blueprint: &Blueprint) -> Cell {
    match blueprint.status {
        Status::Feasible => Cell::toned("The plan holds", Tone::Good),
        Status::Violated => Cell::toned("The plan does NOT hold in every point", Tone::Bad),
        Status::Infeasible => Cell::toned("NO plan keeps every limit", Tone::Bad),
    }
}

/// Where a line may be broken though no blank stands there.
const BREAK: char = '\u{200b}';

/// Returns text that paper can hold: no control characters, nothing that steers the direction of text, and no more than
/// `most` characters in words that lines can break.
fn printable(text: &str, most: usize) -> String {
    let mut line = String::new();
    let mut word = 0;
    for (at, character) in text.trim().chars().enumerate() {
        if at == most {
            line.push('…');
            break;
        }
        let character = shown(character);
        word = if character.is_whitespace() { 0 } else { word + 1 };
        if word > WORD {
            line.push(BREAK);
            word = 1;
        }
        line.push(character);
    }
    line
}

fn said(cell: &Cell, most: usize) -> Said {
    Said { text: printable(&cell.text, most), tone: cell.tone.word() }
}

fn sheet(table: &Table, most: usize) -> Sheet {
    let wide = |at: usize| {
        let longest = table.rows.iter().map(|row| row[at].text.trim().chars().count()).max();
        longest.is_some_and(|count| count > NARROW)
    };
    let columns = table.columns.iter().enumerate().map(|(at, column)| Column {
        title: printable(&column.title, most),
        right: column.align == Align::Right,
        wide: column.align == Align::Left && wide(at),
    });
    let row = |cells: &Vec<Cell>| cells.iter().map(|cell| said(cell, most)).collect();
    Sheet { columns: columns.collect(), rows: table.rows.iter().map(row).collect(), total: table.total }
}

fn piece(block: &Block, most: usize) -> Piece {
    let texts = |texts: &[String]| texts.iter().map(|text| printable(text, most)).collect();
    match block {
        Block::Heading(text) => Piece::Heading { text: printable(text, most) },
        Block::Paragraph(cell) => Piece::Paragraph { text: said(cell, most) },
        Block::Table(table) => Piece::Table { sheet: sheet(table, most) },
        Block::Facts(facts) => Piece::Facts {
            rows: facts
                .iter()
                .map(|(name, value)| Fact { name: printable(name, most), value: said(value, most) })
                .collect(),
        },
        Block::List(points) => Piece::List { points: points.iter().map(|point| said(point, most)).collect() },
        Block::Plot(plot) => {
            let mut points = Table::new(&["", ">", ">"]);
            (points.columns[1].title, points.columns[2].title) = (plot.across.clone(), plot.up.clone());
            for series in &plot.series {
                points.rows.extend(series.points.iter().map(|(across, up)| {
                    vec![series.name.as_str().into(), across.to_string().into(), up.to_string().into()]
                }));
            }
            Piece::Table { sheet: sheet(&points, most) }
        }
        Block::Note { code, message, because, ways_out } => Piece::Note {
            code: code.clone(),
            message: said(message, most),
            because: texts(because),
            ways: texts(ways_out),
        },
    }
}

/// Returns the report, part by part; what stands before the first heading is on the cover.
fn sections(blocks: &[Block]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for block in blocks {
        match (block, parts.last_mut()) {
            (Block::Heading(heading), _) => {
                parts.push(Part { heading: printable(heading, LONGEST), pieces: Vec::new() });
            }
            (other, Some(part)) => part.pieces.push(piece(other, LONGEST)),
            _ => {}
        }
    }
    parts
}

/// Returns what finance asks for, behind the report.
fn money(blueprint: &Blueprint, finance: &Finance) -> Vec<Part> {
    let part = |heading: &str, tables: Vec<Table>| {
        let tables = tables.into_iter().filter(|table| !table.rows.is_empty());
        let pieces: Vec<Piece> = tables.map(|table| Piece::Table { sheet: sheet(&table, LONGEST) }).collect();
        (!pieces.is_empty()).then(|| Part { heading: heading.to_owned(), pieces })
    };
    let paid = if finance.cash.is_empty() { Vec::new() } else { vec![signed::by_year(finance)] };
    let parts = [
        part("Purchase mix", vec![signed::mix_table(blueprint)]),
        part("When to order", vec![signed::timeline(blueprint)]),
        part("Payments", paid),
        part("Other ways to pay", vec![signed::alternatives(finance), signed::break_even(finance)]),
        part("Write-off", vec![signed::written_off(finance)]),
        part("All lines of the bill", vec![signed::bill(blueprint)]),
    ];
    parts.into_iter().flatten().collect()
}

/// Returns the page that decides: the first rows of what is bought, of what holds and of what is at risk.
fn summary(blueprint: &Blueprint, blocks: &[Block]) -> Vec<Part> {
    let mut parts = Vec::new();
    for (heading, most) in [("What to buy", PURCHASES), ("Does it hold", LEVELS)] {
        if let Some(table) = first_table(blocks, heading) {
            let mut pieces = Vec::new();
            let more = table.rows.len().saturating_sub(most);
            let short = Table { rows: table.rows.iter().take(most).cloned().collect(), ..table.clone() };
            pieces.push(Piece::Table {
                sheet: sheet(&Table { total: table.total && more == 0, ..short }, SHORT),
            });
            if more > 0 {
                let text = Cell::toned(format!("and {more} more, listed below"), Tone::Faint);
                pieces.push(Piece::Paragraph { text: said(&text, SHORT) });
            }
            parts.push(Part { heading: heading.to_owned(), pieces });
        }
    }
    let notes = blocks.iter().filter(|block| matches!(block, Block::Note { .. })).take(FINDINGS);
    let notes: Vec<Piece> = notes.map(short_note).collect();
    if !notes.is_empty() {
        parts.push(Part { heading: "Findings".to_owned(), pieces: notes });
    }
    let risks = signed::risks(blueprint);
    if !risks.is_empty() {
        let points = risks.iter().take(RISKS).map(|risk| said(risk, SHORT * 2)).collect();
        parts.push(Part { heading: "Risks".to_owned(), pieces: vec![Piece::List { points }] });
    }
    parts
}

/// Returns a finding without its reasons: they stand in the details.
fn short_note(block: &Block) -> Piece {
    match block {
        Block::Note { code, message, ways_out, .. } => Piece::Note {
            code: code.clone(),
            message: said(message, SHORT * 2),
            because: Vec::new(),
            ways: ways_out.iter().take(1).map(|way| printable(way, SHORT * 2)).collect(),
        },
        other => piece(other, SHORT),
    }
}

fn first_table<'a>(blocks: &'a [Block], heading: &str) -> Option<&'a Table> {
    let mut rest =
        blocks.iter().skip_while(|block| !matches!(block, Block::Heading(text) if text == heading));
    rest.next();
    rest.take_while(|block| !matches!(block, Block::Heading(_))).find_map(|block| match block {
        Block::Table(table) => Some(table),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing::blueprint::chat_blueprint;

    #[test]
    fn long_words_can_be_broken_and_directions_are_shown() {
        assert_eq!(printable("a\u{202e}b\nc", 9), "a\u{fffd}b c");
        let long = printable(&"x".repeat(10_000), LONGEST);
        assert!(long.ends_with("x…") && long.contains(BREAK) && long.chars().count() < LONGEST * 2);
    }

    #[test]
    fn every_part_of_the_report_is_on_paper() {
        let blueprint = chat_blueprint();
        let finance = capstan_types::testing::finance::finance(&blueprint);
        let paper = Paper::of(&blueprint, &finance);
        let headings: Vec<&str> = paper.sections.iter().map(|part| part.heading.as_str()).collect();
        for block in &build::document(&blueprint).blocks {
            if let Block::Heading(heading) = block {
                assert!(headings.contains(&heading.as_str()), "{heading}");
            }
        }
        assert!(headings.ends_with(&["All lines of the bill"]), "{headings:?}");
        assert!(paper.letters().contains(&'§') || paper.letters().contains(&'·'));
    }
}
