//! Where theory gives the answer, the simulator gives it too.

use capstan_sim::engine::{Fine, Time};
use capstan_sim::serving::{
    Batch, KvCache, Length, Lengths, Metric, Objective, OpenLoop, Rate, Request, ServingConfig, StepTable,
    StepTime, Stop, Verdict, Window, Workload, replicate, simulate,
};

/// Nanoseconds of a mean service.
const SERVICE_NS: f64 = 1e6;

/// One server that serves one request at a time, each in one step.
fn single_server() -> ServingConfig {
    ServingConfig::chunked(u32::MAX, 1, KvCache::new(1 << 24))
}

/// Poisson arrivals that keep the server busy for the share `load`; prompts of this length, outputs of one token.
fn poisson(load: f64, n: u64, prompt: Length) -> Workload {
    let rate = Rate::constant(load * 1e9 / SERVICE_NS);
    let lengths = Lengths::Independent { prompt, output: Length::Fixed(1) };
    let (burstiness, max_tokens, until) = (1.0, 1 << 24, Time::NEVER);
    Workload::Open(OpenLoop {
        name: "twin".into(),
        rate,
        burstiness,
        lengths,
        max_tokens,
        until,
        max_requests: n,
    })
}

/// The mean wait over independent runs lies within 3 standard errors of theory, and the standard error within 1.5 % of
/// theory, so that agreement means something.
fn waits(load: f64, n: usize, (prompt, tokens): (Length, f64), theory_ns: f64) {
    const RUNS: u32 = 24;
    let step = StepTable { by_tokens: vec![0.0, SERVICE_NS / tokens], ..StepTable::default() };
    let workload = poisson(load, n as u64, prompt);
    let means: Vec<f64> = (0..RUNS)
        .map(|replication| {
            let result = simulate(&single_server(), &step, &workload, 11, replication).unwrap();
            // The first tenth is warm-up; a queue relaxes in some 1 / (1 − load)² services (Cohen, The single server
            // queue, 1982), 25 at 80 % and 400 at 95 %.
            let waits: Vec<f64> = result.records[n / 10..]
                .iter()
                .map(|record| record.scheduled.since(record.arrival) as f64)
                .collect();
            waits.iter().sum::<f64>() / waits.len() as f64
        })
        .collect();
    let mean = means.iter().sum::<f64>() / f64::from(RUNS);
    let variance = means.iter().map(|m| (m - mean) * (m - mean)).sum::<f64>() / f64::from(RUNS - 1);
    let error = (variance / f64::from(RUNS)).sqrt();
    println!("load {load}: wait {mean:.0} ± {error:.0} ns, theory {theory_ns:.0} ns");
    assert!(error < 0.015 * theory_ns, "too noisy to tell: {error} against {theory_ns}");
    assert!((mean - theory_ns).abs() < 3.0 * error, "{mean} ± {error} against {theory_ns}");
}

/// Prompts of one token, each a service.
const CONSTANT: (Length, f64) = (Length::Fixed(1), 1.0);
/// Prompts of exponential length at a constant time per token; whole tokens add 0.005 %.
const EXPONENTIAL: (Length, f64) = (Length::Exponential(10_000.0), 10_000.0);

/// Mean wait of M/D/1 (Pollaczek and Khinchine); that of M/M/1 is twice as long.
fn m_d_1(load: f64) -> f64 {
    load * SERVICE_NS / (2.0 * (1.0 - load))
}

#[test]
fn constant_service_waits_as_m_d_1() {
    for load in [0.5, 0.8] {
        waits(load, 60_000, CONSTANT, m_d_1(load));
    }
}

#[test]
fn exponential_service_waits_as_m_m_1() {
    for load in [0.5, 0.8] {
        waits(load, 60_000, EXPONENTIAL, 2.0 * m_d_1(load));
    }
}

#[test]
#[ignore = "long: 3.4e7 arrivals"]
fn long_waits_at_95_percent_load_are_those_of_theory() {
    waits(0.95, 700_000, CONSTANT, m_d_1(0.95));
    waits(0.95, 700_000, EXPONENTIAL, 2.0 * m_d_1(0.95));
}

#[test]
fn a_lone_request_takes_exactly_the_sum_of_its_steps() {
    let step = StepTable {
        by_tokens: vec![0.0, 1_000.3, 1_100.7],
        by_sampled: vec![0.0, 10.1],
        per_decode_kv: 0.37,
        prefill_step: 55.5,
        per_pair_twice: 0.011,
        per_pair_over_context: 0.13,
    };
    let config = ServingConfig::chunked(256, 8, KvCache::new(1_000));
    let request = Request { arrival: Time::from_ns(12_345), prompt: 600, output: 100 };
    let result = simulate(&config, &step, &Workload::Trace(vec![request]), 1, 0).unwrap();
    let mut at = Fine::from(request.arrival);
    let mut run = |batch: &Batch| {
        at = at.plus(Fine::from_ns_f64(step.nanoseconds(batch)));
        at.floor()
    };
    let mut first_token = Time::ZERO;
    for (before, tokens) in [(0, 256), (256, 256), (512, 88)] {
        let mut batch = Batch::default();
        batch.add_prefill(before, tokens, before + tokens == 600);
        first_token = run(&batch);
    }
    let mut completed = Time::ZERO;
    for kv in 601..700 {
        completed = run(&Batch { decodes: 1, decode_kv: kv, ..Batch::default() });
    }
    let record = result.records[0];
    assert_eq!((record.first_token, record.completed), (first_token, completed));
    assert_eq!(result.outstanding_ns, u128::from(completed.since(request.arrival)));
    assert_eq!(result.stop, Stop::Drained);
}

/// The 95th percentile of an M/M/1 stay is ln 20 mean stays. Limits on both sides of it are decided, the right way.
#[test]
fn verdicts_are_right_on_both_sides_of_a_known_percentile() {
    let load = 0.5;
    let step = StepTable { by_tokens: vec![0.0, SERVICE_NS / 10_000.0], ..StepTable::default() };
    let workload = poisson(load, 20_000, Length::Exponential(10_000.0));
    let p95 = libm::log(20.0) * SERVICE_NS / (1.0 - load);
    let objective = |limit_ns| Objective { metric: Metric::E2e, quantile: 0.95, limit_ns, window_ns: None };
    let objectives = [objective(p95 * 1.1), objective(p95 * 0.9), objective(p95)];
    let window = Window { from: Time::from_seconds(1.0), until: Time::NEVER };
    let replicated = replicate(&single_server(), &step, &workload, 3, window, &objectives).unwrap();
    let verdicts: Vec<Verdict> = replicated.judged.iter().map(|judged| judged.verdict).collect();
    assert_eq!(verdicts, [Verdict::Met, Verdict::Missed, Verdict::Undecided]);
    assert_eq!(replicated.runs.len(), 64, "the undecided one asks for every batch");
    assert_eq!(replicated.judged[0].replications, 8, "the clear one does not");
    let share = replicated.judged[2].share.unwrap();
    assert!((share.mean - 0.95).abs() < 2.0 * share.half_width, "{share:?}");
}
