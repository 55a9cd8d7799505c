//! Which sizes does a configuration give?
//!
//! Fills a [`Model`] part by part. Small parts that a model has no field for are in `small.rs`; how weights are stored is
//! in `stored.rs`.

use capstan_types::model::{Compression, Indexer, Latent, LinearAttention, Model, StateSpace, Window};

use super::config::Config;
use super::experts;
use super::family::{Family, Layout, Windows};
use super::json::Node;
use crate::codes;

const LAYERS: &[&str] = &["num_hidden_layers", "n_layer", "num_layers", "n_layers"];
const HEADS: &[&str] = &["num_attention_heads", "n_head", "n_heads"];
const CONTEXT: &[&str] =
    &["max_position_embeddings", "n_positions", "seq_length", "max_sequence_length", "n_ctx", "max_seq_len"];

/// What is known of a model beside its own fields.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Beside {
    /// Parameters that the mean width of feed-forward layers misses.
    pub uneven: f64,
}

/// Returns the context of YaRN: the factor times the original one, as vLLM has it; `max_position_embeddings` may be either
/// of the two. Other ways to scale state in that field what they reach.
fn stretched(config: &Config<'_>) -> Option<u32> {
    let scaling = config.node("rope_scaling").or_else(|| config.node("rope_parameters"))?;
    let kind = scaling.get("rope_type").or_else(|| scaling.get("type"))?;
    let number = |name: &str| scaling.get(name).and_then(Node::number);
    let from = number("original_max_position_embeddings").or_else(|| config.size(CONTEXT).map(f64::from))?;
    let reach = number("factor")? * from;
    (kind.text() == Some("yarn") && (1.0..=f64::from(u32::MAX)).contains(&reach)).then_some(reach as u32)
}

/// Fills the sizes; returns nothing where one that is needed is missing or wrong.
pub(super) fn fill(config: &Config<'_>, family: &Family, model: &mut Model) -> Option<Beside> {
    let mut beside = Beside::default();
    let hidden = config.needed(&["hidden_size", "n_embd", "n_embed"]);
    let vocab = config.needed(&["padded_vocab_size", "vocab_size"]);
    let context = config.size(CONTEXT);
    layers(config, family, model);
    let heads = config.needed(HEADS);
    (model.hidden, model.vocab) = (hidden?, vocab?);
    model.heads = heads?;
    if let Some(other) = config.size(&["word_embed_proj_dim"]).filter(|&width| width != model.hidden) {
        unknown(config, "word_embed_proj_dim", &other.to_string(), &["the hidden width"]);
    }
    // Models without learned positions (alibi) may print no longest context; theirs is the one they were trained with.
    model.context = stretched(config).or(context).unwrap_or(2048);
    let tied = config.outer("tie_word_embeddings").is_some() || config.has("tie_word_embeddings");
    model.tied = if tied { config.flag("tie_word_embeddings", family.tied) } else { family.tied };
    model.gated = family.gated;
    if family.layout == Layout::Searched {
        beside.uneven = searched(config, model)?;
    } else {
        attention(config, family, model);
        model.ffn = feed_forward(config, family, model);
    }
    experts::fill(config, family, model);
    windows(config, family, model);
    match family.layout {
        Layout::Linear => linear(config, model),
        Layout::OneEach => state_space(config, model),
        _ => {}
    }
    consistent(config, model);
    (!config.is_wrong()).then_some(beside)
}

/// How many layers there are; in a model of one part each, how many of each kind.
fn layers(config: &Config<'_>, family: &Family, model: &mut Model) {
    if family.layout != Layout::OneEach {
        model.layers = config.needed(LAYERS).unwrap_or(0);
        return;
    }
    let stated = config.size(LAYERS);
    let kinds = one_each(config);
    let count = |kind: &str| kinds.iter().filter(|&&one| one == kind).count() as u32;
    let (mamba, attention, moe, mlp) = (count("mamba"), count("attention"), count("moe"), count("mlp"));
    model.layers = mamba + attention + moe + mlp;
    model.without_attention = moe + mlp;
    model.without_feed_forward = mamba + attention;
    if let Some(stated) = stated.filter(|&stated| stated != model.layers && !kinds.is_empty()) {
        let message = format!("`num_hidden_layers` is {stated}, but {} layers are listed", model.layers);
        let help = "the list of layers and their number must agree";
        config.wrong(codes::CONFIG_CONTRADICTION, config.span_of("num_hidden_layers"), message, help);
    }
}

