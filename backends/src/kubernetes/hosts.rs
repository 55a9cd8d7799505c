//! How do machines of own sites become nodes? A MachineDeployment of Cluster API per pool, whose machines Metal3 makes of hosts.
//!
//! The cluster is the one that the plan is applied to: it describes itself (`clusterctl move`), so its `Cluster` and its control
//! plane are there already and are only named. Hosts are prerequisites too: a `BareMetalHost` holds the address of a machine's
//! management controller and of its network card, which no plan holds. They are found by labels.
//!
//! Kinds of Cluster API 1.14, and those of its provider Metal3 in the version that all its releases serve.

use super::affinity::{Machine, tolerations};
use super::object::{Labels, Meta, Object, fnv, labels, slug};
use super::server::shortened_to;
use super::{EmitError, Files, Frame, Wave};
use capstan_types::blueprint::{Blueprint, Pool};
use capstan_types::spec::MetalWish;
use serde_json::{Value, json};

const FOLDER: &str = "05-nodes";

/// Kinds of Cluster API, and of its provider.
const BOOTSTRAP: &str = "bootstrap.cluster.x-k8s.io";
const METAL3: &str = "infrastructure.cluster.x-k8s.io";

/// The longest name of a deployment that leaves room for what makes machines and templates of it: `-` and ten characters
/// twice, of 63.
const LONGEST: usize = 40;

/// Returns whether labels of the machines of a site are given by what makes nodes of them.
pub(super) fn labels_nodes(blueprint: &Blueprint, machine: Machine<'_>) -> bool {
    let wish = blueprint.inputs.spec.deploy.as_ref().and_then(|deploy| deploy.metal3.as_ref());
    wish.is_some() && machine.site.is_own()
}

/// Adds the machines of own sites.
pub(super) fn add(frame: &Frame<'_>, files: &mut Files) -> Result<(), EmitError> {
    let Some(wish) = &frame.deploy.metal3 else { return Ok(()) };
    let mut any = false;
    for pool in &frame.blueprint.pools {
        let machine = Machine::standing(frame.blueprint, &pool.site, &pool.shape)?;
        if machine.site.is_own() && pool.most_nodes() > 0 {
            any = true;
            Hosts { frame, wish, pool, machine }.add(files)?;
        }
    }
    if !any {
        let message = "`metal3` writes nothing: the plan takes no machine of an own site".to_owned();
        files.warn(&frame.plan, message);
    }
    Ok(())
}

/// The machines of a pool.
struct Hosts<'a> {
    frame: &'a Frame<'a>,
    wish: &'a MetalWish,
    pool: &'a Pool,
    machine: Machine<'a>,
}

