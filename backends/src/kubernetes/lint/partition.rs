//! L11: are the partitions of accelerators ones that the product has?
//!
//! Geometries of NVIDIA's mig-parted presets (GPU operator 26.7.0): slices of compute, of seven, and the memory that goes
//! with each. A partition that is asked for is served as `nvidia.com/mig-PROFILE` under the strategy `mixed` only.

use super::view::View;
use serde_json::Value;

/// Compute slices of one accelerator.
const SLICES: u64 = 7;

/// Memory of one profile in GB, by slices of compute, for each product's memory.
const PROFILES: [(&str, u64); 41] = [
    ("1g.5gb", 1),
    ("1g.6gb", 1),
    ("1g.10gb", 1),
    ("1g.12gb", 1),
    ("1g.18gb", 1),
    ("1g.20gb", 1),
    ("1g.23gb", 1),
    ("1g.24gb", 1),
    ("1g.34gb", 1),
    ("1g.35gb", 1),
    ("1g.45gb", 1),
    ("1g.67gb", 1),
    ("2g.10gb", 2),
    ("2g.12gb", 2),
    ("2g.20gb", 2),
    ("2g.24gb", 2),
    ("2g.35gb", 2),
    ("2g.45gb", 2),
    ("2g.48gb", 2),
    ("2g.67gb", 2),
    ("2g.70gb", 2),
    ("3g.20gb", 3),
    ("3g.40gb", 3),
    ("3g.47gb", 3),
    ("3g.71gb", 3),
    ("3g.90gb", 3),
    ("3g.135gb", 3),
    ("4g.20gb", 4),
    ("4g.24gb", 4),
    ("4g.40gb", 4),
    ("4g.47gb", 4),
    ("4g.71gb", 4),
    ("4g.90gb", 4),
    ("4g.96gb", 4),
    ("4g.135gb", 4),
    ("7g.40gb", 7),
    ("7g.80gb", 7),
    ("7g.94gb", 7),
    ("7g.141gb", 7),
    ("7g.180gb", 7),
    ("7g.269gb", 7),
];

/// Returns what is wrong with the partitions that a configuration asks for.
pub(super) fn partitions_exist(view: &View<'_>, all: &[View<'_>]) -> Vec<String> {
    let mut messages = Vec::new();
    let configured = view.tree["data"]["config.yaml"].as_str().filter(|text| text.contains("mig-configs"));
    if let Some(text) = configured.filter(|_| view.kind() == "ConfigMap") {
        match serde_saphyr::from_str::<Value>(text) {
            Ok(tree) => messages.extend(geometries(&tree["mig-configs"])),
            Err(error) => messages.push(format!("its partitions are no YAML: {error}")),
        }
    }
    let asks = view.containers().into_iter().any(|container| {
        let limits = container["resources"]["limits"].as_object();
        limits.is_some_and(|limits| limits.keys().any(|name| name.starts_with("nvidia.com/mig-")))
    });
    let strategy =
        |other: &&View<'_>| other.kind() == "ClusterPolicy" && other.spec()["mig"]["strategy"] != "mixed";
    if asks && all.iter().any(|other| strategy(&other)) {
        messages.push("partitions are served by name under the strategy `mixed` only".to_owned());
    }
    messages
}

fn geometries(configurations: &Value) -> Vec<String> {
    let mut messages = Vec::new();
    for (name, rows) in configurations.as_object().into_iter().flatten() {
        for row in rows.as_array().into_iter().flatten() {
            let mut slices = 0;
            for (profile, count) in row["mig-devices"].as_object().into_iter().flatten() {
                let base = profile.split('+').next().unwrap_or(profile);
                match PROFILES.iter().find(|(known, _)| *known == base) {
                    Some((_, size)) => slices += size * count.as_u64().unwrap_or(0),
                    None => messages.push(format!("`{name}` asks for {profile}, which no accelerator has")),
                }
            }
            if slices > SLICES {
                messages
                    .push(format!("`{name}` asks for {slices} slices of an accelerator that has {SLICES}"));
            }
        }
    }
    messages
}
