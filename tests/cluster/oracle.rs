//! Every object of every example before a strict server, and its pods before the real scheduler: on the machines of the
//! blueprint all are placed, and on one fewer exactly those are not of which `preflight` says so.

use crate::bench::{Bench, Door, until};
use crate::definitions::at_hand;
use crate::emitted::{Example, apply, examples};
use crate::places::placed;
use crate::surroundings::Place;
use capstan_types::blueprint::Blueprint;
use serde_json::{Value, json};

/// A workload as it was emitted, and the machines that the blueprint has for it.
struct Running<'a> {
    object: &'a Value,
    template: &'a Value,
    site: &'a str,
    shape: &'a str,
    pods: u32,
    /// How many of its pods a machine holds; none where it takes no accelerator, and so has no machine of its own.
    pods_per_node: Option<u32>,
}

/// Where in an object the pods of a training stand, and how many there are, those with accelerators first.
fn parts(kind: &str, nodes: u32) -> Vec<(&'static str, u32)> {
    match kind {
        "TrainingRuntime" => vec![("/spec/template/spec/replicatedJobs/0/template/spec/template", nodes)],
        "JobSet" => vec![("/spec/replicatedJobs/0/template/spec/template", nodes)],
        "PyTorchJob" => vec![
            ("/spec/pytorchReplicaSpecs/Master/template", 1),
            ("/spec/pytorchReplicaSpecs/Worker/template", nodes - 1),
        ],
        "TFJob" => {
            vec![
                ("/spec/tfReplicaSpecs/Chief/template", 1),
                ("/spec/tfReplicaSpecs/Worker/template", nodes - 1),
            ]
        }
        "MPIJob" => vec![
            ("/spec/mpiReplicaSpecs/Worker/template", nodes),
            ("/spec/mpiReplicaSpecs/Launcher/template", 1),
        ],
        "RayJob" => vec![
            ("/spec/rayClusterSpec/workerGroupSpecs/0/template", nodes),
            ("/spec/rayClusterSpec/headGroupSpec/template", 1),
        ],
        _ => Vec::new(),
    }
}

/// Returns every workload of a blueprint with its machines.
fn running<'a>(blueprint: &'a Blueprint, objects: &'a [Value]) -> Vec<Running<'a>> {
    let placements = blueprint.services.iter().flat_map(|service| &service.placements);
    let mut placements: Vec<_> = placements.filter(|placement| placement.peak_replicas() > 0).collect();
    let mut found = Vec::new();
    for object in objects {
        let spec = &object["spec"];
        let label = |name: &str| object["metadata"]["labels"][name].as_str().unwrap_or_default();
        if label("app.kubernetes.io/component") == "app" && spec["template"].is_object() {
            let name = label("app.kubernetes.io/name");
            let run = blueprint.apps.iter().find(|run| run.workload.replace('_', "-") == name);
            let run = run.expect("it is of a service");
            found.push(Running {
                object,
                template: &spec["template"],
                site: &run.site,
                shape: &run.shape,
                pods: run.instances.iter().copied().max().expect("hours"),
                pods_per_node: Some(run.per_node),
            });
        } else if object["kind"] == "Deployment" {
            let limits = &spec["template"]["spec"]["containers"][0]["resources"]["limits"];
            let needed = limits["nvidia.com/gpu"].as_str().and_then(|text| text.parse().ok());
            let is_it = |placement: &&&capstan_types::blueprint::Placement| {
                placement.site.replace(['/', '_'], "-") == label("capstan.dev/site")
                    && Some(placement.candidate.accelerators) == needed
            };
            let at = placements.iter().position(|placement| is_it(&placement)).expect("it is of a placement");
            let placement = placements.remove(at);
            found.push(Running {
                object,
                template: &spec["template"],
                site: &placement.site,
                shape: &placement.candidate.shape,
                pods: placement.peak_replicas(),
                pods_per_node: Some(placement.candidate.replicas_per_node),
            });
            continue;
        }
        let kind = object["kind"].as_str().expect("a kind");
        if !parts(kind, 1).is_empty() {
            let is_it = |run: &&capstan_types::blueprint::TrainingRun| {
                run.workload.replace('_', "-") == label("app.kubernetes.io/name")
            };
            let run = blueprint.trainings.iter().find(is_it).expect("it is of a training");
            found.extend(parts(kind, run.candidate.nodes).into_iter().map(|(path, pods)| {
                let template = object.pointer(path).unwrap_or_else(|| panic!("{kind} has no {path}"));
                let limits = &template["spec"]["containers"][0]["resources"]["limits"];
                let pods_per_node = limits["nvidia.com/gpu"].is_string().then_some(1);
                let (site, shape) = (run.site.as_str(), run.candidate.shape.as_str());
                Running { object, template, site, shape, pods, pods_per_node }
            }));
        }
    }
    found
}

