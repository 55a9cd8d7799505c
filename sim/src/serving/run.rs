//! What happens, from the first arrival to the last token? The loop over all replicas, and its checks.
//!
//! At one instant, in this order: steps end, requests arrive and are routed, steps start. So a request that arrives when
//! a step ends is seen by the next step.

use super::arrivals::{Arrivals, Workload};
use super::autoscale::Autoscaler;
use super::config::{ConfigError, ServingConfig};
use super::pipeline::Pipeline;
use super::prefix::{Hashes, Prefixes};
use super::probe::{Probe, StepSeen, Unwatched};
use super::replica::{MAX_LEAP, Replica};
use super::request::{Job, Jobs, Outcome, Record, Reject};
use super::router::{Load, Routing};
use super::server::Server;
use super::step::StepTime;
use super::work::Work;
use crate::engine::{Agenda, Time};
use crate::random::{Stream, Streams};

mod faults;
mod scaling;
mod trial;

pub use faults::{Effect, Fault, Interrupted};
use faults::{Pace, Turn};
pub use scaling::Scaled;
use scaling::Scaling;
pub use trial::Trial;

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Every request was completed, rejected or lost.
    Drained,
    /// The instant `until` of the configuration, or [`Time::LATEST`], was reached.
    Until,
    /// The bound on events was reached; what is reported is incomplete.
    MaxEvents,
    /// Whoever watches wanted no more; what is reported is incomplete.
    Interrupted,
}

/// What happened in one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunResult {
    /// Every request that arrived, in order of arrival.
    pub records: Vec<Record>,
    /// What each replica did.
    pub replicas: Vec<Work>,
    /// Why it ended.
    pub stop: Stop,
    /// When the last event was.
    pub end: Time,
    /// Arrivals and ends of steps.
    pub events: u64,
    /// Σ over time of nanoseconds × requests not yet complete: the left side of Little's law.
    pub outstanding_ns: u128,
}

/// What happened in one run, but for its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunTotals {
    /// Requests that arrived.
    pub requests: u64,
    /// Most requests that were neither complete nor rejected at one instant.
    pub most_outstanding: u64,
    /// What each replica did.
    pub replicas: Vec<Work>,
    /// Why it ended.
    pub stop: Stop,
    /// When the last event was.
    pub end: Time,
    /// Arrivals and ends of steps.
    pub events: u64,
    /// How often a replica was given its next event, which is what a run costs; steps that are jumped over are free.
    pub scheduled: u64,
    /// Σ over time of nanoseconds × requests not yet complete: the left side of Little's law.
    pub outstanding_ns: u128,
    /// What an autoscaler did, where there is one.
    pub scaled: Option<Scaled>,
}

/// Runs one replication to its end and keeps every record.
///
/// The same arguments give the same result on every machine. Panics only if the simulator itself is wrong.
pub fn simulate<S: StepTime + ?Sized>(
    config: &ServingConfig,
    step: &S,
    workload: &Workload,
    seed: u64,
    replication: u32,
) -> Result<RunResult, ConfigError> {
    let mut records: Vec<Option<Record>> = Vec::new();
    let mut keep = |number: u64, record: &Record| {
        let number = number as usize;
        if records.len() <= number {
            records.resize(number + 1, None);
        }
        let earlier = records[number].replace(*record);
        assert_eq!(earlier, None, "request {number} left twice");
    };
    let totals = simulate_into(config, step, workload, seed, replication, &mut keep)?;
    let RunTotals { replicas, stop, end, events, outstanding_ns, .. } = totals;
    let records = records.into_iter().collect::<Option<Vec<Record>>>().expect("every request leaves");
    Ok(RunResult { records, replicas, stop, end, events, outstanding_ns })
}

