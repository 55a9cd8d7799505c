//! The parts that a neural network may have beside plain attention and dense layers.

use crate::hardware::Precision;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Says whether a count that is usually absent is.
pub(super) fn zero(count: &u32) -> bool {
    *count == 0
}

/// Mixture-of-experts layers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Experts {
    /// Routed experts per layer.
    pub routed: u32,
    /// Routed experts that one token visits.
    pub active: u32,
    /// Width of one routed expert.
    pub width: u32,
    /// Experts that every token visits.
    pub shared: u32,
    /// Width of one shared expert.
    pub shared_width: u32,
    /// Layers with experts; the others are dense.
    pub layers: u32,
    /// Width in which routed experts read and write, where it is not the hidden one (Nemotron 3 Super); 0 where it is.
    #[serde(default, skip_serializing_if = "zero")]
    pub latent: u32,
}

/// Multi-head latent attention: the cache holds one compressed vector per token and layer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latent {
    /// Rank of the query compression, 0 for none.
    pub query_rank: u32,
    /// Rank of the key-value compression.
    pub kv_rank: u32,
    /// Head size without position.
    pub nope: u32,
    /// Head size that carries the position, cached once per token.
    pub rope: u32,
    /// Head size of values.
    pub value: u32,
}

/// Linear attention with a gated delta rule on some layers (Qwen3-Next, Qwen3.5): a state of fixed size per request
/// instead of a cache that grows.
///
/// The other layers of such models have a gate on their attention output, as wide as the query heads.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinearAttention {
    /// How many layers have it.
    pub layers: u32,
    /// Heads of keys, and of queries.
    pub key_heads: u32,
    /// Size of such a head.
    pub key_dim: u32,
    /// Heads of values.
    pub value_heads: u32,
    /// Size of such a head.
    pub value_dim: u32,
    /// Tokens that the convolution before it looks at, 0 for none.
    #[serde(default, skip_serializing_if = "zero")]
    pub conv: u32,
}

/// State-space layers of the second kind (Mamba-2, arXiv 2405.21060; Nemotron-H): a state of fixed size per request.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StateSpace {
    /// How many layers have it.
    pub layers: u32,
    /// Heads.
    pub heads: u32,
    /// Size of one head.
    pub head_dim: u32,
    /// Values of the state per channel.
    pub state: u32,
    /// Groups of heads that share their input and output maps.
    pub groups: u32,
    /// Tokens that the convolution before it looks at.
    pub conv: u32,
}

/// A layer whose memory of the past has one size, whatever the length: what linear attention and state spaces share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recurrent {
    /// How many layers have it.
    pub layers: u32,
    /// Values of the state of one request and layer.
    pub state: f64,
    /// Channels that pass the convolution; it keeps `conv − 1` of each, in 16 bits.
    pub channels: f64,
    /// Tokens that the convolution looks at, 0 for none.
    pub conv: u32,
    /// Width of the input projection.
    pub input_width: f64,
    /// Width that the output projection reads.
    pub output_width: f64,
}

impl Recurrent {
    /// Returns the values that the convolution keeps of one request and layer.
    pub fn conv_values(&self) -> f64 {
        self.channels * f64::from(self.conv.saturating_sub(1))
    }
}

impl From<LinearAttention> for Recurrent {
    /// Queries, keys and values pass the convolution; beside them the input has a gate and two numbers per value head.
    fn from(linear: LinearAttention) -> Self {
        let keys = f64::from(linear.key_heads) * f64::from(linear.key_dim);
        let values = f64::from(linear.value_heads) * f64::from(linear.value_dim);
        Self {
            layers: linear.layers,
            state: values * f64::from(linear.key_dim),
            channels: 2.0 * keys + values,
            conv: linear.conv,
            input_width: 2.0 * (keys + values + f64::from(linear.value_heads)),
            output_width: values,
        }
    }
}

impl From<StateSpace> for Recurrent {
    /// The inner width and the maps of each group pass the convolution; beside them there is a gate and a step per head.
    fn from(space: StateSpace) -> Self {
        let inner = f64::from(space.heads) * f64::from(space.head_dim);
        let maps = 2.0 * f64::from(space.groups) * f64::from(space.state);
        Self {
            layers: space.layers,
            state: inner * f64::from(space.state),
            channels: inner + maps,
            conv: space.conv,
            input_width: 2.0 * inner + maps + f64::from(space.heads),
            output_width: inner,
        }
    }
}

/// An indexer that chooses the tokens which latent attention reads (DeepSeek sparse attention, arXiv 2512.02556): it
/// has a cache of its own beside the latent one, which stays whole.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Indexer {
    /// Heads.
    pub heads: u32,
    /// Size of one head, and of the key that it caches.
    pub head_dim: u32,
    /// Tokens that it chooses.
    pub chosen: u32,
    /// Layers that have their own; others use that of the layer before.
    pub layers: u32,
}

/// A latent cache that keeps one vector for several tokens (DeepSeek V4), with a window of whole tokens beside it.
///
/// Keys and values are one vector of `kv_rank + rope` of the latent attention; there is no projection up from it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compression {
    /// Tokens that one vector stands for in the finer layers; these have the indexer.
    pub fine: u32,
    /// How many layers are fine.
    pub fine_layers: u32,
    /// Tokens that one vector stands for in the coarser layers.
    pub coarse: u32,
    /// How many layers are coarse; the rest keep the window only.
    pub coarse_layers: u32,
    /// Groups of the output projection.
    pub output_groups: u32,
    /// Rank of each.
    pub output_rank: u32,
}

impl Compression {
    /// Returns layers over the tokens that one of their vectors stands for: vectors per token.
    pub fn vectors_per_token(&self) -> f64 {
        f64::from(self.fine_layers) / f64::from(self.fine.max(1))
            + f64::from(self.coarse_layers) / f64::from(self.coarse.max(1))
    }
}

/// How the parts of a checkpoint are stored. Embeddings, head, norms and routers stay in 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stored {
    /// Attention projections but the last, and recurrent layers.
    pub attention: Precision,
    /// The output projection of attention.
    pub output: Precision,
    /// Dense and shared feed-forward layers.
    pub dense: Precision,
    /// Routed experts.
    pub experts: Precision,
    /// The cache that the checkpoint asks for; 16 bits where it asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Precision>,
}

/// Sliding-window (or chunked) attention on some layers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// Tokens that such a layer looks back.
    pub tokens: u32,
    /// How many layers have it.
    pub layers: u32,
}

impl Stored {
    /// Returns the same with every part in one precision and a cache of 16 bits.
    pub fn uniform(precision: Precision) -> Self {
        Self { attention: precision, output: precision, dense: precision, experts: precision, cache: None }
    }
}
