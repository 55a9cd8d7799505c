//! Does everything fit in memory, and is nothing faster than its memory and its arithmetic allow?

use super::{Check, batches};
use capstan_types::blueprint::{AuditCheck, Blueprint, Candidate, HOURS, Placement, TrainingRun};
use capstan_types::figure;
use capstan_types::hardware::Accelerator;
use capstan_types::model::Model;
use capstan_types::spec::{Serve, Speculative, Train, TrainMethod};
use capstan_types::units::Bytes;

pub(super) fn model<'a>(blueprint: &'a Blueprint, id: &str) -> Option<&'a Model> {
    blueprint.inputs.spec.models.iter().find(|model| model.id == id)
}

pub(super) fn chip<'a>(blueprint: &'a Blueprint, id: &str) -> Option<&'a Accelerator> {
    blueprint.inputs.catalog.accelerators.iter().find(|chip| chip.id == id)
}

/// One placement with the rows it stands on.
struct Serving<'a> {
    serve: &'a Serve,
    placement: &'a Placement,
    model: &'a Model,
    chip: &'a Accelerator,
}

fn serving(blueprint: &Blueprint) -> Vec<Serving<'_>> {
    let mut found = Vec::new();
    for serve in &blueprint.inputs.spec.serves {
        let services = blueprint.services.iter().filter(|service| service.workload == serve.name);
        for placement in services.flat_map(|service| &service.placements) {
            let rows = (model(blueprint, &serve.model), chip(blueprint, &placement.candidate.accelerator));
            if let (Some(model), Some(chip)) = rows {
                found.push(Serving { serve, placement, model, chip });
            }
        }
    }
    found
}

/// Parameters that a token visits beyond the input embedding, which is looked up and not multiplied.
pub(super) fn multiplied(model: &Model) -> f64 {
    let embedding = if model.tied { 0.0 } else { f64::from(model.vocab) * f64::from(model.hidden) };
    (model.params_active_b * 1e9 - embedding).max(0.0)
}

/// Weights and cache of a rank fit into the memory that programs can use, which the chip has.
pub(super) fn memory(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("memory: weights, cache and states fit");
    for Serving { serve, placement, model, chip } in serving(blueprint) {
        let estimate = &placement.estimate;
        let name = format!("`{}` at {}", serve.name, placement.site);
        let held = (estimate.kv_tokens, estimate.weights, estimate.memory);
        replica(&mut check, &name, (model, chip), &placement.candidate, held);
    }
    for run in &blueprint.batches {
        let rows = (model(blueprint, &run.model), chip(blueprint, &run.candidate.accelerator));
        let (Some(model), Some(chip)) = rows else {
            check.that(false, || format!("`{}` runs what is not embedded", run.workload));
            continue;
        };
        let estimate = &run.estimate;
        let name = format!("`{}` at {}", run.workload, run.site);
        let held = (estimate.kv_tokens, estimate.weights, estimate.memory);
        replica(&mut check, &name, (model, chip), &run.candidate, held);
    }
    for run in &blueprint.trainings {
        // Where just as much is recomputed as must be, the memory is full to the last bit.
        check.that(run.needed.get() <= run.memory.get() * (1.0 + 1e-9), || {
            let (needed, free) = (figure::data(run.needed), figure::data(run.memory));
            format!("`{}` needs {needed} on one accelerator, {free} are free", run.workload)
        });
    }
    check.done()
}

/// Weights and cache of one rank of a replica fit.
fn replica(
    check: &mut Check,
    name: &str,
    (model, chip): (&Model, &Accelerator),
    candidate: &Candidate,
    (kv_tokens, weights, memory): (u64, Bytes, Bytes),
) {
    let ranks = f64::from(candidate.degrees().accelerators().max(1));
    // Heads are shared out until each rank has one; a compressed vector is held by every rank.
    let heads = if model.latent.is_some() { 1 } else { candidate.tensor.clamp(1, model.kv_heads.max(1)) };
    let cache = model.kv_bytes_per_token(candidate.kv_precision).get() * kv_tokens as f64
        / f64::from(heads * candidate.pipeline.max(1) * candidate.data.max(1));
    // A window lets layers forget, so that tokens take less than the formula says.
    let cache = if model.window.is_some() { 0.0 } else { cache };
    let held = weights + Bytes(cache);
    check.that(held.get() <= memory.get() * (1.0 + 1e-3), || {
        format!("{name}: {} are held, {} are free", figure::data(held), figure::data(memory))
    });
    check.that(memory.get() <= chip.programmable_memory().0.get(), || {
        format!("{name}: {} are free on {}, which has less", figure::data(memory), chip.id)
    });
    // No rank holds less than its share; 0.98 leaves room for embeddings that stand on one rank only.
    let least = Bytes(model.params_total_b * 1e9 * candidate.precision.weight_bytes() / ranks * 0.98);
    check.that(weights.get() >= least.get() || candidate.pipeline > 1, || {
        format!("{name}: weights of {} per rank, at least {}", figure::data(weights), figure::data(least))
    });
}

