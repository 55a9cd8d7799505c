//! Which requests arrive, and what became of them? The columns of data/vidur-profiles/reference-runs.

use anyhow::{Context, bail, ensure};
use capstan_sim::engine::Time;
use capstan_sim::serving::{Prefixes, Record, Request};
use csv::{ReaderBuilder, StringRecord};
use std::fmt::Write;

/// Columns that must be there.
const INPUT: [&str; 3] = ["arrived_at_s", "num_prefill_tokens", "num_decode_tokens"];

/// Columns that are added.
const ADDED: [&str; 4] = ["scheduled_at_s", "first_token_at_s", "completed_at_s", "num_restarts"];

const SECONDS_PER_DAY: f64 = 86_400.0;

/// Requests in the order of their arrival, which is that of the file.
#[derive(Debug, PartialEq)]
pub struct Trace {
    /// What the simulator gets.
    pub requests: Vec<Request>,
    /// Hashes of prompts, if they are asked for.
    pub prefixes: Option<Prefixes>,
    /// Arrivals as they are written.
    arrivals: Vec<String>,
}

/// The column of hashes: of all tokens up to the end of each block, with blanks between.
const HASHES: &str = "block_hash_ids";

impl Trace {
    /// Reads CSV with a header, and hashes of so many tokens each if there are to be any. Columns that are not needed are not
    /// read. With hashes, requests of one instant are ordered by prompt, then output, as the simulator does.
    pub fn read(bytes: &[u8], hash_tokens: Option<u32>) -> anyhow::Result<Trace> {
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(bytes);
        let header = reader.headers().context("reading the header")?.clone();
        let place = |name: &str| header.iter().position(|column| column.trim() == name);
        let mut places = [0; 3];
        for (index, name) in INPUT.iter().enumerate() {
            places[index] = place(name).with_context(|| format!("there is no column `{name}`"))?;
        }
        let hashed = match hash_tokens {
            Some(_) => Some(place(HASHES).with_context(|| format!("there is no column `{HASHES}`"))?),
            None => None,
        };
        let mut hashes: Vec<Vec<u64>> = Vec::new();
        let mut trace = Trace { requests: Vec::new(), prefixes: None, arrivals: Vec::new() };
        for record in reader.records() {
            let record = record?;
            let line = record.position().map_or(0, csv::Position::line);
            trace.add(&record, places).with_context(|| format!("line {line}"))?;
            if let Some(place) = hashed {
                hashes.push(
                    numbers(record.get(place).unwrap_or_default()).with_context(|| format!("line {line}"))?,
                );
            }
        }
        ensure!(!trace.requests.is_empty(), "there are no requests in it");
        if let Some(tokens) = hash_tokens {
            trace.prefixes = Some(trace.order(tokens, &hashes));
        }
        Ok(trace)
    }

    /// Puts requests in the simulator's order, and their hashes beside them.
    fn order(&mut self, tokens: u32, hashes: &[Vec<u64>]) -> Prefixes {
        let mut order: Vec<usize> = (0..self.requests.len()).collect();
        order.sort_by_key(|&index| self.requests[index]);
        let mut prefixes = Prefixes::new(tokens);
        order.iter().for_each(|&index| prefixes.push(&hashes[index]));
        self.requests.sort();
        prefixes
    }

    fn add(&mut self, record: &StringRecord, places: [usize; 3]) -> anyhow::Result<()> {
        let cell = |index: usize| record.get(places[index]).unwrap_or_default().trim();
        let seconds: f64 = cell(0).parse().with_context(|| format!("`{}` is no time", cell(0)))?;
        ensure!(seconds.is_finite() && seconds >= 0.0, "`{}` is no time from 0 on", cell(0));
        let tokens = |index: usize| {
            let count = cell(index).parse::<u32>().ok().filter(|&count| count > 0);
            count.with_context(|| format!("`{}` of `{}` is no count from 1 on", cell(index), INPUT[index]))
        };
        let request =
            Request { arrival: Time::from_seconds(seconds), prompt: tokens(1)?, output: tokens(2)? };
        ensure!(
            request.arrival < Time::LATEST,
            "it arrives {seconds} s after the start, and {:.0} days are the most that is simulated; times count from the \
             first request, not from a date",
            Time::LATEST.seconds() / SECONDS_PER_DAY
        );
        if self.requests.last().is_some_and(|last| last.arrival > request.arrival) {
            bail!("it arrives before the request above it");
        }
        self.requests.push(request);
        self.arrivals.push(cell(0).to_owned());
        Ok(())
    }

    /// Returns the requests with what became of them; what did not happen is left empty.
    pub fn outcome(&self, records: &[Record]) -> String {
        let mut text = [&INPUT[..], &ADDED[..]].concat().join(",");
        text.push('\n');
        let at = |time: Time| if time == Time::NEVER { String::new() } else { seconds(time) };
        for (arrival, record) in self.arrivals.iter().zip(records) {
            let Record { prompt, output, scheduled, first_token, completed, restarts, .. } = *record;
            let (scheduled, first, completed) = (at(scheduled), at(first_token), at(completed));
            let _ = writeln!(text, "{arrival},{prompt},{output},{scheduled},{first},{completed},{restarts}");
        }
        text
    }
}

fn numbers(cell: &str) -> anyhow::Result<Vec<u64>> {
    let number = |word: &str| {
        word.parse::<u64>().with_context(|| format!("`{word}` of `{HASHES}` is no whole number"))
    };
    cell.split_whitespace().map(number).collect()
}

/// Returns seconds with all nine digits of the nanosecond.
fn seconds(time: Time) -> String {
    format!("{}.{:09}", time.ns() / 1_000_000_000, time.ns() % 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, because: &str) {
        let error = format!("{:#}", Trace::read(text.as_bytes(), None).expect_err("it is refused"));
        assert!(error.contains(because), "{error}");
    }

    #[test]
    fn each_mistake_is_named_with_its_line() {
        let header = "arrived_at_s,num_prefill_tokens,num_decode_tokens\n";
        refused("", "no column `arrived_at_s`");
        refused("arrived_at_s,num_prefill_tokens\n", "no column `num_decode_tokens`");
        refused(header, "no requests");
        refused(&format!("{header}1,2,3\n0.5,2,3\n"), "line 3: it arrives before");
        refused(&format!("{header}-1,2,3\n"), "line 2: `-1` is no time");
        refused(&format!("{header}1,0,3\n"), "line 2: `0` of `num_prefill_tokens`");
        refused(&format!("{header}1,2\n"), "line 2: `` of `num_decode_tokens`");
        refused(&format!("{header}NaN,2,3\n"), "no time from 0 on");
        refused(
            &format!("{header}1700000000,2,3\n"),
            "line 2: it arrives 1700000000 s after the start, and 104 days",
        );
    }

    #[test]
    fn further_columns_and_their_order_do_not_matter() {
        let plain = "arrived_at_s,num_prefill_tokens,num_decode_tokens\n0.5,2,3\n";
        let other = "x,num_decode_tokens,arrived_at_s,num_prefill_tokens\n9,3,0.5,2\n";
        assert_eq!(
            Trace::read(plain.as_bytes(), None).unwrap(),
            Trace::read(other.as_bytes(), None).unwrap()
        );
    }

    #[test]
    fn seconds_keep_every_nanosecond() {
        assert_eq!(seconds(Time::from_ns(1_000_000_001)), "1.000000001");
    }
}
