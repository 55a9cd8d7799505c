//! What does a machine cost, where, and how is it bought?
//!
//! An `[[offering]]` names a shape; each of its `prices` is a region with one price per purchase option.

use capstan_types::catalog::find;
use capstan_types::hardware::NodeShape;
use capstan_types::money::Currency;
use capstan_types::offering::{Offering, PurchaseOption};
use capstan_types::origin::PriceGrade;
use capstan_types::place::Span;
use std::collections::BTreeMap;
use toml::de::DeTable;

use super::cell::{Cell, Complaint, Read, span};
use super::document::Document;
use super::price::{price, upfront};
use super::reader::{Reader, no_grade, unknown_name};
use super::row::{COMMON, Field, fill, need, unknown};
use crate::codes;

const PRICE_GRADES: [(&str, PriceGrade); 3] =
    [("quoted", PriceGrade::Quoted), ("list", PriceGrade::List), ("estimate", PriceGrade::Estimate)];

/// What `prices` may hold, for suggestions; `reserved_` and `savings_plan_` take any whole number of years or months,
/// `block_` of days.
const ENTRY_FIELDS: [&str; 11] = [
    "region",
    "on_demand",
    "spot",
    "reserved_1y",
    "reserved_3y",
    "upfront_1y",
    "upfront_3y",
    "savings_plan_3y",
    "block_14d",
    "owned",
    "reclaimed_per_month",
];

/// What to write where nothing is known.
const ADD_PRICE: &str = "add for example `{ region = \"all\", on_demand = \"55.04 USD/h\" }`; a price that is not known is \"unknown\"";

/// Months of the longest term that is believed.
const MAX_TERM_MONTHS: u32 = 240;

/// Days of the longest block that is believed; the longest on sale have 182.
pub(crate) const MOST_BLOCK_DAYS: u32 = 366;

type Key = (String, String, PurchaseOption);

/// The head of an `[[offering]]`.
#[derive(Default)]
struct Head {
    shape: String,
}

const HEAD: [Field<Head>; 2] = [
    need("shape", |row, cell| cell.text().map(|shape| row.shape = shape.to_owned())),
    // Read by `prices`, entry by entry.
    need("prices", |_, cell| match cell.items()?.is_empty() {
        true => cell.wrong("an offering without a price", ADD_PRICE),
        false => Ok(()),
    }),
];

/// Reads every price of every file.
pub(super) fn read(reader: &mut Reader<'_, '_>) {
    let known = std::mem::take(&mut reader.catalog.offerings);
    let mut offerings: BTreeMap<Key, Offering> =
        known.into_iter().map(|offering| (key(&offering), offering)).collect();
    for document in reader.documents {
        match document.tables("offering") {
            Err(complaints) => reader.report(document, complaints),
            Ok(groups) => {
                for (table, at) in groups {
                    let complaints = group(reader, document, table, at, &mut offerings);
                    reader.report(document, complaints);
                }
            }
        }
    }
    reader.catalog.offerings = offerings.into_values().collect();
}

fn key(offering: &Offering) -> Key {
    (offering.shape.clone(), offering.region.clone(), offering.option)
}

fn group<'a>(
    reader: &mut Reader<'_, 'a>,
    document: &Document<'a>,
    table: &DeTable<'a>,
    at: Span,
    offerings: &mut BTreeMap<Key, Offering>,
) -> Vec<Complaint> {
    let mut head = Head::default();
    let mut complaints = fill(&mut head, table, &HEAD, &COMMON, Some(at));
    if !complaints.is_empty() {
        return complaints;
    }
    let Some(shape) = find(&reader.catalog.shapes, &head.shape).cloned() else {
        let known: Vec<&str> = reader.catalog.shapes.iter().map(|shape| shape.id.as_str()).collect();
        let place = table.get("shape").map_or(at, |value| Cell::new(value).span);
        return vec![unknown_name("shape", &head.shape, &known, place)];
    };
    let entries =
        table.get("prices").map(|value| Cell::new(value).items().unwrap_or_default()).unwrap_or_default();
    for entry in entries {
        let read = Entry { document, group: table, shape: &shape, at: entry.span };
        match entry.table().and_then(|fields| read.offerings(reader, fields, offerings)) {
            Err(wrong) => complaints.extend(wrong),
            Ok(found) => {
                for (offering, place) in found {
                    let name = format!("{} {} {}", offering.shape, offering.region, offering.option.words());
                    if reader.first("offering", &name, place.in_file(&document.file)) {
                        offerings.insert(key(&offering), offering);
                    }
                }
            }
        }
    }
    complaints
}

/// One region of an `[[offering]]`.
struct Entry<'e, 'a> {
    document: &'e Document<'a>,
    group: &'e DeTable<'a>,
    shape: &'e NodeShape,
    at: Span,
}

