//! Who may talk to whom?
//!
//! Everything is denied, then exactly this is allowed: names (53, UDP and TCP) for all; to the pods that answer, their
//! clients and the scraper; from pods to the model store; and where a replica spans nodes, all TCP between the pods of
//! its service, since collectives use random ports and one closed port hangs the job; so too between the parts of a workload.
//! Where a plan has services or notebooks, pods of its namespace may ask each other at the ports that are declared: those of
//! models, and the `port` of each service.

use super::apps::{self, Runner};
use super::engine::HTTP_PORT;
use super::object::{Labels, Object, Port, Selector, labels};
use super::server::Group;
use super::training::Job;
use super::{EmitError, Files, Frame, Wave, buckets, storage, training};
use capstan_types::spec::TrainingWish;
use serde::Serialize;

/// Namespace of the scraper; kube-prometheus uses this name.
const SCRAPER: &str = "monitoring";

/// Link-local addresses, at which nodes answer for names where they cache them (NodeLocal DNSCache, Cloud DNS).
const LINK_LOCAL: &str = "169.254.0.0/16";

/// Port of the API server behind its service (Kubernetes' default).
const API_PORT: u16 = 6443;

/// Namespace of Istio's control plane, and the port at which sidecars get certificates and configuration.
const MESH: &str = "istio-system";
const MESH_PORT: u16 = 15012;

/// Label and port of the pods by which cert-manager proves a name over HTTP.
pub(super) const SOLVER: &str = "acme.cert-manager.io/http01-solver";
const SOLVER_PORT: u16 = 8089;

/// `networking.k8s.io/v1.NetworkPolicySpec`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct PolicySpec {
    pod_selector: Selector,
    policy_types: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ingress: Vec<Rule>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    egress: Vec<Rule>,
}

/// `NetworkPolicyIngressRule` and `NetworkPolicyEgressRule`.
#[derive(Debug, Clone, Serialize)]
struct Rule {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    from: Vec<Peer>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    to: Vec<Peer>,
    ports: Vec<PolicyPort>,
}

/// `NetworkPolicyPeer`.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Peer {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_block: Option<Block>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace_selector: Option<Selector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_selector: Option<Selector>,
}

/// `IPBlock`.
#[derive(Debug, Clone, Serialize)]
struct Block {
    cidr: &'static str,
}

/// `NetworkPolicyPort`; without a number it is every port.
#[derive(Debug, Clone, Serialize)]
struct PolicyPort {
    protocol: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<Port>,
}

impl Peer {
    fn namespace(wanted: &Labels) -> Self {
        Self { namespace_selector: Some(Selector::of(wanted)), ..Self::default() }
    }

    fn pods(wanted: &Labels) -> Self {
        Self { pod_selector: Some(Selector::of(wanted)), ..Self::default() }
    }

    fn addresses(cidr: &'static str) -> Self {
        Self { ip_block: Some(Block { cidr }), ..Self::default() }
    }
}

fn port(protocol: &'static str, number: u16) -> PolicyPort {
    PolicyPort { protocol, port: Some(Port::Number(number)) }
}

fn policy(metadata: super::object::Meta, spec: PolicySpec) -> Object<PolicySpec> {
    Object { api_version: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata, spec }
}

/// Adds what holds for all pods of the namespace.
pub(super) fn add_defaults(frame: &Frame<'_>, folder: &str, files: &mut Files) -> Result<(), EmitError> {
    let deny = PolicySpec {
        pod_selector: Selector::default(),
        policy_types: vec!["Ingress", "Egress"],
        ingress: Vec::new(),
        egress: Vec::new(),
    };
    let object = policy(frame.meta("default-deny", Wave::Config, &Labels::new()), deny);
    let note = "nothing is allowed unless another policy allows it.";
    files.add(Wave::Config, folder, ("NetworkPolicy", "default-deny"), note, &object)?;
    let names = Rule {
        from: Vec::new(),
        to: vec![Peer::namespace(&Labels::new()), Peer::addresses(LINK_LOCAL)],
        ports: vec![port("UDP", 53), port("TCP", 53)],
    };
    let allow = PolicySpec {
        pod_selector: Selector::default(),
        policy_types: vec!["Egress"],
        ingress: Vec::new(),
        egress: vec![names],
    };
    let object = policy(frame.meta("allow-dns", Wave::Config, &Labels::new()), allow);
    let note = "names can be resolved, at pods of the cluster or at a cache on the node.";
    files.add(Wave::Config, folder, ("NetworkPolicy", "allow-dns"), note, &object)
}

