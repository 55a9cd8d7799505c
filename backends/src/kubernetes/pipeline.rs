//! How is a change of the plan reviewed? By a pipeline for the repository that the plan lies in: the recipe of `docs/ci.md`, with
//! the plan's own path, and a scan of the images that the plan runs.
//!
//! The page is the only source of a recipe, and its tests run it as it stands there. What is written is no object of a cluster.

use super::{EmitError, Files, Frame, Manifest, Wave, images};
use capstan_types::spec::Pipeline;

/// The page that holds the recipes.
const PAGE: &str = include_str!("../../../docs/ci.md");

/// The folder and the name of the plan of the page.
const SHOWN: (&str, &str) = ("plans", "chat.plan");

/// Image of the scanner (github.com/aquasecurity/trivy, release of 2025-10).
const SCANNER: &str = "docker.io/aquasec/trivy:0.67.2";

/// What is found: whatever is grave and has a mended version.
const SCAN: &str = "trivy image --exit-code 1 --severity HIGH,CRITICAL --ignore-unfixed";

/// Kind of its files, which are none of a cluster.
pub(super) const KIND: &str = "Pipeline";

/// Adds the pipelines that the plan asks for; the images are those of all files so far.
pub(super) fn add(frame: &Frame<'_>, files: &mut Files) -> Result<(), EmitError> {
    if frame.deploy.ci.is_empty() {
        return Ok(());
    }
    let inputs = &frame.blueprint.inputs.files;
    let plan = inputs.iter().find(|file| file.role == "plan").ok_or(EmitError::NoPlanDigest)?;
    let Some(path) = in_repository(&plan.path) else {
        let message = format!(
            "a pipeline names the plan by its path in the repository, and `{}` is none: plan it from there, under a name of letters, digits, `.`, `_` and `-`",
            plan.path
        );
        files.warn(&frame.plan, message);
        return Ok(());
    };
    let images = images::of(&files.manifests);
    for &pipeline in &frame.deploy.ci {
        let word = pipeline.word();
        let (heading, home) = match pipeline {
            Pipeline::Github => ("### GitHub", ".github/workflows/plans.yml"),
            Pipeline::Gitlab => ("### GitLab", ".gitlab-ci.yml"),
        };
        let recipe = recipe(heading)
            .ok_or_else(|| EmitError::Yaml(format!("docs/ci.md holds no recipe below `{heading}`")))?;
        let header = format!(
            "# Pipeline for {word}: copy it to {home}; `capstan` must be in the path of its runners.\n# Written by capstan from plan `{}`; change the plan, not this file.\n",
            files.plan
        );
        let yaml = format!("{header}{}{}", of_plan(recipe, path), scan(pipeline, &images));
        let path = format!("ci/{word}.yml");
        files.warn(&frame.plan, format!("{path} is a pipeline for your repository: copy it to {home}"));
        let (kind, name) = (KIND.to_owned(), word.to_owned());
        files.manifests.push(Manifest { path, kind, name, wave: Wave::Values, yaml });
    }
    Ok(())
}

/// Returns a path that a shell and a server of pipelines read as it stands, without `./`; `None` for any other.
fn in_repository(path: &str) -> Option<&str> {
    let path = path.strip_prefix("./").unwrap_or(path);
    let plain = |part: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        !part.is_empty() && part != ".." && !part.starts_with('-') && part.chars().all(known)
    };
    path.split('/').all(plain).then_some(path)
}

/// Returns the first block of code below a heading of the page.
fn recipe(heading: &str) -> Option<&'static str> {
    let (_, rest) = PAGE.split_once(heading)?;
    let (_, rest) = rest.split_once("```yaml\n")?;
    rest.split_once("```").map(|(recipe, _)| recipe)
}

/// Returns a recipe with folder and name of the plan in place of those of the page.
fn of_plan(recipe: &str, path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
    let (shown, plan) = SHOWN;
    recipe
        .replace(&format!("{shown}/{plan}"), path)
        .replace(&format!(" {shown}/"), &format!(" {}", path.strip_suffix(name).unwrap_or_default()))
        .replace(&format!(" check {shown};"), &format!(" check {folder};"))
}

/// Returns the jobs that scan the images, one each; a line that names an image ends in it.
fn scan(pipeline: Pipeline, images: &[String]) -> String {
    if images.is_empty() {
        return String::new();
    }
    let (begin, end) = match pipeline {
        Pipeline::Github => (
            format!(
                "  images:\n    runs-on: ubuntu-latest\n    container: {SCANNER}\n    strategy:\n      fail-fast: false\n      matrix:\n        image:\n"
            ),
            format!("    steps:\n      - run: {SCAN} \"${{{{ matrix.image }}}}\"\n"),
        ),
        Pipeline::Gitlab => (
            format!(
                "\nimages:\n  image:\n    name: {SCANNER}\n    entrypoint: [\"\"]\n  variables: {{ GIT_STRATEGY: none }}\n  parallel:\n    matrix:\n      - IMAGE:\n"
            ),
            format!("  script:\n    - {SCAN} \"$IMAGE\"\n"),
        ),
    };
    let lines = images.iter().map(|image| format!("          - {image}\n"));
    begin + &lines.collect::<String>() + &end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_a_repository() {
        assert_eq!(in_repository("./plans/chat.plan"), Some("plans/chat.plan"));
        for wrong in
            ["/srv/chat.plan", "../chat.plan", "my plans/chat.plan", "a;b.plan", "-", "$(x).plan", ""]
        {
            assert_eq!(in_repository(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_recipe_speaks_of_the_plan_and_of_all_beside_it() {
        let page =
            "check plans/*.plan; diff plans/chat.plan; test -e plans/b.json; baseline check plans; plans:";
        assert_eq!(
            of_plan(page, "infra/eu/llm.plan"),
            "check infra/eu/*.plan; diff infra/eu/llm.plan; test -e infra/eu/b.json; baseline check infra/eu; plans:"
        );
        assert_eq!(
            of_plan(page, "llm.plan"),
            "check *.plan; diff llm.plan; test -e b.json; baseline check .; plans:"
        );
        for heading in ["### GitHub", "### GitLab"] {
            let text = of_plan(recipe(heading).expect("a recipe"), "a/b.plan");
            assert!(!text.contains("plans/") && !text.contains("chat"), "{text}");
            assert_eq!(text.matches("a/b.plan").count(), 1, "{text}");
        }
    }
}
