//! What kind of thing does a quantity count?
//!
//! A dimension is a product of powers of fifteen bases. Tokens are not requests are not parameters:
//! things that other systems call dimensionless have their own base here, because mixing them up is
//! the mistake that people make. The currency is not part of the dimension; see [`super::Currency`].

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of the things that can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Base {
    /// Base unit: second.
    Time,
    /// Base unit: byte.
    Data,
    /// Base unit: joule. Power is energy per time.
    Energy,
    /// Base unit: one unit of the currency.
    Money,
    /// A token of a language model.
    Token,
    /// A request to a service.
    Request,
    /// One accelerator, written `GPU`.
    Accelerator,
    /// One machine.
    Node,
    /// One parameter of a model.
    Parameter,
    /// One floating-point operation (a count, not a rate).
    Flop,
    /// One rack unit, written `U`.
    RackUnit,
    /// Base unit: metre, written `meter`.
    Length,
    /// Base unit: kelvin.
    Temperature,
    /// One input or output operation.
    Io,
    /// One person.
    User,
}

impl Base {
    /// All bases, in the order in which they are printed.
    pub const ALL: [Base; 15] = [
        Base::Time,
        Base::Data,
        Base::Energy,
        Base::Money,
        Base::Token,
        Base::Request,
        Base::Accelerator,
        Base::Node,
        Base::Parameter,
        Base::Flop,
        Base::RackUnit,
        Base::Length,
        Base::Temperature,
        Base::Io,
        Base::User,
    ];

    /// Returns the word for one of it and for many ("token", "tokens").
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Base::Time => ("time", "time"),
            Base::Data => ("data", "data"),
            Base::Energy => ("energy", "energy"),
            Base::Money => ("money", "money"),
            Base::Token => ("token", "tokens"),
            Base::Request => ("request", "requests"),
            Base::Accelerator => ("accelerator", "accelerators"),
            Base::Node => ("node", "nodes"),
            Base::Parameter => ("parameter", "parameters"),
            Base::Flop => ("FLOP", "FLOPs"),
            Base::RackUnit => ("rack unit", "rack units"),
            Base::Length => ("length", "length"),
            Base::Temperature => ("temperature", "temperature"),
            Base::Io => ("I/O operation", "I/O operations"),
            Base::User => ("user", "users"),
        }
    }

    /// Returns the base unit in words, singular and plural; money has none without its currency.
    pub(super) fn unit_words(self) -> (&'static str, &'static str) {
        match self {
            Base::Time => ("second", "seconds"),
            Base::Data => ("byte", "bytes"),
            Base::Energy => ("joule", "joules"),
            Base::Length => ("metre", "metres"),
            Base::Temperature => ("kelvin", "kelvins"),
            other => other.words(),
        }
    }
}

/// A product of powers of bases; the default is a bare number.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(from = "BTreeMap<Base, i8>", into = "BTreeMap<Base, i8>")]
#[schemars(with = "BTreeMap<Base, i8>")]
pub struct Dimension([i8; 15]);

