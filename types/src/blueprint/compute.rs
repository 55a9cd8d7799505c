//! What runs where, on which machines.

use super::{ServiceInterval, StepInterval};
use crate::degrees::{Degrees, is_one, one};
use crate::hardware::Precision;
use crate::offering::PurchaseOption;
use crate::origin::{Origin, PriceGrade};
use crate::units::{Bytes, RequestsPerSecond, Seconds, Tokens, Watts};
use jiff::ToSpan;
use jiff::civil::Date;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Hours of a weekday, then hours of a weekend day.
pub const HOURS: usize = 48;

/// Months that are planned as one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Period {
    /// First month, from 0.
    pub first_month: u32,
    /// How many months.
    pub months: u32,
    /// Present value of one unit of money paid evenly over the period, discounted at month ends.
    pub discount: f64,
}

/// Requests per second of one workload: one row per period, weekday hours then weekend hours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DemandCurve {
    /// The workload.
    pub workload: String,
    /// Rates by period and hour, at the last month of the period.
    #[serde(rename = "requests_per_s")]
    pub rates: Vec<Vec<f64>>,
}

/// One way to run a serving workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    /// The machine.
    pub shape: String,
    /// The accelerator in it.
    pub accelerator: String,
    /// Accelerators of one replica.
    pub accelerators: u32,
    /// Tensor parallel ranks.
    pub tensor: u32,
    /// Pipeline stages.
    pub pipeline: u32,
    /// Groups of ranks that each have their own sequences, and share the experts (attention data parallelism).
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub data: u32,
    /// Groups of ranks that each have their own experts.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub expert: u32,
    /// Precision of the weights.
    pub precision: Precision,
    /// Precision of the cache.
    pub kv_precision: Precision,
    /// The engine.
    pub engine: String,
    /// Sequences at once, at most.
    pub max_sequences: u32,
    /// Tokens of one step, at most.
    pub step_tokens: u32,
    /// Replicas that one node holds; 0 where a replica spans nodes.
    pub replicas_per_node: u32,
    /// Nodes of one replica; 1 where a node holds one or more.
    pub nodes_per_replica: u32,
}

impl Candidate {
    /// Returns the most sequences that a replica runs at once: those of all its groups.
    pub fn sequences_at_once(&self) -> u32 {
        self.max_sequences.saturating_mul(self.data)
    }

    /// Returns over how many accelerators a replica is spread, and how.
    pub fn degrees(&self) -> Degrees {
        let Self { tensor, pipeline, data, expert, .. } = *self;
        Degrees { tensor, pipeline, data, expert }
    }

    /// Returns the name under which it is derated: what the simulator can tell apart.
    pub fn key(&self) -> String {
        format!("{} {} {}", self.accelerator, self.degrees().words(), self.precision.word())
    }
}

/// What a candidate achieves by the closed form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceEstimate {
    /// Highest rate of one replica at which every service level holds.
    #[serde(rename = "requests_per_s")]
    pub rate: RequestsPerSecond,
    /// Time to first token at that rate, at the percentile asked (the median where none is asked).
    #[serde(rename = "ttft_s")]
    pub ttft: Seconds,
    /// Time per output token at that rate.
    #[serde(rename = "tpot_s")]
    pub tpot: Seconds,
    /// Tokens that the cache of one replica holds.
    pub kv_tokens: u64,
    /// Weights of one rank.
    #[serde(rename = "weights_bytes")]
    pub weights: Bytes,
    /// Memory of one rank that programs can use.
    #[serde(rename = "memory_bytes")]
    pub memory: Bytes,
    /// Sequences that run at once at that rate, on average.
    pub batch: f64,
    /// What stops a higher rate.
    pub bound_by: String,
    /// How the numbers came to be.
    pub origin: Origin,
}

/// A candidate at a site with its replicas over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Placement {
    /// Where.
    pub site: String,
    /// How.
    pub candidate: Candidate,
    /// What one replica achieves by the closed form.
    pub estimate: ServiceEstimate,
    /// Factor on the rate that the simulator showed: below 1 where a level was missed, above where fewer replicas held.
    pub derating: f64,
    /// Fewest replicas at any hour that the simulator asked for, where fewer missed a level though they had little to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fewest_that_hold: Option<u32>,
    /// Replicas by period and hour.
    pub replicas: Vec<Vec<u32>>,
    /// Seconds from the start of a container to its first answer: image and weights read, then warm-up.
    #[serde(rename = "start_s")]
    pub start: Seconds,
    /// How that time came to be.
    pub start_origin: Origin,
    /// Requests in flight that a replica should have, where replicas follow them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight_target: Option<f64>,
    /// How far measurements lie around its times; absent where nothing is predicted of such a load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<ServiceInterval>,
}

