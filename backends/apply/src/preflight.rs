//! Can this cluster take the plan? Version, kinds, rights and machines, all looked at before anything is written.

use crate::api::{Api, Shelf};
use crate::look::{Desired, unserved};
use crate::object::{Id, Object, Pods};
use crate::served::{Served, items};
use crate::store::HOME;
use crate::trouble::Trouble;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::api::ListParams;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Whether it is as it must be.
    pub ok: bool,
    /// What was found, with the next step where it is not.
    pub found: String,
}

fn check(name: &'static str, ok: bool, found: impl Into<String>) -> Check {
    Check { name, ok, found: found.into() }
}

/// Returns everything that was looked at.
pub(crate) async fn preflight(api: &Api, served: &Served, desired: &Desired) -> Result<Vec<Check>, Trouble> {
    let mut checks = vec![version(api, desired.minor).await?];
    let missing = unserved(served, desired);
    checks.push(if missing.is_empty() {
        check("kinds", true, "all kinds of the plan are served")
    } else {
        check(
            "kinds",
            false,
            format!("not served: {}; install the operators that serve them", missing.join(", ")),
        )
    });
    let unknown = crate::schema::unknown(api, served, desired).await?;
    checks.push(if unknown.is_empty() {
        check("fields", true, "the server knows every field of the plan")
    } else {
        let why =
            format!("not known: {}; give `version` in `deploy kubernetes`, or upgrade", unknown.join(", "));
        check("fields", false, why)
    });
    checks.push(rights(api, served, desired).await?);
    checks.push(namespaces(api, desired).await?);
    checks.extend(machines(api, desired).await?);
    Ok(checks)
}

/// Fails where the server is older than what the manifests need.
pub(crate) async fn new_enough(api: &Api, needed: u32) -> Result<String, Trouble> {
    let body = api.read("/version").await?.body;
    let found = body["gitVersion"].as_str().unwrap_or("of an unknown version").to_owned();
    match minor(&found) {
        Some(minor) if minor >= needed => Ok(found),
        _ => Err(Trouble::TooOld { found, needed: format!("1.{needed}") }),
    }
}

async fn version(api: &Api, needed: u32) -> Result<Check, Trouble> {
    match new_enough(api, needed).await {
        Ok(found) => Ok(check("version", true, format!("the server runs {found}"))),
        Err(old @ Trouble::TooOld { .. }) => Ok(check("version", false, old.to_string())),
        Err(other) => Err(other),
    }
}

/// Returns the minor number of a version such as `v1.36.2`; none where the major one is not 1.
fn minor(version: &str) -> Option<u32> {
    let mut numbers = version.trim_start_matches('v').split('.');
    (numbers.next()? == "1").then_some(())?;
    numbers.next()?.parse().ok()
}

/// Asks the server for each right that an apply needs.
async fn rights(api: &Api, served: &Served, desired: &Desired) -> Result<Check, Trouble> {
    let mut wanted: BTreeSet<(String, String, &str, Option<String>)> = BTreeSet::new();
    for object in &desired.objects {
        let id = &object.id;
        if let Some((resource, _)) = served.resource(id) {
            for verb in ["get", "create", "patch", "delete"] {
                wanted.insert((id.group().to_owned(), resource.plural.clone(), verb, id.namespace.clone()));
            }
        }
    }
    let home = Some(HOME.to_owned());
    for verb in ["get", "create", "update", "delete"] {
        wanted.insert((String::new(), "configmaps".to_owned(), verb, home.clone()));
        wanted.insert(("coordination.k8s.io".to_owned(), "leases".to_owned(), verb, home.clone()));
    }
    let mut denied = Vec::new();
    for (group, resource, verb, namespace) in &wanted {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": { "group": group, "resource": resource, "verb": verb, "namespace": namespace } },
        });
        let reply = api.create(&Shelf::of::<SelfSubjectAccessReview>(&(), None), &review).await?;
        if reply.body["status"]["allowed"] != true {
            denied.push(format!("{verb} {resource}"));
        }
    }
    denied.dedup();
    Ok(if denied.is_empty() {
        check("rights", true, format!("all {} rights that an apply needs are given", wanted.len()))
    } else {
        check(
            "rights",
            false,
            format!("not allowed: {}; access/clusterrole.yaml holds them", denied.join(", ")),
        )
    })
}

