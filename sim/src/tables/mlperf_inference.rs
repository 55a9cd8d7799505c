//! MLPerf Inference on language models: offline throughput of a whole system, and tail latencies at the published query
//! rate.
//!
//! A system is as many replicas as its accelerators allow, each fed its share of the queries. Without a printed layout the
//! one with the highest offline rate is meant: that is what submitters look for. Lengths are those of the benchmark's data
//! set: mean outputs as published samples show them, mean inputs from descriptions of the data sets, so every number here
//! is assumed. Where the table says the limits of a benchmark, its rate is the highest that holds them, as the rules ask. Unknown here: how queries are sorted and padded, and the distribution of lengths beyond the mean.

use super::flat_out::Replica;
use super::layout;
use super::names::Names;
use super::row::{Row, RowError};
use super::serving_throughput::{published, running};
use crate::perf::memory::default_limits;
use crate::perf::{Device, PreparedStep, Ranks, Reason, ServingMemory, Setup};
use crate::serving::{
    Batch, KvCache, Length, Lengths, OpenLoop, Outcome, Rate, Scheduler, ServingConfig, StepTime, Workload,
    simulate,
};
use capstan_types::catalog::{Engine, EngineFamily};
use capstan_types::hardware::{Accelerator, Precision};
use capstan_types::model::Model;
use capstan_types::origin::Origin;

/// Columns that a prediction reads.
pub const COLUMNS: &[&str] = &["model", "scenario", "accelerator", "n_accel", "weight_dtype", "target_qps"];

/// Columns that are added.
pub const ADDED: &[&str] =
    &["predicted_tokens_s", "predicted_ttft_p99_ms", "predicted_tpot_p99_ms", "origin", "rejection"];

/// Mean prompt and output of a data set, and the longest of both together.
struct DataSet {
    model: &'static str,
    prompt: f64,
    output: f64,
    longest: u32,
}

/// CNN/DailyMail summaries, OpenOrca, a mix of three, long-context tasks, reasoning.
const DATA_SETS: [DataSet; 6] = [
    DataSet { model: "gpt_j_6b", prompt: 870.0, output: 69.0, longest: 2048 },
    DataSet { model: "llama2_70b", prompt: 294.0, output: 290.0, longest: 2048 },
    DataSet { model: "mixtral_8x7b", prompt: 300.0, output: 144.0, longest: 3072 },
    DataSet { model: "llama3_1_405b", prompt: 9428.0, output: 652.0, longest: 22_000 },
    DataSet { model: "llama3_1_8b", prompt: 778.0, output: 128.0, longest: 2700 },
    DataSet { model: "deepseek_", prompt: 800.0, output: 3698.0, longest: 23_000 },
];

/// Requests of a simulated run at a query rate: enough for a 99th percentile.
const REQUESTS: u64 = 4000;

/// A replica that fits, and the offline rate of the system.
struct Choice {
    step: PreparedStep,
    /// Factor on the time of a step.
    pace: f64,
    kv_tokens: f64,
    replicas: f64,
    tokens_s: f64,
    origin: Origin,
}

/// Prices a row: the added cells but the last.
pub fn price(row: &Row<'_>, names: &Names<'_>) -> Result<Vec<String>, RowError> {
    let model = names.model(row.filled("model")?)?;
    let set = DATA_SETS
        .iter()
        .find(|set| model.id.starts_with(set.model))
        .ok_or_else(|| RowError::NotPriced(format!("no benchmark of {} is known", model.id)))?;
    let accelerator = names.accelerator(row.filled("accelerator")?)?;
    let engine = names.engine(if accelerator.vendor == "NVIDIA" { "trtllm" } else { "vllm" })?;
    let chosen = choose(row, names, (model, accelerator, engine), set)?;
    let rate = |value: f64| format!("{value:.3}");
    let origin = chosen.origin.word().to_owned();
    if row.filled("scenario")? == "Offline" {
        return Ok(vec![rate(chosen.tokens_s), String::new(), String::new(), origin]);
    }
    let queries = row.number("target_qps")?.ok_or(RowError::Empty { column: "target_qps" })?;
    let served = Served { set, engine, accelerator, queries_per_s: queries / chosen.replicas };
    let limits = (row.number("ttft_limit_ms")?, row.number("tpot_limit_ms")?);
    let (ttft, tpot) = match limits {
        (Some(ttft), Some(tpot)) => served.at_the_limit(chosen, (ttft, tpot))?,
        _ => served.tails(&chosen)?,
    };
    Ok(vec![String::new(), rate(ttft), rate(tpot), origin])
}

