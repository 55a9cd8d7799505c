//! Services and notebooks: what runs them, what they take, and who may ask them.

use crate::common::{changed, emitted, everything, object, text, tree};
use capstan_backends::kubernetes::{EmitError, Emitted, Manifest, Warning, Wave, emit, lint};
use capstan_types::blueprint::{AppRun, Blueprint, Pool};
use capstan_types::spec::{App, AppKind, DayHours, Limit, Slice};
use capstan_types::testing::blueprint::chat_blueprint;
use capstan_types::units::Bytes;
use serde_json::{Value, json};

const GIB: f64 = 1_073_741_824.0;

/// The machines without accelerators.
const HOSTS: &str = "own.cpu";

/// Adds a service to a blueprint as the planner would: three instances on machines without accelerators, of which each holds
/// eight.
pub fn add(blueprint: &mut Blueprint, name: &str, image: &str, change: impl FnOnce(&mut App, &mut AppRun)) {
    let mut app = App {
        name: name.to_owned(),
        place: blueprint.inputs.spec.serves[0].place.clone(),
        kind: AppKind::Service,
        image: Some(image.to_owned()),
        port: None,
        mount: None,
        models: None,
        instances: 3,
        hours: None,
        threads: 4.0,
        memory: Bytes(8.0 * GIB),
        storage: Bytes(0.0),
        part: None,
        accelerators: None,
        availability: None,
        buy: Vec::new(),
        sites: None,
    };
    let mut run = AppRun {
        workload: name.to_owned(),
        kind: AppKind::Service,
        image: None,
        site: "hz1".to_owned(),
        shape: HOSTS.to_owned(),
        part: None,
        instances: vec![3; 48],
        spares: 0,
        per_accelerator: 0,
        per_node: 8,
    };
    change(&mut app, &mut run);
    (run.kind, run.image, run.part) = (app.kind, app.image.clone(), app.part.clone());
    let spec = &mut blueprint.inputs;
    if spec.catalog.shape(HOSTS).is_none() {
        let mut shape = spec.catalog.shape("own.h100_sxm_8").expect("the shared machine").clone();
        (shape.id, shape.accelerator, shape.accelerators) = (HOSTS.to_owned(), None, 0);
        shape.names = vec!["dual-socket server".to_owned()];
        spec.catalog.shapes.push(shape);
    }
    spec.spec.apps.push(app);
    blueprint.apps.push(run);
}

/// Instances that take a part of an accelerator of the shared machines.
pub fn cut(part: Slice, per_accelerator: u32) -> impl FnOnce(&mut App, &mut AppRun) {
    move |app, run| {
        app.part = Some(part);
        (run.shape, run.per_accelerator) = ("own.h100_sxm_8".to_owned(), per_accelerator);
        run.per_node = 8 * per_accelerator;
    }
}

pub fn profile() -> Slice {
    Slice::Profile { profile: "1g.10gb".to_owned() }
}

/// Sixty people of whom forty work at once, on weekdays.
fn notebooks(app: &mut App, run: &mut AppRun) {
    cut(profile(), 7)(app, run);
    (app.kind, app.image, app.instances, app.storage) = (AppKind::Workspace, None, 40, Bytes(10e9));
    app.hours = Some(DayHours { from: 8, until: 18 });
    run.instances = (0..48).map(|hour| if (8..18).contains(&hour) { 40 } else { 0 }).collect();
}

fn answers(port: u16) -> impl FnOnce(&mut App, &mut AppRun) {
    move |app, _| app.port = Some(port)
}

