//! Every example goes all the way: planned, reported, planned again to the same bytes, compared, explained, emitted.
//!
//! The goldens are what a user sees. Digests and the version are masked; a change of a golden is reviewed like code.

use assert_cmd::Command;
use capstan_planner::finance::finance;
use capstan_types::blueprint::Blueprint;
use capstan_types::testing::data;
use capstan_types::testing::page::silent_numbers;
use std::fs;
use std::path::{Path, PathBuf};

/// Examples with the exit code of planning them.
const EXAMPLES: [(&str, i32); 8] = [
    ("first", 0),
    ("chat", 0),
    ("chat-and-pretrain", 0),
    ("mixed-fleet", 0),
    ("offline", 0),
    ("platform", 0),
    ("services", 0),
    ("budget-too-small", 3),
];

fn capstan(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("capstan").expect("the binary is built");
    command.current_dir(folder).env_clear().env("COLUMNS", "100").env("NO_COLOR", "1");
    command
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(format!("{name}.plan"))
}

/// Returns a fresh folder with a copy of an example in it.
fn folder_with(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::copy(example(name), folder.path().join(format!("{name}.plan"))).expect("the example is there");
    folder
}

/// Plans an example in its folder and returns what it printed.
fn plan(folder: &Path, name: &str, code: i32, blueprint: &str, threads: &str) -> String {
    let output = capstan(folder)
        .args(["plan", &format!("{name}.plan"), "-o", blueprint])
        .env("RAYON_NUM_THREADS", threads)
        .assert()
        .code(code)
        .get_output()
        .clone();
    String::from_utf8(output.stdout).expect("the report is text")
}

/// Replaces what may differ between builds.
fn masked(text: &str) -> String {
    let version = format!("capstan {}", env!("CARGO_PKG_VERSION"));
    let lines = text.lines().map(|line| {
        let words: Vec<String> = line
            .split(' ')
            .map(|word| {
                let hexadecimal = word.len() >= 12 && word.chars().all(|c| c.is_ascii_hexdigit() || c == '…');
                if hexadecimal && word.chars().any(|c| c.is_ascii_digit()) {
                    "[digest]".to_owned()
                } else {
                    word.to_owned()
                }
            })
            .collect();
        words.join(" ").replace(&version, "capstan [version]")
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn goes_all_the_way(name: &str) {
    let (_, code) = EXAMPLES.iter().find(|(known, _)| *known == name).expect("a known example");
    let folder = folder_with(name);
    let report = plan(folder.path(), name, *code, "a.blueprint.json", "2");
    insta::with_settings!({ snapshot_path => "goldens", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(format!("{name}.report"), masked(&report));
    });
    plan(folder.path(), name, *code, "b.blueprint.json", "1");
    let read = |file: &str| fs::read(folder.path().join(file)).expect("a blueprint was written");
    assert_eq!(read("a.blueprint.json"), read("b.blueprint.json"), "{name}: other bytes with other threads");
    capstan(folder.path())
        .args(["diff", "a.blueprint.json", "b.blueprint.json", "--detailed-exitcode"])
        .assert()
        .code(0);
    capstan(folder.path()).args(["explain", "a.blueprint.json"]).assert().code(0);
    capstan(folder.path()).args(["report", "a.blueprint.json", "--output", "html:a.html"]).assert().code(0);
    let page = String::from_utf8(read("a.html")).expect("a page is text");
    assert_eq!(
        silent_numbers(&page),
        Vec::<String>::new(),
        "{name}: numbers that say nothing of their origin"
    );
    audit_found_nothing(&read("a.blueprint.json"), name);
    one_number_all_on_demand(&read("a.blueprint.json"), name);
}

/// What all of it on demand would cost stands in the summary and among the other ways to pay: it is the same to the cent.
fn one_number_all_on_demand(blueprint: &[u8], name: &str) {
    let blueprint: Blueprint = serde_json::from_slice(blueprint).expect("a blueprint");
    let Some(told) = blueprint.cost.all_on_demand else { return };
    let ways = finance(&blueprint).alternatives;
    let way = ways.iter().find(|way| way.name == "all on demand").expect("it is compared");
    assert!(blueprint.pools.is_empty() || way.total == Some(told), "{name}: {told} and {:?}", way.total);
}

fn audit_found_nothing(blueprint: &[u8], name: &str) {
    let blueprint: serde_json::Value = serde_json::from_slice(blueprint).expect("a blueprint is JSON");
    let checks = blueprint["audit"].as_array().expect("an audit");
    assert!(checks.len() >= 8, "{name}: only {} checks", checks.len());
    for check in checks {
        let violations = check["violations"].as_array().expect("a list");
        assert!(violations.is_empty(), "{name}: {}: {violations:?}", check["check"]);
    }
}

#[test]
fn the_first_plan_goes_all_the_way() {
    goes_all_the_way("first");
}

#[test]
fn the_chat_plan_goes_all_the_way() {
    goes_all_the_way("chat");
}

#[test]
fn the_chat_and_pretrain_plan_goes_all_the_way() {
    goes_all_the_way("chat-and-pretrain");
}

#[test]
fn services_notebooks_and_a_peak_between_bounds_go_all_the_way() {
    goes_all_the_way("services");
}

#[test]
fn nights_of_machines_that_chat_by_day_go_all_the_way() {
    goes_all_the_way("offline");
}

#[test]
fn the_mixed_fleet_plan_goes_all_the_way() {
    goes_all_the_way("mixed-fleet");
}

#[test]
fn the_platform_plan_goes_all_the_way() {
    goes_all_the_way("platform");
}

#[test]
fn a_budget_that_is_too_small_is_explained() {
    goes_all_the_way("budget-too-small");
}

#[test]
fn every_example_is_tested() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for entry in fs::read_dir(folder).expect("the examples are there") {
        let name = entry.expect("readable").path();
        let stem = name.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        assert!(EXAMPLES.iter().any(|(known, _)| *known == stem), "{stem} is not tested");
    }
}

#[test]
fn the_manifests_of_the_chat_plan_are_written_whole_and_the_same_twice() {
    let folder = folder_with("chat");
    plan(folder.path(), "chat", 0, "chat.blueprint.json", "2");
    for out in ["one", "two"] {
        capstan(folder.path())
            .args(["emit", "chat.blueprint.json", "--target", "kubernetes", "-o", out])
            .assert()
            .code(0);
    }
    let files = |out: &str| {
        let mut found = Vec::new();
        collect(&folder.path().join(out), &mut found);
        found
    };
    let (one, two) = (files("one"), files("two"));
    assert!(one.len() > 8, "only {} files", one.len());
    assert_eq!(one, two);
    let all: String = one.iter().map(|(_, text)| text.as_str()).collect();
    for kind in
        ["Namespace", "Deployment", "Service", "HorizontalPodAutoscaler", "NetworkPolicy", "PrometheusRule"]
    {
        assert!(all.contains(&format!("kind: {kind}\n")), "no {kind}");
    }
    assert!(!all.contains(":latest"));
}

/// Collects (name, text) of every file below a folder, by name.
fn collect(folder: &Path, found: &mut Vec<(String, String)>) {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the manifests are there")
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, found);
        } else {
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
            found.push((name, fs::read_to_string(&path).expect("text")));
        }
    }
}

