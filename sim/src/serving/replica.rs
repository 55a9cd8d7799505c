//! One replica: what waits, what runs, what its cache holds, and when its step ends.
//!
//! While nobody waits, no prompt is read and no decode ends or lacks a block, one step follows from the other; the
//! replica then computes several at once (a leap) and is an event only at the end of the last. A request that comes in
//! between cuts the leap at the end of the step that is running, so the instants are those of single steps.

use std::collections::VecDeque;

use super::config::{ServingConfig, WHOLE_OUTPUT_PER_MILLE};
use super::decodes::Decodes;
use super::kv::Blocks;
use super::request::Job;
use super::scheduler::Scheduler;
use super::step::{Batch, StepTime};
use crate::engine::{Fine, Time};

/// What one replica did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Steps.
    pub iterations: u64,
    /// Of those, computed in a leap and no event of their own.
    pub leapt_iterations: u64,
    /// Tokens of prompts read, those read again included.
    pub prefill_tokens: u64,
    /// Tokens run as decodes.
    pub decode_tokens: u64,
    /// Output tokens delivered.
    pub output_tokens: u64,
    /// Tokens computed and thrown away by preemption.
    pub discarded_tokens: u64,
    /// Preemptions.
    pub preemptions: u64,
    /// Nanoseconds in which at least one step ran.
    pub busy_ns: u64,
    /// Most blocks in use.
    pub kv_peak_blocks: u32,
    /// Σ over steps of nanoseconds × blocks in use.
    pub kv_block_ns: u128,
    /// Σ over steps of nanoseconds × sequences in the batch.
    pub sequence_ns: u128,
}

/// What the fleet asks of a replica: take a request, end what ends now, start what can start.
pub(crate) trait Server {
    /// Queues a request that arrives at `now`; says whether `next_end` changed.
    fn enqueue(&mut self, id: u32, now: Time) -> bool;
    /// Ends everything that ends at `now`; completed requests are appended to `done`. Returns how many steps ended.
    fn finish(&mut self, now: Time, jobs: &mut [Job], done: &mut Vec<u32>) -> u64;
    /// Ends what ended by `now` and was no event. Returns how many steps, and when the last ended.
    fn settle(&mut self, now: Time) -> (u64, Time);
    /// Starts what can start at `now`.
    fn start<S: StepTime + ?Sized>(&mut self, now: Time, step: &S, jobs: &mut [Job]);
    /// Returns when the next thing ends here.
    fn next_end(&self) -> Option<Time>;
    /// Says whether `start` could start something if a request came.
    fn may_start(&self) -> bool;
    /// Returns how many requests have not been scheduled.
    fn n_waiting(&self) -> u32;
    /// Returns the blocks in use.
    fn blocks_used(&self) -> u32;
    /// Returns output tokens so far, and tokens held in the cache, of a request that is here.
    fn progress(&self, job: &Job) -> (u64, u64);
    /// Returns what has been done in steps that have ended.
    fn work(&self) -> Work;
}

/// A piece of a prompt in the running step.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    id: u32,
    tokens: u32,
}

/// Most steps of a leap: what a request that comes in between makes vain.
pub(crate) const MAX_LEAP: usize = 32;

/// Sequences, and prompts that wait or are read at once, which a replica commonly has at most.
const COMMON_SEQUENCES: u32 = 64;
const COMMON_CHUNKS: usize = 8;

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
/// A fleet's replicas do not fit a processor's cache, and each event is at another of them: what an event reads lies
/// together, in this order, and what only a cut leap, a late request or the forming of a step needs comes after it.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(crate) struct Replica {
    steps: Running,
    pub blocks: Blocks,
    /// Blocks that the running requests were promised when they were admitted; zero if nothing is reserved.
    promised: u64,
    decodes: Decodes,
    work: Work,
    chunks: Vec<Chunk>,
    scheduler: Scheduler,
    max_sequences: u32,
    reserved_output_per_mille: u32,
    visibility_steps: u32,
    /// Requests not yet scheduled, or preempted, in the order in which they will be.
    pub waiting: VecDeque<u32>,
    /// Requests that hold blocks; the last is evicted first.
    pub running: Vec<u32>,
    /// The running request whose prompt is not read to its end.
    pub unfinished_prompt: Option<u32>,
    /// When to look again, if nothing runs and nothing comes; `NEVER` if there is nothing to look for.
    pub wakes: Time,
    /// Requests that the scheduler does not see yet: from which step on it will, and which.
    unseen: VecDeque<(u64, u32)>,
    /// The step being formed or running.
    pub batch: Batch,
    max_leap: usize,
    /// When each running step ends.
    ends: [Fine; MAX_LEAP],
}