/// Returns what each layer of Nemotron-H is: as a list of words, or as a pattern of letters.
fn one_each<'a>(config: &Config<'a>) -> Vec<&'a str> {
    if let Some(words) = config.texts("layers_block_type") {
        let known = ["mamba", "attention", "moe", "mlp"];
        if let Some(other) = words.iter().find(|word| !known.contains(word)) {
            unknown(config, "layers_block_type", other, &known);
        }
        return words;
    }
    let Some(pattern) = config.text("hybrid_override_pattern") else {
        let message = "neither `layers_block_type` nor `hybrid_override_pattern` says what each layer is";
        config.wrong(codes::CONFIG_MISSING, config.span_of("model_type"), message, "is the file cut off?");
        return Vec::new();
    };
    let word = |letter: char| match letter {
        'M' => "mamba",
        '*' => "attention",
        'E' => "moe",
        '-' => "mlp",
        other => {
            unknown(config, "hybrid_override_pattern", &other.to_string(), &["M", "*", "E", "-"]);
            "unknown"
        }
    };
    // The pattern of the layers that predict further tokens may follow after a slash.
    pattern.split('/').next().unwrap_or_default().chars().map(word).collect()
}

/// Reports a word that is not understood in a field that is.
pub(super) fn unknown(config: &Config<'_>, name: &'static str, word: &str, known: &[&str]) {
    let message = format!("`{name}` holds `{word}`, which is not understood");
    let help = format!("understood are {}", known.join(", "));
    config.wrong(codes::CONFIG_UNKNOWN, config.span_of(name), message, help);
}

fn attention(config: &Config<'_>, family: &Family, model: &mut Model) {
    let kv = config.size(&["num_key_value_heads", "num_kv_heads", "multi_query_group_num"]);
    let size = config.size(&["head_dim", "kv_channels", "attention_head_dim"]);
    model.kv_heads = kv.unwrap_or(model.heads);
    // Falcon says in two flags that all query heads share one: the older code, and no other count.
    if config.flag("multi_query", false) && !config.flag("new_decoder_architecture", false) {
        model.kv_heads = 1;
    }
    match family.layout {
        Layout::Latent => latent(config, model),
        Layout::Compressed => compressed(config, model, size),
        _ => {
            model.head_dim = size.unwrap_or(model.hidden / model.heads.max(1));
            if size.is_none() && !model.hidden.is_multiple_of(model.heads) {
                let message = format!("{} heads do not divide a width of {}", model.heads, model.hidden);
                let span = config.span_of("num_attention_heads");
                config.wrong(
                    codes::CONFIG_CONTRADICTION,
                    span,
                    message,
                    "`head_dim` is missing, or one of the two is wrong",
                );
            }
        }
    }
    if let Some(types) = config.numbers("attn_type_list")
        && let Some(other) = types.iter().find(|&&kind| kind != 1)
    {
        unknown(config, "attn_type_list", &other.to_string(), &["1"]);
    }
}

fn latent(config: &Config<'_>, model: &mut Model) {
    let sizes = [["kv_lora_rank"], ["qk_nope_head_dim"], ["qk_rope_head_dim"], ["v_head_dim"]];
    let [Some(kv_rank), Some(nope), Some(rope), Some(value)] = sizes.map(|name| config.needed(&name)) else {
        return;
    };
    let query_rank = config.count(&["q_lora_rank"]);
    model.latent = Some(Latent { query_rank, kv_rank, nope, rope, value });
    model.head_dim = nope.saturating_add(rope);
    if let Some(stated) = config.size(&["qk_head_dim"]).filter(|&stated| stated != model.head_dim) {
        let message = format!("`qk_head_dim` is {stated}, but {nope} + {rope} = {}", model.head_dim);
        config.wrong(
            codes::CONFIG_CONTRADICTION,
            config.span_of("qk_head_dim"),
            message,
            "change one of the three",
        );
    }
    let heads = config.size(&["index_n_heads"]);
    let (size, chosen) = (config.size(&["index_head_dim"]), config.size(&["index_topk"]));
    let layers = indexers(config, model.layers);
    if let (Some(heads), Some(head_dim), Some(chosen)) = (heads, size, chosen) {
        model.indexer = Some(Indexer { heads, head_dim, chosen, layers });
    }
}

