//! Pictures of own halls: what stands in a rack, and how switches connect the machines.

use super::charts::{font, shown};
use crate::picture::{GRID, INK, NoPicture, PAPER, SERIES, svg};
use capstan_types::blueprint::{Blueprint, Network, Pool};
use capstan_types::figure::{self, counted};
use capstan_types::hardware::NodeShape;
use capstan_types::spec::{Rack, Site};
use plotters::prelude::*;
use plotters::style::Color;

/// Most racks drawn side by side; each stands for all that look the same.
const MOST: usize = 6;

/// Height of a rack unit, in points.
const UNIT: f64 = 7.0;

/// Racks of one kind of machine that look the same.
struct Filled<'a> {
    shape: &'a NodeShape,
    height_u: f64,
    nodes: u32,
    racks: u32,
}

/// Draws a rack of each kind of machine of an own site, and the last, which may be less full.
pub(super) fn racks(blueprint: &Blueprint) -> Result<String, NoPicture> {
    let mut body = String::new();
    for site in blueprint.inputs.spec.sites.iter().filter(|site| site.is_own()) {
        let Some(rack) = &site.rack else { continue };
        let kinds: Vec<Filled<'_>> = blueprint
            .pools
            .iter()
            .filter(|pool| pool.site == site.name)
            .flat_map(|pool| filled(blueprint, pool, rack))
            .collect();
        if !kinds.is_empty() {
            body.push_str(&elevation(site, rack, &kinds)?);
        }
    }
    Ok(body)
}

/// Returns the full racks of a pool at its largest, and the last one.
fn filled<'a>(blueprint: &'a Blueprint, pool: &Pool, rack: &Rack) -> Vec<Filled<'a>> {
    // Nobody draws machines whose height or power is unknown.
    let Some(shape) = blueprint.inputs.catalog.shape(&pool.shape) else { return Vec::new() };
    let (Some(height_u), Some(each @ 1..)) = (shape.height_u, rack.holds(shape)) else { return Vec::new() };
    let nodes = pool.most_nodes();
    let full = Filled { shape, height_u, nodes: each, racks: nodes / each };
    let last = Filled { shape, height_u, nodes: nodes % each, racks: 1 };
    [full, last].into_iter().filter(|one| one.racks > 0 && one.nodes > 0).collect()
}

fn elevation(site: &Site, rack: &Rack, kinds: &[Filled<'_>]) -> Result<String, NoPicture> {
    const WIDE: i32 = 120;
    const APART: i32 = 22;
    const TOP: i32 = 22;
    let drawn = &kinds[..kinds.len().min(MOST)];
    let tall = (rack.height_u * UNIT).round() as i32;
    let size = (drawn.len() as u32 * (WIDE + APART) as u32 + APART as u32, (tall + TOP + 12) as u32);
    let text = svg(size, |area| {
        area.fill(&PAPER.0)?;
        for (at, kind) in (0_i32..).zip(drawn) {
            let left = APART + at * (WIDE + APART);
            let name = format!("{} ×", figure::count(u64::from(kind.racks)));
            area.draw(&Text::new(name, (left, 4), font(14)))?;
            let frame = [(left, TOP), (left + WIDE, TOP + tall)];
            area.draw(&Rectangle::new(frame, INK.0.stroke_width(2)))?;
            let node = kind.height_u * UNIT;
            for slot in 0..kind.nodes {
                // From the floor up, as machines are mounted.
                let foot = f64::from(TOP + tall) - f64::from(slot) * node;
                let (low, high) = ((foot - node).round() as i32 + 1, foot.round() as i32 - 1);
                let colour = SERIES[at as usize % SERIES.len()].0;
                area.draw(&Rectangle::new([(left + 5, low), (left + WIDE - 5, high)], colour.filled()))?;
            }
            // Every tenth unit, counted from the floor.
            for unit in (10..=rack.height_u as i32).step_by(10) {
                let y = TOP + tall - (f64::from(unit) * UNIT).round() as i32;
                area.draw(&PathElement::new([(left - 5, y), (left, y)], GRID.0.stroke_width(1)))?;
            }
        }
        Ok(())
    })?;
    let of_kind = |kind: &Filled<'_>| {
        let power = kind.shape.power.map_or_else(
            || "power unknown".to_owned(),
            |power| {
                let drawn = capstan_types::units::Watts(power.get() * f64::from(kind.nodes));
                match &rack.power {
                    Some(limit) => format!("{} of {}", figure::power(drawn), figure::power(limit.value)),
                    None => figure::power(drawn),
                }
            },
        );
        format!(
            "{} of {} × {} ({} U each, {power})",
            counted(kind.racks as usize, "rack"),
            kind.nodes,
            kind.shape.id,
            kind.height_u
        )
    };
    let words: Vec<String> = kinds.iter().map(of_kind).collect();
    let caption =
        format!("Racks of {} U at {}, machines only: {}", rack.height_u, site.name, words.join("; "));
    Ok(shown(&text, &caption, "height and power of a machine by the catalog, those of a rack by the plan"))
}