/// Runs one replication to its end and hands out each record when its request leaves, so that nothing is kept but what
/// is in flight.
///
/// `log` gets how many requests arrived before it, and the record: in order of completion, those of one instant in no
/// order that means anything; at the end what is still in flight, by arrival. Otherwise as [`simulate`].
pub fn simulate_into<S: StepTime + ?Sized>(
    config: &ServingConfig,
    step: &S,
    workload: &Workload,
    seed: u64,
    replication: u32,
    log: &mut dyn FnMut(u64, &Record),
) -> Result<RunTotals, ConfigError> {
    let trial = Trial::of(config, workload, seed, replication);
    simulate_watched(&trial, step, log, &mut Unwatched)
}

/// As [`simulate_into`], with replicas that fail, before the eyes of `probe`.
pub fn simulate_watched<S: StepTime + ?Sized, P: Probe>(
    trial: &Trial<'_>,
    step: &S,
    log: &mut dyn FnMut(u64, &Record),
    probe: &mut P,
) -> Result<RunTotals, ConfigError> {
    let Trial { config, workload, seed, replication, .. } = *trial;
    config.validate()?;
    config.validate_workload(workload, trial.beginnings.as_ref())?;
    trial.autoscaler.map_or(Ok(()), |scaler| scaler.validate(config.n_replicas))?;
    let drawn = trial.beginnings.map(|beginnings| Prefixes::drawn(beginnings, seed, replication));
    let prefixes = workload.prefixes().or(drawn.as_ref());
    let draws = Streams::new(seed).stream(&format!("router/rep{replication}"));
    let arrivals = Arrivals::new(workload, seed, replication);
    let scene = Scene { arrivals, faults: trial.faults, autoscaler: trial.autoscaler, draws, prefixes };
    if config.n_stages == 1 {
        let max_leap = if P::WATCHES { 1 } else { MAX_LEAP };
        let replica = || Replica::new(config, max_leap, prefixes);
        Ok(Fleet::new(config, step, scene, replica, log, probe).run())
    } else {
        let pipeline = || Pipeline::new(config.scheduler, config.n_stages, config.max_sequences, config.kv);
        Ok(Fleet::new(config, step, scene, pipeline, log, probe).run())
    }
}

/// What happens to a fleet from outside, and what it draws.
struct Scene<'a> {
    arrivals: Arrivals<'a>,
    faults: &'a [Fault],
    autoscaler: Option<&'a Autoscaler>,
    draws: Stream,
    prefixes: Option<&'a Prefixes>,
}

/// All replicas of a run.
struct Fleet<'a, S: ?Sized, R, P> {
    config: &'a ServingConfig,
    step: &'a S,
    arrivals: Arrivals<'a>,
    log: &'a mut dyn FnMut(u64, &Record),
    probe: &'a mut P,
    jobs: Jobs,
    n_arrived: u64,
    tokens: Tokens,
    servers: Vec<R>,
    loads: Vec<Load>,
    agenda: Agenda,
    routing: Routing,
    now: Time,
    events: u64,
    n_outstanding: u64,
    most_outstanding: u64,
    outstanding_ns: u128,
    /// Replicas at which something may start at this instant.
    touched: Vec<u32>,
    /// Requests completed at this instant.
    done: Vec<u32>,
    prefixes: Option<&'a Prefixes>,
    turns: Vec<Turn>,
    next_turn: usize,
    /// Requests that no replica lives for.
    homeless: Vec<u32>,
    /// Replicas that have failed and are not back.
    down: Vec<bool>,
    /// How slow replicas are, where any ever is.
    paces: Vec<Pace>,
    scaling: Option<Scaling<'a>>,
}

