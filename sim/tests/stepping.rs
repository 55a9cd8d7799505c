//! The simulator lets decoding requests advance together, by counting rounds. This file steps through the same rules
//! naively, touching every request in every step, and must get the same nanoseconds.

use std::collections::VecDeque;

use capstan_sim::engine::{Fine, Time};
use capstan_sim::serving::{
    Admission, Batch, KvCache, Outcome, Request, Scheduler, ServingConfig, StepTable, StepTime, Workload,
    simulate,
};
use proptest::prelude::*;

/// A request as vLLM V1 sees it: tokens it has, tokens computed, blocks held.
#[derive(Clone)]
struct Naive {
    request: Request,
    written: u32,
    computed: u32,
    blocks: u32,
    scheduled: Time,
    first_token: Time,
    completed: Time,
    restarts: u32,
    /// The step from which on the scheduler sees it.
    seen_from: u64,
    /// Blocks it was promised when it was admitted.
    promised: u64,
    /// Whether it still reads what it has, rather than writes. The last piece of a recomputation can be one token; vLLM
    /// would run that as a decode, the simulator counts it as a prompt, and only the step time could tell.
    reading: bool,
}

/// One replica, without prefix cache.
struct Engine {
    config: ServingConfig,
    requests: Vec<Naive>,
    waiting: VecDeque<usize>,
    running: Vec<usize>,
    free: u32,
    /// Steps for which prompts have been held back.
    held: u32,
}

impl Engine {
    fn n_tokens(&self, id: usize) -> u32 {
        self.requests[id].request.prompt + self.requests[id].written
    }

    /// Takes the blocks for `new` more tokens, or says that there are not enough.
    fn allocate(&mut self, id: usize, new: u32) -> bool {
        let size = self.config.kv.block_tokens;
        let more = (self.requests[id].computed + new).div_ceil(size) - self.requests[id].blocks;
        let fits = more <= self.free;
        if fits {
            self.free -= more;
            self.requests[id].blocks += more;
        }
        fits
    }

    fn preempt(&mut self, id: usize) {
        self.free += self.requests[id].blocks;
        self.requests[id].blocks = 0;
        self.requests[id].computed = 0;
        self.requests[id].restarts += 1;
        self.requests[id].reading = true;
        self.requests[id].promised = 0;
        self.waiting.push_front(id);
    }

    /// Says whether the first waiting request finds `tokens` of room and what is reserved for its output.
    fn fits(&mut self, tokens: u32) -> bool {
        let (id, kv) = (self.waiting[0], self.config.kv);
        let share = u64::from(self.config.reserved_output_per_mille);
        let request = self.requests[id].request;
        let output = (u64::from(request.output) * share).div_ceil(1_000) as u32;
        let all = self.n_tokens(id).max(request.prompt + output);
        let promise = if share == 0 { 0 } else { u64::from(all.div_ceil(kv.block_tokens)) };
        let promised: u64 = self.running.iter().map(|&id| self.requests[id].promised).sum();
        let fits = tokens.div_ceil(kv.block_tokens) + kv.watermark_blocks <= self.free
            && promised + promise + u64::from(kv.watermark_blocks) <= u64::from(kv.blocks);
        if fits {
            self.requests[id].promised = promise;
        }
        fits
    }

    /// Returns which requests run how many tokens.
    fn schedule(&mut self) -> Vec<(usize, u32)> {
        match self.config.scheduler {
            Scheduler::Chunked { token_budget, admission } => self.schedule_chunked(token_budget, admission),
            Scheduler::PrefillFirst { token_budget } => self.schedule_prefill_first(token_budget),
            Scheduler::InFlight { token_budget, groups } => self.schedule_in_flight(token_budget, groups),
            _ => unreachable!(),
        }
    }

    fn has_place(&self) -> bool {
        self.running.len() < self.config.max_sequences as usize
    }

    /// Takes the first waiting request in, with all blocks of what it has.
    fn take_in(&mut self, new: u32) -> (usize, u32) {
        let id = self.waiting.pop_front().unwrap();
        assert!(self.allocate(id, self.n_tokens(id)));
        self.running.push(id);
        (id, new)
    }

    /// Every running request that writes, in order, evicting from the end; and whether any was evicted.
    fn decodes(&mut self) -> (Vec<(usize, u32)>, bool) {
        let (mut step, mut preempted) = (Vec::new(), false);
        let mut place = 0;
        while let Some(&id) = self.running.get(place) {
            while !self.allocate(id, 1) {
                let newest = self.running.pop().unwrap();
                self.preempt(newest);
                preempted = true;
                if newest == id {
                    return (step, true);
                }
            }
            step.push((id, 1));
            place += 1;
        }
        (step, preempted)
    }