impl Replica {
    /// Returns an idle replica that leaps over at most `max_leap` steps; 1 is single steps.
    pub fn new(config: &ServingConfig, max_leap: usize) -> Replica {
        let ServingConfig { scheduler, max_sequences, kv, .. } = *config;
        let steps =
            Running { end: Fine::default(), clock: Fine::default(), block_ns: 0, n: 0, first_blocks_used: 0 };
        // What commonly suffices is allocated at once: lists that grow one by one end up far from each other.
        let n_common = max_sequences.min(COMMON_SEQUENCES) as usize;
        Replica {
            steps,
            blocks: Blocks::new(kv),
            promised: 0,
            decodes: Decodes::new(kv.block_tokens, n_common),
            work: Work::default(),
            chunks: Vec::with_capacity(COMMON_CHUNKS),
            scheduler,
            max_sequences,
            reserved_output_per_mille: config.reserved_output_per_mille,
            visibility_steps: config.visibility_steps,
            waiting: VecDeque::with_capacity(COMMON_CHUNKS),
            running: Vec::with_capacity(n_common),
            unfinished_prompt: None,
            wakes: Time::NEVER,
            unseen: VecDeque::new(),
            batch: Batch::default(),
            max_leap: max_leap.min(MAX_LEAP),
            ends: [Fine::default(); MAX_LEAP],
        }
    }

    /// Says whether one more request may hold blocks.
    pub fn has_place(&self) -> bool {
        (self.running.len() as u64) < u64::from(self.max_sequences)
    }

    /// Says whether as many requests wait as may hold blocks.
    pub fn fills_a_batch(&self) -> bool {
        self.waiting.len() as u64 >= u64::from(self.max_sequences)
    }

    /// Takes `taken` blocks for a waiting request if `counted` are free and it can be promised what is reserved.
    pub fn admit(&mut self, job: &Job, counted: u32, taken: u32) -> bool {
        let promise = self.promise(job);
        let fits = self.blocks.admits(counted) && self.promised + promise <= self.blocks.for_admission();
        if fits {
            self.blocks.take(taken);
            self.promised += promise;
        }
        fits
    }

    /// Returns the blocks that a request is promised at admission: those of its prompt and of the reserved output.
    fn promise(&self, job: &Job) -> u64 {
        if self.reserved_output_per_mille == 0 {
            return 0;
        }
        let reserved = u64::from(job.output) * u64::from(self.reserved_output_per_mille);
        let output = reserved.div_ceil(u64::from(WHOLE_OUTPUT_PER_MILLE)) as u32;
        u64::from(self.blocks.blocks_for(job.to_prefill.max(job.prompt + output)))
    }

    /// Lets the scheduler see what it may see in the step that it forms next.
    fn see(&mut self, all: bool) {
        while let Some(&(from, id)) = self.unseen.front() {
            if from > self.work.iterations && !all {
                break;
            }
            self.unseen.pop_front();
            self.waiting.push_back(id);
        }
    }

