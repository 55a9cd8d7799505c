//! How a suite file is compared with what is found: the annotations above each line.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use capstan_lang::{Code, Diagnostic};

/// Finds the mistakes of a text.
pub type Find<'a> = &'a dyn Fn(&str) -> Vec<Diagnostic>;

fn is_annotation(line: &str) -> bool {
    let line = line.trim_start();
    ["# error: ", "# warning: ", "# hint: "].iter().any(|mark| line.starts_with(mark))
}

/// Returns line (from 0) and columns (from 1, last included) of a diagnostic.
fn position(text: &str, found: &Diagnostic) -> (usize, usize, usize) {
    let start = found.place.start as usize;
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let first = text[line_start..start].chars().count() + 1;
    let covered = text[start..(found.place.end as usize).clamp(start, line_end)].chars().count();
    (text[..start].matches('\n').count(), first, first + covered.max(1) - 1)
}

/// Returns the case with the annotations that it should have.
pub fn annotated(case: &str, find: Find<'_>, seen: &mut BTreeSet<Code>) -> String {
    let plain: Vec<&str> = case.lines().filter(|line| !is_annotation(line)).collect();
    let text = plain.join("\n") + "\n";
    let found = find(&text);
    seen.extend(found.iter().map(|one| one.code));
    let mut out = String::new();
    for n in 0..=plain.len() {
        for one in &found {
            let (line, first, last) = position(&text, one);
            if line != n {
                continue;
            }
            let columns = if first == last { first.to_string() } else { format!("{first}-{last}") };
            writeln!(out, "# {}: {columns} {} {}", one.severity, one.code, one.message)
                .expect("a string takes all");
            if let Some(help) = &one.help {
                writeln!(out, "# hint: {help}").expect("a string takes all");
            }
        }
        if let Some(line) = plain.get(n) {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// Compares a file of the suite; returns what is wrong with it.
pub fn compare(path: &Path, find: Find<'_>, seen: &mut BTreeSet<Code>) -> Option<String> {
    let text = fs::read_to_string(path).expect("the suite is part of the crate");
    let mut corrected = String::new();
    for case in text.split("--- ").skip(1) {
        let (title, body) = case.split_once('\n').expect("a title stands on its own line");
        writeln!(corrected, "--- {title}\n{}", annotated(body, find, seen).trim_end())
            .expect("a string takes all");
        corrected.push('\n');
    }
    let corrected = corrected.trim_end().to_owned() + "\n";
    if corrected == text {
        return None;
    }
    let beside = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(path.file_name()?);
    fs::write(&beside, &corrected).expect("the build folder takes files");
    let differing = corrected.lines().zip(text.lines()).find(|(found, expected)| found != expected);
    Some(format!("{}: {differing:?}; corrected: {}", path.display(), beside.display()))
}

/// Returns the files of a folder of suites, in order.
pub fn suites(folder: &str) -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let entries = fs::read_dir(folder).expect("the suite is part of the crate");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "plan"));
    paths.sort();
    paths
}
