//! The program equals brute force on every instance of two small grids.
//!
//! Grid *apart*: ≤ 2 workloads, ≤ 3 offerings, each an on-demand pool of its own; demand ∈ {0, 1, 2, 3}, price
//! ∈ {1, 2, 3, unknown}, rate ∈ {1, 2} per workload and offering, limit ∈ {none, 2}. Grid *together*: the three
//! offerings are the reserved, on-demand and spot nodes of one pool over two slots, two accelerators per node,
//! and the second workload may not use spot. Grid *shared*: the same with a limit on the share of one offer.
//!
//! The full grids run by enumeration; the integer program (one to two HiGHS solves per instance) runs on a fixed
//! stride here and on the full grids in `long_…` (`cargo test -- --ignored long_`).

use capstan_planner::program::{
    Bound, Column, Limit, Method, NoPlan, Offer, OfferRef, Options, Period, Pool, Problem, Rule, Runs, Slot,
    Terms, Workload, solve,
};

const PRICES: [Option<f64>; 4] = [Some(1.0), Some(2.0), Some(3.0), None];
const LIMITS: [Option<u32>; 2] = [None, Some(2)];

/// One instance in the words of the grid.
#[derive(Debug, Clone)]
struct Instance {
    demand: Vec<u32>,
    price: Vec<Option<f64>>,
    limit: Vec<Option<u32>>,
    /// `[workload][offering]`
    rate: Vec<Vec<u32>>,
}

/// Takes the next digit of `index` in base `n`.
fn digit(index: &mut usize, n: usize) -> usize {
    let digit = *index % n;
    *index /= n;
    digit
}

fn instance(n_workloads: usize, n_offerings: usize, mut index: usize) -> Instance {
    let i = &mut index;
    Instance {
        demand: (0..n_workloads).map(|_| digit(i, 4) as u32).collect(),
        price: (0..n_offerings).map(|_| PRICES[digit(i, 4)]).collect(),
        limit: (0..n_offerings).map(|_| LIMITS[digit(i, 2)]).collect(),
        rate: (0..n_workloads).map(|_| (0..n_offerings).map(|_| 1 + digit(i, 2) as u32).collect()).collect(),
    }
}

fn n_instances(n_workloads: usize, n_offerings: usize) -> usize {
    4_usize.pow(n_workloads as u32)
        * 8_usize.pow(n_offerings as u32)
        * 2_usize.pow((n_workloads * n_offerings) as u32)
}

fn replicas(rate: u32) -> Runs {
    Runs::Replicas { units_per_replica: f64::from(rate), accelerators: 1, min_replicas: 0, spare_replicas: 0 }
}

fn frame(hours: &[f64], pools: Vec<Pool>, workloads: Vec<Workload>) -> Problem {
    Problem {
        periods: vec![Period { months: 1.0, discount_at_start: 1.0, discount: 1.0, opens: true }],
        slots: hours.iter().map(|h| Slot { hours_per_month: *h }).collect(),
        discount_at_end: 1.0,
        pools,
        workloads,
        limits: Vec::new(),
    }
}

fn pool(accelerators_per_node: u32, offers: Vec<Offer>) -> Pool {
    Pool {
        site: 0,
        accelerators_per_node,
        power_kw_per_node: 1.0,
        rack_units_per_node: 1.0,
        existing_nodes: vec![0],
        offers,
    }
}

fn offer(terms: Terms, max_nodes: Option<u32>) -> Offer {
    Offer { terms, max_nodes, first_period: 0 }
}

mod apart {
    use super::*;

    pub fn problem(instance: &Instance) -> Problem {
        let pools = instance.price.iter().zip(&instance.limit).map(|(price, limit)| {
            pool(1, vec![offer(Terms::OnDemand { price_per_node_hour: *price }, *limit)])
        });
        let workloads = instance.demand.iter().zip(&instance.rate).map(|(demand, rates)| Workload {
            demand: vec![vec![f64::from(*demand)]],
            columns: (0..rates.len())
                .map(|pool| Column { pool, offers: vec![0], runs: replicas(rates[pool]), paid: Vec::new() })
                .collect(),
        });
        frame(&[1.0], pools.collect(), workloads.collect())
    }

