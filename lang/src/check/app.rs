//! `service` and `workspace`: what runs in containers beside models, for how many, and how large is one?

use capstan_types::catalog::Catalog;
use capstan_types::hardware::Accelerator;
use capstan_types::quantity::Dimension;
use capstan_types::spec::{App, AppKind, DayHours, Slice};
use capstan_types::units::Bytes;

use super::checker::Checker;
use super::fields::Fields;
use super::models::{self, MODELS};
use super::read::Stated;
use super::serve::buy;
use super::table::{AT_LEAST, Bounds, CHOICE, FACT, FieldRow, FieldType, Referent, Table};
use super::workload;
use crate::ast::{Block, Expr, ExprKind};
use crate::codes;
use crate::evaluate::Value;

/// Minutes of a day.
const DAY: u32 = 24 * 60;

/// The kind of block.
pub static SERVICE: Table =
    Table::named("service", "Anything in a container: a gateway, a vector database.", SERVICE_FIELDS);

static SERVICE_FIELDS: &[FieldRow] = &[
    FieldRow::new("image", FieldType::Text, FACT)
        .means("The container's image; manifests need it, with a version.")
        .shown("= \"milvusdb/milvus:v2.4\"", "= \"qdrant/qdrant:v1.9\""),
    FieldRow::new("port", FieldType::Count(Dimension::NONE), FACT)
        .bounds(Bounds::Within(1.0, LAST_PORT))
        .default("none: nothing asks it, so it has neither name nor probe in the cluster")
        .means("Port at which it answers, over TCP.")
        .shown("= 8080", "= 6333"),
    FieldRow::new("mount", FieldType::Text, FACT)
        .default("where its image is known to keep data, else `/data`")
        .means("Folder of the container that its `storage` is mounted at.")
        .shown("= \"/var/lib/data\", storage = 1 TB", "= \"/srv\", storage = 1 TB"),
    FieldRow::new("models", FieldType::Record(&MODELS), FACT)
        .default("none: the image starts by itself, and answers with what it holds")
        .means("Models that are no language models, and the program that answers with them.")
        .shown(
            "= { server = triton, volume = \"vision\", names = \"resnet50\" }",
            "= { server = tf_serving, volume = \"vision\", names = \"resnet50\" }",
        ),
    FieldRow::new("replicas", FieldType::Count(Dimension::NONE), FACT)
        .bounds(Bounds::Within(1.0, 1e6))
        .default("1")
        .means("Instances.")
        .shown("= 3", "= 5"),
    THREADS,
    MEMORY,
    STORAGE,
    ACCELERATOR,
    SLICE,
    FieldRow::new("availability", FieldType::Share, AT_LEAST)
        .bounds(Bounds::Within(0.0, 0.999_999_999))
        .means("Share of time in which all replicas are up.")
        .shown(">= 99.9%", ">= 99.99%"),
    workload::BUY,
    workload::SITE,
];

/// The kind of block.
pub static WORKSPACE: Table = Table::named("workspace", "People with notebooks.", WORKSPACE_FIELDS);

static WORKSPACE_FIELDS: &[FieldRow] = &[
    FieldRow::new("users", FieldType::Count(Dimension::USERS), FACT)
        .bounds(Bounds::Within(1.0, 1e6))
        .needed()
        .means("People.")
        .shown("= 40", "= 60"),
    FieldRow::new("active", FieldType::Share, FACT)
        .bounds(Bounds::Within(0.0, 1.0))
        .default("100%")
        .means("Share of them who work at once.")
        .shown("= 50%", "= 25%"),
    FieldRow::new("hours", FieldType::Hours, FACT)
        .default("at all hours")
        .means("Hours of weekdays in which they work; a night shift ends before it begins.")
        .shown("= 08:00 .. 18:00", "= 22:00 .. 06:00"),
    THREADS,
    MEMORY,
    STORAGE,
    ACCELERATOR,
    SLICE,
    workload::BUY,
    workload::SITE,
];

const THREADS: FieldRow = FieldRow::new("cpu", FieldType::Quantity(Dimension::NONE), FACT)
    .bounds(Bounds::Within(0.001, 1e5))
    .needed()
    .means("Hardware threads of one instance.")
    .shown("= 4", "= 2");
const MEMORY: FieldRow = FieldRow::new("memory", FieldType::Quantity(Dimension::DATA), FACT)
    .bounds(Bounds::Positive)
    .needed()
    .means("Memory of one instance.")
    .shown("= 16 GiB", "= 8 GiB");
