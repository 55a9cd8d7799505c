//! One stream of random numbers, and the distributions that are drawn from it.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// 64-bit FNV-1a offset and prime (Fowler, Noll, Vo; draft-eastlake-fnv).
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// All streams of one seed, found by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    seed: u64,
}

impl Streams {
    /// Returns the streams of `seed`.
    pub const fn new(seed: u64) -> Streams {
        Streams { seed }
    }

    /// Returns the stream called `name`, at its start.
    ///
    /// The name is hashed (FNV-1a), combined with the seed and spread by SplitMix64 over the 256 bits of xoshiro256++.
    pub fn stream(&self, name: &str) -> Stream {
        let hash =
            name.bytes().fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
        let mut state = split_mix(&mut { self.seed }) ^ hash;
        let mut bytes = [0; 32];
        for word in bytes.chunks_exact_mut(8) {
            word.copy_from_slice(&split_mix(&mut state).to_le_bytes());
        }
        Stream { generator: Xoshiro256PlusPlus::from_seed(bytes), spare_normal: None }
    }
}

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): every state gives a different, well mixed word.
pub(crate) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Stream {
    generator: Xoshiro256PlusPlus,
    spare_normal: Option<f64>,
}

impl Stream {
    /// Draws 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.generator.next_u64()
    }

    /// Draws from [0, 1), a multiple of 2⁻⁵³.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Draws from (0, 1): what may be given to a logarithm.
    pub fn open_uniform(&mut self) -> f64 {
        ((self.bits() >> 12) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64)
    }

    /// Draws a whole number from `0..n`; 0 if `n` is 0.
    ///
    /// Multiply and shift (Lemire, ACM TOMACS 29(1), 2019) without rejection: the bias is below n / 2⁶⁴.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// Draws from the exponential distribution of mean 1.
    pub fn exponential(&mut self) -> f64 {
        -libm::log(self.open_uniform())
    }

    /// Draws from the standard normal distribution (Marsaglia's polar method: no sine, two at a time).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare_normal.take() {
            return spare;
        }
        loop {
            let (x, y) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                let scale = (-2.0 * libm::log(square) / square).sqrt();
                self.spare_normal = Some(y * scale);
                return x * scale;
            }
        }
    }

    /// Draws from the log-normal distribution whose logarithm has mean `mu` and standard deviation `sigma`.
    pub fn log_normal(&mut self, mu: f64, sigma: f64) -> f64 {
        libm::exp(mu + sigma * self.normal())
    }

    /// Draws from the gamma distribution of the given shape and scale 1; its mean is `shape`.
    ///
    /// Marsaglia and Tsang, ACM TOMS 26(3), 2000. Shapes below 1 are drawn at shape + 1 and scaled by U^(1/shape).
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let boost = libm::pow(self.open_uniform(), 1.0 / shape.max(f64::MIN_POSITIVE));
            return self.gamma(shape + 1.0) * boost;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let root = 1.0 + c * x;
            if root <= 0.0 {
                continue;
            }
            let v = root * root * root;
            let bound = 0.5 * x * x + d - d * v + d * libm::log(v);
            if libm::log(self.open_uniform()) < bound {
                return d * v;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean and variance of `n` draws.
    fn moments(n: u32, mut draw: impl FnMut() -> f64) -> (f64, f64) {
        let draws: Vec<f64> = (0..n).map(|_| draw()).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(n);
        (mean, draws.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / f64::from(n))
    }

    /// The mean lies within 4 standard errors (one false alarm in 16,000), the variance within 5 %.
    fn check(name: &str, mean: f64, variance: f64, draw: impl Fn(&mut Stream) -> f64) {
        let n = 200_000;
        let mut stream = Streams::new(1).stream(name);
        let (m, v) = moments(n, || draw(&mut stream));
        assert!(
            (m - mean).abs() < 4.0 * (variance / f64::from(n)).sqrt(),
            "{name}: mean {m}, expected {mean}"
        );
        assert!((v / variance - 1.0).abs() < 0.05, "{name}: variance {v}, expected {variance}");
    }

    #[test]
    fn samplers_have_the_moments_of_their_distributions() {
        check("uniform", 0.5, 1.0 / 12.0, Stream::uniform);
        check("exponential", 1.0, 1.0, Stream::exponential);
        check("normal", 0.0, 1.0, Stream::normal);
        check("gamma 0.25", 0.25, 0.25, |s| s.gamma(0.25));
        check("gamma 1", 1.0, 1.0, |s| s.gamma(1.0));
        check("gamma 7.5", 7.5, 7.5, |s| s.gamma(7.5));
        // Mean exp(mu + sigma²/2), variance (exp(sigma²) − 1) · mean².
        let mean = libm::exp(1.0 + 0.125);
        check("log-normal", mean, (libm::exp(0.25) - 1.0) * mean * mean, |s| s.log_normal(1.0, 0.5));
        check("die", 2.5, 35.0 / 12.0, |s| s.below(6) as f64);
    }

    #[test]
    fn streams_depend_on_name_and_seed_only() {
        let draw = |seed, name: &str| Streams::new(seed).stream(name).bits();
        assert_eq!(draw(1, "arrivals/chat/rep0"), draw(1, "arrivals/chat/rep0"));
        assert_ne!(draw(1, "arrivals/chat/rep0"), draw(1, "arrivals/chat/rep1"));
        assert_ne!(draw(1, "arrivals/chat/rep0"), draw(2, "arrivals/chat/rep0"));
    }

    /// Blueprints record seeds; a changed stream would change every recorded simulation without a word.
    #[test]
    fn the_first_numbers_of_a_stream_never_change() {
        let mut stream = Streams::new(1).stream("arrivals/chat/rep0");
        let first = [stream.bits(), stream.bits(), stream.bits()];
        assert_eq!(
            first,
            [17_170_489_192_516_940_787, 13_770_372_620_506_149_679, 6_481_352_485_861_410_611]
        );
    }
}
