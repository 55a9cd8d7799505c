//! How is the text of a plan read?
//!
//! In three passes: [`token`] finds the words, [`brackets`] pairs the brackets and drops newlines that
//! separate nothing, [`item`] and [`expr`] build the tree with nom over the slice of tokens. Recovery
//! is at the end of an entry: a file with ten mistakes gives ten messages. The grammar:
//!
//! ```text
//! file   = { sep } [ entry { sep { sep } entry } { sep } ] ;       sep = newline | "," | ";" ;
//! entry  = use | param | let | item ;      param = "param" ident "=" expr ;      let = "let" ident "=" expr ;
//! use    = "use" [ "catalog" | "prices" ] string [ "as" ident ] ;
//! item   = block | clause | set | field ;  block = ident [ ident | string ] "{" body(item) "}" ;
//! body(x)= { sep } [ x { sep { sep } x } { sep } ] ;
//! field  = path ( "=" | "<=" | ">=" | "in" ) expr ;
//! clause = ( "require" | "prefer" | "warn" | "expect" ) [ ident ":" ] expr [ "else" string ] ;
//! set    = "set" path ( "=" | "*=" | "+=" ) expr ;
//! expr   = or [ ".." sum | "in" sum ".." sum [ "@" quantity ] ] ;
//! or     = and { "or" and } ;  and = not { "and" not } ;  not = [ "not" ] cmp ;
//! cmp    = sum [ ( "<=" | ">=" | "<" | ">" | "==" | "!=" ) sum ] ;
//! sum    = product { ("+"|"-") product } ;  product = unary { ("*"|"/") unary } ;  unary = [ "-" ] primary ;
//! primary= date | time | quantity | string | "true" | "false" | call | path | list | "{" body(field) "}" | "(" expr ")" ;
//! call   = path "(" [ arg { "," arg } [","] ] ")" ;  arg = [ ident "=" ] expr ;  list = "[" [ expr { "," expr } [","] ] "]" ;
//! path   = ident { "." ident } ;  ident = (letter|"_") { letter | digit | "_" } ;
//! date   = 4digit "-" 2digit "-" 2digit ;  time = 2digit ":" 2digit ;
//! quantity = [ "$"|"€"|"£"|"¥" ] number [ unit ] ;  number = digits [ "." digits ] ;
//! unit   = atom { ("/"|"*") atom } ;  atom = "%" | letter { letter | digit } ;
//! string = '"' { char | \" | \\ | \n | \t } '"' ;  comment = "#" to the end of the line ;
//! ```
//! Reserved words, never a name or a unit: `in or and not else as true false`. Newlines are blanks
//! inside `(` and `[`, after an operator, and after `in and or not else`; the innermost bracket
//! decides. Dates and times are tried before numbers. Where quantities end: [`capstan_types::quantity`].

mod brackets;
mod expr;
mod input;
mod item;
mod literal;
mod token;

use capstan_types::place::{FileId, Span};
use capstan_types::quantity::Currency;

use self::input::{Context, Tokens};
use self::token::{Kind, Lexed, Token};
use crate::ast::{File, Holes, Set};
use crate::codes;
use crate::diagnostic::{self, Diagnostic};

/// Longest plan file.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// A tree and the mistakes in its text. The tree is complete where no diagnostic is an error.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "the mistakes want to be shown"]
pub struct Parsed {
    /// What could be read.
    pub file: File,
    /// All mistakes, in the order of their places.
    pub diagnostics: Vec<Diagnostic>,
}