impl Placement {
    /// Returns the most replicas at any hour.
    pub fn peak_replicas(&self) -> u32 {
        self.replicas.iter().flatten().copied().max().unwrap_or(0)
    }

    /// Returns the fewest replicas at any hour of the first period.
    pub fn fewest_replicas(&self) -> u32 {
        self.replicas.first().and_then(|hours| hours.iter().copied().min()).unwrap_or(0)
    }
}

/// How one serving workload runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Service {
    /// The workload.
    pub workload: String,
    /// The model.
    pub model: String,
    /// Where and how; demand is split over them in proportion to their capacity.
    pub placements: Vec<Placement>,
}

/// One way to run a training job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrainingCandidate {
    /// The machine.
    pub shape: String,
    /// The accelerator in it.
    pub accelerator: String,
    /// Nodes that compute.
    pub nodes: u32,
    /// Tensor parallel ranks.
    pub tensor: u32,
    /// Pipeline stages.
    pub pipeline: u32,
    /// Data parallel ranks.
    pub data: u32,
    /// Ranks that the experts are dealt out to.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub expert: u32,
    /// Chunks of layers of each stage, which take turns.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub interleave: u32,
    /// Sequences of one micro-batch.
    pub micro_batch: u32,
    /// Precision of the linear layers.
    pub precision: Precision,
    /// Whether activations are computed again in the backward pass.
    pub recompute: bool,
}

impl TrainingCandidate {
    /// Returns over what the work is split, in words.
    pub fn split(&self) -> String {
        let mut words = format!("tp {}, pp {}, dp {}", self.tensor, self.pipeline, self.data);
        for (name, degree) in [("ep", self.expert), ("interleaved", self.interleave)] {
            if degree > 1 {
                words.push_str(&format!(", {name} {degree}"));
            }
        }
        words
    }
}

/// How one training workload runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrainingRun {
    /// The workload.
    pub workload: String,
    /// The model.
    pub model: String,
    /// Where.
    pub site: String,
    /// How.
    pub candidate: TrainingCandidate,
    /// Nodes kept ready beside those that compute.
    pub spare_nodes: u32,
    /// First day.
    #[schemars(with = "String")]
    pub start: Date,
    /// Last day.
    #[schemars(with = "String")]
    pub end: Date,
    /// Hours until the last token, those among them in which it does not run.
    pub hours: f64,
    /// Whether it runs at each typical hour: those of a weekday, then those of a weekend day; empty is at all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_hours: Vec<bool>,
    /// Seconds that each stop and start takes off the hours in which it runs; zero where it never stops.
    #[serde(default, rename = "resume_s", skip_serializing_if = "is_nothing")]
    pub resume: Seconds,
    /// Periods in which it runs, with the share of the period's hours.
    pub shares: Vec<f64>,
    /// Tokens of one optimizer step: the batch asked for, rounded so that it divides over the ranks.
    #[serde(rename = "batch_tokens")]
    pub batch: Tokens,
    /// One optimizer step.
    #[serde(rename = "step_s")]
    pub step: Seconds,
    /// Tokens per second over all nodes while it computes.
    pub tokens_per_s: f64,
    /// Share of the time held that moves training forward.
    pub goodput: f64,
    /// Share of the peak rate that model arithmetic reaches.
    pub model_flops_utilization: f64,
    /// Memory needed on one accelerator.
    #[serde(rename = "needed_bytes")]
    pub needed: Bytes,
    /// Memory free on one accelerator.
    #[serde(rename = "memory_bytes")]
    pub memory: Bytes,
    /// Time between two checkpoints.
    #[serde(rename = "checkpoint_interval_s")]
    pub checkpoint_interval: Seconds,
    /// One checkpoint.
    #[serde(rename = "checkpoint_bytes")]
    pub checkpoint: Bytes,
    /// Memory that one machine needs beside to write a checkpoint at once: its part, and the same as it is written.
    #[serde(default, rename = "checkpoint_host_bytes")]
    pub checkpoint_host: Bytes,
    /// Memory of one machine beside its accelerators; unknown where the catalog does not say.
    #[serde(default, rename = "host_memory_bytes")]
    pub host_memory: Option<Bytes>,
    /// Failures expected over the run.
    pub failures: f64,
    /// How far measurements lie around the time of a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<StepInterval>,
    /// How the numbers came to be.
    pub origin: Origin,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_nothing(time: &Seconds) -> bool {
    time.get() == 0.0
}

impl TrainingRun {
    /// Returns whether its nodes are held at an hour of a period.
    pub fn runs_at(&self, period: usize, hour: usize) -> bool {
        let there = self.shares.get(period).is_some_and(|&share| share > 0.0);
        there && self.at_hours.get(hour).copied().unwrap_or(self.at_hours.is_empty())
    }

