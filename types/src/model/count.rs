//! What follows from the sizes of a model: parameters, and what one request leaves in memory.
//!
//! Norms of heads, biases and learned positions are not counted here: below 1 % of every catalog row.

use super::{Compression, Experts, Latent, Model, Recurrent};
use crate::hardware::Precision;
use crate::units::Bytes;

/// Bytes that an indexer caches per token and layer beyond one byte per value: a 32-bit scale
/// (DeepSeek-V3.2, arXiv 2512.02556: keys in fp8, one scale each).
const INDEX_SCALE: f64 = 4.0;

/// Bytes of one value of a recurrent state: 32 bits (`mamba_ssm_dtype` of published configurations).
pub const STATE_BYTES: f64 = 4.0;

impl Model {
    /// Returns the cache bytes that one token takes over all layers at `precision`, windows ignored.
    ///
    /// Grouped-query attention: 2 · layers · kv_heads · head_dim values. Latent attention:
    /// layers · (kv_rank + rope) values (DeepSeek-V2, arXiv 2405.04434, section 2.1). Compressed: a vector of that
    /// size for several tokens. The cache of an indexer comes on top, see [`Model::index_bytes_per_token`].
    pub fn kv_bytes_per_token(&self, precision: Precision) -> Bytes {
        let values = match (self.latent, self.compression) {
            (Some(latent), Some(compression)) => compression.vectors_per_token() * latent.cached(),
            (Some(latent), None) => f64::from(self.caching_layers()) * latent.cached(),
            (None, _) => {
                2.0 * f64::from(self.caching_layers()) * f64::from(self.kv_heads) * f64::from(self.head_dim)
            }
        };
        Bytes(values * precision.weight_bytes())
    }

    /// Returns the bytes that indexers cache per token, all layers: always in 8 bits, with a scale.
    pub fn index_bytes_per_token(&self) -> Bytes {
        let Some(indexer) = self.indexer else { return Bytes::ZERO };
        let each = f64::from(indexer.head_dim) + INDEX_SCALE;
        let tokens = self.compression.map_or(1.0, |compression| f64::from(compression.fine.max(1)));
        Bytes(f64::from(indexer.layers) * each / tokens)
    }

    /// Returns the bytes of one request whatever its length: recurrent states, and what convolutions keep.
    pub fn state_bytes(&self) -> Bytes {
        self.recurrent().map_or(Bytes::ZERO, |recurrent| {
            let each = STATE_BYTES * recurrent.state + 2.0 * recurrent.conv_values();
            Bytes(f64::from(recurrent.layers) * each)
        })
    }

    /// Returns the bytes that the layers with a window hold at most per request, at `precision`.
    pub fn window_bytes(&self, precision: Precision) -> Bytes {
        let Some(window) = self.window else { return Bytes::ZERO };
        let each = match self.latent {
            Some(latent) => latent.cached(),
            None => 2.0 * f64::from(self.kv_heads) * f64::from(self.head_dim),
        };
        Bytes(each * f64::from(window.layers) * f64::from(window.tokens) * precision.weight_bytes())
    }

    /// Returns the parameters that the sizes give, in billions (10⁹): embeddings, attention, feed-forward layers,
    /// routers and two norms a layer.
    pub fn computed_params_b(&self) -> f64 {
        self.params_with(|experts| experts.routed)
    }

    /// Returns the parameters that one token visits, from the sizes, in billions (10⁹).
    pub fn computed_active_params_b(&self) -> f64 {
        self.params_with(|experts| experts.active)
    }

    /// Returns the parameters that one token visits without the table that its number is looked up in, in
    /// billions (10⁹). Where input and output are one matrix, it is multiplied and counts.
    pub fn active_params_without_input_b(&self) -> f64 {
        let table = f64::from(self.vocab) * f64::from(self.hidden) / 1e9;
        if self.tied { self.params_active_b } else { self.params_active_b - table }
    }

    fn params_with(&self, routed: impl Fn(Experts) -> u32) -> f64 {
        let [hidden, vocab, ffn] = [self.hidden, self.vocab, self.ffn].map(f64::from);
        let embeddings = vocab * hidden * if self.tied { 1.0 } else { 2.0 };
        let dense = f64::from(self.dense_layers()) * self.matrices() * hidden * ffn;
        let sparse = self.experts.map_or(0.0, |experts| {
            let shared = f64::from(experts.shared) * f64::from(experts.shared_width);
            let each = self.matrices() * f64::from(experts.width) * self.expert_hidden();
            let latent = if experts.latent > 0 { 2.0 * hidden * f64::from(experts.latent) } else { 0.0 };
            let router = hidden * f64::from(experts.routed);
            let shared = self.matrices() * hidden * shared;
            f64::from(experts.layers) * (f64::from(routed(experts)) * each + shared + router + latent)
        });
        // A layer without attention or without feed-forward has one norm instead of two.
        let norms = (self.halves() + 1.0) * hidden;
        (embeddings + self.all_attention_params() + dense + sparse + norms) / 1e9
    }

