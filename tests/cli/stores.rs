//! From datasets, models and checkpoints to storage nodes, their power and their money.

use crate::surroundings::Place;
use capstan_types::blueprint::{Blueprint, CostKind, Store, StoreLimit};
use capstan_types::storage::Tier;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

fn plan(site: &str, blocks: &str) -> String {
    format!(
        "plan stored {{ currency = USD, horizon = 2027-01-01 .. 2027-12-31 }}
site hall {{ pue = 1.25, energy_price = 0.1 USD/kWh{site} }}
fleet there {{ shape = own.dgx_h100_8, count = 4 }}
{blocks}
serve chat {{
  model = \"meta-llama/Llama-3.1-8B-Instruct\"
  load  = {{ rate = 5 req/s, prompt = 1 ktok, output = 250 tok }}
  slo ttft {{ p99 <= 2 s }}
}}
"
    )
}

fn planned(plan: &str, code: i32) -> Blueprint {
    Place::new().planned(plan, code)
}

fn only(plan: &str) -> Store {
    let blueprint = planned(plan, 0);
    assert_eq!(blueprint.stores.len(), 1);
    blueprint.stores.into_iter().next().expect("one store")
}

/// 180 nodes of 2 × 200 Gbit/s and 16 × 14 TiB were read at 6.6 TiB/s, which is 7.26 TB/s; 44.3 PB raw, 22.2 PB in two copies.
#[test]
fn nodes_follow_from_the_rate_that_was_measured() {
    let store = only(&plan("", "storage s { system = threefs_nvme, read >= 7.26 TB/s }"));
    assert!((160..=190).contains(&store.nodes), "{store:?}");
    assert_eq!(store.binds, StoreLimit::Read);
    let per_180 = |bytes: f64| bytes / f64::from(store.nodes) * 180.0;
    assert!((per_180(store.raw.get()) / 44.3e15 - 1.0).abs() < 0.01, "{store:?}");
    assert!((per_180(store.usable.get()) / (22.2e15 * 0.8) - 1.0).abs() < 0.01, "{store:?}");
}

/// 32 nodes of MinIO with 100 Gbit/s ports were written at 177 GB/s: parts of an object go to other nodes.
#[test]
fn objects_are_written_at_the_rate_that_was_measured() {
    let store = only(&plan("", "storage s { system = minio_nvme, write >= 100 GB/s }"));
    assert_eq!((store.nodes, store.binds), (19, StoreLimit::Write), "{store:?}");
    let few = only(&plan("", "storage s { system = minio_nvme, capacity >= 10 TB }"));
    assert_eq!((few.nodes, few.binds), (4, StoreLimit::Protection), "{few:?}");
}

/// A rate that nobody measured is bounded by what is read, and no reason to choose a system.
#[test]
fn a_rate_that_is_only_bounded_wins_no_choice() {
    let chosen = only(&plan("", "storage s { kind = parallel_file_system, write >= 150 GB/s }"));
    assert_ne!(chosen.system, "ddn_ai400x2t", "{chosen:?}");
    let named = only(&plan("", "storage s { system = ddn_ai400x2t, write >= 150 GB/s }"));
    assert_eq!(named.nodes, 2, "{named:?}");
}

/// TB and TiB are not the same: what a decimal terabyte asks for is less by a tenth.
#[test]
fn binary_and_decimal_units_are_told_apart() {
    let decimal = only(&plan("", "storage s { system = threefs_nvme, read >= 6.6 TB/s }"));
    let binary = only(&plan("", "storage s { system = threefs_nvme, read >= 6.6 TiB/s }"));
    assert!(binary.nodes > decimal.nodes + 10, "{} {}", binary.nodes, decimal.nodes);
}

#[test]
fn growth_copies_and_a_free_host_are_room_that_is_needed() {
    let store = |more: &str, growth: &str| {
        only(&plan(
            "",
            &format!("storage s {{ system = ceph_nvme{more} }}\ndataset d {{ size = 2 PB{growth} }}"),
        ))
    };
    // 2 PB × 3 copies ÷ 0.85 ÷ 153.6 TB = 45.96, and one host stays free; the weights of the model take 16 GB.
    assert_eq!(store("", "").nodes, 47);
    assert_eq!(store(", copies = 2", "").nodes, 32);
    assert_eq!(store(", erasure = \"8+3\"", "").nodes, 23);
    assert!(store("", ", growth = 5 %/mo").nodes >= 82);
    assert!(store(", fill <= 50 %", "").nodes >= 79);
}

