//! The recipes of docs/ci.md, as they stand there: their files are what their readers accept, their commands do what is said,
//! on a branch of a repository that was cloned from elsewhere.

use crate::formats::{against, against_junit, schema};
use crate::surroundings::{Place, Seen};
use assert_cmd::Command;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Returns the page.
fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ci.md")).expect("the page")
}

/// Returns the first block of code below a heading or sentence.
fn block(after: &str) -> String {
    let page = page();
    let (_, rest) = page.split_once(after).unwrap_or_else(|| panic!("docs/ci.md has no {after:?}"));
    let (fence, rest) = rest.split_once("```").expect("a block").1.split_once('\n').expect("lines");
    assert!(["yaml", "text", "groovy"].contains(&fence), "{fence}");
    rest.split_once("```").expect("the end of the block").0.to_owned()
}

fn yaml(after: &str) -> Value {
    serde_saphyr::from_str(&block(after)).expect("YAML")
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// Returns the commands of a list, or a single one.
fn lines(value: &Value) -> Vec<&str> {
    value.as_array().expect("a list").iter().filter_map(Value::as_str).collect()
}

/// A clone of a repository that has the plan of the page, on a branch of its own.
struct Clone {
    place: Place,
    plan: String,
}

impl Clone {
    fn new() -> Self {
        let clone = Self { place: Place::new(), plan: block("its levels hold:") };
        clone.place.write("origin/plans/chat.plan", &clone.plan);
        let first = "git init -q -b main && git add . && git commit -q -m first && cd .. && git clone -q origin clone";
        clone.run("origin", first, &[]).exits(0);
        clone.run("clone", "git switch -q -c change", &[]).exits(0);
        clone
    }

    /// Commits the plan with something else in it.
    fn changes(&self, from: &str, to: &str) {
        assert!(self.plan.contains(from), "{from}");
        self.place.write("clone/plans/chat.plan", self.plan.replace(from, to));
        self.run("clone", "git add . && git commit -q -m change --allow-empty", &[]).exits(0);
    }

    /// Runs commands in a folder, as CI servers do: they end with the first that fails.
    fn run(&self, folder: &str, commands: &str, more: &[(&str, &str)]) -> Seen {
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_capstan")).parent().expect("a folder");
        let known = std::env::var_os("PATH").unwrap_or_default();
        let path =
            [self.place.path("bin"), program.to_owned()].into_iter().chain(std::env::split_paths(&known));
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", commands]).current_dir(self.place.path(folder)).env_clear();
        shell.env("PATH", std::env::join_paths(path).expect("paths")).env("HOME", self.place.path(""));
        for who in ["GIT_AUTHOR", "GIT_COMMITTER"] {
            shell.env(format!("{who}_NAME"), "t").env(format!("{who}_EMAIL"), "t@example.org");
        }
        Seen::of(shell.env("SOURCE_DATE_EPOCH", "1782864000").envs(more.iter().copied()))
    }

    fn read(&self, name: &str) -> String {
        self.place.read(&format!("clone/{name}"))
    }
}

/// A `gh` with the comments of one pull request in a folder, a file each; its filter prints the first line of each.
const GH: &str = r#"#!/bin/sh
set -e
mkdir -p "$HOME/comments"
case "$*" in
"api --paginate repos/o/r/issues/7/comments --jq "*)
  for file in "$HOME"/comments/*; do [ -e "$file" ] && echo "${file##*/} $(head -n 1 "$file")"; done || true ;;
"api --method PATCH repos/o/r/issues/comments/"*" --field body=@comment.md")
  test -e "$HOME/comments/${4##*/}" && cp comment.md "$HOME/comments/${4##*/}" ;;
"api --method POST repos/o/r/issues/7/comments --field body=@comment.md")
  cp comment.md "$HOME/comments/$(($(ls "$HOME/comments" | wc -l) + 100))" ;;
*) echo "gh is not asked for that: $*" >&2; exit 1 ;;
esac
"#;

