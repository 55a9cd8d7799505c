//! What to change so that a plan that cannot be kept can be, proven by planning with the change.
//!
//! What the program or an estimate proposes may still fall short once a draft is simulated and rated lower, so each
//! proposal goes through the whole loop, simulation and audit included, as a person who follows it would. Where it
//! does not hold, the value that is stated moves outward, and a few steps later the proposal is given up. It does not
//! know whether a person would like the change.

use crate::audit::audit;
use crate::frame::Frame;
use crate::infeasible;
use crate::limit_unit::LimitUnit;
use crate::linear;
use crate::periods::periods;
use crate::plan::{Provenance, Settled, finish, settle};
use crate::pricing::decimal;
use capstan_sim::serving::Recording;
use capstan_types::blueprint::Status;
use capstan_types::catalog::Catalog;
use capstan_types::figure;
use capstan_types::finding::Finding;
use capstan_types::hardware::Precision;
use capstan_types::spec::{Buy, Objective, Spec, percentile_word};
use capstan_types::units::{Seconds, Watts};
use jiff::ToSpan;
use rayon::prelude::*;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// Shares by which a value is moved beyond the one proposed, one after the other.
const OUTWARD: [f64; 7] = [0.0, 0.02, 0.05, 0.12, 0.3, 0.6, 1.0];
/// Months by which a deadline is moved, one after the other.
const MONTHS: [i32; 7] = [1, 2, 3, 6, 12, 24, 36];
/// Service levels that one proposal may move: relaxing one may show that another is out of reach too.
const MOST_STEPS: usize = 8;

/// What in the plan is changed; numbers are indices into its lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Power of a site.
    Power(usize),
    /// Racks of a site.
    Racks(usize),
    /// Power of each rack of a site.
    RackPower(usize),
    /// A quota of a site.
    Quota(usize, usize),
    /// Purchases of a budget.
    Capex(usize),
    /// Running cost of a budget.
    Opex(usize),
    /// Total of a budget.
    Total(usize),
    /// The share of spot of a budget.
    Spot(usize),
    /// A service level of a workload.
    Slo(usize, usize),
    /// The deadline of a training.
    Finish(usize),
    /// A share of what a workload buys: the workload, services first, and its entry of `buy`.
    Share {
        /// The workload.
        workload: usize,
        /// The entry.
        entry: usize,
        /// Whether it is the largest share, not the smallest.
        is_most: bool,
    },
    /// The number that a rule of a budget compares the cost with.
    Rule(usize, usize),
    /// A workload, services first, may run on any accelerator.
    AnyAccelerator(usize),
    /// A workload, services first, may run in a lower precision too.
    LowerPrecision(usize),
}

impl Change {
    /// Says whether there is a value to move; without one, one trial says all.
    fn has_value(self) -> bool {
        !matches!(self, Change::AnyAccelerator(_) | Change::LowerPrecision(_))
    }
}

/// Precisions that are tried where a workload names only higher ones.
const LOWER: [Precision; 2] = [Precision::Fp8, Precision::Int4];

/// One value of the plan that is to move.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub change: Change,
    /// What it is proposed to be: in units of the limit, seconds of a level; nothing for a deadline.
    pub value: f64,
    /// What it is called.
    pub what: String,
    /// What it says now.
    pub now: String,
    pub unit: Option<LimitUnit>,
}

impl Step {
    /// The value of a trial, as it is written.
    fn value_at(&self, trial: usize) -> f64 {
        let value = self.value * (1.0 + OUTWARD[trial]);
        match (self.change, self.unit) {
            (Change::Finish(_), _) => f64::from(MONTHS[trial]),
            (Change::Share { is_most: true, .. } | Change::Spot(_), _) => {
                ((value * 100.0 - 1e-6).ceil() / 100.0).min(1.0)
            }
            (Change::Share { is_most: false, .. }, _) => {
                let value = self.value * (1.0 - OUTWARD[trial]);
                ((value * 100.0 + 1e-6).floor() / 100.0).max(0.0)
            }
            (Change::Slo(..), _) => (value * 1e3).ceil() / 1e3,
            (_, Some(LimitUnit::Racks | LimitUnit::Accelerators)) => (value - 1e-6).ceil(),
            _ => three_digits_up(value),
        }
    }

