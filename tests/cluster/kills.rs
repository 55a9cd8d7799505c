//! Killed between any two requests, an apply that is run again ends at the same objects: nothing twice, nothing left, no lock.

use crate::apply::{Ground, state};
use crate::bench::{Bench, Door, chat, shared, with_replicas};
use crate::surroundings::Place;
use capstan_types::blueprint::Blueprint;
use serde_json::{Value, json};
use std::process::{Command, Stdio};

/// What one killed run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Create,
    Update,
    Prune,
}

/// The blueprint before and after a way; `None` where nothing was before.
fn blueprints(way: Way, name: &str) -> (Option<Blueprint>, Blueprint) {
    let before = chat(name);
    match way {
        Way::Create => (None, before),
        Way::Update => {
            let after = with_replicas(&before, |hour| hour + 1);
            (Some(before), after)
        }
        // Without hours that differ there is no autoscaler.
        Way::Prune => {
            let after = with_replicas(&before, |_| 2);
            (Some(before), after)
        }
    }
}

/// What is remembered of a plan, without uids.
fn remembered(door: &Door<'_>, name: &str) -> Value {
    let map = door
        .object(&format!("/api/v1/namespaces/capstan-system/configmaps/plan-{name}"))
        .expect("an inventory");
    let text = map["data"]["inventory.json"].as_str().expect("a text").replace(name, "NAME");
    let mut inventory: Value = serde_json::from_str(&text).expect("JSON");
    for entry in inventory["entries"].as_array_mut().expect("entries") {
        assert!(entry["uid"].is_string(), "its uid is known in the end");
        entry.as_object_mut().expect("an entry").remove("uid");
    }
    for revision in inventory["revisions"].as_array_mut().expect("revisions") {
        revision.as_object_mut().expect("a revision").remove("digest");
    }
    inventory
}

/// Runs the program until the door kills it at a request; returns whether it came that far.
fn killed(place: &Place, door: &Door<'_>, at: usize, before: bool) -> bool {
    // The door needs the process, which is known only once it runs; it waits at its first line of standard input.
    let binary = env!("CARGO_BIN_EXE_capstan");
    let script = format!("read go; exec {binary} apply b.json --kubeconfig kubeconfig --yes --timeout 60");
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .current_dir(place.path("."))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    door.rules(&json!({ "killAt": at, "pid": child.id(), "before": before }));
    std::io::Write::write_all(&mut child.stdin.take().expect("piped"), b"go\n").expect("it reads");
    let status = child.wait().expect("it ends");
    door.rules(&json!({}));
    !status.success()
}

/// What a way comes to without being killed, and how many requests it takes.
fn undisturbed(bench: &Bench, way: Way) -> (Vec<Value>, Value, usize) {
    let name = format!("whole-{way:?}").to_lowercase();
    let (before, after) = blueprints(way, &name);
    let ground = Ground::of(bench, &name, before.as_ref().unwrap_or(&after));
    if before.is_some() {
        ground.run("apply", &["--yes", "--timeout", "60"]).exits(0);
        ground.place.write_blueprint("b.json", &after);
    }
    ground.door.rules(&json!({}));
    ground.run("apply", &["--yes", "--timeout", "60"]).exits(0);
    let requests = ground.door.passed().len();
    (named(&state(&ground.door, &name), &name), remembered(&ground.door, &name), requests)
}

/// Objects with their own name put out of sight.
fn named(objects: &[Value], name: &str) -> Vec<Value> {
    let text = serde_json::to_string(objects).expect("JSON").replace(name, "NAME");
    let mut objects: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    for object in &mut objects {
        // What an autoscaler or a controller has counted so far is no part of the plan.
        if object["kind"] == "deployments" {
            object["spec"].as_object_mut().expect("a spec").remove("replicas");
        }
    }
    objects
}

/// Kills a way at some of its requests and runs it again.
fn converges(way: Way, points: impl Fn(usize) -> Vec<usize>) {
    let Some(bench) = shared() else { return };
    let (wanted, known, requests) = undisturbed(bench, way);
    assert!(requests > 20, "{way:?} takes {requests} requests");
    for point in points(requests) {
        let name = format!("kill-{way:?}-{point}").to_lowercase();
        let (before, after) = blueprints(way, &name);
        let ground = Ground::of(bench, &name, before.as_ref().unwrap_or(&after));
        if before.is_some() {
            ground.run("apply", &["--yes", "--timeout", "60"]).exits(0);
            ground.place.write_blueprint("b.json", &after);
        }
        let died = killed(&ground.place, &ground.door, point, point % 2 == 0);
        assert!(died || point + 8 > requests, "{way:?} was not killed at {point} of {requests}");
        ground.run("apply", &["--yes", "--timeout", "60"]).exits(0);
        let seen = named(&state(&ground.door, &name), &name);
        assert_eq!(seen, wanted, "{way:?} killed at {point}");
        assert_eq!(remembered(&ground.door, &name), known, "{way:?} killed at {point}");
        let lease = format!("/apis/coordination.k8s.io/v1/namespaces/capstan-system/leases/plan-{name}");
        assert!(ground.door.object(&lease).is_none(), "{way:?} killed at {point} leaves a lock");
        let selector =
            format!("/api/v1/namespaces/capstan-system/configmaps?labelSelector=capstan.dev%2Fplan%3D{name}");
        let maps = ground.door.object(&selector).expect("a list")["items"].as_array().map_or(0, Vec::len);
        assert_eq!(maps, 1 + known["revisions"].as_array().map_or(0, Vec::len), "{way:?} killed at {point}");
        // Its machines are for the next.
        ground.run("destroy", &["--yes", "--protected"]).exits(0);
    }
}

/// Some points of each way; all of them in the long tests.
fn some(first: usize) -> impl Fn(usize) -> Vec<usize> {
    move |requests| (first..=requests).step_by(requests.div_ceil(5)).collect()
}

fn all(requests: usize) -> Vec<usize> {
    (1..=requests).collect()
}

#[test]
fn creating_survives_being_killed() {
    converges(Way::Create, some(9));
}

#[test]
fn changing_survives_being_killed() {
    converges(Way::Update, some(11));
}

#[test]
fn deleting_survives_being_killed() {
    converges(Way::Prune, some(13));
}

#[test]
#[ignore = "every point of a creation takes minutes"]
fn long_creating_survives_being_killed_anywhere() {
    converges(Way::Create, all);
}

#[test]
#[ignore = "every point of a change takes minutes"]
fn long_changing_survives_being_killed_anywhere() {
    converges(Way::Update, all);
}

#[test]
#[ignore = "every point of a deletion takes minutes"]
fn long_deleting_survives_being_killed_anywhere() {
    converges(Way::Prune, all);
}
