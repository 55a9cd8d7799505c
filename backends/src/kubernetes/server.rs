//! Which rows of the blueprint does each Deployment stand on?
//!
//! Resolves every placement of every service to the rows it names, and gives each a name that Kubernetes accepts.
//! It writes nothing.

use super::EmitError;
use super::affinity::Machine;
use super::engine::Family;
use super::object::{Labels, fnv, is_dns_label, labels, slug};
use capstan_types::blueprint::{Blueprint, Placement, Service};
use capstan_types::catalog::Engine;
use capstan_types::degrees::Degrees;
use capstan_types::hardware::{Accelerator, NodeShape};
use capstan_types::model::Model;
use capstan_types::spec::{Part, Serve, Site};

/// The longest name of a workload object; its controllers add up to eleven characters to those of pods.
pub(super) const LONGEST_NAME: usize = 52;

/// One service: all placements of one workload, reached under one name.
pub(super) struct Group<'a> {
    /// The workload's name as a DNS label.
    pub(super) name: String,
    pub(super) serve: &'a Serve,
    /// Which part of a workload it is, where that is in two parts.
    pub(super) part: Option<PartOf>,
    pub(super) servers: Vec<Server<'a>>,
}

/// One placement: replicas of one candidate at one site.
pub(super) struct Server<'a> {
    /// Name of its Deployment or LeaderWorkerSet.
    pub(super) name: String,
    /// Name of its group.
    pub(super) group: String,
    pub(super) serve: &'a Serve,
    pub(super) part: Option<PartOf>,
    pub(super) placement: &'a Placement,
    pub(super) model: &'a Model,
    pub(super) engine: &'a Engine,
    pub(super) family: Family,
    /// The image of what runs the engine.
    pub(super) image: String,
    pub(super) shape: &'a NodeShape,
    pub(super) accelerator: &'a Accelerator,
    pub(super) site: &'a Site,
}

/// One part of a workload whose prompts are read on machines of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartOf {
    /// The workload of the plan file as a DNS label.
    pub(super) whole: String,
    pub(super) part: Part,
}

impl PartOf {
    fn of(serve: &Serve) -> Result<Option<Self>, EmitError> {
        let stage = serve.stage.as_ref();
        stage.map(|stage| Ok(Self { whole: label_of(&stage.of)?, part: stage.part })).transpose()
    }

    /// Returns the labels of its pods. Their keys are our own: KServe selects its pods by those of Kubernetes.
    pub(super) fn labels(&self) -> Labels {
        labels([("capstan.dev/workload", self.whole.as_str()), ("capstan.dev/part", self.part.word())])
    }
}

/// What a pod of a service does: answers requests, or works for the one that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Server,
    Worker,
}

impl Role {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Worker => "worker",
        }
    }
}

impl Group<'_> {
    /// Returns the labels that every object of the service carries.
    pub(super) fn labels(&self) -> Labels {
        labels([("app.kubernetes.io/name", &self.name)])
    }

    /// Returns the labels of the pods that answer.
    pub(super) fn answering(&self) -> Labels {
        self.part.as_ref().map_or_else(
            || {
                labels([
                    ("app.kubernetes.io/name", self.name.as_str()),
                    ("app.kubernetes.io/component", Role::Server.word()),
                ])
            },
            PartOf::labels,
        )
    }

    /// Returns the folder of its files: that of the whole workload where it is a part of one.
    pub(super) fn folder(&self) -> String {
        format!("10-{}", self.part.as_ref().map_or(&self.name, |part| &part.whole))
    }

    /// Returns whether a replica anywhere spans nodes.
    pub(super) fn spans_nodes(&self) -> bool {
        self.servers.iter().any(|server| server.pods_per_replica() > 1)
    }
}

