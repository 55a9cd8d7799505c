//! Which architectures are understood, and what their code fixes that their configuration does not say?
//!
//! One line per architecture, by `model_type`. What is not listed is not guessed. Sources: the modelling code of each
//! architecture in transformers 5, and the authors' own where it is not part of that.

/// How attention, or what stands in its place, is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Every layer has attention and a feed-forward part.
    Plain,
    /// The same with latent attention.
    Latent,
    /// Some layers have linear attention (Qwen3-Next).
    Linear,
    /// Each layer is a state space, attention, experts or a feed-forward part (Nemotron-H).
    OneEach,
    /// Layers differ in what they keep of a larger model (Nemotron NAS).
    Searched,
    /// Latent attention over a compressed cache (DeepSeek V4).
    Compressed,
}

/// Which norms queries and keys have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadNorm {
    /// None, unless the configuration says so.
    None,
    /// One per head size.
    Each,
    /// One over all heads.
    All,
}

/// Which layers have a window where `layer_types` does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Windows {
    /// All, where there is a window.
    All,
    /// Every second, beginning with the first.
    Alternate,
    /// All but every `sliding_window_pattern`-th, by default the sixth.
    Pattern,
    /// Those from `max_window_layers` on, where `use_sliding_window` says so.
    Late,
    /// Chunks on three of four layers, unless `no_rope_layers` says which.
    Chunks,
}

/// What the code of an architecture fixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Family {
    /// Values of `model_type`.
    pub types: &'static [&'static str],
    /// Layout of layers.
    pub layout: Layout,
    /// Does the feed-forward part have a gate?
    pub gated: bool,
    /// Norms of a layer.
    pub norms: u32,
    /// Are they layer norms, which have a bias?
    pub layer_norm: bool,
    /// Norms of queries and keys.
    pub head_norm: HeadNorm,
    /// Biases of queries, keys and values; of the output; of the feed-forward part: where the configuration is silent.
    pub biases: [bool; 3],
    /// Are the embeddings one matrix, where the configuration is silent?
    pub tied: bool,
    /// Which layers have a window.
    pub windows: Windows,
    /// Is `intermediate_size` the width of one expert?
    pub ffn_is_expert: bool,
    /// Sizes that the configuration may leave out.
    pub defaults: &'static [(&'static str, u32)],
}

/// A transformer after Llama: gates, two root-mean-square norms, no bias.
const LLAMA: Family = Family {
    types: &["llama", "mistral", "phi3", "granite", "ministral", "smollm3", "seed_oss"],
    layout: Layout::Plain,
    gated: true,
    norms: 2,
    layer_norm: false,
    head_norm: HeadNorm::None,
    biases: [false; 3],
    tied: false,
    windows: Windows::All,
    ffn_is_expert: false,
    defaults: &[],
};

/// One before Llama: no gate, layer norms, biases, one matrix of embeddings.
const OLD: Family =
    Family { types: &[], gated: false, layer_norm: true, biases: [true; 3], tied: true, ..LLAMA };

/// Published configurations of Gemma 3 leave out what equals the default of `Gemma3TextConfig` in transformers 4.50.
const GEMMA3: &[(&str, u32)] = &[
    ("vocab_size", 262_208),
    ("head_dim", 256),
    ("num_attention_heads", 8),
    ("num_key_value_heads", 4),
    ("max_position_embeddings", 131_072),
];

/// Every architecture that is understood.
pub(super) const FAMILIES: &[Family] = &[
    LLAMA,
    Family { types: &["mixtral"], ffn_is_expert: true, ..LLAMA },
    Family {
        types: &["qwen2", "qwen2_vl", "qwen2_5_vl", "qwen2_5_vl_text", "qwen2_vl_text", "qwen2_moe"],
        biases: [true, false, false],
        windows: Windows::Late,
        ..LLAMA
    },
    Family {
        types: &["qwen3", "qwen3_moe", "qwen3_vl", "qwen3_vl_text", "qwen3_vl_moe", "qwen3_vl_moe_text"],
        head_norm: HeadNorm::Each,
        windows: Windows::Late,
        ..LLAMA
    },
    Family {
        types: &["qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"],
        layout: Layout::Linear,
        head_norm: HeadNorm::Each,
        ..LLAMA
    },
    Family { types: &["minimax_m2"], head_norm: HeadNorm::All, ffn_is_expert: true, ..LLAMA },
    Family {
        types: &["gpt_oss"],
        biases: [true, true, true],
        windows: Windows::Alternate,
        ffn_is_expert: true,
        ..LLAMA
    },
    Family { types: &["glm", "glm4", "chatglm"], biases: [true, false, false], ..LLAMA },
    Family { types: &["glm4_moe"], biases: [true, false, false], ..LLAMA },
    Family { types: &["step3p7", "step3p5"], head_norm: HeadNorm::Each, ..LLAMA },
    Family { types: &["llama4_text", "llama4"], windows: Windows::Chunks, ffn_is_expert: true, ..LLAMA },
    Family { types: &["gemma"], tied: true, ..LLAMA },
    Family { types: &["gemma2"], norms: 4, tied: true, windows: Windows::Alternate, ..LLAMA },
    Family {
        types: &["gemma3", "gemma3_text"],
        norms: 4,
        tied: true,
        head_norm: HeadNorm::Each,
        windows: Windows::Pattern,
        defaults: GEMMA3,
        ..LLAMA
    },
    Family {
        types: &["deepseek_v2", "deepseek_v3", "deepseek_v32", "kimi_k2", "kimi_k25", "glm_moe_dsa"],
        layout: Layout::Latent,
        ..LLAMA
    },
    Family { types: &["deepseek_v4", "deepseek_ref"], layout: Layout::Compressed, ..LLAMA },
    Family { types: &["nemotron_h"], layout: Layout::OneEach, gated: false, norms: 1, ..LLAMA },
    Family { types: &["nemotron-nas"], layout: Layout::Searched, ..LLAMA },
    Family { types: &["nemotron"], gated: false, layer_norm: true, ..LLAMA },
    Family { types: &["starcoder2"], ..OLD },
    Family { types: &["gpt2", "opt", "bloom"], ..OLD },
    Family { types: &["gpt_neox"], tied: false, ..OLD },
    Family { types: &["gptj"], norms: 1, biases: [false, false, true], tied: false, ..OLD },
    Family { types: &["falcon"], biases: [false; 3], ..OLD },
];

