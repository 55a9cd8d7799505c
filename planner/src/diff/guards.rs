//! May a change cost that much? Limits on the change of the total, in money or as a share, for rises and for falls.
//!
//! A rise that cannot be computed (two currencies, a base of nothing, a head without the price of something that the base
//! pays for) keeps no limit. Where one horizon is longer than the
//! other, totals say nothing: the cost per month is compared, as if both were as long as the base's.

use capstan_types::diff::{Amounts, Diff, Guard};
use capstan_types::figure;
use rust_decimal::Decimal;

/// How much the total may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// As a share of what it was: 0.05 is 5 %.
    Share(Decimal),
    /// In the currency of the plan.
    Amount(Decimal),
}

impl std::str::FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let (digits, share) = match trimmed.strip_suffix('%') {
            Some(digits) => (digits.trim_end(), true),
            None => (trimmed, false),
        };
        let plain: String = digits.chars().filter(|c| *c != '_').collect();
        let number: Decimal = plain
            .parse()
            .map_err(|_| format!("`{text}` is neither a share like 5% nor an amount like 5000"))?;
        if number < Decimal::ZERO {
            return Err(format!("`{text}` is negative: say how far the total may move"));
        }
        Ok(if share { Self::Share(number / Decimal::ONE_HUNDRED) } else { Self::Amount(number) })
    }
}

impl Threshold {
    /// Returns whether a change stays within it; `None` where that cannot be said.
    fn keeps(self, change: Decimal, before: Decimal) -> Option<bool> {
        match self {
            Self::Amount(most) => Some(change <= most),
            Self::Share(_) if change <= Decimal::ZERO => Some(true),
            Self::Share(most) => Some(change.checked_div(before.abs())? <= most),
        }
    }

    fn words(self, diff: &Diff) -> String {
        match self {
            Self::Share(share) => format!("{} %", (share * Decimal::ONE_HUNDRED).normalize()),
            Self::Amount(amount) => figure::money(amount, diff.head.currency),
        }
    }
}

/// The limits on a change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Guards {
    /// A larger rise is refused.
    pub max_increase: Option<Threshold>,
    /// A larger fall is refused: often a plan that lost something.
    pub max_decrease: Option<Threshold>,
    /// A larger rise is warned of.
    pub warn_increase: Option<Threshold>,
    /// A larger fall is warned of.
    pub warn_decrease: Option<Threshold>,
}

impl Guards {
    /// Returns what each limit says of a change. Where there is any limit, an item that lost its price is never silent.
    pub fn of(&self, diff: &Diff) -> Vec<Guard> {
        let total = comparable(diff);
        let exists = |status| status != capstan_types::blueprint::Status::Infeasible;
        let same =
            diff.base.currency == diff.head.currency && exists(diff.base.status) && exists(diff.head.status);
        let left_out = diff.left_out_now();
        let asked = [
            ("max-increase", self.max_increase, total.change(), true),
            ("max-decrease", self.max_decrease, -total.change(), true),
            ("warn-increase", self.warn_increase, total.change(), false),
            ("warn-decrease", self.warn_decrease, -total.change(), false),
        ];
        let mut guards: Vec<Guard> = Vec::new();
        for (name, limit, change, required) in asked {
            let Some(limit) = limit else { continue };
            let is_known = same && left_out.is_none();
            let holds = if is_known { limit.keeps(change, total.before) } else { None };
            guards.push(Guard {
                name: format!("{name} {}", limit.words(diff)),
                holds: holds == Some(true),
                required,
                numbers: match holds {
                    None => {
                        let why = left_out.iter().map(|what| format!(": the total now leaves out {what}"));
                        format!("the change cannot be compared{}", why.collect::<String>())
                    }
                    Some(_) if diff.is_as_long() => figure::signed_money(total.change(), diff.head.currency),
                    Some(_) => {
                        let change = diff.cost.per_month.change();
                        format!(
                            "{} per month, since the horizons last {} and {} months",
                            figure::signed_money(change, diff.head.currency),
                            diff.base.months,
                            diff.head.months
                        )
                    }
                },
            });
        }
        if !guards.is_empty() && diff.unpriced.after > diff.unpriced.before {
            guards.push(Guard {
                name: "no more without a price".to_owned(),
                holds: false,
                required: false,
                numbers: format!("{} before, {} now", diff.unpriced.before, diff.unpriced.after),
            });
        }
        guards
    }

    /// Returns whether a change is too small to be told: the plan holds as before, nothing lost its price, and the total
    /// moves by no more than `below`, up or down.
    pub fn is_silent(diff: &Diff, below: Threshold) -> bool {
        let total = diff.cost.total;
        let size = total.change().abs();
        diff.base == diff.head
            && diff.unpriced.after <= diff.unpriced.before
            && diff.left_out_now().is_none()
            && below.keeps(size, total.before) == Some(true)
    }
}

