//! Physical amounts with their unit in the type.
//!
//! Each is a thin `f64` in base units; the JSON form is the bare number, so a field that holds one
//! carries its unit in its serialised name (`memory_bytes`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::iter::Sum;
use std::ops::{Add, Div, Mul, Sub};

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub f64);

        impl $name {
            /// Nothing of it.
            pub const ZERO: Self = Self(0.0);

            /// Returns the number of base units.
            pub fn get(self) -> f64 {
                self.0
            }

            /// Returns the larger of the two.
            pub fn max(self, other: Self) -> Self {
                Self(self.0.max(other.0))
            }

            /// Returns the smaller of the two.
            pub fn min(self, other: Self) -> Self {
                Self(self.0.min(other.0))
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }

        impl Mul<f64> for $name {
            type Output = Self;
            fn mul(self, factor: f64) -> Self {
                Self(self.0 * factor)
            }
        }

        impl Div<f64> for $name {
            type Output = Self;
            fn div(self, divisor: f64) -> Self {
                Self(self.0 / divisor)
            }
        }

        impl Div for $name {
            type Output = f64;
            fn div(self, other: Self) -> f64 {
                self.0 / other.0
            }
        }

        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
                items.fold(Self::ZERO, |total, item| total + item)
            }
        }
    };
}

unit! {
    /// A span of time, in seconds.
    Seconds
}
unit! {
    /// An amount of data, in bytes. `GB` is 10⁹ and `GiB` 2³⁰.
    Bytes
}
unit! {
    /// A rate of data, in bytes per second and, for links, per direction.
    BytesPerSecond
}
unit! {
    /// A count of floating-point operations; a fused multiply-add is two.
    Flop
}
unit! {
    /// A rate of floating-point operations per second.
    FlopPerSecond
}
unit! {
    /// Power, in watts.
    Watts
}
unit! {
    /// A count of tokens.
    Tokens
}
unit! {
    /// A rate of requests per second.
    RequestsPerSecond
}

/// Hours of a planning month: periods are months of 730 h, everywhere.
pub const HOURS_PER_MONTH: f64 = 730.0;

/// Hours of a planning year: twelve months of 730 h.
pub const HOURS_PER_YEAR: f64 = 8760.0;

impl Div<BytesPerSecond> for Bytes {
    type Output = Seconds;
    fn div(self, rate: BytesPerSecond) -> Seconds {
        Seconds(self.0 / rate.0)
    }
}

impl Div<FlopPerSecond> for Flop {
    type Output = Seconds;
    fn div(self, rate: FlopPerSecond) -> Seconds {
        Seconds(self.0 / rate.0)
    }
}

impl Bytes {
    /// Returns the amount in binary gigabytes (2³⁰).
    pub fn gib(self) -> f64 {
        self.0 / 1_073_741_824.0
    }

    /// Returns the amount in decimal gigabytes (10⁹).
    pub fn gb(self) -> f64 {
        self.0 / 1e9
    }
}

impl Seconds {
    /// Returns the span in milliseconds.
    pub fn millis(self) -> f64 {
        self.0 * 1e3
    }

    /// Returns the span in hours.
    pub fn hours(self) -> f64 {
        self.0 / 3600.0
    }
}

impl Watts {
    /// Returns the power in kilowatts.
    pub fn kw(self) -> f64 {
        self.0 / 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_over_rate_is_time() {
        assert_eq!(Bytes(100e9) / BytesPerSecond(50e9), Seconds(2.0));
    }

    #[test]
    fn a_decimal_gigabyte_is_smaller_than_a_binary_one() {
        assert!(Bytes(80e9).gib() < Bytes(80e9).gb());
    }
}
