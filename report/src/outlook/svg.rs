//! The front as a picture: SVG that stands alone, without fonts of others, in light and dark.
//!
//! plotters draws with fixed colours; a style sheet in the file replaces them where the reader prefers dark.

use super::several::name;
use crate::picture::{Area, Drawn, GRID, INK, NoPicture, PAPER, SERIES, dark_rules, svg};
use crate::terminal::round_up;
use capstan_types::figure;
use capstan_types::outlook::{Answer, Outlook, Point};
use plotters::prelude::*;
use plotters::style::Color;

const SIZE: (u32, u32) = (880, 560);

fn place(point: &Point) -> (f64, f64) {
    (point.tokens_per_s_per_user.value, point.output_tokens_per_s_per_accelerator.value)
}

/// Returns speed for one user against output per accelerator: a line per split or machine, rings on the front.
///
/// # Errors
/// [`NoPicture`] where there is nothing to draw.
pub fn outlook_svg(outlook: &Outlook) -> Result<String, NoPicture> {
    let points = || outlook.answers.iter().flat_map(|answer| &answer.points);
    if points().next().is_none() {
        return Err(NoPicture("nothing runs".to_owned()));
    }
    let end = |of: fn(&Point) -> f64| round_up(points().map(of).fold(0.0, f64::max) * 1.02);
    let (right, top) = (end(|point| place(point).0), end(|point| place(point).1));
    let text = svg(SIZE, |area| draw(area, outlook, right, top))?;
    Ok(themed(&text, &outlook.question.model_name))
}

fn draw(area: &Area<'_>, outlook: &Outlook, right: f64, top: f64) -> Drawn {
    let font = |size: u32| ("sans-serif", size).into_font().color(&INK.0);
    let question = &outlook.question;
    let title = format!(
        "{} on {}, {} tokens in, {} out, {} {}",
        question.model_name,
        question.on,
        question.input_tokens,
        question.output_tokens,
        question.engine,
        question.engine_version
    );
    area.fill(&PAPER.0)?;
    let mut chart = ChartBuilder::on(area)
        .caption(title, font(20))
        .margin(18)
        .x_label_area_size(48)
        .y_label_area_size(74)
        .build_cartesian_2d(0.0..right, 0.0..top)?;
    chart
        .configure_mesh()
        .x_desc(
            "output tokens per second for one user; rings stand on the front, numbers are requests in flight",
        )
        .y_desc("output tokens per second and accelerator")
        .axis_style(INK.0)
        .max_light_lines(1)
        .light_line_style(GRID.0)
        .bold_line_style(GRID.0)
        .label_style(font(15))
        .axis_desc_style(font(16))
        .x_label_formatter(&|value| figure::short(*value))
        .y_label_formatter(&|value| figure::short(*value))
        .draw()?;
    let on_front = |answer: &&Answer| answer.points.iter().any(|point| point.on_front);
    let beaten = outlook.answers.iter().filter(|answer| !on_front(answer));
    let shown = outlook.answers.iter().filter(on_front).chain(beaten).take(SERIES.len());
    for (answer, (colour, _)) in shown.zip(SERIES) {
        let line = LineSeries::new(answer.points.iter().map(place), colour.stroke_width(2));
        chart
            .draw_series(line)?
            .label(name(answer))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3)));
        chart.draw_series(answer.points.iter().map(|point| Circle::new(place(point), 3, colour.filled())))?;
        let front = answer.points.iter().filter(|point| point.on_front);
        chart.draw_series(front.clone().map(|point| Circle::new(place(point), 6, colour.stroke_width(2))))?;
        let labelled = front.filter_map(|point| Some((place(point), point.concurrency?)));
        chart.draw_series(
            labelled
                .map(|(at, count)| EmptyElement::at(at) + Text::new(count.to_string(), (9, -6), font(14))),
        )?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(PAPER.0.filled())
        .border_style(GRID.0)
        .label_font(font(15))
        .draw()?;
    Ok(())
}

/// Adds a title for those who listen, and the colours of the dark.
fn themed(svg: &str, model: &str) -> String {
    let rules = dark_rules();
    let model: String = model.chars().filter(|c| !matches!(c, '<' | '>' | '&')).collect();
    let head = format!(
        "<title>{model}: speed for one user against output per accelerator</title>\n\
         <style>{rules}</style>\n"
    );
    match svg.find(">\n") {
        Some(end) if svg.starts_with("<svg") => format!("{}{head}{}", &svg[..end + 2], &svg[end + 2..]),
        _ => svg.to_owned(),
    }
}
