//! From a plan file to switches and links.

use crate::surroundings::Place;
use capstan_types::blueprint::{Blueprint, Network, Status};
use rust_decimal::prelude::ToPrimitive;

/// A pod that stands there already, with work that spans machines.
fn pod(shape: &str, nodes: u32, site: &str, fabric: &str) -> String {
    format!(
        "plan pod {{ currency = USD, horizon = 2027-01-01 .. 2027-12-31 }}
site hall {{ pue = 1.25, energy_price = 0.08 USD/kWh{site} }}
fleet there {{ shape = {shape}, count = {nodes} }}
{fabric}
train pretrain {{
  model    = \"meta-llama/Llama-3.1-70B\"
  tokens   = 2 Ttok
  batch    = 4 Mtok
  sequence = 8192 tok
}}
"
    )
}

fn planned(plan: &str, code: i32) -> Blueprint {
    Place::new().planned(plan, code)
}

fn only(plan: &str) -> Network {
    let answer = planned(plan, 0);
    assert_eq!(answer.networks.len(), 1);
    answer.networks.into_iter().next().expect("one network")
}

/// NVIDIA DGX SuperPOD H100, four scalable units: 127 nodes and four ports for the fabric manager.
#[test]
fn a_superpod_comes_out_to_the_switch_and_the_link() {
    let fabric = "fabric compute { switch = ndr_infiniband, management_ports = 4 }";
    let network = only(&pod("own.dgx_h100_8", 127, "", fabric));
    assert_eq!((network.leaves, network.spines, network.cores), (32, 16, 0));
    assert_eq!((network.host_links, network.spine_links), (1020, 1024));
    assert_eq!(network.power.map(|power| power.get()), Some(48.0 * 747.0));
}

/// 48 switches of 747 W each draw 35.9 kW beside the machines, and at a PUE of 1.25 and 0.08 USD/kWh 31,410 USD a year.
#[test]
fn what_switches_draw_is_power_and_energy_of_their_site() {
    let fabric = "fabric compute { switch = ndr_infiniband, management_ports = 4 }";
    let answer = planned(&pod("own.dgx_h100_8", 127, "", fabric), 0);
    let told = answer.sites[0].it_power.expect("known power").get();
    assert!((told - (127.0 * 10_200.0 + 48.0 * 747.0)).abs() < 1.0, "{told}");
    let energy = answer.cost.lines.iter().filter(|line| line.item == "energy of ndr_infiniband, switches");
    let billed: f64 = energy.map(|line| line.billed_cost.to_f64().expect("a number")).sum();
    let year = 48.0 * 0.747 * 1.25 * 12.0 * 730.0 * 0.08;
    assert!((billed / year - 1.0).abs() < 1e-4, "{billed} {year}");
}

#[test]
fn without_a_wish_the_network_follows_from_the_machines() {
    let network = only(&pod("own.dgx_h100_8", 256, "", ""));
    assert_eq!((network.ports_per_node, network.rails, network.planes), (8, 8, 1));
    assert_eq!(network.leaves + network.spines, 96, "{network:?}");
}

#[test]
fn switches_that_lie_ready_are_counted_and_draw_nothing() {
    let fabric = |more: &str| format!("fabric compute {{ switch = ndr_infiniband{more} }}");
    let bare = only(&pod("own.dgx_h100_8", 127, "", &fabric("")));
    let spared = |word: &str| {
        let network = only(&pod("own.dgx_h100_8", 127, "", &fabric(&format!(", redundancy = {word}"))));
        assert_eq!((network.switches(), network.power), (bare.switches(), bare.power));
        network.spares
    };
    assert_eq!((bare.spares, spared("n_plus_1"), spared("n_plus_2")), (0, 1, 2));
    assert_eq!(spared("two_n"), bare.switches());
}

#[test]
fn oversubscription_costs_bisection_and_saves_switches() {
    let full = only(&pod("own.dgx_h100_8", 128, "", "fabric f { kind = fat_tree }"));
    let thin = only(&pod("own.dgx_h100_8", 128, "", "fabric f { kind = fat_tree, oversubscription = 3 }"));
    assert!(thin.leaves + thin.spines < full.leaves + full.spines);
    assert!(thin.bisection.get() < 0.4 * full.bisection.get(), "{thin:?} {full:?}");
}

/// 127 nodes draw 1.30 MW; the 48 switches 36 kW more.
#[test]
fn switches_count_against_the_power_of_a_site() {
    let answer = planned(&pod("own.dgx_h100_8", 127, ", power <= 1.63 MW", ""), 3);
    assert_eq!(answer.status, Status::Violated);
    let found = answer.findings.iter().find(|found| found.code == "E0371").expect("a finding");
    let way_out = found.ways_out[0].strip_prefix("power <= ").expect("a limit");
    let watts = way_out.split(" W").next().expect("watts");
    planned(&pod("own.dgx_h100_8", 127, &format!(", power <= {watts} W"), ""), 0);
}

