//! A hall of its own: rails of its machines, its machines as nodes, and buckets of its storage.

use crate::common::{deploy, emitted, everything, object, of_operator, own_hall, placement, text, tree};
use capstan_backends::kubernetes::{EmitError, Emitted, Manifest, emit, lint};
use capstan_types::blueprint::Blueprint;
use capstan_types::hardware::Link;
use capstan_types::spec::JobKind;
use capstan_types::storage::{StorageKind, Tier};
use serde_json::{Value, json};

const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";

fn named<'a>(manifests: &'a [Manifest], kind: &str) -> Vec<&'a str> {
    manifests.iter().filter(|one| one.kind == kind).map(|one| one.name.as_str()).collect()
}

fn said(emitted: &Emitted, words: &str) -> bool {
    emitted.warnings.iter().any(|warning| warning.message.contains(words))
}

/// Every pod template in an object.
fn templates(value: &Value) -> Vec<&Value> {
    let below: Vec<&Value> = match value {
        Value::Object(map) => map.values().flat_map(templates).collect(),
        Value::Array(list) => list.iter().flat_map(templates).collect(),
        _ => Vec::new(),
    };
    if value["spec"]["containers"].is_array() { [vec![value], below].concat() } else { below }
}

/// Rails that a pod asks for, by its resources; they must be those whose networks it names.
fn rails(template: &Value) -> usize {
    let container = &template["spec"]["containers"][0];
    let limits = container["resources"]["limits"].as_object().expect("limits");
    let asked = limits.iter().filter(|(name, limit)| name.starts_with("nvidia.com/rail_") && **limit == "1");
    let asked = asked.count();
    let networks: Vec<String> = (0..asked).map(|rail| format!("rail-{rail}")).collect();
    let named = template["metadata"]["annotations"][NETWORKS].as_str().unwrap_or_default();
    assert_eq!(named, networks.join(","));
    let locks = container["securityContext"]["capabilities"]["add"] == json!(["IPC_LOCK"]);
    assert_eq!(locks, asked > 0, "{container}");
    asked
}

#[test]
fn a_hall_of_its_own_becomes_these_files() {
    let (mut all, plain) = (emitted(&own_hall()), emitted(&everything()).manifests);
    all.manifests.retain(|manifest| !plain.iter().any(|one| one.yaml == manifest.yaml));
    insta::assert_snapshot!("own_hall", text(&all.manifests));
    let said: Vec<String> =
        all.warnings.iter().map(|warning| format!("{}: {}", warning.subject, warning.message)).collect();
    insta::assert_snapshot!("own_hall_warnings", said.join("\n"));
}

#[test]
fn every_port_of_the_planned_network_is_a_rail() {
    let manifests = emitted(&own_hall()).manifests;
    assert_eq!(named(&manifests, "NicClusterPolicy"), ["nic-cluster-policy"]);
    assert_eq!(named(&manifests, "SriovIBNetwork").len(), 8);
    let policies = named(&manifests, "SriovNetworkNodePolicy");
    assert_eq!(policies.len(), 8);
    for (rail, name) in policies.into_iter().enumerate() {
        let policy = &object(&manifests, "SriovNetworkNodePolicy", name)["spec"];
        assert_eq!(policy["resourceName"], format!("rail_{rail}"));
        assert_eq!(policy["nicSelector"]["pfNames"], json!([format!("ibs{}f0", rail + 1)]));
        assert_eq!((&policy["linkType"], &policy["mtu"]), (&json!("IB"), &Value::Null));
    }
}

#[test]
fn switches_say_whether_rails_are_infiniband_or_ethernet() {
    let mut blueprint = own_hall();
    blueprint.inputs.catalog.fabrics[0].link = Some(Link::Ethernet);
    let manifests = emitted(&blueprint).manifests;
    assert_eq!((named(&manifests, "SriovNetwork").len(), named(&manifests, "SriovIBNetwork").len()), (8, 0));
    let name = named(&manifests, "SriovNetworkNodePolicy")[0];
    let policy = &object(&manifests, "SriovNetworkNodePolicy", name)["spec"];
    assert_eq!((&policy["linkType"], &policy["mtu"]), (&json!("ETH"), &json!(9000)));
    blueprint.inputs.catalog.fabrics[0].link = None;
    let told = emit(&blueprint).expect_err("nobody knows").to_string();
    assert!(
        told.contains("nobody knows whether links of ndr_infiniband") && told.contains("`link = "),
        "{told}"
    );
    // Another network at the site, of the other kind.
    let mut other = blueprint.inputs.catalog.fabrics[0].clone();
    (other.id, other.link) = ("ethernet_400g".to_owned(), Some(Link::Ethernet));
    blueprint.inputs.catalog.fabrics[0].link = Some(Link::InfiniBand);
    blueprint.inputs.catalog.fabrics.push(other);
    let mut network = blueprint.networks[0].clone();
    network.switch = "ethernet_400g".to_owned();
    blueprint.networks.push(network);
    assert_eq!(emit(&blueprint).expect_err("they are of two kinds"), EmitError::SeveralLinks);
}