fn scraper() -> Peer {
    Peer::namespace(&labels([("kubernetes.io/metadata.name", SCRAPER)]))
}

/// Returns who may ask the pods of a workload: its clients, the scraper, and the gateway of the plan.
fn askers(frame: &Frame<'_>, scraped: bool) -> Vec<Peer> {
    let clients = labels([("capstan.dev/clients-of", &frame.deploy.namespace)]);
    let mut peers = vec![Peer::namespace(&clients)];
    if scraped {
        peers.push(scraper());
    }
    if frame.deploy.gateway.is_some() {
        peers.push(Peer::pods(&super::gateway::pods(frame)));
    }
    if !frame.blueprint.apps.is_empty() {
        // A gateway or a notebook of the plan asks its models.
        peers.push(Peer::pods(&Labels::new()));
    }
    peers
}

/// Adds, where a plan has services or notebooks, that its pods may ask each other at declared ports; whether the other side
/// answers is said by the policy of each.
pub(super) fn add_between(
    frame: &Frame<'_>,
    groups: &[Group<'_>],
    runners: &[Runner<'_>],
    files: &mut Files,
) -> Result<(), EmitError> {
    let mut numbers = apps::ports(runners);
    if groups.iter().any(|group| group.part.is_none()) {
        numbers.push(HTTP_PORT);
    }
    if groups.iter().any(|group| group.part.is_some()) {
        numbers.extend(super::apart::ASKED);
    }
    numbers.sort_unstable();
    numbers.dedup();
    if numbers.is_empty() || runners.is_empty() {
        return Ok(());
    }
    let to = vec![Peer::pods(&Labels::new())];
    let ports = numbers.into_iter().map(|number| port("TCP", number)).collect();
    let spec = PolicySpec {
        pod_selector: Selector::default(),
        policy_types: vec!["Egress"],
        ingress: Vec::new(),
        egress: vec![Rule { from: Vec::new(), to, ports }],
    };
    let object = policy(frame.meta("allow-plan", Wave::Config, &Labels::new()), spec);
    let note = "pods of the plan ask each other at the ports of its models and services.";
    files.add(Wave::Config, "00-namespace", ("NetworkPolicy", "allow-plan"), note, &object)
}

/// Adds what the pods of a service may do: `pods` are their labels, which a chart may have chosen.
pub(super) fn add_app(
    frame: &Frame<'_>,
    runner: &Runner<'_>,
    pods: &Labels,
    files: &mut Files,
) -> Result<(), EmitError> {
    let by_chart = *pods != runner.instance();
    let mut ingress = Vec::new();
    let asked: Vec<PolicyPort> = runner.asked().into_iter().map(|(_, number)| port("TCP", number)).collect();
    if !asked.is_empty() {
        ingress.push(Rule { from: askers(frame, false), to: Vec::new(), ports: asked });
    }
    if let Some(shown) = runner.metrics().filter(|_| frame.deploy.monitoring) {
        ingress.push(Rule { from: vec![scraper()], to: Vec::new(), ports: vec![port("TCP", shown.port)] });
    }
    let out = vec![Peer::addresses("0.0.0.0/0"), Peer::addresses("::/0")];
    let mut egress = vec![Rule { from: Vec::new(), to: out, ports: vec![port("TCP", 443)] }];
    // Instances that keep data agree with each other over ports of their own; a chart has several programs.
    if by_chart || (runner.keeps_data() && runner.instances() > 1) {
        let every = || vec![PolicyPort { protocol: "TCP", port: None }];
        ingress.push(Rule { from: vec![Peer::pods(pods)], to: Vec::new(), ports: every() });
        egress.push(Rule { from: Vec::new(), to: vec![Peer::pods(pods)], ports: every() });
    }
    let mut own = runner.labels();
    if by_chart {
        own.insert("capstan.dev/chart".to_owned(), runner.name.clone());
    }
    let spec = PolicySpec {
        pod_selector: Selector::of(pods),
        policy_types: vec!["Ingress", "Egress"],
        ingress,
        egress,
    };
    let object = policy(frame.meta(&runner.name, Wave::Config, &own), spec);
    let note = format!(
        "clients are pods of this namespace and of those labelled capstan.dev/clients-of={}; out goes HTTPS, and what the plan declares.",
        frame.deploy.namespace
    );
    let file = ("NetworkPolicy", runner.name.as_str());
    files.add(Wave::Config, &runner.folder(), file, &note, &object)
}

/// Adds what the pods of a workload in two parts may do, its scheduler among them: all TCP between them, since caches
/// are sent over ports that are chosen anew with each start.
pub(super) fn add_apart(
    frame: &Frame<'_>,
    (name, pods): (&str, &Labels),
    asked: &[u16],
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    let every = || vec![PolicyPort { protocol: "TCP", port: None }];
    let own = || vec![Peer::pods(pods)];
    let asked = asked.iter().map(|&number| port("TCP", number)).collect();
    let out = vec![Peer::addresses("0.0.0.0/0"), Peer::addresses("::/0")];
    let spec = PolicySpec {
        pod_selector: Selector::of(pods),
        policy_types: vec!["Ingress", "Egress"],
        ingress: vec![
            Rule { from: askers(frame, frame.deploy.monitoring), to: Vec::new(), ports: asked },
            Rule { from: own(), to: Vec::new(), ports: every() },
        ],
        egress: vec![
            Rule { from: Vec::new(), to: own(), ports: every() },
            Rule { from: Vec::new(), to: out, ports: vec![port("TCP", 443), port("TCP", API_PORT)] },
        ],
    };
    let object = policy(frame.meta(name, Wave::Config, pods), spec);
    let note = format!(
        "clients are pods of namespaces labelled capstan.dev/clients-of={}; out goes HTTPS to the model store, and to the API server, which the scheduler and the sidecar ask.",
        frame.deploy.namespace
    );
    files.add(Wave::Config, folder, ("NetworkPolicy", name), &note, &object)
}

/// Adds what the pods of one service may do.
pub(super) fn add(
    frame: &Frame<'_>,
    group: &Group<'_>,
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    let follows = group.servers.iter().any(super::scaling::has_autoscaler);
    let mut peers = askers(frame, frame.deploy.monitoring || follows);
    if frame.deploy.load_test {
        peers.push(Peer::pods(&super::load_test::pods(&group.name)));
    }
    if picked(frame) {
        peers.push(Peer::pods(&super::gateway::picker(group).1));
        add_picker(frame, group, folder, files)?;
    }
    let mut ingress = vec![Rule { from: peers, to: Vec::new(), ports: vec![port("TCP", HTTP_PORT)] }];
    let shown = group.servers.first().map(|server| server.family.metrics_port().1);
    if let Some(shown) = shown.filter(|&shown| shown != HTTP_PORT && frame.deploy.monitoring) {
        ingress.push(Rule { from: vec![scraper()], to: Vec::new(), ports: vec![port("TCP", shown)] });
    }
    let store = vec![Peer::addresses("0.0.0.0/0"), Peer::addresses("::/0")];
    let mut egress = vec![Rule { from: Vec::new(), to: store, ports: vec![port("TCP", 443)] }];
    if group.spans_nodes() {
        let every = || vec![PolicyPort { protocol: "TCP", port: None }];
        ingress.push(Rule { from: vec![Peer::pods(&group.labels())], to: Vec::new(), ports: every() });
        egress.push(Rule { from: Vec::new(), to: vec![Peer::pods(&group.labels())], ports: every() });
    }
    let spec = PolicySpec {
        pod_selector: Selector::of(&group.labels()),
        policy_types: vec!["Ingress", "Egress"],
        ingress,
        egress,
    };
    let object = policy(frame.meta(&group.name, Wave::Config, &group.labels()), spec);
    let note = format!(
        "clients are pods of namespaces labelled capstan.dev/clients-of={}; out goes only HTTPS to the model store.",
        frame.deploy.namespace
    );
    files.add(Wave::Config, folder, ("NetworkPolicy", &group.name), &note, &object)?;
    if !frame.deploy.load_test {
        return Ok(());
    }
    add_test(frame, &group.name, (&group.answering(), Some(HTTP_PORT)), folder, files)
}

/// Says whether an endpoint picker chooses among replicas.
fn picked(frame: &Frame<'_>) -> bool {
    frame.deploy.gateway.as_ref().is_some_and(|wish| wish.picker)
}

/// Adds what an endpoint picker may do: answer the gateway, read what replicas say of themselves, and watch them through
/// the API server.
fn add_picker(
    frame: &Frame<'_>,
    group: &Group<'_>,
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    let (name, pods) = super::gateway::picker(group);
    let gateway = vec![Peer::pods(&super::gateway::pods(frame))];
    let out = vec![Peer::addresses("0.0.0.0/0"), Peer::addresses("::/0")];
    let replicas = vec![Peer::pods(&group.answering())];
    let spec = PolicySpec {
        pod_selector: Selector::of(&pods),
        policy_types: vec!["Ingress", "Egress"],
        ingress: vec![Rule {
            from: gateway,
            to: Vec::new(),
            ports: vec![port("TCP", super::gateway::PICKER_PORT)],
        }],
        egress: vec![
            Rule { from: Vec::new(), to: replicas, ports: vec![port("TCP", HTTP_PORT)] },
            Rule { from: Vec::new(), to: out, ports: vec![port("TCP", 443), port("TCP", API_PORT)] },
        ],
    };
    let object = policy(frame.meta(&name, Wave::Config, &group.labels()), spec);
    let note = "the endpoint picker answers the gateway, reads the replicas, and watches them through the API server.";
    files.add(Wave::Config, folder, ("NetworkPolicy", &name), note, &object)
}

/// Adds what the pods of a load test may do: ask pods at a port; those of a gateway at any, and under its name from outside.
pub(super) fn add_test(
    frame: &Frame<'_>,
    service: &str,
    (asked, number): (&Labels, Option<u16>),
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    let test = super::load_test::pods(service);
    let at = number.map_or(PolicyPort { protocol: "TCP", port: None }, |number| port("TCP", number));
    let mut egress = vec![Rule { from: Vec::new(), to: vec![Peer::pods(asked)], ports: vec![at] }];
    if number.is_none() && frame.deploy.gateway.as_ref().is_some_and(|gateway| gateway.host.is_some()) {
        let out = vec![Peer::addresses("0.0.0.0/0"), Peer::addresses("::/0")];
        egress.push(Rule { from: Vec::new(), to: out, ports: vec![port("TCP", 443)] });
    }
    let spec = PolicySpec {
        pod_selector: Selector::of(&test),
        policy_types: vec!["Ingress", "Egress"],
        ingress: Vec::new(),
        egress,
    };
    let name = format!("{service}-load-test");
    let object = policy(frame.meta(&name, Wave::Config, &test), spec);
    let note = "the load test asks the service, and nothing else.";
    files.add(Wave::Config, folder, ("NetworkPolicy", &name), note, &object)
}

/// Adds what sidecars need besides: certificates and configuration from the mesh, and to show their metrics.
pub(super) fn add_mesh(frame: &Frame<'_>, members: &Labels, files: &mut Files) -> Result<(), EmitError> {
    let scraped = frame.deploy.monitoring.then(|| Rule {
        from: vec![scraper()],
        to: Vec::new(),
        ports: vec![port("TCP", super::mesh::MERGED.0)],
    });
    let control = Rule {
        from: Vec::new(),
        to: vec![Peer::namespace(&labels([("kubernetes.io/metadata.name", MESH)]))],
        ports: vec![port("TCP", MESH_PORT)],
    };
    let spec = PolicySpec {
        pod_selector: Selector::of(members),
        policy_types: vec!["Ingress", "Egress"],
        ingress: scraped.into_iter().collect(),
        egress: vec![control],
    };
    let object = policy(frame.meta("allow-mesh", Wave::Config, &Labels::new()), spec);
    let note = "sidecars reach the mesh's control plane, and the scraper their metrics.";
    files.add(Wave::Config, "00-namespace", ("NetworkPolicy", "allow-mesh"), note, &object)
}

/// Adds that an issuer which proves a name over HTTP reaches the pods that cert-manager answers it with.
pub(super) fn add_solver(frame: &Frame<'_>, files: &mut Files) -> Result<(), EmitError> {
    let spec = PolicySpec {
        pod_selector: Selector::of(&labels([(SOLVER, "true")])),
        policy_types: vec!["Ingress"],
        ingress: vec![Rule {
            from: vec![Peer::pods(&super::gateway::pods(frame))],
            to: Vec::new(),
            ports: vec![port("TCP", SOLVER_PORT)],
        }],
        egress: Vec::new(),
    };
    let object = policy(frame.meta("certificate-solver", Wave::Config, &Labels::new()), spec);
    let note = "the gateway reaches the pods by which cert-manager proves whose the name is.";
    files.add(Wave::Config, "20-gateway", ("NetworkPolicy", "certificate-solver"), note, &object)
}

/// Adds what the pods of the gateway may do, and those of trainings.
pub(super) fn add_besides(frame: &Frame<'_>, jobs: &[Job<'_>], files: &mut Files) -> Result<(), EmitError> {
    if frame.deploy.gateway.is_some() {
        let pods = super::gateway::pods(frame);
        let from_all = Rule {
            from: Vec::new(),
            to: Vec::new(),
            ports: vec![PolicyPort { protocol: "TCP", port: None }],
        };
        let spec = PolicySpec {
            pod_selector: Selector::of(&pods),
            policy_types: vec!["Ingress", "Egress"],
            ingress: vec![from_all.clone()],
            egress: vec![from_all],
        };
        let object = policy(frame.meta("allow-gateway", Wave::Config, &Labels::new()), spec);
        let note = "everybody reaches the gateway, and it the services and its controller.";
        files.add(Wave::Config, "20-gateway", ("NetworkPolicy", "allow-gateway"), note, &object)?;
    }
    let Some(wish) = &frame.deploy.training else { return Ok(()) };
    jobs.iter().try_for_each(|job| add_training(frame, wish, job, files))
}

/// Adds what the pods of a training may do: all TCP between them, since ranks meet at ports that are chosen anew with each
/// start.
fn add_training(
    frame: &Frame<'_>,
    wish: &TrainingWish,
    job: &Job<'_>,
    files: &mut Files,
) -> Result<(), EmitError> {
    let every = || vec![PolicyPort { protocol: "TCP", port: None }];
    let own = || vec![Peer::pods(&job.labels())];
    let out = vec![Peer::addresses("0.0.0.0/0"), Peer::addresses("::/0")];
    let mut note =
        "nodes of the training talk to each other; out goes only HTTPS to data and models".to_owned();
    let mut ingress = vec![Rule { from: own(), to: Vec::new(), ports: every() }];
    if let Some((label, number)) = training::asked_by(wish) {
        let operator = Peer { namespace_selector: Some(Selector::default()), ..Peer::pods(&labels([label])) };
        ingress.push(Rule { from: vec![operator], to: Vec::new(), ports: vec![port("TCP", number)] });
        note += "; its operator hands it the program";
    }
    let mut ports = vec![port("TCP", 443)];
    if training::asks_the_server(wish) {
        ports.push(port("TCP", API_PORT));
        note += ", and to the API server, by which nodes are started";
    }
    let mut egress =
        vec![Rule { from: Vec::new(), to: own(), ports: every() }, Rule { from: Vec::new(), to: out, ports }];
    if storage::objects(frame).is_some_and(|store| store.site == job.run.site) {
        let rook = Selector::of(&labels([("kubernetes.io/metadata.name", storage::ROOK)]));
        let gateway = Peer { namespace_selector: Some(rook), ..Peer::pods(&labels([buckets::PODS])) };
        egress.push(Rule {
            from: Vec::new(),
            to: vec![gateway],
            ports: vec![port("TCP", buckets::POD_PORT)],
        });
        note += ", and to its buckets";
    }
    let pod_selector = Selector::of(&job.labels());
    let spec = PolicySpec { pod_selector, policy_types: vec!["Ingress", "Egress"], ingress, egress };
    let object = policy(frame.meta(&job.name, Wave::Config, &job.labels()), spec);
    note += ".";
    files.add(Wave::Config, &format!("30-{}", job.name), ("NetworkPolicy", &job.name), &note, &object)
}

/// Adds what the pods of offline inference may do: nobody asks them.
pub(super) fn add_offline(
    frame: &Frame<'_>,
    (name, pods): (&str, &Labels),
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    let store = vec![Peer::addresses("0.0.0.0/0"), Peer::addresses("::/0")];
    let spec = PolicySpec {
        pod_selector: Selector::of(pods),
        policy_types: vec!["Ingress", "Egress"],
        ingress: Vec::new(),
        egress: vec![Rule { from: Vec::new(), to: store, ports: vec![port("TCP", 443)] }],
    };
    let object = policy(frame.meta(name, Wave::Config, pods), spec);
    let note = "nobody asks it; out goes only HTTPS to the model store.";
    files.add(Wave::Config, folder, ("NetworkPolicy", name), note, &object)
}
