//! At which hours do how many replicas run, and how long does the work take then?
//!
//! A pattern has a count for each of the 48 typical hours. It knows no machines, money or service levels. Each start of
//! a replica takes the time to load its weights, which is taken off the hours that it works.

use capstan_types::blueprint::HOURS;

/// Hours of a day, and of a week: five weekdays, two days of the weekend.
const DAY: usize = 24;
const WEEK_H: f64 = 168.0;

/// Returns how many replicas start in a week: at each hour those that did not run in the hour before.
///
/// Of the five weekdays one follows a day of the weekend, of the two days of the weekend one follows a weekday.
fn starts_per_week(replicas: &[u32]) -> f64 {
    let rise = |from: usize, to: usize| f64::from(replicas[to].saturating_sub(replicas[from]));
    let inside = |first: usize| (first + 1..first + DAY).map(|hour| rise(hour - 1, hour)).sum::<f64>();
    let (monday, others) = (rise(HOURS - 1, 0), rise(DAY - 1, 0));
    let (saturday, sunday) = (rise(DAY - 1, DAY), rise(HOURS - 1, DAY));
    5.0 * inside(0) + monday + 4.0 * others + 2.0 * inside(DAY) + saturday + sunday
}

/// Returns the hours of all replicas in one hour of the calendar, on average.
pub(super) fn held_per_hour(replicas: &[u32]) -> f64 {
    let day = |first: usize| replicas[first..first + DAY].iter().copied().map(f64::from).sum::<f64>();
    (5.0 * day(0) + 2.0 * day(DAY)) / WEEK_H
}

/// Returns the hours from the first to the last answer where `work` hours of one replica are to be done, and a start takes
/// `loading` hours; none where that is never done.
pub(super) fn span(replicas: &[u32], work: f64, loading: f64) -> Option<f64> {
    let starts = starts_per_week(replicas);
    let working = held_per_hour(replicas) - starts / WEEK_H * loading;
    // Replicas that never stop load once.
    let once = if starts == 0.0 { loading } else { 0.0 };
    (working > 0.0).then(|| work / working + once)
}

/// Returns the same count at every hour.
pub(super) fn flat(count: u32) -> Vec<u32> {
    vec![count; HOURS]
}

/// Returns a count in the quietest hours of each day only: those with the least load, the earliest of equals.
pub(super) fn quiet(load: &[f64], hours: usize, count: u32) -> Vec<u32> {
    let mut pattern = vec![0; HOURS];
    for first in [0, DAY] {
        let mut order: Vec<usize> = (first..first + DAY).collect();
        order.sort_by(|&a, &b| load[a].total_cmp(&load[b]).then(a.cmp(&b)));
        order.into_iter().take(hours).for_each(|hour| pattern[hour] = count);
    }
    pattern
}

/// Returns what fits at each hour beside a load on so many accelerators, each replica taking `each`, at most `most`.
pub(super) fn beside(load: &[u64], accelerators: u64, each: u64, most: u32) -> Vec<u32> {
    let fits =
        |taken: &u64| u32::try_from(accelerators.saturating_sub(*taken) / each.max(1)).unwrap_or(u32::MAX);
    load.iter().map(|taken| fits(taken).min(most)).collect()
}

/// Returns the smallest count up to `most` whose pattern is done within `limit` hours; more replicas are never later.
pub(super) fn fewest(most: u32, limit: f64, hours: impl Fn(u32) -> Option<f64>) -> Option<u32> {
    let in_time = |count: u32| hours(count).is_some_and(|hours| hours <= limit);
    if !in_time(most) {
        return None;
    }
    let (mut from, mut good) = (1, most);
    while from < good {
        let middle = u32::midpoint(from, good);
        if in_time(middle) { good = middle } else { from = middle + 1 }
    }
    Some(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Low at night, high by day, the same at weekends.
    fn day_load() -> Vec<f64> {
        (0..HOURS).map(|hour| if (8..20).contains(&(hour % DAY)) { 10.0 } else { 1.0 }).collect()
    }

    #[test]
    fn what_never_stops_loads_once() {
        assert_eq!(starts_per_week(&flat(3)), 0.0);
        assert_eq!(held_per_hour(&flat(3)), 3.0);
        let hours = span(&flat(4), 100.0, 0.5).expect("it runs");
        assert!((hours - 25.5).abs() < 1e-12, "{hours}");
    }

    #[test]
    fn a_night_begins_once_a_day_and_loads_each_time() {
        let nights = quiet(&day_load(), 12, 2);
        assert_eq!(nights[7..9], [2, 0]);
        assert_eq!(nights[19..21], [0, 2]);
        assert_eq!(starts_per_week(&nights), 14.0);
        assert_eq!(held_per_hour(&nights), 1.0);
        // Of twelve hours each replica loads for one: 22 of 24 hours of replicas a day are work.
        let hours = span(&nights, 22.0, 1.0).expect("it runs");
        assert!((hours - 24.0).abs() < 1e-9, "{hours}");
        assert_eq!(span(&nights, 22.0, 12.0), None, "nights that only load never end");
    }

    #[test]
    fn weekends_alone_start_once_a_week() {
        let weekends: Vec<u32> = (0..HOURS).map(|hour| u32::from(hour >= DAY)).collect();
        assert_eq!(starts_per_week(&weekends), 1.0);
        assert!((held_per_hour(&weekends) - 48.0 / 168.0).abs() < 1e-12);
    }

    #[test]
    fn a_valley_is_filled_up_to_the_machines_and_never_beyond() {
        let load: Vec<u64> = (0..HOURS as u64).collect();
        let pattern = beside(&load, 24, 4, 5);
        for (taken, count) in load.iter().zip(&pattern) {
            assert!(*count == 0 || taken + u64::from(*count) * 4 <= 24, "{taken} {count}");
        }
        assert_eq!((pattern[0], pattern[8], pattern[23]), (5, 4, 0));
    }

    #[test]
    fn the_fewest_that_are_in_time_are_found() {
        let hours = |count: u32| span(&flat(count), 100.0, 0.0);
        assert_eq!(fewest(1000, 10.0, hours), Some(10));
        assert_eq!(fewest(1000, 9.9, hours), Some(11));
        assert_eq!(fewest(5, 10.0, hours), None);
    }
}
