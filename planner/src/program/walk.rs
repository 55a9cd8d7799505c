//! Choices of columns for all workloads in the order of what they cost at least.
//!
//! Partitions of [`Table`] are completed part by part, then lists of columns are taken apart, always where the bound is
//! lowest: best first. A choice is told only when limits that are asked of one pool alone are in its bound. It
//! does not know what limits that couple pools do to a choice beyond their prices.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::partition::{Part, Table};
use super::search::TIE;

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
    /// How many were put aside before it.
    turn: usize,
}

/// What costs the least is taken first, and of what costs the same the newest.
impl Ord for Open {
    fn cmp(&self, other: &Self) -> Ordering {
        other.bound.total_cmp(&self.bound).then(self.turn.cmp(&other.turn))
    }
}

impl PartialOrd for Open {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Open {}

/// Choices of columns for all workloads, cheapest first at the prices of a table.
pub(super) struct Walk<'t, 's, 'a> {
    table: &'t Table<'s, 'a>,
    open: BinaryHeap<Open>,
    n_put: usize,
    /// Nothing that was left out costs less.
    pub left_out: f64,
    pub n_steps: usize,
}

impl<'t, 's, 'a> Walk<'t, 's, 'a> {
    /// Starts with nothing shared out.
    pub fn new(table: &'t Table<'s, 'a>) -> Self {
        let (bound, rest) = (table.bound(), table.sides.all());
        let root = Open { bound, rest, parts: Vec::new(), lists: Vec::new(), turn: 0 };
        Walk { table, open: BinaryHeap::from([root]), n_put: 1, left_out: f64::INFINITY, n_steps: 0 }
    }

    /// What everything that is still to come costs at least.
    pub fn bound(&self) -> f64 {
        self.open.peek().map_or(f64::INFINITY, |open| open.bound).min(self.left_out)
    }

    /// Returns the next choice with what it costs at least, leaving out what costs `cutoff` or more; `None` at the
    /// end, and after `most` steps.
    ///
    /// With a `cutoff` the bounds of complete choices are worth whole nodes where they stay; the first choice, without
    /// one, is bought anyway.
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
        }
        None
    }

    fn push(&mut self, open: Open, cutoff: f64) {
        if open.bound < cutoff {
            self.open.push(Open { turn: self.n_put, ..open });
            self.n_put += 1;
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
                self.push(Open { bound: bound.max(open.bound), rest, parts, lists, turn: 0 }, cutoff);
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
            let mut parts = open.parts.clone();
            for (part, lists) in parts.iter_mut().zip(&open.lists) {
                let pairs = self.table.sides.chosen(part.side, lists);
                let fixed = self.table.fixed(part.side);
                let known = cutoff.is_finite().then_some(part.cost + fixed);
                let within = self.table.at_least_within(part.side, &pairs, known) - fixed;
                part.cost = part.cost.max(within);
                part.columns = lists.iter().map(|(_, columns)| columns[0]).collect();
            }
            let bound = parts.iter().map(|part| part.cost).sum::<f64>() + self.table.beside();
            if bound > open.bound + TIE * bound.abs() {
                self.push(Open { bound, parts, ..open }, cutoff);
                return None;
            }
            return Some((open.bound, self.table.sides.columns(&parts)));
        };
        let side = open.parts[part].side;
        let fixed = self.table.fixed(side);
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
