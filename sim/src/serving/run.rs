//! What happens, from the first arrival to the last token? The loop over all replicas, and its checks.
//!
//! At one instant, in this order: steps end, requests arrive and are routed, steps start. So a request that arrives when
//! a step ends is seen by the next step.

use super::arrivals::{Arrivals, Workload};
use super::config::{ConfigError, ServingConfig};
use super::pipeline::Pipeline;
use super::replica::{MAX_LEAP, Replica, Server, Work};
use super::request::{Job, Outcome, Record};
use super::router::Routing;
use super::step::StepTime;
use crate::engine::{Agenda, Time};

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Every request was completed or rejected.
    Drained,
    /// The instant `until` of the configuration, or [`Time::LATEST`], was reached.
    Until,
    /// The bound on events was reached; what is reported is incomplete.
    MaxEvents,
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

/// Runs one replication to its end.
///
/// The same arguments give the same result on every machine. Panics only if the simulator itself is wrong.
pub fn simulate<S: StepTime + ?Sized>(
    config: &ServingConfig,
    step: &S,
    workload: &Workload,
    seed: u64,
    replication: u32,
) -> Result<RunResult, ConfigError> {
    config.validate()?;
    let arrivals = Arrivals::new(workload, seed, replication);
    if config.n_stages == 1 {
        let replica = Replica::new(config, MAX_LEAP);
        Ok(Fleet::new(config, step, arrivals, replica).run())
    } else {
        let pipeline = Pipeline::new(config.scheduler, config.n_stages, config.max_sequences, config.kv);
        Ok(Fleet::new(config, step, arrivals, pipeline).run())
    }
}

/// All replicas of a run.
struct Fleet<'a, S: ?Sized, R> {
    config: &'a ServingConfig,
    step: &'a S,
    arrivals: Arrivals,
    jobs: Vec<Job>,
    servers: Vec<R>,
    outstanding: Vec<u32>,
    agenda: Agenda,
    routing: Routing,
    now: Time,
    events: u64,
    n_outstanding: u64,
    outstanding_ns: u128,
    /// Replicas at which something may start at this instant.
    touched: Vec<u32>,
    /// Requests completed at this instant.
    done: Vec<u32>,
}

impl<'a, S: StepTime + ?Sized, R: Server + Clone> Fleet<'a, S, R> {
    fn new(config: &'a ServingConfig, step: &'a S, arrivals: Arrivals, server: R) -> Self {
        let n = config.n_replicas as usize;
        Fleet {
            config,
            step,
            jobs: Vec::with_capacity(arrivals.len()),
            arrivals,
            servers: vec![server; n],
            outstanding: vec![0; n],
            agenda: Agenda::new(n),
            routing: Routing::new(config.router, config.n_replicas),
            now: Time::ZERO,
            events: 0,
            n_outstanding: 0,
            outstanding_ns: 0,
            touched: Vec::new(),
            done: Vec::new(),
        }
    }

    fn run(mut self) -> RunResult {
        let until = self.config.until.min(Time::LATEST);
        let stop = loop {
            let next = match (self.agenda.next_time(), self.arrivals.next_time()) {
                (Some(end), Some(arrival)) => end.min(arrival),
                (Some(only), None) | (None, Some(only)) => only,
                (None, None) => break Stop::Drained,
            };
            if next > until {
                break Stop::Until;
            }
            if self.events >= self.config.max_events {
                break Stop::MaxEvents;
            }
            assert!(next >= self.now, "time went back from {} to {next}", self.now);
            self.outstanding_ns += u128::from(self.n_outstanding) * u128::from(next.since(self.now));
            self.now = next;
            self.end_steps();
            self.take_arrivals();
            self.start_steps();
        };
        self.conclude(stop)
    }

    fn end_steps(&mut self) {
        while self.agenda.next_time() == Some(self.now) {
            let Some((_, replica)) = self.agenda.pop() else { break };
            self.events += self.servers[replica as usize].finish(self.now, &mut self.jobs, &mut self.done);
            self.outstanding[replica as usize] -= self.done.len() as u32;
            self.n_outstanding -= self.done.len() as u64;
            for _ in self.done.drain(..) {
                self.arrivals.answered(self.now);
            }
            self.touched.push(replica);
            self.observe(replica);
        }
    }

    fn take_arrivals(&mut self) {
        // A closed loop of rejected requests never moves time, so the bound on events is checked here too.
        while self.arrivals.next_time() == Some(self.now) && self.events < self.config.max_events {
            let Some(request) = self.arrivals.take() else { break };
            self.events += 1;
            let mut job = Job::new(request);
            if let Some(reject) = self.config.rejects(&request) {
                job.record.outcome = Outcome::Rejected(reject);
                self.jobs.push(job);
                self.arrivals.answered(self.now);
                continue;
            }
            let replica = self.routing.pick();
            job.record.replica = replica;
            let id = u32::try_from(self.jobs.len()).expect("MAX_REQUESTS is below 2³²");
            self.jobs.push(job);
            let server = &mut self.servers[replica as usize];
            if server.enqueue(id, self.now) || server.may_start() {
                self.touched.push(replica);
            }
            self.outstanding[replica as usize] += 1;
            self.n_outstanding += 1;
            self.observe(replica);
        }
    }

