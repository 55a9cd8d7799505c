//! Money and rules: what a plan may cost, and what must hold of its numbers.

use super::{Frame, Limit};
use crate::place::Place;
use jiff::civil::Date;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// What a rule does when it does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    /// The plan fails (exit 3).
    Require,
    /// It is said; the plan does not change.
    Prefer,
    /// It is warned of; the plan does not change.
    Warn,
}

/// An operator of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is the operator that it names")]
pub enum RuleOperator {
    Add,
    Subtract,
    Multiply,
    Divide,
    AtMost,
    AtLeast,
    Less,
    Greater,
    Equal,
    NotEqual,
    And,
    Or,
}

/// What a rule may ask of the finished plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Cost over the horizon.
    Cost,
    /// Prompt and output tokens over the horizon.
    Tokens,
    /// Prompt tokens over the horizon.
    PromptTokens,
    /// Output tokens over the horizon.
    OutputTokens,
    /// Requests over the horizon.
    Requests,
    /// Most nodes at once.
    Nodes,
    /// Most accelerators at once.
    Accelerators,
    /// Highest facility power.
    Power,
}

/// An expression over the finished plan, units checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum RuleExpr {
    /// A number in base units (seconds, bytes, watts, tokens, units of currency).
    Number {
        /// The number.
        value: f64,
    },
    /// A metric of a workload, a site, or of the whole plan (`subject` empty).
    Metric {
        /// Name of a workload or site.
        subject: String,
        /// What of it.
        metric: Metric,
    },
    /// Two expressions joined.
    Binary {
        /// How.
        operator: RuleOperator,
        /// Left side.
        left: Box<RuleExpr>,
        /// Right side.
        right: Box<RuleExpr>,
    },
    /// The opposite.
    Not {
        /// Of this.
        inner: Box<RuleExpr>,
    },
}

/// A rule of a budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    /// What happens when it does not hold.
    pub kind: RuleKind,
    /// Its label.
    pub label: Option<String>,
    /// What must hold.
    pub condition: RuleExpr,
    /// The text as written.
    pub text: String,
    /// What to say when it does not hold.
    pub message: Option<String>,
    /// Where it stands.
    pub place: Place,
}

impl Rule {
    /// Returns what to say when it does not hold, on one line; `None` where the plan says nothing.
    pub fn said(&self) -> Option<String> {
        let words: Vec<&str> = self.message.as_deref()?.split_whitespace().collect();
        (!words.is_empty()).then(|| words.join(" "))
    }
}

/// Money and rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Budget {
    /// Its name.
    pub name: String,
    /// First and last day of its limits, both included; `None` is the horizon.
    #[schemars(with = "Option<(String, String)>")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<(Date, Date)>,
    /// Most purchases over the horizon.
    #[schemars(with = "Option<Limit<f64>>")]
    pub capex: Option<Limit<Decimal>>,
    /// Most running cost in any month.
    #[schemars(with = "Option<Limit<f64>>")]
    pub opex_per_month: Option<Limit<Decimal>>,
    /// Most cost over the horizon, undiscounted.
    #[schemars(with = "Option<Limit<f64>>")]
    pub total: Option<Limit<Decimal>>,
    /// Largest share of spot machines among the node-hours that are bought over the horizon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot: Option<Limit<f64>>,
    /// Rules.
    pub rules: Vec<Rule>,
}

impl Budget {
    /// Returns the months of the horizon for which its limits hold.
    pub fn months(&self, frame: &Frame) -> Range<u32> {
        self.days.map_or(0..frame.months, |(first, last)| frame.month_of(first)..frame.month_after(last))
    }

    /// Returns its name, with the days where it has some.
    pub fn words(&self) -> String {
        match self.days {
            Some((first, last)) => format!("{} ({first} to {last})", self.name),
            None => self.name.clone(),
        }
    }
}
