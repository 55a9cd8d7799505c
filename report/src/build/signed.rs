//! What is signed: the decision that is asked, risks, payments, other ways to pay, write-off, when to order, every line.

use super::origins;
use crate::csv::{day, kind_word};
use crate::document::{Cell, Table, Tone};
use capstan_types::blueprint::{Blueprint, CostKind, CostLine, Status, VerdictStatus};
use capstan_types::figure::{self, counted};
use capstan_types::finance::{CashFlow, Category, Finance};
use capstan_types::offering::PurchaseOption;
use capstan_types::origin::PriceGrade;
use capstan_types::units::HOURS_PER_MONTH;
use jiff::civil::Date;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// Returns what is asked of the reader.
pub(crate) fn decision(blueprint: &Blueprint) -> String {
    let cost = &blueprint.cost;
    let money = |amount: Decimal| figure::money(amount, cost.currency);
    let months = blueprint.inputs.spec.frame.months;
    match blueprint.status {
        Status::Infeasible => {
            "No plan keeps every limit. Decide which limit gives way; the findings say what each costs."
                .to_owned()
        }
        Status::Violated => format!(
            "Not ready to be signed: a service level or a rule does not hold. It would cost {} over {months} months.",
            money(cost.total)
        ),
        Status::Feasible => {
            let paid = cost.capex + cost.opex;
            let (left, owed) = (-cost.sum_of(CostKind::Residual), cost.sum_of(CostKind::Owed));
            let mut ends = Vec::new();
            if !owed.is_zero() {
                ends.push(format!("Contracts still bind {} after the horizon", money(owed)));
            }
            if !left.is_zero() {
                ends.push(format!("What is bought is assumed to be worth {} at the end", money(left)));
            }
            let left = match ends.as_slice() {
                [] => String::new(),
                ends => format!(" {}: {} in all.", ends.join(". "), money(cost.total)),
            };
            format!(
                "Approve {} over {months} months: {} of purchases and {} of running cost, at most {} in a month.{left}",
                money(paid),
                money(cost.capex),
                money(cost.opex),
                money(cost.highest_opex_per_month)
            )
        }
    }
}

/// Returns the numbers that decide, each with its name, and on hover what it rests on.
pub(crate) fn key_figures(blueprint: &Blueprint, finance: &Finance) -> Vec<(&'static str, Cell)> {
    let cost = &blueprint.cost;
    let money = |amount: Decimal| Cell::from(figure::money(amount, cost.currency));
    // What does not exist costs nothing: a zero would be read as a price.
    if blueprint.status == Status::Infeasible {
        let findings = Cell::from(counted(blueprint.findings.len(), "finding"));
        return vec![("findings", findings.hinted("counted; each stands below"))];
    }
    let frame = &blueprint.inputs.spec.frame;
    let rate = figure::percent(frame.discount_per_year);
    let mut figures = vec![
        ("total", money(cost.total).hinted(origins::total(blueprint))),
        ("per month", money(cost.per_month).hinted(format!("the total over {} months", frame.months))),
        (
            "net present",
            money(cost.net_present).hinted(format!("payments at month ends, discounted at {rate} a year")),
        ),
    ];
    if let Some(earns) = &finance.earns {
        let against = "what is paid month by month, against all on demand at list prices";
        figures.push(("saved against all on demand, net present", money(earns.net_present).hinted(against)));
        let rate = earns.irr_per_year.map_or_else(|| "none".to_owned(), figure::percent);
        figures.push(("internal rate of return", Cell::from(rate).hinted(against)));
        let months = match earns.payback_months {
            None => "none".to_owned(),
            Some(0) => "at once".to_owned(),
            Some(months) => counted(months as usize, "month"),
        };
        figures.push(("payback", Cell::from(months).hinted(against)));
    }
    let open = Cell::from(counted(cost.not_included.len(), "item"));
    figures.push(("not in these sums", open.hinted("counted; each stands under what is not included")));
    let passed = Cell::from(counted(blueprint.unpriced.len(), "offering"));
    figures.push((
        "passed over without a price",
        passed.hinted("offerings of the catalog whose price nobody knows"),
    ));
    figures
}

