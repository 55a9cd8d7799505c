//! What does one pod of a replica ask for, and how long may it take to start and to stop?
//!
//! Host shares, shared memory, probes and grace periods, all from the placement and its machine.

use super::affinity::Machine;
use super::engine::{HTTP_PORT, Launch, OPTIONS_DIR};
use super::object::{Labels, Port, count};
use super::pod::{
    Capabilities, ClaimRef, ConfigMapRef, Container, ContainerPort, ContainerSecurity, EmptyDir, EnvSource,
    EnvVar, Exec, Hook, HttpGet, Lifecycle, Mount, Probe, Probes, Resources, SecretKey, Volume,
};
use super::products::resource;
use super::server::{Role, Server};
use super::{Frame, Warning, rails};

/// Share of a node's processors and memory that pods of the plan may ask for; the rest is for the system and for
/// what runs on every node. Origin: Assumed.
const HOST_SHARE: f64 = 0.9;

/// Shared memory per rank of a pod, in GiB. Collectives take segments of about 10 MB each, of which the 64 MiB that
/// containers have by default hold six; the need does not follow the size of the weights. Origin: Assumed.
const SHARED_GIB_PER_RANK: u64 = 2;

/// Room for downloaded weights over their size. Origin: Assumed.
const CACHE_ROOM: f64 = 1.25;

/// Startup probes wait this many times the planned start. Origin: Assumed.
const START_MARGIN: f64 = 2.0;

/// Shortest budget of a startup probe, in seconds. Origin: Assumed.
const SHORTEST_STARTUP: u32 = 120;

/// Seconds between two startup probes.
pub(super) const PROBE_PERIOD: u32 = 10;

/// Seconds for which a pod that stops still answers, until all routes to it are gone. Origin: Assumed.
const DRAIN: u32 = 15;

/// Secret that may hold a token for the model hub; written by people, never by Capstan.
pub(super) const TOKEN_SECRET: &str = "hf-token";

const GIB: f64 = 1_073_741_824.0;

/// How long a pod may take, in seconds.
pub(super) struct Times {
    /// Failures of the startup probe until the container is restarted.
    pub(super) startup_failures: u32,
    /// From the wish to stop to the kill.
    pub(super) grace: u32,
    /// Until a rollout without progress is called failed.
    pub(super) deadline: u32,
}

impl Times {
    /// Returns the times of a server, from its planned start and its longest request.
    pub(super) fn of(server: &Server<'_>) -> Self {
        let start = count(server.placement.start.get() * START_MARGIN).max(SHORTEST_STARTUP);
        let startup_failures = start.div_ceil(PROBE_PERIOD);
        let (_, output) = server.longest_request();
        let estimate = &server.placement.estimate;
        // The longest request that may just have begun, at the planned pace with half as much again.
        let longest = 1.5 * (estimate.ttft.get() + output * estimate.tpot.get());
        let grace = count(longest).saturating_add(DRAIN).clamp(30, 3600);
        // An old pod frees its accelerators before a new one starts.
        let deadline =
            startup_failures.saturating_mul(PROBE_PERIOD).saturating_add(grace).saturating_add(300);
        Self { startup_failures, grace, deadline }
    }
}

/// The share of a node that one pod asks for.
pub(super) struct Share {
    pub(super) cpu: Option<u64>,
    pub(super) memory_gib: Option<u64>,
    /// Shared memory of pods with several ranks.
    pub(super) shared_gib: Option<u64>,
    /// Rails of the machine, for pods that span several.
    pub(super) rails: usize,
}

impl Share {
    /// Returns the share of pods with so many ranks: the node's, by accelerators, so that any mix of replicas fits.
    pub(super) fn of(machine: Machine<'_>, ranks: u32, subject: &str, warnings: &mut Vec<Warning>) -> Self {
        let shape = machine.shape;
        let part = HOST_SHARE * f64::from(ranks) / f64::from(shape.accelerators.max(1));
        let cpu = shape.vcpus.map(|vcpus| whole(f64::from(vcpus) * part).max(1));
        let memory_gib = shape.host_memory.map(|memory| whole(memory.get() / GIB * part).max(1));
        if cpu.is_none() || memory_gib.is_none() {
            let message = format!(
                "processors or memory of {} are unknown, so its pods ask for none: give them in a catalog",
                shape.id
            );
            warnings.push(Warning { subject: subject.to_owned(), message });
        }
        let wanted = SHARED_GIB_PER_RANK * u64::from(ranks);
        let shared_gib = (ranks > 1).then(|| match memory_gib {
            // It counts against the limit of the pod, so it never takes more than half of it.
            Some(memory) => wanted.min(memory / 2).max(1),
            None => wanted,
        });
        Self { cpu, memory_gib, shared_gib, rails: 0 }
    }

    /// Returns the share of pods that span so many machines, with the rails that they take.
    pub(super) fn on_rails(self, frame: &Frame<'_>, machine: Machine<'_>, nodes: u32) -> Self {
        Self { rails: rails::taken(frame, machine, nodes), ..self }
    }

    /// Returns what the container may do beyond its program: lock the memory that its rails read and write by themselves.
    pub(super) fn capabilities(&self) -> Capabilities {
        let add = if self.rails > 0 { vec!["IPC_LOCK"] } else { Vec::new() };
        Capabilities { add, drop: vec!["ALL"] }
    }

