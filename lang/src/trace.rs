//! What does a request trace say?
//!
//! CSV text in; arrivals, lengths and their statistics out. Columns are found by their names:
//! `arrival_s,input_tokens,output_tokens`, in any order, beside any others; the names of the published
//! Azure traces (`TIMESTAMP,ContextTokens,GeneratedTokens`) are understood as well, and `block_hash_ids`, with blanks between
//! them, where prompts begin alike. Not known here: where
//! the text comes from, and what a plan makes of it.

use std::collections::BTreeMap;

use capstan_types::place::{FileId, Span};
use capstan_types::traffic::Lengths;
use jiff::civil::DateTime;

use crate::check::TraceFacts;
use crate::codes;
use crate::diagnostic::Diagnostic;

mod reuse;

pub use reuse::Hashes;

/// Most mistakes of one kind that are shown with their lines; the others are counted.
const MOST_OF_A_KIND: usize = 3;

/// Window of the busiest rate: LANGUAGE.md speaks of the busiest hour, and published traces last one hour,
/// so that a window of ten minutes is the longest that still finds a peak in them.
const BUSIEST_S: f64 = 600.0;

/// Window within which burstiness is measured, so that the tide of a day does not count as bursts; the
/// statistics of the catalog are taken over the same five minutes.
const BURST_S: f64 = 300.0;

/// Fewest arrivals of a window whose burstiness counts.
const BURST_ARRIVALS: usize = 20;

/// Most tokens of a request; longer is a mistake in the file.
const MOST_TOKENS: u32 = 100_000_000;

/// Longest trace: simulated time counts nanoseconds in 64 bits, and no log lasts a century.
const MOST_SPAN_S: f64 = 100.0 * 365.25 * 86_400.0;

/// Most requests per second that a plan is made for, as in the language.
const MOST_RATE: f64 = 1e6;

/// Names of a column that are understood, the language's own first.
const COLUMNS: [(&str, &[&str]); 3] = [
    ("arrival_s", &["arrival_s", "TIMESTAMP", MILLISECONDS]),
    ("input_tokens", &["input_tokens", "ContextTokens"]),
    ("output_tokens", &["output_tokens", "GeneratedTokens"]),
];

/// The kind of a mistake in the order, of which one says all.
const ORDER: &str = "order";

/// A trace that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// Its statistics.
    pub facts: TraceFacts,
    /// Seconds from the first arrival, rising.
    pub arrivals_s: Vec<f64>,
    /// Prompt tokens of each request.
    pub prompt: Vec<u32>,
    /// Output tokens of each request.
    pub output: Vec<u32>,
    /// Block hashes of each request, where there is a column of them.
    pub hashes: Option<Hashes>,
}

/// Reads a trace. `digest` is the SHA-256 of the file, which whoever read it knows.
pub fn read(file: &FileId, text: &str, digest: &str) -> Result<Trace, Vec<Diagnostic>> {
    let mut reader = Reader { file, diagnostics: Vec::new(), kinds: BTreeMap::new() };
    let mut lines = Lines { text, at: 0 };
    let header = lines.next().unwrap_or((Span::default(), ""));
    let columns = reader.columns(header);
    let mut trace = Rows::default();
    if let Some(columns) = columns {
        trace.hashes = columns.hashes.map(|_| Hashes::default());
        for (span, line) in lines {
            if line.trim().is_empty() {
                continue;
            }
            reader.row(&columns, span, line, &mut trace);
        }
        if reader.diagnostics.is_empty() {
            reader.is_a_stream(&trace);
        }
    }
    if !reader.diagnostics.is_empty() {
        return Err(reader.counted());
    }
    let first = trace.arrivals.first().copied().unwrap_or(0.0);
    trace.arrivals.iter_mut().for_each(|arrival| *arrival -= first);
    let facts = facts(&trace, digest);
    if facts.busiest_requests_per_s > MOST_RATE {
        let message = format!("the trace has {:.1e} requests per second", facts.busiest_requests_per_s);
        let help = "arrivals are seconds: are these another unit, or is their last digit lost?";
        reader.report(codes::TRACE_VALUE, Span::default(), message, help);
        return Err(reader.diagnostics);
    }
    Ok(Trace {
        facts,
        arrivals_s: trace.arrivals,
        prompt: trace.prompt,
        output: trace.output,
        hashes: trace.hashes,
    })
}