impl<'a, S: StepTime + ?Sized, R: Server, P: Probe> Fleet<'a, S, R, P> {
    fn new(
        config: &'a ServingConfig,
        step: &'a S,
        scene: Scene<'a>,
        server: impl Fn() -> R,
        log: &'a mut dyn FnMut(u64, &Record),
        probe: &'a mut P,
    ) -> Self {
        let Scene { arrivals, faults, autoscaler, draws, prefixes } = scene;
        let n = config.n_replicas as usize;
        let mut routing = Routing::new(config.router, config.n_replicas, draws);
        let off = autoscaler.map_or(config.n_replicas, |scaler| scaler.initial)..config.n_replicas;
        for replica in off {
            routing.fail(replica);
        }
        Fleet {
            config,
            step,
            arrivals,
            log,
            probe,
            jobs: Jobs::default(),
            n_arrived: 0,
            tokens: Tokens::default(),
            servers: (0..n).map(|_| server()).collect(),
            loads: vec![Load::default(); n],
            agenda: Agenda::new(n),
            routing,
            now: Time::ZERO,
            events: 0,
            n_outstanding: 0,
            most_outstanding: 0,
            outstanding_ns: 0,
            touched: Vec::new(),
            done: Vec::new(),
            prefixes,
            turns: faults::turns(faults, config.n_replicas),
            next_turn: 0,
            homeless: Vec::new(),
            down: vec![false; n],
            paces: faults::paces(faults, n),
            scaling: autoscaler.map(|scaler| Scaling::new(scaler, config.n_replicas)),
        }
    }

    fn run(mut self) -> RunTotals {
        let until = self.config.until.min(Time::LATEST);
        let stop = loop {
            let next =
                [self.agenda.next_time(), self.arrivals.next_time(), self.next_turn(), self.next_scaling()];
            let Some(next) = next.into_iter().fold(None, earlier) else {
                // Where clients wait for answers, giving up brings their next requests.
                if self.give_up_homeless() {
                    continue;
                }
                break Stop::Drained;
            };
            if next > until {
                break Stop::Until;
            }
            if self.events >= self.config.max_events {
                break Stop::MaxEvents;
            }
            if P::WATCHES && self.probe.stops() {
                break Stop::Interrupted;
            }
            assert!(next >= self.now, "time went back from {} to {next}", self.now);
            self.outstanding_ns += u128::from(self.n_outstanding) * u128::from(next.since(self.now));
            self.now = next;
            self.end_steps();
            self.take_turns();
            self.scale();
            self.take_arrivals();
            self.start_steps();
        };
        self.conclude(stop)
    }

    fn end_steps(&mut self) {
        // Where nothing can arrive at this instant, a replica goes on at once, and its event is moved, not taken and given.
        let nothing_comes = !self.arrivals.are_answers_to_answers()
            && self.arrivals.next_time() != Some(self.now)
            && self.turns.get(self.next_turn).is_none_or(|turn| turn.at != self.now)
            && self.next_scaling() != Some(self.now);
        while self.agenda.next_time() == Some(self.now) && self.events < self.config.max_events {
            let Some(replica) = self.agenda.next_source() else { break };
            if P::WATCHES {
                self.watch(replica);
            }
            if let Some(next) = self.agenda.next_source_but(replica) {
                self.servers[next as usize].touch();
            }
            self.events +=
                self.servers[replica as usize].finish(self.now, &mut self.jobs.places, &mut self.done);
            self.let_go(replica);
            if nothing_comes {
                self.start(replica);
            } else {
                self.agenda.cancel(replica);
                self.touched.push(replica);
                self.observe(replica);
            }
        }
    }

    fn watch(&mut self, replica: u32) {
        let server = &self.servers[replica as usize];
        if let Some((start, end, batch)) = server.running() {
            let (blocks_used, waiting) = (server.blocks_used(), server.n_waiting());
            self.probe.step(&StepSeen { replica, start, end, batch, blocks_used, waiting });
        }
    }

    /// Hands out the records of the requests that are complete.
    fn let_go(&mut self, replica: u32) {
        let load = &mut self.loads[replica as usize];
        load.outstanding -= self.done.len() as u32;
        self.n_outstanding -= self.done.len() as u64;
        for id in self.done.drain(..) {
            let job = &self.jobs.places[id as usize];
            load.prompt_tokens -= u64::from(job.prompt);
            let record = job.record(self.now, Outcome::Completed, self.config);
            self.tokens.count_completed(&record);
            (self.log)(u64::from(job.number), &record);
            self.jobs.leave(id);
            self.arrivals.answered(self.now);
        }
        if let Some(scaling) = self.scaling.as_mut().filter(|_| self.loads[replica as usize].outstanding == 0)
        {
            scaling.is_empty(replica, self.now);
        }
    }

