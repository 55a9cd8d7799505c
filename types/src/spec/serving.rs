//! How a serving workload saves work: what prompts have in common, and tokens that are drafted.

use super::{Limit, Serve};
use crate::units::{Bytes, BytesPerSecond};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What prompts have in common, and where what was read is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PrefixCaching {
    /// How it is known which tokens prompts have in common.
    pub reuse: Reuse,
    /// Which replica gets a request.
    pub routing: Routing,
    /// Host memory of one replica that keeps what leaves the accelerators.
    pub host: Option<CacheTier>,
    /// Disk of one replica that keeps what leaves the accelerators.
    pub disk: Option<CacheTier>,
}

/// Which replica gets a request whose prompt began like others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Routing {
    /// The one with the fewest requests, whatever they are.
    LeastOutstanding,
    /// The one that the longest known beginning was sent to last, unless it is much fuller than the others.
    Prefix,
    /// The same, however full it is.
    Sticky,
}

/// Which tokens other prompts began with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "known_by")]
pub enum Reuse {
    /// The same share of each prompt.
    Share {
        /// The share.
        share: f64,
        /// Different beginnings, equally common.
        beginnings: u32,
        /// Tokens in which they are found.
        block_tokens: u32,
    },
    /// The block hashes of the trace.
    Hashes {
        /// Tokens of one hash.
        block_tokens: u32,
    },
}

/// What the block hashes of a trace say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BlockHashes {
    /// Fewest and most tokens of one hash with which every prompt has as many hashes as it needs.
    pub block_tokens: (u32, u32),
    /// Share of all hashes that a cache has read before, by its capacity in hashes, rising: least recently used leaves
    /// first, and a hit begins at the beginning of a prompt.
    pub reusable: Vec<(u64, f64)>,
}

impl BlockHashes {
    /// Returns the share of hashes that a cache of so many has read before; linear between the capacities that are known.
    pub fn reusable_within(&self, capacity: f64) -> f64 {
        let after = self.reusable.iter().position(|&(known, _)| known as f64 >= capacity);
        match after {
            None => self.reusable.last().map_or(0.0, |&(_, share)| share),
            Some(after) => {
                let (to, high) = self.reusable[after];
                let (from, low) = after.checked_sub(1).map_or((0, 0.0), |before| self.reusable[before]);
                let width = (to - from).max(1) as f64;
                low + (high - low) * ((capacity - from as f64) / width).clamp(0.0, 1.0)
            }
        }
    }
}

/// A place beside the accelerators that keeps blocks of prompts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CacheTier {
    /// What one replica has of it.
    #[serde(rename = "size_bytes")]
    pub size: Bytes,
    /// What a replica reads from it.
    #[serde(rename = "bandwidth_bytes_per_s")]
    pub bandwidth: BytesPerSecond,
}

/// Low-rank adapters on one base model, of which each request needs one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Adapters {
    /// How many there are, equally common.
    pub count: u32,
    /// Their rank.
    pub rank: u32,
    /// How many a replica holds beside its weights.
    pub slots: u32,
    /// What one that is not there is read with.
    #[serde(rename = "bandwidth_bytes_per_s")]
    pub bandwidth: BytesPerSecond,
}

/// Requests that yield to the others: they wait behind them, lose their cache first, and have no service level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Background {
    /// Share of all requests.
    pub share: f64,
    /// Most requests that wait at a replica when one of them comes; it is turned away if there are more. `None` is no
    /// limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Limit<u32>>,
}

/// Whether prompts are read on machines of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Disaggregated {
    /// No.
    #[default]
    Never,
    /// Where that is cheaper.
    Auto,
    /// Yes.
    Always,
}

/// A part of a workload on machines of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stage {
    /// The workload of the plan file.
    pub of: String,
    /// Which part.
    pub part: Part,
    /// The workload that is the other part.
    pub with: String,
}

/// Which part of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// It reads prompts and writes their first token.
    Prefill,
    /// It writes the other tokens.
    Decode,
}

impl Part {
    /// Returns its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
        }
    }
}

/// Tokens that are drafted cheaply and verified in one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Speculative {
    /// Tokens that are drafted for each step.
    pub tokens: u32,
    /// Chance that a drafted token is accepted if those before it were.
    pub acceptance: f64,
    /// What drafts.
    pub draft: Draft,
}

/// What drafts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Draft {
    /// A model on the same accelerators.
    Model {
        /// Identifier of the model in [`crate::spec::Spec::models`].
        model: String,
    },
    /// Heads of the model itself, or a look-up.
    Cost {
        /// Time to draft one token, as a share of a step without drafts.
        step_share: f64,
    },
}

impl Speculative {
    /// Returns the tokens that a step yields for each sequence on average: those accepted and one more.
    ///
    /// (1 − αᵏ⁺¹) / (1 − α) for k drafted tokens, each accepted with chance α (Leviathan et al., ICML 2023, equation 1).
    pub fn tokens_per_step(&self) -> f64 {
        let alpha = self.acceptance.clamp(0.0, 1.0);
        (0..self.tokens).fold((1.0, 1.0), |(sum, power), _| (sum + power * alpha, power * alpha)).0
    }
}

impl Serve {
    /// Returns whether it is this part of a workload in two parts.
    pub fn is_part(&self, part: Part) -> bool {
        self.stage.as_ref().is_some_and(|stage| stage.part == part)
    }

    /// Returns what counts of each of its requests: requests, prompt tokens, output tokens. What two parts share counts once.
    pub fn counts(&self) -> (f64, f64, f64) {
        let (prompt, output) = (self.load.prompt.mean, self.load.output.mean);
        if self.is_part(Part::Decode) { (0.0, 0.0, output - 1.0) } else { (1.0, prompt, output) }
    }

    /// Returns the smallest share of the tokens of prompts that must be computed, however much is kept.
    pub fn least_computed(&self) -> f64 {
        if self.is_part(Part::Decode) {
            return 0.0;
        }
        match self.prefix_caching.as_ref().map(|caching| caching.reuse) {
            None => 1.0,
            Some(Reuse::Share { share, .. }) => 1.0 - share,
            Some(Reuse::Hashes { .. }) => {
                let hashes = self.load.trace.as_ref().and_then(|trace| trace.hashes.as_ref());
                1.0 - hashes.and_then(|hashes| hashes.reusable.last()).map_or(0.0, |&(_, share)| share)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_two_capacities_the_share_is_linear() {
        let hashes = BlockHashes { block_tokens: (512, 512), reusable: vec![(100, 0.2), (200, 0.4)] };
        let shares = [0.0, 50.0, 150.0, 1e9].map(|capacity| hashes.reusable_within(capacity));
        for (share, expect) in shares.into_iter().zip([0.0, 0.1, 0.3, 0.4]) {
            assert!((share - expect).abs() < 1e-12, "{share}");
        }
    }

    #[test]
    fn a_step_yields_the_geometric_sum() {
        let yields = |tokens, acceptance| {
            let draft = Draft::Cost { step_share: 0.0 };
            Speculative { tokens, acceptance, draft }.tokens_per_step()
        };
        // (1 − 0.8⁵) / 0.2
        assert!((yields(4, 0.8) - 3.3616).abs() < 1e-12);
        assert_eq!((yields(3, 0.0), yields(3, 1.0)), (1.0, 4.0));
    }
}
