//! Whether a problem has the shape that it must have.
//!
//! A flaw is a mistake of the code that made the problem. What the plan's author may get wrong (too small a
//! budget, no price) is not a flaw: it makes the problem infeasible, with a reason.

use super::problem::{Bound, Offer, OfferRef, Problem, Rule, Runs, Terms};
use super::solution::Flaw;

/// More accelerators than this in one column are a mistake; below it, sums are exact in `f64`.
const MAX_ACCELERATORS: f64 = 1e12;

fn is_amount(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

impl Problem {
    /// Returns everything that is wrong with the problem's shape; empty for a sound one.
    pub fn flaws(&self) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        if self.periods.is_empty() || self.slots.is_empty() {
            flaws.push(Flaw::Empty);
        }
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let periods = self.periods.iter().flat_map(|p| [p.months, p.discount_at_start, p.discount]);
        if !periods.chain(self.slots.iter().map(|s| s.hours_per_month)).all(positive)
            || !is_amount(self.discount_at_end)
        {
            flaws.push(Flaw::Time);
        }
        if !flaws.is_empty() {
            return flaws;
        }
        (0..self.pools.len()).for_each(|pool| self.pool_flaws(pool, &mut flaws));
        for workload in 0..self.workloads.len() {
            self.workload_flaws(workload, &mut flaws);
        }
        let limits = (0..self.limits.len()).filter(|limit| !self.is_sound_limit(*limit));
        flaws.extend(limits.map(|limit| Flaw::Limit { limit }));
        flaws
    }

    fn pool_flaws(&self, pool: usize, flaws: &mut Vec<Flaw>) {
        let shape = &self.pools[pool];
        let is_sound = shape.accelerators_per_node > 0
            && is_amount(shape.power_kw_per_node)
            && is_amount(shape.rack_units_per_node)
            && shape.existing_nodes.len() == self.periods.len()
            && shape.offers.len() <= 32;
        if !is_sound {
            flaws.push(Flaw::Pool { pool });
        }
        for (offer, terms) in shape.offers.iter().enumerate() {
            let of = OfferRef { pool, offer };
            match self.is_sound_offer(terms) {
                false => flaws.push(Flaw::Offer(of)),
                true if self.owning_pays(terms) => flaws.push(Flaw::OwningPays(of)),
                true => {}
            }
        }
    }

    fn is_sound_offer(&self, offer: &Offer) -> bool {
        let rest = match &offer.terms {
            Terms::Owned { opex_per_node_month, residual_per_node, .. } => {
                is_amount(*opex_per_node_month) && residual_per_node.iter().all(|r| is_amount(*r))
            }
            Terms::Reserved { term_months, .. } => *term_months > 0.0 && term_months.is_finite(),
            Terms::OnDemand { .. } | Terms::Spot { .. } => true,
        };
        rest && offer.terms.price().is_none_or(is_amount)
    }

    fn owning_pays(&self, offer: &Offer) -> bool {
        let Terms::Owned { capex_per_node: Some(capex), opex_per_node_month, residual_per_node } =
            &offer.terms
        else {
            return false;
        };
        (offer.first_period..self.periods.len()).any(|from| {
            let opex = |p: &super::problem::Period| opex_per_node_month * p.months * p.discount;
            let paid = capex * self.periods[from].discount_at_start
                + self.periods[from..].iter().map(opex).sum::<f64>();
            residual_per_node.get(from).is_some_and(|residual| residual * self.discount_at_end > paid)
        })
    }

    fn workload_flaws(&self, workload: usize, flaws: &mut Vec<Flaw>) {
        let demand = &self.workloads[workload].demand;
        let columns = &self.workloads[workload].columns;
        let is_job = demand.is_empty() && columns.iter().all(|c| matches!(c.runs, Runs::Job { .. }));
        let is_served = demand.len() == self.periods.len()
            && demand.iter().all(|d| {
                (d.is_empty() || d.len() == self.slots.len()) && d.iter().all(|units| is_amount(*units))
            });
        if !is_job && !is_served {
            flaws.push(Flaw::Demand { workload });
            return;
        }
        let peak = demand.iter().flatten().fold(0.0_f64, |peak, units| peak.max(*units));
        for (column, candidate) in columns.iter().enumerate() {
            let fits = self
                .pools
                .get(candidate.pool)
                .is_some_and(|pool| candidate.offers.iter().all(|offer| *offer < pool.offers.len()));
            let accelerators = match candidate.runs {
                Runs::Replicas { units_per_replica, accelerators, min_replicas, spare_replicas } => {
                    let replicas =
                        peak / units_per_replica + f64::from(min_replicas) + f64::from(spare_replicas);
                    if units_per_replica > 0.0 { replicas * f64::from(accelerators) } else { f64::NAN }
                }
                Runs::Job { ref accelerators, ref periods }
                    if periods.end <= self.periods.len()
                        && (accelerators.len() == 1 || accelerators.len() == self.slots.len()) =>
                {
                    accelerators.iter().copied().max().unwrap_or(0) as f64
                }
                Runs::Job { .. } => f64::NAN,
            };
            let pays = candidate.paid.is_empty() || candidate.paid.len() == self.periods.len();
            let pays = pays && candidate.paid.iter().all(|amount| is_amount(*amount));
            if !fits || !pays || !is_amount(accelerators) || accelerators > MAX_ACCELERATORS {
                flaws.push(Flaw::Column { workload, column });
            }
        }
    }

    fn is_sound_limit(&self, limit: usize) -> bool {
        let limit = &self.limits[limit];
        let known = |of: &OfferRef| self.pools.get(of.pool).is_some_and(|pool| of.offer < pool.offers.len());
        let indices = match &limit.rule {
            Rule::SitePower { .. } | Rule::SiteRacks { .. } => true,
            Rule::Nodes { weights } => weights.iter().all(|(of, weight)| known(of) && is_amount(*weight)),
            Rule::Capex { periods } | Rule::OpexPerMonth { periods } => periods.end <= self.periods.len(),
            Rule::Cost { weights, .. } => {
                weights.iter().all(|(pool, weight)| *pool < self.pools.len() && is_amount(*weight))
            }
            Rule::Share { part, whole, workload } => {
                whole.iter().all(known)
                    && part.iter().all(|of| whole.contains(of))
                    && workload.is_none_or(|workload| workload < self.workloads.len())
            }
        };
        let side = match limit.bound {
            Bound::AtMost(_) => true,
            Bound::AtLeast(_) => matches!(limit.rule, Rule::Share { .. }),
        };
        indices && side && is_amount(limit.bound.value())
    }
}
