//! `storage` and `dataset`: what data lies where, and on what?

use capstan_types::quantity::Dimension;
use capstan_types::spec::{Dataset, Site, StorageWish};
use capstan_types::storage::{Protection, StorageKind, Tier};
use capstan_types::units::{Bytes, BytesPerSecond, Seconds, Tokens};

use super::checker::Checker;
use super::fields::Fields;
use super::load::MONTH_S;
use super::plan::over;
use super::table::{AT_LEAST, AT_MOST, Bounds, FACT, FieldRow, FieldType, Referent, Table};
use crate::ast::Block;
use crate::codes;

/// Preferences for storage.
pub static STORAGE: Table = Table::named(
    "storage",
    "Storage of an own site. It is sized for the datasets there, the models and checkpoints of what may run there, and what the block asks for.",
    STORAGE_FIELDS,
);

/// Data that must lie somewhere.
pub static DATASET: Table = Table::named(
    "dataset",
    "Data that must lie somewhere. Storage is sized for it as it is on the last day.",
    DATASET_FIELDS,
);

/// An exabyte: more is a slip of the pen.
const MOST_BYTES: f64 = 1e18;
/// A thousand times what the largest systems answer.
const MOST_OPERATIONS: f64 = 1e12;
/// A petabyte a second.
const MOST_RATE: f64 = 1e15;

static STORAGE_FIELDS: &[FieldRow] = &[
    FieldRow::new("site", FieldType::One(Referent::Site), FACT)
        .default("the only own site")
        .means("The site whose storage it is.")
        .shown("= hall", "= hall2"),
    FieldRow::new("tier", FieldType::Word(&Tier::WORDS), FACT)
        .default("`fast`")
        .means("What lies on it: what work reads and writes, or what is kept and seldom read. A site may have one of each.")
        .shown("= fast", "= bulk"),
    FieldRow::new("system", FieldType::One(Referent::Storage), FACT)
        .default("the cheapest of those that are priced, else the one of fewest nodes")
        .means("Row of the catalog that it is made of.")
        .shown("= ceph_nvme", "= threefs_nvme"),
    FieldRow::new("kind", FieldType::Word(&StorageKind::WORDS), FACT)
        .default("any")
        .means("What it is for.")
        .shown("= unified", "= object"),
    FieldRow::new("copies", FieldType::Count(Dimension::NONE), FACT)
        .bounds(Bounds::Within(1.0, 8.0))
        .default("as the system does")
        .means("Whole copies of everything, the first included.")
        .shown("= 3", "= 2"),
    FieldRow::new("erasure", FieldType::Text, FACT)
        .default("as the system does")
        .means("Erasure coding: parts that data is cut into, and parts computed from them, as many as may be lost.")
        .shown("= \"8+3\"", "= \"4+2\""),
    FieldRow::new("fill", FieldType::Share, AT_MOST)
        .bounds(Bounds::UpTo(1.0))
        .default("as the system does")
        .means("Share of the usable capacity that may be filled.")
        .shown("<= 80 %", "<= 70 %"),
    FieldRow::new("capacity", FieldType::Quantity(Dimension::DATA), AT_LEAST)
        .bounds(Bounds::UpTo(MOST_BYTES))
        .means("What must fit beside all that is known to lie there.")
        .shown(">= 500 TB", ">= 2 PB"),
    FieldRow::new("read", FieldType::Quantity(Dimension::DATA_RATE), AT_LEAST)
        .bounds(Bounds::UpTo(MOST_RATE))
        .means("Rate at which it must be read, by all together.")
        .shown(">= 60 GB/s", ">= 500 GB/s"),
    FieldRow::new("write", FieldType::Quantity(Dimension::DATA_RATE), AT_LEAST)
        .bounds(Bounds::UpTo(MOST_RATE))
        .means("Rate at which it must be written, by all together.")
        .shown(">= 30 GB/s", ">= 300 GB/s"),
    FieldRow::new("iops", FieldType::Quantity(Dimension::IO_RATE), AT_LEAST)
        .bounds(Bounds::UpTo(MOST_OPERATIONS))
        .means("Small random reads that it must answer, for all together: shuffled records, databases, images of virtual machines.")
        .shown(">= 500_000 IOPS", ">= 10_000_000 IOPS"),
    FieldRow::new("checkpoint_stall", FieldType::Quantity(Dimension::TIME), AT_MOST)
        .bounds(Bounds::Within(1.0, 86_400.0))
        .default("no limit")
        .means("How long a training may stand still while it writes a checkpoint.")
        .shown("<= 30 s", "<= 5 s"),
];

