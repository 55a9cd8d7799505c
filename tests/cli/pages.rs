//! The small commands: init, fmt, completions, man.

use crate::surroundings::Place;

#[test]
fn the_first_plan_is_canonical_and_without_mistakes() {
    let place = Place::new();
    insta::assert_snapshot!(place.run(&["init", "my.plan"]).exits(0).told());
    place.run(&["check", "my.plan", "--fail-on", "warn"]).exits(0);
    place.run(&["fmt", "--check", "my.plan"]).exits(0);
}

#[test]
fn a_plan_that_exists_is_not_written_over() {
    let place = Place::new();
    place.write("first.plan", "mine");
    let seen = place.run(&["init"]).exits(1);
    assert!(seen.err.contains("`first.plan` exists already"), "{}", seen.told());
    assert_eq!(place.read("first.plan"), "mine");
    place.run(&["init", "nowhere/first.plan"]).exits(1);
}

const UGLY: &str = "plan   first {\n currency=USD\n\n\n}\n";
const NICE: &str = "plan first {\n  currency = USD\n}\n";

#[test]
fn formatting_changes_the_file_once() {
    let place = Place::new();
    place.write("a.plan", UGLY);
    let seen = place.run(&["fmt", "--check", "a.plan"]).exits(2);
    assert_eq!((seen.out.as_str(), place.read("a.plan").as_str()), ("a.plan\n", UGLY));
    place.run(&["fmt", "a.plan"]).exits(0);
    let formatted = place.read("a.plan");
    assert!(formatted.starts_with("plan first {\n  currency = USD\n"), "{formatted}");
    place.run(&["fmt", "--check", "a.plan"]).exits(0);
    assert_eq!(place.names(), ["a.plan"]);
}

#[test]
fn standard_input_is_formatted_to_standard_output() {
    let seen = Place::new().run_with(&["fmt", "-"], NICE).exits(0);
    assert_eq!(seen.out, NICE);
    Place::new().run_with(&["fmt", "--check", "-"], UGLY).exits(2);
    Place::new().run_with(&["fmt", "-"], "plan {{").exits(1);
}

#[test]
fn a_file_with_mistakes_is_left_as_it_is_and_the_others_are_formatted() {
    let place = Place::new();
    place.write("bad.plan", "plan first { currency = }\n");
    place.write("good.plan", UGLY);
    let seen = place.run(&["fmt", "bad.plan", "good.plan"]).exits(1);
    assert!(seen.err.contains("bad.plan:1:"), "{}", seen.told());
    assert_eq!(place.read("bad.plan"), "plan first { currency = }\n");
    assert_ne!(place.read("good.plan"), UGLY);
}

#[cfg(unix)]
#[test]
fn formatting_keeps_the_permissions_and_follows_a_link() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let place = Place::new();
    place.write("real.plan", UGLY);
    let mode = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(place.path("real.plan"), mode).expect("permissions");
    symlink("real.plan", place.path("link.plan")).expect("a link");
    place.run(&["fmt", "link.plan"]).exits(0);
    let link = std::fs::symlink_metadata(place.path("link.plan")).expect("metadata");
    let real = std::fs::metadata(place.path("real.plan")).expect("metadata");
    assert!(link.is_symlink());
    assert_eq!(real.permissions().mode() & 0o777, 0o640);
    assert_ne!(place.read("real.plan"), UGLY);
}

#[test]
fn shells_and_manuals_know_every_command() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let seen = place.run(&["completions", shell]).exits(0);
        assert!(seen.out.contains("detailed-exitcode"), "{shell}");
    }
    place.run(&["man", "pages/man1"]).exits(0);
    assert!(place.read("pages/man1/capstan.1").contains("blueprint"));
    assert!(place.read("pages/man1/capstan-emit.1").contains("manifests"));
}
