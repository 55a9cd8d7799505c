//! What may stand in a block, and of what kind is it?
//!
//! A kind of block is one table of fields. The checker looks fields up here, suggestions come from
//! here, and so does the reference of the language; a field that is not in a table does not exist.
//! Not known here: what a value means for the plan.

use capstan_types::quantity::Dimension;

use crate::ast::FieldOp;

/// Only a fact.
pub const FACT: &[FieldOp] = &[FieldOp::Is];
/// Only an upper limit.
pub const AT_MOST: &[FieldOp] = &[FieldOp::AtMost];
/// Only a lower limit.
pub const AT_LEAST: &[FieldOp] = &[FieldOp::AtLeast];
/// A choice, or a single fact.
pub const CHOICE: &[FieldOp] = &[FieldOp::In, FieldOp::Is];

/// What a name may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Referent {
    /// A `model` block or a model of the catalog.
    Model,
    /// A chip of the catalog.
    Accelerator,
    /// A machine of the catalog.
    Shape,
    /// Traffic statistics of the catalog.
    Traffic,
    /// A serving engine of the catalog.
    Engine,
    /// A provider of the catalog, or `own`.
    Provider,
    /// A network of the catalog, by its switches.
    Switch,
    /// A storage system of the catalog.
    Storage,
    /// A `dataset` block.
    Dataset,
    /// A `site` block, or `provider/region` where the plan has no sites.
    Site,
}

impl Referent {
    /// Returns the noun for messages.
    pub fn noun(self) -> &'static str {
        match self {
            Referent::Model => "model",
            Referent::Accelerator => "accelerator",
            Referent::Shape => "machine",
            Referent::Traffic => "traffic",
            Referent::Engine => "engine",
            Referent::Provider => "provider",
            Referent::Switch => "switch",
            Referent::Storage => "storage",
            Referent::Dataset => "dataset",
            Referent::Site => "site",
        }
    }
}

/// What a field takes.
#[derive(Clone, Copy, Debug)]
pub enum FieldType {
    /// An amount with a unit of this dimension; a bare number where that is none.
    Quantity(Dimension),
    /// A whole number, bare or in the unit that it counts.
    Count(Dimension),
    /// A share: `30%`, `0.3`.
    Share,
    /// What one machine costs per hour, per machine or per accelerator.
    MachinePrice,
    /// A string.
    Text,
    /// Several strings.
    Texts,
    /// A path beside the plan file.
    Path,
    /// A date.
    Date,
    /// First and last day, or a duration from the planning date.
    Horizon,
    /// An ISO 4217 code.
    Currency,
    /// `true` or `false`.
    Bool,
    /// One word of a few.
    Word(&'static [&'static str]),
    /// Several words of a few.
    Words(&'static [&'static str]),
    /// One name.
    One(Referent),
    /// Several names.
    Many(Referent),
    /// A record with fields of its own.
    Record(&'static Table),
    /// A record with a limit per accelerator.
    Quotas,
    /// The shape of a day.
    Daily,
    /// Two times of day.
    Hours,
    /// The name of a partition of an accelerator, or a share of one.
    Slice,
    /// Purchase options.
    Buy,
    /// Not read: whatever stands there is refused.
    Anything,
}

impl FieldType {
    /// Returns the words of the reference.
    pub fn words(self) -> String {
        match self {
            FieldType::Quantity(dimension) if dimension == Dimension::PER_TIME => "rate per time".to_owned(),
            FieldType::Quantity(dimension) if dimension.is_none() => "number".to_owned(),
            FieldType::Quantity(dimension) => dimension.to_string(),
            FieldType::Count(_) => "whole number".to_owned(),
            FieldType::Share => "share".to_owned(),
            FieldType::MachinePrice => "price of a machine per hour".to_owned(),
            FieldType::Text => "string".to_owned(),
            FieldType::Texts => "list of strings".to_owned(),
            FieldType::Path => "path".to_owned(),
            FieldType::Date => "date".to_owned(),
            FieldType::Horizon => "two dates, or a duration".to_owned(),
            FieldType::Currency => "currency".to_owned(),
            FieldType::Bool => "true or false".to_owned(),
            FieldType::Word(words) => quoted(words, " or "),
            FieldType::Words(words) => format!("list of {}", quoted(words, ", ")),
            FieldType::One(referent) => format!("name of a {}", referent.noun()),
            FieldType::Many(referent) => format!("list of names of a {}", referent.noun()),
            FieldType::Record(_) => "record".to_owned(),
            FieldType::Quotas => "record of accelerators".to_owned(),
            FieldType::Daily => "`flat` or `diurnal(…)`".to_owned(),
            FieldType::Hours => "two times of day".to_owned(),
            FieldType::Slice => "name of a partition, or a share".to_owned(),
            FieldType::Buy => "list of purchase options".to_owned(),
            FieldType::Anything => "–".to_owned(),
        }
    }
}

