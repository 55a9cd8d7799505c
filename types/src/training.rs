//! How fast a model trains on machines at hand, before anybody plans: the answer of `capstan estimate --train`.

use crate::hardware::Precision;
use crate::outlook::{FitWord, Ranged, TimeSlice};
use crate::units::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Format of the answer that programs read.
pub const TRAINING_FORMAT: u32 = 1;

/// How fast a model trains, and how it is best split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrainingOutlook {
    /// Format.
    pub format: u32,
    /// What was asked.
    pub question: TrainingQuestion,
    /// Configurations that were looked at.
    pub considered: u64,
    /// Of those, what fits in memory.
    pub fitting: u64,
    /// The fastest, the best first; empty where nothing fits.
    pub best: Vec<TrainingAnswer>,
    /// Why nothing fits, the nearest miss.
    pub refused: Option<String>,
    /// What stands in for what was not said.
    pub assumptions: Vec<String>,
}

/// A job on machines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrainingQuestion {
    /// The model, as the catalog names it.
    pub model: String,
    /// The name that people know.
    pub model_name: String,
    /// Its parameters, in billions.
    pub params_total_b: f64,
    /// The accelerator.
    pub accelerator: String,
    /// Accelerators, all together.
    pub accelerators: u32,
    /// Accelerators of a machine.
    pub per_node: u32,
    /// Network of a machine, bytes per second and direction.
    pub scale_out_bytes_per_s: f64,
    /// Precision of the linear layers' math.
    pub precision: Precision,
    /// Sequences of a step.
    pub batch_sequences: u32,
    /// Tokens of a sequence.
    pub sequence_tokens: u32,
    /// Whether every choice was tried, or the usual ones.
    pub wide: bool,
}

/// One way to split the work, and what it yields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrainingAnswer {
    /// Ranks that split every layer.
    pub tensor: u32,
    /// Stages that split the layers.
    pub pipeline: u32,
    /// Chunks of layers per stage.
    pub interleave: u32,
    /// Ranks that split the experts.
    pub expert: u32,
    /// Data-parallel ranks.
    pub data: u32,
    /// Sequences of a micro-batch.
    pub micro_batch: u32,
    /// Micro-batches of a rank and step.
    pub micro_batches: u64,
    /// What is computed twice, in words.
    pub recompute: String,
    /// Share of layers that are computed twice.
    pub recomputed_share: f64,
    /// Which states data-parallel ranks share, in words.
    pub sharding: String,
    /// How tensor-parallel ranks exchange, in words.
    pub exchange: String,
    /// What lies in the memory of the host, in words.
    pub offload: String,
    /// What communication overlaps, and which links it takes, in words.
    pub communication: String,
    /// Seconds of a step.
    pub step_s: Ranged,
    /// Tokens per second, all together.
    pub tokens_per_s: Ranged,
    /// Model FLOPs per second and accelerator, in TFLOP/s.
    pub tflops_per_accelerator: Ranged,
    /// Model FLOPs over the peak.
    pub model_flops_utilization: f64,
    /// What takes most of the step, in words.
    pub bound_by: String,
    /// Memory of the most loaded accelerator.
    pub memory: TrainingMemoryShare,
    /// Where the time goes; sums to the step.
    pub parts: Vec<TimeSlice>,
    /// What makes the interval wider than usual.
    pub why: Vec<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// What one accelerator must hold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrainingMemoryShare {
    /// Whether it fits.
    pub fit: FitWord,
    /// What a training process can use.
    pub budget_bytes: Bytes,
    /// What it must hold.
    pub needed_bytes: Bytes,
    /// Of that: weights.
    pub weights_bytes: Bytes,
    /// Gradients.
    pub gradients_bytes: Bytes,
    /// Optimizer states.
    pub optimizer_bytes: Bytes,
    /// Activations.
    pub activations_bytes: Bytes,
    /// Context and communication.
    pub context_bytes: Bytes,
    /// What lies in the memory of the host for it.
    pub host_bytes: Bytes,
}