/// The chat plan on the real trace: the same candidate and purchase options, and nodes within 5 %.
#[test]
fn the_chat_plan_holds_on_the_trace_it_is_modelled_on() {
    let Some(data) = data() else { return };
    let folder = folder_with("chat");
    let trace = data.join("request-traces/azure-llm-2023/conv.csv.gz");
    fs::copy(trace, folder.path().join("conv.csv.gz")).expect("the trace is there");
    let text = fs::read_to_string(folder.path().join("chat.plan")).expect("the plan");
    let on_trace = text.replace("traffic = azure_2023_conversation", "trace   = \"conv.csv.gz\"");
    assert_ne!(text, on_trace);
    fs::write(folder.path().join("traced.plan"), on_trace).expect("writable");
    plan(folder.path(), "chat", 0, "chat.blueprint.json", "2");
    let report = plan(folder.path(), "traced", 0, "traced.blueprint.json", "2");
    let read = |file: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(folder.path().join(file)).expect("written")).expect("JSON")
    };
    let (law, trace) = (read("chat.blueprint.json"), read("traced.blueprint.json"));
    let candidate = |plan: &serde_json::Value| plan["services"][0]["placements"][0]["candidate"].clone();
    let strip = |mut value: serde_json::Value| {
        value.as_object_mut().expect("a candidate").remove("max_sequences");
        value
    };
    assert_eq!(strip(candidate(&law)), strip(candidate(&trace)));
    let options = |plan: &serde_json::Value| -> Vec<serde_json::Value> {
        let pools = plan["pools"].as_array().expect("pools").iter();
        pools
            .flat_map(|pool| pool["purchases"].as_array().expect("purchases"))
            .map(|buy| buy["option"].clone())
            .collect()
    };
    assert_eq!(options(&law), options(&trace));
    let nodes = |plan: &serde_json::Value| -> f64 {
        plan["sites"]
            .as_array()
            .expect("sites")
            .iter()
            .map(|site| site["nodes"].as_f64().expect("a count"))
            .sum()
    };
    let (by_law, by_trace) = (nodes(&law), nodes(&trace));
    assert!((by_law - by_trace).abs() <= 0.05 * by_law, "{by_law} nodes by the law, {by_trace} by the trace");
    assert!(report.contains("trace conv.csv.gz"), "the verdict does not name the trace");
}
