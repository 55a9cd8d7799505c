//! Blueprint → the report that programs read: numbers as numbers, units in the names of fields.

use capstan_types::blueprint::{
    AppRun, BatchRun, Blueprint, CostKind, LimitPrice, Network, Period, RuleOutcome, RunnerUp,
    ScenarioOutcome, SiteSummary, Solver, Status, Store, TrainingRun, Uncertainty, Unpriced, Verdict,
    VerdictStatus, WorkloadCost,
};
use capstan_types::finding::{Finding, Severity};
use capstan_types::money::Currency;
use capstan_types::offering::PurchaseOption;
use capstan_types::origin::{Origin, PriceGrade};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Format of the report that programs read.
pub const REPORT_FORMAT: u32 = 1;

/// How many numbers rest on an assumption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Assumed {
    /// Defaults that stood in for what the plan does not say.
    pub defaults: usize,
    /// Lines of the bill whose price is assumed.
    pub cost_lines: usize,
    /// Prices that purchases rest on and that are estimates.
    pub price_estimates: usize,
    /// Rows of the embedded catalog that are disputed or recalled.
    pub catalog_facts: usize,
}

/// Counts assumed numbers.
pub(crate) fn assumed(blueprint: &Blueprint) -> Assumed {
    let catalog = &blueprint.inputs.catalog;
    let rows = catalog.accelerators.iter().map(|row| row.provenance.grade);
    let rows = rows.chain(catalog.shapes.iter().map(|row| row.provenance.grade));
    let rows = rows.chain(catalog.fabrics.iter().map(|row| row.provenance.grade));
    let rows = rows.chain(catalog.storage.iter().map(|row| row.provenance.grade));
    let rows = rows.chain(catalog.models.iter().map(|row| row.provenance.grade));
    let rows = rows.chain(catalog.traffic.iter().map(|row| row.provenance.grade));
    let rows = rows.chain(catalog.engines.iter().map(|row| row.provenance.grade));
    let rows = rows.chain(catalog.ownership.iter().map(|row| row.provenance.grade));
    let rows = rows.chain(catalog.regions.iter().map(|row| row.provenance.grade));
    let purchases = blueprint.pools.iter().flat_map(|pool| &pool.purchases);
    let prices = purchases.filter_map(|purchase| purchase.price.as_ref());
    Assumed {
        defaults: blueprint.assumptions.len(),
        cost_lines: blueprint.cost.lines.iter().filter(|line| line.origin == Origin::Assumed).count(),
        price_estimates: prices.filter(|price| price.grade == PriceGrade::Estimate).count(),
        catalog_facts: rows.filter(|grade| grade.origin() == Origin::Assumed).count(),
    }
}

/// The numbers that decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Whether the plan holds: what the exit code of `plan` says too.
    pub status: Status,
    /// Cost over the horizon, in the currency of the report like every amount.
    #[schemars(with = "f64")]
    pub total: Decimal,
    /// Purchases.
    #[schemars(with = "f64")]
    pub capex: Decimal,
    /// Running cost.
    #[schemars(with = "f64")]
    pub opex: Decimal,
    /// What contracts still bind after the horizon; absent where that is nothing.
    #[serde(default, skip_serializing_if = "Decimal::is_zero")]
    #[schemars(with = "f64")]
    pub still_bound: Decimal,
    /// Total per month.
    #[schemars(with = "f64")]
    pub per_month: Decimal,
    /// Running cost of the dearest month.
    #[schemars(with = "f64")]
    pub highest_opex_per_month: Decimal,
    /// Total, discounted.
    #[schemars(with = "f64")]
    pub net_present: Decimal,
    /// The same machines on demand; unknown where one has no such price.
    #[schemars(with = "Option<f64>")]
    pub all_on_demand: Option<Decimal>,
    /// Most nodes, summed over sites.
    pub nodes: u32,
    /// Most accelerators, summed over sites.
    pub accelerators: u32,
    /// Highest facility power of own sites; unknown where one is.
    pub facility_power_w: Option<f64>,
    /// Service levels that hold.
    pub levels_met: usize,
    /// Service levels that do not hold.
    pub levels_missed: usize,
    /// Service levels that stayed undecided.
    pub levels_undecided: usize,
    /// Findings that are errors.
    pub errors: usize,
    /// Findings that are warnings.
    pub warnings: usize,
    /// Numbers that the audit found wrong.
    pub audit_violations: usize,
    /// Offerings passed over since nobody knows their price.
    pub unpriced: usize,
    /// Numbers that rest on an assumption.
    pub assumed: Assumed,
    /// Date of the oldest price that a purchase rests on.
    pub oldest_price_as_of: Option<String>,
    /// Days from it to the planning date.
    pub oldest_price_days: Option<i64>,
}

