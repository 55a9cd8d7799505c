//! A model on some ranks as operators: what one step multiplies, reads and sends, on one rank of one stage-less replica.
//!
//! Shapes follow from the fields of a `config.json`. The module knows no hardware; every operator covers all layers
//! (its `count`), and the caller divides by pipeline stages.

use super::parameters::{Weights, check_split, kv_heads_per_rank};
use super::rejection::Reason;
use super::split::Split;
use capstan_types::hardware::Precision;
use capstan_types::model::Model;

/// Which number of rows a matrix multiplication has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Every token of the step.
    Tokens,
    /// One per sequence that yields a token (the output head).
    Sequences,
}

/// What an operator belongs to, for explanations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Projections of attention.
    AttentionLinear,
    /// Dense and shared feed-forward layers.
    FeedForward,
    /// Routed experts and their router.
    Experts,
    /// Attention over the cache while decoding.
    DecodeAttention,
    /// Attention of prompts.
    PrefillAttention,
    /// Norms, residuals, activations.
    Elementwise,
    /// All-reduce between tensor-parallel ranks.
    AllReduce,
    /// Hand-over and idle time between pipeline stages.
    Pipeline,
    /// Output head.
    Head,
    /// Time between kernels.
    Launch,
    /// Host work of the engine.
    Host,
}

impl Part {
    /// Returns the words that reports use.
    pub fn words(self) -> &'static str {
        match self {
            Self::AttentionLinear => "attention projections",
            Self::FeedForward => "feed-forward",
            Self::Experts => "experts",
            Self::DecodeAttention => "attention over the cache",
            Self::PrefillAttention => "attention of prompts",
            Self::Elementwise => "norms and activations",
            Self::AllReduce => "all-reduce",
            Self::Pipeline => "pipeline stages",
            Self::Head => "output head",
            Self::Launch => "time between kernels",
            Self::Host => "host",
        }
    }
}

/// A matrix multiplication (rows × k by k × n), once per layer of `count` layers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gemm {
    /// What it belongs to.
    pub part: Part,
    /// Output width on this rank.
    pub n: f64,
    /// Input width on this rank.
    pub k: f64,
    /// Precision of the weights.
    pub precision: Precision,
    /// How often a step runs it.
    pub count: f64,
    /// What its rows are.
    pub rows: Rows,
}

/// Routed experts of all layers that have them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grouped {
    /// Hidden width.
    pub hidden: f64,
    /// Width of one expert on this rank.
    pub width: f64,
    /// Matrices of one expert: three with a gate.
    pub matrices: f64,
    /// Experts.
    pub routed: f64,
    /// Experts that a token visits.
    pub active: f64,
    /// Ranks over which the experts are dealt out.
    pub ranks: f64,
    /// Precision of the weights.
    pub precision: Precision,
    /// Layers.
    pub count: f64,
}

impl Grouped {
    /// Returns how many distinct experts `tokens` tokens are expected to visit, drawn uniformly:
    /// E (1 − (1 − k/E)^m).
    pub fn distinct(&self, tokens: f64) -> f64 {
        let missed = libm::pow(1.0 - self.active / self.routed, tokens);
        self.routed * (1.0 - missed)
    }

    /// Returns how many of them are on the rank that has most, of `ranks` ranks: the others wait for it.
    ///
    /// Each rank has the mean, give or take √(mean · share not visited); of n such numbers the largest lies
    /// 0.565 (log₂ n)^0.84 of that above the mean (expected maximum of n normal numbers, within 5 % from 2 to 64).
    pub fn busiest(&self, tokens: f64, ranks: f64) -> f64 {
        let distinct = self.distinct(tokens);
        let mean = distinct / ranks;
        if ranks <= 1.0 {
            return mean;
        }
        let spread = (mean * (1.0 - distinct / self.routed)).max(0.0).sqrt();
        let most = mean + 0.565 * libm::pow(libm::log2(ranks), 0.84) * spread;
        // All experts of the rank, and all that tokens visit.
        most.min(self.routed / ranks).min(distinct)
    }
}

