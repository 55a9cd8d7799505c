//! What binds: how much of every limit is used, the tightest first.

use capstan_types::blueprint::{Blueprint, LimitPrice, Status};
use capstan_types::explanation::Section;
use capstan_types::figure;
use rust_decimal::prelude::ToPrimitive;

/// Share of a limit above which it is said to bind.
const BINDS: f64 = 0.95;

/// One limit with how much of it is used.
struct Used {
    name: String,
    share: f64,
    numbers: String,
}

/// Returns how much of every limit is used, of one site only where one is named.
pub(super) fn binding(blueprint: &Blueprint, site: Option<&str>) -> Section {
    let title = "What binds".to_owned();
    // What does not exist uses nothing; the findings say which limits conflict.
    if blueprint.status == Status::Infeasible {
        return Section { title, sentences: Vec::new(), facts: Vec::new() };
    }
    let mut used = sites(blueprint, site);
    if site.is_none() {
        used.extend(budgets(blueprint));
        used.extend(levels(blueprint));
    }
    used.sort_by(|one, other| other.share.total_cmp(&one.share).then_with(|| one.name.cmp(&other.name)));
    let mut sentences = Vec::new();
    let binding: Vec<_> = used.iter().filter(|one| one.share >= BINDS).map(|one| one.name.as_str()).collect();
    match (binding.is_empty(), used.first()) {
        (_, None) => {}
        (false, _) => sentences.push(format!("These limits bind: {}.", binding.join(", "))),
        (true, Some(first)) => sentences.push(format!(
            "No limit is used to more than {}; the tightest is {} at {}.",
            figure::percent(BINDS),
            first.name,
            figure::percent(first.share)
        )),
    }
    let facts =
        used.into_iter().map(|one| (one.name, format!("{}, {}", figure::percent(one.share), one.numbers)));
    Section { title, facts: facts.collect(), sentences }
}

/// Returns what would be saved if each limit that binds were looser.
pub(super) fn prices(blueprint: &Blueprint) -> Section {
    let currency = blueprint.cost.currency;
    let sentence = |price: &LimitPrice| {
        format!(
            "With {} at {} {unit} instead of {} {unit}, the plan would cost {} less: {} per {unit}.",
            price.what,
            figure::short(price.relaxed_to),
            figure::short(price.value),
            figure::money(price.saving, currency),
            figure::money(price.saving_per_unit, currency),
            unit = price.unit,
        )
    };
    let sentences = blueprint.limit_prices.iter().map(sentence).collect();
    Section { title: "What limits cost".to_owned(), facts: Vec::new(), sentences }
}

fn sites(blueprint: &Blueprint, only: Option<&str>) -> Vec<Used> {
    let mut used = Vec::new();
    for site in blueprint.inputs.spec.sites.iter().filter(|site| only.is_none_or(|name| site.name == name)) {
        let Some(told) = blueprint.sites.iter().find(|told| told.site == site.name) else { continue };
        if let (Some(limit), Some(power)) = (&site.power, told.facility_power) {
            used.push(Used {
                name: format!("power of {}", site.name),
                share: power / limit.value,
                numbers: format!("{} of {}", figure::power(power), figure::power(limit.value)),
            });
        }
        if let (Some(limit), Some(racks)) = (&site.racks, told.racks) {
            used.push(Used {
                name: format!("racks of {}", site.name),
                share: f64::from(racks) / f64::from(limit.value.max(1)),
                numbers: format!("{racks} of {}", limit.value),
            });
        }
        for quota in &site.quotas {
            let of_kind = blueprint.pools.iter().filter(|pool| {
                let shape = blueprint.inputs.catalog.shapes.iter().find(|shape| shape.id == pool.shape);
                pool.site == site.name
                    && shape.and_then(|shape| shape.accelerator.as_ref()) == Some(&quota.accelerator)
            });
            let held: u32 =
                of_kind.map(|p| p.needed.iter().flatten().max().copied().unwrap_or(0) * p.accelerators).sum();
            used.push(Used {
                name: format!("{} at {}", quota.accelerator, site.name),
                share: f64::from(held) / f64::from(quota.most.value.max(1)),
                numbers: format!("{held} of {}", quota.most.value),
            });
        }
    }
    used
}

fn budgets(blueprint: &Blueprint) -> Vec<Used> {
    let currency = blueprint.cost.currency;
    let mut used = Vec::new();
    for budget in &blueprint.inputs.spec.budgets {
        for (name, spent, limit) in blueprint.spent(budget).against(budget) {
            used.push(Used {
                name: format!("{name} of budget {}", budget.words()),
                share: spent.checked_div(limit.value).and_then(|share| share.to_f64()).unwrap_or(0.0),
                numbers: format!(
                    "{} of {}",
                    figure::money(spent, currency),
                    figure::money(limit.value, currency)
                ),
            });
        }
    }
    used
}

fn levels(blueprint: &Blueprint) -> Vec<Used> {
    let of = |verdict: &capstan_types::blueprint::Verdict| Used {
        name: format!("{} of {} at {}", verdict.metric.word(), verdict.workload, verdict.site),
        share: verdict.high / verdict.target,
        numbers: format!("{} of {}", figure::span(verdict.high), figure::span(verdict.target)),
    };
    blueprint.verdicts.iter().map(of).collect()
}
