//! Several machines, splits or loads side by side: a table, and the front between speed for a user and yield.

use crate::document::{Block, Cell, Document, Plot, Series, Table, Tone};
use capstan_types::figure;
use capstan_types::outlook::{Answer, FitWord, Outlook, Point, Ranged};
use capstan_types::units::Seconds;
use std::collections::BTreeMap;

/// Marks of series, in their order.
const MARKS: [char; 12] = ['1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c'];

pub(super) fn sections(document: &mut Document, outlook: &Outlook) {
    if outlook.answers.is_empty() {
        return;
    }
    let all = outlook.question.on == "all";
    let swept = outlook.answers.iter().any(|answer| answer.points.len() > 1);
    let table = table(outlook, all, swept);
    let heading = match (all, swept) {
        (true, true) => "The front: nothing else is faster for a user and yields more per accelerator",
        (true, false) => "Machines, the cheapest on demand first",
        (false, _) => "By requests in flight",
    };
    document.section(heading, [Block::Table(table), Block::Paragraph(Cell::from(legend(outlook, swept)))]);
    if swept {
        let heading = "Speed for one user against output per accelerator";
        document.section(heading, [Block::Plot(plot(outlook))]);
    }
    let mut prices = BTreeMap::new();
    for answer in &outlook.answers {
        if let Some(price) = answer.price.as_ref().filter(|_| !all) {
            prices.insert(super::one::priced(price), ());
        }
    }
    let prices = prices.into_keys().map(Cell::from).collect();
    document.section("Price", [Block::List(prices)]);
    let why = if all { general_why(outlook) } else { own_why(outlook) };
    document.section("Why the intervals are as wide as they are", [Block::List(why)]);
}

fn own_why(outlook: &Outlook) -> Vec<Cell> {
    let mut why: Vec<&str> = Vec::new();
    for text in outlook.answers.iter().flat_map(|answer| &answer.why) {
        if !why.contains(&text.as_str()) {
            why.push(text);
        }
    }
    why.into_iter().map(Cell::from).collect()
}

