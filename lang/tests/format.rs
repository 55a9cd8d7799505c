//! The canonical form: stable, complete, and the same tree.

use std::fs;
use std::path::PathBuf;

use capstan_lang::{format, parse};
use capstan_types::place::FileId;
use proptest::prelude::*;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// Returns the tree as text without positions, and the comments without theirs.
fn outline(text: &str) -> String {
    let parsed = parse(&FileId::new("x.plan"), text);
    assert_eq!(parsed.diagnostics, [], "{text}");
    let tree = format!("{:?}", parsed.file.entries);
    let mut out = String::new();
    let mut rest = tree.as_str();
    while let Some(at) = rest.find('@') {
        out.push_str(&rest[..at]);
        rest = rest[at + 1..].trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    }
    out + rest
}

fn comments(text: &str) -> Vec<String> {
    let parsed = parse(&FileId::new("x.plan"), text);
    parsed.file.comments.iter().map(|span| text[span.range()].trim_end().to_owned()).collect()
}

/// Formats, and demands that nothing is lost and that a second time changes nothing.
fn checked(text: &str) -> String {
    let once = format(text).unwrap_or_else(|found| panic!("{text}\n{found:#?}"));
    assert_eq!(format(&once).as_ref(), Ok(&once), "a second time changes it:\n{once}");
    assert_eq!(outline(text), outline(&once), "another tree:\n{once}");
    assert_eq!(comments(text), comments(&once), "other comments:\n{once}");
    once
}

#[test]
fn examples_keep_their_meaning() {
    for entry in fs::read_dir(folder("examples")).expect("the folder is part of the crate") {
        let path = entry.expect("readable").path();
        checked(&fs::read_to_string(path).expect("readable"));
    }
}

#[test]
fn the_large_example_reads_as_in_the_description() {
    let text = fs::read_to_string(folder("examples/chat_and_pretrain.plan")).expect("part of the crate");
    insta::assert_snapshot!(checked(&text));
}

#[test]
fn operators_of_a_run_end_in_one_column() {
    let text = "site hz1 {\npower<=1.2MW\npue=1.25\n\n  energy_price=0.08 USD/kWh\nzones in [a,b]\n}";
    let expected = "site hz1 {\n  power <= 1.2 MW\n  pue    = 1.25\n\n  energy_price = 0.08 USD/kWh\n  zones       in [a, b]\n}\n";
    assert_eq!(checked(text), expected);
}

#[test]
fn a_record_over_120_columns_breaks_and_a_short_one_is_joined() {
    let short = "site a { rack = {\npower <= 40 kW\nheight = 42 U\n} }";
    assert_eq!(checked(short), "site a {\n  rack = { power <= 40 kW, height = 42 U }\n}\n");
    let long = format!("rack = {{ a = {}, bb <= 5 kW }}", "x".repeat(120));
    assert_eq!(checked(&long), format!("rack = {{\n  a   = {}\n  bb <= 5 kW\n}}\n", "x".repeat(120)));
    let list = format!("a = [{}]", vec!["word"; 30].join(", "));
    assert_eq!(checked(&list).lines().count(), 32);
}

#[test]
fn comments_stay_where_they_belong() {
    let text = "# head\n\n\n\nserve a { # opens\n# inside\n  x = 1 # one\n  yyy = 2   # two\n  list = [1, # first\n 2]\n  z = (1 + # deep\n 2)\n # last\n} # closes\n# end";
    let expected = "# head\n\nserve a {  # opens\n  # inside\n  x    = 1  # one\n  yyy  = 2  # two\n  list = [\n    1,  # first\n    2,\n  ]\n  # deep\n  z = (1 + 2)\n  # last\n}  # closes\n# end\n";
    assert_eq!(checked(text), expected);
}

#[test]
fn rules_are_not_aligned_and_one_line_blocks_are() {
    let text = "budget b {\nrequire unit_cost:   a<=1 else \"x\"\nprefer p: b<=2\n}\nscenario a {set x*=2}\nscenario long { fail zone {count=1} }";
    let expected = "budget b {\n  require unit_cost: a <= 1 else \"x\"\n  prefer p: b <= 2\n}\nscenario a    { set x *= 2 }\nscenario long { fail zone { count = 1 } }\n";
    assert_eq!(checked(text), expected);
}