    /// Adds `tokens` of a prompt to the step. Its blocks have been taken.
    pub fn read_prompt(&mut self, id: u32, tokens: u32, jobs: &mut [Job], now: Time) {
        let job = &mut jobs[id as usize];
        let ends = job.processed + tokens == job.to_prefill;
        self.batch.add_prefill(job.processed, tokens, ends);
        self.unfinished_prompt = (!ends).then_some(id);
        self.chunks.push(Chunk { id, tokens });
        job.schedule(now);
    }

    /// Gives every decode that needs a block one and adds all decodes to the step; says whether any was evicted.
    pub fn grant_decodes(&mut self, jobs: &mut [Job]) -> bool {
        let needed = self.decodes.blocks_needed_in(0);
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
        let job = &mut jobs[id as usize];
        self.blocks.release(self.held(job));
        if job.is_decoding() {
            self.decodes.evict(id, job);
            job.to_prefill = job.processed;
            job.processed -= 1;
        } else {
            self.unfinished_prompt = None;
        }
        self.work.discarded_tokens += u64::from(job.processed);
        self.work.preemptions += 1;
        job.processed = 0;
        job.restarts += 1;
        self.waiting.push_front(id);
        Some(id)
    }

    /// Returns the blocks that a running request holds, not counting one granted for the step being formed.
    fn held(&self, job: &Job) -> u32 {
        if job.is_decoding() {
            self.blocks.blocks_for(job.processed_at(self.decodes.round()) - 1)
        } else if matches!(self.scheduler, Scheduler::Chunked { .. }) {
            self.blocks.blocks_for(job.processed)
        } else {
            self.blocks.blocks_for(job.to_prefill)
        }
    }

    /// Moves the unfinished prompt, which gets no tokens in this step, to where it is evicted last (Vidur: what was
    /// left over goes before the members of the last batch).
    pub fn set_aside(&mut self, id: u32) {
        if self.running.last() == Some(&id) {
            self.running.rotate_right(1);
        }
    }

    /// Moves the unfinished prompt, which gets tokens in this step, to where it is evicted first.
    pub fn put_last(&mut self, id: u32) {
        if self.running.first() == Some(&id) {
            self.running.rotate_left(1);
        }
    }

    /// Makes a request running; the latest to arrive is evicted first.
    pub fn insert_by_arrival(&mut self, id: u32, jobs: &[Job]) {
        let number = jobs[id as usize].number;
        let place = self.running.partition_point(|&other| jobs[other as usize].number < number);
        self.running.insert(place, id);
    }

    fn complete(&mut self, id: u32, jobs: &[Job], done: &mut Vec<u32>) {
        let job = &jobs[id as usize];
        self.promised -= self.promise(job);
        self.blocks.release(self.blocks.blocks_for(job.prompt + job.output - 1));
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
        let somebody_waits = !self.waiting.is_empty() || !self.unseen.is_empty();
        if self.batch.prefills > 0 || self.unfinished_prompt.is_some() || somebody_waits {
            return;
        }
        let mut batch = self.batch;
        for ahead in 1..self.decodes.rounds_to_finish().min(self.max_leap as u64) {
            let blocks = self.decodes.blocks_needed_in(ahead);
            if blocks > self.blocks.free() {
                return;
            }
            self.blocks.take(blocks);
            batch.decode_kv += u64::from(batch.decodes);
            self.run_step(step.nanoseconds(&batch));
        }
    }

    fn run_step(&mut self, ns: f64) {
        let end = self.steps.end.plus(Fine::from_ns_f64(ns));
        self.ends[self.steps.n as usize] = end;
        self.steps.n += 1;
        self.add_step(end, self.blocks.used());
    }

    fn add_step(&mut self, end: Fine, blocks_used: u32) {
        let ns = end.floor().since(self.steps.end.floor());
        self.steps.block_ns += u128::from(ns) * u128::from(blocks_used);
        self.steps.end = end;
    }

