//! A training for each operator that can run it, from the plan to the files.

use crate::surroundings::Place;
use capstan_types::spec::JobKind;
use serde_json::Value;

const TRAINING: &str = r#"plan trained { currency = USD }
site cloud { provider = aws, region = "us-east-1" }
train domain {
  model       = "meta-llama/Llama-3.1-8B-Instruct"
  tokens      = 5 Gtok
  batch       = 1 Mtok
  sequence    = 8192 tok
  accelerator = h100_sxm
  parallelism = { tensor = 8, pipeline = 2 }
}
deploy kubernetes { training = { image = "registry.example.com/train:1.4", REST } }
"#;

#[test]
fn each_operator_gets_its_own_kind_and_nothing_of_another() {
    let place = Place::new();
    let kinds = ["trainjob", "pytorchjob", "mpijob", "tfjob", "rayjob", "jobset"];
    for (job, kind) in JobKind::ALL.into_iter().zip(kinds) {
        let rest = format!("job = {}, program = \"python train.py\"", job.word());
        let nodes = place.planned(TRAINING.replace("REST", &rest), 0).trainings[0].candidate.nodes;
        place.run(&["emit", "b.json", "--target", "kubernetes", "-o", kind]).exits(0);
        let index = place.read(&format!("{kind}/kubernetes/kustomization.yaml"));
        for other in kinds {
            let written = index.contains(&format!("30-domain/{other}.yaml"));
            assert_eq!(written, other == kind, "{kind}: {index}");
        }
        assert_eq!(index.contains("trainingruntime"), job == JobKind::TrainJob, "{index}");
        let text = place.read(&format!("{kind}/kubernetes/30-domain/{kind}.yaml"));
        let object: Value = serde_saphyr::from_str(&text).expect("YAML");
        let (path, of) = match job {
            JobKind::TrainJob => ("/spec/trainer/numNodes", 0),
            JobKind::PyTorchJob => ("/spec/pytorchReplicaSpecs/Worker/replicas", 1),
            JobKind::MpiJob => ("/spec/mpiReplicaSpecs/Worker/replicas", 0),
            JobKind::TfJob => ("/spec/tfReplicaSpecs/Worker/replicas", 1),
            JobKind::RayJob => ("/spec/rayClusterSpec/workerGroupSpecs/0/replicas", 0),
            JobKind::JobSet => ("/spec/replicatedJobs/0/template/spec/completions", 0),
        };
        assert_eq!(object.pointer(path), Some(&(nodes - of).into()), "{text}");
        // Without a queue it begins at once.
        assert!(!text.contains("suspend") && !text.contains("queue-name"), "{text}");
    }
}

#[test]
fn ray_is_told_which_program_it_starts() {
    let place = Place::new();
    place.write("p.plan", TRAINING.replace("REST", "job = ray_job"));
    let told = place.run(&["check", "p.plan"]).exits(1);
    assert!(told.err.contains("`ray_job` needs `program`"), "{}", told.told());
    place.write("p.plan", TRAINING.replace("REST", "job = job_set"));
    place.run(&["check", "p.plan"]).exits(0);
}

/// Two trainings of nearly two months each.
fn two(site: &str, of: [&str; 2]) -> String {
    let job = |name: &str, more: &str| {
        format!(
            "train {name} {{\n  model = \"meta-llama/Llama-3.1-8B-Instruct\"\n  tokens = 500 Gtok\n  batch = 2 Mtok\n  \
             sequence = 4096 tok\n  accelerator = h100_sxm\n  {more}\n}}\n"
        )
    };
    format!(
        "plan p {{ currency = USD, horizon = 2027-01-01 .. 2027-12-31 }}\n{site}{}{}",
        job("a", of[0]),
        job("b", of[1])
    )
}

#[test]
fn trainings_take_turns_on_one_machine() {
    let hall = "site hall { power <= 14 kW, pue = 1.25, energy_price = 0.1 USD/kWh }\n\
                fleet f { shape = own.hgx_h100_8, count = 1, site = hall }\n";
    let place = Place::new();
    let blueprint = place.planned(two(hall, ["", ""]), 0);
    let mut runs: Vec<_> =
        blueprint.trainings.iter().map(|run| (run.start, run.end, &run.candidate)).collect();
    runs.sort_by_key(|(start, ..)| *start);
    assert!(runs[1].0 > runs[0].1 && runs.iter().all(|(_, _, of)| of.nodes == 1), "{runs:?}");
    assert_eq!(runs[0].0.to_string(), "2027-01-01", "nobody waits for nobody");
    assert!(blueprint.audit.iter().all(|check| check.violations.is_empty()), "{:?}", blueprint.audit);
    // Where both must be done at once, one machine is not enough.
    place.planned(two(hall, ["finish <= 2027-03-20", "finish <= 2027-03-20"]), 3);
}

#[test]
fn a_training_waits_for_machines_that_are_ordered() {
    let hall = "site hall { power <= 60 kW, pue = 1.25, energy_price = 0.1 USD/kWh, lead_time = 6 mo }\n";
    let place = Place::new();
    let text = two(hall, ["", ""]).replace("horizon", "as_of = 2026-12-01, horizon");
    let blueprint = place.planned(&text, 0);
    assert!(blueprint.trainings.iter().all(|run| run.start.to_string().as_str() >= "2027-05-30"), "{text}");
    // Who must be done before they come is told from which month on they are there.
    place.write(
        "p.plan",
        two(hall, ["finish <= 2027-04-30", ""]).replace("horizon", "as_of = 2026-12-01, horizon"),
    );
    let told = place.run(&["plan", "p.plan", "-o", "b.json"]).exits(3).told();
    assert!(
        told.contains("6.00 months after the planning date, 2026-12-01, in month 6 of the horizon"),
        "{told}"
    );
}

/// A day within a month is a day: neither the whole month nor none of it.
#[test]
fn a_deadline_may_lie_within_a_month() {
    let cloud = "site cloud { provider = aws, region = \"us-east-1\" }\n";
    let place = Place::new();
    for (finish, exit) in [("2027-01-20", 0), ("2027-01-05", 0), ("2027-03-14", 0), ("2027-01-01", 3)] {
        let text = two(cloud, [&format!("finish <= {finish}"), ""]);
        let blueprint = place.planned(&text, exit);
        if exit == 0 {
            let run = blueprint.trainings.iter().find(|run| run.workload == "a").expect("it runs");
            assert!(run.end.to_string().as_str() <= finish, "{} {finish}", run.end);
        }
    }
    // Half a month more than two months are enough for one machine.
    let days = |finish: &str| {
        let run = place.planned(two(cloud, [&format!("finish <= {finish}"), ""]), 0);
        run.trainings.iter().find(|run| run.workload == "a").map(|run| run.candidate.nodes)
    };
    assert_eq!((days("2027-03-14"), days("2027-02-27")), (Some(1), Some(2)));
}

#[test]
fn machines_that_may_be_taken_away_are_told() {
    let cloud = "site cloud { provider = aws, region = \"us-east-1\" }\n";
    let place = Place::new();
    let told = |buy: &str| {
        let blueprint = place.planned(two(cloud, [buy, "buy = [on_demand]"]), 0);
        let found: Vec<_> =
            blueprint.findings.into_iter().filter(|finding| finding.code == "W0365").collect();
        found
    };
    let found = told("buy = [spot]");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].message.starts_with("`a` runs on up to "), "{found:?}");
    assert!(found[0].because[0].contains("expected to be taken away while it runs"), "{found:?}");
    assert!(told("buy = [on_demand]").is_empty());
}
