//! Would fewer replicas do if the requests of a trace came at random? What its bursts cost.

use super::run::Stage;
use capstan_sim::engine::Time;
use capstan_sim::serving::{
    ConfigError, Lengths, OpenLoop, Rate, Record, Request, ServingConfig, Summary, Tally, Window, Workload,
    simulate_into,
};
use capstan_types::simulation::RandomArrivals;
use capstan_types::units::RequestsPerSecond;

/// Simulates Poisson arrivals with the mean rate and the lengths of a trace, on all replicas and on fewer.
pub(super) fn random_arrivals(
    stage: &Stage<'_>,
    rows: &[Request],
) -> Result<Option<RandomArrivals>, ConfigError> {
    let span = rows.iter().map(|row| row.arrival).max().unwrap_or(Time::ZERO);
    if stage.objectives.is_empty() || span == Time::ZERO {
        return Ok(None);
    }
    let rate = rows.len() as f64 / span.seconds();
    let workload = Workload::Open(OpenLoop {
        name: "random".to_owned(),
        rate: Rate::constant(rate),
        burstiness: 1.0,
        lengths: Lengths::Pairs(rows.iter().map(|row| (row.prompt, row.output)).collect()),
        max_tokens: u32::MAX,
        until: span,
        max_requests: u64::MAX,
    });
    let window = Window { from: Time::ZERO, until: span };
    let run = |n_replicas: u32| -> Result<Summary, ConfigError> {
        let config = ServingConfig { n_replicas, ..stage.config };
        let mut tally = Tally::new(window, &stage.objectives);
        let mut log = |_: u64, record: &Record| tally.add(record);
        let seed = stage.scene.question.seed;
        let totals = simulate_into(&config, &*stage.scene.way.step, &workload, seed, 0, &mut log)?;
        Ok(tally.summarize(&config, &totals.replicas, totals.stop, totals.end))
    };
    let holds = |summary: &Summary| {
        let mut seen = summary.attained.iter();
        seen.all(|seen| seen.quantile_ns.is_some_and(|ns| ns <= seen.objective.limit_ns))
    };
    let all = run(stage.config.n_replicas)?;
    let (mut bad, mut good) = (0, stage.config.n_replicas);
    while holds(&all) && bad + 1 < good {
        let middle = u32::midpoint(bad, good);
        if holds(&run(middle)?) { good = middle } else { bad = middle }
    }
    Ok(Some(RandomArrivals {
        rate: RequestsPerSecond(rate),
        replicas: holds(&all).then_some(good),
        ttft_p99_s: all.ttft.map(|ttft| ttft.p99_ns / 1e9),
    }))
}
