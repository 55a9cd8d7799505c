//! `deploy`: where do the manifests go?

use capstan_types::quantity::Dimension;
use capstan_types::spec::{
    FabricWish, Fleet, GatewayWish, JobKind, Kubernetes, NEWEST_KUBERNETES, OLDEST_KUBERNETES, Pipeline,
    Serve, TokenWish, TrainingWish,
};
use capstan_types::units::RequestsPerSecond;

use super::checker::Checker;
use super::fields::Fields;
use super::metal::{METAL3, read_metal3};
use super::plan::assumed;
use super::rails::{NETWORK_OPERATOR, read_rails};
use super::table::{Bounds, FACT, FieldRow, FieldType, LabelRule, Table};
use super::triton::{triton, version};
use crate::ast::Block;
use crate::codes;

/// Targets of the language.
const TARGETS: &[&str] = &["kubernetes", "bare_metal", "terraform", "slurm"];

/// What can run trainings.
const JOBS: &[&str] = &[
    JobKind::TrainJob.word(),
    JobKind::PyTorchJob.word(),
    JobKind::MpiJob.word(),
    JobKind::TfJob.word(),
    JobKind::RayJob.word(),
    JobKind::JobSet.word(),
];

/// What reviews changes of plans.
const PIPELINES: &[&str] = &[Pipeline::Github.word(), Pipeline::Gitlab.word()];

/// Longest label of the domain name system (RFC 1123, section 2.1), which a namespace is.
const MOST_LETTERS: usize = 63;

/// Longest subdomain (RFC 1123, section 2.1).
const MOST_IN_A_SUBDOMAIN: usize = 253;

/// The kind of block.
pub static DEPLOY: Table = Table {
    label: LabelRule::Word(TARGETS),
    ..Table::named(
        "deploy",
        "Where manifests go; `kubernetes` is planned, the other targets are not yet.",
        FIELDS,
    )
};