/// Machines bought in one way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bought {
    /// Where.
    pub site: String,
    /// The machine.
    pub shape: String,
    /// How.
    pub option: PurchaseOption,
    /// Most nodes at once.
    pub nodes: u32,
    /// Nodes by period.
    pub nodes_by_period: Vec<u32>,
    /// Node-hours over the horizon.
    pub node_hours: f64,
    /// Price of a node-hour, of a node where owned; unknown is null.
    #[schemars(with = "Option<f64>")]
    pub unit_price: Option<Decimal>,
    /// How firm the price is.
    pub price_grade: Option<PriceGrade>,
    /// When it held.
    pub price_as_of: Option<String>,
    /// Where it was read.
    pub price_source: Option<String>,
    /// What is charged over the horizon.
    #[schemars(with = "f64")]
    pub billed_cost: Decimal,
}

/// Where and as what a service runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Runs {
    /// The service.
    pub workload: String,
    /// Where.
    pub site: String,
    /// The machine.
    pub shape: String,
    /// Tensor parallel ranks.
    pub tensor: u32,
    /// Pipeline stages.
    pub pipeline: u32,
    /// Precision of the weights.
    pub precision: String,
    /// Most replicas.
    pub replicas: u32,
    /// What one replica is planned to carry.
    pub requests_per_s: f64,
}

/// The report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Format of this document.
    pub format: u32,
    /// Name of the plan.
    pub plan: String,
    /// Whether it holds.
    pub status: Status,
    /// Whether applying the blueprint changes anything.
    pub changes: bool,
    /// Currency of every amount.
    pub currency: Currency,
    /// First day.
    pub start: String,
    /// Last day.
    pub end: String,
    /// Planning months of 730 h.
    pub months: u32,
    /// The numbers that decide.
    pub summary: Summary,
    /// Months, grouped.
    pub periods: Vec<Period>,
    /// What is bought.
    pub purchases: Vec<Bought>,
    /// Where services run.
    pub placements: Vec<Runs>,
    /// Training jobs.
    pub trainings: Vec<TrainingRun>,
    /// How offline inference runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub batches: Vec<BatchRun>,
    /// How services and notebooks run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apps: Vec<AppRun>,
    /// What each workload costs.
    pub workloads: Vec<WorkloadCost>,
    /// Payments by month.
    #[schemars(with = "Vec<f64>")]
    pub by_month: Vec<Decimal>,
    /// Power and racks.
    pub sites: Vec<SiteSummary>,
    /// How machines are wired at own sites.
    pub networks: Vec<Network>,
    /// What keeps data at own sites.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<Store>,
    /// Service levels.
    pub service_levels: Vec<Verdict>,
    /// Rules.
    pub rules: Vec<RuleOutcome>,
    /// The next best plans.
    pub runners_up: Vec<RunnerUp>,
    /// What limits cost.
    pub limit_prices: Vec<LimitPrice>,
    /// How the plan does where uncertain quantities turn out otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertainty: Option<Uncertainty>,
    /// What the plan would be in each of its scenarios.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scenarios: Vec<ScenarioOutcome>,
    /// How the answer was found.
    pub solver: Solver,
    /// Findings.
    pub findings: Vec<Finding>,
    /// Defaults that were used.
    pub assumptions: Vec<String>,
    /// What the total leaves out.
    pub not_included: Vec<String>,
    /// Offerings without a price.
    pub unpriced: Vec<Unpriced>,
}

fn the_summary(blueprint: &Blueprint) -> Summary {
    let cost = &blueprint.cost;
    let levels = |status| blueprint.verdicts.iter().filter(|verdict| verdict.status == status).count();
    let findings =
        |severity| blueprint.findings.iter().filter(|finding| finding.severity == severity).count();
    let own =
        |site: &&SiteSummary| blueprint.inputs.spec.sites.iter().any(|s| s.name == site.site && s.is_own());
    let power: Option<f64> = blueprint
        .sites
        .iter()
        .filter(own)
        .map(|site| site.facility_power.map(|power| power.get()))
        .reduce(|all, more| Some(all? + more?))
        .flatten();
    let purchases = blueprint.pools.iter().flat_map(|pool| &pool.purchases);
    let oldest = purchases.filter_map(|purchase| purchase.price.as_ref()).map(|price| price.as_of).min();
    Summary {
        status: blueprint.status,
        total: cost.total,
        capex: cost.capex,
        opex: cost.opex,
        still_bound: cost.sum_of(CostKind::Owed),
        per_month: cost.per_month,
        highest_opex_per_month: cost.highest_opex_per_month,
        net_present: cost.net_present,
        all_on_demand: cost.all_on_demand,
        nodes: blueprint.sites.iter().map(|site| site.nodes).sum(),
        accelerators: blueprint.sites.iter().map(|site| site.accelerators).sum(),
        facility_power_w: power,
        levels_met: levels(VerdictStatus::Met),
        levels_missed: levels(VerdictStatus::Missed),
        levels_undecided: levels(VerdictStatus::Undecided),
        errors: findings(Severity::Error),
        warnings: findings(Severity::Warning),
        audit_violations: blueprint.audit.iter().map(|check| check.violations.len()).sum(),
        unpriced: blueprint.unpriced.len(),
        assumed: assumed(blueprint),
        oldest_price_as_of: oldest.map(|date| date.to_string()),
        oldest_price_days: blueprint.inputs.oldest_price_days,
    }
}

