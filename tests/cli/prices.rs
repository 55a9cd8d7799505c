//! Traps of prices that people fell into, each with the right answer: what a user's own catalog says is what is paid.

use crate::surroundings::{LAB, LAB_G1, Place};
use capstan_types::blueprint::{Blueprint, Purchase};
use capstan_types::offering::PurchaseOption;
use rust_decimal::prelude::ToPrimitive;

/// More regions of the lab.
const REGIONS: &str = r#"
[[region]]
provider = "lab"
id = "b"
from = "lab"

[[region]]
provider = "lab"
id = "c"
from = "lab"
"#;

/// Returns the catalog of the lab with these prices of its machine.
pub fn catalog(prices: &str) -> String {
    format!(
        "{LAB}{REGIONS}{LAB_G1}\n[[offering]]\nshape = \"lab.g1\"\nfrom = \"lab\"\ngrade = \"list\"\nprices = [{prices}]\n"
    )
}

/// Returns a plan that may buy that machine in these regions.
pub fn plan(regions: &[&str], rate: &str, buy: &str) -> String {
    let sites: String = regions
        .iter()
        .map(|region| format!("site {region} {{ provider = \"lab\", region = \"{region}\" }}\n"))
        .collect();
    format!(
        "use catalog \"lab.toml\"\nplan p {{ currency = USD, horizon = 2027-01-01 .. 2027-12-31 }}\n{sites}\
         serve chat {{
  model = \"meta-llama/Llama-3.1-8B-Instruct\"
  load  = {{ rate = {rate}, prompt = 1 ktok, output = 250 tok }}
  slo ttft {{ p99 <= 2 s }}
  buy   = [{buy}]
}}
"
    )
}

fn planned(prices: &str, plan: &str) -> Blueprint {
    let place = Place::new();
    place.write("lab.toml", catalog(prices));
    place.planned(plan, 0)
}

fn purchases(blueprint: &Blueprint) -> Vec<&Purchase> {
    blueprint.pools.iter().flat_map(|pool| &pool.purchases).filter(|purchase| purchase.nodes > 0).collect()
}

/// 4 processors, 15.3 GiB and one accelerator at 1 USD/h each are 20.3 USD/h; at 1, 2 and 3 USD/h they are 37.6.
#[test]
fn prices_of_parts_add_up_over_the_machine() {
    let parts = |vcpu: u32, memory: u32, accelerator: u32| {
        format!(
            "{{ region = \"a\", on_demand = {{ per_vcpu = \"{} USD/mo\", per_memory = \"{} USD/GiB/mo\", \
             per_accelerator = \"{} USD/mo\" }} }}",
            730 * vcpu,
            730 * memory,
            730 * accelerator
        )
    };
    for (prices, node) in [(parts(1, 1, 1), 20.3), (parts(1, 2, 3), 37.6)] {
        let blueprint = planned(&prices, &plan(&["a"], "1 req/s", "on_demand"));
        let line = &blueprint.cost.lines[0];
        assert_eq!(line.unit_price.to_f64(), Some(node), "{line:?}");
        assert_eq!(blueprint.cost.total.to_f64(), Some(node * 8760.0));
    }
}

