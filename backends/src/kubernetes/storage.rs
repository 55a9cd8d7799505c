//! What keeps the data? The storage that was sized for own sites, as Rook makes it of Ceph: files here, objects in `buckets`.
//!
//! It does not know the disks: every disk of the machines that carry the label of storage is taken, and none of another.

use super::object::{Labels, Meta, Object, labels, slug};
use super::server::shortened;
use super::{EmitError, Files, Frame, Wave, buckets};
use capstan_types::blueprint::Store;
use capstan_types::storage::{Protection, StorageKind, Tier};
use serde::Serialize;
use serde_json::{Value, json};

const FOLDER: &str = "06-storage";

/// Namespace of Rook, as its chart has it; one cluster of Ceph lives in it.
pub(super) const ROOK: &str = "rook-ceph";

/// Image of Ceph 20.2 (docs.ceph.com, releases of 2026).
const CEPH: &str = "quay.io/ceph/ceph:v20.2.4";

/// Memory of one storage daemon in GiB: its cache target of 4 GiB and half as much again (docs.ceph.com, hardware).
const DAEMON_GIB: u32 = 6;

/// Copies of what describes the data, whatever protects the data itself (docs.ceph.com, file systems).
pub(super) const METADATA_COPIES: u32 = 3;

/// `storage.k8s.io/v1.StorageClass`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StorageClass {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) metadata: Meta,
    pub(super) provisioner: String,
    pub(super) parameters: Labels,
    pub(super) reclaim_policy: &'static str,
    pub(super) allow_volume_expansion: bool,
}

/// The storage that Rook can make: one Ceph, of machines that are alike.
struct Ceph<'a> {
    site: &'a str,
    files: Option<&'a Store>,
    objects: Option<&'a Store>,
}

impl<'a> Ceph<'a> {
    /// Returns that of a plan: the first Ceph, with what else is planned of the same machines at its site.
    fn of(frame: &Frame<'a>) -> Option<Self> {
        let stores = &frame.blueprint.stores;
        let first = stores.iter().find(|store| store.system.starts_with("ceph"))?;
        let alike = || stores.iter().filter(|one| (&one.site, &one.system) == (&first.site, &first.system));
        let keeps = |store: &Store| keeps_objects(frame, store);
        let (files, objects) = (alike().find(|one| !keeps(one)), alike().find(|one| keeps(one)));
        Some(Self { site: &first.site, files, objects })
    }

    /// Returns both, those that there are.
    fn stores(&self) -> impl Iterator<Item = &'a Store> {
        self.files.into_iter().chain(self.objects)
    }
}

/// Returns whether a store keeps objects: by what its system is for, and what is seldom read unless that is a file system.
fn keeps_objects(frame: &Frame<'_>, store: &Store) -> bool {
    let rows = &frame.blueprint.inputs.catalog.storage;
    match rows.iter().find(|row| row.id == store.system).map(|row| row.kind) {
        Some(StorageKind::Object) => true,
        Some(StorageKind::ParallelFileSystem) => false,
        Some(StorageKind::Unified) | None => store.tier == Tier::Bulk,
    }
}

/// Returns the store of objects that is written, where storage is.
pub(super) fn objects<'a>(frame: &Frame<'a>) -> Option<&'a Store> {
    Ceph::of(frame).filter(|_| frame.deploy.rook)?.objects
}

fn file_system(frame: &Frame<'_>) -> String {
    shortened(&format!("{}-files", frame.plan))
}

/// Returns the class of volumes that many nodes of a site mount, where storage is written for it.
pub(super) fn files_class(frame: &Frame<'_>, site: &str) -> Option<String> {
    Ceph::of(frame)?.files.filter(|store| store.site == site).map(|_| file_system(frame))
}

/// Adds the storage, where the plan asks for it.
pub(super) fn add(frame: &Frame<'_>, files: &mut Files) -> Result<(), EmitError> {
    if !frame.deploy.rook {
        return Ok(());
    }
    let ceph = Ceph::of(frame);
    let written: Vec<&Store> = ceph.iter().flat_map(Ceph::stores).collect();
    for other in frame.blueprint.stores.iter().filter(|other| !written.contains(other)) {
        let message = format!(
            "{} is planned here and not written: Rook makes one Ceph per cluster, of machines that are alike",
            other.system
        );
        files.warn(&other.site, message);
    }
    let Some(ceph) = ceph else {
        let message = "`storage = rook` writes nothing: no Ceph is planned at any site".to_owned();
        files.warn(&frame.plan, message);
        return Ok(());
    };
    add_cluster(frame, &ceph, files)?;
    if let Some(store) = ceph.files {
        add_file_system(frame, store, files)?;
        add_class(frame, store, files)?;
    }
    ceph.objects.map_or(Ok(()), |store| buckets::add(frame, store, files))
}

/// Returns an object of Rook, where its operator looks for it.
pub(super) fn rook_object(frame: &Frame<'_>, kind: &'static str, name: &str, spec: Value) -> Object<Value> {
    let metadata =
        Meta { namespace: Some(ROOK.to_owned()), ..frame.cluster_meta(name, Wave::Storage, &Labels::new()) };
    Object { api_version: "ceph.rook.io/v1", kind, metadata, spec }
}

