//! What CI servers are given, held against the schemas of their formats as their makers publish them
//! (tests/formats/README.md says whose they are).

use crate::surroundings::Place;
use capstan_types::blueprint::{Status, VerdictStatus};
use capstan_types::testing::blueprint::{chat_blueprint, infeasible_blueprint};
use capstan_types::units::Seconds;
use flate2::read::GzDecoder;
use jsonschema::Validator;
use roxmltree::{Document, Node};
use serde_json::{Value, json};
use std::fs;
use std::io::Read;

/// Returns a file of `tests/formats/`, unpacked.
fn published(name: &str) -> String {
    let path = format!("{}/tests/formats/{name}", env!("CARGO_MANIFEST_DIR"));
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut text = String::new();
    if name.ends_with(".gz") {
        GzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("packed text");
    } else {
        text = String::from_utf8(bytes).expect("text");
    }
    text
}

/// In the schema of SARIF: a bracket that closes nothing, which JavaScript reads as itself and other readers refuse.
const STRAY: (&str, &str) = ("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}\\\\]?$");

/// Returns the validator of a JSON Schema of `tests/formats/`.
pub fn schema(name: &str) -> Validator {
    let text = published(name).replace(STRAY.0, STRAY.1);
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema")
}

/// Returns everything that a schema says against a document.
pub fn against(schema: &Validator, document: &Value) -> Vec<String> {
    schema.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn fits(pattern: &str, text: &str) -> bool {
    let schema = json!({ "type": "string", "pattern": format!("^(?:{pattern})$") });
    jsonschema::validator_for(&schema).expect("a pattern").is_valid(&json!(text))
}

/// Reads the part of XML Schema that the schema of JUnit uses; whatever else it meets stops the test.
struct Xsd<'a> {
    schema: Node<'a, 'a>,
}

impl<'a> Xsd<'a> {
    fn named(&self, kind: &str, name: &str) -> Option<Node<'a, 'a>> {
        self.schema
            .children()
            .find(|node| node.has_tag_name(tag(kind)) && node.attribute("name") == Some(name))
    }

    /// Returns everything that is wrong with an element and what it holds.
    fn against(&self, element: Node<'_, '_>) -> Vec<String> {
        let name = element.tag_name().name();
        let Some(declared) = self.named("element", name) else { return vec![format!("<{name}> is unknown")] };
        let Some(content) = declared.children().find(|node| node.has_tag_name(tag("complexType"))) else {
            assert_eq!(declared.attribute("type"), Some("xs:string"), "a type that is not read yet");
            let plain = element.attributes().len() == 0 && element.children().all(|node| node.is_text());
            return if plain { Vec::new() } else { vec![format!("<{name}> holds more than text")] };
        };
        let mut wrong = self.attributes(content, element);
        let mixed = content.attribute("mixed") == Some("true");
        for child in element.children() {
            if child.is_element() {
                if !allowed(content, child.tag_name().name()) {
                    wrong.push(format!("<{}> does not belong into <{name}>", child.tag_name().name()));
                }
                wrong.extend(self.against(child));
            } else if !mixed && child.text().is_some_and(|text| !text.trim().is_empty()) {
                wrong.push(format!("<{name}> holds text"));
            }
        }
        wrong
    }

    fn attributes(&self, content: Node<'_, '_>, element: Node<'_, '_>) -> Vec<String> {
        let declared: Vec<_> =
            content.children().filter(|node| node.has_tag_name(tag("attribute"))).collect();
        let name = element.tag_name().name();
        let mut wrong = Vec::new();
        for attribute in element.attributes() {
            let known = declared.iter().find(|known| known.attribute("name") == Some(attribute.name()));
            match known.and_then(|known| known.attribute("type")) {
                None => wrong.push(format!("<{name}> has no attribute `{}`", attribute.name())),
                Some("xs:string") => {}
                Some(kind) if fits(self.pattern(kind), attribute.value()) => {}
                Some(kind) => {
                    wrong.push(format!("{}=\"{}\" is no {kind}", attribute.name(), attribute.value()))
                }
            }
        }
        let required = declared.iter().filter(|known| known.attribute("use") == Some("required"));
        let missing = required.filter_map(|known| known.attribute("name"));
        let missing = missing.filter(|name| !element.has_attribute(*name));
        wrong.extend(missing.map(|missing| format!("<{name}> lacks `{missing}`")));
        wrong
    }

    fn pattern(&self, kind: &str) -> &'a str {
        let kind = self.named("simpleType", kind).expect("a type of this schema");
        let pattern = kind.descendants().find(|node| node.has_tag_name(tag("pattern")));
        pattern.and_then(|node| node.attribute("value")).expect("a type that is a pattern")
    }
}

fn tag(name: &str) -> (&'static str, &str) {
    ("http://www.w3.org/2001/XMLSchema", name)
}