/// Share by which a batch may be rounded so that it divides over the ranks.
const ROUNDING: f64 = 0.05 + 1e-9;

/// No step reads weights faster than memory, and no rate needs more arithmetic than the chips have.
///
/// A decode step of one token reads the weights that it visits once: time ≥ bytes / (tensor · bandwidth).
/// A token takes at least two operations per parameter: rate · tokens · 2 · parameters ≤ chips · peak.
pub(super) fn speed(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("physics: nothing is faster than memory and arithmetic allow");
    for Serving { serve, placement, model, chip } in serving(blueprint) {
        let (candidate, estimate) = (&placement.candidate, &placement.estimate);
        let name = format!("`{}` at {}", serve.name, placement.site);
        let active = multiplied(model);
        let bytes = active * candidate.precision.weight_bytes();
        // Of drafted tokens a pass over the weights may yield several.
        let yields = serve.speculative.as_ref().map_or(1.0, Speculative::tokens_per_step);
        let least =
            bytes / (f64::from(candidate.degrees().of_stage().max(1)) * chip.memory_bandwidth.get() * yields);
        check.that(estimate.tpot.get() >= least, || {
            format!(
                "{name}: a token every {}, the weights alone take {}",
                figure::span(estimate.tpot),
                span(least)
            )
        });
        let seen = blueprint.verdicts.iter().filter(|verdict| verdict.workload == serve.name);
        for verdict in
            seen.filter(|verdict| verdict.site == placement.site && verdict.metric.word() == "tpot")
        {
            check.that(verdict.seen.get() >= least, || {
                format!(
                    "{name}: {} was simulated, the weights alone take {}",
                    figure::span(verdict.seen),
                    span(least)
                )
            });
        }
        let Some(peak) = chip.peak(chip.math_of(candidate.precision)) else {
            check.that(false, || {
                format!("{name}: {} cannot compute in {}", chip.id, candidate.precision.word())
            });
            continue;
        };
        let chips = f64::from(candidate.accelerators) * peak.get();
        let computed = serve.least_computed();
        let tokens = serve.load.prompt.mean * computed + serve.load.output.mean;
        let asked = estimate.rate.get() * tokens * 2.0 * active;
        check.that(asked <= chips, || {
            format!("{name}: {} FLOP/s asked of {} FLOP/s", figure::large(asked), figure::large(chips))
        });
        let median = serve.load.prompt.quantile(0.5) * computed * 2.0 * active / chips;
        check.that(estimate.ttft.get() >= median, || {
            format!(
                "{name}: first token after {}, the median prompt takes {}",
                figure::span(estimate.ttft),
                span(median)
            )
        });
    }
    batches::speed(&mut check, blueprint);
    check.done()
}

fn span(seconds: f64) -> String {
    figure::span(capstan_types::units::Seconds(seconds))
}

/// Training sees all its tokens in the time it has, at no more than peak, in ranks that exist.
pub(super) fn training(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("training: tokens, time and arithmetic");
    for train in &blueprint.inputs.spec.trains {
        let Some(run) = blueprint.trainings.iter().find(|run| run.workload == train.name) else {
            check.that(false, || format!("`{}` runs nowhere", train.name));
            continue;
        };
        job(&mut check, blueprint, train, run);
    }
    check.done()
}

