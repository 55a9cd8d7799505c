//! Which brackets belong together, and which newlines separate?
//!
//! Newlines are blanks inside `(` and `[`, after an operator and after `in and or not else`; inside
//! `{ }` they separate; the innermost bracket decides. After this pass every bracket has its partner
//! (one that was missing is reported and supplied, without width), so the grammar can skip a broken
//! entry by counting, and one forgotten `)` costs one message and not the rest of the file.

use capstan_types::place::{FileId, Span};

use super::token::{Kind, Token};
use crate::codes;
use crate::diagnostic::Diagnostic;

/// Deepest nesting of brackets; a stack overflow aborts and cannot be caught.
pub(crate) const MAX_NESTING: usize = 64;

/// Balances the brackets and drops the newlines that are blanks.
pub(crate) fn balance(file: &FileId, text: &str, tokens: &[Token]) -> (Vec<Token>, Vec<Diagnostic>) {
    let mut balancer = Balancer {
        file,
        text,
        line_start: 0,
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
                balancer.open.push(*token);
                balancer.out.push(*token);
            }
            Kind::CloseBrace | Kind::CloseParen | Kind::CloseBracket => balancer.close(*token),
            _ => balancer.out.push(*token),
        }
    }
    balancer.finish(text.len() as u32)
}

struct Balancer<'a> {
    file: &'a FileId,
    text: &'a str,
    /// Where the line of the current token begins.
    line_start: u32,
    open: Vec<Token>,
    out: Vec<Token>,
    diagnostics: Vec<Diagnostic>,
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
        let Some(last) = self.out.last().copied() else { return };
        if self.open.last().is_some_and(|open| open.kind != Kind::OpenBrace) {
            let in_list = self.open.last().is_some_and(|open| open.kind == Kind::OpenBracket);
            let broken_off = (ends_value(last.kind) && begins_with(next, Kind::Name))
                || begins_block(next)
                || (in_list && begins_field(next));
            if !broken_off {
                return;
            }
            while self.open.last().is_some_and(|open| open.kind != Kind::OpenBrace) {
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
        let Some(open) = self.open.pop() else { return };
        let bracket = &self.text[open.span.range()];
        let close = closing(open.kind);
        let message = format!("this `{bracket}` is never closed");
        let diagnostic = Diagnostic::error(codes::OPEN_BRACKET, open.span.in_file(self.file), message);
        self.diagnostics.push(diagnostic.help(format!("close it with `{close}`")));
        self.out.push(Token { kind: partner(open.kind), span: Span::new(at, at) });
    }

    fn close(&mut self, token: Token) {
        // A bracket that is open on the same line is closed even past a brace; a brace that spans
        // lines is a block, which a stray `)` should not end.
        let passable = |open: &Token| {
            token.kind == Kind::CloseBrace
                || open.kind != Kind::OpenBrace
                || open.span.start >= self.line_start
        };
        let inner_first = self.open.iter().rev();
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

    /// A bracket without a partner: taken for the right one where `(` or `[` waits for it, else left out.
    fn stray(&mut self, token: Token) {
        let bracket = &self.text[token.span.range()];
        let place = token.span.in_file(self.file);
        let Some(open) = self.open.pop_if(|open| open.kind != Kind::OpenBrace) else {
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
        self.diagnostics
            .push(Diagnostic::error(codes::TOO_DEEP, place, message).help("name parts of it with `let`"));
        // What follows cannot be read; the brackets so far are closed without further complaint.
        while let Some(open) = self.open.pop() {
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
        while !self.open.is_empty() {
            self.supply(end);
        }
        self.out.push(Token { kind: Kind::End, span: Span::new(end, end) });
        (self.out, self.diagnostics)
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