/// Attention of one kind of layer (with or without a window).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionLayers {
    /// Layers of the kind.
    pub count: f64,
    /// Tokens that a query looks back at most.
    pub window: Option<f64>,
}

/// Attention over all layers of one rank.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Kinds of layers.
    pub layers: Vec<AttentionLayers>,
    /// Query heads on this rank.
    pub heads: f64,
    /// Size of a head in scores.
    pub score_dim: f64,
    /// Size of a head in values.
    pub value_dim: f64,
    /// Values that the cache holds per token and layer on this rank.
    pub cached: f64,
    /// FLOPs of a decode query per cached token and layer, all heads of the rank.
    pub decode_flops: f64,
    /// Whether the cache is one latent vector.
    pub latent: bool,
    /// Whether several query heads share what is cached.
    pub shared: bool,
    /// Layers with attention over a cache.
    pub calls: f64,
    /// Layers with linear attention or a state space.
    pub linear_layers: f64,
    /// Values of the state of one sequence and such layer, on this rank.
    pub state: f64,
}

/// All operators of one rank.
#[derive(Debug, Clone, PartialEq)]
pub struct Operators {
    /// Layers.
    pub layers: f64,
    /// Layers with experts.
    pub expert_layers: f64,
    /// Tensor-parallel ranks.
    pub tensor: u32,
    /// How all ranks divide the work; `tensor` is one of its degrees.
    pub split: Split,
    /// Matrix multiplications.
    pub gemms: Vec<Gemm>,
    /// Routed experts.
    pub experts: Option<Grouped>,
    /// Attention.
    pub attention: Attention,
    /// Bytes that norms, residuals and activations move per token, all layers.
    pub elementwise_bytes: f64,
    /// Bytes of one token in an all-reduce.
    pub reduce_bytes: f64,
    /// All-reduces of a step; none on a single rank.
    pub reduces: f64,
    /// Hidden width.
    pub hidden: f64,
}

impl Operators {
    /// Returns the operators of `model` on one of `tensor` ranks.
    ///
    /// # Errors
    /// A [`Reason`] where the ranks cannot split the model or a size is zero.
    pub fn of(model: &Model, tensor: u32, weights: Weights) -> Result<Self, Reason> {
        Self::divided(model, &Split::tensor(tensor), weights)
    }

    /// Returns the operators of `model` on one rank of a split.
    ///
    /// # Errors
    /// As [`Operators::of`].
    pub fn divided(model: &Model, split: &Split, weights: Weights) -> Result<Self, Reason> {
        check_sizes(model)?;
        check_split(model, split)?;
        let tensor = split.tensor;
        let layers = f64::from(model.layers);
        let mut gemms = attention_gemms(model, tensor, weights);
        gemms.extend(feed_forward_gemms(model, split, weights));
        gemms.push(Gemm {
            part: Part::Head,
            n: f64::from(model.vocab) / f64::from(tensor),
            k: f64::from(model.hidden),
            precision: Precision::Bf16,
            count: 1.0,
            rows: Rows::Sequences,
        });
        Ok(Self {
            layers,
            expert_layers: model.experts.map_or(0.0, |experts| f64::from(experts.layers)),
            tensor,
            split: *split,
            gemms,
            experts: grouped(model, split, weights.experts),
            attention: attention(model, tensor),
            elementwise_bytes: elementwise_bytes(model, split),
            reduce_bytes: 2.0 * f64::from(model.hidden),
            reduces: if tensor > 1 { model.halves() } else { 0.0 },
            hidden: f64::from(model.hidden),
        })
    }

