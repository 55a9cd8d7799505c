//! Everything that is known before a plan is read: facts, prices and fitted coefficients, each with source and date.

use crate::degrees::Degrees;
use crate::hardware::{Accelerator, Fabric, NodeShape, Precision};
use crate::market::MarketPrice;
use crate::model::Model;
use crate::money::{Currency, ExchangeRate};
use crate::offering::{Offering, Ownership};
use crate::origin::{Origin, Provenance};
use crate::storage::StorageSystem;
use crate::traffic::Traffic;
use jiff::civil::Date;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Fitted efficiency of matrix multiplications on one accelerator at one precision.
///
/// Time of an m × k by k × n product, with F = 2mnk / peak and B = bytes / bandwidth:
/// `t0 + [ (F / compute · (1 + half_m / m))^p + (B / memory · (1 + half_nk · 1e6 / (n k)))^p ]^(1/p)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GemmEfficiency {
    /// The accelerator.
    pub accelerator: String,
    /// Precision of the weights.
    pub precision: Precision,
    /// Fixed time per call, in microseconds.
    pub t0_us: f64,
    /// Share of the compute peak reached by large shapes.
    pub compute: f64,
    /// Share of the memory bandwidth reached by large shapes.
    pub memory: f64,
    /// Exponent that joins the two limits; 1 adds them, large values take the larger.
    pub p: f64,
    /// Rows at which compute efficiency halves.
    pub half_m: f64,
    /// Millions of weights at which memory efficiency halves.
    pub half_nk_m: f64,
    /// How the numbers came to be.
    pub origin: Origin,
    /// Source and date.
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// Fitted efficiency of attention kernels on one accelerator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttentionEfficiency {
    /// The accelerator.
    pub accelerator: String,
    /// Fixed time of a decode call per layer, in microseconds.
    pub decode_t0_us: f64,
    /// Share of the memory bandwidth that decode reaches with a 16-bit cache.
    pub decode_memory_16bit: f64,
    /// The same with an 8-bit cache; `None` where nobody measured it.
    pub decode_memory_8bit: Option<f64>,
    /// The same with an 8-bit cache that each query head has of its own; `None` where it is as with shared ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decode_memory_8bit_single: Option<f64>,
    /// Share of the 16-bit peak that prefill reaches for heads of 128 and more.
    pub prefill_compute: f64,
    /// The same for heads of 64 and less.
    pub prefill_compute_small_head: f64,
    /// Context at which prefill efficiency halves, in tokens.
    pub prefill_half_context: f64,
    /// How the numbers came to be.
    pub origin: Origin,
    /// Source and date.
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// Fitted efficiency of grouped expert multiplications on one accelerator at one precision.
///
/// `t0 + te·hit + q·[ (F (1 + tile·hit / rows) / compute)^p + (weight bytes / memory)^p ]^(1/p) + activation bytes / activation`,
/// q = 1 + 1.01 · skew · (1 − 1/e), hit = distinct experts expected per rank.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExpertEfficiency {
    /// The accelerator.
    pub accelerator: String,
    /// Precision of the expert weights.
    pub precision: Precision,
    /// Fixed time per call, in microseconds.
    pub t0_us: f64,
    /// Time per distinct expert, in microseconds.
    pub per_expert_us: f64,
    /// Share of the compute peak.
    pub compute: f64,
    /// Share of the memory bandwidth; above 1 means that fewer experts are hit than a uniform draw says.
    pub memory: f64,
    /// Exponent that joins the two limits.
    pub p: f64,
    /// Rows lost per expert to tiling.
    pub tile: f64,
    /// Share of the memory bandwidth for activations.
    pub activation: f64,
    /// Uneven load over ranks.
    pub skew: f64,
    /// How the numbers came to be.
    pub origin: Origin,
    /// Source and date.
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// Fitted time of an all-reduce inside one scale-up domain:
/// `latency·t^exponent + B / (efficiency·(t/2)^efficiency_exponent) + root·(t/2)^root_exponent·√B`,
/// with t ranks and B the ideal time of a ring's wire bytes in microseconds. A switch that adds up sends fewer bytes than
/// a ring the more ranks there are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CollectiveEfficiency {
    /// The accelerator; `pcie` for any that is joined by the host bus only.
    pub accelerator: String,
    /// Latency of two ranks, in microseconds.
    pub latency_us: f64,
    /// How latency grows with ranks.
    pub exponent: f64,
    /// Share of the link rate that large messages reach.
    pub efficiency: f64,
    /// Square-root term, in √µs.
    pub root: f64,
    /// How the share of the link rate grows with ranks beyond two.
    #[serde(default)]
    pub efficiency_exponent: f64,
    /// How the square-root term grows with ranks beyond two.
    #[serde(default)]
    pub root_exponent: f64,
    /// How the numbers came to be.
    pub origin: Origin,
    /// Source and date.
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// A fitted number of the step-time model that belongs to no single accelerator, or corrects one of its rows.
///
/// Names and meanings: `sim::perf::coefficients`. What no row names keeps its prior.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Coefficient {
    /// Name, as the step-time model knows it.
    pub name: String,
    /// Value; positive.
    pub value: f64,
    /// (Model, accelerator, engine, precision) cells that say something about it; below three it is mostly prior.
    pub cells: u32,
    /// How the number came to be.
    pub origin: Origin,
    /// Source and date.
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// How far measurements lie from predictions that were fitted without them, for one quantity over one stratum.
///
/// `low` and `high` are quantiles of measured over predicted, every cell with the same weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Residual {
    /// The table of measurements.
    pub table: String,
    /// The measured column.
    pub quantity: String,
    /// What the rows have in common: `all`, or a condition that the step-time model knows.
    pub stratum: String,
    /// Five in a hundred measurements are below this multiple of their prediction.
    pub low: f64,
    /// Five in a hundred are above this one.
    pub high: f64,
    /// Cells behind it.
    pub cells: u32,
    /// Rows behind it.
    pub rows: u32,
    /// Source and date.
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// Whose habits an engine has: its command line, its metrics, how it counts memory. A row of one's own, such as another
/// version or a fork, says here whose it shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineFamily {
    /// vLLM.
    Vllm,
    /// SGLang.
    Sglang,
    /// TensorRT-LLM.
    TensorRtLlm,
    /// None of these: it takes a share of the whole device, and no command line is known.
    #[default]
    Other,
}