/// Returns what may go wrong with the numbers, as far as the blueprint knows.
pub(crate) fn risks(blueprint: &Blueprint) -> Vec<Cell> {
    let mut points: Vec<Cell> = Vec::new();
    let mut add = |count: usize, text: String, tone: Tone| {
        if count > 0 {
            points.push(Cell::toned(text, tone).hinted("counted over this blueprint, or by its dates"));
        }
    };
    let verdicts = |status| blueprint.verdicts.iter().filter(|one| one.status == status).count();
    let missed = verdicts(VerdictStatus::Missed);
    add(missed, format!("{} missed in simulation", counted(missed, "service level")), Tone::Bad);
    let undecided = verdicts(VerdictStatus::Undecided);
    add(
        undecided,
        format!("{} stayed undecided after all replications", counted(undecided, "service level")),
        Tone::Warn,
    );
    let open = blueprint.cost.not_included.len();
    add(open, format!("{} without a price: in no sum", counted(open, "item")), Tone::Warn);
    let passed = blueprint.unpriced.len();
    add(
        passed,
        format!("{} passed over, since nobody knows the price", counted(passed, "offering")),
        Tone::Warn,
    );
    let purchases = || blueprint.pools.iter().flat_map(|pool| &pool.purchases).filter(|one| one.nodes > 0);
    let spot = purchases().filter(|one| one.option == PurchaseOption::Spot).count();
    add(spot, format!("{} of spot machines, which may be reclaimed", counted(spot, "purchase")), Tone::Warn);
    let estimates = purchases()
        .filter_map(|one| one.price.as_ref())
        .filter(|price| price.grade == PriceGrade::Estimate)
        .count();
    add(
        estimates,
        format!("{} taken from an estimate, not from a quotation or a list", counted(estimates, "price")),
        Tone::Warn,
    );
    let assumed = blueprint.assumptions.len();
    add(
        assumed,
        format!("{} in place of what the plan does not say", counted(assumed, "default")),
        Tone::Plain,
    );
    if let Some(days) = blueprint.inputs.oldest_price_days.filter(|days| *days > 90) {
        add(1, format!("the oldest price was {days} days old when this was planned"), Tone::Warn);
    }
    points
}

/// Returns payments by kind and year of the horizon.
pub(crate) fn by_year(finance: &Finance) -> Table {
    let years = finance.factors.len().div_ceil(12);
    let names: Vec<String> = (1..=years).map(|year| format!(">Year {year}")).collect();
    let code = format!(">All, {}", finance.currency.code());
    let mut titles = vec!["Kind"];
    titles.extend(names.iter().map(String::as_str));
    titles.push(&code);
    let mut rows = Table::new(&titles);
    let show =
        |amount: Decimal, hint: &str| Cell::from(figure::amount(amount, finance.currency)).hinted(hint);
    let row = |kind: &'static str, by_year: &[Decimal], year: &str, all: &str| {
        let sum: Decimal = by_year.iter().copied().sum();
        let cells = by_year.iter().map(|amount| show(*amount, year)).chain([show(sum, all)]);
        std::iter::once(Cell::from(kind)).chain(cells).collect::<Vec<Cell>>()
    };
    let mut sums = vec![Decimal::ZERO; years];
    for flow in &finance.cash {
        let by_year: Vec<Decimal> =
            flow.by_month.chunks(12).map(|months| months.iter().copied().sum()).collect();
        sums.iter_mut().zip(&by_year).for_each(|(sum, year)| *sum += *year);
        let year = format!("what is billed for {} in these months, line by line", flow.category.words());
        rows.rows.push(row(flow.category.words(), &by_year, &year, "sum of the years of this row"));
    }
    rows.rows.push(row("net", &sums, "sum of the rows above", "sum of the years: the total"));
    rows.total = true;
    rows
}

