//! The first screen: what do I buy, what does it cost, does it hold.

use super::{origins, sure};
use crate::document::{Block, Cell, Table, Tone};
use capstan_types::blueprint::{
    Blueprint, CostKind, CostLine, Pool, Purchase, RuleOutcome, TrainingRun, Verdict, VerdictStatus,
    WorkloadCost,
};
use capstan_types::figure::{self, counted};
use capstan_types::offering::PurchaseOption;
use capstan_types::origin::PriceGrade;
use capstan_types::spec::{RuleKind, level_word};
use rust_decimal::Decimal;

/// Returns the frame in one line: months, prices, planning date.
pub(super) fn frame(blueprint: &Blueprint) -> Block {
    let frame = &blueprint.inputs.spec.frame;
    let mut text = format!("{} to {} · as of {}", frame.start, frame.end, frame.as_of);
    if let Some(oldest) = oldest_price(blueprint) {
        text.push_str(&format!(" · oldest price {oldest}"));
    }
    Block::Paragraph(Cell::toned(text, Tone::Faint))
}

/// Returns the date of the oldest price that a purchase rests on.
pub(crate) fn oldest_price(blueprint: &Blueprint) -> Option<String> {
    let purchases = blueprint.pools.iter().flat_map(|pool| &pool.purchases);
    let dates = purchases.filter_map(|purchase| purchase.price.as_ref()).map(|price| price.as_of);
    dates.min().map(|date| date.to_string())
}

/// Returns the counts over periods as one number, or as a range where they differ.
pub(super) fn range(counts: &[u32]) -> String {
    let (least, most) =
        (counts.iter().min().copied().unwrap_or(0), counts.iter().max().copied().unwrap_or(0));
    let count = |number: u32| figure::count(u64::from(number));
    if least == most { count(most) } else { format!("{}–{}", count(least), count(most)) }
}

fn price(blueprint: &Blueprint, purchase: &Purchase) -> Cell {
    let Some(row) = &purchase.price else { return Cell::toned("unknown", Tone::Warn) };
    let unit = if purchase.option == PurchaseOption::Owned { "node" } else { "h" };
    let text = format!("{}/{unit}", figure::price(row.price, blueprint.cost.currency));
    Cell::from(text).hinted(origins::price_row(row))
}

/// Returns the word of how firm a price is.
pub(crate) fn grade_word(grade: PriceGrade) -> &'static str {
    match grade {
        PriceGrade::Quoted => "quoted",
        PriceGrade::List => "list",
        PriceGrade::Estimate => "estimate",
    }
}

/// Returns all lines of a purchase, without what is left of it at the end.
fn lines_of<'a>(
    blueprint: &'a Blueprint,
    pool: &'a Pool,
    option: PurchaseOption,
) -> impl Iterator<Item = &'a CostLine> {
    blueprint.cost.lines.iter().filter(move |line| {
        line.site == pool.site
            && line.shape.as_deref() == Some(&pool.shape)
            && line.option == Some(option)
            && line.kind != CostKind::Residual
    })
}

/// Returns the row of machines that stand there already.
fn standing(blueprint: &Blueprint, pool: &Pool) -> Vec<Cell> {
    let fleet = origins::fleet(blueprint, &pool.site, &pool.shape);
    let nodes = Cell::from(range(&pool.fleet))
        .hinted(origins::by_period("nodes that stand there already", &pool.fleet))
        .stated(fleet.map(|fleet| &fleet.place));
    vec![
        pool.site.as_str().into(),
        pool.shape.as_str().into(),
        nodes,
        Cell::toned("already there", Tone::Faint),
        Cell::toned("–", Tone::Faint),
        Cell::toned("–", Tone::Faint),
    ]
}

/// Returns the row of a purchase, which comes to `billed`.
fn bought(blueprint: &Blueprint, pool: &Pool, purchase: &Purchase, billed: Decimal) -> Vec<Cell> {
    let nodes = origins::by_period("nodes that the planner chose", &purchase.nodes_by_period);
    let cost = if purchase.price.is_some() {
        Cell::from(figure::amount(billed, blueprint.cost.currency)).hinted(origins::lines(
            blueprint,
            &lines_of(blueprint, pool, purchase.option).collect::<Vec<_>>(),
        ))
    } else {
        Cell::toned("unknown", Tone::Warn)
    };
    vec![
        pool.site.as_str().into(),
        pool.shape.as_str().into(),
        Cell::from(range(&purchase.nodes_by_period)).hinted(nodes),
        purchase.option.words().into(),
        price(blueprint, purchase),
        cost,
    ]
}

