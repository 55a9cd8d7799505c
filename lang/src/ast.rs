//! What does a plan file say, before anybody asks whether it makes sense?
//!
//! The tree follows the grammar one to one, and every node knows its range of bytes. Names are not
//! resolved, kinds and fields are not known, quantities are read but not compared with what a field
//! wants: that is the checker's work. Runs of one kind of operator are lists, not nested pairs, so
//! that no file, however long its sums, can exhaust the stack; depth is bounded by the nesting limit.

use capstan_types::place::{FileId, Span};
use capstan_types::quantity::Quantity;
use jiff::civil;

/// A parsed plan file.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// The file's name.
    pub file: FileId,
    /// What stands in it, in order; entries that could not be read are left out.
    pub entries: Vec<Entry>,
    /// Comments, in order, each from its `#` to the end of the line.
    pub comments: Vec<Span>,
    /// What of the text is not in the tree, or not as it was meant.
    pub holes: Holes,
}

/// Where reading went wrong, so that what seems to be missing or strange there is no second mistake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holes {
    /// Text that was left out, or that stands in the tree for want of something better.
    pub lost: Vec<Span>,
    /// Where braces do not pair, so that a block may hold what was meant to stand behind it.
    pub braces: Vec<Span>,
}

impl Holes {
    /// Was everything read as it was written?
    pub fn is_empty(&self) -> bool {
        self.lost.is_empty() && self.braces.is_empty()
    }
}

/// Something at the top of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// `use catalog "own.toml" as own`
    Use(Use),
    /// `param peak = 40 req/s`
    Param(Binding),
    /// `let half = peak / 2`
    Let(Binding),
    /// Anything that may also stand in a block.
    Item(Item),
}

/// A reference to another file.
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    /// What the file holds, where it is said.
    pub kind: Option<(UseKind, Span)>,
    /// The path as written.
    pub path: Text,
    /// The name it gets here.
    pub alias: Option<Name>,
    /// The whole entry.
    pub span: Span,
}

/// What a used file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseKind {
    /// Hardware, models, traffic.
    Catalog,
    /// Dated prices.
    Prices,
}

/// A named value.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// The name.
    pub name: Name,
    /// The value.
    pub value: Expr,
    /// The whole entry.
    pub span: Span,
}

/// Something in a block.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// `slo ttft { p99 <= 500 ms }`
    Block(Block),
    /// `require unit_cost: chat.cost <= 5 USD else "too dear"`
    Clause(Clause),
    /// `set own.price *= 3.5`
    Set(Set),
    /// `power <= 1.2 MW`
    Field(Field),
}

/// A kind, perhaps a name, and a body.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The kind: `serve`.
    pub kind: Name,
    /// The name: `chat`, or a string.
    pub label: Option<Label>,
    /// What stands between the braces.
    pub body: Vec<Item>,
    /// From `{` to `}`.
    pub braces: Span,
    /// The whole block.
    pub span: Span,
}

/// The name of a block.
#[derive(Clone, Debug, PartialEq)]
pub enum Label {
    /// An identifier.
    Name(Name),
    /// A string.
    Text(Text),
}

impl Label {
    /// Returns the name as text.
    pub fn text(&self) -> &str {
        match self {
            Label::Name(name) => &name.text,
            Label::Text(text) => &text.value,
        }
    }

    /// Returns where it stands.
    pub fn span(&self) -> Span {
        match self {
            Label::Name(name) => name.span,
            Label::Text(text) => text.span,
        }
    }
}

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Clause {
    /// How strict it is.
    pub kind: ClauseKind,
    /// Where the keyword stands.
    pub kind_span: Span,
    /// Its name: `unit_cost:`.
    pub label: Option<Name>,
    /// What must hold.
    pub condition: Expr,
    /// What to say where it does not.
    pub otherwise: Option<Text>,
    /// The whole clause.
    pub span: Span,
}

/// How strict a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClauseKind {
    /// Must hold.
    Require,
    /// Is wished.
    Prefer,
    /// Is reported where it does not hold.
    Warn,
    /// Is tested by `capstan test`.
    Expect,
}

impl ClauseKind {
    /// Returns the keyword.
    pub fn word(self) -> &'static str {
        match self {
            ClauseKind::Require => "require",
            ClauseKind::Prefer => "prefer",
            ClauseKind::Warn => "warn",
            ClauseKind::Expect => "expect",
        }
    }
}

/// A change to a value, in a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    /// What changes.
    pub path: Path,
    /// How.
    pub op: SetOp,
    /// Where the operator stands.
    pub op_span: Span,
    /// By what.
    pub value: Expr,
    /// The whole statement.
    pub span: Span,
}

/// How a value changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOp {
    /// `=`
    To,
    /// `*=`
    Times,
    /// `+=`
    Plus,
}

impl SetOp {
    /// Returns the operator as written.
    pub fn word(self) -> &'static str {
        match self {
            SetOp::To => "=",
            SetOp::Times => "*=",
            SetOp::Plus => "+=",
        }
    }
}

