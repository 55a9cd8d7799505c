//! What keeps the data of an own site, and how many nodes of it?
//!
//! Storage is sized before anything is bought, for all that may come to lie there: the datasets as they are on the last
//! day, the weights of every model and the checkpoints of every training that may run at the site. Its power, racks and
//! money are then no longer there for machines. Providers keep data on systems of their own, which are not priced here.

use capstan_types::blueprint::{Store, StoreLimit, StoreRate, Stored};
use capstan_types::catalog::Catalog;
use capstan_types::finding::{Finding, Severity};
use capstan_types::place::Place;
use capstan_types::spec::{App, Limit, Site, Spec, StorageWish};
use capstan_types::storage::{Protection, StorageKind, StorageSystem, Tier};
use capstan_types::units::{Bytes, BytesPerSecond, Seconds, Watts};
use rust_decimal::Decimal;

use crate::assemble::READ_BYTES_PER_S;
use crate::jobs;
use crate::pricing::converted;

mod bill;

pub use bill::bill;

/// No system of the catalog can do what is asked.
const IMPOSSIBLE: &str = "E0380";

/// A limit of the site is on something that nobody knows of its storage.
const UNKNOWN_FACT: &str = "E0381";

/// How long a training stands still for a checkpoint where the plan does not say. Origin: Assumed.
const DEFAULT_STALL: Seconds = Seconds(60.0);

/// Bytes of a weight as it is stored.
const STORED_WEIGHT_BYTES: f64 = 2.0;

/// More nodes of one system than this are a slip of the pen.
const MOST_NODES: f64 = 1e6;

/// The storage of every own site that has data or wishes for it, and what is wrong with the others.
#[derive(Debug, Clone, Default)]
pub struct Stores {
    /// By site, in the order of the plan.
    pub all: Vec<Store>,
    /// Sites whose wishes nothing meets.
    pub findings: Vec<Finding>,
}

impl Stores {
    fn at<'s>(&'s self, site: &'s str) -> impl Iterator<Item = &'s Store> {
        self.all.iter().filter(move |store| store.site == site)
    }

    /// Returns the power of the stores of a site, none where nothing is stored, `None` where nobody knows it.
    pub fn power_at(&self, site: &str) -> Option<Watts> {
        self.at(site).map(|store| store.power).try_fold(Watts::ZERO, |sum, power| Some(sum + power?))
    }

    /// Returns the racks that the stores of a site fill, by height and by power; `None` where nobody knows one of them.
    pub fn racks_at(&self, site: &Site) -> Option<f64> {
        let Some(rack) = site.rack.as_ref() else { return Some(0.0) };
        let racks = |store: &Store| {
            let by_height = store.height_u? / rack.height_u;
            let Some(limit) = &rack.power else { return Some(by_height) };
            Some(by_height.max(store.power?.get() / limit.value.get()))
        };
        self.at(&site.name).map(racks).sum()
    }
}

/// Returns which fact that a limit of the site is about nobody knows of a store.
fn unknown_fact(site: &Site, asked: &Asked, store: &Store) -> Option<(&'static str, Place)> {
    let rates = [
        ("rate of random reads", &asked.operations, store.operations),
        ("rate of opening files", &asked.opens, store.opens),
    ];
    let unknown = rates.into_iter().find(|(_, _, rate)| rate.is_some_and(|rate| rate.all_per_s.is_none()));
    if let Some((fact, Some(wanted), _)) = unknown {
        return Some((fact, wanted.place.clone()));
    }
    let of_rack = site.racks.as_ref().filter(|_| site.rack.is_some());
    let shelf = site.rack.as_ref().and_then(|rack| rack.power.as_ref());
    let power =
        site.power.as_ref().map(|limit| &limit.place).or(shelf.and(of_rack).map(|limit| &limit.place));
    let power = power.filter(|_| store.power.is_none()).map(|place| ("power", place.clone()));
    let height = of_rack.filter(|_| store.height_u.is_none()).map(|limit| ("height", limit.place.clone()));
    power.or(height)
}

/// An unknown power or height is not zero: a limit cannot be shown to hold with it.
fn not_known(site: &Site, asked: &Asked, store: &Store) -> Option<Finding> {
    let (fact, place) = unknown_fact(site, asked, store)?;
    Some(Finding {
        code: UNKNOWN_FACT.to_owned(),
        severity: Severity::Error,
        message: format!(
            "nobody knows the {fact} of {}, so the limit at `{}` is not shown to hold",
            store.system, site.name
        ),
        places: vec![(place, "this limit".to_owned())],
        because: vec![format!("{} nodes keep the data of `{}`", store.nodes, site.name)],
        ways_out: vec![format!(
            "another `system`, or a row for {} with its {fact} in a catalog of your own",
            store.system
        )],
    })
}

