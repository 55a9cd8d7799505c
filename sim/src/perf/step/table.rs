//! A function of a count as knots with straight lines between: constant time to evaluate, exact for small counts.

/// A function of a count, tabulated.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    values_ns: Vec<f64>,
}

/// Counts below this are tabulated one by one.
const EXACT: u32 = 16;
/// Knots per octave above that.
const PER_OCTAVE: u32 = 8;
/// Octaves above [`EXACT`]: up to 2^17 tokens; beyond, the last line goes on.
const OCTAVES: u32 = 13;

/// Bits of a double below its exponent.
const MANTISSA: u64 = (1 << 52) - 1;

impl Table {
    /// Tabulates a function of a count.
    pub(super) fn new(mut value_ns: impl FnMut(f64) -> f64) -> Self {
        let exact = (0..EXACT).map(f64::from);
        let knots = (0..=OCTAVES * PER_OCTAVE).map(|i| {
            let base = f64::from(EXACT << (i / PER_OCTAVE));
            base + base / f64::from(PER_OCTAVE) * f64::from(i % PER_OCTAVE)
        });
        Self { values_ns: exact.chain(knots).map(&mut value_ns).collect() }
    }

    /// Returns the value at a count that need not be whole.
    pub(super) fn at(&self, count: f64) -> f64 {
        let exact = f64::from(EXACT);
        let (index, fraction) = if count < exact {
            let below = count.max(0.0).floor();
            (below as usize, count.max(0.0) - below)
        } else {
            // The exponent of the float names the octave, its top bits the knot.
            let octave = ((count.to_bits() >> 52) as u32).saturating_sub(1023 + EXACT.trailing_zeros());
            let last = OCTAVES - 1;
            // Its other bits are how far it is into the octave; beyond the last, octaves are longer.
            let into = if octave <= last {
                f64::from_bits(count.to_bits() & MANTISSA | 1f64.to_bits()) - 1.0
            } else {
                count / f64::from(EXACT << last) - 1.0
            };
            let octave = octave.min(last);
            let place = into * f64::from(PER_OCTAVE);
            let knot = (place as u32).min(PER_OCTAVE - 1);
            ((EXACT + octave * PER_OCTAVE + knot) as usize, place - f64::from(knot))
        };
        let (low, high) = (self.values_ns[index], self.values_ns[index + 1]);
        low + (high - low) * fraction
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_line_is_reproduced_everywhere() {
        let table = Table::new(|count| 3.0 + 2.0 * count);
        for count in [0.0, 0.5, 1.0, 15.9, 16.0, 17.3, 255.9, 256.0, 131_071.0, 131_072.0, 1e7] {
            let expected = 3.0 + 2.0 * count;
            assert!((table.at(count) / expected - 1.0).abs() < 1e-12, "{count}");
        }
    }

    #[test]
    fn knots_are_exact_and_curves_close_between_them() {
        let table = Table::new(f64::sqrt);
        assert_eq!(table.at(20.0), 20f64.sqrt());
        assert!((table.at(1000.0) / 1000f64.sqrt() - 1.0).abs() < 5e-4);
    }
}
