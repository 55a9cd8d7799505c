//! What is CI told? Diagnostics and findings with lines and paths of the repository; GitHub's own files are written here.

use crate::files;
use crate::output::{Format, Made};
use crate::render::{self, Sources};
use crate::session::variable;
use anyhow::Context;
use capstan_lang::{Code, Diagnostic, Severity, codes};
use capstan_report::ci::{
    Case, Outcome, Remark, RuleText, Spot, Suite, Told, github_commands, github_outputs, gitlab, junit,
    sarif, told_of_blueprint,
};
use capstan_types::blueprint::Blueprint;
use capstan_types::finding;
use capstan_types::place::Place;

/// Returns where a place stands, where its text is at hand.
fn spot(place: &Place, sources: &Sources) -> Option<Spot> {
    let text = sources.get(place.file.as_str())?;
    let (start, end) =
        (render::position(text, place.start as usize), render::position(text, place.end as usize));
    Some(Spot {
        path: files::in_repository(place.file.as_str()),
        line: start.line,
        column: start.column,
        end_line: end.line,
        end_column: end.column,
        text: text.lines().nth(start.line - 1).unwrap_or_default().to_owned(),
    })
}

/// Returns the line on which a place begins, where its text is at hand.
pub fn line(place: &Place, sources: &Sources) -> Option<usize> {
    let text = sources.get(place.file.as_str())?;
    Some(render::position(text, place.start as usize).line)
}

/// Returns what CI is told of plan files that were checked, each with its mistakes.
pub fn of_diagnostics(checked: &[(String, Vec<Diagnostic>)], sources: &Sources) -> Told {
    let mut told = Told { version: env!("CARGO_PKG_VERSION").to_owned(), ..Told::default() };
    for (file, found) in checked {
        let remarks: Vec<Remark> = found.iter().map(|one| remark(one, file, sources)).collect();
        let failed = |remark: &&Remark| remark.severity == finding::Severity::Error;
        let mut cases: Vec<Case> = remarks.iter().filter(failed).map(failure).collect();
        if cases.is_empty() {
            let (class, name) = ("check".to_owned(), "no mistakes".to_owned());
            cases.push(Case { class, name, spot: None, outcome: Outcome::Passed });
        }
        told.suites.push(Suite { name: files::in_repository(file), cases });
        told.remarks.extend(remarks);
    }
    let count = |severity| told.remarks.iter().filter(|one| one.severity == severity).count().to_string();
    let (errors, warnings) = (count(finding::Severity::Error), count(finding::Severity::Warning));
    let status = if errors == "0" { "checked" } else { "failed" };
    let outputs = [("status", status.to_owned()), ("errors", errors), ("warnings", warnings)];
    told.outputs = outputs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    with_rules(told)
}

fn remark(diagnostic: &Diagnostic, file: &str, sources: &Sources) -> Remark {
    // What `--set` says stands in no file of the repository.
    let named = !diagnostic.place.file.as_str().starts_with("--set");
    let label = (!diagnostic.label.is_empty()).then(|| diagnostic.label.clone());
    let because = diagnostic.because.iter().map(|why| format!("because {why}"));
    let help = diagnostic.help.iter().map(|help| format!("help: {help}"));
    Remark {
        rule: diagnostic.code.to_string(),
        severity: match diagnostic.severity {
            Severity::Error => finding::Severity::Error,
            Severity::Warning => finding::Severity::Warning,
            Severity::Note => finding::Severity::Note,
        },
        message: diagnostic.message.clone(),
        details: label.into_iter().chain(because).chain(help).collect(),
        spot: spot(&diagnostic.place, sources)
            .filter(|_| named)
            .unwrap_or_else(|| Spot::top(files::in_repository(file))),
    }
}

fn failure(remark: &Remark) -> Case {
    let lines = std::iter::once(&remark.message).chain(&remark.details);
    let message = lines.map(String::as_str).collect::<Vec<_>>().join("\n");
    Case {
        class: "check".to_owned(),
        name: format!("{} at line {}", remark.rule, remark.spot.line),
        spot: Some(remark.spot.clone()),
        outcome: Outcome::Failed { rule: remark.rule.clone(), message },
    }
}

