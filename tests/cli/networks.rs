//! From a plan file to switches and links.

use crate::surroundings::Place;
use capstan_types::blueprint::{Blueprint, Network, Status};

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
    let place = Place::new();
    place.write("pod.plan", plan);
    place.run(&["plan", "pod.plan", "-o", "b.json"]).exits(code);
    serde_json::from_str(&place.read("b.json")).expect("a blueprint")
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

#[test]
fn without_a_wish_the_network_follows_from_the_machines() {
    let network = only(&pod("own.dgx_h100_8", 256, "", ""));
    assert_eq!((network.ports_per_node, network.rails, network.planes), (8, 8, 1));
    assert_eq!(network.leaves + network.spines, 96, "{network:?}");
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