    /// SGLang: prompts, the last in pieces; if there is none, decodes.
    fn schedule_prefill_first(&mut self, budget: u32) -> Vec<(usize, u32)> {
        let (mut step, mut left) = (Vec::new(), budget);
        if let Some(&id) = self.running.iter().find(|&&id| self.requests[id].reading) {
            let new = (self.n_tokens(id) - self.requests[id].computed).min(left);
            step.push((id, new));
            left -= new;
        }
        while left > 0 && self.has_place() && !self.waiting.is_empty() {
            let all = self.n_tokens(self.waiting[0]);
            if !self.fits(all) {
                break;
            }
            let new = all.min(left);
            step.push(self.take_in(new));
            left -= new;
        }
        if step.is_empty() { self.decodes().0 } else { step }
    }

    /// TensorRT-LLM: decodes, then whole prompts.
    fn schedule_in_flight(&mut self, budget: u32, groups: u32) -> Vec<(usize, u32)> {
        let (mut step, preempted) = self.decodes();
        if preempted {
            return step;
        }
        // `_balance_adp_requests`: not before each group has a prompt, unless one has nothing to write, for 60 steps.
        let (waiting, running) = (self.waiting.len() as u32, self.running.len() as u32);
        if (1..groups).contains(&waiting) && running >= groups && self.held < 60 {
            self.held += 1;
            return step;
        }
        self.held = 0;
        let mut left = budget.saturating_sub(step.len() as u32);
        let mut first = true;
        while self.has_place() && !self.waiting.is_empty() {
            let (id, all) = (self.waiting[0], self.n_tokens(self.waiting[0]));
            let only = first && self.requests[id].restarts > 0;
            if (all > left && !only) || !self.fits(all) {
                break;
            }
            step.push(self.take_in(all));
            left = left.saturating_sub(all);
            first = false;
        }
        step
    }

    /// `Scheduler.schedule()` of vLLM V1 (vllm/v1/core/sched/scheduler.py).
    fn schedule_chunked(&mut self, budget: u32, admission: Admission) -> Vec<(usize, u32)> {
        let (mut step, mut left, mut preempted) = (Vec::new(), budget, false);
        let mut place = 0;
        while place < self.running.len() && left > 0 {
            let id = self.running[place];
            let new = (self.n_tokens(id) - self.requests[id].computed).min(left);
            let mut fits = self.allocate(id, new);
            while !fits {
                let newest = self.running.pop().unwrap();
                self.preempt(newest);
                preempted = true;
                if newest == id {
                    break;
                }
                fits = self.allocate(id, new);
            }
            if !fits {
                break;
            }
            step.push((id, new));
            left -= new;
            place += 1;
        }
        while !preempted && left > 0 && self.has_place() {
            let Some(&id) = self.waiting.front() else { break };
            let all = self.n_tokens(id);
            let new = all.min(left);
            if !self.fits(if admission == Admission::ChunkFits { new } else { all }) {
                break;
            }
            assert!(self.allocate(id, new));
            self.waiting.pop_front();
            self.running.push(id);
            step.push((id, new));
            left -= new;
        }
        step
    }

    fn batch(&self, step: &[(usize, u32)]) -> Batch {
        let mut batch = Batch::default();
        for &(id, new) in step {
            let request = &self.requests[id];
            if !request.reading {
                batch.decodes += 1;
                batch.decode_kv += u64::from(self.n_tokens(id));
            } else {
                batch.add_prefill(request.computed, new, request.computed + new == self.n_tokens(id));
            }
        }
        batch
    }

    fn finish(&mut self, step: &[(usize, u32)], now: Time) {
        for &(id, new) in step {
            self.requests[id].computed += new;
            if self.requests[id].computed < self.n_tokens(id) {
                continue;
            }
            let request = &mut self.requests[id];
            request.written += 1;
            request.reading = false;
            request.first_token = request.first_token.min(now);
            if request.written == request.request.output {
                request.completed = now;
                self.free += request.blocks;
                self.running.retain(|&other| other != id);
            }
        }
    }