/// Returns what to buy where, under which option, at which price, and what that comes to.
pub(super) fn purchases(blueprint: &Blueprint) -> Vec<Block> {
    let currency = blueprint.cost.currency;
    let cost = format!(">Cost, {}", currency.code());
    let mut table = Table::new(&["Site", "Machine", ">Nodes", "Bought", ">Price", &cost]);
    let mut sum = Decimal::ZERO;
    let mut pays: Vec<String> = Vec::new();
    for pool in &blueprint.pools {
        if pool.fleet.iter().any(|&nodes| nodes > 0) {
            table.rows.push(standing(blueprint, pool));
        }
        for purchase in pool.purchases.iter().filter(|purchase| purchase.nodes > 0) {
            let billed = lines_of(blueprint, pool, purchase.option).map(|line| line.billed_cost).sum();
            sum += billed;
            table.rows.push(bought(blueprint, pool, purchase, billed));
            pays.extend(purchase.busy_above.map(|share| {
                let (shape, option) = (&pool.shape, purchase.option.words());
                format!(
                    "{shape} {option} costs less than on demand where it is busy above {}",
                    figure::percent(share)
                )
            }));
        }
    }
    if table.rows.len() > 1 {
        let mut total: Vec<Cell> = vec![Cell::default(); 6];
        total[1] = Cell::toned("all machines", Tone::Strong);
        total[5] = Cell::toned(figure::amount(sum, currency), Tone::Strong).hinted("sum of the rows above");
        table.rows.push(total);
        table.total = true;
    }
    // A column of its own would break the others on a screen of 80.
    let pays = Cell::toned(pays.join("; "), Tone::Faint)
        .hinted("the share of its term at which it costs as much as on demand, at the prices above");
    vec![Block::Table(table), Block::Paragraph(pays)]
}

/// Returns the totals.
pub(super) fn money(blueprint: &Blueprint) -> Vec<Block> {
    let cost = &blueprint.cost;
    let show = |amount| figure::money(amount, cost.currency);
    let months = blueprint.inputs.spec.frame.months;
    let (residual, owed) = (cost.sum_of(CostKind::Residual), cost.sum_of(CostKind::Owed));
    let rate = figure::percent(blueprint.inputs.spec.frame.discount_per_year);
    let dearest = format!(", {} in the dearest month", show(cost.highest_opex_per_month));
    let of = |kind: CostKind| cost.lines.iter().filter(move |line| line.kind == kind);
    let said = |kind: CostKind| origins::lines(blueprint, &of(kind).collect::<Vec<_>>());
    let mut sums = vec![
        (format!("over {months} months"), cost.total, String::new(), Tone::Strong, origins::total(blueprint)),
        ("  capex".to_owned(), cost.capex, String::new(), Tone::Plain, said(CostKind::Capex)),
        ("  opex".to_owned(), cost.opex, dearest, Tone::Plain, said(CostKind::Opex)),
    ];
    if !residual.is_zero() {
        let left = said(CostKind::Residual);
        sums.push(("  value left".to_owned(), residual, " at the end".to_owned(), Tone::Plain, left));
    }
    if !owed.is_zero() {
        let bound = said(CostKind::Owed);
        let when = " by contracts that end after the horizon".to_owned();
        sums.push(("  still bound".to_owned(), owed, when, Tone::Plain, bound));
    }
    let month = format!("the total ÷ {months} months");
    sums.push(("per month".to_owned(), cost.per_month, " on average".to_owned(), Tone::Plain, month));
    let at = format!(" at {rate} a year");
    let present = format!("payments by month, each discounted at its month's end at {rate} a year");
    sums.push(("net present".to_owned(), cost.net_present, at, Tone::Plain, present));
    let widest = sums.iter().map(|sum| show(sum.1).len()).max().unwrap_or(0);
    let mut facts: Vec<(String, Cell)> = Vec::new();
    for (name, sum, said, tone, hint) in sums {
        facts.push((name, Cell::toned(format!("{:>widest$}{said}", show(sum)), tone).hinted(hint)));
    }
    facts.extend(cost.workloads.iter().filter_map(|workload| unit_costs(blueprint, workload)));
    if let Some(list) = cost.all_on_demand {
        let saved = list - cost.total;
        let word = if saved.is_sign_negative() { "less" } else { "more" };
        let told =
            if saved.is_zero() { "as much".to_owned() } else { format!("{} {word}", show(saved.abs())) };
        let hint = format!(
            "the same machines and hours at on-demand list prices, {}, less the total, {}",
            show(list),
            show(cost.total)
        );
        facts.push(("all on demand".to_owned(), Cell::from(told).hinted(hint)));
    }
    vec![Block::Facts(facts), Block::Paragraph(uncounted(blueprint))]
}

