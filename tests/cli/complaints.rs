//! What people complained of in plan, diff and check tools, each with the right answer (section (g) of the project's cases).
//! Its G2, more results than an upload takes, stands with the formats: tests/cli/formats.rs and report/src/ci/sarif.rs.

use crate::prices::{catalog, plan};
use crate::surroundings::{Place, Seen};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// G4. Users of detailed exit codes find that CI shows changes as failure, that later stages cannot learn from the saved plan
/// whether it is empty, and ask people to approve empty plans.
#[test]
fn whether_a_plan_changes_anything_is_an_exit_code_only_where_asked_and_stands_in_the_blueprint() {
    let place = Place::new();
    let owned = "plan p { currency = USD }\nsite hall { energy_price = 0.1 USD/kWh, pue = 1.3 }\n\
                 fleet a100 { shape = own.dgx_a100_8, count = 1, site = hall }\nserve chat {\n  \
                 model = \"meta-llama/Llama-3.1-8B-Instruct\"\n  load = { rate = 1 req/s, prompt = 1 ktok, output = 250 tok }\n  \
                 slo ttft { p99 <= 2 s }\n}\n";
    place.write("owned.plan", owned);
    place.write("lab.toml", catalog("{ region = \"a\", on_demand = \"1.00 USD/h\" }"));
    place.write("bought.plan", plan(&["a"], "1 req/s", "on_demand"));
    place.write("broken.plan", "plan {");
    for (name, changes) in [("owned", false), ("bought", true)] {
        let (file, out) = (format!("{name}.plan"), format!("{name}.json"));
        let asked = ["plan", &file, "-o", &out, "--detailed-exitcode"];
        let code = if changes { 2 } else { 0 };
        // The second time it is the same plan, and the answer is the same: what it says is of the world, not of its past.
        place.run(&asked).exits(code);
        place.run(&asked).exits(code);
        place.run(&asked[..4]).exits(0);
        assert_eq!(json(&place.read(&out))["changes"], changes, "{name}");
        let seen = place.run(&["report", &out, "--output", "json"]).exits(0);
        assert_eq!(json(&seen.out)["changes"], changes, "{name}");
        let same = place.run(&["diff", &out, &out, "--detailed-exitcode", "--output", "json"]).exits(0);
        assert_eq!(json(&same.out)["empty"], true);
    }
    place.run(&["plan", "broken.plan", "--detailed-exitcode"]).exits(1);
    place.run(&["diff", "owned.json", "bought.json"]).exits(0);
    place.run(&["diff", "owned.json", "bought.json", "--detailed-exitcode"]).exits(2);
}

/// Plans of the same work at two prices, compared.
struct Compared {
    place: Place,
}

impl Compared {
    fn new() -> Self {
        let place = Place::new();
        place.write("p.plan", plan(&["a", "b"], "1 req/s", "on_demand"));
        let compared = Self { place };
        compared.priced("base.json", "1.000", "\"9.00 USD/h\"");
        compared
    }

    fn priced(&self, out: &str, price: &str, other: &str) {
        let prices = format!(
            "{{ region = \"a\", on_demand = \"{price} USD/h\" }}, {{ region = \"b\", on_demand = {other} }}"
        );
        self.place.write("lab.toml", catalog(&prices));
        self.place.run(&["plan", "p.plan", "-o", out]).exits(0);
    }

    fn with(&self, more: &[&str]) -> Seen {
        let rules =
            ["--silent-below", "1%", "--warn-increase", "5%", "--max-decrease", "25%", "--fail-on", "warn"];
        self.place.run(&[&["diff", "base.json", "head.json"], &rules[..], more].concat())
    }
}

/// G7. Users of cost comments ask for no comment below a threshold, thresholds in money and in per cent, for rises and for
/// falls, and an exit code, so that it is a gate; an item without a price is never silent.
#[test]
fn a_change_is_told_and_refused_as_the_rules_say_in_both_directions() {
    let compared = Compared::new();
    for (price, code, broken) in
        [("1.004", 0, None), ("1.120", 4, Some("warn-increase 5 %")), ("0.700", 3, Some("max-decrease 25 %"))]
    {
        compared.priced("head.json", price, "\"9.00 USD/h\"");
        let comment = compared.with(&["--output", "markdown"]).exits(code).out;
        assert_eq!(comment.is_empty(), code == 0, "{price}: {comment}");
        let told = json(&compared.with(&["--output", "json"]).exits(code).out);
        let guards = told["guards"].as_array().expect("guards");
        let failed: Vec<&str> = guards
            .iter()
            .filter(|guard| guard["holds"] == false)
            .filter_map(|guard| guard["name"].as_str())
            .collect();
        assert_eq!(failed, broken.into_iter().collect::<Vec<_>>(), "{price}");
        assert_eq!(told["summary"]["exit_code"], code);
    }
    // An amount instead of a share: 0.4 % of a year at 1 USD/h are 35.04 USD.
    compared.priced("head.json", "1.004", "\"9.00 USD/h\"");
    compared.with(&["--max-increase", "36"]).exits(0);
    compared.with(&["--max-increase", "35"]).exits(3);
}

#[test]
fn an_offer_that_lost_its_price_is_never_silent() {
    let compared = Compared::new();
    compared.priced("head.json", "1.000", "\"unknown\"");
    let comment = compared.with(&["--output", "markdown"]).exits(4).out;
    assert!(comment.contains("no more without a price") && comment.contains("0 before, 1 now"), "{comment}");
}