/// Returns what each way to pay costs beside this one.
pub(crate) fn alternatives(finance: &Finance) -> Table {
    let code = finance.currency.code();
    let (total, present) = (format!(">Total, {code}"), format!(">Net present, {code}"));
    let mut rows = Table::new(&["", &total, &present, ">Against this plan", "Rests on"]);
    let this = finance.alternatives.first().and_then(|one| one.total);
    let unknown = || Cell::toned("unknown", Tone::Warn);
    for one in &finance.alternatives {
        let basis = one.basis.join("; ");
        let on = if basis.is_empty() { String::new() } else { format!("; {basis}") };
        let show = |amount: Option<Decimal>, hint: String| {
            let known = |amount| Cell::from(figure::amount(amount, finance.currency)).hinted(hint);
            amount.map_or_else(unknown, known)
        };
        let difference = one.total.zip(this).map(|(total, this)| {
            let more = figure::signed_money(total - this, finance.currency);
            Cell::from(more).hinted("its total less the total of this plan")
        });
        let rate = figure::percent(finance.discount_per_year);
        rows.rows.push(vec![
            one.name.as_str().into(),
            show(one.total, format!("sum of its payments by month{on}")),
            show(one.net_present, format!("the same, discounted at month ends at {rate} a year{on}")),
            difference.unwrap_or_default(),
            basis.into(),
        ]);
    }
    rows
}

/// Returns how machines come to be there: node-months of each way, their share, and what it costs.
pub(crate) fn mix(blueprint: &Blueprint) -> Vec<Mix> {
    let months = |nodes: &[u32]| -> u64 {
        let periods = blueprint.periods.iter().zip(nodes);
        periods.map(|(period, nodes)| u64::from(period.months) * u64::from(*nodes)).sum()
    };
    let mut ways: BTreeMap<PurchaseOption, (u64, Decimal)> = BTreeMap::new();
    for purchase in blueprint.pools.iter().flat_map(|pool| &pool.purchases) {
        ways.entry(purchase.option).or_default().0 += months(&purchase.nodes_by_period);
    }
    for line in &blueprint.cost.lines {
        if let Some(way) = line.option.and_then(|option| ways.get_mut(&option)) {
            way.1 += line.billed_cost;
        }
    }
    let standing: u64 = blueprint.pools.iter().map(|pool| months(&pool.fleet)).sum();
    let mut mix = vec![Mix { way: "already there".to_owned(), node_months: standing, billed: Decimal::ZERO }];
    mix.extend(ways.into_iter().map(|(option, (node_months, billed))| Mix {
        way: option.words(),
        node_months,
        billed,
    }));
    mix.retain(|one| one.node_months > 0);
    mix
}

/// One way in which machines come to be there.
pub(crate) struct Mix {
    /// In words.
    pub(crate) way: String,
    /// Machines times months of the horizon.
    pub(crate) node_months: u64,
    /// What is billed for it.
    pub(crate) billed: Decimal,
}

/// Returns the same as a table.
pub(crate) fn mix_table(blueprint: &Blueprint) -> Table {
    let currency = blueprint.cost.currency;
    let cost = format!(">Cost, {}", currency.code());
    let mut rows = Table::new(&["How", ">Node-months", ">Share", &cost]);
    let ways = mix(blueprint);
    let all: u64 = ways.iter().map(|way| way.node_months).sum();
    rows.rows = ways
        .iter()
        .map(|way| {
            let share = way.node_months as f64 / all.max(1) as f64;
            let hint = "machines by period times its months";
            vec![
                way.way.as_str().into(),
                Cell::from(figure::count(way.node_months)).hinted(hint),
                Cell::from(figure::percent(share)).hinted("its node-months ÷ those of all rows"),
                Cell::from(figure::amount(way.billed, currency))
                    .hinted("sum of the lines of the bill for machines had in this way, each rounded"),
            ]
        })
        .collect();
    rows
}

/// Returns from which use on each purchase pays.
pub(crate) fn break_even(finance: &Finance) -> Table {
    let mut even = Table::new(&["Site", "Machine", "Bought", ">Pays from a use of", "Against"]);
    for row in &finance.break_even {
        even.rows.push(vec![
            row.site.as_str().into(),
            row.shape.as_str().into(),
            row.option.words().into(),
            Cell::from(figure::percent(row.utilisation))
                .hinted("share of all hours at which it costs as much as what it is compared with"),
            row.against.as_str().into(),
        ]);
    }
    even
}

