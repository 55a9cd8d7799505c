//! What the manifests of a plan must say, claim by claim.

use crate::common::{
    changed, constant, emitted, object, on_engine, placement, text, tree, two_nodes, two_parts, two_sites,
};
use capstan_backends::kubernetes::{EmitError, Emitted, Wave, emit};
use capstan_types::blueprint::{Blueprint, Status};
use capstan_types::catalog::EngineFamily;
use capstan_types::hardware::Precision;
use capstan_types::testing::blueprint::{chat_blueprint, infeasible_blueprint};
use serde_json::{Value, json};

fn refused(blueprint: &Blueprint) -> EmitError {
    emit(blueprint).expect_err("this blueprint has no manifests")
}

fn warns(emitted: &Emitted, words: &str) -> bool {
    emitted.warnings.iter().any(|warning| warning.message.contains(words))
}

fn deployment(blueprint: &Blueprint) -> Value {
    object(&emitted(blueprint).manifests, "Deployment", "chat")
}

fn container(blueprint: &Blueprint) -> Value {
    deployment(blueprint)["spec"]["template"]["spec"]["containers"][0].clone()
}

fn arguments(blueprint: &Blueprint) -> String {
    container(blueprint)["args"].to_string()
}

#[test]
fn the_same_blueprint_gives_the_same_bytes() {
    assert_eq!(emitted(&chat_blueprint()), emitted(&chat_blueprint()));
}

#[test]
fn files_come_in_waves_and_every_one_is_listed() {
    let manifests = emitted(&two_sites()).manifests;
    assert!(manifests.is_sorted_by_key(|manifest| manifest.wave));
    let (role, listing) = manifests.split_last().expect("there are files");
    assert_eq!(role.path, "access/clusterrole.yaml");
    let (index, files) = listing.split_last().expect("there are files");
    let listed = tree(index)["resources"].clone();
    let paths: Vec<&str> =
        files.iter().filter_map(|manifest| manifest.path.strip_prefix("kubernetes/")).collect();
    assert_eq!(listed, json!(paths));
    let mut unique = paths.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), paths.len());
}

/// Every kind that goes to a cluster is in the role, and no right is given to all kinds or verbs.
#[test]
fn the_role_holds_every_kind_and_no_more() {
    for blueprint in [chat_blueprint(), two_nodes(), two_parts(), on_engine("tensorrt_llm")] {
        let manifests = emitted(&blueprint).manifests;
        let role = object(&manifests, "ClusterRole", "capstan-chat-and-pretrain");
        let rules = role["rules"].as_array().expect("rules");
        let kinds = manifests.iter().filter(|manifest| manifest.wave < Wave::Index);
        for kind in kinds.map(|manifest| manifest.kind.to_ascii_lowercase()) {
            let holds = |rule: &Value| {
                let resource = rule["resources"][0].as_str().expect("a resource");
                let stem = kind.trim_end_matches('y');
                resource.starts_with(stem) && rule["verbs"] == json!(["get", "create", "patch", "delete"])
            };
            assert!(rules.iter().any(holds), "{kind}: {rules:?}");
        }
        assert!(!role.to_string().contains("\"*\""));
    }
}

#[test]
fn every_file_reads_back_with_its_kind_name_and_digest() {
    for blueprint in [chat_blueprint(), two_nodes(), two_parts(), two_sites(), on_engine("tensorrt_llm")] {
        let digest = &blueprint.inputs.files[0].sha256;
        let manifests = emitted(&blueprint).manifests;
        for manifest in manifests.iter().filter(|manifest| manifest.wave != Wave::Index) {
            let tree = tree(manifest);
            assert_eq!(
                (&tree["kind"], &tree["metadata"]["name"]),
                (&json!(manifest.kind), &json!(manifest.name))
            );
            assert_eq!(tree["metadata"]["annotations"]["capstan.dev/plan-sha256"], json!(digest));
            let keys: Vec<&str> = manifest
                .yaml
                .lines()
                .filter(|line| !line.starts_with([' ', '#', '-']))
                .filter_map(|line| line.split(':').next())
                .collect();
            assert_eq!(keys[..3], ["apiVersion", "kind", "metadata"], "{}", manifest.path);
            assert!(keys.len() <= 4, "{}: {keys:?}", manifest.path);
        }
    }
}

