//! Does offline inference answer all its requests by its last day, at no more than machines can do?

use super::physics::{chip, model, multiplied};
use super::{Check, TOLERANCE, hour_weight, same};
use capstan_types::blueprint::{AuditCheck, BatchRun, Blueprint, HOURS};
use capstan_types::figure;
use capstan_types::spec::Batch;
use capstan_types::units::HOURS_PER_MONTH;

/// Days by which a month of 730 h may begin before or after the date that it stands for.
const DAYS_OF_ROUNDING: f64 = 2.0;

/// Hours of a typical week.
const WEEK_H: f64 = 168.0;

/// Returns the starts of replicas in a typical week, walked hour by hour from Monday to Sunday and around.
fn starts(replicas: &[u32]) -> f64 {
    let day = |weekday: usize| if weekday < 5 { 0 } else { HOURS / 2 };
    let week: Vec<u32> = (0..7)
        .flat_map(|weekday| (0..HOURS / 2).map(move |hour| day(weekday) + hour))
        .map(|hour| replicas.get(hour).copied().unwrap_or(0))
        .collect();
    let before = week.iter().cycle().skip(week.len() - 1);
    week.iter().zip(before).map(|(now, before)| f64::from(now.saturating_sub(*before))).sum()
}

/// Returns the share of a typical week in which something runs at these hours, all of it where none are named, and how often
/// it starts in an hour of it.
pub(super) fn week(at_hours: &[bool]) -> (f64, f64) {
    if at_hours.is_empty() {
        return (1.0, 0.0);
    }
    let runs: Vec<u32> = at_hours.iter().map(|&runs| u32::from(runs)).collect();
    let month: f64 =
        runs.iter().enumerate().take(HOURS).map(|(hour, &n)| f64::from(n) * hour_weight(1, hour)).sum();
    (month / HOURS_PER_MONTH, starts(&runs) / WEEK_H)
}

/// Returns the hours of replicas in an hour of the calendar, and those of them in which they load.
fn per_hour(run: &BatchRun) -> (f64, f64) {
    let hours = run.replicas.iter().enumerate().take(HOURS);
    let month: f64 = hours.map(|(hour, &count)| f64::from(count) * hour_weight(1, hour)).sum();
    (month / HOURS_PER_MONTH, starts(&run.replicas) / WEEK_H * run.loading.get() / 3600.0)
}

/// Every request is answered by the last day, which is one that the plan allows.
pub(super) fn done(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("offline: every request is answered by the last day");
    let spec = &blueprint.inputs.spec;
    for batch in &spec.batches {
        let mut runs = blueprint.batches.iter().filter(|run| run.workload == batch.name);
        let (Some(run), None) = (runs.next(), runs.next()) else {
            check.that(false, || format!("`{}` runs nowhere, or in two ways", batch.name));
            continue;
        };
        answered(&mut check, batch, run);
        dated(&mut check, blueprint, batch, run);
    }
    check.that(blueprint.batches.len() == spec.batches.len(), || {
        format!("{} runs of {} that are asked", blueprint.batches.len(), spec.batches.len())
    });
    check.done()
}

fn answered(check: &mut Check, batch: &Batch, run: &BatchRun) {
    let name = &batch.name;
    let (held, loading) = per_hour(run);
    let once = if loading == 0.0 { f64::from(run.peak_replicas()) * run.loading.get() / 3600.0 } else { 0.0 };
    let worked = (held - loading) * run.hours - once;
    let answered = worked * 3600.0 * run.estimate.rate.get() * run.derating * run.up;
    check.that(answered >= batch.requests * (1.0 - 1e-6), || {
        let (answered, asked) = (figure::large(answered), figure::large(batch.requests));
        format!("`{name}` answers {answered} of {asked} requests by {}", run.end)
    });
    check.that(same(run.requests, batch.requests), || {
        format!("`{name}` is said to answer {} requests, {} are asked", run.requests, batch.requests)
    });
    check.that(same(run.replica_hours, held * run.hours), || {
        format!("`{name}` is said to take {} hours of replicas, not {}", run.replica_hours, held * run.hours)
    });
    let seen = run.simulated.as_ref().map_or(f64::INFINITY, |seen| seen.rate.get());
    check.that(run.estimate.rate.get() * run.derating <= seen * (1.0 + TOLERANCE), || {
        format!("`{name}` is planned at more than the {seen} req/s that were simulated")
    });
    let shares = [run.derating, run.up];
    check.that(shares.iter().all(|share| *share > 0.0 && *share <= 1.0), || {
        format!("`{name}` is derated by {}, up {} of the time", run.derating, run.up)
    });
    let even = run.replicas.iter().all(|count| *count == run.replicas[0]);
    check.that(batch.interruptible || even, || format!("`{name}` is interrupted, which the plan forbids"));
    check.that(run.replicas.len() == HOURS, || {
        format!("`{name}` has a count for {} of {HOURS} hours", run.replicas.len())
    });
}

