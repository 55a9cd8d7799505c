//! Pictures of the page: payments, alternatives, what prices do, service levels, capacity against demand.
//!
//! Each picture has a caption in words; the table beside it says the same to those who do not see it.

use super::Part;
use super::blocks::{escaped, hint};
use crate::build::signed::{self, Mix};
use crate::picture::{Area, Drawn, GRID, INK, NoPicture, PAPER, SERIES, svg};
use crate::terminal::round_up;
use capstan_types::blueprint::{Blueprint, Pool};
use capstan_types::figure;
use capstan_types::finance::Finance;
use capstan_types::spec::level_word;
use plotters::prelude::*;
use plotters::style::Color;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// Width of every picture, in points.
pub(super) const WIDTH: u32 = 860;

/// Returns a font of so many points: the library draws 1.24 of what it is asked for as one.
pub(super) fn font(size: u32) -> TextStyle<'static> {
    ("sans-serif", f64::from(size) * 1.24).into_font().color(&INK.0)
}

fn float(amount: Decimal) -> f64 {
    amount.to_f64().unwrap_or(0.0)
}

/// Returns a picture with its caption, and what its numbers rest on; the drawing itself is silent for those who listen.
pub(super) fn shown(svg: &str, caption: &str, rests_on: &str) -> String {
    let quiet = svg.replacen("<svg ", "<svg aria-hidden=\"true\" focusable=\"false\" ", 1);
    let hint = hint(rests_on);
    format!("<figure>{quiet}<figcaption><span{hint}>{}</span></figcaption></figure>\n", escaped(caption))
}

/// Returns an axis that holds zero and all values, a little wider.
fn span(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let low = values.clone().fold(0.0, f64::min);
    let high = values.fold(0.0, f64::max);
    let wider = |value: f64| if value == 0.0 { 0.0 } else { value.signum() * round_up(value.abs() * 1.02) };
    if low == 0.0 && high == 0.0 { (0.0, 1.0) } else { (wider(low), wider(high)) }
}

/// Returns a count; between two counts of machines or months there is none.
fn whole(value: &f64) -> String {
    if value.fract() == 0.0 { figure::count(*value as u64) } else { String::new() }
}

/// Width of the column that says what the colours of a picture mean.
const LEGEND: u32 = 150;

/// Says what colours mean, in a column of their own, where no bar or line can run behind it.
fn legend<'a>(area: &Area<'_>, names: impl IntoIterator<Item = (&'a str, RGBColor)>) -> Drawn {
    for (row, (name, colour)) in (0_i32..).zip(names) {
        let top = 16 + row * 22;
        area.draw(&Rectangle::new([(8, top), (22, top + 12)], colour.filled()))?;
        area.draw(&Text::new(name.to_owned(), (30, top - 1), font(13)))?;
    }
    Ok(())
}

fn amounts(value: &f64) -> String {
    figure::large(*value)
}

/// Draws payments by month, one bar over the other.
pub(super) fn cash(finance: &Finance) -> Result<String, NoPicture> {
    let months = finance.factors.len();
    let sides = |of: fn(f64) -> bool| {
        (0..months).map(move |month| {
            finance.cash.iter().map(|flow| float(flow.by_month[month])).filter(|paid| of(*paid)).sum::<f64>()
        })
    };
    let both: Vec<f64> = sides(|paid| paid > 0.0).chain(sides(|paid| paid < 0.0)).collect();
    let (low, high) = span(both.iter().copied());
    let kinds =
        || finance.cash.iter().zip(SERIES.into_iter().cycle()).map(|(flow, (colour, _))| (flow, colour));
    let text = svg((WIDTH, 320), |area| {
        area.fill(&PAPER.0)?;
        let (left, right) = area.split_horizontally(WIDTH - LEGEND);
        legend(&right, kinds().map(|(flow, colour)| (flow.category.words(), colour)))?;
        let mut chart = frame(&left, "month", (0.0, months as f64), (low, high), (&whole, &amounts))?;
        let mut tops = vec![(0.0, 0.0); months];
        for (flow, colour) in kinds() {
            let bars =
                flow.by_month.iter().enumerate().filter(|(_, paid)| !paid.is_zero()).map(|(month, paid)| {
                    let paid = float(*paid);
                    let top = if paid > 0.0 { &mut tops[month].0 } else { &mut tops[month].1 };
                    let from = *top;
                    *top += paid;
                    let (left, right) = (month as f64 + 0.08, month as f64 + 0.92);
                    Rectangle::new([(left, from), (right, from + paid)], colour.filled())
                });
            let bars: Vec<_> = bars.collect();
            chart.draw_series(bars)?;
        }
        Ok(())
    })?;
    let caption = format!("Payments by month and kind, in {}", finance.currency.code());
    Ok(shown(&text, &caption, "what each line of the bill is invoiced at, month by month"))
}

