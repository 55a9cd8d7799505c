//! How many parameters a model has, by part and by tensor-parallel rank, and what one token computes.
//!
//! Counts follow from sizes alone. Biases and learned positions are left out: below 0.1 % of any known model.

use super::rejection::Reason;
use super::split::Split;
use capstan_types::hardware::Precision;
use capstan_types::model::{Model, Stored};

/// Parameters of one rank, per layer of a kind or once per model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameters {
    /// Attention projections of one layer that are stored in the precision of linear layers.
    pub attention: f64,
    /// The same of one layer with linear attention.
    pub linear_attention: f64,
    /// The same that stay in 16 bits (the up-projection of a latent cache).
    pub attention_16bit: f64,
    /// Feed-forward part of a dense layer.
    pub dense: f64,
    /// All routed experts of a layer.
    pub routed: f64,
    /// One routed expert, over its ranks.
    pub expert: f64,
    /// Shared experts of a layer.
    pub shared: f64,
    /// Router of a layer, 16 bits or more.
    pub router: f64,
    /// Norms of a layer, on every rank.
    pub norms: f64,
    /// Input embedding.
    pub embedding: f64,
    /// Output head; equal to the embedding and the same bytes where the model ties them.
    pub head: f64,
}

/// Precision of each part of a model's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    /// Attention projections but the last.
    pub linear: Precision,
    /// The output projection of attention.
    pub output: Precision,
    /// Dense and shared feed-forward layers.
    pub dense: Precision,
    /// Routed experts.
    pub experts: Precision,
}

impl Weights {
    /// Returns one precision for everything.
    pub fn all(precision: Precision) -> Self {
        Self { linear: precision, output: precision, dense: precision, experts: precision }
    }

    /// Returns how `model` is stored when a plan says `precision`.
    ///
    /// Published 4-bit checkpoints of mixtures quantise the routed experts only; a model that is published in
    /// block-scaled fp8 stays block-scaled when a plan says `fp8`.
    pub fn of(model: &Model, precision: Precision) -> Self {
        if let Some(stored) = model.stored.filter(|_| precision == model.published) {
            let Stored { attention, output, dense, experts, .. } = stored;
            return Self { linear: attention, output, dense, experts };
        }
        let block = precision == Precision::Fp8 && model.published == Precision::Fp8Block;
        let precision = if block { Precision::Fp8Block } else { precision };
        let four_bit = matches!(precision, Precision::Nvfp4 | Precision::Mxfp4 | Precision::Int4);
        if four_bit && model.experts.is_some() {
            Self { experts: precision, ..Self::all(Precision::Bf16) }
        } else {
            Self::all(precision)
        }
    }
}

/// Returns whether `tensor` ranks can split the model.
///
/// # Errors
/// [`Reason::HeadsNotDivisible`] or [`Reason::WidthNotDivisible`].
pub fn check_tensor(model: &Model, tensor: u32) -> Result<(), Reason> {
    check_split(model, &Split::tensor(tensor))
}

/// Returns whether the ranks of `split` can divide the model.
///
/// # Errors
/// [`Reason::HeadsNotDivisible`], [`Reason::WidthNotDivisible`] or [`Reason::ExpertsNotDivisible`].
pub fn check_split(model: &Model, split: &Split) -> Result<(), Reason> {
    let tensor = split.tensor;
    if [split.data, split.expert_tensor, split.expert].contains(&0) {
        return Err(Reason::NotPositive { what: "parallel ranks" });
    }
    if tensor == 0 {
        return Err(Reason::NotPositive { what: "tensor-parallel ranks" });
    }
    if !model.heads.is_multiple_of(tensor) {
        return Err(Reason::HeadsNotDivisible { heads: model.heads, tensor });
    }
    let kv = model.kv_heads;
    let replicated = kv > 0 && tensor.is_multiple_of(kv);
    if model.latent.is_none() && !kv.is_multiple_of(tensor) && !replicated {
        return Err(Reason::HeadsNotDivisible { heads: kv, tensor });
    }
    let dense = (model.dense_layers() > 0).then_some(model.ffn);
    let experts = model.experts.map(|experts| (experts.width, split.expert_tensor));
    let widths = [dense.map(|width| (width, tensor)), experts];
    if let Some((width, tensor)) = widths.into_iter().flatten().find(|&(width, t)| !width.is_multiple_of(t)) {
        return Err(Reason::WidthNotDivisible { width, tensor });
    }
    match model.experts {
        Some(e) if !e.routed.is_multiple_of(split.expert) => {
            Err(Reason::ExpertsNotDivisible { experts: e.routed, ranks: split.expert })
        }
        _ => Ok(()),
    }
}

/// Returns key-value heads on one of `tensor` ranks: split, and replicated once each rank has one.
pub fn kv_heads_per_rank(model: &Model, tensor: u32) -> f64 {
    (f64::from(model.kv_heads) / f64::from(tensor)).max(1.0)
}

