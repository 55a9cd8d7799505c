//! Where do objects lie? The store of objects that was sized for an own site, and a bucket for each thing that is kept in it.
//!
//! A bucket holds what was planned for it and no more. Rook writes where it is and how it is entered into a ConfigMap and a
//! Secret of its name.

use super::object::{Labels, Object, count, labels, slug};
use super::server::shortened;
use super::storage::{METADATA_COPIES, ROOK, StorageClass, protected, rook_object};
use super::{EmitError, Files, Frame, Wave};
use capstan_types::blueprint::Store;
use serde_json::json;

const FOLDER: &str = "06-storage";

/// Programs that answer for objects: one may go.
const GATEWAYS: u32 = 2;

/// Port of the service, and of its pods (Rook, `rgwPortInternalPort`).
const PORT: u16 = 80;
pub(super) const POD_PORT: u16 = 8080;

/// Label of the pods that answer (Rook, `AppName` of object stores).
pub(super) const PODS: (&str, &str) = ("app", "rook-ceph-rgw");

const GIB: f64 = 1_073_741_824.0;

fn object_store(frame: &Frame<'_>) -> String {
    shortened(&format!("{}-objects", frame.plan))
}

/// One thing that is kept, in a bucket of its own.
struct Bucket {
    name: String,
    /// The training whose program writes it.
    training: Option<String>,
    bytes: f64,
}

/// Returns the buckets of a store: one for each dataset, and one for the checkpoints of each training, that were planned there.
fn buckets(frame: &Frame<'_>, store: &Store) -> Vec<Bucket> {
    let spec = &frame.blueprint.inputs.spec;
    let kept = |what: &dyn Fn(&str) -> bool| {
        store.stored.iter().find(|one| what(&one.what)).map(|one| one.bytes.get())
    };
    let datasets = spec.datasets.iter().filter(|dataset| dataset.site == store.site).filter_map(|dataset| {
        let bytes = kept(&|what| what == format!("dataset {}", dataset.name))?;
        Some(Bucket { name: shortened(&slug(&dataset.name)), training: None, bytes })
    });
    let trainings = spec.trains.iter().filter_map(|train| {
        let bytes = kept(&|what| what.ends_with(&format!(" checkpoints of {}", train.name)))?;
        let name = shortened(&format!("{}-checkpoints", slug(&train.name)));
        Some(Bucket { name, training: Some(train.name.clone()), bytes })
    });
    datasets.chain(trainings).collect()
}

/// Returns the bucket that the program of a training at a site is told of.
pub(super) fn of_training(
    frame: &Frame<'_>,
    store: Option<&Store>,
    training: &str,
    site: &str,
) -> Option<String> {
    let store = store.filter(|store| store.site == site)?;
    let mut all = buckets(frame, store).into_iter();
    all.find(|bucket| bucket.training.as_deref() == Some(training)).map(|bucket| bucket.name)
}

/// Adds the store of objects with its class and its buckets.
pub(super) fn add(frame: &Frame<'_>, store: &Store, files: &mut Files) -> Result<(), EmitError> {
    add_store(frame, store, files)?;
    add_class(frame, store, files)?;
    for bucket in buckets(frame, store) {
        add_bucket(frame, &bucket, files)?;
    }
    Ok(())
}

fn add_store(frame: &Frame<'_>, store: &Store, files: &mut Files) -> Result<(), EmitError> {
    let name = object_store(frame);
    let spec = json!({
        // What describes the objects cannot be cut into parts.
        "metadataPool": { "failureDomain": "host", "replicated": { "size": METADATA_COPIES } },
        "dataPool": protected(store.protection),
        // What holds the data outlives the object that asked for it.
        "preservePoolsOnDelete": true,
        "gateway": { "port": PORT, "instances": GATEWAYS, "resources": {
            "requests": { "cpu": "2", "memory": "8Gi" }, "limits": { "memory": "8Gi" },
        } },
    });
    let object = rook_object(frame, "CephObjectStore", &name, spec);
    let note = format!(
        "objects at {}, {}; {:.0} TB of them are planned, and {:.0} TB may be kept.",
        store.site,
        store.protection.words(),
        store.kept().get() / 1e12,
        store.usable.get() / 1e12
    );
    files.add(Wave::Storage, FOLDER, ("CephObjectStore", &name), &note, &object)
}

fn add_class(frame: &Frame<'_>, store: &Store, files: &mut Files) -> Result<(), EmitError> {
    let name = object_store(frame);
    let object = StorageClass {
        api_version: "storage.k8s.io/v1",
        kind: "StorageClass",
        metadata: frame.cluster_meta(&name, Wave::Storage, &Labels::new()),
        provisioner: format!("{ROOK}.ceph.rook.io/bucket"),
        parameters: labels([("objectStoreName", &name), ("objectStoreNamespace", ROOK)]),
        reclaim_policy: "Retain",
        allow_volume_expansion: false,
    };
    let note = format!("buckets of the storage at {}, kept when their claim goes.", store.site);
    files.add(Wave::Storage, FOLDER, ("StorageClass", &name), &note, &object)
}

fn add_bucket(frame: &Frame<'_>, bucket: &Bucket, files: &mut Files) -> Result<(), EmitError> {
    let name = &bucket.name;
    let spec = json!({
        "generateBucketName": name,
        "storageClassName": object_store(frame),
        "additionalConfig": { "maxSize": format!("{}Gi", count(bucket.bytes / GIB).max(1)) },
    });
    let object = Object {
        api_version: "objectbucket.io/v1alpha1",
        kind: "ObjectBucketClaim",
        metadata: frame.meta(name, Wave::Storage, &Labels::new()),
        spec,
    };
    let note = format!(
        "a bucket for {:.1} TB, as planned; the ConfigMap and the Secret `{name}` say where it is and how it is entered.",
        bucket.bytes / 1e12
    );
    files.add(Wave::Storage, FOLDER, ("ObjectBucketClaim", name), &note, &object)
}
