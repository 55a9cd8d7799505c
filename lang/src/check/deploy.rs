//! `deploy`: where do the manifests go?

use capstan_types::spec::Kubernetes;

use super::checker::Checker;
use super::plan::assumed;
use super::table::{FACT, FieldRow, FieldType, LabelRule, Table};
use crate::ast::Block;
use crate::codes;

/// Targets of the language.
const TARGETS: &[&str] = &["kubernetes", "bare_metal", "terraform", "slurm"];

/// Longest label of the domain name system (RFC 1123, section 2.1), which a namespace is.
const MOST_LETTERS: usize = 63;

/// The kind of block.
pub static DEPLOY: Table = Table {
    label: LabelRule::Word(TARGETS),
    ..Table::named(
        "deploy",
        "Where manifests go; `kubernetes` is planned, the other targets are not yet.",
        FIELDS,
    )
};

static FIELDS: &[FieldRow] = &[
    FieldRow::new("namespace", FieldType::Text, FACT)
        .default("the name of the plan")
        .means("Namespace of everything that is written.")
        .shown("= \"llm\"", "= \"chat\""),
    FieldRow::new("monitoring", FieldType::Word(&["none", "prometheus"]), FACT)
        .default("`none`")
        .means("Whether rules for the Prometheus operator are written.")
        .shown("= prometheus", "= none"),
];

/// Reads the targets; only one is planned.
pub(crate) fn check(checker: &Checker<'_>, blocks: &[&Block]) -> Option<Kubernetes> {
    let mut found: Option<Kubernetes> = None;
    let mut first = None;
    for block in blocks {
        let target = checker.name_of(block, &DEPLOY);
        if let Some(target) = target.as_deref().filter(|target| *target != "kubernetes") {
            let message = format!("`deploy {target}` is not planned yet");
            let error = checker.values.error(codes::NOT_PLANNED, block.kind.span, message);
            checker.values.report(error.help("`deploy kubernetes` is"));
            continue;
        }
        let fields = checker.contents(&DEPLOY, block).fields;
        if let Some(first) = first {
            let message = "a file has one `deploy kubernetes` block";
            let error = checker.values.error(codes::DUPLICATE_NAME, fields.place.span(), message);
            checker.values.report(error.also(checker.place(first), "the first one").help("join the two"));
            continue;
        }
        first = Some(fields.place.span());
        let namespace = match fields.text("namespace") {
            Some(namespace) => {
                label(checker, namespace, fields.place_of("namespace").span());
                namespace.to_owned()
            }
            None => {
                let namespace = from_plan(checker);
                let text = format!("the namespace is `{namespace}`, after the plan");
                assumed(checker, &fields, &fields.place, "namespace", namespace, &text)
            }
        };
        let monitoring = fields.word("monitoring") == Some("prometheus");
        found = Some(Kubernetes { namespace, monitoring });
    }
    found
}

/// Reports a namespace that is no label of the domain name system.
fn label(checker: &Checker<'_>, text: &str, span: capstan_types::place::Span) {
    if is_label(text) {
        return;
    }
    let message = format!("`{text}` is no name of a namespace");
    let found = checker.values.error(codes::OUT_OF_RANGE, span, message);
    let mended = mended(text);
    checker.values.report(if is_label(&mended) {
        found.help(format!("lower-case letters, digits and `-`, at most 63: `\"{mended}\"`"))
    } else {
        found.help("lower-case letters, digits and `-`, at most 63, with a letter or digit at both ends")
    });
}

fn is_label(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let ends = text.starts_with(plain) && text.ends_with(plain);
    ends && text.len() <= MOST_LETTERS && text.chars().all(|c| plain(c) || c == '-')
}

fn mended(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let dashed: String = lower.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let cut: String = dashed.trim_matches('-').chars().take(MOST_LETTERS).collect();
    cut.trim_matches('-').to_owned()
}

fn from_plan(checker: &Checker<'_>) -> String {
    let plan = checker.declared.iter().find(|(_, (kind, _))| *kind == "plan").map_or("", |(name, _)| *name);
    let mended = mended(plan);
    if is_label(&mended) { mended } else { "capstan".to_owned() }
}
