//! Two whole blueprints, made by hand: one that holds and one for which no plan exists.
//!
//! Invariant: [`chat_blueprint`] is true in itself. Lines are quantity × unit price, totals are sums of lines,
//! machines cover replicas and replicas cover demand, so that an audit finds nothing. It is not what the planner
//! would answer to the same text.

mod inputs;
mod machines;
mod money;
mod worlds;

use crate::blueprint::{
    AuditCheck, Blueprint, FORMAT, Latency, LimitPrice, RejectionCount, Round, RuleOutcome, RunnerUp, Solver,
    SolverStatus, Status, Unpriced, Verdict, VerdictStatus,
};
use crate::finding::{Finding, Severity};
use crate::offering::PurchaseOption;
use crate::place::{FileId, Place};
use crate::spec::{App, AppKind, RuleKind, Slice, SloMetric};
use crate::units::{Bytes, RequestsPerSecond, Seconds};
use rust_decimal::Decimal;

/// The plan file that the places point into.
pub const PLAN_FILE: &str = "chat.plan";

/// The model that is served and trained.
const MODEL: &str = "llama3_1_70b";

/// The rented site and its machine.
const CLOUD: (&str, &str) = ("use1", "aws.p5_48xlarge");

/// The own site and its machine.
const OWN: (&str, &str) = ("hz1", "own.h100_sxm_8");

fn place(start: u32, end: u32) -> Place {
    Place { file: FileId::new(PLAN_FILE), start, end }
}

/// Forty notebooks on slices of the own machines.
pub fn notebooks() -> App {
    App {
        name: "notebooks".to_owned(),
        place: place(0, 0),
        kind: AppKind::Workspace,
        image: None,
        port: None,
        mount: None,
        models: None,
        instances: 40,
        hours: None,
        threads: 2.0,
        memory: Bytes(8e9),
        storage: Bytes(0.0),
        part: Some(Slice::Profile { profile: "1g.10gb".to_owned() }),
        accelerators: None,
        availability: None,
        buy: Vec::new(),
        sites: Some(vec![OWN.0.to_owned()]),
    }
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|&word| word.to_owned()).collect()
}

/// Returns the exact decimal of a literal.
fn decimal(text: &str) -> Decimal {
    text.parse().expect("the literals of this fixture are numbers")
}

/// Returns a float as a decimal with six places, which is what quantities are printed with.
fn quantity(number: f64) -> Decimal {
    Decimal::try_from(number).expect("the quantities of this fixture are finite").round_dp(6)
}

/// Returns a blueprint that holds: Llama-3.1-70B served on rented p5 nodes for three years, partly reserved,
/// and trained for five months on own machines of which some stand there already.
pub fn chat_blueprint() -> Blueprint {
    let periods = machines::periods();
    let demand = machines::demand(&periods);
    let services = vec![machines::service(&demand)];
    let trainings = vec![machines::training(periods.len())];
    let pools =
        vec![machines::own_pool(&periods, &trainings[0]), machines::cloud_pool(&periods, &services[0])];
    let cost = money::cost(&periods, &pools, &demand, &services[0], &trainings[0]);
    let rules = rules(&cost.workloads[0].per_million_tokens);
    Blueprint {
        format: FORMAT,
        tool: "0.1.0".to_owned(),
        status: Status::Feasible,
        changes: true,
        inputs: inputs::inputs(),
        sites: machines::sites(&pools),
        networks: machines::networks(&pools),
        stores: machines::stores(),
        verdicts: verdicts(services[0].placements[0].peak_replicas()),
        what_ifs: Vec::new(),
        bursts: Vec::new(),
        rules,
        solver: solver(&cost),
        runners_up: runners_up(),
        limit_prices: limit_prices(),
        uncertainty: Some(worlds::uncertainty()),
        scenarios: worlds::scenarios(&cost),
        rejections: rejections(),
        unpriced: vec![Unpriced {
            site: CLOUD.0.to_owned(),
            shape: CLOUD.1.to_owned(),
            option: PurchaseOption::Reserved { term_months: 12 },
        }],
        findings: vec![old_price()],
        assumptions: inputs::assumptions(),
        audit: vec![AuditCheck {
            check: "money: every line is quantity × unit price".to_owned(),
            looked_at: u32::try_from(cost.lines.len()).unwrap_or(u32::MAX),
            violations: Vec::new(),
        }],
        periods,
        demand,
        services,
        trainings,
        batches: Vec::new(),
        apps: Vec::new(),
        pools,
        cost,
    }
}

