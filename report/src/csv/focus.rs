//! Forecast rows with the columns of FOCUS (FinOps Open Cost and Usage Specification) 1.x: one per line and month.
//!
//! BilledCost is what is invoiced in the month, EffectiveCost what is consumed in it. Columns of our own begin with `x_`, as
//! the specification asks.

use super::{Sheet, amount, day, kind_word, option_words, text};
use capstan_types::blueprint::{Blueprint, CostKind, CostLine};
use capstan_types::finance::{Category, Finance, LineFlow};
use capstan_types::offering::PurchaseOption;
use jiff::civil::Date;
use rust_decimal::Decimal;

const COLUMNS: [&str; 35] = [
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "BillingCurrency",
    "ServiceProviderName",
    "HostProviderName",
    "InvoiceIssuerName",
    "RegionId",
    "ServiceCategory",
    "ServiceSubcategory",
    "ServiceName",
    "ResourceName",
    "ResourceType",
    "SkuId",
    "ChargeCategory",
    "ChargeFrequency",
    "ChargeDescription",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ListUnitPrice",
    "ContractedUnitPrice",
    "ListCost",
    "ContractedCost",
    "BilledCost",
    "EffectiveCost",
    "CommitmentDiscountCategory",
    "CommitmentDiscountType",
    "x_Plan",
    "x_PlanDigest",
    "x_Line",
    "x_CapexOpex",
    "x_PriceOrigin",
    "x_PriceSource",
];

/// What the rows of one line have in common.
struct Line<'a> {
    blueprint: &'a Blueprint,
    line: &'a CostLine,
    number: usize,
    flow: &'a LineFlow,
    digest: &'a str,
}

/// Returns the rows of all lines.
pub(super) fn focus(blueprint: &Blueprint, finance: &Finance) -> Vec<u8> {
    let plan = blueprint.inputs.files.iter().find(|file| file.role == "plan");
    let digest = plan.map_or("", |file| file.sha256.as_str());
    let mut sheet = Sheet::new(&COLUMNS);
    for (index, (line, flow)) in blueprint.cost.lines.iter().zip(&finance.lines).enumerate() {
        let rows = Line { blueprint, line, number: index + 1, flow, digest };
        rows.add(&mut sheet, finance.start);
    }
    sheet.bytes()
}

