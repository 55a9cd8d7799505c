//! When do requests come? Open loops that do not care how they are served, a closed loop that does, and traces.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::lengths::Lengths;
use super::prefix::Prefixes;
use super::rate::{Rate, Walk};
use super::request::Request;
use crate::engine::Time;
use crate::random::{Stream, Streams};

/// Where requests come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Workload {
    /// Drawn at a rate.
    Open(OpenLoop),
    /// Clients that wait for their answer.
    Closed(ClosedLoop),
    /// Given. Rows may be in any order; equal times are ordered by prompt, then output.
    Trace(Vec<Request>),
    /// Given by arrival, with the hashes of their prompts, for replicas that keep what they have read.
    Prefixed(Vec<Request>, Prefixes),
}

/// Requests at a rate, whatever becomes of them.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenLoop {
    /// Part of the names of its random streams.
    pub name: String,
    /// Requests per second over time.
    pub rate: Rate,
    /// Coefficient of variation of the gaps at constant rate: 1 is Poisson, above is bursty (gamma), 0 is a metronome.
    pub burstiness: f64,
    /// Tokens.
    pub lengths: Lengths,
    /// Most tokens of a prompt, and of an output.
    pub max_tokens: u32,
    /// Requests come before this instant …
    pub until: Time,
    /// … and are at most this many.
    pub max_requests: u64,
}

/// Clients that send the next request when the last is answered.
#[derive(Debug, Clone, PartialEq)]
pub struct ClosedLoop {
    /// Part of the names of its random streams.
    pub name: String,
    /// Clients; all send their first request at the start.
    pub clients: u32,
    /// Nanoseconds between an answer and the next request.
    pub think_ns: u64,
    /// Tokens.
    pub lengths: Lengths,
    /// Most tokens of a prompt, and of an output.
    pub max_tokens: u32,
    /// Requests of all clients together.
    pub max_requests: u64,
}

/// Most requests of one run that are drawn, whatever is asked: what a machine of 64 GiB holds.
pub const MAX_REQUESTS: u64 = 1 << 28;

impl Workload {
    /// Returns the hashes of its prompts, where they are known.
    pub(crate) fn prefixes(&self) -> Option<&Prefixes> {
        match self {
            Workload::Prefixed(_, prefixes) => Some(prefixes),
            _ => None,
        }
    }

    /// Says whether nothing in it is drawn.
    pub fn is_given(&self) -> bool {
        matches!(self, Workload::Trace(_) | Workload::Prefixed(..))
    }

    /// Returns the requests of one replication, by arrival; those of a closed loop carry the arrival `ZERO`.
    pub fn requests(&self, seed: u64, replication: u32) -> Vec<Request> {
        Source::new(self, seed, replication).collect()
    }
}

/// The requests of one replication, drawn when they are asked for.
#[derive(Debug)]
enum Source<'a> {
    Open { open: &'a OpenLoop, gaps: Stream, tokens: Stream, walk: Walk<'a>, left: u64 },
    Closed { closed: &'a ClosedLoop, tokens: Stream, left: u64 },
    Trace { rows: Cow<'a, [Request]>, next: usize },
}

impl Source<'_> {
    fn new(workload: &Workload, seed: u64, replication: u32) -> Source<'_> {
        let streams = Streams::new(seed);
        let stream = |kind, name| streams.stream(&format!("{kind}/{name}/rep{replication}"));
        match workload {
            Workload::Open(open) => Source::Open {
                open,
                gaps: stream("arrivals", &open.name),
                tokens: stream("lengths", &open.name),
                walk: Walk::new(&open.rate),
                left: open.max_requests.min(MAX_REQUESTS),
            },
            Workload::Closed(closed) => Source::Closed {
                closed,
                tokens: stream("lengths", &closed.name),
                left: closed.max_requests.min(MAX_REQUESTS),
            },
            Workload::Trace(rows) | Workload::Prefixed(rows, _) => {
                let mut rows = Cow::Borrowed(rows.as_slice());
                if !rows.is_sorted() {
                    rows.to_mut().sort_unstable();
                }
                Source::Trace { rows, next: 0 }
            }
        }
    }
}

impl Iterator for Source<'_> {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        match self {
            Source::Open { open, gaps, tokens, walk, left } => {
                *left = left.checked_sub(1)?;
                let arrival = walk.advance(gap(open.burstiness, gaps)).filter(|&at| at < open.until);
                let Some(arrival) = arrival else {
                    *left = 0;
                    return None;
                };
                let (prompt, output) = open.lengths.sample(tokens, open.max_tokens);
                Some(Request { arrival, prompt, output })
            }
            Source::Closed { closed, tokens, left } => {
                *left = left.checked_sub(1)?;
                let (prompt, output) = closed.lengths.sample(tokens, closed.max_tokens);
                Some(Request { arrival: Time::ZERO, prompt, output })
            }
            Source::Trace { rows, next } => {
                *next += 1;
                rows.get(*next - 1).copied()
            }
        }
    }
}