    /// Every assignment of workloads to offerings with every count of nodes up to 6.
    pub fn brute_force(instance: &Instance) -> Option<f64> {
        cheapest(instance, |_, _| 0.0)
    }

    /// The same, where a workload pays something beside its nodes on each offering.
    pub fn cheapest(instance: &Instance, paid: impl Fn(usize, usize) -> f64) -> Option<f64> {
        let (n_workloads, n_offerings) = (instance.demand.len(), instance.price.len());
        let mut best: Option<f64> = None;
        for mut choice in 0..n_offerings.pow(n_workloads as u32) {
            let chosen: Vec<usize> = (0..n_workloads).map(|_| digit(&mut choice, n_offerings)).collect();
            let mut total = Some(chosen.iter().enumerate().map(|(w, &offering)| paid(w, offering)).sum());
            for offering in 0..n_offerings {
                let needs = (0..n_workloads).filter(|w| chosen[*w] == offering);
                let need: u32 = needs.map(|w| instance.demand[w].div_ceil(instance.rate[w][offering])).sum();
                // What counts of nodes are allowed and enough, and what is the cheapest of them?
                let costs = (0..=6_u32).filter(|nodes| {
                    *nodes >= need && instance.limit[offering].is_none_or(|limit| *nodes <= limit)
                });
                let costs = costs.filter_map(|nodes| match (nodes, instance.price[offering]) {
                    (0, _) => Some(0.0),
                    (_, price) => price.map(|price| price * f64::from(nodes)),
                });
                let cheapest = costs.fold(None, |a: Option<f64>, b| Some(a.map_or(b, |a| a.min(b))));
                total = total.zip(cheapest).map(|(a, b)| a + b);
            }
            best = match (best, total) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        best
    }
}

/// The grid *apart*, where each workload pays something beside its nodes wherever it runs, and all may cost so much.
mod paying {
    use super::*;

    /// Not more than this, where there is a limit: some instances cost more, some cost less.
    pub const MOST: [Option<f64>; 3] = [None, Some(6.0), Some(4.0)];

    /// Odd parts, so that no two choices cost the same.
    pub fn paid(w: usize, pool: usize) -> f64 {
        [[0.125, 2.5, 0.0], [1.75, 0.25, 3.0625]][w][pool]
    }

    pub fn problem(instance: &Instance, most: Option<f64>) -> Problem {
        let mut problem = apart::problem(instance);
        for (w, workload) in problem.workloads.iter_mut().enumerate() {
            workload.columns.iter_mut().for_each(|column| column.paid = vec![paid(w, column.pool)]);
        }
        let weights: Vec<(usize, f64)> = (0..problem.pools.len()).map(|pool| (pool, 1.0)).collect();
        let rule = Rule::Cost { weights, discounted: false };
        problem.limits.extend(most.map(|most| Limit { rule, bound: Bound::AtMost(most) }));
        problem
    }

    pub fn brute_force(instance: &Instance, most: Option<f64>) -> Option<f64> {
        let cheapest = apart::cheapest(instance, paid);
        cheapest.filter(|cost| most.is_none_or(|most| *cost <= most))
    }
}

mod together {
    use super::*;

    /// Hours of the two slots; the workloads peak in different ones.
    pub const HOURS: [f64; 2] = [1.0, 2.0];

    pub fn demand(instance: &Instance, workload: usize) -> [u32; 2] {
        let peak = instance.demand[workload];
        if workload == 0 { [peak, peak / 2] } else { [peak / 3, peak] }
    }

