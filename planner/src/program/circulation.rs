//! How many of each commitment to buy where commitments overlap: a circulation of least cost.
//!
//! Borders of periods are nodes 0..=P. A commitment is an arc from its first to its last border, and the nodes that
//! stand in period p flow back along p + 1 → p: across each period as much flows forward as back, so the nodes that
//! stand are the commitments that cover it. What standing saves is the rent of the levels, which falls with every
//! node, so the costs are convex and the matrix is a network's: whole numbers are optimal (Ahuja, Magnanti and
//! Orlin, Network Flows, 1993, chapters 9 and 14). It is built period by period: flow is sent through
//! the one that is added along shortest paths while that pays, which keeps the circulation optimal. It does not know what the nodes
//! are for.

/// Savings closer to a path's cost than this share are equal: nothing is committed for them.
const TIE: f64 = 1e-12;

/// Something that is paid once and stands for a stretch of periods.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub from: usize,
    pub until: usize,
    pub cost: f64,
}

/// What each of the next `most` nodes that stand in a period saves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Saving {
    pub each: f64,
    pub most: u64,
}

/// How far the savings of a period are used: whole ones, and nodes of the next one.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    whole: usize,
    nodes: u64,
}

/// One step of a path, with what it may carry.
#[derive(Debug, Clone, Copy)]
enum Step {
    Buy(usize),
    Return(usize),
    Raise(usize),
    Lower(usize),
}

struct Circulation<'a> {
    stretches: &'a [Stretch],
    savings: &'a [Vec<Saving>],
    bought: Vec<u64>,
    levels: Vec<Level>,
}

/// Returns how often each stretch is bought, given what nodes save in each period, largest savings first.
pub(super) fn commit(stretches: &[Stretch], savings: &[Vec<Saving>]) -> Vec<u64> {
    let levels = vec![Level::default(); savings.len()];
    let mut circulation = Circulation { stretches, savings, bought: vec![0; stretches.len()], levels };
    (0..savings.len()).for_each(|period| circulation.open(period));
    circulation.bought
}

