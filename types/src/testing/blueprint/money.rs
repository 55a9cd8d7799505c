//! The bill of the fixture.

use super::machines::{MONTHS, hour_weight, month_discount};
use super::{CLOUD, OWN, decimal, inputs, quantity};
use crate::blueprint::{
    Cost, CostKind, CostLine, DemandCurve, Period, Pool, Service, TrainingRun, WorkloadCost,
};
use crate::money::Currency;
use crate::offering::PurchaseOption;
use crate::origin::Origin;
use rust_decimal::Decimal;

/// What is charged for: everything of a line but the amounts.
struct Charge<'a> {
    item: String,
    site: &'a str,
    option: Option<PurchaseOption>,
    period: u32,
    kind: CostKind,
    unit: &'a str,
    origin: Origin,
    source: &'a str,
}

fn line(charge: Charge<'_>, amount: Decimal, unit_price: &str) -> CostLine {
    let unit_price = decimal(unit_price);
    let billed_cost = Currency::USD.round(amount * unit_price);
    let on_demand = charge.option.is_some_and(|option| option != PurchaseOption::Owned);
    CostLine {
        item: charge.item,
        site: charge.site.to_owned(),
        shape: charge.option.map(|_| if charge.site == OWN.0 { OWN.1 } else { CLOUD.1 }.to_owned()),
        option: charge.option,
        period: charge.period,
        kind: charge.kind,
        quantity: amount,
        unit: charge.unit.to_owned(),
        unit_price,
        billed_cost,
        effective_cost: billed_cost,
        list_cost: on_demand.then(|| Currency::USD.round(amount * decimal("55.04"))),
        origin: charge.origin,
        source: charge.source.to_owned(),
    }
}

/// Servers in the first month, what they are still worth in the last, maintenance and energy between.
fn own_lines(periods: &[Period], pool: &Pool, training: &TrainingRun) -> Vec<CostLine> {
    let servers = Decimal::from(pool.purchases[0].nodes);
    let charge = |item: &str, period, kind, unit, origin, source| Charge {
        item: item.to_owned(),
        site: OWN.0,
        option: None,
        period,
        kind,
        unit,
        origin,
        source,
    };
    let quoted = "reseller quotation";
    let bought = Charge {
        option: Some(PurchaseOption::Owned),
        ..charge("10 × own.h100_sxm_8, owned", 0, CostKind::Capex, "node", Origin::Published, quoted)
    };
    let last = u32::try_from(periods.len()).unwrap_or(1) - 1;
    // Written off in a straight line to 10 % after 60 months: 46 % are left after 36.
    let left = charge(
        "value left of 10 × own.h100_sxm_8",
        last,
        CostKind::Residual,
        "node left",
        Origin::Assumed,
        "straight line over five years",
    );
    let mut purchase = line(bought, servers, "317000");
    let mut residual = line(left, servers, "-145820");
    purchase.effective_cost += residual.billed_cost;
    residual.effective_cost = Decimal::ZERO;
    let mut lines = vec![purchase];
    for period in 0..=last {
        let maintenance = charge(
            "maintenance of own.h100_sxm_8",
            period,
            CostKind::Opex,
            "node-month",
            Origin::Assumed,
            "5 % of the price a year",
        );
        lines.push(line(maintenance, servers * Decimal::from(MONTHS), "1320.8333333"));
    }
    let nodes = f64::from(training.candidate.nodes + training.spare_nodes + pool.spares);
    let energy = charge("energy", 0, CostKind::Opex, "kWh", Origin::Published, "the plan");
    lines.push(line(energy, quantity(nodes * 10.2 * 1.25 * training.hours), "0.08"));
    lines.push(residual);
    lines
}

fn cloud_lines(pool: &Pool) -> Vec<CostLine> {
    let mut lines = Vec::new();
    for purchase in &pool.purchases {
        let price = if purchase.option == PurchaseOption::OnDemand { "55.04" } else { "20.69505" };
        for (period, &hours) in (0..).zip(&purchase.node_hours_by_period) {
            let charge = Charge {
                item: format!(
                    "{} × {}, {}",
                    purchase.nodes_by_period[period as usize],
                    CLOUD.1,
                    purchase.option.words()
                ),
                site: CLOUD.0,
                option: Some(purchase.option),
                period,
                kind: CostKind::Opex,
                unit: "node-h",
                origin: Origin::Published,
                source: "skypilot-catalog v8, aws",
            };
            lines.push(line(charge, quantity(hours), price));
        }
    }
    lines
}

/// Returns the payments by month; what even months leave over falls on the last month of its line.
fn by_month(lines: &[CostLine]) -> Vec<Decimal> {
    let mut months = vec![Decimal::ZERO; 36];
    for line in lines {
        let first = (line.period * MONTHS) as usize;
        let last = first + MONTHS as usize - 1;
        match line.kind {
            CostKind::Capex => months[first] += line.billed_cost,
            CostKind::Residual | CostKind::Owed => months[35] += line.billed_cost,
            CostKind::Opex => {
                let even = Currency::USD.round(line.billed_cost / Decimal::from(MONTHS));
                for month in &mut months[first..last] {
                    *month += even;
                }
                months[last] += line.billed_cost - even * Decimal::from(MONTHS - 1);
            }
        }
    }
    months
}

