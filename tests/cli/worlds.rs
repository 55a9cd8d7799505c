//! Uncertain quantities and scenarios: from bounds in a plan file to worlds, regret and plans side by side.

use crate::surroundings::{LAB, LAB_G1, Place, Seen};
use capstan_types::blueprint::{Blueprint, Status, Uncertainty};
use capstan_types::offering::PurchaseOption;
use rust_decimal::Decimal;

/// The machine is had for a year at 40 % of its price by the hour.
const PRICES: &str = r#"
[[offering]]
shape = "lab.g1"
from = "lab"
grade = "list"
prices = [{ region = "a", on_demand = "2 USD/h", reserved_1y = "0.8 USD/h" }]
"#;

fn plan(peak: &str, more: &str, buy: &str) -> String {
    format!(
        "use catalog \"lab.toml\"
plan p {{ currency = USD, horizon = 2027-01-01 .. 2027-12-31 }}
site a {{ provider = \"lab\", region = \"a\" }}
serve chat {{
  model = \"meta-llama/Llama-3.1-8B-Instruct\"
  load  = {{ peak = {peak}, prompt = 1 ktok, output = 250 tok{more} }}
  slo ttft {{ p99 <= 2 s }}
  slo tpot {{ p99 <= 50 ms }}
  buy = [{buy}]
}}
"
    )
}

fn planned(text: &str, threads: &str) -> (Blueprint, String, Seen) {
    let place = Place::new();
    place.write("lab.toml", format!("{LAB}{LAB_G1}{PRICES}"));
    place.write("p.plan", text);
    let mut program = place.program();
    program.env("RAYON_NUM_THREADS", threads).args(["plan", "p.plan", "-o", "b.json"]);
    let seen = Seen::of(&mut program).exits(0);
    let text = place.read("b.json");
    (serde_json::from_str(&text).expect("a blueprint"), text, seen)
}

fn weighed(blueprint: &Blueprint) -> &Uncertainty {
    blueprint.uncertainty.as_ref().expect("something is uncertain")
}

fn reserved(blueprint: &Blueprint) -> u32 {
    let term = PurchaseOption::Reserved { term_months: 12 };
    let purchases = blueprint.pools.iter().flat_map(|pool| &pool.purchases);
    purchases.filter(|purchase| purchase.option == term).map(|purchase| purchase.nodes).sum()
}

/// Demand may be a tenth above its median or many times as much. A node that is reserved pays where it is busy in more
/// than 40 % of the worlds, so more than the median needs is reserved, and less than the highest world needs.
#[test]
fn what_is_reserved_follows_from_all_worlds_not_from_the_median() {
    let peak = "60 req/s in 50 req/s .. 900 req/s @ 90%";
    let (certain, _, _) = planned(&plan("60 req/s", "", "reserved(1 y), on_demand"), "2");
    let (blueprint, text, seen) = planned(&plan(peak, "", "reserved(1 y), on_demand"), "1");
    let found = weighed(&blueprint);
    assert!(reserved(&blueprint) > reserved(&certain), "{} {}", reserved(&blueprint), reserved(&certain));
    let medians = found.plans.iter().find(|plan| plan.cheapest_for == "the medians").expect("it was weighed");
    assert!(found.plans[0].mean_regret < medians.mean_regret, "{:?}", found.plans);
    assert_eq!(found.plans[0].falls_short_in, 0);
    assert!(found.worlds.iter().all(|world| world.planned >= world.cheapest && world.cheapest.is_some()));
    let parts: Decimal = found.regret_parts.iter().map(|part| part.mean).sum();
    assert!((parts - found.plans[0].mean_regret).abs() <= Decimal::ONE, "{found:?}");
    assert!(seen.out.contains("chat.load.peak"), "{}", seen.told());
    assert!(blueprint.audit.iter().all(|check| check.violations.is_empty()), "{:?}", blueprint.audit);
    let (_, again, _) = planned(&plan(peak, "", "reserved(1 y), on_demand"), "4");
    assert!(text == again, "the number of threads changes the plan");
}

/// Without anything by the hour a plan must do in every world, so it is that of the highest.
#[test]
fn without_recourse_the_plan_does_in_every_world() {
    let (blueprint, _, _) =
        planned(&plan("60 req/s in 50 req/s .. 400 req/s @ 90%", "", "reserved(1 y)"), "2");
    let found = weighed(&blueprint);
    assert_eq!(found.plans[0].falls_short_in, 0, "{found:?}");
    let medians = found.plans.iter().find(|plan| plan.cheapest_for == "the medians");
    assert!(medians.is_none_or(|plan| plan.falls_short_in > 4), "{found:?}");
    let (certain, _, _) = planned(&plan("60 req/s", "", "reserved(1 y)"), "2");
    assert!(reserved(&blueprint) > reserved(&certain));
}

/// A further quantity has a stream of its own; what moves the cost most comes first.
#[test]
fn a_further_quantity_leaves_the_draws_of_the_others() {
    let peak = "60 req/s in 40 req/s .. 90 req/s @ 90%";
    let (one, _, _) = planned(&plan(peak, "", "reserved(1 y), on_demand"), "2");
    let weekend = ", weekend = 90% in 85% .. 95% @ 80%";
    let (two, _, seen) = planned(&plan(peak, weekend, "reserved(1 y), on_demand"), "2");
    for (one, two) in weighed(&one).worlds.iter().zip(&weighed(&two).worlds) {
        assert_eq!(one.values[0], two.values[0]);
        assert!((80.0..=100.0).contains(&two.values[1]), "{two:?}");
    }
    let names: Vec<&str> = weighed(&two).swings.iter().map(|swing| swing.quantity.as_str()).collect();
    assert_eq!(names, ["chat.load.peak", "chat.load.weekend"]);
    assert!(seen.out.contains("chat.load.weekend"), "{}", seen.told());
}

/// A scenario is planned like `--scenario` plans it, and says what would have to be otherwise.
#[test]
fn scenarios_are_planned_side_by_side() {
    let place = Place::new();
    place.write("lab.toml", format!("{LAB}{LAB_G1}{PRICES}"));
    let text = plan("60 req/s", "", "reserved(1 y), on_demand")
        + "scenario crowd { set chat.load.peak *= 10 }\nscenario dear { set lab.g1.price *= 2 }
scenario mass { set chat.load.peak *= 1000 }\n";
    place.write(
        "p.plan",
        text.replace(
            "provider = \"lab\", region = \"a\" }",
            "provider = \"lab\", region = \"a\", quota = { l40s <= 1000 GPU } }",
        ),
    );
    let seen = place.run(&["plan", "p.plan", "-o", "b.json"]).exits(0);
    let blueprint = place.blueprint("b.json");
    let names: Vec<(&str, Status)> =
        blueprint.scenarios.iter().map(|scenario| (scenario.name.as_str(), scenario.status)).collect();
    assert_eq!(
        names,
        [("crowd", Status::Feasible), ("dear", Status::Feasible), ("mass", Status::Infeasible)]
    );
    place.run(&["plan", "p.plan", "--scenario", "crowd", "-o", "c.json"]).exits(0);
    let alone = place.blueprint("c.json");
    assert_eq!(blueprint.scenarios[0].total, Some(alone.cost.total));
    assert!(alone.scenarios.is_empty());
    assert!(
        blueprint.scenarios[0].differs.iter().any(|change| change.contains("nodes bought")),
        "{:?}",
        blueprint.scenarios
    );
    assert_eq!(blueprint.scenarios[1].total, Some(blueprint.cost.total * Decimal::TWO));
    assert!(!blueprint.scenarios[2].problems.is_empty() && blueprint.scenarios[2].total.is_none());
    assert!(seen.out.contains("crowd") && seen.out.contains("NO plan"), "{}", seen.told());
}

/// Sites differ in what data costs that leaves them: that is a part of regret as well.
#[test]
fn what_is_paid_beside_machines_is_a_part_of_regret() {
    let text = "plan p { currency = USD, horizon = 2027-01-01 .. 2028-12-31, discount = 8 %/y }
param peak = 60 req/s in 36 req/s .. 140 req/s @ 90%
site hall { power <= 120 kW, pue = 1.3, energy_price = 0.12 USD/kWh, rack = { power <= 22 kW, height = 42 U }, racks <= 3, redundancy = n_plus_1, lead_time = 2 mo }
site use1 { provider = aws, region = \"us-east-1\", egress_price = 0.09 USD/GB }
serve chat {
  model = \"meta-llama/Llama-3.1-8B-Instruct\"
  load = { peak = peak, prompt = 1500 tok, output = 300 tok, grows = 2 %/mo, daily = diurnal(trough = 30%, peak_at = 14:00) }
  slo ttft { p99 <= 700 ms }
  slo tpot { p99 <= 40 ms }
  availability >= 99.95%
  accelerator in [h100_sxm, l40s]
}
";
    let (blueprint, ..) = planned(text, "2");
    let found = weighed(&blueprint);
    let parts: Decimal = found.regret_parts.iter().map(|part| part.mean).sum();
    assert!((parts - found.plans[0].mean_regret).abs() <= Decimal::ONE, "{:?}", found.regret_parts);
}