fn quoted(words: &[&str], joint: &str) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(joint)
}

/// Which numbers a field takes, in base units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bounds {
    /// Any.
    Any,
    /// More than zero.
    Positive,
    /// Zero or more.
    NotNegative,
    /// More than zero and at most this.
    UpTo(f64),
    /// From the first to the second, both included.
    Within(f64, f64),
}

impl Bounds {
    /// Says whether a number is allowed.
    pub fn allow(self, value: f64) -> bool {
        match self {
            Bounds::Any => true,
            Bounds::Positive => value > 0.0,
            Bounds::NotNegative => value >= 0.0,
            Bounds::UpTo(most) => value > 0.0 && value <= most,
            Bounds::Within(least, most) => (least..=most).contains(&value),
        }
    }

    /// Returns the number that is allowed and nearest.
    pub fn nearest(self, value: f64) -> f64 {
        match self {
            Bounds::Any => value,
            Bounds::Positive => value.max(f64::MIN_POSITIVE),
            Bounds::NotNegative => value.max(0.0),
            Bounds::UpTo(most) => value.max(f64::MIN_POSITIVE).min(most),
            Bounds::Within(least, most) => value.max(least).min(most),
        }
    }
}

/// Whether a field is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The plan follows from it.
    Used,
    /// It is part of the language and refused with E0900.
    NotYet,
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub struct FieldRow {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub takes: FieldType,
    /// How it may be stated; the first is the usual way.
    pub operators: &'static [FieldOp],
    /// Which numbers are allowed.
    pub bounds: Bounds,
    /// Must it be there?
    pub needed: bool,
    /// What holds where it is not.
    pub default: &'static str,
    /// What it says, as a sentence.
    pub meaning: &'static str,
    /// Two ways to state it that make different plans.
    pub examples: [&'static str; 2],
    /// Is it planned?
    pub status: Status,
}

impl FieldRow {
    /// Begins a row.
    pub const fn new(name: &'static str, takes: FieldType, operators: &'static [FieldOp]) -> Self {
        FieldRow {
            name,
            takes,
            operators,
            bounds: Bounds::Any,
            needed: false,
            default: "",
            meaning: "",
            examples: ["", ""],
            status: Status::Used,
        }
    }

    /// A field that is refused until it is planned.
    pub const fn not_yet(name: &'static str, meaning: &'static str) -> Self {
        let operators = &[FieldOp::Is, FieldOp::AtMost, FieldOp::AtLeast, FieldOp::In];
        let row = FieldRow::new(name, FieldType::Anything, operators);
        FieldRow { meaning, status: Status::NotYet, ..row }
    }

    /// Says which numbers are allowed.
    pub const fn bounds(self, bounds: Bounds) -> Self {
        FieldRow { bounds, ..self }
    }

    /// Says that it must be there.
    pub const fn needed(self) -> Self {
        FieldRow { needed: true, ..self }
    }

    /// Says what holds where it is not there.
    pub const fn default(self, default: &'static str) -> Self {
        FieldRow { default, ..self }
    }

    /// Says what it means.
    pub const fn means(self, meaning: &'static str) -> Self {
        FieldRow { meaning, ..self }
    }

    /// Shows two ways to state it that make different plans.
    pub const fn shown(self, one: &'static str, other: &'static str) -> Self {
        FieldRow { examples: [one, other], ..self }
    }
}

/// What stands between the kind and the brace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelRule {
    /// A name, which must be there.
    Name,
    /// One word of a few.
    Word(&'static [&'static str]),
    /// Nothing: a record, or a kind that has no name.
    None,
}

/// A kind of block, or a record.
#[derive(Debug)]
pub struct Table {
    /// The word that begins it.
    pub kind: &'static str,
    /// What it says, as a sentence.
    pub says: &'static str,
    /// Its label.
    pub label: LabelRule,
    /// Its fields.
    pub fields: &'static [FieldRow],
    /// The blocks that may stand in it.
    pub blocks: &'static [&'static Table],
    /// May it hold `require`, `prefer`, `warn`?
    pub rules: bool,
    /// May it hold `set`?
    pub sets: bool,
}

impl Table {
    /// Begins a kind of block that has a name.
    pub const fn named(kind: &'static str, says: &'static str, fields: &'static [FieldRow]) -> Self {
        Table { kind, says, label: LabelRule::Name, fields, blocks: &[], rules: false, sets: false }
    }

    /// Begins a record, which has no name.
    pub const fn record(kind: &'static str, says: &'static str, fields: &'static [FieldRow]) -> Self {
        Table { label: LabelRule::None, ..Table::named(kind, says, fields) }
    }

    /// Returns the row of a field.
    pub fn field(&self, name: &str) -> Option<&'static FieldRow> {
        self.fields.iter().find(|row| row.name == name)
    }
}
