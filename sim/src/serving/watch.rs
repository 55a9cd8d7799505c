//! How did it go over time, and how long did users wait between two tokens? What a run shows to somebody who watches.

use super::probe::{Probe, StepSeen};
use super::request::{Outcome, Record};
use super::stats::{Distribution, Window};
use crate::engine::Time;

/// Most steps that are kept for a trace; a trace of more opens in no viewer.
pub const MOST_STEPS_KEPT: usize = 200_000;

/// Who watches one run: time between tokens in a window, queues and machines over time, and the steps if wanted.
#[derive(Debug, Clone)]
pub struct Watch {
    window: Window,
    /// By replica: when the sequences that run got their last token, and how many, the newest last.
    last_tokens: Vec<Vec<(Time, u32)>>,
    /// Nanoseconds between two tokens, and of how many sequences.
    gaps: Vec<(u64, u32)>,
    /// Tokens that come together; see [`Watch::in_bursts`].
    burst: f64,
    /// By replica: how many of these have been written since the last came out.
    written: Vec<f64>,
    /// Over time.
    pub timeline: Timeline,
    /// The first steps, where they are wanted.
    pub steps: Option<Vec<StepSeen>>,
}

impl Watch {
    /// Returns a watch that has seen nothing. Time is divided into `slices` up to `until`.
    pub fn new(n_replicas: u32, window: Window, until: Time, slices: usize) -> Watch {
        Watch {
            window,
            last_tokens: vec![Vec::new(); n_replicas as usize],
            gaps: Vec::new(),
            burst: 1.0,
            written: vec![0.0; n_replicas as usize],
            timeline: Timeline::new(n_replicas, until, slices),
            steps: None,
        }
    }

    /// Returns a watch to which so many tokens come together, on average: those that one verification lets pass. The
    /// simulator's steps write one token each, so the last of so many steps brings all of them, and the others none.
    pub fn in_bursts(self, tokens: f64) -> Watch {
        Watch { burst: tokens.max(1.0), ..self }
    }

    /// Sees a request that has left.
    pub fn record(&mut self, record: &Record) {
        self.timeline.add(record);
    }

    /// Returns the time between two tokens of a request, over all tokens of the window.
    pub fn itl(&mut self) -> Option<Distribution> {
        self.gaps.sort_unstable();
        Distribution::of_weighted(&self.gaps)
    }

    /// Finds out when the sequences that decode in a step got their token before: those that came last did so at the end of
    /// their prompt, the others at the end of the decode step before. Exact but for requests of one token, and for how many
    /// tokens each verification lets pass.
    fn count_gaps(&mut self, seen: &StepSeen) {
        let counts = self.window.from <= seen.end && seen.end < self.window.until;
        let groups = &mut self.last_tokens[seen.replica as usize];
        let (mut left, first_tokens) = (seen.batch.decodes, seen.batch.first_tokens);
        if left > 0 {
            let written = &mut self.written[seen.replica as usize];
            *written += 1.0;
            if *written < self.burst {
                if counts {
                    self.gaps.push((0, left));
                }
                left = 0;
            } else {
                *written -= self.burst;
            }
        }
        let comes = left;
        while left > 0 {
            let Some((at, n)) = groups.pop() else { break };
            let n = n.min(left);
            left -= n;
            if counts {
                self.gaps.push((seen.end.since(at), n));
            }
        }
        if comes > 0 {
            groups.clear();
        }
        if comes + first_tokens > 0 {
            groups.push((seen.end, comes + first_tokens));
        }
    }
}

impl Probe for Watch {
    const WATCHES: bool = true;

    fn step(&mut self, seen: &StepSeen) {
        self.count_gaps(seen);
        self.timeline.step(seen);
        if let Some(steps) = self.steps.as_mut().filter(|steps| steps.len() < MOST_STEPS_KEPT) {
            steps.push(*seen);
        }
    }
}

/// One slice of time, in means over it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slice {
    /// When it begins.
    pub from: Time,
    /// Requests not yet scheduled, of all replicas.
    pub waiting: f64,
    /// Requests scheduled and not complete, of all replicas.
    pub running: f64,
    /// Share of the time in which a replica ran a step, mean over replicas.
    pub utilisation: f64,
    /// Share of the cache in use while steps ran, in blocks of a replica: to be divided by the blocks it has.
    pub blocks_used: f64,
    /// Requests that arrived.
    pub arrived: u64,
    /// Requests that completed.
    pub completed: u64,
}

/// Queues and machines over time.
#[derive(Debug, Clone)]
pub struct Timeline {
    n_replicas: u32,
    slice_ns: u64,
    sums: Vec<Sums>,
}

/// Nanoseconds times something, in one slice.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    waiting: u128,
    running: u128,
    busy: u128,
    blocks: u128,
    arrived: u64,
    completed: u64,
}

impl Timeline {
    fn new(n_replicas: u32, until: Time, slices: usize) -> Timeline {
        let slices = slices.max(1);
        let slice_ns = until.min(Time::LATEST).ns().div_ceil(slices as u64).max(1);
        Timeline { n_replicas, slice_ns, sums: vec![Sums::default(); slices] }
    }

    /// Calls `add` with each slice between two instants, and how many nanoseconds of it lie there.
    fn spread(&mut self, from: Time, to: Time, mut add: impl FnMut(&mut Sums, u128)) {
        let mut at = from.ns();
        while at < to.ns() {
            let index = at / self.slice_ns;
            let Some(sums) = self.sums.get_mut(index as usize) else { return };
            let end = to.ns().min((index + 1) * self.slice_ns);
            add(sums, u128::from(end - at));
            at = end;
        }
    }

