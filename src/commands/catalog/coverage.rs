//! What is priced, unpriced and assumed?

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::session::Session;
use capstan_lang::catalog::coverage::{
    AssumedFact, GoodCoverage, RegionCoverage, assumed_facts, coverage, goods,
};
use capstan_report::{Block, Document, Table};
use capstan_types::catalog::Catalog;
use serde_json::json;

/// Counts.
pub fn run(
    catalog: &Catalog,
    provider: Option<&str>,
    asked: &[Output],
    session: &Session,
) -> anyhow::Result<Exit> {
    let mut regions = coverage(catalog);
    if let Some(provider) = provider {
        regions.retain(|region| region.provider == provider);
        if regions.is_empty() {
            return Err(Failure::new(format!("no price is known of provider `{provider}`")).into());
        }
    }
    let assumed = if provider.is_none() { assumed_facts(catalog) } else { Vec::new() };
    let goods = if provider.is_none() { goods(catalog) } else { Vec::new() };
    let mut document = Document { title: "What is known of prices".into(), blocks: Vec::new() };
    document.section("By provider and region: machines with a price", [Block::Table(prices(&regions))]);
    if !goods.is_empty() {
        document.section("Single goods with a price", [Block::Table(market(&goods))]);
    }
    document.section("Facts that count as assumed", [Block::Table(facts(&assumed))]);
    output::write(asked, session, &document, || as_json(&regions, &goods, &assumed))?;
    Ok(Exit::Done)
}

fn day(date: Option<jiff::civil::Date>) -> String {
    date.map_or("none".to_owned(), |date| date.to_string())
}

fn market(goods: &[GoodCoverage]) -> Table {
    let mut table = Table::new(&["Good", ">Priced", ">Unpriced", ">Estimates", "Oldest", "Newest"]);
    table.rows.extend(goods.iter().map(|row| {
        let counts = [row.priced, row.unpriced, row.estimated].map(|n| n.to_string().into());
        let ends = [day(row.oldest).into(), day(row.newest).into()];
        [row.good.word().into()].into_iter().chain(counts).chain(ends).collect()
    }));
    table
}

fn prices(regions: &[RegionCoverage]) -> Table {
    let titles = [
        "Provider",
        "Region",
        ">Machines",
        "Option",
        ">Priced",
        ">Unpriced",
        ">Estimates",
        "Oldest",
        "Newest",
    ];
    let mut table = Table::new(&titles);
    for region in regions {
        for (index, option) in region.options.iter().enumerate() {
            let once = |text: String| if index == 0 { text } else { String::new() };
            table.rows.push(vec![
                once(region.provider.clone()).into(),
                once(region.region.clone()).into(),
                once(region.shapes.to_string()).into(),
                option.option.words().into(),
                option.priced.to_string().into(),
                option.unpriced.to_string().into(),
                option.estimated.to_string().into(),
                once(day(region.oldest)).into(),
                once(day(region.newest)).into(),
            ]);
        }
    }
    table
}

fn facts(assumed: &[AssumedFact]) -> Table {
    let mut table = Table::new(&["Kind", "Name", "Source"]);
    table.rows.extend(
        assumed
            .iter()
            .map(|fact| vec![fact.kind.into(), fact.id.as_str().into(), fact.source.as_str().into()]),
    );
    table
}

fn as_json(regions: &[RegionCoverage], goods: &[GoodCoverage], assumed: &[AssumedFact]) -> String {
    let regions: Vec<_> = regions
        .iter()
        .map(|region| {
            let options: Vec<_> = region
                .options
                .iter()
                .map(|option| {
                    json!({
                        "option": option.option, "priced": option.priced, "unpriced": option.unpriced,
                        "estimated": option.estimated,
                    })
                })
                .collect();
            json!({
                "provider": region.provider, "region": region.region, "machines": region.shapes,
                "options": options, "oldest": region.oldest, "newest": region.newest,
            })
        })
        .collect();
    let goods: Vec<_> = goods
        .iter()
        .map(|row| {
            json!({
                "good": row.good, "priced": row.priced, "unpriced": row.unpriced,
                "estimated": row.estimated, "oldest": row.oldest, "newest": row.newest,
            })
        })
        .collect();
    let assumed: Vec<_> = assumed
        .iter()
        .map(|fact| json!({ "kind": fact.kind, "id": fact.id, "grade": fact.grade, "source": fact.source }))
        .collect();
    format!("{:#}\n", json!({ "format": 1, "regions": regions, "goods": goods, "assumed": assumed }))
}
