//! What is written so that a Kubernetes cluster runs the plan?
//!
//! One pure pass: the services of a blueprint are resolved against the rows that it embeds (`server`), each family
//! of objects is made from them (one file per family), and the result is checked by rules that no schema holds
//! (`lint`). Nothing is left to choose here: a number that is not in the blueprint is a constant with its origin.
//!
//! It does not know what a cluster holds already, nor when it is applied. No secret is written, only its name.

mod accelerators;
mod access;
mod affinity;
mod alerts;
mod apart;
mod apps;
mod buckets;
mod certificates;
mod container;
mod dashboard;
mod disruption;
mod engine;
mod error;
mod etcd;
mod fetch;
mod gates;
mod gateway;
mod hosts;
mod images;
mod limits;
mod lint;
mod load_test;
mod mesh;
mod metrics;
mod monitoring;
mod namespace;
mod network;
mod nodes;
mod object;
mod offline;
mod operators;
mod partitions;
mod pipeline;
mod pod;
mod pods;
mod predictor;
mod products;
mod queues;
mod rails;
mod ranks;
mod rates;
mod scaling;
mod secrets;
mod server;
mod service;
mod storage;
mod training;
mod triton;
mod volumes;
mod workload;

pub use error::EmitError;
pub use fetch::UNTIL;
pub use lint::{Lint, lint};
pub use predictor::deployment as deployment_of_predictor;

use apart::Pair;
use apps::Runner;
use capstan_types::blueprint::{Blueprint, Status};
use capstan_types::spec::Kubernetes;
use object::{Labels, Meta, labels};
use serde::Serialize;
use server::Group;
use training::Job;

/// The order in which objects go to a cluster: each wave stands on those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wave {
    /// The namespace, and classes that pods name.
    Namespace,
    /// Network policies, quotas and configuration: a replica never runs without them.
    Config,
    /// What makes machines and shows what is in them.
    Operators,
    /// What keeps data, volumes of it, and what is fetched onto them.
    Storage,
    /// Queues and runtimes that jobs are started in.
    Queues,
    /// What computes.
    Workload,
    /// How it is reached.
    Service,
    /// How many replicas there are.
    Scaling,
    /// What may be taken away from it.
    Policy,
    /// How it is watched.
    Monitoring,
    /// The list of all files; not an object of the cluster.
    Index,
    /// What whoever applies must be allowed to do; given by an administrator, never applied with the plan.
    Access,
    /// Values for a chart, and pipelines for a repository; not an object of the cluster.
    Values,
}

/// One file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Where, below the folder asked for, such as `kubernetes/10-chat/deployment.yaml`.
    pub path: String,
    /// Kind of the object.
    pub kind: String,
    /// Name of the object.
    pub name: String,
    /// When it is applied.
    pub wave: Wave,
    /// The text.
    pub yaml: String,
}

/// Something that the manifests cannot say or cannot ensure.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// The workload, the site, or the plan.
    pub subject: String,
    /// One sentence with a way out.
    pub message: String,
}

/// Manifests in the order in which they are applied, with what must be said beside them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Emitted {
    /// Files by wave, then by service.
    pub manifests: Vec<Manifest>,
    /// What a reader of the manifests must know.
    pub warnings: Vec<Warning>,
}

/// What every object shares: whose it is and what it follows from.
struct Frame<'a> {
    blueprint: &'a Blueprint,
    deploy: &'a Kubernetes,
    plan: String,
    digest: &'a str,
}

impl Frame<'_> {
    /// Returns the requests per second of a workload at its busiest hour.
    fn peak(&self, workload: &str) -> Option<f64> {
        let curve = self.blueprint.demand.iter().find(|curve| curve.workload == workload)?;
        curve.rates.iter().flatten().copied().max_by(f64::total_cmp)
    }

    /// Returns metadata of a namespaced object.
    fn meta(&self, name: &str, wave: Wave, own: &Labels) -> Meta {
        Meta { namespace: Some(self.deploy.namespace.clone()), ..self.cluster_meta(name, wave, own) }
    }

    /// Returns metadata of an object outside any namespace.
    fn cluster_meta(&self, name: &str, wave: Wave, own: &Labels) -> Meta {
        let mut all = own.clone();
        all.extend(labels([("app.kubernetes.io/managed-by", "capstan"), ("capstan.dev/plan", &self.plan)]));
        let annotations = labels([
            ("capstan.dev/plan-sha256", self.digest),
            ("capstan.dev/wave", &(wave as u32).to_string()),
        ]);
        Meta { name: name.to_owned(), namespace: None, labels: all, annotations }
    }
}