fn job(check: &mut Check, blueprint: &Blueprint, train: &Train, run: &TrainingRun) {
    let name = &train.name;
    let (held, stopped) = super::batches::week(&run.at_hours);
    let moving = run.hours * (held - stopped * run.resume.get() / 3600.0);
    let seen = run.tokens_per_s * run.goodput * moving * 3600.0;
    check.that(train.interruptible || run.at_hours.is_empty(), || {
        format!("`{name}` is interrupted, which the plan forbids")
    });
    check.that(run.at_hours.is_empty() || run.at_hours.len() == HOURS, || {
        format!("`{name}` runs or rests at {} of {HOURS} hours", run.at_hours.len())
    });
    check.that(seen >= train.tokens.get() * (1.0 - 1e-3), || {
        format!("`{name}` sees {} of {} tokens", figure::large(seen), figure::large(train.tokens.get()))
    });
    check.that(run.goodput > 0.0 && run.goodput <= 1.0, || {
        format!("`{name}` has a goodput of {}", run.goodput)
    });
    let rounded = run.batch.get() / train.batch.get();
    check.that((rounded - 1.0).abs() <= ROUNDING, || {
        let (run, asked) = (figure::large(run.batch.get()), figure::large(train.batch.get()));
        format!("`{name}` has batches of {run} tokens where {asked} are asked")
    });
    let held = 2.0 * run.checkpoint.get() / f64::from(run.candidate.nodes.max(1));
    check.that((run.checkpoint_host.get() - held).abs() <= 1e-6 * held, || {
        format!("`{name}` takes {} of each machine to save", figure::data(run.checkpoint_host))
    });
    let fits = run.host_memory.is_none_or(|memory| memory.get() >= held);
    let told = blueprint.findings.iter().any(|finding| finding.code == "W0362");
    check.that(fits || told, || {
        format!("`{name}` saves more at once than its machines hold, and nothing says so")
    });
    let steps = run.batch.get() / run.step.get();
    check.that((steps - run.tokens_per_s).abs() <= 1e-3 * run.tokens_per_s, || {
        format!(
            "`{name}`: a step of {} is {steps:.0} token/s, not {:.0}",
            figure::span(run.step),
            run.tokens_per_s
        )
    });
    check.that(train.start.as_ref().is_none_or(|limit| run.start >= limit.value), || {
        format!("`{name}` starts on {}, too early", run.start)
    });
    check.that(train.finish.as_ref().is_none_or(|limit| run.end <= limit.value), || {
        format!("`{name}` ends on {}, too late", run.end)
    });
    let every = train.checkpoint.every.as_ref().map_or(f64::INFINITY, |limit| limit.value.get());
    check.that(run.checkpoint_interval.get() <= every * (1.0 + 1e-9), || {
        format!("`{name}` saves every {}, {} is asked", figure::span(run.checkpoint_interval), span(every))
    });
    let shape = blueprint.inputs.catalog.shapes.iter().find(|shape| shape.id == run.candidate.shape);
    let chips = shape.map_or(0, |shape| shape.accelerators) * run.candidate.nodes;
    let ranks = run.candidate.tensor * run.candidate.pipeline * run.candidate.data;
    check.that(ranks <= chips, || format!("`{name}` has {ranks} ranks on {chips} accelerators"));
    let rows = (model(blueprint, &train.model), chip(blueprint, &run.candidate.accelerator));
    if let (Some(model), Some(chip)) = rows {
        let peak = chip.peak(run.candidate.precision).map_or(0.0, |peak| peak.get()) * f64::from(chips);
        // Forward and backward: six operations per parameter and token, four where the parameters stay as they are.
        let each = if train.method == TrainMethod::Full { 6.0 } else { 4.0 };
        let asked = run.tokens_per_s * each * multiplied(model);
        check.that(asked <= peak && run.model_flops_utilization <= 1.0, || {
            format!("`{name}`: {} FLOP/s asked of {} FLOP/s", figure::large(asked), figure::large(peak))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::caught_by;
    use capstan_types::hardware::Precision;
    use capstan_types::units::{Bytes, FlopPerSecond, RequestsPerSecond, Seconds};

    #[test]
    fn what_does_not_fit_is_caught() {
        caught_by("memory", |b| b.services[0].placements[0].estimate.kv_tokens *= 2);
        caught_by("memory", |b| b.services[0].placements[0].estimate.memory = Bytes(90e9));
        caught_by("memory", |b| b.services[0].placements[0].estimate.weights = Bytes(20e9));
        caught_by("memory", |b| b.trainings[0].needed = Bytes(84e9));
    }

    #[test]
    fn what_is_faster_than_light_is_caught() {
        caught_by("physics", |b| b.services[0].placements[0].estimate.tpot = Seconds(0.010));
        caught_by("physics", |b| b.verdicts[1].seen = Seconds(0.010));
        caught_by("physics", |b| b.services[0].placements[0].estimate.rate = RequestsPerSecond(20.0));
        caught_by("physics", |b| b.services[0].placements[0].estimate.ttft = Seconds(0.01));
        caught_by("physics", |b| {
            b.inputs.catalog.accelerators[0].peaks.remove(&Precision::Bf16);
        });
    }

    #[test]
    fn training_that_cannot_be_is_caught() {
        caught_by("training", |b| b.trainings[0].goodput = 0.8);
        caught_by("training", |b| b.trainings[0].goodput = 1.2);
        caught_by("training", |b| b.trainings[0].step = Seconds(10.0));
        caught_by("training", |b| b.trainings[0].checkpoint_interval = Seconds(3600.0));
        caught_by("training", |b| b.trainings[0].candidate.data = 16);
        caught_by("training", |b| b.trainings.clear());
        caught_by("training", |b| {
            b.inputs.catalog.accelerators[0].peaks.insert(Precision::Bf16, FlopPerSecond(3e14));
        });
        caught_by("training", |b| b.trainings[0].end = b.inputs.spec.frame.end);
        caught_by("training", |b| b.trainings[0].start = b.inputs.spec.frame.start);
    }
}