    pub fn problem(instance: &Instance) -> Problem {
        let price_per_node_hour = instance.price.clone();
        let terms = [
            Terms::Reserved {
                term_months: 1.0,
                price_per_node_hour: price_per_node_hour[0].map(|p| p / 2.0),
            },
            Terms::OnDemand { price_per_node_hour: price_per_node_hour[1] },
            Terms::Spot { price_per_node_hour: price_per_node_hour[2] },
        ];
        let offers =
            terms.into_iter().zip(&instance.limit).map(|(terms, limit)| offer(terms, *limit)).collect();
        let workloads = (0..instance.demand.len()).map(|w| Workload {
            demand: vec![demand(instance, w).iter().map(|d| f64::from(*d)).collect()],
            columns: vec![Column {
                pool: 0,
                offers: if w == 0 { vec![0, 1, 2] } else { vec![0, 1] },
                runs: replicas(instance.rate[w][0]),
                paid: Vec::new(),
            }],
        });
        frame(&HOURS, vec![pool(2, offers)], workloads.collect())
    }

    /// The same with nothing beside the workloads.
    pub fn brute_force(instance: &Instance) -> Option<f64> {
        cheapest(instance, [0, 0])
    }

    /// Every count of reserved nodes, and in each slot every count of on-demand and spot nodes, up to 6, with so many
    /// accelerators in each slot beside the workloads that may not be on spot.
    pub fn cheapest(instance: &Instance, beside: [u32; 2]) -> Option<f64> {
        let may = |offer: usize, nodes: u32| {
            nodes == 0
                || (instance.price[offer].is_some()
                    && instance.limit[offer].is_none_or(|limit| nodes <= limit))
        };
        let price = |offer: usize| instance.price[offer].unwrap_or(0.0);
        let mut best: Option<f64> = None;
        for reserved in (0..=6_u32).filter(|n| may(0, *n)) {
            let mut total = Some(price(0) / 2.0 * f64::from(reserved) * (HOURS[0] + HOURS[1]));
            for (slot, hours) in HOURS.into_iter().enumerate() {
                let need = |w: usize| match instance.demand.get(w) {
                    Some(_) => demand(instance, w)[slot].div_ceil(instance.rate[w][0]),
                    None => 0,
                };
                let mut cheapest: Option<f64> = None;
                for on_demand in (0..=6_u32).filter(|n| may(1, *n)) {
                    for spot in (0..=6_u32).filter(|n| may(2, *n)) {
                        // Spot takes what it can of the first workload; the rest needs the other nodes.
                        let rest = need(0).saturating_sub(2 * spot) + need(1) + beside[slot];
                        if 2 * (reserved + on_demand) >= rest {
                            let cost = price(1) * f64::from(on_demand) + price(2) * f64::from(spot);
                            let cost = cost * hours;
                            cheapest = Some(cheapest.map_or(cost, |c: f64| c.min(cost)));
                        }
                    }
                }
                total = total.zip(cheapest).map(|(a, b)| a + b);
            }
            best = match (best, total) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        best
    }
}

/// One workload that serves, and a job that takes other numbers of accelerators in each slot, in one of two ways.
mod by_slot {
    use super::*;

    /// Accelerators by slot of the two ways; one number is for both slots.
    pub const WAYS: [[&[u64]; 2]; 6] = [
        [&[1], &[0, 2]],
        [&[3, 0], &[0, 3]],
        [&[2, 1], &[1, 2]],
        [&[0, 4], &[2]],
        [&[4, 1], &[3, 3]],
        [&[0, 0], &[5, 0]],
    ];

    pub fn problem(instance: &Instance, ways: [&[u64]; 2]) -> Problem {
        let mut problem = together::problem(instance);
        let job = |accelerators: &[u64]| Column {
            pool: 0,
            offers: vec![0, 1],
            runs: Runs::Job { accelerators: accelerators.to_vec(), periods: 0..1 },
            paid: Vec::new(),
        };
        problem.workloads.push(Workload { demand: Vec::new(), columns: ways.map(job).to_vec() });
        problem
    }

