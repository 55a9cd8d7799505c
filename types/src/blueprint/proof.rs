//! Why one may believe the answer: what was simulated, how it was solved, what was turned down.

use crate::place::Place;
use crate::spec::{RuleKind, SloMetric};
use crate::units::{RequestsPerSecond, Seconds};
use indexmap::IndexMap;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a service level holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictStatus {
    /// The interval lies below the target.
    Met,
    /// The interval lies above the target.
    Missed,
    /// The target lies inside the interval after the last replication.
    Undecided,
}

/// What the simulator saw against one service level at the hour that strains it most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The workload.
    pub workload: String,
    /// The site that was simulated.
    pub site: String,
    /// What was measured.
    pub metric: SloMetric,
    /// Percentile in thousandths.
    pub per_mille: u32,
    /// The windows of the hour, of each run the worst of which was taken; the whole hour where none are given.
    #[serde(default, rename = "over_s", skip_serializing_if = "Option::is_none")]
    pub over: Option<Seconds>,
    /// The limit.
    #[serde(rename = "target_s")]
    pub target: Seconds,
    /// Mean over replications of the percentile.
    #[serde(rename = "seen_s")]
    pub seen: Seconds,
    /// Lower end of its 95 % interval.
    #[serde(rename = "low_s")]
    pub low: Seconds,
    /// Upper end of its 95 % interval.
    #[serde(rename = "high_s")]
    pub high: Seconds,
    /// Whether the level holds.
    pub status: VerdictStatus,
    /// Share of requests that met the target.
    pub attainment: f64,
    /// The period that was simulated.
    pub period: u32,
    /// The hour: 0 to 23 on a weekday, 24 to 47 at a weekend.
    pub hour: u32,
    /// Rate offered to the replicas that were simulated.
    #[serde(rename = "requests_per_s")]
    pub rate: RequestsPerSecond,
    /// Replicas that were simulated.
    pub replicas: u32,
    /// Replicas that stand there at that hour.
    pub replicas_planned: u32,
    /// Requests over all replications.
    pub requests: u64,
    /// Replications.
    pub replications: u32,
    /// Where arrivals came from: a law, or a trace.
    pub arrivals: String,
    /// Name of the random streams.
    pub stream: String,
    /// Sequences that ran at once, on average.
    pub mean_batch: f64,
    /// Highest share of the cache in use.
    pub peak_kv: f64,
    /// What was found of prompts, where they begin alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused: Option<Reused>,
    /// Requests that were turned away because too many waited.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub turned_away: u64,
    /// What requests saw that yield to the others, where there are any; nothing else here is theirs but `requests`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<BackgroundSeen>,
    /// How long the requests that were answered took: percentiles that rise, each the mean over replications.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub latencies: Vec<Latency>,
}

/// What requests saw that yield to the others; each time the mean over replications.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BackgroundSeen {
    /// How many there were, over all replications.
    pub requests: u64,
    /// Of those, turned away.
    pub turned_away: u64,
    /// Median time to first token; unknown where none got one.
    pub ttft_p50_s: Option<Seconds>,
    /// Its 99th percentile.
    pub ttft_p99_s: Option<Seconds>,
    /// Median time from arrival to last token.
    pub e2e_p50_s: Option<Seconds>,
    /// Its 99th percentile.
    pub e2e_p99_s: Option<Seconds>,
}

/// A percentile of what requests took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Percentile in thousandths.
    pub per_mille: u32,
    /// What so many took at most.
    #[serde(rename = "seen_s")]
    pub seen: Seconds,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What was found of prompts that had been read before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reused {
    /// Share of the tokens of prompts that were found and not read again.
    pub share: f64,
    /// Share of these that came back from host memory or disk.
    pub read_back: f64,
}

/// What a rule of a budget said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RuleOutcome {
    /// The budget.
    pub budget: String,
    /// Label of the rule.
    pub label: Option<String>,
    /// What it does.
    pub kind: RuleKind,
    /// The text as written.
    pub text: String,
    /// Whether it holds; `None` where a number in it is unknown.
    pub holds: Option<bool>,
    /// Both sides in numbers.
    pub numbers: String,
    /// What the plan says where it does not hold: its `else`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Where it stands.
    pub place: Place,
}

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SolverStatus {
    /// Proven best within the gap.
    Optimal,
    /// Best found when the node limit was reached.
    NodeLimit,
    /// No solution exists.
    Infeasible,
}

/// One turn of solve, simulate, derate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Round {
    /// Objective of the draft.
    pub objective: f64,
    /// Levels that the draft missed, in words.
    pub missed: Vec<String>,
    /// Factors that changed after it: workload, candidate in words, new factor.
    pub derated: Vec<(String, String, f64)>,
    /// Counts that changed after it: workload, candidate in words, fewest replicas.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub raised: Vec<(String, String, u32)>,
}