/// Everything that a service or a workspace can ask for.
pub fn all() -> Blueprint {
    let mut blueprint = everything();
    let deploy = blueprint.inputs.spec.deploy.as_mut().expect("it deploys");
    deploy.storage_class = Some("fast".to_owned());
    let place = blueprint.inputs.spec.serves[0].place.clone();
    add(&mut blueprint, "gateway", "kong/kong-gateway:3.9", |app, run| {
        (app.port, app.availability) = (Some(8080), Some(Limit { value: 0.999, place }));
        (run.spares, run.instances) = (1, vec![4; 48]);
    });
    add(&mut blueprint, "queue", "nats:2.11", |app, _| {
        (app.port, app.mount) = (Some(4222), Some("/data/jetstream".to_owned()));
        (app.threads, app.memory, app.storage) = (1.5, Bytes(4e9), Bytes(20e9));
    });
    add(&mut blueprint, "labels", "heartexlabs/label-studio:1.20.0", |app, run| {
        (app.port, app.storage, run.instances) = (Some(8080), Bytes(500e9), vec![1; 48]);
    });
    add(&mut blueprint, "crawler", "registry.example.com/crawler:1", |_, _| {});
    add(&mut blueprint, "embed", "registry.example.com/embed:1", cut(profile(), 7));
    add(&mut blueprint, "rerank", "registry.example.com/rerank:1", cut(Slice::Share { share: 0.25 }, 4));
    add(&mut blueprint, "vision", "registry.example.com/vision:1", cut(Slice::Whole, 1));
    add(&mut blueprint, "vectors", "qdrant/qdrant:v1.13.4", |app, run| {
        (app.port, app.storage) = (Some(6333), Bytes(2e12));
        run.per_node = 2;
    });
    add(&mut blueprint, "experiments", "ghcr.io/mlflow/mlflow:v2.20.0", answers(5000));
    add(&mut blueprint, "lab", "", notebooks);
    add(&mut blueprint, "unknown", "", |app, _| app.image = None);
    blueprint
}

/// The shared blueprint with one service.
fn with(image: &str, change: impl FnOnce(&mut App, &mut AppRun)) -> Blueprint {
    changed(|blueprint| add(blueprint, "tool", image, change))
}

pub fn said(emitted: &Emitted, subject: &str) -> Vec<String> {
    let own = emitted.warnings.iter().filter(|warning| warning.subject == subject);
    own.map(|warning| warning.message.clone()).collect()
}

fn values(emitted: &Emitted, name: &str) -> Value {
    let path = format!("charts/{name}.values.yaml");
    tree(emitted.manifests.iter().find(|manifest| manifest.path == path).expect("there are values"))
}

#[test]
fn services_and_notebooks_become_these_files() {
    let mut all = emitted(&all());
    assert_eq!(lint(&all.manifests), []);
    let before = emitted(&everything()).manifests;
    all.manifests.retain(|manifest| !before.iter().any(|one| one.yaml == manifest.yaml));
    all.manifests.retain(|manifest| manifest.wave != Wave::Index && manifest.wave != Wave::Access);
    let names = [
        "gateway",
        "queue",
        "labels",
        "crawler",
        "embed",
        "rerank",
        "vision",
        "vectors",
        "experiments",
        "lab",
        "unknown",
        "hz1",
    ];
    let warnings =
        names.iter().flat_map(|name| said(&all, name).into_iter().map(move |text| format!("{name}: {text}")));
    insta::assert_snapshot!("apps_warnings", warnings.collect::<Vec<_>>().join("\n"));
    insta::assert_snapshot!("apps", text(&all.manifests));
}

#[test]
fn all_that_is_planned_is_asked_for_spares_included() {
    let manifests = emitted(&all()).manifests;
    assert_eq!(object(&manifests, "Deployment", "gateway")["spec"]["replicas"], 4);
    let queue = object(&manifests, "StatefulSet", "queue");
    let container = &queue["spec"]["template"]["spec"]["containers"][0];
    // 4 GB are 3,814.7 MiB.
    let host = json!({ "cpu": "1500m", "memory": "3815Mi" });
    assert_eq!(container["resources"], json!({ "requests": host, "limits": { "memory": "3815Mi" } }));
    let claim = &queue["spec"]["volumeClaimTemplates"][0]["spec"];
    assert_eq!(claim["resources"]["requests"]["storage"], "19Gi");
    assert_eq!(claim["storageClassName"], "fast");
    assert_eq!(container["volumeMounts"][0]["mountPath"], "/data/jetstream");
    assert_eq!(queue["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"], "Retain");
    // Where the image is known to keep its data, the plan need not say it; of an unknown one it is said what is assumed.
    let labels = object(&manifests, "StatefulSet", "labels");
    let mounted = &labels["spec"]["template"]["spec"]["containers"][0]["volumeMounts"][0]["mountPath"];
    assert_eq!(mounted, "/label-studio/data");
    let unknown = emitted(&with("nats:2.11", |app, _| app.storage = Bytes(1e9)));
    assert!(said(&unknown, "tool").iter().any(|text| text.contains("`mount`")), "{:?}", unknown.warnings);
}

