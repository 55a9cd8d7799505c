//! How the ranks of one stage divide a layer: attention by heads or by sequences, experts by width or by number.
//!
//! Invariant of a sound split: `tensor · data = expert_tensor · expert` = ranks of a stage.

use capstan_types::degrees::Degrees;

/// Degrees of parallelism within one stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Split {
    /// Ranks that divide attention, dense and shared layers by heads and width.
    pub tensor: u32,
    /// Groups of such ranks, each with its own sequences (attention-DP).
    pub data: u32,
    /// Ranks that divide each routed expert by width.
    pub expert_tensor: u32,
    /// Groups of such ranks, each with its own experts.
    pub expert: u32,
}

impl Split {
    /// Returns the split in which every layer is divided by the same ranks.
    pub const fn tensor(tensor: u32) -> Self {
        Self { tensor, data: 1, expert_tensor: tensor, expert: 1 }
    }

    /// Returns the ranks of one stage.
    pub const fn ranks(&self) -> u32 {
        self.tensor.saturating_mul(self.data)
    }

    /// Returns the degrees of a replica of `pipeline` stages that are split so; none of a split that is not sound.
    pub fn degrees(&self, pipeline: u32) -> Option<Degrees> {
        let Self { tensor, data, expert_tensor, expert } = *self;
        let sound = expert_tensor.checked_mul(expert) == Some(self.ranks());
        sound.then_some(Degrees { tensor, pipeline, data, expert })
    }
}
