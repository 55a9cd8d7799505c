//! Which inputs differ: files, overrides, fields of the plan, prices, other catalog rows.
//!
//! Plans and catalogs are compared as JSON, so that a field that is added to them is compared from then on.

use capstan_types::blueprint::Blueprint;
use capstan_types::diff::Cause;
use capstan_types::offering::Offering;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Fields that follow from others or say only where text stands.
const NOT_COMPARED: [&str; 2] = ["place", "assumptions"];

/// Returns every input that differs: files, overrides, the plan, prices, then other rows.
pub(super) fn causes(base: &Blueprint, head: &Blueprint) -> Vec<Cause> {
    let (before, after) = (&base.inputs, &head.inputs);
    let mut causes = Vec::new();
    let files = |blueprint: &Blueprint| -> BTreeMap<(String, String), String> {
        let rows = blueprint.inputs.files.iter();
        rows.map(|file| ((file.role.clone(), file.path.clone()), file.sha256.clone())).collect()
    };
    for ((role, path), before, after) in paired(files(base), files(head)) {
        causes.push(Cause::File { role, path, before, after });
    }
    let overrides = |blueprint: &Blueprint| -> BTreeMap<String, String> {
        let mut changes: BTreeMap<String, String> = BTreeMap::new();
        for one in &blueprint.inputs.overrides {
            let text = changes.entry(one.path.clone()).or_default();
            text.push_str(if text.is_empty() { "" } else { "; " });
            text.push_str(&format!("{} ({})", one.change, one.from));
        }
        changes
    };
    for (path, before, after) in paired(overrides(base), overrides(head)) {
        causes.push(Cause::Override { path, before, after });
    }
    for (path, before, after) in paired(leaves(&before.spec), leaves(&after.spec)) {
        causes.push(Cause::Plan { path, before, after });
    }
    prices(&before.catalog.offerings, &after.catalog.offerings, &mut causes);
    let others = |blueprint: &Blueprint| {
        let mut catalog = blueprint.inputs.catalog.clone();
        // Prices were compared as prices.
        catalog.offerings.iter_mut().for_each(|offering| offering.price = None);
        leaves(&catalog)
    };
    for (path, before, after) in paired(others(base), others(head)) {
        causes.push(Cause::Catalog { path, before, after });
    }
    causes
}

fn offering_name(offering: &Offering) -> String {
    let Offering { shape, provider, region, option, .. } = offering;
    format!("{shape} at {provider} {region}, {}", option.words())
}

fn prices(before: &[Offering], after: &[Offering], causes: &mut Vec<Cause>) {
    let rows = |offerings: &[Offering]| -> BTreeMap<String, Offering> {
        offerings.iter().map(|offering| (offering_name(offering), offering.clone())).collect()
    };
    for (offering, before, after) in paired(rows(before), rows(after)) {
        // What only one of them uses is told as a row of the catalog: nobody says that its price is unknown to the other.
        let (Some(before), Some(after)) = (before, after) else { continue };
        if before.price != after.price {
            let (before, currency, after) = (before.price, after.currency, after.price);
            causes.push(Cause::Price { offering, before, after, currency });
        }
    }
}

/// Returns the keys whose values differ, in order, with both values.
fn paired<K: Ord + Clone, V: PartialEq>(
    mut before: BTreeMap<K, V>,
    mut after: BTreeMap<K, V>,
) -> Vec<(K, Option<V>, Option<V>)> {
    let mut keys: Vec<K> = before.keys().chain(after.keys()).cloned().collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .map(|key| {
            let (before, after) = (before.remove(&key), after.remove(&key));
            (key, before, after)
        })
        .filter(|(_, before, after)| before != after)
        .collect()
}

/// Returns every leaf of a document by its path; rows of lists are named, not numbered, where they have a name.
pub(super) fn leaves(document: &impl Serialize) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    // A document of our own types always has a JSON form; without one there is nothing to compare.
    let value = serde_json::to_value(document).unwrap_or(Value::Null);
    walk(&value, "", &mut found);
    found
}

fn walk(value: &Value, path: &str, found: &mut BTreeMap<String, String>) {
    let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) => {
            let compared = fields.iter().filter(|(name, _)| !NOT_COMPARED.contains(&name.as_str()));
            for (name, field) in compared {
                walk(field, &join(name), found);
            }
        }
        Value::Array(rows) if rows.iter().all(Value::is_object) => {
            let mut seen: BTreeMap<String, u32> = BTreeMap::new();
            for (index, row) in rows.iter().enumerate() {
                let name = row.as_object().and_then(row_name).unwrap_or_else(|| index.to_string());
                let times = seen.entry(name.clone()).or_insert(0);
                *times += 1;
                let name = if *times > 1 { format!("{name}#{times}") } else { name };
                walk(row, &join(&name), found);
            }
        }
        // What is `null` is not stated, as what is absent.
        Value::Null => {}
        leaf => {
            found.insert(path.to_owned(), leaf.to_string());
        }
    }
}

/// Returns what a row is known by: its name, or what it is a row for.
fn row_name(row: &Map<String, Value>) -> Option<String> {
    let text = |field: &str| row.get(field).and_then(Value::as_str);
    if let Some(name) = text("name").or_else(|| text("id")) {
        return Some(name.to_owned());
    }
    let option = row.get("option").map(|option| match option.get("term_months") {
        Some(term) => format!("reserved_{term}"),
        None => option.get("kind").and_then(Value::as_str).unwrap_or("option").to_owned(),
    });
    let parts = ["shape", "provider", "region", "accelerator", "precision", "metric", "label", "from", "to"];
    let mut name: Vec<String> = parts.iter().filter_map(|part| text(part)).map(str::to_owned).collect();
    name.extend(option);
    (!name.is_empty()).then(|| name.join("/"))
}