/// Returns the parameters of one of `tensor` ranks.
pub fn of_rank(model: &Model, tensor: u32) -> Parameters {
    let t = f64::from(tensor);
    let hidden = f64::from(model.hidden);
    let matrices = if model.gated { 3.0 } else { 2.0 };
    let (attention, attention_16bit) = attention(model, tensor);
    let experts = model.experts;
    let expert = experts.map_or(0.0, |e| matrices * model.expert_hidden() * f64::from(e.width) / t);
    let table = f64::from(model.vocab) * hidden / t;
    Parameters {
        attention,
        linear_attention: model
            .recurrent()
            .map_or(0.0, |recurrent| hidden * (recurrent.input_width + recurrent.output_width) / t),
        attention_16bit,
        dense: if model.dense_layers() > 0 { matrices * hidden * f64::from(model.ffn) / t } else { 0.0 },
        routed: experts.map_or(0.0, |e| expert * f64::from(e.routed)),
        expert,
        shared: experts.map_or(0.0, |e| {
            // Projections into and out of a latent width are whole on every rank.
            let latent = 2.0 * hidden * f64::from(e.latent);
            matrices * hidden * f64::from(e.shared) * f64::from(e.shared_width) / t + latent
        }),
        router: experts.map_or(0.0, |e| hidden * f64::from(e.routed)),
        norms: 2.0 * hidden,
        embedding: table,
        head: table,
    }
}

/// Returns the attention parameters of a layer on one rank: those in the linear precision, those in 16 bits.
fn attention(model: &Model, tensor: u32) -> (f64, f64) {
    let t = f64::from(tensor);
    let hidden = f64::from(model.hidden);
    let heads = f64::from(model.heads) / t;
    let Some(latent) = model.latent else {
        let dim = f64::from(model.head_dim);
        let gate = if model.attention_gate() { heads } else { 0.0 };
        let qkv = (heads + gate + 2.0 * kv_heads_per_rank(model, tensor)) * dim * hidden;
        return (qkv + hidden * heads * dim, 0.0);
    };
    let query_head = f64::from(latent.nope + latent.rope);
    let rank = f64::from(latent.query_rank);
    let query =
        if rank > 0.0 { hidden * rank + rank * heads * query_head } else { hidden * heads * query_head };
    let down = hidden * f64::from(latent.kv_rank + latent.rope);
    let read = heads * f64::from(latent.value);
    if let Some(compression) = model.compression {
        let [groups, low] = [compression.output_groups, compression.output_rank].map(f64::from);
        return (query + down + read * low + groups * low * hidden / t, 0.0);
    }
    let output = read * hidden;
    let up = f64::from(latent.kv_rank) * heads * f64::from(latent.nope + latent.value);
    (query + down + output, up)
}

impl Parameters {
    /// Returns the parameters of a rank of `split`, of which these are those of its tensor-parallel rank.
    #[must_use]
    pub fn divided(mut self, split: &Split) -> Self {
        self.routed *= f64::from(split.tensor) / (f64::from(split.expert_tensor) * f64::from(split.expert));
        self
    }

    /// Returns the attention parameters of all layers that are stored in the precision of linear layers.
    pub fn all_attention(&self, model: &Model) -> f64 {
        let recurrent = model.recurrent().map_or(0.0, |recurrent| f64::from(recurrent.layers));
        f64::from(model.caching_layers()) * self.attention + recurrent * self.linear_attention
    }

    /// Returns the parameters of all layers.
    pub fn layers(&self, model: &Model) -> f64 {
        let experts = model.experts.map_or(0.0, |e| f64::from(e.layers));
        f64::from(model.caching_layers()) * self.attention_16bit
            + f64::from(model.layers) * self.norms
            + self.all_attention(model)
            + f64::from(model.dense_layers()) * self.dense
            + experts * (self.routed + self.shared + self.router)
    }

    /// Returns the bytes of the feed-forward part of a layer with experts.
    pub fn expert_layer_bytes(&self, weights: Weights) -> f64 {
        let (dense, experts) = (weights.dense.weight_bytes(), weights.experts.weight_bytes());
        self.routed * experts + self.shared * dense + self.router * 2.0
    }

    /// Returns the bytes of all layers.
    pub fn layer_bytes(&self, model: &Model, weights: Weights) -> f64 {
        let (linear, dense) = (weights.linear.weight_bytes(), weights.dense.weight_bytes());
        let expert_layers = model.experts.map_or(0.0, |e| f64::from(e.layers));
        let expert_layer = self.expert_layer_bytes(weights);
        f64::from(model.caching_layers()) * self.attention_16bit * 2.0
            + f64::from(model.layers) * self.norms * 2.0
            + self.all_attention(model) * linear
            + f64::from(model.dense_layers()) * self.dense * dense
            + expert_layers * expert_layer
    }
}

/// Returns all parameters of the model.
pub fn total(model: &Model) -> f64 {
    let all = of_rank(model, 1);
    all.layers(model) + all.embedding + if model.tied { 0.0 } else { all.head }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing;

    #[test]
    fn counts_agree_with_published_totals_within_a_thousandth() {
        for model in testing::models() {
            let published = model.params_total_b * 1e9;
            let error = (total(&model) / published - 1.0).abs();
            assert!(error < 1e-3, "{}: {} against {published}", model.id, total(&model));
        }
    }

    #[test]
    fn eight_kv_heads_are_split_by_eight_and_replicated_on_sixteen() {
        let models = testing::models();
        let llama = &models[2];
        assert_eq!(kv_heads_per_rank(llama, 8), 1.0);
        assert_eq!(kv_heads_per_rank(llama, 16), 1.0);
        assert!(check_tensor(llama, 16).is_ok());
        assert_eq!(check_tensor(llama, 3), Err(Reason::HeadsNotDivisible { heads: 64, tensor: 3 }));
    }

    #[test]
    fn four_bit_mixtures_keep_attention_in_sixteen_bits() {
        let models = testing::models();
        let mixtral = Weights::of(&models[4], Precision::Nvfp4);
        assert_eq!((mixtral.linear, mixtral.experts), (Precision::Bf16, Precision::Nvfp4));
        let dense = Weights::of(&models[3], Precision::Nvfp4);
        assert_eq!(dense.linear, Precision::Nvfp4);
    }
}
