//! Services that answer with models that are no language models: how Triton and TensorFlow Serving are started, asked, watched.

use crate::apps::{add, cut, labels_of, may_ask, profile, said};
use crate::common::{changed, emitted, object, tree};
use capstan_backends::kubernetes::{Emitted, lint};
use capstan_types::blueprint::Blueprint;
use capstan_types::spec::{ModelServer, NEWEST_KUBERNETES, ServerKind, Slice};
use capstan_types::testing::blueprint::chat_blueprint;
use capstan_types::units::Seconds;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What answers with two models, as the language reads it.
fn served(server: ServerKind, max_batch: Option<u32>, queue_delay: Option<f64>) -> ModelServer {
    let names = vec!["detect".to_owned(), "embed".to_owned()];
    ModelServer {
        server,
        volume: "vision-models".to_owned(),
        names,
        max_batch,
        queue_delay: queue_delay.map(Seconds),
    }
}

/// Adds such a service: three instances on partitions.
fn add_served(blueprint: &mut Blueprint, name: &str, image: &str, models: ModelServer) {
    add(blueprint, name, image, |app, run| {
        cut(profile(), 7)(app, run);
        (app.port, app.models) = (Some(models.server.http_port()), Some(models));
    });
}

/// The shared blueprint with one on Triton and one on TensorFlow Serving.
fn both() -> Blueprint {
    changed(|blueprint| {
        let triton = served(ServerKind::Triton, Some(32), Some(0.002));
        add_served(blueprint, "vision", "nvcr.io/nvidia/tritonserver:25.08-py3", triton);
        let ranking = served(ServerKind::TfServing, Some(64), None);
        add_served(blueprint, "ranking", "tensorflow/serving:2.19.0-gpu", ranking);
    })
}

fn pod(emitted: &Emitted, name: &str) -> Value {
    object(&emitted.manifests, "Deployment", name)["spec"]["template"]["spec"].clone()
}

fn arguments(emitted: &Emitted, name: &str) -> Vec<String> {
    let args = pod(emitted, name)["containers"][0]["args"].clone();
    args.as_array().expect("arguments").iter().map(|arg| arg.as_str().expect("text").to_owned()).collect()
}

/// The configuration that a service mounts.
fn config(emitted: &Emitted, name: &str) -> Value {
    let volumes = pod(emitted, name)["volumes"].clone();
    let volume = volumes
        .as_array()
        .expect("volumes")
        .iter()
        .find(|one| one["name"] == "config")
        .expect("it is mounted")
        .clone();
    object(&emitted.manifests, "ConfigMap", volume["configMap"]["name"].as_str().expect("a name"))["data"]
        .clone()
}

#[test]
fn triton_loads_the_models_of_the_plan_from_their_volume() {
    let emitted = emitted(&both());
    assert_eq!(lint(&emitted.manifests), []);
    let args = arguments(&emitted, "vision");
    let wanted = [
        "--model-repository=/models",
        "--http-port=8000",
        "--grpc-port=8001",
        "--metrics-port=8002",
        "--model-control-mode=explicit",
        "--load-model=detect",
        "--load-model=embed",
    ];
    assert_eq!(args, wanted);
    let pod = pod(&emitted, "vision");
    let container = &pod["containers"][0];
    assert_eq!(container["resources"]["limits"]["nvidia.com/mig-1g.10gb"], "1");
    let numbers = |key: &str| -> Vec<u64> {
        container["ports"]
            .as_array()
            .expect("ports")
            .iter()
            .map(|port| port[key].as_u64().expect("a number"))
            .collect()
    };
    assert_eq!(numbers("containerPort"), [8000, 8001, 8002]);
    assert_eq!(container["startupProbe"]["httpGet"], json!({ "path": "/v2/health/ready", "port": "app" }));
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/v2/health/ready");
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/v2/health/live");
    assert_eq!(pod["volumes"][0]["persistentVolumeClaim"]["claimName"], "vision-models");
    assert_eq!(
        container["volumeMounts"][0],
        json!({ "name": "models", "mountPath": "/volume", "readOnly": true })
    );
    let text = config(&emitted, "vision")["config.pbtxt"].as_str().expect("text").to_owned();
    assert_eq!(text, "max_batch_size: 32\ndynamic_batching {\n  max_queue_delay_microseconds: 2000\n}\n");
    assert!(said(&emitted, "vision")[0].contains("the volume `vision-models`, which is not made here"));
    // Without limits of the plan each model keeps its own, and the volume is read as it is.
    let plain = crate::common::emitted(&changed(|blueprint| {
        add_served(blueprint, "vision", "a/triton:1", served(ServerKind::Triton, None, None));
    }));
    let pod = pod_of(&plain);
    assert_eq!(pod["containers"][0]["command"], json!(["tritonserver"]));
    assert_eq!(pod["containers"][0]["volumeMounts"][0]["mountPath"], "/models");
    assert!(!plain.manifests.iter().any(|one| one.kind == "ConfigMap" && one.name.starts_with("vision")));
}

