//! `load`: how many requests of what length arrive when?

use capstan_types::place::Place;
use capstan_types::quantity::{Dimension, HOUR_S, MONTH_H};
use capstan_types::spec::{Daily, Load, TraceUse};
use capstan_types::traffic::{Lengths, Traffic};
use capstan_types::units::RequestsPerSecond;

use super::checker::Checker;
use super::context::TraceFacts;
use super::fields::Fields;
use super::plan::{assumed, over};
use super::read::Stated;
use super::table::{Bounds, FACT, FieldRow, FieldType, Referent, Table};
use crate::codes;

/// Longest prompt or output; beyond every model.
const LENGTH: Bounds = Bounds::Within(1.0, 1e8);

/// Seconds of a planning month.
pub(super) const MONTH_S: f64 = (MONTH_H * HOUR_S) as f64;

/// Where lengths come from.
pub(super) const TRAFFIC: FieldRow = FieldRow::new("traffic", FieldType::One(Referent::Traffic), FACT)
    .means("Traffic of the catalog that lengths and burstiness come from.")
    .shown("= azure_2023_conversation", "= azure_2023_code");

/// Lengths of prompts.
pub(super) const PROMPT: FieldRow = FieldRow::new("prompt", FieldType::Quantity(Dimension::TOKENS), FACT)
    .bounds(LENGTH)
    .default("from `traffic` or `trace`")
    .means("Tokens of every prompt.")
    .shown("= 1 ktok", "= 2 ktok");

/// Lengths of outputs.
pub(super) const OUTPUT: FieldRow = FieldRow::new("output", FieldType::Quantity(Dimension::TOKENS), FACT)
    .bounds(LENGTH)
    .default("from `traffic` or `trace`")
    .means("Tokens of every output.")
    .shown("= 250 tok", "= 500 tok");

/// The record.
pub static LOAD: Table = Table::record("load", "Requests over time.", FIELDS);

static FIELDS: &[FieldRow] = &[
    TRAFFIC,
    FieldRow::new("trace", FieldType::Path, FACT)
        .means("A request log beside the plan: arrivals, prompt and output tokens.")
        .shown("= \"requests.csv\"", "= \"other.csv\""),
    FieldRow::new("peak", FieldType::Quantity(Dimension::REQUEST_RATE), FACT)
        .bounds(Bounds::UpTo(1e9))
        .default("needed, except with `trace`: its busiest ten minutes")
        .means("Mean rate of the busiest hour in the first month.")
        .shown("= 40 req/s", "= 80 req/s"),
    FieldRow::new("rate", FieldType::Quantity(Dimension::REQUEST_RATE), FACT)
        .bounds(Bounds::UpTo(1e9))
        .means("The same as `peak`, for demand that does not move over the day.")
        .shown("= 5 req/s", "= 8 req/s"),
    PROMPT,
    OUTPUT,
    FieldRow::new("burstiness", FieldType::Quantity(Dimension::NONE), FACT)
        .bounds(Bounds::Within(0.01, 100.0))
        .default("from `traffic` or `trace`, else 1")
        .means("Coefficient of variation of the time between arrivals; 1 is random, less is regular.")
        .shown("= 1.5", "= 2"),
    FieldRow::new("grows", FieldType::Quantity(Dimension::PER_TIME), FACT)
        .bounds(Bounds::Within(-0.5 / MONTH_S, 1.0 / MONTH_S))
        .default("0")
        .means("Growth of the rate.")
        .shown("= 6 %/mo", "= 3 %/mo"),
    FieldRow::new("daily", FieldType::Daily, FACT)
        .default("`flat`")
        .means("Shape of a day: the lowest rate over the highest, and the hour of the highest.")
        .shown("= diurnal(trough = 30%, peak_at = 14:00)", "= diurnal(trough = 50%, peak_at = 14:00)"),
    FieldRow::new("weekend", FieldType::Share, FACT)
        .bounds(Bounds::Within(0.0, 1.0))
        .default("100%")
        .means("Rate at weekends over that on weekdays.")
        .shown("= 70%", "= 50%"),
];

