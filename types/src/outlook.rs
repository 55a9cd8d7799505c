//! What a model achieves on machines at hand, before anybody plans: the answer of `capstan estimate` to people.
//!
//! Every predicted number carries how it came to be and where 90 % of measurements are expected.

use crate::degrees::Degrees;
use crate::hardware::Precision;
use crate::money::Currency;
use crate::offering::PurchaseOption;
use crate::origin::{Origin, PriceGrade};
use crate::units::Bytes;
use jiff::civil::Date;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Format of the answer that programs read.
pub const OUTLOOK_FORMAT: u32 = 1;

/// A predicted number, between the ends of its 90 % interval, and how the worst number in it came to be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ranged {
    /// The prediction.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Origin.
    pub origin: Origin,
}

impl Ranged {
    /// Returns the number times a factor above zero.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self { value: self.value * factor, low: self.low * factor, high: self.high * factor, ..self }
    }

    /// Returns a factor above zero over the number: what was slow is now small.
    #[must_use]
    pub fn under(self, factor: f64) -> Self {
        Self { value: factor / self.value, low: factor / self.high, high: factor / self.low, ..self }
    }
}

/// What keeps a configuration from more tokens per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Bytes that cross device memory.
    MemoryBandwidth,
    /// Arithmetic.
    Compute,
    /// Bytes that cross the links between accelerators.
    Link,
    /// Host work, and time between kernels.
    Host,
    /// Requests wait for room in the cache.
    KvCapacity,
}

impl Limit {
    /// Returns the words that reports use.
    pub fn words(self) -> &'static str {
        match self {
            Self::MemoryBandwidth => "memory bandwidth",
            Self::Compute => "compute",
            Self::Link => "links",
            Self::Host => "host and launches",
            Self::KvCapacity => "KV capacity",
        }
    }

    /// Returns the word that tables use.
    pub fn word(self) -> &'static str {
        match self {
            Self::MemoryBandwidth => "memory",
            Self::Compute => "compute",
            Self::Link => "links",
            Self::Host => "host",
            Self::KvCapacity => "cache",
        }
    }
}

/// How requests come.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Arrivals {
    /// A fixed number of requests per replica, each followed by the next; means over ten requests per client, the
    /// burst at the start included.
    Closed {
        /// Least requests in flight per replica.
        from: u32,
        /// Most requests in flight per replica.
        to: u32,
    },
    /// Poisson arrivals at a rate, shared by as many replicas as it takes.
    Open {
        /// Requests per second.
        rate: f64,
    },
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Question {
    /// The model's catalog name.
    pub model: String,
    /// The name people know it by.
    pub model_name: String,
    /// Parameters, in billions (10⁹).
    pub params_total_b: f64,
    /// What it is to run on, as asked.
    pub on: String,
    /// The engine.
    pub engine: String,
    /// Its version.
    pub engine_version: String,
    /// Precision of the weights.
    pub precision: Precision,
    /// Precision of the cache.
    pub kv_precision: Precision,
    /// Prompt tokens of a request.
    pub input_tokens: u32,
    /// Output tokens of a request.
    pub output_tokens: u32,
    /// How requests come.
    pub arrivals: Arrivals,
}

/// Whether a rank holds what it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FitWord {
    /// It does.
    Fits,
    /// What is left is within the error of the memory model.
    Tight,
    /// It does not.
    No,
}

impl FitWord {
    /// Returns the word of reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fits => "fits",
            Self::Tight => "tight",
            Self::No => "no",
        }
    }
}

/// The memory of the most loaded rank, in bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryShare {
    /// Whether it fits.
    pub fit: FitWord,
    /// What programs can use of the device.
    pub device_bytes: Bytes,
    /// What the engine takes of it.
    pub budget_bytes: Bytes,
    /// Weights.
    pub weights_bytes: Bytes,
    /// Activations of the largest step.
    pub activations_bytes: Bytes,
    /// Held back beside them: context and runtime, buffers of collectives, copies of logits.
    pub overhead_bytes: Bytes,
    /// Left for the KV cache; negative where weights and overhead are more than the budget.
    pub cache_bytes: Bytes,
    /// What is needed with one request of full length.
    pub needed_bytes: Bytes,
    /// Cache of one request of full length.
    pub request_bytes: Bytes,
    /// Cache of one token.
    pub bytes_per_token: Bytes,
    /// Cache of one request whatever its length.
    pub state_bytes: Bytes,
    /// Tokens that the cache holds, in requests of full length.
    pub kv_tokens: u64,
    /// Requests of full length that run at once.
    pub requests_at_once: u64,
    /// How the worst number in it came to be.
    pub origin: Origin,
}

