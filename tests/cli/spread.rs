//! Over which accelerators a mixture of experts is spread: from the plan and `estimate` to what the engine is told.

use crate::surroundings::{Place, Seen};
use capstan_types::blueprint::{Blueprint, VerdictStatus};
use capstan_types::degrees::Degrees;
use std::fs;

/// A plan of a large mixture of experts on machines of eight, and what is said beside.
fn text(engine: &str, beside: &str) -> String {
    format!(
        "plan p {{ currency = USD }}\nsite cloud {{ provider = nebius, region = \"eu-north1\" }}\nserve deep {{\n  \
         model = deepseek_v3\n  engine = {engine}\n  accelerator = h200_sxm\n  \
         load = {{ rate = 20 req/s, prompt = 2 ktok, output = 400 tok }}\n  slo ttft {{ p99 <= 8 s }}\n  \
         slo tpot {{ p99 <= 100 ms }}\n  {beside}\n}}\ndeploy kubernetes {{ namespace = \"llm\" }}\n"
    )
}

fn degrees(blueprint: &Blueprint) -> Degrees {
    blueprint.services[0].placements[0].candidate.degrees()
}

fn total(blueprint: &Blueprint) -> f64 {
    blueprint.cost.total.to_string().parse().expect("a number")
}

#[test]
fn a_mixture_is_spread_as_is_cheapest_and_never_dearer_than_with_whole_layers_divided() {
    let place = Place::new();
    let divided = place.planned(text("sglang", "parallelism = { data = 1, expert = 1 }"), 0);
    let open = place.planned(text("sglang", ""), 0);
    assert_eq!((degrees(&divided).data, degrees(&divided).expert), (1, 1));
    assert!(total(&open) <= total(&divided), "{} {}", total(&open), total(&divided));
    assert!(degrees(&open).expert > 1, "{:?}", degrees(&open));
    assert!(open.verdicts.iter().all(|verdict| verdict.status == VerdictStatus::Met));
    let told = place.run(&["explain", "b.json", "deep"]).exits(0);
    assert!(told.out.contains(&degrees(&open).words()), "{}", told.told());
}

#[test]
fn groups_that_the_plan_fixes_are_simulated_and_told_to_every_engine() {
    let place = Place::new();
    let fixed = "parallelism = { tensor = 1, data = 8, expert = 8 }";
    let flags: [(&str, &[&str]); 3] = [
        ("vllm", &["--data-parallel-size=8", "--enable-expert-parallel", "--tensor-parallel-size=1"]),
        ("sglang", &["--tp-size=8", "--dp-size=8", "--enable-dp-attention", "--ep-size=8"]),
        (
            "tensorrt_llm",
            &["--tp_size=8", "--ep_size=8", "enable_attention_dp: true", "enable_balance: true"],
        ),
    ];
    for (engine, flags) in flags {
        let blueprint = place.planned(text(engine, fixed), 0);
        let candidate = &blueprint.services[0].placements[0].candidate;
        assert_eq!(degrees(&blueprint), Degrees { tensor: 1, pipeline: 1, data: 8, expert: 8 });
        assert_eq!(candidate.accelerators, 8);
        // One vector of the latent cache is held by one group, not by all ranks.
        let estimate = &blueprint.services[0].placements[0].estimate;
        let left = (estimate.memory - estimate.weights).get() * 8.0;
        let token = 61.0 * 576.0 * candidate.kv_precision.weight_bytes();
        assert!(estimate.kv_tokens as f64 <= left / token, "{} tokens", estimate.kv_tokens);
        assert!(estimate.kv_tokens as f64 > 0.3 * left / token, "{} tokens", estimate.kv_tokens);
        place.run(&["emit", "b.json", "--target", "kubernetes", "-o", engine]).exits(0);
        let files = fs::read_dir(place.path(&format!("{engine}/kubernetes/10-deep"))).expect("a folder");
        let text = |file: fs::DirEntry| fs::read_to_string(file.path()).expect("a file");
        let all: String = files.map(|file| text(file.expect("an entry"))).collect();
        for flag in flags {
            assert!(all.contains(flag), "{engine}: no {flag} in {all}");
        }
    }
}

/// Returns what was said without the ends of its lines.
fn unwrapped(seen: &Seen) -> String {
    seen.told().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_spread_that_cannot_be_run_is_refused_with_its_reason() {
    let place = Place::new();
    let refused = |engine: &str, beside: &str, words: &str| {
        place.write("p.plan", text(engine, beside));
        let told = unwrapped(&place.run(&["plan", "p.plan"]).exits(3));
        assert!(told.contains(words), "{beside}: {told}");
    };
    refused("vllm", "parallelism = { tensor = 8, expert = 4 }", "all ranks of a stage or to none");
    refused("tensorrt_llm", "parallelism = { tensor = 2, data = 4 }", "its own sequences or none");
    refused("vllm", "parallelism = { tensor = 8, expert = 3 }", "must divide the ranks");
    let dense = text("vllm", "parallelism = { data = 8 }").replace("deepseek_v3", "llama3_1_8b");
    place.write("p.plan", dense);
    let seen = [&["plan", "p.plan"][..], &["estimate", "llama3_1_8b", "--on", "h200_sxm", "--data", "8"]];
    for seen in seen.map(|arguments| unwrapped(&place.run(arguments).exits(3))) {
        assert!(seen.contains("no experts to deal out"), "{seen}");
    }
}

#[test]
fn a_split_that_is_wider_than_every_machine_is_what_is_told() {
    let place = Place::new();
    place.planned(text("vllm", "parallelism = { tensor = 16 }"), 3);
    let told =
        place.run(&["plan", "p.plan"]).exits(3).told().split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "too_few_accelerators: it has 8 accelerators, not 16, and `tensor` does not span machines: 8 at most",
        "a smaller `tensor`",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(!told.contains("less demand"), "{told}");
}
