//! Statistics of real traffic: lengths and burstiness, so that a plan runs on realistic demand without a trace.

use crate::origin::Provenance;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A distribution of token counts as points of its inverse: (probability, tokens), both rising.
///
/// Invariant: the first probability is 0, the last is 1, and there are at least two points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Lengths {
    /// Points of the inverse distribution function; between them it is linear.
    pub points: Vec<(f64, f64)>,
    /// Mean, as printed or as it follows from the points.
    pub mean: f64,
}

impl Lengths {
    /// Returns the distribution that always gives `tokens`.
    pub fn fixed(tokens: f64) -> Self {
        Self { points: vec![(0.0, tokens), (1.0, tokens)], mean: tokens }
    }

    /// Returns the token count below which a share `probability` of requests lies.
    pub fn quantile(&self, probability: f64) -> f64 {
        let p = probability.clamp(0.0, 1.0);
        let after = self.points.iter().position(|&(q, _)| q >= p).unwrap_or(self.points.len() - 1);
        if after == 0 {
            return self.points[0].1;
        }
        let (p0, t0) = self.points[after - 1];
        let (p1, t1) = self.points[after];
        if p1 <= p0 { t1 } else { t0 + (t1 - t0) * (p - p0) / (p1 - p0) }
    }

    /// Returns the mean of the piecewise-linear inverse, which is what sampling gives.
    pub fn sampled_mean(&self) -> f64 {
        self.points.windows(2).map(|pair| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0).sum()
    }
}

/// What is known of one stream of requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Traffic {
    /// Catalog name, such as `azure_2023_conversation`.
    pub id: String,
    /// The names people know.
    pub names: Vec<String>,
    /// Prompt lengths in tokens.
    pub prompt: Lengths,
    /// Output lengths in tokens.
    pub output: Lengths,
    /// Coefficient of variation of the time between arrivals; 1 is Poisson.
    pub burstiness: f64,
    /// Highest minute over the mean, as observed.
    pub peak_to_mean: Option<f64>,
    /// Source and date.
    #[serde(flatten)]
    pub provenance: Provenance,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_linear_between_points() {
        let lengths = Lengths { points: vec![(0.0, 10.0), (0.5, 20.0), (1.0, 100.0)], mean: 37.5 };
        assert_eq!(lengths.quantile(0.25), 15.0);
        assert_eq!(lengths.quantile(1.0), 100.0);
        assert_eq!(lengths.sampled_mean(), 37.5);
    }
}
