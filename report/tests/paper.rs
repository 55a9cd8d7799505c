//! The paper that is signed: what its pages say, as text that a reader of PDF takes out of them.
//!
//! The typesetter takes minutes to build, so this runs only with the feature `pdf`: `make test-long`.
#![cfg(feature = "pdf")]

use capstan_report::{pdf, without_font};
use capstan_types::blueprint::Blueprint;
use capstan_types::figure;
use capstan_types::testing::bill::{Row, many, with_lines};
use capstan_types::testing::blueprint::{chat_blueprint, infeasible_blueprint};
use capstan_types::testing::finance::finance;
use proptest::prelude::*;
use rust_decimal::Decimal;
use std::process::Command;

/// Returns the text of each page; `None` where nothing here reads PDF.
fn pages(paper: &[u8]) -> Option<Vec<String>> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("p.pdf");
    std::fs::write(&file, paper).expect("writable");
    let done = Command::new("pdftotext").args(["-layout", "-enc", "UTF-8"]).arg(&file).arg("-").output();
    let Ok(done) = done else {
        let required = std::env::var_os("CAPSTAN_REQUIRE").unwrap_or_default();
        let required = required.to_string_lossy().split(',').any(|one| one == "pdf");
        assert!(!required, "pdf is required and pdftotext is not here");
        println!("skipped: needs pdftotext (package poppler-utils)");
        return None;
    };
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout).expect("UTF-8");
    Some(text.trim_end_matches('\u{c}').split('\u{c}').map(str::to_owned).collect())
}

fn set(blueprint: &Blueprint) -> Vec<u8> {
    pdf(blueprint, &finance(blueprint), &[]).expect("a paper")
}

/// Returns the sum below all lines of the bill, which stands on the last page.
fn total(pages: &[String]) -> Decimal {
    let last = pages.last().expect("pages");
    let sum = last.lines().rfind(|line| line.trim_start().starts_with("total")).expect("a sum of all lines");
    let amount = sum.split_whitespace().nth(1).expect("an amount").replace(',', "");
    amount.parse().unwrap_or_else(|error| panic!("{error}: {sum:?}"))
}

#[test]
fn every_page_says_of_which_plan_and_which_page_it_is() {
    let blueprint = chat_blueprint();
    let paper = set(&blueprint);
    // For those who look at it.
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/paper.pdf"), &paper).expect("writable");
    let Some(pages) = pages(&paper) else { return };
    let digest = &blueprint.inputs.files.iter().find(|file| file.role == "plan").expect("a plan").sha256;
    for (at, page) in pages.iter().enumerate() {
        assert!(page.contains(&format!("page {} of {}", at + 1, pages.len())), "{page}");
        assert!(page.contains(digest.as_str()) && page.contains("oldest price"), "{page}");
    }
    assert!(pages[0].contains("Approvals") && pages[0].contains("Finance") && pages[0].contains("Signature"));
    assert!(pages[1].contains("Executive summary"), "{}", pages[1]);
    let money = figure::money(blueprint.cost.total, blueprint.cost.currency);
    assert!(pages[1].contains(&money), "{money} is not on\n{}", pages[1]);
    assert_eq!(total(&pages), blueprint.cost.total);
}

#[test]
fn the_page_that_decides_is_one_page_whatever_is_bought() {
    let mut rows = many(400);
    rows[0].item = "w".repeat(10_000);
    let mut blueprint = with_lines(&rows);
    blueprint.inputs.spec.name = "n".repeat(10_000);
    let pool = blueprint.pools[0].clone();
    blueprint.pools.extend((0..30).map(|at| {
        let mut pool = pool.clone();
        pool.shape = format!("{}{at}", "machine_with_a_name_that_is_very_long_".repeat(9));
        pool
    }));
    let verdict = blueprint.verdicts[0].clone();
    blueprint.verdicts.extend((0..30).map(|_| verdict.clone()));
    let Some(pages) = pages(&set(&blueprint)) else { return };
    let of =
        |text: &str| pages.iter().position(|page| page.contains(text)).unwrap_or_else(|| panic!("no {text}"));
    assert_eq!((of("Executive summary"), of("more, listed below")), (1, 1));
    assert!(pages[2].trim_start().starts_with("What to buy"), "{}", pages[2]);
}

#[test]
fn a_plan_that_does_not_exist_has_a_paper_without_a_price() {
    let Some(pages) = pages(&set(&infeasible_blueprint())) else { return };
    assert!(pages[0].contains("NO plan keeps every limit"), "{}", pages[0]);
    assert!(!pages[1].contains("0.00"), "{}", pages[1]);
}

#[test]
fn the_same_blueprint_gives_the_same_paper() {
    let blueprint = chat_blueprint();
    assert!(set(&blueprint) == set(&blueprint));
}

#[test]
fn letters_that_no_font_has_are_told() {
    let row = |item: &str| Row {
        item: item.to_owned(),
        kind: 1,
        period: 0,
        quantity: 10_000,
        unit_price: 1_000_000,
    };
    let missing = |item: &str| {
        let blueprint = with_lines(&[row(item)]);
        without_font(&blueprint, &finance(&blueprint))
    };
    assert!(missing("Größe, Ωmega ≤ Жизнь").is_empty(), "{:?}", missing("Größe, Ωmega ≤ Жизнь"));
    assert_eq!(missing("机器 a").into_iter().collect::<String>(), "器机");
}

#[test]
fn two_thousand_lines_are_set_to_the_last() {
    let blueprint = with_lines(&many(2_000));
    let Some(pages) = pages(&set(&blueprint)) else { return };
    assert_eq!(total(&pages), blueprint.cost.total);
}

fn row() -> impl Strategy<Value = Row> {
    let names = prop::sample::select(vec![
        "10 × own.h100_sxm_8, owned",
        "=cmd|' /C calc'!A0",
        "#import \"x\"; $a$ *b* \\ @c",
        "a,b\"c\"\nd",
        "\u{202e}gnp.exe",
        "total",
    ]);
    (names, 0_u8..3, 0_u32..6, 0_i64..90_000_000_000, -2_000_000_000_i64..2_000_000_000).prop_map(
        |(item, kind, period, quantity, unit_price)| Row {
            item: item.to_owned(),
            kind,
            period,
            quantity,
            unit_price,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// The other forms stand in `tests/forms/` of the root.
    #[test]
    fn the_paper_tells_the_total_of_its_lines(rows in prop::collection::vec(row(), 1..40)) {
        let blueprint = with_lines(&rows);
        if let Some(pages) = pages(&set(&blueprint)) {
            prop_assert_eq!(total(&pages), blueprint.cost.total);
        }
    }
}
