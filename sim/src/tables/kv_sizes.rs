//! What engines print when they start: how many tokens of cache, how many requests of the asked length, or that they do not
//! start. The card and the flags of the row are read, never what was printed.

use super::layout;
use super::names::Names;
use super::row::{Row, RowError};
use crate::perf::held::{as_of_version, left_by_loading};
use crate::perf::parameters::Weights;
use crate::perf::{Ranks, Reason, ServingMemory, Setup, Verdict, default_limits};
use capstan_types::catalog::Engine;
use capstan_types::hardware::{Accelerator, Precision};
use capstan_types::model::Model;
use capstan_types::origin::Origin;
use capstan_types::units::Bytes;

/// Columns that a prediction reads; `gpu_mem` (GiB), `pp`, `dtype`, `kv_dtype`, `gpu_memory_utilization`,
/// `max_model_len`, `engine_version`, `max_num_seqs` and `max_num_batched_tokens` are read where they are.
pub const COLUMNS: &[&str] = &["model", "gpu", "tp", "engine"];

/// Columns that are added.
pub const ADDED: &[&str] = &[
    "predicted_weights_gib",
    "predicted_held_gib",
    "predicted_cache_gib",
    "predicted_kv_bytes_per_token",
    "predicted_kv_tokens",
    "predicted_max_concurrency",
    "predicted_verdict",
    "origin",
    "rejection",
];

const GIB: f64 = 1_073_741_824.0;

/// What a row is expected to print.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The memory of the rank that decides.
    pub memory: ServingMemory,
    /// Tokens of cache, as sequences of the longest length hold them; the longest one where none fits.
    pub tokens: f64,
    /// Requests of the longest length at once.
    pub concurrency: f64,
    /// Whether it starts.
    pub verdict: Verdict,
    /// How the numbers came to be.
    pub origin: Origin,
}

impl Prediction {
    /// Returns the added cells but the last.
    pub fn cells(&self) -> Vec<String> {
        let gib = |bytes: Bytes| format!("{:.3}", bytes.get() / GIB);
        vec![
            gib(self.memory.weights),
            gib(self.memory.reserve),
            gib(self.memory.cache),
            format!("{:.0}", self.memory.bytes_per_token.get()),
            format!("{:.0}", self.tokens.floor()),
            format!("{:.2}", self.concurrency),
            self.verdict.word().to_owned(),
            self.origin.word().to_owned(),
        ]
    }
}

/// Prices a row.
pub fn price(row: &Row<'_>, names: &Names<'_>) -> Result<Prediction, RowError> {
    let name = row.filled("model")?;
    let mut model = names.model(name)?.clone();
    let context = row.count("max_model_len")?.unwrap_or(model.context);
    if name.to_ascii_lowercase().contains("class") {
        // One of its kind: the sizes are known, how far it reads is not.
        model.context = model.context.max(context);
    }
    let model = &model;
    let accelerator = accelerator(row, names)?;
    let engine = names.engine(row.filled("engine")?)?;
    let ranks = Ranks::of(row.needed("tp")?, row.count("pp")?.unwrap_or(1));
    if let Some(available) = cards(row)?.filter(|&available| available < ranks.accelerators()) {
        return Err(Reason::TooFewAccelerators { needed: ranks.accelerators(), available }.into());
    }
    let mut limits = default_limits(engine, &accelerator);
    let version = row.text("engine_version").unwrap_or(&engine.version);
    let (mut engine, older) = as_of_version(engine, limits, version, context);
    limits = older;
    limits.max_sequences = row.count("max_num_seqs")?.unwrap_or(limits.max_sequences);
    limits.step_tokens = row.count("max_num_batched_tokens")?.unwrap_or(limits.step_tokens);
    engine.memory_utilization = utilization(row, &engine)?;
    let weights = weights(row, model)?;
    let setup = Setup {
        model,
        accelerator: &accelerator,
        engine: &engine,
        ranks,
        precision: weights.experts,
        kv_precision: Some(cache(row, model)?),
    };
    let memory = ServingMemory::limited(&setup, weights, context, limits)?;
    let left = memory.weights * left_by_loading(&engine, ranks.accelerators(), version);
    let memory = memory.reserving(left);
    let length = f64::from(context);
    let concurrency = memory.concurrency(length);
    let tokens = if concurrency >= 1.0 { memory.kv_tokens_at(length) } else { memory.longest() };
    let (verdict, origin) = (memory.verdict(), memory.origin);
    Ok(Prediction { memory, tokens, concurrency, verdict, origin })
}