fn wish_of<'s>(spec: &'s Spec, site: &str, tier: Tier) -> Option<&'s StorageWish> {
    spec.storages.iter().find(|wish| wish.site == site && wish.tier == tier)
}

fn has_data(spec: &Spec, site: &str, tier: Tier) -> bool {
    spec.datasets.iter().any(|dataset| dataset.site == site && dataset.tier == tier)
}

/// Is storage of this tier planned at a site?
fn is_planned(spec: &Spec, site: &str, tier: Tier) -> bool {
    let keeps = |app: &App| {
        let here = app.sites.as_ref().is_none_or(|names| names.iter().any(|name| name == site));
        app.storage.get() > 0.0 && here
    };
    let by_apps = tier == Tier::Fast && spec.apps.iter().any(keeps);
    by_apps || wish_of(spec, site, tier).is_some() || has_data(spec, site, tier)
}

/// Returns how long a training at a site stands still for a checkpoint, where its storage is planned.
pub fn stall(spec: &Spec, site: &str) -> Option<Seconds> {
    let wish = wish_of(spec, site, Tier::Fast);
    let planned = is_planned(spec, site, Tier::Fast);
    planned.then(|| wish.and_then(|wish| wish.stall.as_ref()).map_or(DEFAULT_STALL, |limit| limit.value))
}

/// Sizes the storage of every own site that has data or wishes for it, each tier by itself.
pub fn stores(spec: &Spec, catalog: &Catalog) -> Stores {
    let mut stores = Stores::default();
    for site in spec.sites.iter().filter(|site| site.is_own()) {
        for tier in Tier::ALL.into_iter().filter(|&tier| is_planned(spec, &site.name, tier)) {
            let wish = wish_of(spec, &site.name, tier);
            let asked = match tier {
                Tier::Fast => {
                    Asked::of(spec, &site.name, wish, stall(spec, &site.name).unwrap_or(DEFAULT_STALL))
                }
                Tier::Bulk => Asked::seldom(spec, &site.name, wish),
            };
            match chosen(spec, catalog, site, &asked, wish) {
                Ok(store) => {
                    stores.findings.extend(not_known(site, &asked, &store));
                    stores.all.push(store);
                }
                Err(why) => stores.findings.push(impossible(site, wish, why)),
            }
        }
    }
    stores
}

/// What must lie at a site, and how fast it must come and go.
struct Asked {
    site: String,
    tier: Tier,
    stored: Vec<Stored>,
    read: f64,
    write: f64,
    /// Small random reads a second.
    operations: Option<Limit<f64>>,
    /// Files that are opened a second; the place is that of the first dataset with small ones.
    opens: Option<Limit<f64>>,
}

impl Asked {
    fn of(spec: &Spec, site: &str, wish: Option<&StorageWish>, stall: Seconds) -> Self {
        let here =
            |sites: Option<&Vec<String>>| sites.is_none_or(|names| names.iter().any(|name| name == site));
        let mut asked = Asked::data(spec, site, Tier::Fast);
        for model in &spec.models {
            let served =
                spec.serves.iter().any(|serve| serve.model == model.id && here(serve.sites.as_ref()));
            let asked_offline =
                spec.batches.iter().any(|batch| batch.model == model.id && here(batch.sites.as_ref()));
            if served || asked_offline {
                let weights = Bytes(model.params_total_b * 1e9 * STORED_WEIGHT_BYTES);
                asked.keep(format!("weights of {}", model.id), weights);
            }
        }
        if spec.serves.iter().any(|serve| here(serve.sites.as_ref()))
            || spec.batches.iter().any(|batch| here(batch.sites.as_ref()))
        {
            asked.read += READ_BYTES_PER_S;
        }
        for train in spec.trains.iter().filter(|train| here(train.sites.as_ref())) {
            let Some(model) = spec.models.iter().find(|model| model.id == train.model) else { continue };
            let checkpoint = jobs::saved(model, train.method);
            // The newest is where it is written; the others are kept where they are not in the way.
            let all = train.checkpoint.keep;
            let keep = if is_planned(spec, site, Tier::Bulk) { all.min(1) } else { all };
            asked.keep(format!("{keep} checkpoints of {}", train.name), checkpoint * f64::from(keep));
            // One after another: trainings save at moments of their own.
            asked.write = asked.write.max(checkpoint.get() / stall.get());
        }
        for app in spec.apps.iter().filter(|app| app.storage.get() > 0.0 && here(app.sites.as_ref())) {
            asked.keep(format!("data of {}", app.name), app.storage * f64::from(app.instances));
        }
        asked.beside(wish)
    }