    fn apply(&self, spec: &mut Spec, trial: usize) {
        let value = self.value_at(trial);
        let set = |limit: Option<&mut capstan_types::spec::Limit<rust_decimal::Decimal>>| {
            if let Some(limit) = limit {
                limit.value = decimal(value).round_dp(2);
            }
        };
        match self.change {
            Change::Power(site) => {
                if let Some(limit) = &mut spec.sites[site].power {
                    limit.value = Watts(value * 1e3);
                }
            }
            Change::RackPower(site) => {
                let rack = spec.sites[site].rack.as_mut();
                if let Some(limit) = rack.and_then(|rack| rack.power.as_mut()) {
                    limit.value = Watts(value * 1e3);
                }
            }
            Change::Racks(site) => {
                if let Some(limit) = &mut spec.sites[site].racks {
                    limit.value = value as u32;
                }
            }
            Change::Quota(site, quota) => spec.sites[site].quotas[quota].most.value = value as u32,
            Change::Capex(budget) => set(spec.budgets[budget].capex.as_mut()),
            Change::Opex(budget) => set(spec.budgets[budget].opex_per_month.as_mut()),
            Change::Total(budget) => set(spec.budgets[budget].total.as_mut()),
            Change::Spot(budget) => {
                if let Some(limit) = &mut spec.budgets[budget].spot {
                    limit.value = value;
                }
            }
            Change::Slo(serve, slo) => spec.serves[serve].slos[slo].target = Seconds(value),
            Change::Share { workload, entry, is_most } => {
                let entry = &mut bought_by(spec, workload)[entry];
                let share = if is_most { &mut entry.at_most } else { &mut entry.at_least };
                if let Some(limit) = share {
                    limit.value = value;
                }
            }
            Change::Rule(budget, rule) => {
                let moved = linear::moved(spec, &periods(spec), &spec.budgets[budget].rules[rule], value);
                if let Some((text, condition)) = moved {
                    let rule = &mut spec.budgets[budget].rules[rule];
                    (rule.text, rule.condition) = (text, condition);
                }
            }
            Change::AnyAccelerator(workload) => *runs_on(spec, workload).0 = None,
            Change::LowerPrecision(workload) => {
                let (_, allowed) = runs_on(spec, workload);
                let new = LOWER.into_iter().filter(|lower| !allowed.contains(lower));
                let new: Vec<Precision> = new.collect();
                allowed.extend(new);
            }
            Change::Finish(train) => {
                let end = spec.frame.end;
                if let Some(finish) = &mut spec.trains[train].finish {
                    finish.value = finish.value.saturating_add((value as i32).months()).min(end);
                }
            }
        }
    }

