//! `fabric`: how are the machines of an own site to be wired?

use capstan_types::quantity::Dimension;
use capstan_types::spec::{FabricKind, FabricWish};

use super::checker::Checker;
use super::fields::Fields;
use super::site::{REDUNDANCY, redundancy};
use super::table::{Bounds, FACT, FieldRow, FieldType, Referent, Table};
use crate::ast::Block;
use crate::codes;

/// The kind of block.
pub static FABRIC: Table = Table::named(
    "fabric",
    "Preferences for the network between the accelerators of an own site. Without one, a network is sized where work spans machines.",
    FIELDS,
);

static FIELDS: &[FieldRow] = &[
    FieldRow::new("site", FieldType::One(Referent::Site), FACT)
        .default("the only own site")
        .means("The site that is wired.")
        .shown("= hall", "= hall2"),
    FieldRow::new("switch", FieldType::One(Referent::Switch), FACT)
        .default("switches whose ports have the rate of the machine's, the best known first")
        .means("Row of the catalog whose switches are used.")
        .shown("= ndr_infiniband", "= ethernet_400g"),
    FieldRow::new("kind", FieldType::Word(&["rail_optimised", "fat_tree", "leaf_spine"]), FACT)
        .default("`rail_optimised`")
        .means("How switches are arranged: every port of a machine to a leaf of its own, leaves filled one after another, or that in at most two tiers.")
        .shown("= rail_optimised", "= fat_tree"),
    FieldRow::new("oversubscription", FieldType::Quantity(Dimension::NONE), FACT)
        .bounds(Bounds::Within(1.0, 16.0))
        .default("1")
        .means("Bandwidth into a leaf over bandwidth out of it.")
        .shown("= 1", "= 3"),
    FieldRow::new("rails", FieldType::Count(Dimension::NONE), FACT)
        .bounds(Bounds::Within(1.0, 64.0))
        .default("the ports of a machine, 1 unless rail-optimised")
        .means("Leaves that one machine reaches.")
        .shown("= 8", "= 4"),
    FieldRow::new("planes", FieldType::Count(Dimension::NONE), FACT)
        .bounds(Bounds::Within(1.0, 8.0))
        .default("1")
        .means("Networks side by side, each with an equal share of every port.")
        .shown("= 1", "= 2"),
    FieldRow::new("management_ports", FieldType::Count(Dimension::NONE), FACT)
        .bounds(Bounds::Within(0.0, 64.0))
        .default("0")
        .means("Ports that management takes from the leaves of each plane.")
        .shown("= 4", "= 2"),
    FieldRow::new("redundancy", FieldType::Word(&REDUNDANCY), FACT)
        .default("`none`")
        .means("Switches that lie ready beside those that carry the traffic: one, two, or as many again. They draw no power.")
        .shown("= n_plus_1", "= n_plus_2"),
];

/// Reads the wishes; at most one for each site.
pub(crate) fn check(checker: &Checker<'_>, blocks: &[&Block]) -> Vec<FabricWish> {
    let mut wishes: Vec<FabricWish> = Vec::new();
    for block in blocks {
        let name = checker.name_of(block, &FABRIC);
        let fields = checker.contents(&FABRIC, block).fields;
        let wish = wish(checker, &fields);
        let (Some(name), Some(wish)) = (name, wish) else { continue };
        if let Some(other) = wishes.iter().find(|other| other.site == wish.site) {
            let message = format!("`{}` is wired by `{}` already", wish.site, other.name);
            let found = checker.values.error(codes::CONTRADICTION, super::fields::head(block), message);
            checker.values.report(found.help("keep one `fabric` for each site"));
            continue;
        }
        wishes.push(FabricWish { name, ..wish });
    }
    wishes
}

fn wish(checker: &Checker<'_>, fields: &Fields) -> Option<FabricWish> {
    let site = checker.own_site(fields, "the wires at");
    if !fields.complete(checker) {
        return None;
    }
    Some(FabricWish {
        name: String::new(),
        place: Some(fields.place.clone()),
        site: site?,
        switch: fields.text("switch").map(str::to_owned),
        kind: match fields.word("kind") {
            Some("fat_tree") => FabricKind::FatTree,
            Some("leaf_spine") => FabricKind::LeafSpine,
            _ => FabricKind::RailOptimised,
        },
        oversubscription: fields.number("oversubscription").unwrap_or(1.0),
        rails: fields.small("rails"),
        planes: fields.small("planes").unwrap_or(1),
        management_ports: fields.small("management_ports").unwrap_or(0),
        redundancy: redundancy(fields.word("redundancy")),
    })
}
