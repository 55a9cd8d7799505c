//! Offline inference: at night on the machines of the day, or on machines beside them.

use crate::surroundings::{Place, Seen};
use capstan_types::blueprint::Blueprint;

const OFFLINE: &str = include_str!("../../examples/offline.plan");

fn run(text: &str, more: &[&str]) -> (Place, Seen) {
    let place = Place::new();
    place.write("p.plan", text);
    let seen = place.run(&[&["plan", "p.plan", "-o", "b.json"][..], more].concat());
    (place, seen)
}

fn planned(more: &[&str]) -> (Place, Blueprint) {
    let (place, seen) = run(OFFLINE, more);
    seen.exits(0);
    let blueprint = place.blueprint("b.json");
    (place, blueprint)
}

#[track_caller]
fn says(seen: &Seen, words: &[&str]) {
    let told = seen.told();
    words.iter().for_each(|word| assert!(told.contains(word), "`{word}` is not in {told}"));
}

#[test]
fn nights_cost_less_than_machines_beside_and_the_difference_is_told() {
    let (place, nights) = planned(&[]);
    place.run(&["plan", "p.plan", "-o", "always.json", "--set", "archive.interruptible=false"]).exits(0);
    let always = place.blueprint("always.json");
    assert!(nights.cost.total < always.cost.total, "{} against {}", nights.cost.total, always.cost.total);
    let most = |blueprint: &Blueprint| blueprint.pools.iter().map(|pool| pool.most_nodes()).sum::<u32>();
    assert!(most(&nights) < most(&always), "{} nodes against {}", most(&nights), most(&always));
    let run = &nights.batches[0];
    assert!(run.replicas[3] > run.replicas[14], "{:?}", run.replicas);
    let told = |arguments: &[&str], words: &[&str]| says(&place.run(arguments).exits(0), words);
    told(&["diff", "b.json", "always.json"], &["offline inference"]);
    told(
        &["explain", "b.json", "archive"],
        &["nobody waits for its answers", "shares them with `assistant`"],
    );
    told(&["report", "b.json"], &["Offline inference", "archive"]);
}

#[test]
fn emit_writes_a_job_or_says_that_it_does_not() {
    let (place, _) = planned(&[]);
    place.run(&["emit", "b.json", "--target", "kubernetes", "-o", "out"]).exits(0);
    says_file(
        &place,
        "out/kubernetes/30-archive/job.yaml",
        &["vllm", "run-batch", "parallelism", "suspend: true"],
    );
    let (place, seen) = run(&OFFLINE.replace("  requests   = \"archive\"\n", ""), &[]);
    seen.exits(0);
    let seen = place.run(&["emit", "b.json", "--target", "kubernetes", "-o", "out"]).exits(0);
    says(&seen, &["offline inference is planned and priced", "no manifest is written"]);
}

#[track_caller]
fn says_file(place: &Place, name: &str, words: &[&str]) {
    let text = place.read(name);
    words.iter().for_each(|word| assert!(text.contains(word), "`{word}` is not in {text}"));
}

#[test]
fn mistakes_have_codes_and_places() {
    let wrong = |from: &str, to: &str, word: &str| {
        assert!(OFFLINE.contains(from), "{from}");
        says(&run(&OFFLINE.replace(from, to), &[]).1.exits(1), &[word]);
    };
    wrong("6 Greq", "0 req", "E0210");
    wrong("requests      = 6 Greq", "", "`batch` needs `requests`");
    wrong("finish       <= 2027-11-30", "finish <= 2026-11-30", "E0212");
    wrong(
        "batch archive {\n  model         = llama3_1_8b",
        "batch archive {\n  model = llama3_1_9b",
        "E0203",
    );
    wrong("interruptible = true", "interruptible = maybe", "interruptible");
}
