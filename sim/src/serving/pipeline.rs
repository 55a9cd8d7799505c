//! A replica with pipeline stages, as Vidur has it: several steps in flight, each on its way through the stages.
//!
//! Requests in different steps do not advance together, so each request is touched in each step; that is slower than
//! [`Replica`](super::replica::Replica) and, with one stage, has to give the same result, which the tests use.
//! Rules: data/vidur-profiles/README.md, "Rules for other set-ups".

use std::collections::VecDeque;

use super::kv::{Blocks, KvCache};
use super::request::Job;
use super::scheduler::Scheduler;
use super::server::Server;
use super::step::{Batch, StepTime};
use super::work::Work;
use crate::engine::{Fine, Time};

/// A step on its way through the stages.
#[derive(Debug, Clone, Default)]
struct Flight {
    batch: Batch,
    /// Requests, and how many tokens of each.
    members: Vec<(u32, u32)>,
    /// When it reached the stage it is at.
    ready: Fine,
}

/// One stage: what runs until when, and what waits for it.
#[derive(Debug, Clone, Default)]
struct Stage {
    running: Option<usize>,
    clock: Fine,
    queue: VecDeque<usize>,
}

/// A replica with stages.
#[derive(Debug, Clone)]
pub(crate) struct Pipeline {
    scheduler: Scheduler,
    max_sequences: u32,
    max_per_step: usize,
    waiting: VecDeque<u32>,
    /// Requests that hold blocks and are in no flight, in the order in which they are considered.
    eligible: VecDeque<u32>,
    n_holding: u32,
    blocks: Blocks,
    stages: Vec<Stage>,
    flights: Vec<Flight>,
    unused_flights: Vec<usize>,
    /// When the last step left the last stage.
    clock: Fine,
    busy_since: Time,
    work: Work,
}

impl Pipeline {
    pub fn new(scheduler: Scheduler, n_stages: u32, max_sequences: u32, kv: KvCache) -> Pipeline {
        let n = n_stages as usize;
        Pipeline {
            scheduler,
            max_sequences,
            max_per_step: (max_sequences / n_stages) as usize,
            waiting: VecDeque::new(),
            eligible: VecDeque::new(),
            n_holding: 0,
            blocks: Blocks::new(kv),
            stages: vec![Stage::default(); n],
            flights: vec![Flight::default(); n],
            unused_flights: (0..n).collect(),
            clock: Fine::default(),
            busy_since: Time::ZERO,
            work: Work::default(),
        }
    }

    fn form(&mut self, flight: &mut Flight, jobs: &mut [Job], now: Time) {
        match self.scheduler {
            Scheduler::WholePrompts { padded_tokens } => {
                self.form_whole_prompts(padded_tokens, flight, jobs, now)
            }
            // Sarathi: `ServingConfig::validate` lets no other through.
            other => self.form_mixed(other.step_tokens(), flight, jobs, now),
        }
    }

    fn form_mixed(&mut self, chunk: u32, flight: &mut Flight, jobs: &mut [Job], now: Time) {
        let left_over = self.decode_in_order(flight, jobs);
        let left = |flight: &Flight| chunk.saturating_sub(flight.batch.tokens());
        let mut skipped = Vec::new();
        // Vidur does not apply the cap per step to unfinished prompts.
        for id in left_over {
            let job = &jobs[id as usize];
            let tokens = (job.to_prefill - job.processed).min(left(flight));
            if tokens == 0 { skipped.push(id) } else { read_prompt(id, tokens, flight, jobs, now) }
        }
        for id in skipped.into_iter().rev() {
            self.eligible.push_front(id);
        }
        self.eligible.make_contiguous().sort_by_key(|&id| jobs[id as usize].arrival);
        while self.n_holding < self.max_sequences && flight.members.len() < self.max_per_step {
            let Some(&id) = self.waiting.front() else { break };
            let tokens = jobs[id as usize].to_prefill.min(left(flight));
            if tokens == 0 || !self.admit(id, jobs) {
                break;
            }
            read_prompt(id, tokens, flight, jobs, now);
        }
    }

