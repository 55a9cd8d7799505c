//! `site`: where may machines stand?

use std::collections::BTreeMap;

use capstan_types::hardware::Cooling;
use capstan_types::place::Span;
use capstan_types::quantity::{Dimension, HOUR_S, MONTH_H};
use capstan_types::spec::{Rack, Redundancy, Site};
use capstan_types::units::Watts;

use super::checker::Checker;
use super::fields::Fields;
use super::plan::assumed;
use super::read::Stated;
use super::table::{AT_LEAST, AT_MOST, Bounds, FACT, FieldRow, FieldType, Referent, Table};
use crate::ast::Block;
use crate::codes;

/// Facility power over IT power of an own site that states none. Origin: Assumed; the mean of the Uptime
/// Institute's global surveys of 2020 to 2024 lies between 1.55 and 1.59.
const DEFAULT_PUE: f64 = 1.5;

/// The same where liquid carries heat away. Origin: Assumed; new sites stay below 1.3, the largest lie between 1.1 and 1.2.
const LIQUID_PUE: f64 = 1.2;

/// Power of a rack that air carries away, where the plan states none. Origin: Assumed; the densest racks that are published
/// with air alone hold four DGX B300 of 14.5 kW.
const AIR_RACK: Watts = Watts(60e3);

/// What carries heat away, in words.
const COOLING: [&str; 2] = [Cooling::WORDS[0].0, Cooling::WORDS[1].0];

/// Months between order and use of machines where a site states none. Origin: Assumed.
const DEFAULT_LEAD_MONTHS: f64 = 0.0;

/// How much is kept beside what is needed, in words.
pub(super) const REDUNDANCY: [&str; 4] = ["none", "n_plus_1", "n_plus_2", "two_n"];

/// The kind of block.
pub static SITE: Table =
    Table::named("site", "A place for machines: a region of a provider, or a room of one's own.", FIELDS);

static FIELDS: &[FieldRow] = &[
    FieldRow::new("provider", FieldType::One(Referent::Provider), FACT)
        .default("`own`")
        .means("Who runs it; `own` for a room of one's own.")
        .shown("= aws", "= azure"),
    FieldRow::new("region", FieldType::Text, FACT)
        .default("needed where the provider has regions")
        .means("Region of the provider.")
        .shown("= \"us-east-1\"", "= \"us-west-2\""),
    FieldRow::new("zones", FieldType::Count(Dimension::NONE), AT_LEAST)
        .bounds(Bounds::Within(1.0, 100.0))
        .means("Fewest independent zones that replicas are spread over.")
        .shown(">= 2", ">= 3"),
    FieldRow::new("quota", FieldType::Quotas, FACT)
        .means("Most accelerators of a kind that can be had here.")
        .shown("= { h100_sxm <= 64 }", "= { h100_sxm <= 32 }"),
    FieldRow::new("power", FieldType::Quantity(Dimension::POWER), AT_MOST)
        .bounds(Bounds::Positive)
        .default("no limit")
        .means("Highest facility power, cooling included.")
        .shown("<= 1.2 MW", "<= 2 MW"),
    FieldRow::new("pue", FieldType::Quantity(Dimension::NONE), FACT)
        .bounds(Bounds::Within(1.0, 5.0))
        .default("1.5")
        .means("Facility power over IT power.")
        .shown("= 1.25", "= 1.4"),
    FieldRow::new("energy_price", FieldType::Quantity(Dimension::ENERGY_PRICE), FACT)
        .bounds(Bounds::NotNegative)
        .default("unknown, counted as unpriced")
        .means("Price of energy.")
        .shown("= 0.08 USD/kWh", "= 0.12 USD/kWh"),
    FieldRow::new("colocation_price", FieldType::Quantity(Dimension::ENERGY_PRICE), FACT)
        .bounds(Bounds::NotNegative)
        .default("unknown, counted as unpriced")
        .means("Price of space and cooling per power of machines and time.")
        .shown("= 110 USD/kW/mo", "= 150 USD/kW/mo"),
    FieldRow::new("rack", FieldType::Record(&RACK), FACT)
        .means("What one rack takes.")
        .shown("= { power <= 40 kW, height = 42 U }", "= { power <= 20 kW, height = 42 U }"),
    FieldRow::new("racks", FieldType::Count(Dimension::NONE), AT_MOST)
        .bounds(Bounds::Within(1.0, 1e6))
        .default("no limit")
        .means("Most racks.")
        .shown("<= 20", "<= 10"),
    FieldRow::new("redundancy", FieldType::Word(&REDUNDANCY), FACT)
        .default("`none`")
        .means("Spare machines of each shape.")
        .shown("= n_plus_1", "= n_plus_2"),
    FieldRow::new("lead_time", FieldType::Quantity(Dimension::TIME), FACT)
        .bounds(Bounds::NotNegative)
        .default("0")
        .means("Time between order, on the planning date `as_of`, and use of machines that are bought: none stands there before.")
        .shown("= 3 mo", "= 6 mo"),
    FieldRow::new("cooling", FieldType::Word(&COOLING), FACT)
        .default("not stated: every machine may stand there")
        .means("What carries heat away: `air` alone, or `liquid` to the chips. Machines that need liquid do not stand where air is all there is; a rack that states no power then gives 60 kW. `pue` is 1.5 with air and 1.2 with liquid where it is not stated.")
        .shown("= air", "= liquid"),
    FieldRow::new("time_zone", FieldType::Text, FACT)
        .default("that of the plan")
        .means("Clock of times of day of the workloads that run here and nowhere else.")
        .shown("= \"Europe/Berlin\"", "= \"Asia/Tokyo\""),
    FieldRow::new("egress_price", FieldType::Quantity(Dimension::DATA_PRICE), FACT)
        .bounds(Bounds::NotNegative)
        .default("unknown, counted as unpriced")
        .means("Price of traffic that leaves the site: what services answer goes to their users.")
        .shown("= 0.09 USD/GB", "= 0.05 USD/GB"),
];

