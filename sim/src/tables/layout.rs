//! How the ranks of a published run divided the model, and how its weights were stored: what tables leave unsaid.

use super::names::Names;
use super::row::{Row, RowError};
use crate::perf::coefficients::is_blackwell;
use crate::perf::parameters::Weights;
use crate::perf::{Ranks, Setup, Split};
use capstan_types::catalog::{Engine, EngineFamily};
use capstan_types::degrees::Degrees;
use capstan_types::hardware::{Accelerator, Precision};
use capstan_types::model::Model;

/// What a row of `serving_latency` ran.
pub struct Configuration<'a> {
    /// The model.
    pub model: &'a Model,
    /// The accelerator.
    pub accelerator: &'a Accelerator,
    /// The engine.
    pub engine: &'a Engine,
    /// How the ranks divided the model.
    pub split: Split,
    /// How its weights were stored.
    pub weights: Weights,
}

impl<'a> Configuration<'a> {
    /// Reads what the row says and leaves unsaid.
    pub fn of(row: &Row<'_>, names: &Names<'a>) -> Result<Self, RowError> {
        let model = names.model(row.filled("model")?)?;
        let accelerator = names.accelerator(row.filled("accelerator")?)?;
        let engine = names.engine(row.filled("engine")?)?;
        let (split, weights) = (split(row, model, accelerator)?, weights(row, model)?);
        Ok(Self { model, accelerator, engine, split, weights })
    }