/// How the answer was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Solver {
    /// How the program ended.
    pub status: SolverStatus,
    /// True cost of the chosen plan, by the objective.
    pub objective: f64,
    /// Proven lower bound over all columns.
    pub bound: Option<f64>,
    /// (objective − bound) / objective.
    pub gap: Option<f64>,
    /// Columns of the last program.
    pub columns: u32,
    /// Turns of the loop.
    pub rounds: Vec<Round>,
    /// Whether the last turn changed nothing.
    pub settled: bool,
    /// How equally cheap answers were ordered.
    pub ties: String,
}

/// The next best plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunnerUp {
    /// The workload that runs otherwise.
    pub workload: String,
    /// How, in words.
    pub instead: String,
    /// What it costs more, by the objective.
    #[schemars(with = "f64")]
    pub extra: Decimal,
    /// The same as a share of the chosen plan.
    pub extra_share: f64,
    /// Whether it was simulated; runners-up are estimated only.
    pub simulated: bool,
}

/// What a limit costs: the saving of the best plan with the limit relaxed, found by planning again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LimitPrice {
    /// What is limited, such as `power at hz1`.
    pub what: String,
    /// Unit of the value.
    pub unit: String,
    /// The limit.
    pub value: f64,
    /// What was tried instead.
    pub relaxed_to: f64,
    /// What it saves, by the objective.
    #[schemars(with = "f64")]
    pub saving: Decimal,
    /// The same per unit.
    #[schemars(with = "f64")]
    pub saving_per_unit: Decimal,
    /// Where the limit stands.
    pub place: Option<Place>,
}

/// Candidates turned down for one reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RejectionCount {
    /// The workload.
    pub workload: String,
    /// The machine.
    pub shape: String,
    /// Name of the reason, such as `does_not_fit`.
    pub reason: String,
    /// How many candidates.
    pub count: u32,
    /// The one that came nearest, with its numbers.
    pub nearest: String,
    /// By which factor that one exceeds its limit, at least 1; absent where the reason is no matter of degree.
    pub excess: Option<f64>,
}

/// Everything of a workload that was turned down for one reason, over all machines.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReasonCount<'a> {
    /// How many candidates, on all machines.
    pub candidates: u32,
    /// On how many machines.
    pub machines: u32,
    /// The row whose nearest miss is nearest of all.
    pub nearest: &'a RejectionCount,
}

/// Sums rejections by workload and reason, in the order in which the pairs first appear.
pub fn by_reason<'a>(rows: impl Iterator<Item = &'a RejectionCount>) -> Vec<ReasonCount<'a>> {
    let mut sums: IndexMap<(&str, &str), ReasonCount<'a>> = IndexMap::new();
    for row in rows {
        let empty = ReasonCount { candidates: 0, machines: 0, nearest: row };
        let sum = sums.entry((&row.workload, &row.reason)).or_insert(empty);
        sum.candidates += row.count;
        sum.machines += 1;
        let excess = |row: &RejectionCount| row.excess.unwrap_or(f64::INFINITY);
        if excess(row) < excess(sum.nearest) {
            sum.nearest = row;
        }
    }
    sums.into_values().collect()
}

/// One line of the independent check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditCheck {
    /// What was checked.
    pub check: String,
    /// How many things it looked at.
    pub looked_at: u32,
    /// What is wrong; empty when it holds.
    pub violations: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(workload: &str, shape: &str, reason: &str, count: u32, excess: Option<f64>) -> RejectionCount {
        let text = str::to_owned;
        RejectionCount {
            workload: text(workload),
            shape: text(shape),
            reason: text(reason),
            count,
            nearest: format!("miss on {shape}"),
            excess,
        }
    }

    #[test]
    fn the_nearest_miss_of_all_machines_stands_for_a_reason() {
        let rows = [
            row("chat", "a", "does_not_fit", 2, Some(1.9)),
            row("chat", "b", "does_not_fit", 3, Some(1.2)),
            row("chat", "b", "rack_too_low", 1, None),
            row("code", "a", "does_not_fit", 1, Some(1.1)),
        ];
        let sums = by_reason(rows.iter());
        let told: Vec<_> = sums
            .iter()
            .map(|s| (s.nearest.workload.as_str(), s.candidates, s.machines, s.nearest.shape.as_str()))
            .collect();
        assert_eq!(told, [("chat", 5, 2, "b"), ("chat", 1, 1, "b"), ("code", 1, 1, "a")]);
    }
}
