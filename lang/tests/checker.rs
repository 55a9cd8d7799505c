//! What a plan means: the examples check, defaults are recorded, and changes reach the spec.

mod common;

use capstan_lang::{
    CheckContext, Source, apply_overrides, check, format, parse, parse_change, render_plain,
    scenario_changes, trace,
};
use capstan_types::place::FileId;
use capstan_types::testing::data;
use common::checked;
use std::path::{Path, PathBuf};

/// Returns the example plans: name and text.
fn examples() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let entries = std::fs::read_dir(folder).expect("the examples are in the repository");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "plan"));
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        (name, std::fs::read_to_string(path).expect("a readable file"))
    };
    paths.iter().map(read).collect()
}

/// With `UPDATE` set, an example that is not in the canonical form is written anew, to be reviewed.
fn rewrite(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    if std::env::var_os("UPDATE").is_some()
        && let Ok(canonical) = format(text)
        && canonical != text
    {
        std::fs::write(path, canonical).expect("the examples can be written");
    }
}

#[test]
fn every_example_checks_and_is_in_the_canonical_form() {
    let all = examples();
    assert!(all.len() >= 5, "{}", all.len());
    all.iter().for_each(|(name, text)| rewrite(name, text));
    for (name, text) in &all {
        let (spec, found) = checked(text, &CheckContext::default());
        let shown = render_plain(&found, |_| Some(text.as_str()));
        assert!(spec.is_some() && found.is_empty(), "{name}:\n{shown}");
        assert_eq!(format(text).as_deref(), Ok(text.as_str()), "{name}");
    }
}

fn spec_of(name: &str) -> capstan_types::spec::Spec {
    let all = examples();
    let (_, text) = all.iter().find(|(known, _)| known == name).expect("an example");
    checked(text, &CheckContext::default()).0.expect("examples check")
}

#[test]
fn the_shortest_plan_records_every_default() {
    let spec = spec_of("first.plan");
    let said: Vec<&str> = spec.assumptions.iter().map(|assumption| assumption.text.as_str()).collect();
    let about = [
        "planning date is",
        "horizon",
        "discount",
        "net present cost",
        "seed",
        "grow",
        "every hour",
        "weekends",
        "Poisson",
        "engine",
        "weights as published",
        "16 bits",
        "kept free",
        "may be bought",
        "replica",
    ];
    for word in about {
        assert_eq!(said.iter().filter(|text| text.contains(word)).count(), 1, "{word}: {said:#?}");
    }
    assert_eq!(said.len(), about.len(), "{said:#?}");
    assert!(spec.assumptions.iter().all(|assumption| assumption.place.is_some()));
    assert_eq!(spec.frame.months, 12);
    let serve = &spec.serves[0];
    assert_eq!(serve.load.peak.get(), 5.0);
    assert_eq!((serve.load.prompt.mean, serve.load.output.mean), (1000.0, 250.0));
    let options: Vec<String> = serve.buy.iter().map(|buy| buy.option.words()).collect();
    assert_eq!(options, ["on demand", "reserved 1 y"]);
}

#[test]
fn the_chat_plan_means_what_it_says() {
    let spec = spec_of("chat.plan");
    assert_eq!((spec.frame.months, spec.frame.discount_per_year), (36, 0.09));
    assert_eq!(spec.sites.len(), 4);
    let hall = spec.sites.iter().find(|site| site.is_own()).expect("an own site");
    assert_eq!(hall.power.as_ref().map(|power| power.value.get()), Some(400e3));
    assert_eq!(hall.energy_price_per_kwh.map(|price| price.to_string()).as_deref(), Some("0.08"));
    assert_eq!(
        hall.colocation_price_per_kw_month.map(|price| price.normalize().to_string()).as_deref(),
        Some("120")
    );
    let chat = &spec.serves[0];
    assert_eq!(chat.load.traffic.as_deref(), Some("azure_2023_conversation"));
    assert_eq!(chat.slos.iter().map(|slo| slo.target.get()).collect::<Vec<_>>(), [0.5, 0.05]);
    assert_eq!(chat.min_replicas, 2, "one in each of the zones that a site asks for");
    assert_eq!(chat.accelerators.as_ref().map(Vec::len), Some(3));
    assert_eq!(spec.models.len(), 1);
    assert!(spec.deploy.as_ref().is_some_and(|deploy| deploy.monitoring && deploy.namespace == "llm"));
}

