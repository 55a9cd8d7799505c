//! The rules, one function each: a view and all views in, messages out.

use super::partition::partitions_exist;
use super::view::{Pods, View, bytes, number, selects};
use super::{operators, safety};
use crate::kubernetes::images::has_version;
use crate::kubernetes::network::SOLVER;
use crate::kubernetes::object::is_dns_label;
use serde_json::Value;

/// A rule: what it finds in one manifest, seen among all.
type Check = fn(&View<'_>, &[View<'_>]) -> Vec<String>;

/// Every rule with its name.
pub(super) const ALL: [(&str, Check); 33] = [
    ("L1", operators::operators_have_one_policy),
    ("L2", operators::accelerators_have_one_ledger),
    ("L3", accelerators_are_whole_and_equal),
    ("L4", rollouts_fit_and_wait_for_loading),
    ("L5", operators::spreads_say_over_how_many_zones),
    ("L6", replicas_have_one_owner),
    ("L7", operators::locked_memory_is_allowed),
    ("L8", operators::quotas_cover_what_they_say),
    ("L9", operators::queued_work_waits),
    ("L10", groups_hold_their_ranks),
    ("L11", partitions_exist),
    ("L13", operators::pools_name_their_ports),
    ("L14", operators::training_speaks_of_today),
    ("L15", operators::machines_speak_of_today),
    ("L16", operators::node_pools_have_a_choice),
    ("L17", operators::storage_survives_what_it_says),
    ("L20", operators::classes_are_there),
    ("L22", quotas_hold_what_is_planned),
    ("E2", budgets_allow_a_drain),
    ("E3", shared_memory_is_there_and_counted),
    ("training-ranks", operators::trainings_have_a_rank_per_accelerator),
    ("rails", super::rails::pods_ask_for_their_rails),
    ("image-tag", images_name_a_version),
    ("no-secret", no_secret_is_written),
    ("tokens-asked", safety::tokens_are_asked_for),
    ("host-access", safety::machines_are_reached_where_it_is_allowed),
    ("mesh-rates", safety::rates_are_limited_where_there_is_a_sidecar),
    ("mesh-scrape", safety::members_are_scraped_through_the_mesh),
    ("dns-label", names_are_labels),
    ("selector-matches", selectors_select_something),
    ("autoscaler-target", autoscalers_have_a_target),
    ("dns-egress", pods_may_resolve_names),
    ("block-style", documents_do_not_look_like_json),
];

/// L3: extended resources are integers, and requests equal limits.
fn accelerators_are_whole_and_equal(view: &View<'_>, _: &[View<'_>]) -> Vec<String> {
    let mut messages = Vec::new();
    for container in view.containers() {
        let resources = &container["resources"];
        let (requests, limits) = (&resources["requests"], &resources["limits"]);
        let names = |list: &Value| -> Vec<String> {
            list.as_object()
                .map(|map| map.keys().filter(|key| key.contains('/')).cloned().collect())
                .unwrap_or_default()
        };
        let mut all = names(limits);
        all.extend(names(requests));
        all.sort();
        all.dedup();
        for name in all {
            if requests.get(&name) != limits.get(&name) {
                messages.push(format!("requests of {name} must equal its limits"));
            }
            if limits.get(&name).is_some_and(|limit| number(limit).is_none_or(|count| count == 0)) {
                messages.push(format!("{name} must be a whole number above 0"));
            }
        }
    }
    messages
}

