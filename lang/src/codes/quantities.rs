//! Numbers and their units: E01xx.

use super::Entry;
use crate::diagnostic::Code;

/// An unknown unit.
pub const UNKNOWN_UNIT: Code = Code::error(102);
/// A bare number where a unit is needed.
pub const UNIT_MISSING: Code = Code::error(103);
/// A quantity of the wrong kind.
pub const WRONG_DIMENSION: Code = Code::error(104);
/// `B` for billions.
pub const BILLIONS: Code = Code::error(108);
/// An abbreviation that could be bits or bytes.
pub const BITS: Code = Code::error(109);
/// `m` as a unit.
pub const LONE_M: Code = Code::error(110);
/// A currency that is not clear.
pub const CURRENCY_SIGN: Code = Code::error(114);
/// Two currencies without a rate.
pub const CURRENCIES: Code = Code::error(115);
/// A number that is too large.
pub const TOO_LARGE: Code = Code::error(119);

pub(super) const ENTRIES: [Entry; 9] = [
    Entry {
        code: UNKNOWN_UNIT,
        title: "an unknown unit",
        explanation: "Units are case-sensitive, and each has one spelling: `ms s min h d mo y`, `B bit W Wh J \
            tok param FLOP req` with the prefixes k M G T P, `Ki Mi Gi Ti Pi` on `B`, `GPU node U \
            user IO meter K %`, and the ISO 4217 codes of currencies. `/` and `*` without blanks \
            join units; with blanks they divide and multiply.",
        wrong: Some("site a { power <= 40 kw }"),
        right: Some("site a { power <= 40 kW }"),
    },
    Entry {
        code: UNIT_MISSING,
        title: "a bare number where a unit is needed",
        explanation: "A number without a unit is accepted only where the field counts nothing that has a unit \
            (`pue`, `replicas`).",
        wrong: Some("site a { power <= 40 }"),
        right: Some("site a { power <= 40 kW }"),
    },
    Entry {
        code: WRONG_DIMENSION,
        title: "a quantity of the wrong kind",
        explanation: "The field counts something else than the quantity does: tokens are not bytes, requests \
            are not tokens, power is not energy. Both are named in the message.",
        wrong: Some("train t { tokens = 15 TB }"),
        right: Some("train t { tokens = 15 Ttok }"),
    },
    Entry {
        code: BILLIONS,
        title: "`B` for billions",
        explanation: "`B` is the unit of bytes. Billions of something are written with the prefix `G` and the \
            thing: `70 Gparam`, `15 Ttok`. Bytes are written with a blank: `70 B`.",
        wrong: Some("model m { parameters = 70B }"),
        right: Some("model m { parameters = 70 Gparam }"),
    },
    Entry {
        code: BITS,
        title: "an abbreviation that could be bits or bytes",
        explanation: "`b` and `B` are mixed up too often, and a factor of eight is a lot of network. Bits are \
            spelled out, bytes are `B`, and a rate has `/s`.",
        wrong: Some("fabric f { bandwidth >= 400 Gb/s }"),
        right: Some("fabric f { bandwidth >= 400 Gbit/s }"),
    },
    Entry {
        code: LONE_M,
        title: "`m` as a unit",
        explanation: "`m` could be minutes, months or metres: write `min`, `mo` or `meter`.",
        wrong: Some("train t { every = 30 m }"),
        right: Some("train t { every = 30 min }"),
    },
    Entry {
        code: CURRENCY_SIGN,
        title: "a currency that is not clear",
        explanation: "A sign stands directly before a number and is the currency: nothing but `/` and another \
            unit may follow. `¥` means yuan or yen only where the plan says `currency = CNY` or \
            `currency = JPY`. A quantity has one currency.",
        wrong: Some("budget b { capex <= ¥500 }"),
        right: Some("budget b { capex <= 500 JPY }"),
    },
    Entry {
        code: CURRENCIES,
        title: "two currencies without a rate",
        explanation: "Amounts in different currencies are added or compared only with a dated rate from the \
            price file.",
        wrong: Some("budget b { capex <= 5 EUR + 5 USD }"),
        right: Some("budget b { capex <= 10 USD }"),
    },
    Entry {
        code: TOO_LARGE,
        title: "a number that is too large",
        explanation: "No quantity of this world has so many digits.",
        wrong: None,
        right: None,
    },
];
