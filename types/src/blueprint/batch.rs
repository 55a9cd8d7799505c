//! How offline inference runs.

use super::Candidate;
use crate::origin::Origin;
use crate::units::{Bytes, RequestsPerSecond, Seconds};
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one replica achieves by the closed form while requests never run out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OfflineEstimate {
    /// Requests per second.
    #[serde(rename = "requests_per_s")]
    pub rate: RequestsPerSecond,
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
    /// Sequences that run at once.
    pub batch: f64,
    /// What stops more of them.
    pub bound_by: String,
    /// How the numbers came to be.
    pub origin: Origin,
}

/// What the simulator saw of one replica while requests never ran out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OfflineSeen {
    /// Requests per second.
    #[serde(rename = "requests_per_s")]
    pub rate: RequestsPerSecond,
    /// Requests in flight.
    pub clients: u32,
    /// Requests that were answered while it was measured.
    pub requests: u64,
    /// Name of the random streams.
    pub stream: String,
}

/// How one workload of offline inference runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BatchRun {
    /// The workload.
    pub workload: String,
    /// The model.
    pub model: String,
    /// Where.
    pub site: String,
    /// How.
    pub candidate: Candidate,
    /// What one replica achieves by the closed form.
    pub estimate: OfflineEstimate,
    /// What the simulator saw of one.
    pub simulated: Option<OfflineSeen>,
    /// Factor on the rate that the simulator asked for; only ever falls.
    pub derating: f64,
    /// Share of the time in which the machines of a replica are up.
    pub up: f64,
    /// Replicas by typical hour: those of a weekday, then those of a weekend day.
    pub replicas: Vec<u32>,
    /// Seconds from the start of a container to its first answer, taken off the hours at each start.
    #[serde(rename = "loading_s")]
    pub loading: Seconds,
    /// First day.
    #[schemars(with = "String")]
    pub start: Date,
    /// Last day.
    #[schemars(with = "String")]
    pub end: Date,
    /// Hours from the first to the last answer, those among them in which it does not run.
    pub hours: f64,
    /// Periods in which it runs, with the share of the period's hours.
    pub shares: Vec<f64>,
    /// Hours of replicas, those of loading among them.
    pub replica_hours: f64,
    /// Requests that are answered by then.
    pub requests: f64,
}

impl BatchRun {
    /// Returns the most replicas at any hour.
    pub fn peak_replicas(&self) -> u32 {
        self.replicas.iter().copied().max().unwrap_or(0)
    }

    /// Returns the hours of a weekday in which it runs.
    pub fn hours_of_weekday(&self) -> usize {
        self.replicas.iter().take(super::HOURS / 2).filter(|&&replicas| replicas > 0).count()
    }

    /// Returns the replicas at an hour of a period.
    pub fn replicas_at(&self, period: usize, hour: usize) -> u32 {
        let runs = self.shares.get(period).is_some_and(|&share| share > 0.0);
        if runs { self.replicas.get(hour).copied().unwrap_or(0) } else { 0 }
    }

    /// Returns the rate that one replica is planned at.
    pub fn rate(&self) -> f64 {
        self.estimate.rate.get() * self.derating * self.up
    }

    /// Says how many replicas run when: `7 replicas` or `up to 7 replicas in 12 h of a weekday`.
    pub fn words(&self) -> String {
        let (most, fewest) = (self.peak_replicas(), self.replicas.iter().copied().min().unwrap_or(0));
        let noun = if most == 1 { "replica" } else { "replicas" };
        match self.hours_of_weekday() {
            _ if most == fewest => format!("{most} {noun} at every hour"),
            24 => format!("{fewest} to {most} replicas over the day"),
            hours if fewest == 0 && self.replicas.iter().all(|&count| count == 0 || count == most) => {
                format!("{most} {noun} in {hours} h of a weekday")
            }
            hours => format!("up to {most} {noun} in {hours} h of a weekday"),
        }
    }
}
