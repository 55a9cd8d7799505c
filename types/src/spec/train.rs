//! Training as it is asked for.

use super::{Buy, Limit, Parallelism};
use crate::hardware::Precision;
use crate::place::Place;
use crate::units::Seconds;
use crate::units::Tokens;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How often a training job saves its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Checkpoint {
    /// Longest time between two.
    #[serde(rename = "every_s")]
    pub every: Option<Limit<Seconds>>,
    /// How many are kept.
    pub keep: u32,
}

/// Which parameters a training changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum TrainMethod {
    /// All of them.
    #[default]
    Full,
    /// Adapters of low rank on every linear layer; the rest is frozen (LoRA, arXiv 2106.09685).
    Lora {
        /// The rank.
        rank: u32,
        /// Are the frozen weights kept in 4 bits (QLoRA, arXiv 2305.14314)?
        quantised: bool,
    },
}

impl TrainMethod {
    /// Returns the words shown to people.
    pub fn words(self) -> String {
        match self {
            Self::Full => "all parameters".to_owned(),
            Self::Lora { rank, quantised: false } => format!("adapters of rank {rank}"),
            Self::Lora { rank, quantised: true } => format!("adapters of rank {rank} over 4-bit weights"),
        }
    }
}

/// Training of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Train {
    /// Its name.
    pub name: String,
    /// Where it is declared.
    pub place: Place,
    /// Identifier of the model in [`Spec::models`].
    pub model: String,
    /// Tokens to see, in all epochs.
    pub tokens: Tokens,
    /// The dataset that they are of, where the plan names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// Which parameters it changes.
    #[serde(default)]
    pub method: TrainMethod,
    /// Tokens per optimizer step.
    pub batch: Tokens,
    /// Tokens per sequence.
    pub sequence: u32,
    /// First day on which it may run.
    #[schemars(with = "Option<(String, Place)>")]
    pub start: Option<Limit<Date>>,
    /// Last day on which it may run.
    #[schemars(with = "Option<(String, Place)>")]
    pub finish: Option<Limit<Date>>,
    /// Precisions that the math may have.
    pub precisions: Vec<Precision>,
    /// Accelerators that are allowed; `None` is any.
    pub accelerators: Option<Vec<String>>,
    /// Parallelism that is fixed.
    pub parallelism: Parallelism,
    /// Checkpoints.
    pub checkpoint: Checkpoint,
    /// How capacity may be bought.
    pub buy: Vec<Buy>,
    /// Sites it may run at; `None` is any.
    pub sites: Option<Vec<String>>,
    /// May it run in a part of each day only?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interruptible: bool,
}
