//! Emitted objects, applied to a real server that refuses unknown fields; pod templates as bare pods.

use crate::bench::Door;
use crate::definitions::install;
use crate::surroundings::Place;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

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

/// Returns every pod template, wherever in an object it stands.
fn templates(value: &Value) -> Vec<&Value> {
    let below: Vec<&Value> = match value {
        Value::Object(map) => map.values().flat_map(templates).collect(),
        Value::Array(list) => list.iter().flat_map(templates).collect(),
        _ => Vec::new(),
    };
    if value["spec"]["containers"].is_array() { [vec![value], below].concat() } else { below }
}

/// Returns labels and specification of the pods that the templates of an object describe.
fn pods(object: &Value) -> Vec<(Value, Value)> {
    let spec = &object["spec"];
    let templates = templates(object).into_iter();
    let templates = templates.map(|template| (&template["metadata"]["labels"], &template["spec"]));
    // Those of KServe have their labels beside them.
    let parts = [spec, &spec["prefill"]].map(|part| (&part["labels"], &part["template"]));
    let parts = parts.into_iter().filter(|(_, pod)| pod["containers"].is_array());
    let pods = templates.chain(parts).map(|(labels, pod)| (labels.clone(), pod.clone()));
    pods.chain(predicted(object)).collect()
}

/// Returns labels and specification of the pods of an InferenceService, in which fields of KServe stand beside those of pods.
pub fn predicted(object: &Value) -> Option<(Value, Value)> {
    let mut pod = Some(object["spec"]["predictor"].clone()).filter(Value::is_object)?;
    let labels = pod["labels"].take();
    let fields = pod.as_object_mut()?;
    fields.retain(|name, _| {
        !["labels", "annotations", "minReplicas", "maxReplicas", "deploymentStrategy"]
            .contains(&name.as_str())
    });
    Some((labels, pod))
}

/// Applies everything in a folder in the order of its list; returns all objects.
pub fn apply(door: &Door<'_>, folder: &Path, example: &str) -> Vec<Value> {
    install(door, folder);
    let read = |file: &Path| -> Value {
        serde_saphyr::from_str(&fs::read_to_string(file).expect("a file")).expect("YAML")
    };
    let list = read(&folder.join("kubernetes/kustomization.yaml"));
    let mut objects = Vec::new();
    for file in list["resources"].as_array().expect("a list") {
        let object = read(&folder.join("kubernetes").join(file.as_str().expect("a path")));
        // Its definition is not at hand.
        if object["kind"] == "ExternalSecret" {
            continue;
        }
        // Operators live in namespaces of their own, which are there before the plan.
        if let Some(namespace) = object["metadata"]["namespace"].as_str() {
            let own = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
            let made = door.change(&format!("/api/v1/namespaces/{namespace}"), "operators", &own);
            assert!(made.status < 300, "{}", made.body);
        }
        let version = object["apiVersion"].as_str().expect("a version");
        let root = if version.contains('/') { "/apis" } else { "/api" };
        let served =
            door.object(&format!("{root}/{version}")).unwrap_or_else(|| panic!("{version} is not served"));
        let done = door.change(&path(&object, &served), "capstan", &object);
        assert!(done.status < 300, "{example}: {file}: {}", done.body);
        for (labels, spec) in pods(&object) {
            // The controller of a set adds a volume for each claim.
            let mut spec = spec;
            for claim in object["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
                let name = &claim["metadata"]["name"];
                spec["volumes"] = json!([{ "name": name, "persistentVolumeClaim": { "claimName": name } }]);
            }
            let namespace = object["metadata"]["namespace"].as_str().expect("a namespace");
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod", "spec": spec,
                "metadata": { "generateName": "bare-", "labels": labels },
            });
            let at = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict");
            let tried = door.ask("POST", &at, Some(&pod));
            assert!(tried.status < 300, "{example}: {file} as a bare pod: {}", tried.body);
        }
        objects.push(object);
    }
    objects
}

/// An example that was planned, `b.json`, and emitted, `out`.
pub struct Example {
    pub name: String,
    pub place: Place,
}

/// Plans every example that has a plan, each in a namespace of its own.
pub fn examples() -> Vec<Example> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut files: Vec<_> =
        fs::read_dir(&examples).expect("examples").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "plan"));
    files.sort();
    let mut planned = Vec::new();
    for file in files {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).expect("an example");
        let place = Place::new();
        // Examples that do not ask for manifests are asked to, so that their workloads are tried as well.
        let own = format!("namespace = \"{}\"", name.trim_end_matches(".plan").replace('_', "-"));
        let deployed = if text.contains("deploy kubernetes") {
            text.replace("namespace = \"llm\"", &own).replace("namespace    = \"llm\"", &own)
        } else {
            format!("{text}\ndeploy kubernetes {{ {own}, monitoring = prometheus }}\n")
        };
        place.write(&name, deployed);
        let done = place.run(&["plan", &name, "-o", "b.json"]);
        if done.code == 3 {
            continue;
        }
        done.exits(0);
        place.run(&["emit", "b.json", "--target", "kubernetes", "-o", "out"]).exits(0);
        planned.push(Example { name, place });
    }
    planned
}