const STORAGE: FieldRow = FieldRow::new("storage", FieldType::Quantity(Dimension::DATA), FACT)
    .bounds(Bounds::NotNegative)
    .default("none")
    .means("Data that one instance keeps; the storage of an own site has room for it.")
    .shown("= 100 GB", "= 1 TB");
const ACCELERATOR: FieldRow = FieldRow::new("accelerator", FieldType::Many(Referent::Accelerator), CHOICE)
    .default("none, or any with `slice`")
    .means("Accelerators that are allowed; each instance has one of them.")
    .shown("in [a100_sxm_80gb, h100_sxm]", "= h100_sxm");
const SLICE: FieldRow = FieldRow::new("slice", FieldType::Slice, FACT)
    .default("a whole accelerator where `accelerator` is said")
    .means("How much of an accelerator one instance has: a partition by its name, or a share of its time.")
    .shown("= \"1g.10gb\"", "= 25%");

/// The last port of TCP (RFC 9293, 16 bits).
const LAST_PORT: f64 = 65_535.0;

/// Reads services, then workspaces.
pub(crate) fn check(checker: &Checker<'_>, services: &[&Block], workspaces: &[&Block]) -> Vec<App> {
    let services = services.iter().filter_map(|block| app(checker, block, &SERVICE, AppKind::Service));
    let workspaces =
        workspaces.iter().filter_map(|block| app(checker, block, &WORKSPACE, AppKind::Workspace));
    services.chain(workspaces).collect()
}

fn app(checker: &Checker<'_>, block: &Block, table: &'static Table, kind: AppKind) -> Option<App> {
    let name = checker.name_of(block, table);
    let fields = checker.contents(table, block).fields;
    let shown = name.as_deref().unwrap_or(table.kind);
    let complete = fields.complete(checker);
    let accelerators = fields.names("accelerator");
    let part = part(checker, &fields, accelerators.as_deref());
    let (instances, hours) = match kind {
        AppKind::Service => (replicas(checker, &fields, shown), None),
        AppKind::Workspace => (people(checker, &fields, shown), hours(&fields)),
    };
    let models = match kind {
        AppKind::Service => fields.record("models").map(|record| models::read(checker, &fields, record)),
        AppKind::Workspace => None,
    };
    let complete = complete && models != Some(None);
    let models = models.flatten();
    let app = App {
        name: shown.to_owned(),
        place: fields.place.clone(),
        kind,
        image: if kind == AppKind::Service { fields.text("image").map(str::to_owned) } else { None },
        port: match (kind, &models) {
            (AppKind::Service, Some(models)) => Some(models.server.http_port()),
            (AppKind::Service, None) => port(&fields),
            (AppKind::Workspace, _) => None,
        },
        mount: if kind == AppKind::Service { mount(checker, &fields, shown) } else { None },
        models,
        instances,
        hours,
        threads: fields.number("cpu").unwrap_or_default(),
        memory: Bytes(fields.number("memory").unwrap_or_default()),
        storage: Bytes(fields.number("storage").unwrap_or_default()),
        part,
        accelerators,
        availability: match kind {
            AppKind::Service => fields.limit("availability", fields.number("availability")),
            AppKind::Workspace => None,
        },
        buy: buy(checker, &fields, shown),
        sites: fields.names("site"),
    };
    (complete && name.is_some()).then_some(app)
}

fn replicas(checker: &Checker<'_>, fields: &Fields, name: &str) -> u32 {
    let text = format!("`{name}` has one replica");
    fields
        .small("replicas")
        .unwrap_or_else(|| super::plan::assumed(checker, fields, &fields.place, "replicas", 1, &text))
}

fn port(fields: &Fields) -> Option<u16> {
    fields.small("port").and_then(|port| u16::try_from(port).ok())
}

/// Returns the folder of its data; reports one that nothing is mounted at, and one that is no folder of a container.
fn mount(checker: &Checker<'_>, fields: &Fields, name: &str) -> Option<String> {
    let mount = fields.text("mount")?;
    let span = fields.place_of("mount").span();
    if fields.number("storage").unwrap_or_default() <= 0.0 {
        let found = checker.values.error(
            codes::CONTRADICTION,
            span,
            format!("`{name}` keeps no data, so that nothing is mounted at `{mount}`"),
        );
        checker.values.report(found.help("say how much it keeps, such as `storage = 100 GB`"));
    }
    let is_folder = mount.len() > 1 && mount.starts_with('/') && !mount.contains([':', ' ']);
    if !is_folder {
        let found =
            checker.values.error(codes::OUT_OF_RANGE, span, format!("`{mount}` is no folder of a container"));
        checker.values.report(found.help("write its whole path, such as `\"/var/lib/data\"`"));
    }
    Some(mount.to_owned())
}