/// Where lengths and burstiness come from.
enum Basis<'a> {
    Traffic(&'a Traffic),
    Trace(&'a TraceFacts),
    Nothing,
}

/// Reads the load of the workload `name`.
pub(crate) fn check(checker: &Checker<'_>, fields: &Fields, name: &str) -> Option<Load> {
    let place = fields.place.clone();
    excludes(checker, fields, "traffic", "trace");
    excludes(checker, fields, "peak", "rate");
    let trace = trace(checker, fields);
    let traffic = fields.text("traffic").and_then(|id| checker.catalog.traffic(id));
    let basis = match (traffic, &trace) {
        (Some(traffic), _) => Basis::Traffic(traffic),
        (None, Some((_, facts))) => Basis::Trace(facts),
        (None, None) => Basis::Nothing,
    };
    let peak = peak(checker, fields, &basis, name);
    let prompt = lengths(checker, fields, "prompt", &basis);
    let output = lengths(checker, fields, "output", &basis);
    let burstiness = burstiness(checker, fields, &basis, name);
    let said = |field: &str, text: &str| assumed(checker, fields, &place, field, (), text);
    said("grows", &format!("the demand of `{name}` does not grow"));
    said("daily", &format!("the demand of `{name}` is the same at every hour"));
    said("weekend", &format!("the demand of `{name}` is the same at weekends"));
    Some(Load {
        traffic: traffic.map(|traffic| traffic.id.clone()),
        prompt: prompt?,
        output: output?,
        burstiness,
        peak: RequestsPerSecond(peak?),
        growth_per_month: growth(checker, fields, peak?),
        daily: match fields.get("daily").map(|given| &given.value) {
            Some(Stated::Daily(daily)) => *daily,
            _ => Daily::Flat,
        },
        weekend: fields.number("weekend").unwrap_or(1.0),
        trace: trace.map(|(path, facts)| TraceUse {
            path,
            digest: facts.digest.clone(),
            requests: facts.requests,
            span_s: facts.span_s,
            busiest: RequestsPerSecond(facts.busiest_requests_per_s),
            hashes: facts.hashes.clone(),
        }),
        place,
    })
}

/// Demand at the end of the horizon, over the peak now, that no plan is made for, and the most requests per second.
const LEAST_LEFT: f64 = 1e-3;
const MOST_REQUESTS: f64 = 1e6;

/// Returns the growth per month; reports one that takes demand beyond anything that can be planned.
fn growth(checker: &Checker<'_>, fields: &Fields, peak: f64) -> f64 {
    let growth = fields.quantity("grows").map_or(0.0, |rate| over(rate, MONTH_S));
    let factor = libm::pow(1.0 + growth, f64::from(checker.frame.months));
    let message = if growth > 0.0 && peak * factor > MOST_REQUESTS {
        format!("`grows` takes the demand to {:.1e} req/s by the end of the horizon", peak * factor)
    } else if factor < LEAST_LEFT {
        format!("`grows` leaves {:.1e} of the demand by the end of the horizon", factor)
    } else {
        return growth;
    };
    let found = checker.values.error(codes::OUT_OF_RANGE, fields.place_of("grows").span(), message);
    checker.values.report(found.help("write a growth that lasts, or a shorter horizon"));
    growth
}

/// Reports two fields that say the same thing.
pub(super) fn excludes(checker: &Checker<'_>, fields: &Fields, one: &str, other: &str) {
    let (Some(first), Some(second)) = (fields.get(one), fields.get(other)) else { return };
    let message = format!("`{one}` and `{other}` say the same thing");
    let found = checker.values.error(codes::CONTRADICTION, second.place.span(), message);
    checker.values.report(found.also(first.place.clone(), "said here").help("keep one of them"));
}

fn trace<'c>(checker: &'c Checker<'_>, fields: &Fields) -> Option<(String, &'c TraceFacts)> {
    let path = fields.text("trace")?.to_owned();
    let facts = checker.context.traces.get(&path);
    if facts.is_none() && !checker.context.is_told(&path) {
        let span = fields.place_of("trace").span();
        let message = format!("the trace `{path}` could not be read");
        let found = checker.values.error(codes::UNREADABLE_FILE, span, message);
        checker.values.report(found.help("put it beside the plan file, or use `traffic`"));
    }
    Some((path, facts?))
}

