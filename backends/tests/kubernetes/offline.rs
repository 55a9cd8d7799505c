//! Offline inference becomes a Job that waits, where the plan says on which volume its requests lie.

use crate::common::{changed, emitted, object};
use capstan_backends::kubernetes::lint;
use capstan_types::blueprint::{BatchRun, Blueprint, HOURS, OfflineEstimate};
use capstan_types::spec::Batch;
use serde_json::json;

/// The fixture with requests that nobody waits for, on the machines of its service, at night.
fn nights(change: impl FnOnce(&mut Blueprint)) -> Blueprint {
    changed(|blueprint| {
        let (serve, placement) = (&blueprint.inputs.spec.serves[0], &blueprint.services[0].placements[0]);
        let estimate = &placement.estimate;
        let run = BatchRun {
            workload: "night_reader".to_owned(),
            model: serve.model.clone(),
            site: placement.site.clone(),
            candidate: placement.candidate.clone(),
            estimate: OfflineEstimate {
                rate: estimate.rate,
                tpot: estimate.tpot,
                kv_tokens: estimate.kv_tokens,
                weights: estimate.weights,
                memory: estimate.memory,
                batch: estimate.batch,
                bound_by: estimate.bound_by.clone(),
                origin: estimate.origin,
            },
            simulated: None,
            derating: 1.0,
            up: 1.0,
            replicas: (0..HOURS).map(|hour| if hour % 24 < 6 { 3 } else { 0 }).collect(),
            loading: placement.start,
            start: blueprint.inputs.spec.frame.start,
            end: blueprint.inputs.spec.frame.start,
            hours: 96.0,
            shares: vec![0.01],
            replica_hours: 71.5,
            requests: 1e6,
        };
        let batch = Batch {
            name: run.workload.clone(),
            place: serve.place.clone(),
            model: serve.model.clone(),
            checkpoint: None,
            requests: 1e6,
            traffic: None,
            prompt: serve.load.prompt.clone(),
            output: serve.load.output.clone(),
            start: None,
            finish: None,
            interruptible: true,
            engine: serve.engine.clone(),
            precisions: serve.precisions.clone(),
            accelerators: None,
            parallelism: serve.parallelism,
            buy: serve.buy.clone(),
            sites: None,
        };
        blueprint.inputs.spec.batches.push(batch);
        blueprint.batches.push(run);
        change(blueprint);
    })
}

fn asked(blueprint: &mut Blueprint) {
    blueprint.inputs.spec.deploy.as_mut().expect("the fixture deploys").requests = Some("archive".to_owned());
}

#[test]
fn a_job_reads_the_files_of_the_volume_as_planned() {
    let emitted = emitted(&nights(asked));
    let job = object(&emitted.manifests, "Job", "night-reader");
    let spec = &job["spec"];
    assert_eq!((&spec["suspend"], &spec["completionMode"]), (&json!(true), &json!("Indexed")));
    // A file takes about four hours of a replica.
    assert_eq!((&spec["completions"], &spec["parallelism"]), (&json!(18), &json!(3)));
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["restartPolicy"], "Never");
    let container = &pod["containers"][0];
    assert_eq!(container["command"], json!(["vllm", "run-batch"]));
    let args: Vec<&str> =
        container["args"].as_array().expect("a list").iter().filter_map(|arg| arg.as_str()).collect();
    assert_eq!(args[0], "--input-file=/requests/night-reader/part-$(JOB_COMPLETION_INDEX).jsonl");
    assert!(args.contains(&"--tensor-parallel-size=4") && args.iter().all(|arg| !arg.starts_with("--port")));
    assert!(container.get("ports").is_none() && container.get("readinessProbe").is_none());
    let volumes = pod["volumes"].as_array().expect("a list");
    assert!(volumes.iter().any(|one| one["persistentVolumeClaim"]["claimName"] == "archive"), "{volumes:?}");
    let policy = object(&emitted.manifests, "NetworkPolicy", "night-reader");
    assert_eq!(policy["spec"]["podSelector"]["matchLabels"], spec["template"]["metadata"]["labels"]);
    assert_eq!(lint(&emitted.manifests), []);
    assert!(emitted.warnings.iter().any(|one| one.message.contains("priorities = true")));
}

#[test]
fn a_quota_holds_it() {
    let quota = |blueprint: &Blueprint| {
        let quota = emitted(blueprint).manifests.into_iter().find(|one| one.kind == "ResourceQuota");
        let tree: serde_json::Value =
            serde_saphyr::from_str(&quota.expect("it is emitted").yaml).expect("YAML");
        tree["spec"]["hard"]["requests.nvidia.com/gpu"].as_str().and_then(|text| text.parse::<u32>().ok())
    };
    let with_quota = |blueprint: &mut Blueprint| {
        blueprint.inputs.spec.deploy.as_mut().expect("the fixture deploys").quota = true;
    };
    let without = quota(&nights(with_quota)).expect("a number");
    let with = quota(&nights(|blueprint| {
        with_quota(blueprint);
        asked(blueprint);
    }));
    assert_eq!(with, Some(without + 3 * 4));
}

#[test]
fn what_is_not_written_is_said() {
    let said = |blueprint: &Blueprint| -> String {
        let emitted = emitted(blueprint);
        assert!(emitted.manifests.iter().all(|one| one.kind != "Job"));
        let mine = emitted.warnings.iter().filter(|one| one.subject == "night_reader");
        mine.map(|one| one.message.clone()).collect()
    };
    assert!(said(&nights(|_| {})).contains("deploy kubernetes { requests = … }"));
    let spread = nights(|blueprint| {
        asked(blueprint);
        blueprint.batches[0].candidate.nodes_per_replica = 2;
    });
    assert!(said(&spread).contains("spans nodes"));
}