impl Circulation<'_> {
    /// Lets nodes stand in a period as long as a path of commitments costs less than they save.
    fn open(&mut self, period: usize) {
        while let Some(saving) = self.savings[period].get(self.levels[period].whole) {
            let Some((cost, path)) = self.shortest(period) else { return };
            if cost - saving.each >= -TIE * cost.abs() {
                return;
            }
            let left = saving.most - self.levels[period].nodes;
            let most = path.iter().map(|step| self.room(*step)).fold(left, u64::min);
            path.into_iter().chain([Step::Raise(period)]).for_each(|step| self.take(step, most));
        }
    }

    fn room(&self, step: Step) -> u64 {
        match step {
            Step::Buy(_) => u64::MAX,
            Step::Return(stretch) => self.bought[stretch],
            // More than is needed may stand and saves nothing.
            Step::Raise(period) => {
                let level = self.levels[period];
                self.savings[period].get(level.whole).map_or(u64::MAX, |saving| saving.most - level.nodes)
            }
            Step::Lower(period) => match self.levels[period] {
                Level { whole: 0, nodes: 0 } => 0,
                Level { whole, nodes: 0 } => self.savings[period][whole - 1].most,
                Level { nodes, .. } => nodes,
            },
        }
    }

    fn take(&mut self, step: Step, count: u64) {
        match step {
            Step::Buy(stretch) => self.bought[stretch] += count,
            Step::Return(stretch) => self.bought[stretch] -= count,
            Step::Raise(period) => {
                let level = &mut self.levels[period];
                level.nodes += count;
                if self.savings[period].get(level.whole).is_some_and(|saving| saving.most == level.nodes) {
                    *level = Level { whole: level.whole + 1, nodes: 0 };
                }
            }
            Step::Lower(period) => {
                let level = &mut self.levels[period];
                if level.nodes == 0 {
                    *level =
                        Level { whole: level.whole - 1, nodes: self.savings[period][level.whole - 1].most };
                }
                level.nodes -= count;
            }
        }
    }

    /// The steps that have room over periods before `until`: tail, head, cost.
    fn steps(&self, until: usize) -> Vec<(usize, usize, f64, Step)> {
        let mut steps = Vec::new();
        for (index, stretch) in self.stretches.iter().enumerate() {
            steps.push((stretch.from, stretch.until, stretch.cost, Step::Buy(index)));
            if self.bought[index] > 0 {
                steps.push((stretch.until, stretch.from, -stretch.cost, Step::Return(index)));
            }
        }
        for period in 0..until {
            let level = self.levels[period];
            let each = |at: usize| self.savings[period].get(at).map_or(0.0, |saving| saving.each);
            steps.push((period + 1, period, -each(level.whole), Step::Raise(period)));
            let last = if level.nodes > 0 { Some(level.whole) } else { level.whole.checked_sub(1) };
            steps.extend(last.map(|last| (period, period + 1, each(last), Step::Lower(period))));
        }
        steps
    }

    /// The cheapest path from a period's start to its end over commitments and earlier periods (Bellman and Ford).
    fn shortest(&self, period: usize) -> Option<(f64, Vec<Step>)> {
        let steps = self.steps(period);
        let n_nodes = self.savings.len() + 1;
        let (from, to) = (period, period + 1);
        let mut best: Vec<(f64, Option<usize>)> = vec![(f64::INFINITY, None); n_nodes];
        best[from].0 = 0.0;
        for _ in 0..n_nodes {
            let mut is_settled = true;
            for (index, &(tail, head, cost, _)) in steps.iter().enumerate() {
                let reached = best[tail].0 + cost;
                if reached.is_finite() && reached < best[head].0 - TIE * reached.abs() && head != from {
                    best[head] = (reached, Some(index));
                    is_settled = false;
                }
            }
            if is_settled {
                break;
            }
        }
        let mut path = Vec::new();
        let mut at = to;
        while at != from {
            let step = steps[best[at].1?];
            path.push(step.3);
            at = step.0;
            if path.len() > n_nodes {
                return None;
            }
        }
        Some((best[to].0, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cheapest of all counts up to 4 of each stretch.
    fn by_hand(stretches: &[Stretch], savings: &[Vec<Saving>]) -> f64 {
        let mut best = f64::INFINITY;
        for mut index in 0..5_usize.pow(stretches.len() as u32) {
            let counts: Vec<u64> = stretches
                .iter()
                .map(|_| {
                    let count = index % 5;
                    index /= 5;
                    count as u64
                })
                .collect();
            best = best.min(total(stretches, savings, &counts));
        }
        best
    }

    fn total(stretches: &[Stretch], savings: &[Vec<Saving>], counts: &[u64]) -> f64 {
        let paid: f64 = stretches.iter().zip(counts).map(|(s, count)| s.cost * *count as f64).sum();
        let saved = savings.iter().enumerate().map(|(period, savings)| {
            let covering = stretches.iter().zip(counts).filter(|(s, _)| (s.from..s.until).contains(&period));
            let mut standing: u64 = covering.map(|(_, count)| count).sum();
            let each = savings.iter().map(|saving| {
                let used = standing.min(saving.most);
                standing -= used;
                saving.each * used as f64
            });
            each.sum::<f64>()
        });
        paid - saved.sum::<f64>()
    }

    #[test]
    fn overlapping_stretches_are_bought_as_cheaply_as_trying_all_counts_does() {
        // Costs and savings from a small linear congruence; stretches of two periods start in each of four.
        let mut state = 7_u64;
        let mut next = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        for _ in 0..200 {
            let stretches: Vec<Stretch> = (0..4)
                .map(|from| Stretch { from, until: (from + 2).min(4), cost: 1.0 + next(9) as f64 })
                .collect();
            let savings: Vec<Vec<Saving>> = (0..4)
                .map(|_| {
                    let first = 1.0 + next(9) as f64;
                    let saving = |each| Saving { each, most: 1 };
                    vec![saving(first), saving(first / 2.0)]
                })
                .collect();
            let found = commit(&stretches, &savings);
            let cost = total(&stretches, &savings, &found);
            let expected = by_hand(&stretches, &savings);
            assert!((cost - expected).abs() < 1e-9, "{cost} is not {expected}: {stretches:?} {savings:?}");
        }
    }

    #[test]
    fn one_two_one_under_overlapping_commitments_costs_two() {
        let stretches = [(0, 2), (1, 3)].map(|(from, until)| Stretch { from, until, cost: 1.0 });
        let savings = [1, 2, 1].map(|most| vec![Saving { each: 100.0, most }]);
        assert_eq!(commit(&stretches, &savings), [1, 1]);
    }
}