/// Begins a chart with axes in our colours.
pub(super) fn frame<'a, 'b>(
    area: &'a Area<'b>,
    across: &str,
    x: (f64, f64),
    y: (f64, f64),
    labels: (Label<'_>, Label<'_>),
) -> Result<Axes<'a, 'b>, Box<dyn std::error::Error>> {
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .x_label_area_size(42)
        .y_label_area_size(72)
        .build_cartesian_2d(x.0..x.1, y.0..y.1)?;
    chart
        .configure_mesh()
        .x_desc(across)
        .axis_style(INK.0)
        .max_light_lines(1)
        .light_line_style(GRID.0)
        .bold_line_style(GRID.0)
        .disable_x_mesh()
        .label_style(font(13))
        .axis_desc_style(font(14))
        .x_label_formatter(labels.0)
        .y_label_formatter(labels.1)
        .draw()?;
    Ok(chart)
}

/// What stands at a place of an axis.
type Label<'a> = &'a dyn Fn(&f64) -> String;

pub(super) type Axes<'a, 'b> = ChartContext<
    'a,
    SVGBackend<'b>,
    Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
>;

/// A bar to the right or left of zero, with what is written beside it.
struct Bar {
    name: String,
    from: f64,
    to: f64,
    said: String,
    colour: RGBColor,
}

/// Draws named bars below each other, on an axis that needs no numbers: each bar says its own.
fn bars(bars: &[Bar], mark: Option<f64>) -> Result<String, NoPicture> {
    const NAME: i32 = 240;
    const SAID: i32 = 170;
    const ROW: i32 = 30;
    let height = ROW * bars.len() as i32 + 16;
    let ends = bars.iter().flat_map(|bar| [bar.from, bar.to]).chain(mark);
    let (low, high) = span(ends.collect::<Vec<_>>().into_iter());
    let place = |value: f64| {
        let wide = f64::from(WIDTH as i32 - NAME - SAID);
        NAME + ((value - low) / (high - low) * wide).round() as i32
    };
    svg((WIDTH, height as u32), |area| {
        area.fill(&PAPER.0)?;
        for (row, bar) in (0..).zip(bars) {
            let top = row * ROW + 8;
            let (left, right) = (place(bar.from.min(bar.to)), place(bar.from.max(bar.to)));
            area.draw(&Text::new(cut(&bar.name), (4, top + 5), font(14)))?;
            area.draw(&Rectangle::new([(left, top), (right.max(left + 2), top + 20)], bar.colour.filled()))?;
            area.draw(&Text::new(bar.said.clone(), (WIDTH as i32 - SAID + 8, top + 5), font(14)))?;
        }
        let line = |value: f64, colour: RGBColor| {
            PathElement::new([(place(value), 2), (place(value), height - 2)], colour.stroke_width(1))
        };
        area.draw(&line(0.0, INK.0))?;
        if let Some(mark) = mark {
            area.draw(&line(mark, SERIES[1].0))?;
        }
        Ok(())
    })
}

/// Returns a name that fits beside a bar.
pub(super) fn cut(name: &str) -> String {
    const MOST: usize = 33;
    if name.chars().count() <= MOST {
        name.to_owned()
    } else {
        name.chars().take(MOST - 1).chain(['…']).collect()
    }
}

/// Draws the total of each way to pay that is known.
pub(super) fn alternatives(finance: &Finance) -> Result<String, NoPicture> {
    let known =
        finance.alternatives.iter().enumerate().filter_map(|(index, one)| Some((index, one, one.total?)));
    let rows: Vec<Bar> = known
        .map(|(index, one, total)| Bar {
            name: one.name.clone(),
            from: 0.0,
            to: float(total),
            said: figure::amount(total, finance.currency),
            colour: SERIES[usize::from(index > 0)].0,
        })
        .collect();
    let text = bars(&rows, None)?;
    let caption = format!("Total over the horizon of each way to pay, in {}", finance.currency.code());
    Ok(shown(&text, &caption, "the totals of the table below"))
}

/// Draws how machines come to be there, as shares of all node-months.
pub(super) fn mix(ways: &[Mix]) -> Result<String, NoPicture> {
    let all: u64 = ways.iter().map(|way| way.node_months).sum();
    let rows: Vec<Bar> = ways
        .iter()
        .zip(SERIES.into_iter().cycle())
        .map(|(way, (colour, _))| {
            let share = way.node_months as f64 / all.max(1) as f64;
            Bar { name: way.way.clone(), from: 0.0, to: share, said: figure::percent(share), colour }
        })
        .collect();
    let caption = "How machines come to be there, as shares of all machines times months";
    Ok(shown(
        &bars(&rows, None)?,
        caption,
        "machines by period times its months, as the table below has them",
    ))
}

