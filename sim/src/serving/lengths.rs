//! How long are prompts and outputs?

use crate::random::{QuantileTable, Stream};

/// A distribution of a number of tokens. Draws are rounded and at least 1.
#[derive(Debug, Clone, PartialEq)]
pub enum Length {
    /// Always the same.
    Fixed(u32),
    /// Every whole number from the first to the second, both included.
    Uniform(u32, u32),
    /// Exponential with this mean.
    Exponential(f64),
    /// Log-normal: mean and standard deviation of the logarithm.
    LogNormal {
        /// Mean of the logarithm.
        mu: f64,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
    /// Known by its quantiles.
    Quantiles(QuantileTable),
}

impl Length {
    /// Draws a number of tokens from 1 to `most`.
    pub fn sample(&self, stream: &mut Stream, most: u32) -> u32 {
        let tokens = match *self {
            Length::Fixed(tokens) => return tokens.min(most),
            Length::Uniform(low, high) => {
                let span = u64::from(high.max(low)) - u64::from(low) + 1;
                (u64::from(low) + stream.below(span)) as f64
            }
            Length::Exponential(mean) => mean * stream.exponential(),
            Length::LogNormal { mu, sigma } => stream.log_normal(mu, sigma),
            Length::Quantiles(ref table) => table.sample(stream),
        };
        (tokens.round() as u32).clamp(1, most.max(1))
    }
}

/// Prompt and output of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Lengths {
    /// Drawn apart from each other.
    Independent {
        /// Of the prompt.
        prompt: Length,
        /// Of the output.
        output: Length,
    },
    /// One of these (prompt, output) pairs, each as likely.
    Pairs(Vec<(u32, u32)>),
}

impl Lengths {
    /// Draws (prompt, output), each at most `most`. No pairs give (0, 0), which is counted as rejected.
    pub fn sample(&self, stream: &mut Stream, most: u32) -> (u32, u32) {
        match self {
            Lengths::Independent { prompt, output } => {
                (prompt.sample(stream, most), output.sample(stream, most))
            }
            Lengths::Pairs(pairs) => {
                let index = stream.below(pairs.len() as u64) as usize;
                let (prompt, output) = pairs.get(index).copied().unwrap_or((0, 0));
                (prompt.min(most), output.min(most))
            }
        }
    }
}
