//! How workloads are shared out over pools at least cost when no limit couples the pools.
//!
//! Workloads of one pool share its nodes, so what a set of workloads costs there is one exact purchase; pools
//! know nothing of each other. So the cheapest plan is a partition of the workloads of minimum cost:
//!
//! ```text
//! least(S) = min over T ⊆ S with the first workload of S:  alone(T) + least(S ∖ T)
//! alone(T) = min over pools of the purchase for T there
//! ```
//!
//! 3^W steps over the partitions and few purchases: of a pool and a set whose cost is known to be at least that of
//! some partition of the set nothing is bought. Costs are those of [`Priced`], so that the same partition bounds
//! plans under limits. It does not know what the limits are.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::bounds::Priced;
use super::buy::Piece;
use super::master::Case;
use super::prepared::Prepared;
use super::purchase::Bought;

/// More workloads with a choice than this are too many sets.
const MOST_WORKLOADS: usize = 12;
/// Choices of columns of one pool and set that are looked at before the rest is only bounded.
const MOST_CHOICES: usize = 400;

/// A pool and what may run there.
pub(super) struct Side {
    pub pool: usize,
    /// Columns by workload with a choice; empty where it cannot run here.
    pub columns: Vec<Vec<usize>>,
    /// (workload, column) pairs that have no choice but to run here.
    pub fixed: Vec<(usize, usize)>,
}

/// The pools of a case, and which workloads have a choice.
pub(super) struct Sides<'a> {
    prepared: &'a Prepared<'a>,
    /// Workloads with more than one column.
    pub free: Vec<usize>,
    pub sides: Vec<Side>,
    n_workloads: usize,
    asked_alone: Vec<usize>,
}

impl<'a> Sides<'a> {
    /// Returns the pools of the case; `None` if too many workloads have a choice.
    pub fn new(prepared: &'a Prepared<'a>, case: &Case) -> Option<Self> {
        let free: Vec<usize> = (0..case.columns.len()).filter(|&w| case.columns[w].len() > 1).collect();
        if free.len() > MOST_WORKLOADS {
            return None;
        }
        let pool_of = |w: usize, c: usize| prepared.problem.workloads[w].columns[c].pool;
        let mut sides = Vec::new();
        for pool in 0..prepared.problem.pools.len() {
            let here = |w: usize| case.columns[w].iter().copied().filter(move |&c| pool_of(w, c) == pool);
            let columns: Vec<Vec<usize>> =
                free.iter().map(|&w| undominated(prepared, w, here(w).collect())).collect();
            let fixed: Vec<(usize, usize)> = (0..case.columns.len())
                .filter(|w| !free.contains(w))
                .flat_map(|w| here(w).map(move |c| (w, c)))
                .collect();
            if !fixed.is_empty() || columns.iter().any(|columns| !columns.is_empty()) {
                sides.push(Side { pool, columns, fixed });
            }
        }
        let rows = prepared.limits.iter().flat_map(|limit| &limit.rows);
        let asked_alone = rows.filter_map(|row| row.only.map(|(w, _)| w)).collect();
        Some(Sides { prepared, free, sides, n_workloads: case.columns.len(), asked_alone })
    }

    /// All workloads with a choice, as bits.
    pub fn all(&self) -> u32 {
        (1 << self.free.len()) - 1
    }

    /// Whether some limit is only of this workload, and so changes what its pool costs.
    fn is_asked_alone(&self, w: usize) -> bool {
        self.asked_alone.contains(&w)
    }

    fn has_all(&self, side: usize, set: u32) -> bool {
        members(set).all(|at| !self.sides[side].columns[at].is_empty())
    }

    /// Returns the (workload, column) pairs of a part, those without a choice last.
    pub fn pairs(&self, side: usize, set: u32, columns: &[usize]) -> Vec<(usize, usize)> {
        let chosen = members(set).map(|at| self.free[at]).zip(columns.iter().copied());
        chosen.chain(self.sides[side].fixed.iter().copied()).collect()
    }

