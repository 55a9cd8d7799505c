//! A distribution that is known by some of its quantiles, as traffic statistics are published.

use super::Stream;

/// A piecewise-linear inverse distribution function over given (probability, value) points.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantileTable {
    points: Vec<(f64, f64)>,
}

/// Why points do not make a distribution.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum QuantileTableError {
    /// There must be something to draw.
    #[error("a quantile table needs at least one point")]
    Empty,
    /// Probabilities lie in [0, 1] and rise; values are finite and do not fall.
    #[error("point {index} ({probability}, {value}) is out of range or not above the one before it")]
    NotRising {
        /// Position of the point, from 0.
        index: usize,
        /// Its probability.
        probability: f64,
        /// Its value.
        value: f64,
    },
}

impl QuantileTable {
    /// Returns the table of `points`, (probability, value), probabilities strictly rising, values not falling.
    ///
    /// Below the first and above the last point the distribution is cut: all that probability sits on that value.
    /// So give the minimum at 0 and the maximum at 1 where they are known.
    pub fn new(points: Vec<(f64, f64)>) -> Result<QuantileTable, QuantileTableError> {
        if points.is_empty() {
            return Err(QuantileTableError::Empty);
        }
        let mut before = (-1.0, f64::NEG_INFINITY);
        for (index, &(probability, value)) in points.iter().enumerate() {
            let rises = probability > before.0 && value >= before.1;
            if !((0.0..=1.0).contains(&probability) && value.is_finite() && rises) {
                return Err(QuantileTableError::NotRising { index, probability, value });
            }
            before = (probability, value);
        }
        Ok(QuantileTable { points })
    }

    /// Returns the value below which the share `probability` lies.
    pub fn quantile(&self, probability: f64) -> f64 {
        let after = self.points.partition_point(|point| point.0 <= probability);
        if after == 0 {
            return self.points[0].1;
        }
        let (p0, v0) = self.points[after - 1];
        match self.points.get(after) {
            Some(&(p1, v1)) => v0 + (v1 - v0) * (probability - p0) / (p1 - p0),
            None => v0,
        }
    }

    /// Returns the mean, exactly.
    pub fn mean(&self) -> f64 {
        let (first, last) = (self.points[0], self.points[self.points.len() - 1]);
        let inner: f64 = self.points.windows(2).map(|w| (w[1].0 - w[0].0) * (w[0].1 + w[1].1) / 2.0).sum();
        first.0 * first.1 + inner + (1.0 - last.0) * last.1
    }

    /// Draws a value.
    pub fn sample(&self, stream: &mut Stream) -> f64 {
        self.quantile(stream.uniform())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Streams;

    fn lengths() -> QuantileTable {
        QuantileTable::new(vec![(0.05, 20.0), (0.5, 1_000.0), (0.9, 3_000.0), (0.99, 4_000.0)]).unwrap()
    }

    #[test]
    fn the_given_points_are_met_and_between_them_it_is_linear() {
        let table = lengths();
        assert_eq!(table.quantile(0.5), 1_000.0);
        assert!((table.quantile(0.7) - 2_000.0).abs() < 1e-9, "linear, up to rounding");
        assert_eq!((table.quantile(0.0), table.quantile(1.0)), (20.0, 4_000.0));
    }

    #[test]
    fn the_mean_of_many_draws_is_the_mean() {
        let (table, mut stream) = (lengths(), Streams::new(3).stream("lengths"));
        let n = 200_000;
        let mean = (0..n).map(|_| table.sample(&mut stream)).sum::<f64>() / f64::from(n);
        assert!((mean / table.mean() - 1.0).abs() < 0.01, "{mean} against {}", table.mean());
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        assert_eq!(QuantileTable::new(vec![]), Err(QuantileTableError::Empty));
        for points in [
            vec![(0.5, 2.0), (0.5, 3.0)],
            vec![(0.1, 2.0), (0.5, 1.0)],
            vec![(1.5, 2.0)],
            vec![(0.5, f64::NAN)],
        ] {
            assert!(matches!(QuantileTable::new(points), Err(QuantileTableError::NotRising { .. })));
        }
    }
}
