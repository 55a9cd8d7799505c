//! Why nothing holds, and the nearest ways out.

use crate::batches;
use crate::candidates::{NOT_ALLOWED, TIER_TOO_LARGE, TOO_WIDE};
use crate::columns::ServeColumns;
use crate::derate::Deratings;
use crate::formulate::{Formulation, NamedLimit};
use crate::frame::Frame;
use crate::limit_unit::LimitUnit;
use crate::periods::lead_months;
use crate::program::{Conflict, LimitId, Member, NoPlan, Options, Unservable, conflict};
use crate::refused;
use crate::ways_out::{Change, Step, Stuck};
use capstan_types::blueprint::RejectionCount;
use capstan_types::figure;
use capstan_types::finding::{Finding, Severity};
use capstan_types::money::Currency;
use capstan_types::place::Place;
use capstan_types::spec::{App, Batch, Serve, Site, Train};
use std::collections::BTreeSet;

/// A service level that no candidate reaches.
const UNREACHABLE: &str = "E0310";
/// A workload that fits on no machine that is allowed.
const FITS_NOWHERE: &str = "E0311";
/// Machines that cannot be had in the ways allowed.
const NOT_TO_BE_HAD: &str = "E0312";
/// Limits that cannot hold together.
const CONFLICT: &str = "E0320";
/// A deadline that cannot be kept.
const TOO_LATE: &str = "E0330";

/// Returns what stands in the way, with what could be changed.
///
/// # Errors
/// Where the program cannot be analysed: a mistake of ours.
pub(crate) fn findings(
    frame: &Frame<'_>,
    serves: &[ServeColumns<'_>],
    formulation: &Formulation<'_>,
    unservable: &[Unservable],
    deratings: &Deratings,
) -> Result<Vec<Stuck>, NoPlan> {
    if unservable.is_empty() {
        let found = conflict(&formulation.problem, &Options::default())?;
        return Ok(found.map(|found| conflict_finding(frame, formulation, &found)).into_iter().collect());
    }
    let of_plan = |why: &Unservable| in_periods(*why, formulation);
    Ok(unservable.iter().map(|why| unservable_finding(frame, serves, of_plan(why), deratings)).collect())
}

/// The program's periods are parts of the plan's.
fn in_periods(why: Unservable, formulation: &Formulation<'_>) -> Unservable {
    match why {
        Unservable::NotInTime { workload, period } => {
            let period = formulation.parts.get(period).map_or(period, |part| part.period);
            Unservable::NotInTime { workload, period }
        }
        other => other,
    }
}

/// Returns a finding for each limit that is passed without any machine bought: by what stands there already, storage, or what
/// the plan states to pay each month.
pub(crate) fn passed_already(frame: &Frame<'_>, formulation: &Formulation<'_>) -> Vec<Stuck> {
    let currency = frame.spec.frame.currency;
    let passed = formulation.limits.iter().filter(|name| name.short > 1e-6 * name.outside.abs());
    let finding = |name: &NamedLimit| {
        let needed = name.unit.amount(name.outside, currency);
        let message = format!("{} passes the limit on {}", beside_machines(name.unit), name.told());
        let place = name.place.clone().map(|place| (place, format!("at least {needed} would be needed")));
        let step = name.change.map(|change| Step {
            change,
            value: name.outside,
            what: name.what.clone(),
            now: name.unit.amount(name.outside - name.short, currency),
            unit: Some(name.unit),
        });
        let finding = error(CONFLICT, message, place.into_iter().collect());
        Stuck { finding, either: step.into_iter().collect(), all: Vec::new() }
    };
    passed.map(finding).collect()
}

/// Returns what an amount is made of that no choice of machines changes; storage, staff or a fleet need not be part of it.
fn beside_machines(unit: LimitUnit) -> &'static str {
    match unit {
        LimitUnit::Money | LimitUnit::MoneyPerMonth => "what is paid whichever machines are chosen",
        LimitUnit::Kilowatts => "what is drawn whichever machines are chosen",
        _ => "what is there whichever machines are chosen",
    }
}