/// Returns the totals; where the horizons are not as long, what the months cost over the base's.
fn comparable(diff: &Diff) -> Amounts {
    if diff.is_as_long() {
        return diff.cost.total;
    }
    let (months, each) = (Decimal::from(diff.base.months), diff.cost.per_month);
    Amounts { before: each.before * months, after: each.after * months }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::diff;
    use capstan_types::testing::blueprint::chat_blueprint;

    /// Returns a diff whose total changes from 1,000 by this much.
    fn changed(by: i64) -> Diff {
        let mut diff = diff(&chat_blueprint(), &chat_blueprint());
        diff.cost.total.before = Decimal::from(1000);
        diff.cost.total.after = Decimal::from(1000 + by);
        diff
    }

    fn guards() -> Guards {
        let limit = |text: &str| text.parse().ok();
        Guards {
            max_increase: limit("5%"),
            max_decrease: limit("200"),
            warn_increase: limit("1 %"),
            ..Guards::default()
        }
    }

    fn broken(diff: &Diff) -> Vec<String> {
        guards().of(diff).into_iter().filter(|guard| !guard.holds).map(|guard| guard.name).collect()
    }

    #[test]
    fn each_limit_speaks_when_it_is_passed_and_not_before() {
        assert!(broken(&changed(4)).is_empty());
        assert_eq!(broken(&changed(20)), ["warn-increase 1 %"]);
        assert_eq!(broken(&changed(120)), ["max-increase 5 %", "warn-increase 1 %"]);
        assert_eq!(broken(&changed(-300)), ["max-decrease 200.00 USD"]);
        assert!(broken(&changed(50)).contains(&"warn-increase 1 %".to_owned()));
        assert!(
            !broken(&changed(50)).contains(&"max-increase 5 %".to_owned()),
            "the limit itself is allowed"
        );
    }

    #[test]
    fn an_item_without_a_price_is_never_silent() {
        let mut diff = changed(4);
        assert!(Guards::is_silent(&diff, Threshold::Share(Decimal::new(1, 2))));
        diff.unpriced.after += 1;
        assert!(!Guards::is_silent(&diff, Threshold::Share(Decimal::new(1, 2))));
        assert_eq!(broken(&diff), ["no more without a price"]);
    }

    #[test]
    fn a_total_that_leaves_out_more_keeps_no_limit() {
        let (base, mut head) = (chat_blueprint(), chat_blueprint());
        head.cost.not_included.push("network of own.h100".to_owned());
        let mut diff = diff(&base, &head);
        (diff.cost.total.before, diff.cost.total.after) = (Decimal::from(1000), Decimal::from(990));
        let told = guards().of(&diff);
        assert_eq!(told.iter().filter(|guard| guard.holds).count(), 0, "{told:?}");
        assert_eq!(
            told[0].numbers,
            "the change cannot be compared: the total now leaves out network of own.h100"
        );
        assert!(!Guards::is_silent(&diff, Threshold::Share(Decimal::from(1))));
    }

    #[test]
    fn horizons_of_two_lengths_are_compared_by_month() {
        let mut diff = changed(-40);
        (diff.base.months, diff.head.months) = (12, 8);
        diff.cost.per_month.before = Decimal::from(100);
        diff.cost.per_month.after = Decimal::from(144);
        let told = guards().of(&diff);
        assert!(!told[0].holds && told[1].holds, "{told:?}");
        assert_eq!(told[0].numbers, "+44.00 USD per month, since the horizons last 12 and 8 months");
        let amount = |text: &str| Guards { max_increase: text.parse().ok(), ..Guards::default() };
        assert!(
            amount("528").of(&diff)[0].holds && !amount("527").of(&diff)[0].holds,
            "44 in each of 12 months"
        );
        diff.cost.per_month.after = Decimal::from(100);
        assert!(guards().of(&diff).iter().all(|guard| guard.holds), "as much each month");
    }

    #[test]
    fn what_cannot_be_compared_keeps_no_limit() {
        let mut diff = changed(4);
        diff.cost.total.before = Decimal::ZERO;
        assert!(broken(&diff).contains(&"max-increase 5 %".to_owned()));
        let mut diff = changed(0);
        diff.head.currency = capstan_types::money::Currency::EUR;
        assert_eq!(broken(&diff).len(), 3);
    }

    #[test]
    fn a_limit_is_a_share_or_an_amount() {
        assert_eq!("5%".parse(), Ok(Threshold::Share(Decimal::new(5, 2))));
        assert_eq!("41_200.50".parse(), Ok(Threshold::Amount(Decimal::new(4_120_050, 2))));
        assert!("-5%".parse::<Threshold>().is_err() && "much".parse::<Threshold>().is_err());
    }
}
