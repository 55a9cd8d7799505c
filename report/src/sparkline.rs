//! Numbers over time in one line of text.

/// From nothing to the most.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Returns at most `width` characters, each as high as the largest of the values that it stands for; `most` is the value of
/// the highest, by default the largest value.
pub(crate) fn sparkline(values: &[f64], width: usize, most: Option<f64>) -> String {
    let largest = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let most = most.unwrap_or_else(|| largest(values));
    let each = values.len().div_ceil(width.max(1)).max(1);
    let level = |value: f64| {
        let share = if most > 0.0 { (value / most).clamp(0.0, 1.0) } else { 0.0 };
        LEVELS[((share * LEVELS.len() as f64) as usize).min(LEVELS.len() - 1)]
    };
    values.chunks(each).map(|part| level(largest(part))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_of_several_values_shows() {
        assert_eq!(sparkline(&[0.0, 1.0, 2.0, 8.0], 2, None), "▂█");
        assert_eq!(sparkline(&[0.0, 0.5, 1.0], 3, Some(2.0)), "▁▃▅");
        assert_eq!(sparkline(&[0.0, 0.0], 9, None), "▁▁");
        assert_eq!(sparkline(&[], 9, None), "");
    }
}
