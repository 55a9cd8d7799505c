//! One training step of a published run: layout, precision and software from the columns, time from `perf::training`.
//!
//! What tables leave unsaid is filled in as the sources describe it: an empty interleave with several stages means
//! "not printed", the scale-out rate is that of the reference machine, early papers recompute every layer. Unknown
//! here: custom pipeline layouts, and what a release changed for one model only.

use super::names::Names;
use super::row::{Row, RowError};
use super::{Answer, Kind};
use crate::perf::Reason;
use crate::perf::training::known::Family;
use crate::perf::training::{
    self, Cluster, Exchange, Job, Known, Layout, Method, Recompute, Sharding, TrainingStep,
};
use capstan_types::hardware::{Accelerator, Precision};
use capstan_types::model::Model;
use capstan_types::origin::Origin;
use capstan_types::units::{BytesPerSecond, Tokens};

/// Columns that a prediction of `training_throughput` reads.
pub const THROUGHPUT_COLUMNS: &[&str] = &["model", "gpu", "n_gpus", "gbs", "mbs", "seq", "precision"];
/// Columns that a prediction of `mlperf_training` reads.
pub const MLPERF_COLUMNS: &[&str] = &["benchmark", "accelerator", "n_accel", "global_batch_size", "seq_len"];
/// Columns that a prediction of `training_papers` reads.
pub const PAPERS_COLUMNS: &[&str] = &["model", "system", "gpus", "precision", "gbs", "seq", "params_b"];

/// Columns that are added.
pub const ADDED: &[&str] = &[
    "predicted_step_time_s",
    "step_low_s",
    "step_high_s",
    "predicted_tokens_s_gpu",
    "predicted_tflops_gpu",
    "origin",
    "rejection",
];

/// What a row is predicted to have measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Seconds of a step, with the ends of a 90 % interval.
    pub step_s: (f64, f64, f64),
    /// Tokens per second and accelerator.
    pub tokens_s: f64,
    /// TFLOP/s per accelerator as the source counts them.
    pub tflops: f64,
    /// How the worst number in it came to be.
    pub origin: Origin,
    /// What makes the interval wider than usual.
    pub because: Vec<String>,
}

impl Prediction {
    /// Returns the added cells but the last, and the causes of a wide interval.
    pub fn answer(self) -> Answer {
        let (step, low, high) = self.step_s;
        let mut cells: Vec<String> =
            [step, low, high].iter().map(|seconds| format!("{seconds:.5}")).collect();
        cells.push(format!("{:.3}", self.tokens_s));
        cells.push(format!("{:.3}", self.tflops));
        cells.push(self.origin.word().to_owned());
        Answer { cells, because: self.because }
    }
}

/// A run as `perf::training` wants it.
struct Run<'a> {
    accelerator: &'a Accelerator,
    accelerators: u32,
    model: Model,
    sequences: u32,
    sequence: u32,
    precision: Precision,
    layout: Layout,
    method: Method,
    /// FLOPs per token as the source counts them; `None`: those of the model.
    counted: Option<f64>,
}

impl Run<'_> {
    fn predict(mut self, known: &Known) -> Result<Prediction, RowError> {
        // Published fine-tunes run past the context of the checkpoint.
        self.model.context = self.model.context.max(self.sequence);
        let per_node = if self.accelerator.id.starts_with("gb") { 4 } else { 8 }.min(self.accelerators);
        let cluster = Cluster {
            known,
            accelerator: self.accelerator,
            per_node,
            nodes: Cluster::machines(self.accelerators, per_node)?,
            scale_out: Some(BytesPerSecond(
                training::usual_network(&self.accelerator.id) * f64::from(per_node),
            )),
        };
        let tokens = f64::from(self.sequences) * f64::from(self.sequence);
        let job = Job {
            model: &self.model,
            batch: Tokens(tokens),
            sequence: self.sequence,
            precision: self.precision,
        };
        let step = training::step_of(&cluster, &job, &self.layout, &self.method)?;
        Ok(self.prediction(&step))
    }

    fn prediction(&self, step: &TrainingStep) -> Prediction {
        let each = step.tokens_per_s / f64::from(self.accelerators);
        let flops = self.counted.unwrap_or(step.model_flops_per_token);
        Prediction {
            step_s: (step.step.get(), step.low.get(), step.high.get()),
            tokens_s: each,
            tflops: each * flops / 1e12,
            origin: step.origin,
            because: step.wide_because.clone(),
        }
    }
}

