//! How far do measurements lie around the times of what was chosen, and does a deadline hold at the slow end?
//!
//! A service's intervals are those of a closed loop of the same configuration with as many requests in flight: nobody
//! published enough open loops to say it of them. A training's came with its step. What is planned is the prediction
//! itself; the interval says what to measure before the money is spent.

use crate::frame::Frame;
use crate::outlook::{Ask, Load, On, around};
use capstan_sim::tables::Names;
use capstan_types::blueprint::{Band, Placement, Service, ServiceInterval, TrainingRun};
use capstan_types::catalog::Catalog;
use capstan_types::figure;
use capstan_types::finding::{Finding, Severity};
use capstan_types::hardware::Precision;
use capstan_types::outlook::Ranged;
use capstan_types::spec::{Parallelism, Serve};

/// A deadline that holds as predicted and not at the slow end of the interval.
const LATE_IF_SLOW: &str = "W0363";

/// Requests in flight beyond which none are asked for.
const MOST_IN_FLIGHT: f64 = 4096.0;

/// Fills in the intervals of every placement; `rows` are the catalog rows that the plan stands on.
pub(crate) fn fill_in(frame: &Frame<'_>, rows: &Catalog, services: &mut [Service]) {
    let known = Catalog { residuals: frame.catalog.residuals.clone(), ..rows.clone() };
    let names = Names::new(&known);
    for service in services {
        let Some(serve) = frame.spec.serves.iter().find(|serve| serve.name == service.workload) else {
            continue;
        };
        for placement in &mut service.placements {
            placement.interval = interval(&known, &names, serve, placement);
        }
    }
}

fn interval(
    known: &Catalog,
    names: &Names<'_>,
    serve: &Serve,
    placement: &Placement,
) -> Option<ServiceInterval> {
    let candidate = &placement.candidate;
    let model = known.models.iter().find(|model| model.id == serve.model)?;
    let accelerator = known.accelerator(&candidate.accelerator)?;
    let engine = known.engine(&candidate.engine)?;
    let tokens = |mean: f64| mean.round().clamp(1.0, f64::from(u32::MAX)) as u32;
    let ask = Ask {
        catalog: known,
        model,
        engine,
        engine_version: &engine.version,
        on: On::Accelerator(accelerator),
        fixed: Parallelism { pipeline: Some(candidate.pipeline), ..Parallelism::default() },
        precision: candidate.precision,
        kv_precision: (candidate.kv_precision == Precision::Fp8).then_some(Precision::Fp8),
        input: tokens(serve.load.prompt.mean),
        output: tokens(serve.load.output.mean),
        load: Load::Closed { from: 1, to: 1 },
        price: None,
        seed: 0,
    };
    let in_flight = placement.estimate.batch.round().clamp(1.0, MOST_IN_FLIGHT) as u32;
    let (ttft, tpot, because) = around(&ask, accelerator, candidate.degrees(), in_flight, names).ok()?;
    Some(ServiceInterval { ttft: band(ttft)?, tpot: band(tpot)?, because })
}

/// Returns the ends as multiples of the prediction; none of a time that is nothing.
fn band(time: Ranged) -> Option<Band> {
    (time.value > 0.0).then(|| Band { low: time.low / time.value, high: time.high / time.value })
}

/// Returns a warning for each training that is done in time as predicted, and too late if its steps take as long as the
/// slow end of the interval says.
pub(crate) fn late_if_slow(frame: &Frame<'_>, runs: &[TrainingRun]) -> Vec<Finding> {
    let late = |run: &TrainingRun| {
        let train = frame.spec.trains.iter().find(|train| train.name == run.workload)?;
        let finish = train.finish.as_ref()?;
        let interval = run.interval.as_ref()?;
        let slow = run.end_at(interval.step.high);
        (slow > finish.value).then(|| Finding {
            code: LATE_IF_SLOW.to_owned(),
            severity: Severity::Warning,
            message: format!(
                "`{}` is done on {} as predicted, and only on {slow} if its steps take as long as the slow end of \
                 the 90 % interval",
                run.workload, run.end
            ),
            places: vec![(finish.place.clone(), format!("a step takes {} as predicted", figure::span(run.step)))],
            because: interval.because.clone(),
            ways_out: vec![
                "an earlier `finish` keeps time in hand; one measured step narrows the interval: `capstan calibrate`"
                    .to_owned(),
            ],
        })
    };
    runs.iter().filter_map(late).collect()
}