    /// The step in words, as the plan would say it.
    fn words(&self, spec: &Spec, trial: usize) -> String {
        let value = self.value_at(trial);
        match (self.change, self.unit) {
            (Change::Slo(serve, slo), _) => {
                let (serve, slo) = (&spec.serves[serve], &spec.serves[serve].slos[slo]);
                let (metric, percentile) = (slo.metric.word(), percentile_word(slo.per_mille));
                let milliseconds = (value * 1e3).round();
                format!("slo {metric} {{ {percentile} <= {milliseconds} ms }} of `{}`", serve.name)
            }
            (Change::Finish(train), _) => {
                let mut moved = spec.clone();
                self.apply(&mut moved, trial);
                let date = moved.trains[train].finish.as_ref().map(|finish| finish.value.to_string());
                format!("finish <= {} of `{}`", date.unwrap_or_default(), spec.trains[train].name)
            }
            (Change::Share { workload, entry, is_most }, _) => {
                let mut moved = spec.clone();
                let option = bought_by(&mut moved, workload)[entry].option.literal();
                let (sign, percent) = (if is_most { "<=" } else { ">=" }, (value * 100.0).round());
                let services = spec.serves.iter().map(|serve| &serve.name);
                let trains = spec.trains.iter().map(|train| &train.name);
                let apps = spec.apps.iter().map(|app| &app.name);
                let batches = spec.batches.iter().map(|batch| &batch.name);
                let name = services.chain(trains).chain(apps).chain(batches).nth(workload);
                format!("{option} {sign} {percent}% of `{}`", name.map_or("", String::as_str))
            }
            (Change::Spot(budget), _) => {
                format!("spot <= {}% of budget `{}`", (value * 100.0).round(), spec.budgets[budget].name)
            }
            (Change::Rule(budget, rule), _) => {
                let mut moved = spec.clone();
                self.apply(&mut moved, trial);
                format!(
                    "rule {} of budget `{}`",
                    moved.budgets[budget].rules[rule].text, spec.budgets[budget].name
                )
            }
            (_, Some(unit)) => {
                let amount = unit.amount(value, spec.frame.currency);
                format!("{} {amount} instead of {}", self.what, self.now)
            }
            (_, None) => self.what.clone(),
        }
    }
}

/// What a workload may buy, services first.
fn bought_by(spec: &mut Spec, workload: usize) -> &mut Vec<Buy> {
    let (services, trains, apps) = (spec.serves.len(), spec.trains.len(), spec.apps.len());
    if workload < services {
        &mut spec.serves[workload].buy
    } else if workload < services + trains {
        &mut spec.trains[workload - services].buy
    } else if workload < services + trains + apps {
        &mut spec.apps[workload - services - trains].buy
    } else {
        &mut spec.batches[workload - services - trains - apps].buy
    }
}

/// Which accelerators and precisions a service or training names, services first.
fn runs_on(spec: &mut Spec, workload: usize) -> (&mut Option<Vec<String>>, &mut Vec<Precision>) {
    match workload.checked_sub(spec.serves.len()) {
        None => {
            let serve = &mut spec.serves[workload];
            (&mut serve.accelerators, &mut serve.precisions)
        }
        Some(index) => {
            let train = &mut spec.trains[index];
            (&mut train.accelerators, &mut train.precisions)
        }
    }
}

/// Returns a value rounded up to three digits, which a person would write.
pub(crate) fn three_digits_up(value: f64) -> f64 {
    if value <= 0.0 {
        return value;
    }
    let step = libm::pow(10.0, libm::floor(libm::log10(value)) - 2.0);
    (value / step - 1e-9).ceil() * step
}

/// A finding with the steps that would remove it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stuck {
    pub finding: Finding,
    /// Each of them alone is a way out.
    pub either: Vec<Step>,
    /// All of them together are.
    pub all: Vec<Step>,
}

/// What a plan is made from.
pub(crate) struct Source<'a> {
    pub spec: &'a Spec,
    pub catalog: &'a Catalog,
    pub traces: &'a BTreeMap<String, Recording>,
}

/// Returns the findings with those of their ways out that were planned and hold, before what they say already.
///
/// Several workloads that are stuck are freed together, since the plan holds only then.
pub(crate) fn verified(source: &Source<'_>, stuck: Vec<Stuck>) -> Vec<Finding> {
    let together: Vec<Step> = stuck.iter().flat_map(|stuck| stuck.all.iter().cloned()).collect();
    let freed = if together.is_empty() { None } else { source.hold(together) };
    stuck
        .into_iter()
        .map(|stuck| {
            let together = freed.as_ref().filter(|_| !stuck.all.is_empty());
            let held: Vec<_> = stuck.either.into_par_iter().map(|step| source.hold(vec![step])).collect();
            let mut held: Vec<Held> = held.into_iter().flatten().collect();
            held.sort_by_key(|held| held.cost);
            let ways = together.into_iter().chain(&held).map(|held| held.words(source.spec));
            let mut finding = stuck.finding;
            let said = std::mem::take(&mut finding.ways_out);
            finding.ways_out = ways.chain(said).collect();
            if finding.ways_out.is_empty() {
                finding.ways_out.push(infeasible::otherwise(&finding.code).to_owned());
            }
            finding
        })
        .collect()
}