    fn form_whole_prompts(&mut self, padded: u32, flight: &mut Flight, jobs: &mut [Job], now: Time) {
        let mut longest = 0;
        while self.n_holding < self.max_sequences && flight.members.len() < self.max_per_step {
            let Some(&id) = self.waiting.front() else { break };
            let tokens = jobs[id as usize].to_prefill;
            longest = tokens.max(longest);
            let alone = flight.members.is_empty() && jobs[id as usize].restarts > 0;
            let fits = (flight.members.len() as u64 + 1) * u64::from(longest) <= u64::from(padded) || alone;
            if !fits || !self.admit(id, jobs) {
                break;
            }
            read_prompt(id, tokens, flight, jobs, now);
        }
        if flight.members.is_empty() {
            self.eligible.make_contiguous().sort_by_key(|&id| jobs[id as usize].arrival);
            self.decode_in_order(flight, jobs);
        }
    }

    /// Adds eligible decodes to the step while it has room, evicting from the end; returns unfinished prompts met.
    fn decode_in_order(&mut self, flight: &mut Flight, jobs: &mut [Job]) -> Vec<u32> {
        let mut unfinished = Vec::new();
        while flight.members.len() < self.max_per_step {
            let Some(id) = self.eligible.pop_front() else { break };
            let processed = jobs[id as usize].processed;
            if processed < jobs[id as usize].to_prefill {
                unfinished.push(id);
                continue;
            }
            if self.grant(id, jobs) {
                flight.batch.decodes += 1;
                flight.batch.decode_kv += u64::from(processed);
                flight.members.push((id, 1));
            }
        }
        unfinished
    }

    /// Gives a decode the block it needs, if any; false if it had to be evicted itself.
    fn grant(&mut self, id: u32, jobs: &mut [Job]) -> bool {
        let processed = jobs[id as usize].processed;
        let more = self.blocks.blocks_for(processed) - self.blocks.blocks_for(processed - 1);
        while more > self.blocks.free() {
            let victim = self.eligible.pop_back().unwrap_or(id);
            self.evict(victim, jobs);
            if victim == id {
                return false;
            }
        }
        self.blocks.take(more);
        true
    }

    fn evict(&mut self, id: u32, jobs: &mut [Job]) {
        let job = &mut jobs[id as usize];
        let in_cache = tokens_in_cache(job);
        self.blocks.release(self.blocks.blocks_for(in_cache.max(job.to_prefill)));
        if job.processed > job.to_prefill {
            job.to_prefill = job.processed;
        }
        job.processed = 0;
        job.restarts += 1;
        self.work.discarded_tokens += u64::from(in_cache);
        self.work.preemptions += 1;
        self.n_holding -= 1;
        self.waiting.push_front(id);
    }

    /// Takes the blocks of the prompt at the head of the queue and removes it from there, if it fits.
    fn admit(&mut self, id: u32, jobs: &[Job]) -> bool {
        let blocks = self.blocks.blocks_for(jobs[id as usize].to_prefill);
        let fits = self.blocks.admits(blocks);
        if fits {
            self.blocks.take(blocks);
            self.n_holding += 1;
            self.waiting.pop_front();
        }
        fits
    }

    /// Ends a step that has left the last stage.
    fn land(&mut self, index: usize, now: Time, jobs: &mut [Job], done: &mut Vec<u32>) {
        let mut flight = std::mem::take(&mut self.flights[index]);
        self.work.iterations += 1;
        self.work.prefill_tokens += u64::from(flight.batch.prefill_tokens);
        self.work.decode_tokens += u64::from(flight.batch.decodes);
        self.work.output_tokens += u64::from(flight.batch.sampled());
        for (id, tokens) in flight.members.drain(..) {
            let job = &mut jobs[id as usize];
            let was_prompt = job.processed < job.to_prefill;
            job.processed += tokens;
            if !was_prompt || job.processed == job.to_prefill {
                job.processed += u32::from(was_prompt);
                job.generated += 1;
                job.first_token = job.first_token.min(now);
            }
            if job.generated == job.output {
                self.blocks.release(self.blocks.blocks_for(tokens_in_cache(job)));
                self.n_holding -= 1;
                done.push(id);
            } else {
                self.eligible.push_back(id);
            }
        }
        self.flights[index] = flight;
        self.unused_flights.push(index);
        if self.unused_flights.len() == self.flights.len() {
            self.work.busy_ns += now.since(self.busy_since);
        }
    }