fn unservable_finding(
    frame: &Frame<'_>,
    serves: &[ServeColumns<'_>],
    why: Unservable,
    deratings: &Deratings,
) -> Stuck {
    let (Unservable::NoColumns { workload }
    | Unservable::NoOffers { workload, .. }
    | Unservable::NotInTime { workload, .. }) = why;
    let serve = serves.get(workload).map(|columns| columns.serve);
    let train = workload.checked_sub(serves.len()).and_then(|index| frame.trains.get(index));
    let mut stuck = match (why, serve, train) {
        (Unservable::NoColumns { .. }, Some(serve), _) if frame.market.stands.is_empty() => {
            alone(not_to_be_had(frame, &serve.name, &serve.place, why))
        }
        (Unservable::NoColumns { .. }, Some(serve), _) => {
            no_way_to_serve(frame, serves[workload].of, serve, deratings)
        }
        (Unservable::NoColumns { .. }, None, Some(train)) => {
            no_way_to_train(frame, workload - serves.len(), train.train)
        }
        (_, Some(serve), _) => alone(not_to_be_had(frame, &serve.name, &serve.place, why)),
        (_, None, Some(train)) => alone(not_to_be_had(frame, &train.train.name, &train.train.place, why)),
        (why, None, None) if app(frame, serves, workload).is_some() => no_place(frame, serves, workload, why),
        (why, None, None) => match batch(frame, serves, workload) {
            Some(batch) => alone(not_done(frame, batch, why)),
            None => alone(error(CONFLICT, "a workload cannot run".to_owned(), Vec::new())),
        },
    };
    stuck.either.extend(stronger_rack(frame, workload));
    stuck
}

/// Returns the power of a rack with which it takes a machine that the workload would run on.
fn stronger_rack(frame: &Frame<'_>, workload: usize) -> Option<Step> {
    let refused = refused::least_beyond_its_rack(frame.spec, &frame.market, workload)?;
    let site = &frame.spec.sites[refused.site_index];
    let given = site.rack.as_ref()?.power.as_ref()?.value;
    Some(Step {
        change: Change::RackPower(refused.site_index),
        value: refused.shape.power?.kw(),
        what: format!("power of each rack at {}", site.name),
        now: LimitUnit::Kilowatts.amount(given.kw(), frame.spec.frame.currency),
        unit: Some(LimitUnit::Kilowatts),
    })
}

fn app<'f>(frame: &'f Frame<'_>, serves: &[ServeColumns<'_>], workload: usize) -> Option<&'f App> {
    let index = workload.checked_sub(serves.len() + frame.trains.len())?;
    frame.apps.get(index).map(|columns| columns.app)
}

fn batch<'f>(frame: &'f Frame<'_>, serves: &[ServeColumns<'_>], workload: usize) -> Option<&'f Batch> {
    let others = serves.len() + frame.trains.len() + frame.apps.len();
    frame.spec.batches.get(workload.checked_sub(others)?)
}

/// Offline inference that no machine does, or that has no day left.
fn not_done(frame: &Frame<'_>, batch: &Batch, why: Unservable) -> Finding {
    if !matches!(why, Unservable::NoColumns { .. }) || frame.market.stands.is_empty() {
        return not_to_be_had(frame, &batch.name, &batch.place, why);
    }
    let is_late = !batches::has_time(frame, batch);
    let place = batch.finish.as_ref().filter(|_| is_late).map_or(&batch.place, |finish| &finish.place);
    let (code, message, label, way_out) = if is_late {
        let message = format!("`{}` has no month left in which it could run", batch.name);
        (TOO_LATE, message, "months are planned whole", "an earlier `start` or a later `finish`")
    } else {
        let message = format!("`{}` fits on no machine that is allowed", batch.name);
        (FITS_NOWHERE, message, "no candidate is left", "allow other accelerators or a lower precision")
    };
    let mut finding = error(code, message, vec![(place.clone(), label.to_owned())]);
    finding.because = nearest_misses(frame, &batch.name);
    finding.ways_out.push(way_out.to_owned());
    finding
}

/// Nothing carries a service or group of notebooks.
fn no_place(frame: &Frame<'_>, serves: &[ServeColumns<'_>], workload: usize, why: Unservable) -> Stuck {
    let Some(app) = app(frame, serves, workload) else {
        return alone(error(CONFLICT, "a workload cannot run".to_owned(), Vec::new()));
    };
    if !matches!(why, Unservable::NoColumns { .. }) {
        return alone(not_to_be_had(frame, &app.name, &app.place, why));
    }
    let message = format!("`{}` fits on no machine that is allowed", app.name);
    let mut finding =
        error(FITS_NOWHERE, message, vec![(app.place.clone(), "no machine is left".to_owned())]);
    finding.because = nearest_misses(frame, &app.name);
    let way_out = match app.part {
        Some(_) => "allow more sites or accelerators",
        None => "allow more sites, or give machines without accelerators a row and a price",
    };
    finding.ways_out.push(way_out.to_owned());
    alone(finding)
}

