//! What did a file teach, and what of it was not used?

use super::Args;
use capstan_report::{Block, Cell, Document, Table, Tone};
use capstan_sim::calibrate::{self, Calibrated, Checked, Factor, Refitted, Shown, Trained, TrainedJob};
use capstan_types::catalog::{Calibration, CollectiveEfficiency, GemmEfficiency};
use capstan_types::figure;

/// What a file teaches.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Learned {
    /// Serving latencies, and what a row of the file is called.
    Serving(Calibrated, &'static str),
    /// All-reduce, with the lines of its messages.
    AllReduce(Refitted<CollectiveEfficiency>, Vec<u64>),
    /// Steps of training.
    Training(Trained),
    /// Matrix products by precision, with the lines of each.
    Products(Vec<(Refitted<GemmEfficiency>, Vec<u64>)>),
}

impl Learned {
    /// Says whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Learned::Serving(read, _) => read.calibrations.is_empty(),
            Learned::Training(read) => read.jobs.is_empty(),
            Learned::AllReduce(..) => false,
            Learned::Products(fitted) => fitted.is_empty(),
        }
    }
}

/// Returns the report.
pub(super) fn document(args: &Args, learned: &Learned) -> Document {
    let (title, table, refused) = match learned {
        Learned::Serving(read, row) => {
            let title = title(args, read.rows, read.refused.len(), read.calibrations.len(), "configuration");
            (title, serving(read), refusals(&read.refused, row))
        }
        Learned::Training(read) => {
            let title = title(args, read.rows, read.refused.len(), read.jobs.len(), "job");
            (title, training(read), refusals(&read.refused, "line"))
        }
        Learned::AllReduce(fitted, lines) => {
            let row = &fitted.row;
            let name = format!("all-reduce on {}", row.accelerator);
            let now = format!("efficiency of links {:.3}", row.efficiency);
            (
                curve_title(args),
                curves(&[(name, now, fitted.before, fitted.after)]),
                unused(&fitted.refused, lines),
            )
        }
        Learned::Products(all) => {
            let told = |(fitted, _): &(Refitted<GemmEfficiency>, Vec<u64>)| {
                let row = &fitted.row;
                let name = format!("{} products on {}", row.precision.word(), row.accelerator);
                let now = format!("compute {:.3}, memory {:.3}", row.compute, row.memory);
                (name, now, fitted.before, fitted.after)
            };
            let rows: Vec<_> = all.iter().map(told).collect();
            let refused = all.iter().flat_map(|(fitted, lines)| unused(&fitted.refused, lines)).collect();
            (curve_title(args), curves(&rows), refused)
        }
    };
    let mut document = Document { title: Cell::toned(title, Tone::Strong), blocks: Vec::new() };
    document.section("What it changes", [Block::Table(table)]);
    let mut rows = Table::new(&["not used", "why"]);
    rows.rows =
        refused.into_iter().map(|(place, why)| vec![Cell::toned(place, Tone::Warn), why.into()]).collect();
    document.section("What is not used", [Block::Table(rows)]);
    if !learned.is_empty() {
        document.section("Next", [Block::List(next(args))]);
    }
    document
}

fn next(args: &Args) -> Vec<Cell> {
    match &args.into {
        None => vec!["write it: `-o calibration.toml`".into()],
        Some(into) => vec![
            format!("in a plan beside it: `use \"{into}\"`").into(),
            format!("at once: `capstan estimate MODEL --on ACCELERATOR --calibration {into}`").into(),
        ],
    }
}

fn curve_title(args: &Args) -> String {
    format!("{}: an efficiency of the catalog is refitted", args.file)
}

fn curves(rows: &[(String, String, f64, f64)]) -> Table {
    let mut table = Table::new(&["what", "now", ">error before", ">after"]);
    for (name, now, before, after) in rows {
        let cells = [name.as_str().into(), now.as_str().into(), figure::percent(*before).into()];
        table.rows.push(cells.into_iter().chain([figure::percent(*after).into()]).collect());
    }
    table
}