/// Returns the layout of the row, or the one with the highest offline rate.
fn choose(
    row: &Row<'_>,
    names: &Names<'_>,
    (model, accelerator, engine): (&Model, &Accelerator, &Engine),
    set: &DataSet,
) -> Result<Choice, RowError> {
    let all = row.number("n_accel")?.ok_or(RowError::Empty { column: "n_accel" })?.floor() as u32;
    let whole = |column| row.number(column).map(|degree| degree.map(|degree| degree.floor() as u32));
    let pipeline = whole("cfg_pp")?.unwrap_or(1).max(1);
    let printed = whole("cfg_tp")?;
    let tried: Vec<u32> = printed.map_or_else(|| vec![1, 2, 4, 8], |tensor| vec![tensor]);
    let device = Device::resolve(names.catalog, accelerator)?;
    // Submissions begin with 16-bit weights; those on chips with 8-bit math quantise them.
    let word = row.text("weight_dtype").map(|word| match word {
        "fp16" | "bf16" | "fp32" if accelerator.peak(Precision::Fp8).is_some() => "fp8",
        word => word,
    });
    let weights = layout::stored(word, None, model)?;
    let engine_of_fit = published(engine, &device.coefficients);
    let mut best: Option<Choice> = None;
    let mut refused = None;
    for tensor in tried.into_iter().filter(|tensor| tensor.saturating_mul(pipeline) <= all.max(1)) {
        let setup = Setup {
            model,
            accelerator,
            engine: &engine_of_fit,
            ranks: Ranks::of(tensor, pipeline),
            precision: weights.experts,
            kv_precision: layout::usual_cache(weights, engine, accelerator, model),
        };
        match Choice::of(&setup, &device, weights, set, all) {
            Ok(choice) if best.as_ref().is_none_or(|best| choice.tokens_s > best.tokens_s) => {
                best = Some(choice);
            }
            Ok(_) => {}
            Err(reason) => refused = Some(reason),
        }
    }
    best.ok_or_else(|| {
        refused.map_or(RowError::NotPriced("no layout fits its accelerators".to_owned()), RowError::from)
    })
}

impl StepTime for Choice {
    fn nanoseconds(&self, batch: &Batch) -> f64 {
        StepTime::nanoseconds(&self.step, batch) * self.pace
    }
}

impl Choice {
    fn of(
        setup: &Setup<'_>,
        device: &Device,
        weights: crate::perf::parameters::Weights,
        set: &DataSet,
        all: u32,
    ) -> Result<Self, Reason> {
        let memory = ServingMemory::stored(setup, weights, set.longest.min(setup.model.context))?;
        if let Some(reason) = memory.refusal() {
            return Err(reason);
        }
        let step = PreparedStep::stored(device, setup, weights)?;
        let replicas = f64::from(all) / f64::from(setup.ranks.accelerators());
        let length = set.prompt + set.output;
        let kv_tokens = memory.kv_tokens_at(length);
        let origin = step.origin().weaker(Origin::Assumed);
        let replica = Replica {
            step: step.clone(),
            groups: 1.0,
            stages: f64::from(setup.ranks.pipeline),
            prompt: set.prompt,
            output: set.output,
            prefill: device.coefficients.throughput_prefill,
        };
        // Systems of other makers run another engine, and do not show it.
        let pace = if setup.engine.family == EngineFamily::TensorRtLlm {
            device.coefficients.mlperf_tuned
        } else {
            1.0
        };
        let tokens_s = replica.best_rate(running(kv_tokens, length, &device.coefficients)) / pace * replicas;
        Ok(Self { step, pace, kv_tokens, replicas, tokens_s, origin })
    }
}

/// Queries that one replica serves.
struct Served<'a> {
    set: &'a DataSet,
    engine: &'a Engine,
    accelerator: &'a Accelerator,
    queries_per_s: f64,
}