static FIELDS: &[FieldRow] = &[
    FieldRow::new("namespace", FieldType::Text, FACT)
        .default("the name of the plan")
        .means("Namespace of everything that is written.")
        .shown("= \"llm\"", "= \"chat\""),
    FieldRow::new("version", FieldType::Text, FACT)
        .default("`\"1.28\"`, the oldest")
        .means("Version of the cluster; what it does not serve yet is refused where it would be needed.")
        .shown("= \"1.34\"", "= \"1.36\""),
    FieldRow::new("monitoring", FieldType::Word(&["none", "prometheus"]), FACT)
        .default("`none`")
        .means("Whether rules for the Prometheus operator are written.")
        .shown("= prometheus", "= none"),
    FieldRow::new("dashboard", FieldType::Word(&["none", "grafana"]), FACT)
        .default("`none`")
        .means("Whether a dashboard of the service levels is written, beside what is monitored.")
        .shown("= grafana, monitoring = prometheus", "= none, monitoring = prometheus"),
    FieldRow::new("alerts", FieldType::Text, FACT)
        .default("none: the Alertmanager of the cluster tells whom it tells")
        .means("Secret whose keys `page` and `ticket` hold the addresses that alerts are sent to, by severity.")
        .shown("= \"pager\", monitoring = prometheus", "= \"desk\", monitoring = prometheus"),
    FieldRow::new("serving", FieldType::Word(&["deployment", "kserve"]), FACT)
        .default("`deployment`")
        .means("What runs replicas of one machine: Deployments, or an InferenceService of KServe for each placement.")
        .shown("= kserve", "= deployment"),
    FieldRow::new("triton", FieldType::Text, FACT)
        .default("none: TensorRT-LLM's own server, `trtllm-serve`")
        .means("Image of Triton with TensorRT-LLM (such as `nvcr.io/nvidia/tritonserver:…-trtllm-python-py3`), which then runs every workload with that engine; others stay with their own servers.")
        .shown("= \"registry/triton:1\"", "= \"registry/triton:2\""),
    FieldRow::new("gateway", FieldType::Record(&GATEWAY), FACT)
        .default("none: services are reached in the cluster only")
        .means("How requests come in from outside (Gateway API).")
        .shown("= { class = \"istio\" }", "= { class = \"eg\" }"),
    FieldRow::new("certificates", FieldType::Text, FACT)
        .default("none: the certificate of the gateway is made by hand")
        .means("ClusterIssuer of cert-manager that the certificate of the gateway's `host` comes from.")
        .shown(
            "= \"letsencrypt\", gateway = { class = \"istio\", host = \"llm.example.com\" }",
            "= \"corporate\", gateway = { class = \"istio\", host = \"llm.example.com\" }",
        ),
    FieldRow::new("mesh", FieldType::Word(&["none", "istio"]), FACT)
        .default("`none`")
        .means("Whether a mesh stands between those who ask and those who answer: proof of who asks, limits, retries.")
        .shown("= istio", "= none"),
    FieldRow::new("rate_limit", FieldType::Quantity(Dimension::REQUEST_RATE), FACT)
        .bounds(Bounds::UpTo(1e9))
        .default("none: only what is under way is limited")
        .means("Most requests a second that each workload lets in, shared by its replicas; more is turned away (429). Needs `mesh = istio`.")
        .shown("= 200 req/s, mesh = istio", "= 80 req/s, mesh = istio"),
    FieldRow::new("jwt", FieldType::Record(&JWT), FACT)
        .default("none: whoever reaches a model may ask it")
        .means("Whose tokens may ask, at the gateway or else at each model; needs `mesh = istio`.")
        .shown(
            "= { issuer = \"https://id.example.com\", jwks = \"https://id.example.com/keys\" }, mesh = istio",
            "= { issuer = \"https://login.example.com\", jwks = \"https://id.example.com/keys\" }, mesh = istio",
        ),
    FieldRow::new("gpu_operator", FieldType::Bool, FACT)
        .default("`false`")
        .means("Whether the policies of the GPU operator are written: drivers, device plugin, labels of nodes.")
        .shown("= true", "= false"),
    FieldRow::new("network_operator", FieldType::Record(&NETWORK_OPERATOR), FACT)
        .default("none: pods that span machines use the network of the cluster")
        .means("How pods that span own machines get their network ports: policies of the Network operator and of SR-IOV, a resource for each rail.")
        .shown("= { rails = [\"ibs1f0\", \"ibs2f0\"] }", "= { rails = [\"ibs1f0\"] }"),
    FieldRow::new("training", FieldType::Record(&TRAINING), FACT)
        .default("none: training is started by hand")
        .means("What runs trainings, and how they get their machines.")
        .shown("= { image = \"registry/train:1\" }", "= { image = \"registry/train:2\" }"),
    FieldRow::new("requests", FieldType::Text, FACT)
        .default("none: offline inference is started by hand")
        .means("Claim of the volume on which the requests of offline inference lie, as `NAME/part-0.jsonl` and so on.")
        .shown("= \"archive\"", "= \"files\""),
    FieldRow::new("karpenter", FieldType::Text, FACT)
        .default("none: machines are there")
        .means("Class of nodes from which Karpenter makes the machines that are rented, spot ones first.")
        .shown("= \"gpu\"", "= \"big\""),
    FieldRow::new("metal3", FieldType::Record(&METAL3), FACT)
        .default("none: machines of own sites are nodes already")
        .means("How machines of own sites are made nodes by Cluster API and Metal3, of hosts that are described there.")
        .shown(
            "= { cluster = \"prod\", image = \"http://10.0.0.2/node.qcow2\", checksum = \"http://10.0.0.2/SHA256SUMS\", version = \"1.28.15\" }",
            "= { cluster = \"test\", image = \"http://10.0.0.2/node.qcow2\", checksum = \"http://10.0.0.2/SHA256SUMS\", version = \"1.28.15\" }",
        ),
    FieldRow::new("quota", FieldType::Bool, FACT)
        .default("`false`")
        .means("Whether the namespace is held to the accelerators that are planned.")
        .shown("= true", "= false"),
    FieldRow::new("priorities", FieldType::Bool, FACT)
        .default("`false`")
        .means("Whether serving goes before training where machines are short.")
        .shown("= true", "= false"),
    FieldRow::new("load_test", FieldType::Word(&["none", "k6"]), FACT)
        .default("`none`")
        .means("Whether a test is written that drives the planned load; it waits until it is started by hand.")
        .shown("= k6", "= none"),
    FieldRow::new("storage_class", FieldType::Text, FACT)
        .default("none: every replica downloads its weights")
        .means("Class of the volumes on which weights and checkpoints lie; many nodes must be able to mount one.")
        .shown("= \"files\"", "= \"fast\""),
    FieldRow::new("storage", FieldType::Word(&["none", "rook"]), FACT)
        .default("`none`")
        .means("Whether the storage that is planned at own sites is written, for Rook: files, and buckets where it keeps objects or is `bulk`.")
        .shown("= rook", "= none"),
    FieldRow::new("secret_store", FieldType::Text, FACT)
        .default("none: the secret `hf-token` is made by hand, if the model needs one")
        .means("ClusterSecretStore of External Secrets that holds the token of the model hub.")
        .shown("= \"vault\"", "= \"aws\""),
    FieldRow::new("etcd_backup", FieldType::Text, FACT)
        .default("none")
        .means("Claim of the volume on which snapshots of the cluster's etcd lie; they are taken where its control plane runs.")
        .shown("= \"snapshots\"", "= \"files\""),
    FieldRow::new("ci", FieldType::Words(PIPELINES), FACT)
        .default("none")
        .means("Servers for which a pipeline is written that reviews changes of the plan and scans its images.")
        .shown("= github", "= [github, gitlab]"),
];

