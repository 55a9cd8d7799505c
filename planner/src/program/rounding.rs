//! Whole nodes from parts of them, under limits.
//!
//! Parts are rounded so that the need is met and limits of shares are kept; then nodes by the hour beyond the need
//! are given back, and dear ones are exchanged for cheap ones of the same hour, best use of the limits first (the
//! greedy answer to a knapsack; Dantzig, Operations Research 5(2), 1957). What is lost by that is about one node in
//! one hour for each limit that binds. It never claims that nothing cheaper exists.

use super::buy::PoolNeed;
use super::master::Case;
use super::prepared::{LimitRow, Prepared, When};
use super::problem::Bound;

/// Nodes closer to a whole number than this are that number.
const WHOLE_NODES: f64 = 1e-6;

/// A row that must be kept, as what is left of it.
struct Row<'a> {
    row: &'a LimitRow,
    is_from_above: bool,
    value: f64,
    /// Grows with what may still be used.
    left: f64,
}

/// A pool on which nodes are rounded: its nodes by the hour, and how many stand beyond the need.
struct Hours {
    /// Variables by point.
    vars: Vec<Vec<usize>>,
    beyond: Vec<f64>,
    /// The same of the nodes that everyone may use.
    firm_beyond: Vec<f64>,
    restricted: u32,
}

struct Rounding<'a, 'n> {
    prepared: &'a Prepared<'a>,
    rows: Vec<Row<'a>>,
    /// By variable: rows and what one more node adds to what is left of them.
    adds: Vec<Vec<(usize, f64)>>,
    nodes: &'n mut [f64],
}

/// Rounds `nodes` for these columns under the limits of `case`. `needs` are the pools to look at.
pub(super) fn round(
    prepared: &Prepared<'_>,
    case: &Case,
    columns: &[usize],
    needs: &[(usize, PoolNeed)],
    nodes: &mut [f64],
) {
    to_whole(prepared, case, nodes);
    let mut rounding = Rounding::new(prepared, case, columns, nodes);
    for (pool, need) in needs.iter().filter(|(_, need)| need.is_nested) {
        let mut hours = rounding.hours(*pool, need);
        rounding.give_back(&mut hours);
        rounding.exchange(&mut hours);
    }
}

/// Rounds parts of nodes: those of which a share is limited from above down, all others up. Two that together are
/// a whole number stay it.
fn to_whole(prepared: &Prepared<'_>, case: &Case, nodes: &mut [f64]) {
    let mut is_scarce = vec![false; nodes.len()];
    for (limit, value) in prepared.limits.iter().zip(&case.limits) {
        if value.is_some() && matches!(limit.bound, Bound::AtMost(_)) {
            let shares = limit.rows.iter().filter(|row| row.base.is_some());
            shares.flat_map(|row| &row.lhs).for_each(|&(var, _)| is_scarce[var] = true);
        }
    }
    for (count, is_scarce) in nodes.iter_mut().zip(is_scarce) {
        let is_whole = (*count - count.round()).abs() < WHOLE_NODES;
        *count = match (is_whole, is_scarce) {
            (true, _) => count.round(),
            (false, true) => count.floor(),
            (false, false) => count.ceil(),
        };
    }
}

impl<'a, 'n> Rounding<'a, 'n> {
    fn new(prepared: &'a Prepared<'a>, case: &Case, columns: &[usize], nodes: &'n mut [f64]) -> Self {
        let mut rows = Vec::new();
        let mut adds: Vec<Vec<(usize, f64)>> = vec![Vec::new(); nodes.len()];
        for (limit, value) in prepared.limits.iter().zip(&case.limits) {
            let Some(value) = *value else { continue };
            let is_from_above = matches!(limit.bound, Bound::AtMost(_));
            for row in limit.rows.iter().filter(|row| row.is_asked(prepared.problem, columns)) {
                let sign = if is_from_above { -1.0 } else { 1.0 };
                let base = row.base.iter().flatten().map(|&(var, c)| (var, -sign * value * c));
                let each = row.lhs.iter().map(|&(var, c)| (var, sign * c)).chain(base);
                each.for_each(|(var, more)| match adds[var].last_mut() {
                    Some(known) if known.0 == rows.len() => known.1 += more,
                    _ => adds[var].push((rows.len(), more)),
                });
                let mut row = Row { row, is_from_above, value, left: 0.0 };
                row.left = row.left(nodes, columns);
                rows.push(row);
            }
        }
        Rounding { prepared, rows, adds, nodes }
    }

