//! Expressions: one function per level of precedence.
//!
//! Runs of operators of one level become lists, so that only brackets recurse, and those are at most
//! [`super::brackets::MAX_NESTING`] deep. A wrong element of a list or argument of a call is reported
//! and replaced; the others are kept.

use capstan_types::place::Span;
use nom::combinator::{cut, opt};
use nom::multi::many0;
use nom::sequence::preceded;
use nom::{Input, Parser};

use super::input::{Context, Expected, Parse, Tokens, token};
use super::token::Kind;
use super::{item, literal};
use crate::ast::{Argument, Call, ChainOp, CompareOp, Expr, ExprKind, Link, Name, Path, Uncertain};
use crate::codes;

/// expr = or [ ".." sum | "in" sum ".." sum [ "@" quantity ] ]
pub(crate) fn expr(input: Tokens<'_>) -> Parse<'_, Expr> {
    // Most values are one word, and need no walk through the levels of precedence.
    if is_word(input.kind()) && ends_expression(input.kind_at(1)) {
        return primary(input);
    }
    let (rest, first) = or(input)?;
    match rest.kind() {
        Kind::DotDot => {
            let (rest, high) = sum(rest.skip())?;
            let span = first.span.to(high.span);
            Ok((rest, Expr { kind: ExprKind::Range(Box::new(first), Box::new(high)), span }))
        }
        Kind::In => uncertain(rest.skip(), first),
        _ => Ok((rest, first)),
    }
}

fn is_word(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Name | Kind::Quantity | Kind::Text | Kind::Date | Kind::Time | Kind::True | Kind::False
    )
}

fn ends_expression(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Newline
            | Kind::Comma
            | Kind::Semicolon
            | Kind::CloseBrace
            | Kind::CloseParen
            | Kind::CloseBracket
    )
}

