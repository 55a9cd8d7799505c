//! What would be done to bring the cluster to the plan? Asked of the server itself, which does nothing of it.
//!
//! Each object is read and applied as a dry run, strictly. Where its namespace is not there yet, the server checks it in
//! `default`; pod templates are tried as bare pods, since admission speaks of pods only when there are some.

use crate::api::{Api, Applying, Reply, Shelf};
use crate::difference::{changes, owns_the_same};
use crate::event::{Action, Step};
use crate::object::{Id, Object, PLAN_LABEL};
use crate::order::waves;
use crate::preflight::new_enough;
use crate::served::{Served, items};
use crate::store::{Entry, Inventory};
use crate::trouble::{Conflict, Trouble};
use futures_util::StreamExt;
use http::StatusCode;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Requests at one time.
pub(crate) const AT_ONCE: usize = 16;

/// What is wanted of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// The plan, as labels name it.
    pub plan: String,
    /// All of its objects.
    pub objects: Vec<Object>,
    /// The oldest minor version of Kubernetes 1 that serves all of them.
    pub minor: u32,
}

/// What would be done.
#[derive(Debug)]
pub struct Looked {
    /// One step per object of the plan in order, then what leaves.
    pub steps: Vec<Step>,
    pub(crate) waves: Vec<Vec<Object>>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) leaving: Vec<Entry>,
}

impl Looked {
    /// Returns whether nothing would be written.
    pub fn is_quiet(&self) -> bool {
        self.steps.iter().all(|step| step.action == Action::Keep)
    }
}

/// What one object's look needs.
struct Eye<'a> {
    api: &'a Api,
    served: &'a Served,
    desired: &'a Desired,
    /// The namespaces that objects name, and whether each is there.
    namespaces: BTreeMap<String, bool>,
    force: bool,
}

/// Returns what would be done; conflicts of all objects are told at once.
pub(crate) async fn look(
    api: &Api,
    served: &Served,
    desired: &Desired,
    inventory: &Inventory,
    force: bool,
) -> Result<Looked, Trouble> {
    let ordered = waves(&desired.objects)?;
    new_enough(api, desired.minor).await?;
    all_served(served, desired)?;
    let namespaces = namespaces(api, desired).await?;
    let eye = Eye { api, served, desired, namespaces, force };
    let numbered = ordered
        .iter()
        .enumerate()
        .flat_map(|(wave, objects)| objects.iter().map(move |object| (wave, object)));
    let seen: Vec<Result<Seen, Trouble>> =
        futures_util::stream::iter(numbered.map(|(wave, object)| eye.at(wave, object)))
            .buffered(AT_ONCE)
            .collect()
            .await;
    let (mut steps, mut entries, mut conflicts) = (Vec::new(), Vec::new(), Vec::new());
    let mut waves = ordered.clone();
    for one in seen {
        match one {
            Ok(Seen { step, entry, yielded }) => {
                if let Some(object) = yielded {
                    let same = waves.iter_mut().flatten().find(|known| known.id == object.id);
                    same.into_iter().for_each(|known| *known = object.clone());
                }
                steps.push(step);
                entries.push(entry);
            }
            Err(Trouble::Conflicts(found)) => conflicts.extend(found),
            Err(other) => return Err(other),
        }
    }
    if !conflicts.is_empty() {
        return Err(Trouble::Conflicts(conflicts));
    }
    let leaves = |known: &&Entry| !desired.objects.iter().any(|object| object.id.is_same(&known.id));
    let leaving: Vec<Entry> = inventory.entries.iter().filter(leaves).cloned().collect();
    steps.extend(leaving.iter().map(|entry| Step {
        object: entry.id.clone(),
        action: Action::Prune,
        wave: None,
        changes: Vec::new(),
        warnings: Vec::new(),
        checked: true,
    }));
    Ok(Looked { steps, waves, entries, leaving })
}

/// Fails where a kind is not served and no definition of the plan will serve it.
fn all_served(served: &Served, desired: &Desired) -> Result<(), Trouble> {
    let missing = unserved(served, desired);
    if missing.is_empty() { Ok(()) } else { Err(Trouble::NotServed(missing)) }
}

/// Returns the kinds that are not served and that no definition of the plan will serve.
pub(crate) fn unserved(served: &Served, desired: &Desired) -> Vec<String> {
    let mut missing: Vec<String> = desired
        .objects
        .iter()
        .filter(|object| !served.has(&object.id) && !defined(desired, &object.id))
        .map(|object| format!("{} {}", object.id.api_version, object.id.kind))
        .collect();
    missing.sort();
    missing.dedup();
    missing
}

fn defined(desired: &Desired, id: &Id) -> bool {
    desired.objects.iter().any(|object| {
        let spec = &object.value["spec"];
        object.id.kind == "CustomResourceDefinition"
            && spec["group"] == id.group()
            && spec["names"]["kind"] == id.kind.as_str()
    })
}

