//! How many requests per second, over time?
//!
//! A process of rate λ(t) is a process of rate 1 seen through the clock Λ(t) = ∫ λ: drawing gaps of mean 1 and inverting
//! Λ is exact for Poisson, and for other gaps keeps their burstiness at every rate. Λ of a line is a parabola.

use crate::engine::Time;

/// Requests per second over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Rate {
    segments: Vec<Segment>,
    /// After the last segment: start again (true), or keep the last rate.
    repeats: bool,
}

/// A straight piece.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Segment {
    seconds: f64,
    from: f64,
    to: f64,
}

impl Segment {
    /// Returns the piece between two seconds from its begin.
    fn part(self, begin: f64, end: f64) -> Segment {
        let at = |seconds: f64| {
            if self.seconds.is_finite() {
                self.from + (self.to - self.from) * seconds / self.seconds
            } else {
                self.from
            }
        };
        let to = if end.is_finite() { at(end) } else { self.to };
        Segment { seconds: end - begin, from: at(begin), to }
    }

    fn times(self, factor: f64) -> Segment {
        Segment { from: self.from * factor, to: self.to * factor, ..self }
    }
}

/// Why points do not make a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// There must be one point at least.
    #[error("a rate needs at least one point")]
    Empty,
    /// The first point is the start.
    #[error("the first point of a rate is at {0}, it must be at 0")]
    LateStart(Time),
    /// Times rise.
    #[error("point {0} of a rate is not later than the one before it")]
    NotRising(usize),
    /// Rates are finite and not negative.
    #[error("point {0} of a rate is negative or not a number")]
    NotARate(usize),
}

impl Rate {
    /// Returns a constant rate; negative and NaN become zero.
    pub fn constant(per_second: f64) -> Rate {
        let rate = if per_second.is_finite() { per_second.max(0.0) } else { 0.0 };
        Rate { segments: vec![Segment { seconds: f64::INFINITY, from: rate, to: rate }], repeats: false }
    }

    /// Returns the rate that jumps to each value at its time and keeps the last.
    pub fn steps(points: Vec<(Time, f64)>) -> Result<Rate, RateError> {
        Rate::through(points, |from, _| (from, from))
    }

    /// Returns the rate that goes in straight lines from point to point and keeps the last.
    pub fn lines(points: Vec<(Time, f64)>) -> Result<Rate, RateError> {
        Rate::through(points, |from, to| (from, to))
    }

    /// Returns the rate whose hours have these values, in steps, again and again.
    pub fn hours(per_second: &[f64]) -> Result<Rate, RateError> {
        const HOUR_SECONDS: f64 = 3_600.0;
        if per_second.is_empty() {
            return Err(RateError::Empty);
        }
        if let Some(bad) = per_second.iter().position(|&rate| !is_rate(rate)) {
            return Err(RateError::NotARate(bad));
        }
        let segments = per_second.iter().map(|&rate| Segment { seconds: HOUR_SECONDS, from: rate, to: rate });
        Ok(Rate { segments: segments.collect(), repeats: per_second.iter().any(|&rate| rate > 0.0) })
    }

    /// Returns this rate times `factor`; negative and NaN become zero.
    pub fn scaled(mut self, factor: f64) -> Rate {
        let factor = if factor.is_finite() { factor.max(0.0) } else { 0.0 };
        for segment in &mut self.segments {
            segment.from *= factor;
            segment.to *= factor;
        }
        self.repeats &= factor > 0.0;
        self
    }

    /// Returns this rate, `factor` times as high from one instant to another; negative and NaN become zero.
    pub fn raised(self, factor: f64, from: Time, to: Time) -> Rate {
        let factor = if factor.is_finite() { factor.max(0.0) } else { 0.0 };
        let (from, to) = (from.seconds(), to.seconds());
        let mut segments = Vec::with_capacity(self.segments.len() + 2);
        let mut start = 0.0;
        for segment in self.segments {
            let end = start + segment.seconds;
            // A segment is cut where the factor changes within it.
            let mut begin = start;
            for cut in [from, to, end] {
                let until = cut.clamp(begin, end);
                if until > begin {
                    let times = if begin >= from && begin < to { factor } else { 1.0 };
                    segments.push(segment.part(begin - start, until - start).times(times));
                    begin = until;
                }
            }
            start = end;
        }
        Rate { segments, repeats: false }
    }

    fn through(points: Vec<(Time, f64)>, ends: impl Fn(f64, f64) -> (f64, f64)) -> Result<Rate, RateError> {
        let &(start, _) = points.first().ok_or(RateError::Empty)?;
        if start != Time::ZERO {
            return Err(RateError::LateStart(start));
        }
        if let Some(bad) = points.iter().position(|point| !is_rate(point.1)) {
            return Err(RateError::NotARate(bad));
        }
        let mut segments = Vec::with_capacity(points.len());
        for (index, pair) in points.windows(2).enumerate() {
            if pair[1].0 <= pair[0].0 {
                return Err(RateError::NotRising(index + 1));
            }
            let (from, to) = ends(pair[0].1, pair[1].1);
            segments.push(Segment { seconds: pair[1].0.since(pair[0].0) as f64 / 1e9, from, to });
        }
        let last = points[points.len() - 1].1;
        segments.push(Segment { seconds: f64::INFINITY, from: last, to: last });
        Ok(Rate { segments, repeats: false })
    }
}

/// Seconds that `Time` can hold; a rate so small that nothing comes before is no rate.
const MAX_SECONDS: f64 = 1.8e10;

fn is_rate(rate: f64) -> bool {
    rate.is_finite() && rate >= 0.0
}

impl Segment {
    /// Returns the expected requests in its first `seconds`.
    fn area(&self, seconds: f64) -> f64 {
        if self.seconds.is_infinite() {
            return if self.from > 0.0 { self.from * seconds } else { 0.0 };
        }
        let slope = (self.to - self.from) / self.seconds;
        self.from * seconds + slope / 2.0 * seconds * seconds
    }

    /// Returns after how many seconds the expected requests are `area`, which it holds.
    ///
    /// The root of slope/2 x² + from x = area, written so that a slope of zero divides by nothing that vanishes.
    fn invert(&self, area: f64) -> f64 {
        let slope = if self.seconds.is_infinite() { 0.0 } else { (self.to - self.from) / self.seconds };
        let root = (self.from * self.from + 2.0 * slope * area).max(0.0).sqrt();
        if area == 0.0 { 0.0 } else { 2.0 * area / (self.from + root) }
    }
}

/// A walk along a rate, by expected requests.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    rate: &'a Rate,
    index: usize,
    /// When the segment began, in seconds.
    began: f64,
    /// Expected requests since then.
    area: f64,
}

impl<'a> Walk<'a> {
    pub fn new(rate: &'a Rate) -> Walk<'a> {
        Walk { rate, index: 0, began: 0.0, area: 0.0 }
    }

    /// Goes on until `gap` more requests are expected; `None` if that never happens.
    pub fn advance(&mut self, gap: f64) -> Option<Time> {
        self.area += gap;
        while self.began < MAX_SECONDS {
            let segment = *self.rate.segments.get(self.index)?;
            let whole = segment.area(segment.seconds);
            if self.area < whole {
                return Some(Time::from_seconds(self.began + segment.invert(self.area)));
            }
            self.area -= whole;
            self.began += segment.seconds;
            self.index += 1;
            if self.rate.repeats && self.index == self.rate.segments.len() {
                self.index = 0;
            }
        }
        None
    }
}
