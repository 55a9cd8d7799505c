//! Into which parts are periods cut, so that a job is paid for the hours that it runs?
//!
//! Money, demand and commitments go by periods; a period in which a job ends is cut there, so that what is paid by the hour
//! ends with it. Jobs have many ways to run and each ends at another hour, so only those ends are cut that matter: an end
//! that is no cut is taken to be the cut before it, where a cost is to be a lower bound, or the one after it.

use capstan_types::blueprint::Period;
use capstan_types::units::HOURS_PER_MONTH;
use std::collections::BTreeSet;
use std::ops::Range;

/// Ends nearer to each other than this are one: a second, in months.
const SAME_MONTHS: f64 = 1.0 / (HOURS_PER_MONTH * 3600.0);

/// Ends of all jobs up to which every one is cut.
const FEW: usize = 32;

/// A part of a period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// Index of the period.
    pub period: usize,
    /// Months from the start of the horizon.
    pub start: f64,
    /// Length in months.
    pub months: f64,
}

impl Part {
    fn end(&self) -> f64 {
        self.start + self.months
    }
}

/// When one way of a job holds machines, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// Index into the market.
    pub stand: usize,
    /// Periods in which they are held.
    pub periods: Range<usize>,
    /// Hours from its start to its end.
    pub hours: f64,
}

impl Held {
    /// The months at which the job ends.
    pub fn end(&self, periods: &[Period]) -> f64 {
        let start = periods.get(self.periods.start).map_or(0.0, |period| f64::from(period.first_month));
        start + self.hours / HOURS_PER_MONTH
    }
}

/// The ways of jobs, by job and number, whose ends are cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cuts {
    ways: BTreeSet<(usize, usize)>,
}

impl Cuts {
    /// Returns every way where there are few, none otherwise.
    pub fn few(jobs: &[Vec<Held>]) -> Cuts {
        let all: usize = jobs.iter().map(Vec::len).sum();
        let each = jobs.iter().enumerate();
        let ways = each.flat_map(|(job, ways)| (0..ways.len()).map(move |way| (job, way)));
        Cuts { ways: if all <= FEW { ways.collect() } else { BTreeSet::new() } }
    }

    /// Adds a way of a job.
    pub fn add(&mut self, job: usize, way: usize) {
        self.ways.insert((job, way));
    }

    /// Returns the parts of the horizon.
    pub fn parts(&self, periods: &[Period], jobs: &[Vec<Held>]) -> Vec<Part> {
        let cut = self.ways.iter().filter_map(|&(job, way)| jobs.get(job)?.get(way));
        let cut = cut.map(|held| held.end(periods));
        let ends = together(cut.collect());
        let mut parts = Vec::new();
        for (index, period) in periods.iter().enumerate() {
            let mut start = f64::from(period.first_month);
            let last = f64::from(period.first_month + period.months);
            for &end in ends.iter().filter(|&&end| end < last - SAME_MONTHS) {
                if end > start + SAME_MONTHS {
                    parts.push(Part { period: index, start, months: end - start });
                    start = end;
                }
            }
            parts.push(Part { period: index, start, months: last - start });
        }
        parts
    }
}

/// Returns the last of the ends that are one, in order: nobody pays for less than it runs.
fn together(mut ends: Vec<f64>) -> Vec<f64> {
    ends.sort_by(f64::total_cmp);
    let groups = ends.chunk_by(|before, end| end - before <= SAME_MONTHS);
    groups.filter_map(|group| group.last().copied()).collect()
}

/// Returns the parts of some periods.
pub fn of_periods(parts: &[Part], periods: &Range<usize>) -> Range<usize> {
    let first = parts.iter().position(|part| part.period >= periods.start).unwrap_or(parts.len());
    let end = parts.iter().position(|part| part.period >= periods.end).unwrap_or(parts.len());
    first..end.max(first)
}

/// Returns whether a job ends where a part does, so that what it holds its machines for is known exactly.
pub fn ends_at_cut(parts: &[Part], periods: &[Period], held: &Held) -> bool {
    let end = held.end(periods);
    parts.iter().any(|part| (part.end() - end).abs() <= SAME_MONTHS)
}

/// Returns the parts in which a job holds its machines: up to its end, or the cut before it where that is no cut.
pub fn of_job(parts: &[Part], periods: &[Period], held: &Held, is_bound: bool) -> Range<usize> {
    let whole = of_periods(parts, &held.periods);
    let end = held.end(periods);
    let inside = parts[whole.clone()].iter().filter(|part| {
        if is_bound { part.end() <= end + SAME_MONTHS } else { part.start < end - SAME_MONTHS }
    });
    whole.start..whole.start + inside.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(first_month: u32, months: u32) -> Period {
        Period { first_month, months, discount: 1.0 }
    }

    #[test]
    fn ends_within_a_second_are_the_last_of_them() {
        let held = |hours: f64| Held { stand: 0, periods: 0..1, hours };
        let jobs = [vec![held(1.1), held(1.1 + 0.5 / 3600.0), held(2.0)]];
        let parts = Cuts::few(&jobs).parts(&[period(0, 1)], &jobs);
        let hours: Vec<f64> = parts.iter().map(|part| part.end() * HOURS_PER_MONTH).collect();
        assert_eq!(hours.len(), 3, "{hours:?}");
        assert!((hours[0] - (1.1 + 0.5 / 3600.0)).abs() < 1e-9, "{hours:?}");
    }

    #[test]
    fn without_jobs_a_part_is_a_period() {
        let parts = Cuts::default().parts(&[period(0, 2), period(2, 3)], &[]);
        let expected =
            [Part { period: 0, start: 0.0, months: 2.0 }, Part { period: 1, start: 2.0, months: 3.0 }];
        assert_eq!(parts, expected);
        assert_eq!((of_periods(&parts, &(1..2)), of_periods(&parts, &(2..2))), (1..2, 2..2));
    }
}
