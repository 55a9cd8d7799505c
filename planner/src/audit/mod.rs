//! Does the answer hold? Everything is computed again from the blueprint alone.
//!
//! It never trusts the solver: it knows neither its program nor how lines were made, only what the blueprint
//! says of itself and what the embedded plan and catalog say. It does not know whether a better plan exists.
//!
//! Conventions it relies on: a machine line has a shape, an option, and the unit `node-h` or `node`; everything
//! else that is paid for has another unit. Weekday hours come 5 days of 7, weekend hours 2 of 7, months have 730 h.

mod apps;
mod batches;
mod coverage;
mod limits;
mod money;
mod networks;
mod nodes;
mod permission;
mod physics;
mod prices;
mod proof;
mod stores;
mod transfer;
mod worlds;

use capstan_types::blueprint::{AuditCheck, Blueprint, HOURS, Pool, Status};
use capstan_types::units::HOURS_PER_MONTH;

/// Relative difference below which two ways of adding the same floats agree.
const TOLERANCE: f64 = 1e-6;

/// Checks the blueprint and returns what was looked at and what is wrong.
pub fn audit(blueprint: &Blueprint) -> Vec<AuditCheck> {
    let mut checks = vec![
        money::lines(blueprint),
        money::totals(blueprint),
        money::months(blueprint),
        money::net_present(blueprint),
        money::purchases(blueprint),
        money::workloads(blueprint),
        prices::rows(blueprint),
        prices::levels(blueprint),
        prices::unknown(blueprint),
        limits::budgets(blueprint),
        proof::status(blueprint),
    ];
    if blueprint.status != Status::Infeasible {
        checks.extend([
            money::stated(blueprint),
            transfer::paid(blueprint),
            nodes::needed(blueprint),
            nodes::covered(blueprint),
            nodes::node_hours(blueprint),
            coverage::demand(blueprint),
            coverage::capacity(blueprint),
            coverage::replicas(blueprint),
            networks::wired(blueprint),
            stores::kept(blueprint),
            limits::power(blueprint),
            limits::racks(blueprint),
            limits::quotas(blueprint),
            limits::cooling(blueprint),
            limits::shares(blueprint),
            physics::memory(blueprint),
            physics::speed(blueprint),
            physics::training(blueprint),
            batches::done(blueprint),
            proof::verdicts(blueprint),
            apps::carried(blueprint),
            worlds::weighed(blueprint),
            worlds::scenarios(blueprint),
            permission::allowed(blueprint),
        ]);
    }
    checks
}

/// One check in the making.
struct Check {
    name: &'static str,
    looked_at: u32,
    violations: Vec<String>,
}

impl Check {
    fn new(name: &'static str) -> Self {
        Self { name, looked_at: 0, violations: Vec::new() }
    }

    /// Looks at one thing.
    fn that(&mut self, holds: bool, violation: impl FnOnce() -> String) {
        self.looked_at += 1;
        if !holds {
            self.violations.push(violation());
        }
    }

    fn done(self) -> AuditCheck {
        AuditCheck { check: self.name.to_owned(), looked_at: self.looked_at, violations: self.violations }
    }
}

/// Returns whether two sums of floats are the same.
fn same(left: f64, right: f64) -> bool {
    (left - right).abs() <= TOLERANCE * left.abs().max(right.abs()).max(1.0)
}

/// Returns how many hours of a period of `months` fall on typical hour `hour`.
fn hour_weight(months: u32, hour: usize) -> f64 {
    let days = if hour < HOURS / 2 { 5.0 } else { 2.0 };
    f64::from(months) * HOURS_PER_MONTH * days / 7.0 / 24.0
}

/// Returns the value at a period and hour, zero where the row is missing.
fn at<T: Copy + Default>(rows: &[Vec<T>], period: usize, hour: usize) -> T {
    rows.get(period).and_then(|row| row.get(hour)).copied().unwrap_or_default()
}

/// Returns the most nodes that a pool needs in a period.
fn most_needed(pool: &Pool, period: usize) -> u32 {
    pool.needed.get(period).and_then(|hours| hours.iter().copied().max()).unwrap_or(0)
}

/// Returns what a pool of machines is called.
fn pool_name(pool: &Pool) -> String {
    format!("{}/{}", pool.site, pool.shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing::blueprint::{chat_blueprint, infeasible_blueprint};

    /// Changes one number and expects exactly the named checks to report (others may, too, where it follows).
    pub(super) fn caught_by(check: &str, change: impl FnOnce(&mut Blueprint)) {
        let mut blueprint = chat_blueprint();
        change(&mut blueprint);
        let found: Vec<_> =
            audit(&blueprint).into_iter().filter(|found| !found.violations.is_empty()).collect();
        let names: Vec<_> = found.iter().map(|found| found.check.as_str()).collect();
        assert!(names.iter().any(|name| name.starts_with(check)), "`{check}` is silent; reported: {names:?}");
    }

    #[test]
    fn what_is_true_passes() {
        for blueprint in [chat_blueprint(), infeasible_blueprint()] {
            for check in audit(&blueprint) {
                assert_eq!(check.violations, Vec::<String>::new(), "{}", check.check);
            }
        }
    }

    #[test]
    fn every_check_of_a_whole_plan_looks_at_something() {
        for check in audit(&chat_blueprint()) {
            assert!(check.looked_at > 0, "{}", check.check);
        }
    }

    #[test]
    fn rows_that_are_missing_do_not_panic() {
        let mut blueprint = chat_blueprint();
        blueprint.periods.truncate(1);
        blueprint.pools[0].fleet.clear();
        blueprint.pools[1].purchases[0].nodes_by_period.clear();
        blueprint.services[0].placements[0].replicas.clear();
        blueprint.demand[0].rates[0].clear();
        blueprint.cost.by_month.clear();
        blueprint.inputs.catalog.shapes.clear();
        blueprint.inputs.spec.models.clear();
        assert!(audit(&blueprint).iter().any(|check| !check.violations.is_empty()));
    }
}