/// A rack.
pub static RACK: Table = Table::record("rack", "What one rack takes.", RACK_FIELDS);

static RACK_FIELDS: &[FieldRow] = &[
    FieldRow::new("power", FieldType::Quantity(Dimension::POWER), AT_MOST)
        .bounds(Bounds::Positive)
        .default("no limit")
        .means("Highest power of the machines in it.")
        .shown("<= 40 kW", "<= 20 kW"),
    FieldRow::new("height", FieldType::Quantity(Dimension::RACK_UNITS), FACT)
        .bounds(Bounds::Within(1.0, 100.0))
        .default("42 U")
        .means("Usable height.")
        .shown("= 42 U", "= 48 U"),
];

/// Height of a rack that states none: the usual full height (EIA-310 racks are sold with 42 U). Assumed.
const DEFAULT_HEIGHT_U: f64 = 42.0;

/// What only the owner of a room can say.
const OWN_ONLY: [&str; 9] = [
    "power",
    "pue",
    "energy_price",
    "colocation_price",
    "cooling",
    "rack",
    "racks",
    "redundancy",
    "lead_time",
];

/// Reads the sites into the checker; without any, every region with prices is one.
pub(crate) fn check(checker: &mut Checker<'_>, blocks: &[&Block]) {
    let mut sites = Vec::new();
    for block in blocks {
        let name = checker.name_of(block, &SITE);
        let fields = checker.contents(&SITE, block).fields;
        let site = site(checker, &fields);
        if let (Some(name), Some(site)) = (name, site) {
            sites.push(Site { name, ..site });
        }
    }
    if blocks.is_empty() {
        sites = anywhere(checker);
        let place = checker.place(Span::default());
        let n = sites.len();
        checker.assume(
            &place,
            format!("machines may stand in any of the {n} regions with prices; no `site` says where"),
        );
    }
    checker.sites = sites;
}

