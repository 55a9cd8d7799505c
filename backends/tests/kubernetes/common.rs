//! Variants of the shared blueprint that the tests of manifests need.

use capstan_backends::kubernetes::{Emitted, Manifest, emit, lint};
use capstan_types::blueprint::{Blueprint, Placement, Store, Stored};
use capstan_types::catalog::EngineFamily;
use capstan_types::spec::{
    Autoscale, Dataset, GatewayWish, JobKind, Kubernetes, MetalWish, NEWEST_KUBERNETES, Part, Pipeline,
    RailsWish, SloMetric, Stage, TokenWish, TrainingWish,
};
use capstan_types::storage::{Protection, Tier};
use capstan_types::testing::blueprint::chat_blueprint;
use capstan_types::units::{Bytes, RequestsPerSecond, Seconds};
use serde_json::Value;

/// The one placement of the shared blueprint.
pub fn placement(blueprint: &mut Blueprint) -> &mut Placement {
    &mut blueprint.services[0].placements[0]
}

/// The shared blueprint with something changed.
pub fn changed(change: impl FnOnce(&mut Blueprint)) -> Blueprint {
    let mut blueprint = chat_blueprint();
    change(&mut blueprint);
    blueprint
}

/// A replica over two nodes: eight ranks on each.
pub fn two_nodes() -> Blueprint {
    changed(|blueprint| {
        let candidate = &mut placement(blueprint).candidate;
        (candidate.accelerators, candidate.tensor, candidate.pipeline) = (16, 8, 2);
        (candidate.replicas_per_node, candidate.nodes_per_replica) = (0, 2);
    })
}

/// The same service at the rented and at the own site.
pub fn two_sites() -> Blueprint {
    changed(|blueprint| {
        let mut own = placement(blueprint).clone();
        own.site = "hz1".to_owned();
        own.candidate.shape = "own.h100_sxm_8".to_owned();
        blueprint.services[0].placements.push(own);
    })
}

/// A blueprint's service in two parts, as the planner makes them: prompts are read on two ranks, answers written on four.
pub fn in_two_parts(mut blueprint: Blueprint) -> Blueprint {
    let (serve, service) = (blueprint.inputs.spec.serves.remove(0), blueprint.services.remove(0));
    let curve = blueprint.demand.remove(0);
    for (part, other) in [(Part::Prefill, Part::Decode), (Part::Decode, Part::Prefill)] {
        let name = |part: Part| format!("{}_{}", serve.name, part.word());
        let mut of = serve.clone();
        of.name = name(part);
        of.stage = Some(Stage { of: serve.name.clone(), part, with: name(other) });
        of.slos.retain(|slo| (slo.metric == SloMetric::Ttft) == (part == Part::Prefill));
        let (mut own, mut rates) = (service.clone(), curve.clone());
        (own.workload, rates.workload) = (name(part), name(part));
        let placed = &mut own.placements[0];
        if part == Part::Prefill {
            (placed.candidate.accelerators, placed.candidate.tensor) = (2, 2);
            placed.candidate.replicas_per_node = 4;
            for planned in placed.replicas.iter_mut().flatten() {
                *planned = 3;
            }
        }
        blueprint.inputs.spec.serves.push(of);
        blueprint.services.push(own);
        blueprint.demand.push(rates);
    }
    blueprint.inputs.spec.deploy.as_mut().expect("it deploys").minor = NEWEST_KUBERNETES;
    blueprint
}

/// The shared service in two parts.
pub fn two_parts() -> Blueprint {
    in_two_parts(chat_blueprint())
}

/// The same number of replicas at every hour.
pub fn constant(replicas: u32) -> Blueprint {
    changed(|blueprint| {
        for planned in placement(blueprint).replicas.iter_mut().flatten() {
            *planned = replicas;
        }
    })
}

/// Every engine on the shared plan.
pub fn on_engine(engine: &str) -> Blueprint {
    changed(|blueprint| {
        let row = &mut blueprint.inputs.catalog.engines[0];
        engine.clone_into(&mut row.id);
        row.names.clear();
        row.family = match engine {
            "vllm" => EngineFamily::Vllm,
            "sglang" => EngineFamily::Sglang,
            "tensorrt_llm" => EngineFamily::TensorRtLlm,
            _ => EngineFamily::Other,
        };
        blueprint.inputs.spec.serves[0].engine = engine.to_owned();
        placement(blueprint).candidate.engine = engine.to_owned();
    })
}

