//! Every field that the checker accepts changes what is planned, or is refused with E0900.
//!
//! The tables are walked: a field has two examples that must make different specs. A table that this
//! test does not know how to fill fails it, so that a new kind cannot be forgotten.

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use capstan_lang::catalog::load_over;
use capstan_lang::check::KINDS;
use capstan_lang::check::table::{FieldRow, FieldType, LabelRule, Status, Table};
use capstan_lang::{CheckContext, TraceFacts, codes, language_reference, render_plain};
use capstan_types::spec::Spec;
use capstan_types::traffic::Lengths;
use common::{CATALOG, checked};
use serde_json::Value;

/// What must stand beside a field for a plan to be whole: table, the text around its fields, the fields.
struct Frame {
    path: &'static str,
    before: &'static str,
    base: &'static [(&'static str, &'static str)],
    after: &'static str,
    /// Fields of the base that go where another stands.
    instead: &'static [(&'static str, &'static [&'static str])],
}

const CHAT: &str =
    "serve chat { model = llama3_1_8b, load = { rate = 5 req/s, prompt = 1 ktok, output = 250 tok } }\n";
/// One workload is on TensorRT-LLM, which Triton needs.
const DEPLOY: &str = "serve triton { model = llama3_1_8b, engine = trtllm, load = { rate = 5 req/s, prompt = 1 ktok, output = 250 tok } }\n\
                      deploy kubernetes {";
const SITES: &str = "site hall { }\nsite hall2 { }\nsite cloud { provider = aws, region = \"us-east-1\" }\n";
const DATA: &str = "dataset corpus { size = 5 TB, site = hall, tokens = 1 Ttok }\n\
                    dataset corpus2 { size = 9 TB, site = hall, tokens = 2 Ttok }\n";
const PLAN: &str = "plan p { horizon = 2027-01-01 .. 2029-12-31 }\n";
const LLAMA: &[(&str, &str)] = &[("catalog", "= llama3_1_8b")];

const fn frame(
    path: &'static str,
    before: &'static str,
    base: &'static [(&'static str, &'static str)],
) -> Frame {
    Frame { path, before, base, after: "}\n", instead: &[] }
}

const SERVE_BASE: &[(&str, &str)] =
    &[("model", "= llama3_1_8b"), ("load", "= { rate = 5 req/s, prompt = 1 ktok, output = 250 tok }")];
const METAL_BASE: &[(&str, &str)] = &[
    ("cluster", "= \"prod\""),
    ("image", "= \"http://10.0.0.2/node.qcow2\""),
    ("checksum", "= \"http://10.0.0.2/SHA256SUMS\""),
    ("version", "= \"1.28.15\""),
];
const BATCH_BASE: &[(&str, &str)] =
    &[("model", "= llama3_1_8b"), ("requests", "= 40 Mreq"), ("prompt", "= 1 ktok"), ("output", "= 250 tok")];
const MODELS_BASE: &[(&str, &str)] =
    &[("server", "= triton"), ("volume", "= \"vision\""), ("names", "= \"resnet50\"")];
const TRAIN_BASE: &[(&str, &str)] = &[
    ("model", "= llama3_1_8b"),
    ("tokens", "= 100 Gtok"),
    ("batch", "= 4 Mtok"),
    ("sequence", "= 8192 tok"),
];

/// Text that stands in every plan beside the block under test.
fn around(path: &str) -> String {
    let kind = path.split('/').next().unwrap_or_default();
    let plan = if kind == "plan" { "" } else { PLAN };
    format!("{plan}{SITES}{DATA}{CHAT}")
}