#[test]
fn a_plan_without_deploy_is_refused() {
    assert_eq!(refused(&changed(|blueprint| blueprint.inputs.spec.deploy = None)), EmitError::NoDeploy);
}

#[test]
fn an_infeasible_plan_is_refused() {
    assert_eq!(refused(&infeasible_blueprint()), EmitError::Infeasible);
}

#[test]
fn names_that_kubernetes_refuses_are_refused() {
    let namespace = changed(|blueprint| {
        blueprint.inputs.spec.deploy.as_mut().expect("the plan deploys").namespace = "LLM_1".to_owned();
    });
    assert_eq!(refused(&namespace), EmitError::NotALabel { what: "namespace", name: "LLM_1".to_owned() });
    for name in ["4chat", "chat room", "聊天", &"a".repeat(60)] {
        let workload = changed(|blueprint| {
            name.clone_into(&mut blueprint.services[0].workload);
            name.clone_into(&mut blueprint.inputs.spec.serves[0].name);
        });
        assert_eq!(refused(&workload), EmitError::NotALabel { what: "workload", name: name.to_owned() });
    }
}

#[test]
fn underscores_of_the_plan_become_hyphens() {
    let renamed = changed(|blueprint| {
        "chat_small".clone_into(&mut blueprint.services[0].workload);
        "chat_small".clone_into(&mut blueprint.inputs.spec.serves[0].name);
    });
    assert!(text(&emitted(&renamed).manifests).contains("http://chat-small.llm/v1"));
}

#[test]
fn two_workloads_of_one_name_are_refused() {
    let twice = changed(|blueprint| {
        let mut other = blueprint.services[0].clone();
        other.workload = "Chat".to_owned();
        blueprint.services.push(other);
        let mut serve = blueprint.inputs.spec.serves[0].clone();
        serve.name = "Chat".to_owned();
        blueprint.inputs.spec.serves.push(serve);
    });
    assert_eq!(refused(&twice), EmitError::SameName { name: "chat".to_owned() });
}

#[test]
fn a_blueprint_that_lacks_a_row_is_refused() {
    let no_engine = changed(|blueprint| blueprint.inputs.catalog.engines.clear());
    assert_eq!(refused(&no_engine), EmitError::Missing { kind: "engine", name: "vllm".to_owned() });
    let no_site = changed(|blueprint| blueprint.inputs.spec.sites.clear());
    assert_eq!(refused(&no_site), EmitError::Missing { kind: "site", name: "use1".to_owned() });
    let no_digest = changed(|blueprint| blueprint.inputs.files.clear());
    assert_eq!(refused(&no_digest), EmitError::NoPlanDigest);
}

#[test]
fn an_engine_without_version_or_command_line_is_refused() {
    let floating = changed(|blueprint| "latest".clone_into(&mut blueprint.inputs.catalog.engines[0].tag));
    assert_eq!(
        refused(&floating),
        EmitError::FloatingTag { engine: "vllm".to_owned(), tag: "latest".to_owned() }
    );
    assert!(matches!(refused(&on_engine("triton")), EmitError::UnknownEngine { .. }));
}

#[test]
fn ranks_that_do_not_fill_their_nodes_are_refused() {
    for (accelerators, tensor, nodes) in [(4, 2, 1), (16, 16, 1), (0, 0, 1), (9, 9, 2)] {
        let uneven = changed(|blueprint| {
            let candidate = &mut placement(blueprint).candidate;
            (candidate.accelerators, candidate.tensor, candidate.nodes_per_replica) =
                (accelerators, tensor, nodes);
        });
        assert!(matches!(refused(&uneven), EmitError::Uneven { .. }), "{accelerators} {tensor} {nodes}");
    }
}

