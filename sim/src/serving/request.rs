//! What is asked, and what became of it.

use std::fmt;

use super::config::ServingConfig;
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
    /// It was turned away.
    Rejected(Reject),
    /// Its replica failed, or none lived.
    Lost,
}

/// Why a request was turned away.
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
    /// As many requests as may wait at its replica.
    Queue,
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reject::Empty => "the prompt or the output has no tokens",
            Reject::Context => "prompt and output are longer than the context",
            Reject::Cache => "prompt and output are more than the KV cache of a replica holds",
            Reject::Queue => "as many requests as may wait already wait at its replica",
            Reject::Step => "the prompt is longer than what a step may read, and is read whole",
        })
    }
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
    /// Whether it yielded to the others.
    pub background: bool,
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

/// A request inside the simulator, and how far it is: one cache line, because a fleet holds more of them than a cache.
///
/// Invariant: from when it begins to decode until it leaves, `processed` and `generated` stand still; see `joined`.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Job {
    pub arrival: Time,
    pub scheduled: Time,
    pub first_token: Time,
    /// The decode round at which it began to decode, `NOT_DECODING` else.
    pub joined: u64,
    pub prompt: u32,
    pub output: u32,
    pub replica: u32,
    pub restarts: u32,
    /// Tokens to read before the next output token: the prompt, after a preemption also what was written before.
    pub to_prefill: u32,
    /// Tokens read so far; once decoding, the value at `joined` (prompt and output tokens so far).
    pub processed: u32,
    /// Output tokens so far; once decoding, the value at `joined`.
    pub generated: u32,
    /// How many requests arrived before it.
    pub number: u32,
}

/// Marks a job that is not decoding.
pub(crate) const NOT_DECODING: u64 = u64::MAX;

const _: () = assert!(size_of::<Job>() == 64, "a job fills one cache line");

impl Job {
    /// Returns the job of a request that has just arrived at `replica`.
    pub fn new(number: u32, request: Request, replica: u32) -> Job {
        Job {
            arrival: request.arrival,
            scheduled: Time::NEVER,
            first_token: Time::NEVER,
            joined: NOT_DECODING,
            prompt: request.prompt,
            output: request.output,
            replica,
            restarts: 0,
            to_prefill: request.prompt,
            processed: 0,
            generated: 0,
            number,
        }
    }

    /// Forgets what was done for it; its clock runs on.
    pub fn begin_again(&mut self) {
        self.first_token = Time::NEVER;
        self.joined = NOT_DECODING;
        (self.to_prefill, self.processed, self.generated) = (self.prompt, 0, 0);
        self.restarts += 1;
    }

    pub fn is_decoding(&self) -> bool {
        self.joined != NOT_DECODING
    }

    /// Returns the decode round after which a decoding request is complete.
    pub fn finish(&self) -> u64 {
        self.joined + u64::from(self.output - self.generated)
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
        self.scheduled = self.scheduled.min(now);
    }

    /// Returns what is known of it; `completed` is `NEVER` where it did not end.
    pub fn record(&self, completed: Time, outcome: Outcome, config: &ServingConfig) -> Record {
        Record {
            arrival: self.arrival,
            scheduled: self.scheduled,
            first_token: self.first_token,
            completed,
            prompt: self.prompt,
            output: self.output,
            replica: self.replica,
            restarts: self.restarts,
            background: config.yields(u64::from(self.number)),
            outcome,
        }
    }
}

/// The requests that are here. A place is given to the next as soon as it is left, so memory does not grow with time.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    /// By place, which is how everyone else calls a request.
    pub places: Vec<Job>,
    unused: Vec<u32>,
}

/// In `number`: nobody is there.
const NOBODY: u32 = u32::MAX;

impl Jobs {
    /// Gives a request a place.
    pub fn enter(&mut self, job: Job) -> u32 {
        if let Some(place) = self.unused.pop() {
            self.places[place as usize] = job;
            return place;
        }
        self.places.push(job);
        u32::try_from(self.places.len() - 1).expect("MAX_REQUESTS is below 2³²")
    }

    /// Takes a request out of its place.
    pub fn leave(&mut self, place: u32) {
        self.places[place as usize].number = NOBODY;
        self.unused.push(place);
    }

    /// Returns those who are here, by arrival.
    pub fn by_arrival(&self) -> Vec<&Job> {
        let mut jobs: Vec<&Job> = self.places.iter().filter(|job| job.number != NOBODY).collect();
        jobs.sort_unstable_by_key(|job| job.number);
        jobs
    }
}