fn site(checker: &Checker<'_>, fields: &Fields) -> Option<Site> {
    let provider = match fields.text("provider") {
        Some(provider) => provider.to_owned(),
        None if fields.has("provider") => return None,
        None if fields.has("region") && !OWN_ONLY.iter().any(|name| fields.has(name)) => {
            fields.need(checker, "provider");
            return None;
        }
        None => "own".to_owned(),
    };
    let own = provider == "own";
    let region = fields.text("region").map(str::to_owned);
    if !own {
        provider_only(checker, fields, &provider);
        region_exists(checker, fields, &provider, region.as_deref());
    }
    let place = fields.place.clone();
    let cooling = cooling(fields);
    let pue = match fields.number("pue") {
        Some(pue) => pue,
        None if own => {
            let pue = if cooling == Some(Cooling::Liquid) { LIQUID_PUE } else { DEFAULT_PUE };
            assumed(checker, fields, &place, "pue", pue, &format!("the power usage effectiveness is {pue}"))
        }
        None => 1.0,
    };
    if own {
        for name in ["energy_price", "colocation_price"] {
            assumed(
                checker,
                fields,
                &place,
                name,
                (),
                &format!("`{name}` is unknown and counted as unpriced"),
            );
        }
    }
    Some(Site {
        name: String::new(),
        place: Some(place),
        provider,
        region,
        power: fields.limit("power", fields.number("power").map(Watts)),
        pue,
        energy_price_per_kwh: fields.money(checker, "energy_price", "/kWh"),
        colocation_price_per_kw_month: fields.money(checker, "colocation_price", "/kW/mo"),
        egress_price_per_gb: fields.money(checker, "egress_price", "/GB"),
        cooling,
        rack: racks_of(checker, fields, cooling),
        racks: fields.limit("racks", fields.small("racks")),
        redundancy: redundancy(fields.word("redundancy")),
        zones: fields.limit("zones", fields.small("zones")),
        quotas: match fields.get("quota").map(|given| &given.value) {
            Some(Stated::Quotas(quotas)) => quotas.clone(),
            _ => Vec::new(),
        },
        time_zone: checker.time_zone(fields),
        lead_time_months: match fields.number("lead_time") {
            Some(seconds) => seconds / (MONTH_H * HOUR_S) as f64,
            None => DEFAULT_LEAD_MONTHS,
        },
    })
}

/// Returns what carries heat away.
fn cooling(fields: &Fields) -> Option<Cooling> {
    let word = fields.word("cooling")?;
    Cooling::WORDS.into_iter().find(|(name, _)| *name == word).map(|(_, cooling)| cooling)
}

/// Returns one rack, where the site says anything of racks or of what air carries away.
fn racks_of(checker: &Checker<'_>, fields: &Fields, cooling: Option<Cooling>) -> Option<Rack> {
    let described = fields.record("rack").map(|rack| self::rack(checker, rack));
    let by_air = cooling == Some(Cooling::Air);
    let rack =
        described.or_else(|| (fields.has("racks") || by_air).then(|| usual_rack(checker, fields, by_air)))?;
    if !by_air || rack.power.is_some() {
        return Some(rack);
    }
    let text = format!("air carries {:.0} kW away from a rack", AIR_RACK.kw());
    checker.assume(fields.place_of("cooling"), text);
    Some(Rack { power: fields.limit("cooling", Some(AIR_RACK)), ..rack })
}

fn rack(checker: &Checker<'_>, fields: &Fields) -> Rack {
    let text = format!("a rack has {DEFAULT_HEIGHT_U} U");
    let height_u = fields
        .number("height")
        .unwrap_or_else(|| assumed(checker, fields, &fields.place, "height", DEFAULT_HEIGHT_U, &text));
    Rack { power: fields.limit("power", fields.number("power").map(Watts)), height_u }
}

/// Returns the rack that a limit on racks, or on what air carries away, is about where the site does not describe one.
fn usual_rack(checker: &Checker<'_>, fields: &Fields, by_air: bool) -> Rack {
    let power = if by_air { "" } else { " and power for what it holds" };
    let text = format!("a rack has {DEFAULT_HEIGHT_U} U{power}");
    let height_u = assumed(checker, fields, &fields.place, "rack", DEFAULT_HEIGHT_U, &text);
    Rack { power: None, height_u }
}

