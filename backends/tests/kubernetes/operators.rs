//! Rules of objects that operators read: each fires on an object that breaks it, and is silent on one that does not.

use capstan_backends::kubernetes::{Manifest, Wave, lint};

fn manifest(yaml: &str) -> Manifest {
    let word = |key: &str| {
        let line = yaml.lines().find_map(|line| line.trim().strip_prefix(key));
        line.unwrap_or("none").trim().to_owned()
    };
    Manifest {
        path: "kubernetes/x.yaml".to_owned(),
        kind: word("kind:"),
        name: word("name:"),
        wave: Wave::Config,
        yaml: yaml.to_owned(),
    }
}

/// The rules with a number that objects break.
fn broken(objects: &[&str]) -> Vec<&'static str> {
    let manifests: Vec<Manifest> = objects.iter().map(|yaml| manifest(yaml)).collect();
    let mut rules: Vec<&str> =
        lint(&manifests).iter().map(|lint| lint.rule).filter(|rule| rule.starts_with('L')).collect();
    rules.dedup();
    rules
}

/// Expects a rule to fire on `wrong` and not on `right`, which is `wrong` with a text replaced.
#[track_caller]
fn check(rule: &str, wrong: &str, from: &str, to: &str) {
    check_among(rule, &[], wrong, from, to);
}

#[track_caller]
fn check_among(rule: &str, others: &[&str], wrong: &str, from: &str, to: &str) {
    assert!(wrong.contains(from), "{from}");
    assert_eq!(broken(&[others, &[wrong]].concat()), [rule]);
    let right = wrong.replacen(from, to, 1);
    assert_eq!(broken(&[others, &[&right]].concat()), [] as [&str; 0], "{right}");
}

/// A workload with something in its pods and containers.
fn deployment(pod: &str, container: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: a\n  namespace: llm\nspec:\n  replicas: 1\n  progressDeadlineSeconds: 900\n  strategy:\n    rollingUpdate:\n      maxSurge: 0\n  template:\n    metadata:\n      labels:\n        app: a\n    spec:\n{pod}      containers:\n      - name: c\n        startupProbe:\n          periodSeconds: 10\n          failureThreshold: 10\n{container}"
    )
}

fn object(kind: &str, version: &str, name: &str, rest: &str) -> String {
    format!("apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: {name}\n{rest}")
}

#[test]
fn operators_have_one_policy() {
    let nic = object("NicClusterPolicy", "mellanox.com/v1alpha1", "mine", "");
    check("L1", &nic, "mine", "nic-cluster-policy");
    let policy = object("ClusterPolicy", "nvidia.com/v1", "cluster-policy", "");
    let cluster = object("GPUCluster", "nvidia.com/v1alpha1", "gpu-cluster", "");
    assert_eq!(broken(&[&policy, &cluster]), ["L1"]);
    assert_eq!(broken(&[&policy]), [] as [&str; 0]);
}

#[test]
fn accelerators_have_one_ledger() {
    let limits = "        resources:\n          requests:\n            nvidia.com/gpu: \"1\"\n          limits:\n            nvidia.com/gpu: \"1\"\n";
    let claims = "      resourceClaims:\n      - name: gpu\n";
    check("L2", &deployment(claims, limits), claims, "");
}

#[test]
fn spreads_say_over_how_many_zones() {
    let spread = "      topologySpreadConstraints:\n      - maxSkew: 1\n        topologyKey: topology.kubernetes.io/zone\n        whenUnsatisfiable: DoNotSchedule\n";
    check("L5", &deployment(spread, ""), "maxSkew: 1\n", "maxSkew: 1\n        minDomains: 3\n");
    check("L5", &deployment(spread, ""), "DoNotSchedule", "ScheduleAnyway");
}

#[test]
fn locked_memory_is_allowed() {
    let lock =
        "        securityContext:\n          capabilities:\n            add:\n            - IPC_LOCK\n";
    let namespace =
        object("Namespace", "v1", "llm", "  labels:\n    pod-security.kubernetes.io/enforce: baseline\n");
    check_among("L7", &[&namespace], &deployment("", lock), "IPC_LOCK", "NET_BIND_SERVICE");
    let open = namespace.replace("baseline", "privileged");
    assert_eq!(broken(&[&open, &deployment("", lock)]), [] as [&str; 0]);
}