    /// Returns the column of each workload of a partition.
    pub fn columns(&self, parts: &[Part]) -> Vec<usize> {
        let mut columns = vec![0; self.n_workloads];
        let fixed = self.sides.iter().flat_map(|side| side.fixed.iter().copied());
        let chosen = parts.iter().flat_map(|part| self.pairs(part.side, part.set, &part.columns));
        fixed.chain(chosen).for_each(|(w, c)| columns[w] = c);
        columns
    }

    /// What runs on a pool where each workload of the set may run any of its columns: the least at each point.
    fn cost(&self, priced: &Priced<'_>, side: usize, lists: &[(usize, Vec<usize>)]) -> f64 {
        let (loads, masks) = (&self.prepared.loads, &self.prepared.masks);
        let least = lists.iter().map(|(w, columns)| {
            let mut load = loads[*w][columns[0]].clone();
            let mut mask = masks[*w][columns[0]];
            for &c in &columns[1..] {
                load.iter_mut().zip(&loads[*w][c]).for_each(|(least, other)| *least = (*least).min(*other));
                mask |= masks[*w][c];
            }
            (*w, load, mask)
        });
        let least: Vec<(usize, Vec<u64>, u32)> = least.collect();
        let fixed = self.sides[side].fixed.iter().map(|&(w, c)| Piece {
            workload: w,
            load: &loads[w][c],
            mask: masks[w][c],
        });
        let pieces: Vec<Piece<'_>> = least
            .iter()
            .map(|(w, load, mask)| Piece { workload: *w, load, mask: *mask })
            .chain(fixed)
            .collect();
        priced.buy_alone(self.sides[side].pool, &pieces).map_or(f64::INFINITY, |(_, cost)| cost)
    }

    fn lists(&self, side: usize, set: u32) -> Vec<(usize, Vec<usize>)> {
        members(set).map(|at| (self.free[at], self.sides[side].columns[at].clone())).collect()
    }
}

/// The positions of the bits of a set.
pub(super) fn members(set: u32) -> impl Iterator<Item = usize> {
    (0..32).filter(move |at| set & 1 << at != 0)
}

/// Columns of one pool without those that need no less than another at any point, of the same offers.
fn undominated(prepared: &Prepared, w: usize, columns: Vec<usize>) -> Vec<usize> {
    let (loads, masks) = (&prepared.loads[w], &prepared.masks[w]);
    let beats = |a: usize, b: usize| {
        let no_more = loads[a].iter().zip(&loads[b]).all(|(a, b)| a <= b);
        masks[a] & masks[b] == masks[b] && no_more && (a < b || loads[a] != loads[b] || masks[a] != masks[b])
    };
    columns.iter().copied().filter(|&c| !columns.iter().any(|&other| other != c && beats(other, c))).collect()
}

/// A set of workloads on one pool.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub side: usize,
    pub set: u32,
    /// Column of each of its workloads, in order.
    pub columns: Vec<usize>,
    /// What it costs at least, beyond what has no choice but to run there.
    pub cost: f64,
}

/// What is known of the costs of the sets of one pool at some prices.
#[derive(Clone, Default)]
struct Known {
    /// What those without a choice cost.
    fixed: f64,
    bought: BTreeMap<u32, (f64, Vec<usize>)>,
    at_least: BTreeMap<u32, f64>,
}

/// The cheapest partition of every set of workloads at some prices of limits.
pub(super) struct Table<'s, 'a> {
    pub sides: &'s Sides<'a>,
    pub priced: Priced<'a>,
    known: RefCell<Vec<Known>>,
    /// By set.
    least: Vec<f64>,
    /// By set: the pool and the subset that its first workload is in.
    first: Vec<(usize, u32)>,
}

