//! Each family of limits binds, has a price, conflicts by name, and has a way out that was solved.
//!
//! The base: one workload of 4 nodes by night and 10 by day on one pool of own nodes and a cloud pool of
//! reserved, on-demand and spot nodes. A test that a limit binds fails if its rows are left out of the program.

use capstan_planner::program::{
    Bound, Column, Limit, LimitId, Method, NoPlan, Nodes, Offer, OfferRef, Options, Period, Pool, Problem,
    Rule, Runs, Slot, Solution, Terms, Unservable, Workload, conflict, prices_of_limits, runner_ups, solve,
};

const OWNED: OfferRef = OfferRef { pool: 0, offer: 0 };
const RESERVED: OfferRef = OfferRef { pool: 1, offer: 0 };
const ON_DEMAND: OfferRef = OfferRef { pool: 1, offer: 1 };
const SPOT: OfferRef = OfferRef { pool: 1, offer: 2 };

fn offer(terms: Terms) -> Offer {
    Offer { terms, max_nodes: None, first_period: 0 }
}

fn pool(site: usize, offers: Vec<Offer>) -> Pool {
    Pool {
        site,
        accelerators_per_node: 8,
        power_kw_per_node: 10.0,
        rack_units_per_node: 8.0,
        existing_nodes: vec![0],
        offers,
    }
}

fn column(pool: usize, offers: Vec<usize>) -> Column {
    let runs = Runs::Replicas { units_per_replica: 1.0, accelerators: 8, min_replicas: 1, spare_replicas: 0 };
    Column { pool, offers, runs, paid: Vec::new() }
}

/// Ten own nodes cost 10 × (10,500 + 12 × 200 − 400) = 125,000, all on spot 122,640; day and night have 365 h each.
fn base(columns: Vec<Column>, limits: Vec<Limit>) -> Problem {
    Problem {
        periods: vec![Period { months: 12.0, discount_at_start: 1.0, discount: 1.0, opens: true }],
        slots: vec![Slot { hours_per_month: 365.0 }, Slot { hours_per_month: 365.0 }],
        discount_at_end: 1.0,
        pools: vec![
            pool(
                0,
                vec![offer(Terms::Owned {
                    capex_per_node: Some(10_500.0),
                    opex_per_node_month: 200.0,
                    residual_per_node: vec![400.0],
                })],
            ),
            pool(
                1,
                vec![
                    offer(Terms::Reserved { term_months: 12.0, price_per_node_hour: Some(2.5) }),
                    offer(Terms::OnDemand { price_per_node_hour: Some(4.0) }),
                    offer(Terms::Spot { price_per_node_hour: Some(2.0) }),
                ],
            ),
        ],
        workloads: vec![Workload { demand: vec![vec![4.0, 10.0]], columns }],
        limits,
    }
}

fn both() -> Vec<Column> {
    vec![column(0, vec![0]), column(1, vec![0, 1, 2])]
}

fn cloud() -> Vec<Column> {
    vec![column(1, vec![0, 1, 2])]
}

fn at_most(rule: Rule, value: f64) -> Limit {
    Limit { rule, bound: Bound::AtMost(value) }
}

fn run(problem: &Problem) -> Solution {
    let by_size = solve(problem, &Options::default()).expect("feasible");
    let integer =
        solve(problem, &Options { method: Some(Method::Integer), ..Options::default() }).expect("feasible");
    assert!(
        (by_size.objective - integer.objective).abs() < 1e-6 * integer.objective.max(1.0),
        "methods differ"
    );
    by_size
}

fn peak(found: &Solution, of: OfferRef) -> u64 {
    let nodes = found.purchases.iter().filter(|p| p.offer == of).map(|p| match &p.nodes {
        Nodes::Committed { count, .. } => *count,
        Nodes::Hourly { counts } => counts.iter().flatten().copied().max().unwrap_or(0),
    });
    nodes.sum()
}

