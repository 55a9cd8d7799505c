//! From a plan file to a blueprint and on.

use crate::surroundings::Place;
use capstan_types::blueprint::{Blueprint, CostKind, Status};
use rust_decimal::prelude::ToPrimitive;
use std::ops::Range;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");

fn place(example: &str) -> Place {
    let place = Place::new();
    place.write(example, std::fs::read(format!("{EXAMPLES}/{example}")).expect("an example"));
    place
}

#[test]
fn a_first_plan_becomes_a_blueprint_that_every_command_reads() {
    let place = place("first.plan");
    let seen = place.run(&["plan", "first.plan", "-o", "b.json", "--output", "json"]).exits(0);
    assert!(serde_json::from_str::<serde_json::Value>(&seen.out).is_ok(), "{}", seen.told());
    let answer = place.blueprint("b.json");
    assert_eq!(answer.status, Status::Feasible);
    assert_eq!(answer.tool, env!("CARGO_PKG_VERSION"));
    let roles: Vec<&str> = answer.inputs.files.iter().map(|file| file.role.as_str()).collect();
    assert_eq!(roles, ["plan", "catalog"]);
    assert!(place.read("b.json").ends_with("}\n"));
    place.run(&["report", "b.json"]).exits(0);
    place.run(&["explain", "b.json", "chat"]).exits(0);
    place.run(&["diff", "b.json", "b.json", "--detailed-exitcode"]).exits(0);
    assert_eq!(place.names(), ["b.json", "first.plan"]);
}

#[test]
fn planning_twice_gives_the_same_bytes() {
    let place = place("first.plan");
    place.run(&["plan", "first.plan", "-o", "a.json"]).exits(0);
    place.run(&["plan", "first.plan", "-o", "b.json"]).exits(0);
    assert_eq!(place.read("a.json"), place.read("b.json"));
}

#[test]
fn changes_are_recorded_with_where_they_come_from() {
    let place = place("first.plan");
    let set = ["plan", "first.plan", "-o", "b.json", "--seed", "7", "--set", "chat.load.rate=6 req/s"];
    place.run(&set).exits(0);
    let inputs = place.blueprint("b.json").inputs;
    assert_eq!(inputs.spec.frame.seed, 7);
    let changes: Vec<_> =
        inputs.overrides.iter().map(|change| (change.path.as_str(), change.from.as_str())).collect();
    assert_eq!(changes, [("chat.load.rate", "--set"), ("plan.seed", "--seed")]);
}

#[test]
fn a_plan_that_cannot_be_met_ends_with_3_and_says_why() {
    let place = place("budget-too-small.plan");
    let seen = place.run(&["plan", "budget-too-small.plan", "-o", "b.json"]).exits(3);
    assert!(seen.err.contains("error[E03"), "{}", seen.told());
    assert_eq!(place.blueprint("b.json").status, Status::Infeasible);
}

#[test]
fn a_blueprint_that_cannot_be_written_is_named() {
    let place = place("first.plan");
    let seen = place.run(&["plan", "first.plan", "-o", "nowhere/b.json"]).exits(1);
    assert!(seen.err.contains("cannot write `nowhere/b.json`"), "{}", seen.told());
    assert_eq!(place.names(), ["first.plan"]);
}

