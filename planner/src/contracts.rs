//! When do contracts begin, what do they bind, and what of it lies after the horizon?
//!
//! A contract binds whole terms from the start of a period: as many as that period lasts, one at least; blocks last as long as
//! they are needed. It serves the periods
//! that it covers whole, and is paid for all of its hours. So the nodes held by period say when each contract began: what
//! is held beyond the contracts that still serve is new.

use crate::program::bound_months;
use capstan_types::blueprint::Period;
use capstan_types::units::HOURS_PER_MONTH;

/// Room in comparisons of months, as a share.
const ROOM: f64 = 1e-9;

/// Contracts that began together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Contract {
    /// Nodes.
    pub nodes: u32,
    /// Months from the start of the horizon to their beginning.
    pub start: f64,
    /// And to their end, which may lie after the horizon.
    pub end: f64,
}

impl Contract {
    /// Returns the node-hours that they bind between two months.
    fn hours(&self, from: f64, until: f64) -> f64 {
        let months = (self.end.min(until) - self.start.max(from)).max(0.0);
        f64::from(self.nodes) * months * HOURS_PER_MONTH
    }
}

/// Returns the contracts of a term behind the nodes that are held by period.
pub(crate) fn contracts(term_months: f64, nodes_by_period: &[u32], periods: &[Period]) -> Vec<Contract> {
    let mut all: Vec<Contract> = Vec::new();
    for (&nodes, period) in nodes_by_period.iter().zip(periods) {
        let (start, end) = (f64::from(period.first_month), f64::from(period.first_month + period.months));
        let serve: u32 =
            all.iter().filter(|known| known.end >= end * (1.0 - ROOM)).map(|known| known.nodes).sum();
        let new = nodes.saturating_sub(serve);
        if new > 0 {
            let months = bound_months(term_months, end - start);
            all.push(Contract { nodes: new, start, end: start + months });
        }
    }
    all
}

/// Returns the node-hours that contracts bind by period.
pub(crate) fn hours_by_period(contracts: &[Contract], periods: &[Period]) -> Vec<f64> {
    let of = |period: &Period| {
        let (from, until) = (f64::from(period.first_month), f64::from(period.first_month + period.months));
        contracts.iter().map(|one| one.hours(from, until)).sum()
    };
    periods.iter().map(of).collect()
}

/// Returns the node-hours that they bind after the horizon.
pub(crate) fn hours_after(contracts: &[Contract], horizon_months: u32) -> f64 {
    contracts.iter().map(|one| one.hours(f64::from(horizon_months), f64::INFINITY)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(first_month: u32, months: u32) -> Period {
        Period { first_month, months, discount: 1.0 }
    }

    #[test]
    fn what_is_held_beyond_what_still_serves_is_new() {
        let periods = [period(0, 9), period(9, 3), period(12, 12)];
        let found = contracts(12.0, &[2, 3, 1], &periods);
        let expected = [(2, 0.0, 12.0), (1, 9.0, 21.0), (1, 12.0, 24.0)];
        let expected = expected.map(|(nodes, start, end)| Contract { nodes, start, end });
        assert_eq!(found, expected);
        // The one of the second period covers nine months of the third and serves none of it: it is paid all the same.
        assert_eq!(hours_by_period(&found, &periods), [18.0 * 730.0, 9.0 * 730.0, 21.0 * 730.0]);
        assert_eq!(hours_after(&found, 24), 0.0);
    }

    #[test]
    fn a_term_shorter_than_its_period_is_renewed_and_ends_with_a_whole_term() {
        let found = contracts(12.0, &[1], &[period(0, 18)]);
        assert_eq!(found, [Contract { nodes: 1, start: 0.0, end: 24.0 }]);
        assert_eq!(hours_after(&found, 18), 6.0 * 730.0);
    }
}