/// Returns what CI is told of a blueprint.
pub fn of_blueprint(blueprint: &Blueprint, sources: &Sources) -> Told {
    let plan = blueprint.inputs.files.iter().find(|file| file.role == "plan");
    let path = plan.map_or_else(|| "plan".to_owned(), |file| files::in_repository(&file.path));
    with_rules(told_of_blueprint(blueprint, &path, &|place| spot(place, sources)))
}

/// Adds what `explain` says of each rule that is named.
pub fn with_rules(mut told: Told) -> Told {
    let mut ids: Vec<&String> = told.remarks.iter().map(|remark| &remark.rule).collect();
    ids.sort();
    ids.dedup();
    let text = |id: &String| {
        let entry = codes::explain(Code::parse(id)?)?;
        let (title, explanation) = (entry.title.to_owned(), entry.explanation.to_owned());
        Some(RuleText { id: id.clone(), title, explanation })
    };
    told.rules = ids.into_iter().filter_map(text).collect();
    told
}

/// Returns one of the forms that CI reads. For GitHub, the step's summary and outputs are added to its files as well.
pub fn made(format: Format, told: &Told, markdown: impl FnOnce() -> String) -> anyhow::Result<Made> {
    let text = match format {
        Format::Sarif => sarif(told),
        Format::Junit => junit(told),
        Format::Gitlab => gitlab(told),
        _ => {
            let wanted = [("GITHUB_STEP_SUMMARY", markdown()), ("GITHUB_OUTPUT", github_outputs(told))];
            for (name, text) in wanted {
                let Some(file) = variable(name) else { continue };
                files::append(&file, text.as_bytes())
                    .with_context(|| format!("cannot write `{file}` ({name})"))?;
            }
            github_commands(told)
        }
    };
    Ok(Made::Bytes(text.into_bytes()))
}

/// Returns diagnostics as Markdown: a heading for each file, a point for each mistake.
pub fn markdown(told: &Told) -> String {
    let count =
        |name: &str| told.outputs.iter().find(|(known, _)| known == name).map_or("0", |(_, value)| value);
    let mut text = format!("# check: {} errors, {} warnings\n", count("errors"), count("warnings"));
    for remark in &told.remarks {
        let safe = |text: &str| text.replace(['\n', '\r'], " ").replace('<', "\\<").replace('|', "\\|");
        let Spot { path, line, .. } = &remark.spot;
        text.push_str(&format!("\n- **{}** {}:{line}: {}\n", remark.rule, safe(path), safe(&remark.message)));
        text.extend(remark.details.iter().map(|detail| format!("  - {}\n", safe(detail))));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::place::{FileId, Span};

    #[test]
    fn a_mistake_has_a_line_and_its_text() {
        let sources = Sources::from([("a.plan".to_owned(), "plan a {}\n  x = 15 TB\n".to_owned())]);
        let place = Span::new(16, 21).in_file(&FileId::new("a.plan"));
        let mistake = Diagnostic::error(Code::error(104), place, "`x` is data").help("write tokens");
        let told = of_diagnostics(&[("a.plan".to_owned(), vec![mistake])], &sources);
        let spot = &told.remarks[0].spot;
        assert_eq!((spot.line, spot.column, spot.text.as_str()), (2, 7, "  x = 15 TB"));
        assert_eq!(told.rules[0].id, "E0104");
        assert!(matches!(told.suites[0].cases[0].outcome, Outcome::Failed { .. }));
        assert!(markdown(&told).contains("- **E0104** a.plan:2: `x` is data\n  - help: write tokens\n"));
    }

    #[test]
    fn a_file_without_mistakes_is_a_case_that_passes() {
        let told = of_diagnostics(&[("a.plan".to_owned(), Vec::new())], &Sources::new());
        assert_eq!(told.suites[0].cases.len(), 1);
        assert_eq!(told.outputs[0], ("status".to_owned(), "checked".to_owned()));
    }
}