fn uncertain(input: Tokens<'_>, mid: Expr) -> Parse<'_, Expr> {
    let (rest, low) = sum(input)?;
    let (rest, _) = token(Kind::DotDot, "`..` and an upper bound (`mid in low .. high`)").parse(rest)?;
    let (rest, high) = sum(rest)?;
    let mut span = mid.span.to(high.span);
    let mut confidence =
        opt(preceded(token(Kind::At, "`@`"), cut(token(Kind::Quantity, "a share, such as `90%`"))));
    let (rest, confidence) = confidence.parse(rest)?;
    let confidence = confidence.and_then(|found| {
        span = span.to(found.span);
        literal::quantity(rest.context, found.span).map(|quantity| (quantity, found.span))
    });
    let kind = ExprKind::Uncertain(Box::new(Uncertain { mid, low, high, confidence }));
    Ok((rest, Expr { kind, span }))
}

/// or = and { "or" and }
fn or(input: Tokens<'_>) -> Parse<'_, Expr> {
    chain(input, and, |kind| (kind == Kind::Or).then_some(ChainOp::Or))
}

/// and = not { "and" not }
fn and(input: Tokens<'_>) -> Parse<'_, Expr> {
    chain(input, not, |kind| (kind == Kind::And).then_some(ChainOp::And))
}

/// sum = product { ("+"|"-") product }
fn sum(input: Tokens<'_>) -> Parse<'_, Expr> {
    chain(input, product, |kind| match kind {
        Kind::Plus => Some(ChainOp::Plus),
        Kind::Minus => Some(ChainOp::Minus),
        _ => None,
    })
}

/// product = unary { ("*"|"/") unary }
fn product(input: Tokens<'_>) -> Parse<'_, Expr> {
    chain(input, unary, |kind| match kind {
        Kind::Times => Some(ChainOp::Times),
        Kind::Over => Some(ChainOp::Over),
        _ => None,
    })
}

fn chain<'a>(
    input: Tokens<'a>,
    operand: impl Fn(Tokens<'a>) -> Parse<'a, Expr>,
    op: impl Fn(Kind) -> Option<ChainOp>,
) -> Parse<'a, Expr> {
    let (mut rest, first) = operand(input)?;
    let mut links = Vec::new();
    while let Some(op) = op(rest.kind()) {
        let op_span = rest.span();
        let (after, operand) = operand(rest.skip())?;
        links.push(Link { op, op_span, operand });
        rest = after;
    }
    let Some(last) = links.last() else { return Ok((rest, first)) };
    let span = first.span.to(last.operand.span);
    Ok((rest, Expr { kind: ExprKind::Chain(Box::new(first), links), span }))
}

/// not = [ "not" ] cmp
fn not(input: Tokens<'_>) -> Parse<'_, Expr> {
    if input.kind() != Kind::Not {
        return compare(input);
    }
    let (rest, inner) = compare(input.skip())?;
    let span = input.span().to(inner.span);
    Ok((rest, Expr { kind: ExprKind::Not(Box::new(inner)), span }))
}

/// cmp = sum [ ( "<=" | ">=" | "<" | ">" | "==" | "!=" ) sum ]
fn compare(input: Tokens<'_>) -> Parse<'_, Expr> {
    let (rest, left) = sum(input)?;
    let Some(op) = compare_op(rest.kind()) else { return Ok((rest, left)) };
    let op_span = rest.span();
    let (mut rest, right) = sum(rest.skip())?;
    let span = left.span.to(right.span);
    while compare_op(rest.kind()).is_some() {
        let message = "one comparison cannot go on with another";
        let found = rest.context.error(codes::COMPARISON_CHAIN, rest.span(), message);
        rest.context.report(found.help("join two comparisons with `and`: `a <= b and b <= c`"));
        (rest, _) = sum(rest.skip())?;
    }
    Ok((rest, Expr { kind: ExprKind::Compare(Box::new(left), op, op_span, Box::new(right)), span }))
}

fn compare_op(kind: Kind) -> Option<CompareOp> {
    match kind {
        Kind::AtMost => Some(CompareOp::AtMost),
        Kind::AtLeast => Some(CompareOp::AtLeast),
        Kind::Below => Some(CompareOp::Below),
        Kind::Above => Some(CompareOp::Above),
        Kind::Equal => Some(CompareOp::Equal),
        Kind::Different => Some(CompareOp::Different),
        _ => None,
    }
}

/// unary = [ "-" ] primary
fn unary(input: Tokens<'_>) -> Parse<'_, Expr> {
    if input.kind() != Kind::Minus {
        return primary(input);
    }
    let (rest, inner) = primary(input.skip())?;
    let span = input.span().to(inner.span);
    Ok((rest, Expr { kind: ExprKind::Negative(Box::new(inner)), span }))
}

fn primary(input: Tokens<'_>) -> Parse<'_, Expr> {
    let span = input.span();
    let context = input.context;
    let kind = match input.kind() {
        Kind::Quantity => literal::quantity(context, span).map_or(ExprKind::Error, ExprKind::Quantity),
        Kind::Date => literal::date(context, span),
        Kind::Time => literal::time(context, span),
        Kind::Text => ExprKind::Text(literal::text(context, span).value),
        Kind::True => ExprKind::Bool(true),
        Kind::False => ExprKind::Bool(false),
        Kind::Name => return call_or_path(input),
        Kind::OpenBracket => return list(input),
        Kind::OpenBrace => return record(input),
        Kind::OpenParen => return group(input),
        _ => return input.expected("a value"),
    };
    Ok((input.skip(), Expr { kind, span }))
}

/// path = ident { "." ident }
pub(crate) fn path(input: Tokens<'_>) -> Parse<'_, Path> {
    let (rest, first) = name(input)?;
    if rest.kind() != Kind::Dot {
        return Ok((rest, Path::of(first)));
    }
    let (after, rest) = many0(preceded(token(Kind::Dot, "`.`"), cut(name_after_dot))).parse(rest)?;
    let span = rest.last().map_or(first.span, |last: &Name| first.span.to(last.span));
    Ok((after, Path { first, rest, span }))
}

/// Takes an identifier.
pub(crate) fn name(input: Tokens<'_>) -> Parse<'_, Name> {
    let (rest, found) = token(Kind::Name, "a name").parse(input)?;
    Ok((rest, Name { text: input.context.slice(found.span).to_owned(), span: found.span }))
}

/// After a point a reserved word is surely meant as a name; it is reported as such.
fn name_after_dot(input: Tokens<'_>) -> Parse<'_, Name> {
    if reserved(input.kind()) {
        report_reserved(input);
        let name = Name { text: input.text_at(0).to_owned(), span: input.span() };
        return Ok((input.skip(), name));
    }
    name(input)
}

/// Is it a word that is never a name?
pub(crate) fn reserved(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::In | Kind::Or | Kind::And | Kind::Not | Kind::Else | Kind::As | Kind::True | Kind::False
    )
}

/// Reports the reserved word that stands next.
pub(crate) fn report_reserved(input: Tokens<'_>) {
    let word = input.text_at(0);
    let found = input.context.error(codes::RESERVED, input.span(), format!("`{word}` is a reserved word"));
    input.context.report(found.help(format!("choose another name, such as `{word}_`")));
}

fn call_or_path(input: Tokens<'_>) -> Parse<'_, Expr> {
    let (rest, path) = path(input)?;
    if rest.kind() != Kind::OpenParen {
        let span = path.span;
        return Ok((rest, Expr { kind: ExprKind::Path(path), span }));
    }
    let (rest, arguments, close) =
        elements(rest, argument, |span| Argument { name: None, value: unreadable(span) })?;
    let span = path.span.to(close);
    Ok((rest, Expr { kind: ExprKind::Call(Call { path, arguments }), span }))
}

/// arg = [ ident "=" ] expr
fn argument(input: Tokens<'_>) -> Parse<'_, Argument> {
    if input.kind() == Kind::Name && input.kind_at(1) == Kind::Assign {
        let (rest, name) = name(input)?;
        let (rest, value) = expr(rest.skip())?;
        return Ok((rest, Argument { name: Some(name), value }));
    }
    let (rest, value) = expr(input)?;
    Ok((rest, Argument { name: None, value }))
}

fn list(input: Tokens<'_>) -> Parse<'_, Expr> {
    let (rest, items, close) = elements(input, expr, unreadable)?;
    Ok((rest, Expr { kind: ExprKind::List(items), span: input.span().to(close) }))
}

fn unreadable(span: Span) -> Expr {
    Expr { kind: ExprKind::Error, span }
}

/// Reads what stands between `(` or `[` and its partner, separated by commas; also returns where the
/// partner stands. The lexer's pass over brackets has made sure that there is one.
fn elements<'a, T>(
    input: Tokens<'a>,
    element: impl Fn(Tokens<'a>) -> Parse<'a, T>,
    broken: impl Fn(Span) -> T,
) -> Result<(Tokens<'a>, Vec<T>, Span), nom::Err<Expected>> {
    let mut rest = input.skip();
    let mut found = Vec::new();
    loop {
        // Brackets are balanced, so skipping ends at the partner at the latest.
        if matches!(rest.kind(), Kind::CloseParen | Kind::CloseBracket | Kind::CloseBrace | Kind::End) {
            return Ok((rest.skip(), found, rest.span()));
        }
        let start = rest.span();
        rest = match element(rest) {
            Ok((after, one)) => {
                found.push(one);
                after
            }
            Err(error) => {
                report(rest.context, &error);
                found.push(broken(start));
                rest.skip_to(&[Kind::Comma])
            }
        };
        match rest.kind() {
            Kind::Comma => rest = rest.skip(),
            Kind::CloseParen | Kind::CloseBracket => {}
            found => {
                if found != Kind::Bad && !rest.context.is_marked(rest.span().start) {
                    let message = format!("expected `,` or the end of the list, found {}", describe(rest));
                    rest.context.report(rest.context.error(codes::SYNTAX, rest.span(), message));
                }
                rest = rest.skip_to(&[Kind::Comma]);
                if rest.kind() == Kind::Comma {
                    rest = rest.skip();
                }
            }
        }
    }
}

/// A record: a body of fields only.
fn record(input: Tokens<'_>) -> Parse<'_, Expr> {
    let (rest, fields, braces) = item::record_body(input)?;
    Ok((rest, Expr { kind: ExprKind::Record(fields), span: braces }))
}

fn group(input: Tokens<'_>) -> Parse<'_, Expr> {
    let (rest, inner) = expr(input.skip())?;
    let (after, close) = token(Kind::CloseParen, "`)`").parse(rest)?;
    let span = input.span().to(close.span);
    Ok((after, Expr { kind: ExprKind::Group(Box::new(inner)), span }))
}

/// Reports what a parser expected.
pub(crate) fn report(context: &Context<'_>, error: &nom::Err<Expected>) {
    let expected = match error {
        nom::Err::Error(expected) | nom::Err::Failure(expected) => expected,
        nom::Err::Incomplete(_) => return,
    };
    if expected.kind == Kind::Bad || context.is_marked(expected.at.start) {
        return;
    }
    let found = describe_kind(context, expected.kind, expected.at);
    let message = format!("expected {}, found {found}", expected.what);
    let error = context.error(codes::SYNTAX, expected.at, message);
    if expected.what == item::ENTRY && expected.kind == Kind::Quantity && decimal_comma(context, expected.at)
    {
        return context.report(error.help("a number has a decimal point, not a comma: `1.5`"));
    }
    context.report(match way_out(expected) {
        Some(help) => error.help(help),
        None => error,
    });
}

/// Does a number stand directly before the comma before this one? Its own field is then not what was meant.
fn decimal_comma(context: &Context<'_>, at: Span) -> bool {
    let before = &context.text[..at.start as usize];
    let Some(whole) = before.strip_suffix(',') else { return false };
    let n_digits = whole.bytes().rev().take_while(u8::is_ascii_digit).count();
    let end = whole.len() as u32;
    context.lose(Span::new(end - n_digits as u32, end));
    n_digits > 0
}

/// Says what to write where something else was found.
fn way_out(expected: &Expected) -> Option<&'static str> {
    let literal =
        matches!(expected.kind, Kind::Quantity | Kind::Date | Kind::Time | Kind::True | Kind::False);
    match expected.what {
        item::OPERATOR_OR_BLOCK if literal => Some("a fact is written `name = value`"),
        item::OPERATOR_OR_BLOCK | item::ENTRY => {
            Some("a field is written `name = value`, a block `kind name { … }`")
        }
        item::BRACE => Some("a block is written `kind name { … }`"),
        "a value" => Some("a value is a number with its unit, a name, a string, a list or a record"),
        _ => None,
    }
}

/// Names the next token for a message.
pub(crate) fn describe(input: Tokens<'_>) -> String {
    describe_kind(input.context, input.kind(), input.span())
}

fn describe_kind(context: &Context<'_>, kind: Kind, span: Span) -> String {
    match kind {
        Kind::End => "the end of the file".to_owned(),
        Kind::Newline => "the end of the line".to_owned(),
        Kind::Text => "a string".to_owned(),
        _ => {
            let text = context.slice(span);
            let short: String = text.chars().take(40).collect();
            let more = if short.len() < text.len() { "…" } else { "" };
            // A bracket that was supplied has no text; it was reported when it was supplied.
            if short.is_empty() { "the end of the list".to_owned() } else { format!("`{short}{more}`") }
        }
    }
}

/// Do tokens follow without a blank between them?
pub(crate) fn glued(input: Tokens<'_>, n: usize) -> bool {
    input.input_len() > n + 1 && input.span_at(n).end == input.span_at(n + 1).start
}
