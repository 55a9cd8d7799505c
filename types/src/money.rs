//! Money: exact decimals with a currency, rounded per line to the currency's minor unit.

use rust_decimal::{Decimal, RoundingStrategy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An ISO 4217 currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Currency {
    /// US dollar.
    Usd,
    /// Euro.
    Eur,
    /// Pound sterling.
    Gbp,
    /// Japanese yen.
    Jpy,
    /// Chinese yuan.
    Cny,
    /// Indian rupee.
    Inr,
    /// Swiss franc.
    Chf,
}

impl Currency {
    /// Every currency that is known, in order of their codes' declaration.
    pub const ALL: [Self; 7] = [Self::Usd, Self::Eur, Self::Gbp, Self::Jpy, Self::Cny, Self::Inr, Self::Chf];

    /// Returns the ISO code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Usd => "USD",
            Self::Eur => "EUR",
            Self::Gbp => "GBP",
            Self::Jpy => "JPY",
            Self::Cny => "CNY",
            Self::Inr => "INR",
            Self::Chf => "CHF",
        }
    }

    /// Returns the currency of an ISO code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|currency| currency.code() == code)
    }

    /// Returns the digits of the minor unit (ISO 4217): 2 for cents, 0 for yen.
    pub fn minor_digits(self) -> u32 {
        match self {
            Self::Jpy => 0,
            _ => 2,
        }
    }

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
        assert_eq!(Currency::Usd.round(Decimal::new(12_345, 3)), Decimal::new(1_235, 2));
        assert_eq!(Currency::Usd.round(Decimal::new(-12_345, 3)), Decimal::new(-1_235, 2));
    }

    #[test]
    fn yen_have_no_minor_unit() {
        assert_eq!(Currency::Jpy.round(Decimal::new(15, 1)), Decimal::new(2, 0));
    }

    #[test]
    fn every_code_finds_its_currency() {
        for currency in Currency::ALL {
            assert_eq!(Currency::from_code(currency.code()), Some(currency));
        }
    }
}