/// Demands that the limit changes the plan, holds after it, and that relaxing it by 5 % never costs more.
fn binds(columns: Vec<Column>, limit: Limit) -> Solution {
    let free = run(&base(columns.clone(), vec![]));
    let problem = base(columns, vec![limit.clone()]);
    let bound = run(&problem);
    assert!(bound.objective > free.objective + 1.0, "{limit:?} changes nothing");
    let used = bound.limits[0];
    match limit.bound {
        Bound::AtMost(value) => assert!(used.used <= value * (1.0 + 1e-6), "{used:?}"),
        Bound::AtLeast(value) => assert!(used.used >= value * (1.0 - 1e-6), "{used:?}"),
    }
    for price in prices_of_limits(&problem, &bound, &Options::default(), 0.05).expect("solvable") {
        assert!(price.saving >= 0.0 && price.saving_per_unit.is_finite());
    }
    bound
}

#[test]
fn without_limits_spot_serves_the_day_and_the_night() {
    let found = run(&base(cloud(), vec![]));
    assert_eq!((peak(&found, SPOT), peak(&found, ON_DEMAND), peak(&found, RESERVED)), (10, 0, 0));
    assert!((found.objective - 2.0 * 12.0 * 365.0 * 14.0).abs() < 1e-6);
}

#[test]
fn a_commitment_is_bought_where_it_is_busy_for_more_than_the_ratio_of_prices() {
    // 2.5 / 4 = 62.5 %: the 4 nodes busy all day are reserved, the 6 busy half of it are rented.
    let found = run(&base(vec![column(1, vec![0, 1])], vec![]));
    assert_eq!((peak(&found, RESERVED), peak(&found, ON_DEMAND)), (4, 6));
}

#[test]
fn site_power_binds() {
    let mut problem = base(vec![column(1, vec![0, 1, 2])], vec![at_most(Rule::SitePower { site: 1 }, 99.0)]);
    assert!(matches!(solve(&problem, &Options::default()), Err(NoPlan::Infeasible(_))));
    // With existing nodes at the site there is less left.
    problem.limits[0].bound = Bound::AtMost(100.0);
    assert!(solve(&problem, &Options::default()).is_ok());
    problem.pools.push(Pool { existing_nodes: vec![1], ..pool(1, vec![]) });
    assert!(matches!(solve(&problem, &Options::default()), Err(NoPlan::Infeasible(_))));
    binds(both_with_cheap_own(), at_most(Rule::SitePower { site: 0 }, 95.0));
}

/// Own nodes only by limits: the workload's first column is the cheaper one.
fn both_with_cheap_own() -> Vec<Column> {
    vec![column(0, vec![0]), column(1, vec![0, 1])]
}

#[test]
fn site_racks_bind() {
    binds(both_with_cheap_own(), at_most(Rule::SiteRacks { site: 0 }, 79.0));
}

#[test]
fn the_share_of_a_workload_is_asked_on_its_own_pool_only() {
    // A second workload runs on own nodes. Over all pools together they would make room for spot.
    let rule =
        |workload| Rule::Share { part: vec![SPOT], whole: vec![OWNED, RESERVED, ON_DEMAND, SPOT], workload };
    let plan = |workload| {
        let mut problem = base(cloud(), vec![at_most(rule(workload), 0.4)]);
        let own = Workload { demand: vec![vec![10.0, 10.0]], columns: vec![column(0, vec![0])] };
        problem.workloads.push(own);
        run(&problem)
    };
    let (together, apart) = (plan(None), plan(Some(0)));
    assert!(apart.objective > together.objective + 1.0, "own nodes of another workload gave room");
    assert!(apart.limits[0].used <= 0.4 * (1.0 + 1e-6), "{:?}", apart.limits[0]);
}

#[test]
fn a_quota_of_weighted_nodes_binds() {
    let found = binds(cloud(), at_most(Rule::Nodes { weights: vec![(SPOT, 8.0)] }, 40.0));
    assert_eq!(peak(&found, SPOT), 5);
}

#[test]
fn an_offers_own_limit_binds_for_hours_and_commitments() {
    let mut problem = base(vec![column(1, vec![0, 1])], vec![]);
    let free = run(&problem).objective;
    problem.pools[1].offers[0].max_nodes = Some(3);
    let found = run(&problem);
    assert_eq!(peak(&found, RESERVED), 3);
    assert!(found.objective > free);
    problem.pools[1].offers[1].max_nodes = Some(6);
    assert!(matches!(solve(&problem, &Options::default()), Err(NoPlan::Infeasible(_))));
}

#[test]
fn capex_binds() {
    binds(both_with_cheap_own(), at_most(Rule::Capex { periods: 0..1 }, 99_000.0));
}

