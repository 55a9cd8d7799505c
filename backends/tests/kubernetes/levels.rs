//! How fast budgets burn, by what each engine reports.

use crate::common::{alert, deploy, emitted, on_engine, says};
use capstan_backends::kubernetes::Manifest;
use capstan_types::spec::{Slo, SloMetric};
use capstan_types::units::Seconds;

/// A plan on an engine of a version, with levels that all engines count a bound for.
fn watched(engine: &str, version: &str) -> Vec<Manifest> {
    let mut blueprint = on_engine(engine);
    version.clone_into(&mut blueprint.inputs.catalog.engines[0].version);
    let slos = &mut blueprint.inputs.spec.serves[0].slos;
    let first = slos[0].clone();
    let of = |metric, seconds| Slo { metric, per_mille: 990, target: Seconds(seconds), ..first.clone() };
    *slos = vec![of(SloMetric::Ttft, 0.6), of(SloMetric::Tpot, 0.05), of(SloMetric::E2e, 60.0)];
    deploy(&mut blueprint).dashboard = true;
    emitted(&blueprint).manifests
}

/// Bounds as each engine's client library writes them; a bound that is not there would be an alert that never fires.
#[test]
fn budgets_of_every_engine_burn_by_its_own_names_and_bounds() {
    for (engine, version, levels) in [
        (
            "vllm",
            "0.19.0",
            [
                "vllm:time_to_first_token_seconds_bucket{job=\"llm/chat\",le=\"0.75\"}",
                "vllm:request_time_per_output_token_seconds_bucket{job=\"llm/chat\",le=\"0.05\"}",
                "vllm:e2e_request_latency_seconds_bucket{job=\"llm/chat\",le=\"60.0\"}",
            ],
        ),
        (
            "sglang",
            "0.5.10",
            [
                "sglang:time_to_first_token_seconds_bucket{job=\"llm/chat\",le=\"0.6\"}",
                "sglang:inter_token_latency_seconds_bucket{job=\"llm/chat\",le=\"0.06\"}",
                "sglang:e2e_request_latency_seconds_bucket{job=\"llm/chat\",le=\"60.0\"}",
            ],
        ),
        (
            "tensorrt_llm",
            "1.0.0",
            [
                "trtllm_time_to_first_token_seconds_bucket{job=\"llm/chat\",le=\"0.75\"}",
                "trtllm_time_per_output_token_seconds_bucket{job=\"llm/chat\",le=\"0.05\"}",
                "trtllm_e2e_request_latency_seconds_bucket{job=\"llm/chat\",le=\"60.0\"}",
            ],
        ),
    ] {
        let manifests = watched(engine, version);
        for (name, series) in ["Ttft", "Tpot", "E2e"].into_iter().zip(levels) {
            for (suffix, long, short, limit) in
                [("FastBurn", "1h", "5m", "> 0.144"), ("SlowBurn", "6h", "30m", "> 0.06")]
            {
                let expr = alert(&manifests, &format!("Chat{name}P99{suffix}"))["expr"].clone();
                let expr = expr.as_str().expect("a query");
                for window in [long, short] {
                    assert!(expr.contains(&format!("{series}[{window}]")), "{engine}: {expr}");
                }
                assert_eq!(expr.matches(limit).count(), 2, "{engine}: {expr}");
            }
        }
    }
    let failed = alert(&watched("sglang", "0.5.10"), "ChatErrorsFastBurn")["expr"].to_string();
    assert!(failed.contains("sglang:http_responses_total") && failed.contains("status_code=~"), "{failed}");
}

#[test]
fn what_a_version_does_not_report_is_said_in_the_file_and_alerted_on_by_nothing() {
    let rule = |manifests: &[Manifest]| {
        let file = manifests.iter().find(|one| one.kind == "PrometheusRule" && one.name == "chat");
        file.expect("rules").yaml.clone()
    };
    let old = watched("tensorrt_llm", "0.21.0");
    for word in ["ttft", "tpot", "e2e"] {
        let gap = format!("# No alert on {word}: tensorrt-llm 0.21.0 does not report it.");
        assert!(rule(&old).contains(&gap), "{}", rule(&old));
    }
    assert!(!old.iter().any(|one| one.yaml.contains("trtllm_")), "neither rules nor dashboard");
    assert!(
        rule(&watched("tensorrt_llm", "1.0.0"))
            .contains("are recalled: see that /prometheus/metrics has them")
    );
    let older = watched("sglang", "0.5.5");
    assert!(
        rule(&older).contains("No burn alert on ttft: the bounds that sglang 0.5.5 counts by are not known.")
    );
    assert!(rule(&older).contains("No alert on requests that fail: sglang 0.5.5"));
    assert!(!rule(&older).contains("FastBurn") && rule(&older).contains("ChatTtftP99Missed"));
    assert!(rule(&watched("sglang", "0.5.10")).contains("Alerts on tpot count gaps between two tokens"));
    assert!(!rule(&watched("vllm", "0.19.0")).contains("No alert on"));
    // A level of its own windows is watched over them, beside the same level over the hour.
    let mut windows = on_engine("vllm");
    let slo = windows.inputs.spec.serves[0].slos[0].clone();
    let of = |seconds| Slo { over: Some(Seconds(seconds)), ..slo.clone() };
    windows.inputs.spec.serves[0].slos.extend([of(900.0), of(20.0)]);
    let manifests = emitted(&windows).manifests;
    let text = rule(&manifests);
    assert!(text.contains("Over15MinMissed") && text.contains("[900s]))) >"), "{text}");
    assert!(
        text.contains("Over20SMissed") && text.contains("[60s]))) >") && text.contains("[5m]))) >"),
        "{text}"
    );
    // A target above the last bound, of which nobody could tell how many requests hold it.
    let mut wide = on_engine("sglang");
    wide.inputs.spec.serves[0].slos.truncate(1);
    wide.inputs.spec.serves[0].slos[0].target = Seconds(1e5);
    assert!(says(&wide, "s, so no alert tells how fast the budget"));
}
