//! The suite of the checker: what is wrong with the meaning of a plan, beside the text that causes it.
//!
//! The files of `suite/check/` are read as those of `suite/`. What a case needs and is not about (a
//! `plan`, a workload, two sites) is added below it.

mod annotate;
mod common;

use std::collections::BTreeSet;

use annotate::{compare, suites};
use capstan_lang::{CheckContext, Code, Diagnostic, codes};
use common::checked;
use proptest::prelude::*;

const PLAN: &str = "plan whole { currency = USD, horizon = 2027-01-01 .. 2029-12-31 }\n";
const SITES: &str =
    "site hall { energy_price = 0.1 USD/kWh }\nsite cloud { provider = aws, region = \"us-east-1\" }\n";
const CHAT: &str =
    "serve chat { model = llama3_1_8b, load = { rate = 5 req/s, prompt = 1 ktok, output = 250 tok } }\n";

/// Returns a case as a whole plan.
fn whole(case: &str) -> String {
    let begins = |kind: &str| case.lines().any(|line| line.starts_with(kind));
    let mut text = case.to_owned();
    for (kinds, missing) in
        [(&["plan"][..], PLAN), (&["site"][..], SITES), (&["serve", "train", "# no work"][..], CHAT)]
    {
        if !kinds.iter().any(|kind| begins(kind)) {
            text.push_str(missing);
        }
    }
    text
}

fn find(case: &str) -> Vec<Diagnostic> {
    let (spec, found) = checked(&whole(case), &CheckContext::default());
    assert_eq!(spec.is_none(), found.iter().any(Diagnostic::is_error), "{case}\n{found:#?}");
    assert!(found.iter().all(|one| (one.place.start as usize) < case.len()), "{case}\n{found:#?}");
    found
}

#[test]
fn every_mistake_of_meaning_is_found_where_the_suite_says() {
    let mut seen = BTreeSet::new();
    let paths = suites("suite/check");
    let wrong: Vec<String> = paths.iter().filter_map(|path| compare(path, &find, &mut seen)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // What is wrong with catalogs and traces is tested where they are read, and feasibility where it is known.
    let mine = |code: &Code| {
        let numbers = Code::error(201)..Code::error(300);
        let others = [codes::UNIT_MISSING, codes::WRONG_DIMENSION, codes::CURRENCIES, codes::NOT_PLANNED];
        let files =
            [codes::UNREADABLE_FILE, codes::PATH_LEAVES_FOLDER, codes::UNUSED_NAME, codes::PRICE_TO_COME];
        numbers.contains(code) || others.contains(code) || files.contains(code)
    };
    let unseen: Vec<Code> = codes::all().map(|entry| entry.code).filter(mine).collect();
    let unseen: Vec<Code> = unseen.into_iter().filter(|code| !seen.contains(code)).collect();
    assert_eq!(unseen, [], "codes without a case");
}

/// Whole files, broken in one place each: what follows from that one mistake is not told.
#[test]
fn one_mistake_of_the_text_is_told_once() {
    let find = |text: &str| checked(text, &CheckContext::default()).1;
    let wrong: Vec<String> =
        suites("suite/broken").iter().filter_map(|path| compare(path, &find, &mut BTreeSet::new())).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn explanations_show_their_mistake() {
    for entry in codes::all().filter(|entry| (Code::error(210)..Code::error(300)).contains(&entry.code)) {
        let (Some(wrong), Some(_)) = (entry.wrong, entry.right) else {
            panic!("{} shows nothing", entry.code)
        };
        let (_, found) = checked(&whole(&format!("{wrong}\n")), &CheckContext::default());
        assert!(found.iter().any(|one| one.code == entry.code), "{}: {found:#?}", entry.code);
    }
}

#[test]
fn ten_mistakes_give_ten_messages_at_once() {
    let text = "plan p { curency = USD, horizon = 2027-01-01 .. 2029-12-31, discount = 9 kW, seed = 1.5 }\n\
                site a { powr <= 40 kW, pue = 0.5 }\n\
                site a { provider = asw, region = \"us-east-1\" }\n\
                serve chat { model = llama3_1_9b, load = { rate = 0 req/s, prompt = 1 ktok, output = 2 GB } }\n\
                train t { model = llama3_1_8b, tokens = 15 TB, batch = 4 Mtok, sequence = 8192 tok }\n";
    let (spec, found) = checked(text, &CheckContext::default());
    assert!(spec.is_none());
    assert!(found.len() >= 10, "{}: {found:#?}", found.len());
    assert!(found.iter().all(|one| one.help.is_some()), "{found:#?}");
}

/// A plan of a megabyte is checked in a moment; the bound is far above what it takes, for busy machines.
#[test]
fn a_large_plan_is_checked_in_linear_time() {
    let block = |i: usize| {
        format!(
            "param rate_{i} = {i} req/s + 1 req/s\nserve s{i} {{ model = llama3_1_8b, load = {{ rate = rate_{i}, prompt = 1 ktok, output = 250 tok }} }}\nscenario x{i} {{ set s{i}.load.rate *= 2 }}\n"
        )
    };
    let text = format!("{PLAN}{SITES}{}", (0..5_000).map(block).collect::<String>());
    assert!(text.len() > 800_000);
    let start = std::time::Instant::now();
    let (spec, found) = checked(&text, &CheckContext::default());
    let took = start.elapsed();
    assert!(spec.is_some_and(|spec| spec.serves.len() == 5_000), "{found:?}");
    assert!(took.as_secs() < 10, "{took:?}");
}

/// Names in a chain, sums and nested lists are no way to exhaust the stack or the clock.
#[test]
fn hostile_plans_are_refused_or_checked_but_never_break() {
    let chain: String = (0..50_000).map(|i| format!("let a{i} = a{}\n", i + 1)).collect();
    let circle = format!("{chain}let a50000 = a0\n");
    // One circle is one mistake, however long it is.
    assert_eq!(checked(&whole(&circle), &CheckContext::default()).1.len(), 1);
    let sum = format!("let a = 1{}\n", " + 1".repeat(200_000));
    assert!(checked(&whole(&sum), &CheckContext::default()).0.is_some());
    let rule = format!("budget b {{ require cost{} <= 5 USD }}\n", " + cost".repeat(10_000));
    assert!(checked(&whole(&rule), &CheckContext::default()).0.is_none());
    let unknown: String = (0..20_000).map(|i| format!("serve s{i} {{ model = nobody{i} }}\n")).collect();
    assert_eq!(checked(&whole(&unknown), &CheckContext::default()).1.len(), 1_001);
}

const SAMPLE: &str = include_str!("../../examples/chat-and-pretrain.plan");

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// A change in one place never breaks the checker, and a plan is there exactly where no error is.
    #[test]
    fn a_spoiled_example_never_breaks_it(
        at in 0..SAMPLE.len(),
        len in 0..40_usize,
        new in "[a-z0-9_ .%\n\"{}()\\[\\]=<>,-]{0,10}",
    ) {
        let end = (at + len).min(SAMPLE.len());
        prop_assume!(SAMPLE.is_char_boundary(at) && SAMPLE.is_char_boundary(end));
        let text = format!("{}{new}{}", &SAMPLE[..at], &SAMPLE[end..]);
        let (spec, found) = checked(&text, &CheckContext::default());
        let parsed = capstan_lang::parse(&capstan_types::place::FileId::new("x.plan"), &text);
        if parsed.is_clean() {
            prop_assert_eq!(spec.is_none(), found.iter().any(Diagnostic::is_error));
        }
        for one in &found {
            prop_assert!(text.get(one.place.start as usize..one.place.end as usize).is_some());
        }
    }
}