#[test]
fn quotas_cover_what_they_say() {
    let queue = object(
        "ClusterQueue",
        "kueue.x-k8s.io/v1beta2",
        "q",
        "spec:\n  resourceGroups:\n  - coveredResources:\n    - cpu\n    - nvidia.com/gpu\n    flavors:\n    - name: h100\n      resources:\n      - name: nvidia.com/gpu\n        nominalQuota: 8\n",
    );
    check("L8", &queue, "    - cpu\n", "");
    let flavor =
        object("ResourceFlavor", "kueue.x-k8s.io/v1beta2", "h100", "spec:\n  topologyName: fabric\n");
    check("L8", &flavor, "  topologyName: fabric\n", "  nodeLabels:\n    a: b\n");
    let topology = object("Topology", "kueue.x-k8s.io/v1beta2", "fabric", "");
    assert_eq!(broken(&[&topology, &flavor]), [] as [&str; 0]);
}

#[test]
fn queued_work_waits() {
    let job = object(
        "TrainJob",
        "trainer.kubeflow.org/v1alpha1",
        "t",
        "  labels:\n    kueue.x-k8s.io/queue-name: a\nspec:\n  suspend: false\n",
    );
    check("L9", &job, "suspend: false", "suspend: true");
    let legacy = object(
        "PyTorchJob",
        "kubeflow.org/v1",
        "t",
        "  labels:\n    kueue.x-k8s.io/queue-name: a\nspec:\n  runPolicy:\n    suspend: false\n",
    );
    check("L9", &legacy, "suspend: false", "suspend: true");
    let ray =
        object("RayJob", "ray.io/v1", "t", "spec:\n  suspend: true\n  shutdownAfterJobFinishes: false\n");
    check("L9", &ray, "Finishes: false", "Finishes: true");
}

#[test]
fn partitions_exist() {
    let map = |geometry: &str| {
        object(
            "ConfigMap",
            "v1",
            "mig",
            &format!(
                "data:\n  config.yaml: |\n    version: v1\n    mig-configs:\n      plan:\n      - devices: all\n        mig-enabled: true\n        mig-devices:\n          {geometry}\n"
            ),
        )
    };
    check("L11", &map("1g.11gb: 7"), "1g.11gb", "1g.10gb");
    check("L11", &map("2g.20gb: 4"), "2g.20gb: 4", "2g.20gb: 3");
    let slice = "        resources:\n          requests:\n            nvidia.com/mig-1g.10gb: \"1\"\n          limits:\n            nvidia.com/mig-1g.10gb: \"1\"\n";
    let policy =
        object("ClusterPolicy", "nvidia.com/v1", "cluster-policy", "spec:\n  mig:\n    strategy: single\n");
    check_among("L11", &[&deployment("", slice)], &policy, "single", "mixed");
}

#[test]
fn pools_name_their_ports() {
    let pool = object(
        "InferencePool",
        "inference.networking.k8s.io/v1",
        "p",
        "spec:\n  targetPorts:\n  - number: 8000\n  endpointPickerRef:\n    name: picker\n    port:\n      number: 9002\n",
    );
    check(
        "L13",
        &pool.replace("    port:\n      number: 9002\n", ""),
        "    name: picker\n",
        "    name: picker\n    port:\n      number: 9002\n",
    );
    check("L13", &pool.replace("  - number: 8000\n", "  - name: http\n"), "- name: http", "- number: 8000");
}

#[test]
fn training_speaks_of_today() {
    let job = object(
        "TrainJob",
        "trainer.kubeflow.org/v1alpha1",
        "t",
        "spec:\n  trainer:\n    numProcPerNode: auto\n",
    );
    check("L14", &job, "auto", "8");
    let old = object(
        "TrainJob",
        "trainer.kubeflow.org/v1alpha1",
        "t",
        "spec:\n  podTemplateOverrides:\n  - a: b\n",
    );
    check("L14", &old, "podTemplateOverrides", "runtimePatches");
}

