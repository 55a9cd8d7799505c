//! How does an expression or an entry look on one line?
//!
//! Literals are taken from the text, so that digits and escapes stay as they were written; only the
//! blank between a number and its unit is settled here.

use capstan_types::place::Span;
use capstan_types::quantity;

use crate::ast::{Argument, Block, Clause, Expr, ExprKind, Field, Item, Label, Set};

/// Writes an expression.
pub(super) fn expr(text: &str, value: &Expr) -> String {
    let mut out = String::new();
    push_expr(text, value, &mut out);
    out
}

fn push_expr(text: &str, value: &Expr, out: &mut String) {
    match &value.kind {
        ExprKind::Quantity(_) => push_quantity(text, value.span, out),
        ExprKind::Error | ExprKind::Date(_) | ExprKind::Time(_) | ExprKind::Text(_) | ExprKind::Bool(_) => {
            out.push_str(&text[value.span.range()]);
        }
        ExprKind::Path(path) => out.push_str(&path.dotted()),
        ExprKind::Call(call) => {
            out.push_str(&call.path.dotted());
            joined(out, "(", ")", &call.arguments, |argument, out| push_argument(text, argument, out));
        }
        ExprKind::List(items) => joined(out, "[", "]", items, |item, out| push_expr(text, item, out)),
        ExprKind::Record(fields) if fields.is_empty() => out.push_str("{}"),
        ExprKind::Record(fields) => {
            joined(out, "{ ", " }", fields, |one, out| out.push_str(&field(text, one)))
        }
        ExprKind::Group(inner) => {
            joined(out, "(", ")", std::slice::from_ref(&**inner), |inner, out| push_expr(text, inner, out))
        }
        ExprKind::Not(inner) => prefixed("not ", text, inner, out),
        ExprKind::Negative(inner) => prefixed("-", text, inner, out),
        ExprKind::Chain(first, links) => {
            push_expr(text, first, out);
            for link in links {
                infix(link.op.word(), text, &link.operand, out);
            }
        }
        ExprKind::Compare(left, op, _, right) => {
            push_expr(text, left, out);
            infix(op.word(), text, right, out);
        }
        ExprKind::Range(low, high) => {
            push_expr(text, low, out);
            infix("..", text, high, out);
        }
        ExprKind::Uncertain(uncertain) => {
            push_expr(text, &uncertain.mid, out);
            infix("in", text, &uncertain.low, out);
            infix("..", text, &uncertain.high, out);
            if let Some((_, span)) = &uncertain.confidence {
                out.push_str(" @ ");
                push_quantity(text, *span, out);
            }
        }
    }
}

fn prefixed(sign: &str, text: &str, inner: &Expr, out: &mut String) {
    out.push_str(sign);
    push_expr(text, inner, out);
}

fn infix(op: &str, text: &str, right: &Expr, out: &mut String) {
    out.push(' ');
    out.push_str(op);
    out.push(' ');
    push_expr(text, right, out);
}

fn joined<T>(out: &mut String, open: &str, close: &str, items: &[T], mut push: impl FnMut(&T, &mut String)) {
    out.push_str(open);
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        push(item, out);
    }
    out.push_str(close);
}

fn push_argument(text: &str, argument: &Argument, out: &mut String) {
    if let Some(name) = &argument.name {
        out.push_str(&name.text);
        out.push_str(" = ");
    }
    push_expr(text, &argument.value, out);
}

/// `900 GB/s`, `38%`, `9 %/y`, `$2.50/GPU/h`.
fn push_quantity(text: &str, span: Span, out: &mut String) {
    let written = &text[span.range()];
    let Some(parts) = quantity::extent(written) else { return out.push_str(written) };
    out.push_str(&written[..parts.number.end]);
    let unit = &written[parts.unit];
    if !(unit.is_empty() || unit == "%" || unit.starts_with('/')) {
        out.push(' ');
    }
    out.push_str(unit);
}

/// Writes a field.
pub(super) fn field(text: &str, field: &Field) -> String {
    format!("{} {} {}", field.path.dotted(), field.op.word(), expr(text, &field.value))
}

/// Writes a rule.
pub(super) fn clause(text: &str, clause: &Clause) -> String {
    let mut out = clause.kind.word().to_owned();
    if let Some(label) = &clause.label {
        out = out + " " + &label.text + ":";
    }
    out.push(' ');
    push_expr(text, &clause.condition, &mut out);
    if let Some(otherwise) = &clause.otherwise {
        out = out + " else " + &text[otherwise.span.range()];
    }
    out
}

/// Writes a change.
pub(super) fn set(text: &str, set: &Set) -> String {
    format!("set {} {} {}", set.path.dotted(), set.op.word(), expr(text, &set.value))
}

/// Writes the kind of a block and its name.
pub(super) fn block_head(text: &str, block: &Block) -> String {
    match &block.label {
        None => block.kind.text.clone(),
        Some(Label::Name(name)) => format!("{} {}", block.kind.text, name.text),
        Some(Label::Text(label)) => format!("{} {}", block.kind.text, &text[label.span.range()]),
    }
}

/// Writes what follows the opening brace of a block on one line.
pub(super) fn block_rest(text: &str, block: &Block) -> String {
    if block.body.is_empty() {
        return "}".to_owned();
    }
    let items: Vec<String> = block.body.iter().map(|one| item(text, one)).collect();
    items.join(", ") + " }"
}

fn item(text: &str, item: &Item) -> String {
    match item {
        Item::Field(one) => field(text, one),
        Item::Clause(one) => clause(text, one),
        Item::Set(one) => set(text, one),
        Item::Block(one) => format!("{} {{ {}", block_head(text, one), block_rest(text, one)),
    }
}
