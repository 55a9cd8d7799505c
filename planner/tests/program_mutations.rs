//! Every constraint matters: without any single limit of a problem, some plan that is found breaks it.
//!
//! Problems are made so that each of their limits binds. With all of them the answer keeps all of them, checked here from
//! the purchases alone; with one taken out the answer breaks that one, which the same check sees.

use capstan_planner::program::{
    Bound, Column, Limit, Nodes, Offer, OfferRef, Options, Period, Pool, Problem, Rule, Runs, Solution,
    Terms, Workload, day_type_slots, solve,
};

const MONTHS: f64 = 12.0;

fn offer(terms: Terms) -> Offer {
    Offer { terms, max_nodes: None, first_period: 0 }
}

/// Two workloads on two pools at two sites. The first pool is cheap and thirsty; what is cheapest in it is owned or spot.
fn problem() -> Problem {
    let pool = |site: usize, factor: f64, power: f64| Pool {
        site,
        accelerators_per_node: 8,
        power_kw_per_node: power,
        rack_units_per_node: power / 5.0,
        existing_nodes: vec![0, 0],
        offers: vec![
            offer(Terms::Owned {
                capex_per_node: Some(90_000.0 * factor),
                opex_per_node_month: 500.0 * factor,
                residual_per_node: Vec::new(),
            }),
            offer(Terms::Reserved { term_months: 12.0, price_per_node_hour: Some(10.0 * factor) }),
            offer(Terms::OnDemand { price_per_node_hour: Some(20.0 * factor) }),
            offer(Terms::Spot { price_per_node_hour: Some(4.0 * factor) }),
        ],
    };
    let column = |pool: usize| Column {
        pool,
        offers: vec![0, 1, 2, 3],
        runs: Runs::Replicas { units_per_replica: 1.0, accelerators: 8, min_replicas: 0, spare_replicas: 0 },
        paid: Vec::new(),
    };
    let hours = |level: f64| {
        (0..48).map(|hour| if hour % 24 < 8 { level / 2.0 } else { level }).collect::<Vec<f64>>()
    };
    let workload = |level: f64| Workload {
        demand: vec![hours(level), hours(level * 1.5)],
        columns: vec![column(0), column(1)],
    };
    Problem {
        periods: vec![Period { months: MONTHS, discount_at_start: 1.0, discount: 1.0, opens: true }; 2],
        slots: day_type_slots(),
        discount_at_end: 1.0,
        pools: vec![pool(0, 1.0, 10.0), pool(1, 1.6, 6.0)],
        workloads: vec![workload(8.0), workload(5.0)],
        limits: Vec::new(),
    }
}

fn all(pool: usize) -> Vec<OfferRef> {
    (0..4).map(|offer| OfferRef { pool, offer }).collect()
}

fn of_option(offer: usize) -> Vec<OfferRef> {
    (0..2).map(|pool| OfferRef { pool, offer }).collect()
}

/// The problem in which a limit binds: purchases are limited where nothing cheaper is sold than to own.
fn problem_for(name: &str) -> Problem {
    let mut problem = problem();
    if name == "capex" {
        for column in problem.workloads.iter_mut().flat_map(|workload| &mut workload.columns) {
            column.offers = vec![0, 2];
        }
    }
    problem
}

/// One limit of each kind, each tighter than what is cheapest without it.
fn limits() -> Vec<(&'static str, Limit)> {
    let both: Vec<OfferRef> = all(0).into_iter().chain(all(1)).collect();
    let at_most = |rule, most| Limit { rule, bound: Bound::AtMost(most) };
    vec![
        ("power", at_most(Rule::SitePower { site: 0 }, 79.0)),
        ("racks", at_most(Rule::SiteRacks { site: 0 }, 15.0)),
        ("nodes", at_most(Rule::Nodes { weights: all(0).into_iter().map(|of| (of, 8.0)).collect() }, 56.0)),
        ("spot", at_most(Rule::Share { part: of_option(3), whole: both.clone(), workload: None }, 0.3)),
        (
            "reserved",
            Limit {
                rule: Rule::Share { part: of_option(1), whole: both, workload: None },
                bound: Bound::AtLeast(0.2),
            },
        ),
        ("capex", at_most(Rule::Capex { periods: 0..2 }, 200_000.0)),
        ("opex", at_most(Rule::OpexPerMonth { periods: 0..2 }, 40_000.0)),
        ("cost", at_most(Rule::Cost { weights: vec![(0, 1.0)], discounted: false }, 700_000.0)),
    ]
}

/// Nodes of an offer at a period and slot.
fn nodes(solution: &Solution, of: OfferRef, period: usize, slot: usize) -> f64 {
    let bought = solution.purchases.iter().filter(|purchase| purchase.offer == of);
    let count = |nodes: &Nodes| match nodes {
        Nodes::Committed { count, from, until } if (*from..*until).contains(&period) => *count,
        Nodes::Committed { .. } => 0,
        Nodes::Hourly { counts } => counts[period][slot],
    };
    bought.map(|purchase| count(&purchase.nodes) as f64).sum()
}

