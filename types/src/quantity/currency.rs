//! Which money is it, and what is its smallest coin?
//!
//! Source of codes and minor units: ISO 4217, list one (amendment 177, 2024). No rates are known
//! here; conversion needs a dated rate from the price file.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A currency by its ISO 4217 code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Currency([u8; 3]);

/// Currencies with two digits after the point.
const TWO: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD \
    CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD \
    HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP \
    MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR \
    SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST \
    XCD YER ZAR ZMW ZWG";
/// Currencies without a smaller coin.
const ZERO: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF";
/// Currencies with three digits after the point.
const THREE: &str = "BHD IQD JOD KWD LYD OMR TND";

impl Currency {
    /// United States dollar.
    pub const USD: Currency = Currency(*b"USD");
    /// Euro.
    pub const EUR: Currency = Currency(*b"EUR");
    /// Pound sterling.
    pub const GBP: Currency = Currency(*b"GBP");
    /// Yuan renminbi.
    pub const CNY: Currency = Currency(*b"CNY");
    /// Yen.
    pub const JPY: Currency = Currency(*b"JPY");

    /// Returns the currency of a code, or none where ISO 4217 has no such code.
    pub fn from_code(code: &str) -> Option<Self> {
        let bytes: [u8; 3] = code.as_bytes().try_into().ok()?;
        let listed = |list: &str| list.as_bytes().chunks(4).any(|entry| entry.starts_with(&bytes));
        let upper = bytes.iter().all(u8::is_ascii_uppercase);
        (upper && (listed(TWO) || listed(ZERO) || listed(THREE))).then_some(Currency(bytes))
    }

    /// Returns the code.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }

    /// Returns the digits after the decimal point that exist as coins: 2 for USD, 0 for JPY.
    pub fn minor_digits(self) -> u32 {
        let listed = |list: &str| list.as_bytes().chunks(4).any(|entry| entry.starts_with(&self.0));
        match (listed(ZERO), listed(THREE)) {
            (true, _) => 0,
            (_, true) => 3,
            _ => 2,
        }
    }

    /// Lists every known code, for suggestions.
    pub fn codes() -> impl Iterator<Item = &'static str> {
        TWO.split(' ').chain(ZERO.split(' ')).chain(THREE.split(' ')).filter(|code| !code.is_empty())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl TryFrom<String> for Currency {
    type Error = String;

    fn try_from(code: String) -> Result<Self, String> {
        Currency::from_code(&code).ok_or_else(|| format!("`{code}` is no ISO 4217 currency"))
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_known_with_their_coins() {
        let digits = |code| Currency::from_code(code).map(Currency::minor_digits);
        assert_eq!(digits("USD"), Some(2));
        assert_eq!(digits("JPY"), Some(0));
        assert_eq!(digits("KWD"), Some(3));
        assert_eq!(digits("usd"), None);
        assert_eq!(digits("ABC"), None);
    }

    #[test]
    fn the_lists_are_laid_out_as_the_lookup_reads_them() {
        for list in [TWO, ZERO, THREE] {
            assert!(list.as_bytes().chunks(4).all(|entry| entry[..3].iter().all(u8::is_ascii_uppercase)));
            assert!(list.as_bytes().chunks(4).all(|entry| entry.len() == 3 || entry[3] == b' '));
        }
    }
}