/// L4: no surge where accelerators are planned, and deadlines above the time that loading may take.
fn rollouts_fit_and_wait_for_loading(view: &View<'_>, _: &[View<'_>]) -> Vec<String> {
    let mut messages = Vec::new();
    let spec = view.spec();
    let rollout = match view.kind() {
        "Deployment" => &spec["strategy"]["rollingUpdate"],
        "LeaderWorkerSet" => &spec["rolloutStrategy"]["rollingUpdateConfiguration"],
        "InferenceService" => &spec["predictor"]["deploymentStrategy"]["rollingUpdate"],
        _ => return messages,
    };
    if number(&rollout["maxSurge"]) != Some(0) {
        messages.push("maxSurge must be 0: every accelerator is planned".to_owned());
    }
    let budgets = view.containers().into_iter().filter_map(|container| {
        let probe = &container["startupProbe"];
        Some(number(&probe["periodSeconds"])? * number(&probe["failureThreshold"])?)
    });
    match budgets.max() {
        None if is_silent_app(view) => {}
        None => messages.push("a startupProbe must give weights the time to load".to_owned()),
        Some(budget) if view.kind() == "Deployment" => {
            if number(&spec["progressDeadlineSeconds"]).is_none_or(|deadline| deadline <= budget) {
                messages.push(format!(
                    "progressDeadlineSeconds must be above the {budget} s that a start may take"
                ));
            }
        }
        Some(_) => {}
    }
    messages
}

/// Returns whether its pods are those of a service that answers at no port, of which nobody can ask whether it has started.
fn is_silent_app(view: &View<'_>) -> bool {
    let is_app = |pods: &Pods<'_>| pods.labels["app.kubernetes.io/component"] == "app";
    let answers = |container: &&Value| container["ports"].as_array().is_some_and(|ports| !ports.is_empty());
    view.pods().iter().all(is_app) && !view.containers().iter().any(answers)
}

/// L6: what an autoscaler scales states no replicas, and what it does not states them.
fn replicas_have_one_owner(view: &View<'_>, all: &[View<'_>]) -> Vec<String> {
    if !view.is_workload() {
        return Vec::new();
    }
    let stated = view.pods().iter().all(|pods| !pods.replicas.is_null());
    match (view.autoscaler(all), stated) {
        (Some(_), true) => vec!["spec.replicas must be absent: the autoscaler owns it".to_owned()],
        (None, false) => vec!["spec.replicas must be stated: nothing else sets it".to_owned()],
        _ => Vec::new(),
    }
}

/// L10: a group has as many pods as its ranks need.
fn groups_hold_their_ranks(view: &View<'_>, _: &[View<'_>]) -> Vec<String> {
    if view.kind() != "LeaderWorkerSet" {
        return view.parts().into_iter().filter_map(ranks_without_accelerators).collect();
    }
    let size = number(&view.spec()["leaderWorkerTemplate"]["size"]).unwrap_or(0);
    if size == 0 {
        return vec!["size must be at least 1".to_owned()];
    }
    let containers = view.containers();
    let per_pod = containers.first().and_then(|container| {
        let limits = container["resources"]["limits"].as_object()?;
        limits.iter().find(|(name, _)| name.contains('/')).and_then(|(_, limit)| number(limit))
    });
    let text = containers.first().map(|container| container["args"].to_string()).unwrap_or_default();
    let ranks = argument(&text, &["tensor-parallel-size", "tp-size"])
        .zip(argument(&text, &["pipeline-parallel-size", "pp-size"]))
        .map(|(tensor, pipeline)| tensor * pipeline);
    match (ranks, per_pod) {
        (Some(ranks), Some(per_pod)) if ranks == size * per_pod => Vec::new(),
        (Some(ranks), Some(per_pod)) => {
            vec![format!("{size} pods with {per_pod} accelerators do not hold {ranks} ranks one to one")]
        }
        _ => vec!["ranks or accelerators of a pod are not stated".to_owned()],
    }
}

/// L10 of a part of a workload of KServe: its one pod has as many accelerators as it has ranks.
fn ranks_without_accelerators(part: &Value) -> Option<String> {
    let parallelism = &part["parallelism"];
    let of = |name: &str| number(&parallelism[name]).unwrap_or(1);
    let ranks = of("tensor") * of("pipeline") * of("data");
    let limits = part["template"]["containers"][0]["resources"]["limits"].as_object();
    let mut accelerators = limits.into_iter().flatten().filter(|(name, _)| name.contains('/'));
    let held = accelerators.next().and_then(|(_, limit)| number(limit));
    (held != Some(ranks)).then(|| {
        format!("a pod with {} accelerators does not hold {ranks} ranks one to one", held.unwrap_or(0))
    })
}

