//! When each purchase is ordered and when it is in use, drawn from the first order to the end of the horizon.

use super::charts::{WIDTH, cut, font, shown};
use crate::build::signed::{self, Order};
use crate::picture::{GRID, INK, NoPicture, PAPER, SERIES, svg};
use capstan_types::blueprint::Blueprint;
use capstan_types::figure;
use jiff::civil::Date;
use plotters::prelude::*;
use plotters::style::Color;

/// Most purchases that are drawn; the table has all of them.
const MOST: usize = 16;

/// Height of a row, in points.
const ROW: i32 = 26;

/// Where the time begins and ends, from the left.
const TIME: (i32, i32) = (240, 850);

/// Days on a line from the first order to the end of the horizon.
struct Days {
    first: Date,
    last: Date,
}

impl Days {
    /// Returns where a day stands, in points from the left.
    fn place(&self, day: Date) -> i32 {
        let days = |from: Date, to: Date| from.duration_until(to).as_hours() as f64;
        let share = days(self.first, day) / days(self.first, self.last).max(1.0);
        TIME.0 + (share.clamp(0.0, 1.0) * f64::from(TIME.1 - TIME.0)).round() as i32
    }

    /// Returns the first days of years that lie on the line.
    fn years(&self) -> impl Iterator<Item = Date> + '_ {
        let years = (self.first.year()..=self.last.year()).filter_map(|year| Date::new(year, 1, 1).ok());
        years.filter(|day| (self.first..self.last).contains(day))
    }
}

/// Draws the purchases, the first to order on top.
pub(super) fn orders(blueprint: &Blueprint) -> Result<String, NoPicture> {
    let frame = &blueprint.inputs.spec.frame;
    let all = signed::orders(blueprint);
    let drawn = &all[..all.len().min(MOST)];
    let first = drawn.first().map_or(frame.start, |one| one.order.min(frame.start));
    let days = Days { first, last: frame.end };
    let height = ROW * drawn.len() as i32 + 34;
    let text = svg((WIDTH, height as u32), |area| {
        area.fill(&PAPER.0)?;
        for year in days.years() {
            let x = days.place(year);
            area.draw(&PathElement::new([(x, 20), (x, height - 4)], GRID.0.stroke_width(1)))?;
            area.draw(&Text::new(year.year().to_string(), (x + 3, 2), font(13)))?;
        }
        for (row, one) in (0_i32..).zip(drawn) {
            let top = 26 + row * ROW;
            let (ordered, used) = (days.place(one.order), days.place(one.from));
            let bar = |from: i32, to: i32, colour: RGBColor| {
                Rectangle::new([(from, top), (to.max(from + 2), top + 16)], colour.filled())
            };
            area.draw(&Text::new(cut(&name(one)), (4, top + 1), font(13)))?;
            area.draw(&bar(used, TIME.1, SERIES[0].0))?;
            if used > ordered {
                area.draw(&bar(ordered, used, SERIES[1].0))?;
            }
        }
        area.draw(&PathElement::new([(TIME.0, 20), (TIME.0, height - 4)], INK.0.stroke_width(1)))?;
        Ok(())
    })?;
    let more = match all.len() - drawn.len() {
        0 => String::new(),
        more => format!("; {more} more in the table"),
    };
    let caption = format!(
        "From {first} to {}: the time between order and use, where there is any, then use{more}",
        frame.end
    );
    Ok(shown(&text, &caption, "first days of periods; lead times as the plan says of its sites"))
}

fn name(one: &Order) -> String {
    format!("+{} {}, {}", figure::count(u64::from(one.nodes - one.held)), one.shape, one.option.words())
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing::blueprint::chat_blueprint;

    /// Returns the left and right ends of the bars of a colour.
    fn bars(picture: &str, colour: &str) -> Vec<(i32, i32)> {
        let number = |rest: &str, name: &str| -> i32 {
            let value = rest.split_once(&format!("{name}=\"")).expect(name).1;
            value.split_once('"').expect("a quote").0.parse().expect("a number")
        };
        let found = picture.split("<rect ").skip(1).filter(|rest| {
            rest.split_once("/>").is_some_and(|(rect, _)| rect.contains(&format!("fill=\"{colour}\"")))
        });
        found.map(|rest| (number(rest, "x"), number(rest, "x") + number(rest, "width"))).collect()
    }

    #[test]
    fn what_takes_long_to_come_is_ordered_before_it_is_used() {
        let mut blueprint = chat_blueprint();
        let lead = |blueprint: &mut Blueprint, months: f64| {
            blueprint.inputs.spec.sites.iter_mut().for_each(|site| site.lead_time_months = months);
            orders(blueprint).unwrap()
        };
        let orange = "#BE4C00";
        assert_eq!(bars(&lead(&mut blueprint, 0.0), orange), []);
        let picture = lead(&mut blueprint, 6.0);
        let owned = signed::orders(&blueprint).iter().filter(|one| one.lead == 6).count();
        let waits = bars(&picture, orange);
        assert!(owned > 0 && waits.len() == owned, "{waits:?}");
        let (from, to) = waits[0];
        // Six months of the six and thirty-six that are drawn.
        let wanted = (TIME.1 - TIME.0) * 6 / 42;
        assert!(from == TIME.0 && (to - from - wanted).abs() < 4, "{from} to {to}, {wanted}");
        assert_eq!(bars(&picture, "#005E9C").len(), signed::orders(&blueprint).len().min(MOST));
    }
}