#[test]
fn machines_speak_of_today() {
    let cluster = object(
        "Cluster",
        "cluster.x-k8s.io/v1beta2",
        "c",
        "spec:\n  infrastructureRef:\n    apiVersion: v1\n    kind: Metal3Cluster\n    name: c\n",
    );
    check("L15", &cluster, "apiVersion: v1\n    kind", "apiGroup: infrastructure.cluster.x-k8s.io\n    kind");
    check("L15", &object("Cluster", "cluster.x-k8s.io/v1beta1", "c", ""), "v1beta1", "v1beta2");
    let provider = object("Metal3MachineTemplate", "infrastructure.cluster.x-k8s.io/v1beta1", "m", "");
    assert_eq!(broken(&[&provider]), [] as [&str; 0], "its provider counts by itself");
    let kubelet = object(
        "KubeadmConfigTemplate",
        "bootstrap.cluster.x-k8s.io/v1beta2",
        "k",
        "spec:\n  kubeletExtraArgs:\n    a: b\n",
    );
    check("L15", &kubelet, "    a: b\n", "  - name: a\n    value: b\n");
}

#[test]
fn node_pools_have_a_choice() {
    let pool = object(
        "NodePool",
        "karpenter.sh/v1",
        "p",
        "spec:\n  template:\n    spec:\n      requirements:\n      - key: karpenter.sh/capacity-type\n        operator: In\n        values:\n        - spot\n",
    );
    check("L16", &pool, "        - spot\n", "        - spot\n        minValues: 1\n");
    check("L16", &pool, "        values:\n        - spot\n", "        values:\n        - on-demand\n");
    let empty = pool.replace("        values:\n        - spot\n", "        values: []\n");
    check("L16", &empty, "values: []", "values:\n        - on-demand");
}

#[test]
fn storage_survives_what_it_says() {
    let ceph = |rest: &str| {
        object(
            "CephCluster",
            "ceph.rook.io/v1",
            "ceph",
            &format!(
                "spec:\n  mon:\n    count: 3\n  storage:\n    useAllDevices: false\n    nodes:\n    - name: one\n{rest}"
            ),
        )
    };
    check("L17", &ceph("").replace("count: 3", "count: 4"), "count: 4", "count: 5");
    check("L17", &ceph("").replace("Devices: false", "Devices: true"), "Devices: true", "Devices: false");
    check("L17", &ceph("      devices:\n      - name: nvme0n1\n"), "nvme0n1", "/dev/disk/by-id/nvme-a");
    let stretch =
        ceph("").replace("count: 3\n", "count: 5\n    stretchCluster:\n      zones:\n      - name: a\n");
    check("L17", &stretch, "      - name: a\n", "      - name: a\n        arbiter: true\n");
    let pool = object(
        "CephBlockPool",
        "ceph.rook.io/v1",
        "p",
        "spec:\n  failureDomain: host\n  erasureCoded:\n    dataChunks: 4\n    codingChunks: 2\n",
    );
    check_among("L17", &[&ceph("")], &pool, "failureDomain: host", "failureDomain: osd");
    let store = |pool: &str| {
        object(
            "CephObjectStore",
            "ceph.rook.io/v1",
            "s",
            &format!(
                "spec:\n  {pool}:\n    failureDomain: host\n    erasureCoded:\n      dataChunks: 8\n      codingChunks: 3\n"
            ),
        )
    };
    check_among("L17", &[&ceph("")], &store("dataPool"), "failureDomain: host", "failureDomain: osd");
    check("L17", &store("metadataPool"), "metadataPool", "dataPool");
}

#[test]
fn classes_are_there() {
    check("L20", &deployment("      priorityClassName: online\n", ""), "online", "system-node-critical");
    let class = object("PriorityClass", "scheduling.k8s.io/v1", "online", "value: 1000\n");
    assert_eq!(broken(&[&class, &deployment("      priorityClassName: online\n", "")]), [] as [&str; 0]);
    check("L20", &deployment("      runtimeClassName: kata\n", ""), "kata", "nvidia");
}
