//! Where a number comes from: every number carries its origin, and every catalog row its source and date.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a number came to be, from the most to the least trustworthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Fitted to, or read from, a measurement of this very thing.
    Measured,
    /// Printed by its maker or in a paper.
    Published,
    /// Came out of the discrete-event simulator.
    Simulated,
    /// Follows from formulas over measured or published numbers.
    Analytic,
    /// Rests on a default or on a disputed or recalled number.
    Assumed,
}

impl Origin {
    /// Returns the weaker of two origins: a result is as good as the worst number in it.
    pub fn weaker(self, other: Self) -> Self {
        self.max(other)
    }

    /// Returns the word shown to people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Published => "published",
            Self::Simulated => "simulated",
            Self::Analytic => "analytic",
            Self::Assumed => "assumed",
        }
    }
}

/// How sure the source of a fact is. `Disputed` and `Recalled` count as [`Origin::Assumed`] in every report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Printed by the vendor.
    DataSheet,
    /// Somebody measured it.
    Measured,
    /// Sources disagree.
    Disputed,
    /// Remembered, no source at hand.
    Recalled,
}

impl Grade {
    /// Returns what the grade means for numbers that rest on the fact.
    pub fn origin(self) -> Origin {
        match self {
            Self::DataSheet => Origin::Published,
            Self::Measured => Origin::Measured,
            Self::Disputed | Self::Recalled => Origin::Assumed,
        }
    }
}

/// How firm a price is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PriceGrade {
    /// A quotation made to the buyer.
    Quoted,
    /// A public list price.
    List,
    /// An estimate from reports; shown as an assumption.
    Estimate,
}

/// Source and date of a catalog row; a row without them does not load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Provenance {
    /// Where the fact was read: vendor, document or repository with its version.
    pub source: String,
    /// When it was true.
    #[schemars(with = "String")]
    pub as_of: Date,
    /// How sure the source is.
    pub grade: Grade,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_as_good_as_its_worst_number() {
        assert_eq!(Origin::Measured.weaker(Origin::Assumed), Origin::Assumed);
        assert_eq!(Origin::Published.weaker(Origin::Measured), Origin::Published);
    }

    #[test]
    fn disputed_and_recalled_facts_count_as_assumed() {
        assert_eq!(Grade::Disputed.origin(), Origin::Assumed);
        assert_eq!(Grade::Recalled.origin(), Origin::Assumed);
    }
}
