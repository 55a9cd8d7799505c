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
