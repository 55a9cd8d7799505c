//! `autoscale`: how do the replicas of a workload follow the requests in flight?

use capstan_types::quantity::Dimension;
use capstan_types::spec::Autoscale;
use capstan_types::units::Seconds;

use super::checker::Checker;
use super::fields::Fields;
use super::table::{AT_LEAST, Bounds, FACT, FieldRow, FieldType, Table};
use crate::codes;

/// Longest time that a window or a machine may take: a day.
const TIME: Bounds = Bounds::Within(0.0, 86_400.0);

/// What Kubernetes does where nothing is said: the tolerance of the pod autoscaler and its window before it shrinks, and
/// the cooldown of KEDA.
const TOLERANCE: f64 = 0.1;
const DOWN_WINDOW: Seconds = Seconds(300.0);
const COOLDOWN: Seconds = Seconds(300.0);
/// Origin: Assumed. A cloud's machine with accelerators is there and has joined its cluster after some minutes.
const PROVISION: Seconds = Seconds(180.0);

/// The record.
pub static AUTOSCALE: Table = Table::record(
    "autoscale",
    "How replicas follow the requests in flight, as Kubernetes scales them.",
    FIELDS,
);

static FIELDS: &[FieldRow] = &[
    FieldRow::new("target", FieldType::Quantity(Dimension::REQUESTS), FACT)
        .bounds(Bounds::Within(0.1, 1e6))
        .default("80% of those at the planned load")
        .means("Requests in flight that a replica should have: no plan gives it more.")
        .shown("= 8 req", "= 20 req"),
    FieldRow::new("replicas", FieldType::Count(Dimension::NONE), AT_LEAST)
        .bounds(Bounds::Within(0.0, 1e6))
        .default("those of the workload")
        .means("Fewest replicas; 0 lets the last one go when nothing has come for `cooldown`.")
        .shown(">= 2", ">= 0"),
    FieldRow::new("tolerance", FieldType::Share, FACT)
        .bounds(Bounds::Within(0.0, 1.0))
        .default("10%")
        .means("Deviation from the target at which nothing is changed.")
        .shown("= 20%", "= 5%"),
    FieldRow::new("up_window", FieldType::Quantity(Dimension::TIME), FACT)
        .bounds(TIME)
        .default("0")
        .means("For how long more replicas must be wanted before they are added.")
        .shown("= 30 s", "= 1 min"),
    FieldRow::new("down_window", FieldType::Quantity(Dimension::TIME), FACT)
        .bounds(TIME)
        .default("5 min")
        .means("For how long fewer replicas must do before any is taken away.")
        .shown("= 10 min", "= 2 min"),
    FieldRow::new("cooldown", FieldType::Quantity(Dimension::TIME), FACT)
        .bounds(TIME)
        .default("5 min")
        .means("How long nothing must have come before the last replica goes.")
        .shown("= 30 min", "= 2 min"),
    FieldRow::new("provision", FieldType::Quantity(Dimension::TIME), FACT)
        .bounds(TIME)
        .default("3 min")
        .means("Time until there is a machine for a new replica; 0 where machines stand ready.")
        .shown("= 0 s", "= 5 min"),
    FieldRow::new("image", FieldType::Word(&["eager", "lazy"]), FACT)
        .default("`eager`")
        .means("Whether all of an image is pulled before its program starts, or only what it reads first.")
        .shown("= lazy", "= eager"),
];

/// Reads the record of the workload `name`, whose fewest replicas are `fewest`.
pub(crate) fn check(checker: &Checker<'_>, fields: &Fields, name: &str, fewest: u32) -> Autoscale {
    let time = |field: &str, default: Seconds| fields.number(field).map_or(default, Seconds);
    let fields_of_zero = fields.small("replicas") != Some(0) && fields.has("cooldown");
    if fields_of_zero {
        let span = fields.place_of("cooldown").span();
        let message = "`cooldown` says when the last replica goes, but one always stays";
        let found = checker.values.error(codes::CONTRADICTION, span, message);
        checker.values.report(found.help("write `replicas >= 0`, or leave `cooldown` out"));
    }
    if !fields.has("target") {
        let text = format!(
            "`{name}` is scaled to 80% of the requests in flight that a replica has at its planned load"
        );
        checker.assume(&fields.place, text);
    }
    if !fields.has("provision") {
        let text = format!("a machine for a new replica of `{name}` is there after {:.0} s", PROVISION.get());
        checker.assume(&fields.place, text);
    }
    Autoscale {
        target: fields.number("target"),
        least: fields.small("replicas").unwrap_or(fewest),
        tolerance: fields.number("tolerance").unwrap_or(TOLERANCE),
        up_window: time("up_window", Seconds(0.0)),
        down_window: time("down_window", DOWN_WINDOW),
        cooldown: time("cooldown", COOLDOWN),
        provision: time("provision", PROVISION),
        lazy_image: fields.word("image") == Some("lazy"),
    }
}
