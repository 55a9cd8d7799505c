//! Vidur's own event loop, written down naively: a heap of (time, number of the event), schedulers that touch every
//! request. On any requests the simulator must give the same instants, replicas, steps and restarts.
//!
//! Times are multiples of 1/1024 ns, which both keep exactly, so that equal is equal; where an arrival and an end of a step lie
//! within one nanosecond, their order may differ, and if it does other requests are tried. Rules: vidur/simulator.py,
//! vidur/events/*, vidur/scheduler/*, and for preemption data/vidur-profiles/README.md, "Rules for other set-ups".

use std::collections::{BTreeMap, VecDeque};

use capstan_sim::engine::Time;
use capstan_sim::serving::{
    Batch, KvCache, Request, Router, RunResult, Scheduler, ServingConfig, StepTable, StepTime, Workload,
    simulate,
};
use proptest::prelude::*;

/// `vidur/entities/request.py`.
#[derive(Clone, Copy)]
struct Asked {
    arrived: f64,
    prefill: u32,
    total: u32,
    processed: u32,
    prefill_complete: bool,
    scheduled: Option<f64>,
    first_token: Option<f64>,
    completed: Option<f64>,
    restarts: u32,
    replica: usize,
}

#[derive(Clone, Default)]
struct Group {
    members: Vec<(usize, u32)>,
    batch: Batch,
}

enum Event {
    Arrival(usize),
    Route,
    Form(usize),
    StageArrival(usize, usize, Group),
    StageStart(usize, usize),
    StageEnd(usize, usize, Group),
    BatchEnd(usize, Group),
}

#[derive(Default)]
struct Stage {
    busy: bool,
    queue: VecDeque<Group>,
}

/// `vidur/scheduler/replica_scheduler/`.
struct Replica {
    waiting: VecDeque<usize>,
    /// Vidur's `_preempted_requests`: those that hold blocks and are in no batch.
    eligible: Vec<usize>,
    held: BTreeMap<usize, u32>,
    running_batches: usize,
    stages: Vec<Stage>,
    iterations: u64,
}

struct Vidur<'a> {
    config: ServingConfig,
    step: &'a StepTable,
    requests: Vec<Asked>,
    routed: VecDeque<usize>,
    replicas: Vec<Replica>,
    heap: BTreeMap<(u64, u64), Event>,
    n_events: u64,
    /// Whether a step ended less than a nanosecond after an arrival. Here that comes later; the simulator's events are whole
    /// nanoseconds, and both are one instant.
    is_closer_than_an_event: bool,
    turn: usize,
}

