//! What keeps the data of each site.

use crate::document::{Block, Cell, Tone};
use capstan_types::blueprint::{Blueprint, Store};
use capstan_types::figure;
use capstan_types::units::{Bytes, BytesPerSecond};

/// Returns nodes, room and rates of every store.
pub(super) fn stores(blueprint: &Blueprint) -> Vec<Block> {
    blueprint.stores.iter().map(|one| Block::Facts(store(one))).collect()
}

fn rate(rate: BytesPerSecond) -> String {
    format!("{}/s", figure::data(Bytes(rate.get())))
}

fn store(store: &Store) -> Vec<(String, Cell)> {
    let fact = |name: &str, value: String| (name.to_owned(), Cell::from(value));
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
        ),
        fact("reading", format!("{}, {} needed", rate(store.read), rate(store.needed_read))),
        fact("writing", format!("{}, {} needed", rate(store.write), rate(store.needed_write))),
    ];
    for one in &store.stored {
        facts.push(fact("holds", format!("{}: {}", one.what, figure::data(one.bytes))));
    }
    let unknown = || Cell::toned("unknown", Tone::Warn);
    facts.push(("power".to_owned(), store.power.map_or_else(unknown, |power| figure::power(power).into())));
    facts
}