/// Returns a text with what GitHub puts in the place of its expressions.
fn filled(text: &str) -> String {
    let known = [("github.base_ref", "main"), ("github.token", "secret"), ("github.event.number", "7")];
    let filled = known
        .iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{{ {name} }}}}"), value));
    assert!(!filled.contains("${{"), "{filled}");
    filled
}

/// Runs the steps of the workflow as GitHub does, and returns the code of each that is a command.
fn workflow(clone: &Clone, steps: &[Value]) -> Vec<i32> {
    let mut codes = Vec::new();
    for step in steps {
        let Some(run) = step["run"].as_str() else { continue };
        if codes.iter().any(|code| *code != 0) && step["if"] != "always()" {
            continue;
        }
        let own = step["env"].as_object().into_iter().flatten();
        let own: Vec<(&str, String)> =
            own.map(|(name, value)| (name.as_str(), filled(value.as_str().expect("text")))).collect();
        let mut known = vec![
            ("GITHUB_REPOSITORY", "o/r"),
            ("GITHUB_STEP_SUMMARY", "summary.md"),
            ("GITHUB_OUTPUT", "out"),
        ];
        known.extend(own.iter().map(|(name, value)| (*name, value.as_str())));
        let seen = clone.run("clone", &filled(run), &known);
        println!("{run}\n{}", seen.told());
        codes.push(seen.code);
    }
    codes
}

#[test]
fn the_workflow_of_github_keeps_one_comment_and_is_red_only_where_a_level_breaks() {
    let recipe = yaml("### GitHub");
    assert_eq!(against(&schema("github-workflows.json.gz"), &recipe), [""; 0]);
    let steps = recipe["jobs"]["plans"]["steps"].as_array().expect("steps");
    let clone = Clone::new();
    clone.place.write("bin/gh", GH);
    clone.run("bin", "chmod +x gh", &[]).exits(0);
    let comments = || {
        let names = std::fs::read_dir(clone.place.path("comments")).expect("a folder");
        let names = names.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        names.map(|name| (name.clone(), clone.place.read(&format!("comments/{name}")))).collect()
    };
    let before: BTreeMap<String, String> = [("9".to_owned(), "looks good to me\n".to_owned())].into();
    clone.place.write("comments/9", &before["9"]);
    clone.changes("500 ms", "10 ms");
    assert_eq!(workflow(&clone, steps), [0, 3, 0]);
    let first: BTreeMap<String, String> = comments();
    assert_eq!((first.len(), &first["9"]), (2, &before["9"]));
    assert!(
        first["101"].starts_with("<!-- capstan diff assistant -->\n# assistant: NO plan exists"),
        "{first:?}"
    );
    clone.changes("500 ms", "400 ms");
    assert_eq!(workflow(&clone, steps), [0, 0, 0, 0]);
    let second: BTreeMap<String, String> = comments();
    assert_eq!((second.len(), &second["9"]), (2, &before["9"]));
    assert!(second["101"].starts_with("<!-- capstan diff assistant -->\n# assistant: holds"), "{second:?}");
    let upload = steps.iter().find(|step| step["uses"].as_str().is_some_and(|uses| uses.contains("sarif")));
    let sarif = clone.read(text(&upload.expect("an upload")["with"], "sarif_file"));
    let sarif: Value = serde_json::from_str(&sarif).expect("JSON");
    assert_eq!(against(&schema("sarif-2.1.0.json.gz"), &sarif), [""; 0]);
    assert!(
        clone.read("summary.md").contains("# assistant: holds") && clone.read("out").contains("exit_code=3")
    );
}

