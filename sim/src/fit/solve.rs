//! Least squares with priors: small dense systems, and weights that outliers lose.

/// A residual with its gradient: measured ≈ predicted · exp(gradient · step).
#[derive(Debug, Clone, Copy)]
pub struct Equation<'a> {
    /// log(measured / predicted).
    pub residual: f64,
    /// Derivatives of log(predicted) by the logarithm of each number.
    pub gradient: &'a [f64],
    /// Standard deviation that is expected of the residual.
    pub scale: f64,
    /// Weight beside it.
    pub weight: f64,
}

/// Rounds of weighting again: the weights have settled by then.
const ROUNDS: usize = 12;
/// Residuals of so many standard deviations have a quarter of the weight.
const OUTLIER: f64 = 2.5;

/// Returns the step of every number that brings the equations nearest to zero, each number held by its prior:
/// (distance to it, spread).
pub fn step(equations: &[Equation<'_>], priors: &[(f64, f64)]) -> Vec<f64> {
    let n = priors.len();
    let mut found = vec![0.0; n];
    for _ in 0..ROUNDS {
        let mut matrix = vec![0.0; n * n];
        let mut right = vec![0.0; n];
        for (place, &(distance, spread)) in priors.iter().enumerate() {
            matrix[place * n + place] = 1.0 / (spread * spread);
            right[place] = distance / (spread * spread);
        }
        for equation in equations {
            add(equation, &found, &mut matrix, &mut right);
        }
        found = cholesky(matrix, right);
    }
    found
}

/// Adds an equation to the normal equations with the weight of Geman and McClure at `found`.
fn add(equation: &Equation<'_>, found: &[f64], matrix: &mut [f64], right: &mut [f64]) {
    let n = right.len();
    let moved: f64 = equation.gradient.iter().zip(found).map(|(slope, step)| slope * step).sum();
    let distance = (equation.residual - moved) / (OUTLIER * equation.scale);
    let trust = 1.0 / (1.0 + distance * distance);
    let weight = equation.weight * trust * trust / (equation.scale * equation.scale);
    for (row, slope) in equation.gradient.iter().enumerate().filter(|(_, slope)| **slope != 0.0) {
        right[row] += weight * slope * equation.residual;
        for (column, other) in equation.gradient.iter().enumerate().take(row + 1) {
            matrix[row * n + column] += weight * slope * other;
        }
    }
}

/// Solves a symmetric positive definite system of which the lower half is given.
fn cholesky(mut matrix: Vec<f64>, mut right: Vec<f64>) -> Vec<f64> {
    let n = right.len();
    for row in 0..n {
        for column in 0..=row {
            let done: f64 = (0..column).map(|k| matrix[row * n + k] * matrix[column * n + k]).sum();
            let left = matrix[row * n + column] - done;
            matrix[row * n + column] = if row == column {
                left.max(f64::MIN_POSITIVE).sqrt()
            } else {
                left / matrix[column * n + column]
            };
        }
    }
    for row in 0..n {
        let done: f64 = (0..row).map(|k| matrix[row * n + k] * right[k]).sum();
        right[row] = (right[row] - done) / matrix[row * n + row];
    }
    for row in (0..n).rev() {
        let done: f64 = (row + 1..n).map(|k| matrix[k * n + row] * right[k]).sum();
        right[row] = (right[row] - done) / matrix[row * n + row];
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_and_an_outlier_is_not_followed() {
        let gradients = [[1.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 3.0]];
        let truth = |g: &[f64; 2]| 0.1 * g[0] - 0.02 * g[1];
        let of = |residual: f64, gradient| Equation { residual, gradient, scale: 0.01, weight: 1.0 };
        let mut equations: Vec<_> = gradients.iter().map(|g| of(truth(g), &g[..])).collect();
        equations.push(of(0.9, &gradients[1][..]));
        let found = step(&equations, &[(0.0, 10.0), (0.0, 10.0)]);
        assert!((found[0] - 0.1).abs() < 1e-3 && (found[1] + 0.02).abs() < 1e-3, "{found:?}");
    }

    #[test]
    fn what_no_equation_names_goes_to_its_prior() {
        let found = step(&[], &[(0.3, 0.1), (-0.2, 5.0)]);
        assert!((found[0] - 0.3).abs() < 1e-12 && (found[1] + 0.2).abs() < 1e-12);
    }

    #[test]
    fn a_tight_prior_outweighs_a_vague_equation() {
        let gradient = [1.0];
        let one = Equation { residual: 0.05, gradient: &gradient, scale: 0.1, weight: 1.0 };
        let tight = step(&[one], &[(0.0, 0.01)])[0];
        let loose = step(&[one], &[(0.0, 1.0)])[0];
        assert!(tight < 0.001 && loose > 0.045, "{tight} {loose}");
    }
}
