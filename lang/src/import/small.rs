//! How many parameters do the parts have that a model has no field for?
//!
//! Biases, norms of heads, learned positions: far below a hundredth, but totals are held to a thousandth. Towers that see,
//! and layers that predict further tokens, are counted here as well; they are no part of the total.

use capstan_types::model::Model;

use super::config::Config;
use super::family::{Family, HeadNorm, Layout};
use super::json::{Node, Value};
use crate::codes;

/// Small parameters: all, and those that one token visits.
pub(super) fn small(config: &Config<'_>, family: &Family, model: &Model) -> (f64, f64) {
    let always =
        norms(config, family, model) + biases(config, family, model) + positions(config, family, model);
    let [each, visited] = expert_biases(family, model);
    (always + each, always + visited)
}

/// Norms beyond two per layer and one at the end, and those of queries, keys, latent vectors and recurrent layers.
fn norms(config: &Config<'_>, family: &Family, model: &Model) -> f64 {
    let hidden = f64::from(model.hidden);
    let layers = f64::from(model.layers);
    let attention = f64::from(model.caching_layers());
    let counted = if family.layout == Layout::OneEach { 1.0 } else { 2.0 };
    let mut sum = (f64::from(family.norms) - counted) * hidden * layers;
    if family.layer_norm {
        // A bias beside each weight, and beside that of the last norm.
        sum += f64::from(family.norms) * hidden * layers + hidden;
    }
    let own = config.flag("use_qk_norm", family.head_norm != HeadNorm::None);
    let all = config.text("qk_norm_type").is_some_and(|kind| kind == "per_layer")
        || family.head_norm == HeadNorm::All;
    if own {
        let heads = f64::from(model.heads) + f64::from(model.kv_heads);
        sum += attention * f64::from(model.head_dim) * if all { heads } else { 2.0 };
    }
    if let Some(latent) = model.latent {
        sum += attention * (f64::from(latent.query_rank) + f64::from(latent.kv_rank));
    }
    if let Some(linear) = model.linear {
        // Decay and step per value head, and a norm over one head.
        sum += f64::from(linear.layers) * (2.0 * f64::from(linear.value_heads) + f64::from(linear.value_dim));
    }
    if let (Some(space), Some(recurrent)) = (model.state_space, model.recurrent()) {
        // Decay, skip and step per head, a norm over the inner width, and the bias of the convolution.
        let bias = if config.flag("use_conv_bias", true) { recurrent.channels } else { 0.0 };
        sum += f64::from(space.layers) * (3.0 * f64::from(space.heads) + recurrent.output_width + bias);
    }
    sum
}

fn biases(config: &Config<'_>, family: &Family, model: &Model) -> f64 {
    let attention = f64::from(model.caching_layers());
    let (hidden, size) = (f64::from(model.hidden), f64::from(model.head_dim));
    let qkv = (f64::from(model.heads) + 2.0 * f64::from(model.kv_heads)) * size;
    let [own_qkv, own_output, own_mlp] = family.biases;
    let on = |names: &[&'static str], default: bool| {
        names.iter().copied().find(|name| config.has(name)).map_or(default, |name| config.flag(name, default))
    };
    let inputs =
        on(&["attention_bias", "qkv_bias", "add_qkv_bias", "use_qkv_bias", "enable_bias", "bias"], own_qkv);
    // The one flag speaks of the output as well, but not where queries, keys and values have theirs in any case.
    let output = own_output || (inputs && !own_qkv && config.has("attention_bias"));
    let mlp = on(&["mlp_bias", "add_bias_linear", "use_bias"], own_mlp);
    let widths = if model.gated { 2.0 } else { 1.0 } * f64::from(model.ffn);
    let mut sum = if inputs { attention * qkv } else { 0.0 };
    sum += if output { attention * hidden } else { 0.0 };
    sum += if mlp { f64::from(model.dense_layers()) * (widths + hidden) } else { 0.0 };
    // The head of GPT-J has a bias.
    sum + if family.types.contains(&"gptj") { f64::from(model.vocab) } else { 0.0 }
}

/// Biases of experts, all and visited; with them come one per expert in the router, and a sink per head.
fn expert_biases(family: &Family, model: &Model) -> [f64; 2] {
    let Some(experts) = model.experts else { return [0.0; 2] };
    let layers = f64::from(experts.layers);
    let router = f64::from(experts.routed);
    if !family.biases[2] {
        return [layers * router; 2];
    }
    let each = 2.0 * f64::from(experts.width) + f64::from(model.hidden);
    let sinks = f64::from(model.heads);
    [experts.routed, experts.active].map(|count| layers * (f64::from(count) * each + router + sinks))
}

