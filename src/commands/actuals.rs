//! `actuals`: a real bill joined to the forecast of a blueprint, by month and service, with what the difference is due to.

mod join;

use crate::blueprint_file;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::output::{self, Output};
use crate::session::Session;
use anyhow::Context;
use capstan_planner::finance::finance;
use capstan_report::{Block, Cell, Document, Table, Tone, csv_files};
use capstan_types::figure;
use capstan_types::money::Currency;
use join::{Causes, Joined, Rows};
use rust_decimal::Decimal;
use serde_json::json;

/// Join a real bill to the forecast of a blueprint, by month and service
///
/// The bill is an export in the columns of FOCUS 1.x, as clouds write them. The forecast is what `report --output
/// csv:FOLDER` writes as focus.csv.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The blueprint that was approved
    blueprint: String,
    /// The bill, as CSV in the columns of FOCUS; `-` reads standard input
    bill: String,
    /// The column of FOCUS that both are summed by, such as ServiceName, ServiceCategory, RegionId or SkuId
    #[arg(long, value_name = "COLUMN", default_value = "ServiceName")]
    by: String,
    /// Form and file: human, markdown or json, each with `:FILE` if wanted; may be given several times
    #[arg(long, value_name = "FMT[:FILE]")]
    output: Vec<Output>,
}

/// Joins. That a bill differs is no failure.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    output::only(&args.output, output::PROSE)?;
    let blueprint = blueprint_file::read(&args.blueprint)?;
    let tables = csv_files(&blueprint, &finance(&blueprint));
    let (_, forecast) =
        tables.iter().find(|(name, _)| name == "focus.csv").context("the forecast has no rows")?;
    let currency = blueprint.cost.currency;
    let planned = Rows::read(&forecast[..], &args.by, currency.code()).map_err(Failure::new)?;
    let bill = files::stream(&args.bill).with_context(|| format!("cannot read `{}`", args.bill))?;
    let billed = Rows::read(bill, &args.by, currency.code()).map_err(|why| {
        Failure::new(format!("`{}`: {why}", args.bill))
            .hint("a bill has at least BillingPeriodStart, BilledCost, BillingCurrency and the column named by `--by`")
    })?;
    let joined = join::join(&planned, &billed);
    output::write(&args.output, session, &document(&joined, &args.by, currency), || {
        let total = |of: fn(&Joined) -> Decimal| joined.iter().map(of).sum::<Decimal>();
        let summary = json!({
            "currency": currency.code(), "planned": total(|row| row.planned), "billed": total(|row| row.billed),
            "causes": Causes::of(&joined),
        });
        format!("{:#}\n", json!({ "format": 1, "by": args.by, "summary": summary, "rows": joined }))
    })?;
    Ok(Exit::Done)
}

fn document(joined: &[Joined], by: &str, currency: Currency) -> Document {
    let planned: Decimal = joined.iter().map(|row| row.planned).sum();
    let billed: Decimal = joined.iter().map(|row| row.billed).sum();
    let title = format!(
        "{} billed, {} planned for the same months: {}",
        figure::money(billed, currency),
        figure::money(planned, currency),
        figure::signed_money(billed - planned, currency)
    );
    let tone = if billed > planned { Tone::Warn } else { Tone::Good };
    let mut document = Document { title: Cell::toned(title, tone), blocks: Vec::new() };
    let titles =
        [">Planned", ">Billed", ">Difference", ">By price", ">By quantity", ">Tax and credits", "Says"];
    let mut columns = vec!["Month", by];
    columns.extend(titles);
    let mut table = Table::new(&columns);
    for row in joined {
        let amount = |money: Decimal| Cell::from(figure::amount(money, currency));
        let share = |money: Option<Decimal>| money.map_or_else(|| "–".into(), amount);
        table.rows.push(vec![
            row.month.as_str().into(),
            row.key.as_str().into(),
            amount(row.planned),
            amount(row.billed),
            amount(row.billed - row.planned),
            share(row.by_price),
            share(row.by_quantity),
            share(Some(row.beside.sum()).filter(|sum| !sum.is_zero())),
            row.says().into(),
        ]);
    }
    let mut causes = Table::new(&["Due to", ">Difference"]);
    for (words, money) in Causes::of(joined).told() {
        if !money.is_zero() {
            causes.rows.push(vec![words.into(), figure::signed_money(money, currency).into()]);
        }
    }
    document.section("Why", [Block::Table(causes)]);
    document.section("By month", [Block::Table(table)]);
    document
}
