//! Which measured column stands against which predicted one, and what rows have in common.
//!
//! A cell is one (model, accelerator, engine, precision); two rows of one cell say nearly the same about a model, so
//! cells, not rows, are what is left out and what has a weight.

use super::{Kind, Names, Row};
use crate::perf::coefficients::is_blackwell;

/// A quantity of a kind of table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantity {
    /// The measured column.
    pub measured: &'static str,
    /// The predicted column.
    pub predicted: &'static str,
    /// Columns of the ends of the 90 % interval.
    pub interval: Option<(&'static str, &'static str)>,
    /// Columns that neighbours share whose measurements a prediction without a model would take; empty: none.
    pub neighbours: &'static [&'static str],
    /// Columns that rows share which a planner must put in order; empty: none.
    pub ranked: &'static [&'static str],
    /// Columns that say what a planner chose; rows that are alike in all of them are repeats and no choice.
    pub choices: &'static [&'static str],
    /// Measurements nearer to each other than this share are equal: repeats differ by as much.
    pub noise: f64,
}

const LOADS: &[&str] = &["accelerator", "engine", "gpus", "input_tokens", "output_tokens", "concurrency"];
const SERVED: &[&str] =
    &["model", "engine", "engine_version", "precision", "input_tokens", "output_tokens", "concurrency"];
const FLAT_OUT: &[&str] = &["model", "engine_version", "precision", "input_tokens", "output_tokens"];
const RANKS: &[&str] =
    &["accelerator", "gpus", "tp", "pp", "ep", "attention_dp", "moe_tp", "moe_ep", "batch"];

const fn quantity(measured: &'static str, predicted: &'static str) -> Quantity {
    Quantity { measured, predicted, interval: None, neighbours: &[], ranked: &[], choices: &[], noise: 0.033 }
}

const fn step(measured: &'static str) -> Quantity {
    let interval = Some(("step_low_s", "step_high_s"));
    Quantity { interval, ..quantity(measured, "predicted_step_time_s") }
}

/// Times to the first token and per output token.
const LATENCY: [Quantity; 2] = [
    Quantity {
        interval: Some(("ttft_low_ms", "ttft_high_ms")),
        neighbours: LOADS,
        ranked: SERVED,
        choices: RANKS,
        noise: 0.072,
        ..quantity("ttft_ms", "predicted_ttft_ms")
    },
    Quantity {
        interval: Some(("tpot_low_ms", "tpot_high_ms")),
        neighbours: LOADS,
        ranked: SERVED,
        choices: RANKS,
        ..quantity("tpot_ms", "predicted_tpot_ms")
    },
];

/// Tokens per second offline, and percentiles under load.
const MLPERF: [Quantity; 3] = [
    Quantity {
        neighbours: &["scenario", "accelerator", "n_accel"],
        ranked: &["model", "scenario", "n_accel", "round"],
        choices: &["accelerator", "weight_dtype", "cfg_tp", "cfg_pp"],
        ..quantity("result", "predicted_tokens_s")
    },
    quantity("ttft_p99_ms", "predicted_ttft_p99_ms"),
    quantity("tpot_p99_ms", "predicted_tpot_p99_ms"),
];

