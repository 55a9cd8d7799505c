//! The tokens as an input for nom, and what nom's parsers say when they fail.

use std::cell::RefCell;
use std::iter::{Copied, Enumerate};
use std::slice::Iter;

use capstan_types::place::{FileId, Span};
use capstan_types::quantity::Currency;
use nom::error::{ErrorKind, ParseError};
use nom::{IResult, Input, Needed, Parser};

use super::token::{Kind, Token};
use crate::codes;
use crate::diagnostic::{Code, Diagnostic};

/// More mistakes than anybody reads; the rest are counted as one, so that a file of garbage does not
/// become gigabytes of messages.
pub(super) const MAX_DIAGNOSTICS: usize = 1_000;

/// What parsers share: the text and the mistakes found so far.
pub(crate) struct Context<'a> {
    pub file: &'a FileId,
    pub text: &'a str,
    /// What `¥` means in this file.
    pub yen: Option<Currency>,
    pub diagnostics: RefCell<Vec<Diagnostic>>,
    /// Text that is not in the tree.
    pub lost: RefCell<Vec<Span>>,
    /// Where characters or brackets are wrong, in order: the grammar stumbles there once more.
    marked: Vec<u32>,
}

/// Farthest that a wrong character is from the word over which the grammar stumbles because of it.
const MAX_STUMBLE: usize = 200;

impl<'a> Context<'a> {
    /// Begins with what is wrong with the characters and the brackets of a text.
    pub fn new(
        file: &'a FileId,
        text: &'a str,
        yen: Option<Currency>,
        characters: Vec<Diagnostic>,
        brackets: Vec<Diagnostic>,
    ) -> Self {
        let found = characters.into_iter().chain(brackets);
        let mut context = Context {
            file,
            text,
            yen,
            diagnostics: RefCell::new(Vec::new()),
            lost: RefCell::new(Vec::new()),
            marked: Vec::new(),
        };
        let mut marked = Vec::new();
        for one in found {
            marked.push(one.place.start);
            context.report(one);
        }
        marked.sort_unstable();
        context.marked = marked;
        context
    }

    /// Records text that is left out of the tree.
    pub fn lose(&self, span: Span) {
        let mut lost = self.lost.borrow_mut();
        if lost.len() < MAX_DIAGNOSTICS {
            lost.push(span);
        }
    }

    /// Does a wrong character or bracket stand in the same piece of a line, so that one mistake is enough?
    pub fn is_marked(&self, at: u32) -> bool {
        let next = self.marked.partition_point(|&mark| mark < at);
        let near = |mark: Option<&u32>| {
            mark.is_some_and(|&mark| {
                let (low, high) = (mark.min(at) as usize, mark.max(at) as usize);
                let apart = &self.text.as_bytes()[low..high];
                apart.len() < MAX_STUMBLE && !apart.iter().any(|byte| b"\n,;{}".contains(byte))
            })
        };
        near(self.marked.get(next)) || near(next.checked_sub(1).and_then(|before| self.marked.get(before)))
    }
}

impl Context<'_> {
    /// Records a mistake. Only parsers that have committed to an alternative call this.
    pub fn report(&self, diagnostic: Diagnostic) {
        let mut all = self.diagnostics.borrow_mut();
        if all.len() < MAX_DIAGNOSTICS {
            all.push(diagnostic);
        } else if all.len() == MAX_DIAGNOSTICS {
            let message = format!("more than {MAX_DIAGNOSTICS} mistakes; those from here on are not shown");
            all.push(Diagnostic::error(codes::TOO_MANY, diagnostic.place, message));
        }
    }

    /// Begins an error at a range of the text.
    pub fn error(&self, code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, span.in_file(self.file), message)
    }

    pub fn slice(&self, span: Span) -> &str {
        &self.text[span.range()]
    }
}

/// The tokens that are left. Never empty: the last one is [`Kind::End`], which nobody takes.
#[derive(Clone, Copy)]
pub(crate) struct Tokens<'a> {
    rest: &'a [Token],
    pub context: &'a Context<'a>,
}

/// The result of a parser over tokens.
pub(crate) type Parse<'a, T> = IResult<Tokens<'a>, T, Expected>;

impl<'a> Tokens<'a> {
    pub fn new(tokens: &'a [Token], context: &'a Context<'a>) -> Self {
        Tokens { rest: tokens, context }
    }