/// A serving engine at a version: image, defaults and host time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Engine {
    /// Catalog name, such as `vllm`.
    pub id: String,
    /// The names people know.
    pub names: Vec<String>,
    /// Whose habits it has.
    #[serde(default)]
    pub family: EngineFamily,
    /// Version that the numbers hold for.
    pub version: String,
    /// Container image without tag.
    pub image: String,
    /// Tag of the image; never `latest`.
    pub tag: String,
    /// Share of device memory that the engine takes.
    pub memory_utilization: f64,
    /// Memory held back per device for activations, graphs and the runtime.
    pub reserved_bytes: f64,
    /// The same in addition when a replica spans several devices.
    pub reserved_parallel_bytes: f64,
    /// Peak of activations over what one token has in flight inside one layer; 0 where the engine keeps them outside
    /// of its share of the device, or the reserve holds them.
    #[serde(default)]
    pub activation_factor: f64,
    /// Bytes that the sampler holds per sequence and entry of the vocabulary; 0 as above.
    #[serde(default)]
    pub sampler_bytes: f64,
    /// Tokens of one cache block.
    pub block_tokens: u32,
    /// Sequences that run at once, at most.
    pub max_sequences: u32,
    /// Tokens of one step, at most.
    pub step_tokens: u32,
    /// Host time per step, in microseconds.
    pub host_step_us: f64,
    /// Host time per running sequence and step, in microseconds.
    pub host_sequence_us: f64,
    /// Time per layer that no kernel accounts for, in microseconds.
    pub layer_us: f64,
    /// Additional time of a step that holds prefill, in microseconds.
    pub prefill_step_us: f64,
    /// Time per request before it reaches the scheduler, in microseconds.
    pub request_us: f64,
    /// Time per prompt token before it reaches the scheduler, in microseconds.
    pub prompt_token_us: f64,
    /// Factor on the device time of a step.
    pub factor: f64,
    /// Steps after which a first token reached the client in benchmarks, with the stream interval that they set.
    pub delivery_steps: f64,
    /// How the numbers came to be.
    pub origin: Origin,
    /// Source and date.
    #[serde(flatten)]
    pub provenance: Provenance,
}

