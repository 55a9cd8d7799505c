//! Trainings under every operator: a strict server takes them, the real scheduler places the pods that their controllers
//! would make, and what a queue has let go stays so.

use crate::apply::Ground;
use crate::bench::{Bench, Door};
use crate::definitions::at_hand;
use crate::oracle::are_placed;
use crate::surroundings::Place;
use capstan_types::spec::JobKind;
use serde_json::{Value, json};

/// A training on two machines of eight accelerators.
const TRAINING: &str = r#"plan trained { currency = USD, horizon = 2027-01-01 .. 2027-12-31 }
site hall { pue = 1.25, energy_price = 0.08 USD/kWh, colocation_price = 120 USD/kW/mo }
fleet a100 { shape = own.dgx_a100_8, count = 3, site = hall }
train domain {
  model       = "meta-llama/Llama-3.1-8B-Instruct"
  tokens      = 5 Gtok
  batch       = 1 Mtok
  sequence    = 8192 tok
  accelerator = a100_sxm_80gb
  parallelism = { tensor = 8, pipeline = 2 }
}
deploy kubernetes {
  namespace     = "NAMESPACE"
  version       = "1.36"
  quota         = true
  priorities    = true
  storage_class = "files"
  training      = { image = "registry.example.com/train:1.4", queue = kueue, job = JOB, program = "python train.py" }
}
"#;

/// A place where the training is planned for an operator, and emitted.
fn planned(job: JobKind, namespace: &str) -> Place {
    let place = Place::new();
    let text = TRAINING.replace("NAMESPACE", namespace).replace("JOB", job.word());
    let blueprint = place.planned(text, 0);
    assert_eq!(blueprint.trainings[0].candidate.nodes, 2);
    place.run(&["emit", "b.json", "--target", "kubernetes", "-o", "out"]).exits(0);
    place
}

#[test]
fn machines_of_a_training_hold_the_pods_of_every_operator_and_one_fewer_does_not() {
    let Some(bench) = Bench::start() else { return println!("skipped: needs Go") };
    let door = bench.door();
    if !at_hand() {
        return;
    }
    for job in JobKind::ALL {
        let namespace = job.word().replace('_', "-");
        // A launcher and a head run beside the nodes.
        let beside = usize::from([JobKind::MpiJob, JobKind::RayJob].contains(&job));
        let pods = are_placed(&bench, &door, job.word(), &planned(job, &namespace));
        assert_eq!(pods, 2 + beside, "{}", job.word());
    }
}

/// Has the status of an object say that a condition holds, as its controller would.
pub fn tell(door: &Door<'_>, path: &str, object: &Value, status: &Value) {
    let told = json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"], "status": status,
        "metadata": { "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"] },
    });
    let answer = door.change(&format!("{path}/status"), "controller", &told);
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn condition(kind: &str) -> Value {
    json!({ "conditions": [{
        "type": kind, "status": "True", "reason": "Test", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
    }] })
}

#[test]
fn a_training_that_a_queue_has_let_go_stays_so() {
    let Some(bench) = Bench::start() else { return println!("skipped: needs Go") };
    if !at_hand() {
        return;
    }
    let running = json!({ "jobDeploymentStatus": "Running" });
    for (job, version, plural, free, status) in [
        (
            JobKind::PyTorchJob,
            "kubeflow.org/v1",
            "pytorchjobs",
            json!({ "pytorchReplicaSpecs": {}, "runPolicy": { "suspend": false } }),
            condition("Running"),
        ),
        (JobKind::RayJob, "ray.io/v1", "rayjobs", json!({ "suspend": false }), running),
    ] {
        let name = job.word().replace('_', "-");
        let ground = Ground::of(&bench, &name, &planned(job, &name).blueprint("b.json"));
        // Nobody but Kueue says that its queues are at work.
        let queues = "/apis/kueue.x-k8s.io/v1beta2";
        for path in [
            format!("{queues}/clusterqueues/trained-training"),
            format!("{queues}/namespaces/{name}/localqueues/trained-training"),
        ] {
            let late = ground.run("apply", &["--yes", "--timeout", "2"]).exits(1);
            assert!(late.err.contains("has no condition Active yet"), "{}", late.told());
            let queue = ground.door.object(&path).unwrap_or_else(|| panic!("no {path}"));
            tell(&ground.door, &path, &queue, &condition("Active"));
        }
        ground.run("apply", &["--yes", "--timeout", "30"]).exits(0);
        let path = format!("/apis/{version}/namespaces/{name}/{plural}/domain");
        let waiting = ground.door.object(&path).expect("the job is there");
        let go = json!({
            "apiVersion": version, "kind": waiting["kind"], "spec": free,
            "metadata": { "name": "domain", "namespace": name },
        });
        let gone = ground.door.change(&path, "kueue", &go);
        assert_eq!(gone.status, 200, "{}", gone.body);
        tell(&ground.door, &path, &waiting, &status);
        ground.run("drift", &[]).exits(0);
        ground.run("apply", &["--yes", "--timeout", "30"]).exits(0);
        let now = ground.door.object(&path).expect("it is still there");
        let suspend = now["spec"]["runPolicy"].get("suspend").or(now["spec"].get("suspend"));
        assert_eq!(suspend, Some(&json!(false)), "{}", now["spec"]);
        ground.run("destroy", &["--yes", "--protected"]).exits(0);
        assert!(ground.door.object(&path).is_none());
    }
}