/// Returns the number of `--name=N` for the first of the names that is there.
fn argument(text: &str, names: &[&str]) -> Option<u64> {
    names.iter().find_map(|name| {
        let rest = text.split(&format!("--{name}=")).nth(1)?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    })
}

/// E2: a disruption budget leaves at least one pod that may be evicted, at the fewest replicas too.
fn budgets_allow_a_drain(view: &View<'_>, all: &[View<'_>]) -> Vec<String> {
    if view.kind() != "PodDisruptionBudget" {
        return Vec::new();
    }
    let targets = selected_workloads(view, &view.spec()["selector"], all);
    if targets.is_empty() {
        return vec!["the selector selects no pod of any workload".to_owned()];
    }
    let replicas: u64 = targets
        .iter()
        .map(|target| match target.autoscaler(all) {
            Some(scaler) => number(&scaler.spec()["minReplicas"]).unwrap_or(1),
            None => selected_replicas(target, &view.spec()["selector"]).unwrap_or(1),
        })
        .sum();
    let spec = view.spec();
    let allowed = match (number(&spec["maxUnavailable"]), number(&spec["minAvailable"])) {
        (Some(unavailable), None) => unavailable,
        (None, Some(available)) => replicas.saturating_sub(available),
        _ => 0,
    };
    if allowed > 0 {
        return Vec::new();
    }
    vec![format!("no pod may be evicted at {replicas} replicas, so drains hang; use maxUnavailable: 1")]
}

/// E3: pods with several accelerators have shared memory, and it fits their memory limit.
fn shared_memory_is_there_and_counted(view: &View<'_>, _: &[View<'_>]) -> Vec<String> {
    let mut messages = Vec::new();
    for pods in view.pods() {
        let spec = pods.spec;
        let empty = Vec::new();
        let volumes = spec["volumes"].as_array().unwrap_or(&empty);
        let memory: Vec<&Value> =
            volumes.iter().filter(|volume| volume["emptyDir"]["medium"] == "Memory").collect();
        for container in spec["containers"].as_array().unwrap_or(&empty) {
            let limits = &container["resources"]["limits"];
            let several = limits.as_object().is_some_and(|map| {
                map.iter().any(|(name, limit)| name.contains('/') && number(limit) > Some(1))
            });
            let mount = container["volumeMounts"]
                .as_array()
                .and_then(|mounts| mounts.iter().find(|mount| mount["mountPath"] == "/dev/shm"));
            let volume = mount.and_then(|mount| memory.iter().find(|volume| volume["name"] == mount["name"]));
            match volume {
                None if several => messages
                    .push("several accelerators need an emptyDir of medium Memory at /dev/shm".to_owned()),
                Some(volume) => {
                    let (size, limit) = (bytes(&volume["emptyDir"]["sizeLimit"]), bytes(&limits["memory"]));
                    if limit.is_some_and(|limit| size.is_none_or(|size| size >= limit)) {
                        messages.push(
                            "shared memory must be smaller than the memory limit that it counts against"
                                .to_owned(),
                        );
                    }
                }
                None => {}
            }
        }
    }
    messages
}

/// Images have a tag or digest, never `latest`.
fn images_name_a_version(view: &View<'_>, _: &[View<'_>]) -> Vec<String> {
    let images =
        view.containers().into_iter().map(|container| container["image"].as_str().unwrap_or_default());
    images
        .filter(|image| !has_version(image))
        .map(|image| format!("image `{image}` names no version"))
        .collect()
}

/// No secret is written, nor the value of an environment variable that looks like one.
fn no_secret_is_written(view: &View<'_>, _: &[View<'_>]) -> Vec<String> {
    let mut messages = Vec::new();
    let filled = |field: &str| view.tree[field].as_object().is_some_and(|map| !map.is_empty());
    if view.kind() == "Secret" && (filled("data") || filled("stringData")) {
        messages.push("a secret must not be written; refer to it by name".to_owned());
    }
    for container in view.containers() {
        for variable in container["env"].as_array().into_iter().flatten() {
            let name = variable["name"].as_str().unwrap_or_default();
            let secret = name.split('_').any(|part| ["TOKEN", "PASSWORD", "SECRET", "KEY"].contains(&part));
            if secret && variable.get("value").is_some() {
                messages.push(format!("the value of {name} must come from a secret by reference"));
            }
        }
    }
    messages
}