#[test]
fn opex_per_month_binds() {
    // Spot costs 10,220 per month, own nodes 2,000: the limit forces the dearer own nodes.
    let found = binds(
        vec![column(0, vec![0]), column(1, vec![2])].into_iter().rev().collect(),
        at_most(Rule::OpexPerMonth { periods: 0..1 }, 9_000.0),
    );
    assert_eq!(peak(&found, OWNED), 10);
}

#[test]
fn weighted_cost_of_a_pool_binds_discounted_and_not() {
    for discounted in [false, true] {
        binds(both_with_cheap_own(), at_most(Rule::Cost { weights: vec![(0, 1.0)], discounted }, 1.0));
    }
}

#[test]
fn shares_bind_from_above_and_below() {
    let whole = vec![RESERVED, ON_DEMAND, SPOT];
    let spot = Rule::Share { part: vec![SPOT], whole: whole.clone(), workload: None };
    let found = binds(cloud(), at_most(spot, 0.3));
    assert!(found.limits[0].used > 0.2, "most of the allowed share is used: {:?}", found.limits[0]);
    let reserved = Rule::Share { part: vec![RESERVED], whole, workload: None };
    let found = binds(cloud(), Limit { rule: reserved, bound: Bound::AtLeast(0.2) });
    assert!(peak(&found, RESERVED) >= 2);
}

#[test]
fn reservations_that_overlap_are_bought_together() {
    // Needs of 1, 2, 1 nodes in three years, terms of two years: two terms that overlap in the second year.
    // Level by level it would be a term and the half of one, and another term.
    let mut problem = base(vec![column(1, vec![0])], vec![]);
    problem.periods = vec![problem.periods[0].clone(); 3];
    problem.pools.iter_mut().for_each(|pool| pool.existing_nodes = vec![0; 3]);
    problem.pools[1].offers[0].terms = Terms::Reserved { term_months: 24.0, price_per_node_hour: Some(1.0) };
    problem.workloads[0].demand = vec![vec![1.0; 2], vec![2.0; 2], vec![1.0; 2]];
    assert!((run(&problem).objective - 2.0 * 24.0 * 730.0).abs() < 1e-6);
}

#[test]
fn lead_time_is_kept() {
    let mut problem = base(cloud(), vec![]);
    problem.pools[1].offers[2].first_period = 1;
    assert_eq!(peak(&run(&problem), SPOT), 0);
    problem.pools[1].offers.iter_mut().for_each(|offer| offer.first_period = 1);
    let Err(NoPlan::Infeasible(why)) = solve(&problem, &Options::default()) else {
        panic!("nothing in time")
    };
    assert_eq!(why, [Unservable::NotInTime { workload: 0, period: 0 }]);
}

#[test]
fn a_workload_without_columns_or_prices_says_which() {
    let Err(NoPlan::Infeasible(why)) = solve(&base(vec![], vec![]), &Options::default()) else {
        panic!("served")
    };
    assert_eq!(why, [Unservable::NoColumns { workload: 0 }]);
    let mut problem = base(cloud(), vec![]);
    for offer in &mut problem.pools[1].offers {
        offer.terms = Terms::Spot { price_per_node_hour: None };
    }
    let Err(NoPlan::Infeasible(why)) = solve(&problem, &Options::default()) else { panic!("served") };
    assert_eq!(why, [Unservable::NoOffers { workload: 0, has_unpriced: true }]);
}

#[test]
fn jobs_and_existing_nodes_share_the_pool() {
    let mut problem = base(vec![column(1, vec![1])], vec![]);
    problem.pools[1].existing_nodes = vec![10];
    assert_eq!(run(&problem).objective, 0.0);
    let runs = Runs::Job { accelerators: vec![17], periods: 0..1 };
    let job = Column { runs, ..column(1, vec![1]) };
    problem.workloads.push(Workload { demand: vec![], columns: vec![job] });
    // 17 accelerators are 3 nodes: all must be rented by day, none by night.
    let found = run(&problem);
    assert!((found.objective - 3.0 * 12.0 * 365.0 * 4.0).abs() < 1e-6, "{}", found.objective);
}