#[test]
fn parts_of_accelerators_are_asked_for_by_their_names() {
    let manifests = emitted(&all()).manifests;
    for (name, resource) in [
        ("embed", "nvidia.com/mig-1g.10gb"),
        ("rerank", "nvidia.com/gpu.shared"),
        ("vision", "nvidia.com/gpu"),
    ] {
        let spec = object(&manifests, "Deployment", name)["spec"]["template"]["spec"].clone();
        let resources = &spec["containers"][0]["resources"];
        assert_eq!(
            (&resources["limits"][resource], &resources["requests"][resource]),
            (&json!("1"), &json!("1"))
        );
        assert_eq!(spec["tolerations"][0]["key"], "nvidia.com/gpu", "{name}");
        let plugin = &spec["nodeSelector"]["nvidia.com/device-plugin.config"];
        assert_eq!(plugin.as_str(), (name == "rerank").then_some("share-4"), "{name}");
    }
    // One instance of an accelerator that is shared with nobody takes all of it.
    let alone = with("a/b:1", cut(Slice::Share { share: 0.6 }, 1));
    let alone = object(&emitted(&alone).manifests, "Deployment", "tool");
    assert_eq!(
        alone["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"],
        "1"
    );
    // The vendor's name for parts is known of NVIDIA only.
    let mut other = with("a/b:1", cut(profile(), 7));
    other.inputs.catalog.accelerators[0].vendor = "AMD".to_owned();
    let other = emitted(&other);
    assert!(!other.manifests.iter().any(|manifest| manifest.name == "tool"));
    assert!(said(&other, "tool")[0].contains("leave `slice` out"), "{:?}", other.warnings);
}

#[test]
fn the_operator_is_told_how_accelerators_are_cut() {
    let manifests = emitted(&all()).manifests;
    let policy = object(&manifests, "ClusterPolicy", "cluster-policy")["spec"].clone();
    assert_eq!(policy["mig"]["strategy"], "mixed");
    let name = |config: &Value| config["name"].as_str().expect("a name").to_owned();
    let partitions = object(&manifests, "ConfigMap", &name(&policy["migManager"]["config"]));
    let text = partitions["data"]["config.yaml"].as_str().expect("text");
    let read: Value = serde_saphyr::from_str(text).expect("YAML");
    // Three services and forty notebooks at seven on each accelerator: 1 + 6.
    let row = &read["mig-configs"]["1g.10gb-x7-whole-x1"][0];
    assert_eq!(row["mig-devices"], json!({ "1g.10gb": 7 }), "{text}");
    assert_eq!(row["devices"].as_array().expect("a list").len(), 7);
    assert!(read["mig-configs"]["all-disabled"].is_array());
    let shares = object(&manifests, "ConfigMap", &name(&policy["devicePlugin"]["config"]));
    let text = shares["data"]["share-4"].as_str().expect("text");
    let read: Value = serde_saphyr::from_str(text).expect("YAML");
    assert_eq!(
        read["sharing"]["timeSlicing"]["resources"][0],
        json!({ "name": "nvidia.com/gpu", "replicas": 4 })
    );
    assert_eq!(read["sharing"]["timeSlicing"]["renameByDefault"], true);
    // Without them nothing of it changes, and without the operator people are told what to do.
    let plain = object(&emitted(&everything()).manifests, "ClusterPolicy", "cluster-policy");
    assert_eq!(
        (&plain["spec"]["mig"]["strategy"], &plain["spec"]["migManager"]),
        (&json!("single"), &Value::Null)
    );
    let bare = emitted(&with("a/b:1", cut(profile(), 7)));
    let wanted = "label 1 of its own.h100_sxm_8 nodes, while they are empty, with `nvidia.com/mig.config=1g.10gb-x1-whole-x7` (7 × 1g.10gb on each of 1 accelerators, under the strategy `mixed`); nothing else does";
    assert!(said(&bare, "hz1").iter().any(|text| text == wanted), "{:#?}", bare.warnings);
}