    /// Starts every idle stage that has something to do.
    fn start_stages<S: StepTime + ?Sized>(&mut self, step: &S) {
        let n_stages = self.stages.len();
        for (place, stage) in self.stages.iter_mut().enumerate() {
            if stage.running.is_some() {
                continue;
            }
            let Some(index) = stage.queue.pop_front() else { continue };
            let flight = &self.flights[index];
            let ns = step.stage_nanoseconds(&flight.batch, place + 1 == n_stages);
            stage.clock = stage.clock.max(flight.ready).plus(Fine::from_ns_f64(ns));
            stage.running = Some(index);
            if place == 0 {
                self.work.kv_block_ns += u128::from(ns as u64) * u128::from(self.blocks.used());
                self.work.sequence_ns += u128::from(ns as u64) * u128::from(flight.batch.sequences());
            }
        }
    }
}

/// Returns the tokens of which the cache holds keys and values: all but the output token just written.
fn tokens_in_cache(job: &Job) -> u32 {
    job.processed - u32::from(job.processed > job.to_prefill)
}

fn read_prompt(id: u32, tokens: u32, flight: &mut Flight, jobs: &mut [Job], now: Time) {
    let job = &mut jobs[id as usize];
    flight.batch.add_prefill(job.processed, tokens, job.processed + tokens == job.to_prefill);
    flight.members.push((id, tokens));
    job.schedule(now);
}

impl Server for Pipeline {
    fn touch(&self) {}

    fn enqueue<S: StepTime + ?Sized>(&mut self, id: u32, _now: Time, _step: &S) -> bool {
        self.waiting.push_back(id);
        false
    }

    fn interrupt<S: StepTime + ?Sized>(&mut self, _now: Time, _step: &S) -> bool {
        false
    }

    fn settle<S: StepTime + ?Sized>(&mut self, _now: Time, _step: &S) -> (u64, Time) {
        (0, Time::ZERO)
    }

    fn finish(&mut self, now: Time, jobs: &mut [Job], done: &mut Vec<u32>) -> u64 {
        let mut n_ended = 0;
        let last = self.stages.len() - 1;
        for place in 0..=last {
            let stage = &mut self.stages[place];
            let (Some(index), end) = (stage.running, stage.clock) else { continue };
            if end.floor() > now {
                continue;
            }
            stage.running = None;
            n_ended += 1;
            if place == last {
                self.clock = end;
                self.land(index, now, jobs, done);
            } else {
                self.flights[index].ready = end;
                self.stages[place + 1].queue.push_back(index);
            }
        }
        n_ended
    }

    fn start<S: StepTime + ?Sized>(&mut self, now: Time, step: &S, jobs: &mut [Job]) {
        while let Some(&index) = self.unused_flights.last() {
            let mut flight = std::mem::take(&mut self.flights[index]);
            flight.batch = Batch::default();
            self.form(&mut flight, jobs, now);
            let formed = !flight.members.is_empty();
            flight.ready = self.clock.max(Fine::from(now));
            self.flights[index] = flight;
            if !formed {
                break;
            }
            if self.unused_flights.len() == self.flights.len() {
                self.busy_since = now;
            }
            self.unused_flights.pop();
            self.stages[0].queue.push_back(index);
            self.work.kv_peak_blocks = self.work.kv_peak_blocks.max(self.blocks.used());
        }
        self.start_stages(step);
    }

    fn next_end(&self) -> Option<Time> {
        self.stages.iter().filter(|stage| stage.running.is_some()).map(|stage| stage.clock.floor()).min()
    }

    fn may_start(&self) -> bool {
        !self.unused_flights.is_empty()
    }

    fn n_waiting(&self) -> u32 {
        self.waiting.len() as u32
    }

    fn blocks_used(&self) -> u32 {
        self.blocks.used()
    }

    fn progress(&self, job: &Job) -> (u64, u64) {
        (u64::from(job.generated), u64::from(tokens_in_cache(job)))
    }

    fn work(&self) -> Work {
        self.work
    }

    fn running(&self) -> Option<(Time, Time, Batch)> {
        None
    }

    fn requests(&self) -> Vec<u32> {
        let flying = self.flights.iter().flat_map(|flight| flight.members.iter().map(|&(id, _)| id));
        self.waiting.iter().chain(&self.eligible).copied().chain(flying).collect()
    }

    fn clear(&mut self, now: Time) -> Vec<u32> {
        let requests = self.requests();
        let n_stages = self.stages.len() as u32;
        let mut work = self.work;
        if self.unused_flights.len() < self.flights.len() {
            work.busy_ns += now.since(self.busy_since);
        }
        let empty = Pipeline::new(self.scheduler, n_stages, self.max_sequences, self.blocks.cache());
        *self = Pipeline { work, clock: self.clock, ..empty };
        requests
    }
}