#[test]
fn a_checkpoint_is_written_in_the_time_that_is_allowed() {
    let train = "train pretrain {
  model    = \"meta-llama/Llama-3.1-8B\"
  tokens   = 200 Gtok
  batch    = 4 Mtok
  sequence = 8192 tok
}";
    let store = |stall: &str| only(&plan("", &format!("storage s {{ system = ceph_nvme{stall} }}\n{train}")));
    let (slow, quick) = (store(", checkpoint_stall <= 60 s"), store(", checkpoint_stall <= 2 s"));
    assert!(quick.needed_write.get() > 29.0 * slow.needed_write.get());
    assert_eq!(quick.binds, StoreLimit::Write);
    assert!(quick.stored.iter().any(|one| one.what.contains("checkpoints of pretrain")), "{quick:?}");
}

#[test]
fn storage_takes_power_and_racks_and_money_from_the_site() {
    let own = "
[[storage]]
id = \"box\"
names = []
kind = \"object\"
drives = 10
drive = \"10 TB\"
network = \"25 GB/s\"
protection = \"2 copies\"
fill = \"80 %\"
power = \"1 kW\"
height = \"2 U\"
price = \"50000 USD\"
source = \"quotation\"
as_of = \"2026-06-01\"
grade = \"data_sheet\"
";
    let place = Place::new();
    place.write("own.toml", own);
    let with = |site: &str, more: &str, code: i32| -> Blueprint {
        let blocks = format!(
            "use catalog \"own.toml\" as own\nstorage s {{ system = own.box }}\ndataset d {{ size = 380 TB }}\n{more}"
        );
        place.planned(plan(site, &blocks), code)
    };
    let blueprint = with("", "", 0);
    assert_eq!(blueprint.stores[0].nodes, 10);
    let line =
        |item: &str| blueprint.cost.lines.iter().find(|line| line.item == item).map(|line| line.billed_cost);
    assert_eq!(line("box, storage"), Some(Decimal::from(500_000)));
    // 1 kW × 0.71 × PUE 1.25 × 8,760 h × 0.1 USD × 10 nodes.
    let energy = line("energy of box at hall").and_then(|cost| cost.to_f64()).unwrap_or(0.0);
    assert!((energy - 7774.5).abs() < 0.1, "{energy}");
    let left: Decimal =
        blueprint.cost.lines.iter().filter(|l| l.kind == CostKind::Residual).map(|l| l.billed_cost).sum();
    assert!(left < Decimal::ZERO);
    // The machine that serves, the rest of the fleet and ten boxes; 50 kW are enough for the machines alone.
    with(", power <= 65 kW", "", 0);
    with(", power <= 52 kW", "", 3);
    with("", "budget b { capex <= 400 kUSD }", 3);
    with("", "budget b { capex <= 600 kUSD }", 0);
}

#[test]
fn what_nothing_keeps_is_said_with_its_place() {
    let place = Place::new();
    place.write(
        "hall.plan",
        plan("", "storage s { system = minio_nvme, read >= 900 TB/s }\ndataset d { size = 900 PB }"),
    );
    place.run(&["plan", "hall.plan", "-o", "b.json"]).exits(0);
    place.write("hall.plan", plan("", "storage s { kind = object, system = ceph_nvme }"));
    let seen = place.run(&["plan", "hall.plan"]).exits(3);
    assert!(seen.out.contains("E0380") || seen.err.contains("E0380"), "{}", seen.told());
}

/// A limit is not kept by what nobody knows: of two systems the one whose power is known is taken, and a name that
/// leaves no choice is told.
#[test]
fn an_unknown_power_or_height_is_not_zero() {
    let data = "dataset d { size = 1 PB }";
    let store =
        |site: &str, blocks: &str, code: i32| planned(&plan(site, &format!("{blocks}\n{data}")), code);
    let free = store("", "storage s { system = minio_nvme }", 0);
    assert_eq!((free.stores[0].power, free.sites[0].it_power), (None, None));
    assert!(free.audit.iter().all(|check| check.violations.is_empty()), "{:?}", free.audit);
    for (site, fact) in [(", power <= 5 MW", "power"), (", racks <= 400", "height")] {
        let named = store(site, "storage s { system = minio_nvme }", 3);
        let found = named.findings.iter().find(|found| found.code == "E0381").expect("a finding");
        assert!(found.message.contains(fact), "{}", found.message);
        assert!(named.audit.iter().all(|check| check.violations.is_empty()), "{:?}", named.audit);
        let chosen = store(site, "", 0);
        assert!(chosen.stores[0].power.is_some(), "{:?}", chosen.stores);
    }
}

