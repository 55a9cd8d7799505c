//! Training at night on the machines that a service needs by day.

use crate::surroundings::Place;
use capstan_types::blueprint::Blueprint;

const NIGHTS: &str = r#"plan nights { currency = USD, horizon = 2027-01-01 .. 2027-12-31 }
site hall { power <= 200 kW, pue = 1.3, energy_price = 0.1 USD/kWh, colocation_price = 130 USD/kW/mo }
serve assistant {
  model       = llama3_1_8b
  accelerator = h100_sxm
  load        = { traffic = azure_2023_conversation, peak = 300 req/s, daily = diurnal(trough = 15%, peak_at = 14:00) }
  slo ttft { p99 <= 1 s }
  slo tpot { p99 <= 50 ms }
}
tune adapted {
  model         = llama3_1_8b
  accelerator   = h100_sxm
  tokens        = 200 Gtok
  batch         = 1 Mtok
  sequence      = 4096 tok
  finish       <= 2027-11-30
  interruptible = true
}
deploy kubernetes { namespace = "nights", training = { image = "registry.example/tune:1" } }
"#;

#[test]
fn a_training_that_may_be_interrupted_takes_the_nights_of_machines_that_stand_there() {
    let place = Place::new();
    let nights = place.planned(NIGHTS, 0);
    place.run(&["plan", "p.plan", "-o", "always.json", "--set", "adapted.interruptible=false"]).exits(0);
    let always = place.blueprint("always.json");
    let most = |blueprint: &Blueprint| blueprint.pools.iter().map(|pool| pool.most_nodes()).sum::<u32>();
    assert!(nights.cost.total < always.cost.total, "{} against {}", nights.cost.total, always.cost.total);
    assert!(most(&nights) < most(&always), "{} nodes against {}", most(&nights), most(&always));
    let (run, around) = (&nights.trainings[0], &always.trainings[0]);
    assert!(around.at_hours.is_empty() && around.share_of_week() == 1.0);
    // At night, never at the busiest hour, and as many tokens as were asked for.
    assert!(run.at_hours[3] && !run.at_hours[14], "{:?}", run.at_hours);
    assert!(run.runs_at(0, 3) && !run.runs_at(0, 14));
    let moving = run.hours * run.share_of_week() * 3600.0 * run.tokens_per_s * run.goodput;
    assert!(moving > 200e9 && moving < 220e9, "what stops take is a few percent: {moving}");
    assert!(run.resume.get() > 0.0 && run.end <= jiff::civil::date(2027, 11, 30));
    let says = |arguments: &[&str], word: &str| {
        let told = place.run(arguments).exits(0);
        assert!(told.told().contains(word), "`{word}` is not in {}", told.told());
    };
    says(&["report", "b.json"], "h of a weekday");
    says(&["explain", "b.json", "adapted"], "h of a weekday");
    says(&["diff", "b.json", "always.json"], "in 8 h of a");
    says(&["emit", "b.json", "--target", "kubernetes", "-o", "out"], "suspend and resume its TrainJob");
    // Whoever lets it run by day, on machines that nobody bought, is found out.
    let mut edited = nights.clone();
    edited.trainings[0].at_hours = vec![true; 48];
    let checks = capstan_planner::audit::audit(&edited);
    assert!(checks.iter().any(|check| !check.violations.is_empty()), "nobody noticed");
}