fn pod_of(emitted: &Emitted) -> Value {
    pod(emitted, "vision")
}

/// Runs what starts Triton in a folder of its own; returns where the models stand then.
fn started(script: &str, folder: &Path) {
    let at = |text: &str, from: &str, to: &str| text.replace(from, &format!("{}/{to}", folder.display()));
    let script = at(&at(&at(script, "/etc/models", "config"), "/models", "models"), "/volume", "volume");
    let status =
        Command::new("sh").args(["-c", &script, "true", "--some-flag"]).status().expect("there is a shell");
    assert!(status.success(), "{script}");
}

/// A model with a configuration of its own keeps it; one without gets that of the plan. A container that starts again finds
/// all as it was.
#[test]
fn limits_of_the_plan_are_for_models_without_their_own() {
    let folder = std::env::temp_dir().join(format!("capstan-models-{}", std::process::id()));
    for (file, text) in [
        ("volume/detect/1/model.onnx", "weights"),
        ("volume/detect/config.pbtxt", "max_batch_size: 4\n"),
        ("volume/embed/1/model.plan", "weights"),
        ("volume/embed/2/model.plan", "newer"),
        ("config/config.pbtxt", "max_batch_size: 32\n"),
    ] {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
        fs::write(path, text).expect("it can be written");
    }
    let container = pod(&emitted(&both()), "vision")["containers"][0].clone();
    assert_eq!((&container["command"][0], &container["command"][3]), (&json!("sh"), &json!("tritonserver")));
    let script = container["command"][2].as_str().expect("a script");
    for _ in 0..2 {
        started(script, &folder);
        let read = |file: &str| fs::read_to_string(folder.join("models").join(file)).expect("it is there");
        assert_eq!(read("detect/config.pbtxt"), "max_batch_size: 4\n");
        assert_eq!(read("embed/config.pbtxt"), "max_batch_size: 32\n");
        assert_eq!(read("embed/2/model.plan"), "newer");
        // Nothing is written where the volume is mounted.
        assert!(
            !folder.join("volume/embed/config.pbtxt").exists() && !folder.join("volume/embed/1/1").exists()
        );
    }
    fs::remove_dir_all(&folder).expect("it can be removed");
}

#[test]
fn tensorflow_serving_reads_its_models_and_limits_from_files() {
    let emitted = emitted(&both());
    let wanted = [
        "--port=8500",
        "--rest_api_port=8501",
        "--model_config_file=/etc/models/models.config",
        "--monitoring_config_file=/etc/models/monitoring.config",
        "--enable_batching=true",
        "--batching_parameters_file=/etc/models/batching.config",
    ];
    assert_eq!(arguments(&emitted, "ranking"), wanted);
    let data = config(&emitted, "ranking");
    let text = |file: &str| data[file].as_str().expect("text").to_owned();
    let row = |name: &str| {
        format!(
            "  config {{\n    name: \"{name}\"\n    base_path: \"/models/{name}\"\n    model_platform: \"tensorflow\"\n  }}\n"
        )
    };
    assert_eq!(text("models.config"), format!("model_config_list {{\n{}{}}}\n", row("detect"), row("embed")));
    // Four hardware threads are planned for each.
    assert_eq!(
        text("batching.config"),
        "max_batch_size { value: 64 }\nbatch_timeout_micros { value: 0 }\nnum_batch_threads { value: 4 }\n"
    );
    assert!(text("monitoring.config").contains("path: \"/monitoring/prometheus/metrics\""));
    let container = pod(&emitted, "ranking")["containers"][0].clone();
    assert_eq!(container["command"], json!(["tensorflow_model_server"]));
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/v1/models/detect");
    assert_eq!(container["livenessProbe"]["tcpSocket"]["port"], "app");
    let ports: Vec<&Value> =
        container["ports"].as_array().expect("ports").iter().map(|one| &one["containerPort"]).collect();
    assert_eq!(ports, [8501, 8500]);
    // Of an accelerator that four share each takes a fourth of what the driver leaves; alone it takes all.
    assert!(!arguments(&emitted, "ranking").iter().any(|arg| arg.contains("gpu_memory")));
    let mut shared = both();
    let (app, run) = (&mut shared.inputs.spec.apps[1], &mut shared.apps[1]);
    cut(Slice::Share { share: 0.25 }, 4)(app, run);
    run.part = app.part.clone();
    let shared = crate::common::emitted(&shared);
    assert!(arguments(&shared, "ranking").contains(&"--per_process_gpu_memory_fraction=0.225".to_owned()));
}

