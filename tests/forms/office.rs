//! The workbook, computed again by LibreOffice: equal to our numbers to the cent, without a cell that is an error.

use crate::fixture::{many, with_lines};
use crate::program;
use capstan_planner::finance::finance;
use capstan_report::xlsx;
use capstan_types::blueprint::Blueprint;
use capstan_types::finance::Finance;
use capstan_types::offering::PurchaseOption;
use capstan_types::testing::blueprint::chat_blueprint;
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Tells LibreOffice to compute a workbook when it opens it, whatever results the file carries.
const ALWAYS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
<item oor:path="/org.openoffice.Office.Calc/Formula/Load"><prop oor:name="OOXMLRecalcMode" oor:op="fuse"><value>0</value></prop></item>
</oor:items>
"#;

/// Every sheet as LibreOffice computes it, by name.
type Sheets = BTreeMap<String, Vec<Vec<String>>>;

/// Returns the sheets of a workbook; `None` where LibreOffice is not here.
fn computed(workbook: &[u8]) -> Option<Sheets> {
    let office = program(&["soffice", "libreoffice"], "office")?;
    let folder = tempfile::tempdir().expect("a folder");
    let profile = folder.path().join("profile/user");
    fs::create_dir_all(&profile).expect("a folder");
    fs::write(profile.join("registrymodifications.xcu"), ALWAYS).expect("writable");
    fs::write(folder.path().join("b.xlsx"), workbook).expect("writable");
    // Comma, quotes, UTF-8, from line 1, values not as shown, every sheet into a file of its own.
    let filter = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,false,false,false,false,-1";
    let done = Command::new(office)
        .arg(format!("-env:UserInstallation=file://{}", folder.path().join("profile").display()))
        .args(["--headless", "--norestore", "--convert-to", filter, "--outdir"])
        .arg(folder.path().join("out"))
        .arg(folder.path().join("b.xlsx"))
        .output()
        .expect("LibreOffice starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Some(read(&folder.path().join("out")))
}

fn read(folder: &Path) -> Sheets {
    let mut sheets = Sheets::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().trim_start_matches("b-").to_owned();
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).from_path(&path).expect("readable");
        let rows = reader.records().map(|row| row.expect("a row").iter().map(str::to_owned).collect());
        sheets.insert(name, rows.collect());
    }
    sheets
}

/// Returns what stands beside a name on the summary.
fn summary(sheets: &Sheets, name: &str) -> String {
    let row = sheets["Summary"].iter().find(|row| row[0].trim() == name);
    row.unwrap_or_else(|| panic!("no {name}"))[1].clone()
}

fn cents(text: &str) -> Decimal {
    let value: f64 = text.parse().unwrap_or_else(|error| panic!("{error}: {text:?}"));
    Decimal::try_from(value).unwrap().round_dp(2)
}

fn equal(blueprint: &Blueprint, finance: &Finance, sheets: &Sheets) {
    for (name, rows) in sheets {
        for cell in rows.iter().flatten() {
            let wrong = cell.starts_with('#') || cell.starts_with("Err:");
            assert!(!wrong, "{name}: {cell}");
        }
    }
    let cost = &blueprint.cost;
    let residual = cost.total - cost.capex - cost.opex;
    for (name, ours) in [
        ("Total over the horizon", cost.total),
        ("purchases (capex)", cost.capex),
        ("running cost (opex)", cost.opex),
        ("value left at the end", residual),
        ("Per month", cost.per_month),
        ("Net present cost", cost.net_present),
    ] {
        assert_eq!(cents(&summary(sheets, name)), ours, "{name}");
    }
    let cash = &sheets["CashFlow"];
    let net = cash[0].iter().position(|name| name == "Net").expect("a column");
    for (month, ours) in cost.by_month.iter().enumerate() {
        assert_eq!(cents(&cash[month + 1][net]), *ours, "month {month}");
    }
    let Some(earns) = &finance.earns else { return };
    assert_eq!(cents(&summary(sheets, "Saved against all on demand, discounted")), earns.net_present);
    let rate = summary(sheets, "Internal rate of return per year");
    match earns.irr_per_year {
        Some(ours) => {
            // LibreOffice writes the digits that the format of the cell shows: tenths of a per cent.
            let shown: f64 = rate.trim_end_matches('%').parse().expect("a rate");
            assert!((shown / 100.0 - ours).abs() <= 5e-4, "{rate} {ours}");
        }
        None => assert_eq!(rate, "none"),
    }
    let payback = earns.payback_months.map_or_else(|| "none".to_owned(), |months| months.to_string());
    assert_eq!(summary(sheets, "Payback, months"), payback);
}

#[test]
fn libreoffice_computes_what_we_computed() {
    let blueprint = chat_blueprint();
    let finance = finance(&blueprint);
    let workbook = xlsx(&blueprint, &finance).unwrap();
    let Some(sheets) = computed(&workbook) else { return };
    assert_eq!(sheets.len(), 9, "{:?}", sheets.keys());
    // The bill of the fixture rests its present value on factors of six places; ours have nine.
    let present = finance.alternatives[0].net_present.unwrap();
    let mut expected = blueprint.clone();
    expected.cost.net_present = present;
    equal(&expected, &finance, &sheets);
}

/// A plan that saves from the first month on has its money back at once; one that never saves has it back never.
#[test]
fn payback_at_once_and_never_are_two_answers() {
    let with = |factor: Decimal| {
        let mut blueprint = chat_blueprint();
        let rows = blueprint.inputs.catalog.offerings.iter_mut();
        let by_the_hour = rows.filter(|row| row.option == PurchaseOption::OnDemand);
        by_the_hour.for_each(|row| row.price = row.price.map(|price| price * factor));
        let finance = finance(&blueprint);
        blueprint.cost.net_present = finance.alternatives[0].net_present.expect("known");
        (blueprint, finance)
    };
    for (factor, months) in [(Decimal::from(1000), Some(0)), (Decimal::new(1, 3), None)] {
        let (blueprint, finance) = with(factor);
        assert_eq!(finance.earns.as_ref().expect("a return").payback_months, months);
        let Some(sheets) = computed(&xlsx(&blueprint, &finance).unwrap()) else { return };
        equal(&blueprint, &finance, &sheets);
    }
}

#[test]
fn results_that_the_file_carries_are_not_what_is_shown() {
    let (blueprint, finance) = with_lines(&many(40));
    let mut wrong = blueprint.clone();
    wrong.cost.lines.iter_mut().for_each(|line| line.billed_cost = Decimal::ZERO);
    (wrong.cost.total, wrong.cost.capex, wrong.cost.opex) = (Decimal::ONE, Decimal::ONE, Decimal::ONE);
    let Some(sheets) = computed(&xlsx(&wrong, &finance).unwrap()) else { return };
    equal(&blueprint, &finance, &sheets);
}
