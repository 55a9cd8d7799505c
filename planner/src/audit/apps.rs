//! Do services and notebooks have all that they ask for, where they may run?

use super::Check;
use crate::spares;
use capstan_types::blueprint::{AppRun, AuditCheck, Blueprint, HOURS};
use capstan_types::spec::{App, Slice};

/// Share of threads and memory that a machine keeps for itself.
const KEPT_FREE: f64 = 0.1;

/// Every service and every group of notebooks runs at one place that is allowed, with all its instances at every hour, and
/// a machine holds no more of them than its accelerators, threads and memory do.
pub(super) fn carried(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("apps: instances, parts of accelerators, threads and memory");
    let (asked, there) = (blueprint.inputs.spec.apps.len(), blueprint.apps.len());
    check.that(asked == there, || format!("{asked} are asked for, {there} run"));
    for app in &blueprint.inputs.spec.apps {
        let runs: Vec<&AppRun> = blueprint.apps.iter().filter(|run| run.workload == app.name).collect();
        let [run] = runs.as_slice() else {
            check.that(false, || format!("`{}` runs at {} places", app.name, runs.len()));
            continue;
        };
        instances(&mut check, blueprint, app, run);
        held(&mut check, blueprint, app, run);
    }
    for run in &blueprint.apps {
        let asked = blueprint.inputs.spec.apps.iter().any(|app| app.name == run.workload);
        check.that(asked, || format!("nobody asks for `{}`", run.workload));
    }
    check.done()
}

fn instances(check: &mut Check, blueprint: &Blueprint, app: &App, run: &AppRun) {
    let name = &app.name;
    let short = (0..HOURS).find(|&hour| {
        let asked = app.instances_at(hour);
        let there = run.instances.get(hour).copied().unwrap_or(0);
        there < asked + if asked > 0 { run.spares } else { 0 }
    });
    check.that(short.is_none(), || format!("`{name}` has too few instances at hour {}", short.unwrap_or(0)));
    let allowed =
        |list: &Option<Vec<String>>, one: &String| list.as_ref().is_none_or(|list| list.contains(one));
    check.that(allowed(&app.sites, &run.site), || format!("`{name}` may not run at {}", run.site));
    check.that(run.part == app.part, || {
        format!("`{name}` has another part of an accelerator than it asks for")
    });
    let own = blueprint.inputs.spec.sites.iter().any(|site| site.name == run.site && site.is_own());
    let up = spares::at_least(app.instances, app.instances + run.spares, spares::node_availability(own));
    check.that(app.availability.as_ref().is_none_or(|asked| up >= asked.value), || {
        format!("`{name}` has its {} instances for {up:.5} of the time, too little", app.instances)
    });
}

fn held(check: &mut Check, blueprint: &Blueprint, app: &App, run: &AppRun) {
    let name = &app.name;
    let Some(shape) = blueprint.inputs.catalog.shape(&run.shape) else {
        check.that(false, || format!("`{name}` runs on {}, which nobody knows", run.shape));
        return;
    };
    let each = f64::from(run.per_node);
    let fits = |has: Option<f64>, asked: f64| {
        has.is_none_or(|has| each * asked <= has * (1.0 - KEPT_FREE) * (1.0 + 1e-9))
    };
    check.that(run.per_node > 0 && fits(shape.vcpus.map(f64::from), app.threads), || {
        format!("{} instances of `{name}` take more threads than {} has", run.per_node, run.shape)
    });
    check.that(fits(shape.host_memory.map(|memory| memory.get()), app.memory.get()), || {
        format!("{} instances of `{name}` take more memory than {} has", run.per_node, run.shape)
    });
    let Some(part) = &app.part else {
        check.that(shape.accelerators == 0, || {
            format!("`{name}` fills machines of {} by {}", run.shape, run.per_node)
        });
        return;
    };
    let chip = shape.accelerator.as_deref().and_then(|id| blueprint.inputs.catalog.accelerator(id));
    let named =
        chip.is_some_and(|chip| app.accelerators.as_ref().is_none_or(|names| names.contains(&chip.id)));
    check.that(named, || format!("`{name}` may not use the accelerators of {}", run.shape));
    let most = match part {
        Slice::Whole => 1.0,
        Slice::Share { share } => 1.0 / share + 1e-9,
        Slice::Profile { profile } => chip.map_or(0.0, |chip| {
            chip.slices
                .iter()
                .find(|slice| slice.profile == *profile)
                .map_or(0.0, |slice| f64::from(slice.most))
        }),
    };
    check.that(run.per_accelerator > 0 && f64::from(run.per_accelerator) <= most, || {
        format!("{} instances of `{name}` share an accelerator that holds {most:.0}", run.per_accelerator)
    });
    check.that(run.per_node <= run.per_accelerator * shape.accelerators, || {
        format!(
            "{} instances of `{name}` share a machine of {} accelerators",
            run.per_node, shape.accelerators
        )
    });
}

#[cfg(test)]
mod tests {
    use super::super::tests::caught_by;
    use super::carried;
    use capstan_types::blueprint::{AppRun, Blueprint};
    use capstan_types::spec::{AppKind, Slice};
    use capstan_types::testing::blueprint::{chat_blueprint, notebooks};

    /// Forty notebooks on slices of the machines that stand there.
    fn with_notebooks(blueprint: &mut Blueprint) {
        let notebooks = notebooks();
        let part = notebooks.part.clone();
        blueprint.inputs.spec.apps.push(notebooks);
        let pool = &blueprint.pools[0];
        blueprint.apps.push(AppRun {
            workload: "notebooks".to_owned(),
            kind: AppKind::Workspace,
            image: None,
            site: pool.site.clone(),
            shape: pool.shape.clone(),
            part,
            instances: vec![40; 48],
            spares: 0,
            per_accelerator: 7,
            per_node: 56,
        });
    }

    fn seen(change: impl FnOnce(&mut Blueprint)) {
        caught_by("apps", |blueprint| {
            with_notebooks(blueprint);
            change(blueprint);
        });
    }

    #[test]
    fn what_is_carried_passes() {
        let mut blueprint = chat_blueprint();
        with_notebooks(&mut blueprint);
        assert_eq!(carried(&blueprint).violations, Vec::<String>::new());
    }

    #[test]
    fn a_slice_too_many_and_an_instance_too_few_are_caught() {
        seen(|b| b.apps[0].per_accelerator = 8);
        seen(|b| b.apps[0].per_node = 200);
        seen(|b| b.apps[0].instances[10] -= 1);
        seen(|b| b.apps[0].part = Some(Slice::Whole));
        seen(|b| b.apps[0].site = "use1".to_owned());
        seen(|b| b.apps[0].workload = "another".to_owned());
        seen(|b| b.apps.clear());
        seen(|b| b.inputs.spec.apps[0].accelerators = Some(Vec::new()));
    }
}