    fn hours(&self, pool: usize, need: &PoolNeed) -> Hours {
        let n_slots = self.prepared.n_slots;
        let n_points = self.prepared.n_points();
        let mut hours = Hours {
            vars: vec![Vec::new(); n_points],
            beyond: need.need.nodes.iter().map(|&nodes| -(nodes as f64)).collect(),
            firm_beyond: Vec::new(),
            restricted: need.restricted,
        };
        let may_be = |point: usize| need.need.restricted.get(point).map_or(0.0, |&nodes| nodes as f64);
        hours.firm_beyond = (0..n_points).map(|point| hours.beyond[point] + may_be(point)).collect();
        for &var in &self.prepared.pool_vars[pool] {
            let bit = self.prepared.offer_bit(var);
            if bit & need.mask == 0 {
                continue;
            }
            let points = match self.prepared.vars[var].when {
                When::Periods { from, until } => from * n_slots..until * n_slots,
                When::Hour { period, slot } => {
                    let point = period * n_slots + slot;
                    hours.vars[point].push(var);
                    point..point + 1
                }
            };
            for point in points {
                hours.add(point, bit, self.nodes[var]);
            }
        }
        hours
    }

    /// Gives back nodes by the hour that nobody needs, the dearest first.
    fn give_back(&mut self, hours: &mut Hours) {
        for point in 0..hours.vars.len() {
            let mut vars = hours.vars[point].clone();
            vars.sort_by(|a, b| self.cost(*b).total_cmp(&self.cost(*a)).then(a.cmp(b)));
            for var in vars {
                let bit = self.prepared.offer_bit(var);
                while self.nodes[var] >= 1.0 && hours.keeps(point, bit, None) && self.keeps(Some(var), None) {
                    self.change(var, -1.0);
                    hours.add(point, bit, -1.0);
                }
            }
        }
    }

    /// Exchanges dear nodes for cheap ones of the same hour.
    fn exchange(&mut self, hours: &mut Hours) {
        let mut worth: Vec<(f64, usize, usize, usize)> = Vec::new();
        for (point, vars) in hours.vars.iter().enumerate() {
            for &dear in vars.iter().filter(|&&var| self.nodes[var] >= 1.0) {
                for &cheap in vars.iter().filter(|&&var| self.cost(var) < self.cost(dear)) {
                    let used = self.used_by(dear, cheap);
                    let saved = self.cost(dear) - self.cost(cheap);
                    worth.push((if used > 0.0 { saved / used } else { f64::INFINITY }, point, dear, cheap));
                }
            }
        }
        worth.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2, a.3).cmp(&(b.1, b.2, b.3))));
        for (_, point, dear, cheap) in worth {
            let (from, to) = (self.prepared.offer_bit(dear), self.prepared.offer_bit(cheap));
            let most = self.prepared.peak_nodes[self.prepared.vars[cheap].offer.pool] as f64;
            while self.nodes[dear] >= 1.0
                && self.nodes[cheap] < most
                && hours.keeps(point, from, Some(to))
                && self.keeps(Some(dear), Some(cheap))
            {
                self.change(dear, -1.0);
                self.change(cheap, 1.0);
                hours.add(point, from, -1.0);
                hours.add(point, to, 1.0);
            }
        }
    }

    fn cost(&self, var: usize) -> f64 {
        self.prepared.vars[var].discounted
    }

    /// What an exchange takes of the row of which it takes most.
    fn used_by(&self, dear: usize, cheap: usize) -> f64 {
        let less = |row: usize| self.adds[dear].iter().find(|add| add.0 == row).map_or(0.0, |add| add.1);
        self.adds[cheap].iter().map(|&(row, more)| less(row) - more).fold(0.0, f64::max)
    }

    /// Whether every row is kept, or none is worse, with one node less and one more.
    fn keeps(&self, less: Option<usize>, more: Option<usize>) -> bool {
        let mut changes: Vec<(usize, f64)> = Vec::new();
        let less = less.iter().flat_map(|&var| self.adds[var].iter().map(|&(row, add)| (row, -add)));
        let more = more.iter().flat_map(|&var| self.adds[var].iter().copied());
        for (row, add) in less.chain(more) {
            match changes.iter_mut().find(|change| change.0 == row) {
                Some(change) => change.1 += add,
                None => changes.push((row, add)),
            }
        }
        changes.into_iter().all(|(row, add)| add >= 0.0 || self.rows[row].left + add >= 0.0)
    }

    fn change(&mut self, var: usize, by: f64) {
        self.nodes[var] += by;
        for &(row, add) in &self.adds[var] {
            self.rows[row].left += by * add;
        }
    }
}

impl Row<'_> {
    fn left(&self, nodes: &[f64], columns: &[usize]) -> f64 {
        let (lhs, base) = self.row.sides(nodes, columns);
        if self.is_from_above { self.value * base - lhs } else { lhs - self.value * base }
    }
}

impl Hours {
    fn add(&mut self, point: usize, bit: u32, count: f64) {
        self.beyond[point] += count;
        if bit & self.restricted == 0 {
            self.firm_beyond[point] += count;
        }
    }

    /// Whether the need is met with one node less of one offer and one more of another.
    fn keeps(&self, point: usize, less: u32, more: Option<u32>) -> bool {
        let is_firm = |bit: u32| bit & self.restricted == 0;
        let all = more.is_some() || self.beyond[point] >= 1.0;
        let firm = !is_firm(less) || more.is_some_and(is_firm) || self.firm_beyond[point] >= 1.0;
        all && firm
    }
}