fn frames() -> Vec<Frame> {
    let serve =
        "serve other { model = llama3_1_8b, load = { rate = 5 req/s, prompt = 1 ktok, output = 250 tok }, ";
    let serve: &'static str = Box::leak(serve.to_owned().into_boxed_str());
    let with = |before: &'static str, record: &str| -> &'static str {
        Box::leak(format!("{before}{record} = {{").into_boxed_str())
    };
    let mut frames = savings(|record| with(serve, record));
    frames.extend(jobs(with));
    frames.extend(served(|record| with(serve, record)));
    frames.extend([
        frame("plan", "plan p {", &[]),
        Frame { instead: &[("provider", &[]), ("region", &[])], ..frame("site", "site extra {", &[]) },
        Frame { after: "} }\n", ..frame("site/rack", "site extra { rack = {", &[]) },
        frame("fleet", "fleet f {", &[("shape", "= own.dgx_a100_8"), ("count", "= 1"), ("site", "= hall")]),
        Frame {
            instead: &[("huggingface", &["catalog"])],
            after: "}\nserve other { model = m, load = { rate = 5 req/s, prompt = 1 ktok, output = 250 tok } }\n",
            ..frame("model", "model m {", LLAMA)
        },
        model("model/experts", "experts", &[("routed", "= 8"), ("active", "= 2"), ("width", "= 1024")]),
        model(
            "model/latent",
            "latent",
            &[("kv_rank", "= 512"), ("nope", "= 128"), ("rope", "= 64"), ("value", "= 128")],
        ),
        model("model/window", "window", &[("tokens", "= 2048 tok"), ("layers", "= 4")]),
        frame("scenario", "scenario s {", &[]),
        frame("scenario/fail", "scenario s {", &[]),
        Frame { after: "} }\n", ..frame("scenario/surge", "scenario s { surge {", &[("load", "= 2")]) },
        frame("deploy", DEPLOY, &[]),
        Frame {
            after: "} }\n",
            ..frame("deploy/gateway", "deploy kubernetes { gateway = {", &[("class", "= \"istio\"")])
        },
        Frame { after: "} }\n", ..frame("deploy/network_operator", "deploy kubernetes { network_operator = {", &[]) },
        Frame {
            after: "} }\n",
            ..frame("deploy/metal3", "deploy kubernetes { metal3 = {", METAL_BASE)
        },
        Frame {
            after: "}, mesh = istio }\n",
            ..frame(
                "deploy/jwt",
                "deploy kubernetes { jwt = {",
                &[
                    ("issuer", "= \"https://id.example.com\""),
                    ("jwks", "= \"https://id.example.com/keys\""),
                ],
            )
        },
        Frame {
            after: "} }\n",
            ..frame(
                "deploy/training",
                "deploy kubernetes { training = {",
                &[("image", "= \"registry/train:1\"")],
            )
        },
    ]);
    frames
}

/// Those of a serving workload.
fn served(with: impl Fn(&str) -> &'static str) -> Vec<Frame> {
    vec![
        frame("serve", "serve other {", SERVE_BASE),
        Frame {
            after: "} }\n",
            instead: &[
                ("peak", &["rate"]),
                ("traffic", &["prompt", "output"]),
                ("trace", &["prompt", "output"]),
            ],
            ..frame(
                "serve/load",
                "serve other { model = llama3_1_8b, load = {",
                &[("rate", "= 5 req/s"), ("prompt", "= 1 ktok"), ("output", "= 250 tok")],
            )
        },
        Frame { after: "} }\n", ..frame("serve/slo", with_slo(), &[]) },
        Frame { after: "} }\n", ..frame("serve/parallelism", with("parallelism"), &[]) },
        Frame { after: "} }\n", ..frame("serve/batching", with("batching"), &[]) },
        Frame { after: "} }\n", ..frame("serve/autoscale", with("autoscale"), &[("replicas", ">= 0")]) },
        Frame {
            after: "} }\n",
            ..frame("serve/adapters", with("adapters"), &[("count", "= 50"), ("rank", "= 32")])
        },
        Frame { after: "} }\n", ..frame("serve/background", with("background"), &[("share", "= 30%")]) },
    ]
}