impl Parsed {
    /// Was everything read?
    pub fn is_clean(&self) -> bool {
        !self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Reads a plan file from bytes, which must be UTF-8.
pub fn parse_bytes(file: &FileId, bytes: &[u8]) -> Parsed {
    if bytes.len() > MAX_BYTES {
        return too_long(file);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(file, text),
        Err(error) => {
            let at = error.valid_up_to() as u32;
            let end = (at as usize + error.error_len().unwrap_or(1)).min(bytes.len()) as u32;
            let place = Span::new(at, end).in_file(file);
            let diagnostic = Diagnostic::error(codes::NOT_UTF8, place, "the file is not UTF-8");
            nothing(file, diagnostic.help("save it as UTF-8, without a byte-order mark"))
        }
    }
}

/// Reads a plan file.
pub fn parse(file: &FileId, text: &str) -> Parsed {
    if text.len() > MAX_BYTES {
        return too_long(file);
    }
    let Lexed { tokens, comments, lost, diagnostics } = token::lex(file, text);
    let yen = yen(text, &tokens);
    let (tokens, unbalanced) = brackets::balance(file, text, &tokens);
    let braces = doubtful_braces(text, &unbalanced);
    // What is nested too deeply is not read, nor is what follows.
    let deep = unbalanced.iter().find(|found| found.code == codes::TOO_DEEP);
    let too_deep = deep.and_then(|found| found.secondary.first());
    let too_deep = too_deep.map(|(outermost, _)| Span::new(outermost.start, text.len() as u32));
    let context = Context::new(file, text, yen, diagnostics, unbalanced);
    context.lost.borrow_mut().extend(lost.into_iter().chain(too_deep));
    let entries = item::file(Tokens::new(&tokens, &context));
    let holes = Holes { lost: context.lost.into_inner(), braces };
    let mut diagnostics = context.diagnostics.into_inner();
    diagnostic::sort(&mut diagnostics);
    Parsed { file: File { file: file.clone(), entries, comments, holes }, diagnostics }
}

/// Reads a change as it stands on the command line: `chat.load.peak = 80 req/s`, `own.price *= 2`.
/// Places are in `text`; `currency` is the plan's and says what `¥` means.
pub fn parse_assignment(
    file: &FileId,
    text: &str,
    currency: Option<Currency>,
) -> Result<Set, Vec<Diagnostic>> {
    if text.len() > MAX_BYTES {
        return Err(too_long(file).diagnostics);
    }
    let Lexed { tokens, diagnostics, .. } = token::lex(file, text);
    let (tokens, unbalanced) = brackets::balance(file, text, &tokens);
    let yen = currency.filter(|currency| [Currency::CNY, Currency::JPY].contains(currency));
    let context = Context::new(file, text, yen, diagnostics, unbalanced);
    let set = match item::assignment(Tokens::new(&tokens, &context)) {
        Ok((rest, set)) => {
            if rest.kind() != Kind::End {
                let message = format!("expected the end, found {}", expr::describe(rest));
                context.report(context.error(codes::SEPARATOR, rest.span(), message));
            }
            Some(set)
        }
        Err(error) => {
            expr::report(&context, &error);
            None
        }
    };
    let mut diagnostics = context.diagnostics.into_inner();
    diagnostic::sort(&mut diagnostics);
    set.filter(|_| diagnostics.is_empty()).ok_or(diagnostics)
}

/// Returns what `¥` means: the plan's currency, where that is one of the two.
fn yen(text: &str, tokens: &[Token]) -> Option<Currency> {
    tokens.windows(3).find_map(|three| match three {
        [field, equals, code] if equals.kind == Kind::Assign && &text[field.span.range()] == "currency" => {
            Currency::from_code(&text[code.span.range()])
                .filter(|currency| [Currency::CNY, Currency::JPY].contains(currency))
        }
        _ => None,
    })
}

/// Returns where a brace has no partner. A `(` or `[` without one costs its own entry only.
fn doubtful_braces(text: &str, unbalanced: &[Diagnostic]) -> Vec<Span> {
    let brace = |found: &&Diagnostic| {
        let alone = found.secondary.is_empty() && matches!(&text[found.place.span().range()], "{" | "}");
        found.code == codes::TOO_DEEP || alone
    };
    unbalanced.iter().filter(brace).map(|found| found.place.span()).collect()
}

fn too_long(file: &FileId) -> Parsed {
    let message = format!("the file is longer than {} MiB", MAX_BYTES / 1024 / 1024);
    let diagnostic = Diagnostic::error(codes::TOO_LONG, Span::default().in_file(file), message);
    nothing(file, diagnostic.help("large tables belong in a catalog or a trace"))
}

fn nothing(file: &FileId, diagnostic: Diagnostic) -> Parsed {
    let holes = Holes { lost: vec![diagnostic.place.span()], braces: Vec::new() };
    let empty = File { file: file.clone(), entries: Vec::new(), comments: Vec::new(), holes };
    Parsed { file: empty, diagnostics: vec![diagnostic] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ast::{Entry, Expr, ExprKind, Item, SetOp};

    fn assignment(text: &str) -> Result<Set, Vec<String>> {
        let set = parse_assignment(&FileId::new("--set"), text, Some(Currency::JPY));
        set.map_err(|all| all.into_iter().map(|found| format!("{}: {}", found.code, found.message)).collect())
    }

    #[test]
    fn a_change_on_the_command_line_is_read_like_one_in_a_scenario() {
        let set = assignment("chat.load.peak=80 req/s").expect("a change");
        assert_eq!((set.path.dotted().as_str(), set.op), ("chat.load.peak", SetOp::To));
        assert!(matches!(set.value.kind, ExprKind::Quantity(ref peak) if peak.value == 80.0));
        assert!(assignment("a.b *= 3.5").is_ok_and(|set| set.op == SetOp::Times));
        assert!(assignment("a = ¥5").is_ok());
        assert_eq!(assignment("a = 5 kw"), Err(vec!["E0102: unknown unit `kw`".to_owned()]));
        assert_eq!(
            assignment("a"),
            Err(vec!["E0101: expected `=`, `*=` or `+=`, found the end of the file".to_owned()])
        );
        assert_eq!(assignment("a = 1, b = 2"), Err(vec!["E0111: expected the end, found `,`".to_owned()]));
        assert!(assignment("").is_err());
    }

    /// Collects the text of every field of a body, inner ones after outer ones.
    fn fields(items: &[Item], text: &str, out: &mut Vec<String>) {
        for item in items {
            match item {
                Item::Field(field) => {
                    out.push(text[field.span.range()].to_owned());
                    assert_eq!(text[field.path.span.range()], field.path.dotted());
                    assert_eq!(&text[field.op_span.range()], field.op.word());
                    if let ExprKind::Record(inner) = &field.value.kind {
                        let inner: Vec<Item> = inner.iter().cloned().map(Item::Field).collect();
                        fields(&inner, text, out);
                    }
                }
                Item::Block(block) => fields(&block.body, text, out),
                Item::Clause(clause) => out.push(text[clause.span.range()].to_owned()),
                Item::Set(set) => out.push(text[set.span.range()].to_owned()),
            }
        }
    }

    #[test]
    fn every_node_knows_its_text() {
        let text = "serve chat { model = m, slo ttft { p99 <= 500 ms }\n load = { peak = 40 req/s in 25 .. 80 @ 90% }\n}\n\
                    budget b { require u: a.cost / 2 <= 0.60 USD/Mtok else \"no\" }\nscenario s { set a.b *= (1 + 2) }";
        let parsed = parse(&FileId::new("x.plan"), text);
        assert!(parsed.is_clean());
        let items = parsed.file.entries.iter().map(|entry| match entry {
            Entry::Item(item) => item.clone(),
            other => panic!("no item: {other:?}"),
        });
        let mut found = Vec::new();
        fields(&items.collect::<Vec<_>>(), text, &mut found);
        let expected = [
            "model = m",
            "p99 <= 500 ms",
            "load = { peak = 40 req/s in 25 .. 80 @ 90% }",
            "peak = 40 req/s in 25 .. 80 @ 90%",
            "require u: a.cost / 2 <= 0.60 USD/Mtok else \"no\"",
            "set a.b *= (1 + 2)",
        ];
        assert_eq!(found, expected);
    }

    /// Precedence as in the grammar: `or` binds least, then `and`, `not`, comparison, sum, product.
    #[test]
    fn operators_bind_as_the_grammar_says() {
        let shape = |text: &str| {
            let parsed = parse(&FileId::new("x.plan"), &format!("let a = {text}"));
            assert!(parsed.is_clean(), "{text}");
            match &parsed.file.entries[0] {
                Entry::Let(binding) => shape_of(&binding.value),
                other => panic!("no binding: {other:?}"),
            }
        };
        assert_eq!(shape("a or b and not c <= d + e * -f"), "(a or (b and (not (c <= (d + (e * (-f)))))))");
        assert_eq!(shape("a - b - c / d / e"), "(a - b - (c / d / e))");
        assert_eq!(shape("a + b .. c * d"), "((a + b) .. (c * d))");
        assert_eq!(shape("a in b .. c"), "(a in b .. c)");
    }

    fn shape_of(value: &Expr) -> String {
        match &value.kind {
            ExprKind::Path(path) => path.dotted(),
            ExprKind::Not(inner) => format!("(not {})", shape_of(inner)),
            ExprKind::Negative(inner) => format!("(-{})", shape_of(inner)),
            ExprKind::Chain(first, links) => {
                let links =
                    links.iter().map(|link| format!(" {} {}", link.op.word(), shape_of(&link.operand)));
                format!("({}{})", shape_of(first), links.collect::<String>())
            }
            ExprKind::Compare(left, op, _, right) => {
                format!("({} {} {})", shape_of(left), op.word(), shape_of(right))
            }
            ExprKind::Range(low, high) => format!("({} .. {})", shape_of(low), shape_of(high)),
            ExprKind::Uncertain(all) => {
                format!("({} in {} .. {})", shape_of(&all.mid), shape_of(&all.low), shape_of(&all.high))
            }
            other => format!("{other:?}"),
        }
    }
}