impl Kind {
    /// Returns what is predicted in tables of this kind.
    pub fn quantities(self) -> &'static [Quantity] {
        match self {
            Self::ServingLatency => &LATENCY,
            Self::ServingThroughput => {
                &const {
                    [Quantity {
                        interval: Some(("low", "high")),
                        neighbours: &["accelerator", "gpus", "input_tokens", "output_tokens"],
                        ranked: FLAT_OUT,
                        choices: RANKS,
                        ..quantity("output_tokens_per_s", "predicted_output_tokens_per_s")
                    }]
                }
            }
            Self::MlperfInference => &MLPERF,
            Self::TrainingThroughput => {
                &const {
                    [
                        step("step_time_s"),
                        quantity("tokens_s_gpu", "predicted_tokens_s_gpu"),
                        Quantity {
                            neighbours: &["gpu", "precision", "task"],
                            ..quantity("tflops_gpu", "predicted_tflops_gpu")
                        },
                    ]
                }
            }
            Self::MlperfTraining => &const { [step("step_time_s")] },
            Self::TrainingPapers => {
                &const {
                    [
                        step("step_s"),
                        Quantity {
                            neighbours: &["system", "precision"],
                            ranked: &["source", "params_b"],
                            choices: &["model", "gpus", "seq", "fsdp", "tp", "pp", "cp"],
                            ..quantity("tflops_gpu", "predicted_tflops_gpu")
                        },
                    ]
                }
            }
            Self::KvSizes => {
                &const {
                    [
                        quantity("reported_kv_tokens", "predicted_kv_tokens"),
                        quantity("reported_max_concurrency", "predicted_max_concurrency"),
                    ]
                }
            }
            Self::TrainingMemory => {
                &const {
                    [
                        quantity("params_opt_gib", "predicted_params_opt_gib"),
                        quantity("act_gib_none", "predicted_act_gib_none"),
                        quantity("act_gib_seqsel", "predicted_act_gib_seqsel"),
                    ]
                }
            }
        }
    }

    /// Returns the columns whose values make strata.
    pub fn strata(self) -> &'static [&'static str] {
        match self {
            Self::ServingLatency => &["engine", "accelerator", "precision", "model"],
            Self::ServingThroughput => &["engine_version", "accelerator", "precision", "model"],
            Self::TrainingThroughput => &["gpu", "precision", "task", "model_base"],
            Self::MlperfInference => &["scenario", "model", "accel_family", "weight_dtype"],
            Self::MlperfTraining => &["benchmark", "accel_family"],
            Self::KvSizes => &["engine"],
            Self::TrainingPapers | Self::TrainingMemory => &["source"],
        }
    }

    /// Returns the columns that make a cell.
    fn cell(self) -> &'static [&'static str] {
        match self {
            Self::ServingLatency => &["model", "accelerator", "engine", "precision"],
            Self::ServingThroughput => &["model", "accelerator", "precision"],
            Self::MlperfInference => &["model", "accel_family", "scenario"],
            Self::TrainingThroughput => &["model_base", "gpu", "task"],
            Self::MlperfTraining => &["benchmark", "accel_family"],
            Self::KvSizes => &["model", "gpu", "engine"],
            Self::TrainingPapers | Self::TrainingMemory => &["source", "model"],
        }
    }
}

/// What a row is, for scores and for leaving out: names as the catalog has them, where it has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The cell.
    pub cell: String,
    /// The model.
    pub model: String,
    /// The accelerator.
    pub accelerator: String,
    /// The engine; empty where there is none.
    pub engine: String,
    /// The precision, as the table has it.
    pub precision: String,
    /// Whether it is a mixture of experts, where the catalog knows the model.
    pub mixture: Option<bool>,
    /// Whether the chip is of the Blackwell generation.
    pub blackwell: bool,
    /// What else it has in common with others, in words.
    pub strata: Vec<String>,
}

impl Identity {
    /// Returns what a row of a kind is.
    pub fn of(kind: Kind, row: &Row<'_>, names: &Names<'_>) -> Self {
        let text = |column: &str| row.text(column).unwrap_or_default();
        let first = |columns: &[&str]| {
            columns.iter().find_map(|column| row.text(column)).unwrap_or_default().to_owned()
        };
        let named = first(&["model_base", "model", "benchmark"]);
        let model = names.model(&named).or_else(|_| names.model(text("model"))).ok();
        let chip = first(&["accelerator", "gpu", "system"]);
        let accelerator = names.accelerator(&chip).map_or(chip, |row| row.id.clone());
        let engine = text("engine");
        let mixture = model.map(|model| model.experts.is_some());
        let mut strata: Vec<String> =
            kind.strata().iter().map(|column| format!("{column} {}", text(column))).collect();
        strata.extend(mixture.map(|mixture| if mixture { "MoE" } else { "dense" }.to_owned()));
        let degree = |column| row.text(column).and_then(|text| text.parse::<f64>().ok());
        if degree("attention_dp").is_some_and(|degree| degree > 1.0) && degree("tp") == Some(1.0) {
            strata.push("attention-DP".to_owned());
        }
        Self {
            cell: kind.cell().iter().map(|column| text(column)).collect::<Vec<_>>().join(" "),
            model: model.map_or(named, |model| model.known_as().to_owned()),
            blackwell: is_blackwell(&accelerator),
            accelerator,
            engine: names.engine(engine).map_or(engine.to_owned(), |row| row.id.clone()),
            precision: first(&["precision", "weight_dtype"]).to_ascii_lowercase(),
            mixture,
            strata,
        }
    }
}