/// Returns how purchases are written off.
pub(crate) fn written_off(finance: &Finance) -> Table {
    let code = format!(">Cost, {}", finance.currency.code());
    let mut rows = Table::new(&[
        "Item",
        "Site",
        &code,
        "From",
        ">Life, months",
        ">Charge per month",
        ">Value at the end",
    ]);
    for one in &finance.written_off {
        let show =
            |amount: Decimal, hint: &str| Cell::from(figure::amount(amount, finance.currency)).hinted(hint);
        let left = figure::percent(one.residual);
        let charge = format!("straight line: the cost less the {left} that is left, ÷ life in months");
        rows.rows.push(vec![
            one.item.as_str().into(),
            one.site.as_str().into(),
            show(one.cost, "what the purchase is billed at"),
            day(finance.start, one.from_month).to_string().into(),
            Cell::from(one.life_months.to_string()).hinted("terms of owning, from the catalog"),
            show(one.per_month, &charge),
            show(one.book_value, "the cost less the charges until the horizon ends"),
        ]);
    }
    rows
}

/// Machines that are added in a period, and when they must be ordered for it.
pub(crate) struct Order {
    /// The last day to order.
    pub(crate) order: Date,
    /// The first day of use.
    pub(crate) from: Date,
    /// Months between the two, the lead time of the site, rounded up.
    pub(crate) lead: i64,
    /// Machines of this purchase in the period before.
    pub(crate) held: u32,
    /// And in this one.
    pub(crate) nodes: u32,
    /// Where.
    pub(crate) site: String,
    /// The machine.
    pub(crate) shape: String,
    /// How it is bought.
    pub(crate) option: PurchaseOption,
}

/// Returns every addition of machines, the first to order first.
pub(crate) fn orders(blueprint: &Blueprint) -> Vec<Order> {
    let spec = &blueprint.inputs.spec;
    let mut orders = Vec::new();
    for pool in &blueprint.pools {
        let site = spec.sites.iter().find(|site| site.name == pool.site);
        let months = site.map_or(0.0, |site| site.lead_time_months);
        for purchase in &pool.purchases {
            let lead =
                if purchase.option == PurchaseOption::Owned { months.max(0.0).ceil() as i64 } else { 0 };
            // Part of a month is days, so that nothing is to be ordered before the planning date.
            let days = if lead > 0 { months.fract() * HOURS_PER_MONTH / 24.0 } else { 0.0 };
            let whole = if days > 0.0 { lead - 1 } else { lead };
            let ahead = jiff::Span::new().months(whole).days(days.ceil() as i64);
            let mut held = 0;
            for (period, &nodes) in blueprint.periods.iter().zip(&purchase.nodes_by_period) {
                if nodes > held {
                    let from = day(spec.frame.start, period.first_month);
                    orders.push(Order {
                        order: from.checked_sub(ahead).unwrap_or(from),
                        from,
                        lead,
                        held,
                        nodes,
                        site: pool.site.clone(),
                        shape: pool.shape.clone(),
                        option: purchase.option,
                    });
                }
                held = nodes;
            }
        }
    }
    orders.sort_by_key(|one| one.order);
    orders
}

/// Returns when each purchase must be ordered, and when it is in use.
pub(crate) fn timeline(blueprint: &Blueprint) -> Table {
    let mut rows = Table::new(&["Order by", "In use from", "Site", "Machine", ">Nodes", "Bought"]);
    let row = |one: &Order| {
        let ahead = match one.lead {
            0 => String::new(),
            lead => format!("at most {lead} months before its first use, the lead time of the site"),
        };
        let more = format!("{} in this period, {} in the one before", one.nodes, one.held);
        vec![
            Cell::from(one.order.to_string()).hinted(ahead),
            one.from.to_string().into(),
            one.site.as_str().into(),
            one.shape.as_str().into(),
            Cell::from(format!("+{}", figure::count(u64::from(one.nodes - one.held)))).hinted(more),
            one.option.words().into(),
        ]
    };
    rows.rows = orders(blueprint).iter().map(row).collect();
    rows
}