#[derive(Default)]
struct Rows {
    arrivals: Vec<f64>,
    prompt: Vec<u32>,
    output: Vec<u32>,
    hashes: Option<Hashes>,
}

/// Where the columns stand.
struct Columns {
    needed: [usize; 3],
    /// Seconds of one unit of an arrival.
    unit_s: f64,
    hashes: Option<usize>,
}

/// The column of hashes.
const HASHES: &str = "block_hash_ids";

/// The name of arrivals in milliseconds, as Mooncake's traces count them.
const MILLISECONDS: &str = "arrival_ms";

/// The lines of a text with their ranges.
struct Lines<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = (Span, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let length = rest.find('\n').unwrap_or(rest.len());
        let line = rest[..length].trim_end_matches('\r');
        let span = Span::new(at(self.at), at(self.at + line.len()));
        self.at += length + 1;
        Some((span, line))
    }
}

/// Places count 32 bits; beyond that a mistake points at the end of what can be counted.
fn at(byte: usize) -> u32 {
    u32::try_from(byte).unwrap_or(u32::MAX)
}

struct Reader<'a> {
    file: &'a FileId,
    diagnostics: Vec<Diagnostic>,
    /// For each kind of mistake of a row: how many there are, and where the last one stands that is shown.
    kinds: BTreeMap<&'static str, (usize, usize)>,
}