/// Draws what a change of each kind of price does to the total; nothing where only one is paid.
pub(super) fn tornado(finance: &Finance) -> Result<Option<String>, NoPicture> {
    let rows: Vec<Bar> = signed::moved(finance)
        .iter()
        .map(|one| {
            let change = float(one.change);
            Bar {
                name: format!("price of {}", one.kind.words()),
                from: -change,
                to: change,
                said: format!("± {}", figure::large(change)),
                colour: SERIES[0].0,
            }
        })
        .collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let caption = format!(
        "What a price that is {} lower or higher does to the total, in {}",
        signed::swing(),
        finance.currency.code()
    );
    Ok(Some(shown(
        &bars(&rows, None)?,
        &caption,
        "what is paid × that change; how far a price moves is assumed",
    )))
}

/// Draws each service level as a share of its limit, with the interval of the simulation.
pub(super) fn levels(blueprint: &Blueprint) -> Result<Option<String>, NoPicture> {
    let rows: Vec<Bar> = blueprint
        .verdicts
        .iter()
        .filter(|one| one.target.get() > 0.0)
        .map(|one| Bar {
            name: format!(
                "{}, {} at {}",
                level_word(one.metric, one.per_mille, one.over),
                one.workload,
                one.site
            ),
            from: 0.0,
            to: one.seen.get() / one.target.get(),
            said: format!("{} of {}", figure::span(one.seen), figure::span(one.target)),
            colour: SERIES[usize::from(one.seen > one.target)].0,
        })
        .collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let text = bars(&rows, Some(1.0))?;
    let caption = "Service levels as simulated, as a share of their limit, which is the line";
    Ok(Some(shown(&text, caption, "simulated; replications and intervals are those of the table above")))
}

/// Draws the machines needed and there, by hour of the last period and by month, for each pool.
pub(super) fn capacity(blueprint: &Blueprint) -> Result<Option<Part>, NoPicture> {
    /// Most pools that are drawn; the tables have all of them.
    const MOST: usize = 6;
    let mut body = String::new();
    for pool in blueprint.pools.iter().take(MOST) {
        body.push_str(&by_hour(blueprint, pool)?);
        if blueprint.periods.len() > 1 {
            body.push_str(&by_period(blueprint, pool)?);
        }
    }
    Ok((!body.is_empty()).then(|| Part { heading: "Capacity against demand".to_owned(), body }))
}

/// What the counts of machines rest on.
const NEEDED: &str = "needed: what all replicas, jobs and spares of an hour take; there: machines that stand there and that are bought";

fn by_hour(blueprint: &Blueprint, pool: &Pool) -> Result<String, NoPicture> {
    let last = blueprint.periods.len().saturating_sub(1);
    let needed: Vec<f64> =
        pool.needed.get(last).into_iter().flatten().map(|&nodes| f64::from(nodes)).collect();
    let there = vec![f64::from(pool.nodes(last)); needed.len()];
    let text = steps("hour of a weekday (0 to 23), then of a weekend day (24 to 47)", &needed, &there)?;
    let caption =
        format!("{} at {}: machines needed and there, by hour, in the last period", pool.shape, pool.site);
    Ok(shown(&text, &caption, NEEDED))
}

fn by_period(blueprint: &Blueprint, pool: &Pool) -> Result<String, NoPicture> {
    let (mut needed, mut there) = (Vec::new(), Vec::new());
    for (index, period) in blueprint.periods.iter().enumerate() {
        let most = pool.needed.get(index).and_then(|hours| hours.iter().copied().max()).unwrap_or(0);
        let months = period.months as usize;
        needed.extend(std::iter::repeat_n(f64::from(most), months));
        there.extend(std::iter::repeat_n(f64::from(pool.nodes(index)), months));
    }
    let text = steps("month", &needed, &there)?;
    let caption = format!("{} at {}: most machines needed, and there, by month", pool.shape, pool.site);
    Ok(shown(&text, &caption, NEEDED))
}

/// Draws two rows of counts as steps.
fn steps(across: &str, needed: &[f64], there: &[f64]) -> Result<String, NoPicture> {
    let (_, top) = span(needed.iter().chain(there).copied());
    svg((WIDTH, 220), |area| {
        area.fill(&PAPER.0)?;
        let (left, right) = area.split_horizontally(WIDTH - LEGEND);
        legend(&right, [("there", SERIES[0].0), ("needed", SERIES[1].0)])?;
        let mut chart =
            frame(&left, across, (0.0, needed.len().max(1) as f64), (0.0, top), (&whole, &whole))?;
        // What is there is drawn broader, so that it shows behind what is needed where both are the same.
        for (row, (colour, _), broad) in [(there, SERIES[0], 6), (needed, SERIES[1], 2)] {
            let points = row
                .iter()
                .enumerate()
                .flat_map(|(at, value)| [(at as f64, *value), (at as f64 + 1.0, *value)]);
            chart.draw_series(LineSeries::new(points, colour.stroke_width(broad)))?;
        }
        Ok(())
    })
}