impl<'s, 'a> Table<'s, 'a> {
    /// Fills the table. Pools that cost the same in `before` are not priced again.
    pub fn new(sides: &'s Sides<'a>, priced: Priced<'a>, before: Option<&Table<'s, 'a>>) -> Self {
        let n_sets = 1_usize << sides.free.len();
        let known = sides.sides.iter().enumerate().map(|(side, of)| {
            match before.filter(|before| before.priced.is_same(&priced, of.pool)) {
                Some(before) => before.known.borrow()[side].clone(),
                None if of.fixed.is_empty() => Known::default(),
                None => Known { fixed: sides.cost(&priced, side, &[]), ..Known::default() },
            }
        });
        let known = RefCell::new(known.collect());
        let mut table =
            Table { sides, priced, known, least: vec![f64::INFINITY; n_sets], first: vec![(0, 0); n_sets] };
        table.least[0] = 0.0;
        (1..n_sets as u32).for_each(|set| table.fill(set));
        table
    }

    fn fill(&mut self, set: u32) {
        let first = set & set.wrapping_neg();
        let rest = set ^ first;
        let (mut least, mut by) = (f64::INFINITY, (usize::MAX, 0));
        // Every proper subset of the rest joins the first workload.
        let mut joined = rest;
        while joined > 0 {
            joined = (joined - 1) & rest;
            let part = first | joined;
            if self.first[part as usize].1 == part {
                let cost = self.least[part as usize] + self.least[(set ^ part) as usize];
                if cost < least {
                    (least, by) = (cost, (self.first[part as usize].0, part));
                }
            }
        }
        for side in 0..self.sides.sides.len() {
            if self.sides.has_all(side, set) && self.at_least(side, set) < least {
                let cost = self.cost(side, set, least);
                if cost < least {
                    (least, by) = (cost, (side, set));
                }
            }
        }
        self.least[set as usize] = least;
        self.first[set as usize] = by;
    }

    /// More never costs less: what is known of a part holds for the whole, unless a limit of its own pays a workload.
    fn at_least(&self, side: usize, set: u32) -> f64 {
        let known = &self.known.borrow()[side];
        let of = |set: u32| match (known.bought.get(&set), known.at_least.get(&set)) {
            (Some(bought), _) => bought.0,
            (None, Some(cost)) => *cost,
            (None, None) => f64::NEG_INFINITY,
        };
        let is_paid = |at: &usize| self.sides.is_asked_alone(self.sides.free[*at]);
        members(set).filter(|at| !is_paid(at)).map(|at| of(set ^ 1 << at)).fold(of(set), f64::max)
    }

    /// What a set costs on a pool at least, beyond those without a choice; exact where it is below `cutoff`.
    fn cost(&self, side: usize, set: u32, cutoff: f64) -> f64 {
        if let Some((cost, _)) = self.known.borrow()[side].bought.get(&set) {
            return *cost;
        }
        let at_least = self.at_least(side, set);
        if at_least >= cutoff {
            self.known.borrow_mut()[side].at_least.insert(set, at_least);
            return at_least;
        }
        let fixed = self.known.borrow()[side].fixed;
        let lists = self.sides.lists(side, set);
        let loose = self.sides.cost(&self.priced, side, &lists) - fixed;
        if loose.is_finite() && loose >= cutoff {
            self.known.borrow_mut()[side].at_least.insert(set, loose);
            return loose;
        }
        let (cost, columns) = match loose.is_finite() {
            true => self.best_columns(side, lists, (loose, cutoff)),
            false => (f64::INFINITY, Vec::new()),
        };
        if columns.is_empty() && cost.is_finite() {
            self.known.borrow_mut()[side].at_least.insert(set, cost);
            return cost;
        }
        self.known.borrow_mut()[side].bought.insert(set, (cost, columns));
        cost
    }

