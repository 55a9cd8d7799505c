//! How long the program takes at the size that it is built for. Prints; asserts only what must hold.

mod common;

use capstan_planner::program::{Options, solve};
use common::reference_instance;

#[test]
#[ignore = "prints timings; run with --ignored --nocapture"]
fn long_the_reference_instance_is_solved_within_one_percent() {
    for n_periods in [1, 4, 12] {
        let problem = reference_instance(1, n_periods);
        let start = std::time::Instant::now();
        let found = solve(&problem, &Options::default()).expect("feasible");
        println!(
            "P = {n_periods}: {:.2} s, gap {:.3} %, mixing bound {:.3} %, {} nodes, {:?}",
            start.elapsed().as_secs_f64(),
            100.0 * found.gap,
            100.0 * (found.objective / found.mixing_bound.unwrap_or(found.objective) - 1.0),
            found.n_nodes,
            found.method,
        );
        assert!(found.gap < 0.01, "P = {n_periods}: gap {}", found.gap);
    }
}