#[test]
fn no_site_means_every_region_that_sells() {
    let text = "plan p { currency = USD }\nserve chat { model = llama3_1_8b, load = { rate = 5 req/s, prompt = 1 ktok, output = 250 tok } }\n";
    let spec = checked(text, &CheckContext::default()).0.expect("a plan");
    assert!(spec.sites.len() > 100, "{}", spec.sites.len());
    assert!(spec.sites.iter().any(|site| site.name == "aws/us-east-1"));
    assert!(spec.sites.iter().all(|site| !site.is_own() && site.pue == 1.0));
}

/// Returns what the example says after changes, or the messages about them.
fn after(
    name: &str,
    changes: &[&str],
) -> Result<(capstan_types::spec::Spec, Option<capstan_types::catalog::Catalog>), Vec<String>> {
    let all = examples();
    let (_, text) = all.iter().find(|(known, _)| known == name).expect("an example");
    let parsed = parse(&FileId::new(name), text);
    let read = changes.iter().map(|change| parse_change(change, None).expect("a change"));
    let changed = apply_overrides(&parsed.file, &common::CATALOG, &read.collect::<Vec<_>>());
    let said =
        |all: Vec<capstan_lang::Diagnostic>| all.into_iter().map(|one| one.message).collect::<Vec<_>>();
    if !changed.diagnostics.is_empty() {
        return Err(said(changed.diagnostics));
    }
    assert_eq!(changed.overrides.len(), changes.len());
    assert!(changed.overrides.iter().all(|made| made.from == "--set"));
    let catalog = changed.catalog.as_ref().unwrap_or(&common::CATALOG);
    let (spec, found) = check(Source { file: &changed.file, text }, catalog, &CheckContext::default());
    spec.map(|spec| (spec, changed.catalog)).ok_or_else(|| said(found))
}

#[test]
fn changes_reach_what_is_planned() {
    let peak = |changes: &[&str]| {
        after("chat-and-pretrain.plan", changes).expect("a plan").0.serves[0].load.peak.get()
    };
    assert_eq!(peak(&[]), 40.0);
    assert_eq!(peak(&["peak = 80 req/s"]), 80.0);
    assert_eq!(peak(&["peak *= 2", "peak += 5 req/s"]), 85.0);
    assert_eq!(peak(&["chat.load.peak = 7 req/s"]), 7.0);
    let (spec, _) = after("first.plan", &["chat.slo.ttft.p99 = 2 s", "chat.headroom = 10%", "plan.seed = 9"])
        .expect("a plan");
    assert_eq!(
        (spec.serves[0].slos[0].target.get(), spec.serves[0].headroom, spec.frame.seed),
        (2.0, 0.1, 9)
    );
    let (_, catalog) =
        after("chat.plan", &["own.hgx_h100_8.price *= 2", "aws.p5_48xlarge.price *= 0.5"]).expect("a plan");
    let prices = |catalog: &capstan_types::catalog::Catalog, shape: &str| -> Vec<_> {
        catalog.offerings.iter().filter(|row| row.shape == shape).map(|row| row.price).collect()
    };
    let catalog = catalog.expect("a changed catalog");
    for (shape, factor) in [("own.hgx_h100_8", "2"), ("aws.p5_48xlarge", "0.5"), ("aws.p4d_24xlarge", "1")] {
        let factor: rust_decimal::Decimal = factor.parse().expect("a number");
        let before = prices(&common::CATALOG, shape);
        let expected: Vec<_> = before.into_iter().map(|price| price.map(|price| price * factor)).collect();
        assert_eq!(prices(&catalog, shape), expected, "{shape}");
    }
}