fn purchases(blueprint: &Blueprint) -> Vec<Bought> {
    let mut all = Vec::new();
    for pool in &blueprint.pools {
        for purchase in &pool.purchases {
            let lines = blueprint.cost.lines.iter().filter(|line| {
                line.site == pool.site
                    && line.shape.as_deref() == Some(&pool.shape)
                    && line.option == Some(purchase.option)
            });
            let price = purchase.price.as_ref();
            all.push(Bought {
                site: pool.site.clone(),
                shape: pool.shape.clone(),
                option: purchase.option,
                nodes: purchase.nodes,
                nodes_by_period: purchase.nodes_by_period.clone(),
                node_hours: purchase.node_hours_by_period.iter().sum(),
                unit_price: price.map(|row| row.price),
                price_grade: price.map(|row| row.grade),
                price_as_of: price.map(|row| row.as_of.to_string()),
                price_source: price.map(|row| row.source.clone()),
                billed_cost: lines.map(|line| line.billed_cost).sum(),
            });
        }
    }
    all
}

fn placements(blueprint: &Blueprint) -> Vec<Runs> {
    let mut all = Vec::new();
    for service in &blueprint.services {
        for placement in &service.placements {
            let candidate = &placement.candidate;
            all.push(Runs {
                workload: service.workload.clone(),
                site: placement.site.clone(),
                shape: candidate.shape.clone(),
                tensor: candidate.tensor,
                pipeline: candidate.pipeline,
                precision: candidate.precision.word().to_owned(),
                replicas: placement.peak_replicas(),
                requests_per_s: placement.estimate.rate.get() * placement.derating,
            });
        }
    }
    all
}

/// Returns the report on a blueprint, typed.
pub fn summary(blueprint: &Blueprint) -> Report {
    let frame = &blueprint.inputs.spec.frame;
    Report {
        format: REPORT_FORMAT,
        plan: blueprint.inputs.spec.name.clone(),
        status: blueprint.status,
        changes: blueprint.changes,
        currency: blueprint.cost.currency,
        start: frame.start.to_string(),
        end: frame.end.to_string(),
        months: frame.months,
        summary: the_summary(blueprint),
        periods: blueprint.periods.clone(),
        purchases: purchases(blueprint),
        placements: placements(blueprint),
        trainings: blueprint.trainings.clone(),
        batches: blueprint.batches.clone(),
        apps: blueprint.apps.clone(),
        workloads: blueprint.cost.workloads.clone(),
        by_month: blueprint.cost.by_month.clone(),
        sites: blueprint.sites.clone(),
        networks: blueprint.networks.clone(),
        stores: blueprint.stores.clone(),
        service_levels: blueprint.verdicts.clone(),
        rules: blueprint.rules.clone(),
        runners_up: blueprint.runners_up.clone(),
        limit_prices: blueprint.limit_prices.clone(),
        uncertainty: blueprint.uncertainty.clone(),
        scenarios: blueprint.scenarios.clone(),
        solver: blueprint.solver.clone(),
        findings: blueprint.findings.clone(),
        assumptions: blueprint.assumptions.iter().map(|one| one.text.clone()).collect(),
        not_included: blueprint.cost.not_included.clone(),
        unpriced: blueprint.unpriced.clone(),
    }
}

/// Returns a document of our own types as indented JSON with a line end.
pub(crate) fn pretty(document: &impl Serialize) -> String {
    // Our types have string keys and finite numbers or null, so that writing them to memory cannot fail.
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}

/// Returns the report on a blueprint as JSON.
pub fn json(blueprint: &Blueprint) -> String {
    pretty(&summary(blueprint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing::blueprint::{chat_blueprint, infeasible_blueprint};

    #[test]
    fn programs_read_numbers_as_numbers() {
        let value: serde_json::Value = serde_json::from_str(&json(&chat_blueprint())).unwrap();
        assert_eq!(value["format"], 1);
        assert_eq!(value["status"], "feasible");
        assert_eq!(value["summary"]["total"], 5_769_404.35);
        assert_eq!(value["purchases"][1]["unit_price"], 20.69505);
        assert_eq!(value["service_levels"][0]["target_s"], 0.5);
        assert_eq!(value["summary"]["facility_power_w"], 348_955.0);
    }

    #[test]
    fn what_was_written_is_read_back() {
        for blueprint in [chat_blueprint(), infeasible_blueprint()] {
            let back: Report = serde_json::from_str(&json(&blueprint)).unwrap();
            assert!(back == summary(&blueprint));
        }
    }

    #[test]
    fn an_unknown_price_is_null_and_counted() {
        let mut blueprint = chat_blueprint();
        blueprint.pools[1].purchases[1].price = None;
        let value: serde_json::Value = serde_json::from_str(&json(&blueprint)).unwrap();
        assert!(value["purchases"][2]["unit_price"].is_null());
        assert_eq!(value["summary"]["unpriced"], 1);
        assert_eq!(assumed(&blueprint).catalog_facts, 1);
    }
}