impl Server<'_> {
    /// Returns the machines that it runs on.
    pub(super) fn machine(&self) -> Machine<'_> {
        Machine { shape: self.shape, accelerator: Some(self.accelerator), site: self.site }
    }

    /// Returns the pods of one replica: one per node.
    pub(super) fn pods_per_replica(&self) -> u32 {
        self.placement.candidate.nodes_per_replica.max(1)
    }

    /// Returns the accelerators of one pod.
    pub(super) fn accelerators_per_pod(&self) -> u32 {
        self.placement.candidate.accelerators / self.pods_per_replica()
    }

    /// Returns the fewest replicas at any hour of the horizon, at least one.
    pub(super) fn fewest(&self) -> u32 {
        self.placement.replicas.iter().flatten().copied().min().unwrap_or(0).max(1)
    }

    /// Returns the most replicas at any hour of the horizon.
    pub(super) fn most(&self) -> u32 {
        self.placement.peak_replicas()
    }

    /// Returns the fewest replicas that its autoscaler leaves: those of the quietest hour, or those that the plan says.
    pub(super) fn least(&self) -> u32 {
        self.serve.autoscale.as_ref().map_or(self.fewest(), |autoscale| autoscale.least.min(self.most()))
    }

    /// Returns whether the number of replicas follows the load.
    pub(super) fn scales(&self) -> bool {
        self.least() < self.most()
    }

    /// Returns the labels that every object of the placement carries.
    pub(super) fn labels(&self) -> Labels {
        let mut all = self.instance();
        all.insert("capstan.dev/site".to_owned(), slug(&self.site.name));
        all
    }

    /// Returns the labels that tell its pods from all others.
    pub(super) fn instance(&self) -> Labels {
        self.part.as_ref().map_or_else(
            || labels([("app.kubernetes.io/name", &self.group), ("app.kubernetes.io/instance", &self.name)]),
            PartOf::labels,
        )
    }

    /// Returns the labels that tell its pods that answer from all others.
    pub(super) fn answering(&self) -> Labels {
        let mut all = self.instance();
        if self.part.is_none() {
            all.insert("app.kubernetes.io/component".to_owned(), Role::Server.word().to_owned());
        }
        all
    }

    /// Returns the labels of its pods of one role.
    pub(super) fn pod_labels(&self, role: Role) -> Labels {
        let mut all = self.labels();
        all.insert("app.kubernetes.io/component".to_owned(), role.word().to_owned());
        all
    }

    /// Returns API version and kind of the object that makes its pods.
    pub(super) fn controller(&self) -> (&'static str, &'static str) {
        if self.pods_per_replica() > 1 {
            ("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet")
        } else {
            ("apps/v1", "Deployment")
        }
    }

    /// Returns the longest request, in tokens of prompt and of output.
    pub(super) fn longest_request(&self) -> (f64, f64) {
        (self.serve.load.prompt.quantile(1.0), self.serve.load.output.quantile(1.0))
    }
}

/// Returns every service with its rows, in the order of the blueprint.
pub(super) fn resolve(blueprint: &Blueprint) -> Result<Vec<Group<'_>>, EmitError> {
    let groups: Vec<Group<'_>> =
        blueprint.services.iter().map(|service| group(blueprint, service)).collect::<Result<_, _>>()?;
    let mut names: Vec<&str> = Vec::new();
    for group in &groups {
        let mut own: Vec<&str> = group.servers.iter().map(|server| server.name.as_str()).collect();
        own.push(&group.name);
        // Both parts of a workload are in one object, which has the name of the whole.
        own.extend(group.part.as_ref().filter(|of| of.part == Part::Decode).map(|of| of.whole.as_str()));
        own.dedup();
        if let Some(name) = own.iter().find(|name| names.contains(name)) {
            return Err(EmitError::SameName { name: (*name).to_owned() });
        }
        names.extend(own);
    }
    Ok(groups)
}

/// Returns the name of a workload as a DNS label.
pub(super) fn label_of(workload: &str) -> Result<String, EmitError> {
    let name = workload.to_ascii_lowercase().replace('_', "-");
    let starts = name.starts_with(|first: char| first.is_ascii_lowercase());
    if is_dns_label(&name) && name.len() <= LONGEST_NAME && starts {
        Ok(name)
    } else {
        Err(EmitError::NotALabel { what: "workload", name: workload.to_owned() })
    }
}

fn group<'a>(blueprint: &'a Blueprint, service: &'a Service) -> Result<Group<'a>, EmitError> {
    let name = label_of(&service.workload)?;
    let spec = &blueprint.inputs.spec;
    let serve = found(
        "workload",
        &service.workload,
        spec.serves.iter().find(|serve| serve.name == service.workload),
    )?;
    let placements: Vec<&Placement> =
        service.placements.iter().filter(|placement| placement.peak_replicas() > 0).collect();
    if placements.is_empty() {
        return Err(EmitError::NoReplicas { workload: service.workload.clone() });
    }
    let names = names(&name, &placements).ok_or_else(|| EmitError::SameName { name: name.clone() })?;
    let servers = placements
        .into_iter()
        .zip(names)
        .map(|(placement, own)| server(blueprint, service, serve, placement, (&name, own)))
        .collect::<Result<_, _>>()?;
    Ok(Group { name, serve, part: PartOf::of(serve)?, servers })
}

