//! What runs services and notebooks? Deployments and StatefulSets, or values for the chart that they are usually run by.
//!
//! Resolves every service and workspace of the blueprint to the rows that it names, and says by which means it runs. It
//! knows no program but a few by their images (`charts`).

mod charts;
mod models;
mod notebooks;
mod workload;

use super::affinity::Machine;
use super::object::{Labels, labels, slug};
use super::products::resource;
use super::server::{Group, found, label_of};
use super::{
    EmitError, Files, Frame, Manifest, Wave, disruption, images, monitoring, network, object, service,
};
use capstan_types::blueprint::{AppRun, Blueprint};
use capstan_types::spec::{App, AppKind, Slice};
use charts::Chart;
use models::Metrics;
use serde_json::Value;

/// Name of the port at which a container answers.
pub(super) const APP_PORT: &str = "app";

/// Name of the port at which a container answers over gRPC.
const GRPC_PORT: &str = "grpc";

/// The component that pods of services are, in their labels.
pub(super) const COMPONENT: &str = "app";

/// A service, or the notebooks of a group of people, with its rows.
pub(super) struct Runner<'a> {
    /// Its name as a DNS label.
    pub(super) name: String,
    pub(super) app: &'a App,
    pub(super) run: &'a AppRun,
    pub(super) machine: Machine<'a>,
    /// What one instance takes of accelerators.
    pub(super) takes: Option<Takes>,
    means: Means<'a>,
}

/// What one instance takes of the accelerators of its machine: one of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Takes {
    /// Name of the resource.
    pub(super) resource: String,
    /// The configuration of the device plugin that offers it, where that is not the usual one.
    pub(super) plugin: Option<String>,
}

/// By what something runs.
enum Means<'a> {
    /// Pods of an image.
    Pods(&'a str),
    /// A chart, since the image does not run by itself.
    Chart(&'a str, &'static Chart),
    /// The chart of JupyterHub.
    Notebooks,
    /// Nothing that is written here, and why.
    Hands(String),
}

impl Runner<'_> {
    /// Returns the instances of the busiest hour, those for availability included.
    pub(super) fn instances(&self) -> u32 {
        self.run.instances.iter().copied().max().unwrap_or(0)
    }

    /// Returns whether anything is written that runs it.
    pub(super) fn is_written(&self) -> bool {
        !matches!(self.means, Means::Hands(_))
    }

    /// Returns whether its pods are written here.
    pub(super) fn is_of_pods(&self) -> bool {
        matches!(self.means, Means::Pods(_))
    }

    /// Returns the ports at which pods of the plan ask it, by their names.
    pub(super) fn asked(&self) -> Vec<(&'static str, u16)> {
        let grpc = self.app.models.as_ref().map(|models| (GRPC_PORT, models.server.grpc_port()));
        self.app.port.map(|port| (APP_PORT, port)).into_iter().chain(grpc).collect()
    }

    /// Returns where it shows its metrics, where that is known.
    pub(super) fn metrics(&self) -> Option<Metrics> {
        self.app.models.as_ref().map(models::metrics)
    }

    /// Returns whether each instance keeps data of its own.
    pub(super) fn keeps_data(&self) -> bool {
        self.app.storage.get() > 0.0
    }

    /// Returns the folder of its files.
    pub(super) fn folder(&self) -> String {
        format!("15-{}", self.name)
    }

    /// Returns the labels that tell its pods from all others.
    pub(super) fn instance(&self) -> Labels {
        labels([("app.kubernetes.io/name", self.name.as_str()), ("app.kubernetes.io/component", COMPONENT)])
    }

    /// Returns the labels that every object of it carries.
    pub(super) fn labels(&self) -> Labels {
        let mut all = self.instance();
        all.insert("capstan.dev/site".to_owned(), slug(&self.machine.site.name));
        all
    }

    /// Returns API version and kind of the object that makes its pods.
    pub(super) fn controller(&self) -> (&'static str, &'static str) {
        ("apps/v1", if self.keeps_data() { "StatefulSet" } else { "Deployment" })
    }

    /// Returns the name under which each instance is known by itself: of those with data that answer at a port.
    pub(super) fn each_by_name(&self) -> Option<String> {
        let has_name = self.keeps_data() && self.app.port.is_some() && matches!(self.means, Means::Pods(_));
        has_name.then(|| format!("{}-headless", self.name))
    }

    /// Returns what is said of its size.
    fn size(&self) -> String {
        let spares = match self.run.spares {
            0 => String::new(),
            spares => format!(", {spares} of them for availability"),
        };
        let instances = match self.instances() {
            1 => "1 instance".to_owned(),
            several => format!("{several} instances"),
        };
        format!("{instances}{spares}, on {} at {}", self.machine.shape.id, self.machine.site.name)
    }
}