impl<'a> Entry<'_, 'a> {
    fn offerings(
        &self,
        reader: &Reader<'_, 'a>,
        fields: &DeTable<'a>,
        known: &BTreeMap<Key, Offering>,
    ) -> Read<Vec<(Offering, Span)>> {
        let region = self.region(reader, fields)?;
        let stamp = self.document.stamp(&[fields, self.group], self.at, &PRICE_GRADES)?;
        let grade =
            stamp.grade.ok_or_else(|| vec![no_grade(self.at, &PRICE_GRADES.map(|(word, _)| word))])?;
        reader.in_time(stamp.as_of, self.at)?;
        let reclaimed =
            fields.get("reclaimed_per_month").map(|value| Cell::new(value).share()).transpose()?;
        let mut found = Vec::new();
        let mut complaints = Vec::new();
        for (name, value) in fields {
            let cell = Cell::new(value);
            let name = (name.get_ref(), span(name.span()));
            if let Some(term) = name.0.strip_prefix("upfront_") {
                complaints.extend(without_term(fields, term, cell.span));
                continue;
            }
            let Some(option) = option(name.0) else {
                complaints.extend(strange(name.0, name.1));
                continue;
            };
            let term = name.0.strip_prefix("reserved_").map(|term| format!("upfront_{term}"));
            let paid_first = term.and_then(|term| fields.get(term.as_str())).map(Cell::new);
            let read = price(cell, option, self.shape, &stamp)
                .and_then(|price| upfront(paid_first, &price).map(|upfront| (price, upfront)));
            match read {
                Err(wrong) => complaints.extend(wrong),
                Ok((price, upfront)) => {
                    let before = known.get(&(self.shape.id.clone(), region.clone(), option));
                    let spot = option == PurchaseOption::Spot;
                    let offering = Offering {
                        shape: self.shape.id.clone(),
                        provider: self.shape.provider.clone(),
                        region: region.clone(),
                        option,
                        price: price.amount,
                        upfront,
                        currency: price
                            .currency
                            .or(before.map(|known| known.currency))
                            .unwrap_or(Currency::USD),
                        grade,
                        source: stamp.source.clone(),
                        as_of: stamp.as_of,
                        reclaimed_per_month: reclaimed
                            .or(before.and_then(|known| known.reclaimed_per_month))
                            .filter(|_| spot),
                    };
                    found.push((offering, cell.span));
                }
            }
        }
        if complaints.is_empty() && found.is_empty() {
            let message = "a row of an offering without a price".to_owned();
            let help = Some(ADD_PRICE.to_owned());
            complaints.push(Complaint { code: codes::CATALOG_FACT_MISSING, span: self.at, message, help });
        }
        if complaints.is_empty() { Ok(found) } else { Err(complaints) }
    }

    fn region(&self, reader: &Reader<'_, 'a>, fields: &DeTable<'a>) -> Read<String> {
        let Some(value) = fields.get("region") else {
            let message = "a price without `region`".to_owned();
            let help = Some("add `region = \"…\"`; `\"all\"` where it is the same everywhere".to_owned());
            return Err(vec![Complaint { code: codes::CATALOG_FACT_MISSING, span: self.at, message, help }]);
        };
        let cell = Cell::new(value);
        let name = cell.text()?;
        let regions = reader.catalog.regions.iter().filter(|region| region.provider == self.shape.provider);
        let known: Vec<&str> = regions.map(|region| region.id.as_str()).collect();
        if name == "all" || known.contains(&name) {
            return Ok(name.to_owned());
        }
        Err(vec![unknown_name(&format!("region of {}", self.shape.provider), name, &known, cell.span)])
    }
}

/// Complains about an up-front payment for a term whose hourly price is not there.
fn without_term(fields: &DeTable<'_>, term: &str, at: Span) -> Option<Complaint> {
    let reserved = format!("reserved_{term}");
    let missing = option(&reserved).is_none() || fields.get(reserved.as_str()).is_none();
    missing.then(|| Complaint {
        code: codes::CATALOG_PRICE,
        span: at,
        message: format!("an up-front payment without `{reserved}`"),
        help: Some(
            "write what an hour of that term costs beside it; `\"0 USD/h\"` with a `source` if nothing"
                .to_owned(),
        ),
    })
}

/// Complains about a field that is neither a price nor common to all rows.
fn strange(name: &str, at: Span) -> Option<Complaint> {
    let fields = ENTRY_FIELDS.into_iter().chain(COMMON);
    let known = name == "region" || name == "reclaimed_per_month" || COMMON.contains(&name);
    (!known).then(|| unknown(name, at, fields))
}

/// Returns the months of a term such as `3y` or `18mo`.
fn term_months(term: &str) -> Option<u32> {
    let (digits, months) = match term.strip_suffix("mo") {
        Some(digits) => (digits, 1),
        None => (term.strip_suffix('y')?, 12),
    };
    let count: u32 = digits.parse().ok()?;
    count.checked_mul(months).filter(|months| (1..=MAX_TERM_MONTHS).contains(months))
}

/// Returns the purchase option that a field prices.
fn option(name: &str) -> Option<PurchaseOption> {
    match name {
        "on_demand" => Some(PurchaseOption::OnDemand),
        "spot" => Some(PurchaseOption::Spot),
        "owned" => Some(PurchaseOption::Owned),
        _ => {
            if let Some(term) = name.strip_prefix("block_") {
                let days = term
                    .strip_suffix('d')?
                    .parse()
                    .ok()
                    .filter(|days| (1..=MOST_BLOCK_DAYS).contains(days))?;
                return Some(PurchaseOption::Block { days });
            }
            if let Some(term) = name.strip_prefix("savings_plan_") {
                return Some(PurchaseOption::SavingsPlan { term_months: term_months(term)? });
            }
            Some(PurchaseOption::Reserved { term_months: term_months(name.strip_prefix("reserved_")?)? })
        }
    }
}
