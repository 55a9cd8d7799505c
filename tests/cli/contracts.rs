//! Time and contracts: when machines that are ordered can stand there, and what is owed for how long.

use crate::surroundings::{LAB, LAB_G1, Place};
use capstan_types::blueprint::{Blueprint, CostKind, Pool};
use capstan_types::offering::PurchaseOption;
use rust_decimal::Decimal;

/// Machines of a hall and of a cloud.
const MACHINES: &str = r#"
[[shape]]
id = "lab.h8"
names = []
provider = "lab"
accelerator = "h100_sxm"
accelerators = 8
vcpus = 192
host_memory = "2 TiB"
from = "lab"

[[offering]]
shape = "lab.h8"
from = "lab"
grade = "list"
prices = [{ region = "a", on_demand = "24 USD/h" }]

[[offering]]
shape = "own.hgx_h100_8"
from = "lab"
grade = "quoted"
prices = [{ region = "all", owned = "300000 USD" }]
"#;

/// A service that may run in a hall with that lead time or in the cloud, planned on a day for the three years from 2027.
fn waiting(place: &Place, lead_time: &str, as_of: &str, buy: &str) -> Blueprint {
    place.write("lab.toml", format!("{LAB}{MACHINES}"));
    let text = format!(
        "use catalog \"lab.toml\"
plan p {{ currency = USD, horizon = 2027-01-01 .. 2029-12-31, as_of = {as_of} }}
site hall {{ pue = 1.4, energy_price = 0.10 USD/kWh, colocation_price = 150 USD/kW/mo, lead_time = {lead_time} }}
site cloud {{ provider = \"lab\", region = \"a\" }}
serve chat {{
  model = \"meta-llama/Llama-3.1-8B-Instruct\"
  load = {{ rate = 40 req/s, prompt = 1 ktok, output = 250 tok }}
  slo ttft {{ p99 <= 2 s }}
  accelerator = h100_sxm
  buy = [{buy}]
}}
"
    );
    place.planned(text, 0)
}

/// The month in which owned machines first stand in the hall.
fn first_owned(blueprint: &Blueprint) -> Option<u32> {
    let pools = blueprint.pools.iter().flat_map(|pool| &pool.purchases);
    let mut owned = pools.filter(|purchase| purchase.option == PurchaseOption::Owned && purchase.nodes > 0);
    let stands = owned.next()?.nodes_by_period.iter().position(|&nodes| nodes > 0)?;
    Some(blueprint.periods[stands].first_month)
}

#[test]
fn what_is_ordered_is_waited_for_elsewhere() {
    let place = Place::new();
    let buy = "owned, on_demand";
    let plan = |lead: &str, as_of: &str| waiting(&place, lead, as_of, buy);
    let at_once = plan("0 mo", "2026-12-31");
    assert_eq!(first_owned(&at_once), Some(0));
    let (one_day, two_months) = (plan("1 d", "2027-01-01"), plan("2 mo", "2027-01-01"));
    for (late, month) in [(&one_day, 1), (&two_months, 2)] {
        assert_eq!(first_owned(late), Some(month), "{:?}", late.cost.lines);
        // On demand until then, and only until then.
        let rented = late.cost.lines.iter().filter(|line| line.option == Some(PurchaseOption::OnDemand));
        let rented: Vec<_> = rented.map(|line| (line.period, line.quantity)).collect();
        assert_eq!(rented, [(0, (730 * month).into())]);
        let placements = &late.services[0].placements;
        assert_eq!(placements.iter().map(|one| one.site.as_str()).collect::<Vec<_>>(), ["cloud", "hall"]);
        assert!(placements[0].replicas[1].iter().all(|&replicas| replicas == 0), "{placements:?}");
    }
    assert!(at_once.cost.total < one_day.cost.total && one_day.cost.total < two_months.cost.total);
    // An order placed before the horizon begins has less to wait, or nothing.
    assert_eq!(first_owned(&plan("2 mo", "2026-12-01")), Some(1));
    let in_time = waiting(&place, "3 mo", "2026-09-01", "owned");
    assert_eq!(first_owned(&in_time), Some(0));
    // Nothing is to be ordered before the plan was made.
    let seen = place.run(&["report", "b.json", "--output", "html"]).exits(0);
    assert!(seen.out.contains("2026-10-01"), "{}", seen.told());
}

#[test]
fn zones_that_nobody_knows_of_are_refused() {
    let place = Place::new();
    let prices = "[[offering]]\nshape = \"lab.g1\"\nfrom = \"lab\"\ngrade = \"list\"\nprices = [{ region = \"a\", on_demand = \"1 USD/h\" }]\n";
    let text = |zones: &str| {
        format!(
            "use catalog \"lab.toml\"
plan p {{ currency = USD, horizon = 2027-01-01 .. 2027-12-31 }}
site a {{ provider = \"lab\", region = \"a\", zones >= {zones} }}
workspace lab {{ users = 1, cpu = 2, memory = 8 GiB, accelerator = l40s }}
"
        )
    };
    place.write("lab.toml", format!("{LAB}{LAB_G1}{prices}"));
    place.write("p.plan", text("2"));
    let seen = place.run(&["plan", "p.plan"]).exits(1);
    assert!(seen.err.contains("has an unknown number of zones, 2 are asked"), "{}", seen.told());
    place.planned(text("1"), 0);
    let known = LAB.replace("id = \"a\"", "id = \"a\"\nzones = 2");
    place.write("lab.toml", format!("{known}{LAB_G1}{prices}"));
    place.planned(text("2"), 0);
}

/// One machine that stands there until the last day given, then one that is reserved or paid by the hour, through 2027.
fn after_fleet(place: &Place, reserved: &str) -> Blueprint {
    let prices = format!(
        "[[offering]]\nshape = \"lab.g1\"\nfrom = \"lab\"\ngrade = \"list\"\nprices = [{{ region = \"a\", on_demand = \"1 USD/h\", reserved_1y = \"{reserved}\" }}]\n"
    );
    place.write("lab.toml", format!("{LAB}{LAB_G1}{prices}"));
    let text = "use catalog \"lab.toml\"
plan p { currency = USD, horizon = 2027-01-01 .. 2027-12-31, discount = 12 %/y }
site a { provider = \"lab\", region = \"a\" }
fleet f { shape = lab.g1, count = 1, site = a, until = 2027-09-30 }
workspace lab { users = 1, cpu = 2, memory = 8 GiB, accelerator = l40s, buy = [reserved(1 y), on_demand] }
";
    place.planned(text, 0)
}

#[test]
fn a_contract_is_paid_to_its_end_also_after_the_horizon() {
    let place = Place::new();
    let bought = |blueprint: &Blueprint| -> Vec<PurchaseOption> {
        blueprint.pools.iter().flat_map(|pool| &pool.purchases).map(|purchase| purchase.option).collect()
    };
    // Three months by the hour are 2,190 USD, a year at 0.30 USD/h is 2,628 USD, of which 657 USD fall in these months.
    assert_eq!(bought(&after_fleet(&place, "0.30 USD/h")), [PurchaseOption::OnDemand]);
    let blueprint = after_fleet(&place, "0.20 USD/h");
    assert_eq!(bought(&blueprint), [PurchaseOption::Reserved { term_months: 12 }]);
    let money = |amount: u32| Decimal::from(amount);
    assert_eq!(blueprint.cost.sum_of(CostKind::Owed), money(1314));
    assert_eq!((blueprint.cost.opex, blueprint.cost.total), (money(438), money(1752)));
    assert_eq!(blueprint.cost.by_month[9..], [money(146), money(146), money(1460)]);
    let found = |code: &str| blueprint.findings.iter().any(|finding| finding.code == code);
    assert!(found("W0364"), "{:?}", blueprint.findings);
    let told = place.run(&["report", "b.json"]).exits(0);
    assert!(told.out.contains("still bound") && told.out.contains("1,314.00 USD"), "{}", told.told());
    place.run(&["report", "b.json", "--output", "csv:c"]).exits(0);
    let (focus, cash) = (place.read("c/focus.csv"), place.read("c/cash_flow.csv"));
    assert!(focus.contains("still bound after the horizon") && cash.contains("1314"), "{focus}\n{cash}");
}

#[test]
fn a_contract_that_ends_within_the_horizon_owes_nothing() {
    let place = Place::new();
    let plan = |horizon: &str, price: &str| {
        let prices = format!(
            "[[offering]]\nshape = \"lab.g1\"\nfrom = \"lab\"\ngrade = \"list\"\nprices = [{{ region = \"a\", on_demand = \"1 USD/h\", reserved_1y = \"{price}\" }}]\n"
        );
        place.write("lab.toml", format!("{LAB}{LAB_G1}{prices}"));
        let text = format!(
            "use catalog \"lab.toml\"
plan p {{ currency = USD, horizon = {horizon} }}
site a {{ provider = \"lab\", region = \"a\" }}
workspace lab {{ users = 1, cpu = 2, memory = 8 GiB, accelerator = l40s, buy = [reserved(1 y), on_demand] }}
"
        );
        let cost = place.planned(text, 0).cost;
        (cost.total, cost.sum_of(CostKind::Owed))
    };
    let money = |total: u32, owed: u32| (Decimal::from(total), Decimal::from(owed));
    assert_eq!(plan("2027-01-01 .. 2028-12-31", "0.4 USD/h"), money(7008, 0));
    // Half a year more: another contract, paid to its end, or by the hour, whichever is cheaper.
    assert_eq!(plan("2027-01-01 .. 2028-06-30", "0.4 USD/h"), money(7008, 1752));
    assert_eq!(plan("2027-01-01 .. 2028-06-30", "0.7 USD/h"), money(6132 + 4380, 0));
}

#[test]
fn a_spare_stands_ready_once_what_it_stands_in_for_does() {
    let place = Place::new();
    let text = "plan p { horizon = 2027-01-01 .. 2028-12-31, as_of = 2026-10-01 }
site cloud { provider = aws, region = \"us-east-1\" }
site hall { lead_time = 6 mo, redundancy = n_plus_1 }
serve chat {
  model = \"meta-llama/Llama-3.1-8B-Instruct\"
  load = { rate = 100 req/s, prompt = 1 ktok, output = 250 tok }
  slo ttft { p99 <= 1 s }
  accelerator = h100_sxm
}
";
    let blueprint = place.planned(text, 0);
    let pool = blueprint.pools.iter().find(|pool| pool.site == "hall").expect("it moves there");
    let first = first_owned(&blueprint).expect("it is bought");
    assert!(first > 0 && pool.spares == 1);
    for (period, needed) in blueprint.periods.iter().zip(&pool.needed) {
        let most = needed.iter().copied().max().unwrap_or(0);
        assert_eq!(most > 0, period.first_month >= first, "{period:?}: {most}");
    }
}

/// A workload in the cloud of the lab, from 2027 on.
fn in_the_cloud(end: &str, workload: &str) -> Blueprint {
    let place = Place::new();
    place.write("lab.toml", format!("{LAB}{MACHINES}"));
    let text = format!(
        "use catalog \"lab.toml\"
plan p {{ currency = USD, horizon = 2027-01-01 .. {end} }}
site cloud {{ provider = \"lab\", region = \"a\" }}
{workload}"
    );
    place.planned(text, 0)
}

#[test]
fn a_demand_that_falls_is_served_from_its_first_month_on() {
    let text = "serve chat {
  model = \"meta-llama/Llama-3.1-8B-Instruct\"
  load = { rate = 100 req/s, grows = -3 %/mo, prompt = 1 ktok, output = 250 tok }
  slo ttft { p99 <= 2 s }
  accelerator = h100_sxm
}
";
    let demand = in_the_cloud("2029-12-31", text).demand;
    let busiest = |period: usize| demand[0].rates[period].iter().copied().fold(0.0, f64::max);
    // Three months are a period; each begins with its busiest.
    assert!((busiest(0) - 100.0).abs() < 1e-9 && (busiest(1) - 100.0 * 0.97 * 0.97 * 0.97).abs() < 1e-9);
}

/// Ten hours of a machine are not a month of it, however they are paid.
#[test]
fn all_on_demand_pays_for_the_hours_that_a_job_takes() {
    let text = "train domain {
  model    = \"meta-llama/Llama-3.1-8B-Instruct\"
  tokens   = 5 Gtok
  batch    = 1 Mtok
  sequence = 8192 tok
  buy      = [on_demand]
}
";
    let cost = in_the_cloud("2027-12-31", text).cost;
    assert_eq!(cost.all_on_demand, Some(cost.total));
    assert!(cost.total < Decimal::from(24 * 730), "{}", cost.total);
}

/// Three zones are three machines, though one holds all the replicas, whether they are bought or stand there already.
#[test]
fn a_machine_is_in_one_zone() {
    let place = Place::new();
    let text = |rate: u32, site: &str, beside: &str| {
        format!(
            "plan p {{ currency = USD, horizon = 2027-01-01 .. 2027-12-31 }}
site here {{ {site} }}
{beside}
serve chat {{
  model = \"meta-llama/Llama-3.1-8B-Instruct\"
  load  = {{ rate = {rate} req/s, prompt = 2 ktok, output = 300 tok }}
  slo ttft {{ p99 <= 2 s }}
  accelerator = h100_sxm
  parallelism = {{ tensor = 2, pipeline = 1 }}
  zones >= 3
}}
"
        )
    };
    let nodes = |blueprint: &Blueprint| -> Vec<(u32, u32)> {
        assert!(blueprint.audit.iter().all(|check| check.violations.is_empty()), "{:?}", blueprint.audit);
        let runs = |pool: &&Pool| pool.needed.iter().flatten().any(|&nodes| nodes > 0);
        let range = |pool: &Pool| {
            let all = || pool.needed.iter().flatten().copied();
            (all().min().unwrap_or(0), all().max().unwrap_or(0))
        };
        blueprint.pools.iter().filter(runs).map(range).collect()
    };
    let bought = place.planned(text(2, "provider = aws, region = \"us-east-1\"", ""), 0);
    assert_eq!((nodes(&bought), bought.services[0].placements[0].peak_replicas()), (vec![(3, 3)], 3));
    let hall = "pue = 1.2, energy_price = 0.1 USD/kWh, zones >= 3";
    let fleet = |count: u32| format!("fleet f {{ shape = own.dgx_h100_8, count = {count}, site = here }}");
    let stands = place.planned(text(2, hall, &fleet(4)), 0);
    assert_eq!((nodes(&stands), stands.services[0].placements[0].peak_replicas()), (vec![(3, 3)], 3));
    // What does not carry all of it carries a part, on as many machines, and so does what is bought beside.
    let part = place.planned(text(400, hall, &fleet(3)), 0);
    assert!(part.services[0].placements.len() > 1, "{:?}", part.services);
    assert!(nodes(&part).iter().all(|(fewest, _)| *fewest >= 3), "{:?}", nodes(&part));
}