/// Returns every service and workspace with its rows, in the order of the blueprint.
pub(super) fn resolve<'a>(
    blueprint: &'a Blueprint,
    groups: &[Group<'_>],
) -> Result<Vec<Runner<'a>>, EmitError> {
    let runners: Vec<Runner<'a>> =
        blueprint.apps.iter().map(|run| runner(blueprint, run)).collect::<Result<_, _>>()?;
    let servers = groups.iter().flat_map(|group| &group.servers).map(|server| server.name.clone());
    let mut names: Vec<String> = groups.iter().map(|group| group.name.clone()).chain(servers).collect();
    for runner in &runners {
        for name in [Some(runner.name.clone()), runner.each_by_name()].into_iter().flatten() {
            if names.contains(&name) {
                return Err(EmitError::SameName { name });
            }
            names.push(name);
        }
    }
    Ok(runners)
}

fn runner<'a>(blueprint: &'a Blueprint, run: &'a AppRun) -> Result<Runner<'a>, EmitError> {
    let (spec, catalog) = (&blueprint.inputs.spec, &blueprint.inputs.catalog);
    let app = found("workload", &run.workload, spec.apps.iter().find(|app| app.name == run.workload))?;
    let shape = found("shape", &run.shape, catalog.shape(&run.shape))?;
    let machine = Machine {
        shape,
        accelerator: match &shape.accelerator {
            Some(id) => Some(found("accelerator", id, catalog.accelerator(id))?),
            None => None,
        },
        site: found("site", &run.site, spec.sites.iter().find(|site| site.name == run.site))?,
    };
    let mut runner = Runner {
        name: label_of(&run.workload)?,
        app,
        run,
        machine,
        takes: None,
        means: Means::Hands(String::new()),
    };
    runner.means = match takes(machine, run) {
        Ok(takes) => {
            runner.takes = takes;
            means(&runner)?
        }
        Err(why) => Means::Hands(why),
    };
    Ok(runner)
}

/// Returns what one instance takes of accelerators, or why that has no name in a cluster.
fn takes(machine: Machine<'_>, run: &AppRun) -> Result<Option<Takes>, String> {
    let Some((part, vendor)) = run.part.as_ref().zip(machine.vendor()) else { return Ok(None) };
    let plain = |name: String| Ok(Some(Takes { resource: name, plugin: None }));
    match part {
        Slice::Whole => plain(resource(vendor).to_owned()),
        // A share that only one instance has is a whole accelerator, and the plugin shares none with less than two.
        Slice::Share { .. } if run.per_accelerator < 2 => plain(resource(vendor).to_owned()),
        Slice::Profile { profile } if vendor == "NVIDIA" => {
            plain(format!("nvidia.com/mig-{}", profile.replace('+', ".")))
        }
        Slice::Share { .. } if vendor == "NVIDIA" => Ok(Some(Takes {
            resource: "nvidia.com/gpu.shared".to_owned(),
            plugin: Some(format!("share-{}", run.per_accelerator)),
        })),
        _ => Err(format!(
            "it is not known under which name a cluster offers parts of accelerators of {vendor}: leave `slice` out, or deploy it by hand"
        )),
    }
}

