//! A neural network, as far as its memory and its time depend on it.
//!
//! Sizes are those of a `config.json`. What is counted from them, parameters and cache, follows in methods; rows
//! state their parameters as well, so that small parts (biases, norms of heads) need no field.

mod count;
mod parts;

pub use count::STATE_BYTES;
pub use parts::{
    Compression, Experts, Indexer, Latent, LinearAttention, Recurrent, StateSpace, Stored, Window,
};

use crate::hardware::Precision;
use crate::origin::Provenance;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// State-space layers, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_space: Option<StateSpace>,
    /// The indexer of sparse attention, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indexer: Option<Indexer>,
    /// A cache that keeps one vector for several tokens, if any; its window is `window`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// Layers without attention or anything in its place.
    #[serde(default, skip_serializing_if = "parts::zero")]
    pub without_attention: u32,
    /// Layers without a feed-forward part.
    #[serde(default, skip_serializing_if = "parts::zero")]
    pub without_feed_forward: u32,
    /// Longest context.
    pub context: u32,
    /// All parameters, in billions (10⁹).
    pub params_total_b: f64,
    /// Parameters that one token visits, embeddings and head included, in billions (10⁹).
    pub params_active_b: f64,
    /// Precision in which the weights are published.
    pub published: Precision,
    /// How its parts are stored, where they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Stored>,
    /// Parameters of a tower that sees or hears, not among those above, in billions (10⁹).
    #[serde(default, skip_serializing_if = "none_b")]
    pub tower_b: f64,
    /// Parameters of layers that predict further tokens, not among those above and only loaded to speculate, in
    /// billions (10⁹).
    #[serde(default, skip_serializing_if = "none_b")]
    pub speculation_b: f64,
    /// The row of the catalog that it is, under a name of the plan and with no fact changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// Source and date.
    #[serde(flatten)]
    pub provenance: Provenance,
}

impl Model {
    /// Returns the name under which it was measured: that of its row, whatever a plan calls it.
    pub fn known_as(&self) -> &str {
        self.row.as_deref().unwrap_or(&self.id)
    }

    /// Returns a model of which nothing is known yet but that its feed-forward layers have gates and its weights
    /// 16 bits, as most have.
    pub fn blank(provenance: Provenance) -> Self {
        Self {
            id: String::new(),
            names: Vec::new(),
            layers: 0,
            hidden: 0,
            heads: 0,
            kv_heads: 0,
            head_dim: 0,
            ffn: 0,
            gated: true,
            vocab: 0,
            tied: false,
            experts: None,
            latent: None,
            window: None,
            linear: None,
            state_space: None,
            indexer: None,
            compression: None,
            without_attention: 0,
            without_feed_forward: 0,
            context: 0,
            params_total_b: 0.0,
            params_active_b: 0.0,
            published: Precision::Bf16,
            stored: None,
            tower_b: 0.0,
            speculation_b: 0.0,
            row: None,
            provenance,
        }
    }
}

/// Says whether parameters that are usually absent are.
fn none_b(billions: &f64) -> bool {
    *billions == 0.0
}
