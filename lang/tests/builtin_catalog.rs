//! Every row of the built-in catalogs loads, refers to rows that are there, and lies in a believable range.

use capstan_lang::catalog::{coverage, load};
use capstan_types::catalog::{Catalog, CollectiveEfficiency, Engine, ExpertEfficiency};
use capstan_types::hardware::ScaleUpKind;
use capstan_types::market::{Good, MarketPrice};
use capstan_types::model::Model;
use capstan_types::offering::PurchaseOption;
use capstan_types::origin::{Grade, PriceGrade};
use capstan_types::testing::data;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../catalogs")
}

/// Returns the built-in files by name, those of `offerings` included.
fn files() -> Vec<(String, String)> {
    let mut paths = Vec::new();
    for folder in [folder(), folder().join("offerings")] {
        for entry in std::fs::read_dir(&folder).expect("the catalogs are in the repository") {
            let path = entry.expect("a readable folder").path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        (name, std::fs::read_to_string(&path).expect("a readable file"))
    };
    paths.into_iter().map(read).collect()
}

fn builtin() -> Catalog {
    let files = files();
    let texts: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let (catalog, diagnostics) = load(&texts);
    assert!(diagnostics.is_empty(), "{diagnostics:#?}");
    catalog
}

#[test]
fn no_machine_holds_more_accelerators_than_its_links_join() {
    let catalog = builtin();
    for shape in &catalog.shapes {
        let Some(chip) = shape.accelerator.as_deref().and_then(|id| catalog.accelerator(id)) else {
            continue;
        };
        let links = chip.scale_up;
        // Cards in pairs stand in machines of more: what is joined further goes over the bus.
        let most = if links.kind == ScaleUpKind::Bridge { 8 } else { links.domain };
        assert!(shape.accelerators <= most, "{}", shape.id);
        assert!(shape.accelerators <= 8 || links.spans_machines(), "{}", shape.id);
    }
    let racks = catalog.accelerators.iter().filter(|chip| chip.scale_up.spans_machines());
    let racks: Vec<&str> = racks.map(|chip| chip.id.as_str()).collect();
    assert_eq!(racks, ["ascend_910c", "gb200", "gb300", "tpu_v5e", "tpu_v5p", "tpu_v6e"]);
}

#[test]
fn every_row_loads() {
    let catalog = builtin();
    assert!(catalog.accelerators.len() >= 30);
    assert!(catalog.models.len() >= 54);
    assert!(catalog.shapes.iter().filter(|shape| shape.provider != "own").count() >= 74);
    assert!(catalog.traffic.len() >= 9);
    assert!(catalog.engines.len() >= 3);
    let rows: usize = files().iter().map(|(_, text)| text.matches("\n[[").count()).sum();
    let groups: usize = files().iter().map(|(_, text)| text.matches("\n[[offering]]").count()).sum();
    let loaded = catalog.accelerators.len()
        + catalog.shapes.len()
        + catalog.fabrics.len()
        + catalog.storage.len()
        + catalog.regions.len()
        + catalog.market_prices.len()
        + catalog.ownership.len()
        + catalog.models.len()
        + catalog.traffic.len()
        + catalog.engines.len()
        + catalog.gemm.len()
        + catalog.attention.len()
        + catalog.experts.len()
        + catalog.collectives.len()
        + catalog.coefficients.len()
        + catalog.residuals.len();
    assert_eq!(loaded, rows - groups);
}

#[test]
fn the_order_of_files_and_rows_does_not_matter() {
    let mut files = files();
    files.reverse();
    let texts: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert_eq!(load(&texts).0, builtin());
}

#[test]
fn facts_lie_in_a_believable_range() {
    let catalog = builtin();
    for chip in &catalog.accelerators {
        assert!((8.0..=300.0).contains(&chip.memory.gb()), "{}", chip.id);
        assert!((200e9..=10e12).contains(&chip.memory_bandwidth.get()), "{}", chip.id);
        let widest = chip.peaks.values().map(|rate| rate.get()).fold(0.0, f64::max);
        assert!((60e12..=20e15).contains(&widest), "{}", chip.id);
        assert!(chip.peak(chip.peaks.keys().next().copied().expect("a peak")).is_some(), "{}", chip.id);
        assert!((10e9..=1e12).contains(&chip.scale_up.bandwidth.get()), "{}", chip.id);
        assert!(chip.power.is_none_or(|power| (50.0..=2000.0).contains(&power.get())), "{}", chip.id);
        let (usable, _) = chip.programmable_memory();
        assert!((0.9..=1.08).contains(&(usable / chip.memory)), "{}", chip.id);
        for slice in &chip.slices {
            assert!(slice.profile.contains("g.") && (1..=7).contains(&slice.most), "{}", chip.id);
        }
    }
    for shape in &catalog.shapes {
        assert!(
            shape.accelerator.as_deref().is_none_or(|id| catalog.accelerator(id).is_some()),
            "{}",
            shape.id
        );
        assert!(shape.id.starts_with(&format!("{}.", shape.provider)), "{}", shape.id);
    }
    for offering in &catalog.offerings {
        let shape = catalog.shape(&offering.shape).expect("the shape of every price is there");
        assert_eq!(shape.provider, offering.provider);
        assert!(offering.price.is_none_or(|price| price > rust_decimal::Decimal::ZERO), "{offering:?}");
        assert!(offering.reclaimed_per_month.is_none() || offering.option == PurchaseOption::Spot);
    }
    for traffic in &catalog.traffic {
        for lengths in [&traffic.prompt, &traffic.output] {
            assert!((lengths.sampled_mean() / lengths.mean - 1.0).abs() <= 0.02, "{}", traffic.id);
        }
    }
}

#[test]
fn the_names_that_people_know_find_their_rows() {
    let catalog = builtin();
    let model = |name| catalog.model(name).map(|model| model.id.as_str());
    assert_eq!(model("meta-llama/Llama-3.1-70B-Instruct"), Some("llama3_1_70b"));
    assert_eq!(model("meta-llama/Meta-Llama-3.1-8B"), Some("llama3_1_8b"));
    assert_eq!(model("deepseek-ai/DeepSeek-R1"), Some("deepseek_r1"));
    let shape = |name| catalog.shape(name).map(|shape| shape.id.as_str());
    assert_eq!(shape("p5.48xlarge"), Some("aws.p5_48xlarge"));
    assert_eq!(shape("Standard_ND96isr_H100_v5"), Some("azure.nd96isr_h100_v5"));
    let chip = |name| catalog.accelerator(name).map(|chip| chip.id.as_str());
    assert_eq!(chip("NVIDIA H100 SXM5 80GB"), Some("h100_sxm"));
    assert!(
        ["h200_sxm", "l40s", "b200_sxm", "mi300x", "tpu_v5e", "gaudi3"]
            .into_iter()
            .all(|id| chip(id) == Some(id))
    );
}

#[test]
fn parameters_follow_from_the_sizes() {
    for model in builtin().models {
        let total = model.computed_params_b() / model.params_total_b - 1.0;
        assert!(total.abs() < 0.01, "{}: {:.2} %", model.id, 100.0 * total);
        let active = model.computed_active_params_b() / model.params_active_b - 1.0;
        assert!(active.abs() < 0.02, "{}: {:.2} % active", model.id, 100.0 * active);
    }
}

#[test]
fn what_is_remembered_or_disputed_counts_as_assumed() {
    let catalog = builtin();
    let grade = |id: &str| catalog.accelerator(id).expect("a row").provenance.grade;
    assert_eq!(grade("t4"), Grade::Recalled);
    assert_eq!(grade("a10g"), Grade::Disputed);
    assert_eq!(grade("h100_sxm"), Grade::DataSheet);
    let facts = coverage::assumed_facts(&catalog);
    assert!(facts.iter().any(|fact| fact.kind == "accelerator" && fact.id == "t4"));
    assert!(!facts.iter().any(|fact| fact.id == "h100_sxm"));
}

#[test]
fn coverage_counts_what_is_not_priced() {
    let catalog = builtin();
    let regions = coverage::coverage(&catalog);
    let region = |provider: &str, name: &str| {
        regions.iter().find(|r| r.provider == provider && r.region == name).expect("a region").clone()
    };
    let azure = region("azure", "eastus");
    let spot = azure.options.iter().find(|option| option.option == PurchaseOption::Spot).expect("counted");
    assert_eq!((spot.priced, spot.unpriced), (0, azure.shapes));
    let own = region("own", "all");
    assert!(own.options.iter().all(|option| option.option == PurchaseOption::Owned));
    assert_eq!(own.options[0].priced + own.options[0].unpriced, own.shapes);
    assert!(own.options[0].unpriced > 0 && own.options[0].estimated > 0);
    let prices: usize = regions.iter().flat_map(|r| &r.options).map(|option| option.priced).sum();
    assert_eq!(prices, catalog.offerings.iter().filter(|offering| offering.price.is_some()).count());
}

/// Difference of two shares of a peak that two fits of the same tables may have.
const NEAR: f64 = 0.15;

/// The fixtures are what the tests of the step model are held against measured tables with: published curves, which
/// those that were fitted again stay near.
#[test]
fn the_fitted_curves_are_near_those_that_the_fixtures_test() {
    let (catalog, fixture) = (builtin(), capstan_types::testing::catalog());
    for known in fixture.gemm {
        let row = catalog
            .gemm
            .iter()
            .find(|r| (&r.accelerator, r.precision) == (&known.accelerator, known.precision))
            .expect("in the catalog");
        let near = |left: f64, right: f64| (left - right).abs() <= NEAR;
        assert!(
            near(row.compute, known.compute) && near(row.memory, known.memory),
            "{} {:?}: {} {} is not near {} {}",
            row.accelerator,
            row.precision,
            row.compute,
            row.memory,
            known.compute,
            known.memory
        );
    }
    for known in fixture.experts {
        let same =
            |r: &ExpertEfficiency| (&r.accelerator, r.precision) == (&known.accelerator, known.precision);
        assert!(catalog.experts.iter().any(same), "{} {:?}", known.accelerator, known.precision);
    }
    for known in fixture.collectives {
        let row = catalog
            .collectives
            .iter()
            .find(|row| row.accelerator == known.accelerator)
            .expect("in the catalog");
        let curve = |r: &CollectiveEfficiency| {
            let exponents = (r.exponent, r.efficiency_exponent, r.root_exponent);
            (r.latency_us, r.efficiency, r.root, exponents)
        };
        assert_eq!(curve(row), curve(&known));
    }
    for known in fixture.models {
        let row = catalog.model(&known.id).expect("in the catalog");
        let sizes = |m: &Model| {
            (m.layers, m.hidden, m.heads, m.kv_heads, m.head_dim, m.experts, m.latent, m.published)
        };
        assert_eq!(sizes(row), sizes(&known));
        assert!((row.params_total_b / known.params_total_b - 1.0).abs() < 1e-5, "{}", known.id);
        assert!((row.params_active_b / known.params_active_b - 1.0).abs() < 1e-5, "{}", known.id);
    }
    for (name, known) in ["sglang", "trtllm", "vllm"].into_iter().zip(&fixture.engines) {
        let row = catalog.engine(name).expect("in the catalog");
        // What an engine holds back is no fitted curve: start-up logs test it, with the built-in catalog.
        let memory = |e: &Engine| (e.memory_utilization, e.step_tokens);
        assert_eq!(memory(row), memory(known), "{name}");
        // The times are fitted, as those of the fixture were, and stay near them.
        let times = |e: &Engine| [e.host_step_us, e.layer_us, e.request_us, e.factor];
        for (ours, theirs) in times(row).into_iter().zip(times(known)) {
            assert!((ours / theirs - 1.0).abs() < 0.4, "{name}: {ours} is not near {theirs}");
        }
    }
}

/// Splits a line of CSV, quotes included.
fn columns(line: &str) -> Vec<String> {
    let mut columns = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => columns.push(String::new()),
            c => columns.last_mut().expect("never empty").push(c),
        }
    }
    columns
}