/// Returns the chunks of a stage: as printed, or five, the usual number, where it is not.
fn interleave(printed: Option<u32>, layers: u32, pipeline: u32) -> u32 {
    if pipeline <= 1 {
        return 1;
    }
    printed.unwrap_or_else(|| (layers / pipeline).clamp(1, 5))
}

/// Returns years after July 2024 of a release named `year.month`.
fn years(release: &str) -> Option<f64> {
    let mut parts = release.split('.');
    let (year, month) = (parts.next()?.parse::<f64>().ok()?, parts.next()?.parse::<f64>().ok()?);
    Some(year - 24.0 + (month - 7.0) / 12.0)
}

/// Returns the precision of the math of a row whose table says `word`, as the catalog spells it.
pub fn math(kind: Kind, word: &str, family: Family) -> &str {
    let asked = if kind == Kind::MlperfTraining { Ok(Precision::Fp8) } else { precision(word) };
    asked.map_or(word, |asked| within(asked, family == Family::Mixture).word())
}

/// Returns the precision that a mixture is priced in: there 4-bit math gains 2 to 4 % over block-scaled 8-bit math.
fn within(asked: Precision, mixture: bool) -> Precision {
    if mixture && asked == Precision::Nvfp4 { Precision::Fp8Block } else { asked }
}

fn precision(word: &str) -> Result<Precision, RowError> {
    match word.to_ascii_uppercase().as_str() {
        "BF16" => Ok(Precision::Bf16),
        "FP16" => Ok(Precision::Fp16),
        "FP8" | "FP8-CS" | "FP8-DS" => Ok(Precision::Fp8),
        "MXFP8" | "FP8-MX" | "FP8-MX/SUB-CHANNEL" => Ok(Precision::Fp8Block),
        "NVFP4" => Ok(Precision::Nvfp4),
        _ => Err(RowError::Unknown { what: "precision", name: word.to_owned() }),
    }
}

/// Prices a row of `training_throughput`.
pub fn throughput(row: &Row<'_>, names: &Names<'_>) -> Result<Prediction, RowError> {
    let model = trained_model(row, names)?.clone();
    let accelerator = names.accelerator(row.filled("gpu")?)?;
    let degree = |column| row.count(column).map(|value| value.unwrap_or(1));
    let pipeline = degree("pp")?;
    let interleave = interleave(row.count("vp")?, model.layers, pipeline);
    let layout = Layout {
        tensor: degree("tp")?,
        pipeline,
        interleave,
        micro_batch: row.needed("mbs")?,
        expert: degree("ep")?,
    };
    let asked = precision(row.filled("precision")?)?;
    let precision = within(asked, model.experts.is_some());
    let adapters = row.text("task").is_some_and(|task| task.eq_ignore_ascii_case("lora"));
    let years = row.text("release").and_then(years);
    let sharded = row.text("fsdp").is_some_and(|flag| flag != "0");
    let method = Method {
        context: degree("cp")?,
        sharding: if sharded { Sharding::Everything } else { Sharding::Optimizer },
        adapters,
        years,
        // Releases since 26.06 have faster expert kernels.
        recent_experts: years.is_some_and(|years| years >= 23.0 / 12.0),
        ..Method::default()
    };
    let sequence = row.needed("seq")?;
    let full = training::flops::training_per_token(&model, sequence);
    let run = Run {
        accelerator,
        accelerators: row.needed("n_gpus")?,
        sequences: row.needed("gbs")?,
        sequence,
        precision,
        layout,
        method,
        // Without a weight gradient two thirds remain, less the part of attention and head.
        counted: adapters.then_some(0.64 * full),
        model,
    };
    run.predict(names.known())
}

/// Which job a row of `training_throughput` measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Trains {
    /// The model.
    pub model: String,
    /// The accelerator.
    pub accelerator: String,
    /// The precision of the math.
    pub precision: Precision,
    /// The family of the job.
    pub family: Family,
    /// The precision that the row names; mixtures in 4 bits are priced as others.
    pub asked: Precision,
    /// FLOP/s that the accelerator can do in that at most.
    pub peak: f64,
}

