//! Best output rate at an unlimited request rate: the batch is as large as the cache allows, and a sequence's life is its
//! prompt and its output at that batch.
//!
//! Coefficients were fitted on five releases of TensorRT-LLM; the factors per accelerator rest on few models each.
//! Unknown here: the batch cap and token budget of a run, and what a release changed for one model only.

use super::flat_out::Replica;
use super::interval::{Interval, Widening};
use super::layout;
use super::names::Names;
use super::row::{Row, RowError};
use super::{Answer, Identity, Kind};
use crate::perf::coefficients::Coefficients;
use crate::perf::parameters::Weights;
use crate::perf::{Device, PreparedStep, Ranks, Reason, ServingMemory, Setup, Split};
use capstan_types::catalog::Engine;
use capstan_types::model::Model;
use capstan_types::origin::Origin;

/// Columns that a prediction reads.
pub const COLUMNS: &[&str] =
    &["model", "accelerator", "engine", "precision", "tp", "input_tokens", "output_tokens"];

/// Columns that are added.
pub const ADDED: &[&str] = &["predicted_output_tokens_per_s", "low", "high", "origin", "rejection"];

/// What a row is predicted to have measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Output tokens per second of the replica.
    pub tokens_per_s: f64,
    /// 90 % of it.
    pub interval: Interval,
    /// How the worst number in it came to be.
    pub origin: Origin,
}

/// A cache of fewer requests makes the rate uncertain in itself, by so much in logarithms (by judgement).
const FEW: f64 = 4.0;
const STARVED: (f64, f64) = (0.5, 0.7);

/// The words of the column `mode`.
const IN_FLIGHT: &str = "inflight-max-throughput";
const STATIC: &str = "static-batch";

impl Prediction {
    /// Returns the added cells, and what makes them uncertain.
    pub fn answer(self) -> Answer {
        let rate = |value: f64| format!("{value:.3}");
        let cells = vec![
            rate(self.tokens_per_s),
            rate(self.tokens_per_s * self.interval.low),
            rate(self.tokens_per_s * self.interval.high),
            self.origin.word().to_owned(),
        ];
        Answer { cells, because: self.interval.because }
    }
}

/// Returns an engine as it ran in the maximum-throughput measurements.
pub fn published(engine: &Engine, known: &Coefficients) -> Engine {
    Engine {
        layer_us: known.throughput_layer_us,
        host_sequence_us: known.throughput_sequence_us,
        reserved_bytes: known.throughput_reserved,
        reserved_parallel_bytes: 0.0,
        ..engine.clone()
    }
}

/// Returns how many sequences of `length` tokens run at once over a cache of `kv_tokens`.
pub fn running(kv_tokens: f64, length: f64, known: &Coefficients) -> f64 {
    (kv_tokens / length).min(known.throughput_sequences)
}

fn split(row: &Row<'_>, model: &Model) -> Result<Split, RowError> {
    let tensor = row.needed("tp")?;
    let expert = row.number("ep")?.map_or(1, |ranks| ranks as u32).max(1);
    // Here the column is a flag: all ranks have their own sequences.
    let spread = row.text("attention_dp").is_some_and(|flag| flag != "0");
    // The documents of release 1.0 print neither flag; its rates of mixtures are those of 1.1, which prints both.
    let unsaid = row.text("ep").is_none() && row.text("engine_version") == Some("1.0");
    let (spread, expert) = if unsaid && model.experts.is_some() { (true, tensor) } else { (spread, expert) };
    let (attention, data) = if spread { (1, tensor) } else { (tensor, 1) };
    if model.experts.is_none() {
        return Ok(Split { data, ..Split::tensor(attention) });
    }
    let expert = if tensor % expert == 0 { expert } else { 1 };
    Ok(Split { tensor: attention, data, expert_tensor: tensor / expert, expert })
}

/// Returns the requests of a batch that is read first and then decodes to its end; none where requests come as slots get
/// free. The column `mode` says which of the two was run.
fn batch(row: &Row<'_>) -> Result<Option<f64>, RowError> {
    let batch = row.number("batch")?;
    match row.text("mode") {
        None => Ok(batch),
        Some(STATIC) => batch.map(Some).ok_or(RowError::Empty { column: "batch" }),
        Some(IN_FLIGHT) => Ok(batch),
        Some(other) => Err(RowError::NotPriced(format!("mode is `{other}`: write {IN_FLIGHT} or {STATIC}"))),
    }
}

