//! A neural network, as far as its memory and its time depend on it.

use crate::hardware::Precision;
use crate::origin::Provenance;
use crate::units::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
}

impl LinearAttention {
    /// Returns the values of the state of one request and layer.
    pub fn state(&self) -> f64 {
        f64::from(self.value_heads) * f64::from(self.key_dim) * f64::from(self.value_dim)
    }

    /// Returns the width of the input projection: queries, keys, values, the gate, and two numbers per value head.
    pub fn input_width(&self) -> f64 {
        let keys = f64::from(self.key_heads) * f64::from(self.key_dim);
        let values = f64::from(self.value_heads) * f64::from(self.value_dim);
        2.0 * (keys + values + f64::from(self.value_heads))
    }

    /// Returns the width that the output projection reads.
    pub fn output_width(&self) -> f64 {
        f64::from(self.value_heads) * f64::from(self.value_dim)
    }
}

/// Sliding-window (or chunked) attention on some layers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// Tokens that such a layer looks back.
    pub tokens: u32,
    /// How many layers have it.
    pub layers: u32,
}

/// A transformer: sizes are counts, not bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Model {
    /// Catalog name, an identifier such as `llama3_1_70b`.
    pub id: String,
    /// The names people know, such as `meta-llama/Llama-3.1-70B-Instruct`.
    pub names: Vec<String>,
    /// Layers.
    pub layers: u32,
    /// Hidden width.
    pub hidden: u32,
    /// Query heads.
    pub heads: u32,
    /// Key-value heads.
    pub kv_heads: u32,
    /// Size of one head.
    pub head_dim: u32,
    /// Width of the dense feed-forward layers.
    pub ffn: u32,
    /// Whether the feed-forward layer has a gate (three matrices) or not (two).
    pub gated: bool,
    /// Vocabulary.
    pub vocab: u32,
    /// Whether the input and output embedding are one matrix.
    pub tied: bool,
    /// Mixture of experts, if any.
    pub experts: Option<Experts>,
    /// Latent attention, if any.
    pub latent: Option<Latent>,
    /// Sliding windows, if any.
    pub window: Option<Window>,
    /// Linear attention, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linear: Option<LinearAttention>,
    /// Longest context.
    pub context: u32,
    /// All parameters, in billions (10⁹).
    pub params_total_b: f64,
    /// Parameters that one token visits, embeddings and head included, in billions (10⁹).
    pub params_active_b: f64,
    /// Precision in which the weights are published.
    pub published: Precision,
    /// Source and date.
    #[serde(flatten)]
    pub provenance: Provenance,
}

impl Model {
    /// Returns the cache bytes that one token takes over all layers at `precision`, windows ignored.
    ///
    /// Grouped-query attention: 2 · layers · kv_heads · head_dim values. Latent attention:
    /// layers · (kv_rank + rope) values (DeepSeek-V2, arXiv 2405.04434, section 2.1).
    pub fn kv_bytes_per_token(&self, precision: Precision) -> Bytes {
        let values = match self.latent {
            Some(latent) => f64::from(self.layers) * f64::from(latent.kv_rank + latent.rope),
            None => {
                2.0 * f64::from(self.caching_layers()) * f64::from(self.kv_heads) * f64::from(self.head_dim)
            }
        };
        Bytes(values * precision.weight_bytes())
    }

    /// Returns the parameters that the sizes give, in billions (10⁹).
    ///
    /// Embeddings, attention, feed-forward layers, routers and two norms a layer; biases and norms of heads are
    /// left out, which is below 1 % in every catalog row.
    pub fn computed_params_b(&self) -> f64 {
        self.params_with(|experts| experts.routed)
    }

    /// Returns the parameters that one token visits, from the sizes, in billions (10⁹).
    pub fn computed_active_params_b(&self) -> f64 {
        self.params_with(|experts| experts.active)
    }

    fn params_with(&self, routed: impl Fn(Experts) -> u32) -> f64 {
        let [layers, hidden, vocab, ffn] = [self.layers, self.hidden, self.vocab, self.ffn].map(f64::from);
        let embeddings = vocab * hidden * if self.tied { 1.0 } else { 2.0 };
        let matrices = if self.gated { 3.0 } else { 2.0 };
        let dense = f64::from(self.dense_layers()) * matrices * hidden * ffn;
        let sparse = self.experts.map_or(0.0, |experts| {
            let routed = f64::from(routed(experts)) * f64::from(experts.width);
            let shared = f64::from(experts.shared) * f64::from(experts.shared_width);
            let router = hidden * f64::from(experts.routed);
            f64::from(experts.layers) * (3.0 * hidden * (routed + shared) + router)
        });
        let norms = (2.0 * layers + 1.0) * hidden;
        (embeddings + self.all_attention_params() + dense + sparse + norms) / 1e9
    }

    /// Returns how many layers have a cache that grows with the context.
    pub fn caching_layers(&self) -> u32 {
        self.layers.saturating_sub(self.linear.map_or(0, |linear| linear.layers))
    }

    /// Returns the parameters of attention in all layers.
    fn all_attention_params(&self) -> f64 {
        let hidden = f64::from(self.hidden);
        let full = f64::from(self.caching_layers()) * self.attention_params();
        self.linear.map_or(full, |linear| {
            let gate = hidden * f64::from(self.heads) * f64::from(self.head_dim);
            let each = hidden * (linear.input_width() + linear.output_width());
            full + f64::from(self.caching_layers()) * gate + f64::from(linear.layers) * each
        })
    }

    /// Returns the parameters of attention in one layer; latent attention as in DeepSeek-V2 (arXiv 2405.04434,
    /// section 2.1).
    fn attention_params(&self) -> f64 {
        let [hidden, heads, kv_heads, size] =
            [self.hidden, self.heads, self.kv_heads, self.head_dim].map(f64::from);
        let Some(latent) = self.latent else {
            return hidden * size * (heads + 2.0 * kv_heads) + heads * size * hidden;
        };
        let [query, kv] = [latent.query_rank, latent.kv_rank].map(f64::from);
        let [nope, rope, value] = [latent.nope, latent.rope, latent.value].map(f64::from);
        let queries = match latent.query_rank {
            0 => hidden * heads * (nope + rope),
            _ => hidden * query + query * heads * (nope + rope),
        };
        queries + hidden * (kv + rope) + kv * heads * (nope + value) + heads * value * hidden
    }

    /// Returns how many layers have a dense feed-forward part.
    pub fn dense_layers(&self) -> u32 {
        self.layers.saturating_sub(self.experts.map_or(0, |experts| experts.layers))
    }
}