/// Those of jobs, services and notebooks, and of what they stand on.
fn jobs(with: impl Fn(&'static str, &str) -> &'static str) -> Vec<Frame> {
    let tune = "tune job { model = llama3_1_8b, tokens = 100 Gtok, batch = 4 Mtok, sequence = 8192 tok, ";
    let train = "train job { model = llama3_1_8b, tokens = 100 Gtok, batch = 4 Mtok, sequence = 8192 tok, ";
    let batch = "batch job { model = llama3_1_8b, requests = 40 Mreq, prompt = 1 ktok, output = 250 tok, ";
    vec![
        Frame {
            instead: &[("tokens", &["requests"]), ("traffic", &["prompt", "output"])],
            ..frame("batch", "batch job {", BATCH_BASE)
        },
        Frame { after: "} }\n", ..frame("batch/parallelism", with(batch, "parallelism"), &[]) },
        Frame { instead: &[("dataset", &["tokens"])], ..frame("train", "train job {", TRAIN_BASE) },
        Frame { instead: &[("dataset", &["tokens"])], ..frame("tune", "tune job {", TRAIN_BASE) },
        Frame { after: "} }\n", ..frame("tune/parallelism", with(tune, "parallelism"), &[]) },
        Frame { after: "} }\n", ..frame("tune/checkpoint", with(tune, "checkpoint"), &[]) },
        Frame { after: "} }\n", ..frame("train/parallelism", with(train, "parallelism"), &[]) },
        Frame { after: "} }\n", ..frame("train/checkpoint", with(train, "checkpoint"), &[]) },
        frame("fabric", "fabric f {", &[("site", "= hall")]),
        frame("storage", "storage s {", &[("site", "= hall")]),
        frame("dataset", "dataset d {", &[("site", "= hall"), ("size", "= 500 TB"), ("read", ">= 20 GB/s")]),
        frame("budget", "budget b {", &[]),
        frame("service", "service gateway {", &[("cpu", "= 4"), ("memory", "= 8 GB")]),
        Frame {
            after: "} }\n",
            ..frame("service/models", "service vision { cpu = 4, memory = 8 GB, models = {", MODELS_BASE)
        },
        frame("workspace", "workspace lab {", &[("users", "= 40"), ("cpu", "= 4"), ("memory", "= 8 GB")]),
    ]
}

/// Those of what need not be computed.
fn savings(with: impl Fn(&str) -> &'static str) -> Vec<Frame> {
    vec![
        Frame {
            after: "} }\n",
            ..frame("serve/prefix_caching", with("prefix_caching"), &[("reuse", "= 40%")])
        },
        Frame {
            after: "} } }\n",
            ..frame(
                "serve/prefix_caching/host",
                with("prefix_caching = { reuse = 40%, host"),
                &[("size", "= 100 GB"), ("bandwidth", "= 50 GB/s")],
            )
        },
        Frame {
            after: "} } }\n",
            ..frame(
                "serve/prefix_caching/disk",
                with("prefix_caching = { reuse = 40%, disk"),
                &[("size", "= 100 GB"), ("bandwidth", "= 50 GB/s")],
            )
        },
        Frame {
            after: "} }\n",
            instead: &[("model", &["cost"])],
            ..frame(
                "serve/speculative",
                with("speculative"),
                &[("tokens", "= 4"), ("acceptance", "= 70%"), ("cost", "= 5%")],
            )
        },
    ]
}

fn with_slo() -> &'static str {
    "serve other { model = llama3_1_8b, load = { rate = 5 req/s, prompt = 1 ktok, output = 250 tok }, slo ttft {"
}

fn model(path: &'static str, record: &str, base: &'static [(&'static str, &'static str)]) -> Frame {
    let before = format!("model m {{ catalog = llama3_1_8b, {record} = {{");
    let after =
        "} }\nserve other { model = m, load = { rate = 5 req/s, prompt = 1 ktok, output = 250 tok } }\n";
    Frame { after, ..frame(path, Box::leak(before.into_boxed_str()), base) }
}

/// Examples that the base of a frame cannot hold: a region belongs to its provider.
fn examples_of(path: &str, row: &FieldRow) -> [String; 2] {
    let plain = row.examples.map(|example| format!("{} {example}", row.name));
    match (path, row.name) {
        ("site", "provider") => ["provider = lambda".to_owned(), "provider = runpod".to_owned()],
        ("site", "region") => plain.map(|field| format!("provider = aws, {field}")),
        ("train", "rank") => plain.map(|field| format!("method = lora, {field}")),
        ("serve/slo", "over") => plain.map(|field| format!("p99 <= 500 ms, {field}")),
        ("serve/slo", _) => plain,
        ("scenario/fail", "notice") => plain.map(|field| format!("fail spot {{ {field} }}")),
        ("scenario/fail", "slower") => plain.map(|field| format!("fail slow {{ {field} }}")),
        ("scenario/fail", _) => plain.map(|field| format!("fail node {{ {field} }}")),
        _ => plain,
    }
}

fn context() -> CheckContext {
    let facts = |digest: &str| TraceFacts {
        digest: digest.to_owned(),
        requests: 100,
        span_s: 1000.0,
        busiest_requests_per_s: 0.2,
        prompt: Lengths::fixed(500.0),
        output: Lengths::fixed(100.0),
        burstiness: 1.0,
        hashes: None,
    };
    let traces = [("requests.csv".to_owned(), facts("a")), ("other.csv".to_owned(), facts("b"))];
    let llama = CATALOG.model("llama3_1_8b").cloned().expect("a model of the catalog");
    let models = [("llama/config.json".to_owned(), llama)];
    CheckContext {
        traces: traces.into_iter().collect(),
        models: models.into_iter().collect(),
        ..CheckContext::default()
    }
}

fn plan_of(frame: &Frame, field: &str, row: &FieldRow) -> String {
    let gone = frame.instead.iter().find(|(name, _)| *name == row.name).map_or(&[][..], |(_, gone)| gone);
    let kept = frame.base.iter().filter(|(name, _)| *name != row.name && !gone.contains(name));
    let kept: Vec<String> = kept.map(|(name, text)| format!("{name} {text}")).collect();
    format!("{}{} {}\n {field}\n{}", around(frame.path), frame.before, kept.join(", "), frame.after)
}

