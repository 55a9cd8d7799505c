//! Properties of the program on random small problems, exact at gap 0.

use capstan_planner::program::{
    Bound, Column, Limit, Method, NoPlan, Nodes, Offer, OfferRef, Options, Period, Pool, Problem, Rule, Runs,
    Slot, Solution, Terms, Workload, solve,
};
use proptest::collection::vec;
use proptest::prelude::*;

const CASES: u32 = 150;

fn exact() -> Options {
    Options { good_gap: 0.0, rel_gap: 0.0, ..Options::default() }
}

fn price() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![5 => (1..6_u32).prop_map(|p| Some(f64::from(p))), 1 => Just(None)]
}

fn terms() -> impl Strategy<Value = Terms> {
    prop_oneof![
        (price(), 0..3_u32, 0..3_u32).prop_map(|(price, opex, residual)| Terms::Owned {
            capex_per_node: price.map(|p| p * 15.0),
            opex_per_node_month: f64::from(opex),
            residual_per_node: vec![0.0, f64::from(residual)],
        }),
        (price(), 1..3_u32).prop_map(|(price, years)| Terms::Reserved {
            term_months: 12.0 * f64::from(years),
            price_per_node_hour: price.map(|p| p / 2.0),
        }),
        price().prop_map(|price_per_node_hour| Terms::OnDemand { price_per_node_hour }),
        price().prop_map(|price_per_node_hour| Terms::Spot { price_per_node_hour }),
    ]
}

fn offer() -> impl Strategy<Value = Offer> {
    (terms(), prop_oneof![3 => Just(None), 1 => (1..4_u32).prop_map(Some)])
        .prop_map(|(terms, max_nodes)| Offer { terms, max_nodes, first_period: 0 })
}

fn pool(n_periods: usize) -> impl Strategy<Value = Pool> {
    (1..3_u32, vec(offer(), 1..4), prop_oneof![3 => Just(0_u32), 1 => Just(1_u32)], 1..3_u32).prop_map(
        move |(accelerators_per_node, offers, existing, kw)| Pool {
            site: 0,
            accelerators_per_node,
            power_kw_per_node: f64::from(kw),
            rack_units_per_node: 2.0,
            existing_nodes: vec![existing; n_periods],
            offers,
        },
    )
}

/// (demand by period and slot, rate per pool, whether spot is allowed)
type Work = (Vec<Vec<u32>>, Vec<u32>, bool);

fn workload((demand, rates, may_spot): Work, pools: &[Pool]) -> Workload {
    let columns = pools.iter().zip(rates).enumerate().map(|(pool, (shape, rate))| {
        let allowed = |o: &usize| may_spot || !matches!(shape.offers[*o].terms, Terms::Spot { .. });
        Column {
            pool,
            offers: (0..shape.offers.len()).filter(allowed).collect(),
            runs: Runs::Replicas {
                units_per_replica: f64::from(rate),
                accelerators: 1,
                min_replicas: 0,
                spare_replicas: 0,
            },
            paid: Vec::new(),
        }
    });
    let columns = columns.collect();
    let demand = demand.iter().map(|d| d.iter().map(|units| f64::from(*units)).collect()).collect();
    Workload { demand, columns }
}

fn problem() -> impl Strategy<Value = Problem> {
    (1..3_usize, 1..4_usize).prop_flat_map(|(n_periods, n_pools)| {
        let work = (vec(vec(0..6_u32, 2), n_periods), vec(1..3_u32, n_pools), any::<bool>());
        (vec(pool(n_periods), n_pools), vec(work, 1..3), prop_oneof![Just(None), (2..9_u32).prop_map(Some)])
            .prop_map(move |(pools, works, kw)| Problem {
                periods: (0..n_periods)
                    .map(|p| Period {
                        months: 12.0,
                        discount_at_start: 1.0 / (1.0 + p as f64),
                        discount: 0.9,
                        opens: true,
                    })
                    .collect(),
                slots: vec![Slot { hours_per_month: 1.0 }, Slot { hours_per_month: 2.0 }],
                discount_at_end: 0.5,
                workloads: works.into_iter().map(|work| workload(work, &pools)).collect(),
                limits: kw.map(|kw| limit(Rule::SitePower { site: 0 }, f64::from(kw))).into_iter().collect(),
                pools,
            })
    })
}

