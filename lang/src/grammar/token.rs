//! Which words does a text consist of?
//!
//! One pass, dispatched on the first byte of each token. Everything is accepted here: what cannot be
//! a token is reported and skipped, so the grammar always sees a whole file. A quantity is one token
//! (number, blanks and unit), found by the reader that catalogs use too.

use capstan_types::place::{FileId, Span};
use capstan_types::quantity;
use nom::IResult;
use nom::Parser;
use nom::bytes::complete::{tag, take_while, take_while_m_n};
use nom::combinator::recognize;

use super::input::MAX_DIAGNOSTICS;
use crate::codes;
use crate::diagnostic::{Code, Diagnostic};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Name,
    In,
    Or,
    And,
    Not,
    Else,
    As,
    True,
    False,
    Quantity,
    Date,
    Time,
    Text,
    OpenBrace,
    CloseBrace,
    OpenParen,
    CloseParen,
    OpenBracket,
    CloseBracket,
    Comma,
    Semicolon,
    Newline,
    Dot,
    DotDot,
    Assign,
    Equal,
    Different,
    AtMost,
    AtLeast,
    Below,
    Above,
    Plus,
    Minus,
    Times,
    Over,
    TimesAssign,
    PlusAssign,
    At,
    Colon,
    /// Something that is no token and was reported; whoever stumbles over it need not complain again.
    Bad,
    /// The end of the file; always the last token.
    End,
}

/// A word of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub kind: Kind,
    pub span: Span,
}

/// The tokens of a text, newlines among them, and what is no token.
pub(crate) struct Lexed {
    pub tokens: Vec<Token>,
    pub comments: Vec<Span>,
    /// Strings whose end is a guess.
    pub lost: Vec<Span>,
    pub diagnostics: Vec<Diagnostic>,
}

/// Splits a text of at most 16 MiB into tokens.
pub(crate) fn lex(file: &FileId, text: &str) -> Lexed {
    let out = Lexed {
        // Plan files have a token about every five bytes; measured on the examples.
        tokens: Vec::with_capacity(text.len() / 4 + 1),
        comments: Vec::new(),
        lost: Vec::new(),
        diagnostics: Vec::new(),
    };
    let mut lexer = Lexer { file, text, bytes: text.as_bytes(), at: 0, has_cr: false, out };
    if text.starts_with('\u{feff}') {
        let help = "save it as UTF-8 without a byte-order mark";
        lexer.report(codes::BYTE_ORDER_MARK, 3, "the file begins with a byte-order mark", help);
        lexer.at = 3;
    }
    while lexer.at < lexer.bytes.len() {
        lexer.next();
    }
    lexer.push(Kind::End, 0);
    lexer.out
}

struct Lexer<'a> {
    file: &'a FileId,
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    has_cr: bool,
    out: Lexed,
}