impl Reader<'_> {
    fn report(&mut self, code: crate::Code, span: Span, message: String, help: &str) {
        let found = Diagnostic::error(code, span.in_file(self.file), message);
        self.diagnostics.push(found.help(help));
    }

    /// Reports a mistake of a row, where it is among the first of its kind.
    fn report_row(
        &mut self,
        kind: &'static str,
        most: usize,
        code: crate::Code,
        span: Span,
        said: (String, &str),
    ) {
        let (n, last) = self.kinds.entry(kind).or_default();
        *n += 1;
        if *n <= most {
            *last = self.diagnostics.len();
            self.report(code, span, said.0, said.1);
        }
    }

    /// Returns the mistakes; the last that is shown of a kind says how many there are beside those shown.
    fn counted(mut self) -> Vec<Diagnostic> {
        for (kind, (n, last)) in self.kinds {
            let shown = if kind == ORDER { 1 } else { MOST_OF_A_KIND };
            if let (Some(found), Some(more @ 1..)) = (self.diagnostics.get_mut(last), n.checked_sub(shown)) {
                let rows = if more == 1 { "row is" } else { "rows are" };
                found.because.push(format!("{more} more {rows} wrong in the same way"));
            }
        }
        self.diagnostics
    }

    /// Returns where the three columns stand.
    fn columns(&mut self, (span, header): (Span, &str)) -> Option<Columns> {
        let header = header.trim_start_matches('\u{feff}');
        let names: Vec<&str> = header.split(',').map(unquoted).collect();
        let mut found = [0; 3];
        let mut missing = Vec::new();
        for (slot, (name, known)) in found.iter_mut().zip(COLUMNS) {
            match names.iter().position(|column| known.contains(column)) {
                Some(position) => *slot = position,
                None => missing.push(format!("`{name}`")),
            }
        }
        if missing.is_empty() {
            let unit_s = if names[found[0]] == MILLISECONDS { 1e-3 } else { 1.0 };
            let hashes = names.iter().position(|column| *column == HASHES);
            return Some(Columns { needed: found, unit_s, hashes });
        }
        let message = match missing.split_last() {
            Some((last, [])) => format!("the trace has no column {last}"),
            Some((last, others)) => format!("the trace has no columns {} and {last}", others.join(", ")),
            None => String::new(),
        };
        let help = "the first line names the columns: `arrival_s,input_tokens,output_tokens`";
        self.report(codes::TRACE_COLUMNS, span, message, help);
        None
    }

    fn row(&mut self, columns: &Columns, span: Span, line: &str, rows: &mut Rows) {
        let cells: Vec<&str> = line.split(',').map(unquoted).collect();
        let cell = |column: usize| cells.get(columns.needed[column]).copied().unwrap_or("");
        let arrival = self.arrival(cell(0), span).map(|arrival| arrival * columns.unit_s);
        let prompt = self.tokens(cell(1), COLUMNS[1].0, span);
        let output = self.tokens(cell(2), COLUMNS[2].0, span);
        let (Some(arrival), Some(prompt), Some(output)) = (arrival, prompt, output) else { return };
        if let Some(before) = rows.arrivals.last().filter(|before| arrival < **before) {
            let message = format!("a request arrives at {arrival} s, after one at {before} s");
            let said = (message, "sort the rows by their arrival");
            self.report_row(ORDER, 1, codes::TRACE_ORDER, span, said);
            return;
        }
        rows.arrivals.push(arrival);
        rows.prompt.push(prompt);
        rows.output.push(output);
        if let (Some(column), Some(hashes)) = (columns.hashes, &mut rows.hashes) {
            self.hashes(cells.get(column).copied().unwrap_or(""), span, hashes);
        }
    }

    fn hashes(&mut self, cell: &str, span: Span, hashes: &mut Hashes) {
        for word in cell.split_whitespace() {
            match word.parse::<u64>() {
                Ok(hash) => hashes.all.push(hash),
                Err(_) => {
                    let message = format!("`{word}` is no block hash");
                    let said = (message, "hashes are whole numbers with blanks between");
                    self.report_row(HASHES, MOST_OF_A_KIND, codes::TRACE_VALUE, span, said);
                }
            }
        }
        hashes.ends.push(u32::try_from(hashes.all.len()).unwrap_or(u32::MAX));
    }

    fn arrival(&mut self, cell: &str, span: Span) -> Option<f64> {
        let seconds = cell.parse::<f64>().ok().or_else(|| seconds_of(cell));
        let fine = seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
        if fine.is_none() {
            let message = format!("`{cell}` is no arrival");
            let said = (message, "arrivals are seconds from 0 on, such as `12.5`");
            self.report_row("arrival_s", MOST_OF_A_KIND, codes::TRACE_VALUE, span, said);
        }
        fine
    }

    fn tokens(&mut self, cell: &str, name: &'static str, span: Span) -> Option<u32> {
        let tokens = cell.parse::<u32>().ok().filter(|tokens| (1..=MOST_TOKENS).contains(tokens));
        if tokens.is_none() {
            let message = format!("`{cell}` is no count of `{name}`");
            let said = (message, "tokens are whole numbers from 1 on");
            self.report_row(name, MOST_OF_A_KIND, codes::TRACE_VALUE, span, said);
        }
        tokens
    }

    /// A rate needs two requests and time between them.
    fn is_a_stream(&mut self, rows: &Rows) {
        let span = rows.arrivals.last().unwrap_or(&0.0) - rows.arrivals.first().unwrap_or(&0.0);
        if rows.arrivals.len() < 2 || span <= 0.0 {
            let message = format!("the trace has {} requests within {span} s", rows.arrivals.len());
            let help = "rates and lengths are taken from it: it needs requests at different times";
            self.report(codes::TRACE_EMPTY, Span::default(), message, help);
        } else if span > MOST_SPAN_S {
            let message = format!("the trace lasts {span:.1e} s, which is more than a century");
            let help = "arrivals are seconds: are these another unit?";
            self.report(codes::TRACE_VALUE, Span::default(), message, help);
        }
    }
}

fn unquoted(cell: &str) -> &str {
    let cell = cell.trim();
    cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"')).unwrap_or(cell)
}