/// What is planned, without where it stands and what was assumed.
fn meaning(spec: &Spec) -> Value {
    let mut value = serde_json::to_value(spec).expect("a spec is plain data");
    value.as_object_mut().expect("an object").remove("assumptions");
    strip(&mut value);
    value
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("place");
            map.values_mut().for_each(strip);
        }
        Value::Array(list) => list.iter_mut().for_each(strip),
        _ => {}
    }
}

/// Calls `see` for every planned table with the path to it.
fn walk(table: &'static Table, path: &str, see: &mut impl FnMut(&'static Table, &str)) {
    see(table, path);
    for block in table.blocks {
        walk(block, &format!("{path}/{}", block.kind), see);
    }
    for row in table.fields {
        if let FieldType::Record(record) = row.takes {
            walk(record, &format!("{path}/{}", record.kind), see);
        }
    }
}

fn all_tables() -> Vec<(&'static Table, String)> {
    let mut all = Vec::new();
    for table in KINDS {
        walk(table, table.kind, &mut |table, path| all.push((table, path.to_owned())));
    }
    all
}

#[test]
fn every_field_that_is_accepted_changes_what_is_planned() {
    let frames = frames();
    let mut wrong = Vec::new();
    for (table, path) in all_tables() {
        let frame = frames.iter().find(|frame| frame.path == path);
        let frame = frame.unwrap_or_else(|| panic!("no plan to try the fields of `{path}` in"));
        for row in table.fields.iter().filter(|row| row.status == Status::Used) {
            let mut specs = Vec::new();
            for field in examples_of(&path, row) {
                let text = plan_of(frame, &field, row);
                let (spec, found) = checked(&text, &context());
                match spec {
                    Some(spec) => specs.push(meaning(&spec)),
                    None => wrong.push(format!(
                        "{path}: `{field}`:\n{}",
                        render_plain(&found, |_| Some(text.as_str()))
                    )),
                }
            }
            if specs.len() == 2 && specs[0] == specs[1] {
                wrong.push(format!("{path}: `{}` changes nothing", row.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_field_that_is_not_planned_is_refused() {
    let frames = frames();
    for (table, path) in all_tables() {
        let frame = frames.iter().find(|frame| frame.path == path).expect("known");
        for row in table.fields.iter().filter(|row| row.status == Status::NotYet) {
            for value in ["= 1", "<= 5 kW", ">= 2027-01-01", "in [a, b]"] {
                let (spec, found) =
                    checked(&plan_of(frame, &format!("{} {value}", row.name), row), &context());
                assert!(spec.is_none(), "{path}: {}", row.name);
                assert!(
                    found.iter().any(|one| one.code == codes::NOT_PLANNED),
                    "{path}: {}: {found:?}",
                    row.name
                );
            }
        }
    }
}

#[test]
fn every_target_that_is_not_planned_is_refused() {
    for target in ["bare_metal", "terraform", "slurm"] {
        let (_, found) = checked(&format!("{PLAN}{SITES}{CHAT}deploy {target} {{ }}\n"), &context());
        assert_eq!(found.iter().map(|one| one.code).collect::<Vec<_>>(), [codes::NOT_PLANNED], "{target}");
    }
}

#[test]
fn tables_are_whole() {
    for (table, path) in all_tables() {
        assert!(table.says.ends_with('.'), "{path}");
        let names: BTreeSet<&str> = table.fields.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), table.fields.len(), "{path} has a field twice");
        assert!(matches!(table.label, LabelRule::Name | LabelRule::Word(_) | LabelRule::None));
        for row in table.fields {
            assert!(row.meaning.ends_with(['.', '?']), "{path}/{}", row.name);
            assert!(!row.operators.is_empty(), "{path}/{}", row.name);
            let shown = row.examples[0] != row.examples[1];
            assert!(shown || row.status == Status::NotYet, "{path}/{}", row.name);
        }
    }
}

#[test]
fn the_files_that_the_reference_shows_are_read() {
    let page = language_reference();
    let shown: Vec<&str> =
        page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!shown.is_empty());
    for text in shown {
        let (_, found) = load_over(&CATALOG, &[("shown.toml", text)]);
        assert!(found.is_empty(), "{text}\n{found:#?}");
    }
}

#[test]
fn the_reference_of_the_language_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/language.md");
    let page = language_reference();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &page).expect("the docs can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/language.md is not current: UPDATE=1 cargo test -p capstan-lang");
}