#[test]
fn the_job_of_gitlab_writes_the_reports_that_it_names() {
    let recipe = yaml("### GitLab");
    assert_eq!(against(&schema("gitlab-ci.json.gz"), &recipe), [""; 0]);
    let script = lines(&recipe["plans"]["script"]).join("\n");
    let reports = &recipe["plans"]["artifacts"]["reports"];
    let clone = Clone::new();
    clone.run("clone", "git branch -r -d origin/main origin/HEAD", &[]).exits(0);
    for (to, code) in [("10 ms", 3), ("400 ms", 0)] {
        clone.changes("500 ms", to);
        clone.run("clone", &script, &[("CI_DEFAULT_BRANCH", "main")]).exits(code);
        let junit = clone.read(text(reports, "junit"));
        assert_eq!(against_junit(&junit), [""; 0]);
        assert_eq!(junit.contains("<failure"), code == 3, "{junit}");
        let quality: Value = serde_json::from_str(&clone.read(text(reports, "codequality"))).expect("JSON");
        assert_eq!(against(&schema("gitlab-code-quality.json"), &quality), [""; 0]);
    }
    clone.changes("40 req/s", "40 tok/s");
    clone.run("clone", &script, &[("CI_DEFAULT_BRANCH", "main")]).exits(1);
    let quality: Value = serde_json::from_str(&clone.read(text(reports, "codequality"))).expect("JSON");
    assert_eq!(
        (&quality[0]["check_name"], &quality[0]["location"]["path"]),
        (&json!("E0104"), &json!("plans/chat.plan"))
    );
}

/// What `emit` writes are these recipes, about the plan that it was written from, and a scan of each image that it runs.
#[test]
fn pipelines_that_are_emitted_are_the_recipes_and_scan_every_image() {
    let clone = Clone::new();
    let deploy = "deploy kubernetes { load_test = k6, ci = [github, gitlab] }\n\nsite cloud";
    clone.changes("site cloud", deploy);
    let emit = "capstan plan plans/chat.plan -o b.json && capstan emit b.json --target kubernetes -o out";
    clone.run("clone", emit, &[]).exits(0);
    let emitted = |word: &str| -> Value {
        serde_saphyr::from_str(&clone.read(&format!("out/ci/{word}.yml"))).expect("YAML")
    };
    let (github, gitlab) = (emitted("github"), emitted("gitlab"));
    assert_eq!(against(&schema("github-workflows.json.gz"), &github), [""; 0]);
    assert_eq!(against(&schema("gitlab-ci.json.gz"), &gitlab), [""; 0]);
    assert_eq!(github["jobs"]["plans"], yaml("### GitHub")["jobs"]["plans"]);
    assert_eq!(gitlab["plans"], yaml("### GitLab")["plans"]);
    let images = lines(&gitlab["images"]["parallel"]["matrix"][0]["IMAGE"]);
    assert_eq!(lines(&github["jobs"]["images"]["strategy"]["matrix"]["image"]), images);
    assert!(images.len() == 2 && images[1].starts_with("vllm/vllm-openai:"), "{images:?}");
    clone.place.write("bin/trivy", "#!/bin/sh\necho \"$*\" >> \"$HOME/scanned\"\n");
    clone.run("bin", "chmod +x trivy", &[]).exits(0);
    for image in &images {
        let step = text(&github["jobs"]["images"]["steps"][0], "run").replace("${{ matrix.image }}", image);
        clone.run("clone", &step, &[]).exits(0);
        clone.run("clone", &lines(&gitlab["images"]["script"]).join("\n"), &[("IMAGE", image)]).exits(0);
    }
    let scanned = clone.place.read("scanned");
    let wanted: Vec<String> = images
        .iter()
        .flat_map(|image| [image, image])
        .map(|image| format!("image --exit-code 1 --severity HIGH,CRITICAL --ignore-unfixed {image}"))
        .collect();
    assert_eq!(scanned.lines().collect::<Vec<_>>(), wanted);
}

/// Where the folder has a baseline, what moves without being written there is told.
#[test]
fn pipelines_hold_plans_against_their_baseline() {
    let clone = Clone::new();
    let script = lines(&yaml("### GitLab")["plans"]["script"]).join("\n");
    let steps = yaml("### GitHub")["jobs"]["plans"]["steps"].clone();
    let step = lines_of(&steps).into_iter().find(|run| run.contains("baseline")).expect("a step");
    let both = |code: i32| {
        clone.run("clone", &script, &[("CI_DEFAULT_BRANCH", "main")]).exits(code);
        clone.run("clone", &step, &[]).exits(code);
    };
    clone.run("clone", "capstan baseline update plans", &[]).exits(0);
    both(0);
    clone.changes("40 req/s", "20 req/s");
    both(2);
    clone.run("clone", "capstan baseline update plans", &[]).exits(0);
    both(0);
}

