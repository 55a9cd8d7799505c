//! What carries heat away: machines that need liquid do not stand where air is all there is, and racks give what air takes.

use crate::surroundings::Place;

fn plan(cooling: &str, accelerator: &str, more: &str) -> String {
    format!(
        "plan p {{ currency = USD, horizon = 2027-01-01 .. 2027-12-31 }}
site hall {{ energy_price = 0.1 USD/kWh, colocation_price = 130 USD/kW/mo{cooling} }}
serve chat {{
  model       = llama3_1_8b
  load        = {{ rate = 5 req/s, prompt = 1 ktok, output = 250 tok }}
  accelerator in [{accelerator}]
  slo ttft {{ p99 <= 2 s }}
}}
{more}"
    )
}

const RACK: &str = "own.gb200_nvl72";

#[test]
fn machines_that_need_liquid_do_not_stand_in_air() {
    let place = Place::new();
    let air = place.planned(plan(", cooling = air", "gb200, h100_sxm", ""), 0);
    let refused = air.rejections.iter().find(|row| row.shape == RACK).expect("it is turned down");
    assert_eq!(refused.reason, "needs_liquid");
    let told = place.run(&["explain", "b.json", "hall"]).exits(0).out;
    assert!(told.contains(&format!("Machines that need liquid do not stand here: {RACK}")), "{told}");
    assert!(told.contains("m³/s of it"), "{told}");
    let whole = place.run(&["explain", "b.json"]).exits(0).out;
    assert!(whole.contains("it needs liquid to carry its heat away, and hall is cooled by air"), "{whole}");
    let untold = place.planned(plan("", "gb200", ""), 0);
    let said = untold.assumptions.iter().any(|one| one.text.starts_with(RACK));
    assert!(said, "{:?}", untold.assumptions);
    for cooling in ["", ", cooling = liquid"] {
        let other = place.planned(plan(cooling, "gb200, h100_sxm", ""), 0);
        assert!(other.rejections.iter().all(|row| row.reason != "needs_liquid"), "{cooling}");
    }
    place.write("only.plan", plan(", cooling = air", "gb200", ""));
    place.run(&["plan", "only.plan"]).exits(3);
    let liquid = place.planned(plan(", cooling = liquid", "gb200", ""), 0);
    assert_eq!(liquid.pools[0].shape, RACK);
    // Whoever puts it into a hall of air afterwards is found out.
    let mut edited = liquid.clone();
    edited.inputs.spec.sites[0].cooling = air.inputs.spec.sites[0].cooling;
    let checks = capstan_planner::audit::audit(&edited);
    let found = checks.iter().find(|check| check.check.starts_with("limits: machines that need liquid"));
    assert!(found.is_some_and(|check| !check.violations.is_empty()), "nobody noticed");
}

#[test]
fn liquid_takes_less_power_than_air() {
    let place = Place::new();
    let ratio = |cooling: &str| {
        let blueprint = place.planned(plan(cooling, "h100_sxm", ""), 0);
        let site = &blueprint.sites[0];
        let (all, machines) = (site.facility_power.expect("known"), site.it_power.expect("known"));
        (all.get() / machines.get() * 100.0).round() as u32
    };
    let stated = ", cooling = liquid, pue = 1.35";
    assert_eq!(
        [ratio(""), ratio(", cooling = air"), ratio(", cooling = liquid"), ratio(stated)],
        [150, 150, 120, 135]
    );
}

/// Machines of 14.5 kW and 10 U: four in a rack by the height of most and by 60 kW, six by 60 U, two by 40 kW.
#[test]
fn a_rack_gives_what_air_carries_away() {
    let place = Place::new();
    let fleet = "fleet h { shape = own.dgx_b300_8, count = 12, site = hall }\n";
    let racks = |site: &str| {
        let blueprint = place.planned(plan(site, "b300_sxm", fleet), 0);
        blueprint.sites[0].racks
    };
    assert_eq!(racks(", cooling = air"), Some(3));
    assert_eq!(racks(", cooling = air, rack = { height = 60 U }"), Some(3));
    assert_eq!(racks(", cooling = liquid, rack = { height = 60 U }"), Some(2));
    assert_eq!(racks(", cooling = air, rack = { power <= 40 kW, height = 60 U }"), Some(6));
}
