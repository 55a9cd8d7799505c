//! How many requests arrive when: the hourly demand of a serving workload over the periods of the horizon.

use capstan_types::blueprint::{DemandCurve, HOURS, Period};
use capstan_types::spec::{Daily, Load, Serve};

/// Hours of a day.
const DAY: usize = 24;

/// Returns the demand of one workload, sized at the busiest month of each period.
pub fn curve(serve: &Serve, periods: &[Period]) -> DemandCurve {
    let rates = periods.iter().map(|period| period_rates(&serve.load, period)).collect();
    DemandCurve { workload: serve.name.clone(), rates }
}

/// Returns the rates of one period: weekday hours, then weekend hours.
fn period_rates(load: &Load, period: &Period) -> Vec<f64> {
    let peak = load.peak.get() * busiest_growth(load.growth_per_month, period);
    let shape = day_shape(load.daily);
    (0..HOURS)
        .map(|hour| {
            let factor = if hour < DAY { 1.0 } else { load.weekend };
            peak * factor * shape[hour % DAY]
        })
        .collect()
}

/// Returns the growth factor of the busiest month of a period: its last when demand grows, its first when it shrinks.
pub fn busiest_growth(growth_per_month: f64, period: &Period) -> f64 {
    let last = period.first_month + period.months - 1;
    let month = if growth_per_month >= 0.0 { last } else { period.first_month };
    libm::pow(1.0 + growth_per_month, f64::from(month))
}

/// Returns the mean growth factor over the months of a period, which is what cost per token rests on.
pub fn mean_growth(growth_per_month: f64, period: &Period) -> f64 {
    let months = period.first_month..period.first_month + period.months;
    let total: f64 = months.map(|month| libm::pow(1.0 + growth_per_month, f64::from(month))).sum();
    total / f64::from(period.months)
}

/// Returns the rate of each hour of a day over that of the busiest hour.
///
/// Diurnal: a cosine between trough and peak, taken at the middle of each hour and scaled so that the busiest
/// hour is 1, since `peak` in a plan is the mean of the busiest hour.
pub fn day_shape(daily: Daily) -> [f64; DAY] {
    let mut shape = [1.0; DAY];
    let Daily::Diurnal { trough, peak_at_hour } = daily else { return shape };
    for (hour, rate) in shape.iter_mut().enumerate() {
        let angle = std::f64::consts::TAU * (hour as f64 + 0.5 - peak_at_hour) / DAY as f64;
        *rate = trough + (1.0 - trough) * (1.0 + libm::cos(angle)) / 2.0;
    }
    let highest = shape.iter().copied().fold(0.0, f64::max);
    if highest > 0.0 {
        shape.iter_mut().for_each(|rate| *rate /= highest);
    }
    shape
}

/// Returns the requests of a workload over one period, by the mean month.
pub fn requests(load: &Load, period: &Period) -> f64 {
    let shape = day_shape(load.daily);
    let mean_day: f64 = shape.iter().sum::<f64>() / DAY as f64;
    let week = (5.0 + 2.0 * load.weekend) / 7.0;
    let rate = load.peak.get() * mean_growth(load.growth_per_month, period) * mean_day * week;
    rate * 3600.0 * capstan_types::units::HOURS_PER_MONTH * f64::from(period.months)
}

/// Returns the hours that each of the 48 hours of a period stands for: weekdays and weekends as 5 : 2.
pub fn hour_weight(hour: usize, period: &Period) -> f64 {
    let days = if hour < DAY { 5.0 / 7.0 } else { 2.0 / 7.0 };
    capstan_types::units::HOURS_PER_MONTH / DAY as f64 * days * f64::from(period.months)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_hour_is_the_peak_and_the_trough_is_as_asked() {
        let shape = day_shape(Daily::Diurnal { trough: 0.3, peak_at_hour: 14.0 });
        let highest = shape.iter().copied().fold(0.0, f64::max);
        let lowest = shape.iter().copied().fold(1.0, f64::min);
        assert_eq!(highest, 1.0);
        assert!((lowest - 0.3).abs() < 0.01, "{lowest}");
        assert!(shape[13] == highest || shape[14] == highest);
    }

    #[test]
    fn the_hours_of_a_month_sum_to_730() {
        let period = Period { first_month: 0, months: 1, discount: 1.0 };
        let total: f64 = (0..HOURS).map(|hour| hour_weight(hour, &period)).sum();
        assert!((total - 730.0).abs() < 1e-9);
    }

    #[test]
    fn growth_is_sized_at_the_busiest_month() {
        let period = Period { first_month: 6, months: 3, discount: 1.0 };
        assert!((busiest_growth(0.06, &period) - libm::pow(1.06, 8.0)).abs() < 1e-12);
        assert!((busiest_growth(-0.06, &period) - libm::pow(0.94, 6.0)).abs() < 1e-12);
    }
}
