//! The cheapest purchase of one pool whose need is known, in closed form.
//!
//! The need of a pool is a staircase: level `l` of nodes is busy in the points (period, slot) that need at
//! least `l` nodes. Each level is bought on its own: committed for some periods, by the hour in the others.
//! With one period this is the newsvendor: commit a level if the hours in which it is busy, at the hourly
//! price, cost more than the commitment, that is, if it is busy for more than the ratio of the prices
//! (Stokely et al., ICPE 2025, arXiv 2503.10235: the quantile A / (A + B) of demand).
//!
//! Why levels may be bought apart: an offer with few nodes takes the top of the staircase first, so the
//! price of a level in a point does not depend on what is committed (an offer that some workloads may not use is
//! such an offer: its nodes are at most the need beyond theirs); and where the intervals of the
//! commitments are laminar (of two, one contains the other or they do not meet), every set of commitments
//! can be stacked so that each lies flat on one level. Without laminarity the sum over levels is too much
//! ((1,2,1) under {1,2} and {2,3} costs 2, its levels cost 3), and [`super::circulation`] buys the commitments.
//! It does not know limits that couple pools, nor node limits of committed offers.

use super::circulation::{Saving, Stretch, commit};
use super::master::Case;
use super::prepared::{Prepared, When};
use super::problem::{LimitId, OfferRef};

/// What is bought and what it costs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bought {
    /// (variable, nodes), only counts above 0.
    pub nodes: Vec<(usize, u64)>,
    pub cost: f64,
}

/// Costs closer than this share are equal; the offer with the lower index is taken.
const TIE: f64 = 1e-12;
/// A limit this close below a whole number of nodes is that number.
const WHOLE: f64 = 1e-6;

/// Nodes needed at each point beyond the existing ones.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Need {
    pub nodes: Vec<u64>,
    /// Of these, how many may be of restricted offers: the need less that of the workloads that may not use
    /// them. Empty if nothing is restricted.
    pub restricted: Vec<u64>,
}

impl Need {
    fn restricted_at(&self, point: usize) -> u64 {
        self.restricted.get(point).copied().unwrap_or(u64::MAX)
    }
}

/// What one offer by the hour adds: up to `most` nodes at the variable's cost.
#[derive(Debug, Clone, Copy)]
struct Tier {
    var: usize,
    cost: f64,
    most: u64,
    is_restricted: bool,
}

/// What a level costs more than the level above it.
struct Change {
    level: u64,
    period: usize,
    rent: f64,
    unmet: u32,
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
    /// Whether of two commitments one always contains the other or they do not meet.
    is_laminar: bool,
}

impl Menu {
    /// Collects what `pool` offers under `mask`, of which some workloads may not use those in `restricted`.
    /// Node limits of offers are those of the case, which may have dropped or moved them.
    /// `costs` are by variable: discounted money, or that and what limits charge.
    pub fn new(
        prepared: &Prepared,
        case: &Case,
        costs: &[f64],
        (pool, mask, restricted): (usize, u32, u32),
    ) -> Self {
        let limit_of = |of: OfferRef| prepared.limits.iter().position(|limit| limit.id == LimitId::Offer(of));
        let shape = &prepared.problem.pools[pool];
        let limits: Vec<Option<f64>> = (0..shape.offers.len())
            .map(|offer| limit_of(OfferRef { pool, offer }).and_then(|limit| case.limits[limit]))
            .collect();
        let most = |var: usize| limits[prepared.vars[var].offer.offer];
        let mut menu = Menu {
            n_slots: prepared.n_slots,
            n_periods: prepared.n_periods,
            commitments: Vec::new(),
            tiers: vec![Vec::new(); prepared.n_points()],
            is_laminar: true,
        };
        for &var in prepared.pool_vars[pool].iter().filter(|&&var| prepared.offer_bit(var) & mask != 0) {
            let cost = costs[var];
            match prepared.vars[var].when {
                When::Periods { from, until } => menu.commitments.push(Commitment { var, cost, from, until }),
                When::Hour { period, slot } => {
                    let most = most(var).map_or(u64::MAX, |most| (most + WHOLE).floor() as u64);
                    let is_restricted = prepared.offer_bit(var) & restricted != 0;
                    menu.tiers[period * prepared.n_slots + slot].push(Tier {
                        var,
                        cost,
                        most,
                        is_restricted,
                    });
                }
            }
        }
        menu.is_laminar = menu.has_no_crossing();
        menu.order_tiers();
        menu
    }

    fn has_no_crossing(&self) -> bool {
        let crossing =
            |a: &Commitment, b: &Commitment| a.from < b.from && b.from < a.until && a.until < b.until;
        !self.commitments.iter().any(|a| self.commitments.iter().any(|b| crossing(a, b)))
    }

    fn order_tiers(&mut self) {
        for tiers in &mut self.tiers {
            tiers.sort_by(|a, b| a.cost.total_cmp(&b.cost).then(a.var.cmp(&b.var)));
            let unlimited = tiers.iter().position(|tier| tier.most == u64::MAX && !tier.is_restricted);
            tiers.truncate(unlimited.map_or(tiers.len(), |last| last + 1));
        }
    }

    /// The tiers of a point, cheapest first, with the nodes that each can add there.
    fn rentable(&self, point: usize, need: &Need) -> impl Iterator<Item = (&Tier, u64)> {
        let mut restricted_left = need.restricted_at(point);
        self.tiers[point].iter().map(move |tier| {
            if !tier.is_restricted {
                return (tier, tier.most);
            }
            let most = tier.most.min(restricted_left);
            restricted_left -= most;
            (tier, most)
        })
    }