/// A service that answers nowhere has neither name nor probe; one with data and a port has a name for each instance.
#[test]
fn services_are_reached_at_their_port() {
    let manifests = emitted(&all()).manifests;
    let names = |kind: &str| -> Vec<&str> {
        manifests.iter().filter(|one| one.kind == kind).map(|one| one.name.as_str()).collect()
    };
    assert_eq!(names("Service"), ["queue-headless", "labels-headless", "chat", "gateway", "queue", "labels"]);
    let each = object(&manifests, "Service", "queue-headless");
    assert_eq!(
        (&each["spec"]["clusterIP"], &each["spec"]["publishNotReadyAddresses"]),
        (&json!("None"), &json!(true))
    );
    assert_eq!(object(&manifests, "StatefulSet", "queue")["spec"]["serviceName"], "queue-headless");
    let container = |name: &str| {
        object(&manifests, "Deployment", name)["spec"]["template"]["spec"]["containers"][0].clone()
    };
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        assert_eq!(container("gateway")[probe]["tcpSocket"]["port"], "app");
        assert_eq!(container("crawler")[probe], Value::Null);
    }
    assert_eq!(object(&manifests, "Service", "gateway")["spec"]["ports"][0]["port"], 8080);
    assert!(
        names("PodDisruptionBudget").contains(&"crawler")
            && !names("PodDisruptionBudget").contains(&"labels")
    );
}

pub fn labels_of(object: &Value) -> Value {
    object["spec"]["template"]["metadata"]["labels"].clone()
}

