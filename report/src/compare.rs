//! Diff → document and JSON: the first line says the verdict and the money, then what changes and why.

use crate::ci::{Case, Outcome, Remark, Spot, Suite, Told, status_word};
use crate::document::{Block, Cell, Document, Table, Tone};
use crate::json::pretty;
use crate::markdown::markdown;
use capstan_types::blueprint::{CostKind, Status};
use capstan_types::diff::{Amounts, Cause, ChangeKind, Counts, Diff, LevelDelta, Value};
use capstan_types::figure;
use capstan_types::finding::Severity;
use capstan_types::money::Currency;
use capstan_types::units::Seconds;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Format of the diff that programs read.
pub const DIFF_FORMAT: u32 = 1;

/// The diff that programs read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DiffReport {
    /// Format of this document.
    pub format: u32,
    /// Whether nothing differs.
    pub empty: bool,
    /// What decides.
    pub summary: DiffSummary,
    /// What differs.
    #[serde(flatten)]
    pub diff: Diff,
}

/// What decides, in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiffSummary {
    /// Whether the head holds.
    pub status: Status,
    /// The exit code of the command.
    pub exit_code: u8,
    /// Limits on the change that are passed and refuse it.
    pub guards_broken: usize,
    /// Limits on the change that are passed and only warn.
    pub guards_warned: usize,
}

/// Returns a diff as JSON; `exit_code` is what the command ends with.
pub fn diff_json(diff: &Diff, exit_code: u8) -> String {
    let broken = |required: bool| {
        diff.guards.iter().filter(|guard| !guard.holds && guard.required == required).count()
    };
    let summary = DiffSummary {
        status: diff.head.status,
        exit_code,
        guards_broken: broken(true),
        guards_warned: broken(false),
    };
    pretty(&DiffReport { format: DIFF_FORMAT, empty: diff.is_empty(), summary, diff: diff.clone() })
}

/// Returns a diff as Markdown for a comment that is updated in place: a hidden marker names the plan.
pub fn diff_markdown(diff: &Diff) -> String {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let plan: String = diff.head.plan.chars().filter(|&c| word(c)).collect();
    format!("<!-- capstan diff {plan} -->\n{}", markdown(&diff_document(diff)))
}

/// Returns what CI lists of a diff: one case for each limit on the change, and whether the head holds.
pub fn diff_told(diff: &Diff, version: &str) -> Told {
    let case = |name: String, holds: bool, skipped: bool, message: String| Case {
        class: "diff".to_owned(),
        name,
        spot: None,
        outcome: match (holds, skipped) {
            (true, _) => Outcome::Passed,
            (false, true) => Outcome::Skipped(message),
            (false, false) => Outcome::Failed { rule: "guard".to_owned(), message },
        },
    };
    let holds = diff.head.status == Status::Feasible;
    let mut cases = vec![case("the plan holds".to_owned(), holds, false, title(diff).text)];
    let guards = diff.guards.iter();
    cases.extend(guards.map(|one| case(one.name.clone(), one.holds, !one.required, one.numbers.clone())));
    if let Some(what) = diff.left_out_now() {
        cases.push(case("what it costs can be compared".to_owned(), false, true, leaves_out(&what)));
    }
    let broken = diff.guards.iter().filter(|guard| !guard.holds);
    let remarks = broken.map(|guard| Remark {
        rule: "guard".to_owned(),
        severity: if guard.required { Severity::Error } else { Severity::Warning },
        message: format!("{}: {}", guard.name, guard.numbers),
        details: Vec::new(),
        spot: Spot::top(diff.head.path.clone()),
    });
    let left_out = diff.left_out_now().map(|what| Remark {
        rule: "guard".to_owned(),
        severity: Severity::Warning,
        message: leaves_out(&what),
        details: Vec::new(),
        spot: Spot::top(diff.head.path.clone()),
    });
    let remarks = remarks.chain(left_out).collect();
    let suites = vec![Suite { name: diff.head.plan.clone(), cases }];
    Told { version: version.to_owned(), remarks, suites, ..Told::default() }
}

