//! Is this file a blueprint that can be trusted? Format, wholeness, and whether it still agrees with itself.

use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{self, DATA_LIMIT, Files, Here};
use crate::render::Sources;
use crate::session::Session;
use anyhow::Context;
use capstan_planner::audit::audit;
use capstan_report::blueprint_digest;
pub use capstan_report::blueprint_text as text;
use capstan_types::blueprint::{Blueprint, FORMAT, Status};
use jiff::ToSpan;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// What every format of a blueprint has.
#[derive(Deserialize)]
struct Head {
    format: Option<u64>,
    tool: Option<String>,
    digest: Option<String>,
}

/// Reads a blueprint and checks that nobody changed it since it was written.
pub fn read(path: &str) -> anyhow::Result<Blueprint> {
    of(path, Here.read(path, DATA_LIMIT).with_context(|| format!("cannot read `{path}`"))?)
}

/// The same of a file that was read already.
pub fn of(path: &str, bytes: Vec<u8>) -> anyhow::Result<Blueprint> {
    let text = String::from_utf8(bytes)
        .map_err(|_| not_a_blueprint(path, "it is no text").hint("a blueprint is JSON, in UTF-8"))?;
    Ok(parse(path, &text)?)
}

fn not_a_blueprint(path: &str, why: &str) -> Failure {
    Failure::new(format!("`{path}` is no blueprint: {why}"))
}

fn parse(path: &str, text: &str) -> Result<Blueprint, Failure> {
    let again = "write it again with `capstan plan FILE -o BLUEPRINT`";
    if text.trim().is_empty() {
        return Err(not_a_blueprint(path, "it is empty").hint(again));
    }
    let head: Head = serde_json::from_str(text).map_err(|error| {
        let why = if error.is_eof() {
            format!("it is cut off at line {}", error.line())
        } else if text.trim_start().starts_with('{') {
            format!("it is broken: {error}")
        } else {
            "it is no JSON object".to_owned()
        };
        not_a_blueprint(path, &why).hint(again)
    })?;
    let found = head.format.ok_or_else(|| not_a_blueprint(path, "it has no `format`").hint(again))?;
    if found != u64::from(FORMAT) {
        let tool = head.tool.map_or(String::new(), |tool| format!(", written by capstan {tool}"));
        let newer = found > u64::from(FORMAT);
        let way = if newer { "use the version of capstan that wrote it, or a later one" } else { again };
        let message = format!("`{path}` has format {found}{tool}; this version reads format {FORMAT}");
        return Err(Failure::new(message).hint(way));
    }
    let edited = |why: &str| Failure::new(format!("`{path}` was edited or damaged: {why}")).hint(again);
    let value: Value = serde_json::from_str(text).map_err(|error| edited(&error.to_string()))?;
    let blueprint: Blueprint = serde_json::from_str(text).map_err(|error| edited(&error.to_string()))?;
    match head.digest {
        Some(told) if told == blueprint_digest(value) => {}
        Some(_) => return Err(edited("its `digest` is not that of what it says")),
        None => return Err(edited("it has no `digest`")),
    }
    unchanged(path, &blueprint).map_err(|failure| failure.hint(again))?;
    Ok(blueprint)
}

/// A blueprint says what its audit saw. What the audit sees now and did not see then was put there by hand.
fn unchanged(path: &str, blueprint: &Blueprint) -> Result<(), Failure> {
    let recorded: BTreeSet<&String> = blueprint.audit.iter().flat_map(|check| &check.violations).collect();
    let now = audit(blueprint);
    let mut found = now.iter().flat_map(|check| {
        check.violations.iter().filter(|one| !recorded.contains(one)).map(|one| (&check.check, one))
    });
    let Some((check, violation)) = found.next() else { return Ok(()) };
    let more = match found.count() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Err(Failure::new(format!(
        "`{path}` contradicts itself, so it was edited or damaged: {check}: {violation}{more}"
    )))
}

