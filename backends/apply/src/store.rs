//! What does the cluster remember of a plan? Which objects are its own, and what its last revisions were.
//!
//! One ConfigMap per plan lists the objects; it is written before they are, as the union of old and new, and an entry
//! leaves only when its object is gone. The texts of revisions lie beside it, packed, under the digest of their content,
//! so that a run which was killed and begins again writes the same ones.

use crate::api::{Api, Applying, Place, Shelf};
use crate::object::{Id, Object, PLAN_LABEL, digest};
use crate::served::items;
use crate::trouble::Trouble;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DeleteParams, ListParams};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::{Read, Write};

/// The namespace of what is remembered and of leases.
pub const HOME: &str = "capstan-system";

/// Revisions that are kept.
const KEPT: usize = 5;

/// Most bytes of one part of a revision, before base64; an object may have 1 MiB.
const PART: usize = 700_000;

/// An object of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    #[serde(flatten)]
    pub(crate) id: Id,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<String>,
    /// Whether it was there before the plan.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) adopted: bool,
    /// Its wave, so that it is deleted after what stands on it.
    #[serde(default)]
    pub(crate) wave: usize,
}

/// A revision that can be gone back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Revision {
    pub(crate) number: u32,
    pub(crate) digest: String,
    pub(crate) parts: usize,
}

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Inventory {
    pub(crate) entries: Vec<Entry>,
    pub(crate) revisions: Vec<Revision>,
}

/// The memory of one plan.
pub(crate) struct Store<'a> {
    pub(crate) api: &'a Api,
    pub(crate) plan: &'a str,
}

impl Inventory {
    /// Returns the entry of an object.
    pub(crate) fn entry(&self, id: &Id) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id.is_same(id))
    }

    /// Adds or replaces entries; what is known of one is kept.
    pub(crate) fn with(&self, entries: &[Entry]) -> Vec<Entry> {
        let mut all: Vec<Entry> = entries.to_vec();
        for entry in &mut all {
            if let Some(known) = self.entry(&entry.id) {
                entry.uid = entry.uid.take().or_else(|| known.uid.clone());
                entry.adopted = known.adopted;
            }
        }
        let rest =
            self.entries.iter().filter(|known| !entries.iter().any(|entry| entry.id.is_same(&known.id)));
        all.extend(rest.cloned());
        all.sort_by(|one, other| one.id.cmp(&other.id));
        all
    }
}