/// Returns the share of the device that the engine was told to take.
fn utilization(row: &Row<'_>, engine: &Engine) -> Result<f64, RowError> {
    let column = "gpu_memory_utilization";
    match row.number(column)? {
        Some(share) if share > 1.0 => {
            let text = row.text(column).unwrap_or_default().to_owned();
            Err(RowError::NotANumber { column, text, wanted: "share from 0 to 1" })
        }
        share => Ok(share.unwrap_or(engine.memory_utilization)),
    }
}

/// Returns how many cards a name such as `H100 80GB x16 (2 nodes)` counts, if it does.
fn cards(row: &Row<'_>) -> Result<Option<u32>, RowError> {
    let Some((_, count)) = row.filled("gpu")?.rsplit_once(" x") else { return Ok(None) };
    Ok(count.split(' ').next().and_then(|count| count.parse().ok()))
}

/// Returns the card. Its memory is what the row says, as far as the catalog does not know that programs get less.
fn accelerator(row: &Row<'_>, names: &Names<'_>) -> Result<Accelerator, RowError> {
    let name = row.filled("gpu")?;
    // `H100 80GB x16 (2 nodes)`: how many there are is in other columns.
    let own = name.split(" x").next().unwrap_or(name);
    let stated = row.number("gpu_mem")?.map(|gib| gib * GIB);
    let mut found = match names.accelerator(own) {
        Ok(found) => found.clone(),
        Err(unknown) => match stated.and_then(|bytes| of_size(name, bytes, names)) {
            Some(found) => found.clone(),
            None => return Err(unknown),
        },
    };
    if let Some(stated) = stated {
        let known = found.usable_memory.map_or(f64::INFINITY, Bytes::get);
        found.usable_memory = Some(Bytes(stated.min(known)));
    }
    Ok(found)
}

/// Returns the card of which a name says only who makes it, or a family that comes in several sizes: the one whose memory
/// is nearest to what is stated, within a tenth.
fn of_size<'a>(name: &str, bytes: f64, names: &Names<'a>) -> Option<&'a Accelerator> {
    let word = name.split([' ', '(']).next().unwrap_or_default().to_ascii_lowercase();
    let meant = |accelerator: &&Accelerator| {
        accelerator.vendor.eq_ignore_ascii_case(&word) || accelerator.id.split('_').next() == Some(&*word)
    };
    let far = |accelerator: &Accelerator| (accelerator.memory.get() / bytes - 1.0).abs();
    let near = names.catalog.accelerators.iter().filter(meant).filter(|accelerator| far(accelerator) < 0.1);
    near.min_by(|a, b| far(a).total_cmp(&far(b)))
}

/// Returns how the weights are stored. Cells such as `int4/fp16` and `awq int4` name the weights first or last.
fn weights(row: &Row<'_>, model: &Model) -> Result<Weights, RowError> {
    let Some(text) = row.text("dtype") else { return Ok(Weights::of(model, model.published)) };
    let words: Vec<&str> = text.split(['/', ' ', '+', ',']).filter(|word| !word.is_empty()).collect();
    let known = words.iter().find(|word| layout::precision(Some(word), model).is_ok());
    let word = known.copied().unwrap_or(text);
    let precision = layout::precision(Some(word), model)?;
    // What the checkpoint itself says of its parts is better than any rule.
    let named = model.stored.is_some() && (precision == model.published || mixed(word, model));
    if named { Ok(Weights::of(model, model.published)) } else { layout::stored(Some(word), None, model) }
}

/// A checkpoint whose experts have fewer bits than the rest goes by the name of the rest.
fn mixed(word: &str, model: &Model) -> bool {
    let named = layout::precision(Some(word), model).ok();
    model.stored.is_some_and(|stored| Some(stored.attention) == named && stored.attention != Precision::Bf16)
}

/// Returns the precision of the cache; `auto` is 16 bits whatever the weights are.
fn cache(row: &Row<'_>, model: &Model) -> Result<Precision, RowError> {
    let asked = model.stored.and_then(|stored| stored.cache).unwrap_or(Precision::Bf16);
    let Some(word) = row.text("kv_dtype") else { return Ok(asked) };
    match word.to_ascii_lowercase() {
        word if word.starts_with("auto(") => Ok(Precision::Bf16),
        word if word == "auto" => Ok(asked),
        word if word.starts_with("bf16") || word.starts_with("fp16") => Ok(Precision::Bf16),
        word if word.starts_with("fp8") => Ok(Precision::Fp8),
        word if word.starts_with("int8") => Ok(Precision::Int8),
        _ => Err(RowError::Unknown { what: "cache precision", name: word.to_owned() }),
    }
}
