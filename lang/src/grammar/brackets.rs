//! Which brackets belong together, and which newlines separate?
//!
//! Newlines are blanks inside `(` and `[`, after an operator and after `in and or not else`; inside
//! `{ }` they separate; the innermost bracket decides. After this pass every bracket has its partner
//! (one that was missing is reported and supplied, without width), so the grammar can skip a broken
//! entry by counting, and one forgotten `)` costs one message and not the rest of the file. Where a
//! brace is never closed, the indentation says which one it was.

use capstan_types::place::{FileId, Span};

use super::token::{Kind, Token};
use crate::codes;
use crate::diagnostic::Diagnostic;

/// Deepest nesting of brackets; a stack overflow aborts and cannot be caught.
pub(crate) const MAX_NESTING: usize = 64;

/// Balances the brackets and drops the newlines that are blanks.
pub(crate) fn balance(file: &FileId, text: &str, tokens: &[Token]) -> (Vec<Token>, Vec<Diagnostic>) {
    let plain = attempt(file, text, tokens, false);
    let unclosed = |found: &Diagnostic| {
        found.code == codes::OPEN_BRACKET && text[found.place.span().range()].starts_with('{')
    };
    if !plain.1.iter().any(unclosed) {
        return plain;
    }
    // A text that is not indented says nothing, and would only seem to have more mistakes.
    let indented = attempt(file, text, tokens, true);
    let n_brackets = |(_, found): &(Vec<Token>, Vec<Diagnostic>)| -> usize {
        found.iter().map(|found| 1 + found.secondary.len()).sum()
    };
    if n_brackets(&indented) <= n_brackets(&plain) { indented } else { plain }
}

fn attempt(file: &FileId, text: &str, tokens: &[Token], by_indent: bool) -> (Vec<Token>, Vec<Diagnostic>) {
    let n_of = |kind: Kind| tokens.iter().filter(|token| token.kind == kind).count();
    let mut balancer = Balancer {
        file,
        text,
        by_indent,
        surplus: n_of(Kind::CloseBrace) > n_of(Kind::OpenBrace),
        line_start: 0,
        indent: indent(text, 0),
        open: Vec::new(),
        out: Vec::with_capacity(tokens.len()),
        diagnostics: Vec::new(),
    };
    for (i, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Newline => balancer.newline(*token, &tokens[i + 1..]),
            Kind::OpenBrace | Kind::OpenParen | Kind::OpenBracket => {
                if balancer.open.len() == MAX_NESTING {
                    balancer.too_deep(*token);
                    break;
                }
                balancer.open.push(Open { token: *token, indent: balancer.indent });
                balancer.out.push(*token);
            }
            Kind::CloseBrace | Kind::CloseParen | Kind::CloseBracket => balancer.close(*token),
            _ => balancer.out.push(*token),
        }
    }
    balancer.finish(text.len() as u32)
}

/// A bracket that waits for its partner, and how far its line is indented.
#[derive(Clone, Copy)]
struct Open {
    token: Token,
    indent: u32,
}

struct Balancer<'a> {
    file: &'a FileId,
    text: &'a str,
    /// Does the indentation say where a block ends?
    by_indent: bool,
    /// Are there more `}` than `{`, so that one of them stands where another bracket belongs?
    surplus: bool,
    /// Where the line of the current token begins.
    line_start: u32,
    /// How far that line is indented.
    indent: u32,
    open: Vec<Open>,
    out: Vec<Token>,
    diagnostics: Vec<Diagnostic>,
}

/// Returns how many blanks begin the line that starts at a byte.
fn indent(text: &str, start: u32) -> u32 {
    let line = &text.as_bytes()[(start as usize).min(text.len())..];
    line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count() as u32
}

fn partner(open: Kind) -> Kind {
    match open {
        Kind::OpenBrace => Kind::CloseBrace,
        Kind::OpenParen => Kind::CloseParen,
        _ => Kind::CloseBracket,
    }
}

fn closing(open: Kind) -> &'static str {
    match open {
        Kind::OpenBrace => "}",
        Kind::OpenParen => ")",
        _ => "]",
    }
}