fn limit(rule: Rule, value: f64) -> Limit {
    Limit { rule, bound: Bound::AtMost(value) }
}

/// Cost of the best plan; infinite if there is none.
fn cost(problem: &Problem, options: &Options) -> f64 {
    match solve(problem, options) {
        Ok(found) => {
            assert!(found.gap < 1e-6, "gap {} at gap 0", found.gap);
            found.objective
        }
        Err(NoPlan::Infeasible(_)) => f64::INFINITY,
        Err(other) => panic!("{other:?}"),
    }
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() < 1e-6 * a.abs().max(1.0)
}

/// Nodes of an offer in a period and slot.
fn nodes_of(found: &Solution, of: OfferRef, period: usize, slot: usize) -> u64 {
    let purchases = found.purchases.iter().filter(|p| p.offer == of);
    let there = purchases.map(|p| match &p.nodes {
        Nodes::Committed { count, from, until } if (*from..*until).contains(&period) => *count,
        Nodes::Committed { .. } => 0,
        Nodes::Hourly { counts } => counts[period][slot],
    });
    there.sum()
}

/// Demands that every workload finds nodes that it may use, spot last, without the program's own rows.
fn assert_covered(problem: &Problem, found: &Solution) {
    for period in 0..problem.periods.len() {
        for slot in 0..problem.slots.len() {
            for (pool, shape) in problem.pools.iter().enumerate() {
                let per_node = u64::from(shape.accelerators_per_node);
                let (mut firm, mut flexible) = (0, 0);
                for (workload, &c) in problem.workloads.iter().zip(&found.columns) {
                    let column = &workload.columns[c];
                    let Runs::Replicas { units_per_replica, .. } = column.runs else { continue };
                    let replicas = (workload.demand[period][slot] / units_per_replica).ceil() as u64;
                    if column.pool == pool {
                        let all = column.offers.len() == shape.offers.len();
                        *(if all { &mut flexible } else { &mut firm }) += replicas;
                    }
                }
                let (mut spot, mut other) = (0, u64::from(shape.existing_nodes[period]));
                for (offer, terms) in shape.offers.iter().enumerate() {
                    let nodes = nodes_of(found, OfferRef { pool, offer }, period, slot);
                    assert!(nodes == 0 || terms.terms.price().is_some(), "unpriced offer {offer} was bought");
                    assert!(terms.max_nodes.is_none_or(|most| nodes <= u64::from(most)));
                    *(if matches!(terms.terms, Terms::Spot { .. }) { &mut spot } else { &mut other }) +=
                        nodes;
                }
                assert!(per_node * other >= firm, "firm load {firm} on {other} nodes");
                assert!(
                    per_node * (other + spot) >= firm + flexible,
                    "load {} on {}",
                    firm + flexible,
                    other + spot
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn enumeration_in_closed_form_and_the_integer_program_agree(problem in problem()) {
        let integer = cost(&problem, &Options { method: Some(Method::Integer), ..exact() });
        match solve(&problem, &Options { method: Some(Method::Partition), ..exact() }) {
            Ok(found) => prop_assert!(same(found.objective, integer), "{} is not {integer}", found.objective),
            Err(NoPlan::Infeasible(_)) => prop_assert!(integer.is_infinite()),
            Err(NoPlan::Undecided) => {} // too many coupled purchases
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn the_bounds_hold_and_columns_are_never_better_than_exact(problem in problem()) {
        let best = cost(&problem, &exact());
        if let Ok(found) = solve(&problem, &Options { method: Some(Method::Columns), ..exact() }) {
            prop_assert!(found.objective >= best - 1e-6 * best.max(1.0));
            prop_assert!(found.best_bound <= best + 1e-6 * best.max(1.0), "bound above the optimum");
            prop_assert!(found.mixing_bound.is_none_or(|bound| bound <= found.best_bound + 1e-6 * best.max(1.0)));
        } else {
            prop_assert!(best.is_infinite());
        }
    }

    #[test]
    fn large_enumerations_end_within_the_gap_that_they_report(problem in problem()) {
        let best = cost(&problem, &exact());
        // No problem is small enough to be solved exactly: what limits are worth and merged hours decide.
        let large = Options { method: Some(Method::Partition), integer_up_to: 0, rel_gap: 0.05, ..Options::default() };
        if let Ok(found) = solve(&problem, &large) {
            prop_assert!(found.objective >= best - 1e-6 * best.max(1.0));
            prop_assert!(found.best_bound <= best + 1e-6 * best.max(1.0), "bound {} above {best}", found.best_bound);
            for used in &found.limits {
                prop_assert!(used.used <= used.value + 1e-6);
            }
        }
    }

    #[test]
    fn the_share_of_one_workload_holds_where_it_runs_and_is_bounded(problem in problem(), percent in 0..10_u32) {
        let mut problem = problem;
        let of = |keep: &dyn Fn(&Terms) -> bool| -> Vec<OfferRef> {
            let pools = problem.pools.iter().enumerate();
            let offers = pools.flat_map(|(pool, shape)| {
                let offers = shape.offers.iter().enumerate().filter(|(_, offer)| keep(&offer.terms));
                offers.map(move |(offer, _)| OfferRef { pool, offer }).collect::<Vec<_>>()
            });
            offers.collect()
        };
        let (part, whole) = (of(&|terms| !terms.is_committed()), of(&|_| true));
        let rule = Rule::Share { part, whole, workload: Some(0) };
        problem.limits.push(limit(rule, f64::from(percent) / 10.0));
        let best = cost(&problem, &exact());
        let integer = cost(&problem, &Options { method: Some(Method::Integer), ..exact() });
        prop_assert!(same(best, integer), "{best} is not {integer}");
        let large = Options { method: Some(Method::Partition), integer_up_to: 0, ..Options::default() };
        if let Ok(found) = solve(&problem, &large) {
            prop_assert!(found.objective >= best - 1e-6 * best.max(1.0));
            prop_assert!(found.best_bound <= best + 1e-6 * best.max(1.0), "bound {} above {best}", found.best_bound);
        }
    }

    #[test]
    fn every_workload_is_covered_and_lines_sum_to_the_total(problem in problem()) {
        if let Ok(found) = solve(&problem, &exact()) {
            assert_covered(&problem, &found);
            let total: f64 = found.lines.iter().map(|line| line.discounted).sum();
            prop_assert_eq!(total, found.objective);
            for used in &found.limits {
                prop_assert!(used.used <= used.value + 1e-6);
            }
        }
    }

    #[test]
    fn more_demand_never_costs_less(problem in problem(), at in any::<prop::sample::Index>()) {
        let before = cost(&problem, &exact());
        let mut more = problem;
        let w = at.index(more.workloads.len());
        more.workloads[w].demand[0][0] += 1.0;
        prop_assert!(cost(&more, &exact()) >= before - 1e-6 * before.min(1e9));
    }

    #[test]
    fn adding_an_offer_never_costs_more(problem in problem(), offer in offer()) {
        let before = cost(&problem, &exact());
        let mut more = problem;
        let index = more.pools[0].offers.len();
        more.pools[0].offers.push(offer);
        let columns = more.workloads.iter_mut().flat_map(|w| &mut w.columns).filter(|c| c.pool == 0);
        columns.for_each(|column| column.offers.push(index));
        let after = cost(&more, &exact());
        prop_assert!(after <= before + 1e-6 * before.min(1e9), "{after} after {before}");
    }

    #[test]
    fn loosening_a_limit_never_costs_more(problem in problem(), value in 1..12_u32) {
        let mut tight = problem;
        tight.limits = vec![limit(Rule::SitePower { site: 0 }, f64::from(value))];
        let mut loose = tight.clone();
        loose.limits[0].bound = Bound::AtMost(f64::from(value) + 1.0);
        let (tight, loose) = (cost(&tight, &exact()), cost(&loose, &exact()));
        prop_assert!(loose <= tight + 1e-6 * tight.min(1e9));
    }

    #[test]
    fn solving_again_gives_the_same_answer_and_the_order_of_pools_does_not_change_the_cost(problem in problem()) {
        let first = solve(&problem, &exact());
        prop_assert_eq!(format!("{first:?}"), format!("{:?}", solve(&problem, &exact())));
        let n = problem.pools.len();
        let mut turned = problem.clone();
        turned.pools.reverse();
        for column in turned.workloads.iter_mut().flat_map(|w| &mut w.columns) {
            column.pool = n - 1 - column.pool;
        }
        turned.workloads.reverse();
        let (a, b) = (cost(&problem, &exact()), cost(&turned, &exact()));
        prop_assert!(same(a, b), "{a} became {b}");
    }
}
