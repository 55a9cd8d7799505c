//! A simulation of the chat plan: one hour, a node that fails.

use crate::blueprint::VerdictStatus;
use crate::simulation::{
    Estimated, Latency, RandomArrivals, SIMULATION_FORMAT, SimulatedFailure, SimulatedHour, SimulatedLevel,
    SimulatedScaling, Simulation, TimelinePoint,
};
use crate::spec::SloMetric;
use crate::units::{RequestsPerSecond, Seconds};

fn about(mean: f64) -> Estimated {
    Estimated { mean, low: 0.97 * mean, high: 1.03 * mean }
}

fn latency(mean: f64) -> Option<Latency> {
    let point = |factor: f64| about(mean * factor);
    Some(Latency {
        mean_s: point(1.0),
        p50_s: point(0.8),
        p90_s: point(1.9),
        p95_s: point(2.4),
        p99_s: point(4.0),
        p999_s: point(6.5),
    })
}

fn chat_scaling() -> SimulatedScaling {
    let (target, starts, longest_start) = (6.4, 5, Seconds(312.0));
    SimulatedScaling { target, starts, longest_start, most_serving: 8, fewest_serving: 4, mean_paid: 6.7 }
}

fn chat_failure() -> SimulatedFailure {
    SimulatedFailure {
        what: "node fails".to_owned(),
        replicas: 2,
        at: Seconds(300.0),
        back: Seconds(500.0),
        attainment_before: Some(0.999),
        attainment_during: Some(0.91),
        attainment_after: Some(0.998),
        recovery: Some(Seconds(225.0)),
    }
}

/// Returns a simulation in which a level holds, and a node fails for a while.
pub fn chat_simulation() -> Simulation {
    let point = |index: u32| TimelinePoint {
        at_s: f64::from(index) * 75.0,
        waiting: if (4..7).contains(&index) { 9.0 } else { 0.5 },
        running: f64::from(40 + index),
        kv: 0.6,
        utilisation: 0.85,
        arrived: 1_500,
        completed: 1_480,
    };
    let level = SimulatedLevel {
        metric: SloMetric::Ttft,
        per_mille: 990,
        over: None,
        target: Seconds(0.5),
        seen_s: Some(about(0.4)),
        attainment: Some(about(0.995)),
        status: VerdictStatus::Met,
    };
    let random = RandomArrivals { rate: RequestsPerSecond(20.0), replicas: Some(5), ttft_p99_s: Some(0.21) };
    let run = SimulatedHour {
        workload: "chat".to_owned(),
        site: "use1".to_owned(),
        period: 0,
        hour: 14,
        rate: RequestsPerSecond(20.0),
        replicas: 8,
        arrivals: "Poisson".to_owned(),
        replications: 16,
        measured: Seconds(600.0),
        cut_short: false,
        cut_short_at: None,
        requests: 192_000,
        completed: 191_980,
        rejected: 0,
        lost: 20,
        restarted: 64,
        ttft: latency(0.1),
        tpot: latency(0.02),
        itl: latency(0.021),
        e2e: latency(4.0),
        goodput_per_s: about(19.8),
        served_per_s: about(20.0),
        utilisation: about(0.85),
        mean_batch: 5.4,
        peak_kv: 0.71,
        reused: None,
        background: None,
        levels: vec![level],
        failure: Some(chat_failure()),
        scaling: Some(chat_scaling()),
        random_arrivals: Some(random),
        timeline: (0..12).map(point).collect(),
    };
    Simulation {
        format: SIMULATION_FORMAT,
        tool: "0.1.0".to_owned(),
        plan: "chat".to_owned(),
        seed: 1,
        what_if: vec!["a node fails".to_owned()],
        status: VerdictStatus::Met,
        interrupted: false,
        runs: vec![run],
    }
}
