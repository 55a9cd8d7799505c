//! `report`: a blueprint again, for whoever reads it.

use crate::blueprint_file;
use crate::ci;
use crate::exit::Exit;
use crate::output::{self, Format, Made, Output};
use crate::render::{self, Sources};
use crate::session::Session;
use capstan_planner::finance::finance;
use capstan_types::blueprint::Blueprint;

/// Show a blueprint again, on the terminal or for others
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The blueprint
    blueprint: String,
    /// Form and file: human, json, markdown, html, sarif, junit, gitlab or github, each with `:FILE` if wanted;
    /// `xlsx:FILE` and `pdf:FILE`; `csv:FOLDER` for line items, cash flow and FOCUS rows. May be given several times
    #[arg(long, value_name = "FMT[:FILE]")]
    output: Vec<Output>,
    /// Warn of prices older than so many days
    #[arg(long, value_name = "DAYS", default_value_t = 180)]
    max_price_age: i64,
}

/// Shows it. That a plan does not hold is said in it; showing it succeeds all the same.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    output::only(&args.output, output::ALL)?;
    let blueprint = blueprint_file::read(&args.blueprint)?;
    blueprint_file::warn_of_old_prices(&blueprint, args.max_price_age, session);
    let sources = blueprint_file::sources(&blueprint);
    if !sources.is_empty() {
        session.say(&render::findings(&blueprint.findings, &sources));
    }
    show(&blueprint, &args.output, &sources, session)?;
    Ok(Exit::Done)
}

/// Shows a blueprint in every form asked for.
pub fn show(
    blueprint: &Blueprint,
    asked: &[Output],
    sources: &Sources,
    session: &Session,
) -> anyhow::Result<()> {
    let document = capstan_report::document(blueprint);
    output::write_made(asked, session, |format, shown| {
        let text = match format {
            Format::Terminal | Format::Markdown => output::prose(&document, format, shown),
            Format::Json => capstan_report::json(blueprint),
            Format::Csv => return Ok(Made::Files(capstan_report::csv_files(blueprint, &finance(blueprint)))),
            Format::Xlsx => return Ok(Made::Bytes(capstan_report::xlsx(blueprint, &finance(blueprint))?)),
            Format::Pdf => return paper(blueprint, session),
            Format::Html => {
                capstan_report::html(blueprint, &finance(blueprint), &|place| ci::line(place, sources))?
            }
            _ => {
                let told = ci::of_blueprint(blueprint, sources);
                return ci::made(format, &told, || capstan_report::markdown(&document));
            }
        };
        Ok(Made::Bytes(text.into_bytes()))
    })
}

/// Sets the paper, with fonts of this system for letters that the built-in ones lack.
#[cfg(feature = "pdf")]
fn paper(blueprint: &Blueprint, session: &Session) -> anyhow::Result<Made> {
    let finance = finance(blueprint);
    let letters = capstan_report::without_font(blueprint, &finance);
    let fonts = crate::fonts::wanted(&letters, session);
    Ok(Made::Bytes(capstan_report::pdf(blueprint, &finance, &fonts)?))
}

#[cfg(not(feature = "pdf"))]
fn paper(_: &Blueprint, _: &Session) -> anyhow::Result<Made> {
    Err(output::without_pdf().into())
}