fn dated(check: &mut Check, blueprint: &Blueprint, batch: &Batch, run: &BatchRun) {
    let (name, frame) = (&batch.name, &blueprint.inputs.spec.frame);
    let first = batch.start.as_ref().map_or(frame.start, |limit| limit.value);
    let last = batch.finish.as_ref().map_or(frame.end, |limit| limit.value);
    check.that(run.start >= first, || format!("`{name}` starts on {}, too early", run.start));
    check.that(run.end <= last, || format!("`{name}` ends on {}, too late", run.end));
    let days = run.end.since(run.start).map_or(0, |span| span.get_days()) + 1;
    check.that((f64::from(days) * 24.0 - run.hours).abs() <= 24.0 + 1e-6, || {
        format!("`{name}` takes {} h from {} to {}", figure::short(run.hours), run.start, run.end)
    });
    // The machines are held in the periods in which it runs, from its start on.
    let held: f64 = run.shares.iter().zip(&blueprint.periods).map(|(s, p)| s * f64::from(p.months)).sum();
    check.that(same(held * HOURS_PER_MONTH, run.hours), || {
        format!("`{name}` holds machines for {} h of {}", held * HOURS_PER_MONTH, run.hours)
    });
    let begins = run.shares.iter().zip(&blueprint.periods).find(|(share, _)| **share > 0.0);
    let begins = begins.map_or(0.0, |(_, period)| f64::from(period.first_month) * HOURS_PER_MONTH / 24.0);
    let days = f64::from(run.start.since(frame.start).map_or(0, |span| span.get_days()));
    let month = HOURS_PER_MONTH / 24.0;
    check.that((days - begins).abs() <= month / 2.0 + DAYS_OF_ROUNDING, || {
        format!("`{name}` starts on {}, its machines are held from day {begins:.0} on", run.start)
    });
}

/// No replica is faster than its memory and its arithmetic.
pub(super) fn speed(check: &mut Check, blueprint: &Blueprint) {
    for run in &blueprint.batches {
        let name = &run.workload;
        let batch = blueprint.inputs.spec.batches.iter().find(|batch| batch.name == *name);
        let rows = (model(blueprint, &run.model), chip(blueprint, &run.candidate.accelerator), batch);
        let (Some(model), Some(chip), Some(batch)) = rows else { continue };
        let (active, precision) = (multiplied(model), run.candidate.precision);
        let Some(peak) = chip.peak(chip.math_of(precision)) else {
            check.that(false, || format!("`{name}`: {} cannot compute in {}", chip.id, precision.word()));
            continue;
        };
        let least = active * precision.weight_bytes()
            / (f64::from(run.candidate.degrees().of_stage().max(1)) * chip.memory_bandwidth.get());
        check.that(run.estimate.tpot.get() >= least, || {
            format!(
                "`{name}`: a token every {}, the weights alone take {least} s",
                figure::span(run.estimate.tpot)
            )
        });
        let seen = run.simulated.as_ref().map_or(0.0, |seen| seen.rate.get());
        let chips = f64::from(run.candidate.accelerators) * peak.get();
        for rate in [run.estimate.rate.get(), seen] {
            let asked = rate * (batch.prompt.mean + batch.output.mean) * 2.0 * active;
            check.that(asked <= chips, || {
                format!("`{name}`: {} FLOP/s asked of {} FLOP/s", figure::large(asked), figure::large(chips))
            });
        }
        let most = f64::from(run.candidate.sequences_at_once());
        check.that(run.estimate.batch > 0.0 && run.estimate.batch <= most, || {
            format!("`{name}`: {} sequences at once, {most} at most", run.estimate.batch)
        });
    }
}