/// 0.12 USD/h on demand against 300 USD at once and 0.075 USD/h: even after 6,667 h, so a machine that is busy all
/// year is reserved and one that is busy half of it is not.
#[test]
fn a_payment_at_the_start_is_worth_it_where_the_machine_is_busy() {
    let prices = "{ region = \"a\", on_demand = \"0.12 USD/h\", reserved_1y = \"0.075 USD/h\", upfront_1y = \"300 USD\" }";
    let always = planned(prices, &plan(&["a"], "1 req/s", "reserved(1 y), on_demand"));
    let reserved = PurchaseOption::Reserved { term_months: 12 };
    assert_eq!(purchases(&always).iter().map(|bought| bought.option).collect::<Vec<_>>(), [reserved]);
    assert_eq!(always.cost.total.to_f64(), Some(657.0 + 300.0));
    // The bill spreads it over the term, and says so of what is bought so, and of nothing else.
    let spread = |blueprint: &Blueprint| -> Vec<String> {
        let all = blueprint.assumptions.iter().map(|one| one.text.clone());
        all.filter(|text| text.contains("at the start of a term")).collect()
    };
    let words = "what is invoiced at the start of a term is billed in equal parts over the term: lab.g1, reserved 1 y";
    assert_eq!(spread(&always), [words]);
    let hourly = planned(prices, &plan(&["a"], "1 req/s", "on_demand"));
    assert_eq!(spread(&hourly), [""; 0]);

    // The second machine is busy for less than half of the day.
    let curve = "6 req/s, daily = diurnal(trough = 10%, peak_at = 14:00)";
    let often = planned(prices, &plan(&["a"], curve, "reserved(1 y), on_demand"));
    let share = |option: PurchaseOption| {
        let hours = |bought: &&Purchase| bought.node_hours_by_period.iter().sum::<f64>();
        purchases(&often).iter().filter(|bought| bought.option == option).map(hours).sum::<f64>() / 8760.0
    };
    assert_eq!(share(reserved), 1.0);
    assert!((0.1..0.8).contains(&share(PurchaseOption::OnDemand)), "{}", share(PurchaseOption::OnDemand));
}

#[test]
fn a_payment_at_the_start_needs_its_term() {
    let place = Place::new();
    for (prices, told) in [
        ("{ region = \"a\", on_demand = \"1 USD/h\", upfront_1y = \"300 USD\" }", "without `reserved_1y`"),
        ("{ region = \"a\", reserved_1y = \"1 USD/h\", upfront_1y = \"-300 USD\" }", "below zero"),
        ("{ region = \"a\", reserved_1y = \"1 USD/h\", upfront_1y = \"300 EUR\" }", "priced in USD"),
        ("{ region = \"a\", on_demand = { per_core = \"1 USD/h\" } }", "per_vcpu"),
        ("{ region = \"a\", on_demand = {} }", "no parts"),
        ("{ region = \"a\", on_demand = { node = \"1 USD/h\", per_vcpu = \"1 EUR/h\" } }", "two currencies"),
    ] {
        place.write("lab.toml", catalog(prices));
        let seen = place.run(&["catalog", "check", "lab.toml"]).exits(1);
        assert!(seen.err.contains(told) || seen.out.contains(told), "{}", seen.told());
    }
}

/// The region with the dearer on-demand price has the cheaper spot, and one region does not have the machine.
#[test]
fn the_price_of_the_option_that_is_asked_decides_by_region() {
    let prices = "{ region = \"a\", on_demand = \"2.953 USD/h\", spot = \"1.037 USD/h\" }, \
                  { region = \"b\", on_demand = \"3.4 USD/h\", spot = \"0.95 USD/h\" }";
    let place = Place::new();
    place.write("lab.toml", catalog(prices));
    place.write("p.plan", plan(&["a", "b", "c"], "1 req/s", "spot"));
    let seen = place.run(&["plan", "p.plan"]).exits(1);
    assert!(seen.err.contains("no region `c` with prices"), "{}", seen.told());
    let spot = planned(prices, &plan(&["a", "b"], "1 req/s", "spot"));
    let pools: Vec<&str> =
        spot.pools.iter().filter(|pool| !pool.purchases.is_empty()).map(|pool| pool.site.as_str()).collect();
    assert_eq!(pools, ["b"]);
    assert_eq!(spot.cost.lines[0].unit_price.to_f64(), Some(0.95));
    let on_demand = planned(prices, &plan(&["a", "b"], "1 req/s", "on_demand"));
    assert_eq!(on_demand.cost.lines[0].unit_price.to_f64(), Some(2.953));
}