/// How requests come in from outside.
static GATEWAY: Table =
    Table::record("gateway", "How requests come in from outside (Gateway API).", GATEWAY_FIELDS);

static GATEWAY_FIELDS: &[FieldRow] = &[
    FieldRow::new("class", FieldType::Text, FACT)
        .needed()
        .means("Class of the gateway, as the cluster knows it.")
        .shown("= \"istio\"", "= \"eg\""),
    FieldRow::new("host", FieldType::Text, FACT)
        .default("any")
        .means("Name under which it is asked; with one it speaks TLS.")
        .shown("= \"llm.example.com\"", "= \"chat.example.com\""),
    FieldRow::new("picker", FieldType::Bool, FACT)
        .default("`false`")
        .means("Whether an endpoint picker (InferencePool) chooses the replica rather than chance.")
        .shown("= true", "= false"),
];

/// Whose tokens may ask.
static JWT: Table = Table::record("jwt", "Whose tokens may ask a model (JSON Web Tokens).", JWT_FIELDS);

static JWT_FIELDS: &[FieldRow] = &[
    FieldRow::new("issuer", FieldType::Text, FACT)
        .needed()
        .means("Who issues them, letter by letter as it stands in their `iss`.")
        .shown("= \"https://id.example.com\"", "= \"https://login.example.com\""),
    FieldRow::new("jwks", FieldType::Text, FACT)
        .needed()
        .means("Where the mesh fetches the keys by which tokens are checked.")
        .shown("= \"https://id.example.com/keys\"", "= \"https://login.example.com/keys\""),
];

/// How training gets its machines.
static TRAINING: Table =
    Table::record("training", "What runs trainings, and how they get their machines.", TRAINING_FIELDS);

static TRAINING_FIELDS: &[FieldRow] = &[
    FieldRow::new("image", FieldType::Text, FACT)
        .needed()
        .means("Image of the training program, with a tag or a digest.")
        .shown("= \"registry/train:1\"", "= \"registry/train:2\""),
    FieldRow::new("queue", FieldType::Word(&["none", "kueue"]), FACT)
        .default("`none`")
        .means("Whether jobs wait in a queue with the quotas that are planned.")
        .shown("= kueue", "= none"),
    FieldRow::new("job", FieldType::Word(JOBS), FACT)
        .default("`train_job`")
        .means("What runs them: Kubeflow Trainer, its training operator, KubeRay or JobSet, one of which the cluster has.")
        .shown("= job_set", "= py_torch_job"),
    FieldRow::new("program", FieldType::Text, FACT)
        .default("what the image starts by itself")
        .means("Command line that starts the program, read by the image's `sh`; `ray_job` needs it.")
        .shown("= \"python train.py\"", "= \"torchrun train.py\""),
];

