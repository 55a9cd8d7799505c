//! A plan, simulated again.

use crate::surroundings::Place;
use capstan_types::blueprint::VerdictStatus;
use capstan_types::simulation::Simulation;
use serde_json::Value;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");

/// A place with the first example and its blueprint.
fn planned() -> Place {
    let place = Place::new();
    place.write("first.plan", std::fs::read(format!("{EXAMPLES}/first.plan")).expect("an example"));
    place.run(&["plan", "first.plan", "-o", "b.json"]).exits(0);
    place
}

fn simulation(text: &str) -> Simulation {
    serde_json::from_str(text).expect("a simulation")
}

/// Every output at once, since planning and simulating take a while.
#[test]
fn a_blueprint_holds_when_it_is_simulated_longer_and_can_be_looked_at() {
    let place = planned();
    let asked =
        ["simulate", "b.json", "--replications", "9", "--output", "json:s.json", "--output", "terminal"];
    let kept = ["--timeline=svg:t.svg", "--chrome-trace", "c.json", "--requests", "r.csv"];
    let seen = place.run(&[&asked[..], &kept[..]].concat()).exits(0);
    assert!(seen.out.contains("every service level holds"), "{}", seen.told());
    let simulation = simulation(&place.read("s.json"));
    assert_eq!((simulation.status, simulation.runs.len()), (VerdictStatus::Met, 1));
    let run = &simulation.runs[0];
    assert_eq!((run.replications, run.completed), (16, run.requests), "whole batches of eight");
    let (ttft, tpot) = (run.ttft.expect("seen"), run.tpot.expect("seen"));
    let (itl, e2e) = (run.itl.expect("seen"), run.e2e.expect("seen"));
    assert!(ttft.p50_s.mean < ttft.p99_s.mean && ttft.p99_s.low <= ttft.p99_s.mean);
    assert!(itl.p50_s.mean < ttft.p50_s.mean && tpot.mean_s.mean < e2e.mean_s.mean);
    assert!((itl.mean_s.mean / tpot.mean_s.mean - 1.0).abs() < 0.2, "{itl:?} {tpot:?}");
    assert!((run.served_per_s.mean / run.rate.get() - 1.0).abs() < 0.05, "what is offered is served");
    // Arrivals of the course are the rows of the log.
    let arrived: u64 = run.timeline.iter().map(|point| point.arrived).sum();
    let rows = place.read("r.csv").lines().count() as u64 - 1;
    assert!(arrived == rows && rows > 1_000, "{arrived} {rows}");
    let trace: Value = serde_json::from_str(&place.read("c.json")).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    let steps: Vec<&Value> = events.iter().filter(|event| event["ph"] == "X").collect();
    assert!(steps.len() > 1_000);
    for pair in steps.windows(2).filter(|pair| pair[0]["tid"] == pair[1]["tid"]) {
        let number = |value: &Value| value.as_f64().expect("a number");
        let end = number(&pair[0]["ts"]) + number(&pair[0]["dur"]);
        assert!(number(&pair[1]["ts"]) >= end - 0.001, "steps of a replica do not overlap: {pair:?}");
    }
    assert!(place.read("t.svg").contains("requests waiting"));
}

#[test]
fn too_many_requests_break_a_level_and_a_failure_is_told() {
    let place = planned();
    let seen = place.run(&["simulate", "b.json", "--replications", "8", "--surge", "3x", "--output", "json"]);
    let surged = simulation(&seen.exits(3).out);
    assert_eq!(surged.status, VerdictStatus::Missed);
    assert_eq!(surged.what_if, ["3 times the requests"]);
    let fails =
        ["simulate", "b.json", "--replications", "8", "--fail", "node", "--for", "2min", "--output", "json"];
    let again = simulation(&place.run(&fails).out);
    let run = &again.runs[0];
    let failure = run.failure.as_ref().expect("it fails");
    assert!(failure.replicas >= 1 && (failure.back.get() - failure.at.get() - 120.0).abs() < 1e-6);
    let before = failure.attainment_before.expect("requests came");
    assert!(before > 0.9 && failure.attainment_during < failure.attainment_before, "{failure:?}");
    assert_eq!(run.lost, 0, "they are sent again");
    let lost = simulation(&place.run(&[&fails[..], &["--lose"]].concat()).out);
    assert!(lost.runs[0].lost > 0, "{:?}", lost.runs[0].failure);
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let place = planned();
    let run = |seed: &str| {
        place
            .run(&["simulate", "b.json", "--replications", "8", "--seed", seed, "--output", "json"])
            .exits(0)
            .out
    };
    assert_eq!(run("3"), run("3"));
    assert_ne!(run("3"), run("4"));
}

#[test]
fn what_cannot_be_simulated_is_refused() {
    let place = planned();
    for further in [
        &["--surge", "0x"][..],
        &["--for", "2min"],
        &["--fail", "node", "--for", "2"],
        &["--replications", "0"],
        &["--set", "chat.load.rate=6 req/s"],
        &["--requests", "b.json"],
        &["--requests", "x", "--chrome-trace", "x"],
    ] {
        place.run(&[&["simulate", "b.json"], further].concat()).exits(64);
    }
    place.write("none.plan", "plan p { currency = USD }\n");
    let seen = place.run(&["simulate", "none.plan"]);
    assert_ne!(seen.exits(1).err, "");
}