#[test]
fn every_price_of_the_reference_is_in_the_catalog() {
    let Some(folder) = data() else { return };
    let catalog = builtin();
    let text =
        std::fs::read_to_string(folder.join("cloud-prices/gpu-instance-prices.csv")).expect("readable");
    let header = columns(text.lines().next().expect("a header"));
    let at = |name: &str| header.iter().position(|column| column == name).expect("a column");
    let options = [
        ("on_demand_usd_h", PurchaseOption::OnDemand),
        ("spot_usd_h", PurchaseOption::Spot),
        ("reserved_1y_usd_h", PurchaseOption::Reserved { term_months: 12 }),
        ("reserved_3y_usd_h", PurchaseOption::Reserved { term_months: 36 }),
    ];
    let (mut rows, mut prices) = (0, 0);
    for line in text.lines().skip(1) {
        rows += 1;
        let row = columns(line);
        let shape = catalog.shape(&row[at("instance_type")]).expect("every instance type is a shape");
        assert_eq!(shape.provider, row[at("provider")]);
        assert_eq!(shape.accelerators.to_string(), row[at("gpu_count")], "{line}");
        assert_eq!(shape.vcpus.map(|n| n.to_string()).as_deref(), Some(row[at("vcpu")].as_str()), "{line}");
        for (column, option) in options {
            let here = |offering: &&capstan_types::offering::Offering| {
                offering.shape == shape.id
                    && offering.region == row[at("region")]
                    && offering.option == option
            };
            let found = catalog.offerings.iter().find(here).and_then(|offering| offering.price);
            let written = &row[at(column)];
            let wanted = (!written.is_empty()).then(|| written.parse().expect("a number"));
            assert_eq!(found, wanted, "{column} of {line}");
            prices += usize::from(wanted.is_some());
        }
    }
    assert_eq!(rows, 737);
    // Beside these there are two prices of AWS China.
    let hourly = |price: &&capstan_types::offering::Offering| price.provider != "own" && price.region != "cn";
    assert_eq!(catalog.offerings.iter().filter(hourly).count(), prices);
    let floors = catalog.offerings.iter().filter(|offering| offering.source.contains("a floor"));
    assert!(floors.clone().count() > 0 && floors.clone().all(|floor| floor.grade == PriceGrade::Estimate));
}

