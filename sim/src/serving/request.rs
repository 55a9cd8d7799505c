//! What is asked, and what became of it.

use crate::engine::Time;

/// A request as it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// When it arrives.
    pub arrival: Time,
    /// Tokens of its prompt.
    pub prompt: u32,
    /// Tokens it will get, at least one for a request that can be served.
    pub output: u32,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All its tokens were delivered.
    Completed,
    /// The run ended first.
    InFlight,
    /// It was never queued.
    Rejected(Reject),
}

/// Why a request was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reject {
    /// Its prompt or its output has no tokens.
    Empty,
    /// Prompt and output exceed the context.
    Context,
    /// Prompt and output exceed the KV cache of a replica less the watermark.
    Cache,
    /// Its prompt exceeds what the scheduler reads in one step, and the scheduler reads whole prompts.
    Step,
}

/// A request and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// When it arrived.
    pub arrival: Time,
    /// When its first token was first scheduled; `NEVER` if it was not.
    pub scheduled: Time,
    /// When its first output token existed; `NEVER` if it did not.
    pub first_token: Time,
    /// When its last output token existed; `NEVER` if it did not.
    pub completed: Time,
    /// Tokens of its prompt.
    pub prompt: u32,
    /// Tokens it asked for.
    pub output: u32,
    /// The replica that served it; meaningless for a rejected request.
    pub replica: u32,
    /// How often it was preempted and computed again.
    pub restarts: u32,
    /// What became of it.
    pub outcome: Outcome,
}

impl Record {
    /// Returns the nanoseconds from arrival to first token, queueing included.
    pub fn ttft_ns(&self) -> Option<u64> {
        (self.first_token != Time::NEVER).then(|| self.first_token.since(self.arrival))
    }

    /// Returns the nanoseconds per output token after the first; none for a request of one token.
    pub fn tpot_ns(&self) -> Option<f64> {
        (self.outcome == Outcome::Completed && self.output > 1)
            .then(|| self.completed.since(self.first_token) as f64 / f64::from(self.output - 1))
    }

    /// Returns the nanoseconds from arrival to last token.
    pub fn e2e_ns(&self) -> Option<u64> {
        (self.outcome == Outcome::Completed).then(|| self.completed.since(self.arrival))
    }
}

/// A request inside the simulator: its record, and how far it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    pub record: Record,
    /// Tokens to read before the next output token: the prompt, after a preemption also what was written before.
    pub to_prefill: u32,
    /// Tokens read so far; once decoding, the value at `joined` (prompt and output tokens so far).
    pub processed: u32,
    /// Output tokens so far; once decoding, the value at `joined`.
    pub generated: u32,
    /// The decode round at which it began to decode, `NOT_DECODING` else.
    pub joined: u64,
    /// The decode round after which it is complete.
    pub finish: u64,
}

/// Marks a job that is not decoding.
pub(crate) const NOT_DECODING: u64 = u64::MAX;

impl Job {
    /// Returns the job of a request that has just arrived.
    pub fn new(request: Request) -> Job {
        let record = Record {
            arrival: request.arrival,
            scheduled: Time::NEVER,
            first_token: Time::NEVER,
            completed: Time::NEVER,
            prompt: request.prompt,
            output: request.output,
            replica: 0,
            restarts: 0,
            outcome: Outcome::InFlight,
        };
        let (to_prefill, joined, finish) = (request.prompt, NOT_DECODING, NOT_DECODING);
        Job { record, to_prefill, processed: 0, generated: 0, joined, finish }
    }

    pub fn is_decoding(&self) -> bool {
        self.joined != NOT_DECODING
    }

    /// Returns prompt and output tokens so far, at the decode round `round`.
    pub fn processed_at(&self, round: u64) -> u32 {
        if self.is_decoding() { self.processed + (round - self.joined) as u32 } else { self.processed }
    }

    /// Returns output tokens so far, at the decode round `round`.
    pub fn generated_at(&self, round: u64) -> u32 {
        if self.is_decoding() { self.generated + (round - self.joined) as u32 } else { self.generated }
    }

    /// Notes that it runs in a step which starts at `now`.
    pub fn schedule(&mut self, now: Time) {
        self.record.scheduled = self.record.scheduled.min(now);
    }
}