    pub fn brute_force(instance: &Instance, ways: [&[u64]; 2]) -> Option<f64> {
        let of = |way: &[u64]| [way[0] as u32, *way.last().expect("a number") as u32];
        let costs = ways.into_iter().filter_map(|way| together::cheapest(instance, of(way)));
        costs.fold(None, |best: Option<f64>, cost| Some(best.map_or(cost, |best| best.min(cost))))
    }
}

mod shared {
    use super::together::{HOURS, demand};
    use super::*;

    /// Offer and bound on its share of the first workload's node-hours.
    pub const SHARES: [(usize, Bound); 4] = [
        (2, Bound::AtMost(0.3)),
        (0, Bound::AtLeast(0.5)),
        (2, Bound::AtMost(0.0)),
        (1, Bound::AtLeast(0.25)),
    ];

    pub fn problem(instance: &Instance, (offer, bound): (usize, Bound)) -> Problem {
        let offers =
            |offers: std::ops::Range<usize>| offers.map(|offer| OfferRef { pool: 0, offer }).collect();
        let rule = Rule::Share { part: offers(offer..offer + 1), whole: offers(0..3), workload: Some(0) };
        Problem { limits: vec![Limit { rule, bound }], ..together::problem(instance) }
    }

    /// Every count of nodes in both slots, up to 3: no slot of this grid needs more, and shares of up to a half are
    /// reached by that.
    pub fn brute_force(instance: &Instance, (offer, bound): (usize, Bound)) -> Option<f64> {
        let counts = |offer: usize| {
            let most = if instance.price[offer].is_some() { instance.limit[offer].unwrap_or(3) } else { 0 };
            0..=most
        };
        let price = |offer: usize| instance.price[offer].unwrap_or(0.0);
        let need = |w: usize, slot: usize| match instance.demand.get(w) {
            Some(_) => demand(instance, w)[slot].div_ceil(instance.rate[w][0]),
            None => 0,
        };
        let covers = |reserved: u32, on_demand: u32, spot: u32, slot: usize| {
            2 * (reserved + on_demand) >= need(0, slot).saturating_sub(2 * spot) + need(1, slot)
        };
        let mut best: Option<f64> = None;
        for reserved in counts(0) {
            let hourly = |slot: usize| {
                let each = counts(1).flat_map(|on_demand| counts(2).map(move |spot| (on_demand, spot)));
                each.filter(move |&(on_demand, spot)| covers(reserved, on_demand, spot, slot))
            };
            for first in hourly(0) {
                for second in hourly(1) {
                    let sum = |a: u32, b: u32| f64::from(a) * HOURS[0] + f64::from(b) * HOURS[1];
                    let hours = [sum(reserved, reserved), sum(first.0, second.0), sum(first.1, second.1)];
                    let all: f64 = hours.iter().sum();
                    let is_kept = match bound {
                        Bound::AtMost(share) => hours[offer] <= share * all + 1e-9,
                        Bound::AtLeast(share) => hours[offer] >= share * all - 1e-9,
                    };
                    let cost = price(0) / 2.0 * hours[0] + price(1) * hours[1] + price(2) * hours[2];
                    if is_kept {
                        best = Some(best.map_or(cost, |best: f64| best.min(cost)));
                    }
                }
            }
        }
        best
    }
}

/// Demands that the program and brute force agree, and that the program claims a proof.
fn agree(problem: &Problem, expected: Option<f64>, method: Option<Method>, instance: &Instance) {
    let options = Options { method, rel_gap: 0.0, ..Options::default() };
    match (solve(problem, &options), expected) {
        (Ok(found), Some(cost)) => {
            assert!((found.objective - cost).abs() < 1e-6, "{instance:?}: {} is not {cost}", found.objective);
            assert!(method == Some(Method::Columns) || found.gap < 1e-6, "{instance:?}: gap {}", found.gap);
            assert!(found.best_bound <= cost + 1e-6, "{instance:?}: bound {} above {cost}", found.best_bound);
        }
        (Err(NoPlan::Infeasible(_)), None) => {}
        (found, expected) => panic!("{instance:?}: {found:?}, but brute force says {expected:?}"),
    }
}

const SHAPES: [(usize, usize); 6] = [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)];

fn check_apart(method: Option<Method>, stride: usize) {
    for (n_workloads, n_offerings) in SHAPES {
        for index in (0..n_instances(n_workloads, n_offerings)).step_by(stride) {
            let instance = instance(n_workloads, n_offerings, index);
            agree(&apart::problem(&instance), apart::brute_force(&instance), method, &instance);
        }
    }
}

/// Calls `check` with every `stride`th instance of the grid together.
fn each_together(stride: usize, check: &dyn Fn(&Instance)) {
    for n_workloads in [1, 2] {
        // Only the first rate of a workload counts here: skip the repetitions.
        let n = 4_usize.pow(n_workloads as u32) * 512;
        for index in (0..n * 4_usize.pow(n_workloads as u32)).step_by(stride) {
            let (low, rates) = (index % n, index / n);
            let mut instance = instance(n_workloads, 3, low);
            instance.rate.iter_mut().enumerate().for_each(|(w, r)| r[0] = 1 + (rates >> w & 1) as u32);
            if rates >> n_workloads == 0 {
                check(&instance);
            }
        }
    }
}

fn check_together(method: Option<Method>, stride: usize) {
    each_together(stride, &|instance| {
        agree(&together::problem(instance), together::brute_force(instance), method, instance);
    });
}

fn check_shared(method: Option<Method>, stride: usize) {
    for share in shared::SHARES {
        each_together(stride, &|instance| {
            agree(&shared::problem(instance, share), shared::brute_force(instance, share), method, instance);
        });
    }
}

fn check_by_slot(method: Option<Method>, stride: usize) {
    for ways in by_slot::WAYS {
        each_together(stride, &|instance| {
            if instance.demand.len() == 1 {
                let expected = by_slot::brute_force(instance, ways);
                agree(&by_slot::problem(instance, ways), expected, method, instance);
            }
        });
    }
}

fn check_paying(method: Option<Method>, limits: &[Option<f64>], stride: usize) {
    for &most in limits {
        for (n_workloads, n_offerings) in SHAPES {
            for index in (0..n_instances(n_workloads, n_offerings)).step_by(stride) {
                let instance = instance(n_workloads, n_offerings, index);
                let expected = paying::brute_force(&instance, most);
                agree(&paying::problem(&instance, most), expected, method, &instance);
            }
        }
    }
}

#[test]
fn what_columns_pay_beside_their_nodes_equals_brute_force() {
    check_paying(None, &paying::MOST, 37);
    check_paying(Some(Method::Partition), &[None], 41);
    check_paying(Some(Method::Integer), &paying::MOST, 1499);
}

#[test]
fn jobs_that_take_other_numbers_by_slot_equal_brute_force() {
    check_by_slot(None, 1);
    check_by_slot(Some(Method::Partition), 7);
    check_by_slot(Some(Method::Integer), 101);
    check_by_slot(Some(Method::Columns), 103);
}

#[test]
fn every_instance_with_offerings_apart_equals_brute_force() {
    check_apart(None, 1);
}

#[test]
fn every_instance_with_offerings_together_equals_brute_force() {
    check_together(None, 1);
}

#[test]
fn limits_on_shares_equal_brute_force_on_a_stride() {
    check_shared(None, 61);
    check_shared(Some(Method::Integer), 307);
}

#[test]
fn sharing_out_over_pools_equals_brute_force_on_a_stride() {
    check_apart(Some(Method::Partition), 31);
    check_together(Some(Method::Partition), 7);
}

#[test]
fn the_integer_program_equals_brute_force_on_a_stride() {
    check_apart(Some(Method::Integer), 997);
    check_together(Some(Method::Integer), 101);
}

#[test]
fn columns_and_local_search_equal_brute_force_on_a_stride() {
    check_together(Some(Method::Columns), 103);
}

#[test]
#[ignore = "tens of thousands of HiGHS solves"]
fn long_the_integer_program_equals_brute_force_on_a_close_stride() {
    check_apart(Some(Method::Integer), 53);
    check_together(Some(Method::Integer), 53);
}