/// Returns what a workload costs per unit of its work; nothing where it has no such unit, as what runs on processors only.
fn unit_costs(blueprint: &Blueprint, workload: &WorkloadCost) -> Option<(String, Cell)> {
    let currency = blueprint.cost.currency;
    let tokens = figure::large(workload.prompt_tokens + workload.output_tokens);
    let hours = figure::count(workload.accelerator_hours.round().max(0.0) as u64);
    let (mut told, mut units) = (Vec::new(), Vec::new());
    for (rate, unit, amount) in [
        (workload.per_million_tokens, "million tokens", format!("{tokens} tokens")),
        (workload.per_accelerator_hour, "GPU-hour", format!("{hours} GPU-hours")),
        (
            workload.per_thousand_requests,
            "1,000 requests",
            format!("{} requests", figure::large(workload.requests)),
        ),
    ] {
        let Some(rate) = rate else { continue };
        told.push(format!("{} per {unit}", figure::money(rate, currency)));
        units.push(format!("÷ its {amount}"));
    }
    let hint = format!("its cost, {}, {}", figure::money(workload.cost, currency), units.join(", and "));
    (!told.is_empty()).then(|| (workload.workload.clone(), Cell::from(told.join(", ")).hinted(hint)))
}

/// Returns what the totals leave out, in one line.
fn uncounted(blueprint: &Blueprint) -> Cell {
    let mut parts = Vec::new();
    if !blueprint.cost.not_included.is_empty() {
        parts.push(counted(blueprint.cost.not_included.len(), "item"));
    }
    if !blueprint.unpriced.is_empty() {
        parts.push(format!("{} without a price", counted(blueprint.unpriced.len(), "offering")));
    }
    if parts.is_empty() {
        return Cell::default();
    }
    let text = format!("Not in these sums: {}; see below.", parts.join(", "));
    Cell::toned(text, Tone::Warn).hinted("counted; each is listed under what is not included")
}

/// Returns a verdict as it is shown.
pub(crate) fn outcome(status: VerdictStatus) -> Cell {
    match status {
        VerdictStatus::Met => Cell::toned("holds", Tone::Good),
        VerdictStatus::Missed => Cell::toned("MISSED", Tone::Bad),
        VerdictStatus::Undecided => Cell::toned("undecided", Tone::Warn),
    }
}

fn level(blueprint: &Blueprint, verdict: &Verdict) -> Vec<Cell> {
    let limit = origins::limit_of(blueprint, &verdict.workload, (verdict.metric, verdict.per_mille));
    let interval = format!("simulated: 95 % interval of the mean over {} replications", verdict.replications);
    vec![
        format!("{} at {}", verdict.workload, verdict.site).into(),
        level_word(verdict.metric, verdict.per_mille, verdict.over).into(),
        Cell::from(figure::span(verdict.seen))
            .hinted(origins::simulation(verdict) + &sure::hint(blueprint, verdict)),
        Cell::from(format!("{} … {}", figure::span(verdict.low), figure::span(verdict.high)))
            .hinted(interval),
        Cell::from(format!("≤ {}", figure::span(verdict.target)))
            .hinted("service level of the plan")
            .stated(limit),
        outcome(verdict.status),
    ]
}

