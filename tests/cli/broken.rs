//! What people tried in order to break the program: outputs over inputs, amounts without end, blueprints changed by hand.

use crate::surroundings::Place;
use capstan_types::testing::blueprint::{chat_blueprint, infeasible_blueprint};

const SERVE: &str = "serve chat {\n  model = \"meta-llama/Llama-3.1-8B-Instruct\"\n  load  = { rate = 5 req/s, \
                     prompt = 1 ktok, output = 250 tok }\n  slo ttft { p99 <= 1 s }\n}\n";

fn plan(head: &str, site: &str) -> String {
    format!("plan p {{ {head} }}\n{site}\n{SERVE}")
}

const CLOUD: &str = "site cloud { provider = aws, region = \"us-east-1\" }";

#[test]
fn no_output_replaces_what_the_run_read() {
    let place = Place::new();
    place.write("a.plan", plan("currency = USD", CLOUD));
    place.write("own.toml", "");
    place.write_blueprint("b.json", &chat_blueprint());
    place.write_blueprint("c.json", &chat_blueprint());
    let before: Vec<String> = ["a.plan", "b.json", "own.toml"].map(|name| place.read(name)).to_vec();
    for command in [
        &["check", "a.plan", "--output", "json:a.plan"][..],
        &["check", "a.plan", "--output", "sarif:./a.plan"],
        &["check", "a.plan", "--catalog", "own.toml", "--output", "json:own.toml"],
        &["report", "b.json", "--output", "html:b.json"],
        &["report", "b.json", "--output", "xlsx:b.json"],
        &["explain", "b.json", "--output", "json:b.json"],
        &["diff", "c.json", "b.json", "--output", "json:b.json"],
        &["catalog", "list", "--catalog", "own.toml", "--output", "json:own.toml"],
    ] {
        let seen = place.run(command).exits(64);
        assert!(seen.err.contains("would be overwritten"), "{}", seen.told());
    }
    let after: Vec<String> = ["a.plan", "b.json", "own.toml"].map(|name| place.read(name)).to_vec();
    assert_eq!(before, after);
}

#[test]
fn two_outputs_do_not_share_a_file() {
    let place = Place::new();
    place.write_blueprint("b.json", &chat_blueprint());
    let seen = place.run(&["report", "b.json", "--output", "json:o", "--output", "html:o"]).exits(64);
    assert!(seen.err.contains("`o` would be overwritten"), "{}", seen.told());
    assert_eq!(place.names(), ["b.json"]);
}

#[test]
fn a_file_that_cannot_be_written_is_said_before_anything_is_computed() {
    let place = Place::new();
    place.write("a.plan", plan("currency = USD", CLOUD));
    let seen = place.run(&["plan", "a.plan", "-o", "nowhere/b.json"]).exits(1);
    assert!(
        seen.err.contains("cannot write `nowhere/b.json`") && !seen.err.contains(".capstan-"),
        "{}",
        seen.told()
    );
    assert_eq!(seen.out, "");
}

#[test]
fn any_value_of_a_blueprint_that_is_changed_by_hand_is_found() {
    let place = Place::new();
    place.write_blueprint("good.json", &chat_blueprint());
    let good = place.read("good.json");
    for (field, by) in [("\"seed\": ", "9"), ("\"replicas_planned\": ", "4294967"), ("\"source\": \"", "x")] {
        let at = good.find(field).expect(field) + field.len();
        place.write("bad.json", format!("{}{by}{}", &good[..at], &good[at..]));
        for command in [
            &["report", "bad.json"][..],
            &["explain", "bad.json"],
            &["emit", "bad.json", "--target", "kubernetes", "-o", "m"],
        ] {
            let seen = place.run(command).exits(1);
            assert!(seen.err.contains("was edited or damaged"), "{}", seen.told());
        }
    }
    // The same in other clothes.
    let value: serde_json::Value = serde_json::from_str(&good).expect("JSON");
    place.write("plain.json", value.to_string());
    place.run(&["report", "plain.json"]).exits(0);
}