/// What is seen at one load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    /// Requests in flight per replica; unknown where they arrive by themselves.
    pub concurrency: Option<u32>,
    /// Replicas.
    pub replicas: u32,
    /// Fewest and most replicas, where steps are as short or as long as the 90 % interval says.
    pub replicas_between: (u32, u32),
    /// Mean time to first token, in seconds.
    pub ttft_s: Ranged,
    /// 99th percentile of it, where arrivals are random.
    pub ttft_p99_s: Option<Ranged>,
    /// Mean time per output token, in seconds.
    pub tpot_s: Ranged,
    /// 99th percentile of it, where arrivals are random.
    pub tpot_p99_s: Option<Ranged>,
    /// Mean time from arrival to the last token, in seconds.
    pub e2e_s: Ranged,
    /// Output tokens per second that one user sees while the answer is written.
    pub tokens_per_s_per_user: Ranged,
    /// Requests per second of all replicas.
    pub requests_per_s: Ranged,
    /// Output tokens per second of all replicas.
    pub output_tokens_per_s: Ranged,
    /// Output tokens per second and accelerator.
    pub output_tokens_per_s_per_accelerator: Ranged,
    /// Cost of a million output tokens, prompts included; unknown without a price.
    pub cost_per_million_output: Option<Ranged>,
    /// Cost of a million tokens, prompt and output counted; unknown without a price.
    pub cost_per_million_tokens: Option<Ranged>,
    /// Sequences that write at once, per replica.
    pub writing: f64,
    /// What keeps it from more.
    pub limit: Limit,
    /// Whether no other point is faster for a user and cheaper in accelerators at once.
    pub on_front: bool,
}

/// One part of the time of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimeSlice {
    /// What takes it.
    pub part: String,
    /// How long, in seconds.
    pub seconds: f64,
    /// Its share.
    pub share: f64,
}

/// What an hour of an accelerator costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HourPrice {
    /// Per accelerator and hour.
    #[schemars(with = "f64")]
    pub per_accelerator_hour: Decimal,
    /// In.
    pub currency: Currency,
    /// The machine; unknown where the price was given.
    pub machine: Option<String>,
    /// Who sells it.
    pub provider: Option<String>,
    /// Where.
    pub region: Option<String>,
    /// How it is bought.
    pub option: Option<PurchaseOption>,
    /// How firm it is.
    pub grade: Option<PriceGrade>,
    /// Where it was read.
    pub source: String,
    /// When it held.
    #[schemars(with = "Option<String>")]
    pub as_of: Option<Date>,
}

/// Another way to split the model on the same accelerators.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OtherSplit {
    /// How a replica is spread.
    #[serde(flatten)]
    pub degrees: Degrees,
    /// Whether it fits.
    pub fit: FitWord,
    /// Output tokens per second and accelerator, where it runs.
    pub output_tokens_per_s_per_accelerator: Option<f64>,
    /// Mean time per output token in seconds, where it runs.
    pub tpot_s: Option<f64>,
    /// Why it does not run.
    pub reason: Option<String>,
}

/// What one way to run the model achieves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// The machine, where one was asked for.
    pub machine: Option<String>,
    /// The accelerator.
    pub accelerator: String,
    /// The name people know it by.
    pub accelerator_name: String,
    /// How a replica is spread.
    #[serde(flatten)]
    pub degrees: Degrees,
    /// Memory of one rank.
    pub memory: MemoryShare,
    /// By load.
    pub points: Vec<Point>,
    /// Where the time of reading one prompt alone goes.
    pub prefill: Vec<TimeSlice>,
    /// Where the time of a step goes in which all write, at the last load.
    pub decode: Vec<TimeSlice>,
    /// What an hour costs; unknown without a price.
    pub price: Option<HourPrice>,
    /// Other splits that were compared.
    pub others: Vec<OtherSplit>,
    /// Why the intervals are as wide as they are.
    pub why: Vec<String>,
}

/// A machine or accelerator that does not run the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    /// The machine, where one was asked for.
    pub machine: Option<String>,
    /// The accelerator.
    pub accelerator: String,
    /// Name of the reason.
    pub code: String,
    /// The reason, with its numbers, of the split that comes nearest.
    pub reason: String,
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outlook {
    /// Format of this document.
    pub format: u32,
    /// What was asked.
    pub question: Question,
    /// What runs: what anybody can rent by the hour first, then what needs a term or may be reclaimed, then what has no
    /// price; within each the cheapest first, then the fastest per accelerator.
    pub answers: Vec<Answer>,
    /// What does not.
    pub refused: Vec<Refused>,
    /// Defaults that stand in for what was not said.
    pub assumptions: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_slow_at_most_is_fast_at_least() {
        let tpot = Ranged { value: 0.02, low: 0.01, high: 0.04, origin: Origin::Analytic };
        let speed = tpot.under(1.0);
        assert_eq!((speed.low, speed.value, speed.high), (25.0, 50.0, 100.0));
        assert_eq!(speed.times(2.0).high, 200.0);
    }
}
