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

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::bounds::Priced;
use super::buy::Piece;
use super::master::{Case, WholeNodes};
use super::prepared::Prepared;
use super::search::TIE;
use super::within::{self, Within};

/// More workloads with a choice than this are too many sets.
const MOST_WORKLOADS: usize = 12;
/// Choices of columns of one pool and set that are looked at before the rest is only bounded.
const MOST_CHOICES: usize = 400;
/// Programs of single pools that bounds may take in one search: the first ones are of what costs least, and after so many
/// the bound hardly rises any more. In parts of nodes, and with nodes that stay whole, which only complete choices take.
const MOST_PROGRAMS: [usize; 2] = [150, 60];

/// The place of a program in [`MOST_PROGRAMS`].
fn kind_of(nodes: WholeNodes) -> usize {
    usize::from(nodes != WholeNodes::None)
}

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
    case: &'a Case,
    /// Workloads with more than one column.
    pub free: Vec<usize>,
    pub sides: Vec<Side>,
    n_workloads: usize,
    asked_alone: Vec<usize>,
    /// By pool and what runs there: its purchase under limits that are asked of it alone, at the costs at which it was
    /// first looked at.
    first_within: RefCell<FirstWithin>,
    n_programs: Cell<[usize; 2]>,
}

impl<'a> Sides<'a> {
    /// Returns the pools of the case; `None` if too many workloads have a choice.
    pub fn new(prepared: &'a Prepared<'a>, case: &'a Case) -> Option<Self> {
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
        let n_workloads = case.columns.len();
        let (first_within, n_programs) = (RefCell::default(), Cell::default());
        Some(Sides { prepared, case, free, sides, n_workloads, asked_alone, first_within, n_programs })
    }

    /// All workloads with a choice, as bits.
    pub fn all(&self) -> u32 {
        (1 << self.free.len()) - 1
    }

    /// Whether some limit is only of this workload, and so changes what its pool costs.
    fn is_asked_alone(&self, w: usize) -> bool {
        self.asked_alone.contains(&w)
    }

    pub fn has_all(&self, side: usize, set: u32) -> bool {
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

    /// What runs on a pool where each workload of the set may run any of its columns: the least at each point, and the least
    /// that one pays.
    pub fn cost(&self, priced: &Priced<'_>, side: usize, lists: &[(usize, Vec<usize>)]) -> f64 {
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
        let least = |(w, columns): &(usize, Vec<usize>)| {
            columns.iter().map(|&c| priced.paid(&[(*w, c)])).fold(f64::INFINITY, f64::min)
        };
        let paid = lists.iter().map(least).sum::<f64>() + priced.paid(&self.sides[side].fixed);
        let bought = priced.buy_alone(self.sides[side].pool, &pieces);
        bought.map_or(f64::INFINITY, |(_, cost)| cost + paid)
    }

    /// The (workload, column) pairs of lists of one column each, those without a choice last.
    pub fn chosen(&self, side: usize, lists: &[(usize, Vec<usize>)]) -> Vec<(usize, usize)> {
        let chosen = lists.iter().map(|(w, columns)| (*w, columns[0]));
        chosen.chain(self.sides[side].fixed.iter().copied()).collect()
    }

    fn pieces(&self, pairs: &[(usize, usize)]) -> Vec<Piece<'a>> {
        let (loads, masks) = (&self.prepared.loads, &self.prepared.masks);
        pairs.iter().map(|&(w, c)| Piece { workload: w, load: &loads[w][c], mask: masks[w][c] }).collect()
    }

    pub fn lists(&self, side: usize, set: u32) -> Vec<(usize, Vec<usize>)> {
        members(set).map(|at| (self.free[at], self.sides[side].columns[at].clone())).collect()
    }
}

/// The positions of the bits of a set.
pub(super) fn members(set: u32) -> impl Iterator<Item = usize> {
    (0..32).filter(move |at| set & 1 << at != 0)
}