    fn step(&mut self, seen: &StepSeen) {
        let blocks = u128::from(seen.blocks_used);
        self.spread(seen.start, seen.end, |sums, ns| {
            sums.busy += ns;
            sums.blocks += ns * blocks;
        });
    }

    fn add(&mut self, record: &Record) {
        if let Some(sums) = self.sums.get_mut((record.arrival.ns() / self.slice_ns) as usize) {
            sums.arrived += 1;
        }
        if matches!(record.outcome, Outcome::Rejected(_) | Outcome::Lost) {
            return;
        }
        if let Some(sums) = self.sums.get_mut((record.completed.ns() / self.slice_ns) as usize) {
            sums.completed += 1;
        }
        self.spread(record.arrival, record.scheduled, |sums, ns| sums.waiting += ns);
        if record.scheduled != Time::NEVER {
            self.spread(record.scheduled, record.completed, |sums, ns| sums.running += ns);
        }
    }

    /// Returns the slices, in order.
    pub fn slices(&self) -> Vec<Slice> {
        let mean = |sum: u128| sum as f64 / self.slice_ns as f64;
        let slice = |(index, sums): (usize, &Sums)| Slice {
            from: Time::from_ns(index as u64 * self.slice_ns),
            waiting: mean(sums.waiting),
            running: mean(sums.running),
            utilisation: mean(sums.busy) / f64::from(self.n_replicas),
            blocks_used: if sums.busy > 0 { sums.blocks as f64 / sums.busy as f64 } else { 0.0 },
            arrived: sums.arrived,
            completed: sums.completed,
        };
        self.sums.iter().enumerate().map(slice).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::{KvCache, Request, ServingConfig, StepTable, Trial, Workload, simulate_watched};

    /// A step of 10 ns whatever it does.
    fn watched(config: &ServingConfig, requests: Vec<Request>, until_ns: u64, slices: usize) -> Watch {
        let step = StepTable { by_tokens: vec![10.0, 10.0], ..StepTable::default() };
        let workload = Workload::Trace(requests);
        let trial = Trial::of(config, &workload, 1, 0);
        let mut watch = Watch::new(config.n_replicas, Window::ALL, Time::from_ns(until_ns), slices);
        let mut records = Vec::new();
        let mut log = |_: u64, record: &Record| records.push(*record);
        simulate_watched(&trial, &step, &mut log, &mut watch).unwrap();
        records.iter().for_each(|record| watch.record(record));
        watch
    }

    fn request(at_ns: u64, prompt: u32, output: u32) -> Request {
        Request { arrival: Time::from_ns(at_ns), prompt, output }
    }

    #[test]
    fn tokens_come_a_step_apart_and_a_prompt_first_scheduler_makes_them_wait() {
        let kv = KvCache::new(100);
        let chunked = ServingConfig::chunked(64, 8, kv);
        let requests = || vec![request(0, 16, 4), request(15, 16, 3)];
        let itl = watched(&chunked, requests(), 100, 1).itl().unwrap();
        // Five tokens after the first ones, each a step after the one before.
        assert_eq!((itl.n, itl.p50_ns, itl.max_ns), (5, 10.0, 10.0));
        let prompts_first = ServingConfig {
            scheduler: crate::serving::Scheduler::PrefillFirst { token_budget: 64 },
            ..chunked
        };
        let itl = watched(&prompts_first, requests(), 100, 1).itl().unwrap();
        assert_eq!((itl.n, itl.p50_ns, itl.max_ns), (5, 10.0, 20.0));
    }

    #[test]
    fn tokens_that_are_verified_together_come_together() {
        let step = StepTable { by_tokens: vec![10.0, 10.0], ..StepTable::default() };
        let config = ServingConfig::chunked(64, 8, KvCache::new(100));
        let workload = Workload::Trace(vec![request(0, 16, 101)]);
        let gaps = |tokens: f64| {
            let mut watch = Watch::new(1, Window::ALL, Time::from_ns(1), 1).in_bursts(tokens);
            let trial = Trial::of(&config, &workload, 1, 0);
            simulate_watched(&trial, &step, &mut |_, _| (), &mut watch).unwrap();
            watch.itl().unwrap()
        };
        // A hundred tokens after the first, a step of 10 ns for each: as much time in all, however they come.
        for (tokens, p50_ns, max_ns) in [(1.0, 10.0, 10.0), (4.0, 0.0, 40.0), (2.5, 0.0, 30.0)] {
            let itl = gaps(tokens);
            assert_eq!((itl.n, itl.mean_ns, itl.p50_ns, itl.max_ns), (100, 10.0, p50_ns, max_ns), "{tokens}");
        }
    }

    #[test]
    fn slices_hold_what_waited_ran_and_was_busy() {
        let config = ServingConfig::chunked(64, 1, KvCache::new(100));
        // The first runs from 0 to 20, the second waits from 5 to 20 and runs to 30.
        let watch = watched(&config, vec![request(0, 16, 2), request(5, 32, 1)], 40, 4);
        let slices = watch.timeline.slices();
        let part = |part: fn(&Slice) -> f64| slices.iter().map(part).collect::<Vec<f64>>();
        assert_eq!(part(|slice| slice.waiting), [0.5, 1.0, 0.0, 0.0]);
        assert_eq!(part(|slice| slice.running), [1.0, 1.0, 1.0, 0.0]);
        assert_eq!(part(|slice| slice.utilisation), [1.0, 1.0, 1.0, 0.0]);
        assert_eq!(part(|slice| slice.blocks_used), [1.0, 2.0, 2.0, 0.0]);
        assert_eq!(part(|slice| slice.arrived as f64), [2.0, 0.0, 0.0, 0.0]);
        assert_eq!(part(|slice| slice.completed as f64), [0.0, 0.0, 1.0, 1.0]);
    }
}
