//! What a report says, before anybody chooses a width, a colour or a format.

use capstan_types::place::Place;

/// How something is meant; whoever renders decides whether that is a colour, a word or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// It holds.
    Good,
    /// Look at it.
    Warn,
    /// It does not hold.
    Bad,
    /// Of less weight.
    Faint,
    /// Of more weight.
    Strong,
}

impl Tone {
    /// Returns its word in forms that have style sheets.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Tone::Plain => "plain",
            Tone::Good => "good",
            Tone::Warn => "warn",
            Tone::Bad => "bad",
            Tone::Faint => "faint",
            Tone::Strong => "strong",
        }
    }
}

/// A text with a meaning.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cell {
    /// What is said.
    pub text: String,
    /// How it is meant.
    pub tone: Tone,
    /// What is said to those who ask where it comes from: origin, source, interval. Only some forms show it.
    pub hint: String,
    /// Where the plan states it, if it does. Only some forms show it.
    pub stated: Option<Place>,
}

impl Cell {
    /// Returns a text that is meant in a way.
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone, ..Self::default() }
    }

    /// Adds where it comes from.
    pub fn hinted(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// Adds where the plan states it; nothing where nobody knows.
    pub fn stated<'a>(self, place: impl Into<Option<&'a Place>>) -> Self {
        Self { stated: place.into().cloned(), ..self }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

/// On which side a column stands; numbers stand right and are never broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub title: String,
    /// Its side.
    pub align: Align,
}

/// Rows under headings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// Columns, at least one.
    pub columns: Vec<Column>,
    /// Rows; each has as many cells as there are columns.
    pub rows: Vec<Vec<Cell>>,
    /// Whether the last row sums the others.
    pub total: bool,
}

impl Table {
    /// Returns an empty table with columns; a `>` before a title sets the column right.
    pub fn new(titles: &[&str]) -> Self {
        let column = |title: &&str| match title.strip_prefix('>') {
            Some(title) => Column { title: title.to_owned(), align: Align::Right },
            None => Column { title: (*title).to_owned(), align: Align::Left },
        };
        Self { columns: titles.iter().map(column).collect(), rows: Vec::new(), total: false }
    }
}

/// Points of one kind in a plot.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series {
    /// What they are.
    pub name: String,
    /// One character that stands for them.
    pub mark: char,
    /// Places, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// Points over two axes that begin at zero.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plot {
    /// Title of the axis to the right.
    pub across: String,
    /// Title of the axis upwards.
    pub up: String,
    /// Points; later ones are drawn over earlier ones.
    pub series: Vec<Series>,
}

/// A part of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// A heading.
    Heading(String),
    /// A paragraph.
    Paragraph(Cell),
    /// A table.
    Table(Table),
    /// Names and values.
    Facts(Vec<(String, Cell)>),
    /// Points.
    List(Vec<Cell>),
    /// A plot.
    Plot(Plot),
    /// A finding: what is said, why, and ways out.
    Note {
        /// Its code, such as `E0310`.
        code: String,
        /// What is said.
        message: Cell,
        /// Why.
        because: Vec<String>,
        /// Ways out, the cheapest first.
        ways_out: Vec<String>,
    },
}

/// A report, a diff or an explanation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Document {
    /// What it is about.
    pub title: Cell,
    /// In reading order.
    pub blocks: Vec<Block>,
}

impl Document {
    /// Adds a heading and what stands under it; nothing where there is nothing to say.
    pub fn section(&mut self, heading: &str, blocks: impl IntoIterator<Item = Block>) {
        let mut blocks = blocks.into_iter().filter(Block::says_something).peekable();
        if blocks.peek().is_some() {
            self.blocks.push(Block::Heading(heading.to_owned()));
            self.blocks.extend(blocks);
        }
    }

    /// Writes where the plan states a number into what is said of it: `FILE:LINE`, without the line where `line_of` knows none.
    pub(crate) fn locate(&mut self, line_of: &dyn Fn(&Place) -> Option<usize>) {
        for cell in self.blocks.iter_mut().flat_map(Block::cells_mut) {
            let Some(place) = cell.stated.take() else { continue };
            let line = line_of(&place).map_or_else(String::new, |line| format!(":{line}"));
            let apart = if cell.hint.is_empty() { "" } else { "; " };
            cell.hint.push_str(&format!("{apart}stated in {}{line}", place.file.as_str()));
        }
    }
}

impl Block {
    fn cells_mut(&mut self) -> Box<dyn Iterator<Item = &mut Cell> + '_> {
        match self {
            Self::Paragraph(cell) | Self::Note { message: cell, .. } => Box::new(std::iter::once(cell)),
            Self::Table(table) => Box::new(table.rows.iter_mut().flatten()),
            Self::Facts(facts) => Box::new(facts.iter_mut().map(|(_, cell)| cell)),
            Self::List(points) => Box::new(points.iter_mut()),
            Self::Heading(_) | Self::Plot(_) => Box::new(std::iter::empty()),
        }
    }

    fn says_something(&self) -> bool {
        match self {
            Self::Heading(text) => !text.is_empty(),
            Self::Paragraph(cell) => !cell.text.is_empty(),
            Self::Table(table) => !table.rows.is_empty(),
            Self::Facts(facts) => !facts.is_empty(),
            Self::List(points) => !points.is_empty(),
            Self::Plot(plot) => plot.series.iter().any(|series| !series.points.is_empty()),
            Self::Note { .. } => true,
        }
    }
}
