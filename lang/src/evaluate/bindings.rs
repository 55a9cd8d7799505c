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
    for (&name, binding) in &by_name {
        if evaluator.bindings.contains_key(name) {
            continue;
        }
        let found = evaluator.error(codes::CIRCLE, binding.span, format!("`{name}` is defined by itself"));
        evaluator.report(found.help("one of the values in the circle has to be stated"));
        evaluator.bindings.insert(name, None);
    }
}

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
        _ => {}
    }
}
