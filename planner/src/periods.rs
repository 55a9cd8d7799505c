//! Which months are planned as one, and what money in them is worth today.

use capstan_types::blueprint::Period;
use capstan_types::offering::PurchaseOption;
use capstan_types::spec::{Frame, Site, Spec};
use capstan_types::units::HOURS_PER_MONTH;
use jiff::Span;
use jiff::civil::Date;
use std::ops::Range;

/// Most periods that growth is cut into; a job's start or a contract's end may add some.
///
/// Solving time grows faster than linearly in periods; twelve keep a plan of sixty workloads within seconds.
const MOST_PERIODS: u32 = 12;

/// Returns the periods of the horizon: one where nothing changes, otherwise cut where demand, jobs or contracts do, and where the last
/// whole term of a contract ends.
pub fn periods(spec: &Spec) -> Vec<Period> {
    let months = spec.frame.months;
    let mut cuts = vec![0, months];
    if spec.serves.iter().any(|serve| serve.load.growth_per_month != 0.0) {
        let step = months.div_ceil(MOST_PERIODS).max(1);
        cuts.extend((0..months).step_by(step as usize));
    }
    let trains = spec.trains.iter().map(|train| (&train.start, &train.finish));
    let batches = spec.batches.iter().map(|batch| (&batch.start, &batch.finish));
    for (start, finish) in trains.chain(batches) {
        let first = start.as_ref().map(|start| spec.frame.month_of(start.value));
        let last = finish.as_ref().map(|finish| spec.frame.month_with(finish.value));
        cuts.extend(first.into_iter().chain(last));
        cuts.extend(job_cuts(first.unwrap_or(0), last.unwrap_or(months)));
    }
    for fleet in &spec.fleets {
        let used = fleet.months(&spec.frame);
        cuts.extend([used.start, used.end]);
    }
    for budget in spec.budgets.iter().filter(|budget| budget.days.is_some()) {
        let months = budget.months(&spec.frame);
        cuts.extend([months.start, months.end]);
    }
    cuts.extend(
        spec.sites.iter().filter(|site| site.is_own()).map(|site| lead_months(&spec.frame, site).min(months)),
    );
    cuts.extend(last_terms(spec));
    cuts.sort_unstable();
    cuts.dedup();
    let monthly = monthly_rate(spec.frame.discount_per_year);
    cuts.windows(2)
        .map(|pair| {
            let (first_month, months) = (pair[0], pair[1] - pair[0]);
            Period { first_month, months, discount: annuity(monthly, first_month, months) }
        })
        .collect()
}

/// Returns the months in which the last whole term of each contract ends that does not end with the horizon, so that what
/// is left can be had in another way than by one term more.
fn last_terms(spec: &Spec) -> impl Iterator<Item = u32> + '_ {
    let serves = spec.serves.iter().map(|serve| &serve.buy);
    let buys = serves.chain(spec.trains.iter().map(|train| &train.buy));
    let buys =
        buys.chain(spec.apps.iter().map(|app| &app.buy)).chain(spec.batches.iter().map(|batch| &batch.buy));
    let terms = buys.flatten().filter_map(|buy| match buy.option {
        PurchaseOption::Reserved { term_months } | PurchaseOption::SavingsPlan { term_months } => {
            Some(term_months)
        }
        _ => None,
    });
    let months = spec.frame.months;
    terms
        .filter_map(move |term| Some(months.checked_div(term)? * term))
        .filter(move |&last| last > 0 && last < months)
}

/// Returns the periods that lie whole within some months.
pub fn within(periods: &[Period], months: &Range<u32>) -> Range<usize> {
    let first = periods.iter().position(|period| period.first_month >= months.start).unwrap_or(periods.len());
    let end = periods.iter().filter(|period| period.first_month + period.months <= months.end).count();
    first..end.max(first)
}

/// Returns month boundaries inside the window of a job, so that it need not hold machines long after its end.
fn job_cuts(first: u32, last: u32) -> Vec<u32> {
    let step = last.saturating_sub(first).div_ceil(MOST_PERIODS).max(1);
    (first..last).step_by(step as usize).collect()
}

/// Returns the first month that begins with machines at a site which were ordered on the planning date.
///
/// What takes no time to come is there from the first day on, whenever the plan is made.
pub fn lead_months(frame: &Frame, site: &Site) -> u32 {
    let Some(ready) = ready(frame, site) else { return frame.months };
    let begins =
        |month: &u32| frame.start.checked_add(Span::new().months(*month)).is_ok_and(|day| day >= ready);
    (0..frame.months).find(begins).unwrap_or(frame.months)
}

/// Returns the day on which machines stand at a site that were ordered on the planning date; `None` beyond the calendar.
fn ready(frame: &Frame, site: &Site) -> Option<Date> {
    if site.lead_time_months <= 0.0 {
        return Some(frame.start);
    }
    let (months, rest) = (site.lead_time_months.trunc(), site.lead_time_months.fract());
    let days = (rest * HOURS_PER_MONTH / 24.0 - 1e-6).ceil().max(0.0);
    let whole = frame.as_of.checked_add(Span::new().try_months(months as i64).ok()?).ok()?;
    whole.checked_add(Span::new().days(days as i64)).ok()
}

/// Returns the monthly rate of an effective yearly rate: (1 + r)^(1/12) − 1.
pub fn monthly_rate(per_year: f64) -> f64 {
    libm::pow(1.0 + per_year, 1.0 / 12.0) - 1.0
}

/// Returns the present value of one unit of money paid at the end of month `month` (from 0).
pub fn present_value(monthly: f64, month: u32) -> f64 {
    libm::pow(1.0 + monthly, -f64::from(month + 1))
}

/// Returns the mean present value over the months of a period.
fn annuity(monthly: f64, first_month: u32, months: u32) -> f64 {
    let total: f64 = (first_month..first_month + months).map(|month| present_value(monthly, month)).sum();
    total / f64::from(months)
}
