//! How long requests take, one picture for each service level: percentiles of the simulation against the limit.
//!
//! Percentiles stand evenly spaced, as those who watch servers draw them: the long end is what a level is about.

use super::charts::{font, frame, shown};
use crate::build::origins::simulation;
use crate::picture::{INK, NoPicture, PAPER, SERIES, svg};
use crate::terminal::round_up;
use capstan_types::blueprint::{Blueprint, Latency, Verdict};
use capstan_types::figure;
use capstan_types::spec::{over_words, percentile_word};
use capstan_types::units::Seconds;
use plotters::prelude::*;

/// Most levels that are drawn; the table has all of them.
const MOST: usize = 8;

/// Draws what the simulation saw of each level, as far as the blueprint holds it.
pub(super) fn distributions(blueprint: &Blueprint) -> Result<String, NoPicture> {
    let drawn = blueprint.verdicts.iter().filter(|one| one.latencies.len() > 1 && one.target.get() > 0.0);
    drawn.take(MOST).map(distribution).collect()
}

fn distribution(verdict: &Verdict) -> Result<String, NoPicture> {
    let last = (verdict.latencies.len() - 1) as f64;
    let all = verdict.latencies.iter().map(|one| one.seen.get());
    let most = round_up(all.fold(verdict.target.get(), f64::max) * 1.1);
    let names: Vec<String> = verdict.latencies.iter().map(|one| percentile_word(one.per_mille)).collect();
    let across = |at: &f64| match names.get(at.round() as usize) {
        Some(name) if at.fract() == 0.0 => name.clone(),
        _ => String::new(),
    };
    let up = |seconds: &f64| if *seconds == 0.0 { "0".to_owned() } else { figure::span(Seconds(*seconds)) };
    let text = svg((860, 240), |area| {
        area.fill(&PAPER.0)?;
        let mut chart = frame(area, "", (-0.15, last + 0.25), (0.0, most), (&across, &up))?;
        let points = || (0..).zip(&verdict.latencies).map(|(at, one)| (f64::from(at), one.seen.get()));
        chart.draw_series(LineSeries::new(points(), SERIES[0].0.stroke_width(3)))?;
        chart.draw_series(points().map(|point| Circle::new(point, 4, SERIES[0].0.filled())))?;
        let limit = [(-0.15, verdict.target.get()), (last + 0.25, verdict.target.get())];
        chart.draw_series(LineSeries::new(limit, SERIES[1].0.stroke_width(2)))?;
        let own = verdict.latencies.iter().position(|one| one.per_mille == verdict.per_mille);
        if let Some(at) = own {
            let at = at as f64;
            chart.draw_series([PathElement::new([(at, 0.0), (at, most)], INK.0.stroke_width(1))])?;
        }
        let said = format!("limit of {}{}", percentile_word(verdict.per_mille), over_words(verdict.over));
        chart.draw_series([Text::new(said, (0.02 * last, verdict.target.get() + most * 0.1), font(13))])?;
        Ok(())
    })?;
    Ok(shown(&text, &caption(verdict), &simulation(verdict)))
}

/// Says in words what the picture shows.
fn caption(verdict: &Verdict) -> String {
    let point = |one: &Latency| format!("{} {}", percentile_word(one.per_mille), figure::span(one.seen));
    let points: Vec<String> = verdict.latencies.iter().map(point).collect();
    format!(
        "{} of {} at {} as simulated: {}; {}{} may be {} at most",
        verdict.metric.word(),
        verdict.workload,
        verdict.site,
        points.join(", "),
        percentile_word(verdict.per_mille),
        over_words(verdict.over),
        figure::span(verdict.target)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing::blueprint::chat_blueprint;

    #[test]
    fn every_level_has_a_picture_whose_caption_says_its_numbers() {
        let mut blueprint = chat_blueprint();
        let text = distributions(&blueprint).unwrap();
        assert_eq!(text.matches("<figure>").count(), blueprint.verdicts.len());
        let said = "ttft of chat at use1 as simulated: p50 118 ms, p90 236 ms, p95 301 ms, p99 412 ms, p999 655 ms; p99 may be \
                    500 ms at most";
        assert!(text.contains(said), "{text}");
        assert!(text.contains("\np999\n") && text.contains("limit of p99"), "{text}");
        blueprint.verdicts[0].latencies.clear();
        assert_eq!(
            distributions(&blueprint).unwrap().matches("<figure>").count(),
            blueprint.verdicts.len() - 1
        );
    }
}
