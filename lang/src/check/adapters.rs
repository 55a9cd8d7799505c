//! `adapters`: which fine-tuned variants of the model are served with it?

use capstan_types::quantity::Dimension;
use capstan_types::spec::Adapters;
use capstan_types::units::BytesPerSecond;

use super::checker::Checker;
use super::fields::Fields;
use super::plan::assumed;
use super::table::{Bounds, FACT, FieldRow, FieldType, Table};

/// Places where the plan does not say how many. Origin: vLLM's documentation of LoRA adapters uses four; its default of one
/// serves one adapter at a time.
const PLACES: u32 = 4;

/// What an adapter is read with from host memory. Origin: Assumed; PCIe 4.0 with 16 lanes carries 32 GB/s, of which about
/// 25 reach the device.
const BANDWIDTH: BytesPerSecond = BytesPerSecond(25e9);

/// The record.
pub static ADAPTERS: Table = Table::record(
    "adapters",
    "Low-rank adapters (LoRA) on one base model: each request needs one of them.",
    FIELDS,
);

static FIELDS: &[FieldRow] = &[
    FieldRow::new("count", FieldType::Count(Dimension::NONE), FACT)
        .bounds(Bounds::Within(1.0, 1e6))
        .needed()
        .means("How many there are, equally common.")
        .shown("= 20", "= 200"),
    FieldRow::new("rank", FieldType::Count(Dimension::NONE), FACT)
        .bounds(Bounds::Within(1.0, 4096.0))
        .needed()
        .means("Their rank: an adapter has that many rows and columns on every linear layer.")
        .shown("= 16", "= 64"),
    FieldRow::new("slots", FieldType::Count(Dimension::NONE), FACT)
        .bounds(Bounds::Within(1.0, 4096.0))
        .default("4, or as many as there are")
        .means("Adapters that a replica holds beside its weights: requests of no more run at once.")
        .shown("= 8", "= 16"),
    FieldRow::new("bandwidth", FieldType::Quantity(Dimension::DATA_RATE), FACT)
        .bounds(Bounds::UpTo(1e15))
        .default("25 GB/s")
        .means("What an adapter that is not there is read with from host memory.")
        .shown("= 50 GB/s", "= 10 GB/s"),
];

/// Reads the record of the workload `name`.
pub(crate) fn check(checker: &Checker<'_>, fields: &Fields, name: &str) -> Option<Adapters> {
    let complete = fields.complete(checker);
    let (count, rank) = (fields.small("count"), fields.small("rank"));
    let slots = match (fields.small("slots"), count) {
        (Some(slots), _) => slots,
        (None, count) => {
            let slots = count.map_or(PLACES, |count| count.min(PLACES));
            let text = format!("a replica of `{name}` holds {slots} adapters at once");
            assumed(checker, fields, &fields.place, "slots", slots, &text)
        }
    };
    let bandwidth = fields.number("bandwidth").map_or(BANDWIDTH, BytesPerSecond);
    complete.then_some(Adapters { count: count?, rank: rank?, slots, bandwidth })
}