fn people(checker: &Checker<'_>, fields: &Fields, name: &str) -> u32 {
    let text = format!("all of `{name}` work at once");
    let active = fields
        .number("active")
        .unwrap_or_else(|| super::plan::assumed(checker, fields, &fields.place, "active", 1.0, &text));
    let users = fields.number("users").unwrap_or_default();
    (users * active - 1e-9).ceil().max(0.0) as u32
}

fn hours(fields: &Fields) -> Option<DayHours> {
    match fields.get("hours").map(|given| &given.value) {
        Some(Stated::Hours(hours)) => Some(*hours),
        _ => None,
    }
}

/// Returns what one instance has of an accelerator; reports a partition that none of those allowed has.
fn part(checker: &Checker<'_>, fields: &Fields, accelerators: Option<&[String]>) -> Option<Slice> {
    let part = match fields.get("slice").map(|given| &given.value) {
        Some(Stated::Slice(part)) => part.clone(),
        _ => return fields.has("accelerator").then_some(Slice::Whole),
    };
    if let Slice::Profile { profile } = &part {
        let chips = allowed(checker.catalog, accelerators);
        let has_it = |chip: &&Accelerator| chip.slices.iter().any(|slice| slice.profile == *profile);
        if !chips.iter().any(has_it) {
            no_such_slice(checker, fields, profile, &chips);
        }
    }
    Some(part)
}

fn allowed<'a>(catalog: &'a Catalog, accelerators: Option<&[String]>) -> Vec<&'a Accelerator> {
    let named = |chip: &&Accelerator| accelerators.is_none_or(|names| names.contains(&chip.id));
    catalog.accelerators.iter().filter(named).collect()
}

fn no_such_slice(checker: &Checker<'_>, fields: &Fields, profile: &str, chips: &[&Accelerator]) {
    let named = match chips {
        [chip] => format!("`{}` has no partition `{profile}`", chip.id),
        _ => format!("no accelerator that is allowed has a partition `{profile}`"),
    };
    let found = checker.values.error(codes::NOT_A_CHOICE, fields.place_of("slice").span(), named);
    let with: Vec<&&Accelerator> = chips.iter().filter(|chip| !chip.slices.is_empty()).collect();
    let help = match with.as_slice() {
        [] => "it cannot be partitioned; write a share of its time, such as `slice = 25%`".to_owned(),
        [chip] => format!("its partitions are {}", profiles(chip).join(", ")),
        several => {
            let mut names: Vec<String> = several.iter().flat_map(|chip| profiles(chip)).collect();
            names.sort();
            names.dedup();
            format!("there are {}", names.join(", "))
        }
    };
    checker.values.report(found.help(help));
}

fn profiles(chip: &Accelerator) -> Vec<String> {
    chip.slices.iter().map(|slice| format!("`{}`", slice.profile)).collect()
}

impl Checker<'_> {
    /// Reads the name of a partition, or a share.
    pub(crate) fn slice(&self, row: &FieldRow, expr: &Expr) -> Option<Slice> {
        if let ExprKind::Text(profile) = &expr.kind {
            return Some(Slice::Profile { profile: profile.clone() });
        }
        let share = self.quantity(row.name, "25%", expr, &[Dimension::NONE])?;
        let bounds = Bounds::Within(0.01, 1.0);
        self.within(row.name, &share, bounds, expr.span).then_some(Slice::Share { share: share.value })
    }

    /// Reads `08:00 .. 18:00`.
    pub(crate) fn hours(&self, name: &str, expr: &Expr) -> Option<DayHours> {
        let wanted = "two times of day such as `08:00 .. 18:00`";
        let ExprKind::Range(from, until) = &expr.kind else {
            return self.wrong_kind(name, expr.span, wanted, "something else");
        };
        let minutes = |expr: &Expr| match self.values.evaluate(expr)? {
            Value::Time(time) => Some(time.hour() as u32 * 60 + time.minute() as u32),
            other => self.wrong_kind(name, expr.span, wanted, other.noun()),
        };
        let (from, until) = (minutes(from), minutes(until));
        let (from, until) = (from?, until?);
        // An end of midnight is that of the day.
        let until = if until == 0 { DAY } else { until };
        if from == until {
            let found = self.values.error(codes::OUT_OF_RANGE, expr.span, "the hours end as they begin");
            self.values.report(found.help(format!("leave `{name}` out where all hours are meant")));
            return None;
        }
        // A shift may reach past midnight.
        let until = if until < from { until + DAY } else { until };
        // Plans count whole hours: one that has begun is used.
        let from = from / 60;
        Some(DayHours { from, until: until.div_ceil(60).min(from + DAY / 60) })
    }
}
