//! What happens when prompts are read on some replicas and answers are written on others? First one group, then the network,
//! then the other: nothing that the second does changes what the first sees, so one after the other is exact.
//!
//! A prompt's cache goes over as soon as its first token is there; all transfers share the network max-min fairly, and none
//! is faster than a replica's own end of it. The writing replica gets the request when all of it is there, and runs the first
//! token itself, as engines do. It knows no transfer layer by layer, which would hide a part of it.

use super::arrivals::Workload;
use super::autoscale::Pipe;
use super::config::{ConfigError, ServingConfig};
use super::prefix::Beginnings;
use super::probe::Unwatched;
use super::request::{Outcome, Record, Request};
use super::run::{Stop, Trial, simulate_watched};
use super::step::StepTime;
use super::work::Work;
use crate::engine::{Link, Time};

/// Two groups of replicas and the network between them.
#[derive(Debug, Clone, Copy)]
pub struct Tandem<'a> {
    /// Those that read prompts.
    pub readers: &'a ServingConfig,
    /// Those that write answers.
    pub writers: &'a ServingConfig,
    /// Bytes per second between them: of all, and of one transfer.
    pub network: Pipe,
    /// Bytes of cache of one token.
    pub token_bytes: f64,
    /// What arrives; clients that wait for answers are not simulated so.
    pub workload: &'a Workload,
    /// How prompts begin alike, where the workload does not say it with hashes.
    pub beginnings: Option<Beginnings>,
    /// Seed of every random stream.
    pub seed: u64,
    /// Which replication.
    pub replication: u32,
}

/// What happened, but for the requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TandemTotals {
    /// What each reading replica did.
    pub readers: Vec<Work>,
    /// What each writing replica did.
    pub writers: Vec<Work>,
    /// Why it ended: the worse of both.
    pub stop: Stop,
    /// When the last event was.
    pub end: Time,
    /// Prompts that went over.
    pub transfers: u64,
    /// Σ over them of nanoseconds on the way.
    pub transfer_ns: u128,
}

/// Runs one replication and hands out each record, by number.
///
/// # Errors
/// As [`simulate_watched`].
pub fn simulate_tandem<R: StepTime + ?Sized, W: StepTime + ?Sized>(
    tandem: &Tandem<'_>,
    (read, write): (&R, &W),
    log: &mut dyn FnMut(u64, &Record),
) -> Result<TandemTotals, ConfigError> {
    let mut requests = tandem.workload.requests(tandem.seed, tandem.replication);
    requests.sort_unstable();
    let (seen, first) =
        run(tandem, tandem.readers, read, reading(tandem.workload, &requests), tandem.beginnings)?;
    let (over, transfer_ns) = transfer(tandem, &requests, &seen);
    let rows = over.iter().map(|&(at, number)| {
        let Request { prompt, output, .. } = requests[number];
        Request { arrival: at, prompt: prompt + 1, output: output - 1 }
    });
    // The simulator orders rows, so each is found again by its place in that order.
    let mut rows: Vec<(Request, usize)> = rows.zip(over.iter().map(|&(_, number)| number)).collect();
    rows.sort_unstable();
    let trace = Workload::Trace(rows.iter().map(|(row, _)| *row).collect());
    let (written, second) = run(tandem, tandem.writers, write, trace, None)?;
    let mut later: Vec<Option<Record>> = vec![None; requests.len()];
    for ((_, number), record) in rows.iter().zip(written) {
        later[*number] = record;
    }
    for (number, request) in requests.iter().enumerate() {
        if let Some(record) = &seen[number] {
            log(number as u64, &joined(request, record, later[number].as_ref()));
        }
    }
    Ok(TandemTotals {
        readers: first.replicas,
        writers: second.replicas,
        stop: if first.stop == Stop::Drained { second.stop } else { first.stop },
        end: first.end.max(second.end),
        transfers: over.len() as u64,
        transfer_ns,
    })
}

/// Returns the requests as those who read prompts see them: with one token to write.
fn reading(workload: &Workload, requests: &[Request]) -> Workload {
    let rows = requests.iter().map(|request| Request { output: request.output.min(1), ..*request }).collect();
    match workload {
        Workload::Prefixed(_, prefixes) => Workload::Prefixed(rows, prefixes.clone()),
        _ => Workload::Trace(rows),
    }
}

/// Records by number, as far as they are known, and totals.
type Ran = (Vec<Option<Record>>, super::run::RunTotals);

fn run<S: StepTime + ?Sized>(
    tandem: &Tandem<'_>,
    config: &ServingConfig,
    step: &S,
    workload: Workload,
    beginnings: Option<Beginnings>,
) -> Result<Ran, ConfigError> {
    let trial = Trial { beginnings, ..Trial::of(config, &workload, tandem.seed, tandem.replication) };
    let n = match &workload {
        Workload::Trace(rows) | Workload::Prefixed(rows, _) => rows.len(),
        Workload::Open(_) | Workload::Closed(_) => 0,
    };
    let mut records = vec![None; n];
    let mut keep = |number: u64, record: &Record| records[number as usize] = Some(*record);
    let totals = simulate_watched(&trial, step, &mut keep, &mut Unwatched)?;
    Ok((records, totals))
}

/// Returns when each prompt whose answer goes on is there, and the nanoseconds that all of them were on the way.
fn transfer(
    tandem: &Tandem<'_>,
    requests: &[Request],
    seen: &[Option<Record>],
) -> (Vec<(Time, usize)>, u128) {
    let read = seen.iter().enumerate().filter_map(|(number, record)| {
        let record = record.filter(|record| record.outcome == Outcome::Completed)?;
        (requests[number].output > 1).then_some((record.completed, number))
    });
    let mut waiting: Vec<(Time, usize)> = read.collect();
    waiting.sort_unstable();
    let mut link = Link::new(tandem.network.shared);
    let (mut there, mut on_the_way) = (Vec::with_capacity(waiting.len()), 0);
    let mut next = waiting.iter().peekable();
    loop {
        let begins = next.peek().map(|(at, _)| *at);
        let ends = link.next_end();
        let Some(now) = [begins, ends].into_iter().flatten().min() else { break };
        for source in link.take_ended(now) {
            let number = source as usize;
            on_the_way += seen[number].map_or(0, |record| u128::from(now.since(record.completed)));
            there.push((now, number));
        }
        while let Some((_, number)) = next.next_if(|(at, _)| *at == now) {
            let bytes = tandem.token_bytes * f64::from(requests[*number].prompt);
            link.begin(now, *number as u32, bytes, tandem.network.own);
        }
    }
    (there, on_the_way)
}

/// Returns what became of a request that was read, and then written.
fn joined(request: &Request, read: &Record, written: Option<&Record>) -> Record {
    let whole = Record { output: request.output, ..*read };
    match written {
        Some(written) => Record {
            completed: written.completed,
            replica: written.replica,
            restarts: read.restarts + written.restarts,
            outcome: written.outcome,
            ..whole
        },
        // What never got over is still on its way.
        None if read.outcome == Outcome::Completed && request.output > 1 => {
            Record { completed: Time::NEVER, outcome: Outcome::InFlight, ..whole }
        }
        None => whole,
    }
}
