//! Services and notebooks: from threads, memory and slices to machines.

use crate::surroundings::{LAB, LAB_MACHINES, Place, Seen};
use capstan_types::blueprint::{AppRun, Blueprint};
use rust_decimal::Decimal;

fn run(blocks: &str) -> (Place, Seen) {
    let place = Place::new();
    place.write("lab.toml", format!("{LAB}{LAB_MACHINES}"));
    place.write(
        "p.plan",
        format!(
            "use catalog \"lab.toml\"\nplan p {{ currency = USD, horizon = 2027-01-01 .. 2027-12-31 }}
site a {{ provider = \"lab\", region = \"a\" }}
{blocks}
"
        ),
    );
    let seen = place.run(&["plan", "p.plan", "-o", "b.json"]);
    (place, seen)
}

fn planned(blocks: &str) -> Blueprint {
    let (place, seen) = run(blocks);
    seen.exits(0);
    let blueprint = place.blueprint("b.json");
    assert!(blueprint.audit.iter().all(|check| check.violations.is_empty()), "{:?}", blueprint.audit);
    blueprint
}

fn app<'b>(blueprint: &'b Blueprint, name: &str) -> &'b AppRun {
    blueprint.apps.iter().find(|run| run.workload == name).expect("it runs")
}

fn nodes(blueprint: &Blueprint, shape: &str) -> u32 {
    let pools = blueprint.pools.iter().filter(|pool| pool.shape == shape);
    pools.flat_map(|pool| pool.needed.iter().flatten()).copied().max().unwrap_or(0)
}

/// Nine tenths of 64 threads hold seven instances of eight, and halves of halves hold four; 16 GB would fit fourteen times.
#[test]
fn services_share_machines_by_threads_and_memory() {
    let service = |name: &str, replicas: u32, cpu: u32, memory: &str| {
        format!("service {name} {{ replicas = {replicas}, cpu = {cpu}, memory = {memory} }}\n")
    };
    let one = planned(&service("gateway", 8, 8, "16 GB"));
    assert_eq!((app(&one, "gateway").per_node, nodes(&one, "lab.cpu")), (4, 2));
    // Machines of their own hold seven each: two of them, where four in quarters would be needed.
    let many = planned(&service("gateway", 14, 8, "16 GB"));
    assert_eq!((app(&many, "gateway").per_node, nodes(&many, "lab.cpu")), (7, 2));
    // One that would fit beside them by threads alone has another machine.
    let beside = planned(&(service("gateway", 14, 8, "16 GB") + &service("small", 1, 1, "1 GB")));
    assert_eq!(nodes(&beside, "lab.cpu"), 3);
    let memory = planned(&service("vectors", 3, 2, "200 GB"));
    assert_eq!((app(&memory, "vectors").per_node, nodes(&memory, "lab.cpu")), (1, 3));
    // Four quarters, two halves and one whole are three machines.
    let mixed =
        service("one", 4, 8, "16 GB") + &service("two", 2, 20, "16 GB") + &service("three", 1, 50, "16 GB");
    let mixed = planned(&mixed);
    assert_eq!(nodes(&mixed, "lab.cpu"), 3);
    let costs: Vec<Decimal> = mixed.cost.workloads.iter().map(|row| row.cost).collect();
    assert_eq!(costs, [Decimal::from(26_280); 3], "a third of 3 × 3 USD × 8,760 h each");
}

#[test]
fn availability_takes_instances_beside() {
    let plain = planned("service s { replicas = 3, cpu = 50, memory = 16 GB }");
    let firm = planned("service s { replicas = 3, cpu = 50, memory = 16 GB, availability >= 99.99% }");
    assert!(app(&firm, "s").spares > 0);
    assert!(nodes(&firm, "lab.cpu") > nodes(&plain, "lab.cpu"));
}

/// Seven slices of 10 GB share an accelerator of 80 GB; people come on weekdays, and machines by the hour with them.
#[test]
fn notebooks_take_slices_while_people_work() {
    let lab = |more: &str| {
        format!(
            "workspace lab {{ users = 200, active = 60%, cpu = 0.5, memory = 4 GB, slice = \"1g.10gb\"{more} }}"
        )
    };
    let always = planned(&lab(""));
    assert_eq!((app(&always, "lab").per_accelerator, app(&always, "lab").instances[0]), (7, 120));
    // 120 / 7 are 18 accelerators, which are three machines.
    assert_eq!(nodes(&always, "lab.a100"), 3);
    let by_day = planned(&lab(", hours = 08:00 .. 18:00"));
    assert_eq!(app(&by_day, "lab").instances.iter().filter(|&&n| n > 0).count(), 10);
    let share = |blueprint: &Blueprint| blueprint.cost.total;
    let tenth = share(&by_day) / share(&always);
    assert!(tenth.to_string().starts_with("0.297"), "10 of 24 hours on 5 of 7 days: {tenth}");
    let shared = planned(
        "workspace lab { users = 16, cpu = 0.5, memory = 4 GB, slice = 25%, accelerator = a100_sxm_80gb }",
    );
    assert_eq!((app(&shared, "lab").per_accelerator, nodes(&shared, "lab.a100")), (4, 1));
}