/// Reads `2023-11-16 18:15:46.6805900` as seconds of the common era.
fn seconds_of(cell: &str) -> Option<f64> {
    let moment: DateTime = cell.parse().ok()?;
    let days = moment.date().since(jiff::civil::date(1, 1, 1)).ok()?.get_days();
    let (hours, minutes) = (f64::from(moment.hour()), f64::from(moment.minute()));
    let seconds = f64::from(moment.second()) + f64::from(moment.subsec_nanosecond()) / 1e9;
    Some(f64::from(days) * 86_400.0 + hours * 3_600.0 + minutes * 60.0 + seconds)
}

fn facts(rows: &Rows, digest: &str) -> TraceFacts {
    let arrivals = &rows.arrivals;
    TraceFacts {
        digest: digest.to_owned(),
        requests: arrivals.len() as u64,
        span_s: arrivals.last().copied().unwrap_or(0.0),
        busiest_requests_per_s: busiest(arrivals),
        prompt: lengths(&rows.prompt),
        output: lengths(&rows.output),
        burstiness: burstiness(arrivals),
        hashes: rows.hashes.as_ref().and_then(|hashes| reuse::facts(hashes, &rows.prompt)),
    }
}

/// Returns the mean rate of the busiest window that begins with an arrival.
fn busiest(arrivals: &[f64]) -> f64 {
    let span = arrivals.last().copied().unwrap_or(0.0);
    let window = BUSIEST_S.min(span);
    let mut most = 0;
    let mut end = 0;
    for (start, first) in arrivals.iter().enumerate() {
        while arrivals.get(end).is_some_and(|arrival| *arrival <= first + window) {
            end += 1;
        }
        most = most.max(end - start);
    }
    most as f64 / window
}

/// Returns every percentile of the counts, and two points of the tail.
fn lengths(counts: &[u32]) -> Lengths {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let last = sorted.len().saturating_sub(1);
    let whole = (0..=99).map(|percent| f64::from(percent) / 100.0);
    let points = whole.chain([0.995, 0.999, 1.0]).map(|probability| {
        let rank = (probability * last as f64).round() as usize;
        (probability, f64::from(sorted.get(rank).copied().unwrap_or(1)))
    });
    let sum: f64 = counts.iter().map(|count| f64::from(*count)).sum();
    Lengths { points: points.collect(), mean: sum / counts.len().max(1) as f64 }
}

/// Returns the median over windows of the coefficient of variation of the time between arrivals; that of
/// the whole trace where it has no window with enough arrivals.
fn burstiness(arrivals: &[f64]) -> f64 {
    let mut each = Vec::new();
    let mut start = 0;
    while start < arrivals.len() {
        let end = start + arrivals[start..].partition_point(|arrival| *arrival < arrivals[start] + BURST_S);
        if end - start >= BURST_ARRIVALS {
            each.extend(variation(&arrivals[start..end]));
        }
        start = end.max(start + 1);
    }
    each.sort_by(f64::total_cmp);
    // Regular to the nanosecond is no stream of requests; the language allows from 0.01 on.
    each.get(each.len() / 2).copied().or_else(|| variation(arrivals)).unwrap_or(1.0).clamp(0.01, 100.0)
}

