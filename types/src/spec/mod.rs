//! The checked form of a plan file: every name resolved, every unit converted, every limit with its place.

mod app;
mod batch;
mod budget;
mod deploy;
mod fabric;
mod frame;
mod parallelism;
mod scenario;
mod serving;
mod site;
mod storage;
mod train;
mod uncertain;

pub use app::*;
pub use batch::*;
pub use budget::*;
pub use deploy::*;
pub use fabric::*;
pub use frame::*;
pub use parallelism::Parallelism;
pub use scenario::*;
pub use serving::*;
pub use site::*;
pub use storage::*;
pub use train::*;
pub use uncertain::*;

use crate::hardware::Precision;
use crate::model::Model;
use crate::offering::PurchaseOption;
use crate::origin::Origin;
use crate::place::Place;
use crate::traffic::Lengths;
use crate::units::{RequestsPerSecond, Seconds};
use jiff::civil::Date;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A limit and the text that states it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Limit<T> {
    /// The bound.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Spec {
    /// Name of the plan.
    pub name: String,
    /// Currency, horizon and objective.
    pub frame: Frame,
    /// Where machines may stand; never empty.
    pub sites: Vec<Site>,
    /// What stands there already.
    pub fleets: Vec<Fleet>,
    /// How own sites are to be wired.
    pub fabrics: Vec<FabricWish>,
    /// What storage is to be like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub storages: Vec<StorageWish>,
    /// What data lies where.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<Dataset>,
    /// The models that workloads use.
    pub models: Vec<Model>,
    /// Online inference.
    pub serves: Vec<Serve>,
    /// Training.
    pub trains: Vec<Train>,
    /// Offline inference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub batches: Vec<Batch>,
    /// Services and notebooks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apps: Vec<App>,
    /// Money and rules.
    pub budgets: Vec<Budget>,
    /// Names of the scenarios that the file declares.
    pub scenarios: Vec<String>,
    /// What the scenarios let happen to the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub what_ifs: Vec<WhatIf>,
    /// Where manifests go.
    pub deploy: Option<Kubernetes>,
    /// What is only known within bounds, in the order of the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncertain: Vec<Uncertain>,
    /// Every default that was used.
    pub assumptions: Vec<Assumption>,
}

impl Spec {
    /// Returns the plan with every uncertain quantity at its median, and nothing uncertain.
    pub fn at_medians(&self) -> Spec {
        Spec { uncertain: Vec::new(), ..self.clone() }
    }
}

/// A default that stood in for something the plan does not say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Assumption {
    /// One sentence.
    pub text: String,
    /// The block it was needed for.
    pub place: Option<Place>,
    /// How the value came to be.
    pub origin: Origin,
}

/// Machines that stand at a site already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fleet {
    /// Its name.
    pub name: String,
    /// Where it is declared.
    pub place: Place,
    /// The machine.
    pub shape: String,
    /// How many.
    pub count: u32,
    /// Where.
    pub site: String,
    /// First day of use, before the horizon if absent.
    #[schemars(with = "Option<String>")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Date>,
    /// Last day of use, the horizon's end if absent.
    #[schemars(with = "Option<String>")]
    pub until: Option<Date>,
    /// What is left of the price of one when the horizon begins, or when it comes into use; unknown if absent.
    #[schemars(with = "Option<f64>")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub book_value: Option<Decimal>,
    /// Price per node-hour of a contract already signed; nothing is added where it is absent.
    #[schemars(with = "Option<f64>")]
    pub committed_price_per_hour: Option<Decimal>,
}

impl Fleet {
    /// Returns the months of the horizon in which it is used.
    pub fn months(&self, frame: &Frame) -> std::ops::Range<u32> {
        let first = self.since.map_or(0, |since| frame.month_of(since));
        first..self.until.map_or(frame.months, |until| frame.month_after(until))
    }
}

