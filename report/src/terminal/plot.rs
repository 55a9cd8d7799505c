//! A plot in characters: each point is the mark of its series, axes begin at zero.

use super::wrap::shown;
use crate::document::Plot;
use capstan_types::figure;

/// Rows of the drawing.
const ROWS: usize = 16;
/// A wider drawing spreads the points without showing more.
const WIDEST: usize = 96;
/// Steps from tick to tick along an axis.
const TICKS: usize = 4;

/// Returns a round number at or above the largest value: 1, 1.5, 2, 3, 4, 5, 6 or 8 times a power of ten.
pub(crate) fn round_up(largest: f64) -> f64 {
    if !(largest > 0.0 && largest.is_finite()) {
        return 1.0;
    }
    let power = libm::pow(10.0, libm::log10(largest).floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    let step = steps.into_iter().find(|step| step * power >= largest * (1.0 - 1e-12));
    step.unwrap_or(10.0) * power
}

/// Returns the lines of a plot of at most `width` columns.
pub(crate) fn lines(plot: &Plot, width: usize, unicode: bool) -> Vec<String> {
    let points = || plot.series.iter().flat_map(|series| &series.points);
    let right = round_up(points().map(|point| point.0).fold(0.0, f64::max));
    let top = round_up(points().map(|point| point.1).fold(0.0, f64::max));
    let label = |row: usize| figure::short(top * row as f64 / ROWS as f64);
    let margin = (0..=ROWS).step_by(TICKS).map(|row| label(row).chars().count()).max().unwrap_or(0);
    let columns = width.min(WIDEST).saturating_sub(margin + 5).max(10);
    let mut grid = vec![vec![' '; columns + 1]; ROWS + 1];
    for series in &plot.series {
        for &(x, y) in &series.points {
            let column = (x / right * columns as f64).round().clamp(0.0, columns as f64) as usize;
            let row = (y / top * ROWS as f64).round().clamp(0.0, ROWS as f64) as usize;
            grid[row][column] = series.mark;
        }
    }
    let (bar, corner, dash) = if unicode { ('│', '└', '─') } else { ('|', '+', '-') };
    let mut lines = vec![format!("  {}", shown(&plot.up, unicode))];
    for row in (0..=ROWS).rev() {
        let name = if row % TICKS == 0 { label(row) } else { String::new() };
        let cells: String = grid[row].iter().collect();
        let blanks = " ".repeat(margin.saturating_sub(name.chars().count()));
        lines.push(format!("  {blanks}{name} {bar}{}", cells.trim_end()));
    }
    let blanks = " ".repeat(margin + 3);
    lines.push(format!("{blanks}{corner}{}", dash.to_string().repeat(columns)));
    lines.push(format!("{blanks}{}", ticks(right, columns)));
    let across = shown(&plot.across, unicode);
    lines.push(format!("{blanks}{across:>columns$}"));
    for series in plot.series.iter().filter(|series| !series.points.is_empty()) {
        lines.push(format!(
            "  {}  {}",
            shown(&series.mark.to_string(), unicode),
            shown(&series.name, unicode)
        ));
    }
    lines
}

/// Returns the numbers below the axis, each ending under its place.
fn ticks(right: f64, columns: usize) -> String {
    let mut line = String::from("0");
    for tick in 1..=TICKS {
        let name = figure::short(right * tick as f64 / TICKS as f64);
        let end = columns * tick / TICKS + 1;
        let start = end.saturating_sub(name.chars().count());
        let blanks = start.saturating_sub(line.chars().count()).max(1);
        line.push_str(&" ".repeat(blanks));
        line.push_str(&name);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Series;

    fn plot() -> Plot {
        let series =
            Series { name: "front".to_owned(), mark: '1', points: vec![(10.0, 800.0), (90.0, 100.0)] };
        Plot { across: "tokens/s per user".to_owned(), up: "tokens/s".to_owned(), series: vec![series] }
    }

    #[test]
    fn axes_end_at_round_numbers() {
        for (largest, end) in [(0.0, 1.0), (9.9, 10.0), (10.0, 10.0), (10.1, 12.0), (710.0, 800.0)] {
            assert!((round_up(largest) / end - 1.0).abs() < 1e-9, "{largest}");
        }
    }

    #[test]
    fn points_stand_where_they_belong_and_no_line_is_too_wide() {
        for width in [40, 80, 120] {
            let lines = lines(&plot(), width, true);
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:#?}");
            let first = lines.iter().position(|line| line.contains("│") && line.contains('1')).unwrap();
            let last = lines.iter().rposition(|line| line.contains("│") && line.ends_with('1')).unwrap();
            assert!(first < last, "the faster user stands lower: {lines:#?}");
        }
        assert!(lines(&plot(), 80, false).iter().all(|line| line.is_ascii()));
    }
}