/// Requests of a benchmark by the tokens of one request, as the instructions of the release documents say them: 30,000 of
/// the shortest, 3,000 and 1,500 of those up to 6,000 tokens, 1,000 of longer ones.
fn requests(tokens: f64) -> f64 {
    match tokens {
        tokens if tokens <= 256.0 => 30_000.0,
        tokens if tokens <= 2600.0 => 3000.0,
        tokens if tokens <= 6000.0 => 1500.0,
        _ => 1000.0,
    }
}

/// Predicts one row.
pub fn price(row: &Row<'_>, names: &Names<'_>) -> Result<Prediction, RowError> {
    let model = names.model(row.filled("model")?)?;
    let accelerator = names.accelerator(row.filled("accelerator")?)?;
    let engine = names.engine(row.filled("engine")?)?;
    let (prompt, output) = (row.needed("input_tokens")?, row.needed("output_tokens")?);
    let pipeline = row.count("pp")?.unwrap_or(1);
    // Engines were built for these lengths, whatever the checkpoint says.
    let context = model.context.max(prompt.saturating_add(output));
    // Before 1.0 the engine kept and read whole contexts unless it was told a window.
    let old = row.text("engine_version").is_some_and(|version| version.starts_with("0."));
    let window = model.window.filter(|_| !old);
    let model = &Model { context, window, ..model.clone() };
    let batch = batch(row)?;
    let split = split(row, model)?;
    let ranks = split.ranks().saturating_mul(pipeline);
    if let Some(available) = row.count("gpus")?.filter(|&available| available < ranks) {
        return Err(Reason::TooFewAccelerators { needed: ranks, available }.into());
    }
    let weights: Weights = layout::weights(row, model)?;
    let mut device = Device::resolve(names.catalog, accelerator)?;
    device.coefficients = device.coefficients.flat_out();
    let known = &device.coefficients;
    let published = published(engine, known);
    let setup = Setup {
        model,
        accelerator,
        engine: &published,
        ranks: Ranks { split, pipeline },
        precision: weights.experts,
        kv_precision: layout::cache(row, engine, accelerator, model)?,
    };
    let memory = ServingMemory::stored(&setup, weights, prompt.saturating_add(output))?;
    if memory.cache.get() <= 0.0 {
        let needed = memory.weights + memory.reserve;
        return Err(Reason::DoesNotFit { needed, free: memory.budget }.into());
    }
    let step = PreparedStep::stored(&device, &setup, weights)?;
    let origin = step.origin().weaker(memory.origin);
    let (groups, stages) = (f64::from(split.data), f64::from(pipeline));
    let (prompt, output) = (f64::from(prompt), f64::from(output));
    let replica = Replica { step, groups, stages, prompt, output, prefill: known.throughput_prefill };
    let time = known.throughput(&accelerator.id, row.text("engine_version").unwrap_or_default());
    let identity = Identity::of(Kind::ServingThroughput, row, names);
    let interval = |requests: f64| {
        let mut found =
            Widening::of(names.catalog, Kind::ServingThroughput, "output_tokens_per_s", &identity);
        if requests < FEW {
            found.widen(STARVED, "the cache holds few requests".to_owned());
        }
        found.done()
    };
    if let Some(batch) = batch {
        // What an engine of that time held back is not known, so all that the card has counts.
        let share = batch * (prompt + output) / (memory.kv_tokens_at(prompt + output) * groups);
        let needed = memory.weights + memory.cache * share;
        if needed > memory.device {
            return Err(Reason::DoesNotFit { needed, free: memory.device }.into());
        }
        let tokens_per_s = replica.static_rate(batch) / time;
        return Ok(Prediction { tokens_per_s, interval: interval(batch), origin });
    }
    let tokens = memory.kv_tokens_at(prompt + output) * groups;
    let most = running(tokens, prompt + output, known);
    let rate = replica.rate_of_run(requests(prompt + output), most);
    Ok(Prediction { tokens_per_s: rate / time, interval: interval(most), origin })
}