impl Hosts<'_> {
    fn add(&self, files: &mut Files) -> Result<(), EmitError> {
        let (pool, frame) = (self.pool, self.frame);
        let name =
            shortened_to(&format!("{}-{}-{}", frame.plan, slug(&pool.site), slug(&pool.shape)), LONGEST);
        let hosts = self.hosts();
        let pairs: Vec<String> = hosts.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let message = format!(
            "describe each {} as a BareMetalHost in `{}`, with its management controller and the labels {}; {} are planned",
            pool.shape,
            self.wish.namespace,
            pairs.join(" and "),
            pool.most_nodes()
        );
        files.warn(&pool.site, message);
        let image = self.image(&hosts);
        let node = self.node();
        // A template cannot change, so its name follows from what it says, and another one takes its place.
        let of_image = format!("{name}-{:08x}", fnv(&image.to_string()));
        let of_node = format!("{name}-{:08x}", fnv(&node.to_string()));
        let note = "what is written to the disks of its machines, and which hosts they are made of.";
        self.add_template((METAL3, "v1beta1", "Metal3MachineTemplate"), &of_image, note, image, files)?;
        let note = "how its machines join: with the labels and taints that what runs there asks for.";
        self.add_template((BOOTSTRAP, "v1beta2", "KubeadmConfigTemplate"), &of_node, note, node, files)?;
        self.add_deployment(&name, &of_image, &of_node, files)
    }

    /// Returns the labels by which hosts are found.
    fn hosts(&self) -> Labels {
        labels([("capstan.dev/site", &slug(&self.pool.site)), ("capstan.dev/shape", &slug(&self.pool.shape))])
    }

    /// Returns the labels of nodes: every one of Capstan's own that what runs there may ask for.
    fn labels(&self) -> Labels {
        let mut all = self.hosts();
        if let Some(chip) = self.machine.accelerator {
            all.insert("capstan.dev/accelerator".to_owned(), slug(&chip.id));
        }
        all
    }

    fn image(&self, hosts: &Labels) -> Value {
        json!({
            "image": { "url": self.wish.image, "checksum": self.wish.checksum, "checksumType": "sha256" },
            "hostSelector": { "matchLabels": hosts },
        })
    }

    fn node(&self) -> Value {
        let labels: Vec<String> =
            self.labels().into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        let taints: Vec<Value> = tolerations(self.machine)
            .iter()
            .map(|one| json!({ "key": one.key, "value": "present", "effect": one.effect }))
            .collect();
        json!({ "joinConfiguration": { "nodeRegistration": {
            "kubeletExtraArgs": [{ "name": "node-labels", "value": labels.join(",") }],
            "taints": taints,
        } } })
    }

    fn meta(&self, name: &str) -> Meta {
        let own = labels([("capstan.dev/site", &slug(&self.pool.site))]);
        let namespace = Some(self.wish.namespace.clone());
        Meta { namespace, ..self.frame.cluster_meta(name, Wave::Operators, &own) }
    }

    fn add_template(
        &self,
        (group, version, kind): (&str, &str, &'static str),
        name: &str,
        note: &str,
        spec: Value,
        files: &mut Files,
    ) -> Result<(), EmitError> {
        let object = json!({
            "apiVersion": format!("{group}/{version}"),
            "kind": kind,
            "metadata": self.meta(name),
            "spec": { "template": { "spec": spec } },
        });
        files.add(Wave::Operators, FOLDER, (kind, name), note, &object)
    }

    fn add_deployment(
        &self,
        name: &str,
        of_image: &str,
        of_node: &str,
        files: &mut Files,
    ) -> Result<(), EmitError> {
        let (wish, pool) = (self.wish, self.pool);
        let own = labels([("cluster.x-k8s.io/deployment-name", name)]);
        let refer =
            |group: &str, kind: &str, name: &str| json!({ "apiGroup": group, "kind": kind, "name": name });
        let spec = json!({
            "clusterName": wish.cluster,
            "replicas": pool.most_nodes(),
            // Every machine is planned: one goes before another comes.
            "rollout": { "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 0, "maxUnavailable": 1 } } },
            "selector": { "matchLabels": own },
            "template": { "metadata": { "labels": own }, "spec": {
                "clusterName": wish.cluster,
                "version": wish.version,
                "bootstrap": { "configRef": refer(BOOTSTRAP, "KubeadmConfigTemplate", of_node) },
                "infrastructureRef": refer(METAL3, "Metal3MachineTemplate", of_image),
            } },
        });
        let object = Object {
            api_version: "cluster.x-k8s.io/v1beta2",
            kind: "MachineDeployment",
            metadata: self.meta(name),
            spec,
        };
        let note = format!(
            "{} machines of {} at {}, the most at once, as nodes of cluster `{}`.\nTheir BareMetalHosts in `{}` are made by hand, with the labels that the Metal3MachineTemplate selects.",
            pool.most_nodes(),
            pool.shape,
            pool.site,
            wish.cluster,
            wish.namespace,
        );
        files.add(Wave::Operators, FOLDER, ("MachineDeployment", name), &note, &object)
    }
}
