//! What comes otherwise than planned: scenarios beside the plan, requests that are turned away, and a user who wants no more.

use crate::surroundings::Place;
use capstan_types::blueprint::{Blueprint, VerdictStatus, WhatIfOutcome};
use capstan_types::simulation::Simulation;
use std::process::Command;

const HALL: &str = r#"plan p { currency = USD, horizon = 2027-01-01 .. 2027-12-31 }
site hall { energy_price = 0.1 USD/kWh, colocation_price = 130 USD/kW/mo, rack = { power <= 25 kW, height = 42 U } }
serve chat {
  model       = "meta-llama/Llama-3.1-70B-Instruct"
  accelerator = h100_sxm
  parallelism = { tensor = 4, pipeline = 1 }
  load        = { rate = 60 req/s, prompt = 2 ktok, output = 300 tok }
  slo ttft { p99 <= 3 s }
  BESIDE
}
scenario rack_loss { fail rack { for = 10 min } }
scenario crash { fail crash { } }
scenario ten_times { surge { load = 10, for = 3 min } }
scenario spot_loss { fail spot { notice = 30 s } }
"#;

fn told<'a>(blueprint: &'a Blueprint, name: &str) -> &'a WhatIfOutcome {
    blueprint.what_ifs.iter().find(|told| told.scenario == name).expect("every scenario is told")
}

#[test]
fn scenarios_are_simulated_beside_the_plan_and_warn_without_failing_it() {
    let place = Place::new();
    let retried = place.planned(HALL.replace("BESIDE", ""), 0);
    let rack = told(&retried, "rack_loss");
    assert_eq!(rack.what_if, ["a rack fails"]);
    let failure = rack.hours[0].failure.as_ref().expect("it fails");
    // 25 kW take two machines of eight accelerators: four replicas of four.
    assert_eq!((failure.replicas, failure.back.get() - failure.at.get()), (4, 600.0));
    assert_eq!(rack.hours[0].lost, 0, "what runs is sent again");
    assert!(failure.attainment_during <= failure.attainment_before, "{failure:?}");
    let surge = told(&retried, "ten_times");
    assert_eq!(surge.status, Some(VerdictStatus::Missed));
    assert_eq!(surge.what_if, ["10 times the requests for 180 s"]);
    let spot = told(&retried, "spot_loss");
    assert!(spot.status.is_none() && spot.refused.as_ref().is_some_and(|why| why.contains("spot market")));
    let found = |name: &str| {
        let named = format!("scenario `{name}`");
        retried.findings.iter().find(|found| found.code == "W0341" && found.message.contains(&named))
    };
    assert!(found("ten_times").is_some_and(|found| found.because[0].contains("chat ttft p99")));
    assert!(found("spot_loss").is_some());
    let seen = place.run(&["report", "b.json"]).exits(0);
    for words in ["What if", "rack_loss", "As planned", "replicas down", "10 times the requests"] {
        assert!(seen.out.contains(words), "{words}: {}", seen.told());
    }
    let lost = place.planned(HALL.replace("BESIDE", "on_failure = lose"), 0);
    assert!(told(&lost, "rack_loss").hours[0].lost > 0 && told(&lost, "crash").hours[0].lost > 0);
}

#[test]
fn requests_that_find_a_full_queue_are_turned_away_and_counted() {
    let place = Place::new();
    let text = r#"plan p { currency = USD }
site cloud { provider = aws, region = "us-east-1" }
serve chat {
  model = "meta-llama/Llama-3.1-8B-Instruct"
  load  = { rate = 5 req/s, prompt = 1 ktok, output = 250 tok }
  slo ttft { p99 <= 1 s }
  QUEUE
}
"#;
    let seen = |queue: &str| -> Simulation {
        place.write("p.plan", text.replace("QUEUE", queue));
        let asked =
            ["simulate", "p.plan", "--surge", "6x", "--replications", "8", "--output", "json", "--output"];
        let run = place.run(&[&asked[..], &["terminal:t.txt"]].concat());
        serde_json::from_str(&run.out).expect("a simulation")
    };
    let (all, few) = (seen(""), seen("queue <= 2 req"));
    assert_eq!(all.runs[0].rejected, 0);
    assert!(few.runs[0].rejected > 100, "{}", few.runs[0].rejected);
    assert!(place.read("t.txt").contains("turned away"));
    let waited = |of: &Simulation| of.runs[0].ttft.expect("seen").p99_s.mean;
    assert!(waited(&few) < 0.5 * waited(&all), "who is let in waits less: {} {}", waited(&few), waited(&all));
}

