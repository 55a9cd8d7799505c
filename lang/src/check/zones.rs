//! At which sites can a workload be spread over as many zones as it asks for?

use capstan_types::spec::Site;

use super::checker::Checker;
use super::fields::Fields;
use crate::codes;

/// Returns the sites where a workload may run: those it names, or all; with `zones` those that have as many, and all that
/// it names must.
pub(super) fn sites(checker: &Checker<'_>, fields: &Fields, name: &str) -> Option<Vec<String>> {
    let stated = fields.names("site");
    let Some(wanted) = fields.small("zones").filter(|zones| *zones > 1) else { return stated };
    let has = |site: &Site| known(checker, site).is_some_and(|zones| zones >= wanted);
    let refused = |message: String, help: String| {
        let found = checker.values.error(codes::CONTRADICTION, fields.place_of("zones").span(), message);
        checker.values.report(found.help(help));
    };
    if let Some(stated) = stated {
        let named = checker.sites.iter().filter(|site| stated.contains(&site.name));
        if let Some(site) = named.into_iter().find(|site| !has(site)) {
            let there = known(checker, site);
            let there = there.map_or_else(|| "an unknown number of".to_owned(), |zones| zones.to_string());
            refused(
                format!("`{name}` asks for {wanted} zones, and `{}` has {there}", site.name),
                format!("ask for fewer, or say `zones >= {wanted}` of a site of your own that has them"),
            );
        }
        return Some(stated);
    }
    let fit: Vec<String> =
        checker.sites.iter().filter(|site| has(site)).map(|site| site.name.clone()).collect();
    if fit.is_empty() {
        refused(
            format!("`{name}` asks for {wanted} zones, and no site is known to have as many"),
            format!("ask for fewer, or say `zones >= {wanted}` of a site of your own that has them"),
        );
    } else if fit.len() < checker.sites.len() {
        let text = format!("`{name}` runs at {}, which have {wanted} zones", fit.join(", "));
        checker.assume(fields.place_of("zones"), text);
    } else {
        return None;
    }
    Some(fit)
}

/// Returns the zones that a site has: those of its region, or those that are asked of it, which it must have.
fn known(checker: &Checker<'_>, site: &Site) -> Option<u32> {
    let region = site.region.as_ref().and_then(|region| checker.catalog.region(&site.provider, region));
    region.and_then(|row| row.zones).or_else(|| site.zones.as_ref().map(|zones| zones.value))
}