/// Draws a gap of mean 1 with this coefficient of variation.
fn gap(burstiness: f64, stream: &mut Stream) -> f64 {
    if burstiness == 1.0 {
        stream.exponential()
    } else if burstiness > 0.0 {
        let shape = 1.0 / (burstiness * burstiness);
        stream.gamma(shape) / shape
    } else {
        1.0
    }
}

/// The requests of a run, and which comes next.
#[derive(Debug)]
pub(crate) struct Arrivals<'a> {
    source: Source<'a>,
    next: Option<Request>,
    closed: Option<Clients>,
}

/// When clients send: think times are equal, so the instants come in order.
#[derive(Debug)]
struct Clients {
    think_ns: u64,
    due: VecDeque<Time>,
}

impl Arrivals<'_> {
    pub fn new(workload: &Workload, seed: u64, replication: u32) -> Arrivals<'_> {
        let mut source = Source::new(workload, seed, replication);
        let closed = match workload {
            Workload::Closed(closed) => {
                let n_first = closed.max_requests.min(u64::from(closed.clients)) as usize;
                Some(Clients { think_ns: closed.think_ns, due: vec![Time::ZERO; n_first].into() })
            }
            _ => None,
        };
        Arrivals { next: source.next(), source, closed }
    }

    /// Returns when the next request comes.
    pub fn next_time(&self) -> Option<Time> {
        let request = self.next.as_ref()?;
        match &self.closed {
            Some(clients) => clients.due.front().copied(),
            None => Some(request.arrival),
        }
    }

    /// Says whether an answer can bring a request.
    pub fn are_answers_to_answers(&self) -> bool {
        self.closed.is_some()
    }

    /// Takes the next request.
    pub fn take(&mut self) -> Option<Request> {
        let arrival = self.next_time()?;
        let request = Request { arrival, ..self.next? };
        self.next = self.source.next();
        if let Some(clients) = &mut self.closed {
            clients.due.pop_front();
        }
        Some(request)
    }

    /// Tells that a request was answered, or refused, at `now`.
    pub fn answered(&mut self, now: Time) {
        if let Some(clients) = &mut self.closed {
            clients.due.push_back(now.plus(clients.think_ns));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::lengths::Length;

    fn open(rate: Rate, burstiness: f64, until_s: f64) -> Vec<Request> {
        let length = || Length::Fixed(1);
        let lengths = Lengths::Independent { prompt: length(), output: length() };
        let until = Time::from_seconds(until_s);
        let name = "test".to_owned();
        let (max_tokens, max_requests) = (10, u64::MAX);
        Workload::Open(OpenLoop { name, rate, burstiness, lengths, max_tokens, until, max_requests })
            .requests(5, 0)
    }

    /// Mean and squared coefficient of variation of the gaps.
    fn gaps(requests: &[Request]) -> (f64, f64) {
        let gaps: Vec<f64> =
            requests.windows(2).map(|w| w[1].arrival.since(w[0].arrival) as f64 / 1e9).collect();
        let n = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / n;
        (mean, gaps.iter().map(|g| (g - mean) * (g - mean)).sum::<f64>() / n / (mean * mean))
    }

    #[test]
    fn burstiness_is_the_coefficient_of_variation_of_the_gaps() {
        for cv in [0.0, 0.5, 1.0, 2.5] {
            let (mean, square) = gaps(&open(Rate::constant(10.0), cv, 20_000.0));
            assert!((mean * 10.0 - 1.0).abs() < 0.02, "cv {cv}: mean gap {mean}");
            assert!((square - cv * cv).abs() < 0.06 * cv * cv + 1e-9, "cv {cv}: squared variation {square}");
        }
    }

    #[test]
    fn as_many_come_in_each_hour_as_its_rate_says() {
        let rate = Rate::steps(vec![(Time::ZERO, 5.0), (Time::from_seconds(3_600.0), 20.0)]).unwrap();
        let requests = open(rate, 1.0, 7_200.0);
        let first = requests.iter().filter(|r| r.arrival < Time::from_seconds(3_600.0)).count() as f64;
        let second = requests.len() as f64 - first;
        // Poisson counts: within 4 standard deviations.
        assert!((first - 18_000.0).abs() < 4.0 * 134.0, "{first}");
        assert!((second - 72_000.0).abs() < 4.0 * 268.0, "{second}");
    }

    #[test]
    fn a_metronome_on_a_rising_line_follows_the_square_root() {
        // Rate 2 t on [0, 10]: the n-th request comes at √n.
        let rate = Rate::lines(vec![(Time::ZERO, 0.0), (Time::from_seconds(10.0), 20.0)]).unwrap();
        let requests = open(rate, 0.0, 9.999);
        for (index, request) in requests.iter().enumerate() {
            let expect = ((index + 1) as f64).sqrt();
            assert!((request.arrival.seconds() - expect).abs() < 1e-8, "{index}: {}", request.arrival);
        }
        assert_eq!(requests.len(), 99);
    }

    #[test]
    fn no_rate_means_no_requests_and_an_end() {
        assert!(open(Rate::constant(0.0), 1.0, 100.0).is_empty());
    }
}