#[test]
fn every_model_of_the_reference_is_in_the_catalog() {
    let Some(folder) = data() else { return };
    let catalog = builtin();
    let text = std::fs::read_to_string(folder.join("models.csv")).expect("readable");
    let header = columns(text.lines().next().expect("a header"));
    let at = |name: &str| header.iter().position(|column| column == name).expect("a column");
    for line in text.lines().skip(1) {
        let row = columns(line);
        let model = catalog.model(&row[at("id")]).expect("every model is there");
        let number = |name: &str| row[at(name)].parse::<f64>().expect("a number");
        let cache = model.kv_bytes_per_token(capstan_types::hardware::Precision::Bf16).get();
        assert_eq!(cache, number("kv_bytes_per_token_bf16"), "{}", model.id);
        assert_eq!(f64::from(model.context), number("max_ctx"), "{}", model.id);
        assert!((model.params_total_b - number("params_total_b")).abs() < 1e-9, "{}", model.id);
        assert_eq!(f64::from(model.dense_layers()), number("layers") - number("moe_layers"), "{}", model.id);
    }
}

/// Where the rows of hardware-prices.csv stand that are no market price: a purchase is an offering, and the two ratios
/// are ranges around the terms of owning.
#[test]
fn every_hardware_price_of_the_reference_is_in_the_catalog() {
    let Some(folder) = data() else { return };
    let catalog = builtin();
    let text = std::fs::read_to_string(folder.join("cloud-prices/hardware-prices.csv")).expect("readable");
    let header = columns(text.lines().next().expect("a header"));
    let at = |name: &str| header.iter().position(|column| column == name).expect("a column");
    let mut n_market = 0;
    for line in text.lines().skip(1) {
        let row = columns(line);
        let [item, category, price, currency, unit] =
            ["item", "category", "price", "currency", "unit"].map(|name| row[at(name)].as_str());
        let day = first_day(&row[at("price_as_of")]);
        if category == "ratio" {
            let (low, high) = price.split_once('-').expect("a range");
            let (low, high): (f64, f64) = (low.parse().expect("low"), high.parse().expect("high"));
            let terms = catalog.ownership.iter().find(|row| row.id == "default").expect("the terms");
            // Value falls in a straight line to the residual.
            let after_36 = 1.0 - (1.0 - terms.residual) * 36.0 / f64::from(terms.life_months);
            let ours = if item.starts_with("Network") { terms.network_share } else { after_36 };
            assert!((low..=high).contains(&ours), "{item}: {ours}");
            continue;
        }
        let amount: rust_decimal::Decimal = price.parse().expect("a price");
        if category == "cloud-instance" {
            let same = |row: &&capstan_types::offering::Offering| {
                row.price == Some(amount)
                    && row.currency.code() == currency
                    && row.option == PurchaseOption::OnDemand
            };
            assert!(catalog.offerings.iter().any(|row| same(&row)), "{item}");
            continue;
        }
        let good = match (category, unit) {
            ("gpu-server", _) => Good::Server,
            ("gpu", _) => Good::Accelerator,
            ("network-switch", _) => Good::Switch,
            ("network-cabling", _) => Good::Cabling,
            ("storage-drive", _) => Good::Drive,
            ("facility", "kW-month") => Good::Colocation,
            ("cloud-reservation", "hour") => Good::CapacityBlock,
            other => panic!("no noun for {other:?}"),
        };
        let same = |row: &&MarketPrice| {
            (row.good, row.price, row.currency.code()) == (good, Some(amount), currency)
                && row.provenance.as_of.to_string() == day
        };
        let found: Vec<&MarketPrice> = catalog.market_prices.iter().filter(same).collect();
        assert_eq!(found.len(), 1, "{item}");
        // Rows of low confidence are assumptions, and so are surveys of drives and what analysts estimated.
        let assumed = found[0].origin() == capstan_types::origin::Origin::Assumed;
        let guessed = category == "storage-drive" || row[at("price_kind")] == "analyst estimate";
        assert_eq!(assumed, guessed || row[at("confidence")] == "low", "{item}");
        n_market += 1;
    }
    assert_eq!(n_market, catalog.market_prices.len());
}

/// Returns the first day of a month, quarter or year as the reference writes them.
fn first_day(written: &str) -> String {
    let (year, rest) = written.split_once('-').unwrap_or((written, ""));
    let month = match rest.strip_prefix('Q') {
        Some(quarter) => 3 * quarter.parse::<u32>().expect("a quarter") - 2,
        None => rest.parse().unwrap_or(1),
    };
    format!("{year}-{month:02}-01")
}
