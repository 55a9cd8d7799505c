//! `prefix_caching`: what do prompts have in common, and where is what was read kept?

use capstan_types::quantity::Dimension;
use capstan_types::spec::{BlockHashes, CacheTier, Load, PrefixCaching, Reuse, Routing};
use capstan_types::units::{Bytes, BytesPerSecond};

use super::checker::Checker;
use super::fields::Fields;
use super::table::{Bounds, FACT, FieldRow, FieldType, Table};
use crate::codes;

/// Tokens in which beginnings are found where neither the plan nor a trace says so.
///
/// Origin: chosen. Engines find blocks of 16; a coarser grain only rounds, and its mean is the share.
const BLOCK_TOKENS: u32 = 64;

/// A petabyte, and a petabyte a second: more is a slip of the pen.
const MOST: f64 = 1e15;

/// The record.
pub static PREFIX_CACHING: Table = Table::record(
    "prefix_caching",
    "What prompts have in common. It is read once and kept while there is room; what is needed longest ago leaves first.",
    FIELDS,
);

static FIELDS: &[FieldRow] = &[
    FieldRow::new("reuse", FieldType::Share, FACT)
        .bounds(Bounds::Within(0.0, 0.99))
        .default("as the block hashes of the trace say")
        .means("Share of the tokens of each prompt that other prompts began with.")
        .shown("= 40%", "= 60%"),
    FieldRow::new("beginnings", FieldType::Count(Dimension::NONE), FACT)
        .bounds(Bounds::Within(1.0, 1e6))
        .default("1")
        .means("Different beginnings, equally common: all of them must be kept for all of `reuse` to be found.")
        .shown("= 20", "= 500"),
    FieldRow::new("block", FieldType::Quantity(Dimension::TOKENS), FACT)
        .bounds(Bounds::Within(1.0, 65_536.0))
        .default("that of the trace's hashes, else 64 tok")
        .means("Tokens of one hash: the grain in which beginnings are found.")
        .shown("= 512 tok", "= 128 tok"),
    FieldRow::new("routing", FieldType::Word(&["least_outstanding", "prefix", "sticky"]), FACT)
        .default("`least_outstanding`")
        .means("Which replica gets a request: the one with the fewest, or the one that has read its beginning, unless it is much fuller, or always.")
        .shown("= prefix", "= sticky"),
    FieldRow::new("host", FieldType::Record(&HOST), FACT)
        .default("none")
        .means("Host memory of a replica that keeps what leaves the accelerators.")
        .shown("= { size = 256 GB, bandwidth = 50 GB/s }", "= { size = 512 GB, bandwidth = 50 GB/s }"),
    FieldRow::new("disk", FieldType::Record(&DISK), FACT)
        .default("none")
        .means("Local disk of a replica that keeps what leaves the accelerators.")
        .shown("= { size = 4 TB, bandwidth = 6 GB/s }", "= { size = 8 TB, bandwidth = 6 GB/s }"),
];

/// Places beside the accelerators.
pub static HOST: Table = Table::record("host", "Host memory that keeps blocks of prompts.", TIER_FIELDS);
/// The slower one.
pub static DISK: Table = Table::record("disk", "Local disk that keeps blocks of prompts.", TIER_FIELDS);

static TIER_FIELDS: &[FieldRow] = &[
    FieldRow::new("size", FieldType::Quantity(Dimension::DATA), FACT)
        .bounds(Bounds::UpTo(MOST))
        .needed()
        .means("What one replica has of it.")
        .shown("= 256 GB", "= 512 GB"),
    FieldRow::new("bandwidth", FieldType::Quantity(Dimension::DATA_RATE), FACT)
        .bounds(Bounds::UpTo(MOST))
        .needed()
        .means("What a replica reads from it; the step that admits a request waits for its blocks.")
        .shown("= 50 GB/s", "= 25 GB/s"),
];

/// Reads the record of the workload `name`, whose load is `load`.
pub(crate) fn check(
    checker: &Checker<'_>,
    fields: &Fields,
    load: &Load,
    name: &str,
) -> Option<PrefixCaching> {
    let tiers = (tier(checker, fields, "host"), tier(checker, fields, "disk"));
    let routing = match fields.word("routing") {
        Some("prefix") => Routing::Prefix,
        Some("sticky") => Routing::Sticky,
        _ => Routing::LeastOutstanding,
    };
    let reuse = reuse(checker, fields, load, name)?;
    Some(PrefixCaching { reuse, routing, host: tiers.0.ok()?, disk: tiers.1.ok()? })
}

/// A tier that is stated and lacks something.
struct Incomplete;

fn tier(checker: &Checker<'_>, fields: &Fields, name: &str) -> Result<Option<CacheTier>, Incomplete> {
    let Some(record) = fields.record(name) else { return Ok(None) };
    let complete = record.complete(checker);
    match (record.number("size"), record.number("bandwidth")) {
        (Some(size), Some(bandwidth)) if complete => {
            Ok(Some(CacheTier { size: Bytes(size), bandwidth: BytesPerSecond(bandwidth) }))
        }
        _ => Err(Incomplete),
    }
}

fn reuse(checker: &Checker<'_>, fields: &Fields, load: &Load, name: &str) -> Option<Reuse> {
    let block = fields.number("block").map(|tokens| tokens.round() as u32);
    if let Some(share) = fields.number("reuse") {
        if !fields.has("beginnings") {
            let text = format!("all prompts of `{name}` begin alike, as far as they do");
            checker.assume(&fields.place, text);
        }
        let block_tokens = block.unwrap_or(BLOCK_TOKENS);
        return Some(Reuse::Share {
            share,
            beginnings: fields.small("beginnings").unwrap_or(1),
            block_tokens,
        });
    }
    if fields.has("beginnings") {
        let span = fields.place_of("beginnings").span();
        let message = "`beginnings` says how many there are, but not how much of a prompt they are";
        let found = checker.values.error(codes::CONTRADICTION, span, message);
        checker.values.report(found.help("add `reuse = 40%`"));
        return None;
    }
    match load.trace.as_ref().and_then(|trace| trace.hashes.as_ref()) {
        Some(hashes) => of_hashes(checker, fields, hashes, block, name),
        None => {
            fields.need(checker, "reuse");
            None
        }
    }
}

/// Returns the tokens of a hash that the plan says, if they go with the trace; else those that do, if they are known.
fn of_hashes(
    checker: &Checker<'_>,
    fields: &Fields,
    hashes: &BlockHashes,
    block: Option<u32>,
    name: &str,
) -> Option<Reuse> {
    let (least, most) = hashes.block_tokens;
    if let Some(block_tokens) = block {
        if (least..=most).contains(&block_tokens) {
            return Some(Reuse::Hashes { block_tokens });
        }
        let message = format!("prompts of the trace do not have a hash for every {block_tokens} tokens");
        let found = checker.values.error(codes::CONTRADICTION, fields.place_of("block").span(), message);
        let fits = if least == most { format!("{least}") } else { format!("{least} to {most}") };
        checker.values.report(found.help(format!("their numbers go with {fits} tokens")));
        return None;
    }
    let block_tokens = most.checked_ilog2().map(|log| 1 << log).filter(|power: &u32| *power >= least);
    if block_tokens.is_none() {
        fields.need(checker, "block");
    }
    let text = |tokens| format!("a block hash of the trace of `{name}` stands for {tokens} tokens");
    block_tokens.inspect(|tokens| checker.assume(&fields.place, text(*tokens)));
    block_tokens.map(|block_tokens| Reuse::Hashes { block_tokens })
}