/// Returns what is meant by one of [`REDUNDANCY`].
pub(super) fn redundancy(word: Option<&str>) -> Redundancy {
    match word {
        Some("n_plus_1") => Redundancy::NPlus1,
        Some("n_plus_2") => Redundancy::NPlus2,
        Some("two_n") => Redundancy::TwoN,
        _ => Redundancy::None,
    }
}

/// Reports what cannot be said of somebody else's building.
fn provider_only(checker: &Checker<'_>, fields: &Fields, provider: &str) {
    for name in OWN_ONLY {
        let Some(given) = fields.get(name) else { continue };
        let message = format!("`{name}` has no effect in a region of `{provider}`");
        let found = checker.values.error(codes::CONTRADICTION, given.place.span(), message);
        checker.values.report(found.help("the provider sees to it and its price includes it: leave it out"));
    }
}

fn region_exists(checker: &Checker<'_>, fields: &Fields, provider: &str, region: Option<&str>) {
    let offerings = checker.catalog.offerings.iter().filter(|row| row.provider == provider);
    let mut regions: Vec<&str> = offerings.map(|row| row.region.as_str()).collect();
    regions.sort_unstable();
    regions.dedup();
    // `all` stands in a price list whose prices are the same everywhere.
    let everywhere = regions.contains(&"all");
    let Some(region) = region else {
        if !everywhere {
            fields.need(checker, "region");
        }
        return;
    };
    if everywhere || regions.contains(&region) {
        zones_exist(checker, fields, provider, region);
        return;
    }
    let message = format!("`{provider}` has no region `{region}` with prices");
    let span = fields.place_of("region").span();
    let found = checker.values.error(codes::UNKNOWN_NAME, span, message);
    checker.values.report(match checker.values.suggest(region, regions.iter().copied()) {
        Some(similar) => found.help(format!("did you mean `\"{similar}\"`?")),
        None => found.help("`capstan catalog coverage` lists regions and their prices"),
    });
}

/// Reports more zones than the region is known to have. That it has one is known of every region.
fn zones_exist(checker: &Checker<'_>, fields: &Fields, provider: &str, region: &str) {
    let row = checker.catalog.region(provider, region);
    let Some(wanted) = fields.small("zones").filter(|wanted| *wanted > 1) else { return };
    let Some(there) = row.and_then(|row| row.zones) else {
        let message =
            format!("`{region}` of `{provider}` has an unknown number of zones, {wanted} are asked");
        let found = checker.values.error(codes::CONTRADICTION, fields.place_of("zones").span(), message);
        checker.values.report(found.help(format!(
            "say `zones = …` in the `[[region]]` of a catalog of your own, or take a region that is known to have {wanted}"
        )));
        return;
    };
    if wanted > there {
        let message = format!("`{region}` of `{provider}` has {there} zones, not {wanted}");
        let found = checker.values.error(codes::OUT_OF_RANGE, fields.place_of("zones").span(), message);
        checker.values.report(found.help(format!("ask for at most {there}, or add a second site")));
    }
}

/// Returns every region of every provider that sells something.
fn anywhere(checker: &Checker<'_>) -> Vec<Site> {
    let mut regions: BTreeMap<(&str, &str), ()> = BTreeMap::new();
    for offering in checker.catalog.offerings.iter().filter(|row| row.provider != "own") {
        regions.insert((&offering.provider, &offering.region), ());
    }
    let site = |(provider, region): &(&str, &str)| Site {
        name: format!("{provider}/{region}"),
        place: None,
        provider: (*provider).to_owned(),
        region: Some((*region).to_owned()),
        power: None,
        pue: 1.0,
        energy_price_per_kwh: None,
        colocation_price_per_kw_month: None,
        egress_price_per_gb: None,
        cooling: None,
        rack: None,
        racks: None,
        redundancy: Redundancy::None,
        zones: None,
        quotas: Vec::new(),
        time_zone: None,
        lead_time_months: 0.0,
    };
    regions.keys().map(site).collect()
}