impl Store<'_> {
    fn place(&self, name: &str) -> Place {
        maps().at(name)
    }

    fn name(&self) -> String {
        format!("plan-{}", self.plan)
    }

    fn labels(&self) -> Value {
        json!({ "app.kubernetes.io/managed-by": "capstan", PLAN_LABEL: self.plan })
    }

    /// Makes the namespace of what is remembered.
    pub(crate) async fn settle(&self) -> Result<(), Trouble> {
        let home = Shelf::of::<Namespace>(&(), None).at(HOME);
        let seen = self.api.get(&home).await?;
        if seen.body["metadata"]["deletionTimestamp"].is_string() {
            return Err(Trouble::Terminating(format!("Namespace {HOME}")));
        }
        if seen.status != http::StatusCode::NOT_FOUND {
            return Ok(());
        }
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": HOME, "labels": { "app.kubernetes.io/managed-by": "capstan" } },
        });
        let made = self.api.apply(&home, Applying { force: false, dry: false }, &namespace).await?;
        if made.is_ok() { Ok(()) } else { Err(refused(&format!("Namespace {HOME}"), &made.message())) }
    }

    /// Returns what is remembered, and the version at which it was read.
    pub(crate) async fn read(&self) -> Result<(Inventory, Option<String>), Trouble> {
        let object = format!("ConfigMap {HOME}/{}", self.name());
        let seen = self.api.get(&self.place(&self.name())).await?;
        if seen.status == http::StatusCode::NOT_FOUND {
            return Ok((Inventory::default(), None));
        }
        if !seen.is_ok() {
            return Err(Trouble::Forbidden(format!("reading {object}: {}", seen.message())));
        }
        let text = seen.body["data"]["inventory.json"].as_str().unwrap_or_default();
        let inventory = serde_json::from_str(text)
            .map_err(|error| Trouble::Damaged { object, why: error.to_string() })?;
        Ok((inventory, seen.body["metadata"]["resourceVersion"].as_str().map(str::to_owned)))
    }

    /// Writes what is to be remembered, if it differs from what is.
    pub(crate) async fn write(&self, inventory: &Inventory) -> Result<(), Trouble> {
        let (known, version) = self.read().await?;
        if version.is_some() && known == *inventory {
            return Ok(());
        }
        let text = serde_json::to_string(inventory).expect("an inventory has only string keys");
        let mut object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": self.name(), "namespace": HOME, "labels": self.labels() },
            "data": { "inventory.json": text },
        });
        if let Some(version) = version {
            object["metadata"]["resourceVersion"] = Value::String(version);
        }
        self.put(&self.name(), &object).await
    }

    /// Creates or replaces a ConfigMap.
    async fn put(&self, name: &str, object: &Value) -> Result<(), Trouble> {
        let made = if object["metadata"]["resourceVersion"].is_string() {
            self.api.replace(&self.place(name), object).await?
        } else {
            self.api.create(&maps(), object).await?
        };
        // A request whose answer was lost was done all the same; content under one digest is one content.
        let done =
            made.is_ok() || (made.status == http::StatusCode::CONFLICT && self.holds(name, object).await?);
        if done { Ok(()) } else { Err(refused(&format!("ConfigMap {HOME}/{name}"), &made.message())) }
    }

    async fn holds(&self, name: &str, object: &Value) -> Result<bool, Trouble> {
        let seen = self.api.get(&self.place(name)).await?;
        Ok(seen.body["data"] == object["data"] && seen.body["binaryData"] == object["binaryData"])
    }

    /// Keeps the objects as the newest revision, unless they are it already; returns the list of revisions with it.
    pub(crate) async fn keep(
        &self,
        objects: &[Object],
        known: &[Revision],
    ) -> Result<Vec<Revision>, Trouble> {
        let digest = digest(objects);
        if known.last().is_some_and(|last| last.digest == digest) {
            return Ok(known.to_vec());
        }
        let packed = pack(objects);
        let parts: Vec<&[u8]> = packed.chunks(PART).collect();
        for (index, part) in parts.iter().enumerate() {
            let name = self.part(&digest, index);
            let object = json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": { "name": name, "namespace": HOME, "labels": self.labels() },
                "binaryData": { "objects.json.gz": STANDARD.encode(part) },
            });
            self.put(&name, &object).await?;
        }
        let number = known.last().map_or(1, |last| last.number + 1);
        let mut revisions = known.to_vec();
        revisions.push(Revision { number, digest, parts: parts.len() });
        Ok(revisions.split_off(revisions.len().saturating_sub(KEPT)))
    }

    fn part(&self, digest: &str, index: usize) -> String {
        format!("plan-{}-{}-{index}", self.plan, digest.get(..16).unwrap_or(digest))
    }

    /// Returns the objects of a revision.
    pub(crate) async fn objects(&self, revision: &Revision) -> Result<Vec<Object>, Trouble> {
        let mut packed = Vec::new();
        for index in 0..revision.parts {
            let name = self.part(&revision.digest, index);
            let seen = self.api.get(&self.place(&name)).await?;
            let text = seen.body["binaryData"]["objects.json.gz"].as_str().unwrap_or_default();
            packed.extend(STANDARD.decode(text).unwrap_or_default());
        }
        let damaged = |why: String| Trouble::Damaged { object: format!("revision {}", revision.number), why };
        let objects = unpack(&packed).map_err(|error| damaged(error.to_string()))?;
        if digest(&objects) == revision.digest {
            Ok(objects)
        } else {
            Err(damaged("it was changed since it was kept".to_owned()))
        }
    }

    /// Deletes the texts of revisions that are kept no longer; all of them and the list where `all` is gone.
    pub(crate) async fn tidy(&self, revisions: &[Revision], all: bool) -> Result<(), Trouble> {
        let ours = ListParams::default().labels(&format!("{PLAN_LABEL}={}", self.plan));
        let listed = self.api.list(&maps(), &ours).await?;
        let kept: Vec<String> = revisions
            .iter()
            .flat_map(|revision| (0..revision.parts).map(|index| self.part(&revision.digest, index)))
            .collect();
        let names = items(&listed.body, "items").iter().filter_map(|item| item["metadata"]["name"].as_str());
        // The list goes last: a run that is killed before still knows what was kept.
        for name in names.filter(|&name| name != self.name()) {
            if !kept.iter().any(|kept| kept == name) {
                self.api.delete(&self.place(name), &DeleteParams::default()).await?;
            }
        }
        if all {
            self.api.delete(&self.place(&self.name()), &DeleteParams::default()).await?;
        }
        Ok(())
    }
}

/// Where ConfigMaps of all plans lie.
fn maps() -> Shelf {
    Shelf::of::<ConfigMap>(&(), Some(HOME))
}

fn refused(object: &str, why: &str) -> Trouble {
    Trouble::Refused { object: object.to_owned(), why: why.to_owned() }
}

fn pack(objects: &[Object]) -> Vec<u8> {
    let text = serde_json::to_vec(objects).expect("objects have only string keys");
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&text).and_then(|()| packed.finish()).expect("memory takes it")
}

fn unpack(bytes: &[u8]) -> std::io::Result<Vec<Object>> {
    let mut text = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, uid: Option<&str>) -> Entry {
        let id =
            Id { api_version: "v1".into(), kind: "ConfigMap".into(), namespace: None, name: name.into() };
        Entry { id, uid: uid.map(str::to_owned), adopted: false, wave: 0 }
    }

    #[test]
    fn the_union_keeps_what_is_known_and_what_leaves() {
        let known =
            Inventory { entries: vec![entry("old", Some("1")), entry("both", Some("2"))], revisions: vec![] };
        let all = known.with(&[entry("both", None), entry("new", None)]);
        let told: Vec<_> = all.iter().map(|entry| (entry.id.name.as_str(), entry.uid.as_deref())).collect();
        assert_eq!(told, [("both", Some("2")), ("new", None), ("old", Some("1"))]);
    }

    #[test]
    fn what_is_packed_comes_out_again_and_damage_is_an_error() {
        let value = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
        let objects = vec![Object::of(value, "test").expect("an object")];
        let packed = pack(&objects);
        assert_eq!(unpack(&packed).expect("whole"), objects);
        assert!(unpack(&packed[..packed.len() / 2]).is_err());
    }
}