/// Returns the fewest machines, dealt out over the zones in turn, of which each zone holds its even share of the pods.
fn spread(pods: u32, pods_per_node: u32, zones: u32) -> u32 {
    let share = |of: u32, zone: u32| (of + zones - 1 - zone) / zones;
    let holds = |nodes: u32| (0..zones).all(|zone| share(pods, zone) <= share(nodes, zone) * pods_per_node);
    (1..=pods.max(zones)).find(|nodes| holds(*nodes)).expect("a machine for each pod is enough")
}

/// Of a machine's processors and memory, what is left for pods: the rest is for the system.
const FOR_PODS: f64 = 0.9;

/// Returns the machines that the workloads need, as the blueprint counts them, labelled as the manifests ask; the first
/// workload has `fewer` of them.
fn machines(blueprint: &Blueprint, workloads: &[Running<'_>], fewer: u32) -> Vec<Value> {
    let mut all = Vec::new();
    for (index, workload) in workloads.iter().enumerate() {
        let shape = blueprint.inputs.catalog.shape(workload.shape).expect("the shape is embedded");
        let Some(pods_per_node) = workload.pods_per_node else { continue };
        let needed = workload.pods.div_ceil(pods_per_node);
        let pool = blueprint.pools.iter().find(|pool| pool.site == workload.site && pool.shape == shape.id);
        let pool = pool.expect("the machines are bought");
        let bought = (0..blueprint.periods.len()).map(|period| pool.nodes(period)).max().unwrap_or(0);
        assert!(needed <= bought, "{}: {needed} of {bought} nodes", workload.object["metadata"]["name"]);
        let site =
            blueprint.inputs.spec.sites.iter().find(|site| site.name == workload.site).expect("a site");
        let zones = site.zones.as_ref().map_or(1, |limit| limit.value);
        let needed = spread(workload.pods, pods_per_node, zones);
        for number in 0..needed - if index == 0 { fewer } else { 0 } {
            let mut labels = workload.template["spec"]["nodeSelector"].clone();
            labels["topology.kubernetes.io/zone"] = json!(format!("zone-{}", number % zones));
            let memory = FOR_PODS * shape.host_memory.map_or(1e12, |memory| memory.get());
            let cpu = FOR_PODS * shape.vcpus.map_or(64.0, f64::from);
            let mut capacity = json!({
                "nvidia.com/gpu": shape.accelerators.to_string(), "memory": format!("{memory:.0}"),
                "cpu": format!("{:.0}m", cpu * 1000.0),
            });
            // A machine has every rail that a pod takes of it, once.
            let limits = &workload.template["spec"]["containers"][0]["resources"]["limits"];
            for (name, limit) in limits.as_object().into_iter().flatten() {
                if name.contains("/rail_") {
                    capacity[name] = limit.clone();
                }
            }
            all.push(json!({ "name": format!("m{index}-{number}"), "labels": labels, "capacity": capacity }));
        }
    }
    all
}

/// Has every workload run its most replicas, as its autoscaler would at the busiest hour, and makes the pods of trainings,
/// as their controller would; returns how many pods that are.
fn scale(door: &Door<'_>, workloads: &[Running<'_>]) -> usize {
    for (part, workload) in workloads.iter().enumerate() {
        let metadata = &workload.object["metadata"];
        let (name, namespace) = (metadata["name"].as_str(), metadata["namespace"].as_str());
        let (name, namespace) = (name.expect("a name"), namespace.expect("a namespace"));
        // Services have as many as they state.
        if workload.object["metadata"]["labels"]["app.kubernetes.io/component"] == "app" {
            continue;
        }
        if workload.object["kind"] == "Deployment" {
            let scaled = json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": { "name": name, "namespace": namespace }, "spec": { "replicas": workload.pods },
            });
            let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
            assert_eq!(door.change(&path, "autoscaler", &scaled).status, 200);
            continue;
        }
        for number in 0..workload.pods {
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod", "spec": workload.template["spec"],
                "metadata": { "name": format!("{name}-{part}-{number}"), "labels": workload.template["metadata"]["labels"] },
            });
            let made = door.ask("POST", &format!("/api/v1/namespaces/{namespace}/pods"), Some(&pod));
            assert_eq!(made.status, 201, "{}", made.body);
        }
    }
    workloads.iter().map(|workload| usize::try_from(workload.pods).expect("few pods")).sum()
}

/// Makes the claims of models, which whoever applies a plan makes, with volumes of their own.
fn claim_models(door: &Door<'_>, objects: &[Value]) {
    for object in objects.iter().filter(|object| object["kind"] == "Deployment") {
        let volumes = object["spec"]["template"]["spec"]["volumes"].as_array().into_iter().flatten();
        let Some(volume) = volumes.into_iter().find(|volume| volume["name"] == "models") else { continue };
        let namespace = object["metadata"]["namespace"].as_str().expect("a namespace");
        let name = volume["persistentVolumeClaim"]["claimName"].as_str().expect("a claim");
        let claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": { "name": name, "namespace": namespace },
            "spec": {
                "accessModes": ["ReadOnlyMany"], "storageClassName": "by-hand",
                "resources": { "requests": { "storage": "1Gi" } },
            },
        });
        let path = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}");
        let made = door.change(&path, "administrator", &claim);
        assert!(made.status < 300, "{}", made.body);
        provision(door, &[claim]);
    }
}

