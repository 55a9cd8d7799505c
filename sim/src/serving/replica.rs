//! One replica: what waits, what runs, what its cache holds, and when its step ends.
//!
//! While nobody waits, no prompt is read and no decode ends or lacks a block, one step follows from the other; the
//! replica then computes several at once (a leap) and is an event only at the end of the last. A request that comes in
//! between cuts the leap at the end of the step that is running, so the instants are those of single steps.

use std::collections::VecDeque;

use super::adapters::Places;
use super::config::{ServingConfig, WHOLE_OUTPUT_PER_MILLE};
use super::decodes::Decodes;
use super::kv::Blocks;
use super::prefix::Prefixes;
use super::request::Job;
use super::scheduler::Scheduler;
use super::server::Server;
use super::step::{Batch, StepTime};
use super::work::{RareSums, Sums, Work};
use crate::engine::{Fine, Time};

mod cut;
mod order;
mod reuse;

use reuse::Kept;

/// A piece of a prompt in the running step.
#[derive(Debug, Clone, Copy, Default)]
struct Chunk {
    id: u32,
    tokens: u32,
}

/// Most steps of a leap: what a request that comes in between makes vain.
pub(crate) const MAX_LEAP: u32 = 32;

/// Sequences, and prompts that wait or are read at once, which a replica commonly has at most.
const COMMON_SEQUENCES: u32 = 64;
const COMMON_CHUNKS: usize = 8;
const INLINE_CHUNKS: usize = 2;

/// The steps that run: one, or a leap; none when idle. All but the first only decode.
///
/// What ends with all of them is summed up while they are added, so that their end looks at none of them.
#[derive(Debug, Clone)]
#[repr(C)]
struct Running {
    /// When the last of them ends, and when the step before them did.
    end: Fine,
    clock: Fine,
    /// Σ over them of nanoseconds × blocks in use.
    block_ns: u128,
    n: u32,
    /// Blocks in use during the first of them.
    first_blocks_used: u32,
}

/// A replica that runs one step at a time.
///
/// A fleet's replicas do not fit a processor's cache, and each event is at another of them: what every event reads lies
/// together in five lines, in this order, and what only prompts, preemptions or completions need comes after them.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(crate) struct Replica<'a> {
    steps: Running,
    pub blocks: Blocks,
    sums: Sums,
    decodes: Decodes,
    /// The step being formed or running.
    pub batch: Batch,
    /// Requests not yet scheduled, or preempted, in the order in which they will be.
    pub waiting: VecDeque<u32>,
    config: &'a ServingConfig,
    /// The running request whose prompt is not read to its end.
    pub unfinished_prompt: Option<u32>,
    /// Requests that the scheduler does not see yet, if there can be any.
    unseen: Option<Box<Unseen>>,
    max_leap: u32,
    kv_peak_blocks: u32,
    /// The pieces of prompts in the step, as many as the batch has prefills: rarely more than these two, which lie here.
    chunks: [Chunk; INLINE_CHUNKS],
    more_chunks: Vec<Chunk>,
    /// Requests that hold blocks; the last is evicted first. Those that yield are behind the others.
    pub running: Vec<u32>,
    rare: RareSums,
    /// Blocks that the running requests were promised when they were admitted; zero if nothing is reserved.
    promised: u64,
    /// What prompts begin with, and what is kept of it; none where prompts have no hashes.
    kept: Option<Kept<'a>>,
    /// Adapters that are there; none where requests need none.
    adapters: Option<Box<Places>>,
    /// Steps for which prompts that wait have been held back.
    pub held_back: u32,
    /// Nanoseconds that the step being formed waits for what is read back.
    reading_ns: u64,
    /// When to look again, if nothing runs and nothing comes; `NEVER` if there is nothing to look for.
    pub wakes: Time,
}

/// From which step on the scheduler will see a request, and which.
type Unseen = VecDeque<(u64, u32)>;