    /// What is kept and seldom read: data that the plan puts there, and all checkpoints but the newest.
    fn seldom(spec: &Spec, site: &str, wish: Option<&StorageWish>) -> Self {
        let mut asked = Asked::data(spec, site, Tier::Bulk);
        for train in &spec.trains {
            let here = train.sites.as_ref().is_none_or(|names| names.iter().any(|name| name == site));
            let model = spec.models.iter().find(|model| model.id == train.model).filter(|_| here);
            let older = train.checkpoint.keep.saturating_sub(1);
            if let Some(model) = model.filter(|_| older > 0) {
                let bytes = jobs::saved(model, train.method) * f64::from(older);
                asked.keep(format!("{older} older checkpoints of {}", train.name), bytes);
            }
        }
        asked.beside(wish)
    }

    /// The datasets of a tier, as they are on the last day.
    fn data(spec: &Spec, site: &str, tier: Tier) -> Self {
        let mut asked = Asked {
            site: site.to_owned(),
            tier,
            stored: Vec::new(),
            read: 0.0,
            write: 0.0,
            operations: None,
            opens: None,
        };
        for dataset in spec.datasets.iter().filter(|dataset| dataset.site == site && dataset.tier == tier) {
            let grown = libm::pow(1.0 + dataset.growth_per_month, f64::from(spec.frame.months));
            asked.keep(format!("dataset {}", dataset.name), dataset.size * grown);
            asked.read += rate(dataset.read.as_ref());
            asked.write += rate(dataset.write.as_ref());
            if let Some(file) = &dataset.file {
                let bytes = rate(dataset.read.as_ref()) + rate(dataset.write.as_ref());
                let none = || Limit { value: 0.0, place: file.place.clone() };
                asked.opens.get_or_insert_with(none).value += bytes / file.value.get();
            }
        }
        asked
    }

    /// What the plan asks for beside what is known to lie there.
    fn beside(mut self, wish: Option<&StorageWish>) -> Self {
        let Some(wish) = wish else { return self };
        if let Some(limit) = &wish.capacity {
            self.keep("asked for beside".to_owned(), limit.value);
        }
        self.read = self.read.max(rate(wish.read.as_ref()));
        self.write = self.write.max(rate(wish.write.as_ref()));
        self.operations.clone_from(&wish.operations);
        self
    }

    fn keep(&mut self, what: String, bytes: Bytes) {
        self.stored.push(Stored { what, bytes });
    }
}

fn rate(limit: Option<&Limit<BytesPerSecond>>) -> f64 {
    limit.map_or(0.0, |limit| limit.value.get())
}

/// Returns the best system: one that no limit of the site asks more of than is known, whose rates are measured, then the
/// cheapest of those with a price, then the fewest nodes.
fn chosen(
    spec: &Spec,
    catalog: &Catalog,
    site: &Site,
    asked: &Asked,
    wish: Option<&StorageWish>,
) -> Result<Store, String> {
    // What is kept and seldom read lies in objects, unless the plan says otherwise.
    let usual = (asked.tier == Tier::Bulk).then_some(StorageKind::Object);
    let named_kind = wish.and_then(|wish| wish.kind);
    let kind = named_kind.or(usual.filter(|_| wish.is_none_or(|wish| wish.system.is_none())));
    let best = cheapest(spec, catalog, site, asked, wish, kind);
    // Or in another way, where a limit cannot be shown to hold with it.
    let is_unknown = |found: &Result<Store, String>| {
        found.as_ref().map_or(true, |store| unknown_fact(site, asked, store).is_some())
    };
    if named_kind.is_none() && kind.is_some() && is_unknown(&best) {
        let other = cheapest(spec, catalog, site, asked, wish, None);
        return if is_unknown(&other) { best } else { other };
    }
    best
}

/// Returns the cheapest system of a kind, among those of which everything is known if there are any.
fn cheapest(
    spec: &Spec,
    catalog: &Catalog,
    site: &Site,
    asked: &Asked,
    wish: Option<&StorageWish>,
    kind: Option<StorageKind>,
) -> Result<Store, String> {
    let named = wish.and_then(|wish| wish.system.as_ref());
    let mut why = "no system of the catalog is of the kind that is asked".to_owned();
    let mut found: Vec<(bool, Option<Decimal>, Store)> = Vec::new();
    for system in &catalog.storage {
        if named.is_some_and(|id| *id != system.id) || kind.is_some_and(|kind| kind != system.kind) {
            continue;
        }
        match sized(asked, system, wish) {
            Ok(store) => {
                let each =
                    system.price.and_then(|price| converted(catalog, &spec.frame, system.currency, price));
                let cost = each.map(|each| each * Decimal::from(store.nodes));
                found.push((only_bounded(asked, system), cost, store));
            }
            Err(words) => why = words,
        }
    }
    let rank = |(bounded, cost, store): &(bool, Option<Decimal>, Store)| {
        (unknown_fact(site, asked, store).is_some(), *bounded, cost.is_none(), *cost, store.nodes)
    };
    found.into_iter().min_by_key(rank).map(|(.., store)| store).ok_or(why)
}