/// A fact or a limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// What it is about.
    pub path: Path,
    /// Fact or limit.
    pub op: FieldOp,
    /// Where the operator stands.
    pub op_span: Span,
    /// The value.
    pub value: Expr,
    /// The whole field.
    pub span: Span,
}

/// Fact or limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldOp {
    /// `=`: a fact.
    Is,
    /// `<=`: an upper limit.
    AtMost,
    /// `>=`: a lower limit.
    AtLeast,
    /// `in`: a choice.
    In,
}

impl FieldOp {
    /// Returns the operator as written.
    pub fn word(self) -> &'static str {
        match self {
            FieldOp::Is => "=",
            FieldOp::AtMost => "<=",
            FieldOp::AtLeast => ">=",
            FieldOp::In => "in",
        }
    }
}

/// An identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The identifier.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// A string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Its characters, escapes resolved.
    pub value: String,
    /// Where it stands, with its quotes.
    pub span: Span,
}

/// Identifiers joined by points. Most are one identifier, which needs no list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The first part.
    pub first: Name,
    /// The parts after points.
    pub rest: Vec<Name>,
    /// The whole path.
    pub span: Span,
}

impl Path {
    /// Returns the path of one identifier.
    pub fn of(name: Name) -> Self {
        let span = name.span;
        Path { first: name, rest: Vec::new(), span }
    }

    /// Returns the parts in order.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &Name> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// Returns the path as written, without blanks.
    pub fn dotted(&self) -> String {
        let parts: Vec<&str> = self.segments().map(|name| name.text.as_str()).collect();
        parts.join(".")
    }

    /// Returns the identifier where the path is only one.
    pub fn as_name(&self) -> Option<&Name> {
        self.rest.is_empty().then_some(&self.first)
    }
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// Could not be read; a diagnostic says why, so nobody need complain again.
    Error,
    /// `2027-01-01`
    Date(civil::Date),
    /// `14:00`
    Time(civil::Time),
    /// `40 req/s`, `99.9%`, `8`
    Quantity(Quantity),
    /// A string, escapes resolved.
    Text(String),
    /// `true`, `false`
    Bool(bool),
    /// `diurnal(trough = 30%)`
    Call(Call),
    /// `chat.cost`, `llama70b`
    Path(Path),
    /// `[a, b]`
    List(Vec<Expr>),
    /// `{ power <= 40 kW, height = 42 U }`
    Record(Vec<Field>),
    /// `(a + b)`
    Group(Box<Expr>),
    /// `not a`
    Not(Box<Expr>),
    /// `-a`
    Negative(Box<Expr>),
    /// Operands with operators of one level of precedence, evaluated from the left.
    Chain(Box<Expr>, Vec<Link>),
    /// `a <= b`; chains of comparisons are a mistake.
    Compare(Box<Expr>, CompareOp, Span, Box<Expr>),
    /// `low .. high`
    Range(Box<Expr>, Box<Expr>),
    /// `mid in low .. high @ 90%`
    Uncertain(Box<Uncertain>),
}

/// A call of a built-in function.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The function.
    pub path: Path,
    /// The arguments in order.
    pub arguments: Vec<Argument>,
}

/// An argument, perhaps named.
#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    /// The name before `=`.
    pub name: Option<Name>,
    /// The value. In `buy = [reserved(3 y) >= 20%]` the call itself is an operand of a comparison.
    pub value: Expr,
}

/// An operator of a chain and what follows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The operator.
    pub op: ChainOp,
    /// Where it stands.
    pub op_span: Span,
    /// What follows.
    pub operand: Expr,
}

/// An operator that joins any number of operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainOp {
    /// `or`
    Or,
    /// `and`
    And,
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `*`
    Times,
    /// `/`
    Over,
}

impl ChainOp {
    /// Returns the operator as written.
    pub fn word(self) -> &'static str {
        match self {
            ChainOp::Or => "or",
            ChainOp::And => "and",
            ChainOp::Plus => "+",
            ChainOp::Minus => "-",
            ChainOp::Times => "*",
            ChainOp::Over => "/",
        }
    }
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `>`
    Above,
    /// `==`
    Equal,
    /// `!=`
    Different,
}

impl CompareOp {
    /// Returns the operator as written.
    pub fn word(self) -> &'static str {
        match self {
            CompareOp::AtMost => "<=",
            CompareOp::AtLeast => ">=",
            CompareOp::Below => "<",
            CompareOp::Above => ">",
            CompareOp::Equal => "==",
            CompareOp::Different => "!=",
        }
    }
}

/// A value that is only known within bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Uncertain {
    /// The median.
    pub mid: Expr,
    /// The lower quantile.
    pub low: Expr,
    /// The upper quantile.
    pub high: Expr,
    /// How much of the distribution lies between them; 90 % where it is not said.
    pub confidence: Option<(Quantity, Span)>,
}
