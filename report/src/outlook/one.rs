//! One way to run a model at one load, told in full.

use crate::document::{Block, Cell, Document, Table, Tone};
use capstan_types::figure;
use capstan_types::origin::PriceGrade;
use capstan_types::outlook::{
    Answer, Arrivals, FitWord, HourPrice, MemoryShare, OtherSplit, Point, Question, Ranged, TimeSlice,
};
use capstan_types::units::{Bytes, Seconds};

/// Longest bar of a waterfall.
const BAR: f64 = 24.0;

pub(super) fn sections(document: &mut Document, question: &Question, answer: &Answer) {
    let Some(point) = answer.points.first() else { return };
    document.section("What is seen", [Block::Table(seen(answer, point)), said(question, answer, point)]);
    document.section("Does it fit", fits(question, &answer.memory));
    document.section(
        &format!(
            "Where the time goes: one prompt of {} tokens",
            figure::count(u64::from(question.input_tokens))
        ),
        [Block::Table(waterfall(&answer.prefill))],
    );
    document.section(
        &format!("Where the time goes: one step, {} writing", figure::short(point.writing)),
        [Block::Table(waterfall(&answer.decode))],
    );
    document.section("Price", answer.price.iter().map(|price| Block::Paragraph(Cell::from(priced(price)))));
    document.section("Other splits", [Block::Table(others(&answer.others))]);
    let why = answer.why.iter().map(|text| Cell::from(text.as_str())).collect();
    document.section("Why the intervals are as wide as they are", [Block::List(why)]);
}

fn seen(answer: &Answer, point: &Point) -> Table {
    let mut table = Table::new(&["", ">predicted", ">90 % interval", "origin"]);
    let mut add = |name: &str, ranged: Ranged, shown: &dyn Fn(f64) -> String| {
        let interval = format!("{} – {}", shown(ranged.low), shown(ranged.high));
        let strong = Cell::toned(shown(ranged.value), Tone::Strong);
        table.rows.push(vec![name.into(), strong, interval.into(), ranged.origin.word().into()]);
    };
    let time = |seconds: f64| figure::span(Seconds(seconds));
    let speed = |rate: f64| format!("{} tok/s", figure::short(rate));
    add("time to first token, mean", point.ttft_s, &time);
    if let Some(p99) = point.ttft_p99_s {
        add("time to first token, p99", p99, &time);
    }
    add("time per output token, mean", point.tpot_s, &time);
    if let Some(p99) = point.tpot_p99_s {
        add("time per output token, p99", p99, &time);
    }
    add("whole answer", point.e2e_s, &time);
    add("speed for one user", point.tokens_per_s_per_user, &speed);
    add("output, all", point.output_tokens_per_s, &speed);
    add("output per accelerator", point.output_tokens_per_s_per_accelerator, &speed);
    if let Some(price) = &answer.price {
        let money = |cost: f64| format!("{} {}", figure::short(cost), price.currency.code());
        if let Some(cost) = point.cost_per_million_output {
            add("per million output tokens", cost, &money);
        }
        if let Some(cost) = point.cost_per_million_tokens {
            add("per million tokens, prompts counted", cost, &money);
        }
    }
    table
}

fn said(question: &Question, answer: &Answer, point: &Point) -> Block {
    let accelerators = answer.degrees.accelerators();
    let (fewest, most) = point.replicas_between;
    let replicas = match point.replicas {
        1 if most == 1 => "One replica".to_owned(),
        1 => format!("1 replica ({fewest} to {most}), each"),
        replicas if fewest == most => format!("{} replicas, each", figure::count(u64::from(replicas))),
        replicas => format!("{} replicas ({fewest} to {most}), each", figure::count(u64::from(replicas))),
    };
    let on = format!("{accelerators} × {}", answer.accelerator);
    let mut text = format!("{replicas} on {on}, bound by {}.", point.limit.words());
    if let Arrivals::Open { .. } = question.arrivals {
        let all = u64::from(point.replicas) * u64::from(accelerators);
        text.push_str(&format!(" {} accelerators in all.", figure::count(all)));
    }
    if answer.price.is_none() {
        text.push_str(" Its price is unknown, so is the cost: say it with `--price`.");
    }
    Block::Paragraph(text.into())
}

fn gib(bytes: Bytes) -> String {
    format!("{:.2} GiB", bytes.gib())
}