/// Returns the line on the last day of a training job.
fn deadline(blueprint: &Blueprint, run: &TrainingRun) -> Vec<Cell> {
    let train = blueprint.inputs.spec.trains.iter().find(|train| train.name == run.workload);
    let limit = train.and_then(|train| train.finish.as_ref());
    let (limit, held) = match limit {
        Some(limit) => {
            let text = Cell::from(format!("≤ {}", limit.value)).hinted("last day that the plan allows");
            (text.stated(&limit.place), run.end <= limit.value)
        }
        None => ("–".into(), true),
    };
    let verdict = if held { Cell::toned("holds", Tone::Good) } else { Cell::toned("LATE", Tone::Bad) };
    let hint = format!(
        "estimated ({}): {} h from {}, by tokens per second and goodput",
        run.origin.word(),
        figure::short(run.hours),
        run.start
    );
    vec![
        run.workload.as_str().into(),
        "finish".into(),
        Cell::from(run.end.to_string()).hinted(hint),
        "estimated".into(),
        limit,
        verdict,
    ]
}

/// Returns each service level with what was simulated, then the jobs and the rules in a line each.
pub(super) fn levels(blueprint: &Blueprint) -> Vec<Block> {
    let mut table = Table::new(&["Service", "Level", ">Simulated", ">95 % interval", ">Limit", "Verdict"]);
    table.rows.extend(blueprint.verdicts.iter().map(|verdict| level(blueprint, verdict)));
    table.rows.extend(blueprint.trainings.iter().map(|run| deadline(blueprint, run)));
    table.rows.extend(blueprint.batches.iter().map(|run| super::batches::deadline(blueprint, run)));
    let rules = rules(blueprint).hinted("counted over the rules of the budgets, each of which stands below");
    let audited =
        audited(blueprint).hinted("counted by the independent check, which computes everything again");
    vec![Block::Table(table), Block::Paragraph(rules), Block::Paragraph(audited)]
}

/// Returns how many rules hold, in one line.
fn rules(blueprint: &Blueprint) -> Cell {
    let open = |rule: &&RuleOutcome| rule.holds != Some(true);
    let broken = blueprint.rules.iter().filter(open).filter(|rule| rule.kind == RuleKind::Require).count();
    let wished = blueprint.rules.iter().filter(open).count() - broken;
    match (blueprint.rules.len(), broken, wished) {
        (0, _, _) => Cell::default(),
        (1, 0, 0) => Cell::toned("Rules: the only one holds.", Tone::Good),
        (all, 0, 0) => Cell::toned(format!("Rules: all {all} hold."), Tone::Good),
        (1, 0, _) => Cell::toned("Rules: the only one does not hold, and is not required.", Tone::Warn),
        (all, 0, wished) => {
            let is_any = blueprint.rules.iter().any(|rule| rule.kind == RuleKind::Require);
            let required = if is_any { "every required one among them" } else { "none is required" };
            Cell::toned(format!("Rules: {} of {all} hold, {required}.", all - wished), Tone::Warn)
        }
        (1, _, _) => Cell::toned("Rules: the only one does NOT hold; see below.", Tone::Bad),
        (all, 1, _) => {
            Cell::toned(format!("Rules: 1 required of {all} does NOT hold; see below."), Tone::Bad)
        }
        (all, broken, _) => {
            Cell::toned(format!("Rules: {broken} required of {all} do NOT hold; see below."), Tone::Bad)
        }
    }
}

/// Returns what the independent check said, in one line.
fn audited(blueprint: &Blueprint) -> Cell {
    let checks = blueprint.audit.len();
    let looked: u64 = blueprint.audit.iter().map(|check| u64::from(check.looked_at)).sum();
    let wrong: usize = blueprint.audit.iter().map(|check| check.violations.len()).sum();
    match (checks, wrong) {
        (0, _) => Cell::toned("This blueprint was not audited.", Tone::Warn),
        (_, 0) => Cell::toned(
            format!(
                "Audited: {}, {} looked at, nothing wrong.",
                counted(checks, "check"),
                counted(looked as usize, "number")
            ),
            Tone::Faint,
        ),
        (_, wrong) => {
            Cell::toned(format!("The audit found {wrong} numbers that are WRONG; see below."), Tone::Bad)
        }
    }
}