/// Reads the targets; only one is planned.
pub(crate) fn check(
    checker: &Checker<'_>,
    blocks: &[&Block],
    serves: &[Serve],
    (fleets, fabrics): (&[Fleet], &[FabricWish]),
) -> Option<Kubernetes> {
    let mut found: Option<Kubernetes> = None;
    let mut first = None;
    for block in blocks {
        let target = checker.name_of(block, &DEPLOY);
        if let Some(target) = target.as_deref().filter(|target| *target != "kubernetes") {
            let message = format!("`deploy {target}` is not planned yet");
            let error = checker.values.error(codes::NOT_PLANNED, block.kind.span, message);
            checker.values.report(error.help("`deploy kubernetes` is"));
            continue;
        }
        let fields = checker.contents(&DEPLOY, block).fields;
        if let Some(first) = first {
            let message = "a file has one `deploy kubernetes` block";
            let error = checker.values.error(codes::DUPLICATE_NAME, fields.place.span(), message);
            checker.values.report(error.also(checker.place(first), "the first one").help("join the two"));
            continue;
        }
        first = Some(fields.place.span());
        let namespace = match fields.text("namespace") {
            Some(namespace) => {
                label(checker, namespace, fields.place_of("namespace").span());
                namespace.to_owned()
            }
            None => {
                let namespace = from_plan(checker, &fields);
                let text = format!("the namespace is `{namespace}`, after the plan");
                assumed(checker, &fields, &fields.place, "namespace", namespace, &text)
            }
        };
        let mut deploy = read(checker, &fields, namespace);
        deploy.network_operator =
            fields.record("network_operator").map(|rails| read_rails(checker, rails, fleets, fabrics));
        deploy.triton = triton(checker, &fields, serves);
        deploy.metal3 = fields.record("metal3").map(|metal| read_metal3(checker, metal, deploy.minor));
        found = Some(deploy);
    }
    found
}

/// Reads everything but the namespace.
fn read(checker: &Checker<'_>, fields: &Fields, namespace: String) -> Kubernetes {
    let is = |name: &str, word: &str| fields.word(name) == Some(word);
    let name = |field: &str| {
        let text = fields.text(field)?;
        subdomain(checker, text, fields.place_of(field).span());
        Some(text.to_owned())
    };
    let monitoring = is("monitoring", "prometheus");
    contradictions(checker, fields);
    Kubernetes {
        monitoring,
        minor: fields
            .text("version")
            .map_or(OLDEST_KUBERNETES, |text| minor(checker, text, fields.place_of("version").span())),
        dashboard: is("dashboard", "grafana"),
        alerts: name("alerts"),
        kserve: is("serving", "kserve"),
        gateway: fields.record("gateway").map(|gateway| read_gateway(checker, gateway)),
        certificates: name("certificates"),
        mesh: is("mesh", "istio"),
        rate_limit: fields.number("rate_limit").map(RequestsPerSecond),
        jwt: fields.record("jwt").map(|jwt| read_jwt(checker, jwt)),
        gpu_operator: fields.bool("gpu_operator").unwrap_or(false),
        training: fields.record("training").map(|training| read_training(checker, training)),
        requests: name("requests"),
        karpenter: name("karpenter"),
        quota: fields.bool("quota").unwrap_or(false),
        priorities: fields.bool("priorities").unwrap_or(false),
        load_test: is("load_test", "k6"),
        storage_class: name("storage_class"),
        rook: is("storage", "rook"),
        secret_store: name("secret_store"),
        etcd_backup: name("etcd_backup"),
        ci: pipelines(fields),
        ..Kubernetes::plain(&namespace, monitoring)
    }
}