/// Returns what is left to say where no value that was tried is a way out.
pub(crate) fn otherwise(code: &str) -> &'static str {
    match code {
        // One replica does not fit, so it is all the same how many are needed.
        FITS_NOWHERE => "another model, precision, split or machine: less demand does not help",
        _ => "less demand, or more than one of these limits looser",
    }
}

/// Returns what of a workload is too large for every machine that it may have, where that is one number of the plan.
fn too_large(frame: &Frame<'_>, serve: &Serve) -> Option<&'static str> {
    let own = frame.rejections.iter().filter(|row| row.workload == serve.name && row.reason != NOT_ALLOWED);
    let reasons: BTreeSet<&str> = own.map(|row| row.reason.as_str()).collect();
    match Vec::from_iter(reasons)[..] {
        [TOO_WIDE] => {
            Some("a smaller `tensor` (times `data`): stages of `pipeline` go over machines, each filling one")
        }
        [TIER_TOO_LARGE] => Some("a smaller `size` of what `prefix_caching` keeps beside the accelerators"),
        _ => None,
    }
}

/// A finding that no one value of the plan removes.
fn alone(finding: Finding) -> Stuck {
    Stuck { finding, either: Vec::new(), all: Vec::new() }
}

fn error(code: &str, message: String, places: Vec<(Place, String)>) -> Finding {
    Finding {
        code: code.to_owned(),
        severity: Severity::Error,
        message,
        places,
        because: Vec::new(),
        ways_out: Vec::new(),
    }
}

fn no_way_to_serve(frame: &Frame<'_>, index: usize, serve: &Serve, deratings: &Deratings) -> Stuck {
    let refused = deratings.refused(&serve.name);
    let unreached = frame.unreached.get(index).map(Vec::as_slice).unwrap_or_default();
    let mut finding = match unreached.first() {
        _ if !refused.is_empty() => {
            let message = format!("no way to serve `{}` held in simulation", serve.name);
            error(UNREACHABLE, message, vec![(serve.place.clone(), "at any load that was tried".to_owned())])
        }
        Some(miss) => {
            let level =
                serve.slos.iter().find(|slo| (slo.metric, slo.per_mille) == (miss.metric, miss.per_mille));
            let place = level.map_or(&serve.place, |slo| &slo.place);
            let label = format!("the best candidate reaches {:.0} ms ({})", miss.best.millis(), miss.words);
            let message =
                format!("no way to serve `{}` meets its limit on {}", serve.name, miss.metric.word());
            error(UNREACHABLE, message, vec![(place.clone(), label)])
        }
        None => {
            let message = format!("`{}` fits on no machine that is allowed", serve.name);
            error(FITS_NOWHERE, message, vec![(serve.place.clone(), "no candidate is left".to_owned())])
        }
    };
    finding.because = refused.iter().map(|way| format!("{way} missed its levels in simulation")).collect();
    finding.because.extend(nearest_misses(frame, &serve.name));
    if refused.is_empty() {
        finding.ways_out.extend(too_large(frame, serve).map(str::to_owned));
    }
    let all = if refused.is_empty() { looser_levels(frame, index) } else { Vec::new() };
    Stuck { finding, either: freer(index, serve.accelerators.is_some(), serve.precisions.len()), all }
}

/// Returns what a workload may be allowed beside what it names: other accelerators, a lower precision.
fn freer(workload: usize, names_accelerators: bool, precisions: usize) -> Vec<Step> {
    let step = |change, what: &str| Step {
        change,
        value: 0.0,
        what: what.to_owned(),
        now: String::new(),
        unit: None,
    };
    let any = names_accelerators
        .then(|| step(Change::AnyAccelerator(workload), "other accelerators: no `accelerator in [...]`"));
    let lower = (precisions == 1).then(|| {
        step(Change::LowerPrecision(workload), "a lower precision: fp8 or int4 in `precision in [...]`")
    });
    any.into_iter().chain(lower).collect()
}

/// Returns the levels of a workload that no candidate reaches, a tenth beyond what the best reaches.
pub(crate) fn looser_levels(frame: &Frame<'_>, index: usize) -> Vec<Step> {
    let serve = &frame.spec.serves[index];
    let unreached = frame.unreached.get(index).map(Vec::as_slice).unwrap_or_default();
    let steps = unreached.iter().filter_map(|miss| {
        let is_meant =
            |slo: &capstan_types::spec::Slo| (slo.metric, slo.per_mille) == (miss.metric, miss.per_mille);
        let slo = serve.slos.iter().position(is_meant)?;
        let now = format!("{:.0} ms", serve.slos[slo].target.millis());
        let what = miss.metric.word().to_owned();
        Some(Step { change: Change::Slo(index, slo), value: miss.best.get() * 1.1, what, now, unit: None })
    });
    steps.collect()
}

fn no_way_to_train(frame: &Frame<'_>, index: usize, train: &Train) -> Stuck {
    let late =
        frame.rejections.iter().find(|row| row.workload == train.name && row.reason == "deadline_missed");
    let place = train.finish.as_ref().filter(|_| late.is_some()).map_or(&train.place, |finish| &finish.place);
    let (code, message) = match late {
        Some(_) => (TOO_LATE, format!("`{}` cannot be trained in time", train.name)),
        None => (FITS_NOWHERE, format!("`{}` fits on no machine that is allowed", train.name)),
    };
    let label = late.map_or_else(|| "no candidate is left".to_owned(), |row| row.nearest.clone());
    let mut finding = error(code, message, vec![(place.clone(), label)]);
    finding.because = nearest_misses(frame, &train.name);
    let later = train.finish.as_ref().filter(|_| late.is_some()).map(|finish| Step {
        change: Change::Finish(index),
        value: 0.0,
        what: "finish".to_owned(),
        now: finish.value.to_string(),
        unit: None,
    });
    let either = freer(frame.spec.serves.len() + index, train.accelerators.is_some(), train.precisions.len());
    Stuck { finding, either, all: later.into_iter().collect() }
}

fn not_to_be_had(frame: &Frame<'_>, workload: &str, place: &Place, why: Unservable) -> Finding {
    let message = format!("no machine for `{workload}` can be had in the ways allowed");
    let label = match why {
        Unservable::NotInTime { period, .. } => {
            let month = frame.periods.get(period).map_or(0, |period| period.first_month);
            format!("not from month {month} of the horizon on")
        }
        Unservable::NoOffers { has_unpriced: true, .. } => "its offers have no known price".to_owned(),
        _ => "no offer at the sites allowed".to_owned(),
    };
    let mut finding = error(NOT_TO_BE_HAD, message, vec![(place.clone(), label)]);
    if let Unservable::NotInTime { .. } = why {
        return too_soon(frame, finding);
    }
    let unpriced = frame.market.unpriced.iter();
    finding.because = unpriced
        .take(5)
        .map(|row| format!("the price of {} at {}, {}, is unknown", row.shape, row.site, row.option.words()))
        .collect();
    finding.ways_out = vec![
        "allow more ways to `buy`, or more sites".to_owned(),
        "give prices: `use prices \"prices.toml\"`".to_owned(),
    ];
    let (Unservable::NoColumns { workload: index }
    | Unservable::NoOffers { workload: index, .. }
    | Unservable::NotInTime { workload: index, .. }) = why;
    let refused = refused::of_workload(frame.spec, &frame.market, index);
    let refused = refused.iter().take(4);
    finding.because.extend(refused.map(|of| format!("{}: {}", of.shape.id, of.why.words)));
    if let Some((from, to)) = missing_rate(frame) {
        finding.because.insert(0, format!("prices are in {from}, the plan is in {to}, and no rate is known"));
        finding
            .ways_out
            .insert(0, format!("plan in {from}, or give a dated rate of {from} in {to} with `use prices`"));
    }
    finding
}

/// Says that machines can be had, but not in all of the months: they come later, or those that stand there leave.
fn too_soon(frame: &Frame<'_>, mut finding: Finding) -> Finding {
    let late: Vec<&Site> = frame.spec.sites.iter().filter(|site| site.lead_time_months > 0.0).collect();
    finding.because = late
        .iter()
        .map(|site| {
            let months = figure::short(site.lead_time_months);
            let there = lead_months(&frame.spec.frame, site) + 1;
            format!(
                "what is bought for `{}` stands there {months} months after the planning date, {}, in month {there} of the horizon: `lead_time = {months} mo`",
                site.name, frame.spec.frame.as_of
            )
        })
        .collect();
    finding.ways_out = Vec::new();
    if !late.is_empty() {
        finding.ways_out.extend([
            "a workload or a horizon that begins later, or a shorter `lead_time`".to_owned(),
            "machines that are there at once for the first months: `fleet`, or a site of a provider"
                .to_owned(),
        ]);
    }
    if frame.spec.fleets.iter().any(|fleet| fleet.until.is_some()) {
        finding.ways_out.push("machines that stay: a later `until` of the fleet, or none".to_owned());
    }
    finding
}

/// Returns the currency of a price that is known but cannot be converted to the plan's, and the plan's.
fn missing_rate(frame: &Frame<'_>) -> Option<(Currency, Currency)> {
    let to = frame.spec.frame.currency;
    let priced = frame.market.unpriced.iter().find_map(|row| {
        frame.catalog.offerings.iter().find(|offering| {
            offering.shape == row.shape && offering.option == row.option && offering.price.is_some()
        })
    });
    priced.map(|offering| (offering.currency, to))
}

/// Returns the nearest miss of each reason, the most frequent reasons first.
fn nearest_misses(frame: &Frame<'_>, workload: &str) -> Vec<String> {
    let mut rows: Vec<_> = frame.rejections.iter().filter(|row| row.workload == workload).collect();
    let excess = |row: &RejectionCount| row.excess.unwrap_or(f64::INFINITY);
    rows.sort_by(|a, b| {
        let nearer = || excess(a).total_cmp(&excess(b));
        b.count.cmp(&a.count).then_with(nearer).then_with(|| a.shape.cmp(&b.shape))
    });
    let mut told: Vec<&str> = Vec::new();
    let mut words = Vec::new();
    for row in rows {
        if told.contains(&row.reason.as_str()) || words.len() == 4 {
            continue;
        }
        told.push(&row.reason);
        words.push(format!("{} × {}: {} on {}", row.count, row.reason, row.nearest, row.shape));
    }
    words
}

fn conflict_finding(frame: &Frame<'_>, formulation: &Formulation<'_>, conflict: &Conflict) -> Stuck {
    let currency = frame.spec.frame.currency;
    let named: Vec<(&Member, &NamedLimit)> = conflict
        .members
        .iter()
        .filter_map(|member| match member.limit {
            LimitId::Stated(index) => formulation.limits.get(index).map(|name| (member, name)),
            LimitId::Offer(_) => None,
        })
        .collect();
    let names: Vec<String> = named.iter().map(|(_, name)| name.told()).collect();
    let has_one_way = named.iter().any(|(member, _)| member.way_out.is_some());
    let message = match names.as_slice() {
        [] => "no plan covers every demand".to_owned(),
        [one] => format!("no plan keeps the limit on {one}"),
        many if has_one_way => format!("no plan keeps these limits together: {}", many.join(", ")),
        many => format!("no plan keeps these limits, whichever one of them is looser: {}", many.join(", ")),
    };
    let places = named
        .iter()
        .filter_map(|(member, name)| Some((name.place.clone()?, what_is_needed(member, name, currency))))
        .collect();
    let mut finding = error(CONFLICT, message, places);
    if !conflict.is_proven_minimal {
        finding.because.push("not proven minimal: a bounded search ended undecided".to_owned());
    }
    let step = |member: &Member, name: &NamedLimit, value: f64| {
        Some(Step {
            change: name.change?,
            value: value + name.outside,
            what: name.what.clone(),
            now: name.unit.amount(member.value + name.outside, currency),
            unit: Some(name.unit),
        })
    };
    let either = named.iter().filter_map(|(member, name)| step(member, name, member.way_out?.value));
    let moved = named.iter().filter_map(|(member, name)| Some((member, name, member.together?)));
    // One that no value of the plan moves leaves no way out to the others.
    let all: Option<Vec<Step>> = moved.map(|(member, name, value)| step(member, name, value)).collect();
    Stuck { finding, either: either.collect(), all: all.unwrap_or_default() }
}

fn what_is_needed(member: &Member, name: &NamedLimit, currency: Currency) -> String {
    let Some(way) = member.way_out else {
        return "no value of this limit alone is enough".to_owned();
    };
    let amount = name.unit.amount(way.value + name.outside, currency);
    if !way.is_proven_nearest {
        return format!("{amount} would be enough; a nearer value may be too");
    }
    let bound = if way.value >= member.value { "at least" } else { "at most" };
    format!("{bound} {amount} would be needed")
}