async fn namespaces(api: &Api, desired: &Desired) -> Result<Check, Trouble> {
    let names: BTreeSet<&str> =
        desired.objects.iter().filter_map(|object| object.id.namespace.as_deref()).collect();
    for name in &names {
        let seen = api.get(&Shelf::of::<Namespace>(&(), None).at(name)).await?;
        let metadata = &seen.body["metadata"];
        let owner =
            metadata["labels"][crate::object::PLAN_LABEL].as_str().filter(|owner| *owner != desired.plan);
        if metadata["deletionTimestamp"].is_string() {
            return Ok(check(
                "namespaces",
                false,
                format!("`{name}` is being deleted; wait until it is gone"),
            ));
        }
        if let Some(owner) = owner {
            return Ok(check(
                "namespaces",
                false,
                format!("`{name}` belongs to the plan `{owner}`; use another"),
            ));
        }
    }
    let names: Vec<&str> = names.into_iter().collect();
    Ok(check("namespaces", true, format!("{} can be used", names.join(", "))))
}

/// Pods of one workload, and what each needs.
struct Need<'a> {
    id: &'a Id,
    /// The specification of the pods.
    spec: &'a Value,
    pods: u64,
}

/// Counts whether the pods of each workload, one workload after the other, find machines.
async fn machines(api: &Api, desired: &Desired) -> Result<Vec<Check>, Trouble> {
    let listed = api.list(&Shelf::of::<Node>(&(), None), &ListParams::default()).await?;
    if !listed.is_ok() {
        return Ok(vec![check("machines", false, listed.message())]);
    }
    let mut free: Vec<Machine<'_>> = items(&listed.body, "items")
        .iter()
        .map(|node| (node, offered(&node["status"]["allocatable"])))
        .collect();
    let needs: Vec<Need<'_>> =
        desired.objects.iter().flat_map(|object| needs(object, &desired.objects)).collect();
    let mut checks = Vec::new();
    for need in needs {
        let placed = place(&need, &mut free);
        let fits = placed >= need.pods;
        let labels = &need.spec["nodeSelector"];
        let found = if fits {
            format!("{}: {} pods find machines", need.id, need.pods)
        } else {
            format!(
                "{}: {placed} of {} pods find machines with {labels} and free {}",
                need.id,
                need.pods,
                if wanted(need.spec).contains_key(CPU) {
                    "processors and memory"
                } else {
                    "accelerators and rails"
                }
            )
        };
        checks.push(check("machines", fits, found));
    }
    Ok(checks)
}

/// Returns what device plugins count in a list of resources: accelerators and parts of them, rails.
fn accelerators(resources: &Value) -> BTreeMap<String, u64> {
    let number = |value: &Value| value.as_str().and_then(|text| text.parse().ok()).or_else(|| value.as_u64());
    let Some(map) = resources.as_object() else { return BTreeMap::new() };
    map.iter()
        .filter(|(name, _)| name.contains('/'))
        .filter_map(|(name, value)| Some((name.clone(), number(value)?)))
        .collect()
}

/// Names under which processors, in thousandths, and memory, in bytes, are counted.
const CPU: &str = "cpu";
const MEMORY: &str = "memory";

/// Returns processors and memory in a list of resources.
fn hosts(resources: &Value) -> BTreeMap<String, u64> {
    let found = [CPU, MEMORY].map(|name| {
        let text = match &resources[name] {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        let amount = quantity(&text)?;
        Some((name.to_owned(), if name == CPU { amount * 1000.0 } else { amount }.round() as u64))
    });
    found.into_iter().flatten().collect()
}

/// Returns a quantity of Kubernetes (`resource.Quantity`) in whole units; none where it is no such text.
fn quantity(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 12] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("", 1.0),
    ];
    let (unit, factor) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
    let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number * factor)
}

/// Returns everything that a machine has and that is counted here.
fn offered(resources: &Value) -> BTreeMap<String, u64> {
    let mut all = accelerators(resources);
    all.extend(hosts(resources));
    all
}

/// Returns what one pod needs and what is counted: its accelerators, of which its share of the host follows; where it has
/// none, its processors and its memory.
fn wanted(spec: &Value) -> BTreeMap<String, u64> {
    let sum = |of: &dyn Fn(&Value) -> BTreeMap<String, u64>| {
        let mut all: BTreeMap<String, u64> = BTreeMap::new();
        for (name, number) in items(spec, "containers").iter().flat_map(of) {
            *all.entry(name).or_default() += number;
        }
        all
    };
    let accelerators = sum(&|container| accelerators(&container["resources"]["limits"]));
    if accelerators.is_empty() {
        sum(&|container| hosts(&container["resources"]["requests"]))
    } else {
        accelerators
    }
}