/// Returns the blueprint of a plan that cannot be kept: the same wishes under a budget that is too small.
pub fn infeasible_blueprint() -> Blueprint {
    let mut blueprint = chat_blueprint();
    let small = &mut blueprint.inputs.spec.budgets[0];
    small.opex_per_month = small.opex_per_month.take().map(|mut limit| {
        limit.value = decimal("40000");
        limit
    });
    blueprint.status = Status::Infeasible;
    blueprint.changes = false;
    blueprint.services.clear();
    blueprint.trainings.clear();
    blueprint.pools.clear();
    blueprint.sites.clear();
    blueprint.networks.clear();
    blueprint.verdicts.clear();
    blueprint.rules.clear();
    blueprint.runners_up.clear();
    blueprint.limit_prices.clear();
    blueprint.uncertainty = None;
    blueprint.scenarios.clear();
    blueprint.audit.clear();
    blueprint.cost = money::nothing(36);
    blueprint.solver = Solver {
        status: SolverStatus::Infeasible,
        objective: 0.0,
        bound: None,
        gap: None,
        rounds: Vec::new(),
        ..blueprint.solver
    };
    blueprint.findings = vec![budget_too_small()];
    blueprint
}

fn verdicts(peak_replicas: u32) -> Vec<Verdict> {
    let ttft = Verdict {
        workload: "chat".to_owned(),
        site: CLOUD.0.to_owned(),
        metric: SloMetric::Ttft,
        per_mille: 990,
        over: None,
        target: Seconds(0.5),
        seen: Seconds(0.412),
        low: Seconds(0.398),
        high: Seconds(0.426),
        status: VerdictStatus::Met,
        attainment: 0.9946,
        period: 5,
        hour: 14,
        rate: RequestsPerSecond(57.2),
        replicas: peak_replicas,
        replicas_planned: peak_replicas,
        requests: 1_647_360,
        replications: 8,
        arrivals: "Poisson".to_owned(),
        stream: "chat/use1/arrivals".to_owned(),
        mean_batch: 38.4,
        peak_kv: 0.71,
        reused: None,
        turned_away: 0,
        background: None,
        latencies: latencies([0.118, 0.236, 0.301, 0.412, 0.655]),
    };
    let tpot = Verdict {
        metric: SloMetric::Tpot,
        target: Seconds(0.05),
        seen: Seconds(0.0411),
        low: Seconds(0.0402),
        high: Seconds(0.0421),
        attainment: 0.9988,
        latencies: latencies([0.0262, 0.0331, 0.0357, 0.0411, 0.0489]),
        ..ttft.clone()
    };
    vec![ttft, tpot]
}

fn latencies(seen: [f64; 5]) -> Vec<Latency> {
    let point = |(per_mille, seen)| Latency { per_mille, seen: Seconds(seen) };
    [500, 900, 950, 990, 999].into_iter().zip(seen).map(point).collect()
}

fn rules(per_million: &Option<Decimal>) -> Vec<RuleOutcome> {
    let seen = per_million.map_or_else(|| "unknown".to_owned(), |cost| format!("{cost} USD/Mtok"));
    let unit_cost = RuleOutcome {
        budget: "fy27".to_owned(),
        label: Some("unit_cost".to_owned()),
        kind: RuleKind::Require,
        text: "chat.cost / chat.tokens <= 1.20 USD/Mtok".to_owned(),
        holds: Some(true),
        numbers: format!("{seen} <= 1.20 USD/Mtok"),
        message: None,
        place: place(1290, 1330),
    };
    let fewer = RuleOutcome {
        label: Some("few_nodes".to_owned()),
        kind: RuleKind::Prefer,
        text: "chat.nodes <= 6".to_owned(),
        holds: Some(false),
        numbers: "8 <= 6".to_owned(),
        place: place(1380, 1395),
        ..unit_cost.clone()
    };
    vec![unit_cost, fewer]
}