#[test]
fn two_tiers_that_are_too_few_are_said() {
    let fabric = "fabric f { kind = leaf_spine, switch = ndr_infiniband }";
    let answer = planned(&pod("own.dgx_h100_8", 300, "", fabric), 3);
    let found = answer.findings.iter().find(|found| found.code == "E0370").expect("a finding");
    assert!(
        found.message.contains("two tiers of ndr_infiniband are too few for 2400 ports"),
        "{}",
        found.message
    );
}

/// A guide wires 64 servers of four accelerators with 400 Gbit/s each by four leaves and two spines of 64 × 800 Gbit/s: each
/// port of a leaf is split in two for servers, and what goes up is as much.
#[test]
fn four_rails_of_64_servers_take_four_leaves_and_two_spines() {
    let own = "
[sources.guide]
source = \"guide of a switch maker\"
as_of = \"2026-01-01\"
grade = \"data_sheet\"

[[fabric]]
id = \"split_800g\"
names = []
port = \"400 Gbit/s\"
radix = 128
efficiency = 0.92
switch_power = \"1 kW\"
from = \"guide\"

[[shape]]
id = \"own.four\"
names = []
provider = \"own\"
accelerator = \"h100_sxm\"
accelerators = 4
scale_out = \"1600 Gbit/s\"
power = \"5 kW\"
height = \"4 U\"
from = \"guide\"
";
    let place = Place::new();
    place.write("own.toml", own);
    let fabric = "use catalog \"own.toml\" as own\nfabric rails { switch = own.split_800g }";
    place.write("pod.plan", pod("own.four", 64, "", fabric));
    place.run(&["plan", "pod.plan", "-o", "b.json"]).exits(0);
    let blueprint = place.blueprint("b.json");
    let network = &blueprint.networks[0];
    assert_eq!((network.leaves, network.spines, network.cores, network.rails), (4, 2, 0, 4));
    // 128 links of 800 Gbit/s are 256 of 400 Gbit/s: nothing is oversubscribed.
    assert_eq!((network.host_links, network.spine_links), (256, 256));
    assert_eq!(network.bisection.get(), 128.0 * 400e9 / 8.0);
}

/// A node of 10.2 kW costs hundreds of USD a month in power, not thousands; three of them fill a rack of 40 kW.
#[test]
fn power_is_that_of_the_whole_node_and_racks_follow_from_it() {
    let site = ", rack = { power <= 40 kW }";
    let text = pod("own.dgx_h100_8", 7, site, "")
        .replace("pue = 1.25, energy_price = 0.08", "pue = 1.3, energy_price = 0.12");
    let answer = planned(&text, 0);
    let nodes = answer.sites[0].nodes;
    assert_eq!(answer.sites[0].racks, Some(nodes.div_ceil(3)));
    assert_eq!(
        answer.sites[0].it_power.map(|power| power.get()),
        Some(f64::from(nodes) * 10_200.0 + 747.0),
        "with a switch"
    );
    let energy = answer.cost.lines.iter().find(|line| line.item.starts_with("energy")).expect("a line");
    let each: f64 = energy.unit_price.to_string().parse().expect("a number");
    // 10.2 kW × 730 h × 0.12 USD × 1.3 at the highest, and 71 % of that on average.
    assert!((each - 1_162.0 * 0.71).abs() < 1.0, "{each}");
}

/// 744e9 parameters are 10.4 TB of state; over sixteen machines of 960 GB each writes 651 GB, and holds it twice.
#[test]
fn a_checkpoint_that_kills_its_hosts_is_warned_of() {
    let own = |memory: &str| {
        format!(
            "
[sources.trays]
source = \"trays\"
as_of = \"2026-01-01\"
grade = \"data_sheet\"

[[shape]]
id = \"own.tray\"
names = []
provider = \"own\"
accelerator = \"gb300\"
accelerators = 4
host_memory = \"{memory}\"
scale_out = \"3200 Gbit/s\"
power = \"7 kW\"
height = \"1 U\"
from = \"trays\"
"
        )
    };
    let place = Place::new();
    let text = "use catalog \"own.toml\" as own
plan saved { currency = USD, horizon = 2027-01-01 .. 2029-12-31 }
site hall { pue = 1.25, energy_price = 0.08 USD/kWh }
fleet there { shape = own.tray, count = 16 }
train big { model = llama3_1_405b, tokens = 10 Gtok, batch = 4 Mtok, sequence = 8192 tok, buy = [owned] }
";
    place.write("saved.plan", text);
    for (memory, warned) in [("480 GB", true), ("2 TB", false)] {
        place.write("own.toml", own(memory));
        let seen = place.run(&["plan", "saved.plan", "-o", "b.json"]).exits(0);
        let blueprint = place.blueprint("b.json");
        let run = &blueprint.trainings[0];
        assert!(
            (run.checkpoint_host.get() - 2.0 * run.checkpoint.get() / f64::from(run.candidate.nodes)).abs()
                < 1.0
        );
        assert_eq!(blueprint.findings.iter().any(|found| found.code == "W0362"), warned, "{}", seen.told());
        assert!(seen.out.contains("host memory"), "{}", seen.told());
    }
}
