//! Trainings under each operator: the same pods, said in the words of its kind.

use crate::common::{emitted, everything, object, trained};
use capstan_backends::kubernetes::{Emitted, Manifest, lint};
use capstan_types::blueprint::Blueprint;
use capstan_types::spec::{JobKind, TrainMethod, TrainingWish};
use serde_json::{Value, json};

/// The kinds beside the default, each with its object, where the pods of its nodes stand in it and how many of them there
/// are beside the first, and where it says that it waits.
const KINDS: [(JobKind, &str, &str, &str); 5] = [
    (JobKind::PyTorchJob, "PyTorchJob", "/spec/pytorchReplicaSpecs/Worker", "/spec/runPolicy/suspend"),
    (JobKind::MpiJob, "MPIJob", "/spec/mpiReplicaSpecs/Worker", "/spec/runPolicy/suspend"),
    (JobKind::TfJob, "TFJob", "/spec/tfReplicaSpecs/Worker", "/spec/runPolicy/suspend"),
    (JobKind::RayJob, "RayJob", "/spec/rayClusterSpec/workerGroupSpecs/0", "/spec/suspend"),
    (JobKind::JobSet, "JobSet", "/spec/replicatedJobs/0/template/spec", "/spec/suspend"),
];

/// Nodes of the training of the shared blueprint.
const NODES: u64 = 24;

fn wish(blueprint: &mut Blueprint) -> &mut TrainingWish {
    let deploy = blueprint.inputs.spec.deploy.as_mut().expect("it deploys");
    deploy.training.as_mut().expect("it trains")
}

/// The object of a training.
fn job(kind: JobKind, name: &str) -> Value {
    object(&emitted(&trained(kind)).manifests, name, "pretrain")
}

fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    value.pointer(path).unwrap_or_else(|| panic!("no {path} in {value}"))
}

fn container(template: &Value) -> &Value {
    &template["spec"]["containers"][0]
}

/// The value of a variable of a template.
fn variable<'a>(template: &'a Value, name: &str) -> &'a Value {
    let list = container(template)["env"].as_array().expect("variables");
    &list.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name}"))["value"]
}

/// Processors and GiB that a pod asks for.
fn asked(template: &Value) -> (u64, u64) {
    let requests = &container(template)["resources"]["requests"];
    let number = |name: &str| {
        let text = requests[name].as_str().expect("it is asked for");
        text.trim_end_matches("Gi").parse().expect("a number")
    };
    (number("cpu"), number("memory"))
}

fn said(emitted: &Emitted, words: &str) -> bool {
    emitted.warnings.iter().any(|warning| warning.message.contains(words))
}

#[test]
fn a_program_is_told_what_is_trained_and_how_experts_and_stages_are_dealt_out() {
    let mut blueprint = trained(JobKind::JobSet);
    blueprint.inputs.spec.trains[0].method = TrainMethod::Lora { rank: 16, quantised: true };
    blueprint.trainings[0].candidate.expert = 8;
    blueprint.trainings[0].candidate.interleave = 4;
    let written = object(&emitted(&blueprint).manifests, "JobSet", "pretrain");
    let template = at(&written, "/spec/replicatedJobs/0/template/spec/template");
    let told = ["LORA_RANK", "LOAD_IN_4BIT", "EXPERT_PARALLEL", "PIPELINE_CHUNKS"];
    assert_eq!(told.map(|name| variable(template, name).clone()), ["16", "true", "8", "4"].map(Value::from));
}

#[test]
fn the_objects_of_each_operator_are_these() {
    for (kind, name, ..) in KINDS {
        let manifests = emitted(&trained(kind)).manifests;
        let written = |kind: &str| {
            let is_it = |one: &&Manifest| one.kind == kind && one.name == "pretrain";
            manifests.iter().find(is_it).expect("it is written").yaml.clone()
        };
        insta::assert_snapshot!(kind.word(), format!("{}---\n{}", written("NetworkPolicy"), written(name)));
        assert!(!manifests.iter().any(|one| one.kind.starts_with("Train")), "{name}");
        let role = &manifests.iter().find(|one| one.kind == "ClusterRole").expect("a role").yaml;
        assert!(
            role.contains(&format!("- {}s\n", name.to_ascii_lowercase())),
            "{name} has no right:\n{role}"
        );
    }
}