    fn start_steps(&mut self) {
        for index in 0..self.touched.len() {
            let replica = self.touched[index];
            let server = &mut self.servers[replica as usize];
            server.start(self.now, self.step, &mut self.jobs);
            if let Some(end) = server.next_end() {
                self.agenda.schedule(replica, end);
            }
            self.observe(replica);
        }
        self.touched.clear();
    }

    fn observe(&mut self, replica: u32) {
        let index = replica as usize;
        self.routing.observe(replica, self.outstanding[index], self.servers[index].n_waiting());
    }

    /// Checks that nothing was lost, and returns what happened.
    fn conclude(mut self, stop: Stop) -> RunResult {
        let limit = if stop == Stop::Until { self.config.until.min(Time::LATEST) } else { self.now };
        for server in &mut self.servers {
            let (n_steps, end) = server.settle(limit);
            self.events += n_steps;
            self.outstanding_ns += u128::from(self.n_outstanding) * u128::from(end.since(self.now));
            self.now = self.now.max(end);
        }
        let work: Vec<Work> = self.servers.iter().map(Server::work).collect();
        check_conservation(&self.jobs, &self.servers, &work);
        if stop == Stop::Drained {
            assert_eq!(self.n_outstanding, 0, "requests are left, and nothing will ever happen");
            assert!(self.servers.iter().all(|server| server.blocks_used() == 0), "blocks are held by nobody");
        }
        RunResult {
            records: self.jobs.iter().map(|job| job.record).collect(),
            replicas: work,
            stop,
            end: self.now,
            events: self.events,
            outstanding_ns: self.outstanding_ns,
        }
    }
}

/// Invariant: every token computed is in a completed request, in one in flight, or was discarded by a preemption; every
/// token delivered was asked for; and each request's instants are in order.
fn check_conservation<R: Server>(jobs: &[Job], servers: &[R], work: &[Work]) {
    let (mut delivered, mut kept) = (0u64, 0u64);
    for job in jobs {
        let record = &job.record;
        match record.outcome {
            Outcome::Completed => {
                let in_order = record.arrival <= record.scheduled
                    && record.scheduled <= record.first_token
                    && record.first_token <= record.completed
                    && record.completed != Time::NEVER;
                assert!(in_order, "a request ended before it began: {record:?}");
                delivered += u64::from(record.output);
                kept += u64::from(record.prompt) + u64::from(record.output) - 1;
            }
            Outcome::InFlight => {
                assert_eq!(record.completed, Time::NEVER, "complete and in flight: {record:?}");
                let (output, in_cache) = servers[record.replica as usize].progress(job);
                delivered += output;
                kept += in_cache;
            }
            Outcome::Rejected(_) => {
                assert_eq!(record.scheduled, Time::NEVER, "rejected and scheduled: {record:?}")
            }
        }
    }
    let total = |part: fn(&Work) -> u64| work.iter().map(part).sum::<u64>();
    let computed = total(|w| w.prefill_tokens) + total(|w| w.decode_tokens);
    assert_eq!(computed, kept + total(|w| w.discarded_tokens), "tokens were lost or made from nothing");
    assert_eq!(total(|w| w.output_tokens), delivered, "output tokens were lost or made from nothing");
}

#[cfg(test)]
mod tests {
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
            (40u32..130).prop_map(|token_budget| Scheduler::InFlight { token_budget }),
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

    fn with_leaps(config: &ServingConfig, trace: &Workload, max_leap: usize) -> RunResult {
        let replica = Replica::new(config, max_leap);
        Fleet::new(config, &step(), Arrivals::new(trace, 1, 0), replica).run()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        /// Every instant, count and sum is the same, also of a run that is stopped within a leap.
        #[test]
        fn leaping_equals_single_steps((config, trace) in cases(), stop_ns in 0u64..400_000) {
            let stopped = ServingConfig { until: Time::from_ns(stop_ns), ..config };
            for config in [config, stopped] {
                let mut leaping = with_leaps(&config, &trace, MAX_LEAP);
                leaping.replicas.iter_mut().for_each(|work| work.leapt_iterations = 0);
                prop_assert_eq!(with_leaps(&config, &trace, 1), leaping);
            }
        }

        /// The pipeline touches every request in every step; with one stage it is the replica that counts rounds.
        #[test]
        fn a_pipeline_of_one_stage_is_a_replica((config, trace) in cases()) {
            let config = ServingConfig { visibility_steps: 0, reserved_output_per_mille: 0, ..config };
            prop_assume!(ServingConfig { n_stages: 2, max_sequences: 2, ..config }.validate().is_ok());
            let replica = with_leaps(&config, &trace, MAX_LEAP);
            let pipeline = Pipeline::new(config.scheduler, 1, config.max_sequences, config.kv);
            let pipeline = Fleet::new(&config, &step(), Arrivals::new(&trace, 1, 0), pipeline).run();
            prop_assert_eq!(&replica.records, &pipeline.records);
            prop_assert_eq!(replica.outstanding_ns, pipeline.outstanding_ns);
            let numbers = |work: &Work| (work.iterations, work.discarded_tokens, work.busy_ns, work.kv_peak_blocks);
            for (replica, pipeline) in replica.replicas.iter().zip(&pipeline.replicas) {
                prop_assert_eq!(numbers(replica), numbers(pipeline));
            }
        }
    }
}