impl Line<'_> {
    fn add(&self, sheet: &mut Sheet, start: Date) {
        let months = self.flow.billed.len();
        let paid = |amount: &&Decimal| !amount.is_zero();
        let charged = self.flow.billed.iter().filter(paid).count().max(1);
        let list = self.list_by_month(months);
        for (offset, (billed, effective)) in self.flow.billed.iter().zip(&self.flow.effective).enumerate() {
            let nothing = billed.is_zero() && effective.is_zero();
            if nothing {
                continue;
            }
            let month = self.flow.first_month + offset as u32;
            let (from, to) = (stamp(day(start, month)), stamp(day(start, month + 1)));
            let quantity = if billed.is_zero() {
                Decimal::ZERO
            } else {
                self.line.quantity / Decimal::from(charged as u64)
            };
            let mut row = vec![from.clone(), to.clone(), from, to];
            row.extend(self.who());
            row.extend(self.how(quantity));
            row.push(list.as_ref().map_or_else(String::new, |list| amount(self.blueprint, list[offset])));
            let billed = amount(self.blueprint, *billed);
            row.extend([billed.clone(), billed, amount(self.blueprint, *effective)]);
            row.extend(self.commitment());
            row.extend(self.ours());
            sheet.row(row);
        }
    }

    /// Spreads the list cost over the months in which the line is used.
    fn list_by_month(&self, months: usize) -> Option<Vec<Decimal>> {
        let currency = self.blueprint.cost.currency;
        let list = self.line.list_cost?;
        let mut each = vec![currency.round(list / Decimal::from(months.max(1) as u64)); months];
        let sum: Decimal = each.iter().copied().sum();
        if let Some(last) = each.last_mut() {
            *last += list - sum;
        }
        Some(each)
    }

    fn who(&self) -> Vec<String> {
        let line = self.line;
        let site = self.blueprint.inputs.spec.sites.iter().find(|site| site.name == line.site);
        let provider = site.map_or("own", |site| site.provider.as_str());
        let region = site.and_then(|site| site.region.as_deref()).unwrap_or(&line.site);
        let (category, subcategory) = service(line, self.flow.category);
        vec![
            self.blueprint.cost.currency.code().to_owned(),
            text(provider),
            text(provider),
            text(provider),
            text(region),
            category.to_owned(),
            subcategory.to_owned(),
            text(line.shape.as_deref().unwrap_or(&line.item)),
            text(&line.item),
            resource_type(line, self.flow.category).to_owned(),
            text(line.shape.as_deref().unwrap_or_default()),
        ]
    }

    fn how(&self, quantity: Decimal) -> Vec<String> {
        let line = self.line;
        let (charge, frequency) = match (line.kind, self.flow.category) {
            (CostKind::Capex, _) => ("Purchase", "One-Time"),
            (CostKind::Residual, _) => ("Credit", "One-Time"),
            (CostKind::Owed, _) => ("Purchase", "One-Time"),
            (CostKind::Opex, Category::Reserved | Category::Contract | Category::Support) => {
                ("Purchase", "Recurring")
            }
            (CostKind::Opex, _) => ("Usage", "Usage-Based"),
        };
        let pricing = match line.option {
            Some(PurchaseOption::Spot) => "Dynamic",
            Some(option) if option.contract_months().is_some() => "Committed",
            Some(_) => "Standard",
            None if self.flow.category == Category::Transfer => "Standard",
            None => "Other",
        };
        let price = line.unit_price.normalize().to_string();
        let list_price = line.list_cost.and_then(|list| list.checked_div(line.quantity));
        vec![
            charge.to_owned(),
            frequency.to_owned(),
            text(&line.item),
            pricing.to_owned(),
            quantity.round_dp(6).normalize().to_string(),
            text(&line.unit),
            list_price.map_or_else(String::new, |price| price.round_dp(9).normalize().to_string()),
            price,
        ]
    }

    fn commitment(&self) -> [String; 2] {
        match self.line.option {
            // FOCUS: a savings plan commits money, a reservation or a block commits machines.
            Some(PurchaseOption::SavingsPlan { .. }) => ["Spend".to_owned(), option_words(self.line)],
            Some(option) if option.contract_months().is_some() => {
                ["Usage".to_owned(), option_words(self.line)]
            }
            _ => [String::new(), String::new()],
        }
    }

    fn ours(&self) -> Vec<String> {
        vec![
            text(&self.blueprint.inputs.spec.name),
            self.digest.to_owned(),
            self.number.to_string(),
            kind_word(self.line.kind).to_owned(),
            self.line.origin.word().to_owned(),
            text(&self.line.source),
        ]
    }
}

fn resource_type(line: &CostLine, category: Category) -> &'static str {
    match category {
        Category::Transfer => "Data Transfer",
        _ if line.shape.is_some() => "Node",
        _ => "Other",
    }
}

/// Returns category and subcategory of the service, words of the specification.
fn service(line: &CostLine, category: Category) -> (&'static str, &'static str) {
    match category {
        Category::Energy | Category::Space | Category::Staff | Category::Licences => {
            ("Other", "Other (Other)")
        }
        Category::Support => ("Management and Governance", "Support"),
        Category::Transfer => ("Networking", "Network Connectivity"),
        _ if line.item.ends_with(", storage") => ("Storage", "Other (Storage)"),
        _ if line.item.starts_with("network") => ("Networking", "Network Infrastructure"),
        _ => ("Compute", "Virtual Machines"),
    }
}

fn stamp(day: Date) -> String {
    format!("{day}T00:00:00Z")
}
