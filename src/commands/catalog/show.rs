//! What is known under a name?

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::session::Session;
use capstan_lang::nearest;
use capstan_report::{Block, Cell, Document};
use capstan_types::catalog::{Catalog, Named};
use capstan_types::figure;
use capstan_types::market::MarketPrice;
use capstan_types::origin::Provenance;
use serde::Serialize;
use serde_json::{Value, json};

/// One row: its kind, its identifier, its fields.
struct Row {
    kind: &'static str,
    id: String,
    fields: Value,
}

/// Shows every row that has the name; an identifier and a name that people know may be the same word.
pub fn run(catalog: &Catalog, name: &str, asked: &[Output], session: &Session) -> anyhow::Result<Exit> {
    let rows = named(catalog, name);
    if rows.is_empty() {
        return Err(unknown(catalog, name).into());
    }
    let goods = catalog
        .market_prices
        .iter()
        .filter(|price| rows.iter().any(|row| price.of.as_deref() == Some(row.id.as_str())));
    let goods: Vec<&MarketPrice> = goods.collect();
    let prices: Vec<_> =
        catalog.offerings.iter().filter(|offering| rows.iter().any(|row| row.id == offering.shape)).collect();
    let mut document = Document { title: name.into(), blocks: Vec::new() };
    for row in &rows {
        document.section(&format!("{} `{}`", row.kind, row.id), [facts(&row.fields)]);
    }
    let priced = prices.iter().map(|offering| {
        let price = offering.price.map_or("unknown".to_owned(), |price| {
            format!("{} {}", figure::price(price, offering.currency), offering.currency.code())
        });
        let place = format!("{} {}, {}", offering.provider, offering.region, offering.option.words());
        (place, Cell::from(format!("{price} ({}, {})", offering.as_of, offering.source)))
    });
    document.section("Prices per node-hour, or per node where owned", [Block::Facts(priced.collect())]);
    if !goods.is_empty() {
        document
            .section("Prices of single goods", [Block::Facts(goods.iter().map(|row| good(row)).collect())]);
    }
    output::write(asked, session, &document, || {
        let rows: Vec<_> = rows.iter().map(|row| json!({ "kind": row.kind, "row": row.fields })).collect();
        format!("{:#}\n", json!({ "format": 1, "rows": rows, "offerings": prices, "market_prices": goods }))
    })?;
    Ok(Exit::Done)
}

/// Returns a price of a good for people: what it is, and what it costs, when, and who says so.
fn good(row: &MarketPrice) -> (String, Cell) {
    let name = row.names.first().unwrap_or(&row.id).clone();
    let price = row.price.map_or("unknown".to_owned(), |price| {
        format!("{} {}/{}", figure::price(price, row.currency), row.currency.code(), row.good.unit())
    });
    let Provenance { source, as_of, .. } = &row.provenance;
    (name, Cell::from(format!("{price} ({as_of}, {source})")))
}

/// Returns a row's fields for people: names with blanks, nested ones with a dot.
fn facts(fields: &Value) -> Block {
    let mut facts = Vec::new();
    flatten("", fields, &mut facts);
    Block::Facts(facts.into_iter().map(|(name, value)| (name, Cell::from(value))).collect())
}

fn flatten(prefix: &str, value: &Value, facts: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = name.replace('_', " ");
                let name = if prefix.is_empty() { name } else { format!("{prefix}: {name}") };
                flatten(&name, value, facts);
            }
        }
        Value::Array(values) if values.iter().any(|value| value.is_object() || value.is_array()) => {
            for (index, value) in values.iter().enumerate() {
                flatten(&format!("{prefix} {}", index + 1), value, facts);
            }
        }
        Value::Array(values) => {
            facts.push((prefix.to_owned(), values.iter().map(word).collect::<Vec<_>>().join(", ")))
        }
        value => facts.push((prefix.to_owned(), word(value))),
    }
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => "unknown".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().map_or(number.to_string(), figure::large),
        other => other.to_string(),
    }
}

fn row<T: Named + Serialize>(kind: &'static str, row: &T) -> Row {
    let fields = serde_json::to_value(row).expect("a catalog row has only string keys");
    Row { kind, id: row.id().to_owned(), fields }
}

fn matching<T: Named + Serialize>(kind: &'static str, rows: &[T], name: &str) -> Vec<Row> {
    let answers = |row: &&T| row.id() == name || row.names().iter().any(|known| known == name);
    rows.iter().filter(answers).map(|found| row(kind, found)).collect()
}

fn named(catalog: &Catalog, name: &str) -> Vec<Row> {
    let mut rows = matching("accelerator", &catalog.accelerators, name);
    rows.extend(matching("shape", &catalog.shapes, name));
    rows.extend(matching("fabric", &catalog.fabrics, name));
    rows.extend(matching("storage", &catalog.storage, name));
    rows.extend(matching("market price", &catalog.market_prices, name));
    rows.extend(matching("model", &catalog.models, name));
    rows.extend(matching("traffic", &catalog.traffic, name));
    rows.extend(matching("engine", &catalog.engines, name));
    rows
}

fn names<T: Named>(rows: &[T]) -> impl Iterator<Item = &str> {
    rows.iter().flat_map(|row| std::iter::once(row.id()).chain(row.names().iter().map(String::as_str)))
}

fn unknown(catalog: &Catalog, name: &str) -> Failure {
    let all = names(&catalog.accelerators)
        .chain(names(&catalog.shapes))
        .chain(names(&catalog.fabrics))
        .chain(names(&catalog.storage))
        .chain(names(&catalog.market_prices))
        .chain(names(&catalog.models))
        .chain(names(&catalog.traffic))
        .chain(names(&catalog.engines));
    let failure = Failure::new(format!("the catalog knows nothing called `{name}`"));
    match nearest(name, all) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint("`capstan catalog list KIND` prints the names of a kind"),
    }
}