/// How near to its limit the tighter of both percentiles of a submission is: the rules ask for the highest rate that holds.
const AT_THE_LIMIT: f64 = 0.95;
/// How far the pace of a submission may be from what is known of the chip, either way. A system that holds both limits
/// even when it is slower than that was stopped by something else, such as hosts that prepare queries: these then wait before
/// their first token, and are written as fast as the chip does.
const PACES: f64 = 1.5;
/// Halvings of that range; ten leave a factor of 1.003.
const HALVINGS: u32 = 9;

impl Served<'_> {
    /// Returns the percentiles at the pace at which the tighter one is at its limit.
    ///
    /// A submission's rate is the highest at which both hold. So the rate says how fast the system is, better than any
    /// description of it; what remains to be predicted is which limit binds, and where the other percentile is then.
    fn at_the_limit(&self, chosen: Choice, (ttft, tpot): (f64, f64)) -> Result<(f64, f64), RowError> {
        let known = chosen.pace;
        let (mut slow, mut fast) = (known * PACES, known / PACES);
        let tightest = |tails: (f64, f64)| (tails.0 / ttft).max(tails.1 / tpot);
        let mut chosen = Choice { pace: slow, ..chosen };
        let slowest = self.tails(&chosen)?;
        if tightest(slowest) <= AT_THE_LIMIT {
            let writing = self.tails(&Choice { pace: known, ..chosen })?;
            return Ok((slowest.0, writing.1));
        }
        let mut found = None;
        for _ in 0..HALVINGS {
            chosen.pace = (slow * fast).sqrt();
            let tails = self.tails(&chosen)?;
            if tightest(tails) > AT_THE_LIMIT {
                slow = chosen.pace;
            } else {
                (fast, found) = (chosen.pace, Some(tails));
            }
        }
        found.map_or_else(|| self.tails(&chosen), Ok)
    }

    /// Returns the 99th percentiles of time to first token and per output token, in milliseconds, of one replica.
    fn tails(&self, chosen: &Choice) -> Result<(f64, f64), RowError> {
        let &Self { set, engine, accelerator, queries_per_s } = self;
        let limits = default_limits(engine, accelerator);
        let blocks =
            (chosen.kv_tokens / f64::from(engine.block_tokens.max(1))).min(f64::from(u32::MAX)) as u32;
        let kv = KvCache { blocks, block_tokens: engine.block_tokens, watermark_blocks: 0 };
        let step_tokens = limits.step_tokens.max(limits.max_sequences).max(set.longest);
        let config = ServingConfig {
            scheduler: Scheduler::InFlight { token_budget: step_tokens, groups: 1 },
            ..ServingConfig::chunked(step_tokens, limits.max_sequences, kv)
        };
        let workload = Workload::Open(OpenLoop {
            name: "queries".to_owned(),
            rate: Rate::constant(queries_per_s),
            burstiness: 1.0,
            lengths: Lengths::Independent {
                prompt: Length::Exponential(set.prompt),
                output: Length::Exponential(set.output),
            },
            max_tokens: set.longest / 2,
            until: crate::engine::Time::from_seconds(REQUESTS as f64 / queries_per_s),
            max_requests: REQUESTS,
        });
        let result = simulate(&config, chosen, &workload, 1, 0)
            .map_err(|error| RowError::NotPriced(format!("the queries cannot be simulated: {error}")))?;
        let (mut ttft, mut tpot) = (Vec::new(), Vec::new());
        for record in result.records.iter().filter(|record| record.outcome == Outcome::Completed) {
            ttft.push(record.first_token.since(record.arrival) as f64 / 1e6);
            if record.output > 1 {
                let writing = record.completed.since(record.first_token) as f64;
                tpot.push(writing / f64::from(record.output - 1) / 1e6);
            }
        }
        if tpot.is_empty() {
            return Err(RowError::NotPriced("no query fits into the cache".to_owned()));
        }
        let before = (engine.request_us + engine.prompt_token_us * set.prompt) / 1e3;
        Ok((before + percentile_99(ttft), percentile_99(tpot)))
    }
}

fn percentile_99(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * 99 / 100).min(values.len() - 1)]
}
