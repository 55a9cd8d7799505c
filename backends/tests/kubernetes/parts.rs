//! A workload whose prompts are read on machines of their own: one object of KServe with a template for each part, and
//! around it what each part has of its own.

use crate::common::{
    breaks_one, deploy, emitted, everything, in_two_parts, object, on_engine, operated, tree, two_nodes,
    two_parts, two_sites,
};
use capstan_backends::kubernetes::{EmitError, Manifest, Warning, emit};
use capstan_types::blueprint::Blueprint;
use capstan_types::spec::{GatewayWish, PrefixCaching, Reuse, Routing};
use capstan_types::testing::blueprint::chat_blueprint;
use serde_json::{Value, json};

fn refused(blueprint: &Blueprint) -> String {
    emit(blueprint).expect_err("this blueprint has no manifests").to_string()
}

fn service(manifests: &[Manifest]) -> Value {
    object(manifests, "LLMInferenceService", "chat")["spec"].clone()
}

/// Both parts as (labels, replicas, ranks, container).
fn parts(spec: &Value) -> [(Value, Value, Value, Value); 2] {
    [&spec["prefill"], spec].map(|part| {
        let container = part["template"]["containers"][0].clone();
        (part["labels"].clone(), part["replicas"].clone(), part["parallelism"]["tensor"].clone(), container)
    })
}

fn variable(container: &Value, name: &str) -> Value {
    let variables = container["env"].as_array().expect("variables");
    variables.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name}"))["value"].clone()
}