/// What a region says of itself is not replaced by what is said of all, however new or low that is.
#[test]
fn a_regions_own_price_holds_there() {
    let prices = "{ region = \"a\", on_demand = \"0.22 USD/h\" }, \
                  { region = \"all\", on_demand = \"0.18 USD/h\", as_of = \"2026-06-20\" }";
    let own = planned(prices, &plan(&["a"], "1 req/s", "on_demand"));
    assert_eq!(own.cost.lines[0].unit_price.to_f64(), Some(0.22));
    let other = planned(prices, &plan(&["b"], "1 req/s", "on_demand"));
    assert_eq!(other.cost.lines[0].unit_price.to_f64(), Some(0.18));
}

/// A row whose price is not known cannot win, and is counted; a price of zero must say where it comes from.
#[test]
fn the_cheapest_machine_does_not_cost_nothing() {
    let place = Place::new();
    place.write("lab.toml", catalog("{ region = \"a\", on_demand = \"0.00 USD/h\" }"));
    place.run(&["catalog", "check", "lab.toml"]).exits(1);
    let prices = "{ region = \"a\", on_demand = \"unknown\" }, { region = \"b\", on_demand = \"2 USD/h\" }";
    let blueprint = planned(prices, &plan(&["a", "b"], "1 req/s", "on_demand"));
    assert_eq!(blueprint.unpriced.len(), 1);
    assert_eq!(blueprint.cost.total.to_f64(), Some(2.0 * 8760.0));
}

/// The plan has the prices of what it may buy: what is sold beside that, nobody says is not.
#[test]
fn what_is_said_not_to_be_sold_is_so_among_what_the_plan_may_buy() {
    let place = Place::new();
    place.write("lab.toml", catalog("{ region = \"a\", on_demand = \"2 USD/h\" }"));
    place.write("p.plan", plan(&["a"], "1 req/s", "on_demand"));
    place.run(&["plan", "p.plan", "-o", "b.json"]).exits(0);
    place.run(&["report", "b.json", "--output", "html:b.html"]).exits(0);
    let words = "nobody sells it or its like, reserved 1 y, among the machines that the plan may buy";
    assert!(place.read("b.html").contains(words));
}

#[test]
fn people_licences_and_support_are_paid_and_are_unpriced_where_nobody_says() {
    let prices = "{ region = \"a\", on_demand = \"2 USD/h\" }";
    let text = plan(&["a"], "1 req/s", "on_demand");
    let bare = planned(prices, &text);
    let listed = |blueprint: &Blueprint, name: &str| {
        blueprint.cost.not_included.iter().any(|item| item.starts_with(&format!("{name} (")))
    };
    assert!(["staff", "licences", "support"].iter().all(|name| listed(&bare, name)), "{:?}", bare.cost);
    let stated = text.replace("USD,", "USD, staff = 10 kUSD/mo, licences = 0 USD/mo, support = 12 kUSD/y,");
    let paid = planned(prices, &stated);
    assert_eq!((paid.cost.total - bare.cost.total).to_f64(), Some(12.0 * 10_000.0 + 12_000.0));
    assert!(!["staff", "licences", "support"].iter().any(|name| listed(&paid, name)));
    // They count towards limits on money, and no machine that is left out makes room for them.
    let place = Place::new();
    place.write("lab.toml", catalog(prices));
    place.write("p.plan", format!("{stated}budget b {{ opex <= 10 kUSD/mo }}\n"));
    let seen = place.run(&["plan", "p.plan"]).exits(3);
    assert!(seen.out.contains("opex"), "{}", seen.told());
    // No storage and no fleet is part of the amount, so none is said to be.
    let passed = "what is paid whichever machines are chosen passes the limit on opex per month of budget b";
    assert!(seen.err.contains(passed), "{}", seen.told());
    place.write("p.plan", text.replace("USD,", "USD, staff = -1 USD/mo,"));
    assert!(place.run(&["check", "p.plan"]).exits(1).err.contains("staff"));
}