/// Counts the nodes of one system.
fn sized(asked: &Asked, system: &StorageSystem, wish: Option<&StorageWish>) -> Result<Store, String> {
    let protection = wish.and_then(|wish| wish.protection).unwrap_or(system.protection);
    let fill = wish.and_then(|wish| wish.fill).unwrap_or(system.fill);
    let each = Rates::of(system, protection);
    let node = system.drive.get() * f64::from(system.drives);
    let kept: f64 = asked.stored.iter().map(|one| one.bytes.get()).sum();
    let per_node = node / protection.overhead() * fill;
    let needed = [
        (StoreLimit::Capacity, (kept / per_node).ceil() + f64::from(system.free_nodes)),
        (StoreLimit::Read, (asked.read / each.read).ceil()),
        (StoreLimit::Write, (asked.write / each.write).ceil()),
        (StoreLimit::Operations, of_rate(asked.operations.as_ref(), system.operations)),
        (StoreLimit::Files, of_rate(asked.opens.as_ref(), system.opens)),
        (StoreLimit::Protection, f64::from(system.fewest_nodes(protection))),
    ];
    let (binds, nodes) = needed
        .into_iter()
        .fold((StoreLimit::Capacity, 0.0), |most, one| if one.1 > most.1 { one } else { most });
    if nodes > MOST_NODES {
        return Err(format!("{nodes:.0} nodes of {} would be needed for {}", system.id, binds.word()));
    }
    let nodes = nodes as u32;
    let count = f64::from(nodes);
    let free = f64::from(nodes.saturating_sub(system.free_nodes));
    Ok(Store {
        site: asked.site.clone(),
        tier: asked.tier,
        system: system.id.clone(),
        protection,
        fill,
        nodes,
        drives: nodes * system.drives,
        raw: Bytes(node * count),
        usable: Bytes(per_node * free),
        stored: asked.stored.clone(),
        read: BytesPerSecond(each.read * count),
        needed_read: BytesPerSecond(asked.read),
        write: BytesPerSecond(each.write * count),
        needed_write: BytesPerSecond(asked.write),
        operations: done(asked.operations.as_ref(), system.operations, nodes),
        opens: done(asked.opens.as_ref(), system.opens, nodes),
        binds,
        power: system.power.map(|power| power * count),
        height_u: system.height_u.map(|height| height * count),
    })
}

/// Is a rate that is asked for only bounded, as nobody measured it?
fn only_bounded(asked: &Asked, system: &StorageSystem) -> bool {
    asked.read > 0.0 && system.read.is_none() || asked.write > 0.0 && system.write.is_none()
}

/// Returns the nodes that something so often asked for takes; none where nobody knows how often one node does it, which is
/// found out by [`unknown_fact`].
fn of_rate(asked: Option<&Limit<f64>>, each: Option<f64>) -> f64 {
    asked.zip(each).map_or(0.0, |(asked, each)| (asked.value / each).ceil())
}

/// Returns how often all nodes do what is asked for.
fn done(asked: Option<&Limit<f64>>, each: Option<f64>, nodes: u32) -> Option<StoreRate> {
    let all_per_s = each.map(|each| each * f64::from(nodes));
    asked.map(|asked| StoreRate { all_per_s, needed_per_s: asked.value })
}

/// What clients read from and write to one node.
struct Rates {
    read: f64,
    write: f64,
}

impl Rates {
    /// What is not measured is bounded by the network, over which copies and parity travel once more unless they stay
    /// inside a node, and nothing is written faster than it is read.
    fn of(system: &StorageSystem, protection: Protection) -> Self {
        let network = system.network.get();
        let sent_on = if system.inside { 1.0 } else { protection.overhead() };
        let measured = system.write.map(|rate| {
            // Measured with the system's own protection; with another, the bytes that travel scale.
            rate.get() * system.protection.overhead() / protection.overhead()
        });
        let read = system.read.map_or(network, |rate| rate.get());
        Rates { read, write: measured.unwrap_or((network / sent_on).min(read)).min(network) }
    }
}

fn impossible(site: &Site, wish: Option<&StorageWish>, why: String) -> Finding {
    let place = wish.map(|wish| wish.place.clone()).or_else(|| site.place.clone());
    Finding {
        code: IMPOSSIBLE.to_owned(),
        severity: Severity::Error,
        message: format!("no storage at `{}` keeps what is asked of it: {why}", site.name),
        places: place.into_iter().map(|place| (place, "asked for here".to_owned())).collect(),
        because: Vec::new(),
        ways_out: vec!["another `system`, another `kind`, or lower rates".to_owned()],
    }
}