/// Returns whether an element may stand in another, as often as it likes.
fn allowed(content: Node<'_, '_>, name: &str) -> bool {
    let particle = content.descendants().find(|node| node.attribute("ref") == Some(name));
    particle.is_some_and(|particle| {
        let many = |node: &Node<'_, '_>| node.attribute("maxOccurs") == Some("unbounded");
        assert!(particle.ancestors().any(|node| many(&node)), "a count that is not read yet");
        true
    })
}

/// Returns everything that the schema of JUnit says against a document.
pub fn against_junit(text: &str) -> Vec<String> {
    let published = published("junit-10.xsd");
    let schema = Document::parse(&published).expect("a schema");
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => return vec![error.to_string()],
    };
    Xsd { schema: schema.root_element() }.against(document.root_element())
}

/// Runs a command in all three forms and holds each against its schema; returns JUnit, SARIF and GitLab.
#[track_caller]
fn sound(place: &Place, arguments: &[&str], code: i32) -> [String; 3] {
    let forms = ["--output", "junit:o.xml", "--output", "sarif:o.sarif", "--output", "gitlab:o.json"];
    place.run(&[arguments, &forms].concat()).exits(code);
    let [junit, sarif, gitlab] = ["o.xml", "o.sarif", "o.json"].map(|name| place.read(name));
    assert_eq!(against_junit(&junit), [""; 0], "{junit}");
    for (text, name) in [(&sarif, "sarif-2.1.0.json.gz"), (&gitlab, "gitlab-code-quality.json")] {
        let value: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(against(&schema(name), &value), [""; 0], "{text}");
    }
    [junit, sarif, gitlab]
}

const PLAN: &str = "plan first { currency = USD }\n\nsite cloud { provider = aws, region = \"us-east-1\" }\n\nserve chat {\n  \
                    model = \"meta-llama/Llama-3.1-8B-Instruct\"\n  load  = { rate = 5 req/s, prompt = 1 ktok, output = \
                    250 tok }\n  slo ttft { p99 <= 1 s }\n}\n";

/// Mistakes, names with markup, a path with blanks, and a plan without a mistake.
#[test]
fn what_check_says_is_sound_in_every_format() {
    let place = Place::new();
    place.write("plans/all well.plan", PLAN);
    place.write("plans/a & b.plan", PLAN.replace("5 req/s", "5 tok/s").replace("chat", "\"<c>&\\u{1}\""));
    place.write("plans/x.plan", "plan \"]]>\u{7}\" { currency = XXX }\nserve {");
    let [junit, sarif, gitlab] =
        sound(&place, &["check", "plans/all well.plan", "plans/a & b.plan", "plans/x.plan"], 1);
    assert!(junit.contains("at plans/a &amp; b.plan:"), "{junit}");
    assert!(sarif.contains("plans/a%20%26%20b.plan"), "{sarif}");
    assert!(gitlab.contains("\"plans/a & b.plan\""), "{gitlab}");
}

#[test]
fn what_is_said_of_blueprints_and_differences_is_sound_in_every_format() {
    let place = Place::new();
    let good = chat_blueprint();
    let mut missed = good.clone();
    missed.inputs.spec.name = "<chat> & \"more\"".to_owned();
    missed.status = Status::Violated;
    for (at, status, [low, seen, high]) in
        [(0, VerdictStatus::Missed, [0.55, 0.6, 0.65]), (1, VerdictStatus::Undecided, [0.045, 0.049, 0.053])]
    {
        let verdict = &mut missed.verdicts[at];
        (verdict.low, verdict.seen, verdict.high) = (Seconds(low), Seconds(seen), Seconds(high));
        verdict.status = status;
    }
    place.write_blueprint("good.json", &good);
    place.write_blueprint("missed.json", &missed);
    place.write_blueprint("none.json", &infeasible_blueprint());
    for name in ["good.json", "missed.json", "none.json"] {
        sound(&place, &["report", name], 0);
    }
    let [junit, ..] = sound(&place, &["diff", "good.json", "none.json", "--max-increase", "5%"], 3);
    assert!(junit.contains("<failure"), "{junit}");
}