/// Gives every claim a volume, as the storage's provisioner would, those that instances of a set will make among them.
pub fn provision(door: &Door<'_>, objects: &[Value]) {
    let own = objects.iter().filter(|object| object["kind"] == "PersistentVolumeClaim");
    let mut claims: Vec<(Value, &Value)> =
        own.map(|claim| (claim["metadata"].clone(), &claim["spec"])).collect();
    for set in objects.iter().filter(|object| object["kind"] == "StatefulSet") {
        let (metadata, claim) = (&set["metadata"], &set["spec"]["volumeClaimTemplates"][0]);
        let word = |value: &Value| value.as_str().expect("a name").to_owned();
        let stem = format!("{}-{}", word(&claim["metadata"]["name"]), word(&metadata["name"]));
        for number in 0..set["spec"]["replicas"].as_u64().expect("replicas") {
            let named = json!({ "name": format!("{stem}-{number}"), "namespace": metadata["namespace"] });
            claims.push((named, &claim["spec"]));
        }
    }
    for (metadata, spec) in claims {
        let name = metadata["name"].as_str().expect("a name");
        let own = format!("{}-{name}", metadata["namespace"].as_str().expect("a namespace"));
        let volume = json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": own },
            "spec": {
                "capacity": spec["resources"]["requests"], "accessModes": spec["accessModes"],
                "storageClassName": spec["storageClassName"], "hostPath": { "path": "/x" },
                "claimRef": { "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": name, "namespace": metadata["namespace"] },
            },
        });
        let made = door.change(&format!("/api/v1/persistentvolumes/{own}"), "provisioner", &volume);
        assert!(made.status < 300, "{}", made.body);
    }
}

/// Returns how many pods of how many find machines, as `preflight` says.
pub fn said(place: &Place) -> (usize, usize) {
    let preflight = place.run(&["preflight", "b.json", "--kubeconfig", "kubeconfig"]);
    let (mut fit, mut all) = (0, 0);
    for line in preflight.out.lines().filter(|line| line.contains(" pods find machines")) {
        let words: Vec<&str> = line.split(": ").nth(1).expect("a count").split(' ').collect();
        let number = |at: usize| words[at].parse::<usize>().unwrap_or_else(|_| panic!("{line}"));
        let of = if words[1] == "of" { number(2) } else { number(0) };
        (fit, all) = (fit + number(0), all + of);
    }
    (fit, all)
}

/// Has the real scheduler place what was planned, `b.json`, and emitted, `out`; returns how many pods that were.
pub fn are_placed(bench: &Bench, door: &Door<'_>, name: &str, place: &Place) -> usize {
    let blueprint: Blueprint = serde_json::from_str(&place.read("b.json")).expect("a blueprint");
    // Nothing is placed before all of it is there.
    bench.machines(&json!([]));
    let objects = apply(door, &place.path("out"), name);
    provision(door, &objects);
    claim_models(door, &objects);
    let workloads = running(&blueprint, &objects);
    let pods = scale(door, &workloads);
    place.write("kubeconfig", door.kubeconfig(&bench.admin));
    let namespace = workloads[0].object["metadata"]["namespace"].as_str().expect("a namespace");
    bench.machines(&machines(&blueprint, &workloads, 1).into());
    let (fit, all) = said(place);
    // What takes no accelerator finds a machine in any case, and waits for none here.
    let fit = fit + pods - all;
    assert!(fit < pods && all >= pods, "{name}: {fit} of {all} pods, {pods} planned");
    until(&format!("{name}: {fit} of {pods} pods on one machine fewer"), 40, || {
        placed(door, namespace) == (fit, pods - fit)
    });
    bench.machines(&machines(&blueprint, &workloads, 0).into());
    assert_eq!(said(place), (all, all), "{name}");
    until(&format!("{name}: all {pods} pods are placed"), 40, || placed(door, namespace) == (pods, 0));
    assert_eq!(door.ask("DELETE", &format!("/api/v1/namespaces/{namespace}"), None).status, 200);
    until("its pods are gone", 60, || placed(door, namespace) == (0, 0));
    pods
}

#[test]
fn a_strict_server_takes_every_example_and_its_machines_hold_its_pods_and_one_fewer_does_not() {
    let Some(bench) = Bench::start() else { return println!("skipped: needs Go") };
    let door = bench.door();
    if !at_hand() {
        return;
    }
    let mut tried = Vec::new();
    for Example { name, place } in examples() {
        are_placed(&bench, &door, &name, &place);
        tried.push(name);
    }
    assert!(
        tried.len() >= 5 && tried.iter().any(|name| name == "platform.plan"),
        "only {tried:?} were tried"
    );
}
