//! A plan of a thousand objects: in time, and with nothing to do the second time.

use crate::bench::Bench;
use capstan_apply::{Access, Cluster, Desired, Holder, Id, Object, Options, PLAN_LABEL, Summary, Trouble};
use serde_json::json;
use std::time::Instant;

fn object(version: &str, kind: &str, namespace: Option<&str>, name: &str, wave: u32) -> Object {
    let id = Id {
        api_version: version.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    };
    let mut value = json!({
        "apiVersion": version, "kind": kind,
        "metadata": {
            "name": name, "labels": { PLAN_LABEL: "large" }, "annotations": { "capstan.dev/wave": wave.to_string() },
        },
    });
    if let Some(namespace) = namespace {
        value["metadata"]["namespace"] = json!(namespace);
        value["data"] = json!({ "text": "x".repeat(1000) });
    }
    Object { id, value }
}

fn apply(access: &Access, desired: &Desired) -> Summary {
    let options = Options { force: false, protected: false, seconds: 60 };
    let holder = Holder { name: "the test".to_owned(), has_ended: |_| false };
    let work = async {
        let cluster = Cluster::connect(access).await?;
        cluster.apply(desired, &options, &holder, None, &|_| {}).await
    };
    let done: Option<Result<Summary, Trouble>> = capstan_apply::run(work).expect("a runtime");
    done.expect("nobody interrupts it").unwrap_or_else(|trouble| panic!("{trouble}"))
}

#[test]
#[ignore = "a thousand objects take a while"]
fn long_a_thousand_objects_are_applied_within_a_minute() {
    let Some(bench) = Bench::start() else { return println!("skipped: needs Go") };
    let door = bench.door();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, door.kubeconfig(&bench.admin)).expect("a file");
    let access = Access { files: vec![file.display().to_string()], ..Access::default() };
    let mut objects = vec![object("v1", "Namespace", None, "large", 0)];
    objects
        .extend((1..1000).map(|number| object("v1", "ConfigMap", Some("large"), &format!("m{number}"), 1)));
    let desired = Desired { plan: "large".to_owned(), objects, minor: 28 };
    let began = Instant::now();
    let summary = apply(&access, &desired);
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!((summary.written, summary.kept), (1000, 0));
    assert!(seconds < 60.0, "{seconds:.0} s");
    door.rules(&json!({}));
    let again = apply(&access, &desired);
    assert_eq!((again.written, again.kept), (0, 1000));
    assert_eq!(door.writes(), [] as [&str; 0]);
    println!("1000 objects in {seconds:.1} s");
}