/// Names of objects and namespaces are DNS labels.
fn names_are_labels(view: &View<'_>, _: &[View<'_>]) -> Vec<String> {
    if view.kind() == "Kustomization" {
        return Vec::new();
    }
    let mut names = vec![view.name()];
    names.extend(view.tree["metadata"].get("namespace").and_then(Value::as_str));
    let wrong = names.into_iter().filter(|name| !is_dns_label(name));
    wrong.map(|name| format!("`{name}` is not a DNS label")).collect()
}

/// L22: a quota holds the accelerators of every workload at its most. It is in force only once its controller has counted,
/// which readiness waits for.
fn quotas_hold_what_is_planned(view: &View<'_>, all: &[View<'_>]) -> Vec<String> {
    if view.kind() != "ResourceQuota" {
        return Vec::new();
    }
    let mut messages = Vec::new();
    for (name, most) in view.spec()["hard"].as_object().into_iter().flatten() {
        let Some(resource) = name.strip_prefix("requests.") else { continue };
        let workloads = all.iter().filter(|other| other.namespace() == view.namespace());
        let needed: u64 = workloads.map(|other| at_most(other, all, resource)).sum();
        if number(most).is_some_and(|most| most < needed) {
            messages.push(format!("{name} is {most}, and the workloads need {needed} at their most"));
        }
    }
    messages
}

/// Returns how much of a resource a workload takes at its most.
fn at_most(view: &View<'_>, all: &[View<'_>], resource: &str) -> u64 {
    let scaler = view.autoscaler(all).map(View::spec);
    let most = scaler.and_then(|spec| number(&spec["maxReplicas"]).or(number(&spec["maxReplicaCount"])));
    let of = |spec: &Value| -> u64 {
        let containers = spec["containers"].as_array();
        containers.into_iter().flatten().filter_map(|one| number(&one["resources"]["limits"][resource])).sum()
    };
    let pods = view.pods();
    pods.iter().map(|pods| of(pods.spec) * pods.each * most.or(number(pods.replicas)).unwrap_or(1)).sum()
}

/// Selectors of workloads match their own template; those of services, budgets and monitors match some pod, but for pods that
/// a chart makes.
fn selectors_select_something(view: &View<'_>, all: &[View<'_>]) -> Vec<String> {
    let spec = view.spec();
    let message = |found: bool, what: &str| if found { Vec::new() } else { vec![what.to_owned()] };
    match view.kind() {
        "Deployment" | "StatefulSet" => {
            let own = &spec["template"]["metadata"]["labels"];
            let stated = spec["selector"]["matchLabels"].as_object().is_some_and(|map| !map.is_empty());
            message(
                stated && selects(&spec["selector"], own),
                "the selector does not match the labels of the template",
            )
        }
        "Service" => {
            let selector = serde_json::json!({ "matchLabels": spec["selector"] });
            message(
                !selected_workloads(view, &selector, all).is_empty(),
                "the selector selects no pod of any workload",
            )
        }
        "PodMonitor" | "NetworkPolicy" => {
            let selector = if view.kind() == "PodMonitor" { &spec["selector"] } else { &spec["podSelector"] };
            let everything = selector["matchLabels"].as_object().is_none_or(serde_json::Map::is_empty);
            let found = everything
                || !selected_workloads(view, selector, all).is_empty()
                || is_of_a_gateway(selector, all)
                || is_of_a_certificate(selector, all)
                || is_of_a_picker(selector, all)
                || view.tree["metadata"]["labels"]["capstan.dev/chart"].is_string();
            message(found, "the selector selects no pod of any workload")
        }
        _ => Vec::new(),
    }
}

