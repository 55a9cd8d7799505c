//! Blueprint → one page that needs nothing else: no network, no other file. Tables sort, a box searches, it prints on A4, and
//! says on hover where a number comes from. Without scripts it reads the same, from top to bottom.

mod blocks;
mod charts;
mod halls;
mod latency;
mod money;
mod orders;

use crate::build;
use crate::document::{Block, Document, Tone};
use crate::picture::{NoPicture, dark_rules};
use blocks::{anchor, escaped};
use capstan_types::blueprint::{Blueprint, Status};
use capstan_types::figure;
use capstan_types::finance::Finance;
use capstan_types::place::Place;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// A part of the page: its heading and what stands under it, as HTML.
struct Part {
    heading: String,
    body: String,
}

/// Returns the page of a blueprint. `line_of` says on which line of its file a place stands, where the text is at hand.
///
/// # Errors
/// Where a picture cannot be drawn, which no input is known to cause.
pub fn html(
    blueprint: &Blueprint,
    finance: &Finance,
    line_of: &dyn Fn(&Place) -> Option<usize>,
) -> Result<String, NoPicture> {
    let mut document = build::document(blueprint);
    document.locate(line_of);
    let parts = parts(&document, blueprint, finance)?;
    let title = escaped(&build::verdict(blueprint));
    let links: String = parts
        .iter()
        .map(|part| format!("<li><a href=\"#{}\">{}</a></li>", anchor(&part.heading), escaped(&part.heading)))
        .collect();
    let body: String = parts.iter().map(section).collect();
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n<title>{title}</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}{}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#content\">To the report</a>\n<header>\n{}\n\
         <div class=\"tools\"><div role=\"search\"><label for=\"search\">Search </label>\
         <input id=\"search\" type=\"search\" autocomplete=\"off\"> <span id=\"found\" role=\"status\" \
         class=\"faint\"></span></div><nav aria-label=\"Parts of the report\"><ul>{links}</ul></nav></div>\n\
         </header>\n<main id=\"content\">\n{body}</main>\n<footer>{}</footer>\n<script>\n{SCRIPT}</script>\n\
         </body>\n</html>\n",
        dark_rules(),
        head(blueprint),
        foot(blueprint),
    ))
}

fn section(part: &Part) -> String {
    let id = anchor(&part.heading);
    format!(
        "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{}</h2>\n{}</section>\n",
        escaped(&part.heading),
        part.body
    )
}

/// Returns the parts in reading order: the document that every form has, with pictures and finance where they belong.
fn parts(document: &Document, blueprint: &Blueprint, finance: &Finance) -> Result<Vec<Part>, NoPicture> {
    let mut parts: Vec<Part> = vec![money::decision(blueprint, finance)];
    parts.extend(money::risks(blueprint));
    // What stands before the first heading is said at the top of the page.
    let before = document.blocks.iter().take_while(|block| !matches!(block, Block::Heading(_))).count();
    for block in &document.blocks[before..] {
        match block {
            Block::Heading(heading) => {
                if let Some(done) = parts.last().map(|part| part.heading.clone()) {
                    follow(&done, blueprint, finance, &mut parts)?;
                }
                parts.push(Part { heading: heading.clone(), body: String::new() });
            }
            other => {
                if let Some(part) = parts.last_mut() {
                    part.body.push_str(&blocks::block(other, &part.heading));
                }
            }
        }
    }
    Ok(parts)
}

/// Adds what stands after a part of the document, or at its end.
fn follow(
    done: &str,
    blueprint: &Blueprint,
    finance: &Finance,
    parts: &mut Vec<Part>,
) -> Result<(), NoPicture> {
    match done {
        "What to buy" => {
            parts.extend(money::mix(blueprint)?);
            parts.extend(money::timeline(blueprint)?);
        }
        "What it costs" => parts.extend(money::parts(finance)?),
        "Does it hold" => {
            below(parts, &charts::levels(blueprint)?.unwrap_or_default());
            below(parts, &latency::distributions(blueprint)?);
        }
        "Who runs where" => parts.extend(charts::capacity(blueprint)?),
        "Cost by item" => below(parts, &money::lines(blueprint)),
        "Sites" => below(parts, &halls::racks(blueprint)?),
        "Networks" => below(parts, &halls::networks(blueprint)?),
        _ => {}
    }
    Ok(())
}

/// Adds to the part that was just said.
fn below(parts: &mut [Part], body: &str) {
    if let Some(part) = parts.last_mut() {
        part.body.push_str(body);
    }
}

fn head(blueprint: &Blueprint) -> String {
    let frame = &blueprint.inputs.spec.frame;
    let tone = match blueprint.status {
        Status::Feasible => Tone::Good,
        Status::Violated | Status::Infeasible => Tone::Bad,
    };
    format!(
        "<h1 class=\"{}\">{}</h1>\n<p class=\"faint\">{} to {} · as of {}{}</p>\n\
         <p class=\"hint\">Numbers say where they come from: point at one, tap it, or reach it with the tab and arrow keys.</p>",
        tone.word(),
        escaped(&build::verdict(blueprint)),
        frame.start,
        frame.end,
        frame.as_of,
        build::oldest_price(blueprint).map_or_else(String::new, |day| format!(" · oldest price {day}")),
    )
}

fn foot(blueprint: &Blueprint) -> String {
    let plan = blueprint.inputs.files.iter().find(|file| file.role == "plan");
    let digest = plan.map_or_else(String::new, |file| format!(" · plan sha256 {}", file.sha256));
    let seed = figure::count(blueprint.inputs.spec.frame.seed);
    format!("capstan {}{} · seed {seed}", escaped(&blueprint.tool), escaped(&digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing::blueprint::{chat_blueprint, infeasible_blueprint};

    fn finance_of(blueprint: &Blueprint) -> Finance {
        capstan_types::testing::finance::finance(blueprint)
    }

    #[test]
    fn a_page_needs_nothing_else_and_names_cannot_act() {
        let mut blueprint = chat_blueprint();
        let evil = "<script>alert(1)</script>\"'&";
        blueprint.inputs.spec.name = evil.to_owned();
        blueprint.cost.lines[0].item = evil.to_owned();
        blueprint.services[0].workload = evil.to_owned();
        let page = html(&blueprint, &finance_of(&blueprint), &|_| None).unwrap();
        assert_eq!(page.matches("<script>").count(), 1);
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        for outside in ["http://", "src=", "@import", "url("] {
            let outside = page.replace("http://www.w3.org/2000/svg", "").contains(outside);
            assert!(!outside, "the page names something outside");
        }
    }

    #[test]
    fn every_kind_of_plan_has_a_page_and_every_part_has_an_anchor_of_its_own() {
        for blueprint in [chat_blueprint(), infeasible_blueprint()] {
            let page = html(&blueprint, &finance_of(&blueprint), &|_| None).unwrap();
            let mut ids: Vec<&str> =
                page.split("<h2 id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
            let all = ids.len();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), all);
            assert_eq!(page, html(&blueprint, &finance_of(&blueprint), &|_| None).unwrap());
        }
    }
}