    /// Returns FLOPs that every token computes outside attention and experts, on this rank.
    pub fn linear_flops_per_token(&self) -> f64 {
        let of = |g: &Gemm| if g.rows == Rows::Tokens { 2.0 * g.n * g.k * g.count } else { 0.0 };
        self.gemms.iter().map(of).sum()
    }
}

/// Returns whether every size that the formulas divide by or count with makes sense.
///
/// # Errors
/// [`Reason::NotPositive`] with the first that does not.
pub fn check_sizes(model: &Model) -> Result<(), Reason> {
    let sizes = [
        (model.layers, "layers"),
        (model.hidden, "hidden width"),
        (model.heads, "heads"),
        (model.kv_heads, "key-value heads"),
        (model.head_dim, "head size"),
        (model.vocab, "vocabulary"),
    ];
    // The upper bound is far above any model; it keeps sums of counts from overflowing.
    if let Some(&(_, what)) = sizes.iter().find(|(size, _)| *size == 0 || *size > 100_000_000) {
        return Err(Reason::NotPositive { what });
    }
    match model.experts {
        Some(e) if e.routed == 0 || e.active == 0 || e.active > e.routed || e.layers > model.layers => {
            Err(Reason::NotPositive { what: "experts (1 ≤ active ≤ routed, layers ≤ all layers)" })
        }
        _ => Ok(()),
    }
}

fn attention_gemms(model: &Model, tensor: u32, weights: Weights) -> Vec<Gemm> {
    let (precision, output) = (weights.linear, weights.output);
    let hidden = f64::from(model.hidden);
    let heads = f64::from(model.heads) / f64::from(tensor);
    let gemm = |n: f64, k: f64, precision: Precision| Gemm {
        part: Part::AttentionLinear,
        n,
        k,
        precision,
        count: f64::from(model.caching_layers()),
        rows: Rows::Tokens,
    };
    let Some(latent) = model.latent else {
        let dim = f64::from(model.head_dim);
        let gate = if model.attention_gate() { heads } else { 0.0 };
        let qkv = (heads + gate + 2.0 * kv_heads_per_rank(model, tensor)) * dim;
        let recurrent = model.recurrent().into_iter().flat_map(|recurrent| {
            let count = f64::from(recurrent.layers);
            let (input, read) =
                (recurrent.input_width / f64::from(tensor), recurrent.output_width / f64::from(tensor));
            [Gemm { count, ..gemm(input, hidden, precision) }, Gemm { count, ..gemm(hidden, read, output) }]
        });
        return recurrent.chain([gemm(qkv, hidden, precision), gemm(hidden, heads * dim, output)]).collect();
    };
    let query_head = f64::from(latent.nope + latent.rope);
    let (rank, cached) = (f64::from(latent.query_rank), f64::from(latent.kv_rank + latent.rope));
    let up = heads * f64::from(latent.nope + latent.value);
    let mut gemms = if latent.query_rank > 0 {
        // The two down-projections are one product on every rank.
        vec![gemm(rank + cached, hidden, precision), gemm(heads * query_head, rank, precision)]
    } else {
        vec![gemm(heads * query_head + cached, hidden, precision)]
    };
    let read = heads * f64::from(latent.value);
    match model.compression {
        // Keys and values are read as they are cached; the output goes through one low rank per group of heads.
        Some(compression) => {
            let [groups, rank] = [compression.output_groups, compression.output_rank].map(f64::from);
            gemms.push(gemm(rank, read, output));
            gemms.push(gemm(hidden, groups * rank / f64::from(tensor), output));
        }
        None => {
            gemms.push(gemm(up, f64::from(latent.kv_rank), Precision::Bf16));
            gemms.push(gemm(hidden, read, output));
        }
    }
    gemms
}

