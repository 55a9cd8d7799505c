//! Where the memory of one rank goes, with the formula and the fields of the model that it reads.

use capstan_types::blueprint::{Blueprint, Placement, Service};
use capstan_types::explanation::Section;
use capstan_types::figure;
use capstan_types::model::Model;
use capstan_types::units::Bytes;

/// Returns the split of a rank's memory into weights, cache and what is left.
pub(super) fn of_replica(blueprint: &Blueprint, service: &Service, placement: &Placement) -> Section {
    let (candidate, estimate) = (&placement.candidate, &placement.estimate);
    let title = format!("Where the memory of `{}` at {} goes", service.workload, placement.site);
    let left = (estimate.memory - estimate.weights).max(Bytes::ZERO);
    let mut facts = vec![
        ("free for weights and cache, per accelerator".to_owned(), figure::data(estimate.memory)),
        ("weights".to_owned(), figure::data(estimate.weights)),
        ("left for the cache".to_owned(), figure::data(left)),
        ("tokens in the cache of a replica".to_owned(), figure::count(estimate.kv_tokens)),
    ];
    let mut sentences = Vec::new();
    if let Some(model) = blueprint.inputs.spec.models.iter().find(|model| model.id == service.model) {
        sentences.push(format!(
            "Weights: {} Gparam × {} B over {} accelerators ({}); embeddings may stand on one rank only{}.",
            figure::short(model.params_total_b),
            candidate.precision.weight_bytes(),
            candidate.accelerators,
            candidate.degrees().words(),
            if candidate.data > 1 {
                ", and each group with its own sequences holds the attention layers"
            } else {
                ""
            }
        ));
        sentences.push(cache(model, placement));
        let token = model.kv_bytes_per_token(candidate.kv_precision);
        facts.push((
            "cache of one token over all ranks".to_owned(),
            format!("{} kB", figure::short(token.get() / 1e3)),
        ));
    }
    Section { title, sentences, facts }
}

fn cache(model: &Model, placement: &Placement) -> String {
    let bytes = placement.candidate.kv_precision.weight_bytes();
    match model.latent {
        Some(latent) => format!(
            "Cache of a token: layers {} × (kv_rank {} + rope {}) × {bytes} B (latent attention).",
            model.layers, latent.kv_rank, latent.rope
        ),
        None => format!(
            "Cache of a token: 2 × layers {} × kv_heads {} × head_dim {} × {bytes} B.",
            model.layers, model.kv_heads, model.head_dim
        ),
    }
}
