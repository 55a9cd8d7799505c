//! How far off a plan may be: the 90 % intervals of what it rests on, and a deadline that holds only as predicted.

use crate::surroundings::Place;
use jiff::ToSpan;

const TUNED: &str = r#"plan tuned { currency = USD, horizon = 2027-01-01 .. 2027-12-31 }
site use1 { provider = aws, region = "us-east-1" }
serve chat {
  model       = llama3_1_8b
  accelerator = h100_sxm
  load        = { rate = 8 req/s, prompt = 1 ktok, output = 250 tok }
  slo ttft { p99 <= 1 s }
  slo tpot { p99 <= 60 ms }
}
tune adapted {
  model       = llama3_1_8b
  accelerator = h100_sxm
  tokens      = 60 Gtok
  batch       = 1 Mtok
  sequence    = 4096 tok
  finish     <= 2027-06-30
}
"#;

#[test]
fn a_plan_says_how_far_off_it_may_be() {
    let place = Place::new();
    let planned = place.planned(TUNED, 0);
    let interval = planned.services[0].placements[0].interval.clone().expect("an interval");
    for band in [interval.ttft, interval.tpot] {
        assert!(band.low > 0.2 && band.low < 1.0 && band.high > 1.0 && band.high < 5.0, "{band:?}");
    }
    assert!(interval.tpot.high < interval.ttft.high, "first tokens are known less well: {interval:?}");
    assert!(!interval.because.is_empty());
    let run = &planned.trainings[0];
    let step = run.interval.clone().expect("an interval").step;
    assert!(step.low < 1.0 && step.high > 1.0 && step.high < 2.0, "{step:?}");
    let told = place.run(&["report", "b.json"]).exits(0);
    for word in ["How far off may it be", "ttft p99", "replicas at the busiest hour", "last day"] {
        assert!(told.told().contains(word), "`{word}` is not in {}", told.told());
    }
    // Where the machine was measured and the model was not, the reason is another one.
    let far = TUNED.replace("h100_sxm", "l40s");
    let unknown = place.planned(&far, 0).services[0].placements[0].interval.clone().expect("an interval");
    assert!(unknown.ttft.high > interval.ttft.high, "{unknown:?} against {interval:?}");
    assert!(unknown.tpot.low < interval.tpot.low, "{unknown:?} against {interval:?}");
    assert!(unknown.because.iter().any(|cause| cause.contains("l40s")), "{unknown:?}");
}

#[test]
fn a_deadline_that_slow_steps_would_miss_is_warned_of() {
    let place = Place::new();
    let run = place.planned(TUNED, 0).trainings[0].clone();
    let days = run.start.until(run.end).expect("days").get_days();
    assert!(days > 20, "the fixture must be long enough for its interval to be days: {days}");
    let warned = |finish: jiff::civil::Date| {
        let text = TUNED.replace("finish     <= 2027-06-30", &format!("finish <= {finish}"));
        let planned = place.planned(&text, 0);
        // Other nodes would be chosen if this many did not do.
        assert_eq!(planned.trainings[0].candidate.nodes, run.candidate.nodes, "{finish}");
        planned.findings.into_iter().find(|finding| finding.code == "W0363")
    };
    let slow = run.hours * run.interval.as_ref().expect("an interval").step.high / 24.0;
    let before = run.start.checked_add((slow.floor() as i64 - 1).days()).expect("a day");
    assert!(before > run.end);
    let finding = warned(before).expect("a warning");
    assert!(finding.message.contains("slow end") && finding.places.len() == 1, "{finding:?}");
    assert!(warned(jiff::civil::date(2027, 6, 30)).is_none());
}
