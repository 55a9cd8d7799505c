//! Is everything where and what the plan allows: sites, accelerators, precisions, parallelism?

use super::Check;
use capstan_types::blueprint::{AuditCheck, Blueprint, Candidate};
use capstan_types::degrees::Degrees;
use capstan_types::hardware::Precision;
use capstan_types::spec::{Parallelism, Serve};

/// What one workload uses, and what it may use.
struct Use<'a> {
    workload: &'a str,
    site: &'a str,
    sites: Option<&'a [String]>,
    accelerator: &'a str,
    accelerators: Option<&'a [String]>,
    precision: Precision,
    precisions: &'a [Precision],
    degrees: Degrees,
    parallelism: &'a Parallelism,
    shape: &'a str,
}

fn uses(blueprint: &Blueprint) -> Vec<Use<'_>> {
    let spec = &blueprint.inputs.spec;
    let mut uses = Vec::new();
    for serve in &spec.serves {
        let services = blueprint.services.iter().filter(|service| service.workload == serve.name);
        for placement in services.flat_map(|service| &service.placements) {
            let candidate = &placement.candidate;
            uses.push(Use {
                workload: &serve.name,
                site: &placement.site,
                sites: serve.sites.as_deref(),
                accelerator: &candidate.accelerator,
                accelerators: serve.accelerators.as_deref(),
                precision: candidate.precision,
                precisions: &serve.precisions,
                degrees: candidate.degrees(),
                parallelism: &serve.parallelism,
                shape: &candidate.shape,
            });
        }
    }
    for train in &spec.trains {
        for run in blueprint.trainings.iter().filter(|run| run.workload == train.name) {
            uses.push(Use {
                workload: &train.name,
                site: &run.site,
                sites: train.sites.as_deref(),
                accelerator: &run.candidate.accelerator,
                accelerators: train.accelerators.as_deref(),
                precision: run.candidate.precision,
                precisions: &train.precisions,
                degrees: Degrees::plain(run.candidate.tensor, run.candidate.pipeline),
                parallelism: &train.parallelism,
                shape: &run.candidate.shape,
            });
        }
    }
    for batch in &spec.batches {
        for run in blueprint.batches.iter().filter(|run| run.workload == batch.name) {
            uses.push(Use {
                workload: &batch.name,
                site: &run.site,
                sites: batch.sites.as_deref(),
                accelerator: &run.candidate.accelerator,
                accelerators: batch.accelerators.as_deref(),
                precision: run.candidate.precision,
                precisions: &batch.precisions,
                degrees: run.candidate.degrees(),
                parallelism: &batch.parallelism,
                shape: &run.candidate.shape,
            });
        }
    }
    uses
}

fn listed(list: Option<&[String]>, name: &str) -> bool {
    list.is_none_or(|list| list.iter().any(|known| known == name))
}

/// Everything runs where and on what the plan allows.
pub(super) fn allowed(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("permission: sites, accelerators, precision and parallelism are allowed");
    for one in uses(blueprint) {
        let name = one.workload;
        let declared = blueprint.inputs.spec.sites.iter().any(|site| site.name == one.site);
        check.that(declared && listed(one.sites, one.site), || {
            format!("`{name}` may not run at {}", one.site)
        });
        check.that(listed(one.accelerators, one.accelerator), || {
            format!("`{name}` may not run on {}", one.accelerator)
        });
        check.that(one.precisions.is_empty() || one.precisions.contains(&one.precision), || {
            format!("`{name}` may not run in {}", one.precision.word())
        });
        check.that(one.parallelism.allows(one.degrees), || {
            format!("`{name}`: {} is not what the plan fixes", one.degrees.words())
        });
        let shape = blueprint.inputs.catalog.shapes.iter().find(|shape| shape.id == one.shape);
        let holds = shape.is_some_and(|shape| shape.accelerator.as_deref() == Some(one.accelerator));
        check.that(holds, || format!("`{name}`: {} does not hold {}", one.shape, one.accelerator));
    }
    for serve in &blueprint.inputs.spec.serves {
        let services = blueprint.services.iter().filter(|service| service.workload == serve.name);
        for placement in services.flat_map(|service| &service.placements) {
            engine(&mut check, serve, &placement.candidate);
        }
    }
    for batch in &blueprint.inputs.spec.batches {
        for run in blueprint.batches.iter().filter(|run| run.workload == batch.name) {
            engine(&mut check, &batch.served(), &run.candidate);
        }
    }
    check.done()
}

fn engine(check: &mut Check, serve: &Serve, candidate: &Candidate) {
    let name = &serve.name;
    check.that(candidate.engine == serve.engine, || {
        format!("`{name}` runs {}, not {}", candidate.engine, serve.engine)
    });
    let within = |asked: Option<u32>, used: u32| asked.is_none_or(|asked| used <= asked);
    let batch = within(serve.max_sequences, candidate.max_sequences)
        && within(serve.step_tokens, candidate.step_tokens);
    check.that(batch, || format!("`{name}` batches more than the plan allows"));
    let degrees = candidate.degrees();
    let even = degrees.of_each_expert().is_some() && candidate.accelerators == degrees.accelerators();
    check.that(even, || format!("`{name}`: {} accelerators for {}", candidate.accelerators, degrees.words()));
}

#[cfg(test)]
mod tests {
    use super::super::tests::caught_by;
    use capstan_types::hardware::Precision;

    #[test]
    fn what_the_plan_does_not_allow_is_caught() {
        caught_by("permission", |b| b.inputs.spec.serves[0].sites = Some(vec!["hz1".to_owned()]));
        caught_by("permission", |b| b.inputs.spec.sites[1].name = "usw2".to_owned());
        caught_by("permission", |b| b.inputs.spec.serves[0].accelerators = Some(vec!["l40s".to_owned()]));
        caught_by("permission", |b| b.inputs.spec.trains[0].precisions = vec![Precision::Fp8]);
        caught_by("permission", |b| b.inputs.spec.serves[0].parallelism.tensor = Some(8));
        caught_by("permission", |b| b.inputs.spec.serves[0].engine = "sglang".to_owned());
        caught_by("permission", |b| b.inputs.spec.serves[0].max_sequences = Some(64));
        caught_by("permission", |b| b.services[0].placements[0].candidate.accelerators = 8);
        caught_by("permission", |b| b.inputs.catalog.shapes[0].accelerator = Some("h200_sxm".to_owned()));
    }
}