static DATASET_FIELDS: &[FieldRow] = &[
    FieldRow::new("size", FieldType::Quantity(Dimension::DATA), FACT)
        .bounds(Bounds::UpTo(MOST_BYTES))
        .needed()
        .means("Its size on the first day, copies not counted.")
        .shown("= 500 TB", "= 1 PB"),
    FieldRow::new("site", FieldType::One(Referent::Site), FACT)
        .default("the only own site")
        .means("Where it lies.")
        .shown("= hall", "= hall2"),
    FieldRow::new("growth", FieldType::Quantity(Dimension::PER_TIME), FACT)
        .bounds(Bounds::Within(0.0, 1.0 / MONTH_S))
        .default("0")
        .means("Growth of its size.")
        .shown("= 3 %/mo", "= 10 %/mo"),
    FieldRow::new("read", FieldType::Quantity(Dimension::DATA_RATE), AT_LEAST)
        .bounds(Bounds::UpTo(MOST_RATE))
        .means("Rate at which it must be read.")
        .shown(">= 60 GB/s", ">= 500 GB/s"),
    FieldRow::new("write", FieldType::Quantity(Dimension::DATA_RATE), AT_LEAST)
        .bounds(Bounds::UpTo(MOST_RATE))
        .means("Rate at which it must be written.")
        .shown(">= 30 GB/s", ">= 300 GB/s"),
    FieldRow::new("tier", FieldType::Word(&Tier::WORDS), FACT)
        .default("`fast`")
        .means("Which tier of the site's storage it lies on.")
        .shown("= fast", "= bulk"),
    FieldRow::new("replicas", FieldType::Count(Dimension::NONE), FACT)
        .bounds(Bounds::Within(1.0, 64.0))
        .default("1")
        .means("Copies, each at an own site: the first at `site`, the others at the further own sites in the order of the file. Copies inside a site are its storage's own.")
        .shown("= 2", "= 1"),
    FieldRow::new("file", FieldType::Quantity(Dimension::DATA), FACT)
        .bounds(Bounds::Within(1.0, MOST_BYTES))
        .default("so large that opening files does not count")
        .means("Mean size of its files: so many of them are opened as its `read` and `write` take, and storage must keep up with it.")
        .shown("= 120 kB", "= 1 MiB"),
    FieldRow::new("tokens", FieldType::Quantity(Dimension::TOKENS), FACT)
        .bounds(Bounds::Within(1.0, 1e18))
        .default("unknown")
        .means("Tokens that it holds; a training that names it sees each once in an epoch.")
        .shown("= 2 Ttok", "= 500 Gtok"),
];

/// Reads what storage is to be like; at most one for each site and tier.
pub(crate) fn storages(checker: &Checker<'_>, blocks: &[&Block]) -> Vec<StorageWish> {
    let mut wishes: Vec<StorageWish> = Vec::new();
    for block in blocks {
        let name = checker.name_of(block, &STORAGE);
        let fields = checker.contents(&STORAGE, block).fields;
        let wish = storage(checker, &fields);
        let (Some(name), Some(wish)) = (name, wish) else { continue };
        let is_same = |other: &&StorageWish| other.site == wish.site && other.tier == wish.tier;
        if let Some(other) = wishes.iter().find(is_same) {
            let message = format!("`{}` has its storage from `{}` already", wish.site, other.name);
            let found = checker.values.error(codes::CONTRADICTION, super::fields::head(block), message);
            checker.values.report(found.help("keep one `storage` for each site and `tier`"));
            continue;
        }
        wishes.push(StorageWish { name, ..wish });
    }
    wishes
}

fn storage(checker: &Checker<'_>, fields: &Fields) -> Option<StorageWish> {
    let site = checker.own_site(fields, "disks at");
    let protection = protection(checker, fields);
    let limit = |name: &str| fields.limit(name, fields.number(name));
    let rate = |name: &str| fields.limit(name, fields.number(name).map(BytesPerSecond));
    if !fields.complete(checker) {
        return None;
    }
    Some(StorageWish {
        name: String::new(),
        place: fields.place.clone(),
        site: site?,
        tier: tier(fields),
        system: fields.text("system").map(str::to_owned),
        kind: fields.word("kind").and_then(StorageKind::of_word),
        protection: protection?,
        fill: limit("fill").map(|limit| limit.value),
        capacity: fields.limit("capacity", fields.number("capacity").map(Bytes)),
        read: rate("read"),
        write: rate("write"),
        operations: limit("iops"),
        stall: fields.limit("checkpoint_stall", fields.number("checkpoint_stall").map(Seconds)),
    })
}

fn tier(fields: &Fields) -> Tier {
    fields.word("tier").and_then(Tier::of_word).unwrap_or_default()
}

