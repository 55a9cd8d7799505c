//! How long the program takes at the size that it is built for. Prints; asserts only what must hold.

mod common;

use capstan_planner::program::{Bound, Limit, OfferRef, Options, Problem, Rule, Solution, solve};
use common::reference_instance;

fn timed(name: &str, problem: &Problem) -> Solution {
    let start = std::time::Instant::now();
    let found = solve(problem, &Options::default()).expect("feasible");
    println!(
        "{name}: {:.2} s, gap {:.3} %, mixing bound {:.3} %, {} nodes, {:?}",
        start.elapsed().as_secs_f64(),
        100.0 * found.gap,
        100.0 * (found.objective / found.mixing_bound.unwrap_or(found.objective) - 1.0),
        found.n_nodes,
        found.method,
    );
    found
}

#[test]
#[ignore = "prints timings; run with --ignored --nocapture"]
fn long_the_reference_instance_is_solved_within_one_percent() {
    for (seed, n_periods) in [(1, 1), (2, 1), (3, 1), (1, 4), (2, 4)] {
        let found = timed(&format!("seed {seed}, P = {n_periods}"), &reference_instance(seed, n_periods));
        assert!(found.gap <= 0.0101, "gap {}", found.gap);
    }
}

#[test]
#[ignore = "prints timings; run with --ignored --nocapture"]
fn long_the_reference_instance_keeps_a_binding_power_limit_and_budget() {
    let mut problem = reference_instance(1, 1);
    let free = timed("free", &problem);
    let cost = Rule::OpexPerMonth { periods: 0..1 };
    let rules = (0..4).map(|site| Rule::SitePower { site }).chain([cost]);
    let generous = |rule| Limit { rule, bound: Bound::AtMost(1e12) };
    problem.limits = rules.map(generous).collect();
    let used: Vec<f64> = timed("generous limits", &problem).limits.iter().map(|limit| limit.used).collect();
    let largest = (0..4).max_by(|a, b| used[*a].total_cmp(&used[*b])).expect("four sites");
    problem.limits[largest].bound = Bound::AtMost(used[largest] * 0.9);
    let tight = timed("one site with 90 % of the power", &problem);
    assert!(tight.limits[largest].used <= used[largest] * 0.9 * (1.0 + 1e-6));
    assert!(tight.objective >= free.best_bound);
    problem.limits[largest].bound = Bound::AtMost(1e12);
    problem.limits[4].bound = Bound::AtMost(used[4] * 0.97);
    let tight = timed("97 % of the running cost", &problem);
    assert!(tight.limits[4].used <= used[4] * 0.97 * (1.0 + 1e-6));
    let offers = |kinds: std::ops::Range<usize>| {
        (0..12).flat_map(|pool| kinds.clone().map(move |offer| OfferRef { pool, offer })).collect()
    };
    problem.limits = vec![Limit {
        rule: Rule::Share { part: offers(3..4), whole: offers(0..4), workload: None },
        bound: Bound::AtLeast(0.1),
    }];
    let tight = timed("at least 10 % spot", &problem);
    assert!(tight.limits[0].used >= 0.1 * (1.0 - 1e-6));
}

#[test]
#[ignore = "prints timings; run with --ignored --nocapture"]
fn long_one_workload_with_many_columns_is_solved_exactly() {
    let mut problem = reference_instance(1, 12);
    let columns: Vec<_> = problem.workloads.iter().flat_map(|w| w.columns.clone()).take(200).collect();
    problem.workloads.truncate(1);
    problem.workloads[0].columns = columns;
    assert_eq!(timed("one workload, 200 columns, P = 12", &problem).gap, 0.0);
}

#[test]
#[ignore = "prints timings; run with --ignored --nocapture"]
fn long_twelve_periods_are_solved_within_one_percent() {
    assert!(timed("P = 12", &reference_instance(1, 12)).gap <= 0.0101);
}