#[test]
fn a_port_that_is_missing_is_told() {
    let mut blueprint = own_hall();
    deploy(&mut blueprint).network_operator.as_mut().expect("rails").rails.pop();
    let told = emit(&blueprint).expect_err("one is missing").to_string();
    assert_eq!(
        told,
        "`network_operator` names 7 ports, and a machine of own.h100_sxm_8 at `hz1` has 8 in its planned network: name those in `rails`, all planes of them"
    );
    blueprint.networks[0].planes = 2;
    assert!(matches!(emit(&blueprint), Err(EmitError::Rails { ports: 16, named: 7, .. })));
}

#[test]
fn the_pods_of_every_training_that_spans_machines_take_all_rails() {
    for kind in JobKind::ALL {
        let manifests = emitted(&of_operator(own_hall(), kind)).manifests;
        let mut counts = Vec::new();
        for tree in manifests.iter().filter(|one| one.path.contains("30-pretrain")).map(tree) {
            counts.extend(templates(&tree).into_iter().map(rails));
        }
        let leads = [JobKind::MpiJob, JobKind::RayJob].contains(&kind);
        assert_eq!(counts.iter().filter(|count| **count == 0).count(), usize::from(leads), "{kind:?}");
        assert!(counts.iter().all(|count| [0, 8].contains(count)) && counts.contains(&8), "{counts:?}");
    }
    // What the job asks for stands in place of what its runtime does.
    let job = object(&emitted(&own_hall()).manifests, "TrainJob", "pretrain");
    assert_eq!(job["spec"]["trainer"]["resourcesPerNode"]["limits"]["nvidia.com/rail_7"], "1");
}

#[test]
fn a_training_on_one_machine_takes_no_rail_and_locks_nothing() {
    let mut blueprint = own_hall();
    blueprint.trainings[0].candidate.nodes = 1;
    let manifests = emitted(&blueprint).manifests;
    let runtime = object(&manifests, "TrainingRuntime", "pretrain");
    assert_eq!(templates(&runtime).into_iter().map(rails).collect::<Vec<_>>(), [0]);
    let level = |manifests: &[Manifest]| {
        object(manifests, "Namespace", "llm")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
            .clone()
    };
    assert_eq!(level(&manifests), "baseline");
    assert_eq!(level(&emitted(&own_hall()).manifests), "privileged");
}

#[test]
fn replicas_over_two_machines_take_all_rails_at_own_sites() {
    let mut blueprint = own_hall();
    let own = blueprint.networks[0].clone();
    let candidate = &mut placement(&mut blueprint).candidate;
    (candidate.accelerators, candidate.tensor, candidate.pipeline) = (16, 8, 2);
    (candidate.replicas_per_node, candidate.nodes_per_replica) = (0, 2);
    let counts = |blueprint: &Blueprint| -> Vec<usize> {
        let group = object(&emitted(blueprint).manifests, "LeaderWorkerSet", "chat-nodes");
        templates(&group).into_iter().map(rails).collect()
    };
    assert_eq!(counts(&blueprint), [0, 0], "a provider wires its own machines");
    (placement(&mut blueprint).site, placement(&mut blueprint).candidate.shape) = (own.site, own.shape);
    assert_eq!(counts(&blueprint), [8, 8]);
}

#[test]
fn queues_cover_the_rails_or_nothing_would_be_let_go() {
    let queue =
        &object(&emitted(&own_hall()).manifests, "ClusterQueue", "chat-and-pretrain-training")["spec"];
    let group = &queue["resourceGroups"][0];
    assert!(group["coveredResources"].as_array().expect("names").contains(&json!("nvidia.com/rail_7")));
    let rows = group["flavors"][0]["resources"].as_array().expect("rows");
    let quota =
        |name: &str| rows.iter().find(|row| row["name"] == name).map(|row| row["nominalQuota"].clone());
    assert_eq!(quota("nvidia.com/rail_0"), Some(json!("25")), "24 nodes and a spare one");
}

