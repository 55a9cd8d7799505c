//! Whose clock do times of day mean?
//!
//! The hours of a plan are those of one clock: `time_zone` of `plan`, else the one zone that sites state, else UTC. A
//! workload's times are those of its sites; where their clock is another one, they are turned by the difference on the
//! first day of the horizon. Daylight saving that begins or ends later is not followed: a plan has one typical day.

use capstan_types::spec::{App, Daily, DayHours, Serve, Site};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::checker::Checker;
use super::fields::Fields;
use crate::codes;

/// Hours of a day.
const DAY: f64 = 24.0;

impl Checker<'_> {
    /// Reads the name of a time zone.
    pub(crate) fn time_zone(&self, fields: &Fields) -> Option<String> {
        let name = fields.text("time_zone")?;
        if TimeZone::get(name).is_ok() {
            return Some(name.to_owned());
        }
        let message = format!("no time zone is called `{name}`");
        let found = self.values.error(codes::UNKNOWN_NAME, fields.place_of("time_zone").span(), message);
        let known: Vec<String> = jiff::tz::db().available().map(|zone| zone.as_str().to_owned()).collect();
        self.values.report(match self.values.suggest(name, known.iter().map(String::as_str)) {
            Some(similar) => found.help(format!("did you mean `\"{similar}\"`?")),
            None => found.help("write a name of the IANA time zone database, such as `\"Europe/Berlin\"`"),
        });
        None
    }

    /// Settles the clock of the plan once its sites are known.
    pub(crate) fn settle_clock(&mut self) {
        if self.clock_is_stated {
            return;
        }
        let mut stated = self.sites.iter().filter_map(|site| site.time_zone.as_deref());
        let Some(first) = stated.next() else { return };
        if stated.all(|other| other == first) {
            self.frame.time_zone = first.to_owned();
        }
    }

    /// Turns the times of day of workloads whose sites have another clock than the plan.
    pub(crate) fn turn_clocks(&self, serves: &mut [Serve], apps: &mut [App]) {
        for serve in serves {
            let turn = self.turn(serve.sites.as_deref());
            if let Daily::Diurnal { peak_at_hour, .. } = &mut serve.load.daily {
                *peak_at_hour = (*peak_at_hour + turn).rem_euclid(DAY);
            }
        }
        for app in apps {
            let turn = self.turn(app.sites.as_deref());
            if let Some(hours) = app.hours.as_mut().filter(|_| turn != 0.0) {
                *hours = turned(*hours, turn);
            }
        }
    }

    /// Returns the hours by which the plan's clock is ahead of that of the sites where a workload may run.
    fn turn(&self, sites: Option<&[String]>) -> f64 {
        let own = &self.frame.time_zone;
        let allowed = |site: &&Site| sites.is_none_or(|names| names.contains(&site.name));
        let mut zones =
            self.sites.iter().filter(allowed).map(|site| site.time_zone.as_ref().unwrap_or(own).as_str());
        let Some(zone) = zones.next() else { return 0.0 };
        // Where a workload may run under several clocks, its users are those of the plan's.
        if zone == own || zones.any(|other| other != zone) {
            return 0.0;
        }
        let start = self.frame.start;
        offset(own, start).zip(offset(zone, start)).map_or(0.0, |(own, there)| own - there)
    }
}

/// Hours of a day under another clock: plans count whole hours, so one that has begun is used.
fn turned(hours: DayHours, turn: f64) -> DayHours {
    let (from, until) = (f64::from(hours.from) + turn, f64::from(hours.until) + turn);
    let first = from.floor();
    let begins = first.rem_euclid(DAY);
    let lasts = (until.ceil() - first).min(DAY);
    DayHours { from: begins as u32, until: (begins + lasts) as u32 }
}

/// Returns the hours by which a zone is ahead of UTC at noon of a day.
fn offset(zone: &str, day: Date) -> Option<f64> {
    let noon = day.at(12, 0, 0, 0).to_zoned_datetime(TimeZone::get(zone).ok()?).ok()?;
    Some(f64::from(noon.offset().seconds()) / 3600.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn offsets_are_those_of_the_day() {
        assert_eq!(offset("Europe/Berlin", date(2027, 1, 1)), Some(1.0));
        assert_eq!(offset("Europe/Berlin", date(2027, 7, 1)), Some(2.0));
        assert_eq!(offset("Asia/Kolkata", date(2027, 1, 1)), Some(5.5));
        assert_eq!(offset("UTC", date(2027, 1, 1)), Some(0.0));
    }

    #[test]
    fn hours_turn_past_midnight_and_half_hours_count_whole() {
        let day = |from, until| DayHours { from, until };
        assert_eq!(turned(day(8, 18), -9.0), day(23, 33));
        assert_eq!(turned(day(8, 18), 6.0), day(14, 24));
        assert_eq!(turned(day(8, 18), -5.5), day(2, 13));
        assert_eq!(turned(day(0, 24), 5.5), day(5, 29));
    }
}