#[test]
fn a_service_without_replicas_is_refused() {
    assert_eq!(refused(&constant(0)), EmitError::NoReplicas { workload: "chat".to_owned() });
}

#[test]
fn replicas_follow_the_plan() {
    let blueprint = chat_blueprint();
    let (placed, manifests) = (&blueprint.services[0].placements[0], emitted(&blueprint).manifests);
    let scaler = object(&manifests, "HorizontalPodAutoscaler", "chat");
    assert_eq!(scaler["spec"]["maxReplicas"], json!(placed.peak_replicas()));
    assert_eq!(scaler["spec"]["minReplicas"], json!(placed.replicas.iter().flatten().min()));
    assert!(deployment(&blueprint)["spec"].get("replicas").is_none());
}

#[test]
fn a_constant_number_of_replicas_has_no_autoscaler() {
    let blueprint = constant(5);
    assert_eq!(deployment(&blueprint)["spec"]["replicas"], 5);
    assert!(emitted(&blueprint).manifests.iter().all(|manifest| manifest.kind != "HorizontalPodAutoscaler"));
}

/// Case E2: a budget that forbids every drain.
#[test]
fn one_replica_has_no_disruption_budget_but_a_warning() {
    let one = emitted(&constant(1));
    assert!(one.manifests.iter().all(|manifest| manifest.kind != "PodDisruptionBudget"));
    assert!(warns(&one, "draining its node stops it"));
    let two = emitted(&constant(2));
    assert_eq!(object(&two.manifests, "PodDisruptionBudget", "chat")["spec"]["maxUnavailable"], 1);
    assert!(!warns(&two, "draining its node stops it"));
}

/// Case E3: 64 MB of shared memory.
#[test]
fn shared_memory_is_for_several_ranks_and_does_not_follow_the_weights() {
    let shared = |tensor: u32, params: f64| {
        let blueprint = changed(|blueprint| {
            let candidate = &mut placement(blueprint).candidate;
            (candidate.accelerators, candidate.tensor) = (tensor, tensor);
            blueprint.inputs.spec.models[0].params_total_b = params;
        });
        let volumes = deployment(&blueprint)["spec"]["template"]["spec"]["volumes"].clone();
        let shm =
            volumes.as_array().and_then(|all| all.iter().find(|volume| volume["name"] == "shm").cloned());
        shm.map(|volume| volume["emptyDir"]["sizeLimit"].clone())
    };
    assert_eq!(shared(1, 70.6), None);
    assert_eq!(shared(4, 70.6), Some(json!("8Gi")));
    assert_eq!(shared(4, 0.125), shared(4, 70.6));
}

/// Case E10: a network policy that hangs the job.
#[test]
fn pods_of_a_replica_over_nodes_reach_each_other_on_every_port() {
    let policy = object(&emitted(&two_nodes()).manifests, "NetworkPolicy", "chat");
    let own = json!([{ "podSelector": { "matchLabels": { "app.kubernetes.io/name": "chat" } } }]);
    assert_eq!(policy["spec"]["ingress"][1], json!({ "from": own, "ports": [{ "protocol": "TCP" }] }));
    assert_eq!(policy["spec"]["egress"][1], json!({ "to": own, "ports": [{ "protocol": "TCP" }] }));
    let single = object(&emitted(&chat_blueprint()).manifests, "NetworkPolicy", "chat");
    assert_eq!(single["spec"]["ingress"].as_array().map(Vec::len), Some(1));
}