    /// Returns the day on which it would be done if it took so many times as long.
    pub fn end_at(&self, times: f64) -> Date {
        let days = (self.hours * times / 24.0).floor() as i64;
        self.start.saturating_add(days.days())
    }

    /// Returns the share of the hours of a week in which it runs.
    pub fn share_of_week(&self) -> f64 {
        if self.at_hours.is_empty() {
            return 1.0;
        }
        let hours = |day: &[bool]| day.iter().filter(|&&runs| runs).count() as f64;
        let (weekday, weekend) = self.at_hours.split_at(self.at_hours.len().min(HOURS / 2));
        (5.0 * hours(weekday) + 2.0 * hours(weekend)) / 168.0
    }

    /// Says when it stands still: empty where it never does, else ` in 8 h of a weekday`.
    pub fn pauses(&self) -> String {
        if self.at_hours.is_empty() {
            return String::new();
        }
        let hours = self.at_hours.iter().take(HOURS / 2).filter(|&&runs| runs).count();
        format!(" in {hours} h of a weekday")
    }
}

/// The price row that a purchase rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PriceRow {
    /// Who sells it.
    pub provider: String,
    /// Where it holds.
    pub region: String,
    /// Price per node-hour, or of one node where owned, in the plan's currency, unrounded.
    #[schemars(with = "f64")]
    pub price: Decimal,
    /// How firm it is.
    pub grade: PriceGrade,
    /// Where it was read.
    pub source: String,
    /// When it held.
    #[schemars(with = "String")]
    pub as_of: Date,
}

/// Nodes bought in one way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Purchase {
    /// How.
    pub option: PurchaseOption,
    /// Most nodes at once.
    pub nodes: u32,
    /// Nodes held by period; for hourly options the most in that period.
    pub nodes_by_period: Vec<u32>,
    /// Node-hours paid for by period.
    pub node_hours_by_period: Vec<f64>,
    /// What the price rests on; `None` for machines that stand there already without a price.
    pub price: Option<PriceRow>,
    /// Share of its term above which a node costs less this way than on demand: the level of a newsvendor. Absent where it
    /// is paid by the hour, or nobody knows a price on demand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_above: Option<f64>,
}

/// Machines of one shape at one site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pool {
    /// Where.
    pub site: String,
    /// The machine.
    pub shape: String,
    /// Accelerators of one node.
    pub accelerators: u32,
    /// Nodes needed by period and hour, spares included.
    pub needed: Vec<Vec<u32>>,
    /// Of these, spare nodes that the site's redundancy asks for.
    pub spares: u32,
    /// Nodes that stand there already, by period.
    pub fleet: Vec<u32>,
    /// How the rest is bought.
    pub purchases: Vec<Purchase>,
}

impl Pool {
    /// Returns the nodes that there are at once in a period: those that stood there and those that are bought.
    pub fn nodes(&self, period: usize) -> u32 {
        let bought: u32 = self.purchases.iter().filter_map(|one| one.nodes_by_period.get(period)).sum();
        self.fleet.get(period).copied().unwrap_or(0) + bought
    }

    /// Returns the most nodes that there are in any period.
    pub fn most_nodes(&self) -> u32 {
        (0..self.needed.len()).map(|period| self.nodes(period)).max().unwrap_or(0)
    }

    /// Returns the most nodes that run in one hour of a period: what is bought by the hour comes and goes, and not all of
    /// its kinds at once.
    pub fn at_once(&self, period: usize) -> u32 {
        let by_the_hour =
            |purchase: &&Purchase| matches!(purchase.option, PurchaseOption::OnDemand | PurchaseOption::Spot);
        let hourly: u32 =
            self.purchases.iter().filter(by_the_hour).filter_map(|p| p.nodes_by_period.get(period)).sum();
        let all = self.nodes(period);
        let needed = self.needed.get(period).into_iter().flatten().copied().max().unwrap_or(0);
        all.min(needed.max(all - hourly))
    }
}

/// Power and racks of one site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SiteSummary {
    /// The site.
    pub site: String,
    /// Most nodes at once.
    pub nodes: u32,
    /// Most accelerators at once.
    pub accelerators: u32,
    /// Highest IT power; unknown where a machine's power is.
    #[serde(rename = "it_power_w")]
    pub it_power: Option<Watts>,
    /// Highest facility power.
    #[serde(rename = "facility_power_w")]
    pub facility_power: Option<Watts>,
    /// The limit, if any.
    #[serde(rename = "power_limit_w")]
    pub power_limit: Option<Watts>,
    /// Racks, at own sites.
    pub racks: Option<u32>,
}