fn peak(checker: &Checker<'_>, fields: &Fields, basis: &Basis<'_>, name: &str) -> Option<f64> {
    if let Some(peak) = fields.number("peak").or_else(|| fields.number("rate")) {
        return Some(peak);
    }
    if fields.has("peak") || fields.has("rate") {
        return None;
    }
    if let Basis::Trace(facts) = basis {
        let peak = facts.busiest_requests_per_s;
        let text =
            format!("the peak of `{name}` is that of the busiest ten minutes of its trace, {peak:.3} req/s");
        checker.assume(&fields.place, text);
        return Some(peak);
    }
    if !fields.has("trace") {
        fields.need(checker, "peak");
    }
    None
}

/// Returns the lengths of prompts and outputs of what has no trace.
pub(super) fn both_lengths(checker: &Checker<'_>, fields: &Fields) -> Option<(Lengths, Lengths)> {
    let traffic = fields.text("traffic").and_then(|id| checker.catalog.traffic(id));
    let basis = traffic.map_or(Basis::Nothing, Basis::Traffic);
    let both = (lengths(checker, fields, "prompt", &basis), lengths(checker, fields, "output", &basis));
    both.0.zip(both.1)
}

fn lengths(checker: &Checker<'_>, fields: &Fields, name: &str, basis: &Basis<'_>) -> Option<Lengths> {
    if let Some(tokens) = fields.number(name) {
        return Some(Lengths::fixed(tokens.round()));
    }
    let of =
        |prompt: &Lengths, output: &Lengths| if name == "prompt" { prompt.clone() } else { output.clone() };
    match basis {
        Basis::Traffic(traffic) => Some(of(&traffic.prompt, &traffic.output)),
        Basis::Trace(facts) => Some(of(&facts.prompt, &facts.output)),
        Basis::Nothing => {
            // A misspelt traffic or an unreadable trace has been reported; its lengths are not missing.
            if !fields.has("traffic") && !fields.has("trace") {
                fields.need(checker, name);
            }
            None
        }
    }
}

fn burstiness(checker: &Checker<'_>, fields: &Fields, basis: &Basis<'_>, name: &str) -> f64 {
    if let Some(burstiness) = fields.number("burstiness") {
        return burstiness;
    }
    match basis {
        Basis::Traffic(traffic) => traffic.burstiness,
        Basis::Trace(facts) => facts.burstiness,
        Basis::Nothing => {
            let text = format!("requests to `{name}` arrive at random (Poisson)");
            assumed(checker, fields, &fields.place, "burstiness", 1.0, &text)
        }
    }
}

/// Reports requests that do not fit into the context of the model.
pub(crate) fn fits(
    checker: &Checker<'_>,
    (prompt, output): (&Lengths, &Lengths),
    context: u32,
    model: &str,
    place: &Place,
) {
    // The median request: a tail beyond the context may be cut, half of all requests may not.
    let tokens = prompt.quantile(0.5) + output.quantile(0.5);
    if tokens <= f64::from(context) {
        return;
    }
    let message = format!("a request of {tokens} tokens does not fit into the context of `{model}`");
    let found = checker.values.error(codes::OUT_OF_RANGE, place.span(), message);
    checker.values.report(found.help(format!("prompt and output together have at most {context} tokens")));
}