fn unused(refused: &[(usize, String)], lines: &[u64]) -> Vec<(String, String)> {
    let place = |index: usize| lines.get(index).map_or(String::new(), |line| format!("line {line}"));
    refused.iter().map(|(index, why)| (place(*index), why.clone())).collect()
}

fn title(args: &Args, rows: usize, refused: usize, found: usize, what: &str) -> String {
    let ending = if found == 1 { "" } else { "s" };
    format!("{}: {} of {rows} measurements used, {found} {what}{ending}", args.file, rows - refused)
}

fn training(read: &Trained) -> Table {
    let mut table = Table::new(&["job", ">points", ">correction", ">error before", ">after", ">90 % within"]);
    for TrainedJob { row, rows, before, after } in &read.jobs {
        table.rows.push(vec![
            row.stratum.as_str().into(),
            rows.to_string().into(),
            format!("× {:.3}", (row.low * row.high).sqrt()).into(),
            figure::percent(*before).into(),
            after.map_or("needs 2 points".into(), |after| figure::percent(after).into()),
            format!("× {:.2}", (row.high / row.low).sqrt()).into(),
        ]);
    }
    table
}

/// Rows with one reason stand together; more lines than these are counted.
const SHOWN_LINES: usize = 6;

fn refusals(all: &[Shown], row: &str) -> Vec<(String, String)> {
    let mut by_reason: Vec<(&str, Vec<u64>)> = Vec::new();
    for refused in all {
        match by_reason.iter_mut().find(|(reason, _)| *reason == refused.reason) {
            Some((_, lines)) => lines.push(refused.line),
            None => by_reason.push((&refused.reason, vec![refused.line])),
        }
    }
    let told = |(reason, lines): (&str, Vec<u64>)| {
        let mut shown: Vec<String> = lines.iter().take(SHOWN_LINES).map(u64::to_string).collect();
        if lines.len() > SHOWN_LINES {
            shown.push(format!("and {} more", lines.len() - SHOWN_LINES));
        }
        (format!("{row} {}", shown.join(", ")), reason.to_owned())
    };
    by_reason.into_iter().map(told).collect()
}

fn serving(read: &Calibrated) -> Table {
    let mut table = Table::new(&["configuration", "", ">points", ">error before", ">after", ">90 % within"]);
    for ((row, tpot), ttft) in read.calibrations.iter().zip(&read.tpot).zip(&read.ttft) {
        let mut name = configuration(row);
        for (what, checked, factor) in
            [("TPOT", tpot, middle(row, calibrate::tpot)), ("TTFT", ttft, middle(row, calibrate::ttft))]
        {
            if checked.rows > 0 {
                table.rows.push(line(std::mem::take(&mut name), what, *checked, factor));
            }
        }
    }
    table
}

fn line(name: String, what: &str, checked: Checked, factor: Option<Factor>) -> Vec<Cell> {
    vec![
        name.into(),
        what.into(),
        checked.rows.to_string().into(),
        figure::percent(checked.before).into(),
        checked.after.map_or("needs 3 points".into(), |after| figure::percent(after).into()),
        factor.map_or(String::new(), |factor| format!("× {:.2}", factor.width)).into(),
    ]
}

fn configuration(row: &Calibration) -> String {
    format!(
        "{} {}, {} {}, {}, {}",
        row.model,
        row.accelerator,
        row.engine,
        row.engine_version,
        row.precision.word(),
        row.degrees.words()
    )
}

/// Returns the correction in the middle of what was measured.
fn middle(row: &Calibration, factor: fn(&Calibration, calibrate::At) -> Option<Factor>) -> Option<Factor> {
    let mut points: Vec<_> = row.points.iter().collect();
    points.sort_by_key(|point| (point.concurrency, point.input_tokens, point.output_tokens));
    let point = points.get(points.len() / 2)?;
    let at = (point.concurrency, point.input_tokens, point.output_tokens);
    factor(row, (f64::from(at.0), f64::from(at.1), f64::from(at.2)))
}