/// How far a price moves in the tornado.
///
/// Origin: Assumed; list prices of GPU nodes moved by 20 to 45 % within a year (reference on prices, 4.1 and 4.2).
const SWING: i64 = 20;

/// What a price of one kind does to the total when it moves.
pub(crate) struct Moved {
    /// What is paid for.
    pub(crate) kind: Category,
    /// What is paid for it over the horizon.
    pub(crate) paid: Decimal,
    /// By how much the total moves, either way.
    pub(crate) change: Decimal,
}

/// Returns by how much prices move, as it is shown.
pub(crate) fn swing() -> String {
    figure::percent(SWING as f64 / 100.0)
}

/// Returns what a change of each kind of price does to the total, the most first.
pub(crate) fn moved(finance: &Finance) -> Vec<Moved> {
    let row = |flow: &CashFlow| {
        let paid: Decimal = flow.by_month.iter().copied().sum();
        Moved { kind: flow.category, paid, change: paid * Decimal::new(SWING, 2) }
    };
    let mut kinds: Vec<Moved> = finance.cash.iter().map(row).collect();
    kinds.retain(|one| one.kind != Category::Residual && !one.paid.is_zero());
    kinds.sort_by_key(|one| (std::cmp::Reverse(one.paid.abs()), one.kind));
    kinds
}

/// Returns the same as a table.
pub(crate) fn moved_table(finance: &Finance) -> Table {
    let code = finance.currency.code();
    let (paid, change) = (format!(">Paid, {code}"), format!(">Total moves by, {code}"));
    let mut rows = Table::new(&["Price of", &paid, &change]);
    let hint = format!("what is paid × {}, which is assumed: how far prices moved within a year", swing());
    rows.rows = moved(finance)
        .iter()
        .map(|one| {
            vec![
                one.kind.words().into(),
                Cell::from(figure::amount(one.paid, finance.currency))
                    .hinted("sum of what is billed for it over the horizon, line by line"),
                Cell::from(format!("± {}", figure::amount(one.change, finance.currency)))
                    .hinted(hint.as_str()),
            ]
        })
        .collect();
    rows
}

/// Says what the quantity of a line counts.
fn quantity(line: &CostLine) -> String {
    match line.kind {
        CostKind::Capex => "bought in this period".to_owned(),
        CostKind::Opex => format!("{} in this period", line.unit),
        CostKind::Owed => "bound after the horizon by contracts that began within it".to_owned(),
        CostKind::Residual => "bought, and valued when the horizon ends".to_owned(),
    }
}

/// Returns every line of the bill.
pub(crate) fn bill(blueprint: &Blueprint) -> Table {
    let currency = blueprint.cost.currency;
    let cost = format!(">Billed, {}", currency.code());
    let mut rows =
        Table::new(&["Site", "Item", "Kind", ">Month", ">Quantity", "Unit", ">Unit price", &cost, "Origin"]);
    for line in &blueprint.cost.lines {
        let period = &blueprint.periods[line.period as usize];
        let price = origins::unit_price(blueprint, line);
        let billed = format!("{} × unit price, rounded; {price}", line.unit);
        rows.rows.push(vec![
            line.site.as_str().into(),
            line.item.as_str().into(),
            kind_word(line.kind).into(),
            Cell::from((period.first_month + 1).to_string()).hinted("first month of its period"),
            Cell::from(line.quantity.normalize().to_string()).hinted(quantity(line)),
            line.unit.as_str().into(),
            Cell::from(figure::price(line.unit_price, currency)).hinted(price),
            Cell::from(figure::amount(line.billed_cost, currency)).hinted(billed),
            line.origin.word().into(),
        ]);
    }
    let mut total: Vec<Cell> = vec![Cell::default(); 9];
    total[0] = Cell::toned("total", Tone::Strong);
    total[7] = Cell::toned(figure::amount(blueprint.cost.total, currency), Tone::Strong)
        .hinted(origins::total(blueprint));
    rows.rows.push(total);
    rows.total = true;
    rows
}
