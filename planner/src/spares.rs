//! How many more are needed so that enough are up: k of n.

/// Days until a failed node is replaced: at a provider another one starts, at an own site somebody repairs it.
///
/// Origin: Assumed; no provider publishes it.
const REPAIR_DAYS_PROVIDER: f64 = 0.05;
const REPAIR_DAYS_OWN: f64 = 1.0;

/// Failures per 1,000 node-days.
///
/// Origin: Published; Meta, arXiv 2410.21680; seven public runs span 2.3 to 15.
pub const FAILURES_PER_1000_NODE_DAYS: f64 = 6.5;

/// Returns the share of time in which one node is up: MTBF / (MTBF + MTTR).
pub fn node_availability(own: bool) -> f64 {
    let mtbf_days = 1000.0 / FAILURES_PER_1000_NODE_DAYS;
    let repair = if own { REPAIR_DAYS_OWN } else { REPAIR_DAYS_PROVIDER };
    mtbf_days / (mtbf_days + repair)
}

/// Returns the fewest spares with which at least `needed` of `needed + spares` units are up for a share `target` of
/// the time, each up for a share `each` independently; `None` where even as many spares as units do not do.
pub fn spares(needed: u32, each: f64, target: f64) -> Option<u32> {
    (0..=needed.max(1)).find(|&spare| at_least(needed, needed + spare, each) >= target)
}

/// Returns P[Binomial(n, a) ≥ k], summed from the most likely end.
pub(crate) fn at_least(k: u32, n: u32, a: f64) -> f64 {
    if a >= 1.0 {
        return 1.0;
    }
    let mut term = libm::pow(a, f64::from(n));
    let mut sum = term;
    for down in 1..=n - k {
        term *= f64::from(n - down + 1) / f64::from(down) * (1.0 - a) / a;
        sum += term;
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_of_three_at_ninety_percent_is_the_textbook_value() {
        assert!((at_least(2, 3, 0.9) - 0.972).abs() < 1e-12);
    }

    #[test]
    fn a_higher_target_never_needs_fewer_spares() {
        let mut before = 0;
        for target in [0.9, 0.99, 0.999, 0.9999] {
            let now = spares(20, 0.99, target).expect("reachable");
            assert!(now >= before);
            before = now;
        }
        assert!(before > 0);
    }

    #[test]
    fn an_unreachable_target_is_none() {
        assert_eq!(spares(1, 0.5, 0.999_999), None);
    }
}
