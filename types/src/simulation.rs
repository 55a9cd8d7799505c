//! What would happen: a plan simulated again, longer and under other circumstances than when it was made.

use crate::blueprint::{BackgroundSeen, Reused, VerdictStatus};
use crate::spec::SloMetric;
use crate::units::{RequestsPerSecond, Seconds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The format that this version writes.
pub const SIMULATION_FORMAT: u32 = 1;

/// A plan, simulated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Simulation {
    /// Format of this document.
    pub format: u32,
    /// Version of the tool that wrote it; recorded, never compared.
    pub tool: String,
    /// Name of the plan.
    pub plan: String,
    /// Seed of every random stream.
    pub seed: u64,
    /// What is otherwise than planned, in words.
    pub what_if: Vec<String>,
    /// Missed where a level is missed anywhere; undecided where one is undecided and none is missed.
    pub status: VerdictStatus,
    /// Whether somebody interrupted it: it is what was known until then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// Each hour of each placement that was simulated.
    pub runs: Vec<SimulatedHour>,
}

/// A mean over replications with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimated {
    /// Mean.
    pub mean: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// Seconds that requests took: the mean and percentiles, each a mean over replications.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Mean.
    pub mean_s: Estimated,
    /// Median.
    pub p50_s: Estimated,
    /// 90th percentile.
    pub p90_s: Estimated,
    /// 95th percentile.
    pub p95_s: Estimated,
    /// 99th percentile.
    pub p99_s: Estimated,
    /// 99.9th percentile.
    pub p999_s: Estimated,
}

/// One placement at one hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SimulatedHour {
    /// The workload.
    pub workload: String,
    /// The site.
    pub site: String,
    /// The period.
    pub period: u32,
    /// The hour: 0 to 23 on a weekday, 24 to 47 at a weekend.
    pub hour: u32,
    /// Requests per second offered.
    #[serde(rename = "requests_per_s")]
    pub rate: RequestsPerSecond,
    /// Replicas that serve.
    pub replicas: u32,
    /// Where arrivals came from: a law, or a trace.
    pub arrivals: String,
    /// Replications.
    pub replications: u32,
    /// Simulated time of one replication that counts, after the warm-up.
    #[serde(rename = "measured_s")]
    pub measured: Seconds,
    /// Whether a replication was stopped at its bound on events; nothing is decided then.
    pub cut_short: bool,
    /// The simulated time at which the first that was stopped was.
    #[serde(default, rename = "cut_short_at_s", skip_serializing_if = "Option::is_none")]
    pub cut_short_at: Option<Seconds>,
    /// Requests that count, over all replications.
    pub requests: u64,
    /// Of those, completed.
    pub completed: u64,
    /// Of those, turned away.
    pub rejected: u64,
    /// Of those, lost when a replica failed.
    pub lost: u64,
    /// Of those, preempted, or sent again when a replica failed.
    pub restarted: u64,
    /// Time to first token.
    pub ttft: Option<Latency>,
    /// Time per output token of a request.
    pub tpot: Option<Latency>,
    /// Time between two tokens, over all tokens.
    pub itl: Option<Latency>,
    /// Time from arrival to last token.
    pub e2e: Option<Latency>,
    /// Requests per second that meet every level.
    pub goodput_per_s: Estimated,
    /// Completed requests per second.
    pub served_per_s: Estimated,
    /// Share of time in which a replica runs a step.
    pub utilisation: Estimated,
    /// Sequences that run at once, on average.
    pub mean_batch: f64,
    /// Highest share of a replica's cache in use.
    pub peak_kv: f64,
    /// What was found of prompts, where they begin alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused: Option<Reused>,
    /// What requests saw that yield to the others, where there are any; the times above and the levels are not theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<BackgroundSeen>,
    /// Each service level.
    pub levels: Vec<SimulatedLevel>,
    /// What failed, and what came of it.
    pub failure: Option<SimulatedFailure>,
    /// How replicas followed the requests, in the first replication, where they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<SimulatedScaling>,
    /// How requests of the mean of a trace would fare if they came at random, where the plan names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random_arrivals: Option<RandomArrivals>,
    /// Queues and machines over time, of the first replication.
    pub timeline: Vec<TimelinePoint>,
}

/// What was seen against one service level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SimulatedLevel {
    /// What is measured.
    pub metric: SloMetric,
    /// Percentile in thousandths.
    pub per_mille: u32,
    /// The windows of the hour, of each run the worst of which was taken; the whole hour where none are given.
    #[serde(default, rename = "over_s", skip_serializing_if = "Option::is_none")]
    pub over: Option<Seconds>,
    /// The limit.
    #[serde(rename = "target_s")]
    pub target: Seconds,
    /// The percentile; unknown where it falls on a request that got no answer.
    pub seen_s: Option<Estimated>,
    /// Share of requests within the limit.
    pub attainment: Option<Estimated>,
    /// Whether the level holds.
    pub status: VerdictStatus,
}

/// Replicas that failed, and how the service fared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SimulatedFailure {
    /// What failed, in words.
    pub what: String,
    /// Replicas that went down.
    pub replicas: u32,
    /// When, from the start.
    #[serde(rename = "at_s")]
    pub at: Seconds,
    /// When they were back.
    #[serde(rename = "back_s")]
    pub back: Seconds,
    /// Share of the requests that met every level: of those that were over before.
    pub attainment_before: Option<f64>,
    /// Of those that arrived while replicas were down.
    pub attainment_during: Option<f64>,
    /// Of those that arrived afterwards.
    pub attainment_after: Option<f64>,
    /// Time from the failure until no more requests waited than before it, in the first replication; unknown where that
    /// did not happen.
    #[serde(rename = "recovery_s")]
    pub recovery: Option<Seconds>,
}

/// Requests with the mean rate and the lengths of a trace, without its bursts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RandomArrivals {
    /// Their mean rate.
    #[serde(rename = "requests_per_s")]
    pub rate: RequestsPerSecond,
    /// Replicas that would do; unknown where not even all of them would.
    pub replicas: Option<u32>,
    /// 99th percentile of the time to first token on all replicas, what is waited outside of them left out.
    pub ttft_p99_s: Option<f64>,
}

/// How replicas followed the requests in flight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SimulatedScaling {
    /// Requests in flight that a replica should have.
    pub target: f64,
    /// Cold starts.
    pub starts: u32,
    /// The longest of them, from the order of a machine to the first request.
    #[serde(rename = "longest_start_s")]
    pub longest_start: Seconds,
    /// Most replicas that served at once.
    pub most_serving: u32,
    /// Fewest replicas that served at once.
    pub fewest_serving: u32,
    /// Replicas that are paid for, mean over the simulated time.
    pub mean_paid: f64,
}

/// One slice of time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimelinePoint {
    /// When it begins, from the start.
    pub at_s: f64,
    /// Requests that wait, mean over the slice.
    pub waiting: f64,
    /// Requests that run, mean over the slice.
    pub running: f64,
    /// Share of the cache in use, mean over the time in which replicas ran steps.
    pub kv: f64,
    /// Share of time in which a replica ran a step.
    pub utilisation: f64,
    /// Requests that arrived.
    pub arrived: u64,
    /// Requests that completed.
    pub completed: u64,
}