/// What the pods of all operators share: not the name of the container, the command, when it starts again, nor what only JobSet
/// must say; and where another pod leads, not how much is left beside it.
fn shared(template: &Value, led: bool) -> Value {
    let mut template = template.clone();
    let spec = template["spec"].as_object_mut().expect("a pod");
    spec.remove("restartPolicy");
    let container = spec["containers"][0].as_object_mut().expect("a container");
    container.remove("name");
    container.remove("command");
    let variables = container["env"].as_array_mut().expect("variables");
    variables.retain(|row| !row["name"].as_str().is_some_and(|name| name.starts_with("PET_")));
    if led {
        for list in ["requests", "limits"] {
            let list = container["resources"][list].as_object_mut().expect("a list");
            list.retain(|name, _| name.contains('/'));
        }
    }
    template
}

#[test]
fn the_nodes_of_every_operator_are_those_of_trainer() {
    let runtime = object(&emitted(&trained(JobKind::TrainJob)).manifests, "TrainingRuntime", "pretrain");
    let trainer = at(&runtime, "/spec/template/spec/replicatedJobs/0/template/spec/template");
    let program = json!(["sh", "-c", "python train.py"]);
    assert_eq!(container(trainer)["command"], program);
    for (kind, name, nodes, _) in KINDS {
        let job = job(kind, name);
        let node = &at(&job, nodes)["template"];
        let led = [JobKind::MpiJob, JobKind::RayJob].contains(&kind);
        assert_eq!(shared(node, led), shared(trainer, led), "{name}");
        // Where another pod leads, a node waits to be told what to run.
        assert_eq!(container(node)["command"], if led { Value::Null } else { program.clone() }, "{name}");
        assert_eq!(node["spec"]["priorityClassName"], "chat-and-pretrain-training", "{name}");
    }
}

#[test]
fn there_are_as_many_pods_as_were_planned() {
    for (kind, name, nodes, _) in KINDS {
        let job = job(kind, name);
        let field = if kind == JobKind::JobSet { "parallelism" } else { "replicas" };
        let (replicas, first) = match kind {
            JobKind::PyTorchJob => (NODES - 1, "/spec/pytorchReplicaSpecs/Master"),
            JobKind::TfJob => (NODES - 1, "/spec/tfReplicaSpecs/Chief"),
            JobKind::MpiJob => (NODES, "/spec/mpiReplicaSpecs/Launcher"),
            _ => (NODES, ""),
        };
        assert_eq!(at(&job, nodes)[field], replicas, "{name}");
        assert!(first.is_empty() || at(&job, first)["replicas"] == 1, "{name}");
    }
    let torch = job(JobKind::PyTorchJob, "PyTorchJob");
    assert_eq!(torch["spec"]["nprocPerNode"], "8");
    let set = job(JobKind::JobSet, "JobSet");
    let of = at(&set, "/spec/replicatedJobs/0/template/spec");
    assert_eq!((&of["completions"], &of["completionMode"]), (&json!(NODES), &json!("Indexed")));
    let ray = job(JobKind::RayJob, "RayJob");
    let group = at(&ray, "/spec/rayClusterSpec/workerGroupSpecs/0");
    assert_eq!((&group["minReplicas"], &group["maxReplicas"]), (&json!(NODES), &json!(NODES)));
}

#[test]
fn a_training_on_one_node_has_no_part_without_pods() {
    for (kind, name, parts) in [
        (JobKind::PyTorchJob, "PyTorchJob", "/spec/pytorchReplicaSpecs"),
        (JobKind::TfJob, "TFJob", "/spec/tfReplicaSpecs"),
    ] {
        let mut blueprint = trained(kind);
        blueprint.trainings[0].candidate.nodes = 1;
        let job = object(&emitted(&blueprint).manifests, name, "pretrain");
        let parts: Vec<_> = at(&job, parts).as_object().expect("parts").keys().collect();
        assert!(parts.len() == 1 && *parts[0] != "Worker", "{parts:?}");
    }
}