fn feed_forward_gemms(model: &Model, split: &Split, weights: Weights) -> Vec<Gemm> {
    let (tensor, precision) = (split.tensor, weights.dense);
    let hidden = f64::from(model.hidden);
    let up = if model.gated { 2.0 } else { 1.0 };
    let pair = |width: f64, count: u32| {
        let of = |n: f64, k: f64| Gemm {
            part: Part::FeedForward,
            n,
            k,
            precision,
            count: f64::from(count),
            rows: Rows::Tokens,
        };
        [of(up * width, hidden), of(hidden, width)]
    };
    let mut gemms = Vec::new();
    let dense = model.dense_layers();
    if dense > 0 && model.ffn > 0 {
        gemms.extend(pair(f64::from(model.ffn) / f64::from(tensor), dense));
    }
    if let Some(experts) = model.experts {
        let shared = f64::from(experts.shared) * f64::from(experts.shared_width) / f64::from(tensor);
        if shared > 0.0 {
            gemms.extend(pair(shared, experts.layers));
        }
        if experts.latent > 0 {
            let of = |n: f64, k: f64| Gemm {
                part: Part::Experts,
                n,
                k,
                precision,
                count: f64::from(experts.layers),
                rows: Rows::Tokens,
            };
            let latent = f64::from(experts.latent);
            gemms.extend([of(latent, hidden), of(hidden, latent)]);
        }
        gemms.push(Gemm {
            part: Part::Experts,
            n: f64::from(experts.routed),
            k: hidden,
            precision: Precision::Bf16,
            count: f64::from(experts.layers),
            rows: Rows::Tokens,
        });
    }
    gemms
}

fn grouped(model: &Model, split: &Split, precision: Precision) -> Option<Grouped> {
    let experts = model.experts?;
    Some(Grouped {
        hidden: model.expert_hidden(),
        width: f64::from(experts.width) / f64::from(split.expert_tensor),
        matrices: if model.gated { 3.0 } else { 2.0 },
        routed: f64::from(experts.routed),
        active: f64::from(experts.active),
        ranks: f64::from(split.expert),
        precision,
        count: f64::from(experts.layers),
    })
}

fn attention(model: &Model, tensor: u32) -> Attention {
    let heads = f64::from(model.heads) / f64::from(tensor);
    let windowed = model.window.map_or(0, |window| window.layers.min(model.caching_layers()));
    // A compressed cache holds fewer vectors than tokens beside its window.
    let whole = f64::from(model.caching_layers() - windowed);
    let count = model.compression.map_or(whole, |compression| compression.vectors_per_token());
    let full = AttentionLayers { count, window: None };
    let recurrent = model.recurrent();
    let linear_layers = recurrent.map_or(0.0, |recurrent| f64::from(recurrent.layers));
    let state = recurrent.map_or(0.0, |recurrent| recurrent.state / f64::from(tensor));
    let calls = f64::from(model.caching_layers());
    let mut layers = vec![full];
    if let (Some(window), true) = (model.window, windowed > 0) {
        layers.push(AttentionLayers { count: f64::from(windowed), window: Some(f64::from(window.tokens)) });
    }
    match model.latent {
        Some(latent) => {
            let (rank, rope) = (f64::from(latent.kv_rank), f64::from(latent.rope));
            Attention {
                layers,
                heads,
                score_dim: f64::from(latent.nope + latent.rope),
                value_dim: f64::from(latent.value),
                cached: rank + rope,
                decode_flops: 2.0 * heads * (2.0 * rank + rope),
                latent: true,
                shared: true,
                calls,
                linear_layers,
                state,
            }
        }
        None => {
            let dim = f64::from(model.head_dim);
            Attention {
                layers,
                heads,
                score_dim: dim,
                value_dim: dim,
                cached: 2.0 * kv_heads_per_rank(model, tensor) * dim,
                decode_flops: 4.0 * heads * dim,
                latent: false,
                shared: model.heads > model.kv_heads,
                calls,
                linear_layers,
                state,
            }
        }
    }
}

