//! Weights on a volume: fetched once, before servers start, from where the plan says.

use crate::common::{changed, deploy, emitted, object, tree, two_sites, with, without_names};
use capstan_backends::kubernetes::{Manifest, Wave, lint};
use capstan_types::blueprint::Blueprint;
use serde_json::{Value, json};

fn classed() -> Blueprint {
    with(|deploy| deploy.storage_class = Some("files".to_owned()))
}

fn fetches(manifests: &[Manifest]) -> Vec<&Manifest> {
    manifests.iter().filter(|one| one.kind == "Job").collect()
}

#[test]
fn weights_are_fetched_onto_their_volume_before_servers_start() {
    let manifests = emitted(&classed()).manifests;
    let all = fetches(&manifests);
    let job = tree(all[0]);
    assert!(all.len() == 1 && all[0].name.starts_with("chat-weights-"), "{}", all[0].name);
    assert!(all[0].wave >= Wave::Storage && all[0].wave < Wave::Workload);
    let at = |kind: &str| manifests.iter().position(|one| one.kind == kind).expect("it is there");
    assert!(at("PersistentVolumeClaim") < at("Job") && at("Job") < at("Deployment"));
    assert_eq!(job["metadata"]["annotations"]["capstan.dev/until"], "complete");
    let (pod, server) = (
        job["spec"]["template"]["spec"].clone(),
        object(&manifests, "Deployment", "chat")["spec"]["template"]["spec"].clone(),
    );
    // The very model, volume, layout, image and machines of the servers.
    let (fetch, engine) = (&pod["containers"][0], &server["containers"][0]);
    assert_eq!(fetch["args"], json!([engine["args"][0]]));
    assert_eq!((&fetch["image"], &pod["nodeSelector"]), (&engine["image"], &server["nodeSelector"]));
    let claim = json!({ "name": "cache", "persistentVolumeClaim": { "claimName": "chat-weights" } });
    assert_eq!((&pod["volumes"][0], &server["volumes"][0]), (&claim, &claim));
    assert_eq!((&fetch["env"], &fetch["volumeMounts"][0]), (&engine["env"], &engine["volumeMounts"][0]));
    // It starts again until it has all, and takes no accelerator. Probes of servers are as they were.
    assert_eq!(pod["restartPolicy"], "OnFailure");
    assert!(!fetch["resources"].to_string().contains("nvidia.com"));
    let plain = object(&emitted(&with(|_| ())).manifests, "Deployment", "chat");
    assert_eq!(plain["spec"]["template"]["spec"]["containers"][0]["startupProbe"], engine["startupProbe"]);
    // Only the model hub is reached, and no service or budget counts it among the servers.
    let policy = object(&manifests, "NetworkPolicy", "chat-weights")["spec"].clone();
    assert_eq!(policy["podSelector"]["matchLabels"], job["spec"]["template"]["metadata"]["labels"]);
    assert_eq!((&policy["ingress"], &policy["egress"][0]["ports"][0]["port"]), (&Value::Null, &json!(443)));
    for kind in ["Service", "PodDisruptionBudget", "PodMonitor"] {
        let selector = object(&manifests, kind, "chat")["spec"]["selector"].to_string();
        assert!(selector.contains(r#""app.kubernetes.io/name":"chat""#), "{selector}");
    }
    assert_eq!(lint(&manifests), []);
}

/// A Job cannot change, so other weights are another Job, and the same are the same.
#[test]
fn other_weights_are_another_job() {
    let name = |blueprint: &Blueprint| fetches(&emitted(blueprint).manifests)[0].name.clone();
    let mut other = classed();
    assert_eq!(name(&classed()), name(&other));
    other.inputs.spec.serves[0].checkpoint = Some("owner/other".to_owned());
    assert_ne!(name(&classed()), name(&other));
    let mut several = two_sites();
    deploy(&mut several).storage_class = Some("files".to_owned());
    assert_eq!(fetches(&emitted(&several).manifests).len(), 2, "each site has a volume");
}

#[test]
fn without_a_source_the_claim_says_who_fills_it() {
    let mut blueprint = classed();
    without_names(&mut blueprint);
    let manifests = emitted(&blueprint).manifests;
    assert!(fetches(&manifests).is_empty());
    let claim =
        manifests.iter().find(|one| one.kind == "PersistentVolumeClaim" && one.name == "chat-weights");
    let text = &claim.expect("a claim").yaml;
    assert!(text.contains("whoever applies it puts them here before servers start"), "{text}");
    assert!(
        fetches(&emitted(&changed(|_| ())).manifests).is_empty(),
        "without a volume each replica has its own"
    );
}