impl Balancer<'_> {
    fn newline(&mut self, token: Token, next: &[Token]) {
        self.line_start = token.span.end;
        self.indent = indent(self.text, self.line_start);
        let Some(last) = self.out.last().copied() else { return };
        if self.by_indent && (begins_block(next) || begins_field(next) || begins_value(next)) {
            while self.open.last().is_some_and(|open| open.indent >= self.indent) {
                self.supply(last.span.end);
            }
        }
        if self.open.last().is_some_and(|open| open.token.kind != Kind::OpenBrace) {
            let in_list = self.open.last().is_some_and(|open| open.token.kind == Kind::OpenBracket);
            let broken_off = (ends_value(last.kind) && begins_with(next, Kind::Name))
                || begins_block(next)
                || (in_list && begins_field(next));
            if !broken_off {
                return;
            }
            while self.open.last().is_some_and(|open| open.token.kind != Kind::OpenBrace) {
                self.supply(last.span.end);
            }
        } else if continues(last.kind)
            && !(begins_block(next) || begins_field(next))
            && (last.kind != Kind::Else || begins_with(next, Kind::Text))
        {
            return;
        }
        if self.out.last().is_some_and(|token| token.kind != Kind::Newline) {
            self.out.push(token);
        }
    }

    /// Closes the innermost bracket, which has no partner in the text.
    fn supply(&mut self, at: u32) {
        let Some(Open { token: open, .. }) = self.open.pop() else { return };
        let bracket = &self.text[open.span.range()];
        let close = closing(open.kind);
        let message = format!("this `{bracket}` is never closed");
        let diagnostic = Diagnostic::error(codes::OPEN_BRACKET, open.span.in_file(self.file), message);
        self.diagnostics.push(diagnostic.help(format!("close it with `{close}`")));
        self.out.push(Token { kind: partner(open.kind), span: Span::new(at, at) });
    }

    fn close(&mut self, token: Token) {
        if token.kind == Kind::CloseBrace {
            self.dedent(token);
            if self.closes_other() {
                return self.stray(token);
            }
        }
        // A bracket that is open on the same line is closed even past a brace; a brace that spans
        // lines is a block, which a stray `)` should not end.
        let passable = |open: &Token| {
            token.kind == Kind::CloseBrace
                || open.kind != Kind::OpenBrace
                || open.span.start >= self.line_start
        };
        let opened = self.open.iter().map(|open| &open.token);
        let inner_first = opened.rev();
        let n_passable = inner_first.clone().take_while(|open| passable(open)).count();
        match inner_first.take(n_passable + 1).position(|open| partner(open.kind) == token.kind) {
            Some(n_between) => {
                for _ in 0..n_between {
                    self.supply(self.out.last().map_or(0, |last| last.span.end));
                }
                self.open.pop();
                self.out.push(token);
            }
            None => self.stray(token),
        }
    }

    /// Supplies what the indentation of a `}` says is closed already.
    fn dedent(&mut self, token: Token) {
        if !self.by_indent || token.span.start != self.line_start + self.indent {
            return;
        }
        let word = self.out.iter().rev().find(|last| last.kind != Kind::Newline);
        let at = word.map_or(0, |last| last.span.end);
        while self.open.last().is_some_and(|open| open.indent > self.indent) {
            self.supply(at);
        }
    }

    /// Does a `}` stand where the `]` or `)` of its line belongs, since the file has more `}` than `{`?
    fn closes_other(&self) -> bool {
        let here = |open: &Open| open.token.span.start >= self.line_start;
        let other = self.open.last().is_some_and(|open| open.token.kind != Kind::OpenBrace && here(open));
        let brace = self.open.iter().rev().find(|open| open.token.kind == Kind::OpenBrace);
        self.surplus && other && !brace.is_some_and(here)
    }

    /// A bracket without a partner: taken for the right one where `(` or `[` waits for it, else left out.
    fn stray(&mut self, token: Token) {
        let bracket = &self.text[token.span.range()];
        let place = token.span.in_file(self.file);
        let Some(Open { token: open, .. }) = self.open.pop_if(|open| open.token.kind != Kind::OpenBrace)
        else {
            let message = format!("this `{bracket}` closes nothing");
            self.diagnostics.push(Diagnostic::error(codes::STRAY_BRACKET, place, message).help("remove it"));
            return;
        };
        let right = closing(open.kind);
        let opening = &self.text[open.span.range()];
        let message = format!("this `{bracket}` cannot close `{opening}`");
        let found = Diagnostic::error(codes::STRAY_BRACKET, place, message).help(format!("write `{right}`"));
        self.diagnostics.push(found.also(open.span.in_file(self.file), "opened here"));
        self.out.push(Token { kind: partner(open.kind), span: token.span });
    }

    fn too_deep(&mut self, token: Token) {
        let message = format!("brackets are nested more than {MAX_NESTING} deep");
        let place = token.span.in_file(self.file);
        let found = Diagnostic::error(codes::TOO_DEEP, place, message).help("name parts of it with `let`");
        let outermost = self.open.first().map_or(token.span, |open| open.token.span);
        self.diagnostics.push(found.also(outermost.in_file(self.file), "the outermost"));
        // What follows cannot be read; the brackets so far are closed without further complaint.
        while let Some(Open { token: open, .. }) = self.open.pop() {
            self.out.push(Token {
                kind: partner(open.kind),
                span: Span::new(token.span.start, token.span.start),
            });
        }
    }

    fn finish(mut self, end: u32) -> (Vec<Token>, Vec<Diagnostic>) {
        if self.out.last().is_some_and(|last| last.kind == Kind::End) {
            self.out.pop();
        }
        // "Found the end of the file" is said behind the last word, not some blank lines below it.
        let last = self.out.iter().rev().find(|token| token.kind != Kind::Newline);
        let end = last.map_or(end, |last| last.span.end);
        self.broken_off();
        while let Some(Open { token: open, .. }) = self.open.pop() {
            self.out.push(Token { kind: partner(open.kind), span: Span::new(end, end) });
        }
        self.out.push(Token { kind: Kind::End, span: Span::new(end, end) });
        (self.out, self.diagnostics)
    }

    /// What is open where the file ends: one mistake, however many brackets a cut went through.
    fn broken_off(&mut self) {
        let Some((Open { token: innermost, .. }, outer)) = self.open.split_last() else { return };
        let bracket = &self.text[innermost.span.range()];
        let message = format!("this `{bracket}` is never closed");
        let place = innermost.span.in_file(self.file);
        let mut found = Diagnostic::error(codes::OPEN_BRACKET, place, message);
        for open in outer.iter().rev() {
            found = found.also(open.token.span.in_file(self.file), "nor is this");
        }
        let close: Vec<&str> = self.open.iter().rev().map(|open| closing(open.token.kind)).collect();
        let what = if outer.is_empty() { "it" } else { "them" };
        self.diagnostics.push(found.help(format!("close {what} with `{}`", close.join(" "))));
    }
}