fn add_cluster(frame: &Frame<'_>, ceph: &Ceph<'_>, files: &mut Files) -> Result<(), EmitError> {
    let site = slug(ceph.site);
    let sum = |of: fn(&Store) -> u32| -> u32 { ceph.stores().map(of).sum() };
    let (count, drives) = (sum(|store| store.nodes), sum(|store| store.drives));
    files.warn(
        ceph.site,
        format!("label its {count} storage machines with `capstan.dev/storage={site}`; Rook takes every empty disk of them"),
    );
    let term =
        json!({ "matchExpressions": [{ "key": "capstan.dev/storage", "operator": "In", "values": [site] }] });
    let nodes = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [term] } } });
    let memory = format!("{DAEMON_GIB}Gi");
    let spec = json!({
        "cephVersion": { "image": CEPH },
        "dataDirHostPath": "/var/lib/rook",
        // A majority of monitors decides, so their number is odd.
        "mon": { "count": if count >= 5 { 5 } else { 3 }, "allowMultiplePerNode": false },
        "mgr": { "count": 2, "modules": [{ "name": "rook", "enabled": true }] },
        "network": { "connections": { "encryption": { "enabled": true }, "compression": { "enabled": false }, "requireMsgr2": true } },
        "placement": { "all": nodes },
        "storage": { "useAllNodes": true, "useAllDevices": true },
        "resources": { "osd": { "requests": { "cpu": "2", "memory": memory }, "limits": { "memory": memory } } },
        "priorityClassNames": { "mon": "system-node-critical", "osd": "system-node-critical", "mgr": "system-cluster-critical" },
        "disruptionManagement": { "managePodBudgets": true, "osdMaintenanceTimeout": 30 },
    });
    let object = rook_object(frame, "CephCluster", ROOK, spec);
    let note = format!(
        "{count} nodes with {drives} drives at {}; {:.0} TB may be kept.",
        ceph.site,
        ceph.stores().map(|store| store.usable.get()).sum::<f64>() / 1e12
    );
    files.add(Wave::Storage, FOLDER, ("CephCluster", ROOK), &note, &object)
}

/// Returns the pool that protects data as it was planned.
pub(super) fn protected(protection: Protection) -> Value {
    match protection {
        Protection::Copies { copies } => {
            json!({ "failureDomain": "host", "replicated": { "size": copies } })
        }
        Protection::Erasure { data, parity } => {
            json!({ "failureDomain": "host", "erasureCoded": { "dataChunks": data, "codingChunks": parity } })
        }
    }
}

/// Returns that pool as one of a file system.
fn pool(protection: Protection) -> Value {
    let mut pool = protected(protection);
    pool["name"] = json!("data");
    pool
}

fn add_file_system(frame: &Frame<'_>, store: &Store, files: &mut Files) -> Result<(), EmitError> {
    let name = file_system(frame);
    let mut pools = vec![pool(store.protection)];
    if matches!(store.protection, Protection::Erasure { .. }) {
        // The first pool of a file system holds what describes the files, which cannot be cut into parts.
        pools.insert(
            0,
            json!({ "name": "default", "failureDomain": "host", "replicated": { "size": METADATA_COPIES } }),
        );
    }
    let spec = json!({
        "metadataPool": { "failureDomain": "host", "replicated": { "size": METADATA_COPIES } },
        "dataPools": pools,
        // What holds the data outlives the object that asked for it.
        "preserveFilesystemOnDelete": true,
        "metadataServer": { "activeCount": 1, "activeStandby": true, "resources": {
            "requests": { "cpu": "4", "memory": "16Gi" }, "limits": { "memory": "16Gi" },
        } },
    });
    let object = rook_object(frame, "CephFilesystem", &name, spec);
    let note = "the file system that volumes are cut from.";
    files.add(Wave::Storage, FOLDER, ("CephFilesystem", &name), note, &object)
}

fn add_class(frame: &Frame<'_>, store: &Store, files: &mut Files) -> Result<(), EmitError> {
    let name = file_system(frame);
    let pool = format!("{name}-data");
    let mut parameters = labels([("clusterID", ROOK), ("fsName", &name), ("pool", &pool)]);
    for (stage, secret) in [
        ("provisioner", "rook-csi-cephfs-provisioner"),
        ("controller-expand", "rook-csi-cephfs-provisioner"),
        ("node-stage", "rook-csi-cephfs-node"),
    ] {
        parameters.insert(format!("csi.storage.k8s.io/{stage}-secret-name"), secret.to_owned());
        parameters.insert(format!("csi.storage.k8s.io/{stage}-secret-namespace"), ROOK.to_owned());
    }
    let object = StorageClass {
        api_version: "storage.k8s.io/v1",
        kind: "StorageClass",
        metadata: frame.cluster_meta(&name, Wave::Storage, &Labels::new()),
        provisioner: format!("{ROOK}.cephfs.csi.ceph.com"),
        parameters,
        reclaim_policy: "Retain",
        allow_volume_expansion: true,
    };
    let note = format!("volumes of the storage at {}, kept when their claim goes.", store.site);
    files.add(Wave::Storage, FOLDER, ("StorageClass", &name), &note, &object)
}