/// Returns the job of a row of `training_throughput`.
///
/// # Errors
/// What nobody knows.
pub fn job(row: &Row<'_>, names: &Names<'_>) -> Result<Trains, RowError> {
    let model = trained_model(row, names)?;
    let accelerator = names.accelerator(row.filled("gpu")?)?;
    let adapters = row.text("task").is_some_and(|task| task.eq_ignore_ascii_case("lora"));
    let family = match (model.experts, adapters) {
        (Some(_), _) => Family::Mixture,
        (None, true) => Family::Adapters,
        (None, false) => Family::Dense,
    };
    let asked = precision(row.filled("precision")?)?;
    let peak = accelerator
        .peak(asked)
        .ok_or_else(|| Reason::unsupported(&accelerator.id, asked, Some(accelerator.sixteen())))?;
    Ok(Trains {
        model: model.id.clone(),
        accelerator: accelerator.id.clone(),
        precision: within(asked, family == Family::Mixture),
        family,
        asked,
        peak: peak.get(),
    })
}

fn trained_model<'a>(row: &Row<'_>, names: &Names<'a>) -> Result<&'a Model, RowError> {
    let name = row.text("model_base").filter(|base| names.model(base).is_ok()).or(row.text("model"));
    names.model(name.ok_or(RowError::Empty { column: "model" })?)
}

/// Model, precision and method of an MLPerf benchmark.
fn benchmark(name: &str, accelerator: &Accelerator) -> Result<(&'static str, bool), RowError> {
    let eight = accelerator.peak(Precision::Fp8).is_some();
    if !eight {
        return Err(RowError::NotPriced(format!(
            "{} has no 8-bit math, which every run of {name} used",
            accelerator.id
        )));
    }
    match name {
        "gpt3" => Ok(("gpt3_175b", false)),
        "llama2_70b_lora" => Ok(("llama2_70b", true)),
        "llama31_405b" => Ok(("llama3_1_405b", false)),
        _ => Err(RowError::Unknown { what: "benchmark", name: name.to_owned() }),
    }
}

/// Prices a row of `mlperf_training`.
pub fn mlperf(row: &Row<'_>, names: &Names<'_>) -> Result<Prediction, RowError> {
    let accelerator = names.accelerator(row.filled("accelerator")?)?;
    let (model, adapters) = benchmark(row.filled("benchmark")?, accelerator)?;
    let model = names.model(model)?.clone();
    let (n, sequences) = (row.needed("n_accel")?, row.needed("global_batch_size")?);
    let pipeline = row.count("cfg_pp")?.unwrap_or(1);
    // Without a printed layout: what the same benchmark ran with on cards of that size.
    let (memory, _) = accelerator.programmable_memory();
    let usual = if adapters && memory.gb() < 100.0 { 4.min(n) } else { 1 };
    let tensor = row.count("cfg_tp")?.unwrap_or(usual);
    let micro_batch = row.count("cfg_mbs")?.unwrap_or(1);
    let groups = n / tensor.saturating_mul(pipeline).max(1);
    let spare = groups.div_ceil(sequences.max(1)).max(1);
    let context = row.count("cfg_cp")?.unwrap_or(1).max(spare.next_power_of_two());
    let sequence = row.needed("seq_len")?;
    let layout = Layout {
        tensor,
        pipeline,
        interleave: interleave(row.count("cfg_vp")?, model.layers, pipeline),
        micro_batch,
        expert: 1,
    };
    let full = training::flops::training_per_token(&model, sequence);
    let run = Run {
        accelerator,
        accelerators: n,
        sequences,
        sequence,
        precision: Precision::Fp8,
        layout,
        method: Method { context, adapters, ..Method::default() },
        counted: adapters.then_some(0.64 * full),
        model,
    };
    run.predict(names.known())
}

/// Sizes of the GPT models of the early papers: billions of parameters, layers, hidden width, heads.
const GPT: [(f64, u32, u32, u32); 4] =
    [(22.0, 48, 6144, 64), (175.0, 96, 12288, 96), (530.0, 105, 20480, 128), (1000.0, 128, 25600, 160)];

/// Returns a GPT of these sizes: two feed-forward matrices of four times the width, one embedding of 51,200 words.
fn gpt(row: &Row<'_>, names: &Names<'_>) -> Result<Model, RowError> {
    let billions = row.number("params_b")?.ok_or(RowError::Empty { column: "params_b" })?;
    let printed = (row.count("layers")?, row.count("hidden")?, row.count("heads")?);
    let (layers, hidden, heads) = match printed {
        (Some(layers), Some(hidden), Some(heads)) => (layers, hidden, heads),
        _ => GPT
            .iter()
            .find(|(size, ..)| (billions / size - 1.0).abs() < 0.05)
            .map(|&(_, layers, hidden, heads)| (layers, hidden, heads))
            .ok_or(RowError::Empty { column: "layers" })?,
    };
    Ok(Model {
        layers,
        hidden,
        heads,
        kv_heads: heads,
        head_dim: hidden / heads.max(1),
        ffn: hidden.saturating_mul(4),
        gated: false,
        vocab: 51_200,
        tied: true,
        params_total_b: billions,
        params_active_b: billions,
        ..names.model("gpt3_175b")?.clone()
    })
}