    /// Returns the kind of the next token.
    pub fn kind(&self) -> Kind {
        self.kind_at(0)
    }

    /// Returns the kind of the token `n` further on.
    pub fn kind_at(&self, n: usize) -> Kind {
        self.rest.get(n).map_or(Kind::End, |token| token.kind)
    }

    /// Returns the range of the next token.
    pub fn span(&self) -> Span {
        self.span_at(0)
    }

    /// Returns the range of the token `n` further on.
    pub fn span_at(&self, n: usize) -> Span {
        self.rest.get(n).map_or_else(
            || Span::new(self.context.text.len() as u32, self.context.text.len() as u32),
            |token| token.span,
        )
    }

    /// Returns the text of the token `n` further on.
    pub fn text_at(&self, n: usize) -> &'a str {
        self.context.slice(self.span_at(n))
    }

    /// Leaves out the next token, unless it is the end.
    pub fn skip(self) -> Self {
        if self.kind() == Kind::End { self } else { self.take_from(1) }
    }

    /// Skips to the next of `stops` outside brackets, or to a bracket that closes one around here.
    pub fn skip_to(self, stops: &[Kind]) -> Self {
        let mut depth = 0_usize;
        for (i, token) in self.rest.iter().enumerate() {
            match token.kind {
                Kind::End => return self.take_from(i),
                kind if depth == 0 && stops.contains(&kind) => return self.take_from(i),
                Kind::OpenBrace | Kind::OpenParen | Kind::OpenBracket => depth += 1,
                Kind::CloseBrace | Kind::CloseParen | Kind::CloseBracket if depth == 0 => {
                    return self.take_from(i);
                }
                Kind::CloseBrace | Kind::CloseParen | Kind::CloseBracket => depth -= 1,
                _ => {}
            }
        }
        self
    }

    /// Leaves everything out up to where `later` begins.
    pub fn lose_until(self, later: Self) {
        self.context.lose(Span::new(self.span().start, later.span().start));
    }

    /// Fails because something else should stand here.
    pub fn expected<T>(self, what: &'static str) -> Parse<'a, T> {
        Err(nom::Err::Error(Expected { at: self.span(), kind: self.kind(), what }))
    }
}

/// What should have stood where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub at: Span,
    pub kind: Kind,
    pub what: &'static str,
}

impl ParseError<Tokens<'_>> for Expected {
    fn from_error_kind(input: Tokens<'_>, _: ErrorKind) -> Self {
        Expected { at: input.span(), kind: input.kind(), what: "something else" }
    }

    fn append(_: Tokens<'_>, _: ErrorKind, other: Self) -> Self {
        other
    }

    /// Of two alternatives the one that came further says more.
    fn or(self, other: Self) -> Self {
        if other.at.start >= self.at.start { other } else { self }
    }
}

/// Takes one token of a kind.
pub(crate) fn token<'a>(
    kind: Kind,
    what: &'static str,
) -> impl Parser<Tokens<'a>, Output = Token, Error = Expected> {
    move |input: Tokens<'a>| {
        if input.kind() == kind && kind != Kind::End {
            Ok((input.take_from(1), input.rest[0]))
        } else {
            input.expected(what)
        }
    }
}

impl<'a> Input for Tokens<'a> {
    type Item = Token;
    type Iter = Copied<Iter<'a, Token>>;
    type IterIndices = Enumerate<Self::Iter>;

    fn input_len(&self) -> usize {
        self.rest.len()
    }

    fn take(&self, index: usize) -> Self {
        Tokens { rest: &self.rest[..index], ..*self }
    }

    fn take_from(&self, index: usize) -> Self {
        Tokens { rest: &self.rest[index..], ..*self }
    }

    fn take_split(&self, index: usize) -> (Self, Self) {
        (self.take_from(index), self.take(index))
    }

    fn position<P: Fn(Token) -> bool>(&self, predicate: P) -> Option<usize> {
        self.rest.iter().position(|token| predicate(*token))
    }

    fn iter_elements(&self) -> Self::Iter {
        self.rest.iter().copied()
    }

    fn iter_indices(&self) -> Self::IterIndices {
        self.iter_elements().enumerate()
    }

    fn slice_index(&self, count: usize) -> Result<usize, Needed> {
        if count <= self.rest.len() { Ok(count) } else { Err(Needed::new(count - self.rest.len())) }
    }
}
