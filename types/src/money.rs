//! Money: exact decimals with a currency, rounded per line to the currency's minor unit.

use rust_decimal::{Decimal, RoundingStrategy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::quantity::Currency;

impl Currency {
    /// Returns the amount rounded half away from zero to the minor unit.
    pub fn round(self, amount: Decimal) -> Decimal {
        amount.round_dp_with_strategy(self.minor_digits(), RoundingStrategy::MidpointAwayFromZero)
    }
}

/// A dated exchange rate; money keeps its currency until one is applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExchangeRate {
    /// Currency converted from.
    pub from: Currency,
    /// Currency converted to.
    pub to: Currency,
    /// Units of `to` for one unit of `from`, unrounded.
    #[schemars(with = "f64")]
    pub rate: Decimal,
    /// Source and date.
    #[serde(flatten)]
    pub provenance: crate::origin::Provenance,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cents_round_half_away_from_zero() {
        assert_eq!(Currency::USD.round(Decimal::new(12_345, 3)), Decimal::new(1_235, 2));
        assert_eq!(Currency::USD.round(Decimal::new(-12_345, 3)), Decimal::new(-1_235, 2));
    }

    #[test]
    fn yen_have_no_minor_unit() {
        assert_eq!(Currency::JPY.round(Decimal::new(15, 1)), Decimal::new(2, 0));
    }
}
