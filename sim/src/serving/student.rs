//! How wide is a confidence interval? Student's t distribution.

/// Bisection steps: more than the bits of a double.
const BISECTIONS: u32 = 80;
/// Terms of the continued fraction; it converges within O(√max(a, b)) terms.
const MAX_TERMS: u32 = 500;

/// Returns t such that a Student variable of `degrees` degrees of freedom lies in (−t, t) with this probability.
pub(crate) fn two_sided_t(confidence: f64, degrees: u32) -> f64 {
    let degrees = f64::from(degrees);
    let inside = |t: f64| 1.0 - incomplete_beta(degrees / 2.0, 0.5, degrees / (degrees + t * t));
    let (mut low, mut high) = (0.0, 1e4);
    for _ in 0..BISECTIONS {
        let middle = (low + high) / 2.0;
        if inside(middle) < confidence { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// Returns the regularized incomplete beta function I_x(a, b).
///
/// Continued fraction of Abramowitz and Stegun 26.5.8 by Lentz's method; the symmetry I_x(a, b) = 1 − I_(1−x)(b, a)
/// keeps it where it converges fast.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let log_front =
        libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * libm::log(x) + b * libm::log(1.0 - x);
    let away_from_zero = |v: f64| if v.abs() < 1e-300 { 1e-300 } else { v };
    let (mut c, mut d) = (1.0, 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for term in 1..=MAX_TERMS {
        let m = f64::from(term);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = fraction;
        for coefficient in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + coefficient * d);
            c = away_from_zero(1.0 + coefficient / c);
            fraction *= c * d;
        }
        if (fraction / before - 1.0).abs() < 1e-15 {
            break;
        }
    }
    libm::exp(log_front) * fraction / a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_table_is_met() {
        // Abramowitz and Stegun, table 26.10, two-sided.
        let table =
            [(0.95, 1, 12.706), (0.95, 7, 2.365), (0.99, 7, 3.499), (0.95, 30, 2.042), (0.99, 60, 2.660)];
        for (confidence, degrees, expect) in table {
            let t = two_sided_t(confidence, degrees);
            assert!((t - expect).abs() < 6e-4, "{confidence} {degrees}: {t}, the table says {expect}");
        }
    }
}