/// Everything in containers becomes files: objects in one folder, values for charts in another.
#[test]
fn services_and_notebooks_are_emitted() {
    let (place, seen) = run(
        "service gateway { image = \"kong/kong-gateway:3.9\", port = 8000, replicas = 2, cpu = 4, memory = 8 GB }
service queue { image = \"nats:2.11\", port = 4222, replicas = 3, cpu = 2, memory = 4 GB, storage = 20 GB, mount = \"/data/jetstream\" }
service vectors { image = \"milvusdb/milvus:v2.5.4\", port = 19530, replicas = 2, cpu = 8, memory = 32 GB, storage = 1 TB }
service rerank { image = \"registry.example.com/rerank:1\", cpu = 1, memory = 4 GB, slice = 25% }
workspace lab { users = 20, active = 50%, hours = 08:00 .. 18:00, cpu = 1, memory = 4 GB, slice = \"1g.10gb\", accelerator = a100_sxm_80gb }
deploy kubernetes { namespace = \"tools\", monitoring = prometheus, gpu_operator = true, quota = true }",
    );
    seen.exits(0);
    let emitted = place.run(&["emit", "b.json", "--target", "kubernetes", "-o", "out"]).exits(0);
    for said in
        ["vectors: `milvusdb/milvus:v2.5.4` does not run by itself", "lab: it runs by the chart `jupyterhub`"]
    {
        assert!(emitted.err.contains(said), "{}", emitted.told());
    }
    assert!(!emitted.err.contains("no manifest is written"), "{}", emitted.told());
    let list = place.read("out/kubernetes/kustomization.yaml");
    for file in
        ["15-gateway/deployment", "15-queue/statefulset", "15-rerank/deployment", "15-vectors/networkpolicy"]
    {
        assert!(list.contains(&format!("{file}.yaml")), "{list}");
        assert!(place.path(&format!("out/kubernetes/{file}.yaml")).exists(), "{file}");
    }
    assert!(!list.contains("charts") && !list.contains("15-lab"), "{list}");
    let lab = place.read("out/charts/lab.values.yaml");
    assert!(lab.contains("activeServerLimit: 10") && lab.contains("maxAge: 36000"), "{lab}");
    let vectors = place.read("out/charts/vectors.values.yaml");
    assert!(vectors.contains("queryNode:") && vectors.contains("size: 932Gi"), "{vectors}");
    let quota = place.read("out/kubernetes/00-namespace/resourcequota-p-planned.yaml");
    assert!(quota.contains("requests.nvidia.com/mig-1g.10gb: \"10\""), "{quota}");
}

/// A service may be planned without an image, or with one of no version; manifests say what they need of it.
#[test]
fn an_image_is_asked_for_where_it_is_needed() {
    let emit = |image: &str| {
        let (place, seen) = run(&format!(
            "service s {{ {image}cpu = 4, memory = 8 GB }}\ndeploy kubernetes {{ namespace = \"tools\" }}"
        ));
        seen.exits(0);
        place.run(&["emit", "b.json", "--target", "kubernetes", "-o", "out"])
    };
    let without = emit("").exits(0);
    assert!(without.err.contains("no manifest is written for it: name its `image`"), "{}", without.told());
    let floating = emit("image = \"kong/kong-gateway\", ").exits(1);
    assert!(floating.err.contains("add a tag other than `latest`, or a digest"), "{}", floating.told());
}

/// A partition of another product is a mistake that names the right ones.
#[test]
fn a_partition_that_the_product_does_not_have_is_a_mistake() {
    let (_, seen) = run(
        "workspace lab { users = 4, cpu = 2, memory = 8 GB, slice = \"7g.20gb\", accelerator = a100_sxm_80gb }",
    );
    let seen = seen.exits(1);
    assert!(seen.err.contains("7g.20gb") && seen.err.contains("`7g.80gb`"), "{}", seen.told());
}

/// What fits nowhere says by how much; models and services stand beside each other.
#[test]
fn what_fits_nowhere_is_explained_and_models_share_the_plan() {
    let (_, seen) = run("service big { cpu = 80, memory = 16 GB }");
    let seen = seen.exits(3);
    assert!(seen.told().contains("1.39 times"), "{}", seen.told());
    let both = planned(
        "serve chat {
  model = \"meta-llama/Llama-3.1-8B-Instruct\"
  load  = { rate = 5 req/s, prompt = 1 ktok, output = 250 tok }
  slo ttft { p99 <= 2 s }
}
service gateway { replicas = 2, cpu = 4, memory = 8 GB }
workspace lab { users = 7, cpu = 2, memory = 8 GB, slice = \"1g.10gb\" }
deploy kubernetes { namespace = \"llm\" }",
    );
    assert_eq!((nodes(&both, "lab.cpu"), nodes(&both, "lab.a100")), (1, 1));
    let sum: rust_decimal::Decimal = both.cost.workloads.iter().map(|row| row.cost).sum();
    assert_eq!(sum, both.cost.total);
}

/// Five on machines that are up for 99.97 % of the time are all up for 99.8 % of it.
#[test]
fn an_availability_that_is_reached_without_spares_needs_none() {
    let place = Place::new();
    let text = |asked: &str| {
        format!(
            "plan p {{ currency = USD }}\nsite use1 {{ provider = aws, region = \"us-east-1\" }}\nservice vis {{ \
             image = \"x:1\", replicas = 5, cpu = 6, memory = 20 GiB, slice = 25%, accelerator = l40s, availability >= {asked} }}\n"
        )
    };
    assert_eq!(place.planned(text("99.5%"), 0).apps[0].spares, 0);
    assert_eq!(place.planned(text("99.9%"), 0).apps[0].spares, 1);
}