/// Returns whether a selector is about the pods that a controller makes for a gateway of the manifests (GEP-1762).
fn is_of_a_gateway(selector: &Value, all: &[View<'_>]) -> bool {
    let name = &selector["matchLabels"]["gateway.networking.k8s.io/gateway-name"];
    name.is_string() && all.iter().any(|other| other.kind() == "Gateway" && *name == other.name())
}

/// Returns whether a selector is about the endpoint picker that a pool of the manifests names.
fn is_of_a_picker(selector: &Value, all: &[View<'_>]) -> bool {
    let name = &selector["matchLabels"]["inferencepool"];
    let named = |other: &View<'_>| {
        other.kind() == "InferencePool" && other.spec()["endpointPickerRef"]["name"] == *name
    };
    name.is_string() && all.iter().any(named)
}

/// Returns whether a selector is about the pods by which cert-manager proves the name of a certificate of the manifests.
fn is_of_a_certificate(selector: &Value, all: &[View<'_>]) -> bool {
    selector["matchLabels"][SOLVER].is_string() && all.iter().any(|other| other.kind() == "Certificate")
}

/// Returns the workloads with a template that a selector selects, in the namespace of a view.
fn selected_workloads<'b>(view: &View<'_>, selector: &Value, all: &'b [View<'b>]) -> Vec<&'b View<'b>> {
    all.iter()
        .filter(|other| other.namespace() == view.namespace())
        .filter(|other| other.pods().iter().any(|pods| selects(selector, pods.labels)))
        .collect()
}

/// Returns the replicas of those pods of a workload that a selector selects.
fn selected_replicas(target: &View<'_>, selector: &Value) -> Option<u64> {
    let pods = target.pods();
    pods.iter().filter(|pods| selects(selector, pods.labels)).filter_map(|pods| number(pods.replicas)).max()
}

/// What an autoscaler scales exists, and its bounds are in order.
fn autoscalers_have_a_target(view: &View<'_>, all: &[View<'_>]) -> Vec<String> {
    if view.kind() != "HorizontalPodAutoscaler" {
        return Vec::new();
    }
    let (spec, mut messages) = (view.spec(), Vec::new());
    let target = &spec["scaleTargetRef"];
    let found = all.iter().any(|other| other.namespace() == view.namespace() && other.is_meant(target));
    if !found {
        messages.push(format!("{} {} does not exist", target["kind"], target["name"]));
    }
    let (least, most) = (number(&spec["minReplicas"]), number(&spec["maxReplicas"]));
    if least.is_none() || least == Some(0) || least > most {
        messages.push("minReplicas must be at least 1 and at most maxReplicas".to_owned());
    }
    messages
}

/// Where egress is denied, each pod may still ask for names, over UDP and TCP.
fn pods_may_resolve_names(view: &View<'_>, all: &[View<'_>]) -> Vec<String> {
    let policies: Vec<&View<'_>> = all
        .iter()
        .filter(|other| other.kind() == "NetworkPolicy" && other.namespace() == view.namespace())
        .filter(|policy| {
            policy.spec()["policyTypes"]
                .as_array()
                .is_some_and(|types| types.iter().any(|kind| kind == "Egress"))
        })
        .collect();
    let mut messages = Vec::new();
    for pods in view.pods() {
        let own: Vec<&&View<'_>> =
            policies.iter().filter(|policy| selects(&policy.spec()["podSelector"], pods.labels)).collect();
        let open = |protocol: &str| own.iter().any(|policy| opens(policy, protocol));
        let resolves = open("UDP") && open("TCP");
        if !own.is_empty() && !resolves {
            messages.push("egress is denied and no policy allows port 53 over UDP and TCP".to_owned());
        }
    }
    messages
}

/// Returns whether a policy lets port 53 out over a protocol.
fn opens(policy: &View<'_>, protocol: &str) -> bool {
    let rules = policy.spec()["egress"].as_array();
    rules.into_iter().flatten().filter_map(|rule| rule["ports"].as_array()).flatten().any(|port| {
        port["protocol"] == protocol && port.get("port").and_then(number).is_some_and(|number| number == 53)
    })
}

/// Decoders that look at the first byte take a document starting with `{` for JSON.
fn documents_do_not_look_like_json(view: &View<'_>, _: &[View<'_>]) -> Vec<String> {
    let flow = view.flow_line();
    flow.map(|line| vec![format!("line {line} is not in block style")]).unwrap_or_default()
}
