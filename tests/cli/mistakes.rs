//! Bad input of every kind ends with the documented code and one clear message.

use crate::surroundings::Place;
use std::fs::File;

const PLAN: &str = "plan first { currency = USD }\nsite cloud { provider = aws, region = \"us-east-1\" }\nserve chat {\n  \
                    model = \"meta-llama/Llama-3.1-8B-Instruct\"\n  load  = { rate = 5 req/s, prompt = 1 ktok, output = \
                    250 tok }\n  slo ttft { p99 <= 1 s }\n}\n";

/// Writes the bytes to a plan file and expects each reading command to refuse it with the given code of a message.
#[track_caller]
fn refused(bytes: &[u8], code: &str) {
    let place = Place::new();
    place.write("bad.plan", bytes);
    for command in [&["check", "bad.plan"][..], &["plan", "bad.plan", "-o", "b.json"]] {
        let seen = place.run(command).exits(1);
        assert!(seen.err.contains(&format!("error[{code}]")), "{}", seen.told());
    }
    assert_eq!(place.names(), ["bad.plan"], "nothing is left behind");
}

#[test]
fn a_good_plan_is_without_mistakes() {
    let place = Place::new();
    place.write("first.plan", PLAN);
    let seen = place.run(&["check", "first.plan"]).exits(0);
    assert_eq!((seen.out.as_str(), seen.err.as_str()), ("", "first.plan: no mistakes\n"));
}

#[test]
fn a_trace_holds_as_many_requests_as_its_percentile_needs() {
    let place = Place::new();
    let rows: String = (0..60).map(|second| format!("{second}.0,500,100\n")).collect();
    place.write("log.csv", format!("arrival_s,input_tokens,output_tokens\n{rows}"));
    let text = PLAN.replace("rate = 5 req/s, prompt = 1 ktok, output = 250 tok", "trace = \"log.csv\"");
    place.write("p.plan", &text);
    let seen = place.run(&["check", "p.plan"]).exits(1);
    assert!(seen.err.contains("it has 60 requests, and it takes 100 for one to be slower"), "{}", seen.err);
    place.write("p.plan", text.replace("p99", "p95"));
    place.run(&["check", "p.plan"]).exits(0);
}

#[test]
fn a_malformed_plan_is_refused() {
    refused(PLAN.replace("p99 <= 1 s", "p99 < 1 s").as_bytes(), "E0105");
}

#[test]
fn a_plan_that_is_cut_off_is_refused() {
    refused(&PLAN.as_bytes()[..PLAN.len() - 3], "E0009");
}

#[test]
fn a_plan_that_is_no_utf8_is_refused() {
    refused(b"plan a { }\n# \xff\xfe\n", "E0006");
}

#[test]
fn a_plan_that_nests_deeply_is_refused() {
    refused(format!("let x = {}1{}\n", "(".repeat(100_000), ")".repeat(100_000)).as_bytes(), "E0008");
}

#[test]
fn an_empty_plan_is_refused() {
    refused(b"", "E0216");
}

