//! What does a number rest on? The sentences that are said on hover, from what the blueprint holds and nothing else.
//!
//! Invariant: where nothing is known, a sentence names the formula or says nothing; it never names a source that the
//! blueprint does not.

use capstan_types::blueprint::{Blueprint, CostLine, Pool, PriceRow, Purchase, Verdict};
use capstan_types::figure::{self, counted};
use capstan_types::origin::Provenance;
use capstan_types::place::Place;
use capstan_types::simulation::Estimated;
use capstan_types::spec::{Fleet, Objective, Site, SloMetric};
use rust_decimal::Decimal;

/// Most counts or sources that are listed one by one.
const LISTED: usize = 12;

/// Returns who asks a price, how firm it is, of when it is and where it was read.
pub(crate) fn price_row(row: &PriceRow) -> String {
    let region = if row.region == "all" { String::new() } else { format!(" {}", row.region) };
    let grade = super::grade_word(row.grade);
    let seller = if row.provider == "own" { "own hardware" } else { &row.provider };
    format!("{seller}{region}, price as of {} ({grade}): {}", row.as_of, row.source)
}

/// Returns the price row that a line was multiplied by; none where it is charged by something else.
fn row_of<'a>(blueprint: &'a Blueprint, line: &CostLine) -> Option<&'a PriceRow> {
    let option = line.option?;
    let here = |pool: &&Pool| pool.site == line.site && line.shape.as_ref() == Some(&pool.shape);
    let purchases = blueprint.pools.iter().filter(here).flat_map(|pool| &pool.purchases);
    let rows = purchases.filter(|purchase: &&Purchase| purchase.option == option);
    rows.filter_map(|purchase| purchase.price.as_ref()).find(|row| row.price == line.unit_price)
}

/// Returns what the unit price of a line of the bill rests on.
pub(crate) fn unit_price(blueprint: &Blueprint, line: &CostLine) -> String {
    match row_of(blueprint, line) {
        Some(row) => price_row(row),
        None => format!("{}: {}", line.origin.word(), line.source),
    }
}

/// Says what lines of the bill come to: what is multiplied, how many are summed, and on which prices they rest.
pub(crate) fn lines(blueprint: &Blueprint, lines: &[&CostLine]) -> String {
    let Some(first) = lines.first() else { return "no line of the bill is of this kind".to_owned() };
    let mut said = vec![match lines {
        [one] => format!("{} × unit price, rounded", one.unit),
        all if all.iter().all(|line| line.unit == first.unit) => {
            format!(
                "sum of {} lines, each {} × unit price and rounded",
                figure::count(all.len() as u64),
                first.unit
            )
        }
        all => format!("sum of {} lines, each rounded", figure::count(all.len() as u64)),
    }];
    let mut prices: Vec<String> = Vec::new();
    for line in lines {
        let price = format!(
            "{} per {}, {}",
            figure::price(line.unit_price, blueprint.cost.currency),
            line.unit,
            unit_price(blueprint, line)
        );
        if !prices.contains(&price) {
            prices.push(price);
        }
        if prices.len() > 2 {
            break;
        }
    }
    match prices.as_slice() {
        [_, _, _, ..] => said.push("see all lines of the bill for the price of each".to_owned()),
        few => said.extend_from_slice(few),
    }
    said.join("; ")
}

/// Says what the total rests on: its lines, the weakest price in them, and what it is where things turn out otherwise.
pub(crate) fn total(blueprint: &Blueprint) -> String {
    let lines = &blueprint.cost.lines;
    let mut said = vec![format!("sum of {}, each rounded", counted(lines.len(), "line"))];
    let weakest = lines.iter().map(|line| line.origin).max();
    said.extend(weakest.map(|weakest| format!("the weakest price is {}", weakest.word())));
    let worlds = blueprint.uncertainty.iter().flat_map(|one| &one.worlds);
    let costs: Vec<Decimal> = worlds.filter_map(|world| world.planned).collect();
    if let (Some(low), Some(high)) = (costs.iter().min(), costs.iter().max()) {
        let show = |amount: &Decimal| figure::money(*amount, blueprint.cost.currency);
        said.push(format!(
            "by how demand and prices turn out, {} to {} by the objective",
            show(low),
            show(high)
        ));
    }
    said.join("; ")
}

/// Returns what the planner makes small, in words.
pub(crate) fn objective(blueprint: &Blueprint) -> &'static str {
    match blueprint.inputs.spec.frame.minimize {
        Objective::NetPresentCost => "net present cost",
        Objective::CostPerMonth => "cost over the horizon",
    }
}

/// Returns counts by period; where they are many, from where to where.
pub(crate) fn by_period(what: &str, counts: &[u32]) -> String {
    let (least, most) = (counts.iter().min(), counts.iter().max());
    let (Some(least), Some(most)) = (least, most) else { return what.to_owned() };
    let show = |count: &u32| figure::count(u64::from(*count));
    match counts.len() {
        _ if least == most => format!("{what}, {} in every period", show(most)),
        1..=LISTED => {
            let list: Vec<String> = counts.iter().map(show).collect();
            format!("{what}, period by period: {}", list.join(", "))
        }
        periods => format!("{what}, {} to {} over {periods} periods", show(least), show(most)),
    }
}

/// Returns what a row of the catalog says of itself.
pub(crate) fn catalog(id: &str, provenance: &Provenance) -> String {
    let word = provenance.grade.origin().word();
    format!("catalog row {id}, {word}, as of {}: {}", provenance.as_of, provenance.source)
}

/// Returns what the row of a machine says of itself; nothing where the blueprint does not hold it.
pub(crate) fn machine(blueprint: &Blueprint, shape: &str) -> String {
    let row = blueprint.inputs.catalog.shapes.iter().find(|row| row.id == shape);
    row.map_or_else(String::new, |row| catalog(&row.id, &row.provenance))
}

/// Says how a level was simulated.
pub(crate) fn simulation(verdict: &Verdict) -> String {
    format!(
        "simulated: {} requests in {} replications, {} of {} replicas, arrivals {}, stream {}; 95 % interval {} … {}",
        figure::count(verdict.requests),
        verdict.replications,
        verdict.replicas,
        verdict.replicas_planned,
        verdict.arrivals,
        verdict.stream,
        figure::span(verdict.low),
        figure::span(verdict.high)
    )
}

/// Returns the interval of a simulated number.
pub(crate) fn interval(estimated: Estimated, show: impl Fn(f64) -> String) -> String {
    format!(
        "simulated: mean over replications; 95 % interval {} … {}",
        show(estimated.low),
        show(estimated.high)
    )
}

/// Returns where the plan states a service level.
pub(crate) fn limit_of<'a>(
    blueprint: &'a Blueprint,
    workload: &str,
    level: (SloMetric, u32),
) -> Option<&'a Place> {
    let serve = blueprint.inputs.spec.serves.iter().find(|serve| serve.name == workload)?;
    serve.slos.iter().find(|slo| (slo.metric, slo.per_mille) == level).map(|slo| &slo.place)
}

/// Returns the site of a name, as the plan has it.
pub(crate) fn site<'a>(blueprint: &'a Blueprint, name: &str) -> Option<&'a Site> {
    blueprint.inputs.spec.sites.iter().find(|site| site.name == name)
}

/// Returns the fleet that a pool stands on, where it is only one.
pub(crate) fn fleet<'a>(blueprint: &'a Blueprint, site: &str, shape: &str) -> Option<&'a Fleet> {
    let mut here = blueprint.inputs.spec.fleets.iter().filter(|one| one.site == site && one.shape == shape);
    here.next().filter(|_| here.next().is_none())
}