/// Learned positions, and what stands beside the embeddings.
fn positions(config: &Config<'_>, family: &Family, model: &Model) -> f64 {
    let hidden = f64::from(model.hidden);
    let kind = |name: &str| config.text("model_type") == Some(name);
    let mut sum = 0.0;
    if family.types.contains(&"gpt2") && !kind("bloom") {
        // OPT begins to count at 2.
        let first = if kind("opt") { 2.0 } else { 0.0 };
        sum += (f64::from(model.context) + first) * hidden;
    }
    if kind("bloom") {
        sum += 2.0 * hidden;
    }
    // A shared expert behind a gate of its own (Qwen).
    if let (Some(experts), Some(_)) = (model.experts, config.node("shared_expert_intermediate_size")) {
        sum += f64::from(experts.layers.min(experts.shared.saturating_mul(experts.layers))) * hidden;
    }
    if family.layout == Layout::Compressed {
        // Hyper-connections: two of a layer mix `hc_mult` streams by (2 + n) n maps of all of them.
        let n = f64::from(config.count(&["hc_mult"]));
        sum += 2.0 * f64::from(model.layers) * (2.0 + n) * n * n * hidden;
    }
    sum
}

/// Returns the parameters of layers that predict further tokens: each is one layer like the last, and a projection that
/// joins two vectors. They share the embeddings.
pub(super) fn speculation(config: &Config<'_>, model: &Model) -> f64 {
    let names = ["num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules"];
    let count = names.into_iter().map(|name| config.count(&[name])).max().unwrap_or(0);
    config.count(&["mtp_transformer_layers"]);
    config.text("mtp_hybrid_override_pattern");
    config.texts("mtp_layers_block_type");
    if count == 0 || !config.flag("use_mtp", true) {
        return 0.0;
    }
    let hidden = f64::from(model.hidden);
    let mut one = Model { layers: 1, vocab: 0, linear: None, state_space: None, ..model.clone() };
    (one.without_attention, one.without_feed_forward) = (0, 0);
    one.experts.iter_mut().for_each(|experts| experts.layers = 1);
    one.indexer.iter_mut().for_each(|indexer| indexer.layers = 1);
    one.compression = None;
    f64::from(count) * (one.computed_params_b() * 1e9 + 2.0 * hidden * hidden)
}

/// Returns the parameters of a tower that sees, as its own object gives them.
///
/// A vision transformer: four square matrices and a feed-forward part of two per layer, patches, positions, and one
/// merger per exit that joins patches and maps them to the width of the text.
pub(super) fn tower(config: &Config<'_>) -> f64 {
    let Some(vision) = config.outer("vision_config") else { return 0.0 };
    let number =
        |names: &[&str]| names.iter().find_map(|name| vision.get(name)?.number()).filter(|n| *n >= 0.0);
    let depth = number(&["depth", "num_hidden_layers", "vt_num_hidden_layers"]);
    let hidden = number(&["embed_dim", "vt_hidden_size", "hidden_size"]);
    let ffn = number(&["intermediate_size", "vt_intermediate_size"]);
    let (Some(depth), Some(hidden), Some(ffn)) = (depth, hidden, ffn) else {
        let message = "the tower of `vision_config` is not understood and not counted";
        config.warn(
            codes::CONFIG_UNCOUNTED,
            vision.span,
            message,
            "its memory comes on top of what is said here",
        );
        return 0.0;
    };
    let layer = 4.0 * hidden * hidden + 2.0 * hidden * ffn + 9.0 * hidden + ffn;
    let patch = number(&["patch_size", "spatial_patch_size"]).unwrap_or(14.0);
    let channels = number(&["in_channels", "num_channels"]).unwrap_or(3.0);
    let frames = number(&["temporal_patch_size"]).unwrap_or(1.0);
    let merge = number(&["spatial_merge_size"]).unwrap_or_else(|| merge_kernel(vision));
    let out = number(&["out_hidden_size", "text_hidden_size"]).unwrap_or(hidden);
    let wide = hidden * merge * merge;
    let mergers =
        1.0 + vision.get("deepstack_visual_indexes").and_then(Node::list).map_or(0.0, |l| l.len() as f64);
    let places = number(&["num_position_embeddings"]).unwrap_or_else(|| {
        let sides = ["init_pos_emb_height", "init_pos_emb_width"].map(|name| number(&[name]).unwrap_or(0.0));
        sides[0] * sides[1]
    });
    depth * layer
        + (patch * patch * channels * frames + 1.0 + places) * hidden
        + mergers * (wide * wide + wide + wide * out + out)
}

/// Returns how many patches a side are joined where a kernel says so.
fn merge_kernel(vision: &Node<'_>) -> f64 {
    match vision.get("merge_kernel_size").map(|node| &node.value) {
        Some(Value::List(sides)) => sides.first().and_then(Node::number).unwrap_or(1.0),
        _ => 1.0,
    }
}