#[test]
fn rules_hold_for_rails_and_machines() {
    let broken = |kind: &str, from: &str, to: &str| -> Vec<&'static str> {
        let mut manifests = emitted(&own_hall()).manifests;
        let manifest = manifests.iter_mut().find(|one| one.kind == kind).expect("it is written");
        assert!(manifest.yaml.contains(from), "{kind} holds no {from:?}:\n{}", manifest.yaml);
        manifest.yaml = manifest.yaml.replacen(from, to, 1);
        let mut rules: Vec<&str> = lint(&manifests).iter().map(|lint| lint.rule).collect();
        rules.dedup();
        rules
    };
    assert_eq!(lint(&emitted(&own_hall()).manifests), []);
    assert_eq!(broken("NicClusterPolicy", "name: nic-cluster-policy", "name: mine"), ["L1"]);
    assert_eq!(broken("Namespace", "enforce: privileged", "enforce: baseline"), ["L7"]);
    assert_eq!(
        broken("MachineDeployment", "apiGroup: bootstrap.cluster.x-k8s.io", "apiVersion: v1"),
        ["L15"]
    );
    assert_eq!(
        broken(
            "KubeadmConfigTemplate",
            "bootstrap.cluster.x-k8s.io/v1beta2",
            "bootstrap.cluster.x-k8s.io/v1beta1"
        ),
        ["L15"]
    );
    assert_eq!(broken("TrainingRuntime", "rail-0,", ""), ["rails"]);
    assert_eq!(broken("TrainingRuntime", "rail-0,", "rail-0,rail-9,"), ["rails"]);
    assert_eq!(broken("SriovIBNetwork", "networkNamespace: llm", "networkNamespace: web"), ["rails"]);
}

#[test]
fn own_machines_become_nodes_with_the_labels_that_pods_select() {
    let (blueprint, all) = (own_hall(), emitted(&own_hall()));
    let pool = &blueprint.pools[0];
    let deployments = named(&all.manifests, "MachineDeployment");
    assert_eq!(deployments.len(), 1, "machines of a provider are none of ours");
    let deployment = object(&all.manifests, "MachineDeployment", deployments[0]);
    assert_eq!(deployment["spec"]["replicas"], pool.most_nodes());
    assert_eq!(deployment["metadata"]["namespace"], "hosts");
    let machine = &deployment["spec"]["template"]["spec"];
    let of = |reference: &Value, kind: &str| {
        object(&all.manifests, kind, reference["name"].as_str().expect("a name"))["spec"]["template"]["spec"]
            .clone()
    };
    let image = of(&machine["infrastructureRef"], "Metal3MachineTemplate");
    assert_eq!(image["hostSelector"]["matchLabels"]["capstan.dev/shape"], "own-h100-sxm-8");
    let node = of(&machine["bootstrap"]["configRef"], "KubeadmConfigTemplate");
    let argument = &node["joinConfiguration"]["nodeRegistration"]["kubeletExtraArgs"][0];
    let labels: Vec<&str> = argument["value"].as_str().expect("labels").split(',').collect();
    let runtime = object(&all.manifests, "TrainingRuntime", "pretrain");
    let selector = templates(&runtime)[0]["spec"]["nodeSelector"].as_object().expect("a selector").clone();
    for (key, value) in selector.iter().filter(|(key, _)| key.starts_with("capstan.dev/")) {
        let wanted = format!("{key}={}", value.as_str().expect("text"));
        assert!(labels.contains(&wanted.as_str()), "{wanted} is not among {labels:?}");
    }
    assert!(selector.contains_key("capstan.dev/site"), "there are two sites: {selector:?}");
    // Nobody is asked for what is set, and is where it is not.
    assert!(!said(&all, "nodes with `capstan.dev/site="), "{:?}", all.warnings);
    let mut by_hand = own_hall();
    deploy(&mut by_hand).metal3 = None;
    assert!(said(&emitted(&by_hand), "nodes with `capstan.dev/site="));
}

#[test]
fn a_template_that_changes_is_another_one() {
    let mut blueprint = own_hall();
    let before = emitted(&blueprint).manifests;
    deploy(&mut blueprint).metal3.as_mut().expect("it is asked for").image =
        "http://10.0.0.2/other.qcow2".to_owned();
    let after = emitted(&blueprint).manifests;
    assert_ne!(named(&before, "Metal3MachineTemplate"), named(&after, "Metal3MachineTemplate"));
    assert_eq!(named(&before, "KubeadmConfigTemplate"), named(&after, "KubeadmConfigTemplate"));
    assert_eq!(named(&before, "MachineDeployment"), named(&after, "MachineDeployment"));
}