/// Can an expression end with this token?
fn ends_value(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Name
            | Kind::Quantity
            | Kind::Date
            | Kind::Time
            | Kind::Text
            | Kind::True
            | Kind::False
            | Kind::CloseBrace
            | Kind::CloseParen
            | Kind::CloseBracket
    )
}

/// Does a line go on after this token?
fn continues(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::In
            | Kind::Or
            | Kind::And
            | Kind::Not
            | Kind::Else
            | Kind::DotDot
            | Kind::Assign
            | Kind::Equal
            | Kind::Different
            | Kind::AtMost
            | Kind::AtLeast
            | Kind::Below
            | Kind::Above
            | Kind::Plus
            | Kind::Minus
            | Kind::Times
            | Kind::Over
            | Kind::TimesAssign
            | Kind::PlusAssign
            | Kind::At
    )
}

fn begins_with(tokens: &[Token], kind: Kind) -> bool {
    tokens.first().is_some_and(|token| token.kind == kind)
}

/// Does `kind {` or `kind name {` follow, which no expression contains?
fn begins_block(tokens: &[Token]) -> bool {
    let kind = |i: usize| tokens.get(i).map(|token| token.kind);
    let label = matches!(kind(1), Some(Kind::Name | Kind::Text));
    kind(0) == Some(Kind::Name) && kind(if label { 2 } else { 1 }) == Some(Kind::OpenBrace)
}

/// Does `path =` follow, which stands in no expression outside the arguments of a call?
fn begins_field(tokens: &[Token]) -> bool {
    let mut i = 0;
    while tokens.get(i).map(|token| token.kind) == Some(Kind::Name) {
        match tokens.get(i + 1).map(|token| token.kind) {
            Some(Kind::Dot) => i += 2,
            other => return other == Some(Kind::Assign),
        }
    }
    false
}

/// Does `param name =` or `let name =` follow?
fn begins_value(tokens: &[Token]) -> bool {
    let kind = |i: usize| tokens.get(i).map(|token| token.kind);
    [kind(0), kind(1), kind(2)] == [Some(Kind::Name), Some(Kind::Name), Some(Kind::Assign)]
}