    fn take_arrivals(&mut self) {
        // A closed loop of rejected requests never moves time, so the bound on events is checked here too.
        while self.arrivals.next_time() == Some(self.now) && self.events < self.config.max_events {
            let Some(request) = self.arrivals.take() else { break };
            self.events += 1;
            let number = u32::try_from(self.n_arrived).expect("MAX_REQUESTS is below 2³²");
            self.n_arrived += 1;
            if let Some(reject) = self.config.rejects(&request) {
                let job = Job::new(number, request, 0);
                let record = job.record(Time::NEVER, Outcome::Rejected(reject), self.config);
                (self.log)(u64::from(number), &record);
                self.tokens.n_left += 1;
                self.arrivals.answered(self.now);
                continue;
            }
            let id = self.jobs.enter(Job::new(number, request, 0));
            self.n_outstanding += 1;
            self.most_outstanding = self.most_outstanding.max(self.n_outstanding);
            self.send(id);
        }
    }

    /// Sends a request to a replica that lives; where none does, it waits for one.
    fn send(&mut self, id: u32) {
        let job = &self.jobs.places[id as usize];
        let number = job.number;
        let hashes = self.prefixes.map_or(Hashes::NONE, |all| all.of(number, job.prompt));
        let Some(replica) = self.routing.pick_for(hashes) else { return self.homeless.push(id) };
        if self.servers[replica as usize].n_waiting() >= self.config.most_before(number) {
            return self.leave(id, Outcome::Rejected(Reject::Queue));
        }
        self.jobs.places[id as usize].replica = replica;
        let changes = if self.paces.is_empty() {
            self.servers[replica as usize].enqueue(id, self.now, self.step)
        } else {
            let step = self.paces[replica as usize].of(self.step);
            self.servers[replica as usize].enqueue(id, self.now, &step)
        };
        if changes || self.servers[replica as usize].may_start() {
            self.touched.push(replica);
        }
        let load = &mut self.loads[replica as usize];
        load.outstanding += 1;
        load.prompt_tokens += u64::from(self.jobs.places[id as usize].prompt);
        self.observe(replica);
    }

    fn start_steps(&mut self) {
        for index in 0..self.touched.len() {
            self.start(self.touched[index]);
        }
        self.touched.clear();
    }

    /// Starts what can start at a replica now.
    fn start(&mut self, replica: u32) {
        if self.paces.is_empty() {
            self.servers[replica as usize].start(self.now, self.step, &mut self.jobs.places);
        } else {
            self.start_at_pace(replica);
        }
        let server = &mut self.servers[replica as usize];
        match server.next_end() {
            Some(end) => self.agenda.schedule(replica, end),
            None => self.agenda.cancel(replica),
        }
        self.observe(replica);
    }

    fn observe(&mut self, replica: u32) {
        let load = &mut self.loads[replica as usize];
        load.waiting = self.servers[replica as usize].n_waiting();
        self.routing.observe(replica, *load);
    }