    /// The cheapest choice of columns on a pool: best first, the longest list of columns taken apart. No columns
    /// where it costs `cutoff` or more.
    fn best_columns(
        &self,
        side: usize,
        lists: Vec<(usize, Vec<usize>)>,
        (loose, cutoff): (f64, f64),
    ) -> (f64, Vec<usize>) {
        let fixed = self.known.borrow()[side].fixed;
        let mut open = vec![(loose, lists)];
        let mut n_looked_at = 0;
        loop {
            let Some((cost, lists)) = open.pop() else { return (f64::INFINITY, Vec::new()) };
            if cost >= cutoff {
                return (cost, Vec::new());
            }
            let longest = (0..lists.len()).max_by_key(|&at| (lists[at].1.len(), lists.len() - at));
            let Some(at) = longest.filter(|&at| lists[at].1.len() > 1) else {
                return (cost, lists.into_iter().map(|(_, columns)| columns[0]).collect());
            };
            if n_looked_at > MOST_CHOICES {
                return (cost, lists.into_iter().map(|(_, columns)| columns[0]).collect());
            }
            for &c in &lists[at].1 {
                let mut narrower = lists.clone();
                narrower[at].1 = vec![c];
                let below = self.sides.cost(&self.priced, side, &narrower) - fixed;
                n_looked_at += 1;
                if below.is_finite() {
                    open.push((below.max(cost), narrower));
                }
            }
            open.sort_by(|a, b| b.0.total_cmp(&a.0));
        }
    }

    /// What every plan costs at least at these prices, their allowance subtracted.
    pub fn bound(&self) -> f64 {
        self.least[self.sides.all() as usize] + self.beside()
    }

    /// What those without a choice cost, the allowance subtracted.
    fn beside(&self) -> f64 {
        self.known.borrow().iter().map(|known| known.fixed).sum::<f64>() - self.priced.allowance()
    }

    /// The cheapest partition at these prices.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut left = self.sides.all();
        while left != 0 {
            let (side, set) = self.first[left as usize];
            parts.push(self.part(side, set));
            left ^= set;
        }
        parts
    }

    /// The cheapest purchase for these (workload, column) pairs at the prices of the table.
    pub fn buy(&self, side: usize, pairs: &[(usize, usize)]) -> Option<Bought> {
        let (loads, masks) = (&self.sides.prepared.loads, &self.sides.prepared.masks);
        let pieces: Vec<Piece<'_>> = pairs
            .iter()
            .map(|&(w, c)| Piece { workload: w, load: &loads[w][c], mask: masks[w][c] })
            .collect();
        self.priced.buy_alone(self.sides.sides[side].pool, &pieces).map(|(bought, _)| bought)
    }

    fn part(&self, side: usize, set: u32) -> Part {
        let cost = self.cost(side, set, f64::INFINITY);
        let known = self.known.borrow();
        let columns = known[side].bought.get(&set).map_or_else(Vec::new, |bought| bought.1.clone());
        Part { side, set, columns, cost }
    }
}

/// A partition that is not complete yet, or whose columns are not all chosen yet.
#[derive(Clone)]
struct Open {
    /// What it costs at least.
    bound: f64,
    /// Workloads that are in no part.
    rest: u32,
    parts: Vec<Part>,
    /// Columns that each workload of the parts may run; empty while workloads are left.
    lists: Vec<Vec<(usize, Vec<usize>)>>,
}

/// Choices of columns for all workloads, cheapest first at the prices of a table.
pub(super) struct Walk<'t, 's, 'a> {
    table: &'t Table<'s, 'a>,
    /// The cheapest is last.
    open: Vec<Open>,
    /// Nothing that was left out costs less.
    pub left_out: f64,
    pub n_steps: usize,
}

impl<'t, 's, 'a> Walk<'t, 's, 'a> {
    /// Starts with nothing shared out.
    pub fn new(table: &'t Table<'s, 'a>) -> Self {
        let (bound, rest) = (table.bound(), table.sides.all());
        let root = Open { bound, rest, parts: Vec::new(), lists: Vec::new() };
        Walk { table, open: vec![root], left_out: f64::INFINITY, n_steps: 0 }
    }

