//! Simulation → SVG: queues and machines over time, one panel for each, one picture for each hour.

use crate::picture::{Area, Drawn, NoPicture, svg};
use crate::simulation::heading;
use capstan_types::simulation::{SimulatedHour, Simulation, TimelinePoint};
use plotters::prelude::*;

/// Points of the picture: one column, panels of this height.
const WIDTH: u32 = 900;
const PANEL: u32 = 190;

/// What a panel shows.
struct Panel {
    title: &'static str,
    colour: RGBColor,
    of: fn(&TimelinePoint) -> f64,
    /// The top of the axis, where it is known beforehand.
    top: Option<f64>,
}

const PANELS: [Panel; 4] = [
    Panel { title: "requests waiting", colour: RGBColor(192, 57, 43), of: |point| point.waiting, top: None },
    Panel { title: "requests running", colour: RGBColor(31, 97, 141), of: |point| point.running, top: None },
    Panel {
        title: "cache in use, %",
        colour: RGBColor(125, 60, 152),
        of: |point| 100.0 * point.kv,
        top: Some(100.0),
    },
    Panel {
        title: "time busy, %",
        colour: RGBColor(30, 132, 73),
        of: |point| 100.0 * point.utilisation,
        top: Some(100.0),
    },
];

/// Returns an SVG of all hours of a simulation, one below the other.
///
/// # Errors
/// Where the library refuses, which no input is known to cause.
pub fn timeline_svg(simulation: &Simulation) -> Result<String, NoPicture> {
    let height = PANEL * PANELS.len() as u32 * simulation.runs.len().max(1) as u32;
    svg((WIDTH, height), |root| draw(simulation, root))
}

fn draw(simulation: &Simulation, root: &Area<'_>) -> Drawn {
    root.fill(&WHITE)?;
    let areas = root.split_evenly((simulation.runs.len().max(1) * PANELS.len(), 1));
    for (run, areas) in simulation.runs.iter().zip(areas.chunks(PANELS.len())) {
        for (index, (panel, area)) in PANELS.iter().zip(areas).enumerate() {
            let title = if index == 0 {
                format!("{}: {}", heading(run), panel.title)
            } else {
                panel.title.to_owned()
            };
            draw_panel(run, panel, &title, area)?;
        }
    }
    Ok(())
}

fn draw_panel(run: &SimulatedHour, panel: &Panel, title: &str, area: &Area<'_>) -> Drawn {
    let points: Vec<(f64, f64)> = run.timeline.iter().map(|point| (point.at_s, (panel.of)(point))).collect();
    let last = points.last().map_or(1.0, |point| point.0).max(1.0);
    let largest = points.iter().map(|point| point.1).fold(0.0, f64::max);
    let top = panel.top.unwrap_or((largest * 1.1).max(1.0));
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(26)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..last, 0.0..top)?;
    chart.configure_mesh().x_desc("seconds").y_labels(5).light_line_style(TRANSPARENT).draw()?;
    if let Some(failure) = &run.failure {
        let down = [(failure.at.get(), 0.0), (failure.back.get().min(last), top)];
        chart.draw_series([Rectangle::new(down, RGBColor(192, 57, 43).mix(0.12).filled())])?;
    }
    chart.draw_series(LineSeries::new(points, panel.colour.stroke_width(2)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing::simulation::chat_simulation;

    #[test]
    fn every_panel_of_every_hour_is_drawn_and_the_failure_is_marked() {
        let mut simulation = chat_simulation();
        let svg = timeline_svg(&simulation).unwrap();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{svg}");
        let lines = |svg: &str| svg.matches("<polyline").count();
        PANELS.iter().for_each(|panel| assert!(svg.contains(panel.title), "{}", panel.title));
        let failure = simulation.runs[0].failure.take();
        assert!(failure.is_some(), "the fixture has one");
        let without = timeline_svg(&simulation).unwrap();
        let marks = |svg: &str| svg.matches("opacity=\"0.12\"").count();
        assert_eq!((marks(&svg), marks(&without)), (4, 0));
        simulation.runs.push(simulation.runs[0].clone());
        assert_eq!(timeline_svg(&simulation).unwrap().matches("requests waiting").count(), 2);
        assert!(lines(&svg) >= 4);
    }

    #[test]
    fn a_simulation_without_a_course_is_a_picture_all_the_same() {
        let mut simulation = chat_simulation();
        simulation.runs[0].timeline.clear();
        assert!(timeline_svg(&simulation).is_ok());
        simulation.runs.clear();
        assert!(timeline_svg(&simulation).is_ok());
    }
}