/// Reports what is asked for without what it stands on, with what is to be added or left out.
fn contradictions(checker: &Checker<'_>, fields: &Fields) {
    let is = |name: &str, word: &str| fields.word(name) == Some(word);
    let gateway = fields.record("gateway");
    let watched = is("monitoring", "prometheus");
    let meshed = is("mesh", "istio");
    let named = gateway.is_some_and(|gateway| gateway.has("host"));
    let picked = gateway.is_some_and(|gateway| gateway.bool("picker") == Some(true));
    for (field, wrong, message, help) in [
        (
            "dashboard",
            is("dashboard", "grafana") && !watched,
            "a dashboard shows what is monitored, and nothing is",
            "add `monitoring = prometheus`",
        ),
        (
            "alerts",
            fields.has("alerts") && !watched,
            "alerts tell of what is monitored, and nothing is",
            "add `monitoring = prometheus`",
        ),
        (
            "rate_limit",
            fields.has("rate_limit") && !meshed,
            "rates are limited by a mesh, and there is none",
            "add `mesh = istio`",
        ),
        (
            "jwt",
            fields.has("jwt") && !meshed,
            "tokens are checked by a mesh, and there is none",
            "add `mesh = istio`",
        ),
        (
            "mesh",
            meshed && picked,
            "the endpoint picker reads the metrics of replicas in the clear, which the mesh refuses",
            "leave `mesh` out, or `picker` of the gateway",
        ),
        (
            "load_test",
            is("load_test", "k6") && fields.has("triton"),
            "the load test asks by OpenAI's API, which Triton's TensorRT-LLM does not answer",
            "leave `load_test` out, or `triton` for TensorRT-LLM's own server",
        ),
        (
            "certificates",
            fields.has("certificates") && !named,
            "a certificate is of the name under which the gateway is asked, and it has none",
            "add `gateway = { class = \"istio\", host = \"llm.example.com\" }`",
        ),
    ] {
        if wrong {
            let found = checker.values.error(codes::CONTRADICTION, fields.place_of(field).span(), message);
            checker.values.report(found.help(help));
        }
    }
}

/// Returns each server once, in one order.
fn pipelines(fields: &Fields) -> Vec<Pipeline> {
    let words = fields.words("ci").unwrap_or_default();
    Pipeline::ALL.into_iter().filter(|pipeline| words.contains(&pipeline.word())).collect()
}

fn read_jwt(checker: &Checker<'_>, fields: &Fields) -> TokenWish {
    let address = |field: &str| {
        let text = fields.text(field).unwrap_or_default();
        let host = text.strip_prefix("https://").and_then(|rest| rest.split(['/', ':']).next());
        let is_address = host.is_some_and(|host| host.split('.').all(is_label));
        if fields.has(field) && !(is_address && text.is_ascii() && !text.contains([' ', '*'])) {
            let message = format!("`{text}` is no address of a server that speaks HTTPS");
            let found = checker.values.error(codes::OUT_OF_RANGE, fields.place_of(field).span(), message);
            checker.values.report(found.help("for example `\"https://id.example.com/keys\"`"));
        }
        text.to_owned()
    };
    fields.complete(checker);
    TokenWish { issuer: address("issuer"), jwks: address("jwks") }
}

fn read_gateway(checker: &Checker<'_>, fields: &Fields) -> GatewayWish {
    fields.complete(checker);
    for field in ["class", "host"] {
        if let Some(text) = fields.text(field) {
            subdomain(checker, text, fields.place_of(field).span());
        }
    }
    fields.complete(checker);
    GatewayWish {
        class: fields.text("class").unwrap_or_default().to_owned(),
        host: fields.text("host").map(str::to_owned),
        picker: fields.bool("picker").unwrap_or(false),
    }
}