#[test]
fn a_file_of_a_hundred_megabytes_is_refused_at_once() {
    let place = Place::new();
    let file = File::create(place.path("bad.plan")).expect("a file");
    file.set_len(100 << 20).expect("a sparse file");
    for command in ["check", "plan", "fmt"] {
        let seen = place.run(&[command, "bad.plan"]).exits(1);
        assert!(seen.err.contains("is longer than 16 MiB"), "{}", seen.told());
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let place = Place::new();
    place.write("folder/inner", "");
    for command in ["check", "plan", "fmt"] {
        let missing = place.run(&[command, "none.plan"]).exits(1);
        assert!(
            missing.err.contains("error[E0501]: cannot read `none.plan`: there is no such file"),
            "{}",
            missing.err
        );
        let folder = place.run(&[command, "folder"]).exits(1);
        assert!(folder.err.contains("cannot read `folder`: it is a folder"), "{}", folder.err);
    }
    for command in [&["report", "none"][..], &["diff", "none", "none"], &["explain", "none"]] {
        let seen = place.run(command).exits(1);
        assert!(seen.err.contains("cannot read `none`"), "{}", seen.told());
    }
}

#[test]
fn every_mistake_of_a_file_is_told_with_its_line() {
    let place = Place::new();
    place.write("a.plan", PLAN.replace("5 req/s", "5 tok/s").replace("1 s }", "1 }").replace("USD", "EURO"));
    insta::assert_snapshot!(place.run(&["check", "a.plan"]).exits(1).told());
}

#[test]
fn programs_get_lines_and_columns() {
    let place = Place::new();
    place.write("a.plan", PLAN.replace("5 req/s", "5 tok/s"));
    let seen = place.run(&["check", "a.plan", "--output", "json"]).exits(1);
    let told: serde_json::Value = serde_json::from_str(&seen.out).expect("JSON");
    assert_eq!(told["diagnostics"][0]["code"], "E0104");
    assert_eq!(told["diagnostics"][0]["start"]["line"], 5);
    assert_eq!(seen.err, "");
}

#[test]
fn a_path_out_of_the_folder_is_refused_even_through_a_link() {
    let place = Place::new();
    place.write("secret.toml", "secret = 1\n");
    place.write("in/a.plan", format!("use catalog \"../secret.toml\"\n{PLAN}"));
    let seen = place.run(&["check", "in/a.plan"]).exits(1);
    assert!(seen.err.contains("error[E0502]"), "{}", seen.told());
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("../secret.toml", place.path("in/link.toml")).expect("a link");
        place.write("in/a.plan", format!("use catalog \"link.toml\"\n{PLAN}"));
        let seen = place.run(&["check", "in/a.plan"]).exits(1);
        assert!(seen.err.contains("it lies outside the folder"), "{}", seen.told());
        assert!(!seen.err.contains("secret = 1"), "{}", seen.told());
    }
}

#[test]
fn catalogs_beside_the_plan_are_read_and_their_mistakes_told() {
    let place = Place::new();
    place.write("in/a.plan", format!("use catalog \"own.toml\"\n{PLAN}"));
    let seen = place.run(&["check", "in/a.plan"]).exits(1);
    assert!(seen.err.contains("cannot read `own.toml`: there is no such file"), "{}", seen.told());
    place.write("in/own.toml", "[[accelerator]]\nid = \"h100_sxm\"\ncolour = \"red\"\n");
    let seen = place.run(&["check", "in/a.plan"]).exits(1);
    assert!(seen.err.contains("in/own.toml:"), "{}", seen.told());
}

#[test]
fn a_changed_value_is_checked_like_a_written_one() {
    let place = Place::new();
    place.write("a.plan", PLAN);
    place.run(&["check", "a.plan", "--set", "chat.load.rate=7 req/s"]).exits(0);
    for set in ["chat.load.rate=7 tok/s", "chat.load.rate=7 req/", "nobody.load=1", "="] {
        let seen = place.run(&["check", "a.plan", "--set", set]).exits(1);
        assert!(seen.err.contains("error[E"), "{set}: {}", seen.told());
    }
    let seen = place.run(&["check", "a.plan", "--scenario", "storm"]).exits(1);
    assert!(seen.err.contains("storm"), "{}", seen.told());
}

#[test]
fn a_wrong_command_line_ends_with_64() {
    let place = Place::new();
    for arguments in [
        &[][..],
        &["plann"],
        &["check"],
        &["check", "--no-such-option", "a"],
        &["report", "b.json", "--output", "pdf"],
        &["emit", "b.json", "--target", "moon", "-o", "x"],
        &["replay", "--layers", "0"],
    ] {
        let seen = place.run(arguments).exits(64);
        assert!(seen.out.is_empty() && !seen.err.is_empty(), "{}", seen.told());
    }
    place.run(&["--help"]).exits(0);
    place.run(&["--version"]).exits(0);
}