/// Returns names and values for later steps of a pipeline.
pub fn diff_outputs(diff: &Diff, exit_code: u8) -> Vec<(String, String)> {
    let total = &diff.cost.total;
    let share = total
        .change()
        .checked_div(total.before.abs())
        .map(|share| (share * Decimal::ONE_HUNDRED).round_dp(2));
    // An amount that nobody knows is empty, never a number.
    let is_known = priced(diff) && diff.left_out_now().is_none();
    let known = |text: String| if is_known { text } else { String::new() };
    let pairs = [
        ("status", status_word(diff.head.status).to_owned()),
        ("exit_code", exit_code.to_string()),
        ("changed", (!diff.is_empty()).to_string()),
        ("currency", diff.head.currency.code().to_owned()),
        ("total", total.after.to_string()),
        ("total_change", known(total.change().to_string())),
        (
            "total_change_percent",
            known(share.map_or_else(String::new, |share| share.normalize().to_string())),
        ),
        ("per_month_change", known(diff.cost.per_month.change().to_string())),
        ("unpriced", diff.unpriced.after.to_string()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Returns a diff as a document.
pub fn diff_document(diff: &Diff) -> Document {
    let mut document = Document { title: title(diff), blocks: Vec::new() };
    if diff.is_empty() {
        document.blocks.push(Block::Paragraph("The two blueprints buy, run and cost the same.".into()));
        return document;
    }
    document.section("Limits on the change", [guards(diff)]);
    if priced(diff) {
        document.section("What it costs", cost(diff));
        document.section("What it is due to", [shares(diff)]);
    }
    document.section("What changes", [changes(diff)]);
    document.section("Which inputs differ", [causes(diff)]);
    document.blocks.push(Block::Paragraph(doubts(diff)));
    document
}

fn guards(diff: &Diff) -> Block {
    let mut table = Table::new(&["Limit", "Verdict", "Numbers"]);
    for guard in &diff.guards {
        let verdict = match (guard.holds, guard.required) {
            (true, _) => Cell::toned("holds", Tone::Good),
            (false, true) => Cell::toned("EXCEEDED", Tone::Bad),
            (false, false) => Cell::toned("warning", Tone::Warn),
        };
        table.rows.push(vec![guard.name.as_str().into(), verdict, guard.numbers.as_str().into()]);
    }
    Block::Table(table)
}

fn shares(diff: &Diff) -> Block {
    let mut table = Table::new(&["Due to", &format!(">Change, {}", diff.head.currency.code())]);
    for share in &diff.shares {
        let amounts = Amounts { before: Decimal::ZERO, after: share.change };
        table.rows.push(vec![share.kind.words().into(), change(&amounts, diff.head.currency)]);
    }
    Block::Table(table)
}

/// Returns what the sums do not know, before and now.
fn doubts(diff: &Diff) -> Cell {
    let moved = |counts: Counts| match counts.before == counts.after {
        true => counts.after.to_string(),
        false => format!("{} → {}", counts.before, counts.after),
    };
    let text = format!("Without a price: {}. Assumed: {}.", moved(diff.unpriced), moved(diff.assumed));
    let worse = diff.unpriced.after > diff.unpriced.before;
    Cell::toned(text, if worse { Tone::Warn } else { Tone::Faint })
}

/// Returns what the first line says beside the money: machines, then levels that moved.
fn headline(diff: &Diff) -> Vec<String> {
    /// Most machines and levels of the first line; the tables have them all.
    const MOST: usize = 2;
    let machines = diff.machines.iter().take(MOST).map(|one| {
        let (before, after) = (one.nodes.before, one.nodes.after);
        let sign = if after > before { "+" } else { "-" };
        format!("{sign}{} {}", figure::count(after.abs_diff(before)), one.shape)
    });
    let span = |seconds: Option<f64>| seconds.map_or_else(|| "–".to_owned(), |s| figure::span(Seconds(s)));
    let strain = |one: &&LevelDelta| one.after_s.map_or(0, |after| (after / one.target_s * 1e6) as u64);
    let mut levels: Vec<&LevelDelta> = diff.levels.iter().collect();
    levels.sort_by_key(|one| std::cmp::Reverse(strain(one)));
    let levels = levels.into_iter().take(MOST).map(|one| {
        format!(
            "{} {} → {} of {}",
            one.level,
            span(one.before_s),
            span(one.after_s),
            figure::span(Seconds(one.target_s))
        )
    });
    machines.chain(levels).collect()
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Feasible => "holds",
        Status::Violated => "does NOT hold",
        Status::Infeasible => "NO plan exists",
    }
}

fn title(diff: &Diff) -> Cell {
    if diff.is_empty() {
        return Cell::toned(format!("{}: no difference", diff.head.plan), Tone::Good);
    }
    let total = &diff.cost.total;
    let money = if !priced(diff) {
        "what it costs cannot be compared".to_owned()
    } else if let Some(what) = diff.left_out_now() {
        format!("what it costs cannot be compared: {}", leaves_out(&what))
    } else if diff.base.currency != diff.head.currency {
        format!(
            "from {} to {}",
            figure::money(total.before, diff.base.currency),
            figure::money(total.after, diff.head.currency)
        )
    } else if !diff.is_as_long() {
        format!(
            "{} per month{}, over {} months instead of {}",
            figure::signed_money(diff.cost.per_month.change(), diff.head.currency),
            share(&diff.cost.per_month),
            diff.head.months,
            diff.base.months
        )
    } else if total.change().is_zero() {
        "same cost".to_owned()
    } else {
        format!(
            "{} over the horizon{}, {} per month",
            figure::signed_money(total.change(), diff.head.currency),
            share(total),
            figure::signed_money(diff.cost.per_month.change(), diff.head.currency),
        )
    };
    let more: String = headline(diff).into_iter().map(|one| format!(", {one}")).collect();
    let tone = match diff.head.status {
        Status::Feasible if diff.guards.iter().any(|guard| !guard.holds && guard.required) => Tone::Bad,
        Status::Feasible => Tone::Strong,
        Status::Violated | Status::Infeasible => Tone::Bad,
    };
    Cell::toned(format!("{}: {}, {money}{more}", diff.head.plan, status(diff.head.status)), tone)
}

/// Says what has no price any more.
fn leaves_out(what: &str) -> String {
    format!("the total now leaves out {what}, whose price is unknown")
}

/// Says whether both sides exist: a plan that does not has no price, and zero is none.
fn priced(diff: &Diff) -> bool {
    diff.base.status != Status::Infeasible && diff.head.status != Status::Infeasible
}

/// Returns the change as a share of what it was: ` (+5.4 %)`.
fn share(amounts: &Amounts) -> String {
    let share = amounts.change().checked_div(amounts.before.abs()).and_then(|share| share.to_f64());
    share.map_or_else(String::new, |share| {
        let sign = if share > 0.0 { "+" } else { "" };
        format!(" ({sign}{})", figure::percent(share))
    })
}

fn change(amounts: &Amounts, currency: Currency) -> Cell {
    let change = amounts.change();
    let sign = if change > Decimal::ZERO { "+" } else { "" };
    let tone = if change > Decimal::ZERO { Tone::Warn } else { Tone::Good };
    Cell::toned(
        format!("{sign}{}", figure::amount(change, currency)),
        if change.is_zero() { Tone::Faint } else { tone },
    )
}

fn cost(diff: &Diff) -> Vec<Block> {
    let (before, after) = (diff.base.currency, diff.head.currency);
    let titles = [format!(">Before, {}", before.code()), format!(">After, {}", after.code())];
    let row = |name: Cell, amounts: &Amounts| {
        let change = if before == after { change(amounts, after) } else { "–".into() };
        vec![
            name,
            figure::amount(amounts.before, before).into(),
            figure::amount(amounts.after, after).into(),
            change,
        ]
    };
    let mut totals = Table::new(&["", &titles[0], &titles[1], ">Change"]);
    let cost = &diff.cost;
    totals.rows.push(row(Cell::toned("over the horizon", Tone::Strong), &cost.total));
    totals.rows.push(row("per month".into(), &cost.per_month));
    totals.rows.push(row("net present".into(), &cost.net_present));
    totals.rows.push(row("capex".into(), &cost.capex));
    totals.rows.push(row("opex".into(), &cost.opex));
    let mut groups = Table::new(&["Item", &titles[0], &titles[1], ">Change"]);
    for group in &cost.groups {
        let kind = match group.kind {
            CostKind::Capex => " (capex)",
            CostKind::Opex => "",
            CostKind::Residual => " (residual)",
            CostKind::Owed => " (owed)",
        };
        let option = group.option.map_or_else(String::new, |option| format!(", {}", option.words()));
        groups
            .rows
            .push(row(format!("{}: {}{option}{kind}", group.site, group.item).into(), &group.billed_cost));
    }
    let warning = diff.left_out_now().map(|what| {
        let text = format!("These are the sums of what has a price: {}.", leaves_out(&what));
        Block::Paragraph(Cell::toned(text, Tone::Warn))
    });
    warning.into_iter().chain([Block::Table(totals), Block::Table(groups)]).collect()
}

fn value(value: Option<&Value>) -> Cell {
    match value {
        None => Cell::toned("–", Tone::Faint),
        Some(Value::Count(count)) => figure::count(*count).into(),
        Some(Value::Words(words)) => words.as_str().into(),
    }
}

fn changes(diff: &Diff) -> Block {
    let mut table = Table::new(&["", "What", "Before", "After"]);
    for change in &diff.changes {
        let sign = match (&change.before, &change.after) {
            (None, _) if change.kind == ChangeKind::LeftOut => Cell::toned("+", Tone::Warn),
            (None, _) => Cell::toned("+", Tone::Good),
            (_, None) => Cell::toned("-", Tone::Bad),
            _ => Cell::toned("~", Tone::Warn),
        };
        let what = format!("{}: {}", change.kind.words(), change.address);
        table.rows.push(vec![sign, what.into(), value(change.before.as_ref()), value(change.after.as_ref())]);
    }
    Block::Table(table)
}

fn causes(diff: &Diff) -> Block {
    let mut table = Table::new(&["Input", "What", "Before", "After"]);
    let text = |text: &Option<String>| {
        text.as_ref().map_or_else(|| Cell::toned("–", Tone::Faint), |t| t.as_str().into())
    };
    let digest =
        |text: &Option<String>| text.as_ref().map(|digest| digest.chars().take(12).collect::<String>());
    for cause in &diff.causes {
        table.rows.push(match cause {
            Cause::File { role, path, before, after } => {
                vec![role.as_str().into(), path.as_str().into(), text(&digest(before)), text(&digest(after))]
            }
            Cause::Override { path, before, after } => {
                vec!["override".into(), path.as_str().into(), text(before), text(after)]
            }
            Cause::Plan { path, before, after } => {
                vec!["plan".into(), path.as_str().into(), text(before), text(after)]
            }
            Cause::Catalog { path, before, after } => {
                vec!["catalog".into(), path.as_str().into(), text(before), text(after)]
            }
            Cause::Price { offering, before, after, currency } => {
                let show = |price: &Option<Decimal>| {
                    price.map_or_else(
                        || Cell::toned("unknown", Tone::Warn),
                        |price| format!("{} {}", figure::price(price, *currency), currency.code()).into(),
                    )
                };
                vec!["price".into(), offering.as_str().into(), show(before), show(after)]
            }
        });
    }
    Block::Table(table)
}
