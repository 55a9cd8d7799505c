//! Does storage hold what lies there, at the rates that are needed, and do its parts exist?

use super::{Check, same};
use capstan_types::blueprint::{AuditCheck, Blueprint, Store};
use capstan_types::storage::StorageSystem;

/// Every store has the drives of its nodes, room for what lies there and the rates that are asked, and draws their power.
pub(super) fn kept(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("storage: room, rates and power of every store");
    for store in &blueprint.stores {
        let name = format!("{} at {}", store.system, store.site);
        let Some(row) = blueprint.inputs.catalog.storage.iter().find(|row| row.id == store.system) else {
            check.that(false, || format!("{name}: nothing is known about it"));
            continue;
        };
        let count = f64::from(store.nodes);
        check.that(store.drives == store.nodes * row.drives, || {
            format!("{name}: {} drives in {} nodes of {}", store.drives, store.nodes, row.drives)
        });
        let raw = row.drive.get() * f64::from(store.drives);
        check.that(same(store.raw.get(), raw), || {
            format!("{name}: {} bytes told, {raw} seen", store.raw.get())
        });
        let free = f64::from(store.nodes.saturating_sub(row.free_nodes)) / count.max(1.0);
        let usable = raw * free / store.protection.overhead() * store.fill;
        let kept: f64 = store.stored.iter().map(|one| one.bytes.get()).sum();
        check.that(same(store.usable.get(), usable) && kept <= usable * (1.0 + super::TOLERANCE), || {
            format!("{name}: {kept:.3e} bytes lie there, {usable:.3e} fit")
        });
        check.that(store.nodes >= row.fewest_nodes(store.protection), || {
            format!("{name}: {} nodes for {}", store.nodes, store.protection.words())
        });
        rates(&mut check, &name, store, row);
        let power = row.power.map(|power| power.get() * count);
        let told = store.power.map(|power| power.get());
        check.that(power.zip(told).map_or(power == told, |(power, told)| same(power, told)), || {
            format!("{name}: {told:?} W told, {power:?} W seen")
        });
    }
    for dataset in &blueprint.inputs.spec.datasets {
        let store =
            blueprint.stores.iter().find(|store| store.site == dataset.site && store.tier == dataset.tier);
        let room =
            store.is_some_and(|store| store.kept().get() >= dataset.size.get() * (1.0 - super::TOLERANCE));
        let told = blueprint.findings.iter().any(|finding| finding.code == "E0380");
        check.that(room || told, || format!("the dataset {} lies nowhere", dataset.name));
        let opened = store.and_then(|store| store.opens).map_or(0.0, |opens| opens.needed_per_s);
        let files = dataset.file.as_ref().map_or(0.0, |file| {
            let rates = [&dataset.read, &dataset.write].into_iter().flatten();
            rates.map(|rate| rate.value.get()).sum::<f64>() / file.value.get()
        });
        check.that(told || opened >= files * (1.0 - super::TOLERANCE), || {
            format!("{}: {files} files a second are opened, {opened} planned", dataset.name)
        });
    }
    check.done()
}

/// Nothing is read or written faster than the networks of all nodes, nor slower than needed.
fn rates(check: &mut Check, name: &str, store: &Store, row: &StorageSystem) {
    for (what, each, told) in
        [("random reads", row.operations, store.operations), ("opened files", row.opens, store.opens)]
    {
        let Some(told) = told else { continue };
        let all = each.map(|each| each * f64::from(store.nodes));
        check.that(
            all.zip(told.all_per_s).map_or(all == told.all_per_s, |(all, told)| same(all, told)),
            || format!("{name}: {:?} {what} a second told, {all:?} seen", told.all_per_s),
        );
        check.that(
            told.all_per_s.is_none_or(|all| all >= told.needed_per_s * (1.0 - super::TOLERANCE)),
            || format!("{name}: {:?} {what} a second, {} are needed", told.all_per_s, told.needed_per_s),
        );
    }
    let most = row.network.get() * f64::from(store.nodes) * (1.0 + super::TOLERANCE);
    for (what, rate, needed) in
        [("read", store.read, store.needed_read), ("written", store.write, store.needed_write)]
    {
        check.that(rate.get() <= most, || format!("{name}: is {what} faster than its network"));
        check.that(rate.get() >= needed.get() * (1.0 - super::TOLERANCE), || {
            format!("{name}: is {what} at {:.2e} B/s, {:.2e} are needed", rate.get(), needed.get())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::caught_by;
    use capstan_types::blueprint::{Store, StoreRate};
    use capstan_types::storage::Protection;
    use capstan_types::units::{Bytes, BytesPerSecond};

    fn seen(change: impl FnOnce(&mut Store)) {
        caught_by("storage", |blueprint| change(&mut blueprint.stores[0]));
    }

    #[test]
    fn room_that_is_not_there_is_seen() {
        seen(|store| store.nodes = 4);
        seen(|store| store.drives = 60);
        seen(|store| store.stored[0].bytes = Bytes(1.7e14));
        seen(|store| store.protection = Protection::Copies { copies: 6 });
        seen(|store| store.system = "others".to_owned());
    }

    #[test]
    fn rates_and_power_that_are_not_there_are_seen() {
        seen(|store| store.needed_read = BytesPerSecond(60e9));
        seen(|store| store.write = BytesPerSecond(200e9));
        seen(|store| store.power = None);
        seen(|store| store.operations = Some(StoreRate { all_per_s: Some(6e6), needed_per_s: 7e6 }));
        seen(|store| store.opens = Some(StoreRate { all_per_s: Some(1e9), needed_per_s: 1.0 }));
    }
}