#[test]
fn probes_wait_longer_than_the_planned_start() {
    for start in [1.0, 185.0, 1800.0] {
        let blueprint = changed(|blueprint| placement(blueprint).start.0 = start);
        let probe = &container(&blueprint)["startupProbe"];
        let budget = probe["periodSeconds"].as_f64().unwrap_or(0.0)
            * probe["failureThreshold"].as_f64().unwrap_or(0.0);
        assert!(budget >= 2.0 * start, "{budget} s for a start of {start} s");
        assert!(deployment(&blueprint)["spec"]["progressDeadlineSeconds"].as_f64() > Some(budget));
    }
}

#[test]
fn a_start_that_is_not_a_number_does_not_panic() {
    for start in [f64::NAN, f64::INFINITY, -1.0] {
        let _ = emit(&changed(|blueprint| placement(blueprint).start.0 = start));
    }
}

#[test]
fn the_context_holds_the_longest_request_and_not_more_than_the_model() {
    assert!(arguments(&chat_blueprint()).contains("--max-model-len=15056"));
    let short = changed(|blueprint| blueprint.inputs.spec.models[0].context = 8192);
    assert!(arguments(&short).contains("--max-model-len=8192"));
    assert!(warns(&emitted(&short), "longer requests are refused"));
}

#[test]
fn precision_is_said_to_the_engine() {
    let weights = |planned, published| {
        changed(|blueprint| {
            placement(blueprint).candidate.precision = planned;
            blueprint.inputs.spec.models[0].published = published;
        })
    };
    assert!(arguments(&weights(Precision::Fp16, Precision::Bf16)).contains("--dtype=float16"));
    assert!(arguments(&weights(Precision::Fp8, Precision::Bf16)).contains("--quantization=fp8"));
    assert!(!arguments(&weights(Precision::Fp8, Precision::Fp8)).contains("--quantization"));
    let converted = weights(Precision::Int4, Precision::Bf16);
    assert!(warns(&emitted(&converted), "point the model argument at a checkpoint in int4"));
    let cache = |precision| changed(|blueprint| placement(blueprint).candidate.kv_precision = precision);
    assert!(arguments(&cache(Precision::Fp8)).contains("--kv-cache-dtype=fp8"));
    assert!(matches!(refused(&cache(Precision::Int4)), EmitError::UnsupportedCache { .. }));
}

#[test]
fn a_model_that_follows_instructions_is_served_before_its_base() {
    let named = |names: &[&str]| {
        changed(|blueprint| {
            blueprint.inputs.spec.models[0].names = names.iter().map(|&name| name.to_owned()).collect();
        })
    };
    let two = named(&["meta-llama/Llama-3.1-70B", "meta-llama/Llama-3.1-70B-Instruct", "llama3.1-70b"]);
    assert_eq!(container(&two)["args"][0], "meta-llama/Llama-3.1-70B-Instruct");
    assert!(warns(&emitted(&two), "checkpoints of the same size are meta-llama/Llama-3.1-70B"));
    let base = named(&["Qwen/Qwen3-8B", "qwen3-8b"]);
    assert_eq!(container(&base)["args"][0], "Qwen/Qwen3-8B");
    let unknown = named(&["my model"]);
    assert_eq!(container(&unknown)["args"][0], "my model");
    assert!(warns(&emitted(&unknown), "no name of the form owner/model"));
}

#[test]
fn every_engine_has_its_own_words() {
    let sglang = arguments(&on_engine("sglang"));
    assert!(sglang.contains("--tp-size=4") && sglang.contains("--mem-fraction-static=0.9"), "{sglang}");
    let tensorrt = on_engine("tensorrt_llm");
    assert!(arguments(&tensorrt).contains("--max_seq_len=15056"));
    let options = object(&emitted(&tensorrt).manifests, "ConfigMap", "chat-options");
    assert_eq!(
        options["data"]["options.yaml"],
        "return_perf_metrics: true\nkv_cache_config:\n  dtype: auto\n"
    );
    assert!(warns(&emitted(&tensorrt), "keeps its most replicas"));
    let mut spanning = two_nodes();
    "tensorrt_llm".clone_into(&mut spanning.inputs.catalog.engines[0].id);
    spanning.inputs.catalog.engines[0].family = EngineFamily::TensorRtLlm;
    placement(&mut spanning).candidate.engine = "tensorrt_llm".to_owned();
    assert!(matches!(refused(&spanning), EmitError::SpansNodes { nodes: 2, .. }));
}