/// Returns the bytes of element-wise work per token: 2 (12 h + 6 ffn′ + (H/t + 2 G′) d) per layer,
/// ffn′ the width that one token sees on this rank.
fn elementwise_bytes(model: &Model, split: &Split) -> f64 {
    let (tensor, t) = (split.tensor, f64::from(split.tensor));
    // Experts hold the tokens of all attention-parallel ranks.
    let spread = f64::from(split.expert_tensor) * f64::from(split.expert) / f64::from(split.data);
    let layers = f64::from(model.layers);
    let heads = f64::from(model.heads) / t + 2.0 * kv_heads_per_rank(model, tensor);
    let common = 6.0 * model.halves() * f64::from(model.hidden) + layers * heads * f64::from(model.head_dim);
    let dense = f64::from(model.dense_layers()) * 6.0 * f64::from(model.ffn) / t;
    let sparse = model.experts.map_or(0.0, |e| {
        let routed = f64::from(e.active) * f64::from(e.width) / spread;
        let shared = f64::from(e.shared) * f64::from(e.shared_width) / t;
        f64::from(e.layers) * 6.0 * (routed + shared)
    });
    2.0 * (common + dense + sparse)
}

#[cfg(test)]
mod tests {
    use super::super::parameters::{of_rank, total};
    use super::*;
    use capstan_types::testing;

    #[test]
    fn the_multiplications_hold_exactly_the_layer_weights() {
        for model in testing::models() {
            for tensor in [1, 2, 8] {
                let operators = Operators::of(&model, tensor, Weights::of(&model, Precision::Bf16)).unwrap();
                let experts =
                    operators.experts.map_or(0.0, |g| g.count * g.routed * g.matrices * g.hidden * g.width);
                let weights = operators.linear_flops_per_token() / 2.0 + experts;
                let counted = of_rank(&model, tensor);
                let norms = f64::from(model.layers) * counted.norms;
                let expected = counted.layers(&model) - norms;
                assert!((weights / expected - 1.0).abs() < 1e-12, "{} tp{tensor}", model.id);
            }
        }
    }

    #[test]
    fn one_token_visits_its_active_experts_and_many_visit_all() {
        let models = testing::models();
        let operators = Operators::of(&models[0], 1, Weights::of(&models[0], Precision::Fp8)).unwrap();
        let grouped = operators.experts.unwrap();
        assert!((grouped.distinct(1.0) - 8.0).abs() < 1e-9);
        assert!(grouped.distinct(1e4) > 255.999 && grouped.distinct(1e9) <= 256.0);
    }

    #[test]
    fn the_busiest_rank_has_more_than_its_share_until_all_are_visited() {
        let models = testing::models();
        let operators = Operators::of(&models[0], 1, Weights::of(&models[0], Precision::Fp8)).unwrap();
        let grouped = operators.experts.unwrap();
        assert_eq!(grouped.busiest(16.0, 1.0), grouped.distinct(16.0));
        let over = |tokens: f64| grouped.busiest(tokens, 8.0) / (grouped.distinct(tokens) / 8.0);
        // Sixteen tokens visit 102 of 256 experts: 12.7 a rank, 16.7 on the fullest of eight (drawn: 16.7).
        assert!((1.2..1.4).contains(&over(16.0)) && over(4.0) > over(16.0), "{} {}", over(4.0), over(16.0));
        assert!((over(1e4) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_latent_cache_is_whole_on_every_rank() {
        let models = testing::models();
        let weights = Weights::of(&models[0], Precision::Fp8);
        for tensor in [1, 8, 16] {
            assert_eq!(Operators::of(&models[0], tensor, weights).unwrap().attention.cached, 576.0);
        }
    }

    #[test]
    fn a_model_without_layers_is_refused() {
        let mut model = testing::models().remove(3);
        assert!(total(&model) > 0.0);
        model.layers = 0;
        let refused = Operators::of(&model, 1, Weights::of(&model, Precision::Bf16));
        assert_eq!(refused, Err(Reason::NotPositive { what: "layers" }));
    }
}
