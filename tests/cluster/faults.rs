//! A server that is overloaded, breaks, or is late; and two who apply at once.

use crate::apply::Ground;
use crate::bench::{Bench, chat, node, shared, until};
use serde_json::json;

/// Every third request meets a fault, and it converges all the same.
fn converges_under(fault: &str, name: &str) {
    let Some(bench) = shared() else { return };
    let ground = Ground::of(bench, name, &chat(name));
    ground.door.rules(&json!({ "fault": fault, "every": 3, "most": 12, "delayMs": 1500 }));
    ground.run("apply", &["--yes", "--timeout", "90"]).exits(0);
    ground.door.rules(&json!({}));
    let again = ground.run("apply", &["--yes"]).exits(0);
    assert!(again.err.contains("revision 1: 0 written"), "{}", again.told());
}

#[test]
fn too_many_requests_are_waited_for() {
    converges_under("429", "fault-429");
}

#[test]
fn errors_of_the_server_are_tried_again() {
    converges_under("500", "fault-500");
}

#[test]
fn an_unavailable_server_is_waited_for() {
    converges_under("503", "fault-503");
}

#[test]
fn connections_that_break_are_made_again() {
    converges_under("reset", "fault-reset");
}

#[test]
fn late_answers_are_waited_for() {
    converges_under("late", "fault-late");
}

/// As long as an admission webhook may take.
#[test]
fn an_answer_that_takes_thirty_seconds_is_waited_for() {
    let Some(bench) = shared() else { return };
    let ground = Ground::of(bench, "fault-slow", &chat("fault-slow"));
    ground.door.rules(&json!({ "fault": "late", "every": 9, "most": 1, "delayMs": 30000 }));
    let began = std::time::Instant::now();
    ground.run("apply", &["--yes", "--timeout", "90"]).exits(0);
    assert!(began.elapsed().as_secs() >= 30, "one answer was late");
}

#[test]
fn a_server_that_stays_broken_ends_the_run_with_a_reason_and_nothing_is_forgotten() {
    let Some(bench) = shared() else { return };
    let ground = Ground::of(bench, "fault-ever", &chat("fault-ever"));
    ground.door.rules(&json!({ "fault": "503", "every": 1 }));
    let broken = ground.run("apply", &["--yes"]).exits(1);
    assert!(broken.err.contains("does not answer: injected: service unavailable"), "{}", broken.told());
    ground.door.rules(&json!({}));
    ground.run("apply", &["--yes", "--timeout", "60"]).exits(0);
}

#[test]
fn a_store_that_is_restarted_under_the_server_is_waited_for() {
    let Some(bench) = Bench::start() else { return println!("skipped: needs Go") };
    bench.machines(&json!([node("one", "a"), node("two", "b")]));
    let ground = Ground::of(&bench, "store", &chat("store"));
    bench.pods("store", "never");
    std::thread::scope(|scope| {
        let run = scope.spawn(|| ground.run("apply", &["--yes", "--timeout", "90"]));
        until("it has come to the workload", 30, || ground.door.object(&ground.deployment()).is_some());
        bench.restart_store();
        bench.pods("store", "ready");
        run.join().expect("it ends").exits(0);
    });
    // Replicas may still come; nothing is written for that.
    let (_, writes) = ground.counted("apply", &["--yes", "--timeout", "90"]);
    assert_eq!(writes, [] as [&str; 0]);
}

#[test]
fn of_two_at_once_one_says_who_the_other_is() {
    let Some(bench) = shared() else { return };
    let ground = Ground::of(bench, "two", &chat("two"));
    bench.pods("two", "never");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| ground.run("apply", &["--yes", "--timeout", "60"]));
        let lease = "/apis/coordination.k8s.io/v1/namespaces/capstan-system/leases/plan-two";
        until("the first holds the lease", 20, || ground.door.object(lease).is_some());
        let second = ground.run("apply", &["--yes"]).exits(5);
        assert!(second.err.contains("is applying this plan; its lease ends at"), "{}", second.told());
        bench.pods("two", "ready");
        first.join().expect("it ends").exits(0);
    });
}

#[test]
fn a_lease_that_ended_is_taken_over() {
    let Some(bench) = shared() else { return };
    let ground = Ground::of(bench, "over", &chat("over"));
    ground.run("apply", &["--yes", "--timeout", "60"]).exits(0);
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": "plan-over", "namespace": "capstan-system" },
        "spec": {
            "holderIdentity": "somebody elsewhere", "leaseDurationSeconds": 30,
            "renewTime": "2026-01-01T00:00:00.000000Z",
        },
    });
    let path = "/apis/coordination.k8s.io/v1/namespaces/capstan-system/leases/plan-over";
    assert!(ground.door.change(path, "elsewhere", &lease).status < 300);
    ground.run("apply", &["--yes"]).exits(0);
    assert!(ground.door.object(path).is_none(), "it was taken over and given back");
}
