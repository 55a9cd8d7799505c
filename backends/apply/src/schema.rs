//! Which fields does the server know? As its own description says (OpenAPI v3), for every kind of the plan that it serves.
//!
//! A strict apply refuses an unknown field as well, but only once its namespace and kind are there; this looks before.

use crate::api::Api;
use crate::look::Desired;
use crate::object::Object;
use crate::served::Served;
use crate::trouble::Trouble;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Returns every field of the plan that the server does not know, as `.spec.x of Kind`.
pub(crate) async fn unknown(api: &Api, served: &Served, desired: &Desired) -> Result<Vec<String>, Trouble> {
    let index = api.read("/openapi/v3").await?;
    if !index.is_ok() {
        return Err(Trouble::Forbidden(format!("reading which fields are served: {}", index.message())));
    }
    let mut of_version: BTreeMap<&str, Vec<&Object>> = BTreeMap::new();
    for object in desired.objects.iter().filter(|object| served.has(&object.id)) {
        of_version.entry(&object.id.api_version).or_default().push(object);
    }
    let mut unknown = BTreeSet::new();
    for (version, objects) in of_version {
        let name = if version.contains('/') { format!("apis/{version}") } else { format!("api/{version}") };
        let Some(path) = index.body["paths"][&name]["serverRelativeURL"].as_str() else { continue };
        let described = api.read(path).await?.body;
        for object in objects {
            unknown.extend(fields(object, &described));
        }
    }
    Ok(unknown.into_iter().collect())
}

/// Returns the fields of an object that its description does not have.
fn fields(object: &Object, described: &Value) -> Vec<String> {
    let all = &described["components"]["schemas"];
    let (group, kind) = (object.id.group(), object.id.kind.as_str());
    let is_it = |schema: &&Value| {
        let rows = schema["x-kubernetes-group-version-kind"].as_array();
        rows.into_iter().flatten().any(|row| row["group"] == group && row["kind"] == kind)
    };
    let Some(schema) = all.as_object().and_then(|map| map.values().find(is_it)) else { return Vec::new() };
    let mut found = Vec::new();
    walk(&object.value, schema, all, "", &mut found);
    found.into_iter().map(|path| format!("{path} of {kind}")).collect()
}

fn walk(value: &Value, schema: &Value, all: &Value, path: &str, found: &mut Vec<String>) {
    let schema = resolved(schema, all);
    for item in value.as_array().into_iter().flatten() {
        walk(item, &schema["items"], all, path, found);
    }
    let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
    for (name, below) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if let Some(known) = schema["properties"].get(name) {
            walk(below, known, all, &path, found);
        } else if schema["additionalProperties"].is_object() {
            walk(below, &schema["additionalProperties"], all, &path, found);
        // Metadata of defined kinds, and kinds that say nothing of their fields, are described as bare objects.
        } else if !open && schema["properties"].is_object() {
            found.push(path);
        }
    }
}

/// Follows a reference, alone or as the only part of a whole.
fn resolved<'a>(schema: &'a Value, all: &'a Value) -> &'a Value {
    let whole = schema["allOf"].as_array().and_then(|parts| parts.first());
    let name = schema["$ref"].as_str().or_else(|| whole?["$ref"].as_str());
    let name = name.and_then(|name| name.strip_prefix("#/components/schemas/"));
    name.and_then(|name| all.get(name)).unwrap_or(schema)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_that_are_not_described_are_named_with_their_path() {
        let described = json!({"components": {"schemas": {
            "a.Scaler": {
                "x-kubernetes-group-version-kind": [{"group": "g", "kind": "Scaler", "version": "v2"}],
                "properties": {
                    "apiVersion": {}, "kind": {}, "metadata": {"type": "object"},
                    "spec": {"allOf": [{"$ref": "#/components/schemas/a.Spec"}]},
                },
            },
            "a.Spec": {"properties": {
                "rules": {"items": {"$ref": "#/components/schemas/a.Rule"}},
                "labels": {"additionalProperties": {"type": "string"}},
                "free": {"x-kubernetes-preserve-unknown-fields": true, "properties": {}},
            }},
            "a.Rule": {"properties": {"window": {}}},
        }}});
        let object = |spec: Value| {
            let value = json!({"apiVersion": "g/v2", "kind": "Scaler", "metadata": {"name": "a", "labels": {"b": "c"}}, "spec": spec});
            fields(&Object::of(value, "test").expect("an object"), &described)
        };
        let good = json!({"rules": [{"window": 1}], "labels": {"x": "y"}, "free": {"z": 1}});
        assert_eq!(object(good), [] as [&str; 0]);
        let bad = json!({"rules": [{"window": 1}, {"tolerance": "0.1"}], "more": 1});
        assert_eq!(object(bad), [".spec.more of Scaler", ".spec.rules.tolerance of Scaler"]);
    }
}
