//! TensorRT-LLM by Triton: how it is started, asked and watched, and what stays with other servers.

use crate::common::{emitted, object, on_engine, two_nodes};
use capstan_backends::kubernetes::{EmitError, emit, lint};
use capstan_types::blueprint::Blueprint;
use capstan_types::catalog::EngineFamily;
use capstan_types::spec::{Kubernetes, NEWEST_KUBERNETES};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

const IMAGE: &str = "nvcr.io/nvidia/tritonserver:25.10-trtllm-python-py3";

/// The shared plan on an engine, in a deployment that has Triton.
fn by_triton(engine: &str, change: impl FnOnce(&mut Kubernetes)) -> Blueprint {
    let mut blueprint = on_engine(engine);
    let deploy = blueprint.inputs.spec.deploy.as_mut().expect("it deploys");
    deploy.triton = Some(IMAGE.to_owned());
    change(deploy);
    blueprint
}

fn container(blueprint: &Blueprint) -> Value {
    object(&emitted(blueprint).manifests, "Deployment", "chat")["spec"]["template"]["spec"]["containers"][0]
        .clone()
}

#[test]
fn triton_runs_tensorrt_llm_with_what_was_planned() {
    let blueprint = by_triton("tensorrt_llm", |_| {});
    let container = container(&blueprint);
    assert_eq!(container["image"], IMAGE);
    assert_eq!((&container["command"][0], &container["command"][3]), (&json!("sh"), &json!("tritonserver")));
    let args = json!([
        "/etc/engine/options.yaml",
        "--model-repository=/tmp/models",
        "--http-port=8000",
        "--allow-grpc=false",
        "--metrics-port=8002"
    ]);
    assert_eq!(container["args"], args);
    let ports =
        json!([{ "name": "http", "containerPort": 8000 }, { "name": "metrics", "containerPort": 8002 }]);
    assert_eq!(container["ports"], ports);
    assert_eq!(container["startupProbe"]["httpGet"]["path"], "/v2/health/ready");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/v2/health/ready");
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/v2/health/live");
    // As long as its own server may take.
    let own = on_engine("tensorrt_llm");
    let budget =
        |blueprint: &Blueprint| self::container(blueprint)["startupProbe"]["failureThreshold"].clone();
    assert_eq!(budget(&blueprint), budget(&own));
    let emitted = emitted(&blueprint);
    assert_eq!(lint(&emitted.manifests), []);
    let options = object(&emitted.manifests, "ConfigMap", "chat-options")["data"]["options.yaml"].clone();
    let options: Value = serde_saphyr::from_str(options.as_str().expect("text")).expect("YAML");
    let candidate = &blueprint.services[0].placements[0].candidate;
    assert_eq!(options["tensor_parallel_size"], candidate.tensor);
    assert_eq!(options["max_batch_size"], candidate.max_sequences);
    assert_eq!(options["max_num_tokens"], candidate.step_tokens);
    assert_eq!(options["max_seq_len"], 15_056);
    assert_eq!(options["kv_cache_config"], json!({ "free_gpu_memory_fraction": 0.9, "dtype": "auto" }));
    assert_eq!(options["model"], self::container(&own)["args"][0]);
    assert_eq!(options["triton_config"], json!({ "max_batch_size": 0, "decoupled": true }));
    let service = emitted.manifests.iter().find(|one| one.kind == "Service").expect("it is reached");
    assert!(service.yaml.contains("/v2/models/tensorrt_llm."), "{}", service.yaml);
    let told =
        |text: &str| emitted.warnings.iter().any(|one| one.subject == "chat" && one.message.contains(text));
    assert!(
        told("OpenAI's API is not answered") && told("keeps its most replicas"),
        "{:#?}",
        emitted.warnings
    );
}