/// The shape of a day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Daily {
    /// The same rate at every hour.
    Flat,
    /// A cosine between the trough and the peak.
    Diurnal {
        /// Lowest rate over the highest.
        trough: f64,
        /// Hour of the highest rate, local time.
        peak_at_hour: f64,
    },
}

/// A request log that gives arrivals and lengths.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TraceUse {
    /// Path beside the plan file.
    pub path: String,
    /// SHA-256 of the file.
    pub digest: String,
    /// Requests in it.
    pub requests: u64,
    /// Span in seconds.
    pub span_s: f64,
    /// Mean rate of its busiest ten minutes (its whole span where shorter).
    #[serde(rename = "busiest_requests_per_s")]
    pub busiest: RequestsPerSecond,
    /// What its block hashes say, where it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<BlockHashes>,
}

/// Requests over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Load {
    /// Catalog row that the lengths come from, if any.
    pub traffic: Option<String>,
    /// Prompt lengths.
    pub prompt: Lengths,
    /// Output lengths.
    pub output: Lengths,
    /// Coefficient of variation of the time between arrivals.
    pub burstiness: f64,
    /// Mean rate of the busiest hour in the first month.
    #[serde(rename = "peak_requests_per_s")]
    pub peak: RequestsPerSecond,
    /// Growth of the rate per month.
    pub growth_per_month: f64,
    /// Shape of the day.
    pub daily: Daily,
    /// Rate at weekends over that on weekdays.
    pub weekend: f64,
    /// Real arrivals, if given.
    pub trace: Option<TraceUse>,
    /// Where it stands.
    pub place: Place,
}

/// What a service level is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SloMetric {
    /// Time to first token, queueing included.
    Ttft,
    /// Time per output token after the first.
    Tpot,
    /// Time from arrival to the last token.
    E2e,
}

impl SloMetric {
    /// Returns the word of the plan language.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ttft => "ttft",
            Self::Tpot => "tpot",
            Self::E2e => "e2e",
        }
    }
}

/// A service level: a percentile of a metric stays below a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Slo {
    /// What is measured.
    pub metric: SloMetric,
    /// Percentile in thousandths: 500, 900, 950, 990 or 999.
    pub per_mille: u32,
    /// The windows in each of which it holds; over the whole hour where none are given.
    #[serde(default, rename = "over_s", skip_serializing_if = "Option::is_none")]
    pub over: Option<Seconds>,
    /// The limit.
    #[serde(rename = "target_s")]
    pub target: Seconds,
    /// Where it stands.
    pub place: Place,
}

impl Slo {
    /// Returns how many requests it takes for one of them to be beyond the percentile.
    pub fn requests_needed(&self) -> f64 {
        1000.0 / f64::from(1000 - self.per_mille.min(999))
    }

    /// Returns the percentile as the plan language writes it.
    pub fn percentile_word(&self) -> String {
        percentile_word(self.per_mille)
    }
}

/// Returns a percentile in thousandths as the plan language writes it: `p99`, `p999`.
pub fn percentile_word(per_mille: u32) -> String {
    if per_mille.is_multiple_of(10) { format!("p{}", per_mille / 10) } else { format!("p{per_mille}") }
}

/// Returns a service level as the plan language writes it: `ttft p999 over 5 min`.
pub fn level_word(metric: SloMetric, per_mille: u32, over: Option<Seconds>) -> String {
    format!("{} {}{}", metric.word(), percentile_word(per_mille), over_words(over))
}

/// Returns what is said behind a percentile that holds in windows: ` over 5 min`; nothing where it holds over the hour.
pub fn over_words(over: Option<Seconds>) -> String {
    match over.map(Seconds::get) {
        None => String::new(),
        Some(seconds) if seconds % 60.0 == 0.0 => format!(" over {} min", seconds / 60.0),
        Some(seconds) => format!(" over {seconds} s"),
    }
}

/// A way of buying that a workload may use, with limits on its share of node-hours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Buy {
    /// The option.
    pub option: PurchaseOption,
    /// Smallest share.
    pub at_least: Option<Limit<f64>>,
    /// Largest share.
    pub at_most: Option<Limit<f64>>,
}