/// Draws every network: a row of boxes per tier of switches, machines below.
pub(super) fn networks(blueprint: &Blueprint) -> Result<String, NoPicture> {
    blueprint.networks.iter().map(wiring).collect()
}

fn wiring(network: &Network) -> Result<String, NoPicture> {
    const WIDE: u32 = 860;
    const ROW: i32 = 74;
    let count = |count: u32| figure::count(u64::from(count));
    let tiers: Vec<(u32, String)> = [
        (network.cores, format!("{} core switches", count(network.cores))),
        (network.spines, format!("{} spine switches", count(network.spines))),
        (network.leaves, format!("{} leaf switches", count(network.leaves))),
        (network.nodes, format!("{} machines", count(network.nodes))),
    ]
    .into_iter()
    .filter(|(boxes, _)| *boxes > 0)
    .collect();
    let links = [network.core_links, network.spine_links, network.host_links];
    let links = &links[links.len() + 1 - tiers.len()..];
    let text = svg((WIDE, (ROW * tiers.len() as i32) as u32), |area| {
        area.fill(&PAPER.0)?;
        let places: Vec<Vec<i32>> = tiers.iter().map(|(boxes, _)| across(*boxes)).collect();
        for (row, (pair, links)) in (0..).zip(places.windows(2).zip(links)) {
            let (from, to) = (row * ROW + 38, (row + 1) * ROW + 20);
            for (above, below) in pair[0].iter().flat_map(|above| pair[1].iter().map(move |b| (*above, *b))) {
                area.draw(&PathElement::new([(above, from), (below, to)], GRID.0.stroke_width(1)))?;
            }
            let said = format!("{} links", count(*links));
            area.draw(&Text::new(said, (WIDE as i32 - 170, (from + to) / 2 - 6), font(13)))?;
        }
        for (row, ((_, name), places)) in (0..).zip(tiers.iter().zip(&places)) {
            let y = row * ROW + 20;
            let colour = SERIES[usize::from(row as usize + 1 == tiers.len())].0;
            for x in places {
                area.draw(&Rectangle::new([(x - 14, y), (x + 14, y + 18)], colour.filled()))?;
            }
            area.draw(&Text::new(name.clone(), (4, y + 3), font(14)))?;
        }
        Ok(())
    })?;
    let planes = if network.planes > 1 { format!(", in {} planes", network.planes) } else { String::new() };
    let caption = format!(
        "Network of {} × {} at {}: {} × {}{planes}; at most {SHOWN} boxes of a tier are drawn",
        count(network.nodes),
        network.shape,
        network.site,
        count(network.switches()),
        network.switch
    );
    Ok(shown(&text, &caption, "switches and links as the table above counts them"))
}

/// Most boxes of a tier.
const SHOWN: u32 = 12;

/// Returns the middles of the boxes of a tier.
fn across(boxes: u32) -> Vec<i32> {
    const LEFT: i32 = 190;
    const RIGHT: i32 = 670;
    let boxes = boxes.min(SHOWN) as i32;
    (0..boxes).map(|at| LEFT + (RIGHT - LEFT) * (2 * at + 1) / (2 * boxes)).collect()
}