#[test]
fn what_a_machine_lacks_is_asked_for_by_nobody() {
    let unknown = changed(|blueprint| {
        for shape in &mut blueprint.inputs.catalog.shapes {
            (shape.vcpus, shape.host_memory) = (None, None);
        }
    });
    assert_eq!(container(&unknown)["resources"]["requests"], json!({ "nvidia.com/gpu": "4" }));
    assert!(warns(&emitted(&unknown), "are unknown, so its pods ask for none"));
}

#[test]
fn zones_are_only_spread_over_where_asked() {
    let spread = |blueprint: &Blueprint| {
        deployment(blueprint)["spec"]["template"]["spec"]["topologySpreadConstraints"].clone()
    };
    assert_eq!(spread(&chat_blueprint())[0]["minDomains"], 2);
    let nowhere = changed(|blueprint| {
        for site in &mut blueprint.inputs.spec.sites {
            site.zones = None;
        }
    });
    assert!(spread(&nowhere).is_null());
    assert!(warns(&emitted(&two_nodes()), "are not spread over zones"));
    // A workload may ask for more than its site does.
    let mut wider = chat_blueprint();
    let place = wider.inputs.spec.serves[0].place.clone();
    wider.inputs.spec.serves[0].zones = Some(capstan_types::spec::Limit { value: 3, place });
    let manifests = emitted(&wider).manifests;
    let deployment = manifests.iter().find(|manifest| manifest.kind == "Deployment").expect("one");
    assert!(deployment.yaml.contains("minDomains: 3"), "{}", deployment.yaml);
}

#[test]
fn without_monitoring_nothing_of_the_prometheus_operator_is_written() {
    let silent = changed(|blueprint| {
        blueprint.inputs.spec.deploy.as_mut().expect("the plan deploys").monitoring = false;
    });
    let emitted = emitted(&silent);
    assert!(!text(&emitted.manifests).contains("monitoring.coreos.com"));
    assert!(warns(&emitted, "set monitoring = prometheus"));
}

#[test]
fn a_level_between_two_bounds_takes_the_one_above() {
    let between = changed(|blueprint| blueprint.inputs.spec.serves[0].slos[0].target.0 = 0.6);
    let emitted = emitted(&between);
    assert!(text(&emitted.manifests).contains("le=\"0.75\""));
    assert!(!text(&emitted.manifests).contains("le=\"0.5\""));
    assert!(warns(&emitted, "burn alerts take the looser bound"));
}

#[test]
fn a_median_has_no_burn_alert_that_could_never_fire() {
    let median = changed(|blueprint| {
        for slo in &mut blueprint.inputs.spec.serves[0].slos {
            slo.per_mille = 500;
        }
    });
    let text = text(&emitted(&median).manifests);
    assert!(text.contains("ChatTtftP50Missed") && text.contains("ChatErrorsFastBurn"));
    assert!(!text.contains("P50FastBurn") && !text.contains("P50SlowBurn"));
}

#[test]
fn a_violated_plan_and_a_training_are_said() {
    let violated = changed(|blueprint| blueprint.status = Status::Violated);
    assert!(warns(&emitted(&violated), "does not hold every requirement"));
    assert!(warns(&emitted(&violated), "no manifest is written for it: name its program"));
}

#[test]
fn other_vendors_have_their_own_resource_and_a_warning() {
    let amd = changed(|blueprint| "AMD".clone_into(&mut blueprint.inputs.catalog.accelerators[0].vendor));
    assert_eq!(container(&amd)["resources"]["limits"]["amd.com/gpu"], "4");
    assert!(warns(&emitted(&amd), "is built for NVIDIA"));
}