#[test]
fn changes_that_make_no_sense_are_refused_like_plans() {
    let said = |change: &str| after("first.plan", &[change]).expect_err("refused");
    assert_eq!(said("chat.load.rate = 40"), ["`rate` is requests per time, and `40` has no unit"]);
    assert_eq!(said("chat.load.raet = 5 req/s"), ["`chat.load.raet` leads to nothing that can be set"]);
    assert_eq!(said("chat.headroom *= 2"), ["`chat.headroom` leads to nothing that can be set"]);
    assert_eq!(said("own.dgx_h100_8.price = -5 USD"), ["a price is never below zero"]);
    assert_eq!(said("own.dgx_h100_8.price *= 5 USD"), ["a price is multiplied by a bare number"]);
    assert_eq!(said("aws.p5_48xlarge.price = 5 USD/h").len(), 1);
    assert_eq!(said("chat.load.trace = \"../x.csv\"").len(), 1);
}

#[test]
fn a_scenario_is_a_list_of_changes() {
    let all = examples();
    let (_, text) = all.iter().find(|(known, _)| known == "chat-and-pretrain.plan").expect("an example");
    let parsed = parse(&FileId::new("x.plan"), text);
    let changes = scenario_changes(&parsed.file, text, "surge").expect("a scenario");
    assert_eq!(
        changes.iter().map(|one| (one.text.as_str(), one.from.as_str())).collect::<Vec<_>>(),
        [("*= 2", "surge")]
    );
    let changed = apply_overrides(&parsed.file, &common::CATALOG, &changes);
    let (spec, _) = check(Source { file: &changed.file, text }, &common::CATALOG, &CheckContext::default());
    assert_eq!(spec.map(|spec| spec.serves[0].load.peak.get()), Some(80.0));
    let missing = scenario_changes(&parsed.file, text, "sruge").expect_err("unknown");
    assert_eq!(missing.help.as_deref(), Some("did you mean `surge`?"));
}

/// The statistics that the catalog has of this trace were computed elsewhere, from the same file.
#[test]
fn a_trace_has_the_statistics_that_the_catalog_knows() {
    let Some(data) = data() else { return };
    let path = data.join("request-traces/azure-llm-2023/conv.csv.gz");
    let mut text = String::new();
    let file = std::fs::File::open(path).expect("the trace is there");
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut text).expect("gzip");
    let facts = trace::read(&FileId::new("conv.csv"), &text, "digest").expect("a trace").facts;
    let known = common::CATALOG.traffic("azure_2023_conversation").expect("in the catalog");
    let near = |a: f64, b: f64, share: f64| assert!((a - b).abs() <= share * b, "{a} {b}");
    near(facts.prompt.mean, known.prompt.mean, 0.001);
    near(facts.output.mean, known.output.mean, 0.001);
    for probability in [0.25, 0.5, 0.9, 0.99] {
        near(facts.prompt.quantile(probability), known.prompt.quantile(probability), 0.02);
        near(facts.output.quantile(probability), known.output.quantile(probability), 0.02);
    }
    // Medians over windows that need not begin at the same second.
    near(facts.burstiness, known.burstiness, 0.05);
}

