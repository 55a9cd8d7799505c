//! The worlds of the example: its peak is uncertain.

use super::decimal;
use crate::blueprint::{
    ConsideredPlan, Cost, Override, RegretPart, ScenarioOutcome, Status, Swing, Uncertainty, World,
};
use crate::offering::PurchaseOption;
use rust_decimal::Decimal;

/// The peak in the middle of each sixteenth of its distribution, which is 40 in 25 .. 80 @ 90 percent.
const PEAKS: [f64; 16] = [
    23.491, 27.447, 29.973, 32.041, 33.899, 35.657, 37.379, 39.114, 41.344, 44.205, 47.389, 51.056, 55.482,
    61.221, 69.707, 87.693,
];

/// Returns what is said of the worlds: a cost that follows the peak, and a plan that buys too little for high ones.
pub fn uncertainty() -> Uncertainty {
    let worlds: Vec<World> = PEAKS
        .iter()
        .map(|&peak| {
            let follows = decimal("40000") * Decimal::try_from(peak).unwrap_or_default();
            let cheapest = (decimal("4000000") + follows).round_dp(2);
            let more = if peak > 40.0 { decimal("12000.00") } else { decimal("3000.00") };
            World { values: vec![peak], cheapest: Some(cheapest), planned: Some(cheapest + more) }
        })
        .collect();
    let sum: Decimal = worlds.iter().filter_map(|world| world.planned).sum();
    let plan = |cheapest_for: &str, words: &str, falls_short_in, mean: &str, worst: &str| ConsideredPlan {
        cheapest_for: cheapest_for.to_owned(),
        words: words.to_owned(),
        falls_short_in,
        mean_regret: decimal(mean),
        worst_regret: decimal(worst),
    };
    Uncertainty {
        mean_cost: Some((sum / Decimal::from(PEAKS.len())).round_dp(2)),
        worlds,
        plans: vec![
            plan(
                "the medians",
                "8 × own.dgx_h100_8 at hz1, owned; runs tp 4 at use1",
                0,
                "7500.00",
                "12000.00",
            ),
            plan(
                "world 12",
                "12 × own.dgx_h100_8 at hz1, owned; runs tp 4 at use1",
                0,
                "31250.00",
                "90000.00",
            ),
            plan("peak at its lower bound", "nothing for a term; runs tp 4 at use1", 2, "5000.00", "9000.00"),
        ],
        regret_parts: vec![
            RegretPart { option: Some(PurchaseOption::Owned), mean: decimal("-2500.00") },
            RegretPart { option: Some(PurchaseOption::OnDemand), mean: decimal("10000.00") },
        ],
        swings: vec![Swing {
            quantity: "peak".to_owned(),
            at_low: Some(decimal("5003000.00")),
            at_high: Some(decimal("7212000.00")),
        }],
    }
}

/// Returns the one scenario of the example: machines that are bought cost 3.5 times as much.
pub fn scenarios(cost: &Cost) -> Vec<ScenarioOutcome> {
    vec![ScenarioOutcome {
        name: "flash_shock".to_owned(),
        changes: vec![Override {
            path: "own.dgx_h100_8.price".to_owned(),
            change: "*= 3.5".to_owned(),
            from: "flash_shock".to_owned(),
        }],
        status: Status::Feasible,
        total: Some(cost.total + decimal("310000.00")),
        net_present: Some(cost.net_present + decimal("280000.00")),
        levels_met: 2,
        levels: 2,
        differs: vec!["nodes bought of hz1/own.dgx_h100_8 owned: 8 → none".to_owned()],
        problems: Vec::new(),
    }]
}