fn fits(question: &Question, memory: &MemoryShare) -> [Block; 2] {
    let (word, tone) = match memory.fit {
        FitWord::Fits => ("It fits", Tone::Good),
        FitWord::Tight => ("It is tight", Tone::Warn),
        FitWord::No => ("It does not fit", Tone::Bad),
    };
    let length = question.input_tokens.saturating_add(question.output_tokens);
    let text = format!(
        "{word}: each accelerator needs {} with one request of {} tokens and may use {} ({}). Room for {} tokens of \
         cache, {} such requests at once.",
        gib(memory.needed_bytes),
        figure::count(u64::from(length)),
        gib(memory.budget_bytes),
        memory.origin.word(),
        figure::count(memory.kv_tokens),
        figure::count(memory.requests_at_once),
    );
    let mut table = Table::new(&["per accelerator", ">bytes", ">share", ""]);
    let whole = memory.device_bytes.get();
    let mut add = |name: String, bytes: Bytes| {
        let share = bytes.get() / whole;
        table.rows.push(vec![
            name.into(),
            gib(bytes).into(),
            figure::percent(share).into(),
            Cell::from(bar(share)),
        ]);
    };
    add("weights".to_owned(), memory.weights_bytes);
    add("activations of the largest step".to_owned(), memory.activations_bytes);
    add("runtime, collectives, sampler".to_owned(), memory.overhead_bytes);
    let each = memory.bytes_per_token.get();
    add(format!("KV cache, {} B/token", figure::count(each.max(0.0) as u64)), memory.cache_bytes);
    add("left to others".to_owned(), memory.device_bytes - memory.budget_bytes);
    add("memory of the device".to_owned(), memory.device_bytes);
    table.total = true;
    [Block::Paragraph(Cell::toned(text, tone)), Block::Table(table)]
}

fn bar(share: f64) -> String {
    "█".repeat((share.clamp(0.0, 1.0) * BAR).round() as usize)
}

pub(super) fn waterfall(slices: &[TimeSlice]) -> Table {
    let mut table = Table::new(&["part", ">time", ">share", ""]);
    for slice in slices {
        table.rows.push(vec![
            slice.part.as_str().into(),
            figure::span(Seconds(slice.seconds)).into(),
            figure::percent(slice.share).into(),
            Cell::from(bar(slice.share)),
        ]);
    }
    let all: f64 = slices.iter().map(|slice| slice.seconds).sum();
    if slices.len() > 1 {
        let row = ["all".into(), figure::span(Seconds(all)).into(), figure::percent(1.0).into(), "".into()];
        table.rows.push(row.into());
        table.total = true;
    }
    table
}

/// Returns a price with where it is from.
pub(super) fn priced(price: &HourPrice) -> String {
    let currency = price.currency;
    let mut text = format!(
        "{} {} per accelerator and hour",
        figure::price(price.per_accelerator_hour, currency),
        currency.code()
    );
    let place = [price.machine.clone(), price.option.map(|option| option.words()), price.region.clone()];
    let place: Vec<String> = place.into_iter().flatten().collect();
    if !place.is_empty() {
        text.push_str(&format!(": {}", place.join(", ")));
    }
    let grade = match price.grade {
        Some(PriceGrade::Estimate) => "an estimate, ",
        Some(PriceGrade::List) => "list price, ",
        Some(PriceGrade::Quoted) => "quoted, ",
        None => "",
    };
    let date = price.as_of.map_or(String::new(), |date| format!("{date}; "));
    text.push_str(&format!(" ({grade}{date}{}). Only the time of the machine counts.", price.source));
    text
}

fn others(splits: &[OtherSplit]) -> Table {
    let mut table = Table::new(&["split", "fit", ">tok/s per accelerator", ">TPOT", "why not"]);
    for split in splits {
        let optional = |value: Option<f64>, shown: &dyn Fn(f64) -> String| value.map_or(String::new(), shown);
        table.rows.push(vec![
            split.degrees.words().into(),
            split.fit.word().into(),
            optional(split.output_tokens_per_s_per_accelerator, &figure::short).into(),
            optional(split.tpot_s, &|seconds| figure::span(Seconds(seconds))).into(),
            split.reason.clone().unwrap_or_default().into(),
        ]);
    }
    table
}