/// The files so far, and what must be said beside them.
struct Files {
    plan: String,
    manifests: Vec<Manifest>,
    warnings: Vec<Warning>,
}

impl Files {
    /// Adds what must be said about a subject.
    fn warn(&mut self, subject: &str, message: String) {
        self.warnings.push(Warning { subject: subject.to_owned(), message });
    }

    /// Adds the file of one object; `note` says in its header what it is for.
    fn add<T: Serialize>(
        &mut self,
        wave: Wave,
        folder: &str,
        (kind, name): (&str, &str),
        note: &str,
        object: &T,
    ) -> Result<(), EmitError> {
        let header = [
            format!("{kind} `{name}`: {note}"),
            format!("Written by capstan from plan `{}`; change the plan, not this file.", self.plan),
        ];
        let yaml = object::to_yaml(&header, object)?;
        let path = format!("kubernetes/{folder}/{}.yaml", file_stem(kind, folder, name));
        self.manifests.push(Manifest { path, kind: kind.to_owned(), name: name.to_owned(), wave, yaml });
        Ok(())
    }
}

/// Returns the file name of an object: its kind, with its name where that is not the folder's.
fn file_stem(kind: &str, folder: &str, name: &str) -> String {
    let kind = kind.to_ascii_lowercase();
    match folder.split_once('-') {
        Some((_, service)) if service == name || kind == "namespace" => kind,
        Some((_, service)) => {
            let rest = name.strip_prefix(service).and_then(|rest| rest.strip_prefix('-')).unwrap_or(name);
            format!("{kind}-{rest}")
        }
        None => kind,
    }
}

/// Returns the manifests that run the services of a blueprint.
///
/// Deterministic: the same blueprint gives the same bytes. An infeasible blueprint and a plan without a
/// `deploy kubernetes` block are errors; what cannot be ensured is a warning beside the manifests.
pub fn emit(blueprint: &Blueprint) -> Result<Emitted, EmitError> {
    let deploy = blueprint.inputs.spec.deploy.as_ref().ok_or(EmitError::NoDeploy)?;
    if blueprint.status == Status::Infeasible {
        return Err(EmitError::Infeasible);
    }
    if !object::is_dns_label(&deploy.namespace) {
        return Err(EmitError::NotALabel { what: "namespace", name: deploy.namespace.clone() });
    }
    let digest =
        blueprint.inputs.files.iter().find(|file| file.role == "plan").ok_or(EmitError::NoPlanDigest)?;
    let frame =
        Frame { blueprint, deploy, plan: plan_label(&blueprint.inputs.spec.name), digest: &digest.sha256 };
    let groups = server::resolve(blueprint)?;
    let pairs = apart::pairs(&groups)?;
    let jobs = training::resolve(blueprint)?;
    let runners = apps::resolve(blueprint, &groups)?;
    let mut files =
        Files { plan: frame.plan.clone(), manifests: Vec::new(), warnings: plan_warnings(blueprint) };
    add_all(&frame, (&groups, &pairs), &jobs, &runners, &mut files)?;
    files.manifests.sort_by_key(|manifest| manifest.wave);
    each_its_own(&files.manifests)?;
    pipeline::add(&frame, &mut files)?;
    let objects = files.manifests.partition_point(|manifest| manifest.wave < Wave::Index);
    let values = files.manifests.split_off(objects);
    let role = access::role(&frame, &files.manifests)?;
    files.manifests.push(namespace::index(&files.manifests)?);
    files.manifests.push(role);
    files.manifests.extend(values);
    files.warnings.sort();
    files.warnings.dedup();
    gates::check(&files.manifests, deploy.minor)?;
    let broken = lint(&files.manifests);
    if broken.is_empty() {
        Ok(Emitted { manifests: files.manifests, warnings: files.warnings })
    } else {
        Err(EmitError::Lints(broken))
    }
}

/// Refuses two objects of one kind and name: the one would be written over the other.
fn each_its_own(manifests: &[Manifest]) -> Result<(), EmitError> {
    let mut seen = std::collections::BTreeSet::new();
    for Manifest { kind, name, yaml, .. } in manifests {
        let object: serde_json::Value = serde_saphyr::from_str(yaml).unwrap_or_default();
        if !seen.insert((kind, name, object["metadata"]["namespace"].to_string())) {
            return Err(EmitError::Twice { kind: kind.clone(), name: name.clone() });
        }
    }
    Ok(())
}