/// Returns what is known of a `model_type`.
pub(super) fn family(model_type: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.types.contains(&model_type))
}

/// Fields that sizes do not depend on, though their names look as if: settings of generation and training, of numerics,
/// of the library, and names that repeat what another field says.
pub(super) const HARMLESS: &[&str] = &[
    "alibi",
    "apply_residual_connection_post_layernorm",
    "attention_logit_cap",
    "attn_implementation",
    "attn_logit_softcapping",
    "attn_temperature_tuning",
    "attn_scale",
    "chunk_size",
    "chunk_size_feed_forward",
    "diversity_penalty",
    "embd_pdrop",
    "embedding_multiplier",
    "floor_scale",
    "final_logit_softcapping",
    "ffn_dropout",
    "hc_eps",
    "hc_sinkhorn_iters",
    "head_scale",
    "index_share_for_mtp_iteration",
    "index_skip_topk_offset",
    "index_topk_freq",
    "index_topk_pattern",
    "initial_context_length",
    "is_decoder",
    "layer_norm_eps",
    "layer_norm_epsilon",
    "layernorm_epsilon",
    "layer_norm_elementwise_affine",
    "layerdrop",
    "length_penalty",
    "logits_soft_cap",
    "mamba_hidden_act",
    "mamba_proj_bias",
    "mamba_ssm_cache_dtype",
    "mamba_ssm_dtype",
    "max_length",
    "min_length",
    "mlp_hidden_act",
    "moe_router_dtype",
    "moe_router_scaling_factor",
    "moe_shared_expert_overlap",
    "mtp_use_dedicated_embeddings",
    "n_group",
    "num_beam_groups",
    "num_beams",
    "num_labels",
    "num_logits_to_keep",
    "num_return_sequences",
    "original_max_position_embeddings",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "partial_rotary_factor",
    "pooler_size",
    "prune_heads",
    "pruned_heads",
    "query_pre_attn_scalar",
    "rescale_prenorm_residual",
    "residual_in_fp32",
    "resid_pdrop",
    "rope_head_dim",
    "rotary_dim",
    "router_aux_loss_coef",
    "router_jitter_noise",
    "router_z_loss_coef",
    "scale_attention_softmax_in_fp32",
    "scale_attn_weights",
    "slow_but_exact",
    "sparse_attention",
    "time_step_limit",
    "time_step_rank",
    "topk_group",
    "use_mamba_kernels",
    "use_cache",
    "model_parallel",
    "attention_softmax_in_fp32",
    "use_moe_router_bias",
    "parallel_attn",
    "multi_query_attention",
    "expert_dtype",
    "encoder_no_repeat_ngram_size",
    "no_repeat_ngram_size",
    "add_cross_attention",
    "num_key_value_groups",
    "no_rope_layer_interval",
    "max_sequence_length",
    "layer_scale",
    "head_dim_rope",
    "compress_rope_theta",
    "indexer_rope_interleave",
    "ep_size",
    "moe_quant_config",
    "moe_router_topk_scaling",
    "mup_attn_multiplier",
    "attention_multiplier",
    "residual_multiplier",
    "logits_scaling",
    "attention_dropout",
    "attn_pdrop",
    "hidden_dropout",
    "hidden_dropout_prob",
    "hidden_act",
    "hidden_activation",
    "activation_function",
];

/// Words of names that speak of sizes.
const STRUCTURAL: &[&str] = &[
    "layer",
    "layers",
    "head",
    "heads",
    "dim",
    "size",
    "width",
    "rank",
    "expert",
    "experts",
    "attn",
    "attention",
    "window",
    "ssm",
    "mamba",
    "conv",
    "moe",
    "ffn",
    "mlp",
    "block",
    "blocks",
    "state",
    "latent",
    "lora",
    "groups",
    "hybrid",
    "compress",
    "compressed",
    "index",
    "indexer",
    "num",
    "n",
    "vocab",
    "memory",
    "recurrent",
    "kv",
    "altup",
];

/// Says whether a field that nobody asked for may change the size of the model.
pub(super) fn is_structural(name: &str) -> bool {
    !HARMLESS.contains(&name) && name.split('_').any(|word| STRUCTURAL.contains(&word))
}