/// What is seldom read lies in objects of its own; only the newest checkpoint stays where it is written.
#[test]
fn two_tiers_are_sized_apart_and_both_draw_from_the_site() {
    let train = "train pretrain {
  model      = \"meta-llama/Llama-3.1-8B\"
  tokens     = 20 Gtok
  batch      = 4 Mtok
  sequence   = 8192 tok
  checkpoint = { keep = 5 }
}";
    let data = "dataset hot { size = 200 TB, read >= 60 GB/s }\ndataset logs { size = 900 TB, tier = bulk }";
    let both = planned(&plan("", &format!("{data}\n{train}")), 0);
    let tiers: Vec<Tier> = both.stores.iter().map(|store| store.tier).collect();
    assert_eq!(tiers, [Tier::Fast, Tier::Bulk]);
    let holds = |store: &Store, what: &str| store.stored.iter().any(|one| one.what.contains(what));
    assert!(
        holds(&both.stores[0], "1 checkpoints") && holds(&both.stores[1], "4 older checkpoints"),
        "{both:?}"
    );
    assert!(holds(&both.stores[0], "dataset hot") && !holds(&both.stores[0], "dataset logs"));
    assert!(both.audit.iter().all(|check| check.violations.is_empty()), "{:?}", both.audit);
    let one = planned(&plan("", &format!("{}\n{train}", data.replace(", tier = bulk", ""))), 0);
    assert_eq!(one.stores.len(), 1);
    assert!(one.stores[0].raw.get() > both.stores[0].raw.get());
    // Object stores of the built-in catalog are not known to draw anything, so no limit is shown to hold with them.
    let object = format!("{data}\nstorage b {{ tier = bulk, kind = object }}");
    planned(&plan(", power <= 5 MW", &object), 3);
}

/// 60 GB/s of files of 120 kB are half a million files a second, and 10 of 50,000 a node open them; bytes alone need three.
#[test]
fn small_files_need_nodes_that_open_them() {
    let data = |file: &str| {
        format!("storage s {{ system = lustre_nvme }}\ndataset d {{ size = 100 TB, read >= 60 GB/s{file} }}")
    };
    let large = only(&plan("", &data("")));
    assert_eq!((large.nodes, large.binds, large.opens), (3, StoreLimit::Read, None));
    let small = only(&plan("", &data(", file = 120 kB")));
    assert_eq!((small.nodes, small.binds), (10, StoreLimit::Files));
    let opens = small.opens.expect("files are opened");
    assert_eq!((opens.all_per_s, opens.needed_per_s), (Some(5e5), 5e5));
    // Of two datasets all files are opened, and some are written.
    let more = only(&plan(
        "",
        &(data(", file = 120 kB") + "\ndataset e { size = 1 TB, write >= 1 GB/s, file = 20 kB }"),
    ));
    assert_eq!(more.nodes, 11);
    let place = Place::new();
    place.planned(plan("", &data(", file = 120 kB")), 0);
    let told = place.run(&["report", "b.json"]).exits(0);
    assert!(told.out.contains("opening files"), "{}", told.told());
    assert!(
        told.out.contains("500 k a second, 500 k needed; 2.30 ms an open, so 1,150 readers at once"),
        "{}",
        told.told()
    );
}

#[test]
fn random_reads_need_nodes_that_answer_them() {
    let store = only(&plan("", "storage s { system = ceph_nvme, iops >= 2_000_000 IOPS }"));
    assert_eq!((store.nodes, store.binds), (6, StoreLimit::Operations));
    assert_eq!(store.operations.and_then(|rate| rate.all_per_s), Some(6.0 * 375_000.0));
}

/// What nobody knows of a system is not enough: another is taken, and one that the plan names is refused with the place.
#[test]
fn a_system_of_which_nobody_knows_how_it_opens_files_is_not_taken() {
    let data = "dataset d { size = 100 TB, read >= 60 GB/s, file = 120 kB }";
    let store = only(&plan("", &format!("storage s {{ kind = parallel_file_system }}\n{data}")));
    assert_eq!(store.system, "lustre_nvme");
    let named = planned(&plan("", &format!("storage s {{ system = minio_nvme }}\n{data}")), 3);
    let found = named.findings.iter().find(|found| found.code == "E0381").expect("a finding");
    assert!(found.message.starts_with("nobody knows the rate of opening files"), "{}", found.message);
    assert!(named.audit.iter().all(|check| check.violations.is_empty()), "{:?}", named.audit);
}

/// Nobody knows what the usual object store draws; under a limit on power another keeps what is seldom read.
#[test]
fn under_a_limit_on_power_a_store_is_taken_whose_power_is_known() {
    let text = plan(", power <= 400 kW", "dataset archive { size = 900 TB, tier = bulk }");
    let blueprint = planned(&text, 0);
    let bulk = blueprint.stores.iter().find(|store| store.tier == Tier::Bulk).expect("it is kept");
    assert!(bulk.power.is_some(), "{bulk:?}");
}
