//! In which precision is a checkpoint stored, part by part?
//!
//! Said in one of four places: `quantization_config` or `compression_config` of the configuration, the
//! `hf_quant_config.json` beside it, and the type of everything that is not quantised. Lists of excluded modules are
//! matched against the modules of every layer; a part counts as excluded where it is in more than half of its layers.

use capstan_types::hardware::Precision;
use capstan_types::model::{Model, Stored};

use super::config::Config;
use super::family::Layout;
use super::json::{Node, Value};
use super::pattern::Patterns;
use crate::codes;

/// How weights are stored: the headline, the parts, the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Storage {
    /// What the checkpoint is published in.
    pub published: Precision,
    /// Its parts.
    pub stored: Stored,
    /// Where it says so.
    pub found: &'static str,
}

/// Names of modules below a layer, by part. Engines and authors spell them differently.
const ATTENTION: &[&str] = &[
    "self_attn.q_proj",
    "self_attn.qkv_proj",
    "self_attn.q_b_proj",
    "linear_attn.in_proj_qkv",
    "linear_attn.in_proj_qkvz",
    "mixer.q_proj",
    "mixer.in_proj",
    "attn.wq_b",
];
const OUTPUT: &[&str] =
    &["self_attn.o_proj", "linear_attn.out_proj", "mixer.o_proj", "mixer.out_proj", "attn.wo_b"];
const DENSE: &[&str] = &["mlp.up_proj", "mlp.gate_up_proj", "mixer.up_proj"];
const SHARED: &[&str] = &[
    "mlp.shared_experts.up_proj",
    "mlp.shared_expert.up_proj",
    "mixer.shared_experts.up_proj",
    "ffn.shared_experts.w1",
];
const EXPERTS: &[&str] = &[
    "mlp.experts.0.up_proj",
    "mlp.experts",
    "block_sparse_moe.experts.0.w1",
    "mixer.experts.0.up_proj",
    "ffn.experts.0.w1",
];

/// Reads how the weights are stored. `beside` is the `hf_quant_config.json`.
pub(super) fn storage(
    config: &Config<'_>,
    beside: Option<&Node<'_>>,
    layout: Layout,
    model: &Model,
) -> Storage {
    let plain = plain(config);
    let none = Storage { published: plain, stored: Stored::uniform(plain), found: "torch_dtype" };
    let own = config.node("quantization_config").map(|node| (node, "quantization_config"));
    let own = own.or_else(|| config.node("compression_config").map(|node| (node, "compression_config")));
    let beside = beside.map(|node| (node.get("quantization").unwrap_or(node), "hf_quant_config.json"));
    let Some((node, found)) = own.or(beside) else { return none };
    // Both may stand side by side; what one of them leaves out the other says.
    let also = own.and(beside).map(|(node, _)| node);
    let Some(named) = method(config, node).or_else(|| method(config, also?)) else { return none };
    let mut patterns = Patterns::default();
    for list in [Some(node), also].into_iter().flatten() {
        for name in ["ignore", "modules_to_not_convert", "exclude_modules", "ignored_layers"] {
            let items = list.get(name).and_then(Node::list).unwrap_or_default();
            items.iter().filter_map(Node::text).for_each(|text| patterns.add(text));
        }
    }
    let kept = |part: &[&str], precision: Precision| {
        if !named.each && patterns.cover(part, model.layers) { plain } else { precision }
    };
    let dense = if model.experts.is_some_and(|experts| experts.shared > 0) { SHARED } else { DENSE };
    let Named { rest, experts, .. } = named;
    let stored = Stored {
        attention: kept(ATTENTION, rest),
        output: kept(OUTPUT, rest),
        dense: kept(dense, rest),
        experts: kept(EXPERTS, experts),
        cache: cache(node).or_else(|| cache(also?)),
    };
    let experts = expert_type(config, layout).unwrap_or(stored.experts);
    let stored = Stored { experts, ..stored };
    let published = if model.experts.is_some() { stored.experts } else { stored.dense };
    Storage { published, stored, found }
}

/// Returns the type of what is not quantised.
fn plain(config: &Config<'_>) -> Precision {
    let word = config.text("torch_dtype").or_else(|| config.text("dtype"));
    match word.map(|word| word.trim_start_matches("torch.")) {
        Some("float16" | "half") => Precision::Fp16,
        // Weights published in 32 bits are served in 16.
        None | Some("bfloat16" | "float32" | "float" | "auto") => Precision::Bf16,
        Some(other) => {
            let name = if config.has("torch_dtype") { "torch_dtype" } else { "dtype" };
            super::shape::unknown(config, name, other, &["bfloat16", "float16", "float32"]);
            Precision::Bf16
        }
    }
}

/// DeepSeek V4 names the type of its experts apart.
fn expert_type(config: &Config<'_>, layout: Layout) -> Option<Precision> {
    if layout != Layout::Compressed {
        return None;
    }
    // A checkpoint that a quantiser wrote names the format itself; the field is left over from the original.
    let requantised = config.node("quantization_config").is_some_and(|node| node.get("quant_algo").is_some());
    match config.text("expert_dtype") {
        Some("fp4") if !requantised => Some(Precision::Mxfp4),
        Some("fp8") if !requantised => Some(Precision::Fp8Block),
        _ => None,
    }
}

/// What a quantisation names: the precision of experts, and of the rest.
#[derive(Debug, Clone, Copy)]
struct Named {
    rest: Precision,
    experts: Precision,
    /// Whether each layer names its own, so that lists of what is left out speak of another step.
    each: bool,
}