impl Vidur<'_> {
    fn push(&mut self, time: f64, event: Event) {
        // Not negative, so their bits are in the order of the numbers.
        self.heap.insert((time.to_bits(), self.n_events), event);
        self.n_events += 1;
    }

    fn run(mut self) -> Self {
        for id in 0..self.requests.len() {
            self.push(self.requests[id].arrived, Event::Arrival(id));
        }
        while let Some(((bits, _), event)) = self.heap.pop_first() {
            self.take(f64::from_bits(bits), event);
        }
        self
    }

    fn take(&mut self, now: f64, event: Event) {
        match event {
            Event::Arrival(id) => {
                self.routed.push_back(id);
                self.push(now, Event::Route);
            }
            Event::Route => {
                let mut touched = std::collections::BTreeSet::new();
                while let Some(id) = self.routed.pop_front() {
                    let replica = self.route();
                    self.requests[id].replica = replica;
                    self.replicas[replica].waiting.push_back(id);
                    touched.insert(replica);
                }
                touched.into_iter().for_each(|replica| self.push(now, Event::Form(replica)));
            }
            Event::Form(replica) => {
                let mut formed = Vec::new();
                while self.replicas[replica].running_batches < self.config.n_stages as usize {
                    let Some(group) = self.next_batch(replica) else { break };
                    formed.push(group);
                    self.replicas[replica].running_batches += 1;
                }
                for group in formed {
                    for &(id, _) in &group.members {
                        let request = &mut self.requests[id];
                        request.scheduled = request.scheduled.or(Some(now));
                    }
                    self.push(now, Event::StageArrival(replica, 0, group));
                }
            }
            Event::StageArrival(replica, stage, group) => {
                self.replicas[replica].stages[stage].queue.push_back(group);
                self.push(now, Event::StageStart(replica, stage));
            }
            Event::StageStart(replica, stage) => {
                let place = &mut self.replicas[replica].stages[stage];
                if !place.busy
                    && let Some(group) = place.queue.pop_front()
                {
                    place.busy = true;
                    let ns = self.step.nanoseconds(&group.batch);
                    self.push(now + ns, Event::StageEnd(replica, stage, group));
                }
            }
            Event::StageEnd(replica, stage, group) => {
                self.is_closer_than_an_event |=
                    now.fract() != 0.0 && self.requests.iter().any(|request| request.arrived == now.floor());
                self.replicas[replica].stages[stage].busy = false;
                self.push(now, Event::StageStart(replica, stage));
                let last = stage + 1 == self.config.n_stages as usize;
                let next = if last {
                    Event::BatchEnd(replica, group)
                } else {
                    Event::StageArrival(replica, stage + 1, group)
                };
                self.push(now, next);
            }
            Event::BatchEnd(replica, group) => {
                self.end(now, replica, &group);
                self.push(now, Event::Form(replica));
            }
        }
    }

    fn route(&mut self) -> usize {
        self.turn += 1;
        match self.config.router {
            Router::RoundRobin => (self.turn - 1) % self.replicas.len(),
            _ => (0..self.replicas.len()).min_by_key(|&index| self.replicas[index].waiting.len()).unwrap(),
        }
    }

    fn end(&mut self, now: f64, replica: usize, group: &Group) {
        let place = &mut self.replicas[replica];
        place.running_batches -= 1;
        place.iterations += 1;
        for &(id, tokens) in &group.members {
            let request = &mut self.requests[id];
            request.processed += tokens;
            if request.processed == request.prefill {
                request.prefill_complete = true;
                request.processed += 1;
                request.first_token = request.first_token.or(Some(now));
            }
            if request.processed == request.total {
                request.completed = Some(now);
                place.held.remove(&id);
            } else {
                place.eligible.push(id);
            }
        }
    }

    fn free(&self, replica: usize) -> u32 {
        self.config.kv.blocks - self.replicas[replica].held.values().sum::<u32>()
    }

    fn admits(&self, replica: usize, id: usize) -> bool {
        let blocks = self.config.kv.blocks_for(self.requests[id].prefill);
        self.free(replica) >= blocks + self.config.kv.watermark_blocks
    }

    fn restart(&mut self, replica: usize, id: usize) {
        let request = &mut self.requests[id];
        if request.prefill_complete {
            request.prefill = request.processed;
        }
        request.processed = 0;
        request.prefill_complete = false;
        request.restarts += 1;
        self.replicas[replica].held.remove(&id);
        self.replicas[replica].waiting.push_front(id);
    }

    /// Takes the block that a decode needs, evicting the last eligible; false if it was the last itself.
    fn grant(&mut self, replica: usize, id: usize) -> bool {
        let tokens = self.requests[id].processed;
        let needs = tokens > self.replicas[replica].held[&id] * self.config.kv.block_tokens;
        while needs && self.free(replica) == 0 {
            match self.replicas[replica].eligible.pop() {
                Some(victim) => self.restart(replica, victim),
                None => {
                    self.restart(replica, id);
                    return false;
                }
            }
        }
        *self.replicas[replica].held.get_mut(&id).unwrap() += u32::from(needs);
        true
    }

    fn add(&self, group: &mut Group, id: usize, tokens: u32) {
        let request = &self.requests[id];
        if request.prefill_complete {
            group.batch.decodes += 1;
            group.batch.decode_kv += u64::from(request.processed);
        } else {
            let ends = request.processed + tokens == request.prefill;
            group.batch.add_prefill(request.processed, tokens, ends);
        }
        group.members.push((id, tokens));
    }

    fn next_batch(&mut self, replica: usize) -> Option<Group> {
        let most = (self.config.max_sequences / self.config.n_stages) as usize;
        let group = match self.config.scheduler {
            Scheduler::Sarathi { chunk } => self.sarathi(replica, chunk, most),
            Scheduler::WholePrompts { padded_tokens } => self.vllm(replica, padded_tokens, most),
            _ => unreachable!(),
        };
        (!group.members.is_empty()).then_some(group)
    }

    fn by_arrival(&mut self, replica: usize) {
        let requests = &self.requests;
        self.replicas[replica].eligible.sort_by(|&a, &b| requests[a].arrived.total_cmp(&requests[b].arrived));
    }

    /// `sarathi_replica_scheduler.py`.
    fn sarathi(&mut self, replica: usize, chunk: u32, most: usize) -> Group {
        let (mut group, mut skipped, mut prefills) = (Group::default(), Vec::new(), Vec::new());
        while group.members.len() < most && !self.replicas[replica].eligible.is_empty() {
            let id = self.replicas[replica].eligible.remove(0);
            if !self.requests[id].prefill_complete {
                prefills.push(id);
            } else if self.grant(replica, id) {
                self.add(&mut group, id, 1);
            }
        }
        for id in prefills {
            let rest = self.requests[id].prefill - self.requests[id].processed;
            let tokens = rest.min(chunk.saturating_sub(group.batch.tokens()));
            if tokens == 0 { skipped.push(id) } else { self.add(&mut group, id, tokens) }
        }
        skipped.append(&mut self.replicas[replica].eligible);
        self.replicas[replica].eligible = skipped;
        self.by_arrival(replica);
        while let Some(&id) = self.replicas[replica].waiting.front() {
            let tokens = self.requests[id].prefill.min(chunk.saturating_sub(group.batch.tokens()));
            let full = self.replicas[replica].held.len() == self.config.max_sequences as usize;
            if full || group.members.len() == most || !self.admits(replica, id) || tokens == 0 {
                break;
            }
            self.admit(replica, id);
            self.add(&mut group, id, tokens);
        }
        group
    }

    fn admit(&mut self, replica: usize, id: usize) {
        let blocks = self.config.kv.blocks_for(self.requests[id].prefill);
        self.replicas[replica].waiting.pop_front();
        self.replicas[replica].held.insert(id, blocks);
    }

    /// `vllm_replica_scheduler.py`.
    fn vllm(&mut self, replica: usize, padded: u32, most: usize) -> Group {
        let (mut group, mut longest) = (Group::default(), 0);
        while let Some(&id) = self.replicas[replica].waiting.front() {
            let tokens = self.requests[id].prefill;
            longest = longest.max(tokens);
            let full = self.replicas[replica].held.len() == self.config.max_sequences as usize;
            // A request that restarts longer than any batch would never run in Vidur; here it runs alone.
            let alone = group.members.is_empty() && self.requests[id].restarts > 0;
            let fits = (group.members.len() as u32 + 1) * longest <= padded || alone;
            if full || group.members.len() == most || !self.admits(replica, id) || !fits {
                break;
            }
            self.admit(replica, id);
            self.add(&mut group, id, tokens);
        }
        if !group.members.is_empty() {
            return group;
        }
        self.by_arrival(replica);
        while group.members.len() < most && !self.replicas[replica].eligible.is_empty() {
            let id = self.replicas[replica].eligible.remove(0);
            if self.grant(replica, id) {
                self.add(&mut group, id, 1);
            }
        }
        group
    }
}