#[test]
fn a_conflict_names_only_what_contradicts_and_each_way_out_works() {
    let mut problem = base(
        both(),
        vec![
            at_most(Rule::SitePower { site: 0 }, 95.0),
            at_most(Rule::SitePower { site: 1 }, 1000.0),
            at_most(Rule::OpexPerMonth { periods: 0..1 }, 9_000.0),
        ],
    );
    let found = conflict(&problem, &Options::default()).expect("solvable").expect("in conflict");
    let names: Vec<LimitId> = found.members.iter().map(|member| member.limit).collect();
    assert_eq!(names, [LimitId::Stated(0), LimitId::Stated(2)]);
    assert!(found.is_proven_minimal);
    let ways: Vec<_> = found.members.iter().map(|member| member.way_out.expect("has a way out")).collect();
    assert!((ways[0].value - 100.0).abs() < 1e-6, "ten own nodes: {:?}", ways[0]);
    assert!((ways[1].value - 10_220.0).abs() < 1e-3, "all on spot: {:?}", ways[1]);
    for (member, way) in found.members.iter().zip(ways) {
        let LimitId::Stated(index) = member.limit else { panic!("stated") };
        let mut relaxed = problem.clone();
        relaxed.limits[index].bound = Bound::AtMost(way.value * (1.0 + 1e-9));
        assert!((run(&relaxed).objective - way.cost).abs() < 1e-3, "costs what was promised");
        relaxed.limits[index].bound = Bound::AtMost(way.value * 0.999);
        assert!(solve(&relaxed, &Options::default()).is_err(), "nothing nearer works");
    }
    problem.limits.pop();
    assert_eq!(conflict(&problem, &Options::default()), Ok(None));
}

#[test]
fn limits_that_each_contradict_demand_are_moved_together() {
    let limits = vec![
        at_most(Rule::SitePower { site: 1 }, 1.0),
        at_most(Rule::SitePower { site: 0 }, 1000.0),
        at_most(Rule::OpexPerMonth { periods: 0..1 }, 1.0),
    ];
    let mut problem = base(cloud(), limits);
    let found = conflict(&problem, &Options::default()).expect("solvable").expect("in conflict");
    let names: Vec<LimitId> = found.members.iter().map(|member| member.limit).collect();
    assert!(names.len() == 2 && names.contains(&LimitId::Stated(0)) && names.contains(&LimitId::Stated(2)));
    assert!(
        found.members.iter().all(|member| member.way_out.is_none()),
        "neither alone is enough: {found:?}"
    );
    for member in &found.members {
        let LimitId::Stated(index) = member.limit else { panic!("stated") };
        let together = member.together.expect("both are passed");
        problem.limits[index].bound = Bound::AtMost(together * (1.0 + 1e-9));
    }
    let moved = run(&problem).objective;
    assert!(
        (moved - run(&base(cloud(), vec![])).objective).abs() < 1e-3,
        "as cheap as without them: {moved}"
    );
}

#[test]
fn a_share_in_conflict_gets_the_nearest_share() {
    // Without on-demand, spot must take what the quota of 5 reserved nodes leaves.
    let whole = vec![RESERVED, SPOT];
    let problem = base(
        vec![column(1, vec![0, 2])],
        vec![
            at_most(Rule::Nodes { weights: vec![(RESERVED, 1.0)] }, 5.0),
            at_most(Rule::Share { part: vec![SPOT], whole, workload: None }, 0.3),
        ],
    );
    let found = conflict(&problem, &Options::default()).expect("solvable").expect("in conflict");
    let way = found.members[1].way_out.expect("has a way out");
    // 5 reserved all day (10 node-halfdays) and 5 spot by day: a third.
    assert!((way.value - 1.0 / 3.0).abs() < 1e-6, "{way:?}");
}

#[test]
fn an_offers_limit_in_conflict_is_named_as_the_offers() {
    let mut problem = base(vec![column(1, vec![1])], vec![]);
    problem.pools[1].offers[1].max_nodes = Some(7);
    let found = conflict(&problem, &Options::default()).expect("solvable").expect("in conflict");
    assert_eq!(found.members[0].limit, LimitId::Offer(ON_DEMAND));
    assert!((found.members[0].way_out.expect("has a way out").value - 10.0).abs() < 1e-9);
}

