//! Entries of a file and of a block: which kind one is, and how reading goes on after a broken one.
//!
//! Only the words of the reserved list are keywords everywhere; `set`, `require`, `use`, `param` and
//! the like are decided by what follows them, so that they can be names of fields too.

use capstan_types::place::Span;
use nom::combinator::{cut, opt};
use nom::sequence::preceded;
use nom::{Input, Parser};

use super::expr::{self, describe, expr, glued, name, path, report};
use super::input::{Expected, Parse, Tokens, token};
use super::literal;
use super::token::Kind;
use crate::ast::{
    Binding, Block, ChainOp, Clause, ClauseKind, Entry, Expr, ExprKind, Field, FieldOp, Item, Label, Name,
    Path, Set, SetOp, Text, Use, UseKind,
};
use crate::codes;

/// What an entry begins with.
pub(crate) const ENTRY: &str = "a field or a block";
/// What follows the first word of an entry.
pub(crate) const OPERATOR_OR_BLOCK: &str = "`=`, `<=`, `>=`, `in` or `{`";
/// What follows the name of a block.
pub(crate) const BRACE: &str = "`{`";

/// What separates entries.
const SEPARATORS: [Kind; 3] = [Kind::Newline, Kind::Comma, Kind::Semicolon];

/// file = { sep } [ entry { sep { sep } entry } { sep } ]
pub(crate) fn file(input: Tokens<'_>) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut rest = input;
    while rest.kind() != Kind::End {
        rest = body(rest, entry, &mut entries);
        // Only the end stops a body at the top: brackets that close nothing were dropped.
        rest = rest.skip();
    }
    entries
}

/// Reads entries up to the bracket that closes around them, past any that are broken.
fn body<'a, T>(
    input: Tokens<'a>,
    one: impl Fn(Tokens<'a>) -> Parse<'a, Option<T>>,
    into: &mut Vec<T>,
) -> Tokens<'a> {
    let mut rest = input;
    loop {
        while SEPARATORS.contains(&rest.kind()) {
            rest = rest.skip();
        }
        if ends_body(rest.kind()) {
            return rest;
        }
        rest = match one(rest) {
            Ok((after, found)) => {
                into.extend(found);
                separated(after)
            }
            Err(error) => {
                report(rest.context, &error);
                // At least one token is left out, so that reading always gets further.
                let mut next = rest.skip_to(&SEPARATORS);
                if next.input_len() == rest.input_len() && !ends_body(next.kind()) {
                    next = rest.skip();
                }
                rest.lose_until(next);
                next
            }
        };
    }
}

fn ends_body(kind: Kind) -> bool {
    matches!(kind, Kind::CloseBrace | Kind::CloseParen | Kind::CloseBracket | Kind::End)
}