/// Returns the name of a plan as labels have it: what is left of it in ASCII, or else a digest.
///
/// The digest is FNV-1a over 32 bits, as for long names.
fn plan_label(name: &str) -> String {
    match object::slug(name) {
        slug if slug.is_empty() => format!("plan-{:08x}", object::fnv(name)),
        // It is a label, and the name of objects of which some must be labels too.
        slug => server::shortened_to(&slug, object::LONGEST_LABEL),
    }
}

/// Adds everything, family by family.
fn add_all(
    frame: &Frame<'_>,
    (groups, pairs): (&[Group<'_>], &[Pair<'_>]),
    jobs: &[Job<'_>],
    runners: &[Runner<'_>],
    files: &mut Files,
) -> Result<(), EmitError> {
    namespace::add(frame, files)?;
    secrets::add(frame, files)?;
    limits::add(frame, groups, jobs, runners, files)?;
    etcd::add(frame, files)?;
    operators::add(frame, groups, jobs, runners, files)?;
    partitions::add(frame, runners, files)?;
    nodes::add(frame, files)?;
    hosts::add(frame, files)?;
    rails::add(frame, files)?;
    rails::warn_of_providers(groups, jobs, files);
    mesh::warn_of_queues(frame, groups, files);
    storage::add(frame, files)?;
    for group in groups {
        add_group(frame, group, files)?;
    }
    for pair in pairs {
        apart::add(frame, pair, files)?;
    }
    network::add_between(frame, groups, runners, files)?;
    apps::add(frame, runners, files)?;
    network::add_besides(frame, jobs, files)?;
    queues::add(frame, jobs, files)?;
    training::add(frame, jobs, files)?;
    offline::add(frame, files)?;
    gateway::add(frame, groups, files)?;
    certificates::add(frame, files)?;
    mesh::add(frame, groups, runners, files)?;
    accelerators::add(frame, groups, jobs, runners, files)?;
    alerts::add(frame, files)
}

/// Adds everything that one service needs.
fn add_group(frame: &Frame<'_>, group: &Group<'_>, files: &mut Files) -> Result<(), EmitError> {
    let folder = group.folder();
    // What runs both parts of a workload, and how they are reached, is one object for the two.
    let whole = group.part.is_none();
    if whole {
        network::add(frame, group, &folder, files)?;
    }
    for server in &group.servers {
        if whole {
            workload::add(frame, server, &folder, files)?;
            scaling::add(frame, server, &folder, files)?;
        }
        disruption::add(frame, server, &folder, files)?;
    }
    if whole {
        service::add(frame, group, &folder, files)?;
    }
    if frame.deploy.monitoring {
        monitoring::add(frame, group, &folder, files)?;
    }
    dashboard::add(frame, group, &folder, files)?;
    if whole { load_test::add(frame, group, &folder, files) } else { Ok(()) }
}

/// Returns what must be said about the plan as a whole.
fn plan_warnings(blueprint: &Blueprint) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |subject: &str, message: String| {
        warnings.push(Warning { subject: subject.to_owned(), message });
    };
    let plan = &blueprint.inputs.spec.name;
    if blueprint.status == Status::Violated {
        warn(plan, "the blueprint does not hold every requirement; its manifests do not either".to_owned());
    }
    let sites = sites(blueprint);
    if sites.len() > 1 {
        let message = format!(
            "the manifests assume one cluster over {}; with one cluster each, apply there only what has the label `capstan.dev/site` of that site or none",
            sites.join(", ")
        );
        warn(plan, message);
    }
    warnings
}

/// Returns the sites at which anything runs that manifests are written for, in order.
fn sites(blueprint: &Blueprint) -> Vec<&str> {
    let serving = blueprint.services.iter().flat_map(|service| &service.placements);
    let mut sites: Vec<&str> = serving.map(|placed| placed.site.as_str()).collect();
    if blueprint.inputs.spec.deploy.as_ref().is_some_and(|deploy| deploy.training.is_some()) {
        sites.extend(blueprint.trainings.iter().map(|training| training.site.as_str()));
    }
    if blueprint.inputs.spec.deploy.as_ref().is_some_and(|deploy| deploy.requests.is_some()) {
        sites.extend(blueprint.batches.iter().map(|run| run.site.as_str()));
    }
    sites.extend(blueprint.apps.iter().map(|run| run.site.as_str()));
    sites.sort_unstable();
    sites.dedup();
    sites
}