/// Returns hardware FLOPs per token with every layer computed twice, as SC'21 counts them:
/// 96 l h² (1 + s / 6h + V / 16 l h).
fn recomputed_flops(model: &Model, sequence: u32) -> f64 {
    let (l, h) = (f64::from(model.layers), f64::from(model.hidden));
    let (s, v) = (f64::from(sequence), f64::from(model.vocab));
    96.0 * l * h * h * (1.0 + s / (6.0 * h) + v / (16.0 * l * h))
}

/// Returns (tensor, pipeline, micro-batch, interleave) of a row whose paper prints only some of them.
fn paper_layout(row: &Row<'_>, model: &Model, source: &str, sharded: bool) -> Result<Layout, RowError> {
    let printed = (row.count("tp")?, row.count("pp")?);
    let (tensor, pipeline) = match printed {
        (Some(tensor), Some(pipeline)) => (tensor, pipeline),
        _ if sharded => (1, 1),
        // Table 2 prints the product: 96 for the smaller model, 280 for the larger.
        _ if source.contains("Table2") => (8, if model.layers == 96 { 12 } else { 35 }),
        _ => return Err(RowError::NotPriced("the source prints no layout".to_owned())),
    };
    let few = if pipeline >= 8 {
        1
    } else if pipeline > 1 {
        2
    } else {
        4
    };
    let micro_batch = row.count("mbs")?.unwrap_or(few);
    let chunks = match row.count("vp")? {
        Some(chunks) if !source.contains("Korthikanti") => chunks,
        // The paper interleaves its two middle sizes by three.
        _ if source.contains("Korthikanti") && [96, 105].contains(&model.layers) => 3,
        Some(chunks) => chunks,
        // One layer a chunk, as the same model with 16 stages has it where chunks are printed (Megatron-Bridge): embedding
        // and loss count as layers.
        None if source.contains("Llama 3") => (model.layers + 2) / pipeline,
        None if pipeline > 1 => (model.layers / pipeline).clamp(1, 4),
        None => 1,
    };
    let interleave = if pipeline > 1 { chunks } else { 1 };
    Ok(Layout { tensor, pipeline, interleave, micro_batch, expert: 1 })
}

/// Prices a row of `training_papers`.
pub fn papers(row: &Row<'_>, names: &Names<'_>) -> Result<Prediction, RowError> {
    let (source, system) = (row.text("source").unwrap_or_default(), row.filled("system")?);
    let early = system.contains("A100");
    let chip = if early { "a100_sxm_80gb" } else { system.split(' ').next().unwrap_or_default() };
    let accelerator = names.accelerator(chip)?;
    let named = row.filled("model")?;
    let model = if named.starts_with("GPT") { gpt(row, names)? } else { names.model(named)?.clone() };
    let sharded = row.text("fsdp").is_some_and(|word| word.starts_with("ZeRO"));
    let layout = paper_layout(row, &model, source, sharded)?;
    let n = row.needed("gpus")?;
    let sequence = row.needed("seq")?;
    let sequences = match row.filled("gbs")?.strip_suffix("M tokens").map(str::parse::<f64>) {
        Some(Ok(millions)) => (millions * 1_048_576.0 / f64::from(sequence)).round() as u32,
        _ => row.needed("gbs")?,
    };
    let selective = source.contains("selective");
    let recompute = match (early, selective) {
        (false, _) => Recompute::AsNeeded,
        (true, true) => Recompute::Selective,
        (true, false) => Recompute::Full,
    };
    let method = Method {
        context: row.count("cp")?.unwrap_or(1),
        sharding: if sharded { Sharding::EverythingOf2021 } else { Sharding::Optimizer },
        recompute,
        early,
        exchange: if !early || selective { Exchange::Sequence } else { Exchange::Scattered },
        ..Method::default()
    };
    let counted = source.contains("SC21").then(|| recomputed_flops(&model, sequence));
    let precision = precision(row.filled("precision")?)?;
    let run =
        Run { accelerator, accelerators: n, sequences, sequence, precision, layout, method, counted, model };
    run.predict(names.known())
}
