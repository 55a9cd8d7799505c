//! `fleet`: what already stands there?

use capstan_types::quantity::{Base, Dimension};
use capstan_types::spec::{Fleet, Site};
use rust_decimal::Decimal;

use super::checker::Checker;
use super::fields::Fields;
use super::table::{Bounds, FACT, FieldRow, FieldType, Referent, Table};
use crate::ast::Block;
use crate::codes;

/// The kind of block.
pub static FLEET: Table = Table::named("fleet", "Machines that stand at a site already.", FIELDS);

static FIELDS: &[FieldRow] = &[
    FieldRow::new("shape", FieldType::One(Referent::Shape), FACT)
        .needed()
        .means("The machine.")
        .shown("= own.dgx_a100_8", "= own.dgx_h100_8"),
    FieldRow::new("count", FieldType::Count(Dimension::NODES), FACT)
        .bounds(Bounds::Within(1.0, 1e6))
        .needed()
        .means("How many.")
        .shown("= 4", "= 8"),
    FieldRow::new("site", FieldType::One(Referent::Site), FACT)
        .default("the only own site")
        .means("Where they stand.")
        .shown("= hall", "= hall2"),
    FieldRow::new("until", FieldType::Date, FACT)
        .default("the end of the horizon")
        .means("Last day of use.")
        .shown("= 2027-03-31", "= 2027-06-30"),
    FieldRow::new("committed_price", FieldType::MachinePrice, FACT)
        .bounds(Bounds::NotNegative)
        .default("nothing: they are paid for")
        .means("What a contract that is already signed costs per machine, or per accelerator, and time.")
        .shown("= 12 USD/h", "= 20 USD/h"),
    FieldRow::new("since", FieldType::Date, FACT)
        .default("before the horizon")
        .means("First day of use. Machines that are ordered already come later; those that stand there have used up that much of their life.")
        .shown("= 2024-03-01", "= 2025-06-01"),
    FieldRow::new("book_value", FieldType::Quantity(Dimension::MONEY), FACT)
        .bounds(Bounds::NotNegative)
        .default("unknown: nothing of them is written off")
        .means("What is left of the price of one machine when the horizon begins, or when it comes into use. It is written off over the rest of its life and is no payment.")
        .shown("= 90 kUSD", "= 120 kUSD"),
];

/// Reads the fleets.
pub(crate) fn check(checker: &Checker<'_>, blocks: &[&Block]) -> Vec<Fleet> {
    let mut fleets = Vec::new();
    for block in blocks {
        let name = checker.name_of(block, &FLEET);
        let fields = checker.contents(&FLEET, block).fields;
        let fleet = fleet(checker, &fields);
        if let (Some(name), Some(fleet)) = (name, fleet) {
            fleets.push(Fleet { name, ..fleet });
        }
    }
    fleets
}

fn fleet(checker: &Checker<'_>, fields: &Fields) -> Option<Fleet> {
    let complete = fields.complete(checker);
    let site = site(checker, fields);
    let until = fields.date("until");
    if let Some(date) = until.filter(|date| *date < checker.frame.start) {
        let message = format!("the machines leave on {date}, before the horizon begins");
        let found = checker.values.error(codes::OUTSIDE_HORIZON, fields.place_of("until").span(), message);
        checker.values.report(found.help(format!("the horizon begins on {}", checker.frame.start)));
    }
    let since = fields.date("since");
    if let Some(date) =
        since.filter(|date| until.is_some_and(|until| until < *date) || *date > checker.frame.end)
    {
        let message = format!("the machines come on {date}, when they are not used any more");
        let found = checker.values.error(codes::OUTSIDE_HORIZON, fields.place_of("since").span(), message);
        checker.values.report(found.help(format!("the horizon ends on {}", checker.frame.end)));
    }
    let shape = fields.text("shape").map(str::to_owned);
    if let (Some(shape), Some(site)) = (&shape, &site) {
        belongs(checker, fields, shape, site);
    }
    let committed_price_per_hour = committed(checker, fields, shape.as_deref());
    let book_value = fields.money(checker, "book_value", "");
    if !complete {
        return None;
    }
    Some(Fleet {
        name: String::new(),
        place: fields.place.clone(),
        shape: shape?,
        count: fields.small("count")?,
        site: site?,
        since,
        until,
        book_value,
        committed_price_per_hour,
    })
}

fn site(checker: &Checker<'_>, fields: &Fields) -> Option<String> {
    if fields.has("site") {
        return fields.text("site").map(str::to_owned);
    }
    let own: Vec<&Site> = checker.sites.iter().filter(|site| site.is_own()).collect();
    if let [site] = own.as_slice() {
        checker.assume(&fields.place, format!("the machines stand at `{}`, the only own site", site.name));
        return Some(site.name.clone());
    }
    fields.need(checker, "site");
    None
}

/// Reports a machine that cannot stand at the site: one that only a provider has, or somebody else's.
fn belongs(checker: &Checker<'_>, fields: &Fields, shape: &str, site: &str) {
    let Some(site) = checker.sites.iter().find(|known| known.name == site) else { return };
    let Some(row) = checker.catalog.shape(shape) else { return };
    if row.provider == site.provider {
        if site.refuses_heat_of(row) {
            let message = format!("`{shape}` needs liquid, and `{}` is cooled by air", site.name);
            let found = checker.values.error(codes::CONTRADICTION, fields.place_of("shape").span(), message);
            let help = format!("give `{}` `cooling = liquid`, or name other machines", site.name);
            checker.values.report(found.help(help));
        }
        return;
    }
    let message = format!(
        "`{shape}` is a machine of `{}`, but `{}` is run by `{}`",
        row.provider, site.name, site.provider
    );
    let found = checker.values.error(codes::CONTRADICTION, fields.place_of("shape").span(), message);
    checker.values.report(found.help(format!("name a machine of `{}`", site.provider)));
}

fn committed(checker: &Checker<'_>, fields: &Fields, shape: Option<&str>) -> Option<Decimal> {
    let price = fields.quantity("committed_price")?;
    let per = |base| price.dimension.power(base) == -1;
    let shape = checker.catalog.shape(shape?)?;
    if per(Base::Accelerator) {
        let each = fields.money(checker, "committed_price", "/GPU/h")?;
        return each.checked_mul(Decimal::from(shape.accelerators));
    }
    fields.money(checker, "committed_price", if per(Base::Node) { "/node/h" } else { "/h" })
}
