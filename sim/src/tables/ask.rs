//! One row, asked for by the names of its columns: what a command says of a single configuration is what a table of such
//! rows says of it, since both go through the same door.

use super::{Interval, Kind, Names, Row, RowError, serving_latency};
use csv::StringRecord;
use std::collections::BTreeMap;

use super::row::Columns;

/// The added cells of one row, by column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Priced {
    cells: BTreeMap<&'static str, String>,
    /// What makes its intervals wider than usual.
    pub because: Vec<String>,
}

impl Priced {
    /// Returns a predicted number; `None` where this kind of table has no such column or leaves it empty.
    pub fn number(&self, column: &str) -> Option<f64> {
        self.text(column)?.parse().ok()
    }

    /// Returns a predicted word.
    pub fn text(&self, column: &str) -> Option<&str> {
        self.cells.get(column).map(String::as_str).filter(|text| !text.is_empty())
    }
}

/// Returns the intervals of times to first token and per output token of a row of `cells`, as multiples of what [`ask`] would
/// predict with [`Kind::ServingLatency`], and nothing is simulated.
///
/// # Errors
/// Why it has none.
pub fn latency_intervals(
    cells: &[(&str, String)],
    names: &Names<'_>,
) -> Result<(Interval, Interval), RowError> {
    let (header, record) = columns(cells);
    let columns = Columns::new(&header);
    serving_latency::intervals(&Row::new(&columns, &record), names)
}

fn columns(cells: &[(&str, String)]) -> (StringRecord, StringRecord) {
    (cells.iter().map(|(column, _)| *column).collect(), cells.iter().map(|(_, cell)| cell.as_str()).collect())
}

/// Prices a row of `cells`, each a column and what stands in it.
///
/// # Errors
/// Why it has no prediction.
pub fn ask(kind: Kind, cells: &[(&str, String)], names: &Names<'_>) -> Result<Priced, RowError> {
    let (header, record) = columns(cells);
    let columns = Columns::new(&header);
    let answer = kind.price(&Row::new(&columns, &record), names)?;
    let added = kind.added().iter().copied();
    Ok(Priced { cells: added.zip(answer.cells).collect(), because: answer.because })
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing;

    #[test]
    fn one_row_says_what_a_table_of_it_says() {
        let catalog = testing::catalog();
        let names = Names::new(&catalog);
        let cells = [
            ("model", "llama-3.1-8b"),
            ("accelerator", "h100"),
            ("engine", "vllm"),
            ("tp", "1"),
            ("input_tokens", "1024"),
            ("output_tokens", "256"),
            ("concurrency", "16"),
        ];
        let cells = cells.map(|(column, cell)| (column, cell.to_owned()));
        let one = ask(Kind::ServingLatency, &cells, &names).unwrap();
        let header: Vec<&str> = cells.iter().map(|(column, _)| *column).collect();
        let row: Vec<&str> = cells.iter().map(|(_, cell)| cell.as_str()).collect();
        let table = format!("{}\n{}\n", header.join(","), row.join(","));
        let mut out = Vec::new();
        super::super::price(Kind::ServingLatency, table.as_bytes(), &catalog, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let tpot = one.text("predicted_tpot_ms").unwrap();
        assert!(out.lines().nth(1).unwrap().contains(&format!(",{tpot},")), "{out}");
        assert!(one.number("ttft_low_ms") < one.number("predicted_ttft_ms"));
        assert_eq!(one.text("rejection"), None);
        // Without its prediction a row has the same interval.
        let (ttft, tpot) = latency_intervals(&cells, &names).unwrap();
        for (end, predicted, written) in [
            (ttft.low, "predicted_ttft_ms", "ttft_low_ms"),
            (ttft.high, "predicted_ttft_ms", "ttft_high_ms"),
            (tpot.low, "predicted_tpot_ms", "tpot_low_ms"),
            (tpot.high, "predicted_tpot_ms", "tpot_high_ms"),
        ] {
            let ratio = one.number(written).unwrap() / one.number(predicted).unwrap();
            assert!((ratio / end - 1.0).abs() < 1e-3, "{written}: {ratio} against {end}");
        }
    }
}