/// Returns a placement of a workload with its rows.
pub(super) fn server<'a>(
    blueprint: &'a Blueprint,
    service: &'a Service,
    serve: &'a Serve,
    placement: &'a Placement,
    (group, name): (&str, String),
) -> Result<Server<'a>, EmitError> {
    let (spec, catalog) = (&blueprint.inputs.spec, &blueprint.inputs.catalog);
    let candidate = &placement.candidate;
    let model =
        spec.models.iter().find(|model| model.id == service.model).or_else(|| catalog.model(&service.model));
    let engine = found("engine", &candidate.engine, catalog.engine(&candidate.engine))?;
    let triton = spec.deploy.as_ref().and_then(|deploy| deploy.triton.as_ref());
    let family = Family::of(engine, triton.is_some()).ok_or_else(|| EmitError::UnknownEngine {
        workload: service.workload.clone(),
        engine: engine.id.clone(),
    })?;
    if engine.tag.is_empty() || engine.tag == "latest" {
        return Err(EmitError::FloatingTag { engine: engine.id.clone(), tag: engine.tag.clone() });
    }
    let image = match triton {
        Some(image) if family == Family::Triton => image.clone(),
        _ => format!("{}:{}", engine.image, engine.tag),
    };
    let server = Server {
        name,
        group: group.to_owned(),
        serve,
        part: PartOf::of(serve)?,
        placement,
        model: found("model", &service.model, model)?,
        engine,
        family,
        image,
        shape: found("shape", &candidate.shape, catalog.shape(&candidate.shape))?,
        accelerator: found(
            "accelerator",
            &candidate.accelerator,
            catalog.accelerator(&candidate.accelerator),
        )?,
        site: found("site", &placement.site, spec.sites.iter().find(|site| site.name == placement.site))?,
    };
    check_parallelism(&server, &service.workload)?;
    Ok(server)
}

pub(super) fn found<T>(kind: &'static str, name: &str, row: Option<T>) -> Result<T, EmitError> {
    row.ok_or_else(|| EmitError::Missing { kind, name: name.to_owned() })
}

/// Checks that the ranks of a replica fill whole pods and that a pod fits a node.
fn check_parallelism(server: &Server<'_>, workload: &str) -> Result<(), EmitError> {
    let candidate = &server.placement.candidate;
    let nodes = server.pods_per_replica();
    let degrees = candidate.degrees();
    let fits = candidate.accelerators > 0
        && degrees.accelerators() == candidate.accelerators
        && degrees.of_each_expert().is_some()
        && candidate.accelerators.is_multiple_of(nodes)
        && server.accelerators_per_pod() <= server.shape.accelerators;
    if fits {
        return Ok(());
    }
    Err(EmitError::Uneven {
        workload: workload.to_owned(),
        degrees,
        accelerators: candidate.accelerators,
        nodes,
        per_node: server.shape.accelerators,
    })
}

/// Returns one name per placement: the group's where there is one on single nodes, else the shortest ending that tells them apart.
///
/// Names follow from what a placement is, not from its rank, so that another placement renames none.
fn names(group: &str, placements: &[&Placement]) -> Option<Vec<String>> {
    if let [placement] = placements {
        // The controller of a LeaderWorkerSet makes a headless service of its name, which is not the service that is asked.
        let spans = placement.candidate.nodes_per_replica > 1;
        return Some(vec![if spans { shortened(&format!("{group}-nodes")) } else { group.to_owned() }]);
    }
    let endings: [fn(&Placement) -> String; 3] = [
        |placement| slug(&placement.site),
        |placement| format!("{}-{}", slug(&placement.site), slug(&placement.candidate.accelerator)),
        |placement| {
            let candidate = &placement.candidate;
            let (site, shape) = (slug(&placement.site), slug(&candidate.shape));
            let degrees = candidate.degrees();
            let Degrees { tensor, pipeline, data, expert } = degrees;
            let dealt = if degrees.is_plain() { String::new() } else { format!("-dp{data}-ep{expert}") };
            format!("{site}-{shape}-tp{tensor}-pp{pipeline}{dealt}-{}", slug(candidate.precision.word()))
        },
    ];
    endings.iter().find_map(|ending| {
        let names: Vec<String> =
            placements.iter().map(|placement| shortened(&format!("{group}-{}", ending(placement)))).collect();
        let mut sorted = names.clone();
        sorted.sort();
        sorted.dedup();
        (sorted.len() == names.len()).then_some(names)
    })
}

/// Returns a name that is short enough: a long one is cut and ends in a digest of the whole.
///
/// 32 bits of a digest are enough to tell a few names apart.
pub(super) fn shortened(name: &str) -> String {
    shortened_to(name, LONGEST_NAME)
}

/// The same for objects whose controllers leave another length.
pub(super) fn shortened_to(name: &str, longest: usize) -> String {
    let name = name.trim_end_matches('-');
    if name.len() <= longest {
        return name.to_owned();
    }
    let digest = fnv(name);
    let kept = name.get(..longest - 9).unwrap_or(name).trim_end_matches('-');
    format!("{kept}-{digest:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_and_stays_unique() {
        let (one, two) = ("a".repeat(60), format!("{}b", "a".repeat(59)));
        assert_eq!(shortened(&one).len(), LONGEST_NAME);
        assert!(is_dns_label(&shortened(&one)));
        assert_ne!(shortened(&one), shortened(&two));
        assert_eq!(shortened("chat-dc1"), "chat-dc1");
    }
}