const _: () = assert!(
    std::mem::offset_of!(Replica<'_>, chunks) == 5 * 64,
    "what every event reads fills five lines of a cache"
);

impl<'a> Replica<'a> {
    /// Returns an idle replica that leaps over at most `max_leap` steps; 1 is single steps. With `prefixes` it keeps what it
    /// has read.
    pub fn new(config: &'a ServingConfig, max_leap: u32, prefixes: Option<&'a Prefixes>) -> Replica<'a> {
        let ServingConfig { max_sequences, kv, .. } = *config;
        let steps =
            Running { end: Fine::default(), clock: Fine::default(), block_ns: 0, n: 0, first_blocks_used: 0 };
        // What commonly suffices is allocated at once: lists that grow one by one end up far from each other.
        let n_common = max_sequences.min(COMMON_SEQUENCES) as usize;
        Replica {
            steps,
            blocks: Blocks::new(kv),
            sums: Sums::default(),
            decodes: Decodes::new(kv.block_tokens, n_common),
            batch: Batch::default(),
            waiting: VecDeque::with_capacity(COMMON_CHUNKS),
            config,
            unfinished_prompt: None,
            unseen: (config.visibility_steps > 0).then(Box::default),
            max_leap,
            kv_peak_blocks: 0,
            chunks: [Chunk::default(); INLINE_CHUNKS],
            more_chunks: Vec::with_capacity(COMMON_CHUNKS),
            running: Vec::with_capacity(n_common),
            rare: RareSums::default(),
            promised: 0,
            kept: prefixes.map(|all| Kept::new(config, all)),
            adapters: config.adapters.map(|adapters| Box::new(Places::new(adapters))),
            held_back: 0,
            reading_ns: 0,
            wakes: Time::NEVER,
        }
    }

    /// Returns the tokens of the step being formed that its decodes take.
    pub fn decode_budget(&self) -> u32 {
        self.batch.decodes.saturating_mul(self.config.decode_tokens)
    }

    /// Returns the tokens that all decodes will take of the step being formed.
    pub fn tokens_of_decodes(&self) -> u32 {
        self.decodes.n().saturating_mul(self.config.decode_tokens)
    }

    /// Returns the blocks that all decodes will take in the step being formed.
    pub fn blocks_of_decodes(&self) -> u32 {
        self.decodes.blocks_needed()
    }

    /// Says whether one more request may hold blocks.
    pub fn has_place(&self) -> bool {
        (self.running.len() as u64) < u64::from(self.config.max_sequences)
    }

    /// Says whether as many requests wait as may hold blocks.
    pub fn fills_a_batch(&self) -> bool {
        self.waiting.len() as u64 >= u64::from(self.config.max_sequences)
    }

    /// Takes `taken` blocks for a waiting request if `counted` are free and it can be promised what is reserved.
    pub fn admit(&mut self, id: u32, jobs: &[Job], counted: u32, taken: u32) -> bool {
        let job = &jobs[id as usize];
        let promise = self.promise(job);
        let has_room = if promise > 0 && self.kept.is_some() && !self.running.is_empty() {
            // Prompts share blocks, so what is free beside the outputs counts, and no sum over prompts.
            let output = promise.saturating_sub(u64::from(self.blocks.blocks_for(job.to_prefill)));
            self.still_to_come(jobs) + output + u64::from(counted) <= u64::from(self.blocks.free())
        } else {
            self.promised + promise <= self.blocks.for_admission()
        };
        let fits = self.blocks.admits(counted) && (promise == 0 || has_room);
        if fits {
            self.blocks.take(taken);
            self.promised += promise;
        }
        fits
    }

    /// Returns the blocks that a request is promised at admission: those of its prompt and of the reserved output.
    fn promise(&self, job: &Job) -> u64 {
        if self.config.reserved_output_per_mille == 0 {
            return 0;
        }
        let reserved = u64::from(job.output) * u64::from(self.config.reserved_output_per_mille);
        let output = reserved.div_ceil(u64::from(WHOLE_OUTPUT_PER_MILLE)) as u32;
        u64::from(self.blocks.blocks_for(job.to_prefill.max(job.prompt + output)))
    }

    fn n_unseen(&self) -> usize {
        self.unseen.as_ref().map_or(0, |unseen| unseen.len())
    }

    /// Lets the scheduler see what it may see in the step that it forms next.
    fn see(&mut self, all: bool) {
        let Some(unseen) = &mut self.unseen else { return };
        while let Some(&(from, id)) = unseen.front() {
            if from > self.sums.iterations && !all {
                break;
            }
            unseen.pop_front();
            self.waiting.push_back(id);
        }
    }

    /// Adds `tokens` of a prompt to the step. Its blocks have been taken.
    pub fn read_prompt(&mut self, id: u32, tokens: u32, jobs: &mut [Job], now: Time) {
        self.learn(id, &jobs[id as usize], tokens);
        let job = &mut jobs[id as usize];
        let ends = job.processed + tokens == job.to_prefill;
        self.batch.add_prefill(job.processed, tokens, ends);
        self.unfinished_prompt = (!ends).then_some(id);
        match self.chunks.get_mut(self.batch.prefills as usize - 1) {
            Some(place) => *place = Chunk { id, tokens },
            None => self.more_chunks.push(Chunk { id, tokens }),
        }
        job.schedule(now);
    }

    /// Gives every decode that needs a block one and adds all decodes to the step; says whether any was evicted.
    pub fn grant_decodes(&mut self, jobs: &mut [Job]) -> bool {
        let needed = self.decodes.blocks_needed();
        let fits = needed <= self.blocks.free();
        if fits {
            self.blocks.take(needed);
        } else {
            self.grant_in_order(jobs);
        }
        self.batch.decodes = self.decodes.n();
        self.batch.decode_kv = self.decodes.kv();
        !fits
    }

    /// Gives blocks in the order of `running`, evicting from its end while none is free.
    fn grant_in_order(&mut self, jobs: &mut [Job]) {
        let mut place = 0;
        while let Some(&id) = self.running.get(place) {
            let job = &jobs[id as usize];
            if job.is_decoding() && self.decodes.needs_block(job) {
                while self.blocks.free() == 0 {
                    if self.evict_newest(jobs) == Some(id) {
                        return;
                    }
                }
                self.blocks.take(1);
            }
            place += 1;
        }
    }

    /// Takes the newest running request's blocks and puts it at the head of the queue, to be computed again.
    pub fn evict_newest(&mut self, jobs: &mut [Job]) -> Option<u32> {
        let id = self.running.pop()?;
        self.promised -= self.promise(&jobs[id as usize]);
        self.leave_adapter(&jobs[id as usize]);
        self.give_back(id, self.held(&jobs[id as usize]));
        let job = &mut jobs[id as usize];
        if job.is_decoding() {
            self.decodes.evict(id, job);
            job.to_prefill = job.processed;
            job.processed -= 1;
        } else {
            self.unfinished_prompt = None;
        }
        self.rare.discarded_tokens += u64::from(job.processed);
        self.rare.preemptions += 1;
        job.processed = 0;
        job.restarts += 1;
        self.waiting.push_front(id);
        Some(id)
    }

    /// Returns the blocks that a running request holds, not counting one granted for the step being formed.
    fn held(&self, job: &Job) -> u32 {
        if job.is_decoding() {
            self.blocks.blocks_for(job.processed_at(self.decodes.round()) - 1)
        } else if matches!(self.config.scheduler, Scheduler::Chunked { .. }) {
            self.blocks.blocks_for(job.processed)
        } else {
            self.blocks.blocks_for(job.to_prefill)
        }
    }

    fn complete(&mut self, id: u32, jobs: &[Job], done: &mut Vec<u32>) {
        let job = &jobs[id as usize];
        self.promised -= self.promise(job);
        self.leave_adapter(job);
        self.give_back(id, self.blocks.blocks_for(job.prompt + job.output - 1));
        let place =
            self.running.iter().position(|&other| other == id).expect("only running requests complete");
        self.running.remove(place);
        done.push(id);
    }

    fn end_prompt(&mut self, id: u32, now: Time, jobs: &mut [Job], done: &mut Vec<u32>) {
        let job = &mut jobs[id as usize];
        job.generated += 1;
        job.first_token = job.first_token.min(now);
        if job.generated == job.output {
            self.complete(id, jobs, done);
        } else {
            self.decodes.join(id, job);
        }
    }

    /// Adds steps while one follows from the other.
    fn leap<S: StepTime + ?Sized>(&mut self, step: &S) {
        let somebody_waits = !self.waiting.is_empty() || self.n_unseen() > 0;
        if self.batch.prefills > 0 || self.unfinished_prompt.is_some() || somebody_waits {
            return;
        }
        let mut batch = self.batch;
        let mut needed = self.decodes.needed_ahead(0);
        for _ in 1..self.decodes.rounds_to_finish().min(u64::from(self.max_leap)) {
            needed = self.decodes.needed_after(needed);
            if needed.blocks > self.blocks.free() {
                return;
            }
            self.blocks.take(needed.blocks);
            batch.decode_kv += u64::from(batch.decodes);
            self.run_step(step.nanoseconds(&batch));
        }
    }

    fn run_step(&mut self, ns: f64) {
        let end = self.steps.end.plus(Fine::from_ns_f64(ns));
        self.steps.n += 1;
        self.add_step(end, self.blocks.used());
    }

    fn add_step(&mut self, end: Fine, blocks_used: u32) {
        let ns = end.floor().since(self.steps.end.floor());
        self.steps.block_ns += u128::from(ns) * u128::from(blocks_used);
        self.steps.end = end;
    }

    /// Ends the running steps: counts what they did and lets the decodes advance. Returns how many they were.
    fn end_steps(&mut self) -> u64 {
        let Running { end, clock, block_ns, n, .. } = self.steps;
        if n == 0 {
            return 0;
        }
        let (batch, sums, n) = (&self.batch, &mut self.sums, u64::from(n));
        let ns = end.floor().since(clock.floor());
        sums.busy_ns += ns;
        // Within a leap blocks are only taken.
        self.kv_peak_blocks = self.kv_peak_blocks.max(self.blocks.used());
        sums.kv_block_ns += block_ns;
        sums.sequence_ns += u128::from(ns) * u128::from(batch.sequences());
        sums.iterations += n;
        sums.leapt_iterations += n - 1;
        sums.decode_tokens += n * u64::from(batch.decodes);
        if batch.prefills > 0 {
            self.rare.prefill_tokens += u64::from(batch.prefill_tokens);
            self.rare.first_tokens += u64::from(batch.first_tokens);
        }
        if batch.decodes > 0 {
            self.decodes.advance(n);
        }
        self.steps = Running { end, clock: end, block_ns: 0, n: 0, first_blocks_used: 0 };
        n
    }
}