/// Says whether an answer keeps a limit, from its purchases alone.
fn keeps(problem: &Problem, solution: &Solution, limit: &Limit) -> bool {
    let sum = |of: &[OfferRef]| -> f64 {
        let mut hours = 0.0;
        for (period, span) in problem.periods.iter().enumerate() {
            for (slot, part) in problem.slots.iter().enumerate() {
                let count: f64 = of.iter().map(|&of| nodes(solution, of, period, slot)).sum();
                hours += count * part.hours_per_month * span.months;
            }
        }
        hours
    };
    let most = |weight: &dyn Fn(OfferRef) -> f64| -> f64 {
        let everywhere: Vec<OfferRef> = all(0).into_iter().chain(all(1)).collect();
        let at = |period: usize, slot: usize| -> f64 {
            everywhere.iter().map(|&of| weight(of) * nodes(solution, of, period, slot)).sum()
        };
        (0..2)
            .flat_map(|period| (0..48).map(move |slot| (period, slot)))
            .map(|(p, s)| at(p, s))
            .fold(0.0, f64::max)
    };
    let price = |of: OfferRef| problem.pools[of.pool].offers[of.offer].terms.price().expect("all are priced");
    let monthly = |period: usize| -> f64 {
        let of_offer = |of: OfferRef| -> f64 {
            let hours = |slot: usize| problem.slots[slot].hours_per_month * nodes(solution, of, period, slot);
            match &problem.pools[of.pool].offers[of.offer].terms {
                Terms::Owned { opex_per_node_month, .. } => {
                    opex_per_node_month * nodes(solution, of, period, 0)
                }
                _ => (0..48).map(hours).sum::<f64>() * price(of),
            }
        };
        all(0).into_iter().chain(all(1)).map(of_offer).sum()
    };
    let bought = |pool: usize| -> f64 {
        let of = OfferRef { pool, offer: 0 };
        nodes(solution, of, 0, 0).max(nodes(solution, of, 1, 0)) * price(of)
    };
    let of_site = |site: usize, each: &dyn Fn(usize) -> f64| {
        most(&|of: OfferRef| if problem.pools[of.pool].site == site { each(of.pool) } else { 0.0 })
    };
    let used = match &limit.rule {
        Rule::SitePower { site } => of_site(*site, &|pool| problem.pools[pool].power_kw_per_node),
        Rule::SiteRacks { site } => of_site(*site, &|pool| problem.pools[pool].rack_units_per_node),
        Rule::Nodes { weights } => {
            most(&|of| weights.iter().filter(|(other, _)| *other == of).map(|(_, weight)| weight).sum())
        }
        Rule::Capex { .. } => bought(0) + bought(1),
        Rule::OpexPerMonth { .. } => monthly(0).max(monthly(1)),
        Rule::Cost { .. } => {
            solution.lines.iter().filter(|line| line.offer.pool == 0).map(|line| line.amount).sum()
        }
        Rule::Share { part, whole, .. } => sum(part) / sum(whole),
    };
    match limit.bound {
        Bound::AtMost(bound) => used <= bound * (1.0 + 1e-6),
        Bound::AtLeast(bound) => used >= bound * (1.0 - 1e-6),
    }
}

/// Taken alone, each limit changes the cheapest plan, and the plan keeps it.
#[test]
fn without_a_limit_the_answer_breaks_it_and_with_it_it_does_not() {
    for (name, limit) in limits() {
        let free_of_it = problem_for(name);
        let free = solve(&free_of_it, &Options::default()).expect("nothing is limited");
        assert!(!keeps(&free_of_it, &free, &limit), "{name} does not bind");
        let limited = Problem { limits: vec![limit.clone()], ..free_of_it };
        let found = solve(&limited, &Options::default()).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert!(keeps(&limited, &found, &limit), "{name} is not kept");
        assert!(found.objective >= free.objective * (1.0 - 0.01), "{name}: a limit made the plan cheaper");
    }
}

/// With all of them together each is kept; without any one, the others still are.
#[test]
fn any_one_limit_may_go_and_the_others_are_kept() {
    let named = limits();
    let without = |skipped: Option<usize>| -> Vec<Limit> {
        let each = named.iter().enumerate().filter(|(index, _)| Some(*index) != skipped);
        each.map(|(_, (_, limit))| limit.clone()).collect()
    };
    for skipped in (0..named.len()).map(Some).chain([None]) {
        let limits = without(skipped);
        let limited = Problem { limits: limits.clone(), ..problem() };
        let Ok(found) = solve(&limited, &Options::default()) else { continue };
        for limit in &limits {
            assert!(keeps(&limited, &found, limit), "without {skipped:?}, {limit:?} is broken");
        }
    }
}