impl Dimension {
    /// A bare number.
    pub const NONE: Dimension = Dimension([0; 15]);
    /// Duration.
    pub const TIME: Dimension = Dimension::of(Base::Time);
    /// Bytes.
    pub const DATA: Dimension = Dimension::of(Base::Data);
    /// Bandwidth.
    pub const DATA_RATE: Dimension = Dimension::DATA.per(Dimension::TIME);
    /// Joules, watt-hours.
    pub const ENERGY: Dimension = Dimension::of(Base::Energy);
    /// Watts.
    pub const POWER: Dimension = Dimension::ENERGY.per(Dimension::TIME);
    /// An amount in some currency.
    pub const MONEY: Dimension = Dimension::of(Base::Money);
    /// An amount per time.
    pub const MONEY_RATE: Dimension = Dimension::MONEY.per(Dimension::TIME);
    /// The price of electricity.
    pub const ENERGY_PRICE: Dimension = Dimension::MONEY.per(Dimension::ENERGY);
    /// The price of traffic.
    pub const DATA_PRICE: Dimension = Dimension::MONEY.per(Dimension::DATA);
    /// Tokens.
    pub const TOKENS: Dimension = Dimension::of(Base::Token);
    /// Tokens per time.
    pub const TOKEN_RATE: Dimension = Dimension::TOKENS.per(Dimension::TIME);
    /// Requests.
    pub const REQUESTS: Dimension = Dimension::of(Base::Request);
    /// Requests per time.
    pub const REQUEST_RATE: Dimension = Dimension::REQUESTS.per(Dimension::TIME);
    /// Accelerators.
    pub const ACCELERATORS: Dimension = Dimension::of(Base::Accelerator);
    /// Machines.
    pub const NODES: Dimension = Dimension::of(Base::Node);
    /// Parameters of a model.
    pub const PARAMETERS: Dimension = Dimension::of(Base::Parameter);
    /// Floating-point operations.
    pub const FLOPS: Dimension = Dimension::of(Base::Flop);
    /// Floating-point operations per time.
    pub const FLOP_RATE: Dimension = Dimension::FLOPS.per(Dimension::TIME);
    /// Height in a rack.
    pub const RACK_UNITS: Dimension = Dimension::of(Base::RackUnit);
    /// Metres.
    pub const LENGTH: Dimension = Dimension::of(Base::Length);
    /// Kelvins.
    pub const TEMPERATURE: Dimension = Dimension::of(Base::Temperature);
    /// Input and output operations per time.
    pub const IO_RATE: Dimension = Dimension::of(Base::Io).per(Dimension::TIME);
    /// People.
    pub const USERS: Dimension = Dimension::of(Base::User);
    /// A fraction per time: growth, discount.
    pub const PER_TIME: Dimension = Dimension::NONE.per(Dimension::TIME);

    /// Returns the dimension of one base.
    pub const fn of(base: Base) -> Self {
        let mut powers = [0; 15];
        powers[base as usize] = 1;
        Dimension(powers)
    }

    /// Returns the product. Exponents beyond 127 saturate; [`Dimension::checked_times`] refuses them.
    pub const fn times(self, other: Dimension) -> Self {
        let mut powers = self.0;
        let mut i = 0;
        while i < powers.len() {
            powers[i] = powers[i].saturating_add(other.0[i]);
            i += 1;
        }
        Dimension(powers)
    }

    /// Returns the quotient.
    pub const fn per(self, other: Dimension) -> Self {
        let mut powers = self.0;
        let mut i = 0;
        while i < powers.len() {
            powers[i] = powers[i].saturating_sub(other.0[i]);
            i += 1;
        }
        Dimension(powers)
    }

    /// Returns the product, or none where an exponent leaves −100 to 100.
    pub fn checked_times(self, other: Dimension) -> Option<Self> {
        let product = self.times(other);
        product.0.iter().all(|power| power.unsigned_abs() <= 100).then_some(product)
    }

    /// Returns one over it.
    pub const fn inverse(self) -> Self {
        Dimension::NONE.per(self)
    }

    /// Returns the power of `base`.
    pub const fn power(self, base: Base) -> i8 {
        self.0[base as usize]
    }

    /// Is it a bare number?
    pub fn is_none(self) -> bool {
        self == Dimension::NONE
    }