/// Returns how many layers have an indexer of their own.
fn indexers(config: &Config<'_>, layers: u32) -> u32 {
    let Some(kinds) = config.texts("indexer_types") else { return layers };
    if let Some(other) = kinds.iter().find(|kind| !["full", "shared"].contains(kind)) {
        unknown(config, "indexer_types", other, &["full", "shared"]);
    }
    kinds.iter().filter(|&&kind| kind == "full").count() as u32
}

/// DeepSeek V4: keys and values are one vector of `head_dim`, of which `qk_rope_head_dim` carry the position.
fn compressed(config: &Config<'_>, model: &mut Model, size: Option<u32>) {
    let rope = config.needed(&["qk_rope_head_dim"]);
    let query_rank = config.needed(&["q_lora_rank"]);
    let output = (config.needed(&["o_groups"]), config.needed(&["o_lora_rank"]));
    let ratios = config.numbers("compress_ratios");
    let indexer = ["index_n_heads", "index_head_dim", "index_topk"].map(|name| config.needed(&[name]));
    if ratios.is_none() {
        config.needed(&["compress_ratios"]);
    }
    // Counted where the hash table routes: it replaces a router's choice and has no weights to multiply.
    config.count(&["num_hash_layers"]);
    config.count(&["hc_mult"]);
    let (Some(size), Some(rope), Some(query_rank), (Some(output_groups), Some(output_rank)), Some(ratios)) =
        (size, rope, query_rank, output, ratios)
    else {
        return;
    };
    if rope >= size || model.kv_heads != 1 {
        let message = "a compressed cache has one key-value head, larger than its part with the position";
        config.wrong(
            codes::CONFIG_CONTRADICTION,
            config.span_of("head_dim"),
            message,
            "is this DeepSeek V4?",
        );
        return;
    }
    model.head_dim = size;
    let kv_rank = size - rope;
    model.latent = Some(Latent { query_rank, kv_rank, nope: kv_rank, rope, value: size });
    // Ratios of layers that predict further tokens follow after those of the model.
    let own = &ratios[..ratios.len().min(model.layers as usize)];
    let rates: Vec<u32> =
        std::collections::BTreeSet::from_iter(own.iter().copied().filter(|&r| r > 0)).into_iter().collect();
    let count = |rate: u32| own.iter().filter(|&&one| one == rate).count() as u32;
    let [fine, coarse] = rates[..] else {
        unknown(config, "compress_ratios", &format!("{rates:?}"), &["two ratios, and 0"]);
        return;
    };
    let (fine_layers, coarse_layers) = (count(fine), count(coarse));
    model.compression =
        Some(Compression { fine, fine_layers, coarse, coarse_layers, output_groups, output_rank });
    if let [Some(heads), Some(head_dim), Some(chosen)] = indexer {
        model.indexer = Some(Indexer { heads, head_dim, chosen, layers: fine_layers });
    }
}

/// Width of the dense feed-forward layers; where all layers have experts and no other width is said, that of one expert,
/// which then changes nothing.
fn feed_forward(config: &Config<'_>, family: &Family, model: &Model) -> u32 {
    let dense = config.size(&["intermediate_size_mlp"]);
    let width = config.size(&["intermediate_size", "ffn_hidden_size", "ffn_dim", "n_inner"]);
    let expert = config.size(&["moe_intermediate_size"]);
    // Falcon, BLOOM and GPT-J leave out what is four times the width.
    let usual =
        (family.layer_norm && family.tied || family.norms == 1).then(|| model.hidden.saturating_mul(4));
    match dense.or(width).or(expert).or(usual) {
        Some(width) => width,
        None => config.needed(&["intermediate_size"]).unwrap_or(0),
    }
}