/// The shell that starts Triton takes the model of its image and gives it what was planned, again after each end.
#[test]
fn the_model_of_the_image_gets_what_was_planned() {
    let folder = std::env::temp_dir().join(format!("capstan-triton-{}", std::process::id()));
    let image = folder.join("app/all_models/llmapi/tensorrt_llm/1");
    fs::create_dir_all(&image).expect("it can be made");
    fs::write(image.join("model.py"), "the program").expect("it can be written");
    fs::write(image.join("model.yaml"), "that of the image").expect("it can be written");
    let options = folder.join("options.yaml");
    fs::write(&options, "that of the plan").expect("it can be written");
    let script =
        container(&by_triton("tensorrt_llm", |_| {}))["command"][2].as_str().expect("a script").to_owned();
    let here = |from: &str| format!("{}{from}", folder.display());
    let script = script.replace("/tmp/models", &here("/models")).replace("/app/", &here("/app/"));
    for _ in 0..2 {
        let options = options.to_str().expect("a plain path");
        let run = Command::new("sh").args(["-c", &script, "echo", options, "--http-port=8000"]).output();
        let run = run.expect("there is a shell");
        assert!(run.status.success(), "{script}");
        assert_eq!(String::from_utf8_lossy(&run.stdout), "--http-port=8000\n");
        let read = |file: &str| {
            fs::read_to_string(folder.join("models/tensorrt_llm/1").join(file)).expect("it is there")
        };
        assert_eq!(
            (read("model.py"), read("model.yaml")),
            ("the program".to_owned(), "that of the plan".to_owned())
        );
    }
    fs::remove_dir_all(&folder).expect("it can be removed");
}

#[test]
fn its_metrics_are_read_at_their_own_port() {
    let manifests = emitted(&by_triton("tensorrt_llm", |_| {})).manifests;
    let endpoint = json!({ "port": "metrics", "path": "/metrics", "interval": "15s" });
    assert_eq!(object(&manifests, "PodMonitor", "chat")["spec"]["podMetricsEndpoints"], json!([endpoint]));
    let at_8002 = |manifests: &[_]| {
        let policy = object(manifests, "NetworkPolicy", "chat");
        let rules = policy["spec"]["ingress"].as_array().expect("rules").clone();
        rules
            .into_iter()
            .filter(|rule| rule["ports"] == json!([{ "protocol": "TCP", "port": 8002 }]))
            .collect::<Vec<_>>()
    };
    let rules = at_8002(&manifests);
    assert_eq!(rules.len(), 1);
    let scraper = &rules[0]["from"][0]["namespaceSelector"]["matchLabels"];
    assert_eq!(scraper["kubernetes.io/metadata.name"], "monitoring");
    let rules =
        manifests.iter().find(|one| one.kind == "PrometheusRule" && one.name == "chat").expect("rules");
    assert!(
        rules.yaml.contains("nv_inference_request_success")
            && rules.yaml.contains("Triton does not report it")
    );
    let unwatched = emitted(&by_triton("tensorrt_llm", |deploy| deploy.monitoring = false)).manifests;
    assert_eq!(at_8002(&unwatched).len(), 0);
    let meshed = by_triton("tensorrt_llm", |deploy| (deploy.mesh, deploy.minor) = (true, NEWEST_KUBERNETES));
    let meshed = emitted(&meshed).manifests;
    assert_eq!(lint(&meshed), []);
    let annotations =
        object(&meshed, "Deployment", "chat")["spec"]["template"]["metadata"]["annotations"].clone();
    assert_eq!(annotations["prometheus.io/port"], "8002");
    assert_eq!(annotations["traffic.sidecar.istio.io/includeInboundPorts"], "8000");
}

/// Weights are fetched by the image that reads them; KServe runs the same pod.
#[test]
fn volumes_and_kserve_know_its_image() {
    let manifests = emitted(&by_triton("tensorrt_llm", |deploy| {
        (deploy.storage_class, deploy.kserve) = (Some("files".to_owned()), true);
    }))
    .manifests;
    let job = manifests.iter().find(|one| one.kind == "Job").expect("weights are fetched");
    assert!(job.yaml.contains(&format!("image: {IMAGE}")), "{}", job.yaml);
    let predictor = object(&manifests, "InferenceService", "chat")["spec"]["predictor"].clone();
    assert_eq!(predictor["containers"][0]["image"], IMAGE);
    assert_eq!(predictor["containers"][0]["readinessProbe"]["httpGet"]["path"], "/v2/health/ready");
}

#[test]
fn other_engines_stay_with_their_servers_and_nodes_are_not_spanned() {
    for engine in ["vllm", "sglang"] {
        let with = emitted(&by_triton(engine, |_| {})).manifests;
        assert_eq!(with, emitted(&on_engine(engine)).manifests, "{engine}");
    }
    let mut spanning = two_nodes();
    spanning.inputs.catalog.engines[0].family = EngineFamily::TensorRtLlm;
    spanning.inputs.spec.deploy.as_mut().expect("it deploys").triton = Some(IMAGE.to_owned());
    let refused = emit(&spanning).expect_err("it spans nodes");
    assert!(matches!(refused, EmitError::SpansNodes { nodes: 2, .. }), "{refused}");
}