#[test]
fn what_leads_fits_beside_any_node_and_takes_no_accelerator() {
    let alone = job(JobKind::PyTorchJob, "PyTorchJob");
    let whole = asked(&at(&alone, "/spec/pytorchReplicaSpecs/Master")["template"]);
    for (kind, name, lead, nodes) in [
        (JobKind::MpiJob, "MPIJob", "/spec/mpiReplicaSpecs/Launcher", "/spec/mpiReplicaSpecs/Worker"),
        (
            JobKind::RayJob,
            "RayJob",
            "/spec/rayClusterSpec/headGroupSpec",
            "/spec/rayClusterSpec/workerGroupSpecs/0",
        ),
    ] {
        let job = job(kind, name);
        let (lead, node) = (&at(&job, lead)["template"], &at(&job, nodes)["template"]);
        let (own, beside) = (asked(lead), asked(node));
        assert_eq!((own.0 + beside.0, own.1 + beside.1), whole, "{name}");
        assert!(own.0 > 0 && own.1 > 0, "{name}: {own:?}");
        assert_eq!(container(lead)["resources"]["limits"].get("nvidia.com/gpu"), None, "{name}");
        assert_eq!(lead["spec"]["nodeSelector"], node["spec"]["nodeSelector"], "{name}");
        assert_eq!(lead["metadata"], node["metadata"], "{name}");
    }
}

#[test]
fn work_of_a_queue_waits_and_other_work_does_not() {
    for (kind, name, _, suspend) in KINDS {
        let queued = job(kind, name);
        assert_eq!(queued["metadata"]["labels"]["kueue.x-k8s.io/queue-name"], "chat-and-pretrain-training");
        assert_eq!(*at(&queued, suspend), true, "{name}");
        let mut early = emitted(&trained(kind)).manifests;
        let written = early.iter_mut().find(|one| one.kind == name).expect("it is written");
        written.yaml = written.yaml.replace("suspend: true", "suspend: false");
        let broken = lint(&early);
        assert!(broken.len() == 1 && broken[0].rule == "L9", "{name}: {broken:?}");
        let mut blueprint = trained(kind);
        wish(&mut blueprint).queued = false;
        let free = emitted(&blueprint);
        let job = object(&free.manifests, name, "pretrain");
        assert_eq!(job.pointer(suspend), None, "{name}");
        assert_eq!(job["metadata"]["labels"].get("kueue.x-k8s.io/queue-name"), None, "{name}");
        assert!(!said(&free, "Kueue lets go"), "{name}");
        assert_eq!(said(&emitted(&trained(kind)), "Kueue lets go"), kind == JobKind::MpiJob, "{name}");
    }
}

#[test]
fn a_training_that_is_interrupted_is_suspended_by_hand() {
    for (kind, name, _, suspend) in KINDS {
        let mut blueprint = trained(kind);
        blueprint.trainings[0].at_hours = (0..48).map(|hour| hour % 24 < 8).collect();
        let field = suspend.trim_start_matches('/').replace('/', ".");
        let words = format!("suspend and resume its {name} at these hours (`{field}`)");
        assert!(said(&emitted(&blueprint), &words), "{name}");
    }
}