#[test]
fn each_part_has_its_replicas_ranks_and_accelerators() {
    let spec = service(&emitted(&two_parts()).manifests);
    let most = chat_blueprint().services[0].placements[0].peak_replicas();
    for ((_, replicas, ranks, container), (planned, tensor)) in
        parts(&spec).into_iter().zip([(3, 2), (most, 4)])
    {
        assert_eq!((replicas, ranks), (json!(planned), json!(tensor)));
        assert_eq!(container["resources"]["limits"]["nvidia.com/gpu"], json!(tensor.to_string()));
        assert_eq!(container["name"], "main");
        let arguments = variable(&container, "VLLM_ADDITIONAL_ARGS");
        let arguments = arguments.as_str().expect("a text");
        for said in [
            "--max-model-len=",
            "--max-num-seqs=",
            "--max-num-batched-tokens=",
            "--gpu-memory-utilization=",
            "--dtype=",
            "--kv-cache-dtype=",
        ] {
            assert!(arguments.contains(said), "{said} in {arguments}");
        }
        assert!(
            arguments
                .ends_with(r#"--kv-transfer-config '{"kv_connector":"NixlConnector","kv_role":"kv_both"}'"#),
            "{arguments}"
        );
        assert!(!arguments.contains("parallel"), "ranks are KServe's to say: {arguments}");
        assert!(container.get("command").is_none() && container.get("args").is_none());
    }
    assert_eq!(
        spec["model"]["uri"],
        json!(format!("hf://{}", spec["model"]["name"].as_str().expect("a name")))
    );
}

#[test]
fn nothing_else_runs_scales_or_reaches_the_parts() {
    let mut all = in_two_parts(everything());
    all.inputs.spec.trains.clear();
    all.trainings.clear();
    let all = emitted(&all);
    for kind in ["Deployment", "Service", "HorizontalPodAutoscaler", "HTTPRoute", "InferencePool"] {
        assert!(!all.manifests.iter().any(|manifest| manifest.kind == kind), "{kind}");
    }
    let gateway = all.manifests.iter().find(|manifest| manifest.kind == "Gateway").expect("a gateway");
    let spec = service(&all.manifests);
    assert_eq!(spec["router"]["gateway"]["refs"], json!([{ "name": gateway.name, "namespace": "llm" }]));
    let said = |words: &str| all.warnings.iter().any(|warning| warning.message.contains(words));
    assert!(said("KServe keeps those of the busiest"), "{:?}", all.warnings);
    assert!(!said("KServe's own gateway"));
    assert_eq!(service(&emitted(&two_parts()).manifests)["router"]["gateway"], json!({}));
    // The accelerators of both parts count.
    let quota = object(&all.manifests, "ResourceQuota", "chat-and-pretrain-planned");
    let most = chat_blueprint().services[0].placements[0].peak_replicas();
    assert_eq!(quota["spec"]["hard"]["requests.nvidia.com/gpu"], json!((3 * 2 + most * 4).to_string()));
}

/// What a user asks: the gateway, behind which KServe's scheduler has one part read what the other answers.
#[test]
fn a_load_test_of_both_parts_asks_the_gateway() {
    let mut blueprint = two_parts();
    let tested = |blueprint: &Blueprint| {
        let emitted = emitted(blueprint);
        let script = object(&emitted.manifests, "ConfigMap", "chat-load-test")["data"]["test.js"].clone();
        let job = object(&emitted.manifests, "Job", "chat-load-test");
        let policy = object(&emitted.manifests, "NetworkPolicy", "chat-load-test")["spec"].clone();
        (script.as_str().expect("a script").to_owned(), job, policy, emitted.warnings)
    };
    let said = |warnings: &[Warning], words: &str| warnings.iter().any(|one| one.message.contains(words));
    deploy(&mut blueprint).load_test = true;
    let alone = emitted(&blueprint);
    assert!(said(&alone.warnings, "no load test is written: name a `gateway`"));
    assert!(!alone.manifests.iter().any(|one| one.kind == "Job"));
    let gateway = GatewayWish { class: "istio".to_owned(), host: None, picker: false };
    deploy(&mut blueprint).gateway = Some(gateway.clone());
    let (script, job, policy, warnings) = tested(&blueprint);
    assert!(script.contains("const url = \"http://chat-and-pretrain-istio.llm/llm/chat/v1\";"), "{script}");
    assert!(said(&warnings, "asks the gateway as `chat-and-pretrain-istio.llm`"));
    // The busiest hour of the whole, and the levels of the part that answers.
    let rates = blueprint.demand[1].rates.iter().flatten();
    let peak = rates.copied().fold(0.0, f64::max);
    assert!(script.contains(&format!("target: {}, duration: \"10m\"", (peak * 60.0).ceil())), "{script}");
    let pods = json!({ "gateway.networking.k8s.io/gateway-name": "chat-and-pretrain" });
    assert_eq!(policy["egress"][0]["to"][0]["podSelector"]["matchLabels"], pods);
    assert_eq!(policy["egress"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&job["spec"]["suspend"], &job["spec"]["template"]["spec"]["containers"][0]["env"]),
        (&json!(true), &Value::Null)
    );
    // With a host it asks as people do, and where tokens are asked for it has one.
    deploy(&mut blueprint).gateway =
        Some(GatewayWish { host: Some("llm.example.com".to_owned()), ..gateway });
    deploy(&mut blueprint).mesh = true;
    deploy(&mut blueprint).jwt = operated().inputs.spec.deploy.expect("it deploys").jwt;
    let (script, job, policy, warnings) = tested(&blueprint);
    assert!(script.contains("const url = \"https://llm.example.com/llm/chat/v1\";"), "{script}");
    assert!(script.contains("Authorization: `Bearer ${__ENV.TOKEN}`"), "{script}");
    assert_eq!(policy["egress"][1]["ports"], json!([{ "protocol": "TCP", "port": 443 }]));
    let template = &job["spec"]["template"];
    let token = &template["spec"]["containers"][0]["env"][0];
    assert_eq!(token["valueFrom"]["secretKeyRef"]["name"], "load-test-token");
    assert!(template["metadata"]["labels"]["sidecar.istio.io/inject"].is_null());
    assert!(said(&warnings, "kubectl -n llm create secret generic load-test-token"));
}

/// Its initial code may ask nothing: k6 refuses requests outside of `setup` and of what users do.
#[test]
fn a_load_test_asks_for_the_name_of_the_model_in_its_setup() {
    let manifests = emitted(&crate::common::with(|deploy| deploy.load_test = true)).manifests;
    let config = object(&manifests, "ConfigMap", "chat-load-test");
    let script = config["data"]["test.js"].as_str().expect("a script");
    let (first, rest) = script.split_once("export function setup() {").expect("a setup");
    assert!(!first.contains("http.get") && rest.contains("http.get(`${url}/models`"), "{script}");
    assert!(script.contains("const url = \"http://chat.llm/v1\";"), "{script}");
}

#[test]
fn budgets_and_monitors_select_one_part_each_by_keys_that_kserve_does_not_use() {
    let manifests = emitted(&two_parts()).manifests;
    let spec = service(&manifests);
    for ((labels, ..), name) in parts(&spec).into_iter().zip(["chat-prefill", "chat-decode"]) {
        let labels = labels.as_object().expect("labels");
        assert!(labels.keys().all(|key| key.starts_with("capstan.dev/")), "{labels:?}");
        for kind in ["PodDisruptionBudget", "PodMonitor"] {
            let selector = object(&manifests, kind, name)["spec"]["selector"]["matchLabels"].clone();
            let wanted = selector.as_object().expect("labels");
            let selected = |(own, ..): &(Value, Value, Value, Value)| {
                wanted.iter().all(|(key, value)| own[key] == *value)
            };
            assert_eq!(parts(&spec).iter().filter(|part| selected(part)).count(), 1, "{kind} {name}");
            assert!(wanted.iter().all(|(key, value)| labels.get(key) == Some(value)), "{kind} {name}");
        }
    }
    let port = |name: &str| object(&manifests, "PodMonitor", name)["spec"]["podMetricsEndpoints"][0].clone();
    assert_eq!(
        (&port("chat-prefill")["portNumber"], &port("chat-decode")["portNumber"]),
        (&json!(8000), &json!(8001))
    );
    assert_eq!(port("chat-decode")["scheme"], "https");
}

#[test]
fn the_parts_and_their_scheduler_reach_each_other_on_every_port() {
    let manifests = emitted(&two_parts()).manifests;
    let (policy, spec) = (object(&manifests, "NetworkPolicy", "chat"), service(&manifests));
    let own = json!({ "matchLabels": { "capstan.dev/workload": "chat" } });
    assert_eq!(policy["spec"]["podSelector"], own);
    for labels in [&spec["labels"], &spec["prefill"]["labels"], &spec["router"]["scheduler"]["labels"]] {
        assert_eq!(labels["capstan.dev/workload"], "chat");
    }
    let peers = json!([{ "podSelector": own }]);
    assert_eq!(policy["spec"]["ingress"][1], json!({ "from": peers, "ports": [{ "protocol": "TCP" }] }));
    assert_eq!(policy["spec"]["egress"][0], json!({ "to": peers, "ports": [{ "protocol": "TCP" }] }));
}

#[test]
fn each_part_is_watched_for_its_own_levels() {
    let mut blueprint = two_parts();
    blueprint.inputs.spec.deploy.as_mut().expect("it deploys").dashboard = true;
    let manifests = emitted(&blueprint).manifests;
    for (name, own, other, pods) in [
        ("chat-prefill", "time_to_first_token", "time_per_output_token", "chat-kserve-prefill"),
        ("chat-decode", "time_per_output_token", "time_to_first_token", "chat-kserve"),
    ] {
        let rules = object(&manifests, "PrometheusRule", name).to_string();
        assert!(rules.contains(own) && !rules.contains(other), "{name}: {rules}");
        assert!(rules.contains(&format!(r#"job=\"llm/{name}\""#)), "{name}: {rules}");
        let drawn = "[bcdfghjklmnpqrstvwxz2456789]";
        let pods = format!("{pods}-{drawn}{{1,10}}-{drawn}{{5}}");
        let dashboard = object(&manifests, "ConfigMap", &format!("{name}-dashboard")).to_string();
        assert!(dashboard.contains(&format!(r#"pod=~\\\"{pods}\\\""#)), "{name}: {dashboard}");
    }
}

#[test]
fn a_router_that_knows_prompts_is_kserves_scheduler() {
    let mut blueprint = two_parts();
    blueprint.inputs.spec.serves[0].prefix_caching = Some(PrefixCaching {
        reuse: Reuse::Share { share: 0.5, beginnings: 10, block_tokens: 16 },
        routing: Routing::Prefix,
        host: None,
        disk: None,
    });
    let warnings = emitted(&blueprint).warnings;
    let said = |words: &str| warnings.iter().any(|warning| warning.message.contains(words));
    assert!(said("see that KServe's scheduler is one") && !said("before the service"), "{warnings:?}");
}

#[test]
fn weights_of_both_parts_lie_on_one_volume_where_there_are_volumes() {
    let mut blueprint = two_parts();
    blueprint.inputs.spec.deploy.as_mut().expect("it deploys").storage_class = Some("files".to_owned());
    let emitted = emitted(&blueprint);
    let claims: Vec<&str> = emitted
        .manifests
        .iter()
        .filter(|manifest| manifest.kind == "PersistentVolumeClaim")
        .map(|manifest| manifest.name.as_str())
        .collect();
    assert!(
        claims.contains(&"chat-weights") && !claims.iter().any(|name| name.contains("prefill")),
        "{claims:?}"
    );
    let model = service(&emitted.manifests)["model"].clone();
    assert_eq!(
        model["uri"],
        json!(format!("pvc://chat-weights/{}", model["name"].as_str().expect("a name")))
    );
    let fetch = emitted.manifests.iter().find(|one| one.kind == "Job").map(tree).expect("a Job");
    let name = model["name"].as_str().expect("a name");
    let container = &fetch["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["args"], json!([name, format!("/cache/{name}")]), "where KServe reads it");
    assert!(!emitted.warnings.iter().any(|warning| warning.message.contains("nothing fetches")));
    crate::common::without_names(&mut blueprint);
    let unknown = crate::common::emitted(&blueprint);
    assert!(unknown.warnings.iter().any(|warning| warning.message.contains("nothing fetches the weights")));
    assert!(!unknown.manifests.iter().any(|one| one.kind == "Job"));
}

#[test]
fn what_is_not_emitted_names_the_workload_and_a_way_out() {
    assert_eq!(
        refused(&in_two_parts(on_engine("sglang"))),
        "`chat` runs in two parts, which is emitted with vLLM and not with engine `sglang`: plan `engine = vllm` or `disaggregated = never`"
    );
    let mut wide = two_parts();
    wide.services[1].placements = two_nodes().services[0].placements.clone();
    assert_eq!(
        refused(&wide),
        "`chat` runs in two parts, and a replica of its decode part spans 2 nodes, which is not emitted: allow fewer ranks in `parallelism`, or plan `disaggregated = never`"
    );
    let mut mixed = two_parts();
    mixed.services[0].placements = two_sites().services[0].placements.clone();
    assert!(refused(&mixed).contains("its prefill part on 2 kinds of machines"), "{}", refused(&mixed));
    let mut alone = two_parts();
    alone.services.remove(1);
    assert_eq!(refused(&alone), "the blueprint embeds no other part `chat_decode`");
    let mut old = two_parts();
    old.inputs.spec.deploy.as_mut().expect("it deploys").minor = 28;
    assert!(matches!(emit(&old), Err(EmitError::NotServed { since: 29, minor: 28, .. })));
    let mut same = two_parts();
    let mut other = chat_blueprint();
    same.services.push(other.services.remove(0));
    same.inputs.spec.serves.push(other.inputs.spec.serves.remove(0));
    assert_eq!(refused(&same), EmitError::SameName { name: "chat".to_owned() }.to_string());
}

/// Checks that changing one text of the object breaks exactly one rule.
fn breaks(from: &str, to: &str, rule: &str) {
    let mut blueprint = two_parts();
    blueprint.inputs.spec.deploy.as_mut().expect("it deploys").quota = true;
    breaks_one(&blueprint, "LLMInferenceService", (from, to), rule);
}

#[test]
fn both_parts_keep_the_rules_of_workloads() {
    // Of the part that answers, then of the one that reads prompts.
    breaks("  parallelism:\n    tensor: 4", "  parallelism:\n    tensor: 8", "L10");
    breaks("    parallelism:\n      tensor: 2", "    parallelism:\n      tensor: 4", "L10");
    breaks("\n    replicas: 3", "", "L6");
    breaks("\n    replicas: 3", "\n    replicas: 300", "L22");
    breaks("medium: Memory", "medium: \"\"", "E3");
    breaks("vllm-openai:v0.10.1", "vllm-openai:latest", "image-tag");
    breaks("- name: HF_TOKEN\n", "- name: HF_TOKEN\n          value: hf_abc\n", "no-secret");
}
