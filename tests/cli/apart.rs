//! Prompts read on machines of their own, where that is cheaper or asked for.

use crate::surroundings::Place;
use capstan_types::blueprint::{Blueprint, VerdictStatus};
use capstan_types::simulation::Simulation;
use capstan_types::spec::SloMetric;

const CHAT: &str = r#"plan p { currency = USD }
site cloud { provider = aws, region = "us-east-1" }
serve chat {
  model         = "meta-llama/Llama-3.1-70B-Instruct"
  precision     = fp8
  accelerator   in [ACCELERATORS]
  load          = { rate = 6 req/s, prompt = 8 ktok, output = 300 tok }
  slo ttft { p99 <= 4 s }
  slo tpot { p99 <= TPOT }
  disaggregated = HOW
}
budget b { require cheap: chat.cost / chat.tokens <= 1000 USD/Mtok }
"#;

fn planned(place: &Place, accelerators: &str, tpot: &str, how: &str) -> Blueprint {
    let text = CHAT.replace("ACCELERATORS", accelerators).replace("TPOT", tpot).replace("HOW", how);
    place.planned(text, 0)
}

#[test]
fn the_choice_is_made_by_cost_and_told_with_its_alternative() {
    let place = Place::new();
    let never = planned(&place, "h100_sxm, h200_sxm", "25 ms", "never");
    let auto = planned(&place, "h100_sxm, h200_sxm", "25 ms", "auto");
    assert!(auto.solver.objective <= never.solver.objective + 1e-6);
    let told = auto.runners_up.iter().find(|told| told.workload == "chat" && told.simulated);
    let told = told.expect("the other way is told");
    let parts = auto.services.len();
    assert!(parts == 1 || parts == 2, "{parts}");
    let other = if parts == 1 { "prefill on" } else { "both on" };
    assert!(told.instead.starts_with(other), "{told:?}");
}

#[test]
fn two_parts_are_emitted_as_one_object_of_kserve() {
    let place = Place::new();
    let deploy =
        "deploy kubernetes { namespace = \"llm\", version = \"1.36\", gateway = { class = \"istio\" } }\n";
    let text = CHAT.replace("ACCELERATORS", "h100_sxm").replace("TPOT", "60 ms").replace("HOW", "always");
    let blueprint = place.planned(format!("{text}{deploy}"), 0);
    place.run(&["emit", "b.json", "--target", "kubernetes", "-o", "out"]).exits(0);
    let written = place.read("out/kubernetes/10-chat/llminferenceservice.yaml");
    let spec: serde_json::Value = serde_saphyr::from_str(&written).expect("YAML");
    let spec = &spec["spec"];
    for (service, part) in blueprint.services.iter().zip([&spec["prefill"], spec]) {
        let placed = &service.placements[0];
        assert_eq!(part["replicas"], placed.peak_replicas(), "{}", service.workload);
        assert_eq!(part["parallelism"]["tensor"], placed.candidate.tensor, "{}", service.workload);
    }
    assert_eq!(spec["router"]["gateway"]["refs"][0]["name"], "p");
    assert!(!place.read("out/kubernetes/kustomization.yaml").contains("deployment"));
    // Servers before 1.29 have no containers that run beside others, of which KServe makes one.
    place.planned(format!("{text}deploy kubernetes {{ namespace = \"llm\" }}\n"), 0);
    let old = place.run(&["emit", "b.json", "--target", "kubernetes", "-o", "old"]).exits(1);
    assert!(old.err.contains("Kubernetes serves the kind LLMInferenceService since 1.29"), "{}", old.told());
}

#[test]
fn two_parts_are_bought_and_verified_together() {
    let place = Place::new();
    let blueprint = planned(&place, "h100_sxm, l40s", "60 ms", "always");
    let names: Vec<&str> = blueprint.services.iter().map(|service| service.workload.as_str()).collect();
    assert_eq!(names, ["chat_prefill", "chat_decode"]);
    let judged = |workload: &str| -> Vec<(SloMetric, VerdictStatus)> {
        let verdicts = blueprint.verdicts.iter().filter(|verdict| verdict.workload == workload);
        verdicts.map(|verdict| (verdict.metric, verdict.status)).collect()
    };
    assert_eq!(judged("chat_prefill"), [(SloMetric::Ttft, VerdictStatus::Met)]);
    assert_eq!(judged("chat_decode"), [(SloMetric::Tpot, VerdictStatus::Met)]);
    assert!(blueprint.rules[0].holds == Some(true), "rules ask both parts: {:?}", blueprint.rules);
    let told =
        |name: &str| blueprint.cost.workloads.iter().find(|of| of.workload == name).expect("it has a cost");
    let tokens = |name: &str| told(name).prompt_tokens + told(name).output_tokens;
    let each = (tokens("chat_prefill") + tokens("chat_decode")) / told("chat_prefill").requests;
    assert!((each / 8_300.0 - 1.0).abs() < 0.01, "every token counts once: {each}");
    let seen = place.run(&["simulate", "b.json", "--replications", "8", "--output", "json"]).exits(0);
    let simulation: Simulation = serde_json::from_str(&seen.out).expect("a simulation");
    let decode = simulation.runs.iter().find(|run| run.workload == "chat_decode").expect("it is simulated");
    let (ttft, e2e) = (decode.ttft.expect("seen"), decode.e2e.expect("seen"));
    assert!(ttft.p50_s.mean > 0.05 && e2e.p50_s.mean > ttft.p50_s.mean, "the whole way is seen: {decode:?}");
    let refused = place.run(&["simulate", "b.json", "--fail", "node"]).exits(1);
    assert!(refused.err.contains("runs in two parts"), "{}", refused.told());
}