impl Engine {
    /// Returns the steps after which a first token reaches the client of a replica that a plan starts: such a replica hands
    /// over each token as it comes, the default of all engines, so what benchmarks waited beyond one step is not waited.
    pub fn delivered_after(&self) -> f64 {
        self.delivery_steps.min(1.0)
    }
}

/// A region of a provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Region {
    /// Who runs it.
    pub provider: String,
    /// Its name as the provider spells it.
    pub id: String,
    /// Independent zones, where known.
    pub zones: Option<u32>,
    /// Source and date.
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// One measurement beside what was predicted of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CalibrationPoint {
    /// Requests in flight.
    pub concurrency: u32,
    /// Prompt tokens of a request.
    pub input_tokens: u32,
    /// Output tokens of a request.
    pub output_tokens: u32,
    /// Time per output token, measured over predicted; unknown where nobody measured it.
    pub tpot_ratio: Option<f64>,
    /// Time to first token, measured over predicted; unknown where nobody measured it.
    pub ttft_ratio: Option<f64>,
}

/// A user's own measurements of one configuration: predictions near them are corrected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Calibration {
    /// The model.
    pub model: String,
    /// The accelerator.
    pub accelerator: String,
    /// The engine.
    pub engine: String,
    /// Its version.
    pub engine_version: String,
    /// Precision of the weights.
    pub precision: Precision,
    /// How the ranks divided the model.
    #[serde(flatten)]
    pub degrees: Degrees,
    /// Measurements.
    pub points: Vec<CalibrationPoint>,
    /// Source and date: the measured file with its digest.
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// All facts, prices and coefficients, each list in order of names.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Catalog {
    /// Chips.
    pub accelerators: Vec<Accelerator>,
    /// Machines.
    pub shapes: Vec<NodeShape>,
    /// Networks.
    pub fabrics: Vec<Fabric>,
    /// Storage systems.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub storage: Vec<StorageSystem>,
    /// Regions.
    pub regions: Vec<Region>,
    /// Prices.
    pub offerings: Vec<Offering>,
    /// Prices of single goods, which no plan buys by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub market_prices: Vec<MarketPrice>,
    /// Terms of owning.
    pub ownership: Vec<Ownership>,
    /// Neural networks.
    pub models: Vec<Model>,
    /// Traffic statistics.
    pub traffic: Vec<Traffic>,
    /// Serving engines.
    pub engines: Vec<Engine>,
    /// Exchange rates.
    pub rates: Vec<ExchangeRate>,
    /// Matrix multiplication.
    pub gemm: Vec<GemmEfficiency>,
    /// Attention.
    pub attention: Vec<AttentionEfficiency>,
    /// Experts.
    pub experts: Vec<ExpertEfficiency>,
    /// All-reduce.
    pub collectives: Vec<CollectiveEfficiency>,
    /// Fitted numbers of the step-time model.
    #[serde(default)]
    pub coefficients: Vec<Coefficient>,
    /// Errors of predictions that were fitted without the rows that they are held against.
    #[serde(default)]
    pub residuals: Vec<Residual>,
    /// The user's own measurements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calibrations: Vec<Calibration>,
}