    /// Returns how many halves (attention or what stands in its place; feed-forward) all layers have.
    pub fn halves(&self) -> f64 {
        let absent = f64::from(self.without_attention) + f64::from(self.without_feed_forward);
        2.0 * f64::from(self.layers) - absent
    }

    /// Returns the matrices of a feed-forward layer.
    pub fn matrices(&self) -> f64 {
        if self.gated { 3.0 } else { 2.0 }
    }

    /// Returns the width in which routed experts read and write.
    pub fn expert_hidden(&self) -> f64 {
        let latent = self.experts.map_or(0, |experts| experts.latent);
        f64::from(if latent > 0 { latent } else { self.hidden })
    }

    /// Returns the layers whose memory of the past has one size, if any.
    pub fn recurrent(&self) -> Option<Recurrent> {
        self.linear.map(Recurrent::from).or(self.state_space.map(Recurrent::from))
    }

    /// Returns how many layers have a cache that grows with the context.
    pub fn caching_layers(&self) -> u32 {
        let recurrent = self.recurrent().map_or(0, |recurrent| recurrent.layers);
        self.layers.saturating_sub(recurrent).saturating_sub(self.without_attention)
    }

    /// Returns how many layers have a dense feed-forward part.
    pub fn dense_layers(&self) -> u32 {
        let experts = self.experts.map_or(0, |experts| experts.layers);
        self.layers.saturating_sub(experts).saturating_sub(self.without_feed_forward)
    }

    /// Returns whether attention has a gate on its output, as wide as the query heads.
    pub fn attention_gate(&self) -> bool {
        self.linear.is_some()
    }

    /// Returns the parameters of attention, and of what stands in its place, in all layers.
    fn all_attention_params(&self) -> f64 {
        let hidden = f64::from(self.hidden);
        let gate = if self.attention_gate() {
            hidden * f64::from(self.heads) * f64::from(self.head_dim)
        } else {
            0.0
        };
        let full = f64::from(self.caching_layers()) * (self.attention_params() + gate);
        let recurrent = self.recurrent().map_or(0.0, |recurrent| {
            let each = hidden * (recurrent.input_width + recurrent.output_width);
            // One weight per token of the convolution.
            f64::from(recurrent.layers) * (each + recurrent.channels * f64::from(recurrent.conv))
        });
        full + recurrent + self.indexer_params() + self.compressor_params()
    }

    /// Returns the parameters of attention in one layer; latent attention as in DeepSeek-V2 (arXiv 2405.04434,
    /// section 2.1), compressed as in the model's published code (DeepSeek V4).
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
        let down = hidden * (kv + rope);
        match self.compression {
            Some(compression) => queries + down + compression.output_params(heads * value, hidden),
            None => queries + down + kv * heads * (nope + value) + heads * value * hidden,
        }
    }

    /// Returns the parameters of all indexers: queries from their compression, one key, a weight per head.
    fn indexer_params(&self) -> f64 {
        let (Some(indexer), Some(latent)) = (self.indexer, self.latent) else { return 0.0 };
        let [heads, size, rank] = [indexer.heads, indexer.head_dim, latent.query_rank].map(f64::from);
        // Compressed caches make their key like their vectors, which is counted there.
        let key = if self.compression.is_some() { 0.0 } else { size };
        f64::from(indexer.layers) * (rank * heads * size + f64::from(self.hidden) * (key + heads))
    }

    /// Returns the parameters that turn several tokens into one vector: a vector and a gate per token, twice in fine
    /// layers, whose groups overlap, and there a second time for the indexer.
    fn compressor_params(&self) -> f64 {
        let (Some(compression), Some(latent)) = (self.compression, self.latent) else { return 0.0 };
        let hidden = f64::from(self.hidden);
        let index = self.indexer.map_or(0.0, |indexer| f64::from(indexer.head_dim));
        let fine = 4.0 * hidden * (latent.cached() + index);
        let coarse = 2.0 * hidden * latent.cached();
        f64::from(compression.fine_layers) * fine + f64::from(compression.coarse_layers) * coarse
    }
}

impl Latent {
    /// Returns the values that one token leaves in one layer.
    pub fn cached(&self) -> f64 {
        f64::from(self.kv_rank) + f64::from(self.rope)
    }
}

impl Compression {
    /// Returns the parameters of an output projection from `read` to `hidden` in groups.
    pub fn output_params(&self, read: f64, hidden: f64) -> f64 {
        let [groups, rank] = [self.output_groups, self.output_rank].map(f64::from);
        read * rank + groups * rank * hidden
    }
}
