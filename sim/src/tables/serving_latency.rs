//! Time to first token and per output token at a fixed concurrency, by simulating the closed loop that was measured.
//!
//! C clients send 10 C requests, all C at once at the start, and each the next as soon as its last is answered. What
//! was published are means over all requests, the burst at the start included, so that is what is returned.
//! Unknown here: the batch cap, stream interval and cache precision that a run was started with.

use super::closed_loop::Loop;
use super::interval::{Interval, Widening};
use super::launch::{Launch, Load};
use super::layout::Configuration;
use super::names::Names;
use super::row::{Row, RowError};
use super::{Answer, Identity, Kind};
use crate::perf::memory::default_limits;
use crate::perf::{Device, PreparedStep, Reason, ServingMemory};
use crate::serving::{KvCache, Length, Lengths, ServingConfig};
use capstan_types::catalog::EngineFamily;
use capstan_types::hardware::{Precision, ScaleUp};
use capstan_types::origin::Origin;

/// Columns that a prediction reads.
pub const COLUMNS: &[&str] =
    &["model", "accelerator", "engine", "tp", "input_tokens", "output_tokens", "concurrency"];

/// Columns that are added.
pub const ADDED: &[&str] = &[
    "predicted_ttft_ms",
    "ttft_low_ms",
    "ttft_high_ms",
    "predicted_tpot_ms",
    "tpot_low_ms",
    "tpot_high_ms",
    "origin",
    "rejection",
];

/// What a row is predicted to have measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Mean time to first token, in milliseconds.
    pub ttft_ms: f64,
    /// Mean time per output token, in milliseconds.
    pub tpot_ms: f64,
    /// How the worst number in it came to be.
    pub origin: Origin,
    /// 90 % of the first.
    pub ttft: Interval,
    /// 90 % of the second.
    pub tpot: Interval,
}

/// Ranks of a replica at most: published runs on more of them read prompts and write on different ranks, whose numbers
/// they do not print.
const NODE: u32 = 8;

/// Longest prompt and most clients of the measurements behind the residuals.
const MEASURED: (u32, u32) = (8192, 512);

impl Prediction {
    /// Returns the added cells, and what makes them uncertain.
    pub fn answer(self) -> Answer {
        let ms = |value: f64| format!("{value:.4}");
        // Answers of one token have no time per further token.
        let further = |value: f64| if self.tpot_ms > 0.0 { ms(value) } else { String::new() };
        let cells = vec![
            ms(self.ttft_ms),
            ms(self.ttft_ms * self.ttft.low),
            ms(self.ttft_ms * self.ttft.high),
            further(self.tpot_ms),
            further(self.tpot_ms * self.tpot.low),
            further(self.tpot_ms * self.tpot.high),
            self.origin.word().to_owned(),
        ];
        let mut because = self.ttft.because;
        because.extend(self.tpot.because);
        because.sort();
        because.dedup();
        Answer { cells, because }
    }
}

/// Lengths of one side of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Span {
    low: u32,
    high: u32,
}

impl Span {
    fn mean(self) -> f64 {
        f64::midpoint(f64::from(self.low), f64::from(self.high))
    }

    fn length(self) -> Length {
        Length::Uniform(self.low.max(1), self.high.max(1))
    }
}

/// Returns prompt and output lengths: uniform between 0.8 and 1.0 of the nominal ones, or fixed.
///
/// Requests of fixed length drift apart in a real run, so their outputs are spread by 5 %; TensorRT-LLM, and SGLang up to
/// 0.5.1, stay in lockstep.
fn lengths(row: &Row<'_>, family: EngineFamily) -> Result<(Span, Span), RowError> {
    let (prompt, output) = (row.needed("input_tokens")?, row.needed("output_tokens")?);
    let share = |tokens: u32, share: f64| (f64::from(tokens) * share).round() as u32;
    if row.text("length_spread").is_some_and(|spread| spread.starts_with("uniform")) {
        let span = |tokens| Span { low: share(tokens, 0.8), high: tokens };
        return Ok((span(prompt), span(output)));
    }
    let old = row.text("engine_version").is_some_and(|version| version.starts_with("0.5.1"));
    let jitter = if old || family == EngineFamily::TensorRtLlm { 0.0 } else { 0.05 };
    let output = Span { low: share(output, 1.0 - jitter), high: share(output, 1.0 + jitter) };
    Ok((Span { low: prompt, high: prompt }, output))
}