/// Returns by what something runs.
fn means<'a>(runner: &Runner<'a>) -> Result<Means<'a>, EmitError> {
    if runner.instances() == 0 {
        return Ok(Means::Hands("no instance is planned at any hour".to_owned()));
    }
    if runner.app.kind == AppKind::Workspace {
        return Ok(Means::Notebooks);
    }
    let Some(image) = runner.run.image.as_deref() else {
        return Ok(Means::Hands("name its `image`, or deploy it by hand".to_owned()));
    };
    if !images::has_version(image) {
        let (workload, image) = (runner.run.workload.clone(), image.to_owned());
        return Err(EmitError::FloatingImage { workload, image });
    }
    Ok(match charts::of(image, runner.instances()) {
        Some(chart) => Means::Chart(image, chart),
        None => Means::Pods(image),
    })
}

/// Returns the ports at which services of the plan answer, each once, in order.
pub(super) fn ports(runners: &[Runner<'_>]) -> Vec<u16> {
    let asked = runners.iter().flat_map(Runner::asked);
    let mut ports: Vec<u16> = asked.map(|(_, number)| number).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Adds what runs services and notebooks; says so where nothing is written.
pub(super) fn add(frame: &Frame<'_>, runners: &[Runner<'_>], files: &mut Files) -> Result<(), EmitError> {
    for runner in runners {
        match &runner.means {
            Means::Pods(image) => add_pods(frame, runner, image, files)?,
            Means::Chart(image, chart) => charts::add(frame, runner, (image, chart), files)?,
            Means::Notebooks => notebooks::add(frame, runner, files)?,
            Means::Hands(why) => {
                let message =
                    format!("machines are planned and priced, but no manifest is written for it: {why}");
                files.warn(&runner.run.workload, message);
            }
        }
    }
    Ok(())
}

fn add_pods(frame: &Frame<'_>, runner: &Runner<'_>, image: &str, files: &mut Files) -> Result<(), EmitError> {
    let folder = runner.folder();
    network::add_app(frame, runner, &runner.instance(), files)?;
    workload::add(frame, runner, image, files)?;
    if runner.instances() > 1 {
        disruption::add_budget(frame, (&runner.name, &runner.labels(), &runner.instance()), &folder, files)?;
    } else {
        let message = format!(
            "`{}` has one instance, so draining its node stops it; plan `replicas = 2` if it can run twice",
            runner.name
        );
        files.warn(&runner.run.workload, message);
    }
    if let Some(port) = runner.app.port {
        service::add_app(frame, runner, port, files)?;
    }
    if frame.deploy.monitoring { monitoring::add_app(frame, runner, files) } else { Ok(()) }
}

/// Adds a file of values for a chart: no object, so it lies outside the folder that is applied.
fn add_values(
    frame: &Frame<'_>,
    runner: &Runner<'_>,
    (chart, repository): (&str, &str),
    values: &Value,
    files: &mut Files,
) -> Result<(), EmitError> {
    let (name, namespace) = (&runner.name, &frame.deploy.namespace);
    let path = format!("charts/{name}.values.yaml");
    let header = [
        format!("Values for the chart `{chart}`, and no object: kubectl and `capstan apply` leave this file alone."),
        format!("{}.", runner.size()),
        "Names of values are those of the chart's documentation, recalled and not tried with the chart: look at what it renders."
            .to_owned(),
        format!("helm upgrade --install {name} {chart} --repo {repository} --namespace {namespace} --values {path}"),
        format!("Written by capstan from plan `{}`; change the plan, not this file.", files.plan),
    ];
    let message = format!(
        "it runs by the chart `{chart}`: {path} holds the planned sizes, and how it is installed; `apply` does not install it"
    );
    files.warn(&runner.run.workload, message);
    let yaml = object::to_yaml(&header, values)?;
    let (kind, name) = ("Values".to_owned(), name.clone());
    files.manifests.push(Manifest { path, kind, name, wave: Wave::Values, yaml });
    Ok(())
}

/// Sets a value below a path of names such as `resources.requests`.
fn put(tree: &mut Value, path: &str, value: Value) {
    let below = path.split('.').fold(tree, |tree, name| &mut tree[name]);
    *below = value;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_put_below_their_path() {
        let mut tree = json!({ "a": { "b": 1 } });
        put(&mut tree, "a.c.d", json!("x"));
        assert_eq!(tree, json!({ "a": { "b": 1, "c": { "d": "x" } } }));
    }
}