/// What to say where a rule does not hold, said: in every form, whatever the rule does.
#[test]
fn what_a_rule_says_where_it_does_not_hold_is_in_every_form() {
    let prices = "{ region = \"a\", on_demand = \"2 USD/h\" }";
    let place = Place::new();
    place.write("lab.toml", catalog(prices));
    let text = plan(&["a"], "1 req/s", "on_demand");
    let run = |rules: &str, code: i32| {
        place.write("p.plan", format!("{text}budget b {{\n{rules}}}\n"));
        place.run(&["plan", "p.plan", "-o", "b.json"]).exits(code)
    };
    let in_every_form = |words: &str| {
        let names =
            ["human:r.txt", "markdown:r.md", "json:r.json", "junit:r.xml", "sarif:r.sarif", "html:r.html"];
        let outputs = names.iter().flat_map(|name| ["--output", name]);
        place.run(&["report", "b.json"].into_iter().chain(outputs).collect::<Vec<_>>()).exits(0);
        for name in names.map(|name| name.split(':').nth(1).expect("a file")) {
            let told = place.read(name);
            let one_line = told.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(one_line.contains(words), "{name}: {told}");
        }
    };
    // One that the program keeps: no plan does.
    let seen = run("  require most: chat.cost <= 1 USD else \"DEARER THAN  THE MARGIN\"\n", 3);
    assert!(seen.err.contains("allows (DEARER THAN THE MARGIN)"), "{}", seen.told());
    in_every_form("DEARER THAN THE MARGIN");
    // Ones that are judged afterwards.
    for (rule, code) in [("require", 3), ("warn", 0), ("prefer", 0)] {
        let seen = run(&format!("  {rule} r: chat.cost >= 1 MUSD else \"TOO SMALL\"\n"), code);
        assert!(seen.err.contains("`r` of budget `b` does not hold: TOO SMALL"), "{}", seen.told());
        in_every_form("TOO SMALL");
    }
    // None of what is not required is.
    let seen = run("  prefer p: chat.cost >= 1 MUSD\n  warn w: chat.cost >= 1 MUSD\n", 0);
    assert!(seen.out.contains("Rules: 0 of 2 hold, none is required."), "{}", seen.told());
    let seen = run("  prefer p: chat.cost >= 1 MUSD\n  require w: chat.cost <= 1 MUSD else \"NO\"\n", 0);
    assert!(seen.out.contains("Rules: 1 of 2 hold, every required one among them."), "{}", seen.told());
    assert!(!seen.told().contains("NO\n"), "{}", seen.told());
}

/// Spot costs a third, so without a limit everything is spot; the budget lets a quarter be, over all workloads.
#[test]
fn a_budget_limits_the_share_of_spot() {
    let prices = "{ region = \"a\", on_demand = \"3 USD/h\", spot = \"1 USD/h\" }";
    let plan = plan(&["a"], "30 req/s", "spot, on_demand");
    let share = |blueprint: &Blueprint| {
        let hours = |bought: &&Purchase| bought.node_hours_by_period.iter().sum::<f64>();
        let all: f64 = purchases(blueprint).iter().map(hours).sum();
        let spot = |bought: &&&Purchase| bought.option == PurchaseOption::Spot;
        purchases(blueprint).iter().filter(spot).map(hours).sum::<f64>() / all
    };
    assert_eq!(share(&planned(prices, &plan)), 1.0);
    let limited = planned(prices, &format!("{plan}budget fy27 {{ spot <= 25% }}\n"));
    let seen = share(&limited);
    assert!(seen > 0.1 && seen <= 0.25 + 1e-9, "{seen}");
    // A limit of no spot at all conflicts with spot alone, and the way out is one that was solved.
    let place = Place::new();
    place.write("lab.toml", catalog(prices));
    let only = plan.replace("spot, on_demand", "spot");
    place.write("p.plan", format!("{only}budget fy27 {{ spot <= 25% }}\n"));
    let told = place.run(&["plan", "p.plan"]).exits(3);
    assert!(told.told().contains("share of spot of budget fy27"), "{}", told.told());
    assert!(told.told().contains("spot <= 100% of budget `fy27`"), "{}", told.told());
}