impl Server for Replica<'_> {
    fn touch(&self) {
        let Replica { steps, blocks, sums, decodes, batch, waiting, .. } = self;
        let lines = steps.n ^ blocks.used() ^ sums.iterations as u32 ^ batch.decodes ^ waiting.len() as u32;
        std::hint::black_box(lines ^ decodes.blocks_needed());
    }

    fn enqueue<S: StepTime + ?Sized>(&mut self, id: u32, now: Time, step: &S) -> bool {
        let cuts = self.interrupt(now, step);
        match &mut self.unseen {
            None => self.waiting.push_back(id),
            Some(unseen) => {
                let next_step = self.sums.iterations + u64::from(self.steps.n);
                unseen.push_back((next_step + u64::from(self.config.visibility_steps), id));
            }
        }
        cuts
    }

    fn interrupt<S: StepTime + ?Sized>(&mut self, now: Time, step: &S) -> bool {
        // What is left are those that have ended, and the one that runs or ends now.
        self.steps.n > 1 && self.cut(step, now, true)
    }

    fn finish(&mut self, now: Time, jobs: &mut [Job], done: &mut Vec<u32>) -> u64 {
        let n_steps = self.end_steps();
        while let Some(id) = self.decodes.next_complete(jobs) {
            self.complete(id, jobs, done);
        }
        if n_steps > 0 {
            for index in 0..self.batch.prefills as usize {
                let inline = self.chunks.get(index).copied();
                let Chunk { id, tokens } = inline.unwrap_or_else(|| self.more_chunks[index - INLINE_CHUNKS]);
                let job = &mut jobs[id as usize];
                job.processed += tokens;
                if job.processed == job.to_prefill {
                    self.end_prompt(id, now, jobs, done);
                }
            }
            self.more_chunks.clear();
        }
        n_steps
    }

    fn settle<S: StepTime + ?Sized>(&mut self, now: Time, step: &S) -> (u64, Time) {
        self.cut(step, now.plus(1), false);
        (self.end_steps(), self.steps.clock.floor())
    }

    fn start<S: StepTime + ?Sized>(&mut self, now: Time, step: &S, jobs: &mut [Job]) {
        if self.steps.n > 0 {
            return;
        }
        self.batch = Batch::default();
        let scheduler = self.config.scheduler;
        self.see(false);
        self.order_waiting(jobs);
        scheduler.form(self, jobs, now);
        if self.batch.sequences() == 0 && self.n_unseen() > 0 {
            self.see(true);
            self.order_waiting(jobs);
            scheduler.form(self, jobs, now);
        }
        if self.batch.sequences() == 0 {
            return;
        }
        self.steps.clock = self.steps.clock.max(Fine::from(now));
        self.steps.end = self.steps.clock;
        self.steps.first_blocks_used = self.blocks.used();
        let ns = step.nanoseconds(&self.batch) + self.take_reading_ns();
        self.run_step(ns);
        self.leap(step);
    }

    fn next_end(&self) -> Option<Time> {
        let end = if self.steps.n > 0 { self.steps.end.floor() } else { self.wakes };
        (end != Time::NEVER).then_some(end)
    }

    fn may_start(&self) -> bool {
        self.steps.n == 0
    }

    fn n_waiting(&self) -> u32 {
        (self.waiting.len() + self.n_unseen()) as u32
    }

    fn blocks_used(&self) -> u32 {
        self.blocks.used()
    }

    fn progress(&self, job: &Job) -> (u64, u64) {
        let round = self.decodes.round();
        let in_cache = job.processed_at(round) - u32::from(job.is_decoding());
        (u64::from(job.generated_at(round)), u64::from(in_cache))
    }

    fn work(&self) -> Work {
        self.sums.work(&self.rare, self.kv_peak_blocks)
    }

    fn running(&self) -> Option<(Time, Time, Batch)> {
        let Running { end, clock, n, .. } = self.steps;
        (n == 1).then(|| (clock.floor(), end.floor(), self.batch))
    }

    fn requests(&self) -> Vec<u32> {
        let unseen = self.unseen.iter().flat_map(|unseen| unseen.iter().map(|&(_, id)| id));
        self.running.iter().chain(&self.waiting).copied().chain(unseen).collect()
    }

    fn clear(&mut self, _now: Time) -> Vec<u32> {
        let requests = self.requests();
        let prefixes = self.kept.as_ref().map(|kept| kept.prefixes);
        let mut empty = Replica::new(self.config, self.max_leap, prefixes);
        empty.steps.clock = self.steps.clock;
        std::mem::swap(&mut empty.sums, &mut self.sums);
        std::mem::swap(&mut empty.rare, &mut self.rare);
        empty.kv_peak_blocks = self.kv_peak_blocks;
        *self = empty;
        requests
    }
}