/// Whether the network policies let pods with some labels ask others at a port: one policy at each end must say so.
pub fn may_ask(manifests: &[Manifest], from: &Value, to: &Value, port: u64) -> bool {
    let selects = |selector: &Value, labels: &Value| {
        let wanted = selector["matchLabels"].as_object();
        wanted.is_none_or(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
    };
    let end = |own: &Value, other: &Value, (rules, peers): (&str, &str)| {
        let policies = manifests.iter().filter(|one| one.kind == "NetworkPolicy").map(tree);
        policies.filter(|policy| selects(&policy["spec"]["podSelector"], own)).any(|policy| {
            policy["spec"][rules].as_array().into_iter().flatten().any(|rule| {
                let of_pods =
                    |peer: &Value| peer["podSelector"].is_object() && selects(&peer["podSelector"], other);
                let is_peer = rule[peers].as_array().is_none_or(|list| list.iter().any(of_pods));
                let at =
                    |row: &Value| row["protocol"] == "TCP" && (row["port"].is_null() || row["port"] == port);
                is_peer && rule["ports"].as_array().expect("ports").iter().any(at)
            })
        })
    };
    end(from, to, ("egress", "to")) && end(to, from, ("ingress", "from"))
}

#[test]
fn pods_of_the_plan_ask_each_other_at_declared_ports_only() {
    let manifests = emitted(&all()).manifests;
    let (chat, gateway) =
        (object(&manifests, "Deployment", "chat"), object(&manifests, "Deployment", "gateway"));
    let (chat, gateway) = (labels_of(&chat), labels_of(&gateway));
    let queue = labels_of(&object(&manifests, "StatefulSet", "queue"));
    let engine = 8000;
    let vectors = json!({ "app.kubernetes.io/instance": "vectors", "app.kubernetes.io/name": "qdrant" });
    let notebook = json!({ "component": "singleuser-server", "app": "jupyterhub" });
    for (from, to, port) in [
        (&gateway, &chat, engine),
        (&notebook, &chat, engine),
        (&gateway, &vectors, 6333),
        (&notebook, &queue, 4222),
        (&chat, &gateway, 8080),
        (&vectors, &vectors, 6335),
        (&queue, &queue, 6222),
    ] {
        assert!(may_ask(&manifests, from, to, port), "{from} may not ask {to} at {port}");
    }
    for (from, to, port) in [
        (&gateway, &queue, 6222),
        (&gateway, &gateway, 22),
        (&notebook, &vectors, 6335),
        (&gateway, &notebook, 8888),
    ] {
        assert!(!may_ask(&manifests, from, to, port), "{from} may ask {to} at {port}");
    }
    // Without services it is as strict as before.
    assert!(!may_ask(&emitted(&chat_blueprint()).manifests, &chat, &chat, engine));
}

#[test]
fn the_quota_counts_services_and_notebooks() {
    let quota = emitted(&all()).manifests;
    let quota = object(&quota, "ResourceQuota", "chat-and-pretrain-planned")["spec"]["hard"].clone();
    // Three of `embed` and forty people; three of `rerank`; and three of `vision` beside what models and training take.
    assert_eq!(
        (&quota["requests.nvidia.com/mig-1g.10gb"], &quota["requests.nvidia.com/gpu.shared"]),
        (&json!("43"), &json!("3"))
    );
    let number =
        |hard: &Value| hard["requests.nvidia.com/gpu"].as_str().and_then(|text| text.parse::<u32>().ok());
    let before = emitted(&everything()).manifests;
    let before = object(&before, "ResourceQuota", "chat-and-pretrain-planned")["spec"]["hard"].clone();
    assert_eq!(number(&quota), number(&before).map(|all| all + 3));
}

/// Values are for people with a chart: neither applied, nor listed, nor asked for digests.
#[test]
fn values_of_charts_are_no_objects() {
    let emitted = emitted(&all());
    let files: Vec<&Manifest> = emitted.manifests.iter().filter(|one| one.wave == Wave::Values).collect();
    let paths: Vec<&str> = files.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(
        paths,
        ["charts/vectors.values.yaml", "charts/experiments.values.yaml", "charts/lab.values.yaml"]
    );
    let index = emitted.manifests.iter().find(|one| one.wave == Wave::Index).expect("a list");
    assert!(!index.yaml.contains("values"), "{}", index.yaml);
    for file in &files {
        assert!(file.yaml.starts_with("# Values for the chart"), "{}", file.yaml);
        assert!(tree(file)["kind"].is_null());
    }
    let images = emitted.images();
    assert!(images.contains(&"nats:2.11".to_owned()) && !images.iter().any(|image| image.contains("qdrant")));
    let vectors = values(&emitted, "vectors");
    assert_eq!((&vectors["replicaCount"], &vectors["persistence"]["size"]), (&json!(3), &json!("1863Gi")));
    assert_eq!(vectors["resources"]["requests"], json!({ "cpu": "4", "memory": "8Gi" }));
    assert!(said(&emitted, "vectors").iter().any(|text| text.contains("does not run by itself")));
}

#[test]
fn notebooks_are_sized_for_their_busiest_hour_and_end_with_the_day() {
    let lab = values(&emitted(&all()), "lab");
    assert_eq!((&lab["hub"]["activeServerLimit"], &lab["cull"]["maxAge"]), (&json!(40), &json!(36_000)));
    let single = &lab["singleuser"];
    assert_eq!(single["memory"], json!({ "guarantee": "8192M", "limit": "8192M" }));
    assert_eq!(single["extraResource"]["limits"], json!({ "nvidia.com/mig-1g.10gb": "1" }));
    assert_eq!(single["storage"]["capacity"], "10Gi");
    assert_eq!(single["extraPodConfig"]["priorityClassName"], "chat-and-pretrain-serving");
    // Nobody at work is no hub; a limit of 0 would be none.
    let empty = emitted(&changed(|blueprint| {
        add(blueprint, "lab", "", |app, run| {
            notebooks(app, run);
            run.instances = vec![0; 48];
        });
    }));
    assert!(!empty.manifests.iter().any(|one| one.wave == Wave::Values));
    assert!(said(&empty, "lab")[0].contains("no instance is planned"));
}

/// Instances keep apart, unless something larger shares their machines and they have not to be up all the time.
#[test]
fn small_instances_leave_room_for_large_ones() {
    let affinity = |blueprint: &Blueprint| {
        object(&emitted(blueprint).manifests, "Deployment", "tool")["spec"]["template"]["spec"]["affinity"]
            .clone()
    };
    let mut blueprint = with("a/b:1", |_, _| {});
    assert!(affinity(&blueprint)["podAntiAffinity"].is_object());
    add(&mut blueprint, "large", "a/c:1", |_, run| run.per_node = 1);
    assert!(affinity(&blueprint)["podAffinity"].is_object());
    let place = blueprint.inputs.spec.serves[0].place.clone();
    blueprint.inputs.spec.apps[0].availability = Some(Limit { value: 0.999, place });
    assert!(affinity(&blueprint)["podAntiAffinity"].is_object());
}

#[test]
fn machines_without_accelerators_are_chosen_and_made() {
    let own = emitted(&with("a/b:1", |_, _| {}));
    let selector =
        object(&own.manifests, "Deployment", "tool")["spec"]["template"]["spec"]["nodeSelector"].clone();
    assert_eq!(selector["capstan.dev/shape"], "own-cpu");
    assert!(said(&own, "hz1").iter().any(|text| text.contains("`capstan.dev/shape=own-cpu`")));
    let mut rented = with("a/b:1", |_, run| run.site = "use1".to_owned());
    let shape = rented.inputs.catalog.shapes.iter_mut().find(|shape| shape.id == HOSTS).expect("it is there");
    (shape.provider, shape.names) = ("aws".to_owned(), vec!["m7i.48xlarge".to_owned()]);
    rented.inputs.spec.deploy.as_mut().expect("it deploys").karpenter = Some("gpu".to_owned());
    let mut pool = rented.pools[1].clone();
    (pool.shape, pool.accelerators) = (HOSTS.to_owned(), 0);
    pool.purchases.truncate(1);
    pool.purchases[0].nodes = 2;
    pool.fleet.clear();
    rented.pools.push(pool);
    let rented = emitted(&rented).manifests;
    let made = rented.iter().filter(|one| one.kind == "NodePool").map(tree);
    let made = made.filter(|pool| pool["spec"]["limits"]["cpu"] == "384").collect::<Vec<_>>();
    assert_eq!(made.len(), 1, "two machines with 192 threads");
    assert_eq!(made[0]["spec"]["template"]["spec"]["taints"], json!([]));
}

#[test]
fn what_cannot_be_run_says_what_to_write() {
    let floating = emit(&with("kong/kong-gateway", |_, _| {})).expect_err("no version");
    assert!(
        matches!(&floating, EmitError::FloatingImage { workload, .. } if workload == "tool"),
        "{floating}"
    );
    assert!(floating.to_string().contains("add a tag"), "{floating}");
    let twice = changed(|blueprint| add(blueprint, "Chat", "a/b:1", |_, _| {}));
    assert_eq!(emit(&twice).expect_err("two of one name"), EmitError::SameName { name: "chat".to_owned() });
    let bare = emitted(&with("", |app, _| app.image = None));
    assert!(said(&bare, "tool")[0].contains("name its `image`"), "{:?}", bare.warnings);
    assert!(!bare.manifests.iter().any(|one| one.name == "tool"));
}

/// Rules hold for services too: each fires on a text that is changed.
#[test]
fn rules_hold_for_services() {
    let check = |kind: &str, name: &str, from: &str, to: &str, rule: &str| {
        let mut manifests = emitted(&all()).manifests;
        let file =
            manifests.iter_mut().find(|one| one.kind == kind && one.name == name).expect("it is written");
        assert!(file.yaml.contains(from), "{}", file.yaml);
        file.yaml = file.yaml.replacen(from, to, 1);
        let broken = lint(&manifests);
        assert!(!broken.is_empty() && broken.iter().all(|lint| lint.rule == rule), "{broken:#?}");
    };
    check("Deployment", "gateway", "startupProbe", "slowProbe", "L4");
    check("Deployment", "crawler", "maxSurge: 0", "maxSurge: 1", "L4");
    check("StatefulSet", "queue", "  replicas: 3\n", "", "L6");
    check("ResourceQuota", "chat-and-pretrain-planned", "mig-1g.10gb: \"43\"", "mig-1g.10gb: \"2\"", "L22");
    check("ClusterPolicy", "cluster-policy", "strategy: mixed", "strategy: single", "L11");
    check(
        "NetworkPolicy",
        "queue",
        "      app.kubernetes.io/name: queue",
        "      app.kubernetes.io/name: other",
        "selector-matches",
    );
}

/// One machine has one configuration of the device plugin, so shares of two sizes are on two machines.
#[test]
fn machines_that_are_missing_for_shares_of_different_sizes_are_told() {
    let said = |nodes: u32, third: Slice, each: u32| {
        let mut blueprint = chat_blueprint();
        add(&mut blueprint, "rerank", "a/b:1", cut(Slice::Share { share: 0.25 }, 4));
        add(&mut blueprint, "third", "a/b:1", cut(third, each));
        let shared = |pool: &&mut Pool| pool.site == "hz1" && pool.shape == "own.h100_sxm_8";
        let pool = blueprint.pools.iter_mut().find(shared).expect("the shared machines");
        let whole: u32 = blueprint.trainings.iter().map(|run| run.candidate.nodes + run.spare_nodes).sum();
        pool.needed.iter_mut().flatten().for_each(|needed| *needed = whole + pool.spares + nodes);
        let of_pool = |warning: &&Warning| warning.message.starts_with("a machine is shared by time");
        emitted(&blueprint).warnings.iter().find(of_pool).map(|warning| warning.message.clone())
    };
    let told = said(1, Slice::Share { share: 0.33 }, 3).expect("one machine cannot hold both");
    assert!(told.contains("`third` (share-3) and `rerank` (share-4)"), "{told}");
    assert_eq!(said(2, Slice::Share { share: 0.33 }, 3), None);
    assert_eq!(said(1, Slice::Share { share: 0.25 }, 4), None);
    assert!(said(1, Slice::Whole, 1).is_some() && said(2, Slice::Whole, 1).is_none());
}
