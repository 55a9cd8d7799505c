//! What keeps the data of each site.

use super::origins;
use crate::document::{Block, Cell, Tone};
use capstan_types::blueprint::{Blueprint, Store, StoreLimit, StoreRate};
use capstan_types::figure;
use capstan_types::units::{Bytes, BytesPerSecond};

/// Returns nodes, room and rates of every store.
pub(super) fn stores(blueprint: &Blueprint) -> Vec<Block> {
    blueprint.stores.iter().map(|one| Block::Facts(store(blueprint, one))).collect()
}

fn rate(rate: BytesPerSecond) -> String {
    format!("{}/s", figure::data(Bytes(rate.get())))
}

fn store(blueprint: &Blueprint, store: &Store) -> Vec<(String, Cell)> {
    let row_of = blueprint.inputs.catalog.storage.iter().find(|row| row.id == store.system);
    let row =
        row_of.map_or_else(String::new, |row| format!("; {}", origins::catalog(&row.id, &row.provenance)));
    let fact = |name: &str, value: String, hint: &str| (name.to_owned(), Cell::from(value).hinted(hint));
    let decides = format!("as many nodes as what decides asks for{row}");
    let room = format!("raw less copies or parity, free nodes and the limit on filling{row}");
    let rates = format!("all nodes together, beside what the work at the site needs{row}");
    let often_hint = format!("all nodes together, beside what the plan asks for{row}");
    let mut facts = vec![
        fact(
            &format!("{}, {}", store.site, store.tier.word()),
            format!(
                "{} × {}, {} drives, {}; {} decides",
                figure::count(u64::from(store.nodes)),
                store.system,
                figure::count(u64::from(store.drives)),
                store.protection.words(),
                store.binds.word()
            ),
            &decides,
        ),
        fact(
            "room",
            format!(
                "{} of {} used, {} raw, filled to at most {:.0} %",
                figure::data(store.kept()),
                figure::data(store.usable),
                figure::data(store.raw),
                store.fill * 100.0
            ),
            &room,
        ),
        fact("reading", format!("{}, {} needed", rate(store.read), rate(store.needed_read)), &rates),
        fact("writing", format!("{}, {} needed", rate(store.write), rate(store.needed_write)), &rates),
    ];
    let often = |asked: StoreRate| {
        let all = asked.all_per_s.map_or_else(|| "unknown".to_owned(), figure::large);
        format!("{all} a second, {} needed", figure::large(asked.needed_per_s))
    };
    let asked = [
        (StoreLimit::Operations, store.operations, None),
        (StoreLimit::Files, store.opens, row_of.and_then(|row| row.open)),
    ];
    for (limit, asked, waits) in
        asked.into_iter().filter_map(|(limit, asked, waits)| Some((limit, asked?, waits)))
    {
        let readers = waits.map_or_else(String::new, |open| {
            let readers = (asked.needed_per_s * open.get()).ceil();
            format!(
                "; {} an open, so {} at once",
                figure::span(open),
                figure::counted(readers as usize, "reader")
            )
        });
        facts.push(fact(limit.word(), often(asked) + &readers, &often_hint));
    }
    for one in &store.stored {
        let text = format!("{}: {}", one.what, figure::data(one.bytes));
        facts.push(fact("holds", text, "on the last day of the horizon, copies and parity not counted"));
    }
    let power =
        |power| Cell::from(figure::power(power)).hinted(format!("highest power of a node × nodes{row}"));
    let unknown = || Cell::toned("unknown", Tone::Warn);
    facts.push(("power".to_owned(), store.power.map_or_else(unknown, power)));
    facts
}