impl Lexer<'_> {
    fn next(&mut self) {
        let first = self.bytes[self.at];
        match first {
            b' ' | b'\t' => self.at += 1,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.name(),
            b'0'..=b'9' => self.number(),
            b'\n' => self.push(Kind::Newline, 1),
            b'\r' if self.peek(1) == Some(b'\n') => self.push(Kind::Newline, 2),
            b'#' => self.comment(),
            b'"' => self.string(),
            b'{' => self.push(Kind::OpenBrace, 1),
            b'}' => self.push(Kind::CloseBrace, 1),
            b'(' => self.push(Kind::OpenParen, 1),
            b')' => self.push(Kind::CloseParen, 1),
            b'[' => self.push(Kind::OpenBracket, 1),
            b']' => self.push(Kind::CloseBracket, 1),
            b',' => self.push(Kind::Comma, 1),
            b';' => self.push(Kind::Semicolon, 1),
            b'-' => self.push(Kind::Minus, 1),
            b'/' => self.push(Kind::Over, 1),
            b'@' => self.push(Kind::At, 1),
            b':' => self.push(Kind::Colon, 1),
            b'=' => self.pair(b'=', Kind::Equal, Kind::Assign),
            b'<' => self.pair(b'=', Kind::AtMost, Kind::Below),
            b'>' => self.pair(b'=', Kind::AtLeast, Kind::Above),
            b'*' => self.pair(b'=', Kind::TimesAssign, Kind::Times),
            b'+' => self.pair(b'=', Kind::PlusAssign, Kind::Plus),
            b'!' if self.peek(1) == Some(b'=') => self.push(Kind::Different, 2),
            b'.' if self.peek(1) == Some(b'.') => self.push(Kind::DotDot, 2),
            b'.' if self.peek(1).is_some_and(|b| b.is_ascii_digit()) => self.leading_point(),
            b'.' => self.push(Kind::Dot, 1),
            b'\r' => self.carriage_return(),
            _ => self.rare(),
        }
    }

    /// Lines that end with CR alone are one habit of one editor: it is said once.
    fn carriage_return(&mut self) {
        if !self.has_cr {
            self.has_cr = true;
            let message = "lines end here with CR alone";
            self.report(
                codes::BAD_CHARACTER,
                1,
                message,
                "save the file with lines that end with LF or CRLF",
            );
        }
        self.push(Kind::Newline, 1);
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn span(&self, len: usize) -> Span {
        Span::new(self.at as u32, (self.at + len) as u32)
    }

    fn push(&mut self, kind: Kind, len: usize) {
        let span = self.span(len);
        self.out.tokens.push(Token { kind, span });
        self.at += len;
    }

    fn pair(&mut self, second: u8, both: Kind, one: Kind) {
        if self.peek(1) == Some(second) { self.push(both, 2) } else { self.push(one, 1) }
    }

    fn report(&mut self, code: Code, len: usize, message: &str, help: &str) {
        // The grammar stumbles over what follows as well, and counts it as one.
        if self.out.diagnostics.len() > MAX_DIAGNOSTICS {
            return;
        }
        let place = self.span(len).in_file(self.file);
        let diagnostic = Diagnostic::error(code, place, message);
        self.out.diagnostics.push(if help.is_empty() { diagnostic } else { diagnostic.help(help) });
    }

    fn name(&mut self) {
        let len = count(take_while(name_byte), &self.bytes[self.at..]);
        let foreign = self.peek(len).is_some_and(|b| !b.is_ascii());
        if foreign && self.text[self.at + len..].starts_with(char::is_alphanumeric) {
            return self.foreign_name();
        }
        let kind = match &self.bytes[self.at..self.at + len] {
            b"in" => Kind::In,
            b"or" => Kind::Or,
            b"and" => Kind::And,
            b"not" => Kind::Not,
            b"else" => Kind::Else,
            b"as" => Kind::As,
            b"true" => Kind::True,
            b"false" => Kind::False,
            _ => Kind::Name,
        };
        self.push(kind, len);
    }

    /// A name with letters of another script is kept whole, so that only one mistake is seen.
    fn foreign_name(&mut self) {
        let rest = &self.text[self.at..];
        let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let message = format!("the name `{}` has letters outside a–z", &rest[..len]);
        self.report(codes::FOREIGN_NAME, len, &message, "names consist of a–z, A–Z, 0–9 and `_`");
        self.push(Kind::Name, len);
    }

    fn number(&mut self) {
        let rest = &self.bytes[self.at..];
        let ends = |len: usize| !rest.get(len).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        if date(rest).is_ok() && ends(10) {
            return self.push(Kind::Date, 10);
        }
        if time(rest).is_ok() && ends(5) {
            return self.push(Kind::Time, 5);
        }
        self.quantity();
    }

    fn quantity(&mut self) {
        match quantity::extent(&self.text[self.at..]) {
            Some(parts) => self.push(Kind::Quantity, parts.number.end.max(parts.unit.end)),
            None => self.rare_character(),
        }
    }

    /// `.5`: the quantity is read from its digits on.
    fn leading_point(&mut self) {
        let digits = count(take_while(|b: u8| b.is_ascii_digit()), &self.bytes[self.at + 1..]);
        let written = &self.text[self.at..self.at + 1 + digits];
        let help = format!("write `0{written}`");
        self.report(codes::BAD_NUMBER, 1 + digits, "a number begins with a digit", &help);
        self.at += 1;
        self.quantity();
    }

    fn comment(&mut self) {
        let rest = &self.bytes[self.at..];
        let len = count(take_while(|b| !matches!(b, b'\n' | b'\r')), rest);
        let span = self.span(len);
        self.out.comments.push(span);
        self.at += len;
    }

    fn string(&mut self) {
        let mut len = 1;
        loop {
            len += count(
                take_while(|b| !matches!(b, b'"' | b'\\' | b'\n' | b'\r')),
                &self.bytes[self.at + len..],
            );
            match self.peek(len) {
                Some(b'"') => return self.push(Kind::Text, len + 1),
                Some(b'\\') => len += self.escape(len),
                Some(b'\r') if self.peek(len + 1) != Some(b'\n') => len += 1,
                _ => break,
            }
        }
        self.out.lost.push(self.span(len));
        self.report(codes::OPEN_STRING, len, "this string has no end", "close it with `\"` on the same line");
        self.push(Kind::Text, len);
    }

    /// Returns the length of the escape that begins `from` bytes ahead.
    fn escape(&mut self, from: usize) -> usize {
        let rest = &self.text[self.at + from + 1..];
        match rest.chars().next() {
            Some('"' | '\\' | 'n' | 't') => 2,
            None | Some('\n' | '\r') => 1,
            Some(other) => {
                let start = (self.at + from) as u32;
                let len = 1 + other.len_utf8();
                let place = Span::new(start, start + len as u32).in_file(self.file);
                let message = format!("`\\{other}` is no escape");
                let help = "the escapes are `\\\"`, `\\\\`, `\\n` and `\\t`";
                self.out.diagnostics.push(Diagnostic::error(codes::BAD_ESCAPE, place, message).help(help));
                len
            }
        }
    }

    /// Bytes that begin a token seldom or never.
    fn rare(&mut self) {
        let first = self.text[self.at..].chars().next().unwrap_or('\0');
        match first {
            '$' | '€' | '£' | '¥' => self.quantity(),
            first if first.is_alphabetic() => self.foreign_name(),
            _ => self.rare_character(),
        }
    }

    /// Reports a run of one character that belongs to no token. Where it is clear what was meant, that
    /// is what the grammar sees.
    fn rare_character(&mut self) {
        let rest = &self.text[self.at..];
        let first = rest.chars().next().unwrap_or('\0');
        let len: usize = rest.chars().take_while(|c| *c == first).map(char::len_utf8).sum();
        let message = match first {
            c if c.is_control() || c.is_whitespace() => {
                format!("the character U+{:04X} has no meaning here", c as u32)
            }
            c => format!("`{c}` has no meaning here"),
        };
        let (meant, help) = meant(first);
        if meant == Kind::Text
            && let Some(quoted) = foreign_string(rest)
        {
            self.out.lost.push(self.span(quoted));
            self.report(codes::BAD_CHARACTER, quoted, &message, help);
            return self.push(Kind::Text, quoted);
        }
        self.report(codes::BAD_CHARACTER, len, &message, help);
        match meant {
            Kind::Text => self.push(Kind::Bad, len),
            Kind::Newline => self.at += len,
            meant => self.push(meant, len),
        }
    }
}