    /// Checks that nothing was lost, and returns what happened.
    fn conclude(mut self, stop: Stop) -> RunTotals {
        let limit = if stop == Stop::Until { self.config.until.min(Time::LATEST) } else { self.now };
        for replica in 0..self.servers.len() {
            let (n_steps, end) = self.settle(replica as u32, limit);
            self.events += n_steps;
            self.outstanding_ns += u128::from(self.n_outstanding) * u128::from(end.since(self.now));
            self.now = self.now.max(end);
        }
        let work: Vec<Work> = self.servers.iter().map(Server::work).collect();
        for job in self.jobs.by_arrival() {
            self.tokens.count_in_flight(self.servers[job.replica as usize].progress(job));
            (self.log)(u64::from(job.number), &job.record(Time::NEVER, Outcome::InFlight, self.config));
        }
        assert_eq!(self.tokens.n_left, self.n_arrived, "requests were lost or served twice");
        self.tokens.check(&work);
        if stop == Stop::Drained {
            assert_eq!(self.n_outstanding, 0, "requests are left, and nothing will ever happen");
            assert!(self.servers.iter().all(|server| server.blocks_used() == 0), "blocks are held by nobody");
        }
        RunTotals {
            requests: self.n_arrived,
            most_outstanding: self.most_outstanding,
            replicas: work,
            stop,
            end: self.now,
            events: self.events,
            scheduled: self.agenda.n_scheduled(),
            outstanding_ns: self.outstanding_ns,
            scaled: self.scaling.map(|scaling| scaling.conclude(self.now)),
        }
    }
}

/// Returns the earlier of two instants that may never come.
fn earlier(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}

/// What requests took with them when they left, for the balance at the end.
#[derive(Debug, Default)]
struct Tokens {
    n_left: u64,
    delivered: u64,
    kept: u64,
    /// What was computed for requests whose replica failed.
    thrown_away: u64,
}

impl Tokens {
    fn count_completed(&mut self, record: &Record) {
        let in_order = record.arrival <= record.scheduled
            && record.scheduled <= record.first_token
            && record.first_token <= record.completed
            && record.completed != Time::NEVER;
        assert!(in_order, "a request ended before it began: {record:?}");
        self.n_left += 1;
        self.delivered += u64::from(record.output);
        self.kept += u64::from(record.prompt) + u64::from(record.output) - 1;
    }

    fn count_in_flight(&mut self, (output, in_cache): (u64, u64)) {
        self.n_left += 1;
        self.delivered += output;
        self.kept += in_cache;
    }

    fn count_thrown_away(&mut self, (output, in_cache): (u64, u64)) {
        self.delivered += output;
        self.thrown_away += in_cache;
    }