#[test]
fn a_price_that_is_lost_is_said_in_every_format_and_is_no_saving() {
    let place = Place::new();
    place.write("base.plan", PLAN.replace("currency = USD", "currency = USD, staff = 1 kUSD/mo"));
    place.write("head.plan", PLAN);
    for side in ["base", "head"] {
        place.run(&["plan", &format!("{side}.plan"), "-o", &format!("{side}.json")]).exits(0);
    }
    let words = "the total now leaves out staff";
    let diff =
        |more: &[&str], code| place.run(&[&["diff", "base.json", "head.json"], more].concat()).exits(code);
    let first = |seen: &str| seen.lines().find(|line| line.contains("first: ")).expect("a title").to_owned();
    let seen = diff(&[], 0);
    let title = first(&seen.out);
    assert!(title.contains("what it costs cannot be compared: ") && !title.contains("12,000"), "{title}");
    for form in ["human", "markdown"] {
        let out = diff(&["--output", form], 0).out;
        let one_line = out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(one_line.matches(words).count() >= 2, "{out}");
        assert!(one_line.contains("not in the total: staff (no `staff` in `plan`)"), "{out}");
    }
    let told: Value = serde_json::from_str(&diff(&["--output", "json"], 0).out).expect("JSON");
    assert_eq!(told["changes"][0]["kind"], "left_out");
    for limit in ["--max-increase", "--max-decrease"] {
        let seen = diff(&[limit, "1_000_000"], 3);
        assert!(seen.out.contains("the change cannot be compared: the total now leaves"), "{}", seen.told());
    }
    for text in sound(&place, &["diff", "base.json", "head.json"], 0) {
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn what_moved_since_a_baseline_is_sound_in_every_format() {
    let place = Place::new();
    place.write("all/a.plan", PLAN);
    place.write("all/deep/b.plan", PLAN.replace("plan first", "plan second"));
    place.run(&["baseline", "update", "all"]).exits(0);
    let [junit, sarif, _] = sound(&place, &["baseline", "check", "all"], 0);
    assert_eq!(junit.matches("name=\"nothing moved\"").count(), 2, "{junit}");
    assert!(!sarif.contains("ruleId"), "{sarif}");
    place.write("all/a.plan", PLAN.replace("5 req/s", "50 req/s"));
    place.write("all/deep/b.plan", "plan {");
    let [junit, sarif, gitlab] = sound(&place, &["baseline", "check", "all"], 1);
    assert!(junit.contains("<testsuite name=\"all/a.plan\""), "{junit}");
    assert!(junit.contains("<failure type=\"drift\" message=\"total: "), "{junit}");
    assert!(sarif.contains("\"drift\"") && sarif.contains("\"E0"), "{sarif}");
    assert!(gitlab.contains("due to demand"), "{gitlab}");
    let seen = place.run(&["baseline", "check", "all", "--output", "github"]).exits(1);
    assert!(seen.out.contains("::error file=all/deep/b.plan,line=1"), "{}", seen.told());
    assert!(seen.out.contains("::warning file=all/a.plan,line=1"), "{}", seen.told());
}

/// Code scanning takes at most 20 runs in an upload: here are mistakes in 21 files.
#[test]
fn mistakes_of_many_files_fit_into_one_upload() {
    let place = Place::new();
    let names: Vec<String> = (0..21).map(|at| format!("{at:02}.plan")).collect();
    names.iter().for_each(|name| place.write(name, PLAN.replace("5 req/s", "5 tok/s")));
    let arguments: Vec<&str> = std::iter::once("check").chain(names.iter().map(String::as_str)).collect();
    let [_, sarif, _] = sound(&place, &arguments, 1);
    let value: Value = serde_json::from_str(&sarif).expect("JSON");
    let runs = value["runs"].as_array().expect("runs");
    let results: usize = runs.iter().map(|run| run["results"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!((runs.len(), results), (20, 21));
}

/// A test of documents is worth what it finds in broken ones.
#[test]
fn the_schemas_find_what_is_wrong() {
    let suite =
        |head: &str, case: &str| format!("<testsuites><testsuite {head}>{case}</testsuite></testsuites>");
    let head = "name=\"a\" tests=\"1\" failures=\"0\" errors=\"0\" time=\"0\"";
    assert_eq!(against_junit(&suite(head, "<testcase name=\"b\"/>")), [""; 0]);
    for (head, case, told) in [
        (head, "<testcase/>", "<testcase> lacks `name`"),
        (head, "<testcase name=\"b\" line=\"3\"/>", "<testcase> has no attribute `line`"),
        (head, "<testcase name=\"b\"><passed/></testcase>", "<passed> does not belong into <testcase>"),
        (head, "<testcase name=\"b\">text</testcase>", "<testcase> holds text"),
        ("name=\"a\"", "", "<testsuite> lacks `tests`"),
        ("name=\"a\" tests=\"1\" failures=\"0\" errors=\"0\" time=\"soon\"", "", "is no SUREFIRE_TIME"),
    ] {
        let found = against_junit(&suite(head, case));
        assert!(found.iter().any(|one| one.contains(told)), "{told}: {found:?}");
    }
    let sarif = schema("sarif-2.1.0.json.gz");
    for broken in [json!({ "version": "2.1.0" }), json!({ "version": "2.1.0", "runs": [{ "results": [] }] })]
    {
        assert!(!sarif.is_valid(&broken), "{broken}");
    }
    let gitlab = schema("gitlab-code-quality.json");
    let row = |path: &str, line: u32, said: &str| {
        json!([{ "description": said, "check_name": "E0104", "fingerprint": "0", "severity": "major",
                 "location": { "path": path, "lines": { "begin": line } } }])
    };
    assert!(gitlab.is_valid(&row("a.plan", 1, "wrong")));
    for broken in [row("./a.plan", 1, "wrong"), row("a.plan", 0, "wrong"), row("a.plan", 1, "two\nlines")] {
        assert!(!gitlab.is_valid(&broken), "{broken}");
    }
}