fn method(config: &Config<'_>, node: &Node<'_>) -> Option<Named> {
    let all = |precision| Some(Named { rest: precision, experts: precision, each: false });
    let algorithm = node.get("quant_algo").and_then(Node::text);
    let method = node.get("quant_method").and_then(Node::text);
    if let Some(word) = algorithm {
        return match word {
            "MIXED_PRECISION" => mixed(config, node, method),
            word => match algorithm_precision(word) {
                Some(precision) => all(precision),
                None => unknown(config, node, "quant_algo", word),
            },
        };
    }
    let Some(method) = method else { return unnamed(config, node) };
    match method {
        "fp8" | "fbgemm_fp8" => all(fp8(node)),
        "mxfp4" => all(Precision::Mxfp4),
        "awq" | "gptq" | "auto-round" | "auto_round" | "intel/auto-round" | "autoround" => {
            match bits(node, "bits") {
                None | Some(4) => all(Precision::Int4),
                Some(8) => all(Precision::Int8),
                Some(other) => unknown(config, node, "bits", &other.to_string()),
            }
        }
        "compressed-tensors" | "modelopt" | "quark" => match groups(node) {
            Some(precision) => all(precision),
            None => unknown(config, node, "config_groups", "no one width and type of weights"),
        },
        "bitsandbytes" => {
            let eight = node.get("load_in_8bit").is_some_and(|node| node.value == Value::Flag(true));
            all(if eight { Precision::Int8 } else { Precision::Int4 })
        }
        other => unknown(config, node, "quant_method", other),
    }
}

fn fp8(node: &Node<'_>) -> Precision {
    let blocks = node.get("weight_block_size").is_some_and(|node| node.value != Value::Null);
    if blocks { Precision::Fp8Block } else { Precision::Fp8 }
}

fn algorithm_precision(word: &str) -> Option<Precision> {
    match word {
        "FP8" | "FP8_PER_CHANNEL_PER_TOKEN" => Some(Precision::Fp8),
        "FP8_PB_WO" | "FP8_PB_REAL" => Some(Precision::Fp8Block),
        "NVFP4" | "NVFP4_AWQ" | "W4A8_NVFP4_FP8" => Some(Precision::Nvfp4),
        "MXFP4" | "W4A8_MXFP4_FP8" => Some(Precision::Mxfp4),
        "W4A16_AWQ" | "INT4_AWQ" | "W4A8_AWQ" | "W4A16_GPTQ" => Some(Precision::Int4),
        "W8A8_SQ_PER_CHANNEL" | "INT8_SQ" | "W8A16" => Some(Precision::Int8),
        _ => None,
    }
}

/// Layers that name their own precision: those of experts, and what is left to the method.
fn mixed(config: &Config<'_>, node: &Node<'_>, method: Option<&str>) -> Option<Named> {
    let rest = if method == Some("fp8") { fp8(node) } else { Precision::Bf16 };
    let Some(Value::Object(layers)) = node.get("quantized_layers").map(|node| &node.value) else {
        return unknown(config, node, "quant_algo", "MIXED_PRECISION without `quantized_layers`");
    };
    let of = |experts: bool| {
        let named = layers.iter().find(|(name, _)| name.contains("experts") == experts);
        named.and_then(|(_, node)| algorithm_precision(node.get("quant_algo")?.text()?))
    };
    Some(Named { rest: of(false).unwrap_or(rest), experts: of(true).unwrap_or(rest), each: true })
}

fn unknown(config: &Config<'_>, node: &Node<'_>, name: &str, word: &str) -> Option<Named> {
    let span = node.get(name).unwrap_or(node).span;
    let message = format!("the quantisation names `{name}`: `{word}`, which is not understood");
    config.wrong(codes::CONFIG_UNKNOWN, span, message, "the bytes of its weights are not known");
    None
}

fn bits(node: &Node<'_>, name: &str) -> Option<u32> {
    node.get(name).and_then(Node::number).map(|bits| bits as u32)
}

/// Says that widths stand there without the method that they belong to; nothing where none stands there.
fn unnamed(config: &Config<'_>, node: &Node<'_>) -> Option<Named> {
    let widths = ["bits", "w_bit", "num_bits", "config_groups", "weight_block_size"];
    let named =
        widths.into_iter().find(|name| node.get(name).is_some_and(|node| node.value != Value::Null))?;
    unknown(config, node, named, "without quant_method")
}

/// Returns the precision that all groups of `config_groups` have; none where they differ, since which weights each of them
/// targets is not read.
fn groups(node: &Node<'_>) -> Option<Precision> {
    let Value::Object(groups) = &node.get("config_groups")?.value else { return None };
    let mut all = groups.iter().filter_map(|(_, group)| group.get("weights")).map(width);
    let first = all.next()??;
    all.all(|other| other == Some(first)).then_some(first)
}

/// Returns the precision of the weights of one group.
fn width(weights: &Node<'_>) -> Option<Precision> {
    let (bits, kind) = (bits(weights, "num_bits")?, weights.get("type")?.text()?);
    let group = weights.get("group_size").and_then(Node::number);
    let block = weights.get("strategy").and_then(Node::text) == Some("block");
    match (bits, kind) {
        (4, "int") => Some(Precision::Int4),
        (8, "int") => Some(Precision::Int8),
        (8, "float") => Some(if block { Precision::Fp8Block } else { Precision::Fp8 }),
        (4, "float") => Some(if group == Some(32.0) { Precision::Mxfp4 } else { Precision::Nvfp4 }),
        _ => None,
    }
}

/// Returns the precision that a checkpoint asks of the cache.
fn cache(node: &Node<'_>) -> Option<Precision> {
    let scheme = node.get("kv_cache_scheme").or_else(|| node.get("kv_cache_quant_algo"))?;
    let eight = scheme.text() == Some("FP8") || bits(scheme, "num_bits") == Some(8);
    eight.then_some(Precision::Fp8)
}