/// A peak at two in the afternoon, at places on either side of the world.
fn peaks(plan: &str, sites: [&str; 2], of: &str) -> f64 {
    let text = format!(
        "plan p {{ currency = USD, horizon = 2027-01-01 .. 2027-12-31{plan} }}
site here {{ provider = aws, region = \"eu-central-1\"{} }}
site there {{ provider = aws, region = \"ap-northeast-1\"{} }}
serve chat {{
  model = llama3_1_8b
  load  = {{ rate = 5 req/s, prompt = 1 ktok, output = 250 tok, daily = diurnal(trough = 30%, peak_at = 14:00) }}
  slo ttft {{ p99 <= 1 s }}
  {of}
}}
workspace lab {{ users = 10, cpu = 2, memory = 8 GiB, hours = 08:00 .. 18:00, site in [there] }}
",
        sites[0], sites[1]
    );
    let (spec, found) = checked(&text, &CheckContext::default());
    let spec = spec.unwrap_or_else(|| panic!("{found:?}"));
    // Ten hours of ten people, whatever the clock says.
    assert_eq!((0..48).map(|hour| spec.apps[0].instances_at(hour)).sum::<u32>(), 100, "{text}");
    match spec.serves[0].load.daily {
        capstan_types::spec::Daily::Diurnal { peak_at_hour, .. } => peak_at_hour,
        capstan_types::spec::Daily::Flat => panic!("not flat"),
    }
}

#[test]
fn a_night_shift_reaches_past_midnight() {
    let used = |hours: &str| -> Vec<usize> {
        let text = format!(
            "plan p {{ currency = USD }}\nsite hall {{ }}\nworkspace lab {{ users = 1, cpu = 2, memory = 8 GiB, hours = {hours} }}\n"
        );
        let (spec, found) = checked(&text, &CheckContext::default());
        let spec = spec.unwrap_or_else(|| panic!("{found:?}"));
        (0..48).filter(|&hour| spec.apps[0].instances_at(hour) > 0).collect()
    };
    assert_eq!(used("22:00 .. 06:00"), [0, 1, 2, 3, 4, 5, 22, 23]);
    assert_eq!(used("20:00 .. 24:00"), [20, 21, 22, 23]);
    assert_eq!(used("20:00 .. 00:00"), used("20:00 .. 24:00"));
    assert_eq!(used("00:00 .. 24:00"), (0..24).collect::<Vec<_>>());
    assert_eq!(used("23:30 .. 00:30"), [0, 23]);
    assert_eq!(used("08:30 .. 08:15"), (0..24).collect::<Vec<_>>(), "hours that have begun count whole");
}

#[test]
fn times_of_day_are_those_of_the_place() {
    let (berlin, tokyo) = (", time_zone = \"Europe/Berlin\"", ", time_zone = \"Asia/Tokyo\"");
    // One clock everywhere, whichever it is: nothing to turn.
    assert_eq!(peaks("", ["", ""], "site in [there]"), 14.0);
    assert_eq!(peaks("", [berlin, berlin], "site in [there]"), 14.0);
    // Tokyo is eight hours ahead of Berlin in winter, nine ahead of UTC.
    assert_eq!(peaks(berlin, ["", tokyo], "site in [there]"), 6.0);
    assert_eq!(peaks(berlin, ["", tokyo], "site in [here]"), 14.0);
    assert_eq!(peaks("", [berlin, tokyo], "site in [there]"), 5.0);
    // A clock that the plan states is its own, also the one that would be assumed of no site.
    assert_eq!(peaks(", time_zone = \"UTC\"", [berlin, berlin], "site in [there]"), 13.0);
    // Who may be served from both has the clock of the plan.
    assert_eq!(peaks(berlin, ["", tokyo], ""), 14.0);
    let (none, found) =
        checked("plan p { currency = USD, time_zone = \"Europe/Berlinn\" }", &CheckContext::default());
    assert!(none.is_none());
    let told = render_plain(&found, |_| None);
    assert!(told.contains("did you mean `\"Europe/Berlin\"`?"), "{told}");
}

#[test]
fn a_model_of_the_plan_is_known_by_its_row_unless_a_fact_is_another_one() {
    let named = |model: &str| {
        let text = format!(
            "plan p {{ currency = USD }}\nsite c {{ provider = aws, region = \"us-east-1\" }}\nmodel mine {{ {model} }}\n\
             serve s {{ model = mine, load = {{ rate = 1 req/s, prompt = 1 ktok, output = 250 tok }} }}\n"
        );
        let (spec, found) = checked(&text, &CheckContext::default());
        spec.unwrap_or_else(|| panic!("{found:?}")).models[0].known_as().to_owned()
    };
    assert_eq!(named("catalog = llama3_1_8b"), "llama3_1_8b");
    assert_eq!(named("huggingface = \"meta-llama/Llama-3.1-8B-Instruct\""), "llama3_1_8b");
    assert_eq!(named("catalog = llama3_1_8b, layers = 16"), "mine");
}

/// A plan with three places, data and one training.
fn trained(dataset: &str, train: &str) -> (Option<capstan_types::spec::Spec>, String) {
    let text = format!(
        "plan p {{ currency = USD, horizon = 2027-01-01 .. 2027-12-31 }}
site hall {{ energy_price = 0.1 USD/kWh }}
site annex {{ energy_price = 0.1 USD/kWh }}
site cloud {{ provider = aws, region = \"us-east-1\" }}
dataset corpus {{ size = 5 TB, site = hall{dataset} }}
train pretrain {{ model = llama3_1_8b, batch = 1 Mtok, sequence = 8192 tok, {train} }}
"
    );
    let (spec, found) = checked(&text, &CheckContext::default());
    (spec, render_plain(&found, |_| None))
}

#[test]
fn a_training_sees_the_tokens_of_its_dataset_where_that_lies() {
    let job = |dataset: &str, train: &str| {
        let (spec, told) = trained(dataset, train);
        let train = spec.unwrap_or_else(|| panic!("{told}")).trains[0].clone();
        (train.tokens.get(), train.sites.unwrap_or_default())
    };
    let (two, named) = (", tokens = 2 Ttok", "dataset = corpus, epochs = 3");
    assert_eq!(job(two, named), (6e12, vec!["hall".to_owned()]));
    let copied = format!("{two}, replicas = 2");
    assert_eq!(job(&copied, named).1, ["hall", "annex"]);
    assert_eq!(job(&copied, "dataset = corpus, site in [annex]").1, ["annex"]);
    for (dataset, train, told) in [
        (two, "dataset = corpus, site in [cloud]", "does not lie at `cloud`"),
        (two, "dataset = corpus, tokens = 1 Ttok", "say the same thing"),
        (two, "dataset = corpse", "did you mean `corpus`?"),
        ("", "dataset = corpus", "does not say how many tokens"),
        ("", "", "`tokens`"),
        (", replicas = 3", "tokens = 1 Ttok", "3 copies need as many own sites"),
    ] {
        let (spec, shown) = trained(dataset, train);
        assert!(spec.is_none() && shown.contains(told), "{told}: {shown}");
    }
}

#[test]
fn a_workload_over_zones_runs_where_there_are_as_many() {
    let served = |zones: &str, more: &str| {
        let text = format!(
            "plan p {{ currency = USD }}\nsite hall {{ }}\nsite split {{ zones >= 3 }}\n\
             site east {{ provider = aws, region = \"us-east-1\" }}\n\
             serve s {{ model = llama3_1_8b, load = {{ rate = 1 req/s, prompt = 1 ktok, output = 250 tok }}, \
             zones >= {zones}{more} }}\n"
        );
        let (spec, found) = checked(&text, &CheckContext::default());
        (spec.map(|spec| spec.serves[0].clone()), render_plain(&found, |_| None))
    };
    let (three, told) = served("3", "");
    let three = three.unwrap_or_else(|| panic!("{told}"));
    assert_eq!(three.sites.as_deref(), Some(&["split".to_owned(), "east".to_owned()][..]));
    assert_eq!(three.min_replicas, 3);
    let (one, told) = served("1", "");
    assert_eq!(one.unwrap_or_else(|| panic!("{told}")).sites, None);
    let (none, told) = served("2", ", site in [hall]");
    assert!(none.is_none() && told.contains("`hall` has an unknown number of"), "{told}");
    let (none, told) = served("90", "");
    assert!(none.is_none() && told.contains("no site is known to have as many"), "{told}");
}
