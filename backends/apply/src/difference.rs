//! What differs between an object as it lives and as it would be, and who wrote the fields that differ?
//!
//! Values of secrets are never shown: their digests are.

use crate::object::MANAGER;
use crate::served::items;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// One step into an object.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    /// The element of a list that has this name.
    Named(String),
    Index(usize),
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Where, such as `.spec.template.spec.containers[name=vllm].image`.
    pub field: String,
    /// As it lives; none where it is absent.
    pub live: Option<Value>,
    /// As it would be; none where it would be absent.
    pub wanted: Option<Value>,
    /// Who wrote the living value, besides us.
    pub managers: Vec<String>,
}

/// Metadata that the server writes.
const SERVERS_OWN: [&str; 6] =
    ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"];

/// Returns every field in which two states of an object differ.
pub(crate) fn changes(live: &Value, wanted: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare(&mut Vec::new(), Some(&stripped(live)), Some(&stripped(wanted)), &mut found);
    let secret = live["kind"] == "Secret" || wanted["kind"] == "Secret";
    let change = |(path, from, to): (Vec<Step>, Option<Value>, Option<Value>)| {
        let masked = secret
            && matches!(path.first(), Some(Step::Field(name)) if name == "data" || name == "stringData");
        let shown = |value: Option<Value>| if masked { value.as_ref().map(hashed) } else { value };
        Change { managers: managers(live, &path), field: text(&path), live: shown(from), wanted: shown(to) }
    };
    found.into_iter().map(change).collect()
}

/// Returns whether we own the same fields in both states.
pub(crate) fn owns_the_same(live: &Value, wanted: &Value) -> bool {
    fields_of_ours(live) == fields_of_ours(wanted)
}

fn fields_of_ours(object: &Value) -> Option<&Value> {
    let entries = items(&object["metadata"], "managedFields").iter();
    entries
        .filter(|entry| entry["manager"] == MANAGER && entry["operation"] == "Apply")
        .map(|entry| &entry["fieldsV1"])
        .next()
}

/// Returns an object without what the server alone writes.
fn stripped(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|name, _| !SERVERS_OWN.contains(&name.as_str()));
        }
    }
    object
}

type Found = Vec<(Vec<Step>, Option<Value>, Option<Value>)>;

fn compare(path: &mut Vec<Step>, live: Option<&Value>, wanted: Option<&Value>, found: &mut Found) {
    match (live, wanted) {
        (Some(one), Some(other)) if one == other => {}
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            for name in one.keys().chain(other.keys()).collect::<BTreeSet<_>>() {
                path.push(Step::Field(name.clone()));
                compare(path, one.get(name), other.get(name), found);
                path.pop();
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(other))) => compare_lists(path, one, other, found),
        _ => found.push((path.clone(), live.cloned(), wanted.cloned())),
    }
}

fn compare_lists(path: &mut Vec<Step>, one: &[Value], other: &[Value], found: &mut Found) {
    let named = |list: &[Value]| -> Option<Vec<String>> {
        let names: Option<Vec<String>> =
            list.iter().map(|item| item["name"].as_str().map(str::to_owned)).collect();
        names.filter(|names| names.iter().collect::<BTreeSet<_>>().len() == names.len())
    };
    if let (Some(left), Some(right)) = (named(one), named(other)) {
        for name in left.iter().chain(&right).collect::<BTreeSet<_>>() {
            let of = |list: &[Value]| list.iter().find(|item| item["name"] == name.as_str()).cloned();
            path.push(Step::Named(name.clone()));
            compare(path, of(one).as_ref(), of(other).as_ref(), found);
            path.pop();
        }
        return;
    }
    for index in 0..one.len().max(other.len()) {
        path.push(Step::Index(index));
        compare(path, one.get(index), other.get(index), found);
        path.pop();
    }
}

fn text(path: &[Step]) -> String {
    path.iter()
        .map(|step| match step {
            Step::Field(name) if name.contains(['.', '/']) => format!("[{name:?}]"),
            Step::Field(name) => format!(".{name}"),
            Step::Named(name) => format!("[name={name}]"),
            Step::Index(index) => format!("[{index}]"),
        })
        .collect()
}

/// Returns the digest of a value, with equal values told by equal digests within one object.
fn hashed(value: &Value) -> Value {
    let digest = Sha256::digest(value.to_string());
    let text: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Value::String(format!("sha256:{text}"))
}

/// Returns who else owns a field of a living object.
fn managers(live: &Value, path: &[Step]) -> Vec<String> {
    let entries = items(&live["metadata"], "managedFields");
    let owners = entries.iter().filter(|entry| {
        let ours = entry["manager"] == MANAGER && entry["operation"] == "Apply";
        !ours && owns(&entry["fieldsV1"], path)
    });
    let names = owners.filter_map(|entry| entry["manager"].as_str().map(str::to_owned));
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Returns whether a set of fields holds a path; a leaf of the set holds all below it.
fn owns(fields: &Value, path: &[Step]) -> bool {
    let Some(map) = fields.as_object() else { return false };
    let Some((step, rest)) = path.split_first() else { return true };
    if map.keys().all(|key| key == ".") {
        return true;
    }
    match step {
        Step::Field(name) => map.get(&format!("f:{name}")).is_some_and(|below| owns(below, rest)),
        Step::Named(name) => item(map, name).is_some_and(|below| owns(below, rest)),
        Step::Index(index) => map.values().nth(*index).is_some_and(|below| owns(below, rest)),
    }
}

/// Returns what a set of fields holds of a list's element with a name.
fn item<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let named = |key: &str| {
        let keys: Option<Value> = key.strip_prefix("k:").and_then(|text| serde_json::from_str(text).ok());
        keys.is_some_and(|keys| keys["name"] == name)
    };
    map.iter().find(|(key, _)| named(key)).map(|(_, below)| below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_server_writes_is_no_change() {
        let live = json!({"metadata": {"name": "a", "uid": "1", "resourceVersion": "7"}, "status": {"x": 1}});
        assert_eq!(changes(&live, &json!({"metadata": {"name": "a"}})), []);
    }

    #[test]
    fn a_change_names_its_place_and_who_wrote_it() {
        let container = |image: &str| json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "vllm", "image": image}]}});
        let mut live = container("old");
        live["metadata"]["managedFields"] = json!([
            {"manager": "hand", "operation": "Update", "fieldsV1":
                {"f:spec": {"f:containers": {"k:{\"name\":\"vllm\"}": {".": {}, "f:image": {}}}}}},
            {"manager": "other", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
        ]);
        let found = changes(&live, &container("new"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].field, ".spec.containers[name=vllm].image");
        assert_eq!(
            (found[0].live.clone(), found[0].wanted.clone()),
            (Some(json!("old")), Some(json!("new")))
        );
        assert_eq!(found[0].managers, ["hand"]);
    }

    #[test]
    fn secrets_are_shown_as_digests() {
        let secret = |value: &str| json!({"kind": "Secret", "data": {"token": value}, "type": value});
        let found = changes(&secret("planted-one"), &secret("planted-two"));
        let text =
            serde_json::to_string(&found.iter().find(|change| change.field == ".data.token")).expect("plain");
        assert!(text.contains("sha256:") && !text.contains("planted"), "{text}");
    }

    #[test]
    fn a_field_that_goes_and_one_that_comes_are_told_apart() {
        let found = changes(&json!({"a": 1}), &json!({"b": 2}));
        let told: Vec<_> =
            found.iter().map(|change| (change.field.as_str(), change.live.is_some())).collect();
        assert_eq!(told, [(".a", true), (".b", false)]);
    }
}