/// Returns the pods of a workload at their most.
fn needs<'a>(object: &'a Object, all: &[Object]) -> Vec<Need<'a>> {
    let id = &object.id;
    // A Job that is suspended has no pods: it waits for somebody, and then for what others leave free.
    if id.kind == "Job" && object.value["spec"]["suspend"] == true {
        return Vec::new();
    }
    let (kind, name) = object.scaled();
    let scaler = all.iter().find(|other| {
        let target = &other.value["spec"]["scaleTargetRef"];
        other.id.namespace == id.namespace && target["kind"] == kind && target["name"] == name.as_str()
    });
    let most = scaler.map(|scaler| &scaler.value["spec"]);
    let most = most.and_then(|spec| spec["maxReplicas"].as_u64().or(spec["maxReplicaCount"].as_u64()));
    let own = &object.value["spec"];
    let stated =
        own["replicas"].as_u64().or(own["mlPolicy"]["numNodes"].as_u64()).or(own["parallelism"].as_u64());
    let replicas = most.or(stated).unwrap_or(1);
    let group = &object.value["spec"]["leaderWorkerTemplate"];
    if group.is_object() {
        let size = group["size"].as_u64().unwrap_or(1);
        let leader = Need { id, spec: &group["leaderTemplate"]["spec"], pods: replicas };
        let workers =
            Need { id, spec: &group["workerTemplate"]["spec"], pods: replicas * size.saturating_sub(1) };
        return vec![leader, workers];
    }
    let need = |pods: Pods<'a>| Need { id, spec: pods.spec, pods: pods.replicas.unwrap_or(replicas) };
    object.pods().into_iter().map(need).collect()
}

/// A machine and what of it is free.
type Machine<'a> = (&'a Value, BTreeMap<String, u64>);

/// Places as many pods as fit, and takes what they need; returns how many.
fn place(need: &Need<'_>, free: &mut [Machine<'_>]) -> u64 {
    let spec = need.spec;
    let wanted = wanted(spec);
    if wanted.is_empty() {
        // What takes no accelerator fits wherever it may run; where it may run nowhere, it finds nothing.
        let anywhere = spec["nodeSelector"].is_null() || free.iter().any(|(node, _)| usable(spec, node));
        return if anywhere { need.pods } else { 0 };
    }
    let spread = Spread::of(spec);
    // Machines that the selector allows, by the domain that pods are spread over; one domain where they are not.
    let mut domains: BTreeMap<String, (u64, Vec<usize>)> = BTreeMap::new();
    for (index, (node, _)) in free.iter().enumerate() {
        if usable(spec, node)
            && let Some(domain) = spread.domain(node)
        {
            domains.entry(domain).or_default().1.push(index);
        }
    }
    let mut placed = 0;
    while placed < need.pods {
        let fewest = domains.values().map(|(pods, _)| *pods).min().unwrap_or(0);
        let lowest = if domains.len() < spread.least { 0 } else { fewest };
        let mut open: Vec<&mut (u64, Vec<usize>)> =
            domains.values_mut().filter(|(pods, _)| pods + 1 - lowest <= spread.skew).collect();
        open.sort_by_key(|(pods, _)| *pods);
        let taken = open.into_iter().any(|(pods, machines)| {
            let found = machines.iter().any(|&index| take(&wanted, &mut free[index].1));
            *pods += u64::from(found);
            found
        });
        if !taken {
            break;
        }
        placed += 1;
    }
    placed
}

fn usable(spec: &Value, node: &Value) -> bool {
    let selector = spec["nodeSelector"].as_object();
    let labels = &node["metadata"]["labels"];
    node["spec"]["unschedulable"] != true
        && selector.is_none_or(|wanted| wanted.iter().all(|(key, value)| labels[key] == *value))
}

/// Takes what a pod needs from a machine if it has it all.
fn take(wanted: &BTreeMap<String, u64>, left: &mut BTreeMap<String, u64>) -> bool {
    if !wanted.iter().all(|(name, number)| left.get(name).copied().unwrap_or(0) >= *number) {
        return false;
    }
    for (name, number) in wanted {
        if let Some(left) = left.get_mut(name) {
            *left -= number;
        }
    }
    true
}

/// How evenly pods must be spread, and over what.
struct Spread<'a> {
    key: Option<&'a str>,
    skew: u64,
    least: usize,
}