/// What one row of a list answers to: its identifier or a name that people know.
pub trait Named {
    /// Returns the identifier.
    fn id(&self) -> &str;
    /// Returns the names that people know.
    fn names(&self) -> &[String];
}

macro_rules! named {
    ($($kind:ty),*) => {
        $(impl Named for $kind {
            fn id(&self) -> &str {
                &self.id
            }
            fn names(&self) -> &[String] {
                &self.names
            }
        })*
    };
}

named!(Accelerator, NodeShape, Fabric, StorageSystem, MarketPrice, Model, Traffic, Engine);

/// Returns the row that answers to `name`, as identifier or as a name people know.
pub fn find<'a, T: Named>(rows: &'a [T], name: &str) -> Option<&'a T> {
    rows.iter()
        .find(|row| row.id() == name)
        .or_else(|| rows.iter().find(|row| row.names().iter().any(|known| known == name)))
}

impl Catalog {
    /// Returns the rate between two currencies that counts on a day, and whether it is of `to` in `from`: the newest that is
    /// not after it, else the first to come; of one date, the one of `from` in `to`.
    pub fn rate(&self, from: Currency, to: Currency, day: Date) -> Option<(&ExchangeRate, bool)> {
        let pairs = self.rates.iter().filter_map(|rate| match (rate.from, rate.to) {
            pair if pair == (from, to) => Some((rate, false)),
            pair if pair == (to, from) => Some((rate, true)),
            _ => None,
        });
        let date = |(rate, _): &(&ExchangeRate, bool)| rate.provenance.as_of;
        let known = pairs.clone().filter(|pair| date(pair) <= day).max_by_key(|pair| (date(pair), !pair.1));
        known.or_else(|| pairs.min_by_key(|pair| (date(pair), pair.1)))
    }

    /// Returns an amount in another currency by the rate that counts on a day, `None` where there is none.
    pub fn converted(&self, amount: Decimal, from: Currency, to: Currency, day: Date) -> Option<Decimal> {
        if from == to {
            return Some(amount);
        }
        let (rate, is_inverse) = self.rate(from, to, day)?;
        if is_inverse { amount.checked_div(rate.rate) } else { amount.checked_mul(rate.rate) }
    }

    /// Returns the accelerator of a name.
    pub fn accelerator(&self, name: &str) -> Option<&Accelerator> {
        find(&self.accelerators, name)
    }

    /// Returns the node shape of a name.
    pub fn shape(&self, name: &str) -> Option<&NodeShape> {
        find(&self.shapes, name)
    }

    /// Returns the model of a name.
    pub fn model(&self, name: &str) -> Option<&Model> {
        find(&self.models, name)
    }

    /// Returns the traffic of a name.
    pub fn traffic(&self, name: &str) -> Option<&Traffic> {
        find(&self.traffic, name)
    }

    /// Returns the user's own measurements of a configuration, those of the version before others.
    pub fn calibration(
        &self,
        (model, accelerator, engine, version): (&str, &str, &str, &str),
        precision: Precision,
        degrees: Degrees,
    ) -> Option<&Calibration> {
        let same = |row: &&Calibration| {
            (row.model.as_str(), row.accelerator.as_str(), row.engine.as_str())
                == (model, accelerator, engine)
                && (row.precision, row.degrees) == (precision, degrees)
        };
        let mut rows = self.calibrations.iter().filter(same);
        rows.clone().find(|row| row.engine_version == version).or_else(|| rows.next())
    }

    /// Returns a region of a provider.
    pub fn region(&self, provider: &str, id: &str) -> Option<&Region> {
        self.regions.iter().find(|row| row.provider == provider && row.id == id)
    }

    /// Returns the engine of a name.
    pub fn engine(&self, name: &str) -> Option<&Engine> {
        find(&self.engines, name)
    }
}