#[test]
fn each_operator_is_told_the_program_in_its_own_way() {
    let mpi = job(JobKind::MpiJob, "MPIJob");
    assert_eq!(mpi["spec"]["slotsPerWorker"], 8);
    let launcher = &at(&mpi, "/spec/mpiReplicaSpecs/Launcher")["template"];
    let ranks = (NODES * 8).to_string();
    assert_eq!(
        container(launcher)["command"],
        json!([
            "mpirun",
            "-np",
            ranks,
            "--map-by",
            "slot",
            "--bind-to",
            "none",
            "sh",
            "-c",
            "python train.py"
        ])
    );
    // It reaches the workers through the API server.
    assert_eq!(launcher["spec"]["automountServiceAccountToken"], true);
    let ray = job(JobKind::RayJob, "RayJob");
    assert_eq!(ray["spec"]["entrypoint"], "python train.py");
    assert_eq!(
        (&ray["spec"]["shutdownAfterJobFinishes"], &ray["spec"]["submissionMode"]),
        (&json!(true), &json!("HTTPMode"))
    );
    // Ray starts itself; the image's own command would be in its way.
    let head = &at(&ray, "/spec/rayClusterSpec/headGroupSpec")["template"];
    assert_eq!(container(head).get("command"), None);
    let set = job(JobKind::JobSet, "JobSet");
    let node = &at(&set, "/spec/replicatedJobs/0/template/spec")["template"];
    assert_eq!(*variable(node, "PET_NNODES"), json!(NODES.to_string()));
    assert_eq!(*variable(node, "PET_MASTER_ADDR"), "pretrain-node-0-0.pretrain");
    assert_eq!(set["spec"]["network"]["subdomain"], "pretrain");
    // Without a program it is what the image starts by itself.
    let mut own = trained(JobKind::MpiJob);
    wish(&mut own).program = None;
    let own = object(&emitted(&own).manifests, "MPIJob", "pretrain");
    assert_eq!(container(&at(&own, "/spec/mpiReplicaSpecs/Launcher")["template"]).get("command"), None);
}

#[test]
fn long_names_leave_room_for_what_controllers_add() {
    for (kind, name, longest) in
        [(JobKind::JobSet, "JobSet", 46), (JobKind::RayJob, "RayJob", 46), (JobKind::TfJob, "TFJob", 52)]
    {
        let mut blueprint = trained(kind);
        let long = "a".repeat(60);
        long.clone_into(&mut blueprint.trainings[0].workload);
        long.clone_into(&mut blueprint.inputs.spec.trains[0].name);
        let manifests = emitted(&blueprint).manifests;
        let job = manifests.iter().find(|one| one.kind == name).expect("it is written");
        assert_eq!(job.name.len(), longest, "{}", job.name);
    }
}

#[test]
fn ranks_that_do_not_match_the_accelerators_are_told() {
    for (kind, name, right, wrong) in [
        (JobKind::PyTorchJob, "PyTorchJob", "nprocPerNode: \"8\"", "nprocPerNode: \"4\""),
        (JobKind::MpiJob, "MPIJob", "slotsPerWorker: 8", "slotsPerWorker: 1"),
        (JobKind::JobSet, "JobSet", "completions: 24", "completions: 25"),
    ] {
        let mut manifests = emitted(&trained(kind)).manifests;
        let written = manifests.iter_mut().find(|one| one.kind == name).expect("it is written");
        assert!(written.yaml.contains(right), "{}", written.yaml);
        written.yaml = written.yaml.replace(right, wrong);
        let broken = lint(&manifests);
        assert!(broken.len() == 1 && broken[0].rule == "training-ranks", "{broken:?}");
    }
}

#[test]
fn the_quota_counts_the_accelerators_of_every_operator() {
    for (kind, name, ..) in KINDS {
        let mut manifests = emitted(&trained(kind)).manifests;
        manifests.retain(|one| ["ResourceQuota", "PriorityClass", name].contains(&one.kind.as_str()));
        let quota = manifests.iter_mut().find(|one| one.kind == "ResourceQuota").expect("it is written");
        let mut tree: Value = serde_saphyr::from_str(&quota.yaml).expect("YAML");
        tree["spec"]["hard"]["requests.nvidia.com/gpu"] = json!((NODES * 8 - 1).to_string());
        quota.yaml = serde_saphyr::to_string(&tree).expect("YAML");
        let broken = lint(&manifests);
        let needed = format!("the workloads need {} at their most", NODES * 8);
        assert!(broken.len() == 1 && broken[0].message.contains(&needed), "{name}: {broken:?}");
    }
}

#[test]
fn nothing_changes_for_those_who_name_no_operator() {
    let mut named = everything();
    wish(&mut named).job = JobKind::TrainJob;
    assert_eq!(emitted(&named).manifests, emitted(&everything()).manifests);
    let text = serde_json::to_string(&everything().inputs.spec.deploy).expect("JSON");
    assert!(!text.contains("train_job"), "an older program can read the blueprint: {text}");
}