/// Compares the two request by request; returns how often Vidur preempted.
fn same(config: ServingConfig, mut trace: Vec<Request>) -> Result<u32, TestCaseError> {
    let step = StepTable {
        by_tokens: vec![0.0, 900.375, 1000.9375],
        per_decode_kv: 0.125,
        prefill_step: 55.5,
        per_pair_twice: 0.0078125,
        ..StepTable::default()
    };
    trace.sort_unstable();
    trace.retain(|request| config.rejects(request).is_none());
    let ours = simulate(&config, &step, &Workload::Trace(trace.clone()), 1, 0).unwrap();
    let asked = |request: &Request| Asked {
        arrived: request.arrival.ns() as f64,
        prefill: request.prompt,
        total: request.prompt + request.output,
        processed: 0,
        prefill_complete: false,
        scheduled: None,
        first_token: None,
        completed: None,
        restarts: 0,
        replica: 0,
    };
    let replica = |_| Replica {
        waiting: VecDeque::new(),
        eligible: Vec::new(),
        held: BTreeMap::new(),
        running_batches: 0,
        stages: (0..config.n_stages).map(|_| Stage::default()).collect(),
        iterations: 0,
    };
    let theirs = Vidur {
        config,
        step: &step,
        requests: trace.iter().map(asked).collect(),
        routed: VecDeque::new(),
        replicas: (0..config.n_replicas).map(replica).collect(),
        heap: BTreeMap::new(),
        n_events: 0,
        is_closer_than_an_event: false,
        turn: 0,
    };
    let theirs = theirs.run();
    let compared = compare(&ours, &theirs);
    if compared.is_err() && theirs.is_closer_than_an_event {
        return Err(TestCaseError::reject("a step ends less than a nanosecond after an arrival"));
    }
    compared?;
    Ok(theirs.requests.iter().map(|request| request.restarts).sum())
}

