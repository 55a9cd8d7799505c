//! Does every number of a report say where it comes from? Tables, facts and figures of the page, cell by cell.

use capstan_report::{Align, Block, Cell, document, html};
use capstan_types::blueprint::Blueprint;
use capstan_types::testing::bill::{many, with_lines};
use capstan_types::testing::blueprint::{chat_blueprint, infeasible_blueprint};
use capstan_types::testing::finance::finance;
use capstan_types::testing::page::silent_numbers;

fn has_number(text: &str) -> bool {
    text.chars().any(|c| c.is_ascii_digit())
}

/// Returns the numbers of the document that say nothing of where they come from, each with what it stands under.
fn without_origin(blueprint: &Blueprint) -> Vec<String> {
    let mut silent = Vec::new();
    let mut heading = String::new();
    let mut look = |heading: &str, name: &str, cell: &Cell| {
        if has_number(&cell.text) && cell.hint.is_empty() && cell.stated.is_none() {
            silent.push(format!("{heading} / {name}: {}", cell.text));
        }
    };
    for block in &document(blueprint).blocks {
        match block {
            Block::Heading(text) => heading.clone_from(text),
            Block::Facts(facts) => facts.iter().for_each(|(name, cell)| look(&heading, name, cell)),
            Block::Table(table) => {
                for (cell, column) in table.rows.iter().flat_map(|row| row.iter().zip(&table.columns)) {
                    if column.align == Align::Right {
                        look(&heading, &column.title, cell);
                    }
                }
            }
            _ => {}
        }
    }
    silent
}

#[test]
fn every_number_of_the_report_says_where_it_comes_from() {
    for blueprint in [chat_blueprint(), infeasible_blueprint()] {
        assert_eq!(without_origin(&blueprint), Vec::<String>::new());
    }
}

#[test]
fn every_number_of_the_page_says_where_it_comes_from() {
    for blueprint in [chat_blueprint(), infeasible_blueprint()] {
        let page = html(&blueprint, &finance(&blueprint), &|_| None).unwrap();
        assert_eq!(silent_numbers(&page), Vec::<String>::new());
    }
}

#[test]
fn a_price_names_who_asks_it_and_a_limit_where_it_is_stated() {
    let blueprint = chat_blueprint();
    let page = html(&blueprint, &finance(&blueprint), &|place| Some(place.start as usize)).unwrap();
    let row = blueprint.pools[1].purchases[0].price.as_ref().unwrap();
    let price = format!("{} {}, price as of {} (list): {}", row.provider, row.region, row.as_of, row.source);
    assert!(page.contains(&format!("node-h × unit price, rounded; {price}\"")), "{price}");
    let slo = &blueprint.inputs.spec.serves[0].slos[0].place;
    let stated = format!("service level of the plan; stated in {}:{}\"", slo.file.as_str(), slo.start);
    assert!(page.contains(&stated), "{stated}");
    let nowhere = html(&blueprint, &finance(&blueprint), &|_| None).unwrap();
    assert!(nowhere.contains(&format!("; stated in {}\"", slo.file.as_str())), "the file without a line");
}

#[test]
fn two_thousand_lines_say_it_on_a_page_of_two_megabytes() {
    let blueprint = with_lines(&many(2_000));
    let page = html(&blueprint, &finance(&blueprint), &|_| None).unwrap();
    assert_eq!(silent_numbers(&page), Vec::<String>::new());
    assert!(page.len() < 2_500_000, "{} bytes", page.len());
}
