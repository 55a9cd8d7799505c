//! Weights on a volume: servers are not made before the Job that fetches their weights has ended.

use crate::apply::Ground;
use crate::bench::{Bench, audited, chat, node, until};
use crate::definitions::at_hand;
use crate::emitted::apply;
use crate::oracle::provision;
use serde_json::{Value, json};

const NAME: &str = "fetches";

/// Says of the pod of a Job that its program has ended well, as the kubelet would; returns whether there is one.
fn end(ground: &Ground<'_>, job: &str) -> bool {
    let at = format!("/api/v1/namespaces/{NAME}/pods");
    let listed = ground.door.object(&at).expect("a list");
    let own = |pod: &&Value| pod["metadata"]["ownerReferences"][0]["name"] == job;
    let Some(pod) = listed["items"].as_array().into_iter().flatten().find(own) else { return false };
    let name = pod["metadata"]["name"].as_str().expect("a name");
    let status = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": NAME },
        "status": { "phase": "Succeeded" },
    });
    let told = ground.door.change(&format!("{at}/{name}/status"), "kubelet", &status);
    assert_eq!(told.status, 200, "{}", told.body);
    true
}

#[test]
fn servers_start_when_their_weights_are_there() {
    let Some(bench) = Bench::start() else { return println!("skipped: needs Go") };
    if !at_hand() {
        return;
    }
    bench.machines(&json!([node("m0", "a"), node("m1", "b")]));
    let mut blueprint = chat(NAME);
    blueprint.inputs.spec.deploy.as_mut().expect("it deploys").storage_class = Some("files".to_owned());
    let ground = Ground::of(&bench, NAME, &audited(blueprint));
    let late = ground.run("apply", &["--yes", "--timeout", "2"]).exits(1);
    assert!(late.err.contains("Job fetches/chat-weights-"), "{}", late.told());
    let servers = format!("/apis/apps/v1/namespaces/{NAME}/deployments/chat");
    assert!(ground.door.object(&servers).is_none(), "servers would wait for weights on their probes' time");
    let objects = ground.door.object(&format!("/apis/batch/v1/namespaces/{NAME}/jobs")).expect("a list");
    let job = objects["items"][0]["metadata"]["name"].as_str().expect("a name").to_owned();
    let claim = ground.door.object(&format!("/api/v1/namespaces/{NAME}/persistentvolumeclaims/chat-weights"));
    provision(
        &ground.door,
        &[
            json!({ "kind": "PersistentVolumeClaim", "metadata": { "name": "chat-weights", "namespace": NAME }, "spec": claim.expect("a claim")["spec"] }),
        ],
    );
    until("the pod of the Job is there and has ended", 40, || end(&ground, &job));
    let path = format!("/apis/batch/v1/namespaces/{NAME}/jobs/{job}");
    until("the Job has ended", 40, || {
        ground.door.object(&path).is_some_and(|job| job["status"]["succeeded"] == 1)
    });
    // Nothing runs the servers here: they are made, and waited for.
    let late = ground.run("apply", &["--yes", "--timeout", "2"]).exits(1);
    assert!(
        late.err.contains("Deployment fetches/chat") && !late.err.contains("Job fetches/"),
        "{}",
        late.told()
    );
    assert!(ground.door.object(&servers).is_some());
    // The Job is as it was written, so that applying again changes nothing of it.
    let objects = apply(&ground.door, &ground.place.path("out"), NAME);
    assert!(
        objects.iter().any(|object| object["kind"] == "Job" && object["metadata"]["name"] == job.as_str())
    );
}