    /// Gives up all running steps but the first `kept`, those that begin last.
    fn cut(&mut self, kept: usize) {
        let n = std::mem::replace(&mut self.steps.n, kept as u32) as usize;
        for ahead in kept..n {
            self.blocks.release(self.decodes.blocks_needed_in(ahead as u64));
        }
        (self.steps.end, self.steps.block_ns) = (self.steps.clock, 0);
        let mut blocks_used = self.steps.first_blocks_used;
        for ahead in 0..kept {
            blocks_used += if ahead > 0 { self.decodes.blocks_needed_in(ahead as u64) } else { 0 };
            self.add_step(self.ends[ahead], blocks_used);
        }
    }

    /// Ends the running steps: counts what they did and lets the decodes advance. Returns how many they were.
    fn end_steps(&mut self) -> u64 {
        let Running { end, clock, block_ns, n, .. } = self.steps;
        if n == 0 {
            return 0;
        }
        let (batch, work, n) = (&self.batch, &mut self.work, u64::from(n));
        let ns = end.floor().since(clock.floor());
        work.busy_ns += ns;
        // Within a leap blocks are only taken.
        work.kv_peak_blocks = work.kv_peak_blocks.max(self.blocks.used());
        work.kv_block_ns += block_ns;
        work.sequence_ns += u128::from(ns) * u128::from(batch.sequences());
        work.iterations += n;
        work.leapt_iterations += n - 1;
        work.prefill_tokens += n * u64::from(batch.prefill_tokens);
        work.decode_tokens += n * u64::from(batch.decodes);
        work.output_tokens += n * u64::from(batch.sampled());
        if batch.decodes > 0 {
            self.decodes.advance(n);
        }
        self.steps = Running { end, clock: end, block_ns: 0, n: 0, first_blocks_used: 0 };
        n
    }
}

impl Server for Replica {
    fn enqueue(&mut self, id: u32, now: Time) -> bool {
        let mut cuts = false;
        if self.steps.n > 1 {
            // Those that have ended, or end now, and the one that runs.
            let ended = self.ends[..self.steps.n as usize].partition_point(|end| end.floor() < now);
            cuts = ended + 1 < self.steps.n as usize;
            if cuts {
                self.cut(ended + 1);
            }
        }
        if self.visibility_steps == 0 {
            self.waiting.push_back(id);
        } else {
            let next_step = self.work.iterations + u64::from(self.steps.n);
            self.unseen.push_back((next_step + u64::from(self.visibility_steps), id));
        }
        cuts
    }

    fn finish(&mut self, now: Time, jobs: &mut [Job], done: &mut Vec<u32>) -> u64 {
        let n_steps = self.end_steps();
        while let Some(id) = self.decodes.next_complete(jobs) {
            self.complete(id, jobs, done);
        }
        for index in 0..self.chunks.len() {
            let Chunk { id, tokens } = self.chunks[index];
            let job = &mut jobs[id as usize];
            job.processed += tokens;
            if job.processed == job.to_prefill {
                self.end_prompt(id, now, jobs, done);
            }
        }
        self.chunks.clear();
        n_steps
    }

    fn settle(&mut self, now: Time) -> (u64, Time) {
        self.cut(self.ends[..self.steps.n as usize].partition_point(|end| end.floor() <= now));
        (self.end_steps(), self.steps.clock.floor())
    }

    fn start<S: StepTime + ?Sized>(&mut self, now: Time, step: &S, jobs: &mut [Job]) {
        if self.steps.n > 0 {
            return;
        }
        self.batch = Batch::default();
        self.wakes = Time::NEVER;
        let scheduler = self.scheduler;
        self.see(false);
        scheduler.form(self, jobs, now);
        if self.batch.sequences() == 0 && !self.unseen.is_empty() {
            self.see(true);
            scheduler.form(self, jobs, now);
        }
        if self.batch.sequences() == 0 {
            return;
        }
        self.steps.clock = self.steps.clock.max(Fine::from(now));
        self.steps.end = self.steps.clock;
        self.steps.first_blocks_used = self.blocks.used();
        self.run_step(step.nanoseconds(&self.batch));
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
        (self.waiting.len() + self.unseen.len()) as u32
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
        self.work
    }
}