fn read_training(checker: &Checker<'_>, fields: &Fields) -> TrainingWish {
    fields.complete(checker);
    let image = version(checker, fields, "image", "registry/train:1.0").unwrap_or_default();
    let word = fields.word("job");
    let job = JobKind::ALL.into_iter().find(|job| Some(job.word()) == word).unwrap_or_default();
    let program = fields.text("program").map(str::to_owned);
    if program.as_ref().is_some_and(|program| program.trim().is_empty()) {
        let span = fields.place_of("program").span();
        let found = checker.values.error(codes::OUT_OF_RANGE, span, "`program` starts nothing");
        checker
            .values
            .report(found.help("write a command line, or leave it out for what the image starts by itself"));
    }
    if job == JobKind::RayJob && program.is_none() {
        let message = "`ray_job` needs `program`: Ray starts it, and the image starts Ray";
        let found = checker.values.error(codes::MISSING_FIELD, fields.place_of("job").span(), message);
        checker.values.report(found.help("for example `program = \"python train.py\"`"));
    }
    TrainingWish { image, queued: fields.word("queue") == Some("kueue"), job, program }
}

/// Returns the minor version of a version such as `1.34`, of those that manifests are written for.
fn minor(checker: &Checker<'_>, text: &str, span: capstan_types::place::Span) -> u32 {
    let mut numbers = text.trim_start_matches('v').split('.');
    let minor = (numbers.next() == Some("1")).then(|| numbers.next()?.parse().ok()).flatten();
    match minor {
        Some(minor @ OLDEST_KUBERNETES..=NEWEST_KUBERNETES) => minor,
        _ => {
            let message = format!("manifests are not written for Kubernetes `{text}`");
            let found = checker.values.error(codes::OUT_OF_RANGE, span, message);
            let range =
                format!("versions from `\"1.{OLDEST_KUBERNETES}\"` to `\"1.{NEWEST_KUBERNETES}\"` are known");
            checker.values.report(found.help(range));
            OLDEST_KUBERNETES
        }
    }
}

/// Reports a name that no object of a cluster can have (RFC 1123, subdomain).
pub(super) fn subdomain(checker: &Checker<'_>, text: &str, span: capstan_types::place::Span) {
    if text.len() <= MOST_IN_A_SUBDOMAIN && text.split('.').all(is_label) {
        return;
    }
    let message = format!("`{text}` is no name of an object");
    let found = checker.values.error(codes::OUT_OF_RANGE, span, message);
    checker
        .values
        .report(found.help("lower-case letters, digits, `-` and `.`, with a letter or digit at both ends"));
}

/// Reports a namespace that is no label of the domain name system.
fn label(checker: &Checker<'_>, text: &str, span: capstan_types::place::Span) {
    if is_label(text) {
        return;
    }
    let message = format!("`{text}` is no name of a namespace");
    let found = checker.values.error(codes::OUT_OF_RANGE, span, message);
    let mended = mended(text);
    checker.values.report(if is_label(&mended) {
        found.help(format!("lower-case letters, digits and `-`, at most 63: `\"{mended}\"`"))
    } else {
        found.help("lower-case letters, digits and `-`, at most 63, with a letter or digit at both ends")
    });
}

fn is_label(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let ends = text.starts_with(plain) && text.ends_with(plain);
    ends && text.len() <= MOST_LETTERS && text.chars().all(|c| plain(c) || c == '-')
}

fn mended(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let dashed: String = lower.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let cut: String = dashed.trim_matches('-').chars().take(MOST_LETTERS).collect();
    cut.trim_matches('-').to_owned()
}

/// Returns the namespace after the plan. One that is cut may be that of another plan too, so a long name is refused.
fn from_plan(checker: &Checker<'_>, fields: &Fields) -> String {
    let plan = checker.declared.iter().find(|(_, (kind, _))| *kind == "plan").map_or("", |(name, _)| *name);
    let mended = mended(plan);
    if plan.len() > MOST_LETTERS {
        let message = format!(
            "the namespace is called after the plan, whose name has {} letters: {MOST_LETTERS} at most",
            plan.len()
        );
        let found = checker.values.error(codes::OUT_OF_RANGE, fields.place.span(), message);
        checker
            .values
            .report(found.help(format!("say `namespace = \"{mended}\"`, or shorten the plan's name")));
    }
    if is_label(&mended) { mended } else { "capstan".to_owned() }
}
