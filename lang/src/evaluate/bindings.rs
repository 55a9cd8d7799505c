//! In which order are `param` and `let` evaluated?
//!
//! They may stand in any order, so each waits for the names that it mentions; what still waits at the
//! end goes in a circle. Nothing recurses over names: a file may hold a chain of thousands.

use std::collections::BTreeMap;

use super::Evaluator;
use crate::ast::{Binding, Entry, Expr, ExprKind, File};
use crate::codes;

/// Evaluates every `param` and `let` of a file. Of two with one name the first counts.
pub(crate) fn bind<'a>(evaluator: &mut Evaluator<'a>, file: &'a File) {
    let mut by_name: BTreeMap<&'a str, &'a Binding> = BTreeMap::new();
    for entry in &file.entries {
        if let Entry::Param(binding) | Entry::Let(binding) = entry {
            by_name.entry(&binding.name.text).or_insert(binding);
        }
    }
    let mut waits_for: BTreeMap<&str, usize> = BTreeMap::new();
    let mut waited_by: BTreeMap<&str, Vec<&'a str>> = BTreeMap::new();
    let mut ready = Vec::new();
    for (&name, binding) in &by_name {
        let mut mentions = Vec::new();
        mentioned(&binding.value, &mut mentions);
        mentions.retain(|mention| by_name.contains_key(mention));
        mentions.sort_unstable();
        mentions.dedup();
        if mentions.is_empty() {
            ready.push(name);
        }
        waits_for.insert(name, mentions.len());
        mentions.iter().for_each(|mention| waited_by.entry(mention).or_default().push(name));
    }
    while let Some(name) = ready.pop() {
        let value = evaluator.evaluate(&by_name[name].value);
        evaluator.bindings.insert(name, value);
        for &waiting in waited_by.get(name).into_iter().flatten() {
            let left = waits_for.entry(waiting).or_default();
            *left = left.saturating_sub(1);
            if *left == 0 {
                ready.push(waiting);
            }
        }
    }
    circles(evaluator, &by_name);
}

/// Reports each circle once, at the first of its values. What only leads into one has no value either.
fn circles<'a>(evaluator: &mut Evaluator<'a>, by_name: &BTreeMap<&'a str, &'a Binding>) {
    let mut in_text: Vec<&'a Binding> = by_name.values().copied().collect();
    in_text.sort_by_key(|binding| binding.span.start);
    for start in in_text {
        let mut walked: Vec<&'a Binding> = Vec::new();
        let mut place_in_walk: BTreeMap<&str, usize> = BTreeMap::new();
        let mut next = Some(start);
        // Every value without one mentions another without one, so the walk ends where it has been.
        while let Some(binding) = next {
            let name = binding.name.text.as_str();
            if let Some(&from) = place_in_walk.get(name) {
                circle(evaluator, &walked[from..]);
                break;
            }
            if evaluator.bindings.contains_key(name) {
                break;
            }
            place_in_walk.insert(name, walked.len());
            walked.push(binding);
            let mut mentions = Vec::new();
            mentioned(&binding.value, &mut mentions);
            let open =
                |name: &&&str| by_name.contains_key(**name) && !evaluator.bindings.contains_key(**name);
            next = mentions.iter().find(open).map(|name| by_name[name]);
        }
        for binding in walked {
            evaluator.bindings.insert(&binding.name.text, None);
        }
    }
}

fn circle(evaluator: &Evaluator<'_>, values: &[&Binding]) {
    let Some(first) = values.iter().min_by_key(|binding| binding.span.start) else { return };
    let name = &first.name.text;
    let mut found = evaluator.error(codes::CIRCLE, first.span, format!("`{name}` is defined by itself"));
    for other in values.iter().filter(|other| other.span != first.span).take(MOST_SHOWN) {
        found = found.also(other.span.in_file(evaluator.file), "through this");
    }
    evaluator.report(found.help("one of the values in the circle has to be stated"));
}

/// Most values of a circle that are shown beside the first.
const MOST_SHOWN: usize = 3;

/// Lists the single names that an expression mentions.
fn mentioned<'a>(expr: &'a Expr, names: &mut Vec<&'a str>) {
    match &expr.kind {
        ExprKind::Path(path) => names.extend(path.as_name().map(|name| name.text.as_str())),
        ExprKind::Group(inner) | ExprKind::Not(inner) | ExprKind::Negative(inner) => mentioned(inner, names),
        ExprKind::Chain(first, links) => {
            mentioned(first, names);
            links.iter().for_each(|link| mentioned(&link.operand, names));
        }
        ExprKind::Compare(left, _, _, right) | ExprKind::Range(left, right) => {
            mentioned(left, names);
            mentioned(right, names);
        }
        ExprKind::Uncertain(parts) => {
            [&parts.mid, &parts.low, &parts.high].into_iter().for_each(|part| mentioned(part, names));
        }
        _ => {}
    }
}
