//! Streams of requests.

use capstan_types::catalog::Catalog;
use capstan_types::origin::Provenance;
use capstan_types::quantity::Dimension;
use capstan_types::traffic::{Lengths, Traffic};

use super::super::cell::{Cell, Read};
use super::super::row::{Field, Row, identifier, may, need, record};
use super::nowhere;

/// How far the printed mean may lie from the one that the quantiles give.
const MEAN_TOLERANCE: f64 = 0.05;

const LENGTHS: [Field<Lengths>; 2] = [
    need("quantiles", |row, cell| points(cell).map(|points| row.points = points)),
    may("mean", |row, cell| cell.positive(Dimension::TOKENS).map(|mean| row.mean = mean)),
];

/// Reads `[[0, 3], [0.5, 1020], [1, 14050]]`: shares of requests and tokens, both rising.
fn points(cell: Cell<'_>) -> Read<Vec<(f64, f64)>> {
    let help = "pairs of share and tokens that rise, from `[0, …]` to `[1, …]`";
    let mut points: Vec<(f64, f64)> = Vec::new();
    for item in cell.items()? {
        let [share, tokens] = item.items()?[..] else {
            return item.wrong("a pair belongs here", help);
        };
        let point = (share.share()?, tokens.number()?);
        if points.last().is_some_and(|last| point.0 <= last.0 || point.1 < last.1) {
            return item.wrong("this pair does not rise above the one before", help);
        }
        points.push(point);
    }
    match (points.first(), points.last()) {
        (Some(&(0.0, _)), Some(&(1.0, most))) if points.len() >= 2 && most > 0.0 => Ok(points),
        _ => cell.wrong("the quantiles do not go from 0 to 1", help),
    }
}

fn lengths(cell: Cell<'_>) -> Read<Lengths> {
    let mut lengths = record(cell, None, Lengths { points: Vec::new(), mean: 0.0 }, &LENGTHS)?;
    let sampled = lengths.sampled_mean();
    if lengths.mean == 0.0 {
        lengths.mean = sampled;
    }
    if (sampled / lengths.mean - 1.0).abs() > MEAN_TOLERANCE {
        return cell.wrong(
            format!("the quantiles have a mean of {sampled:.1}, but `mean` says {:.1}", lengths.mean),
            "add quantiles where the distribution bends, or leave `mean` out",
        );
    }
    Ok(lengths)
}

impl Row for Traffic {
    const KIND: &'static str = "traffic";
    const KEYS: &'static [&'static str] = &["id"];
    const FIELDS: &'static [Field<Self>] = &[
        need("id", |row, cell| identifier(cell).map(|id| row.id = id)),
        need("names", |row, cell| cell.texts().map(|names| row.names = names)),
        need("prompt", |row, cell| lengths(cell).map(|lengths| row.prompt = lengths)),
        need("output", |row, cell| lengths(cell).map(|lengths| row.output = lengths)),
        need("burstiness", |row, cell| cell.number().map(|number| row.burstiness = number)),
        may("peak_to_mean", |row, cell| match cell.number()? {
            ratio if ratio >= 1.0 => {
                row.peak_to_mean = Some(ratio);
                Ok(())
            }
            _ => cell.wrong("a peak is not below its mean", "write a number of 1 or more"),
        }),
    ];

    fn blank() -> Self {
        Traffic {
            id: String::new(),
            names: Vec::new(),
            prompt: Lengths::fixed(0.0),
            output: Lengths::fixed(0.0),
            burstiness: 1.0,
            peak_to_mean: None,
            provenance: nowhere(),
        }
    }

    fn key(&self) -> String {
        self.id.clone()
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn provenance(&mut self) -> &mut Provenance {
        &mut self.provenance
    }

    fn list(catalog: &mut Catalog) -> &mut Vec<Self> {
        &mut catalog.traffic
    }
}