/// Money that is committed, and windows of some days, are priced, limited and named apart from what is reserved.
#[test]
fn savings_plans_and_blocks_are_bought_where_they_are_cheaper() {
    let prices = "{ region = \"a\", on_demand = \"5 USD/h\", reserved_1y = \"3.2 USD/h\", \
                  savings_plan_1y = \"3 USD/h\", block_14d = \"2 USD/h\" }";
    let bought = |buy: &str| {
        let blueprint = planned(prices, &plan(&["a"], "1 req/s", buy));
        let [only] = purchases(&blueprint)[..] else { panic!("{:?}", purchases(&blueprint)) };
        (only.option, only.busy_above, blueprint.cost.total.to_f64())
    };
    let (savings, block) =
        (PurchaseOption::SavingsPlan { term_months: 12 }, PurchaseOption::Block { days: 14 });
    let all_year = "reserved(1 y), savings_plan(1 y), on_demand";
    assert_eq!(bought(all_year), (savings, Some(0.6), Some(3.0 * 8760.0)));
    assert_eq!(bought("savings_plan, block, on_demand"), (block, Some(0.4), Some(2.0 * 8760.0)));
    // Neither is bought where nobody names it.
    let default = plan(&["a"], "1 req/s", "on_demand").replace("buy   = [on_demand]", "");
    let free = planned(prices, &default);
    assert_eq!(purchases(&free)[0].option, PurchaseOption::Reserved { term_months: 12 });
    let limited = planned(prices, &plan(&["a"], "12 req/s", "savings_plan(1 y) <= 50%, on_demand"));
    assert!(purchases(&limited).iter().any(|one| one.option == PurchaseOption::OnDemand));
    let place = Place::new();
    place.write("lab.toml", catalog(prices));
    place.planned(plan(&["a"], "1 req/s", all_year), 0);
    place.run(&["report", "b.json", "--output", "csv:out"]).exits(0);
    let focus = place.read("out/focus.csv");
    assert!(focus.contains("Spend,") && focus.contains("savings plan 1 y"), "{focus}");
    for (buy, told) in [
        ("savings_plan(2 y)", "longer than the horizon"),
        ("savings_plan(6 mo)", "terms with prices that fit: `savings_plan(1 y)`"),
        ("block(36 h)", "a term is whole days"),
        ("block(7 d)", "terms with prices that fit: `block(14 d)`"),
        ("leased(1 y)", "no function of `buy`"),
    ] {
        place.write("q.plan", plan(&["a"], "1 req/s", buy));
        let seen = place.run(&["check", "q.plan"]).exits(1);
        assert!(seen.told().contains(told), "{buy}: {}", seen.told());
    }
    place.write("lab.toml", catalog("{ region = \"a\", block_900d = \"2 USD/h\" }"));
    place.run(&["catalog", "check", "lab.toml"]).exits(1);
}

/// What runs for some weeks has its machines for that window, not for the rest of the year.
#[test]
fn a_block_lasts_as_long_as_its_job() {
    let prices = "{ region = \"a\", on_demand = \"5 USD/h\", block_14d = \"2 USD/h\" }";
    let text = plan(&["a"], "1 req/s", "on_demand");
    let text = text.split_once("serve chat").expect("a service").0.to_owned()
        + "batch digest {
  model    = \"meta-llama/Llama-3.1-8B-Instruct\"
  requests = 24 Mreq
  prompt   = 1 ktok
  output   = 250 tok
  start   >= 2027-03-02
  finish  <= 2027-05-01
  buy      = [block(14 d), on_demand]
}
";
    let blueprint = planned(prices, &text);
    let all = purchases(&blueprint);
    let blocks: f64 = all
        .iter()
        .filter(|one| one.option == PurchaseOption::Block { days: 14 })
        .flat_map(|one| &one.node_hours_by_period)
        .sum();
    let nodes: u32 = all.iter().map(|one| one.nodes).sum();
    assert!(blocks > 0.0 && blocks <= f64::from(nodes) * 2.0 * 730.0, "{all:?}");
    for (one, period) in all.iter().flat_map(|one| one.node_hours_by_period.iter().zip(&blueprint.periods)) {
        assert!(*one == 0.0 || (2..4).contains(&period.first_month), "{all:?} {:?}", blueprint.periods);
    }
}