    /// Invariant: every token computed, or found computed, is in a completed request, in one in flight, was discarded by a preemption or lost
    /// with its replica, and every token delivered was asked for.
    fn check(&self, work: &[Work]) {
        let total = |part: fn(&Work) -> u64| work.iter().map(part).sum::<u64>();
        let computed = total(|w| w.prefill_tokens) + total(|w| w.decode_tokens) + total(|w| w.reused_tokens);
        let expect = self.kept + self.thrown_away + total(|w| w.discarded_tokens);
        assert_eq!(computed, expect, "tokens were lost or made from nothing");
        assert_eq!(
            total(|w| w.output_tokens),
            self.delivered,
            "output tokens were lost or made from nothing"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::serving::{Admission, KvCache, Request, Router, Scheduler, StepTable};

    fn step() -> StepTable {
        StepTable { by_tokens: vec![0.0, 900.37, 1_000.91], per_decode_kv: 0.37, ..StepTable::default() }
    }

    fn schedulers() -> impl Strategy<Value = Scheduler> {
        prop_oneof![
            (12u32..90).prop_map(|token_budget| Scheduler::Chunked {
                token_budget,
                admission: Admission::ChunkFits
            }),
            (1u32..90).prop_map(|chunk| Scheduler::Sarathi { chunk }),
            (40u32..130).prop_map(|padded_tokens| Scheduler::WholePrompts { padded_tokens }),
            (12u32..90).prop_map(|token_budget| Scheduler::PrefillFirst { token_budget }),
            (40u32..130, 1u32..4)
                .prop_map(|(token_budget, groups)| Scheduler::InFlight { token_budget, groups }),
            (0u64..30_000).prop_map(|queue_delay_ns| Scheduler::Static { queue_delay_ns }),
        ]
    }

    prop_compose! {
        fn cases()(
            rows in prop::collection::vec((0u64..90_000, 1u32..60, 1u32..60), 1..60),
            scheduler in schedulers(),
            (max_sequences, n_replicas) in (1u32..12, 1u32..4),
            (blocks, block_tokens, watermark_blocks) in (10u32..60, 1u32..9, 0u32..3),
            (visibility_steps, reserved) in (0u32..3, prop_oneof![Just(0), Just(600), Just(1_000)]),
        ) -> (ServingConfig, Workload) {
            let kv = KvCache { blocks, block_tokens, watermark_blocks };
            let router = Router::LeastOutstanding;
            let base = ServingConfig::chunked(12, max_sequences, kv);
            let row = |(at, prompt, output)| Request { arrival: Time::from_ns(at), prompt, output };
            let trace = Workload::Trace(rows.into_iter().map(row).collect());
            let base = ServingConfig { visibility_steps, reserved_output_per_mille: reserved, ..base };
            (ServingConfig { scheduler, n_replicas, router, ..base }, trace)
        }
    }

    fn serve<R: Server>(
        config: &ServingConfig,
        trace: &Workload,
        server: impl Fn() -> R,
    ) -> (BTreeMap<u64, Record>, RunTotals) {
        let mut records = BTreeMap::new();
        let mut log = |number, record: &Record| assert!(records.insert(number, *record).is_none());
        let draws = Streams::new(1).stream("router");
        let arrivals = Arrivals::new(trace, 1, 0);
        let scene = Scene { arrivals, faults: &[], autoscaler: None, draws, prefixes: None };
        let totals = Fleet::new(config, &step(), scene, server, &mut log, &mut Unwatched).run();
        (records, totals)
    }

    fn with_leaps(
        config: &ServingConfig,
        trace: &Workload,
        max_leap: u32,
    ) -> (BTreeMap<u64, Record>, RunTotals) {
        serve(config, trace, || Replica::new(config, max_leap, None))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        /// Every instant, count and sum is the same, also of a run that is stopped within a leap.
        #[test]
        fn leaping_equals_single_steps((config, trace) in cases(), stop_ns in 0u64..400_000) {
            let stopped = ServingConfig { until: Time::from_ns(stop_ns), ..config };
            for config in [config, stopped] {
                let mut leaping = with_leaps(&config, &trace, MAX_LEAP);
                leaping.1.replicas.iter_mut().for_each(|work| work.leapt_iterations = 0);
                let mut stepping = with_leaps(&config, &trace, 1);
                stepping.1.scheduled = leaping.1.scheduled;
                prop_assert_eq!(stepping, leaping);
            }
        }

        /// The pipeline touches every request in every step; with one stage it is the replica that counts rounds.
        #[test]
        fn a_pipeline_of_one_stage_is_a_replica((config, trace) in cases()) {
            let config = ServingConfig { visibility_steps: 0, reserved_output_per_mille: 0, ..config };
            let scheduler = match config.scheduler {
                known @ (Scheduler::Sarathi { .. } | Scheduler::WholePrompts { .. }) => known,
                other => Scheduler::Sarathi { chunk: other.step_tokens().min(100) },
            };
            let config = ServingConfig { scheduler, ..config };
            let replica = with_leaps(&config, &trace, MAX_LEAP);
            let pipeline = || Pipeline::new(config.scheduler, 1, config.max_sequences, config.kv);
            let pipeline = serve(&config, &trace, pipeline);
            prop_assert_eq!(&replica.0, &pipeline.0);
            prop_assert_eq!(replica.1.outstanding_ns, pipeline.1.outstanding_ns);
            let numbers = |work: &Work| (work.iterations, work.discarded_tokens, work.busy_ns, work.kv_peak_blocks);
            for (replica, pipeline) in replica.1.replicas.iter().zip(&pipeline.1.replicas) {
                prop_assert_eq!(numbers(replica), numbers(pipeline));
            }
        }
    }
}
