//! Whoever follows a way out literally gets a plan that holds.
//!
//! Each plan here cannot be kept. The first way out that is printed is written into the plan file as a person would
//! write it, and planned again.

use assert_cmd::Command;
use std::fs;
use std::path::{Path, PathBuf};

fn source(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = ["examples", "tests/plans"].map(|folder| root.join(folder).join(format!("{name}.plan")));
    let place: &PathBuf = places.iter().find(|path| path.exists()).expect("the plan is there");
    fs::read_to_string(place).expect("the plan is text")
}

/// Plans a text and returns its blueprint.
fn planned(text: &str, code: i32) -> serde_json::Value {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("a.plan"), text).expect("written");
    let mut command = Command::cargo_bin("capstan").expect("the binary is built");
    command
        .current_dir(folder.path())
        .env_clear()
        .args(["plan", "a.plan", "-o", "a.json"])
        .assert()
        .code(code);
    let json = fs::read_to_string(folder.path().join("a.json")).expect("a blueprint was written");
    serde_json::from_str(&json).expect("JSON")
}

/// Replaces what stands between the first `from` and the next `to`.
fn replaced(text: &str, from: &str, to: &str, by: &str) -> String {
    let start = text.find(from).unwrap_or_else(|| panic!("`{from}` is in {text}")) + from.len();
    let end = start + text[start..].find(to).expect("it ends");
    format!("{}{by}{}", &text[..start], &text[end..])
}

/// Returns the plan with one step of a way out in it.
fn follow(text: &str, step: &str) -> String {
    let words: Vec<&str> = step.split_whitespace().collect();
    match words.as_slice() {
        ["slo", metric, "{", percentile, "<=", number, "ms", ..] => {
            replaced(text, &format!("slo {metric} {{"), "}", &format!(" {percentile} <= {number} ms "))
        }
        ["finish", "<=", date, ..] => replaced(text, "finish      <=", "\n", &format!(" {date}")),
        ["power", "at", _, number, "kW", ..] => {
            replaced(text, "power           <=", "\n", &format!(" {number} kW"))
        }
        ["total", "of", "budget", _, number, currency, ..] => {
            let number = number.replace(',', "");
            replaced(text, "total <=", "}", &format!(" {number} {currency} "))
        }
        ["power", "of", "each", "rack", "at", _, number, "kW", ..] => {
            replaced(text, "rack             = { power <=", ",", &format!(" {number} kW"))
        }
        ["opex", "per", "month", "of", "budget", _, number, unit, ..] => {
            let number = number.replace(',', "");
            replaced(text, "opex <=", ",", &format!(" {number} {unit}"))
        }
        ["spot", "<=", share, "of", _] => replaced(text, "spot <=", ",", &format!(" {share}")),
        ["rule", "chat.cost", "/", "chat.tokens", "<=", number, unit, "of", "budget", _] => {
            replaced(text, "chat.tokens <=", "\n", &format!(" {number} {unit}"))
        }
        ["cost", "that", ..] => panic!("not one value: {step}"),
        _ => panic!("unknown step: {step}"),
    }
}

fn follows(name: &str) {
    let text = source(name);
    let stuck = planned(&text, 3);
    let ways = stuck["findings"][0]["ways_out"].as_array().expect("ways out").clone();
    let way = ways[0].as_str().expect("text");
    let (steps, cost) = way.split_once(": the plan then costs ").expect("it says what it costs");
    let changed = steps.split(", and ").fold(text, |text, step| follow(&text, step));
    let holds = planned(&changed, 0);
    assert_eq!(holds["status"], "feasible", "{way}: {}", holds["findings"]);
    let promised = cost.split(' ').next().expect("an amount").replace(',', "");
    let told = holds["cost"]["net_present"]
        .as_str()
        .map_or_else(|| holds["cost"]["net_present"].to_string(), str::to_owned);
    let amount = |text: &str| text.parse::<f64>().expect("an amount");
    assert_eq!(amount(&promised), amount(&told), "{way}");
    // What is shown beside the gap is the same plan's cost, to what bills round.
    let objective = holds["solver"]["objective"].as_f64().expect("a number");
    assert!((objective - amount(&told)).abs() < 1.0, "{objective} is not {told}");
}

#[test]
fn a_budget_that_is_too_small() {
    follows("budget-too-small");
}

#[test]
fn a_site_with_too_little_power() {
    follows("power-too-small");
}

#[test]
fn a_site_with_too_little_power_for_what_stands_there() {
    follows("fleet-power-too-small");
}

#[test]
fn a_rack_with_too_little_power() {
    follows("rack-too-weak");
}

#[test]
fn two_limits_of_which_neither_can_be_kept() {
    follows("two-limits-too-low");
}

#[test]
fn two_service_levels_that_nothing_reaches() {
    follows("levels-too-tight");
}

#[test]
fn a_share_that_makes_the_budget_too_small() {
    follows("spot-share-too-small");
}

#[test]
fn a_rule_on_the_cost_of_tokens() {
    follows("unit-cost-too-low");
}

#[test]
fn a_deadline_that_is_too_early() {
    follows("deadline-too-early");
}