    /// What everything that is still to come costs at least.
    pub fn bound(&self) -> f64 {
        self.open.last().map_or(f64::INFINITY, |open| open.bound).min(self.left_out)
    }

    /// Returns the next choice with what it costs at least, leaving out what costs `cutoff` or more; `None` at the
    /// end, and after `most` steps.
    pub fn next(&mut self, cutoff: f64, most: usize) -> Option<(f64, Vec<usize>)> {
        while self.n_steps < most {
            let open = self.open.pop()?;
            self.n_steps += 1;
            if open.bound >= cutoff {
                self.left_out = self.left_out.min(open.bound);
                continue;
            }
            if open.rest != 0 {
                self.share_out(&open, cutoff);
            } else if let Some(found) = self.narrow(open, cutoff) {
                return Some(found);
            }
            self.open.sort_by(|a, b| b.bound.total_cmp(&a.bound));
        }
        None
    }

    fn push(&mut self, open: Open, cutoff: f64) {
        if open.bound < cutoff {
            self.open.push(open);
        } else {
            self.left_out = self.left_out.min(open.bound);
        }
    }

    /// Puts the first workload that is left on every pool, with every set of others.
    fn share_out(&mut self, open: &Open, cutoff: f64) {
        let table = self.table;
        let spent = open.parts.iter().map(|part| part.cost).sum::<f64>() + table.beside();
        let first = open.rest & open.rest.wrapping_neg();
        let others = open.rest ^ first;
        let mut joined = others;
        loop {
            let set = first | joined;
            let rest = open.rest ^ set;
            for side in 0..table.sides.sides.len() {
                let is_taken = open.parts.iter().any(|part| part.side == side);
                if is_taken || !table.sides.has_all(side, set) {
                    continue;
                }
                let then = spent + table.least[rest as usize];
                let mut bound = then + table.at_least(side, set);
                if bound < cutoff {
                    bound = then + table.cost(side, set, cutoff - then);
                }
                if bound >= cutoff {
                    self.left_out = self.left_out.min(bound);
                    continue;
                }
                let mut parts = open.parts.clone();
                parts.push(table.part(side, set));
                let lists = match rest {
                    0 => parts.iter().map(|part| table.sides.lists(part.side, part.set)).collect(),
                    _ => Vec::new(),
                };
                self.push(Open { bound: bound.max(open.bound), rest, parts, lists }, cutoff);
            }
            if joined == 0 {
                break;
            }
            joined = (joined - 1) & others;
        }
    }

    /// Returns the choice if there is only one left; else takes the longest list of columns apart.
    fn narrow(&mut self, open: Open, cutoff: f64) -> Option<(f64, Vec<usize>)> {
        let longest = open.lists.iter().enumerate().flat_map(|(part, lists)| {
            lists.iter().enumerate().map(move |(at, (_, columns))| (columns.len(), part, at))
        });
        let Some((_, part, at)) = longest.max_by_key(|found| found.0).filter(|found| found.0 > 1) else {
            let mut parts = open.parts;
            for (part, lists) in parts.iter_mut().zip(open.lists) {
                part.columns = lists.into_iter().map(|(_, columns)| columns[0]).collect();
            }
            return Some((open.bound, self.table.sides.columns(&parts)));
        };
        let side = open.parts[part].side;
        let fixed = self.table.known.borrow()[side].fixed;
        for c in open.lists[part][at].1.clone() {
            let mut narrower = open.clone();
            narrower.lists[part][at].1 = vec![c];
            let cost = self.table.sides.cost(&self.table.priced, side, &narrower.lists[part]) - fixed;
            if !cost.is_finite() {
                continue;
            }
            narrower.parts[part].cost = cost.max(open.parts[part].cost);
            let total: f64 = narrower.parts.iter().map(|part| part.cost).sum();
            narrower.bound = open.bound.max(total + self.table.beside());
            self.push(narrower, cutoff);
        }
        None
    }
}