fn variation(arrivals: &[f64]) -> Option<f64> {
    let gaps: Vec<f64> = arrivals.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let n = gaps.len() as f64;
    let mean = gaps.iter().sum::<f64>() / n;
    let variance = gaps.iter().map(|gap| (gap - mean) * (gap - mean)).sum::<f64>() / n;
    (mean > 0.0).then(|| variance.sqrt() / mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Trace, Vec<String>> {
        read(&FileId::new("log.csv"), text, "d1")
            .map_err(|all| all.into_iter().map(|one| format!("{}: {}", one.code, one.message)).collect())
    }

    #[test]
    fn arrivals_and_lengths_are_read_by_the_names_of_columns() {
        let text = "output_tokens,id,arrival_s,input_tokens\n7,a,10,100\n9,b,12.5,300\n";
        let trace = read_text(text).expect("a trace");
        assert_eq!(trace.arrivals_s, [0.0, 2.5]);
        assert_eq!((trace.prompt, trace.output), (vec![100, 300], vec![7, 9]));
        assert_eq!((trace.facts.requests, trace.facts.span_s), (2, 2.5));
        assert_eq!(trace.facts.prompt.mean, 200.0);
        assert_eq!(trace.facts.busiest_requests_per_s, 0.8);
    }

    #[test]
    fn the_columns_of_the_azure_traces_are_understood() {
        let text = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 23:59:59.5000000,374,44\r\n\
                    2023-11-17 00:00:01.0000000,396,109\r\n";
        let trace = read_text(text).expect("a trace");
        // Seconds of the common era are counted in steps of about 10 microseconds in a double.
        assert!((trace.arrivals_s[1] - 1.5).abs() < 1e-4, "{:?}", trace.arrivals_s);
        assert_eq!(trace.output, [44, 109]);
    }

    #[test]
    fn the_busiest_ten_minutes_are_found() {
        let slow = (0..100).map(|i| format!("{},10,10\n", i * 60));
        let fast = (0..1200).map(|i| format!("{},10,10\n", 6000.0 + f64::from(i) / 2.0));
        let text: String = ["arrival_s,input_tokens,output_tokens\n".to_owned()]
            .into_iter()
            .chain(slow)
            .chain(fast)
            .collect();
        let busiest = read_text(&text).expect("a trace").facts.busiest_requests_per_s;
        assert!((busiest - 2.0).abs() < 0.01, "{busiest}");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let head = "arrival_s,input_tokens,output_tokens\n";
        assert_eq!(
            read_text("arrival_s,tokens\n1,2\n").expect_err("columns"),
            ["E0503: the trace has no columns `input_tokens` and `output_tokens`"]
        );
        assert_eq!(read_text("").expect_err("nothing").len(), 1);
        assert_eq!(read_text(head).expect_err("no rows"), ["E0506: the trace has 0 requests within 0 s"]);
        let rows = format!("{head}-1,5,5\n2,0,5\n3,5,x\n4,5,5\n3.5,5,5\nNaN,1,1\n");
        assert_eq!(
            read_text(&rows).expect_err("values"),
            [
                "E0504: `-1` is no arrival",
                "E0504: `0` is no count of `input_tokens`",
                "E0504: `x` is no count of `output_tokens`",
                "E0505: a request arrives at 3.5 s, after one at 4 s",
                "E0504: `NaN` is no arrival"
            ]
        );
        let many = format!("{head}{}", "x,1,1\n".repeat(100));
        let found = read(&FileId::new("log.csv"), &many, "d1").expect_err("many");
        assert_eq!(found.len(), MOST_OF_A_KIND);
        assert_eq!(found[2].because, ["97 more rows are wrong in the same way"]);
        let unsorted: String = (0..50).rev().map(|second| format!("{second},1,1\n")).collect();
        let found = read(&FileId::new("log.csv"), &format!("{head}{unsorted}"), "d1").expect_err("order");
        assert_eq!(
            (found.len(), &found[0].because[..]),
            (1, &["48 more rows are wrong in the same way".to_owned()][..])
        );
    }

    #[test]
    fn a_rate_or_a_length_that_no_log_has_is_another_unit() {
        let head = "arrival_s,input_tokens,output_tokens\n";
        for (rows, code) in [
            ("0,1,1\n1e-300,1,1\n", "E0504"),
            ("0,1,1\n1e12,1,1\n", "E0504"),
            ("0,1,1\n1e400,1,1\n", "E0504"),
        ] {
            let found = read_text(&format!("{head}{rows}")).expect_err("another unit");
            assert_eq!((found.len(), &found[0][..5]), (1, code), "{found:?}");
        }
    }

    #[test]
    fn a_regular_stream_is_not_bursty() {
        let rows: String = (0..1000).map(|i| format!("{i},10,10\n")).collect();
        let trace = read_text(&format!("arrival_s,input_tokens,output_tokens\n{rows}")).expect("a trace");
        assert_eq!(trace.facts.burstiness, 0.01);
    }
}