/// Adapters take a fraction of the memory of full training, so that fewer machines do, and their checkpoints are small.
#[test]
fn fine_tuning_trains_adapters_on_fewer_machines() {
    let place = Place::new();
    let plan = |more: &str| {
        format!(
            "plan tuned {{ currency = USD, horizon = 2027-01-01 .. 2027-12-31 }}
site use1 {{ provider = aws, region = \"us-east-1\" }}
tune dialogue {{
  model    = \"meta-llama/Llama-3.1-70B\"
  tokens   = 50 Mtok
  epochs   = 3
  batch    = 1 Mtok
  sequence = 4096 tok
  buy      = [on_demand]{more}
}}
"
        )
    };
    let run = |more: &str| {
        place.write("t.plan", plan(more));
        place.run(&["plan", "t.plan", "-o", "b.json"]).exits(0);
        let blueprint = place.blueprint("b.json");
        assert!(blueprint.audit.iter().all(|check| check.violations.is_empty()), "{:?}", blueprint.audit);
        assert_eq!(blueprint.inputs.spec.trains[0].tokens.get(), 150e6);
        let run = blueprint.trainings[0].clone();
        (run.needed.get() * f64::from(run.candidate.nodes), run.checkpoint.get(), blueprint.cost.total)
    };
    let (adapters, full) = (run(""), run("\n  method   = full"));
    assert!(adapters.0 < full.0 / 2.0 && adapters.1 < full.1 / 50.0, "{adapters:?} {full:?}");
    assert!(adapters.2 <= full.2, "{adapters:?} {full:?}");
}

#[test]
fn bursts_are_shared_by_more_replicas_in_quiet_hours_too() {
    let place = Place::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/plans");
    place.write("bursts.plan", std::fs::read(format!("{folder}/bursts.plan")).expect("a plan"));
    place.run(&["plan", "bursts.plan", "-o", "b.json"]).exits(0);
    let blueprint = place.blueprint("b.json");
    assert!(blueprint.solver.settled, "{:?}", blueprint.solver.rounds);
    assert!(blueprint.solver.rounds.iter().any(|round| !round.raised.is_empty()));
    assert!(blueprint.audit.iter().all(|check| check.violations.is_empty()), "{:?}", blueprint.audit);
    let chosen = &blueprint.services[0].placements[0];
    let fewest = chosen.fewest_that_hold.expect("fewer replicas miss the level");
    let quietest = chosen.replicas.iter().flatten().min().copied();
    assert!(fewest > 1 && quietest == Some(fewest), "{fewest}, {quietest:?}");
    // The quiet hours do not make the busy ones dearer: there a replica carries what is planned.
    let peak = blueprint.demand[0].rates.iter().flatten().copied().fold(0.0, f64::max);
    let rate = chosen.estimate.rate.get() * chosen.derating;
    assert_eq!(f64::from(chosen.peak_replicas()), (peak / rate).ceil().max(f64::from(fewest)));
    let told = place.run(&["explain", "b.json", "code"]).exits(0).out;
    assert!(told.contains(&format!("At least {fewest} replicas stand at every hour")), "{told}");
    // All replicas at once, not a group of them, hold the level as well.
    place.run(&["simulate", "b.json"]).exits(0);
}

#[test]
fn a_large_fleet_is_no_larger_than_simulation_asks() {
    let text = "plan p { currency = USD }
site cloud { provider = aws, region = \"us-east-1\" }
serve chat {
  model       = \"meta-llama/Llama-3.1-8B-Instruct\"
  accelerator = l40s
  parallelism = { tensor = 1, pipeline = 1 }
  load        = { rate = 200 req/s, prompt = 1 ktok, output = 250 tok }
  slo ttft { p99 <= 1 s }
  slo tpot { p99 <= 60 ms }
}
";
    let place = Place::new();
    let blueprint = place.planned(text, 0);
    let chosen = &blueprint.services[0].placements[0];
    let estimated = (200.0 / chosen.estimate.rate.get()).ceil() as u32;
    assert!(chosen.derating > 1.0 && chosen.peak_replicas() < estimated, "{}", chosen.derating);
    // So many share what waits that more would change little; a few would not.
    assert!(blueprint.verdicts.iter().all(|verdict| verdict.replicas > 10), "{:?}", blueprint.verdicts);
    assert!(blueprint.audit.iter().all(|check| check.violations.is_empty()), "{:?}", blueprint.audit);
    let told = place.run(&["explain", "b.json", "chat"]).exits(0).out;
    assert!(told.contains("The simulator saw it carry more"), "{told}");
    place.run(&["report", "b.json", "--output", "terminal:t.txt"]).exits(0);
    // All of them hold at once, and with a tenth fewer they would not.
    place.run(&["simulate", "b.json"]).exits(0);
    place.run(&["simulate", "b.json", "--surge", "1.1x"]).exits(3);
    // No fewer may be had: what is estimated does not fit, what is simulated does.
    let most = chosen.peak_replicas();
    let limited = |most: u32| text.replace("-1\" }", &format!("-1\", quota = {{ l40s <= {most} }} }}"));
    let known = place.planned(limited(most), 0);
    assert_eq!(known.services[0].placements[0].peak_replicas(), most);
    place.planned(limited(most * 9 / 10), 3);
}

#[test]
fn replicas_of_one_sequence_are_as_many_as_their_queue_asks() {
    let text = |batching: &str| {
        format!(
            "plan p {{ currency = USD }}\nsite cloud {{ provider = aws, region = \"us-east-1\" }}\nserve chat {{\n  \
             model = \"meta-llama/Llama-3.1-8B-Instruct\"\n  accelerator = h100_sxm\n  \
             parallelism = {{ tensor = 1, pipeline = 1 }}\n  load = {{ rate = 10 req/s, prompt = 1 ktok, output = 250 tok }}\n  \
             slo ttft {{ p99 <= 5 s }}\n  batching = {{ {batching} }}\n}}\n"
        )
    };
    let place = Place::new();
    let alone = place.planned(text("sequences = 1"), 0);
    let placement = &alone.services[0].placements[0];
    // Erlangs offered: below them a queue grows for good, and a fifth more of them hardly ever wait five seconds.
    let offered = 10.0 * 250.0 * placement.estimate.tpot.get();
    let replicas = f64::from(placement.peak_replicas());
    assert!(replicas > offered && replicas < 1.2 * offered, "{replicas} of {offered}");
    // A step has a token for each sequence: fewer tokens are fewer sequences.
    let small = place.planned(text("step_tokens = 64 tok"), 0);
    assert_eq!(small.services[0].placements[0].candidate.max_sequences, 64);
    place.write("p.plan", text("step_tokens = 64 tok, sequences = 65"));
    assert!(place.run(&["check", "p.plan"]).exits(1).err.contains("has not one for each of 65 sequences"));
}

#[test]
fn a_budget_of_some_days_counts_what_is_bought_on_them() {
    let text = "plan p { currency = USD, horizon = 2027-01-01 .. 2029-12-31 }
site hall { power <= 500 kW, pue = 1.3, energy_price = 0.08 USD/kWh, lead_time = 0 mo }
site cloud { provider = aws, region = \"us-east-1\" }
serve chat {
  model = \"meta-llama/Llama-3.1-70B-Instruct\"
  accelerator = h100_sxm
  parallelism = { tensor = 8, pipeline = 1 }
  load = { rate = 14 req/s, prompt = 1 ktok, output = 250 tok, grows = 3 %/mo }
  slo ttft { p99 <= 2 s }
  buy = [owned, on_demand]
}
";
    let place = Place::new();
    let bought = |blueprint: &Blueprint, months: Range<u32>| -> f64 {
        let capex = blueprint.cost.lines.iter().filter(|line| line.kind == CostKind::Capex);
        let mine = capex.filter(|line| months.contains(&blueprint.periods[line.period as usize].first_month));
        mine.filter_map(|line| line.billed_cost.to_f64()).sum()
    };
    let free = place.planned(text, 0);
    assert!(bought(&free, 0..6) > 400e3 && bought(&free, 6..36) > 0.0);
    // What is bought on the other days does not count.
    let capex = |days: &str| format!("{text}budget b {{ capex <= 400 kUSD{days} }}\n");
    let later = place.planned(capex(", period = 2027-07-01 .. 2029-12-31"), 0);
    assert_eq!(later.cost.total, free.cost.total);
    let whole = place.planned(capex(""), 0);
    assert!(bought(&whole, 0..36) <= 400e3 && whole.cost.net_present > free.cost.net_present);
    let first = ", period = 2027-01-01 .. 2027-06-30";
    let held = place.planned(capex(first), 0);
    assert!(bought(&held, 0..6) <= 400e3 && held.cost.net_present > free.cost.net_present);
    place.write("p.plan", capex(first).replace("[owned, on_demand]", "[owned]"));
    let seen = place.run(&["plan", "p.plan"]).exits(3);
    assert!(seen.out.contains("capex of budget b (2027-01-01 to 2027-06-30)"), "{}", seen.told());
    assert!(seen.out.contains("697,400"), "{}", seen.told());
}
