//! In which stretches of the horizon may a workload run in different ways and at different places?
//!
//! A workload otherwise runs in one way. Machines that are bought for a site with a lead time stand there later than the
//! horizon begins, so a workload that may run on them is also planned in two legs or more: elsewhere until then, and
//! wherever it is cheapest from then on. The plan with legs is compared with the one without.

use crate::fleet::Base;
use crate::periods::lead_months;
use capstan_types::blueprint::Period;
use capstan_types::offering::PurchaseOption;
use capstan_types::spec::{Serve, Spec};
use std::ops::Range;

/// A stretch of the horizon in which a workload runs in one way, beside what stands there already.
#[derive(Debug, Clone, PartialEq)]
pub struct Leg {
    /// Index of the workload in the plan.
    pub of: usize,
    /// Periods of it.
    pub periods: Range<usize>,
    /// The part on machines that stand there already, where that is not all of it.
    pub base: Option<Base>,
}

/// Returns one leg for each workload: all periods, with its base.
pub(crate) fn whole(bases: &[Option<Base>], periods: &[Period]) -> Vec<Leg> {
    let each = bases.iter().enumerate();
    each.map(|(of, base)| Leg { of, periods: 0..periods.len(), base: base.clone() }).collect()
}

/// Returns several legs of each workload that may run on machines which stand there later than the horizon begins: first
/// the last leg of every workload, in the order of the plan, then those before; none where no workload has several.
///
/// With `first_only` a base serves no leg but the first.
pub(crate) fn split(
    spec: &Spec,
    periods: &[Period],
    bases: &[Option<Base>],
    first_only: bool,
) -> Option<Vec<Leg>> {
    let (mut last, mut before) = (Vec::new(), Vec::new());
    for (of, (serve, base)) in spec.serves.iter().zip(bases).enumerate() {
        let cuts = cuts(spec, periods, serve);
        let starts = [0].into_iter().chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain([periods.len()]);
        let legs = starts.zip(ends).map(|(start, end)| {
            let base = base.as_ref().filter(|_| start == 0 || !first_only);
            Leg { of, periods: start..end, base: base.and_then(|base| base.within(&(start..end))) }
        });
        before.extend(legs);
        last.extend(before.pop());
    }
    (!before.is_empty()).then(|| last.into_iter().chain(before).collect())
}

/// Returns the periods from which on machines can stand at some site that were bought for the workload, but for the first.
fn cuts(spec: &Spec, periods: &[Period], serve: &Serve) -> Vec<usize> {
    let may_own = serve.buy.iter().any(|buy| buy.option == PurchaseOption::Owned);
    // The two parts of a workload are sized for each other, in one way each.
    if !may_own || serve.stage.is_some() {
        return Vec::new();
    }
    let sites = spec.sites.iter().filter(|site| site.is_own());
    let sites = sites.filter(|site| crate::columns::is_allowed(serve.sites.as_ref(), site));
    let first = sites.filter_map(|site| {
        let lead = lead_months(&spec.frame, site);
        periods.iter().position(|period| period.first_month >= lead).filter(|&first| first > 0)
    });
    let mut cuts: Vec<usize> = first.collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}