/// Steps with which a plan holds.
struct Held {
    steps: Vec<Step>,
    trial: usize,
    /// What it then costs, as that plan says.
    cost: Decimal,
}

impl Held {
    fn words(&self, spec: &Spec) -> String {
        let told: Vec<String> = self.steps.iter().map(|step| step.words(spec, self.trial)).collect();
        let then = figure::money(self.cost, spec.frame.currency);
        let of = match spec.frame.minimize {
            Objective::NetPresentCost => "net present",
            Objective::CostPerMonth => "per month",
        };
        format!("{}: the plan then costs {then} {of}", told.join(", and "))
    }
}

impl Source<'_> {
    /// Plans with the steps, further outward until the plan holds.
    fn hold(&self, mut steps: Vec<Step>) -> Option<Held> {
        let mut trial = 0;
        let trials = if steps.iter().any(|step| step.change.has_value()) { OUTWARD.len() } else { 1 };
        while trial < trials {
            let mut spec = self.spec.at_medians();
            steps.iter().for_each(|step| step.apply(&mut spec, trial));
            match attempt(spec, self.catalog, self.traces) {
                Trial::Holds { cost } => return Some(Held { steps, trial, cost }),
                Trial::Needs(more) => {
                    let is_new = |step: &Step| steps.iter().all(|known| known.change != step.change);
                    let new: Vec<Step> = more.into_iter().filter(is_new).collect();
                    if new.is_empty() || steps.len() + new.len() > MOST_STEPS {
                        trial += 1;
                    }
                    steps.extend(new);
                }
                Trial::Fails => trial += 1,
            }
        }
        None
    }
}

/// What became of a plan with a change.
enum Trial {
    /// It keeps everything.
    Holds {
        /// What it costs, by what is made small.
        cost: Decimal,
    },
    /// Levels that no candidate reaches, and what they would have to be.
    Needs(Vec<Step>),
    /// It does not.
    Fails,
}

/// Plans a spec all the way, but says only whether it holds.
fn attempt(spec: Spec, catalog: &Catalog, traces: &BTreeMap<String, Recording>) -> Trial {
    let Ok(frame) = Frame::of(&spec, catalog, traces) else { return Trial::Fails };
    let stuck = (0..spec.serves.len()).filter(|&serve| frame.ways[serve].is_empty());
    let needs: Vec<Step> = stuck.flat_map(|serve| infeasible::looser_levels(&frame, serve)).collect();
    if !needs.is_empty() {
        return Trial::Needs(needs);
    }
    let Ok(Settled::Holds { turn, rounds, settled, .. }) = settle(&frame, &|_| {}) else {
        return Trial::Fails;
    };
    let blueprint = finish(&frame, *turn, rounds, settled, Provenance::default());
    let is_sound = audit(&blueprint).iter().all(|check| check.violations.is_empty());
    if blueprint.status == Status::Feasible && settled && is_sound {
        Trial::Holds {
            cost: match spec.frame.minimize {
                Objective::NetPresentCost => blueprint.cost.net_present,
                Objective::CostPerMonth => blueprint.cost.per_month,
            },
        }
    } else {
        Trial::Fails
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_outward_to_what_a_person_would_write() {
        assert_eq!(three_digits_up(1_928_601.6), 1_930_000.0);
        assert!((three_digits_up(0.12345) - 0.124).abs() < 1e-12);
        assert_eq!(three_digits_up(250.0), 250.0);
        let step = |value, unit| Step {
            change: Change::Racks(0),
            value,
            what: "racks".to_owned(),
            now: "1 rack".to_owned(),
            unit: Some(unit),
        };
        assert_eq!(step(2.3, LimitUnit::Racks).value_at(0), 3.0);
        assert!(step(100.0, LimitUnit::Kilowatts).value_at(1) >= 102.0);
    }
}