/// Pods start again when their configuration changes: it has another name then.
#[test]
fn another_limit_is_another_configuration() {
    let with = |most| {
        let mut blueprint = both();
        blueprint.inputs.spec.apps[0].models = Some(served(ServerKind::Triton, Some(most), None));
        pod(&emitted(&blueprint), "vision")["volumes"].clone()
    };
    assert_eq!(with(8), with(8));
    assert_ne!(with(8), with(16));
}

#[test]
fn both_protocols_are_asked_and_metrics_are_scraped() {
    let manifests = emitted(&both()).manifests;
    let ports = |name: &str| {
        let ports = object(&manifests, "Service", name)["spec"]["ports"].clone();
        let ports = ports.as_array().expect("ports").iter();
        ports.map(|port| (port["name"].clone(), port["port"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(ports("vision"), [(json!("app"), json!(8000)), (json!("grpc"), json!(8001))]);
    assert_eq!(ports("ranking"), [(json!("app"), json!(8501)), (json!("grpc"), json!(8500))]);
    let labels = |name: &str| labels_of(&object(&manifests, "Deployment", name));
    let (vision, ranking) = (labels("vision"), labels("ranking"));
    for (port, may) in [(8500, true), (8501, true), (8002, false)] {
        assert_eq!(may_ask(&manifests, &vision, &ranking, port), may, "{port}");
    }
    assert!(may_ask(&manifests, &ranking, &vision, 8001) && !may_ask(&manifests, &ranking, &vision, 8002));
    for (name, number, endpoint) in [
        ("vision", 8002, json!({ "port": "metrics", "path": "/metrics", "interval": "15s" })),
        (
            "ranking",
            8501,
            json!({ "port": "app", "path": "/monitoring/prometheus/metrics", "interval": "15s" }),
        ),
    ] {
        let monitor = object(&manifests, "PodMonitor", name);
        assert_eq!(monitor["spec"]["podMetricsEndpoints"], json!([endpoint]));
        let policy = object(&manifests, "NetworkPolicy", name);
        let scraped = policy["spec"]["ingress"].as_array().expect("rules").iter().any(|rule| {
            rule["from"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == "monitoring"
                && rule["ports"] == json!([{ "protocol": "TCP", "port": number }])
        });
        assert!(scraped, "{policy}");
    }
    // Where nobody watches, nobody reads metrics.
    let mut unwatched = both();
    unwatched.inputs.spec.deploy.as_mut().expect("it deploys").monitoring = false;
    let unwatched = emitted(&unwatched).manifests;
    assert!(!unwatched.iter().any(|one| one.kind == "PodMonitor"));
    assert_eq!(
        object(&unwatched, "NetworkPolicy", "vision")["spec"]["ingress"].as_array().map(Vec::len),
        Some(1)
    );
}

/// A mesh refuses who reads metrics in the clear, so the sidecar is told where they are and shows them.
#[test]
fn a_mesh_shows_their_metrics() {
    let mut meshed = both();
    let deploy = meshed.inputs.spec.deploy.as_mut().expect("it deploys");
    (deploy.mesh, deploy.minor) = (true, NEWEST_KUBERNETES);
    let manifests = emitted(&meshed).manifests;
    assert_eq!(lint(&manifests), []);
    let template = object(&manifests, "Deployment", "ranking")["spec"]["template"]["metadata"].clone();
    assert_eq!(template["annotations"]["prometheus.io/path"], "/monitoring/prometheus/metrics");
    assert_eq!(template["annotations"]["prometheus.io/port"], "8501");
    let monitor = object(&manifests, "PodMonitor", "ranking");
    assert_eq!(monitor["spec"]["podMetricsEndpoints"][0]["portNumber"], 15020);
}

/// What answers with no such model has neither of this.
#[test]
fn other_services_stay_as_they_are() {
    let mut blueprint = chat_blueprint();
    add(&mut blueprint, "tool", "a/b:1", |app, _| app.port = Some(8080));
    let manifests = emitted(&blueprint).manifests;
    let own: Vec<Value> = manifests.iter().filter(|one| one.name == "tool").map(tree).collect();
    assert!(!own.is_empty() && !own.iter().any(|one| one["kind"] == "PodMonitor"));
    let pod = object(&manifests, "Deployment", "tool")["spec"]["template"].clone();
    assert_eq!((&pod["metadata"]["annotations"], &pod["spec"]["volumes"]), (&Value::Null, &Value::Null));
}