#[test]
fn an_empty_file_stays_empty() {
    assert_eq!(checked(""), "");
    assert_eq!(checked("\n\n ; , \n"), "");
    assert_eq!(checked("a {}\r\n\r\nb{\n}"), "a { }\n\nb {\n}\n");
}

#[test]
fn a_broken_file_is_not_formatted() {
    assert!(format("a = ").is_err());
}

/// Values of every kind, at most `depth` brackets deep.
fn value(depth: u32) -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        "[a-z]{1,8}(\\.[a-z]{1,8})?".prop_filter("reserved", |word| {
            word.split('.')
                .all(|part| !["in", "or", "and", "not", "else", "as", "true", "false"].contains(&part))
        }),
        "[0-9]{1,3}(_[0-9]{3})?(\\.[0-9]{1,3})?[ ]{0,2}(GB/s|%|%/y|req/s|kW|USD/kWh|Mtok|h)?",
        "\\$[0-9]{1,3}(/GPU/h)?",
        Just("2027-02-28".to_owned()),
        Just("14:00".to_owned()),
        Just("true".to_owned()),
        r#""([a-z #]|\\\\|\\n|\\"){0,6}""#,
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    let inner = || value(depth - 1);
    let gap = prop_oneof![Just(" "), Just(""), Just("\n"), Just(" # why\n")];
    prop_oneof![
        leaf,
        proptest::collection::vec((inner(), gap), 0..5).prop_map(|items| format!(
            "[{}]",
            items.iter().map(|(v, g)| format!("{v}{g},{g}")).collect::<String>()
        )),
        proptest::collection::vec(
            (field(depth - 1), prop_oneof![Just("\n"), Just(", "), Just(" # c\n"), Just(";\n\n")]),
            0..5
        )
        .prop_map(|items| format!(
            "{{ {} }}",
            items.iter().map(|(f, s)| format!("{f}{s}")).collect::<String>()
        )),
        (inner(), inner()).prop_map(|(a, b)| format!("({a} * {b} - -{b} / 2)")),
        (inner(), inner()).prop_map(|(a, b)| format!("f.g({a}, name = {b}\n)")),
        (inner(), inner()).prop_map(|(a, b)| format!("(not {a} and {b} <= 3 or\n {a})")),
        (inner(), inner()).prop_map(|(a, b)| format!("({a} .. {b})")),
        (inner(), inner()).prop_map(|(a, b)| format!("({a} in {a} .. {b} @ 90%)")),
    ]
    .boxed()
}

fn field(depth: u32) -> BoxedStrategy<String> {
    ("[a-z]{3,9}_x", prop_oneof![Just("="), Just(" in "), Just(" =  ")], value(depth))
        .prop_map(|(name, op, value)| format!("{name}{op}{value}"))
        .boxed()
}

fn entry() -> impl Strategy<Value = String> {
    prop_oneof![
        field(3),
        ("[a-z]{3,9}_x", value(2)).prop_map(|(name, value)| format!("param {name} = {value}")),
        proptest::collection::vec(field(2), 0..4)
            .prop_map(|fields| format!("serve a {{\n{}\n}}", fields.join("\n"))),
        proptest::collection::vec(field(1), 0..3)
            .prop_map(|fields| format!("site \"b\" {{ {} }}", fields.join(", "))),
        value(1).prop_map(|value| format!("budget {{ require l: {value} <= 3 else \"no\" # c\n}}")),
        value(1).prop_map(|value| format!("scenario s {{ set a.b *= {value} }}")),
        Just("# a comment".to_owned()),
        Just("\n".to_owned()),
        Just("use prices \"p.toml\" as p # c".to_owned()),
    ]
}

proptest! {
    #[test]
    fn formatting_keeps_the_tree_and_the_comments(entries in proptest::collection::vec(entry(), 0..6)) {
        checked(&entries.join("\n"));
    }
}
