//! Which rows are there?

use super::Kind;
use crate::exit::Exit;
use crate::output::{self, Output};
use crate::session::Session;
use capstan_report::{Block, Document, Table};
use capstan_types::catalog::Catalog;
use capstan_types::figure;
use capstan_types::hardware::{Accelerator, NodeShape};
use capstan_types::storage::StorageSystem;
use capstan_types::units::{Bytes, BytesPerSecond};
use clap::ValueEnum;
use serde_json::json;

/// Lists one kind, or counts all.
pub fn run(
    catalog: &Catalog,
    kind: Option<Kind>,
    asked: &[Output],
    session: &Session,
) -> anyhow::Result<Exit> {
    let table = kind.map_or_else(|| counts(catalog), |kind| rows(catalog, kind));
    let title = kind.map_or("What is known".to_owned(), |kind| capitalised(&word(kind)));
    let document = Document { title: title.as_str().into(), blocks: vec![Block::Table(table.clone())] };
    output::write(asked, session, &document, || as_json(&table))?;
    Ok(Exit::Done)
}

fn word(kind: Kind) -> String {
    kind.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// Returns a table as JSON: one object per row, named by the columns.
fn as_json(table: &Table) -> String {
    let key = |title: &str| title.to_lowercase().replace(' ', "_");
    let row = |row: &Vec<capstan_report::Cell>| {
        let cells = table.columns.iter().zip(row);
        let cells = cells.map(|(column, cell)| (key(&column.title), json!(cell.text)));
        serde_json::Value::Object(cells.collect())
    };
    let rows: Vec<_> = table.rows.iter().map(row).collect();
    format!("{:#}\n", json!({ "format": 1, "rows": rows }))
}

fn counts(catalog: &Catalog) -> Table {
    let mut table = Table::new(&["Kind", ">Rows"]);
    for &kind in Kind::value_variants() {
        let rows = rows(catalog, kind).rows.len();
        table.rows.push(vec![word(kind).into(), figure::count(rows as u64).into()]);
    }
    table
}

fn rows(catalog: &Catalog, kind: Kind) -> Table {
    match kind {
        Kind::Accelerators => accelerators(&catalog.accelerators),
        Kind::Shapes => shapes(&catalog.shapes),
        Kind::Fabrics => {
            let mut table = Table::new(&["Name", ">Ports", "As of"]);
            table.rows.extend(catalog.fabrics.iter().map(|row| {
                vec![row.id.as_str().into(), row.radix.to_string().into(), date(&row.provenance)]
            }));
            table
        }
        Kind::Storage => storage(&catalog.storage),
        Kind::Regions => {
            let mut table = Table::new(&["Provider", "Region", ">Zones"]);
            table.rows.extend(catalog.regions.iter().map(|row| {
                let zones = row.zones.map_or("unknown".to_owned(), |zones| zones.to_string());
                vec![row.provider.as_str().into(), row.id.as_str().into(), zones.into()]
            }));
            table
        }
        Kind::Offerings => offerings(catalog),
        Kind::MarketPrices => market_prices(catalog),
        Kind::Models => {
            let mut table = Table::new(&["Name", "Known as", ">Parameters", ">Context"]);
            table.rows.extend(catalog.models.iter().map(|row| {
                let size = format!("{} G", figure::short(row.params_total_b));
                let context = figure::count(row.context.into());
                vec![row.id.as_str().into(), known_as(&row.names), size.into(), context.into()]
            }));
            table
        }
        Kind::Traffic => {
            let mut table = Table::new(&["Name", ">Mean prompt", ">Mean output", ">Burstiness"]);
            table.rows.extend(catalog.traffic.iter().map(|row| {
                let numbers = [row.prompt.mean, row.output.mean, row.burstiness];
                let cells = numbers.map(|number| figure::short(number).into());
                std::iter::once(row.id.as_str().into()).chain(cells).collect()
            }));
            table
        }
        Kind::Engines => {
            let mut table = Table::new(&["Name", "Version", "Image"]);
            table.rows.extend(catalog.engines.iter().map(|row| {
                let image = format!("{}:{}", row.image, row.tag);
                vec![row.id.as_str().into(), row.version.as_str().into(), image.into()]
            }));
            table
        }
    }
}

fn known_as(names: &[String]) -> capstan_report::Cell {
    names.first().map_or("", String::as_str).into()
}

fn date(provenance: &capstan_types::origin::Provenance) -> capstan_report::Cell {
    provenance.as_of.to_string().into()
}

fn accelerators(rows: &[Accelerator]) -> Table {
    let mut table = Table::new(&["Name", "Vendor", ">Memory", ">Power", "As of", "Grade"]);
    table.rows.extend(rows.iter().map(|row| {
        let power = row.power.map_or("unknown".to_owned(), figure::power);
        let grade = row.provenance.grade.origin().word();
        let cells = [row.id.as_str(), &row.vendor, &figure::data(row.memory), &power];
        let cells = cells.map(Into::into).into_iter();
        cells.chain([date(&row.provenance), grade.into()]).collect()
    }));
    table
}

fn storage(systems: &[StorageSystem]) -> Table {
    let mut table = Table::new(&["Name", "Known as", ">Drives", ">Raw", ">Read", "Protection", "As of"]);
    table.rows.extend(systems.iter().map(|row| {
        let rate = |rate: BytesPerSecond| format!("{}/s", figure::data(Bytes(rate.get())));
        vec![
            row.id.as_str().into(),
            known_as(&row.names),
            row.drives.to_string().into(),
            figure::data(row.drive * f64::from(row.drives)).into(),
            row.read.map_or("unknown".to_owned(), rate).into(),
            row.protection.words().into(),
            date(&row.provenance),
        ]
    }));
    table
}

fn shapes(rows: &[NodeShape]) -> Table {
    let mut table = Table::new(&["Name", "Known as", "Provider", ">Accelerators", "Accelerator"]);
    table.rows.extend(rows.iter().map(|row| {
        let accelerator = row.accelerator.as_deref().unwrap_or("none");
        let count = row.accelerators.to_string();
        vec![
            row.id.as_str().into(),
            known_as(&row.names),
            row.provider.as_str().into(),
            count.into(),
            accelerator.into(),
        ]
    }));
    table
}

fn offerings(catalog: &Catalog) -> Table {
    let mut table = Table::new(&["Machine", "Provider", "Region", "Option", ">Price", "Unit", "As of"]);
    table.rows.extend(catalog.offerings.iter().map(|row| {
        let price = row.price.map_or("unknown".to_owned(), |price| figure::price(price, row.currency));
        let per =
            if row.option == capstan_types::offering::PurchaseOption::Owned { "node" } else { "node-h" };
        vec![
            row.shape.as_str().into(),
            row.provider.as_str().into(),
            row.region.as_str().into(),
            row.option.words().into(),
            price.into(),
            format!("{}/{per}", row.currency.code()).into(),
            row.as_of.to_string().into(),
        ]
    }));
    table
}

fn market_prices(catalog: &Catalog) -> Table {
    let mut table = Table::new(&["Name", "Known as", "Good", "Region", ">Price", "Unit", "As of", "Grade"]);
    table.rows.extend(catalog.market_prices.iter().map(|row| {
        let price = row.price.map_or("unknown".to_owned(), |price| figure::price(price, row.currency));
        vec![
            row.id.as_str().into(),
            known_as(&row.names),
            row.good.word().into(),
            row.region.as_str().into(),
            price.into(),
            format!("{}/{}", row.currency.code(), row.good.unit()).into(),
            date(&row.provenance),
            row.origin().word().into(),
        ]
    }));
    table
}