/// Online inference of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Serve {
    /// Its name.
    pub name: String,
    /// Where it is declared.
    pub place: Place,
    /// Identifier of the model in [`Spec::models`].
    pub model: String,
    /// The checkpoint that is served, where the plan names the model as the model hub does: `owner/model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// Requests.
    pub load: Load,
    /// Service levels.
    pub slos: Vec<Slo>,
    /// Smallest share of time in which the replicas needed are up.
    pub availability: Option<Limit<f64>>,
    /// The engine.
    pub engine: String,
    /// Precisions that weights may have.
    pub precisions: Vec<Precision>,
    /// Precision of the cache; `None` is 16 bits like the model's activations.
    pub kv_precision: Option<Precision>,
    /// Accelerators that are allowed; `None` is any.
    pub accelerators: Option<Vec<String>>,
    /// Parallelism that is fixed.
    pub parallelism: Parallelism,
    /// Most sequences at once, where the plan says so.
    pub max_sequences: Option<u32>,
    /// Most tokens in a step, where the plan says so.
    pub step_tokens: Option<u32>,
    /// How long a batch that is run to its end waits to be full; `None` is continuous batching.
    #[serde(default, rename = "queue_delay_s", skip_serializing_if = "Option::is_none")]
    pub queue_delay: Option<Seconds>,
    /// How capacity may be bought.
    pub buy: Vec<Buy>,
    /// Sites it may run at; `None` is any.
    pub sites: Option<Vec<String>>,
    /// Capacity kept free, as a share of the demand.
    pub headroom: f64,
    /// Fewest replicas.
    pub min_replicas: u32,
    /// How replicas follow the requests in flight; `None` is by the hour, as demand is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscale: Option<Autoscale>,
    /// What prompts have in common and is read once; `None` is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_caching: Option<PrefixCaching>,
    /// Tokens that are drafted; `None` is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speculative: Option<Speculative>,
    /// Most requests that wait at a replica; more are turned away. `None` is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Limit<u32>>,
    /// What becomes of requests in flight whose replica fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Adapters on the model; `None` is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapters: Option<Adapters>,
    /// Requests that yield to the others; `None` is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<Background>,
    /// Whether prompts may be read on machines of their own.
    #[serde(default)]
    pub disaggregated: Disaggregated,
    /// Fewest independent zones of a site that its replicas are spread over, beside what the site itself asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zones: Option<Limit<u32>>,
    /// Which part of a workload this is, where prompts are read on machines of their own; `None` is the whole of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
}

impl Serve {
    /// Returns the zones of a site that its replicas are spread over: 1 where nobody asks for more.
    pub fn zones_at(&self, site: &Site) -> u32 {
        let asked = [&self.zones, &site.zones];
        asked.into_iter().flatten().map(|limit| limit.value).max().unwrap_or(1).max(1)
    }
}

/// How replicas follow the requests in flight, as Kubernetes scales them. The most replicas are those planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Autoscale {
    /// Requests in flight that a replica should have; `None` is decided by the planner.
    pub target: Option<f64>,
    /// Fewest replicas; zero lets the last one go.
    pub least: u32,
    /// Relative deviation from the target at which nothing is changed.
    pub tolerance: f64,
    /// For how long more must be wanted before replicas are added.
    #[serde(rename = "up_window_s")]
    pub up_window: Seconds,
    /// For how long fewer must do before replicas are taken away.
    #[serde(rename = "down_window_s")]
    pub down_window: Seconds,
    /// How long nothing must have come before the last replica goes.
    #[serde(rename = "cooldown_s")]
    pub cooldown: Seconds,
    /// Time until there is a machine for a new replica.
    #[serde(rename = "provision_s")]
    pub provision: Seconds,
    /// Whether only what its program reads first of an image is pulled before it starts.
    pub lazy_image: bool,
}