/// Fails where a file that the blueprint was planned from is here and says something else now.
pub fn current(blueprint: &Blueprint) -> Result<(), Failure> {
    for file in &blueprint.inputs.files {
        let Ok(bytes) = Here.read(&file.path, DATA_LIMIT) else { continue };
        if files::sha256(&bytes) != file.sha256 {
            let message = format!("`{}` changed since the blueprint was planned from it", file.path);
            let hint = "plan it again, and look at `capstan diff` of the two blueprints";
            return Err(Failure::new(message).exit(Exit::Refused).hint(hint));
        }
    }
    Ok(())
}

/// Returns the texts of the plan files that the blueprint answers, where they are here and unchanged.
pub fn sources(blueprint: &Blueprint) -> Sources {
    let mut sources = Sources::new();
    for file in blueprint.inputs.files.iter().filter(|file| file.role == "plan") {
        let Ok(bytes) = Here.read(&file.path, files::TEXT_LIMIT) else { continue };
        if files::sha256(&bytes) == file.sha256
            && let Ok(text) = String::from_utf8(bytes)
        {
            sources.insert(file.path.clone(), text);
        }
    }
    sources
}

/// Warns of prices that are older than the given days, counted to today, and says of when they are.
pub fn warn_of_old_prices(blueprint: &Blueprint, most_days: i64, session: &Session) -> bool {
    let Some(days) = blueprint.inputs.oldest_price_days else { return false };
    let planned = blueprint.inputs.spec.frame.as_of;
    let Ok(oldest) = planned.checked_sub(days.days()) else { return false };
    let age = (session.today - oldest).get_days();
    if i64::from(age) <= most_days {
        return false;
    }
    session.warn(&format!(
        "the oldest price in use is of {oldest}, {age} days ago; newer ones come in with `use prices \"FILE\"`"
    ));
    true
}

/// Returns the exit code that a plan's status stands for.
pub fn exit_of(status: Status) -> Exit {
    match status {
        Status::Feasible => Exit::Done,
        Status::Violated | Status::Infeasible => Exit::Violated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing::blueprint::{chat_blueprint, infeasible_blueprint};

    #[test]
    fn what_is_written_reads_back_the_same() {
        for blueprint in [chat_blueprint(), infeasible_blueprint()] {
            let written = text(&blueprint);
            let read = parse("x", &written).expect("it reads");
            assert_eq!(text(&read), written);
        }
    }

    fn refused(text: &str, because: &str) {
        let error = parse("b.json", text).expect_err("it is refused").to_string();
        assert!(error.contains(because), "{error}");
    }

    #[test]
    fn each_kind_of_damage_is_named() {
        let good = text(&chat_blueprint());
        refused("", "it is empty");
        refused(" \n", "it is empty");
        refused(&good[..good.len() / 2], "it is cut off at line");
        refused("plan a {}", "it is no JSON object");
        refused("{}", "it has no `format`");
        refused("[1]", "it is no JSON object");
        refused(&good.replacen("\"format\": 1", "\"format\": 99", 1), "has format 99");
        refused(&good.replacen("\"pools\"", "\"pool\"", 1), "missing field `pools`");
        refused(&"[".repeat(100_000), "it is no JSON object");
    }

    #[test]
    fn a_number_changed_by_hand_is_found() {
        let mut blueprint = chat_blueprint();
        blueprint.cost.lines[0].billed_cost = blueprint.cost.total;
        refused(&text(&blueprint), "contradicts itself");
        let good = text(&chat_blueprint());
        let seed = good.find("\"seed\": ").expect("a seed") + 8;
        let changed = format!("{}9{}", &good[..seed], &good[seed..]);
        refused(&changed, "its `digest` is not that of what it says");
        let at = good.rfind(",\n  \"digest\"").expect("a digest");
        refused(&format!("{}\n}}\n", &good[..at]), "it has no `digest`");
        // Other blanks say the same.
        assert!(parse("x", &good.replace("\n  ", "\n\t")).is_ok());
    }
}
