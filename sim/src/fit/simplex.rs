//! The lowest point of a function of a few numbers, without its slope (Nelder and Mead 1965).

/// Stops after so many steps, or when the simplex is this small.
const MOST_STEPS: usize = 4000;
const SMALL: f64 = 1e-7;

/// Returns the lowest point near `start`; the first simplex reaches `reach` in each direction.
pub fn lowest(start: &[f64], reach: &[f64], cost: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let n = start.len();
    let mut points: Vec<(f64, Vec<f64>)> = Vec::with_capacity(n + 1);
    points.push((cost(start), start.to_vec()));
    for (place, reach) in reach.iter().enumerate() {
        let mut point = start.to_vec();
        point[place] += reach;
        points.push((cost(&point), point));
    }
    for _ in 0..MOST_STEPS {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        if points[n].0 - points[0].0 <= SMALL * points[0].0.abs().max(SMALL) {
            break;
        }
        improve(&mut points, &cost);
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points.swap_remove(0).1
}

/// Replaces the worst point, or draws all towards the best.
fn improve(points: &mut [(f64, Vec<f64>)], cost: &impl Fn(&[f64]) -> f64) {
    let n = points.len() - 1;
    let middle: Vec<f64> =
        (0..n).map(|axis| points[..n].iter().map(|(_, p)| p[axis]).sum::<f64>() / n as f64).collect();
    let worst = points[n].1.clone();
    let along = |share: f64| -> (f64, Vec<f64>) {
        let point: Vec<f64> = middle.iter().zip(&worst).map(|(m, w)| m + share * (m - w)).collect();
        (cost(&point), point)
    };
    let mirrored = along(1.0);
    let better = if mirrored.0 < points[0].0 {
        let further = along(2.0);
        Some(if further.0 < mirrored.0 { further } else { mirrored })
    } else if mirrored.0 < points[n - 1].0 {
        Some(mirrored)
    } else {
        let nearer = along(if mirrored.0 < points[n].0 { 0.5 } else { -0.5 });
        (nearer.0 < points[n].0.min(mirrored.0)).then_some(nearer)
    };
    if let Some(better) = better {
        points[n] = better;
        return;
    }
    let best = points[0].1.clone();
    for (value, point) in &mut points[1..] {
        for (axis, own) in point.iter_mut().enumerate() {
            *own = best[axis] + 0.5 * (*own - best[axis]);
        }
        *value = cost(point);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bent_valley_is_followed_to_its_end() {
        let cost =
            |x: &[f64]| (1.0 - x[0]) * (1.0 - x[0]) + 100.0 * (x[1] - x[0] * x[0]) * (x[1] - x[0] * x[0]);
        let found = lowest(&[-1.2, 1.0], &[0.5, 0.5], cost);
        assert!((found[0] - 1.0).abs() < 1e-2 && (found[1] - 1.0).abs() < 1e-2, "{found:?}");
    }
}