/// Returns what a foreign character was meant as (a newline stands for a blank), and what to write.
fn meant(character: char) -> (Kind, &'static str) {
    match character {
        '&' => (Kind::And, "write `and`"),
        '|' => (Kind::Or, "write `or`"),
        '!' => (Kind::Not, "write `not`, or `!=` for different"),
        '\'' | '`' | '“' | '”' | '‘' | '’' | '„' => (Kind::Text, "strings stand in `\"`"),
        '\u{a0}' | '\u{202f}' => (Kind::Newline, "this is a no-break space; write a plain one"),
        '–' | '—' | '−' => (Kind::Minus, "write `-`"),
        '≤' => (Kind::AtMost, "write `<=`"),
        '≥' => (Kind::AtLeast, "write `>=`"),
        '×' => (Kind::Times, "write `*`"),
        '$' | '€' | '£' | '¥' => (Kind::Bad, "a currency sign stands directly before a number: `$5`"),
        '＝' => (Kind::Assign, "write `=`"),
        '\\' => (Kind::Bad, "comments begin with `#`, and a line needs no sign to go on"),
        _ => (Kind::Bad, "remove it"),
    }
}

/// Returns the length of a string in quotes of another kind, where it ends on its line.
fn foreign_string(text: &str) -> Option<usize> {
    let open = text.chars().next()?;
    let closes = |c: char| match open {
        '\'' | '`' => c == open,
        _ => matches!(c, '“' | '”' | '‘' | '’'),
    };
    let line = text.split(['\n', '\r']).next()?;
    let (at, close) = line.char_indices().skip(1).find(|(_, c)| closes(*c))?;
    Some(at + close.len_utf8())
}

fn name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// Returns how many bytes a parser takes.
fn count<'a>(
    mut parser: impl Parser<&'a [u8], Output = &'a [u8], Error = nom::error::Error<&'a [u8]>>,
    bytes: &'a [u8],
) -> usize {
    parser.parse(bytes).map_or(0, |(_, taken)| taken.len())
}

fn digits<'a>(n: usize) -> impl Parser<&'a [u8], Output = &'a [u8], Error = nom::error::Error<&'a [u8]>> {
    take_while_m_n(n, n, |b: u8| b.is_ascii_digit())
}

fn date(bytes: &[u8]) -> IResult<&[u8], &[u8]> {
    recognize((digits(4), tag("-"), digits(2), tag("-"), digits(2))).parse(bytes)
}

fn time(bytes: &[u8]) -> IResult<&[u8], &[u8]> {
    recognize((digits(2), tag(":"), digits(2))).parse(bytes)
}
