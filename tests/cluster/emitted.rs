//! Every object of every example, applied to a real server that refuses unknown fields; pod templates as bare pods.

use crate::bench::{Bench, Door, until};
use crate::surroundings::Place;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Folders of definitions that emitted objects need.
const FAMILIES: [&str; 4] = ["lws", "prometheus-operator", "gateway-api", "gateway-api-inference-extension"];

/// Installs definitions; false where the data is absent.
fn install(door: &Door<'_>) -> bool {
    let Some(data) = capstan_types::testing::data() else { return false };
    let mut names = Vec::new();
    for family in FAMILIES {
        for entry in fs::read_dir(data.join("crds").join(family)).expect("the data holds this family") {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|ending| ending != "yaml" && ending != "yml") {
                continue;
            }
            let text = fs::read_to_string(&path).expect("a readable file");
            let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
            for document in documents.iter().filter(|document| document["kind"] == "CustomResourceDefinition")
            {
                let name = document["metadata"]["name"].as_str().expect("a name").to_owned();
                let at = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
                let made = door.change(&at, "tests", document);
                assert!(made.status < 300, "{name}: {}", made.body);
                names.push(at);
            }
        }
    }
    for at in names {
        until(&at, 30, || {
            let definition = door.object(&at).unwrap_or_default();
            let rows = definition["status"]["conditions"].as_array().cloned().unwrap_or_default();
            rows.iter().any(|row| row["type"] == "Established" && row["status"] == "True")
        });
    }
    true
}

/// Returns where an object lies.
fn path(object: &Value, served: &Value) -> String {
    let (version, kind) = (object["apiVersion"].as_str().expect("a version"), &object["kind"]);
    let root = if version.contains('/') { "/apis" } else { "/api" };
    let rows = served["resources"].as_array().expect("a list of kinds");
    let is_it = |row: &&Value| row["kind"] == *kind && !row["name"].as_str().unwrap_or("/").contains('/');
    let row = rows.iter().find(is_it).unwrap_or_else(|| panic!("{version} {kind} is not served"));
    let place = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("/namespaces/{namespace}"),
        None => String::new(),
    };
    let name = object["metadata"]["name"].as_str().expect("a name");
    format!("{root}/{version}{place}/{}/{name}", row["name"].as_str().expect("a plural"))
}

/// Applies everything in a folder in the order of its list; returns how many objects that were.
fn apply(door: &Door<'_>, folder: &Path, example: &str) -> usize {
    let read = |file: &Path| -> Value {
        serde_saphyr::from_str(&fs::read_to_string(file).expect("a file")).expect("YAML")
    };
    let list = read(&folder.join("kubernetes/kustomization.yaml"));
    let files = list["resources"].as_array().expect("a list");
    for file in files {
        let object = read(&folder.join("kubernetes").join(file.as_str().expect("a path")));
        let version = object["apiVersion"].as_str().expect("a version");
        let root = if version.contains('/') { "/apis" } else { "/api" };
        let served =
            door.object(&format!("{root}/{version}")).unwrap_or_else(|| panic!("{version} is not served"));
        let done = door.change(&path(&object, &served), "capstan", &object);
        assert!(done.status < 300, "{example}: {file}: {}", done.body);
        let group = &object["spec"]["leaderWorkerTemplate"];
        for template in [&object["spec"]["template"], &group["leaderTemplate"], &group["workerTemplate"]] {
            if template["spec"]["containers"].is_array() {
                let namespace = object["metadata"]["namespace"].as_str().expect("a namespace");
                let pod = json!({
                    "apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
                    "metadata": { "generateName": "bare-", "labels": template["metadata"]["labels"] },
                });
                let at = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict");
                let tried = door.ask("POST", &at, Some(&pod));
                assert!(tried.status < 300, "{example}: {file} as a bare pod: {}", tried.body);
            }
        }
    }
    files.len()
}

#[test]
fn a_strict_server_takes_every_object_of_every_example() {
    let Some(bench) = Bench::start() else { return println!("skipped: needs Go") };
    let door = bench.door();
    if !install(&door) {
        return;
    }
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut applied = 0;
    for entry in fs::read_dir(&examples).expect("examples") {
        let file = entry.expect("an entry").path();
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        if file.extension().is_none_or(|ending| ending != "plan") {
            continue;
        }
        let text = fs::read_to_string(&file).expect("an example");
        let place = Place::new();
        // Examples that do not ask for manifests are asked to, so that their workloads are tried as well.
        let deployed = if text.contains("deploy kubernetes") {
            text
        } else {
            format!("{text}\ndeploy kubernetes {{ namespace = \"llm\", monitoring = prometheus }}\n")
        };
        place.write(&name, deployed);
        let planned = place.run(&["plan", &name, "-o", "b.json"]);
        if planned.code == 3 {
            continue;
        }
        planned.exits(0);
        place.run(&["emit", "b.json", "--target", "kubernetes", "-o", "out"]).exits(0);
        applied += apply(&door, &place.path("out"), &name);
    }
    assert!(applied > 20, "only {applied} objects were applied");
}