/// Returns every namespace that objects name and whether it is there; one that is going away is trouble.
async fn namespaces(api: &Api, desired: &Desired) -> Result<BTreeMap<String, bool>, Trouble> {
    let mut found = BTreeMap::new();
    for name in desired.objects.iter().filter_map(|object| object.id.namespace.as_ref()) {
        if found.contains_key(name) {
            continue;
        }
        let seen = api.get(&Shelf::of::<Namespace>(&(), None).at(name)).await?;
        if seen.body["metadata"]["deletionTimestamp"].is_string() {
            return Err(Trouble::Terminating(format!("Namespace {name}")));
        }
        if !seen.is_ok() && seen.status != StatusCode::NOT_FOUND {
            return Err(Trouble::Forbidden(seen.message()));
        }
        found.insert(name.clone(), seen.is_ok());
    }
    Ok(found)
}

/// What was seen of one object.
struct Seen {
    step: Step,
    entry: Entry,
    /// What is to be applied instead, where a field has become another's.
    yielded: Option<Object>,
}

/// Fields that say how an object begins: whoever changes one later (a queue that lets a job go, or a person) keeps it.
const BEGINNINGS: [(&str, &[&str]); 7] = [
    ("Job", &["suspend"]),
    ("TrainJob", &["suspend"]),
    ("RayJob", &["suspend"]),
    ("JobSet", &["suspend"]),
    ("PyTorchJob", &["runPolicy", "suspend"]),
    ("MPIJob", &["runPolicy", "suspend"]),
    ("TFJob", &["runPolicy", "suspend"]),
];

/// Returns an object without the fields of its `spec` that only say how it begins and that live on at another value.
fn yielded(object: &Object, living: &Value) -> Option<Object> {
    let (_, path) = BEGINNINGS.iter().find(|(kind, _)| *kind == object.id.kind)?;
    let (field, above) = path.split_last()?;
    let holder = |spec| above.iter().try_fold(spec, |below: &Value, name| below.get(name));
    let (ours, live) = (holder(&object.value["spec"])?.get(field)?, holder(&living["spec"])?.get(field)?);
    if ours == live {
        return None;
    }
    let mut without = object.clone();
    let held = above.iter().try_fold(&mut without.value["spec"], |below, name| below.get_mut(name))?;
    held.as_object_mut()?.remove(*field);
    Some(without)
}

impl Eye<'_> {
    /// Looks at one object.
    async fn at(&self, wave: usize, object: &Object) -> Result<Seen, Trouble> {
        let id = &object.id;
        let seen = |step, entry| Seen { step, entry, yielded: None };
        let step = |action, checked| Step {
            object: id.clone(),
            action,
            wave: Some(wave),
            changes: Vec::new(),
            warnings: Vec::new(),
            checked,
        };
        let entry = |uid, adopted| Entry { id: id.clone(), uid, adopted, wave };
        let Some(place) = self.served.place(id) else {
            return Ok(seen(step(Action::Create, false), entry(None, false)));
        };
        let there = id.namespace.as_ref().is_none_or(|name| self.namespaces.get(name) == Some(&true));
        if !there {
            let warnings = self.elsewhere(object).await?;
            return Ok(seen(Step { warnings, ..step(Action::Create, false) }, entry(None, false)));
        }
        let live = self.api.get(&place).await?;
        let living = live.is_ok().then_some(&live.body);
        if !live.is_ok() && live.status != StatusCode::NOT_FOUND {
            return Err(refusal(id, &live));
        }
        let owned = living.map(|living| self.owned(id, living)).transpose()?;
        let instead = living.and_then(|living| yielded(object, living));
        let object = instead.as_ref().unwrap_or(object);
        let wanted = self.api.apply(&place, Applying { force: self.force, dry: true }, &object.value).await?;
        if !wanted.is_ok() {
            return Err(refusal(id, &wanted));
        }
        let mut warnings = wanted.warnings.clone();
        let uid = living.and_then(|living| living["metadata"]["uid"].as_str()).map(str::to_owned);
        let Some(living) = living else {
            warnings.extend(self.pods(object, true).await?);
            return Ok(seen(Step { warnings, ..step(Action::Create, true) }, entry(None, false)));
        };
        let changes = changes(living, &wanted.body);
        if changes.is_empty() && owns_the_same(living, &wanted.body) {
            return Ok(Seen { step: step(Action::Keep, true), entry: entry(uid, false), yielded: instead });
        }
        warnings.extend(self.pods(object, false).await?);
        let adopted = owned == Some(false);
        let action = if adopted { Action::Adopt } else { Action::Update };
        let step = Step { changes, warnings, ..step(action, true) };
        Ok(Seen { step, entry: entry(uid, adopted), yielded: instead })
    }

    /// Returns whether a living object carries our label; another plan's, or one that goes away, is trouble.
    fn owned(&self, id: &Id, living: &Value) -> Result<bool, Trouble> {
        if living["metadata"]["deletionTimestamp"].is_string() {
            return Err(Trouble::Terminating(id.to_string()));
        }
        match living["metadata"]["labels"][PLAN_LABEL].as_str() {
            Some(owner) if owner != self.desired.plan => {
                Err(Trouble::Owned { object: id.to_string(), owner: owner.to_owned() })
            }
            owner => Ok(owner.is_some()),
        }
    }

    /// Has an object checked in `default`, since its own namespace comes with a wave; returns warnings.
    async fn elsewhere(&self, object: &Object) -> Result<Vec<String>, Trouble> {
        let id = Id {
            namespace: Some("default".to_owned()),
            name: "capstan-check".to_owned(),
            ..object.id.clone()
        };
        let mut value = object.value.clone();
        value["metadata"]["namespace"] = json!(id.namespace);
        value["metadata"]["name"] = json!(id.name);
        let Some(place) = self.served.place(&id) else { return Ok(Vec::new()) };
        let checked = self.api.apply(&place, Applying { force: true, dry: true }, &value).await?;
        if checked.is_ok() { Ok(checked.warnings) } else { Err(refusal(&object.id, &checked)) }
    }

    /// Tries the pod templates of an object as bare pods; returns warnings.
    async fn pods(&self, object: &Object, new: bool) -> Result<Vec<String>, Trouble> {
        let mut warnings = Vec::new();
        let namespace = object.id.namespace.as_deref().unwrap_or("default");
        for pods in object.pods() {
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod", "spec": object.with_claims(pods.spec),
                "metadata": { "generateName": "capstan-check-", "namespace": namespace, "labels": pods.labels },
            });
            let tried = self.api.try_out(&Shelf::of::<Pod>(&(), Some(namespace)), &pod).await?;
            // Pods that run already fill the quota that one more would need.
            let full = !new && tried.message().contains("exceeded quota");
            if !tried.is_ok() && !full {
                return Err(refusal(&object.id, &tried));
            }
            warnings.extend(tried.warnings);
        }
        Ok(warnings)
    }
}

