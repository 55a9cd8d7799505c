//! What `estimate` answers to people and programs: a document, JSON, CSV and a picture.

mod csv;
mod one;
mod several;
mod svg;
mod training;

pub use self::csv::outlook_csv;
pub use svg::outlook_svg;
pub use training::{training_document, training_json};

use crate::document::{Block, Cell, Document};
use crate::json::pretty;
use capstan_types::figure;
use capstan_types::outlook::{Arrivals, FitWord, Outlook, Question};

/// Returns the answer for programs.
pub fn outlook_json(outlook: &Outlook) -> String {
    format!("{}\n", pretty(outlook).trim_end())
}

/// Returns the answer for people.
pub fn outlook_document(outlook: &Outlook) -> Document {
    let question = &outlook.question;
    let mut document = Document { title: title(outlook), blocks: Vec::new() };
    document.blocks.push(Block::Paragraph(Cell::from(asked(question))));
    let points: usize = outlook.answers.iter().map(|answer| answer.points.len()).sum();
    match &outlook.answers[..] {
        [answer] if points == 1 => one::sections(&mut document, question, answer),
        _ => several::sections(&mut document, outlook),
    }
    several::refused(&mut document, outlook);
    let assumptions = outlook.assumptions.iter().map(|text| Cell::from(text.as_str())).collect();
    document.section("Assumed, since nothing else was said", [Block::List(assumptions)]);
    document
}

fn title(outlook: &Outlook) -> Cell {
    let Question { model_name, on, .. } = &outlook.question;
    let on = if on == "all" { "every machine of the catalog" } else { on.as_str() };
    let text = match &outlook.answers[..] {
        [] => format!("{model_name} on {on}: does not run"),
        [answer] if outlook.question.on != "all" => {
            format!("{model_name} on {on}, {}: {}", answer.degrees.words(), answer.memory.fit.word())
        }
        answers if outlook.question.on == "all" => {
            let all = answers.len() + outlook.refused.len();
            format!("{model_name} on {on}: runs on {} of {all}", answers.len())
        }
        answers => format!("{model_name} on {on}: {} splits run", answers.len()),
    };
    let tight = outlook.answers.iter().all(|answer| answer.memory.fit == FitWord::Tight);
    let tone = match (outlook.answers.is_empty(), tight) {
        (true, _) => crate::Tone::Bad,
        (false, true) => crate::Tone::Warn,
        (false, false) => crate::Tone::Strong,
    };
    Cell::toned(text, tone)
}

/// Returns the question in a sentence.
fn asked(question: &Question) -> String {
    let load = match question.arrivals {
        Arrivals::Closed { from, to } if from < to => format!("{from} to {to} requests in flight"),
        Arrivals::Closed { to: 1, .. } => "one request in flight".to_owned(),
        Arrivals::Closed { to, .. } => format!("{to} requests in flight"),
        Arrivals::Open { rate } => format!("{} requests/s, Poisson", figure::short(rate)),
    };
    format!(
        "{} B parameters in {}, cache in {}, {} {}; {load} of {} tokens in, {} out",
        figure::short(question.params_total_b),
        question.precision.word(),
        question.kv_precision.word(),
        question.engine,
        question.engine_version,
        figure::count(u64::from(question.input_tokens)),
        figure::count(u64::from(question.output_tokens)),
    )
}