fn compare(ours: &RunResult, theirs: &Vidur<'_>) -> Result<(), TestCaseError> {
    for (ours, theirs) in ours.records.iter().zip(&theirs.requests) {
        let at = |time: Option<f64>| time.map_or(Time::NEVER, |ns| Time::from_ns(ns.floor() as u64));
        let expect = [theirs.scheduled, theirs.first_token, theirs.completed].map(at);
        prop_assert_eq!([ours.scheduled, ours.first_token, ours.completed], expect);
        prop_assert_eq!((ours.replica as usize, ours.restarts), (theirs.replica, theirs.restarts));
    }
    for (ours, theirs) in ours.replicas.iter().zip(&theirs.replicas) {
        prop_assert_eq!(ours.iterations, theirs.iterations);
    }
    Ok(())
}

fn config(
    scheduler: Scheduler,
    n_replicas: u32,
    n_stages: u32,
    max_sequences: u32,
    kv: KvCache,
) -> ServingConfig {
    ServingConfig { scheduler, n_replicas, n_stages, ..ServingConfig::chunked(u32::MAX, max_sequences, kv) }
}

fn scheduler(sarathi: bool, tokens: u32) -> Scheduler {
    if sarathi {
        Scheduler::Sarathi { chunk: tokens }
    } else {
        Scheduler::WholePrompts { padded_tokens: tokens + 40 }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    /// Arrivals in clumps, some at one instant; any chunk, stages, replicas, caches that preempt.
    #[test]
    fn vidurs_event_loop_gives_the_same_instants(
        rows in prop::collection::vec((0u64..40, 1u32..60, 1u32..40), 1..60),
        (sarathi, tokens, waiting) in (any::<bool>(), 1u32..90, any::<bool>()),
        (n_replicas, n_stages, extra) in (1u32..4, 1u32..4, 0u32..9),
        (blocks, block_tokens, watermark_blocks) in (14u32..90, 1u32..9, 0u32..3),
        stride in prop::sample::select(vec![0u64, 97, 1_009]),
    ) {
        let kv = KvCache { blocks, block_tokens, watermark_blocks };
        let router = if waiting { Router::LeastWaiting } else { Router::RoundRobin };
        let base = config(scheduler(sarathi, tokens), n_replicas, n_stages, n_stages + extra, kv);
        let row = |(at, prompt, output)| Request { arrival: Time::from_ns(at * stride), prompt, output };
        same(ServingConfig { router, ..base }, rows.into_iter().map(row).collect())?;
    }
}

/// Fixed lengths, everything at t = 0: many ends fall on one instant.
#[test]
fn everything_at_once_is_the_same() {
    for sarathi in [true, false] {
        for (n_replicas, n_stages) in [(1, 1), (1, 2), (1, 4), (3, 1), (3, 2)] {
            for router in [Router::LeastWaiting, Router::RoundRobin] {
                let kv = KvCache::new(4_000).with_one_percent_watermark();
                let base = config(scheduler(sarathi, 256), n_replicas, n_stages, 32, kv);
                let requests = vec![Request { arrival: Time::ZERO, prompt: 200, output: 50 }; 200];
                let restarts = same(ServingConfig { router, ..base }, requests).unwrap();
                assert_eq!(restarts, 0);
            }
        }
    }
}

/// So that the property is known to reach preemption.
#[test]
fn a_tight_cache_restarts_the_same_requests() {
    for sarathi in [true, false] {
        for n_stages in [1, 2] {
            let kv = KvCache { blocks: 40, block_tokens: 4, watermark_blocks: 0 };
            let row = |index: u64| Request { arrival: Time::from_ns(index * 977), prompt: 20, output: 60 };
            let config = config(scheduler(sarathi, 32), 1, n_stages, 16, kv);
            let restarts = same(config, (0..80).map(row).collect()).unwrap();
            assert!(restarts > 20, "only {restarts} restarts");
        }
    }
}