/// A plan that asks for everything around its workloads.
pub fn everything() -> Blueprint {
    changed(|blueprint| {
        blueprint.stores[0].system = "ceph_nvme".to_owned();
        blueprint.inputs.spec.deploy = Some(Kubernetes {
            minor: NEWEST_KUBERNETES,
            dashboard: true,
            alerts: Some("pager".to_owned()),
            gateway: Some(GatewayWish {
                class: "istio".to_owned(),
                host: Some("llm.example.com".to_owned()),
                picker: true,
            }),
            gpu_operator: true,
            training: Some(TrainingWish { queued: true, ..TrainingWish::plain("registry/train:1") }),
            karpenter: Some("gpu".to_owned()),
            quota: true,
            priorities: true,
            load_test: true,
            rook: true,
            secret_store: Some("vault".to_owned()),
            ..Kubernetes::plain("llm", true)
        });
    })
}

/// The same with its own machines wired and made nodes, and with older checkpoints and a dataset in buckets.
pub fn own_hall() -> Blueprint {
    let mut blueprint = everything();
    let site = blueprint.stores[0].site.clone();
    let dataset = Dataset {
        name: "Web_Pages".to_owned(),
        place: blueprint.inputs.spec.trains[0].place.clone(),
        site,
        tier: Tier::Bulk,
        size: Bytes(5e13),
        file: None,
        tokens: None,
        growth_per_month: 0.0,
        read: None,
        write: None,
    };
    let kept = |what: &str, bytes| Stored { what: what.to_owned(), bytes: Bytes(bytes) };
    blueprint.stores.push(Store {
        tier: Tier::Bulk,
        protection: Protection::Erasure { data: 8, parity: 3 },
        stored: vec![
            kept("dataset Web_Pages", 5e13),
            kept("2 older checkpoints of pretrain", 2e12),
            kept("asked for beside", 1e12),
        ],
        ..blueprint.stores[0].clone()
    });
    blueprint.inputs.spec.datasets.push(dataset);
    let deploy = deploy(&mut blueprint);
    deploy.network_operator =
        Some(RailsWish { rails: (0..8).map(|rail| format!("ibs{}f0", rail + 1)).collect() });
    deploy.metal3 = Some(MetalWish {
        cluster: "prod".to_owned(),
        namespace: "hosts".to_owned(),
        image: "http://10.0.0.2/node.qcow2".to_owned(),
        checksum: "http://10.0.0.2/SHA256SUMS".to_owned(),
        version: "v1.36.2".to_owned(),
    });
    blueprint
}

/// What a blueprint asks of Kubernetes.
pub fn deploy(blueprint: &mut Blueprint) -> &mut Kubernetes {
    blueprint.inputs.spec.deploy.as_mut().expect("it deploys")
}

/// The shared blueprint with something more asked for in `deploy`.
pub fn with(change: impl FnOnce(&mut Kubernetes)) -> Blueprint {
    changed(|blueprint| change(blueprint.inputs.spec.deploy.as_mut().expect("it deploys")))
}

/// The shared blueprint whose replicas KServe runs.
pub fn by_kserve() -> Blueprint {
    with(|deploy| deploy.kserve = true)
}

/// A plan that asks for everything that keeps its services at work and safe.
pub fn operated() -> Blueprint {
    with(|deploy| {
        deploy.minor = NEWEST_KUBERNETES;
        deploy.alerts = Some("pager".to_owned());
        deploy.gateway = Some(GatewayWish {
            class: "istio".to_owned(),
            host: Some("llm.example.com".to_owned()),
            picker: false,
        });
        deploy.certificates = Some("letsencrypt".to_owned());
        deploy.load_test = true;
        deploy.mesh = true;
        deploy.rate_limit = Some(RequestsPerSecond(90.0));
        deploy.jwt = Some(TokenWish {
            issuer: "https://id.example.com".to_owned(),
            jwks: "https://id.example.com/keys".to_owned(),
        });
        deploy.etcd_backup = Some("snapshots".to_owned());
        deploy.ci = Pipeline::ALL.to_vec();
    })
}