impl<'a> Spread<'a> {
    /// Returns the first spread that must hold.
    fn of(spec: &'a Value) -> Self {
        let rows = items(spec, "topologySpreadConstraints");
        let row = rows.iter().find(|row| row["whenUnsatisfiable"] == "DoNotSchedule");
        Self {
            key: row.and_then(|row| row["topologyKey"].as_str()),
            skew: row.and_then(|row| row["maxSkew"].as_u64()).unwrap_or(u64::MAX),
            least: row
                .and_then(|row| row["minDomains"].as_u64())
                .map_or(1, |least| usize::try_from(least).unwrap_or(1)),
        }
    }

    /// Returns the domain of a machine; none where it is in no domain and so takes no pod.
    fn domain(&self, node: &Value) -> Option<String> {
        match self.key {
            Some(key) => node["metadata"]["labels"][key].as_str().map(str::to_owned),
            None => Some(String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(minor("v1.36.2"), Some(36));
        assert_eq!(minor("v1.27.3-gke.100"), Some(27));
        assert_eq!(minor("v2.1.0"), None);
    }

    #[test]
    fn pods_take_the_accelerators_of_machines_that_match() {
        let template = json!({"spec": {"nodeSelector": {"kind": "h100"}, "containers": [
            {"resources": {"limits": {"nvidia.com/gpu": "4", "memory": "1Gi"}}}]}});
        let node = |kind: &str| json!({"metadata": {"labels": {"kind": kind}}, "status": {"allocatable": {"nvidia.com/gpu": "8"}}});
        let (one, other) = (node("h100"), node("a100"));
        let mut free: Vec<Machine<'_>> = [&one, &other]
            .into_iter()
            .map(|node| (node, accelerators(&node["status"]["allocatable"])))
            .collect();
        let id = Id {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: None,
            name: "a".into(),
        };
        assert_eq!(place(&Need { id: &id, spec: &template["spec"], pods: 3 }, &mut free), 2);
        assert_eq!(place(&Need { id: &id, spec: &template["spec"], pods: 1 }, &mut free), 0);
    }

    #[test]
    fn pods_without_accelerators_take_processors_and_memory() {
        let spec = json!({"containers": [{"resources": {"requests": {"cpu": "1500m", "memory": "4Gi"}}}]});
        let node =
            json!({"status": {"allocatable": {"cpu": "16", "memory": "16777216Ki", "nvidia.com/gpu": "8"}}});
        let id = Id {
            api_version: "apps/v1".into(),
            kind: "StatefulSet".into(),
            namespace: None,
            name: "a".into(),
        };
        let mut free: Vec<Machine<'_>> = vec![(&node, offered(&node["status"]["allocatable"]))];
        // Sixteen gibibytes hold four of four; sixteen processors would hold ten.
        assert_eq!(place(&Need { id: &id, spec: &spec, pods: 9 }, &mut free), 4);
        let shared = json!({"containers": [{"resources": {"limits": {"nvidia.com/gpu.shared": "1", "memory": "1Gi"}}}]});
        assert_eq!(wanted(&shared), BTreeMap::from([("nvidia.com/gpu.shared".to_owned(), 1)]));
    }

    #[test]
    fn quantities_are_read_as_servers_write_them() {
        for (text, value) in [("2", 2.0), ("1500m", 1.5), ("16Ki", 16_384.0), ("1e3", 1e3), ("5G", 5e9)] {
            assert_eq!(quantity(text), Some(value), "{text}");
        }
        assert_eq!((quantity("many"), quantity("-1")), (None, None));
    }

    #[test]
    fn both_parts_of_a_workload_need_machines() {
        let part = |accelerators: &str| json!({"containers": [{"resources": {"limits": {"nvidia.com/gpu": accelerators}}}]});
        let value = json!({
            "apiVersion": "serving.kserve.io/v1alpha2", "kind": "LLMInferenceService", "metadata": {"name": "chat"},
            "spec": {"replicas": 2, "template": part("4"), "prefill": {"replicas": 5, "template": part("1")}},
        });
        let object = Object::of(value, "test").expect("an object");
        let needs = needs(&object, &[]);
        assert_eq!(needs.iter().map(|need| need.pods).collect::<Vec<_>>(), [2, 5]);
        let node = json!({"status": {"allocatable": {"nvidia.com/gpu": "10"}}});
        let mut free: Vec<Machine<'_>> = vec![(&node, accelerators(&node["status"]["allocatable"]))];
        assert_eq!(needs.iter().map(|need| place(need, &mut free)).collect::<Vec<_>>(), [2, 2]);
    }

    #[test]
    fn what_kserve_runs_needs_machines_for_as_many_as_its_deployment_may_have() {
        let pod =
            json!({"minReplicas": 2, "containers": [{"resources": {"limits": {"nvidia.com/gpu": "4"}}}]});
        let of = |kind: &str, spec: Value| {
            let value = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "chat"}, "spec": spec});
            Object::of(value, "test").expect("an object")
        };
        let pods = |service: &Object, all: &[Object]| needs(service, all)[0].pods;
        assert_eq!(pods(&of("InferenceService", json!({"predictor": pod})), &[]), 2);
        let mut scaled = pod.clone();
        scaled.as_object_mut().expect("a record").remove("minReplicas");
        let service = of("InferenceService", json!({"predictor": scaled}));
        let target = json!({"kind": "Deployment", "name": "chat-predictor"});
        let scaler = of("HorizontalPodAutoscaler", json!({"maxReplicas": 7, "scaleTargetRef": target}));
        assert_eq!(pods(&service, &[scaler]), 7);
    }

    #[test]
    fn the_pods_of_a_training_are_counted_part_by_part() {
        let template = |accelerators: Option<&str>| {
            let limits = accelerators.map_or(json!({}), |number| json!({"nvidia.com/gpu": number}));
            json!({"spec": {"nodeSelector": {"kind": "h100"}, "containers": [{"resources": {"limits": limits}}]}})
        };
        let node = template(Some("8"));
        let group = |replicas: u64| json!({"replicas": replicas, "template": node});
        let master = json!({"Master": group(1), "Worker": group(3)});
        let head = json!({"template": template(None)});
        let machine = json!({"metadata": {"labels": {"kind": "h100"}}, "status": {"allocatable": {"nvidia.com/gpu": "8"}}});
        for (kind, spec, counted, placed) in [
            ("PyTorchJob", json!({"pytorchReplicaSpecs": master}), vec![1, 3], vec![1, 1]),
            ("TFJob", json!({"tfReplicaSpecs": {"Chief": group(1)}}), vec![1], vec![1]),
            (
                "MPIJob",
                json!({"mpiReplicaSpecs": {"Launcher": head, "Worker": group(4)}}),
                vec![1, 4],
                vec![1, 2],
            ),
            (
                "RayJob",
                json!({"rayClusterSpec": {"headGroupSpec": head, "workerGroupSpecs": [group(4)]}}),
                vec![1, 4],
                vec![1, 2],
            ),
            (
                "JobSet",
                json!({"replicatedJobs": [{"replicas": 2, "template": {"spec": {"parallelism": 3, "template": node}}}]}),
                vec![6],
                vec![2],
            ),
        ] {
            let value = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}, "spec": spec});
            let object = Object::of(value, "test").expect("an object");
            let needs = needs(&object, &[]);
            assert_eq!(needs.iter().map(|need| need.pods).collect::<Vec<_>>(), counted, "{kind}");
            let mut free: Vec<Machine<'_>> =
                [&machine; 2].map(|node| (node, accelerators(&node["status"]["allocatable"]))).into();
            assert_eq!(needs.iter().map(|need| place(need, &mut free)).collect::<Vec<_>>(), placed, "{kind}");
            // Without a machine that its selector allows, not even what takes no accelerator finds one.
            assert!(needs.iter().all(|need| place(need, &mut []) == 0), "{kind}");
        }
    }

    #[test]
    fn zones_of_different_size_hold_fewer_pods_where_they_must_be_even() {
        let spec = |least: u32| {
            json!({"spec": {
            "topologySpreadConstraints": [{"maxSkew": 1, "minDomains": least, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
            "containers": [{"resources": {"limits": {"nvidia.com/gpu": "4"}}}]}})
        };
        let node = |zone: &str| json!({"metadata": {"labels": {"zone": zone}}, "status": {"allocatable": {"nvidia.com/gpu": "8"}}});
        let nodes = [node("a"), node("a"), node("a"), node("b")];
        let free = || {
            nodes.iter().map(|node| (node, accelerators(&node["status"]["allocatable"]))).collect::<Vec<_>>()
        };
        let id = Id {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: None,
            name: "a".into(),
        };
        // Two in the small zone, one more in the large one.
        assert_eq!(place(&Need { id: &id, spec: &spec(2)["spec"], pods: 8 }, &mut free()), 5);
        // A third zone is asked for and not there: one in each.
        assert_eq!(place(&Need { id: &id, spec: &spec(3)["spec"], pods: 8 }, &mut free()), 2);
    }
}