/// After an entry a separator must follow. Where one is missing before what looks like another entry,
/// reading goes on there.
fn separated(rest: Tokens<'_>) -> Tokens<'_> {
    if SEPARATORS.contains(&rest.kind()) || ends_body(rest.kind()) {
        return rest;
    }
    let next = rest.skip_to(&SEPARATORS);
    if rest.kind() == Kind::Bad {
        rest.lose_until(next);
        return next;
    }
    let context = rest.context;
    if !context.is_marked(rest.span().start) {
        let found = describe(rest);
        let message = format!("expected the end of the entry, found {found}");
        let diagnostic = context.error(codes::SEPARATOR, rest.span(), message);
        context.report(diagnostic.help("entries stand on lines of their own or are separated by `,`"));
    }
    let label = matches!(rest.kind_at(1), Kind::Name | Kind::Text) && rest.kind_at(2) == Kind::OpenBrace;
    let begins = label || field_op(rest.kind_at(1)).is_some() || rest.kind_at(1) == Kind::OpenBrace;
    let another = rest.kind() == Kind::Name && begins;
    if another {
        return rest;
    }
    rest.lose_until(next);
    next
}

/// entry = use | param | let | item
fn entry(input: Tokens<'_>) -> Parse<'_, Option<Entry>> {
    if let Some(only_at_top) = top_only(input) {
        let (rest, found) = only_at_top(input)?;
        return Ok((rest, Some(found)));
    }
    let (rest, found) = item(input)?;
    Ok((rest, found.map(Entry::Item)))
}

/// Returns the parser for an entry that stands only at the top of a file, where one stands here.
fn top_only(input: Tokens<'_>) -> Option<fn(Tokens<'_>) -> Parse<'_, Entry>> {
    let block = input.kind_at(2) == Kind::OpenBrace;
    match input.text_at(0) {
        _ if input.kind() != Kind::Name || block => None,
        "use" if matches!(input.kind_at(1), Kind::Text | Kind::Name) => Some(use_entry),
        "param" if input.kind_at(1) == Kind::Name => Some(param_entry),
        "let" if input.kind_at(1) == Kind::Name => Some(let_entry),
        _ => None,
    }
}

/// use = "use" [ "catalog" | "prices" ] string [ "as" ident ]
fn use_entry(input: Tokens<'_>) -> Parse<'_, Entry> {
    let mut rest = input.skip();
    let kind = match rest.text_at(0) {
        "catalog" => Some((UseKind::Catalog, rest.span())),
        "prices" => Some((UseKind::Prices, rest.span())),
        _ => None,
    };
    if kind.is_some() {
        rest = rest.skip();
    }
    let (rest, path) = string(rest, "`catalog`, `prices` or a path in quotes")?;
    let (rest, alias) = opt(preceded(token(Kind::As, "`as`"), cut(name))).parse(rest)?;
    let span = input.span().to(alias.as_ref().map_or(path.span, |alias| alias.span));
    Ok((rest, Entry::Use(Use { kind, path, alias, span })))
}

fn param_entry(input: Tokens<'_>) -> Parse<'_, Entry> {
    binding(input).map(|(rest, found)| (rest, Entry::Param(found)))
}

fn let_entry(input: Tokens<'_>) -> Parse<'_, Entry> {
    binding(input).map(|(rest, found)| (rest, Entry::Let(found)))
}

fn binding(input: Tokens<'_>) -> Parse<'_, Binding> {
    let (rest, name) = plain_name(input.skip())?;
    let (rest, _) = token(Kind::Assign, "`=` and a value").parse(rest)?;
    let (rest, value) = value(rest);
    let span = input.span().to(value.span);
    Ok((rest, Binding { name, value, span }))
}

/// item = block | clause | set | field
fn item(input: Tokens<'_>) -> Parse<'_, Option<Item>> {
    if expr::reserved(input.kind()) {
        return Ok((reserved_word(input, input), None));
    }
    if let Some(only_at_top) = top_only(input) {
        let (rest, _) = only_at_top(input)?;
        input.lose_until(rest);
        let word = input.text_at(0);
        let message = format!("`{word}` stands only at the top of a file, not in a block");
        input.context.report(
            input.context.error(codes::ONLY_AT_TOP, input.span(), message).help("move it out of the braces"),
        );
        return Ok((rest, None));
    }
    if let Some(kind) = clause_kind(input) {
        return clause(input, kind).map(|(rest, found)| (rest, Some(Item::Clause(found))));
    }
    let label = matches!(input.kind_at(1), Kind::Name);
    if input.text_at(0) == "set" && label && input.kind_at(2) != Kind::OpenBrace {
        return set(input).map(|(rest, found)| (rest, Some(Item::Set(found))));
    }
    block_or_field(input)
}

/// Is it a rule? `require = …`, `prefer { …` and `warn x { …` are not.
fn clause_kind(input: Tokens<'_>) -> Option<ClauseKind> {
    let kind = match input.text_at(0) {
        "require" => ClauseKind::Require,
        "prefer" => ClauseKind::Prefer,
        "warn" => ClauseKind::Warn,
        "expect" => ClauseKind::Expect,
        _ => return None,
    };
    let next = input.kind_at(1);
    let label = matches!(next, Kind::Name | Kind::Text);
    let block = next == Kind::OpenBrace || (label && input.kind_at(2) == Kind::OpenBrace);
    (!block && field_op(next).is_none() && next != Kind::Dot).then_some(kind)
}

/// clause = ( "require" | … ) [ ident ":" ] expr [ "else" string ]
fn clause(input: Tokens<'_>, kind: ClauseKind) -> Parse<'_, Clause> {
    let mut rest = input.skip();
    let mut label = None;
    if rest.kind() == Kind::Name && rest.kind_at(1) == Kind::Colon {
        let (after, found) = name(rest)?;
        (label, rest) = (Some(found), after.skip());
    } else if rest.kind() == Kind::Colon {
        let found = rest.context.error(codes::SYNTAX, rest.span(), "a name is missing before `:`");
        let word = input.text_at(0);
        rest.context.report(found.help(format!("write `{word} NAME: …`, or leave the colon out")));
        rest = rest.skip();
    }
    let (mut rest, condition) = expr(rest)?;
    if rest.kind() == Kind::Assign {
        let message = "`=` states a fact and compares nothing";
        rest.context
            .report(rest.context.error(codes::EQUALS, rest.span(), message).help("to compare, write `==`"));
        (rest, _) = expr(rest.skip())?;
    }
    let reason = |input| string(input, "a reason in quotes");
    let (rest, otherwise) = opt(preceded(token(Kind::Else, "`else`"), reason)).parse(rest)?;
    let span = input.span().to(otherwise.as_ref().map_or(condition.span, |text| text.span));
    Ok((rest, Clause { kind, kind_span: input.span(), label, condition, otherwise, span }))
}

fn string<'a>(input: Tokens<'a>, what: &'static str) -> Parse<'a, Text> {
    let (rest, found) = cut(token(Kind::Text, what)).parse(input)?;
    Ok((rest, literal::text(input.context, found.span)))
}

/// set = "set" path ( "=" | "*=" | "+=" ) expr
fn set(input: Tokens<'_>) -> Parse<'_, Set> {
    let (rest, set) = assignment(input.skip())?;
    let span = input.span().to(set.span);
    Ok((rest, Set { span, ..set }))
}

/// What follows `set`, which also stands alone on the command line.
pub(crate) fn assignment(input: Tokens<'_>) -> Parse<'_, Set> {
    let (rest, path) = path(input)?;
    let op = match rest.kind() {
        Kind::Assign => SetOp::To,
        Kind::TimesAssign => SetOp::Times,
        Kind::PlusAssign => SetOp::Plus,
        _ => return rest.expected("`=`, `*=` or `+=`"),
    };
    let op_span = rest.span();
    let (rest, value) = value(rest.skip());
    let span = input.span().to(value.span);
    Ok((rest, Set { path, op, op_span, value, span }))
}

fn block_or_field(input: Tokens<'_>) -> Parse<'_, Option<Item>> {
    let (rest, path) = if is_dashed(input) {
        let (rest, name) = plain_name(input)?;
        (rest, Path::of(name))
    } else {
        path(input).map_err(|error| widen(error, ENTRY))?
    };
    if let Some(op) = field_op(rest.kind()) {
        return field(rest, path, op).map(|(rest, found)| (rest, Some(Item::Field(found))));
    }
    let label = match rest.kind() {
        Kind::Text if rest.kind_at(1) == Kind::OpenBrace => {
            Some((rest.skip(), Label::Text(literal::text(rest.context, rest.span()))))
        }
        Kind::Name if rest.kind_at(1) == Kind::OpenBrace || is_dashed(rest) => {
            let (after, name) = plain_name(rest)?;
            Some((after, Label::Name(name)))
        }
        _ => None,
    };
    let (rest, label) = label.map_or((rest, None), |(after, label)| (after, Some(label)));
    match (rest.kind(), 1 + path.rest.len()) {
        (Kind::OpenBrace, 1) => {
            block(rest, path, label).map(|(rest, found)| (rest, Some(Item::Block(found))))
        }
        (Kind::Colon, _) if label.is_none() => colon(rest, path),
        (Kind::TimesAssign | Kind::PlusAssign, _) if label.is_none() => change(rest, path),
        (kind, 1) if label.is_none() && expr::reserved(kind) => {
            // `let not = 5`, `site in { … }`: a name was meant, whatever else is wrong.
            Ok((reserved_word(input, rest), None))
        }
        _ if label.is_some() => rest.expected(BRACE),
        _ => rest.expected(OPERATOR_OR_BLOCK),
    }
}

/// Reports a reserved word at `rest` and leaves out the entry that begins at `input`.
fn reserved_word<'a>(input: Tokens<'a>, rest: Tokens<'a>) -> Tokens<'a> {
    expr::report_reserved(rest);
    let next = rest.skip_to(&SEPARATORS);
    input.lose_until(next);
    next
}

/// `power: 40 kW`, as other languages write it.
fn colon(input: Tokens<'_>, path: Path) -> Parse<'_, Option<Item>> {
    let message = format!("expected `=`, `<=`, `>=` or `in` after `{}`, found `:`", path.dotted());
    input
        .context
        .report(input.context.error(codes::SYNTAX, input.span(), message).help("a fact is written with `=`"));
    meant_as_fact(input, path)
}

/// `price *= 2` without `set`.
fn change(input: Tokens<'_>, path: Path) -> Parse<'_, Option<Item>> {
    let message =
        format!("expected `=`, `<=`, `>=` or `in` after `{}`, found `{}`", path.dotted(), input.text_at(0));
    let help = format!("a change begins with `set`: `set {} {} …`", path.dotted(), input.text_at(0));
    input.context.report(input.context.error(codes::SYNTAX, input.span(), message).help(help));
    meant_as_fact(input, path)
}

fn meant_as_fact(input: Tokens<'_>, path: Path) -> Parse<'_, Option<Item>> {
    input.context.lose(input.span());
    let after = input.skip();
    let (rest, value) = if SEPARATORS.contains(&after.kind()) || ends_body(after.kind()) {
        (after, Expr { kind: ExprKind::Error, span: input.span() })
    } else {
        value(after)
    };
    let span = path.span.to(value.span);
    Ok((rest, Some(Item::Field(Field { path, op: FieldOp::Is, op_span: input.span(), value, span }))))
}

fn widen(error: nom::Err<Expected>, what: &'static str) -> nom::Err<Expected> {
    match error {
        nom::Err::Error(expected) => nom::Err::Error(Expected { what, ..expected }),
        other => other,
    }
}

/// Takes an identifier, or several joined by `-`, which is reported.
fn plain_name(input: Tokens<'_>) -> Parse<'_, Name> {
    let (mut rest, mut name) = name(input)?;
    if !is_dashed(input) {
        return Ok((rest, name));
    }
    while rest.kind() == Kind::Minus
        && matches!(rest.kind_at(1), Kind::Name | Kind::Quantity)
        && glued(rest, 0)
    {
        name.text = name.text + "_" + rest.text_at(1);
        name.span = name.span.to(rest.span_at(1));
        rest = rest.skip().skip();
    }
    let message = format!("names have no `-`, and `{}` has one", input.context.slice(name.span));
    let found = input.context.error(codes::DASH_IN_NAME, name.span, message);
    input.context.report(found.help(format!("write `{}`", name.text)));
    Ok((rest, name))
}

/// Do `name-name` stand here without blanks?
fn is_dashed(input: Tokens<'_>) -> bool {
    input.kind() == Kind::Name
        && input.kind_at(1) == Kind::Minus
        && matches!(input.kind_at(2), Kind::Name | Kind::Quantity)
        && glued(input, 0)
        && glued(input, 1)
}

/// block = ident [ ident | string ] "{" body(item) "}"
fn block(input: Tokens<'_>, path: Path, label: Option<Label>) -> Parse<'_, Block> {
    let mut items = Vec::new();
    let rest = body(input.skip(), item, &mut items);
    let (rest, close) = token(Kind::CloseBrace, "`}`").parse(rest)?;
    let braces = input.span().to(close.span);
    let span = path.span.to(braces);
    Ok((rest, Block { kind: path.first, label, body: items, braces, span }))
}

/// Reads the body of a record and where its braces stand.
pub(crate) fn record_body(input: Tokens<'_>) -> Result<(Tokens<'_>, Vec<Field>, Span), nom::Err<Expected>> {
    let mut fields = Vec::new();
    let rest = body(input.skip(), record_field, &mut fields);
    let (rest, close) = token(Kind::CloseBrace, "`}`").parse(rest)?;
    Ok((rest, fields, input.span().to(close.span)))
}

fn record_field(input: Tokens<'_>) -> Parse<'_, Option<Field>> {
    let (rest, found) = item(input)?;
    match found {
        Some(Item::Field(field)) => Ok((rest, Some(field))),
        Some(Item::Block(block)) => {
            let message = "a record has only fields, and this is a block";
            let found = input.context.error(codes::ONLY_FIELDS, block.kind.span, message);
            let written = format!("{} = {{ … }}", block.kind.text);
            input.context.report(found.help(format!("a record inside a record is written `{written}`")));
            Ok((rest, None))
        }
        Some(Item::Clause(Clause { span, .. }) | Item::Set(Set { span, .. })) => {
            let found = input.context.error(codes::ONLY_FIELDS, span, "a record has only fields");
            input.context.report(found.help("move it to the block around the record"));
            Ok((rest, None))
        }
        None => Ok((rest, None)),
    }
}

fn field_op(kind: Kind) -> Option<FieldOp> {
    match kind {
        Kind::Assign | Kind::Equal => Some(FieldOp::Is),
        Kind::AtMost | Kind::Below => Some(FieldOp::AtMost),
        Kind::AtLeast | Kind::Above => Some(FieldOp::AtLeast),
        Kind::In => Some(FieldOp::In),
        _ => None,
    }
}

/// field = path ( "=" | "<=" | ">=" | "in" ) expr
fn field(input: Tokens<'_>, path: Path, op: FieldOp) -> Parse<'_, Field> {
    let op_span = input.span();
    let context = input.context;
    match input.kind() {
        Kind::Below | Kind::Above => {
            let written = input.text_at(0);
            let message = format!("a limit is written `{written}=`, not `{written}`");
            context.report(
                context.error(codes::STRICT_LIMIT, op_span, message).help(format!("write `{written}=`")),
            );
        }
        Kind::Equal => {
            let found = context.error(codes::EQUALS, op_span, "`==` compares and states no fact");
            context.report(found.help("a fact is written with `=`"));
        }
        _ => {}
    }
    let (rest, value) = value(input.skip());
    if matches!(op, FieldOp::AtMost | FieldOp::AtLeast) && is_boolean(&value) {
        let message = format!("the limit on `{}` is neither true nor false", path.dotted());
        let found = context.error(codes::BOOLEAN_LIMIT, value.span, message);
        context.report(
            found.label("this is a yes or no").help("a limit needs an amount; a condition is a `require`"),
        );
    }
    let span = path.span.to(value.span);
    Ok((rest, Field { path, op, op_span, value, span }))
}

fn is_boolean(value: &Expr) -> bool {
    match &value.kind {
        ExprKind::Bool(_) | ExprKind::Compare(..) | ExprKind::Not(_) => true,
        ExprKind::Chain(_, links) => links.iter().any(|link| matches!(link.op, ChainOp::Or | ChainOp::And)),
        ExprKind::Group(inner) => is_boolean(inner),
        _ => false,
    }
}

/// Reads a value; where it is broken the mistake is reported and the value is [`ExprKind::Error`], so
/// that what it belongs to is kept.
fn value(input: Tokens<'_>) -> (Tokens<'_>, Expr) {
    match expr(input) {
        Ok(read) => read,
        Err(error) => {
            report(input.context, &error);
            let rest = input.skip_to(&SEPARATORS);
            let span = if ends_body(input.kind()) || SEPARATORS.contains(&input.kind()) {
                Span::new(input.span().start, input.span().start)
            } else {
                input.span()
            };
            (rest, Expr { kind: ExprKind::Error, span })
        }
    }
}
