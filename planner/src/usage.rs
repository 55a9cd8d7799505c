//! What does each workload use? Accelerator-hours that it is charged, and the requests and tokens of its mean demand.

use crate::apps;
use crate::columns::charged;
use crate::cost::{Usage, Used};
use crate::demand;
use crate::egress;
use crate::frame::Frame;
use crate::plan::Turn;
use capstan_types::blueprint::{AppRun, BatchRun, Placement};
use capstan_types::spec::Batch;

/// Returns what each workload uses: accelerator-hours charged, and the tokens of its mean demand.
pub(crate) fn usage(frame: &Frame<'_>, turn: &Turn<'_>) -> Vec<Usage> {
    let mut usage = Vec::new();
    for serve in &turn.serves[..frame.spec.serves.len()] {
        let service = turn.draft.services.iter().find(|service| service.workload == serve.serve.name);
        let placements = service.iter().flat_map(|service| &service.placements);
        let used = |placement: &Placement| Used {
            site: placement.site.clone(),
            shape: placement.candidate.shape.clone(),
            hours: charged_hours(frame, placement),
            accelerators: true,
        };
        let requests = frame.periods.iter().map(|period| demand::requests(&serve.serve.load, period));
        let requests: f64 = requests.sum();
        let (counted, prompt, output) = serve.serve.counts();
        usage.push(Usage {
            workload: serve.serve.name.clone(),
            on: placements.map(used).collect(),
            sent: service.map_or_else(Vec::new, |service| {
                egress::sent(serve.serve, &serve.demand, service, &frame.periods)
            }),
            requests: requests * counted,
            prompt_tokens: requests * prompt,
            output_tokens: requests * output,
        });
    }
    for run in &turn.draft.trainings {
        let per_node = frame.catalog.shape(&run.candidate.shape).map_or(0, |shape| shape.accelerators);
        let nodes = f64::from(run.candidate.nodes + run.spare_nodes);
        let train = frame.spec.trains.iter().find(|train| train.name == run.workload);
        usage.push(Usage {
            workload: run.workload.clone(),
            on: vec![Used {
                site: run.site.clone(),
                shape: run.candidate.shape.clone(),
                hours: nodes * f64::from(per_node) * run.hours * run.share_of_week(),
                accelerators: true,
            }],
            sent: Vec::new(),
            requests: 0.0,
            prompt_tokens: train.map_or(0.0, |train| train.tokens.get()),
            output_tokens: 0.0,
        });
    }
    usage.extend(turn.draft.batches.iter().map(|run| offline_usage(frame, run)));
    usage.extend(turn.draft.apps.iter().map(|run| app_usage(frame, run)));
    usage
}

/// Returns what offline inference uses: all hours of its replicas, and every request.
fn offline_usage(frame: &Frame<'_>, run: &BatchRun) -> Usage {
    let per_node = frame.catalog.shape(&run.candidate.shape).map_or(0, |shape| shape.accelerators);
    let each = f64::from(charged(&run.candidate, per_node));
    let batch = frame.spec.batches.iter().find(|batch| batch.name == run.workload);
    let (prompt_tokens, output_tokens) = batch.map_or((0.0, 0.0), Batch::tokens);
    Usage {
        workload: run.workload.clone(),
        on: vec![Used {
            site: run.site.clone(),
            shape: run.candidate.shape.clone(),
            hours: run.replica_hours * each,
            accelerators: true,
        }],
        sent: Vec::new(),
        requests: run.requests,
        prompt_tokens,
        output_tokens,
    }
}

/// Returns what a service or group of notebooks uses: accelerators where it has some, parts of machines otherwise.
fn app_usage(frame: &Frame<'_>, run: &AppRun) -> Usage {
    let shape = frame.catalog.shape(&run.shape);
    let mut units = 0.0;
    for period in &frame.periods {
        for hour in 0..run.instances.len() {
            let taken = shape.map_or(0, |shape| apps::units_at(run, shape, hour));
            units += f64::from(taken) * demand::hour_weight(hour, period);
        }
    }
    Usage {
        workload: run.workload.clone(),
        on: vec![Used {
            site: run.site.clone(),
            shape: run.shape.clone(),
            hours: units,
            accelerators: run.per_accelerator > 0,
        }],
        sent: Vec::new(),
        requests: 0.0,
        prompt_tokens: 0.0,
        output_tokens: 0.0,
    }
}

/// Returns the accelerator-hours that a placement is charged over the horizon.
fn charged_hours(frame: &Frame<'_>, placement: &Placement) -> f64 {
    let per_node = frame.catalog.shape(&placement.candidate.shape).map_or(0, |shape| shape.accelerators);
    let each = f64::from(charged(&placement.candidate, per_node));
    let periods = placement.replicas.iter().zip(&frame.periods);
    periods
        .map(|(hours, period)| {
            let at = hours.iter().enumerate();
            at.map(|(hour, &n)| f64::from(n) * each * demand::hour_weight(hour, period)).sum::<f64>()
        })
        .sum()
}
