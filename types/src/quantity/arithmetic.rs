//! What comes out when quantities are combined?
//!
//! Sums and comparisons need one dimension and one currency; products and quotients combine both.
//! Results are computed values: they keep no written form, except that a sum or difference in one
//! unit stays exact.

use std::fmt;

use super::dimension::{Base, Dimension};
use super::{Currency, Quantity};

/// Why two quantities cannot be combined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArithmeticError {
    /// A sum or comparison of different things.
    Dimensions {
        /// What stands left.
        left: Dimension,
        /// What stands right.
        right: Dimension,
    },
    /// Two currencies meet, and no rate is known here.
    Currencies {
        /// What stands left.
        left: Currency,
        /// What stands right.
        right: Currency,
    },
    /// Division by zero, or a result beyond what can be counted.
    OutOfRange,
}

impl fmt::Display for ArithmeticError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArithmeticError::Dimensions { left, right } => write!(f, "{left} and {right} do not go together"),
            ArithmeticError::Currencies { left, right } => {
                write!(f, "{left} and {right} need a dated rate between them")
            }
            ArithmeticError::OutOfRange => f.write_str("the result is not a finite number"),
        }
    }
}

impl std::error::Error for ArithmeticError {}

impl Quantity {
    /// Returns the product.
    pub fn times(&self, other: &Quantity) -> Result<Quantity, ArithmeticError> {
        self.combine(other, self.value * other.value, self.dimension.checked_times(other.dimension))
    }

    /// Returns the quotient.
    pub fn over(&self, other: &Quantity) -> Result<Quantity, ArithmeticError> {
        self.combine(other, self.value / other.value, self.dimension.checked_times(other.dimension.inverse()))
    }

    /// Returns the sum.
    pub fn plus(&self, other: &Quantity) -> Result<Quantity, ArithmeticError> {
        self.comparable(other)?;
        let sum = self.combine(other, self.value + other.value, Some(self.dimension))?;
        let decimal = self.decimal.zip(other.decimal).and_then(|(a, b)| a.checked_add(b));
        Ok(sum.written(decimal.filter(|_| self.unit == other.unit), &self.unit))
    }

    /// Returns the difference.
    pub fn minus(&self, other: &Quantity) -> Result<Quantity, ArithmeticError> {
        self.plus(&other.negative())
    }

    /// Returns it with the other sign.
    pub fn negative(&self) -> Quantity {
        Quantity { value: -self.value, decimal: self.decimal.map(|decimal| -decimal), ..self.clone() }
    }

    /// Says whether the two may be compared or added.
    pub fn comparable(&self, other: &Quantity) -> Result<(), ArithmeticError> {
        if self.dimension != other.dimension {
            return Err(ArithmeticError::Dimensions { left: self.dimension, right: other.dimension });
        }
        self.same_currency(other)
    }

    fn same_currency(&self, other: &Quantity) -> Result<(), ArithmeticError> {
        match (self.currency, other.currency) {
            (Some(left), Some(right)) if left != right => Err(ArithmeticError::Currencies { left, right }),
            _ => Ok(()),
        }
    }

    fn combine(
        &self,
        other: &Quantity,
        value: f64,
        dimension: Option<Dimension>,
    ) -> Result<Quantity, ArithmeticError> {
        self.same_currency(other)?;
        let dimension = dimension.filter(|_| value.is_finite()).ok_or(ArithmeticError::OutOfRange)?;
        let currency = self.currency.or(other.currency).filter(|_| dimension.power(Base::Money) != 0);
        Ok(Quantity::computed(value, dimension, currency))
    }
}
