//! A bill of 2,000 lines: how long does each form take, and how much memory? Measured at the program, as a reader runs it, in
//! time of a processor, which other processes do not change much.

#![cfg(target_os = "linux")]

use crate::fixture::{many, with_lines};
use capstan_planner::audit::audit;
use capstan_types::blueprint::Blueprint;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The forms with the seconds that each may take.
const FORMS: &[(&str, f64)] = &[
    ("html:o.html", 2.0),
    ("xlsx:o.xlsx", 2.0),
    ("csv:o", 2.0),
    ("markdown:o.md", 2.0),
    ("json:o.json", 2.0),
    ("human:o.txt", 2.0),
    #[cfg(feature = "pdf")]
    ("pdf:o.pdf", 5.0),
];

/// Most memory of a form, in bytes.
const MEMORY: u64 = 300_000_000;

/// What a run took.
struct Took {
    /// Time of all processors.
    time: Duration,
    /// Most memory that was held at once, in bytes.
    memory: u64,
}

/// Returns the time of processors that a process has taken so far, in hundredths of a second as Linux tells it.
fn processor_time(process: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name of the program, in brackets, may hold anything; user and system time are the 12th and 13th behind it.
    let ticks = text.rsplit_once(')')?.1.split_whitespace().skip(11).take(2);
    Some(Duration::from_millis(ticks.map(|one| one.parse::<u64>().expect("a count") * 10).sum()))
}

/// Returns the most memory that a process has held so far; nothing where it has ended.
fn most_memory(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    Some(kibibytes * 1024)
}

/// Reports in one form. The kernel keeps the most memory of a process, so looking often misses only its last moment.
fn measured(folder: &Path, form: &str) -> Took {
    let mut child = Command::new(env!("CARGO_BIN_EXE_capstan"))
        .args(["report", "b.json", "--max-price-age", "99999", "--output", form])
        .current_dir(folder)
        .stdout(Stdio::null())
        .spawn()
        .expect("the program runs");
    let mut took = Took { time: Duration::ZERO, memory: 0 };
    let status = loop {
        took.memory = most_memory(child.id()).unwrap_or(0).max(took.memory);
        took.time = processor_time(child.id()).unwrap_or_default().max(took.time);
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    assert!(status.success(), "{form}: {status}");
    assert!(took.memory > 1 << 20 && !took.time.is_zero(), "{form}: nothing was measured");
    println!("{form}: {:?}, {} MB", took.time, took.memory / 1_000_000);
    took
}

/// Returns a folder with a blueprint of 2,000 lines, `b.json`.
fn folder() -> tempfile::TempDir {
    let (blueprint, _) = with_lines(&many(2_000));
    let mut blueprint: Blueprint =
        serde_json::from_str(&capstan_report::blueprint_text(&blueprint)).expect("it is read back");
    // These lines are not those of its machines: what the audit says of that is known, and no damage to the file.
    blueprint.audit = audit(&blueprint);
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("b.json"), capstan_report::blueprint_text(&blueprint)).expect("writable");
    folder
}

#[test]
fn two_thousand_lines_take_less_than_300_megabytes_in_each_form() {
    let folder = folder();
    for (form, _) in FORMS {
        let memory = measured(folder.path(), form).memory;
        assert!(memory < MEMORY, "{form} holds {memory} bytes");
    }
}

#[test]
#[ignore = "measures time: make test-long"]
fn long_two_thousand_lines_take_seconds_in_each_form() {
    let folder = folder();
    for (form, seconds) in FORMS {
        let time = measured(folder.path(), form).time.as_secs_f64();
        assert!(time < *seconds, "{form} takes {time:.2} s");
    }
}