#[test]
fn an_output_that_cannot_be_written_is_named_and_nothing_is_left() {
    let place = Place::new();
    place.write_blueprint("b.json", &capstan_types::testing::blueprint::chat_blueprint());
    place.write("folder/inner", "");
    for file in ["nowhere/r.json", "folder"] {
        let seen = place.run(&["report", "b.json", "--output", &format!("json:{file}")]).exits(1);
        assert!(seen.err.contains(&format!("cannot write `{file}`")), "{}", seen.told());
    }
    assert_eq!(place.names(), ["b.json", "folder"]);
}

/// Runs a command in a shell in which no file may become longer than 4 KiB: to a program that is a disk without room.
#[cfg(unix)]
fn without_room(place: &Place, arguments: &str) -> crate::surroundings::Seen {
    let program = env!("CARGO_BIN_EXE_capstan");
    let script = format!("trap '' XFSZ; ulimit -f 8; exec '{program}' {arguments}");
    let mut shell = assert_cmd::Command::new("sh");
    shell
        .args(["-c", &script])
        .current_dir(place.path(""))
        .env_clear()
        .env("SOURCE_DATE_EPOCH", "1782864000");
    crate::surroundings::Seen::of(&mut shell)
}

#[cfg(unix)]
#[test]
fn a_disk_that_is_full_leaves_every_file_as_it_was() {
    let place = Place::new();
    place.write_blueprint("b.json", &capstan_types::testing::blueprint::chat_blueprint());
    place.write("o.html", "as it was");
    for (form, named) in [
        ("html:o.html", "o.html"),
        ("xlsx:o.xlsx", "o.xlsx"),
        ("markdown:o.md", "o.md"),
        ("json:o.json", "o.json"),
        // The first of its files is short enough.
        ("csv:o", "o/"),
    ] {
        let seen = without_room(&place, &format!("report b.json --output {form}")).exits(1);
        let told =
            seen.err.contains(&format!("cannot write `{named}")) && seen.err.contains("the disk is full");
        assert!(told && !seen.err.contains(".capstan-"), "{}", seen.told());
    }
    assert_eq!(place.names(), ["b.json", "o", "o.html"]);
    assert_eq!(std::fs::read_dir(place.path("o")).expect("a folder").count(), 0);
    assert_eq!(place.read("o.html"), "as it was");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_standard_output_is_told() {
    let place = Place::new();
    place.write_blueprint("b.json", &capstan_types::testing::blueprint::chat_blueprint());
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a device");
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_capstan"))
        .args(["report", "b.json"])
        .current_dir(place.path(""))
        .stdout(full)
        .output()
        .expect("the program runs");
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.code() == Some(1) && told.contains("standard output"), "{told}");
}

#[test]
fn a_file_that_is_read_only_is_left_as_it_is() {
    let place = Place::new();
    place.write_blueprint("b.json", &capstan_types::testing::blueprint::chat_blueprint());
    place.write("o.html", "as it was");
    let mut permissions = std::fs::metadata(place.path("o.html")).expect("a file").permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(place.path("o.html"), permissions).expect("permissions");
    let seen = place.run(&["report", "b.json", "--output", "html:o.html"]).exits(1);
    assert!(seen.err.contains("cannot write `o.html`") && seen.err.contains("denied"), "{}", seen.told());
    assert_eq!(place.read("o.html"), "as it was");
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let place = Place::new();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_capstan"))
        .args(["catalog", "list", "offerings", "--output", "json"])
        .current_dir(place.path(""))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program runs");
    drop(child.stdout.take());
    let seen = child.wait_with_output().expect("it ends");
    assert_eq!((seen.status.code(), seen.stderr.as_slice()), (Some(0), &b""[..]));
}