    fn run(mut self, step_time: &StepTable) -> (Vec<Naive>, u64) {
        let (mut clock, mut next, mut steps) = (Fine::default(), 0, 0u64);
        let mut unseen: VecDeque<usize> = VecDeque::new();
        loop {
            let mut now = clock.floor();
            if self.running.is_empty() && self.waiting.is_empty() && unseen.is_empty() {
                let Some(request) = self.requests.get(next) else { return (self.requests, steps) };
                now = now.max(request.request.arrival);
                clock = clock.max(Fine::from(now));
            }
            while self.requests.get(next).is_some_and(|request| request.request.arrival <= now) {
                // One that came while the last step ran would have been seen by this one; at its end, by this one too.
                self.requests[next].seen_from = steps + u64::from(self.config.visibility_steps);
                unseen.push_back(next);
                next += 1;
            }
            while unseen.front().is_some_and(|&id| self.requests[id].seen_from <= steps) {
                self.waiting.extend(unseen.pop_front());
            }
            let mut step = self.schedule();
            if step.is_empty() {
                self.waiting.extend(unseen.drain(..));
                step = self.schedule();
            }
            for &(id, _) in &step {
                self.requests[id].scheduled = self.requests[id].scheduled.min(now);
            }
            clock = clock.plus(Fine::from_ns_f64(step_time.nanoseconds(&self.batch(&step))));
            steps += 1;
            self.finish(&step, clock.floor());
        }
    }
}

fn same(config: ServingConfig, mut trace: Vec<Request>) -> Result<u64, TestCaseError> {
    let step = StepTable {
        by_tokens: vec![0.0, 900.37, 1_000.91],
        by_sampled: vec![0.0, 10.1],
        per_decode_kv: 0.37,
        prefill_step: 55.5,
        per_pair_twice: 0.0117,
        per_pair_over_context: 0.13,
    };
    let result = simulate(&config, &step, &Workload::Trace(trace.clone()), 1, 0).unwrap();
    trace.sort_unstable();
    trace.retain(|request| config.rejects(request).is_none());
    let naive = |&request: &Request| {
        let (scheduled, first_token, completed) = (Time::NEVER, Time::NEVER, Time::NEVER);
        Naive {
            request,
            written: 0,
            computed: 0,
            blocks: 0,
            scheduled,
            first_token,
            completed,
            restarts: 0,
            seen_from: 0,
            promised: 0,
            reading: true,
        }
    };
    let requests = trace.iter().map(naive).collect();
    let (waiting, running, free) = (VecDeque::new(), Vec::new(), config.kv.blocks);
    let (naive, steps) = Engine { config, requests, waiting, running, free, held: 0 }.run(&step);
    prop_assert_eq!(result.replicas[0].iterations, steps);
    let served = result.records.iter().filter(|record| record.outcome == Outcome::Completed);
    for (ours, naive) in served.zip(&naive) {
        let expect = (naive.scheduled, naive.first_token, naive.completed, naive.restarts);
        prop_assert_eq!((ours.scheduled, ours.first_token, ours.completed, ours.restarts), expect);
    }
    Ok(result.replicas[0].preemptions)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counting_rounds_equals_touching_every_request(
        trace in prop::collection::vec((0u64..40_000, 1u32..60, 1u32..60), 1..50),
        (budget, max_sequences, blocks, block_tokens, watermark_blocks) in (12u32..90, 1u32..12, 8u32..60, 1u32..9, 0u32..3),
        (policy, groups) in (0u8..4, 1u32..5),
        (visibility_steps, reserved_output_per_mille) in (0u32..4, prop_oneof![Just(0), Just(600), Just(1_000)]),
    ) {
        let row = |(at, prompt, output)| Request { arrival: Time::from_ns(at), prompt, output };
        let kv = KvCache { blocks, block_tokens, watermark_blocks };
        let scheduler = match policy {
            0 => Scheduler::Chunked { token_budget: budget, admission: Admission::PromptFits },
            1 => Scheduler::Chunked { token_budget: budget, admission: Admission::ChunkFits },
            2 => Scheduler::PrefillFirst { token_budget: budget },
            _ => Scheduler::InFlight { token_budget: budget + 30, groups },
        };
        let base = ServingConfig::chunked(budget, max_sequences, kv);
        let config = ServingConfig { scheduler, visibility_steps, reserved_output_per_mille, ..base };
        same(config, trace.into_iter().map(row).collect())?;
    }
}

/// So that the property above is known to reach preemption, and again after preemption; and that all reserved is never.
#[test]
fn a_tight_cache_preempts_often_and_still_agrees() {
    let row = |index: u64| Request { arrival: Time::from_ns(index * 977), prompt: 20, output: 60 };
    let preemptions = |config| same(config, (0..80).map(row).collect()).unwrap();
    let kv = KvCache { blocks: 30, block_tokens: 4, watermark_blocks: 0 };
    let least = |config, least| {
        let n = preemptions(config);
        assert!(n > least, "only {n} preemptions");
    };
    least(ServingConfig::chunked(32, 16, kv), 100);
    least(ServingConfig::vllm(32, 16, kv), 100);
    least(ServingConfig::sglang(32, 16, kv), 10);
    least(ServingConfig { reserved_output_per_mille: 0, ..ServingConfig::tensorrt_llm(32, 16, kv) }, 100);
    assert_eq!(preemptions(ServingConfig::tensorrt_llm(32, 16, kv)), 0);
}