/// All of it with the training of another operator, which starts a program.
pub fn trained(job: JobKind) -> Blueprint {
    of_operator(everything(), job)
}

/// A blueprint with the training of another operator, which starts a program.
pub fn of_operator(mut blueprint: Blueprint, job: JobKind) -> Blueprint {
    let wish = blueprint.inputs.spec.deploy.as_mut().and_then(|deploy| deploy.training.as_mut());
    let wish = wish.expect("it trains");
    (wish.job, wish.program) = (job, Some("python train.py".to_owned()));
    blueprint
}

/// Replicas that follow the requests in flight, down to `least`.
pub fn autoscaled(least: u32, tolerance: f64, minor: u32) -> Blueprint {
    changed(|blueprint| {
        blueprint.inputs.spec.deploy.as_mut().expect("it deploys").minor = minor;
        blueprint.inputs.spec.serves[0].autoscale = Some(Autoscale {
            target: Some(7.5),
            least,
            tolerance,
            up_window: Seconds(30.0),
            down_window: Seconds(450.0),
            cooldown: Seconds(900.0),
            provision: Seconds(0.0),
            lazy_image: false,
        });
        placement(blueprint).in_flight_target = Some(7.5);
    })
}

/// What is emitted for a blueprint that has manifests.
pub fn emitted(blueprint: &Blueprint) -> Emitted {
    emit(blueprint).unwrap_or_else(|error| panic!("{error}"))
}

/// The only manifest of a kind and name, read back.
pub fn object(manifests: &[Manifest], kind: &str, name: &str) -> Value {
    let manifest = manifests
        .iter()
        .find(|manifest| manifest.kind == kind && manifest.name == name)
        .unwrap_or_else(|| panic!("no {kind} {name}"));
    tree(manifest)
}

/// A manifest read back.
pub fn tree(manifest: &Manifest) -> Value {
    serde_saphyr::from_str(&manifest.yaml).unwrap_or_else(|error| panic!("{}: {error}", manifest.path))
}

/// All files as one text.
pub fn text(manifests: &[Manifest]) -> String {
    manifests.iter().map(|manifest| format!("=== {}\n{}", manifest.path, manifest.yaml)).collect()
}

/// Every alert of all rules.
pub fn alerts(manifests: &[Manifest]) -> Vec<Value> {
    let rules = manifests.iter().filter(|one| one.kind == "PrometheusRule").map(tree);
    let groups = rules.flat_map(|rule| rule["spec"]["groups"].as_array().cloned().expect("groups"));
    let rules = groups.flat_map(|group| group["rules"].as_array().cloned().expect("rules"));
    rules.filter(|rule| rule["alert"].is_string()).collect()
}

/// The alert of a name.
pub fn alert(manifests: &[Manifest], name: &str) -> Value {
    let found = alerts(manifests).into_iter().find(|alert| alert["alert"] == name);
    found.unwrap_or_else(|| panic!("no alert {name}"))
}

/// Whether a warning holds a text.
pub fn says(blueprint: &Blueprint, what: &str) -> bool {
    emitted(blueprint).warnings.iter().any(|warning| warning.message.contains(what))
}

/// Takes from every model the names under which a model hub knows it.
pub fn without_names(blueprint: &mut Blueprint) {
    let inputs = &mut blueprint.inputs;
    for model in inputs.catalog.models.iter_mut().chain(&mut inputs.spec.models) {
        model.names.clear();
    }
    for serve in &mut inputs.spec.serves {
        serve.checkpoint = None;
    }
}

/// Checks that changing one text of the object of a kind breaks exactly one rule.
pub fn breaks_one(blueprint: &Blueprint, kind: &str, (from, to): (&str, &str), rule: &str) {
    let mut manifests = emitted(blueprint).manifests;
    assert_eq!(lint(&manifests), []);
    let object = manifests.iter_mut().find(|manifest| manifest.kind == kind).expect("it is there");
    assert!(object.yaml.contains(from), "no {from:?}:\n{}", object.yaml);
    object.yaml = object.yaml.replacen(from, to, 1);
    let broken = lint(&manifests);
    assert!(
        !broken.is_empty() && broken.iter().all(|lint| lint.rule == rule),
        "{from:?} → {to:?}: {broken:#?}"
    );
}