    /// Returns what a pod with so many ranks asks for; one with none asks for no accelerator.
    pub(super) fn resources(&self, machine: Machine<'_>, ranks: u32) -> Resources {
        let mut limits = Labels::new();
        if let Some(memory) = self.memory_gib {
            limits.insert("memory".to_owned(), format!("{memory}Gi"));
        }
        if let Some(vendor) = machine.vendor().filter(|_| ranks > 0) {
            limits.insert(resource(vendor).to_owned(), ranks.to_string());
            limits.extend((0..self.rails).map(|rail| (rails::resource(rail), "1".to_owned())));
        }
        let mut requests = limits.clone();
        if let Some(cpu) = self.cpu {
            requests.insert("cpu".to_owned(), cpu.to_string());
        }
        Resources { requests, limits }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, not a number is 0"
)]
fn whole(number: f64) -> u64 {
    number.floor() as u64
}

/// Returns the container of a pod.
pub(super) fn container(
    server: &Server<'_>,
    launch: &Launch,
    role: Role,
    share: &Share,
    times: &Times,
) -> Container {
    let (command, args) = match (role, &launch.worker) {
        (Role::Worker, Some((command, args))) => (command.clone(), args.clone()),
        _ => (launch.command.clone(), launch.args.clone()),
    };
    let answers = role == Role::Server;
    let mut volume_mounts = vec![Mount { name: "cache", mount_path: "/cache".into(), read_only: false }];
    if share.shared_gib.is_some() {
        volume_mounts.push(Mount { name: "shm", mount_path: "/dev/shm".into(), read_only: false });
    }
    if launch.options.is_some() {
        volume_mounts.push(Mount { name: "options", mount_path: OPTIONS_DIR.into(), read_only: true });
    }
    Container {
        name: server.family.container().into(),
        image: server.image.clone(),
        image_pull_policy: "IfNotPresent",
        command,
        args,
        env: environment(),
        ports: if answers { ports(server) } else { Vec::new() },
        resources: share.resources(server.machine(), server.accelerators_per_pod()),
        probes: answers.then(|| probes(server, times)),
        security_context: ContainerSecurity {
            allow_privilege_escalation: false,
            capabilities: share.capabilities(),
        },
        volume_mounts,
    }
}

fn environment() -> Vec<EnvVar> {
    let token = SecretKey { name: TOKEN_SECRET, key: "token", optional: true };
    vec![
        EnvVar { name: "HF_HOME", value: Some("/cache"), value_from: None },
        EnvVar { name: "HF_TOKEN", value: None, value_from: Some(EnvSource { secret_key_ref: token }) },
    ]
}

/// Returns the ports of a pod that answers: that of requests, and that of metrics where it is another.
fn ports(server: &Server<'_>) -> Vec<ContainerPort> {
    let mut ports = vec![("http", HTTP_PORT), server.family.metrics_port()];
    ports.dedup();
    ports.into_iter().map(|(name, container_port)| ContainerPort { name, container_port }).collect()
}

fn probes(server: &Server<'_>, times: &Times) -> Probes {
    let (ready, live) = server.family.health();
    let probe = |path: &'static str, period_seconds, failure_threshold| Probe {
        http_get: Some(HttpGet { path: path.into(), port: Port::Name("http") }),
        tcp_socket: None,
        period_seconds,
        timeout_seconds: 5,
        failure_threshold,
    };
    let drain = Exec { command: vec!["sleep".to_owned(), DRAIN.to_string()] };
    Probes {
        startup_probe: probe(ready, PROBE_PERIOD, times.startup_failures),
        readiness_probe: probe(ready, 5, 3),
        liveness_probe: probe(live, 10, 6),
        lifecycle: Some(Lifecycle { pre_stop: Hook { exec: drain } }),
    }
}

/// Returns the volumes of a pod; `options` names the ConfigMap of engine options.
pub(super) fn volumes(
    server: &Server<'_>,
    share: &Share,
    options: Option<String>,
    weights: Option<String>,
) -> Vec<Volume> {
    let empty = |name, medium, size: u32| Volume {
        empty_dir: Some(EmptyDir { medium, size_limit: format!("{size}Gi") }),
        ..Volume::named(name)
    };
    let cache = match weights {
        Some(claim_name) => {
            Volume { persistent_volume_claim: Some(ClaimRef { claim_name }), ..Volume::named("cache") }
        }
        None => empty("cache", None, count(cache_bytes(server) / GIB).max(1)),
    };
    let mut volumes = vec![cache];
    if let Some(shared) = share.shared_gib {
        volumes.push(empty("shm", Some("Memory"), u32::try_from(shared).unwrap_or(u32::MAX)));
    }
    if let Some(name) = options {
        volumes.push(Volume { config_map: Some(ConfigMapRef { name }), ..Volume::named("options") });
    }
    volumes
}

/// Returns the room that downloaded weights take.
pub(super) fn cache_bytes(server: &Server<'_>) -> f64 {
    server.model.params_total_b * 1e9 * server.model.published.weight_bytes() * CACHE_ROOM
}