/// Replicas that take an hour to come cannot follow a rate that rises within one.
#[test]
fn a_plan_whose_replicas_come_too_late_is_refused() {
    let place = Place::new();
    let text = r#"plan p { currency = USD }
site cloud { provider = aws, region = "us-east-1", quota = { l40s <= 2 } }
serve chat {
  model       = "meta-llama/Llama-3.1-8B-Instruct"
  accelerator = l40s
  parallelism = { tensor = 1, pipeline = 1 }
  load        = {
    peak   = 8 req/s
    prompt = 1 ktok
    output = 250 tok
    daily  = diurnal(trough = 5%, peak_at = 14:00)
  }
  slo ttft { p99 <= 2 s }
  FOLLOWS
}
"#;
    place.planned(text.replace("FOLLOWS", ""), 0);
    place.write("p.plan", text.replace("FOLLOWS", "autoscale = { provision = 4 h }"));
    place.run(&["plan", "p.plan", "-o", "b.json"]).exits(3);
    let blueprint = place.blueprint("b.json");
    // Simulation turned the replicas down that suffice where they are there in time; more of them may not be had.
    assert!(blueprint.solver.rounds[0].missed.iter().all(|missed| missed.starts_with("chat ttft p99")));
    assert!(!blueprint.solver.rounds[0].derated.is_empty());
    assert_eq!(blueprint.findings[0].code, "E0320", "{:?}", blueprint.findings);
}

#[test]
fn a_run_that_is_cut_short_says_when() {
    let place = Place::new();
    place.write(
        "first.plan",
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/first.plan")).expect("it"),
    );
    place.run(&["plan", "first.plan", "-o", "b.json"]).exits(0);
    let asked = ["simulate", "b.json", "--replications", "8", "--max-events", "20000", "--output", "json"];
    let seen = place.run(&[&asked[..], &["--output", "terminal:t.txt"]].concat()).exits(3);
    let simulation: Simulation = serde_json::from_str(&seen.out).expect("a simulation");
    let at = simulation.runs[0].cut_short_at.expect("it says when").get();
    assert!(simulation.runs[0].cut_short && at > 60.0 && at < 3_600.0, "{at}");
    assert!(place.read("t.txt").contains("bound on events, the first after"));
}

/// The first Ctrl-C ends a simulation with what is known.
#[cfg(unix)]
#[test]
fn who_wants_no_more_gets_what_is_known_so_far() {
    let place = Place::new();
    place.write(
        "first.plan",
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/first.plan")).expect("it"),
    );
    place.run(&["plan", "first.plan", "-o", "b.json"]).exits(0);
    // Many times what a machine does in eight seconds; in the foreground `timeout` tells the program once, not its group too.
    let program = place.program().get_program().to_owned();
    let ended = Command::new("timeout")
        .args(["--foreground", "--preserve-status", "--signal=INT", "--kill-after=120", "8"])
        .arg(program)
        .args(["simulate", "b.json", "--replications", "4096", "--surge", "3x", "--output", "json"])
        .current_dir(place.path(""))
        .output()
        .expect("timeout is there");
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert_eq!(ended.status.code(), Some(130), "{out}{err}");
    let simulation: Simulation = serde_json::from_str(&out).expect("what is known is a simulation");
    assert!(simulation.interrupted && simulation.status == VerdictStatus::Undecided);
    assert_eq!(simulation.runs.len(), 1);
}