/// Predicts one row.
pub fn price(row: &Row<'_>, names: &Names<'_>) -> Result<Prediction, RowError> {
    let configuration = Configuration::of(row, names)?;
    let Configuration { model, accelerator, engine, split, weights, .. } = configuration;
    let (prompt, output) = lengths(row, engine.family)?;
    let clients = row.needed("concurrency")?;
    let pipeline = row.count("pp")?.unwrap_or(1);
    enough(split.ranks(), &accelerator.scale_up)?;
    let setup = configuration.setup(row, pipeline)?;
    let memory = ServingMemory::stored(&setup, weights, prompt.high.saturating_add(output.high))?;
    if let Some(reason) = memory.refusal() {
        return Err(reason.into());
    }
    let device = Device::resolve(names.catalog, accelerator)?;
    let step = PreparedStep::stored(&device, &setup, weights)?;
    let mean = (prompt.mean(), output.mean());
    let kv_tokens = memory.kv_tokens_at(mean.0 + mean.1) * f64::from(split.data);
    let load = Load { clients, prompt: prompt.high, groups: split.data };
    let launch = Launch::of(engine, accelerator, default_limits(engine, accelerator), &load);
    let blocks = (kv_tokens / f64::from(engine.block_tokens.max(1))).min(f64::from(u32::MAX)) as u32;
    let kv = KvCache { blocks, block_tokens: engine.block_tokens, watermark_blocks: 0 };
    let config = ServingConfig {
        scheduler: launch.scheduler,
        visibility_steps: launch.visible_steps,
        reserved_output_per_mille: launch.reserved_per_mille,
        ..ServingConfig::chunked(1, launch.max_sequences, kv)
    };
    let lengths = Lengths::Independent { prompt: prompt.length(), output: output.length() };
    let trace = row
        .trace(Loop { config, clients, lengths })
        .map_err(|error| RowError::NotPriced(format!("the closed loop cannot run: {error}")))?;
    let (ttft_ms, tpot_ms) = trace
        .means_ms(&step)
        .ok_or_else(|| RowError::NotPriced("no request fits into the cache".to_owned()))?;
    let held = device.coefficients.delivery_steps(engine, &accelerator.id, model.experts.is_some());
    let before = (engine.request_us + engine.prompt_token_us * mean.0) / 1e3;
    let origin = step.origin().weaker(memory.origin);
    let (ttft, tpot) = around(row, names, &configuration, (prompt.high, clients));
    Ok(Prediction { ttft_ms: ttft_ms + before + held * tpot_ms, tpot_ms, origin, ttft, tpot })
}

/// Returns the intervals of times to first token and per output token of one row, without its prediction.
///
/// # Errors
/// Why it has none.
pub fn intervals(row: &Row<'_>, names: &Names<'_>) -> Result<(Interval, Interval), RowError> {
    let configuration = Configuration::of(row, names)?;
    let (prompt, _) = lengths(row, configuration.engine.family)?;
    enough(configuration.split.ranks(), &configuration.accelerator.scale_up)?;
    Ok(around(row, names, &configuration, (prompt.high, row.needed("concurrency")?)))
}

fn around(
    row: &Row<'_>,
    names: &Names<'_>,
    configuration: &Configuration<'_>,
    (prompt, clients): (u32, u32),
) -> (Interval, Interval) {
    let identity = Identity::of(Kind::ServingLatency, row, names);
    let interval = |quantity| {
        let mut found = Widening::of(names.catalog, Kind::ServingLatency, quantity, &identity);
        if configuration.weights.experts == Precision::Int4 && configuration.model.experts.is_some() {
            found.thin(names.catalog, "experts_int4", "experts in 4-bit integers");
        }
        found.beyond(prompt, MEASURED.0, "tokens of prompt");
        found.beyond(clients, MEASURED.1, "requests at once");
        found.done()
    };
    (interval("ttft_ms"), interval("tpot_ms"))
}

/// Refuses more accelerators than are linked, and rows of racks beyond a node.
fn enough(needed: u32, links: &ScaleUp) -> Result<(), RowError> {
    let available = links.domain;
    if links.spans_machines() && needed > NODE {
        return Err(RowError::NotPriced(
            "a rack's row counts accelerators that read prompts and those that write together".to_owned(),
        ));
    }
    if needed > available {
        return Err(Reason::TooFewAccelerators { needed, available }.into());
    }
    Ok(())
}