/// Says how many rows rest on what, instead of every reason of every row.
fn general_why(outlook: &Outlook) -> Vec<Cell> {
    let unmeasured = outlook
        .answers
        .iter()
        .filter(|answer| answer.why.iter().any(|text| text.starts_with("nobody measured")));
    let mut names: Vec<&str> = unmeasured.map(|answer| answer.accelerator.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut why = Vec::new();
    if !names.is_empty() {
        why.push(Cell::from(format!(
            "kernels of {} are not measured: peak and bandwidth of the data sheet × usual efficiencies",
            names.join(", ")
        )));
    }
    why.push(Cell::from("launch options (stream interval, batch cap, graphs, speculation) are defaults"));
    why
}

fn legend(outlook: &Outlook, swept: bool) -> String {
    let mut text = "tok/s/user: while the answer is written; tok/s/acc: output tokens per accelerator; Mtok: million \
                    output tokens, prompts included, on demand in the cheapest region unless a term is named; 90 %: \
                    as many measured times per output token lie within that factor, either way"
        .to_owned();
    if swept {
        text.push_str("; ● stands on the front");
    }
    if outlook.answers.iter().any(|answer| answer.price.is_none()) {
        text.push_str("; without a price the cost is unknown, not zero");
    }
    text.push('.');
    text
}

fn table(outlook: &Outlook, all: bool, swept: bool) -> Table {
    let mut titles: Vec<&str> = Vec::new();
    if all {
        titles.push("machine");
    }
    titles.push(">tp");
    if swept {
        titles.push(">in flight");
    }
    titles.extend([">TTFT", ">TPOT", ">90 %", ">tok/s /user", ">tok/s /acc", ">USD /Mtok", "fit", "binds"]);
    if swept && !all {
        titles.push("");
    }
    let mut table = Table::new(&titles);
    for answer in &outlook.answers {
        for point in answer.points.iter().filter(|point| !(all && swept) || point.on_front) {
            let mut row: Vec<Cell> = Vec::new();
            if all {
                row.push(machine(answer));
            }
            row.push(answer.degrees.words().into());
            if swept {
                row.push(point.concurrency.map_or(String::new(), |count| count.to_string()).into());
            }
            row.extend(numbers(answer, point));
            if swept && !all {
                row.push(if point.on_front { "●" } else { "" }.into());
            }
            table.rows.push(row);
        }
    }
    table
}

fn machine(answer: &Answer) -> Cell {
    let mut name = answer.machine.clone().unwrap_or_else(|| answer.accelerator.clone());
    let option = answer.price.as_ref().and_then(|price| price.option);
    if let Some(option) = option.filter(|option| *option != capstan_types::offering::PurchaseOption::OnDemand)
    {
        name.push_str(&format!(" ({})", option.words()));
    }
    name.into()
}

fn numbers(answer: &Answer, point: &Point) -> Vec<Cell> {
    let short = |ranged: Ranged| Cell::from(figure::short(ranged.value));
    let fit = answer.memory.fit;
    let tone = if fit == FitWord::Tight { Tone::Warn } else { Tone::Good };
    vec![
        figure::span(Seconds(point.ttft_s.value)).into(),
        figure::span(Seconds(point.tpot_s.value)).into(),
        within(point.tpot_s).into(),
        short(point.tokens_per_s_per_user),
        short(point.output_tokens_per_s_per_accelerator),
        point.cost_per_million_output.map_or_else(|| Cell::toned("unknown", Tone::Faint), short),
        Cell::toned(fit.word(), tone),
        point.limit.word().into(),
    ]
}

/// Returns the larger of the factors to both ends of an interval.
fn within(ranged: Ranged) -> String {
    format!("×{:.1}", (ranged.high / ranged.value).max(ranged.value / ranged.low))
}

/// Returns the points of each split or machine, the beaten ones first so that the front is drawn over them.
fn plot(outlook: &Outlook) -> Plot {
    let place =
        |point: &Point| (point.tokens_per_s_per_user.value, point.output_tokens_per_s_per_accelerator.value);
    let beaten = outlook.answers.iter().flat_map(|answer| &answer.points).filter(|point| !point.on_front);
    let mut series = vec![Series {
        name: "beaten by a point on the front".to_owned(),
        mark: '·',
        points: beaten.map(place).collect(),
    }];
    let on_front = |answer: &&Answer| answer.points.iter().any(|point| point.on_front);
    for (answer, mark) in
        outlook.answers.iter().filter(on_front).zip(MARKS.into_iter().chain(std::iter::repeat('+')))
    {
        let front = answer.points.iter().filter(|point| point.on_front);
        series.push(Series { name: name(answer), mark, points: front.map(place).collect() });
    }
    Plot { across: "tok/s for one user".to_owned(), up: "output tok/s per accelerator".to_owned(), series }
}

/// Returns the name of a series.
pub(super) fn name(answer: &Answer) -> String {
    let machine = answer.machine.as_ref().unwrap_or(&answer.accelerator);
    format!("{machine}, {}", answer.degrees.words())
}

/// Lists what does not run, machines with the same reason together.
pub(super) fn refused(document: &mut Document, outlook: &Outlook) {
    let mut by_reason: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for refused in &outlook.refused {
        let machine = refused.machine.as_deref().unwrap_or(&refused.accelerator);
        by_reason.entry((&refused.accelerator, &refused.reason)).or_default().push(machine);
    }
    let mut table = Table::new(&["does not run", "why"]);
    for ((_, reason), machines) in by_reason {
        table.rows.push(vec![Cell::toned(machines.join(" "), Tone::Bad), reason.into()]);
    }
    document.section("What does not run, at the split that comes nearest", [Block::Table(table)]);
}