    /// What changes when the level falls to each threshold, highest first: at the need of a point its first
    /// tier begins to be paid, below the nodes of that tier the next one, and below all of them nothing is
    /// left to rent.
    fn changes(&self, need: &Need) -> Vec<Change> {
        let mut changes = Vec::new();
        for (point, &needed) in need.nodes.iter().enumerate().filter(|(_, needed)| **needed > 0) {
            let period = point / self.n_slots;
            let (mut level, mut paid) = (needed, 0.0);
            for (tier, most) in self.rentable(point, need).filter(|(_, most)| *most > 0) {
                changes.push(Change { level, period, rent: tier.cost - paid, unmet: 0 });
                paid = tier.cost;
                level = level.saturating_sub(most);
                if level == 0 {
                    break;
                }
            }
            if level > 0 {
                changes.push(Change { level, period, rent: -paid, unmet: 1 });
            }
        }
        changes.sort_by_key(|change| std::cmp::Reverse(change.level));
        changes
    }

    /// Cheapest cover of one level, given its rent per period: whether there is one, and the commitments used.
    fn cover(&self, rent: &[f64]) -> Option<Vec<usize>> {
        // best[p]: cheapest cover of the periods before p, where it came from, and the commitment used.
        let mut best: Vec<(f64, usize, Option<usize>)> = vec![(f64::INFINITY, 0, None); self.n_periods + 1];
        best[0].0 = 0.0;
        for p in 0..self.n_periods {
            let so_far = best[p].0;
            let mut improve = |until: usize, cost: f64, by: Option<usize>| {
                if cost < best[until].0 * (1.0 - TIE) {
                    best[until] = (cost, p, by);
                }
            };
            improve(p + 1, so_far + rent[p], None);
            for (index, commitment) in self.commitments.iter().enumerate() {
                if (commitment.from..commitment.until).contains(&p) {
                    improve(commitment.until, so_far + commitment.cost, Some(index));
                }
            }
        }
        if best[self.n_periods].0.is_infinite() {
            return None;
        }
        let mut used = Vec::new();
        let mut p = self.n_periods;
        while p > 0 {
            used.extend(best[p].2);
            p = best[p].1;
        }
        Some(used)
    }

    /// Returns the cheapest purchase for nodes needed at each point beyond the existing ones, node limits of
    /// committed offers aside; `None` if the offers cannot meet it.
    pub fn buy(&self, need: &Need) -> Option<Bought> {
        let committed = if self.is_laminar { self.by_level(need)? } else { self.by_circulation(need) };
        self.rent_the_rest(need, &committed)
    }

    /// Each level on its own.
    fn by_level(&self, need: &Need) -> Option<Vec<u64>> {
        let mut committed: Vec<u64> = vec![0; self.commitments.len()];
        let mut rent = vec![0.0; self.n_periods];
        let mut unmet = vec![0_u32; self.n_periods];
        let changes = self.changes(need);
        let mut next = 0;
        while next < changes.len() {
            let level = changes[next].level;
            while next < changes.len() && changes[next].level == level {
                rent[changes[next].period] += changes[next].rent;
                unmet[changes[next].period] += changes[next].unmet;
                next += 1;
            }
            let below = changes.get(next).map_or(0, |change| change.level);
            let asked =
                rent.iter().zip(&unmet).map(|(rent, unmet)| if *unmet > 0 { f64::INFINITY } else { *rent });
            let used = self.cover(&asked.collect::<Vec<f64>>())?;
            used.into_iter().for_each(|index| committed[index] += level - below);
        }
        Some(committed)
    }

    /// All levels at once. Where nothing can be rented, a node that stands saves more than all others cost.
    fn by_circulation(&self, need: &Need) -> Vec<u64> {
        let mut savings: Vec<Vec<Saving>> = vec![Vec::new(); self.n_periods];
        let tiers = self.tiers.iter().flatten().map(|tier| tier.cost);
        let beyond_all = tiers.chain(self.commitments.iter().map(|c| c.cost)).sum::<f64>().max(1.0) * 1e3;
        let changes = self.changes(need);
        for (period, savings) in savings.iter_mut().enumerate() {
            let (mut each, mut unmet) = (0.0, 0_u32);
            let mut here = changes.iter().filter(|change| change.period == period).peekable();
            while let Some(change) = here.next() {
                each += change.rent;
                unmet += change.unmet;
                let most = change.level - here.peek().map_or(0, |next| next.level);
                if most > 0 {
                    savings.push(Saving { each: each + f64::from(unmet) * beyond_all, most });
                }
            }
            savings.reverse();
        }
        let stretches: Vec<Stretch> =
            self.commitments.iter().map(|c| Stretch { from: c.from, until: c.until, cost: c.cost }).collect();
        commit(&stretches, &savings)
    }

    /// Adds the hours above the committed nodes, cheapest offers first; `None` where they are not enough.
    fn rent_the_rest(&self, need: &Need, committed: &[u64]) -> Option<Bought> {
        let mut standing = vec![0_u64; self.n_periods];
        let mut bought = Bought { nodes: Vec::new(), cost: 0.0 };
        for (commitment, &count) in self.commitments.iter().zip(committed) {
            bought.add(commitment.var, count, commitment.cost);
            standing[commitment.from..commitment.until].iter_mut().for_each(|nodes| *nodes += count);
        }
        for (point, &needed) in need.nodes.iter().enumerate() {
            let mut left = needed.saturating_sub(standing[point / self.n_slots]);
            for (tier, most) in self.rentable(point, need) {
                let rented = left.min(most);
                bought.add(tier.var, rented, tier.cost);
                left -= rented;
            }
            if left > 0 {
                return None;
            }
        }
        Some(bought)
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
