//! Which experts does a configuration give?

use capstan_types::model::{Experts, Model};

use super::config::Config;
use super::family::{Family, Layout};
use super::shape::unknown;
use crate::codes;

/// Fills the mixture of experts, where there is one.
pub(super) fn fill(config: &Config<'_>, family: &Family, model: &mut Model) {
    let routed = config.count(&["n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts"]);
    let repeated = config.count(&["num_experts"]);
    let active =
        config.size(&["num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_top_k"]);
    config.count(&["experts_per_token"]);
    // Said in every mixture's file, and needed only where there are experts.
    let shared = config.count(&["n_shared_experts", "num_shared_experts"]);
    let shared_width = config.count(&[
        "moe_shared_expert_intermediate_size",
        "shared_expert_intermediate_size",
        "shared_intermediate_size",
        "share_expert_dim",
    ]);
    let latent = config.count(&["moe_latent_size"]);
    let layers = layers(config, family, model);
    if routed == 0 || layers == 0 {
        return;
    }
    if repeated > 0 && repeated != routed {
        let message = format!("two fields name {routed} and {repeated} experts");
        config.wrong(
            codes::CONFIG_CONTRADICTION,
            config.span_of("num_experts"),
            message,
            "change one of the two",
        );
    }
    let width = match config.size(&["moe_intermediate_size", "expert_ffn_hidden_size"]) {
        Some(width) => Some(width),
        None if family.ffn_is_expert => config.needed(&["intermediate_size"]),
        None => config.needed(&["moe_intermediate_size"]),
    };
    let active = match active {
        Some(active) => Some(active),
        None => config.needed(&["num_experts_per_tok"]),
    };
    let (Some(width), Some(active)) = (width, active) else { return };
    if active > routed {
        let message = format!("a token cannot visit {active} of {routed} experts");
        let span = config.span_of("num_experts_per_tok");
        config.wrong(codes::CONFIG_CONTRADICTION, span, message, "change one of the two");
    }
    // Llama 4 has one expert that every token visits, as wide as the others, and does not say so.
    let chunks = family.windows == super::family::Windows::Chunks;
    let shared = if shared > 0 { shared } else { u32::from(shared_width > 0 || chunks) };
    let shared_width = if shared_width > 0 { shared_width } else { width };
    model.experts = Some(Experts { routed, active, width, shared, shared_width, layers, latent });
}

/// Returns how many layers have experts.
fn layers(config: &Config<'_>, family: &Family, model: &Model) -> u32 {
    if family.layout == Layout::OneEach {
        let dense = config.text("hybrid_override_pattern").map_or(0, |pattern| pattern.matches('-').count());
        let listed = config.texts("layers_block_type");
        let dense = listed.map_or(dense, |words| words.iter().filter(|&&word| word == "mlp").count());
        return model.without_attention.saturating_sub(dense as u32);
    }
    let first = config.count(&["first_k_dense_replace", "moe_layer_start_index"]);
    let every =
        config.size(&["moe_layer_freq", "decoder_sparse_step", "interleave_moe_layer_step"]).unwrap_or(1);
    let dense_only = config.numbers("mlp_only_layers").unwrap_or_default();
    let listed = config.numbers("moe_layers");
    if let Some(kinds) = config.texts("mlp_layer_types") {
        if let Some(other) = kinds.iter().find(|kind| !["dense", "sparse"].contains(kind)) {
            unknown(config, "mlp_layer_types", other, &["dense", "sparse"]);
        }
        return kinds.iter().filter(|&&kind| kind == "sparse").count() as u32;
    }
    if let Some(listed) = listed.filter(|listed| !listed.is_empty()) {
        return listed.len() as u32;
    }
    // DeepSeek counts from layer 0 and its multiples; Qwen and Llama 4 count from 1.
    let offset = u32::from(!config.has("moe_layer_freq"));
    let sparse = |layer: &u32| (layer + offset).is_multiple_of(every) && !dense_only.contains(layer);
    (first.min(model.layers)..model.layers).filter(sparse).count() as u32
}