    /// Returns the setup with so many pipeline stages.
    pub fn setup(&self, row: &Row<'_>, pipeline: u32) -> Result<Setup<'a>, RowError> {
        let Self { model, accelerator, engine, split, weights } = *self;
        Ok(Setup {
            model,
            accelerator,
            engine,
            ranks: Ranks { split, pipeline },
            precision: weights.experts,
            kv_precision: cache(row, engine, accelerator, model)?,
        })
    }
}

/// Degrees of a row of `serving_latency`.
///
/// A column `degrees`, as [`Degrees::product`] writes it, is taken as it stands. Else two quirks of the source are undone. On
/// eight-way machines a count above 8 is a product of two flags that named the same ranks, so its square root is meant. Rows
/// with both attention-DP and `tp` above 1 named the same ranks twice: they repeat runs with `tp` ranks and no attention-DP.
pub fn split(row: &Row<'_>, model: &Model, accelerator: &Accelerator) -> Result<Split, RowError> {
    if let Some(text) = row.text("degrees") {
        let ranks = Degrees::of_product(text).and_then(Ranks::with);
        return ranks
            .map(|ranks| ranks.split)
            .ok_or_else(|| RowError::Unknown { what: "split", name: text.to_owned() });
    }
    let degree = |column| row.count(column).map(|value| value.unwrap_or(1));
    let (tensor, expert_tensor, expert) = (row.needed("tp")?, degree("moe_tp")?, degree("moe_ep")?);
    let (named, data) = (row.count("gpus")?.unwrap_or(tensor), degree("attention_dp")?);
    let domain = accelerator.scale_up.domain.max(1);
    let root = f64::from(named).sqrt().round() as u32;
    let ranks =
        if !accelerator.scale_up.spans_machines() && named > domain && root.saturating_mul(root) == named {
            root
        } else {
            named
        };
    let (ranks, data) = if data > 1 && tensor > 1 { (ranks.min(tensor), 1) } else { (ranks, data) };
    let data = data.min(ranks);
    let attention = if data > 1 { ranks / data } else { ranks };
    let (expert_tensor, expert) = if model.experts.is_none() {
        (attention, 1)
    } else if expert_tensor.saturating_mul(expert) == ranks {
        (expert_tensor, expert)
    } else if expert > 1 {
        (1, ranks)
    } else {
        (ranks, 1)
    };
    Ok(Split { tensor: attention.max(1), data, expert_tensor, expert })
}

/// Returns the precision of the cache: what the row says, else what such a run is usually started with.
///
/// NVIDIA's 4-bit and fp8 checkpoints ask for an 8-bit cache (`kv_cache_quant_algo` in their `hf_quant_config.json`), and
/// TensorRT-LLM is measured with these; fp8 mixtures come from their authors, whose checkpoints do not ask. The choice
/// between the cases was made by the error on published measurements.
pub fn cache(
    row: &Row<'_>,
    engine: &Engine,
    accelerator: &Accelerator,
    model: &Model,
) -> Result<Option<Precision>, RowError> {
    if let Some(word) = row.text("kv_dtype") {
        return match word.to_ascii_lowercase().as_str() {
            "auto" | "bf16" | "fp16" => Ok(None),
            word if word.starts_with("fp8") => Ok(Some(Precision::Fp8)),
            _ => Err(RowError::Unknown { what: "cache precision", name: word.to_owned() }),
        };
    }
    Ok(usual_cache(weights(row, model)?, engine, accelerator, model))
}

/// Returns the precision of the cache that a run with weights stored as `stored` usually has; `None` is 16 bits.
pub fn usual_cache(
    stored: Weights,
    engine: &Engine,
    accelerator: &Accelerator,
    model: &Model,
) -> Option<Precision> {
    let dense = model.experts.is_none();
    let eight = match stored.experts {
        Precision::Nvfp4 => true,
        Precision::Fp8 | Precision::Fp8Block => match engine.family {
            EngineFamily::TensorRtLlm => true,
            // The public benchmark that runs mixtures on vLLM asks for an 8-bit cache on Blackwell only.
            EngineFamily::Vllm => dense || is_blackwell(&accelerator.id),
            _ => dense,
        },
        _ => false,
    };
    eight.then_some(Precision::Fp8)
}

/// Model families whose published fp8 checkpoints have one scale per block.
const BLOCK_SCALED: [&str; 7] = ["deepseek", "glm_4_5", "glm_5", "kimi", "minimax", "qwen3_235b", "qwen3_5"];

/// Returns how the weights of a row are stored. `gemm_dtype` names an engine's kernels, not the checkpoint:
/// 4-bit checkpoints of mixtures hold experts in 4 bits and attention in 16.
pub fn weights(row: &Row<'_>, model: &Model) -> Result<Weights, RowError> {
    let linear = row.text("gemm_dtype").or(row.text("precision"));
    stored(linear, row.text("moe_dtype"), model)
}

/// The same for words of the linear layers and of the experts; without the latter both are the same.
pub fn stored(linear: Option<&str>, experts: Option<&str>, model: &Model) -> Result<Weights, RowError> {
    let experts = experts.or(linear);
    let of = |name: Option<&str>| precision(name, model);
    let (linear, mut experts) = (of(linear)?, of(experts)?);
    // There is no checkpoint of gpt-oss whose experts have 8 bits: the word is that of its activations.
    if model.id.starts_with("gpt_oss") && matches!(experts, Precision::Fp8 | Precision::Fp8Block) {
        experts = Precision::Mxfp4;
    }
    let four_bit = |p: Precision| matches!(p, Precision::Nvfp4 | Precision::Mxfp4 | Precision::Int4);
    if model.experts.is_none() {
        return Ok(Weights::all(linear));
    }
    if four_bit(experts) {
        // NVIDIA's 4-bit checkpoint of DeepSeek also quantises the output projection of attention.
        let output = if model.id.starts_with("deepseek") { experts } else { Precision::Bf16 };
        return Ok(Weights { experts, output, ..Weights::all(Precision::Bf16) });
    }
    Ok(Weights { experts, ..Weights::all(linear) })
}

/// Returns the precision that a word means for a model; without a word, that of its checkpoint.
pub fn precision(word: Option<&str>, model: &Model) -> Result<Precision, RowError> {
    let block = BLOCK_SCALED.iter().any(|family| model.id.starts_with(family));
    let unscaled = if block { Precision::Fp8Block } else { Precision::Fp8 };
    let four = if model.id.starts_with("gpt_oss") { Precision::Mxfp4 } else { Precision::Nvfp4 };
    let Some(word) = word else { return Ok(model.published) };
    match word.to_ascii_lowercase().as_str() {
        "bf16" | "bfloat16" => Ok(Precision::Bf16),
        "fp16" | "float16" => Ok(Precision::Fp16),
        "fp8" => Ok(unscaled),
        "fp8_block" => Ok(Precision::Fp8Block),
        "nvfp4" | "fp4" => Ok(four),
        "mxfp4" => Ok(Precision::Mxfp4),
        "int4" | "int4_wo" | "awq" | "gptq" => Ok(Precision::Int4),
        "int8" => Ok(Precision::Int8),
        _ => Err(RowError::Unknown { what: "precision", name: word.to_owned() }),
    }
}