#[test]
fn the_price_of_a_quota_is_what_one_more_node_saves() {
    let problem = base(cloud(), vec![at_most(Rule::Nodes { weights: vec![(SPOT, 1.0)] }, 5.0)]);
    let found = run(&problem);
    let prices = prices_of_limits(&problem, &found, &Options::default(), 0.2).expect("solvable");
    let mut more = problem.clone();
    more.limits[0].bound = Bound::AtMost(6.0);
    let saving = found.objective - run(&more).objective;
    assert!(
        prices.len() == 1 && (prices[0].saving_per_unit - saving).abs() < 1e-6 && saving > 0.0,
        "{prices:?}"
    );
}

#[test]
fn the_runner_up_is_the_best_plan_without_the_chosen_column() {
    let problem = base(both(), vec![]);
    let found = run(&problem);
    let runner_ups = runner_ups(&problem, &found, &Options::default()).expect("solvable");
    assert_eq!(runner_ups.len(), 1);
    assert_ne!(runner_ups[0].columns, found.columns);
    let other = run(&base(vec![both()[runner_ups[0].columns[0]].clone()], vec![]));
    assert!((runner_ups[0].cost - other.objective).abs() < 1e-6 && !runner_ups[0].others_kept);
}

#[test]
fn of_equally_cheap_plans_the_one_with_fewer_kinds_then_lower_columns_is_taken() {
    let mut problem = base(vec![column(1, vec![1])], vec![]);
    let shape = problem.pools[1].clone();
    problem.pools = vec![shape.clone(), shape.clone(), shape];
    let work = |columns: Vec<Column>| Workload { demand: vec![vec![4.0, 4.0]], columns };
    problem.workloads = vec![
        work(vec![column(0, vec![1]), column(1, vec![1])]),
        work(vec![column(2, vec![1]), column(1, vec![1])]),
    ];
    for method in [Method::Partition, Method::Integer] {
        let found =
            solve(&problem, &Options { method: Some(method), ..Options::default() }).expect("feasible");
        assert_eq!(found.columns, [1, 1], "{method:?}");
    }
}

#[test]
fn a_problem_with_flaws_is_refused_before_anything_is_solved() {
    use capstan_planner::program::Flaw;
    let check = |change: &dyn Fn(&mut Problem), flaw: Flaw| {
        let mut problem = base(both(), vec![at_most(Rule::SitePower { site: 0 }, 200.0)]);
        assert!(problem.flaws().is_empty());
        change(&mut problem);
        assert_eq!(solve(&problem, &Options::default()), Err(NoPlan::Flawed(vec![flaw])));
    };
    check(&|p| p.periods.clear(), Flaw::Empty);
    check(&|p| p.periods[0].months = f64::NAN, Flaw::Time);
    check(&|p| p.pools[0].accelerators_per_node = 0, Flaw::Pool { pool: 0 });
    check(&|p| p.pools[1].existing_nodes.clear(), Flaw::Pool { pool: 1 });
    check(&|p| p.pools[0].offers = vec![p.pools[0].offers[0].clone(); 33], Flaw::Pool { pool: 0 });
    let spot = |price| Terms::Spot { price_per_node_hour: Some(price) };
    check(&|p| p.pools[1].offers[2].terms = spot(-1.0), Flaw::Offer(SPOT));
    let pays = |p: &mut Problem| {
        p.pools[0].offers[0].terms = Terms::Owned {
            capex_per_node: Some(1.0),
            opex_per_node_month: 0.0,
            residual_per_node: vec![2.0],
        };
    };
    check(&pays, Flaw::OwningPays(OWNED));
    check(&|p| p.workloads[0].demand[0][1] = f64::INFINITY, Flaw::Demand { workload: 0 });
    let beyond_counting = |p: &mut Problem| {
        p.workloads[0].columns.pop();
        p.workloads[0].demand[0][1] = 1e15;
    };
    check(&beyond_counting, Flaw::Column { workload: 0, column: 0 });
    check(&|p| p.workloads[0].columns[1].offers.push(9), Flaw::Column { workload: 0, column: 1 });
    check(&|p| p.workloads[0].columns[0].paid = vec![-1.0], Flaw::Column { workload: 0, column: 0 });
    check(&|p| p.workloads[0].columns[0].paid = vec![1.0; 9], Flaw::Column { workload: 0, column: 0 });
    check(&|p| p.limits[0].bound = Bound::AtLeast(1.0), Flaw::Limit { limit: 0 });
    check(&|p| p.limits[0].rule = Rule::Capex { periods: 0..2 }, Flaw::Limit { limit: 0 });
}
