//! How long is a step in which tokens are drafted? The simulator's step yields one token for each sequence, so a step that
//! yields several on average counts as that part of its time.
//!
//! Per yielded token: (verification of k + 1 tokens of each sequence + drafting of k) / tokens yielded, and what prompts
//! add, which is added once. Means are right; that a request's tokens come in bursts, and that one request has more luck
//! than another, is not seen.

use super::{PreparedStep, StepShape};

/// Tokens that are drafted in every step.
#[derive(Debug, Clone, PartialEq)]
pub struct Speculation {
    /// Drafted for each sequence.
    pub tokens: u32,
    /// What a step yields for each sequence on average.
    pub yields: f64,
    /// What drafts.
    pub drafter: Drafter,
}

/// What drafts.
#[derive(Debug, Clone, PartialEq)]
pub enum Drafter {
    /// Another model, which reads the prompts too.
    Model(Box<PreparedStep>),
    /// Something that takes this share of a step without drafts, for each token.
    Share(f64),
}

impl Speculation {
    /// Returns the time of a step for each token that it yields.
    pub(super) fn step_ns(&self, target: &PreparedStep, shape: &StepShape) -> f64 {
        let alone = StepShape::decode(shape.decodes, shape.decode_kv);
        let drafted = f64::from(self.tokens) * shape.decodes;
        let verified = StepShape { drafted, ..alone };
        let read =
            StepShape { decodes: 0.0, decode_kv: 0.0, sampled: shape.sampled - shape.decodes, ..*shape };
        if shape.decodes <= 0.0 {
            return target.plain_step_ns(shape) + self.prompts_ns(&read);
        }
        let verification = target.plain_step_ns(&verified);
        let drafting = f64::from(self.tokens) * self.draft_ns(target, &alone);
        let prompts = if shape.prefill_tokens > 0.0 {
            let both = StepShape { drafted, ..*shape };
            target.plain_step_ns(&both) - verification + self.prompts_ns(&read)
        } else {
            0.0
        };
        (verification + drafting) / self.yields.max(1.0) + prompts
    }

    /// Returns the time to draft one token of each sequence.
    fn draft_ns(&self, target: &PreparedStep, alone: &StepShape) -> f64 {
        match &self.drafter {
            Drafter::Model(draft) => draft.plain_step_ns(alone),
            Drafter::Share(share) => share * target.plain_step_ns(alone),
        }
    }

    /// Returns the time in which the drafter reads prompts.
    fn prompts_ns(&self, read: &StepShape) -> f64 {
        match &self.drafter {
            Drafter::Model(draft) if read.prefill_tokens > 0.0 => draft.plain_step_ns(read),
            _ => 0.0,
        }
    }
}