/// Returns the commands of steps.
fn lines_of(steps: &Value) -> Vec<String> {
    let runs = steps.as_array().into_iter().flatten().filter_map(|step| step["run"].as_str());
    runs.map(str::to_owned).collect()
}

/// pre-commit runs `entry` with the names of the files that it commits and that match `files`, in the root.
#[test]
fn the_hooks_of_pre_commit_are_run_over_plans_only() {
    let recipe = yaml("### pre-commit");
    let hooks = recipe["repos"][0]["hooks"].as_array().expect("hooks");
    let clone = Clone::new();
    let committed = ["plans/chat.plan", "plans/chat.plan.bak", "README.md"];
    let hook = |hook: &Value| {
        assert_eq!((text(&recipe["repos"][0], "repo"), text(hook, "language")), ("local", "system"));
        assert!(!text(hook, "id").is_empty() && !text(hook, "name").is_empty());
        let files = jsonschema::validator_for(&json!({ "pattern": text(hook, "files") })).expect("a pattern");
        let matching: Vec<&str> = committed.into_iter().filter(|name| files.is_valid(&json!(name))).collect();
        assert_eq!(matching, ["plans/chat.plan"]);
        clone.run("clone", &format!("{} {}", text(hook, "entry"), matching.join(" ")), &[]).code
    };
    assert_eq!(hooks.iter().map(hook).collect::<Vec<_>>(), [0, 0]);
    clone.changes("plan assistant {", "plan   assistant {");
    assert_eq!(hooks.iter().map(hook).collect::<Vec<_>>(), [2, 0]);
    clone.changes("40 req/s", "40 tok/s");
    assert_eq!(hooks.iter().map(hook).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn jenkins_gets_a_failed_test_of_a_broken_level_and_a_broken_build_of_a_broken_plan() {
    let recipe = block("### Jenkins");
    let quoted = |word: &str| {
        let rest = recipe.split_once(&format!("{word} '")).unwrap_or_else(|| panic!("no {word}")).1;
        rest.split_once('\'').expect("a quote").0.to_owned()
    };
    assert_eq!(recipe.matches('{').count(), recipe.matches('}').count());
    let clone = Clone::new();
    for (to, failures) in [("500 ms", 0), ("10 ms", 1)] {
        clone.changes("500 ms", to);
        clone.run("clone", &quoted("sh"), &[]).exits(0);
        let junit = clone.read(&quoted("junit"));
        assert_eq!(against_junit(&junit), [""; 0]);
        assert!(junit.contains(&format!("failures=\"{failures}\"")), "{junit}");
    }
    clone.changes("40 req/s", "40 tok/s");
    clone.run("clone", &quoted("sh"), &[]).exits(1);
}

/// The page walks through a level that breaks and its repair: so do its commands.
#[test]
fn the_walk_through_happens_as_it_is_told() {
    let clone = Clone::new();
    let command = block("CI compares it with the main branch:").replace("\\\n", " ");
    clone.changes("500 ms", "10 ms");
    clone.run("clone", command.trim(), &[]).exits(3);
    let comment = clone.read("comment.md");
    let told = comment.lines().nth(1).expect("a line").trim_start_matches("# ");
    assert!(page().contains(told), "the page does not say {told}");
    let seen = clone.run("clone", "capstan plan plans/chat.plan -o chat.json", &[]).exits(3);
    assert!(seen.err.contains("E0310") && seen.err.contains("ttft"), "{}", seen.told());
    clone.changes("500 ms", "400 ms");
    clone.run("clone", command.trim(), &[]).exits(0);
    assert!(clone.read("comment.md").contains("# assistant: holds"));
}