    /// Returns the unit in which a person would most likely write it, for suggestions:
    /// `kW` for power. Money is written in `currency`. None where no guess would help.
    pub fn customary_unit(self, currency: Option<super::Currency>) -> Option<String> {
        let plain = match self {
            Dimension::TIME => "s",
            Dimension::DATA => "GB",
            Dimension::DATA_RATE => "GB/s",
            Dimension::ENERGY => "kWh",
            Dimension::POWER => "kW",
            Dimension::TOKENS => "tok",
            Dimension::TOKEN_RATE => "tok/s",
            Dimension::REQUESTS => "req",
            Dimension::REQUEST_RATE => "req/s",
            Dimension::ACCELERATORS => "GPU",
            Dimension::NODES => "node",
            Dimension::PARAMETERS => "Gparam",
            Dimension::FLOPS => "TFLOP",
            Dimension::FLOP_RATE => "TFLOP/s",
            Dimension::RACK_UNITS => "U",
            Dimension::LENGTH => "meter",
            Dimension::TEMPERATURE => "K",
            Dimension::IO_RATE => "IO/s",
            Dimension::USERS => "user",
            Dimension::PER_TIME => "%/y",
            _ => "",
        };
        if !plain.is_empty() {
            return Some(plain.to_owned());
        }
        let per = match self {
            Dimension::MONEY => "",
            Dimension::MONEY_RATE => "/mo",
            Dimension::ENERGY_PRICE => "/kWh",
            Dimension::DATA_PRICE => "/GB",
            other if other == Dimension::MONEY.per(Dimension::TOKENS) => "/Mtok",
            other if other == Dimension::MONEY_RATE.per(Dimension::ACCELERATORS) => "/GPU/h",
            _ => return None,
        };
        Some(format!("{}{per}", currency.unwrap_or(super::Currency::USD)))
    }
}

/// Says it in words: "data per time", "money per token", "power", "a bare number".
impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("a bare number");
        }
        if *self == Dimension::PER_TIME {
            return f.write_str("a fraction per time");
        }
        let mut rest = *self;
        let mut above = Vec::new();
        if rest.power(Base::Energy) >= 1 && rest.power(Base::Time) <= -1 {
            rest = rest.per(Dimension::POWER);
            above.push("power".to_owned());
        }
        let mut below = Vec::new();
        for base in Base::ALL {
            let power = rest.power(base);
            let (one, many) = base.words();
            let (word, list) = if power > 0 { (many, &mut above) } else { (one, &mut below) };
            match power.unsigned_abs() {
                0 => {}
                1 => list.push(word.to_owned()),
                n => list.push(format!("{word}^{n}")),
            }
        }
        // Time is named last: "money per accelerator per time", as prices are spoken.
        if rest.power(Base::Time) < 0 && below.len() > 1 {
            below.rotate_left(1);
        }
        let above = if above.is_empty() { "one".to_owned() } else { above.join(" times ") };
        f.write_str(&above)?;
        below.iter().try_for_each(|word| write!(f, " per {word}"))
    }
}

impl fmt::Debug for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

impl From<BTreeMap<Base, i8>> for Dimension {
    fn from(powers: BTreeMap<Base, i8>) -> Self {
        let mut dimension = Dimension::NONE;
        for (base, power) in powers {
            dimension.0[base as usize] = power;
        }
        dimension
    }
}

impl From<Dimension> for BTreeMap<Base, i8> {
    fn from(dimension: Dimension) -> Self {
        Base::ALL
            .iter()
            .map(|base| (*base, dimension.power(*base)))
            .filter(|(_, power)| *power != 0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_are_said_in_words() {
        let said = |dimension: Dimension| dimension.to_string();
        assert_eq!(said(Dimension::NONE), "a bare number");
        assert_eq!(said(Dimension::TOKENS), "tokens");
        assert_eq!(said(Dimension::DATA_RATE), "data per time");
        assert_eq!(said(Dimension::POWER), "power");
        assert_eq!(said(Dimension::MONEY.per(Dimension::TOKENS)), "money per token");
        assert_eq!(
            said(Dimension::MONEY_RATE.per(Dimension::ACCELERATORS)),
            "money per accelerator per time"
        );
        assert_eq!(said(Dimension::FLOP_RATE.per(Dimension::POWER)), "FLOPs per energy");
        assert_eq!(said(Dimension::TIME.times(Dimension::TIME)), "time^2");
    }

    #[test]
    fn a_dimension_survives_json() {
        let json = serde_json::to_string(&Dimension::DATA_RATE).expect("plain data");
        assert_eq!(json, r#"{"time":-1,"data":1}"#);
        assert_eq!(serde_json::from_str::<Dimension>(&json).expect("reads back"), Dimension::DATA_RATE);
    }

    #[test]
    fn the_order_of_bases_is_their_number() {
        assert!(Base::ALL.iter().enumerate().all(|(i, base)| *base as usize == i));
    }
}
