//! Commands that read a blueprint: report, diff, explain, emit.

use crate::surroundings::Place;
use capstan_types::blueprint::Blueprint;
use capstan_types::testing::blueprint::{chat_blueprint, infeasible_blueprint};

fn place() -> Place {
    let place = Place::new();
    place.write_blueprint("chat.json", &chat_blueprint());
    place.write_blueprint("none.json", &infeasible_blueprint());
    place
}

#[test]
fn a_report_goes_to_every_place_that_is_named() {
    let place = place();
    let args = [
        "report",
        "chat.json",
        "--output",
        "terminal",
        "--output",
        "markdown:r.md",
        "--output",
        "json:r.json",
    ];
    let seen = place.run(&args).exits(0);
    assert!(seen.out.contains("use1"), "{}", seen.told());
    assert!(place.read("r.md").starts_with("# "));
    let read: serde_json::Value = serde_json::from_str(&place.read("r.json")).expect("JSON");
    assert_eq!(read["format"], 1);
    assert!(!seen.out.contains('\x1b'));
}

#[test]
fn an_infeasible_blueprint_is_shown_with_its_findings() {
    let place = place();
    let seen = place.run(&["report", "none.json", "--max-price-age", "9999"]).exits(0);
    insta::assert_snapshot!(seen.told());
}

#[test]
fn old_prices_are_warned_of() {
    let place = place();
    let seen = place.run(&["report", "chat.json", "--max-price-age", "0"]).exits(0);
    assert!(seen.err.contains("warning: the oldest price in use is of 20"), "{}", seen.told());
    assert!(
        !place
            .run(&["report", "chat.json", "--max-price-age", "99999"])
            .exits(0)
            .err
            .contains("oldest price")
    );
}

#[test]
fn a_blueprint_that_is_damaged_is_refused_by_every_command() {
    let place = place();
    let good = place.read("chat.json");
    let mut edited: Blueprint = serde_json::from_str(&good).expect("a blueprint");
    edited.cost.capex += edited.cost.opex;
    place.write_blueprint("edited.json", &edited);
    place.write("cut.json", &good[..good.len() / 3]);
    place.write("empty.json", "");
    place.write("binary.json", b"\xff\xfe\x00");
    place.write("old.json", good.replacen("\"format\": 1", "\"format\": 0", 1));
    place.write("new.json", good.replacen("\"format\": 1", "\"format\": 7", 1));
    let expected = [
        ("edited.json", "contradicts itself"),
        ("cut.json", "it is cut off at line"),
        ("empty.json", "it is empty"),
        ("binary.json", "it is no text"),
        ("old.json", "has format 0"),
        ("new.json", "has format 7"),
    ];
    for (file, because) in expected {
        for command in [
            &["report", file][..],
            &["explain", file],
            &["diff", "chat.json", file],
            &["emit", file, "--target", "kubernetes", "-o", "out"],
        ] {
            let seen = place.run(command).exits(1);
            assert!(seen.err.contains(because) && seen.err.contains("= help:"), "{}", seen.told());
        }
    }
}

#[test]
fn a_diff_ends_with_2_only_where_that_was_asked_for() {
    let place = place();
    let mut other = chat_blueprint();
    other.inputs.spec.frame.seed = 7;
    place.write_blueprint("other.json", &other);
    let same = place.run(&["diff", "chat.json", "chat.json", "--detailed-exitcode"]).exits(0);
    assert!(same.out.contains("the same"), "{}", same.told());
    place.run(&["diff", "chat.json", "other.json"]).exits(0);
    let seen =
        place.run(&["diff", "chat.json", "other.json", "--detailed-exitcode", "--output", "json"]).exits(2);
    let told: serde_json::Value = serde_json::from_str(&seen.out).expect("JSON");
    assert_eq!((&told["format"], &told["empty"]), (&1.into(), &false.into()));
}

#[test]
fn a_code_is_explained_with_the_plan_before_and_after() {
    insta::assert_snapshot!(place().run(&["explain", "E0104"]).exits(0).told());
    let seen = place().run(&["explain", "E0199"]).exits(1);
    assert!(seen.err.contains("there is no code E0199"), "{}", seen.told());
}

#[test]
fn a_plan_and_its_parts_are_explained() {
    let place = place();
    assert!(place.run(&["explain", "chat.json"]).exits(0).out.contains("What was rejected"));
    insta::assert_snapshot!(place.run(&["explain", "chat.json", "use1"]).exits(0).told());
    let seen = place.run(&["explain", "chat.json", "chta"]).exits(1);
    assert!(seen.err.contains("did you mean `chat`?"), "{}", seen.told());
}

const EMIT: [&str; 6] = ["emit", "chat.json", "--target", "kubernetes", "-o", "out"];

#[test]
fn manifests_are_written_whole_and_again() {
    let place = place();
    let seen = place.run(&EMIT).exits(0);
    assert_eq!(seen.out, "");
    let mark = place.read("out/.capstan.sha256");
    assert!(mark.contains("kubernetes/"), "{mark}");
    for line in mark.lines() {
        let (_, path) = line.split_once("  ").expect("digest and path");
        assert!(!place.read(&format!("out/{path}")).is_empty());
    }
    place.run(&EMIT).exits(0);
    assert_eq!(place.read("out/.capstan.sha256"), mark);
    assert_eq!(place.names(), ["chat.json", "none.json", "out"]);
}

#[test]
fn a_folder_with_anything_else_is_refused_and_left_alone() {
    let place = place();
    place.write("out/notes.txt", "mine");
    let seen = place.run(&EMIT).exits(1);
    assert!(
        seen.err.contains("`notes.txt` in the folder `out` was not written by capstan"),
        "{}",
        seen.told()
    );
    assert_eq!(place.read("out/notes.txt"), "mine");

    std::fs::remove_file(place.path("out/notes.txt")).expect("removed");
    place.run(&EMIT).exits(0);
    let first = place.read("out/.capstan.sha256");
    let path = first.lines().next().and_then(|line| line.split_once("  ")).expect("a line").1;
    place.write(&format!("out/{path}"), "changed");
    let seen = place.run(&EMIT).exits(1);
    assert!(seen.err.contains("was changed since capstan wrote it"), "{}", seen.told());
    assert_eq!(place.read(&format!("out/{path}")), "changed");
}

#[test]
fn nothing_is_emitted_where_nothing_is_feasible() {
    let place = place();
    let seen = place.run(&["emit", "none.json", "--target", "kubernetes", "-o", "out"]).exits(3);
    assert!(seen.err.contains("infeasible"), "{}", seen.told());
    assert_eq!(place.names(), ["chat.json", "none.json"]);
}
