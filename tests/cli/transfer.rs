//! What leaves a site: answers go to their users, are paid for where they leave, and move where a service runs.

use crate::prices::{catalog, plan};
use crate::surroundings::Place;
use capstan_types::blueprint::{Blueprint, CostLine};
use rust_decimal::prelude::ToPrimitive;

/// The same machine in two regions, a little dearer in the second.
const PRICES: &str =
    "{ region = \"a\", on_demand = \"5 USD/h\" }, { region = \"b\", on_demand = \"5.2 USD/h\" }";

/// One request per second of 250 tokens in 2027, months of 730 h: (638 + 250 × 217) bytes each.
const GB: f64 = 3600.0 * 8760.0 * (638.0 + 250.0 * 217.0) / 1e9;

/// Returns a plan for either region at these prices of what leaves them.
fn at(prices: [&str; 2]) -> String {
    let mut text = plan(&["a", "b"], "1 req/s", "on_demand");
    for (region, price) in ["a", "b"].into_iter().zip(prices) {
        let site = format!("region = \"{region}\" }}");
        assert!(text.contains(&site), "{text}");
        text = text.replace(&site, &format!("region = \"{region}\", egress_price = {price} }}"));
    }
    text
}

fn place() -> Place {
    let place = Place::new();
    place.write("lab.toml", catalog(PRICES));
    place
}

fn sent(blueprint: &Blueprint) -> Vec<&CostLine> {
    blueprint.cost.lines.iter().filter(|line| line.item.starts_with("data transfer")).collect()
}

#[test]
fn answers_are_paid_for_where_they_leave() {
    let place = place();
    let blueprint = place.planned(at(["0.05 USD/GB", "0 USD/GB"]), 0);
    assert!(blueprint.audit.iter().all(|check| check.violations.is_empty()), "{:?}", blueprint.audit);
    let lines = sent(&blueprint);
    let gigabytes: f64 = lines.iter().filter_map(|line| line.quantity.to_f64()).sum();
    assert!((gigabytes - GB).abs() < 1.0, "{gigabytes} is not {GB}");
    assert!(lines.iter().all(|line| line.site == "a" && line.unit == "GB"), "{lines:?}");
    let total = blueprint.cost.total.to_f64().expect("money");
    assert!((total - 5.0 * 8760.0 - 0.05 * GB).abs() < 1.0, "{total}");
    assert!((blueprint.solver.objective - total).abs() < 1.0, "{}", blueprint.solver.objective);
    assert!(!blueprint.cost.not_included.iter().any(|item| item.starts_with("data transfer")));
    let told = place.run(&["explain", "b.json"]).exits(0).out;
    assert!(told.contains("at 0.05 USD/GB"), "{told}");
    place.run(&["report", "b.json", "--output", "csv:out"]).exits(0);
    let focus = place.read("out/focus.csv");
    assert!(
        focus.contains("Networking,Network Connectivity,") && focus.contains(",Data Transfer,"),
        "{focus}"
    );
}

#[test]
fn a_service_moves_away_from_where_its_answers_are_dear_to_send() {
    let sites = |prices| -> Vec<String> {
        let blueprint = place().planned(at(prices), 0);
        blueprint.services[0].placements.iter().map(|placement| placement.site.clone()).collect()
    };
    assert_eq!(sites(["0.05 USD/GB", "0 USD/GB"]), ["a"]);
    // 0.2 USD/h of 8,760 h are less than 2 USD for each of 1,729 GB.
    assert_eq!(sites(["2 USD/GB", "0 USD/GB"]), ["b"]);
    assert_eq!(sites(["2 USD/GB", "2 USD/GB"]), ["a"]);
}

#[test]
fn limits_on_money_count_what_leaves() {
    let place = place();
    let text = |price: &str, limit: &str| format!("{}budget y {{ {limit} }}\n", at([price, "0 USD/GB"]));
    // 43,800 USD for the machine at one site and 45,552 at the other; 86 USD for what leaves the first.
    for (limit, code) in [("total <= 43_900 USD", 0), ("total <= 43_850 USD", 3), ("opex <= 3_655 USD/mo", 3)]
    {
        place.write("p.plan", text("0.05 USD/GB", limit));
        place.run(&["plan", "p.plan"]).exits(code);
    }
    let blueprint = place.planned(text("2 USD/GB", "total <= 46 kUSD"), 0);
    assert_eq!(blueprint.services[0].placements[0].site, "b");
}

#[test]
fn a_price_that_nobody_states_is_listed() {
    let blueprint = place().planned(plan(&["a"], "1 req/s", "on_demand"), 0);
    let listed = "data transfer out of a (no `egress_price`)";
    assert!(blueprint.cost.not_included.iter().any(|item| item == listed));
    assert!(sent(&blueprint).is_empty());
}
