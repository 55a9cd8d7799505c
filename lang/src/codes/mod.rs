//! Which mistakes does the language know, and what is there to say about each at length?
//!
//! E00xx lexing · E01xx syntax and quantities · E02xx names and fields · E03xx feasibility · E04xx
//! catalogs · E05xx files · E0900 not planned yet · W0xxx warnings. A code never changes meaning and is
//! never used again; a new mistake gets a new one.

mod answers;
mod catalogs;
mod checking;
mod files;
mod lexing;
mod names;
mod quantities;
mod syntax;

pub use answers::{
    FACT_UNKNOWN, FITS_NOWHERE, HOSTS_TOO_SMALL, LEVEL_MISSED, LIMITS_CONFLICT, NO_CANDIDATE, NOT_PLANNED,
    NOT_PROVEN, NOT_TO_BE_HAD, NOT_TO_BE_STORED, NOT_TO_BE_WIRED, PORTS_UNKNOWN, RULE_BROKEN,
    SCENARIO_MISSED, SWITCHES_OVER_POWER, TOO_LATE, UNREADABLE_FILE, UNSETTLED, WISH_UNMET,
};
pub use catalogs::{
    CATALOG_DUPLICATE, CATALOG_FACT_MISSING, CATALOG_FIELD, CATALOG_NAME, CATALOG_NOT_TOML, CATALOG_PRICE,
    CATALOG_SOURCE, CATALOG_VALUE,
};
pub use checking::{
    BAD_ARGUMENT, CIRCLE, CONTRADICTION, MISPLACED, MISSING_BLOCK, NO_RESULT, NOT_A_CONDITION,
    NOTHING_TO_SET, OUT_OF_RANGE, OUTSIDE_HORIZON, PRICE_TO_COME, UNKNOWN_FUNCTION, UNUSED_NAME,
};
pub use files::{
    CONFIG_ADAPTER, CONFIG_CONTRADICTION, CONFIG_MISSING, CONFIG_NOT_JSON, CONFIG_UNCOUNTED, CONFIG_UNKNOWN,
    CONFIG_VALUE, PATH_LEAVES_FOLDER, STALE_LOCK, TRACE_COLUMNS, TRACE_EMPTY, TRACE_ORDER, TRACE_VALUE,
};
pub use lexing::{
    BAD_CHARACTER, BAD_DATE, BAD_ESCAPE, BAD_NUMBER, BAD_TIME, BYTE_ORDER_MARK, FOREIGN_NAME, NOT_UTF8,
    OPEN_BRACKET, OPEN_STRING, STRAY_BRACKET, TOO_DEEP, TOO_LONG, TOO_MANY,
};
pub use names::{
    DUPLICATE_FIELD, DUPLICATE_NAME, MISSING_FIELD, NOT_A_CHOICE, UNKNOWN_FIELD, UNKNOWN_KIND, UNKNOWN_NAME,
    WRONG_KIND_OF_VALUE, WRONG_OPERATOR,
};
pub use quantities::{
    BILLIONS, BITS, CURRENCIES, CURRENCY_SIGN, LONE_M, TOO_LARGE, UNIT_MISSING, UNKNOWN_UNIT, WRONG_DIMENSION,
};
pub use syntax::{
    BOOLEAN_LIMIT, COMPARISON_CHAIN, DASH_IN_NAME, EQUALS, ONLY_AT_TOP, ONLY_FIELDS, RESERVED, SEPARATOR,
    STRICT_LIMIT, SYNTAX,
};

use std::fmt;

use crate::diagnostic::Code;

/// What `capstan explain` says about a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The code.
    pub code: Code,
    /// The mistake, as a lowercase fragment.
    pub title: &'static str,
    /// Why it is one, and what to do.
    pub explanation: &'static str,
    /// A plan with the mistake, where it can be shown.
    pub wrong: Option<&'static str>,
    /// The same plan without it.
    pub right: Option<&'static str>,
}

/// What `capstan explain` prints: title, explanation, and the plan before and after.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}\n\n{}", self.code, self.title, self.explanation)?;
        for (heading, plan) in [("Wrong", self.wrong), ("Right", self.right)] {
            let Some(plan) = plan else { continue };
            writeln!(f, "\n{heading}:\n")?;
            plan.lines().try_for_each(|line| writeln!(f, "    {line}"))?;
        }
        Ok(())
    }
}

/// Returns every entry, in the order of the codes within each group.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    let groups: [&'static [Entry]; 8] = [
        &lexing::ENTRIES,
        &syntax::ENTRIES,
        &quantities::ENTRIES,
        &names::ENTRIES,
        &checking::ENTRIES,
        &answers::ENTRIES,
        &files::ENTRIES,
        &catalogs::ENTRIES,
    ];
    groups.into_iter().flatten()
}

/// Returns what there is to say about a code.
pub fn explain(code: Code) -> Option<&'static Entry> {
    all().find(|entry| entry.code == code)
}

#[cfg(test)]
mod tests {
    use capstan_types::place::FileId;

    use super::*;
    use crate::grammar::parse;

    /// Codes that need more than the text: they come from the checker, the planner or the file system.
    fn found_later(code: Code) -> bool {
        [UNIT_MISSING, WRONG_DIMENSION, CURRENCIES].contains(&code) || code >= UNKNOWN_KIND
    }

    #[test]
    fn no_code_has_two_meanings() {
        let mut codes: Vec<Code> = all().map(|entry| entry.code).collect();
        codes.sort();
        let n = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), n);
        assert!(explain(WRONG_DIMENSION).is_some_and(|entry| entry.code.to_string() == "E0104"));
    }

    #[test]
    fn an_explanation_shows_the_plan_before_and_after() {
        let entry = explain(WRONG_DIMENSION).expect("it is listed").to_string();
        assert!(entry.starts_with("E0104: a quantity of the wrong kind\n\n"));
        let examples =
            "\nWrong:\n\n    train t { tokens = 15 TB }\n\nRight:\n\n    train t { tokens = 15 Ttok }\n";
        assert!(entry.ends_with(examples), "{entry}");
    }

    #[test]
    fn titles_are_fragments_and_explanations_are_sentences() {
        for Entry { code, title, explanation, .. } in all() {
            assert!(!title.ends_with('.') && !title.starts_with(char::is_uppercase), "{code}");
            assert!(explanation.ends_with('.') && !explanation.contains("  "), "{code}: {explanation}");
        }
    }

    #[test]
    fn the_wrong_example_has_exactly_its_mistake_and_the_right_one_has_none() {
        let file = FileId::new("example.plan");
        let mut wrongly = Vec::new();
        for entry in all() {
            let (Some(wrong), Some(right)) = (entry.wrong, entry.right) else { continue };
            let found: Vec<Code> = parse(&file, wrong).diagnostics.iter().map(|found| found.code).collect();
            let expected = if found_later(entry.code) { vec![] } else { vec![entry.code] };
            if found != expected || !parse(&file, right).diagnostics.is_empty() {
                wrongly.push((entry.code, found));
            }
        }
        assert_eq!(wrongly, []);
    }
}
