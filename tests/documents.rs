//! Do the documents say what is true? Files that they name exist, and what they show is what the program prints.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The documents that people write; others are generated.
const WRITTEN: &[&str] = &[
    "README.md",
    "CHANGELOG.md",
    "docs/apply.md",
    "docs/architecture.md",
    "docs/glossary.md",
    "docs/install.md",
    "docs/reports.md",
];

/// Files that building or running makes.
const MADE: &[&str] = &["target/", "out/", "vendor", ".cargo/", "~/", "/somewhere", "../"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns what stands between backquotes, outside of fences.
fn quoted(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// Returns whether a quoted text is the path of a file of the project: it has a slash or a known ending.
fn is_path(quoted: &str) -> bool {
    let word = !quoted.is_empty() && !quoted.contains([' ', '(', '<', '*', ':', '=', '&']);
    let ending = [".rs", ".toml", ".md", ".plan"].iter().any(|ending| quoted.ends_with(ending));
    word && (quoted.contains('/') || ending) && !MADE.iter().any(|made| quoted.starts_with(made))
}

/// Returns whether a path is there, or the end of one that is: `check/kinds.rs` in a row about `lang/src/check/`.
fn exists(path: &str, files: &[String]) -> bool {
    let wanted = path.trim_end_matches('/');
    files.iter().any(|file| {
        let padded = format!("/{file}");
        padded.ends_with(&format!("/{wanted}")) || padded.contains(&format!("/{wanted}/"))
    })
}

fn list(folder: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path: PathBuf = entry.expect("a readable folder").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", ".git", "out", "vendor"].contains(&name.as_str()) {
                list(&path, files);
            }
        } else {
            files.push(path.strip_prefix(root()).expect("inside the project").display().to_string());
        }
    }
}

#[test]
fn every_file_that_a_document_names_exists() {
    let mut files = Vec::new();
    list(root(), &mut files);
    let mut missing = Vec::new();
    let mut named = 0;
    for document in WRITTEN {
        for path in quoted(&read(document)).into_iter().filter(|quoted| is_path(quoted)) {
            named += 1;
            if !exists(&path, &files) {
                missing.push(format!("{document} names {path}"));
            }
        }
    }
    assert!(named > 50, "only {named} paths were found in the documents");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    for document in WRITTEN {
        let folder = root().join(document).parent().expect("a document lies in a folder").to_owned();
        let text = read(document);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let inside = !link.starts_with("http");
            assert!(!inside || folder.join(link).exists(), "{document} links to {link}");
        }
    }
}

/// Returns the text that a marker of the README stands for.
fn shown(marker: &str) -> String {
    if let Some(file) = marker.strip_prefix("file: ") {
        return read(file);
    }
    let (command, until) = marker
        .strip_prefix("output: capstan ")
        .and_then(|rest| rest.split_once(" | until: "))
        .unwrap_or_else(|| panic!("an unknown marker: {marker}"));
    let done = Command::new(env!("CARGO_BIN_EXE_capstan"))
        .args(command.split(' '))
        .current_dir(root())
        .env_clear()
        .env("COLUMNS", "100")
        .env("LANG", "C.UTF-8")
        .output()
        .expect("the program starts");
    assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout).expect("the program prints UTF-8");
    let kept: Vec<&str> = text.lines().take_while(|line| *line != until).collect();
    assert!(kept.len() < text.lines().count(), "{command} prints no line `{until}`");
    kept.join("\n").trim_end().to_owned() + "\n"
}

/// Returns the README with every marked block as it should be.
fn current(readme: &str) -> String {
    let mut out = String::new();
    let mut pieces = readme.split("<!-- ");
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (marker, rest) = piece.split_once(" -->\n```text\n").expect("a marker is followed by a block");
        let (_, after) = rest.split_once("```\n").expect("a block ends");
        out.push_str(&format!("<!-- {marker} -->\n```text\n{}```\n{after}", shown(marker)));
    }
    out
}

/// With `UPDATE` set, the blocks are written anew, to be reviewed.
#[test]
fn the_readme_shows_what_the_program_prints() {
    let readme = read("README.md");
    let expected = current(&readme);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(root().join("README.md"), &expected).expect("the README can be written");
        return;
    }
    assert_eq!(readme, expected, "write it anew: UPDATE=1 cargo test --test documents");
}
