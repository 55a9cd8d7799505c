//! The paper that is signed: what its pages say, as text that a reader of PDF takes out of them.

use crate::fixture::{Row, many, with_lines};
use crate::program;
use capstan_planner::finance::finance;
use capstan_report::{pdf, without_font};
use capstan_types::blueprint::Blueprint;
use capstan_types::figure;
use capstan_types::finance::Finance;
use capstan_types::testing::blueprint::{chat_blueprint, infeasible_blueprint};
use std::process::Command;
use std::time::Instant;

/// Returns the text of each page; `None` where nothing here reads PDF.
fn pages(paper: &[u8]) -> Option<Vec<String>> {
    let reader = program(&["pdftotext"], "pdf")?;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("p.pdf");
    std::fs::write(&file, paper).expect("writable");
    let done = Command::new(reader)
        .args(["-layout", "-enc", "UTF-8"])
        .arg(&file)
        .arg("-")
        .output()
        .expect("it runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout).expect("UTF-8");
    Some(text.trim_end_matches('\u{c}').split('\u{c}').map(str::to_owned).collect())
}

fn set(blueprint: &Blueprint, finance: &Finance) -> Vec<u8> {
    pdf(blueprint, finance, &[]).expect("a paper")
}

#[test]
fn every_page_says_of_which_plan_and_which_page_it_is() {
    let blueprint = chat_blueprint();
    let finance = finance(&blueprint);
    let Some(pages) = pages(&set(&blueprint, &finance)) else { return };
    let digest = &blueprint.inputs.files.iter().find(|file| file.role == "plan").expect("a plan").sha256;
    for (at, page) in pages.iter().enumerate() {
        assert!(page.contains(&format!("page {} of {}", at + 1, pages.len())), "{page}");
        assert!(page.contains(digest.as_str()) && page.contains("oldest price"), "{page}");
    }
    assert!(pages[0].contains("Approvals") && pages[0].contains("Finance") && pages[0].contains("Signature"));
    assert!(pages[1].contains("Executive summary"), "{}", pages[1]);
    let total = figure::money(blueprint.cost.total, blueprint.cost.currency);
    assert!(pages[1].contains(&total), "{total} is not on\n{}", pages[1]);
    let last = pages.last().expect("pages");
    let amount = figure::amount(blueprint.cost.total, blueprint.cost.currency);
    let sum = last.lines().find(|line| line.trim_start().starts_with("total")).expect("a sum of all lines");
    assert!(sum.contains(&amount), "{sum}");
}

#[test]
fn the_page_that_decides_is_one_page_whatever_is_bought() {
    let mut rows = many(400);
    rows[0].item = "w".repeat(10_000);
    let (mut blueprint, _) = with_lines(&rows);
    blueprint.inputs.spec.name = "n".repeat(10_000);
    let pool = blueprint.pools[0].clone();
    blueprint.pools.extend((0..30).map(|at| {
        let mut pool = pool.clone();
        pool.shape = format!("{}{at}", "machine_with_a_name_that_is_very_long_".repeat(9));
        pool
    }));
    let verdict = blueprint.verdicts[0].clone();
    blueprint.verdicts.extend((0..30).map(|_| verdict.clone()));
    let finance = finance(&blueprint);
    let Some(pages) = pages(&set(&blueprint, &finance)) else { return };
    let of =
        |text: &str| pages.iter().position(|page| page.contains(text)).unwrap_or_else(|| panic!("no {text}"));
    assert_eq!((of("Executive summary"), of("more, listed below")), (1, 1));
    assert!(pages[2].trim_start().starts_with("What to buy"), "{}", pages[2]);
}

#[test]
fn a_plan_that_does_not_exist_has_a_paper_without_a_price() {
    let blueprint = infeasible_blueprint();
    let finance = finance(&blueprint);
    let Some(pages) = pages(&set(&blueprint, &finance)) else { return };
    assert!(pages[0].contains("NO plan keeps every limit"), "{}", pages[0]);
    assert!(!pages[1].contains("0.00"), "{}", pages[1]);
}

#[test]
fn the_same_blueprint_gives_the_same_paper() {
    let blueprint = chat_blueprint();
    let finance = finance(&blueprint);
    assert!(set(&blueprint, &finance) == set(&blueprint, &finance));
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
        let (blueprint, finance) = with_lines(&[row(item)]);
        without_font(&blueprint, &finance, &[])
    };
    assert!(missing("Größe, Ωmega ≤ Жизнь").is_empty(), "{:?}", missing("Größe, Ωmega ≤ Жизнь"));
    assert_eq!(missing("机器 a").into_iter().collect::<String>(), "器机");
}

#[test]
fn two_thousand_lines_are_set_in_seconds() {
    let (blueprint, finance) = with_lines(&many(2_000));
    let started = Instant::now();
    let paper = set(&blueprint, &finance);
    // The bar is 5 s for a release on a quiet machine; this is a build that is tested, beside other tests.
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
    let Some(pages) = pages(&paper) else { return };
    let last = pages.last().expect("pages");
    assert!(last.contains(&figure::amount(blueprint.cost.total, blueprint.cost.currency)), "{last}");
}