/// Returns what a refusal of an object means.
pub(crate) fn refusal(id: &Id, reply: &Reply) -> Trouble {
    let (object, why) = (id.to_string(), reply.message());
    let causes = items(&reply.body["details"], "causes");
    let conflicts: Vec<Conflict> = causes
        .iter()
        .filter(|cause| cause["reason"] == "FieldManagerConflict")
        .map(|cause| Conflict {
            object: object.clone(),
            field: cause["field"].as_str().unwrap_or_default().to_owned(),
            manager: manager(cause["message"].as_str().unwrap_or_default()),
        })
        .collect();
    if !conflicts.is_empty() {
        return Trouble::Conflicts(conflicts);
    }
    match reply.status.as_u16() {
        403 if why.contains(" cannot ") => Trouble::Forbidden(why),
        403 if why.contains("because it is being terminated") => {
            Trouble::Terminating(format!("the namespace of {object}"))
        }
        422 if why.contains("immutable") => Trouble::Immutable { object, why },
        _ => Trouble::Refused { object, why },
    }
}

/// Returns the manager in a message such as `conflict with "kubectl-edit" using apps/v1`.
fn manager(message: &str) -> String {
    let quoted = message.split('"').nth(1);
    quoted.map_or_else(|| message.to_owned(), |name| format!("`{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_a_queue_let_go_stays_so() {
        let value = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": {"suspend": true, "backoffLimit": 0}});
        let job = Object::of(value, "test").expect("an object");
        let without = yielded(&job, &json!({"spec": {"suspend": false}})).expect("it differs");
        assert_eq!(without.value["spec"], json!({"backoffLimit": 0}));
        assert_eq!(yielded(&job, &json!({"spec": {"suspend": true}})), None);
        assert_eq!(yielded(&job, &json!({"spec": {}})), None);
        let value = json!({"apiVersion": "kubeflow.org/v1", "kind": "MPIJob", "metadata": {"name": "a"}, "spec": {"runPolicy": {"suspend": true, "backoffLimit": 3}}});
        let job = Object::of(value, "test").expect("an object");
        let without = yielded(&job, &json!({"spec": {"runPolicy": {"suspend": false}}})).expect("it differs");
        assert_eq!(without.value["spec"], json!({"runPolicy": {"backoffLimit": 3}}));
        assert_eq!(yielded(&job, &json!({"spec": {}})), None);
    }

    #[test]
    fn a_conflict_names_its_manager() {
        assert_eq!(manager("conflict with \"kubectl-edit\" using apps/v1 at 2026-01-01"), "`kubectl-edit`");
        assert_eq!(manager("conflict"), "conflict");
    }
}