#[test]
fn what_is_kept_in_objects_has_a_bucket_of_its_size() {
    let manifests = emitted(&own_hall()).manifests;
    let store = &object(&manifests, "CephObjectStore", "chat-and-pretrain-objects")["spec"];
    assert_eq!(store["dataPool"]["erasureCoded"], json!({ "dataChunks": 8, "codingChunks": 3 }));
    assert_eq!(store["dataPool"]["failureDomain"], "host");
    assert_eq!(store["preservePoolsOnDelete"], true);
    assert_eq!(named(&manifests, "ObjectBucketClaim"), ["web-pages", "pretrain-checkpoints"]);
    let size = |name: &str| {
        let claim = object(&manifests, "ObjectBucketClaim", name);
        assert_eq!(claim["spec"]["storageClassName"], "chat-and-pretrain-objects");
        claim["spec"]["additionalConfig"]["maxSize"].clone()
    };
    // 5e13 and 2e12 bytes in units of 1024³, rounded up.
    assert_eq!((size("web-pages"), size("pretrain-checkpoints")), (json!("46567Gi"), json!("1863Gi")));
    let class = object(&manifests, "StorageClass", "chat-and-pretrain-objects");
    assert_eq!(
        (&class["reclaimPolicy"], &class["parameters"]["objectStoreName"]),
        (&json!("Retain"), &json!("chat-and-pretrain-objects"))
    );
    // Both stores are of the same machines, and so of one Ceph.
    let note = &manifests.iter().find(|one| one.kind == "CephCluster").expect("it is written").yaml;
    assert!(note.contains("10 nodes with 100 drives"), "{note}");
    // The program of the training finds its bucket, and may reach it.
    let runtime = object(&manifests, "TrainingRuntime", "pretrain");
    let from = &templates(&runtime)[0]["spec"]["containers"][0]["envFrom"];
    assert_eq!(from[1]["secretRef"]["name"], "pretrain-checkpoints");
    let policy = object(&manifests, "NetworkPolicy", "pretrain");
    assert!(policy["spec"]["egress"].to_string().contains("rook-ceph-rgw"), "{policy}");
}

#[test]
fn buckets_are_of_stores_that_keep_objects() {
    let kinds = |blueprint: &Blueprint| {
        let all = emitted(blueprint);
        let count = |kind: &str| named(&all.manifests, kind).len();
        let counts = (count("CephCluster"), count("CephFilesystem"), count("CephObjectStore"));
        (counts, said(&all, "is planned here and not written"))
    };
    assert_eq!(kinds(&own_hall()), ((1, 1, 1), false));
    assert_eq!(kinds(&everything()), ((1, 1, 0), false));
    // Machines of another kind are another Ceph.
    let mut blueprint = own_hall();
    blueprint.stores[1].system = "ceph_disks".to_owned();
    assert_eq!(kinds(&blueprint), ((1, 1, 0), true));
    blueprint.stores.remove(0);
    assert_eq!(kinds(&blueprint), ((1, 0, 1), false));
    // What its system is for goes before how near it is.
    let row = &mut blueprint.inputs.catalog.storage[0];
    (row.id, row.kind) = ("ceph_disks".to_owned(), StorageKind::ParallelFileSystem);
    assert_eq!(kinds(&blueprint), ((1, 1, 0), false));
    blueprint.inputs.catalog.storage[0].kind = StorageKind::Object;
    blueprint.stores[0].tier = Tier::Fast;
    assert_eq!(kinds(&blueprint), ((1, 0, 1), false));
}

#[test]
fn where_there_is_nothing_to_write_it_is_said() {
    let mut blueprint = own_hall();
    blueprint.networks.clear();
    blueprint.pools.remove(0);
    blueprint.trainings.clear();
    let all = emitted(&blueprint);
    for kind in ["NicClusterPolicy", "SriovNetworkNodePolicy", "MachineDeployment"] {
        assert_eq!(named(&all.manifests, kind), [""; 0]);
    }
    assert!(said(&all, "`network_operator` writes nothing") && said(&all, "`metal3` writes nothing"));
}

#[test]
fn older_clusters_are_refused() {
    for (minor, kind) in [(31, "NicClusterPolicy"), (32, "MachineDeployment")] {
        let mut blueprint = own_hall();
        deploy(&mut blueprint).minor = minor;
        if kind == "NicClusterPolicy" {
            deploy(&mut blueprint).metal3 = None;
        }
        let told = emit(&blueprint).expect_err("it is older").to_string();
        assert!(told.contains(&format!("the kind {kind} since 1.{}", minor + 1)), "{told}");
    }
}
