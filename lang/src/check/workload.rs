//! Which fields do workloads share? What is said otherwise of one of them is said where its kind is.

use super::serve::{PARALLELISM, PRECISIONS};
use super::table::{AT_LEAST, AT_MOST, CHOICE, FACT, FieldRow, FieldType, Referent};

pub(super) const START: FieldRow = FieldRow::new("start", FieldType::Date, AT_LEAST)
    .default("the start of the horizon")
    .means("First day on which it may run.")
    .shown(">= 2027-02-01", ">= 2027-03-01");
pub(super) const FINISH: FieldRow = FieldRow::new("finish", FieldType::Date, AT_MOST)
    .default("the end of the horizon")
    .means("Last day on which it may run.")
    .shown("<= 2027-06-30", "<= 2027-05-31");
pub(super) const ENGINE: FieldRow = FieldRow::new("engine", FieldType::One(Referent::Engine), FACT)
    .default("`vllm`")
    .means("The serving engine.")
    .shown("= vllm", "= sglang");
pub(super) const PRECISION: FieldRow = FieldRow::new("precision", FieldType::Words(PRECISIONS), CHOICE)
    .default("as the model is published")
    .means("Precisions that the weights may have.")
    .shown("in [bf16, fp8]", "= fp8");
pub(super) const ACCELERATOR: FieldRow =
    FieldRow::new("accelerator", FieldType::Many(Referent::Accelerator), CHOICE)
        .default("any")
        .means("Accelerators that are allowed.")
        .shown("in [h100_sxm, h200_sxm]", "= l40s");
pub(super) const SPLIT: FieldRow = FieldRow::new("parallelism", FieldType::Record(&PARALLELISM), FACT)
    .default("decided by the planner")
    .means("Degrees of parallelism that are fixed.")
    .shown("= { tensor = 2 }", "= { tensor = 4 }");
pub(super) const BUY: FieldRow = FieldRow::new("buy", FieldType::Buy, FACT)
    .default("on demand, reserved no longer than the horizon, owned at own sites")
    .means("How capacity may be bought, with limits on shares of node-hours: `owned`, `reserved(1 y)`, `savings_plan(3 y)`, `block(14 d)`, `on_demand`, `spot`; `reserved` alone is every term. A savings plan is taken as bound to one machine at one site; blocks follow one another from the start of a period for as long as they are needed. A contract is paid to the end of its term, also where that lies after the horizon.")
    .shown("= [reserved(1 y), on_demand]", "= [on_demand]");
pub(super) const SITE: FieldRow = FieldRow::new("site", FieldType::Many(Referent::Site), CHOICE)
    .default("any")
    .means("Sites where it may run.")
    .shown("in [hall]", "in [cloud]");
