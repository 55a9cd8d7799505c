//! The cheapest purchase of one pool whose need is known, in closed form.
//!
//! The need of a pool is a staircase: level `l` of nodes is busy in the points (period, slot) that need at
//! least `l` nodes. Each level is bought on its own: committed for some periods, by the hour in the others.
//! With one period this is the newsvendor: commit a level if the hours in which it is busy, at the hourly
//! price, cost more than the commitment, that is, if it is busy for more than the ratio of the prices
//! (Stokely et al., ICPE 2025, arXiv 2503.10235: the quantile A / (A + B) of demand).
//!
//! Why levels may be bought apart: an offer with few nodes takes the top of the staircase first, so the
//! price of a level in a point does not depend on what is committed; and where the intervals of the
//! commitments are laminar (of two, one contains the other or they do not meet), every set of commitments
//! can be stacked so that each lies flat on one level. Without laminarity the sum over levels is only an
//! upper bound ((1,2,1) under {1,2} and {2,3} costs 2, its levels cost 3), and [`Menu::is_exact`] says so.
//! It does not know limits that couple pools.

use super::prepared::{Prepared, When};

/// What is bought and what it costs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bought {
    /// (variable, nodes), only counts above 0.
    pub nodes: Vec<(usize, u64)>,
    pub cost: f64,
}

/// Costs closer than this share are equal; the offer with the lower index is taken.
const TIE: f64 = 1e-12;

/// What one offer by the hour adds: up to `most` nodes at the variable's cost.
#[derive(Debug, Clone, Copy)]
struct Tier {
    var: usize,
    cost: f64,
    most: u64,
}

struct Commitment {
    var: usize,
    cost: f64,
    from: usize,
    until: usize,
}

/// What a pool offers under a mask, ready to be asked with many needs.
pub(super) struct Menu {
    n_slots: usize,
    n_periods: usize,
    commitments: Vec<Commitment>,
    /// By point, cheapest first.
    tiers: Vec<Vec<Tier>>,
    /// Sums of `most` that occur, for the breakpoints of the staircase.
    tier_sums: Vec<u64>,
    /// Whether of two commitments one always contains the other or they do not meet, so that the closed
    /// form is exact up to node limits of committed offers, which it ignores.
    pub is_exact: bool,
}

impl Menu {
    /// Collects what `pool` offers under `mask`.
    pub fn new(prepared: &Prepared, pool: usize, mask: u32) -> Self {
        let most = |var: usize| {
            let of = prepared.vars[var].offer;
            prepared.problem.pools[of.pool].offers[of.offer].max_nodes
        };
        let mut menu = Menu {
            n_slots: prepared.n_slots,
            n_periods: prepared.n_periods,
            commitments: Vec::new(),
            tiers: vec![Vec::new(); prepared.n_points()],
            tier_sums: Vec::new(),
            is_exact: true,
        };
        for &var in prepared.pool_vars[pool].iter().filter(|&&var| prepared.offer_bit(var) & mask != 0) {
            let cost = prepared.vars[var].discounted;
            match prepared.vars[var].when {
                When::Periods { from, until } => menu.commitments.push(Commitment { var, cost, from, until }),
                When::Hour { period, slot } => {
                    let most = most(var).map_or(u64::MAX, u64::from);
                    menu.tiers[period * prepared.n_slots + slot].push(Tier { var, cost, most });
                }
            }
        }
        menu.is_exact = menu.is_laminar();
        menu.order_tiers();
        menu
    }

    fn is_laminar(&self) -> bool {
        let crossing = |a: &Commitment, b: &Commitment| {
            a.from < b.from && b.from < a.until && a.until < b.until
        };
        !self.commitments.iter().any(|a| self.commitments.iter().any(|b| crossing(a, b)))
    }

    fn order_tiers(&mut self) {
        for tiers in &mut self.tiers {
            tiers.sort_by(|a, b| a.cost.total_cmp(&b.cost).then(a.var.cmp(&b.var)));
            let unlimited = tiers.iter().position(|tier| tier.most == u64::MAX);
            tiers.truncate(unlimited.map_or(tiers.len(), |last| last + 1));
            let mut sum = 0_u64;
            for tier in tiers.iter() {
                sum = sum.saturating_add(tier.most);
                self.tier_sums.push(sum);
            }
        }
        self.tier_sums.retain(|sum| *sum < u64::MAX);
        self.tier_sums.sort_unstable();
        self.tier_sums.dedup();
    }

