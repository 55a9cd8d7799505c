//! `deploy kubernetes { network_operator = … }`: which ports of a machine are its rails?
//!
//! What a system calls its ports no catalog knows, so the plan says it; how many there are follows from machine and switch.

use capstan_types::spec::{FabricWish, Fleet, RailsWish};

use super::checker::Checker;
use super::fields::Fields;
use super::table::{FACT, FieldRow, FieldType, Table};
use crate::codes;

/// Longest name of a network interface (Linux, `IFNAMSIZ` without its end).
const LONGEST_INTERFACE: usize = 15;

/// How pods get the network between own machines.
pub(super) static NETWORK_OPERATOR: Table = Table::record(
    "network_operator",
    "How pods that span own machines get their network ports (Network operator, SR-IOV).",
    FIELDS,
);

static FIELDS: &[FieldRow] = &[FieldRow::new("rails", FieldType::Texts, FACT)
    .needed()
    .means("Names of the network ports of a machine, as its system has them (`ip link`), in the order of the rails: all ports of all planes.")
    .shown("= [\"ibs1f0\", \"ibs2f0\"]", "= [\"ens1f0np0\"]")];

/// Reads the ports, and reports those that are none and those that are too many or too few.
pub(super) fn read_rails(
    checker: &Checker<'_>,
    fields: &Fields,
    fleets: &[Fleet],
    fabrics: &[FabricWish],
) -> RailsWish {
    let rails = fields.names("rails").unwrap_or_default();
    if !fields.complete(checker) {
        return RailsWish { rails };
    }
    let report = |code, message: String, help: String| {
        let found = checker.values.error(code, fields.place_of("rails").span(), message);
        checker.values.report(found.help(help));
    };
    for (at, name) in rails.iter().enumerate() {
        let is_one = (1..=LONGEST_INTERFACE).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_graphic() && c != '/' && c != ':');
        if !is_one {
            let help = "names as `ip link` shows them, of at most 15 characters: `\"ibs1f0\"`".to_owned();
            report(codes::OUT_OF_RANGE, format!("`{name}` is no name of a network port"), help);
        } else if rails[..at].contains(name) {
            report(
                codes::DUPLICATE_NAME,
                format!("the port `{name}` is named twice"),
                "name each port once".to_owned(),
            );
        }
    }
    if !checker.sites.iter().any(|site| site.is_own()) {
        let help = "leave `network_operator` out: providers wire their own machines".to_owned();
        report(codes::CONTRADICTION, "rails are those of own sites, and the plan has none".to_owned(), help);
    }
    for (shape, ports) in known_ports(checker, fleets, fabrics) {
        if rails.len() != ports as usize {
            let message = format!("{} ports are named, and a machine of {shape} has {ports}", rails.len());
            report(codes::CONTRADICTION, message, format!("name {ports}, those of all planes"));
            break;
        }
    }
    RailsWish { rails }
}

/// Returns the ports of the machines that stand at own sites whose switches are named.
fn known_ports<'a>(
    checker: &'a Checker<'_>,
    fleets: &'a [Fleet],
    fabrics: &'a [FabricWish],
) -> impl Iterator<Item = (&'a str, u32)> {
    fleets.iter().filter_map(|fleet| {
        let wish = fabrics.iter().find(|wish| wish.site == fleet.site)?;
        let switch = checker.catalog.fabrics.iter().find(|row| Some(&row.id) == wish.switch.as_ref())?;
        let shape = checker.catalog.shape(&fleet.shape).filter(|shape| shape.accelerators > 0)?;
        Some((fleet.shape.as_str(), switch.ports(shape.scale_out?, wish.planes) * wish.planes))
    })
}