fn linear(config: &Config<'_>, model: &mut Model) {
    let names =
        ["linear_num_key_heads", "linear_key_head_dim", "linear_num_value_heads", "linear_value_head_dim"];
    let sizes = names.map(|name| config.needed(&[name]));
    let conv = config.count(&["linear_conv_kernel_dim"]);
    if !config.flag("attn_output_gate", true) {
        let help = "understood is attention with a gate on its output";
        config.wrong(
            codes::CONFIG_UNKNOWN,
            config.span_of("attn_output_gate"),
            "`attn_output_gate` is false",
            help,
        );
    }
    let interval = config.size(&["full_attention_interval"]);
    let layers = match kinds(config) {
        Some(kinds) => kinds.iter().filter(|&&kind| kind == "linear_attention").count() as u32,
        None => interval.map_or(0, |every| model.layers - model.layers / every),
    };
    if layers == 0 {
        let message = "neither `layer_types` nor `full_attention_interval` says which layers are linear";
        config.wrong(codes::CONFIG_MISSING, config.span_of("model_type"), message, "is the file cut off?");
    }
    if let [Some(key_heads), Some(key_dim), Some(value_heads), Some(value_dim)] = sizes {
        model.linear = Some(LinearAttention { layers, key_heads, key_dim, value_heads, value_dim, conv });
    }
}

fn state_space(config: &Config<'_>, model: &mut Model) {
    let layers = model
        .without_feed_forward
        .saturating_sub(one_each(config).iter().filter(|&&kind| kind == "attention").count() as u32);
    let names = ["mamba_num_heads", "mamba_head_dim", "ssm_state_size", "n_groups"];
    let sizes = names.map(|name| config.needed(&[name]));
    let conv = config.count(&["conv_kernel"]);
    config.count(&["expand"]);
    if let ([Some(heads), Some(head_dim), Some(state), Some(groups)], true) = (sizes, layers > 0) {
        model.state_space = Some(StateSpace { layers, heads, head_dim, state, groups, conv });
    }
}

/// Returns `layer_types`, of which every word is understood.
fn kinds<'a>(config: &Config<'a>) -> Option<Vec<&'a str>> {
    const KNOWN: [&str; 5] = [
        "full_attention",
        "sliding_attention",
        "chunked_attention",
        "linear_attention",
        "deepseek_sparse_attention",
    ];
    let kinds = config.texts("layer_types")?;
    if let Some(other) = kinds.iter().find(|kind| !KNOWN.contains(kind)) {
        unknown(config, "layer_types", other, &KNOWN);
    }
    Some(kinds)
}

/// Which layers have a window.
fn windows(config: &Config<'_>, family: &Family, model: &mut Model) {
    let (chunk, first_full) = (config.size(&["attention_chunk_size"]), config.size(&["max_window_layers"]));
    let Some(tokens) = chunk.or(config.size(&["sliding_window"])) else { return };
    let used = config.flag("use_sliding_window", family.windows != Windows::Late);
    let pattern = config.size(&["sliding_window_pattern", "_sliding_window_pattern"]).unwrap_or(6);
    let rope = config.numbers("no_rope_layers");
    let listed = kinds(config).map(|kinds| {
        kinds.iter().filter(|kind| ["sliding_attention", "chunked_attention"].contains(kind)).count() as u32
    });
    let layers = match family.windows {
        _ if !used => 0,
        _ if family.layout == Layout::Compressed => model.layers,
        _ if listed.is_some() => listed.unwrap_or(0),
        Windows::All => model.layers,
        Windows::Alternate => model.layers.div_ceil(2),
        Windows::Pattern => model.layers - model.layers / pattern,
        Windows::Late => model.layers.saturating_sub(first_full.unwrap_or(0)),
        // Layers that rotate positions attend in chunks.
        Windows::Chunks => {
            rope.filter(|rope| !rope.is_empty()).map_or(model.layers - model.layers / 4, |rope| {
                rope.iter().filter(|&&rotates| rotates == 1).count() as u32
            })
        }
    };
    model.window = (layers > 0).then_some(Window { tokens, layers });
}