    /// Levels at which the price of a level can change, ascending, each the top of a segment.
    fn breakpoints(&self, need: &[u64]) -> Vec<u64> {
        let mut tops: Vec<u64> = need.to_vec();
        for &sum in &self.tier_sums {
            tops.extend(need.iter().map(|n| n.saturating_sub(sum)));
        }
        tops.sort_unstable();
        tops.dedup();
        tops.retain(|&top| top > 0);
        tops
    }

    /// Cost of level `level` at a point by the hour; infinite where nothing is left to rent.
    fn hourly(&self, point: usize, need: u64, level: u64) -> f64 {
        if need < level {
            return 0.0;
        }
        let mut from_top = need - level;
        for tier in &self.tiers[point] {
            if from_top < tier.most {
                return tier.cost;
            }
            from_top -= tier.most;
        }
        f64::INFINITY
    }

    /// Cheapest cover of one level: its cost, and the commitments used.
    fn cover(&self, need: &[u64], level: u64) -> (f64, Vec<usize>) {
        // best[p]: cheapest cover of the periods before p, where it came from, and the commitment used.
        let mut best: Vec<(f64, usize, Option<usize>)> = vec![(f64::INFINITY, 0, None); self.n_periods + 1];
        best[0].0 = 0.0;
        for p in 0..self.n_periods {
            let points = p * self.n_slots..(p + 1) * self.n_slots;
            let rent: f64 = points.map(|point| self.hourly(point, need[point], level)).sum();
            let so_far = best[p].0;
            let mut improve = |until: usize, cost: f64, by: Option<usize>| {
                if cost < best[until].0 * (1.0 - TIE) {
                    best[until] = (cost, p, by);
                }
            };
            improve(p + 1, so_far + rent, None);
            for (index, commitment) in self.commitments.iter().enumerate() {
                if (commitment.from..commitment.until).contains(&p) {
                    improve(commitment.until, so_far + commitment.cost, Some(index));
                }
            }
        }
        let mut used = Vec::new();
        let mut p = self.n_periods;
        while p > 0 && best[p].0.is_finite() {
            used.extend(best[p].2);
            p = best[p].1;
        }
        (best[self.n_periods].0, used)
    }

    /// Returns the cheapest purchase for nodes needed at each point beyond the existing ones; `None` if the
    /// offers cannot meet it. Exact where [`Menu::is_exact`]; else an upper bound that ignores node limits
    /// of committed offers.
    pub fn buy(&self, need: &[u64]) -> Option<Bought> {
        let mut committed: Vec<u64> = vec![0; self.commitments.len()];
        let mut below = 0;
        for top in self.breakpoints(need) {
            let (cost, used) = self.cover(need, top);
            if cost.is_infinite() {
                return None;
            }
            used.into_iter().for_each(|index| committed[index] += top - below);
            below = top;
        }
        Some(self.rent_the_rest(need, &committed))
    }

    /// Adds the hours above the committed nodes, cheapest offers first.
    fn rent_the_rest(&self, need: &[u64], committed: &[u64]) -> Bought {
        let mut standing = vec![0_u64; self.n_periods];
        let mut bought = Bought { nodes: Vec::new(), cost: 0.0 };
        for (commitment, &count) in self.commitments.iter().zip(committed) {
            bought.add(commitment.var, count, commitment.cost);
            standing[commitment.from..commitment.until].iter_mut().for_each(|nodes| *nodes += count);
        }
        for (point, &needed) in need.iter().enumerate() {
            let mut left = needed.saturating_sub(standing[point / self.n_slots]);
            for tier in &self.tiers[point] {
                let rented = left.min(tier.most);
                bought.add(tier.var, rented, tier.cost);
                left -= rented;
            }
        }
        bought
    }
}

impl Bought {
    fn add(&mut self, var: usize, count: u64, cost: f64) {
        if count > 0 {
            self.nodes.push((var, count));
            self.cost += cost * count as f64;
        }
    }
}