fn solver(cost: &crate::blueprint::Cost) -> Solver {
    let objective: f64 = cost.net_present.try_into().expect("the total of this fixture is a small number");
    Solver {
        status: SolverStatus::Optimal,
        objective,
        bound: Some(objective * 0.998),
        gap: Some(0.002),
        columns: 214,
        rounds: vec![
            Round {
                objective: objective * 0.97,
                missed: words(&["chat ttft p99 at use1: 531 ms > 500 ms"]),
                derated: vec![("chat".to_owned(), "aws.p5_48xlarge, tp 4, bf16".to_owned(), 0.95)],
                raised: Vec::new(),
            },
            Round { objective, missed: Vec::new(), derated: Vec::new(), raised: Vec::new() },
        ],
        settled: true,
        ties: "fewer kinds of machines, then by name".to_owned(),
    }
}

fn runners_up() -> Vec<RunnerUp> {
    let runner = |workload: &str, instead: &str, extra: &str, share| RunnerUp {
        workload: workload.to_owned(),
        instead: instead.to_owned(),
        extra: decimal(extra),
        extra_share: share,
        simulated: false,
    };
    vec![
        runner("chat", "aws.p5_48xlarge at use1, tp 8, bf16", "312450.18", 0.062),
        runner("pretrain", "aws.p5_48xlarge at use1, 24 nodes, tp 8, pp 2", "2204118.40", 0.437),
    ]
}

fn limit_prices() -> Vec<LimitPrice> {
    vec![LimitPrice {
        what: "power at hz1".to_owned(),
        unit: "kW".to_owned(),
        value: 1200.0,
        relaxed_to: 1260.0,
        saving: decimal("24118.20"),
        saving_per_unit: decimal("401.97"),
        place: Some(place(145, 165)),
    }]
}

fn rejections() -> Vec<RejectionCount> {
    let row =
        |workload: &str, shape: &str, reason: &str, count, (nearest, excess): (&str, f64)| RejectionCount {
            workload: workload.to_owned(),
            shape: shape.to_owned(),
            reason: reason.to_owned(),
            count,
            nearest: nearest.to_owned(),
            excess: Some(excess),
        };
    vec![
        row(
            "chat",
            "aws.p5_48xlarge",
            "does_not_fit",
            2,
            ("tp 1, bf16: needs 141.1 GB, 76.9 GB are free on one h100_sxm", 1.835),
        ),
        row("chat", "aws.p5_48xlarge", "too_slow", 1, ("tp 2, bf16: ttft p99 970 ms > 500 ms", 1.94)),
        row(
            "pretrain",
            "own.h100_sxm_8",
            "does_not_fit",
            6,
            ("8 nodes, tp 8, pp 1: needs 168.0 GB, 83.4 GB are free on one h100_sxm", 2.014),
        ),
    ]
}

fn old_price() -> Finding {
    Finding {
        code: "W0502".to_owned(),
        severity: Severity::Warning,
        message: "the price of `own.h100_sxm_8` is 443 days old".to_owned(),
        places: Vec::new(),
        because: words(&["it was read on 2024-08-15 and the planning date is 2025-11-01"]),
        ways_out: words(&["put a quotation into a price file and name it with `use prices`"]),
    }
}

fn budget_too_small() -> Finding {
    Finding {
        code: "E0401".to_owned(),
        severity: Severity::Error,
        message: "no plan keeps `opex` of budget `fy27`".to_owned(),
        places: vec![(place(1254, 1270), "at least 104,210.00 USD a month are needed".to_owned())],
        because: words(&[
            "`chat` needs 8 nodes of aws.p5_48xlarge in its busiest hour",
            "the cheapest of them costs 20.695 USD/h, reserved 3 y",
        ]),
        ways_out: words(&["opex <= 105 kUSD/mo", "peak <= 15 req/s", "tpot p99 <= 80 ms (−11 % cost)"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_survive_the_way_through_json() {
        for blueprint in [chat_blueprint(), infeasible_blueprint()] {
            let text = serde_json::to_string(&blueprint).unwrap();
            let back: Blueprint = serde_json::from_str(&text).unwrap();
            assert!(back == blueprint, "what was read differs from what was written");
        }
    }

    #[test]
    fn the_total_is_the_sum_of_the_lines() {
        let cost = chat_blueprint().cost;
        assert_eq!(cost.total, cost.lines.iter().map(|line| line.billed_cost).sum::<Decimal>());
        assert_eq!(cost.total, cost.workloads.iter().map(|workload| workload.cost).sum::<Decimal>());
        assert!(cost.total > Decimal::ZERO);
    }
}
