//! What stands there already, or comes later: when it is used, and what is left to write off.

use crate::surroundings::Place;
use rust_decimal::Decimal;

fn plan(fleet: &str) -> String {
    format!(
        "plan p {{ currency = USD, horizon = 2027-01-01 .. 2027-12-31 }}
site hall {{ pue = 1.25, energy_price = 0.08 USD/kWh }}
fleet old {{ shape = own.dgx_a100_8, count = 2{fleet} }}
serve chat {{
  model = llama3_1_8b
  load  = {{ rate = 5 req/s, prompt = 1 ktok, output = 250 tok }}
  slo ttft {{ p99 <= 2 s }}
}}
"
    )
}

#[test]
fn machines_that_come_later_are_used_from_then_on() {
    let place = Place::new();
    let always = place.planned(plan(""), 0);
    assert_eq!(always.pools[0].fleet, [2]);
    let later = place.planned(plan(", since = 2027-07-01"), 0);
    let pool = later.pools.iter().find(|pool| pool.shape == "own.dgx_a100_8").expect("their pool");
    assert_eq!((later.periods.len(), &pool.fleet[..]), (2, &[0, 2][..]));
    let before: u32 = later.pools.iter().map(|pool| pool.nodes(0)).sum();
    assert!(before > 0 && later.cost.capex > Decimal::ZERO, "until then something else must be bought");
    // Whoever says that they stand there from the first day on is found out.
    let mut edited = later.clone();
    edited.pools.iter_mut().for_each(|pool| pool.fleet.iter_mut().for_each(|nodes| *nodes = 2));
    let checks = capstan_planner::audit::audit(&edited);
    assert!(checks.iter().any(|check| !check.violations.is_empty()), "nobody noticed");
    place.write("q.plan", plan(", since = 2028-07-01"));
    let told = place.run(&["check", "q.plan"]).exits(1);
    assert!(told.told().contains("are not used any more"), "{}", told.told());
}

#[test]
fn what_is_left_of_their_price_is_written_off_and_never_paid() {
    let place = Place::new();
    let plain = place.planned(plan(""), 0);
    let valued = place.planned(plan(", since = 2025-01-01, book_value = 60 kUSD"), 0);
    assert_eq!((plain.cost.total, plain.cost.capex), (valued.cost.total, valued.cost.capex));
    let finance = capstan_planner::finance::finance(&valued);
    let [one] = finance.written_off.as_slice() else { panic!("{:?}", finance.written_off) };
    // Of a life of 48 months 24 are over: 120,000 USD over the 24 that are left, half of them in the horizon.
    assert_eq!((one.life_months, one.cost), (24, Decimal::from(120_000)));
    assert_eq!((one.per_month, one.book_value), (Decimal::from(5000), Decimal::from(60_000)));
    assert!(capstan_planner::finance::finance(&plain).written_off.is_empty());
    place.run(&["report", "b.json", "--output", "html:page.html"]).exits(0);
    assert!(place.read("page.html").contains("there already"), "the page lists what is written off");
}

/// A contract is paid for its own machines, in its own months.
#[test]
fn each_contract_is_paid_for_the_machines_that_it_is_for() {
    let place = Place::new();
    let paid = |fleets: &str| -> Vec<(Decimal, Decimal)> {
        let text = format!(
            "plan p {{ currency = USD, horizon = 2027-01-01 .. 2027-12-31 }}
site hall {{ pue = 1.25, energy_price = 0.1 USD/kWh }}
{fleets}
serve chat {{
  model = \"meta-llama/Llama-3.1-8B-Instruct\"
  load = {{ rate = 20 req/s, prompt = 1 ktok, output = 200 tok }}
  slo ttft {{ p99 <= 1 s }}
  accelerator = h100_sxm
}}
"
        );
        let blueprint = place.planned(text, 0);
        let lines = blueprint.cost.lines.iter().filter(|line| line.item.ends_with("contract already signed"));
        lines.map(|line| (line.quantity, line.billed_cost)).collect()
    };
    let fleet = |name: &str, count: u32, more: &str| {
        format!("fleet {name} {{ shape = own.hgx_h100_8, count = {count}, site = hall{more} }}\n")
    };
    let amount = |hours: i64, cost: i64| (Decimal::from(hours), Decimal::from(cost));
    // Three beside it are paid for.
    let beside = fleet("f", 1, ", committed_price = 10 USD/h") + &fleet("g", 3, "");
    assert_eq!(paid(&beside), [amount(8_760, 87_600)]);
    let after = fleet("f", 1, ", until = 2027-03-31, committed_price = 10 USD/h")
        + &fleet("g", 1, ", since = 2027-04-01, committed_price = 2 USD/h");
    assert_eq!(paid(&after), [amount(2_190, 21_900), amount(6_570, 13_140)]);
}
