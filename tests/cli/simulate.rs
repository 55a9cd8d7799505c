//! A plan, simulated again.

use crate::surroundings::Place;
use capstan_types::blueprint::VerdictStatus;
use capstan_types::simulation::{SimulatedFailure, Simulation};
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
    // What clients see in the log is what the table says of them.
    let log = place.read("r.csv");
    let column =
        |name: &str| log.lines().next().and_then(|header| header.split(',').position(|one| one == name));
    let column = |name: &str| {
        let index = column(name).expect("a column");
        let values =
            log.lines().skip(1).filter_map(move |line| line.split(',').nth(index)?.parse::<f64>().ok());
        values.collect::<Vec<f64>>()
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    for (name, told) in [("ttft_s", ttft.mean_s), ("e2e_s", e2e.mean_s)] {
        let logged = mean(&column(name));
        assert!((logged / told.mean - 1.0).abs() < 0.05, "{name}: {logged} {told:?}");
    }
    let (first, arrived) = (mean(&column("first_token_at_s")), mean(&column("arrived_at_s")));
    assert!(
        first - arrived < mean(&column("ttft_s")),
        "the scheduler's times are without what is outside it"
    );
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
fn each_kind_of_failure_strikes_what_it_takes_along() {
    let place = planned();
    let told = |further: &[&str]| {
        let asked = [&["simulate", "b.json", "--replications", "8", "--output", "json"], further].concat();
        let simulation = simulation(&place.run(&asked).out);
        (simulation.what_if[0].clone(), simulation.runs[0].clone())
    };
    let (what, crash) = told(&["--fail", "crash"]);
    assert_eq!(what, "a replica crashes and starts again");
    let crash = crash.failure.expect("it fails");
    let (_, gpu) = told(&["--fail", "gpu"]);
    let gpu = gpu.failure.expect("it fails");
    let lasts = |failure: &SimulatedFailure| failure.back.get() - failure.at.get();
    assert!(lasts(&crash) < lasts(&gpu), "the image is there: {crash:?} {gpu:?}");
    assert_eq!((crash.replicas, gpu.replicas), (1, 1));
    let (_, slow) = told(&["--fail", "slow", "--slower", "3x", "--for", "5min"]);
    let slow = slow.failure.expect("it is slow");
    assert!((lasts(&slow) - 300.0).abs() < 1e-6 && slow.replicas == 1, "{slow:?}");
    assert!(slow.attainment_during < slow.attainment_before, "{slow:?}");
    // The site has no zones, so it is one, and goes with all that it has.
    let (_, zone) = told(&["--fail", "zone"]);
    assert_eq!(zone.failure.expect("it fails").replicas, zone.replicas);
    let spot = |notice: &str| told(&["--fail", "spot", "--count", "1", "--lose", "--notice", notice]).1.lost;
    let (warned, unwarned) = (spot("2min"), spot("none"));
    assert!(warned == 0 && unwarned > 0, "what runs ends within two minutes: {warned} {unwarned}");
    for (kind, says) in [("rack", "how many machines a rack"), ("spot", "no machine at `cloud`")] {
        let seen = place.run(&["simulate", "b.json", "--fail", kind]).exits(1);
        assert!(seen.err.contains(says), "{}", seen.told());
    }
}

const FOLLOWS: &str = r#"plan follows { currency = USD }
site cloud { provider = aws, region = "us-east-1" }
serve chat {
  model       = "meta-llama/Llama-3.1-8B-Instruct"
  accelerator = l40s
  parallelism = { tensor = 1, pipeline = 1 }
  load        = {
    peak   = 16 req/s
    prompt = 1 ktok
    output = 250 tok
    daily  = diurnal(trough = 20%, peak_at = 14:00)
  }
  autoscale   = { AIM }
  slo ttft { p99 <= 4 s }
}
"#;

/// An autoscaler holds as many replicas as have its target in flight each: so many are planned and paid for.
#[test]
fn a_stated_target_is_all_that_a_replica_is_given() {
    let place = Place::new();
    let placement = |aim: &str| {
        let blueprint = place.planned(FOLLOWS.replace("AIM", aim), 0);
        blueprint.services[0].placements[0].clone()
    };
    let (free, aimed) = (placement("tolerance = 10%"), placement("target = 4 req"));
    assert!(aimed.estimate.batch <= 4.0 && free.estimate.batch > 8.0, "{free:?} {aimed:?}");
    assert_eq!(aimed.estimate.bound_by, "requests in flight aimed at");
    assert!(aimed.peak_replicas() > free.peak_replicas(), "{free:?} {aimed:?}");
}

/// Replicas that follow the requests are what a plan is verified with, and what a simulation shows.
#[test]
fn replicas_that_follow_requests_are_verified_as_they_come() {
    let place = Place::new();
    let plan = |aim: &str| {
        place.write("follows.plan", FOLLOWS.replace("AIM", aim));
        place.run(&["plan", "follows.plan", "-o", "f.json"])
    };
    plan("provision = 1 min, image = lazy").exits(0);
    let blueprint: Value = serde_json::from_str(&place.read("f.json")).expect("JSON");
    let target = blueprint["services"][0]["placements"][0]["in_flight_target"].as_f64();
    let asked = ["simulate", "f.json", "--replications", "8", "--surge", "0.4x", "--output", "json"];
    let run = simulation(&place.run(&asked).out).runs[0].clone();
    let scaling = run.scaling.expect("replicas follow");
    assert_eq!(Some(scaling.target), target, "what is simulated is what the blueprint says");
    // Less than half of the requests: replicas go, and are not paid for.
    assert!(scaling.fewest_serving < run.replicas, "{scaling:?}");
    assert!(scaling.mean_paid < 0.9 * f64::from(run.replicas), "{scaling:?}");
}

#[test]
fn a_spike_is_told_and_clients_wait_for_their_answers() {
    let place = planned();
    let run = |further: &[&str]| {
        let asked = [&["simulate", "b.json", "--replications", "8", "--output", "json"], further].concat();
        simulation(&place.run(&asked).out)
    };
    let (usual, spiked) = (run(&[]), run(&["--spike", "4x", "--spike-for", "3min"]));
    assert_eq!(spiked.what_if, ["4 times the requests for 180 s"]);
    // 3 minutes of 5 req/s, three times more, in eight replications.
    let more = spiked.runs[0].requests as f64 - usual.runs[0].requests as f64;
    assert!((more / (8.0 * 180.0 * 15.0) - 1.0).abs() < 0.1, "{more}");
    let (few, many) = (run(&["--clients", "4"]), run(&["--clients", "16"]));
    assert_eq!(few.what_if, ["4 clients that wait for their answers"]);
    for (clients, seen) in [(4.0, &few), (16.0, &many)] {
        // Little: clients are those in flight.
        let (served, stays) = (seen.runs[0].served_per_s.mean, seen.runs[0].e2e.expect("seen").mean_s.mean);
        assert!((served * stays / clients - 1.0).abs() < 0.03, "{clients}: {served} {stays}");
        // What is told of the load is the load that was there.
        let rate = seen.runs[0].rate.get();
        assert!((rate / served - 1.0).abs() < 0.05, "{clients}: {rate} {served}");
        assert_eq!(seen.runs[0].arrivals, format!("{clients} clients that wait for their answers"));
    }
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
        &["--fail", "spot", "--notice", "2"],
        &["--fail", "gpu", "--count", "0"],
        &["--requests", "b.json"],
        &["--requests", "x", "--chrome-trace", "x"],
    ] {
        place.run(&[&["simulate", "b.json"], further].concat()).exits(64);
    }
    place.write("none.plan", "plan p { currency = USD }\n");
    let seen = place.run(&["simulate", "none.plan"]);
    assert_ne!(seen.exits(1).err, "");
}
