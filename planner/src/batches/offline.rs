//! Does one replica do what the closed form says while requests never run out?
//!
//! As many clients as the cache and the engine admit send the next request when one is answered. What is counted are
//! answers from the end of the second round to the last request that is sent: until then all clients have one in flight.

use crate::candidates::Way;
use crate::verify::{Trial, VerifyError, serving_config};
use capstan_sim::bridge::length;
use capstan_sim::serving::{ClosedLoop, Lengths, Workload, simulate};
use capstan_types::blueprint::OfflineSeen;
use capstan_types::catalog::Engine;
use capstan_types::spec::Serve;
use capstan_types::units::RequestsPerSecond;

/// Rounds of all clients, fewer where there are many, and rounds that are not counted.
const MOST_ROUNDS: u64 = 12;
const FEWEST_ROUNDS: u64 = 5;
const WARM_UP_ROUNDS: usize = 2;

/// Requests that are enough. Origin: chosen; a rate over so many differs between seeds by less than a percent.
const ENOUGH_REQUESTS: u64 = 12_000;

/// Simulates one replica of a way; none where it answers too little to say.
///
/// # Errors
/// See [`VerifyError`].
pub(crate) fn watch(
    serve: &Serve,
    way: &Way,
    engine: &Engine,
    seed: u64,
) -> Result<Option<OfflineSeen>, VerifyError> {
    let lengths = |source| VerifyError::Lengths { workload: serve.name.clone(), source };
    let clients = way.estimate.batch.floor().clamp(1.0, f64::from(u32::MAX)) as u32;
    let rounds = (ENOUGH_REQUESTS / u64::from(clients)).clamp(FEWEST_ROUNDS, MOST_ROUNDS);
    let stream = format!("offline/{}", serve.name);
    let workload = Workload::Closed(ClosedLoop {
        name: stream.clone(),
        clients,
        think_ns: 0,
        lengths: Lengths::Independent {
            prompt: length(&serve.load.prompt).map_err(lengths)?,
            output: length(&serve.load.output).map_err(lengths)?,
        },
        max_tokens: u32::MAX,
        max_requests: rounds * u64::from(clients),
    });
    let config = serving_config(&trial(serve, way, engine, seed), 1);
    let ran = simulate(&config, &*way.step, &workload, seed, 0)
        .map_err(|source| VerifyError::Config { workload: serve.name.clone(), source })?;
    let mut ends: Vec<f64> =
        ran.records.iter().filter(|one| one.e2e_ns().is_some()).map(|one| one.completed.seconds()).collect();
    ends.sort_by(f64::total_cmp);
    let all = clients as usize;
    let (from, until) = (WARM_UP_ROUNDS * all, ends.len().saturating_sub(all));
    let seen = ends.get(from).zip(ends.get(until)).filter(|(from, until)| until > from);
    Ok(seen.map(|(begin, end)| OfflineSeen {
        rate: RequestsPerSecond((until - from) as f64 / (end - begin)),
        clients,
        requests: (until - from) as u64,
        stream,
    }))
}

/// One replica of a way.
fn trial<'a>(serve: &'a Serve, way: &'a Way, engine: &'a Engine, seed: u64) -> Trial<'a> {
    let rate = way.estimate.rate.get();
    Trial {
        serve,
        way,
        engine,
        site: "",
        period: 0,
        hour: 0,
        rate,
        before: rate,
        capacity: rate,
        replicas: 1,
        trace: None,
        readers: None,
        seed,
    }
}
