//! What the values of limits count, and how people write them.

use capstan_types::figure;
use capstan_types::money::Currency;

/// What the value of a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitUnit {
    /// Kilowatts.
    Kilowatts,
    /// Racks.
    Racks,
    /// Accelerators.
    Accelerators,
    /// Money in the plan's currency.
    Money,
    /// Money per month.
    MoneyPerMonth,
    /// A share of node-hours.
    NodeHours,
}

impl LimitUnit {
    /// Returns the unit in words.
    pub fn words(self, currency: Currency) -> String {
        match self {
            Self::Kilowatts => "kW".to_owned(),
            Self::Racks => "racks".to_owned(),
            Self::Accelerators => "accelerators".to_owned(),
            Self::Money => currency.code().to_owned(),
            Self::MoneyPerMonth => format!("{}/mo", currency.code()),
            Self::NodeHours => "of node-hours".to_owned(),
        }
    }

    /// Returns a value with the unit, as people write it.
    pub fn amount(self, value: f64, currency: Currency) -> String {
        let unit = self.words(currency);
        match self {
            Self::Kilowatts => format!("{} {unit}", figure::short(value)),
            Self::Racks | Self::Accelerators => format!("{} {unit}", figure::count(value.ceil() as u64)),
            Self::Money | Self::MoneyPerMonth => {
                format!("{} {unit}", figure::amount(crate::pricing::decimal(value), currency))
            }
            Self::NodeHours => format!("{} {unit}", figure::percent(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units_separators_and_the_currency() {
        let told = |unit: LimitUnit, value| unit.amount(value, Currency::USD);
        assert_eq!(told(LimitUnit::Money, 1_928_601.6), "1,928,601.60 USD");
        assert_eq!(told(LimitUnit::MoneyPerMonth, 5000.0), "5,000.00 USD/mo");
        assert_eq!(told(LimitUnit::NodeHours, 0.315), "31.5 % of node-hours");
        assert_eq!(told(LimitUnit::Racks, 11.2), "12 racks");
    }
}
