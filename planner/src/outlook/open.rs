//! Requests that arrive by themselves: as many replicas as a plan would place, simulated as a plan simulates them.

use super::Ask;
use super::run::{Run, Times};
use crate::candidates::{Served, Way, enumerate};
use crate::span::Group;
use crate::verify::{Trial, overhead_ns, watch};
use capstan_sim::serving::Estimates;
use capstan_sim::tables::{Names, RowError};
use capstan_types::degrees::Degrees;
use capstan_types::hardware::{Accelerator, NodeShape};
use capstan_types::origin::{Origin, Provenance};
use capstan_types::outlook::{Point, Ranged};
use capstan_types::spec::{Parallelism, Serve, SloMetric};

/// Returns what requests see that come at the rate of `serve`.
pub(super) fn point(
    ask: &Ask<'_>,
    serve: &Serve,
    accelerator: &Accelerator,
    most: u32,
    run: &Run<'_>,
    names: &Names<'_>,
) -> Result<Point, RowError> {
    let Degrees { tensor, pipeline, data, expert } = run.degrees();
    let [tensor, pipeline, data, expert] = [tensor, pipeline, data, expert].map(Some);
    let parallelism = Parallelism { tensor, pipeline, data, expert };
    let serve = &Serve { parallelism, ..serve.clone() };
    let way = way(ask, serve, accelerator, most)?;
    let rate = serve.load.peak.get();
    let needed = |rate: f64| (rate / way.estimate.rate.get()).ceil().clamp(1.0, f64::from(u32::MAX)) as u32;
    let replicas = needed(rate);
    let trial = Trial {
        serve,
        way: &way,
        engine: ask.engine,
        site: "anywhere",
        period: 0,
        hour: 0,
        rate,
        before: rate,
        capacity: way.estimate.rate.get(),
        replicas,
        trace: None,
        readers: None,
        seed: ask.seed,
    };
    let group = Group::of(&trial);
    let seen = watch(&trial, group, &[])
        .map_err(|error| RowError::NotPriced(format!("cannot be simulated: {error}")))?;
    let never = || RowError::NotPriced("no request was answered".to_owned());
    let (ttft, tpot) = (seen.ttft.ok_or_else(never)?, seen.tpot);
    let spread = Spread::of(run, names, group.rate * seen_e2e(&seen.e2e))?;
    let waiting = |per_mille: u32| overhead_ns(&trial, SloMetric::Ttft, f64::from(per_mille) / 1000.0);
    let at = |ns: f64, like: Ranged| spread.around(ns * 1e-9, like);
    let tpot_ns = |part: fn(&Estimates) -> f64| tpot.as_ref().map_or(0.0, part);
    let times = Times {
        ttft: at(ttft.mean.mean + waiting(500), spread.times.ttft),
        tpot: at(tpot_ns(|e| e.mean.mean), spread.times.tpot),
    };
    let tails = Times {
        ttft: at(ttft.p99.mean + waiting(990), spread.times.ttft),
        tpot: at(tpot_ns(|e| e.p99.mean), spread.times.tpot),
    };
    let mut point = run.point(spread.running, times);
    let fixed = Ranged { value: rate, low: rate, high: rate, origin: Origin::Simulated };
    point.concurrency = None;
    point.replicas = replicas;
    // A replica bears as much less as its steps take longer.
    let end = |tpot: f64| needed(rate * if times.tpot.value > 0.0 { tpot / times.tpot.value } else { 1.0 });
    point.replicas_between = (end(times.tpot.low), end(times.tpot.high));
    point.ttft_p99_s = Some(tails.ttft);
    point.tpot_p99_s = Some(tails.tpot);
    point.requests_per_s = fixed;
    point.output_tokens_per_s = fixed.times(f64::from(ask.output));
    Ok(point)
}

/// Returns the way that a plan would take with this split.
fn way(ask: &Ask<'_>, serve: &Serve, accelerator: &Accelerator, most: u32) -> Result<Way, RowError> {
    // A bare machine around the chips: physics asks nothing else of it.
    let shape = NodeShape {
        id: accelerator.id.clone(),
        names: Vec::new(),
        provider: String::new(),
        accelerator: Some(accelerator.id.clone()),
        accelerators: most,
        vcpus: None,
        host_memory: None,
        nvme: None,
        scale_out: None,
        power: None,
        height_u: None,
        cooling: None,
        provenance: Provenance { ..accelerator.provenance.clone() },
    };
    let served = Served { serve, model: ask.model, draft: None, engine: ask.engine, offline: false };
    let found = enumerate(ask.catalog, &served, &[&shape]);
    let reason = found.rejections.first().map(|rejection| rejection.nearest.clone());
    let none = || RowError::NotPriced(reason.unwrap_or_else(|| "a plan would not split it so".to_owned()));
    found.ways.into_iter().next().ok_or_else(none)
}

fn seen_e2e(e2e: &Option<Estimates>) -> f64 {
    e2e.as_ref().map_or(0.0, |e2e| e2e.mean.mean * 1e-9)
}

/// How far measurements lie around predictions of this configuration, taken from its closed loop with as many requests
/// in flight: nobody published enough open loops to say it of them.
struct Spread {
    times: Times,
    running: u32,
}

impl Spread {
    fn of(run: &Run<'_>, names: &Names<'_>, in_flight: f64) -> Result<Self, RowError> {
        let running = in_flight.round().clamp(1.0, 4096.0) as u32;
        Ok(Self { times: run.times(running, names)?.0, running })
    }

    fn around(&self, value: f64, like: Ranged) -> Ranged {
        let share = |end: f64| if like.value > 0.0 { value * end / like.value } else { value };
        let origin = like.origin.weaker(Origin::Simulated);
        Ranged { value, low: share(like.low), high: share(like.high), origin }
    }
}
