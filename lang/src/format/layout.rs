//! Which line does what stand on?
//!
//! Walks the tree and the comments side by side. Positions in the old text decide blank lines and which
//! comment belongs to which entry; nothing else of the old layout matters, except that a block written
//! on one line stays on one.

use capstan_types::place::Span;

use super::{Line, MAX_COLUMNS, Run, inline, width};
use crate::ast::{Block, Entry, Expr, ExprKind, Field, File, Item, UseKind};

const INDENT: usize = 2;

/// Lays out a file.
pub(super) fn lines<'a>(text: &'a str, file: &'a File) -> Vec<Line<'a>> {
    let mut layout = Layout { text, comments: &file.comments, lines: Vec::new(), last_end: 0, fresh: true };
    let nodes = file.entries.iter().map(Node::from_entry).collect();
    layout.body(0, nodes, Span::new(0, text.len() as u32));
    layout.lines
}

/// Something that gets a line of its own.
#[derive(Clone, Copy)]
enum Node<'a> {
    Entry(&'a Entry),
    Item(&'a Item),
    Field(&'a Field),
    Element(&'a Expr),
}

impl<'a> Node<'a> {
    fn from_entry(entry: &'a Entry) -> Self {
        match entry {
            Entry::Item(item) => Node::Item(item),
            other => Node::Entry(other),
        }
    }

    fn span(self) -> Span {
        match self {
            Node::Entry(Entry::Use(one)) => one.span,
            Node::Entry(Entry::Param(one) | Entry::Let(one)) => one.span,
            Node::Entry(Entry::Item(item)) | Node::Item(item) => match item {
                Item::Block(one) => one.span,
                Item::Clause(one) => one.span,
                Item::Set(one) => one.span,
                Item::Field(one) => one.span,
            },
            Node::Field(one) => one.span,
            Node::Element(one) => one.span,
        }
    }
}

struct Layout<'a> {
    text: &'a str,
    /// Comments that have no line yet.
    comments: &'a [Span],
    lines: Vec<Line<'a>>,
    /// Where in the old text the last thing that got a line ends.
    last_end: u32,
    /// Is this the first line of a body? It gets no blank line before it.
    fresh: bool,
}

/// A line before it is known where it stands.
struct Row<'a> {
    run: Run<'a>,
    head: String,
    op: &'static str,
    tail: String,
}

impl<'a> Row<'a> {
    fn alone(tail: String) -> Self {
        Row { run: Run::Alone, head: String::new(), op: "", tail }
    }
}

impl<'a> Layout<'a> {
    /// Lays out what stands between two brackets, or in the file.
    fn body(&mut self, indent: usize, nodes: Vec<Node<'a>>, inside: Span) {
        self.last_end = inside.start;
        self.fresh = true;
        for (i, node) in nodes.iter().enumerate() {
            let span = node.span();
            self.own_lines(indent, span.start);
            self.node(indent, *node);
            self.last_end = self.last_end.max(span.end);
            let next = nodes.get(i + 1).map_or(inside.end, |next| next.span().start);
            self.trailing(span.end, next);
        }
        self.own_lines(indent, inside.end);
    }

    fn push(&mut self, indent: usize, row: Row<'a>, at: u32) {
        let gap = self.text.get(self.last_end as usize..at as usize).unwrap_or("");
        let blank_before = !self.fresh && gap.matches('\n').count() >= 2;
        self.fresh = false;
        self.last_end = self.last_end.max(at);
        let Row { run, head, op, tail } = row;
        self.lines.push(Line {
            run,
            indent,
            blank_before,
            head,
            op,
            tail,
            code: String::new(),
            comment: None,
            gap: 0,
        });
    }

    /// Gives the comments that begin before `end` lines of their own.
    fn own_lines(&mut self, indent: usize, end: u32) {
        while let Some((comment, rest)) = self.comments.split_first()
            && comment.start < end
        {
            self.comments = rest;
            self.push(indent, Row::alone(self.text[comment.range()].trim_end().to_owned()), comment.start);
            self.last_end = comment.end;
        }
    }

    /// Puts a comment that follows on the same line at the end of the last line.
    fn trailing(&mut self, end: u32, before: u32) {
        let Some((comment, rest)) = self.comments.split_first() else { return };
        if comment.start < end
            || comment.start >= before
            || self.text[end as usize..comment.start as usize].contains('\n')
        {
            return;
        }
        if let Some(line) = self.lines.last_mut().filter(|line| line.comment.is_none()) {
            line.comment = Some(self.text[comment.range()].trim_end());
            self.last_end = comment.end;
            self.comments = rest;
        }
    }

    fn node(&mut self, indent: usize, node: Node<'a>) {
        let span = node.span();
        match node {
            Node::Entry(Entry::Use(one)) => {
                let word = match one.kind {
                    Some((UseKind::Catalog, _)) => "use catalog",
                    Some((UseKind::Prices, _)) => "use prices",
                    None => "use",
                };
                let alias = one.alias.as_ref().map_or(String::new(), |alias| format!(" as {}", alias.text));
                let tail = self.text[one.path.span.range()].to_owned() + &alias;
                self.one_line(indent, Row { run: Run::Use, head: word.to_owned(), op: "", tail }, span);
            }
            Node::Entry(Entry::Param(one)) => self.valued(
                indent,
                Run::Binding("param"),
                &format!("param {}", one.name.text),
                "=",
                &one.value,
                span,
            ),
            Node::Entry(Entry::Let(one)) => self.valued(
                indent,
                Run::Binding("let"),
                &format!("let {}", one.name.text),
                "=",
                &one.value,
                span,
            ),
            Node::Entry(Entry::Item(item)) | Node::Item(item) => match item {
                Item::Block(block) => self.block(indent, block),
                Item::Clause(clause) => {
                    self.one_line(indent, Row::alone(inline::clause(self.text, clause)), span)
                }
                Item::Set(set) => self.one_line(indent, Row::alone(inline::set(self.text, set)), span),
                Item::Field(field) => self.node(indent, Node::Field(field)),
            },
            Node::Field(field) => {
                self.valued(indent, Run::Field, &field.path.dotted(), field.op.word(), &field.value, span)
            }
            Node::Element(element) => self.valued(indent, Run::Alone, "", "", element, span),
        }
    }

    /// A line without breaks; comments from within it come before it.
    fn one_line(&mut self, indent: usize, row: Row<'a>, span: Span) {
        self.own_lines(indent, span.end);
        self.push(indent, row, span.start);
    }

    fn block(&mut self, indent: usize, block: &'a Block) {
        let head = inline::block_head(self.text, block);
        let inside = Span::new(block.braces.start + 1, block.braces.end - 1);
        if !self.text[inside.range()].contains('\n') {
            let tail = inline::block_rest(self.text, block);
            if indent + width(&head) + width(&tail) + 3 <= MAX_COLUMNS {
                let row = Row { run: Run::Block(&block.kind.text), head, op: "{", tail };
                return self.one_line(indent, row, block.span);
            }
        }
        self.push(indent, Row { run: Run::Alone, head, op: "{", tail: String::new() }, block.span.start);
        self.broken(indent, block.body.iter().map(Node::Item).collect(), inside, "}");
    }

    /// `head op value`, where the value may break.
    fn valued(
        &mut self,
        indent: usize,
        run: Run<'a>,
        head: &str,
        op: &'static str,
        value: &'a Expr,
        span: Span,
    ) {
        // Elements of a broken list end with a comma.
        let comma = if head.is_empty() { "," } else { "" };
        let tail = inline::expr(self.text, value);
        let inside = Span::new(value.span.start + 1, value.span.end.saturating_sub(1));
        let commented = self
            .comments
            .iter()
            .take_while(|comment| comment.start < span.end)
            .any(|comment| comment.start > value.span.start);
        let wide = indent + width(head) + 1 + op.len() + 1 + width(&tail) + comma.len() > MAX_COLUMNS;
        let (nodes, open, close): (Vec<Node<'a>>, _, _) = match &value.kind {
            ExprKind::Record(fields) if commented || (wide && !fields.is_empty()) => {
                (fields.iter().map(Node::Field).collect(), "{", "}")
            }
            ExprKind::List(items) if commented || (wide && !items.is_empty()) => {
                (items.iter().map(Node::Element).collect(), "[", "]")
            }
            _ => {
                let row = Row { run, head: head.to_owned(), op, tail: tail + comma };
                return self.one_line(indent, row, span);
            }
        };
        self.own_lines(indent, value.span.start);
        self.push(indent, Row { run, head: head.to_owned(), op, tail: open.to_owned() }, span.start);
        self.broken(indent, nodes, inside, &format!("{close}{comma}"));
    }

    /// What follows the line with the opening bracket.
    fn broken(&mut self, indent: usize, nodes: Vec<Node<'a>>, inside: Span, close: &str) {
        self.trailing(inside.start, nodes.first().map_or(inside.end, |node| node.span().start));
        self.body(indent + INDENT, nodes, Span::new(self.last_end.max(inside.start), inside.end));
        self.fresh = true;
        self.push(indent, Row::alone(close.to_owned()), inside.end);
        self.fresh = false;
        self.last_end = inside.end;
    }
}