#[test]
fn amounts_without_end_are_refused_where_they_stand() {
    let hall = |more: &str| format!("site hall {{ power <= 400 kW, pue = 1.2, {more} }}");
    let fleet = "fleet f { shape = own.dgx_a100_8, count = 1, site = hall, committed_price = 1_000_000_000_000_000_000_000_000 USD/h }";
    let place = Place::new();
    for (text, code) in [
        (plan("currency = USD", &hall("energy_price = 1_000_000_000_000_000_000_000_000 USD/kWh")), "E0"),
        (
            plan("currency = USD", &hall("colocation_price = 100_000_000_000_000_000_000_000_000 USD/kW/mo")),
            "E0",
        ),
        (plan("currency = USD", &format!("{}\n{fleet}", hall("energy_price = 0.1 USD/kWh"))), "E0"),
        (plan("as_of = 0000-01-01", CLOUD), "E0"),
        (plan("as_of = 9999-12-31, horizon = 3 y", CLOUD), "E0"),
        (plan("as_of = 2026-09-01, horizon = 2025-01-01 .. 2025-01-31", CLOUD), "E0"),
        (plan("horizon = 2020-01-01 .. 2020-12-31", CLOUD), "E0"),
    ] {
        place.write("a.plan", &text);
        let seen = place.run(&["check", "a.plan"]).exits(1);
        assert!(
            seen.err.contains(&format!("error[{code}")) && seen.err.contains("a.plan:"),
            "{text}{}",
            seen.told()
        );
    }
}

#[test]
fn a_price_is_never_scaled_to_nothing() {
    let place = Place::new();
    place.write("a.plan", plan("currency = USD", CLOUD));
    for change in ["aws.g6e_xlarge.price *= 0", "aws.g6e_xlarge.price *= 0.00000000000000000001"] {
        place.run(&["check", "a.plan", "--set", change]).exits(1);
    }
}

#[test]
fn a_day_that_is_planned_as_a_month_says_so() {
    let place = Place::new();
    place.write("a.plan", plan("horizon = 2027-01-01 .. 2027-01-01", CLOUD));
    let seen = place.run(&["plan", "a.plan", "--output", "markdown"]).exits(0);
    assert!(seen.out.contains("the horizon of 1 days is planned as 730 h"), "{}", seen.told());
}

#[test]
fn a_line_of_wrong_characters_ends_soon_and_a_line_without_end_is_given_up() {
    let place = Place::new();
    place.write("a.plan", "^1".repeat(100_000));
    let seen = place.run(&["check", "a.plan"]).exits(1);
    assert!(seen.err.len() < 4_000_000, "{} bytes", seen.err.len());
    place.write_blueprint("b.json", &chat_blueprint());
    let seen = place.run_with(&["actuals", "b.json", "-"], &"0".repeat(20 << 20)).exits(1);
    assert!(seen.err.contains("a line is longer than 16 MiB"), "{}", seen.told());
}

#[test]
fn a_bill_beyond_every_amount_is_no_amount() {
    let place = Place::new();
    place.write_blueprint("b.json", &chat_blueprint());
    let row = "2027-01-01,p5,79228162514264337593543950335,USD,1,h\n";
    let head = "BillingPeriodStart,ServiceName,BilledCost,BillingCurrency,PricingQuantity,PricingUnit\n";
    place.write("bill.csv", format!("{head}{row}{row}"));
    let seen = place.run(&["actuals", "b.json", "bill.csv"]).exits(1);
    assert!(seen.err.contains("line 2") && seen.err.contains("is no amount"), "{}", seen.told());
    place.write("bill.csv", format!("{head}{}", row.replace("2027-01-01", "2027-13-01")));
    let seen = place.run(&["actuals", "b.json", "bill.csv"]).exits(1);
    assert!(seen.err.contains("no month") || seen.err.contains("no amount"), "{}", seen.told());
}

#[test]
fn a_plan_that_does_not_exist_has_every_form_and_no_price() {
    let place = Place::new();
    place.write_blueprint("none.json", &infeasible_blueprint());
    place.write_blueprint("some.json", &chat_blueprint());
    let forms = ["html:o.html", "markdown:o.md", "csv:o", "xlsx:o.xlsx", "json:o.json"];
    let outputs: Vec<&str> = forms.iter().flat_map(|form| ["--output", form]).collect();
    place.run(&[&["report", "none.json"], &outputs[..]].concat()).exits(0);
    assert!(!place.read("o.html").contains("<dt>total</dt>"));
    let seen = place.run(&["diff", "some.json", "none.json", "--output", "markdown"]);
    assert!(seen.out.contains("cannot be compared") && !seen.out.contains("-100"), "{}", seen.told());
    let seen = place.run(&["explain", "none.json"]).exits(0);
    assert!(!seen.out.contains("What binds"), "{}", seen.told());
}