fn workloads(
    lines: &[CostLine],
    demand: &[DemandCurve],
    service: &Service,
    training: &TrainingRun,
) -> Vec<WorkloadCost> {
    let over_horizon = |rows: &[Vec<f64>]| -> f64 {
        let row = |hours: &Vec<f64>| -> f64 {
            hours.iter().enumerate().map(|(hour, value)| value * hour_weight(MONTHS, hour)).sum()
        };
        rows.iter().map(row).sum()
    };
    let accelerators: Vec<Vec<f64>> = service.placements[0]
        .replicas
        .iter()
        .map(|hours| hours.iter().map(|&replicas| f64::from(replicas * 4)).collect())
        .collect();
    let chat_hours = over_horizon(&accelerators);
    let train_hours = f64::from((training.candidate.nodes + training.spare_nodes) * 8) * training.hours;
    let requests = over_horizon(&demand[0].rates) * 3600.0;
    // Each uses machines of its own.
    let chat_shape = &service.placements[0].candidate.shape;
    let of_chat = lines.iter().filter(|line| line.shape.as_ref() == Some(chat_shape));
    let chat: Decimal = of_chat.map(|line| line.billed_cost).sum();
    let total: Decimal = lines.iter().map(|line| line.billed_cost).sum();
    let row = |name: &str, cost: Decimal, hours: f64, requests: f64, prompt: f64, output: f64| WorkloadCost {
        workload: name.to_owned(),
        cost,
        accelerator_hours: hours,
        requests,
        prompt_tokens: prompt,
        output_tokens: output,
        per_million_tokens: Some((cost / quantity((prompt + output) / 1e6)).round_dp(6)),
        per_accelerator_hour: Some((cost / quantity(hours)).round_dp(6)),
        per_thousand_requests: (requests > 0.0).then(|| (cost / quantity(requests / 1e3)).round_dp(6)),
    };
    let (prompt, output) = (inputs::prompt().mean * requests, inputs::output().mean * requests);
    vec![
        row("chat", chat, chat_hours, requests, prompt, output),
        row("pretrain", total - chat, train_hours, 0.0, 2e12, 0.0),
    ]
}

pub(super) fn cost(
    periods: &[Period],
    pools: &[Pool],
    demand: &[DemandCurve],
    service: &Service,
    training: &TrainingRun,
) -> Cost {
    let mut lines = own_lines(periods, &pools[0], training);
    lines.extend(cloud_lines(&pools[1]));
    let sum = |kind| lines.iter().filter(|line| line.kind == kind).map(|line| line.billed_cost).sum();
    let (capex, opex, residual): (Decimal, Decimal, Decimal) =
        (sum(CostKind::Capex), sum(CostKind::Opex), sum(CostKind::Residual));
    let total = capex + opex + residual;
    let months = by_month(&lines);
    let discounted = (0..)
        .zip(&months)
        .map(|(month, paid)| paid * quantity(month_discount(month) * 1e6) / decimal("1000000"));
    let opex_of = |period: u32| -> Decimal {
        let mine = lines.iter().filter(|line| line.kind == CostKind::Opex && line.period == period);
        mine.map(|line| line.billed_cost).sum::<Decimal>() / Decimal::from(MONTHS)
    };
    let dearest = (0..6).map(opex_of).max().unwrap_or(Decimal::ZERO);
    Cost {
        currency: Currency::USD,
        total,
        capex,
        opex,
        highest_opex_per_month: Currency::USD.round(dearest),
        per_month: Currency::USD.round(total / decimal("36")),
        net_present: Currency::USD.round(discounted.sum()),
        by_month: months,
        all_on_demand: None,
        workloads: workloads(&lines, demand, service, training),
        not_included: vec![
            "space and cooling at hz1: no colocation price is given".to_owned(),
            "data transfer out of use1 (no `egress_price`)".to_owned(),
            "licences (no `licences` in `plan`)".to_owned(),
            "staff (no `staff` in `plan`)".to_owned(),
            "support (no `support` in `plan`)".to_owned(),
        ],
        lines,
    }
}

/// Returns the bill of a plan that buys nothing.
pub(super) fn nothing(months: usize) -> Cost {
    Cost {
        currency: Currency::USD,
        lines: Vec::new(),
        total: Decimal::ZERO,
        capex: Decimal::ZERO,
        opex: Decimal::ZERO,
        highest_opex_per_month: Decimal::ZERO,
        per_month: Decimal::ZERO,
        net_present: Decimal::ZERO,
        by_month: vec![Decimal::ZERO; months],
        all_on_demand: None,
        workloads: Vec::new(),
        not_included: Vec::new(),
    }
}