/// Columns of one pool without those that need and pay no less than another at any point, of the same offers.
fn undominated(prepared: &Prepared, w: usize, columns: Vec<usize>) -> Vec<usize> {
    let (loads, masks, of) = (&prepared.loads[w], &prepared.masks[w], &prepared.problem.workloads[w].columns);
    let pays = |c: usize| (0..prepared.n_periods).map(move |period| of[c].paid_in(period));
    let beats = |a: usize, b: usize| {
        let no_more = loads[a].iter().zip(&loads[b]).all(|(a, b)| a <= b);
        let no_dearer = pays(a).zip(pays(b)).all(|(a, b)| a <= b);
        let differ = loads[a] != loads[b] || masks[a] != masks[b] || pays(a).ne(pays(b));
        masks[a] & masks[b] == masks[b] && no_more && no_dearer && (a < b || differ)
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

/// (workload, column) pairs of one pool.
type Pairs = Vec<(usize, usize)>;

/// What runs on which pool → its first purchase; `None` where there is none.
type FirstWithin = BTreeMap<(usize, Pairs), Option<Rc<Within>>>;

/// (workload, column) pairs of one pool, and which nodes are whole.
type Placed = (Pairs, WholeNodes);

/// What is known of the costs of the sets of one pool at some prices.
#[derive(Clone, Default)]
struct Known {
    /// What those without a choice cost.
    fixed: f64,
    bought: BTreeMap<u32, (f64, Vec<usize>)>,
    at_least: BTreeMap<u32, f64>,
    /// By (workload, column) pairs: what they cost under limits that are asked of the pool alone.
    within: BTreeMap<Placed, Option<Rc<Within>>>,
    /// The same at prices of those limits that were found at other costs.
    nearly_within: BTreeMap<Pairs, Option<f64>>,
}

/// The cheapest partition of every set of workloads at some prices of limits.
pub(super) struct Table<'s, 'a> {
    pub sides: &'s Sides<'a>,
    pub priced: Priced<'a>,
    known: RefCell<Vec<Known>>,
    /// By set.
    pub least: Vec<f64>,
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
    pub fn at_least(&self, side: usize, set: u32) -> f64 {
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
    pub fn cost(&self, side: usize, set: u32, cutoff: f64) -> f64 {
        if let Some((cost, _)) = self.known.borrow()[side].bought.get(&set) {
            return *cost;
        }
        let at_least = self.at_least(side, set);
        if at_least >= cutoff {
            self.known.borrow_mut()[side].at_least.insert(set, at_least);
            return at_least;
        }
        let fixed = self.fixed(side);
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
        let fixed = self.fixed(side);
        let mut open = vec![(loose, lists)];
        let mut n_looked_at = 0;
        loop {
            let Some((cost, lists)) = open.pop() else { return (f64::INFINITY, Vec::new()) };
            if cost >= cutoff {
                return (cost, Vec::new());
            }
            let longest = (0..lists.len()).max_by_key(|&at| (lists[at].1.len(), lists.len() - at));
            let Some(at) = longest.filter(|&at| lists[at].1.len() > 1) else {
                let pairs = self.sides.chosen(side, &lists);
                let within = self.nearly_within(side, &pairs).map_or(cost, |within| within - fixed);
                if within > cost + TIE * cost.abs() {
                    open.push((within, lists));
                    open.sort_by(|a, b| b.0.total_cmp(&a.0));
                    continue;
                }
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

    /// What these (workload, column) pairs cost on a pool at least, under limits that are asked of it alone: in parts
    /// of nodes, or, where that is no more than is `known`, with whole nodes where they stay.
    pub fn at_least_within(&self, side: usize, pairs: &[(usize, usize)], known: Option<f64>) -> f64 {
        let paid = self.priced.paid(pairs);
        let at_least = |nodes| {
            let within = self.bound_within(side, pairs, nodes);
            within.map_or(f64::NEG_INFINITY, |within| within.at_least + paid)
        };
        let parts = at_least(WholeNodes::None);
        let is_no_more = |known: f64| parts.is_finite() && parts <= known + TIE * known.abs();
        if known.is_some_and(is_no_more) { at_least(WholeNodes::Committed).max(parts) } else { parts }
    }

    /// What these (workload, column) pairs cost on a pool at least, under limits that are asked of it alone. A program is
    /// solved once: at the costs of other tables its prices of these limits bound as well (see [`super::bounds`]), and
    /// come close, since the costs differ by little.
    fn nearly_within(&self, side: usize, pairs: &[(usize, usize)]) -> Option<f64> {
        if let Some(known) = self.known.borrow()[side].nearly_within.get(pairs) {
            return *known;
        }
        let key = (side, pairs.to_vec());
        let known = self.sides.first_within.borrow().get(&key).cloned();
        let first = known.unwrap_or_else(|| self.bound_within(side, pairs, WholeNodes::None));
        let at_least = first.as_ref().map(|first| {
            if first.at_least.is_infinite() {
                return first.at_least;
            }
            let (pool, pieces) = (self.sides.sides[side].pool, self.sides.pieces(pairs));
            let bought = self.priced.at_least_alone(pool, &pieces, &first.prices);
            bought.map_or(f64::INFINITY, |bought| bought + self.priced.paid(pairs))
        });
        self.sides.first_within.borrow_mut().entry(key).or_insert(first);
        self.known.borrow_mut()[side].nearly_within.insert(pairs.to_vec(), at_least);
        at_least
    }

    /// As `within`, for a bound: `None` also where bounds have taken enough programs.
    fn bound_within(&self, side: usize, pairs: &[(usize, usize)], nodes: WholeNodes) -> Option<Rc<Within>> {
        let is_known = self.known.borrow()[side].within.contains_key(&(pairs.to_vec(), nodes));
        let kind = kind_of(nodes);
        if is_known || self.sides.n_programs.get()[kind] < MOST_PROGRAMS[kind] {
            self.within(side, pairs, nodes)
        } else {
            None
        }
    }

    /// `None` where no limit is asked of the pool alone, or the solver gave up.
    fn within(&self, side: usize, pairs: &[(usize, usize)], nodes: WholeNodes) -> Option<Rc<Within>> {
        let key = (pairs.to_vec(), nodes);
        if let Some(known) = self.known.borrow()[side].within.get(&key) {
            return known.clone();
        }
        let (prepared, case, pool) = (self.sides.prepared, self.sides.case, self.sides.sides[side].pool);
        let solve = || {
            let mut n_programs = self.sides.n_programs.get();
            n_programs[kind_of(nodes)] += 1;
            self.sides.n_programs.set(n_programs);
            within::buy(prepared, case, (self.priced.costs(), nodes), (pool, pairs)).map(Rc::new)
        };
        let within = within::is_asked(prepared, case, pool, pairs).then(solve).flatten();
        self.known.borrow_mut()[side].within.insert(key, within.clone());
        within
    }

    /// What every plan costs at least at these prices, their allowance subtracted.
    pub fn bound(&self) -> f64 {
        self.least[self.sides.all() as usize] + self.beside()
    }

    /// What those without a choice cost on a pool.
    pub fn fixed(&self, side: usize) -> f64 {
        self.known.borrow()[side].fixed
    }

    /// What those without a choice cost, the allowance subtracted.
    pub fn beside(&self) -> f64 {
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

    /// What runs on each pool in the cheapest partition: (side, (workload, column) pairs).
    pub fn cheapest(&self) -> Vec<(usize, Vec<(usize, usize)>)> {
        let parts = self.parts();
        let beside = (0..self.sides.sides.len()).filter(|&side| {
            !self.sides.sides[side].fixed.is_empty() && parts.iter().all(|part| part.side != side)
        });
        let beside: Vec<_> = beside.map(|side| (side, self.sides.pairs(side, 0, &[]))).collect();
        let chosen =
            parts.iter().map(|part| (part.side, self.sides.pairs(part.side, part.set, &part.columns)));
        chosen.chain(beside).collect()
    }

    /// The cheapest purchase for these (workload, column) pairs at the prices of the table: (variable, nodes).
    pub fn buy(&self, side: usize, pairs: &[(usize, usize)]) -> Option<Vec<(usize, f64)>> {
        let known = [WholeNodes::Committed, WholeNodes::None].into_iter();
        if let Some(within) = known.filter_map(|nodes| self.within(side, pairs, nodes)).next() {
            return within.at_least.is_finite().then(|| within.nodes.clone());
        }
        let pieces = self.sides.pieces(pairs);
        let (bought, _) = self.priced.buy_alone(self.sides.sides[side].pool, &pieces)?;
        Some(bought.nodes.into_iter().map(|(var, count)| (var, count as f64)).collect())
    }

    pub fn part(&self, side: usize, set: u32) -> Part {
        let cost = self.cost(side, set, f64::INFINITY);
        let known = self.known.borrow();
        let columns = known[side].bought.get(&set).map_or_else(Vec::new, |bought| bought.1.clone());
        Part { side, set, columns, cost }
    }
}
