//! Style as a test: which room may name what, how long a function and a file may be, what a name may not be.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Most lines of a function.
const FUNCTION_LINES: usize = 70;

/// Most lines of a file before its tests.
const FILE_LINES: usize = 500;

/// Functions that are longer for now; entries may only leave or shrink.
const LONG_FUNCTIONS: &[(&str, &str, usize)] = &[];

/// Files that are longer for now; entries may only leave or shrink.
const LONG_FILES: &[(&str, usize)] = &[];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for room in ["src", "types", "lang", "sim", "planner", "backends", "report", "benches", "tests"] {
        walk(&root().join(room), &mut files);
    }
    assert!(files.len() > 40, "the walk found only {} files", files.len());
    files
}

fn walk(folder: &Path, files: &mut Vec<(String, String)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target" && name != "fuzz") {
            walk(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let name = path.strip_prefix(root()).expect("inside the project").display().to_string();
            files.push((name, fs::read_to_string(&path).expect("readable source")));
        }
    }
}

/// Returns the lines of a file before its inline tests.
fn before_tests(text: &str) -> Vec<&str> {
    text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).collect()
}

/// Returns (name, lines) of every function, found by rustfmt's indentation.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines = before_tests(text);
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let is_function =
            ["fn ", "pub fn ", "pub(crate) fn ", "pub(super) fn ", "const fn ", "pub const fn "]
                .iter()
                .any(|prefix| trimmed.starts_with(prefix));
        // A declaration without a body ends in a semicolon; a body of one line ends where it begins.
        let ends = |line: &&&str| line.ends_with(['{', '}', ';']);
        let has_lines = lines[start..].iter().find(ends).is_some_and(|line| line.ends_with('{'));
        if !is_function || !has_lines {
            continue;
        }
        let indent = line.len() - trimmed.len();
        let close = format!("{}}}", " ".repeat(indent));
        if let Some(length) = lines[start..].iter().position(|candidate| **candidate == close) {
            let name = trimmed.split("fn ").nth(1).unwrap_or("").split(['(', '<']).next().unwrap_or("");
            found.push((name.to_owned(), length + 1));
        }
    }
    found
}

#[test]
fn no_function_is_longer_than_seventy_lines() {
    let mut excess = Vec::new();
    for (file, text) in rust_files() {
        for (name, lines) in functions(&text) {
            let allowed = LONG_FUNCTIONS
                .iter()
                .find(|(known_file, known, _)| *known_file == file && *known == name)
                .map_or(FUNCTION_LINES, |&(_, _, most)| most);
            if lines > allowed {
                excess.push(format!("{file}: fn {name} has {lines} lines, {allowed} are allowed"));
            }
        }
    }
    assert!(excess.is_empty(), "{}", excess.join("\n"));
}

#[test]
fn no_file_is_longer_than_five_hundred_lines_before_its_tests() {
    let mut excess = Vec::new();
    for (file, text) in rust_files() {
        let lines = before_tests(&text).len();
        let allowed =
            LONG_FILES.iter().find(|(known, _)| *known == file).map_or(FILE_LINES, |&(_, most)| most);
        if lines > allowed {
            excess.push(format!("{file} has {lines} lines, {allowed} are allowed"));
        }
    }
    assert!(excess.is_empty(), "{}", excess.join("\n"));
}

#[test]
fn the_allow_lists_hold_only_what_still_exceeds() {
    let files: BTreeMap<String, String> = rust_files().into_iter().collect();
    for &(file, most) in LONG_FILES {
        let lines = files.get(file).map_or(0, |text| before_tests(text).len());
        assert!(lines > FILE_LINES && most >= lines, "{file} needs no entry of {most}: it has {lines} lines");
    }
    for &(file, name, most) in LONG_FUNCTIONS {
        let lines = files.get(file).and_then(|text| {
            functions(text).into_iter().filter(|(found, _)| found == name).map(|(_, lines)| lines).max()
        });
        assert!(
            lines.is_some_and(|lines| lines > FUNCTION_LINES && lines <= most),
            "{file}: {name} needs no entry of {most}"
        );
    }
}

/// A word, and the rooms that alone may name it.
const ROOMS_OF: &[(&str, &[&str])] = &[
    ("good_lp", &["planner/src/program/"]),
    ("rust_xlsxwriter", &["report/src/xlsx/"]),
    ("typst", &["report/src/pdf/"]),
    ("fontdb", &["src/fonts.rs"]),
    ("highs::", &["planner/src/program/"]),
    ("nom::", &["lang/src/"]),
    (
        "plotters::",
        &[
            "report/src/outlook/",
            "report/src/picture.rs",
            "report/src/timeline_plot.rs",
            "report/src/html/charts.rs",
            "report/src/html/latency.rs",
            "report/src/html/orders.rs",
            "report/src/html/halls.rs",
        ],
    ),
    (
        "std::fs",
        &[
            "src/files.rs",
            "backends/apply/src/kubeconfig.rs",
            "tests/",
            "types/tests/",
            "lang/tests/",
            "sim/tests/",
            "planner/tests/",
            "backends/tests/",
            "report/tests/",
            "benches/",
        ],
    ),
    (
        "std::time::Instant",
        &["src/", "backends/apply/src/", "tests/", "benches/", "sim/tests/", "planner/tests/", "lang/tests/"],
    ),
    ("hyper_util", &["backends/apply/src/api.rs"]),
    ("tokio::", &["backends/apply/src/"]),
    ("SystemTime", &["src/files.rs"]),
    ("HashMap", &["sim/src/serving/prefix.rs", "sim/src/serving/prefix/"]),
    ("HashSet", &[]),
];

#[test]
fn each_word_stands_only_in_its_rooms() {
    let mut strays = Vec::new();
    for (file, text) in rust_files() {
        if file == "tests/tidy.rs" {
            continue;
        }
        for (word, rooms) in ROOMS_OF {
            let code = before_tests(&text);
            let named = code.iter().any(|line| !line.trim_start().starts_with("//") && line.contains(word));
            if named && !rooms.iter().any(|room| file.starts_with(room)) {
                strays.push(format!("{file} names {word}"));
            }
        }
    }
    assert!(strays.is_empty(), "{}", strays.join("\n"));
}

#[test]
fn names_say_what_a_thing_is() {
    let banned =
        ["Manager", "Helper", "Util", "fn process_", "fn handle_", "fn do_", "TODO", "FIXME", "#[allow("];
    let mut found = Vec::new();
    for (file, text) in rust_files() {
        if file == "tests/tidy.rs" {
            continue;
        }
        // Words of the interface of Kubernetes are not ours to choose.
        let text = ["fieldManager", "FieldManagerConflict", "migManager"]
            .iter()
            .fold(text, |text, word| text.replace(word, ""));
        for word in banned {
            if text.contains(word) {
                found.push(format!("{file} contains {word}"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The members that each member may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("lang", &["types"]),
    ("sim", &["types"]),
    ("planner", &["types", "sim"]),
    ("backends", &["types"]),
    ("backends/apply", &["types", "backends"]),
    ("report", &["types"]),
];

#[test]
fn the_arrows_between_members_hold() {
    for (member, allowed) in ARROWS {
        let manifest = fs::read_to_string(root().join(member).join("Cargo.toml")).expect("a manifest");
        let table: toml::Table = manifest.parse().expect("a valid manifest");
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = table.get(section).and_then(toml::Value::as_table) else { continue };
            for name in dependencies.keys().filter_map(|name| name.strip_prefix("capstan-")) {
                assert!(allowed.contains(&name) || name == *member, "{member} must not depend on {name}");
            }
        }
    }
}
