//! A replica at an unlimited request rate: how fast is it with a queue that never ends, and over a benchmark of so many
//! requests?
//!
//! All requests are of one length and wait from the start, so what follows what does not depend on how long a step takes:
//! prompts are admitted as fast as the token budget allows until no slot is left, and each wave ends as it began. A short
//! benchmark ends with slots empty, a long one hardly. Not known here: lengths that differ, and what the client adds.

use crate::perf::{PreparedStep, StepShape};
use std::collections::VecDeque;

/// Tokens of one step.
const STEP_TOKENS: f64 = 8192.0;
/// Parts in which the steps that fill all slots are looked at: over one part the time of a step is a straight line.
const PARTS: f64 = 12.0;

/// A replica at work.
pub struct Replica {
    /// One step.
    pub step: PreparedStep,
    /// Attention-parallel groups.
    pub groups: f64,
    /// Pipeline stages.
    pub stages: f64,
    /// Tokens of a prompt.
    pub prompt: f64,
    /// Tokens of an output.
    pub output: f64,
    /// Factor on the time of prompts.
    pub prefill: f64,
}

/// Sequences that were admitted in consecutive steps, and end in as many.
struct Block {
    count: f64,
    steps: f64,
    /// Step in which the first of them is gone.
    end: f64,
}

/// What one rank of a group runs now.
#[derive(Default)]
struct Running {
    blocks: VecDeque<Block>,
    step: f64,
    active: f64,
    cached: f64,
    nanoseconds: f64,
}

impl Replica {
    /// Returns the shape of one rank when `sequences` sequences of the replica decode.
    fn decode(&self, sequences: f64) -> StepShape {
        let own = sequences / self.groups;
        StepShape::decode(own, own * (self.prompt + self.output / 2.0))
    }

    /// Returns the step with `prompts` whole prompts added.
    fn mixed(&self, decode: &StepShape, prompts: f64) -> StepShape {
        StepShape {
            prefill_tokens: prompts * self.prompt,
            sampled: decode.sampled + prompts,
            pairs_twice: prompts * self.prompt * self.prompt,
            pairs_over_context: prompts * self.prompt,
            ..*decode
        }
    }

    /// Returns how many prompts one step reads.
    fn prompts_of_a_step(&self) -> f64 {
        (STEP_TOKENS / self.prompt).floor().max(1.0)
    }

    /// Returns the nanoseconds that one prompt adds while `sequences` decode.
    fn prompt_ns(&self, sequences: f64) -> f64 {
        let prompts = self.prompts_of_a_step();
        let own = self.decode(sequences / self.stages);
        let added = self.step.pass_ns(&self.mixed(&own, prompts)) - self.step.pass_ns(&own);
        self.prefill * added / prompts / self.stages / self.groups
    }

    /// Returns output tokens per second with `sequences` sequences.
    fn rate(&self, sequences: f64) -> f64 {
        let running = sequences.max(1.0);
        let life = self.output * self.step.step_ns(&self.decode(running)) + running * self.prompt_ns(running);
        // A replica whose cache holds less than one request runs one, that share of the time.
        sequences * self.output / life * 1e9
    }

    /// Returns the better rate of as many sequences as fit and of half as many, with a queue that never ends.
    pub fn best_rate(&self, most: f64) -> f64 {
        if most < 1.0 { self.rate(most) } else { self.rate(most).max(self.rate(most / 2.0)) }
    }

    /// Returns output tokens per second of a batch that is read first and then decodes to its end.
    pub fn static_rate(&self, sequences: f64) -> f64 {
        let life = self.output * self.step.step_ns(&self.decode(sequences)) + sequences * self.prompt_ns(0.0);
        sequences * self.output / life * 1e9
    }

    /// Returns output tokens per second over `requests` requests that all wait at the start, with `most` at once.
    pub fn rate_of_run(&self, requests: f64, most: f64) -> f64 {
        // Groups and stages each have their share of the requests, and run beside each other.
        let shares = self.groups * self.stages;
        let slots = (most / shares).floor();
        if slots < 1.0 {
            return self.rate(most);
        }
        let mut waiting = (requests / shares).ceil().max(1.0);
        let outputs = waiting * shares * self.output;
        let mut running = Running::default();
        let prompts = self.prompts_of_a_step();
        let part = (slots.min(waiting) / prompts / PARTS).ceil();
        while waiting > 0.0 || running.active > 0.0 {
            let free = (slots - running.active).max(0.0).min(waiting);
            let ends = running.blocks.front().map(|block| block.end - running.step);
            match ends {
                Some(ends) if ends <= 0.0 => waiting -= self.replace(&mut running, slots, waiting),
                _ if free > 0.0 => {
                    let steps = (free / prompts).ceil().min(part).min(ends.unwrap_or(part));
                    let count = free.min(steps * prompts);
                    self.advance(&mut running, steps, 0.0, count);
                    waiting -= count;
                }
                Some(ends) => self.advance(&mut running, ends, 0.0, 0.0),
                None => break,
            }
        }
        outputs / running.nanoseconds * 1e9
    }

    /// Lets the oldest block end, and as many come in as there is place for; returns how many.
    fn replace(&self, running: &mut Running, slots: f64, waiting: f64) -> f64 {
        let Some(block) = running.blocks.pop_front() else { return 0.0 };
        let place = (slots - running.active + block.count).max(0.0);
        let count = waiting.min(place).min(block.steps * self.prompts_of_a_step());
        self.advance(running, block.steps, block.count, count);
        count
    }

    /// Advances by `steps` steps over which `leaving` sequences end and `coming` begin, evenly.
    fn advance(&self, running: &mut Running, steps: f64, leaving: f64, coming: f64) {
        let length = self.prompt + self.output;
        let mean = running.active + (coming - leaving) / 2.0;
        let cached = running.cached + (coming * self.prompt - leaving * length) / 2.0 + mean * steps / 2.0;
        let decode = StepShape::decode(mean.max(0.0), cached.max(0.0));
        let alone = if mean > 0.0 { self.step.pass_ns(&decode) } else { 0.0 };
        let added = if coming > 0.0 {
            self.prefill * (self.step.pass_ns(&self.mixed(&decode, coming / steps)) - alone)
        } else {
            0.0
        };
        running.nanoseconds += steps * (alone + added);
        running.cached += mean * steps + coming * self.prompt - leaving * length;
        running.active += coming - leaving;
        if coming > 0.0 {
            running.blocks.push_back(Block {
                count: coming,
                steps,
                end: running.step + self.output.max(steps),
            });
        }
        running.step += steps;
    }
}