/// Reads copies or parts; the outer option is absent where they are wrong.
fn protection(checker: &Checker<'_>, fields: &Fields) -> Option<Option<Protection>> {
    let copies = fields.small("copies").map(|copies| Protection::Copies { copies });
    let Some(text) = fields.text("erasure") else { return Some(copies) };
    if copies.is_some() {
        super::load::excludes(checker, fields, "copies", "erasure");
        return None;
    }
    let parts = text.split_once('+').and_then(|(data, parity)| {
        let count = |part: &str, most: u32| part.trim().parse().ok().filter(|n| (1..=most).contains(n));
        Some(Protection::Erasure { data: count(data, 32)?, parity: count(parity, 16)? })
    });
    if parts.is_none() {
        let span = fields.place_of("erasure").span();
        let found = checker.values.error(codes::OUT_OF_RANGE, span, format!("`{text}` is no erasure code"));
        checker.values.report(found.help("write data and parity, such as `\"8+3\"`"));
    }
    parts.map(Some)
}

/// Reads the datasets.
pub(crate) fn datasets(checker: &Checker<'_>, blocks: &[&Block]) -> Vec<Dataset> {
    let mut datasets = Vec::new();
    for block in blocks {
        let name = checker.name_of(block, &DATASET);
        let fields = checker.contents(&DATASET, block).fields;
        let dataset = dataset(checker, &fields);
        if let (Some(name), Some(dataset)) = (name, dataset) {
            datasets.extend(copies(checker, &fields, Dataset { name, ..dataset }));
        }
    }
    datasets
}

/// Returns a dataset at each own site that has a copy of it.
fn copies(checker: &Checker<'_>, fields: &Fields, dataset: Dataset) -> Vec<Dataset> {
    let wanted = fields.small("replicas").unwrap_or(1) as usize;
    let others = checker.sites.iter().filter(|site| site.is_own() && site.name != dataset.site);
    let sites: Vec<String> =
        [dataset.site.clone()].into_iter().chain(others.map(|site| site.name.clone())).collect();
    if wanted > sites.len() {
        let message = format!("{wanted} copies need as many own sites, and there are {}", sites.len());
        let found = checker.values.error(codes::OUT_OF_RANGE, fields.place_of("replicas").span(), message);
        checker.values.report(found.help("fewer copies, or a further `site` of your own"));
    }
    sites.into_iter().take(wanted).map(|site| Dataset { site, ..dataset.clone() }).collect()
}

fn dataset(checker: &Checker<'_>, fields: &Fields) -> Option<Dataset> {
    let site = checker.own_site(fields, "data at");
    if !fields.complete(checker) {
        return None;
    }
    let rate = |name: &str| fields.limit(name, fields.number(name).map(BytesPerSecond));
    let size = fields.number("size")?;
    let growth = fields.quantity("growth").map_or(0.0, |growth| over(growth, MONTH_S));
    let last = size * libm::pow(1.0 + growth, f64::from(checker.frame.months));
    if last > MOST_BYTES {
        let message = format!("`growth` takes the size to {last:.1e} B by the end of the horizon");
        let found = checker.values.error(codes::OUT_OF_RANGE, fields.place_of("growth").span(), message);
        checker.values.report(found.help("write a growth that lasts, or a shorter horizon"));
    }
    let file = fields.limit("file", fields.number("file").map(Bytes));
    if let Some(file) = &file {
        if file.value.get() > size {
            let message = "a file is larger than all of the data".to_owned();
            let found = checker.values.error(codes::CONTRADICTION, fields.place_of("file").span(), message);
            checker.values.report(found.help("write the mean size of its files"));
        }
        if !fields.has("read") && !fields.has("write") {
            let message = "nobody says how fast its files are read or written".to_owned();
            let found = checker.values.error(codes::MISSING_FIELD, fields.place_of("file").span(), message);
            checker.values.report(found.help("add `read >= …` or `write >= …`, or leave `file` out"));
        }
    }
    Some(Dataset {
        name: String::new(),
        place: fields.place.clone(),
        site: site?,
        tier: tier(fields),
        size: Bytes(size),
        file,
        tokens: fields.number("tokens").map(Tokens),
        growth_per_month: growth,
        read: rate("read"),
        write: rate("write"),
    })
}

impl Checker<'_> {
    /// Returns the own site that a block is about: the one it names, or the only one; `what` says whose it is otherwise.
    pub(crate) fn own_site(&self, fields: &Fields, what: &str) -> Option<String> {
        if fields.has("site") {
            let name = fields.text("site")?;
            let site = self.sites.iter().find(|site| site.name == name)?;
            if !site.is_own() {
                let message = format!("{what} `{name}` are in the hands of `{}`", site.provider);
                let found = self.values.error(codes::CONTRADICTION, fields.place_of("site").span(), message);
                self.values.report(found.help("name an own site, or leave the block out"));
            }
            return Some(name.to_owned());
        }
        let own: Vec<&Site> = self.sites.iter().filter(|site| site.is_own()).collect();
        if let [site] = own.as_slice() {
            return Some(site.name.clone());
        }
        fields.need(self, "site");
        None
    }
}