/// Nemotron NAS: each layer says what it keeps. Returns the parameters that the mean width of its feed-forward layers misses.
fn searched(config: &Config<'_>, model: &mut Model) -> Option<f64> {
    config.size(&["intermediate_size"]);
    config.size(&["num_key_value_heads"]);
    let blocks = config.node("block_configs").and_then(|node| node.list());
    let Some(blocks) = blocks else {
        config.needed(&["block_configs"]);
        return None;
    };
    let mut widths = Vec::new();
    let mut groups = std::collections::BTreeSet::new();
    for block in blocks {
        let part = |part: &str, name: &str| block.get(part).and_then(|part| part.get(name));
        let is = |which: &str, name: &str| {
            part(which, name).is_some_and(|node| node.value == super::json::Value::Flag(true))
        };
        if is("attention", "replace_with_linear") || is("ffn", "replace_with_linear") {
            let help = "understood are layers that keep or leave out attention";
            config.wrong(codes::CONFIG_UNKNOWN, block.span, "`replace_with_linear` is not understood", help);
        }
        if is("attention", "no_op") {
            model.without_attention += 1;
        } else if let Some(group) = part("attention", "n_heads_in_group").and_then(|node| node.number()) {
            groups.insert(group as u32);
        }
        match part("ffn", "ffn_mult").and_then(|node| node.number()) {
            _ if is("ffn", "no_op") => model.without_feed_forward += 1,
            // Two thirds of a multiple of the hidden width, rounded up to 256 (the model's published code).
            Some(multiple) => {
                widths.push((2.0 * multiple * f64::from(model.hidden) / 3.0 / 256.0).ceil() * 256.0)
            }
            None => config.wrong(
                codes::CONFIG_MISSING,
                block.span,
                "`ffn_mult` is missing",
                "is the file cut off?",
            ),
        }
    }
    if blocks.len() != model.layers as usize {
        let message = format!("{} layers, but {} blocks", model.layers, blocks.len());
        config.wrong(
            codes::CONFIG_CONTRADICTION,
            config.span_of("num_hidden_layers"),
            message,
            "change one of the two",
        );
    }
    let mut groups = groups.into_iter().filter(|&group| group > 0);
    model.kv_heads = model.heads / groups.next().unwrap_or(1);
    if groups.next().is_some() {
        let help = "understood are models whose layers all have the same key-value heads";
        config.wrong(
            codes::CONFIG_UNKNOWN,
            config.span_of("block_configs"),
            "`n_heads_in_group` differs between layers",
            help,
        );
    }
    model.head_dim = model.hidden / model.heads.max(1);
    let (sum, layers) = (widths.iter().sum::<f64>(), widths.len().max(1) as f64);
    model.ffn = (sum / layers).round() as u32;
    Some(3.0 * f64::from(model.hidden) * (sum - f64::from(model.ffn) * layers))
}

/// Reports sizes that contradict each other.
fn consistent(config: &Config<'_>, model: &Model) {
    let kv_heads = config.span_of("num_key_value_heads");
    if model.kv_heads > model.heads {
        let message = format!("{} key-value heads for {} query heads", model.kv_heads, model.heads);
        config.wrong(codes::CONFIG_CONTRADICTION, kv_heads, message, "there are never more than query heads");
    } else if model.kv_heads == 0 || !model.heads.is_multiple_of(model.kv_heads) {
        let message =
            format!("{} query heads cannot share {} key-value heads evenly", model.heads, model.kv_heads);
        config.wrong(codes::CONFIG_CONTRADICTION, kv_heads, message, "change one of the two");
    }
    for list in ["layer_types", "mlp_layer_types", "indexer_types"] {
        let listed = config.node(list).and_then(|node| node.list()).map(<[_]>::len);
        if let Some(listed) = listed.filter(|&listed| listed != model.layers as usize) {
            let message = format!("`{list}` lists {listed} layers, but there are {}", model.layers);
            config.wrong(codes::CONFIG_CONTRADICTION, config.span_of(list), message, "change one of the two");
        }
    }
    let recurrent = model.recurrent().map_or(0, |recurrent| recurrent.layers);
    if recurrent.saturating_add(model.without_attention) > model.layers {
        let message = "more layers go without attention than there are";
        config.wrong(
            codes::CONFIG_CONTRADICTION,
            config.span_of("num_hidden_layers"),
            message,
            "change one of the two",
        );
    }
}
