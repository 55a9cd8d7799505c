//! How does the reference of the language read?
//!
//! Written from the same tables that the checker uses, so that it cannot say anything else.

use std::fmt::Write;

use crate::check::KINDS;
use crate::check::rule::METRICS;
use crate::check::table::{FieldRow, FieldType, LabelRule, Status, Table};

const HEAD: &str = "\
# The plan language: kinds and fields

Generated from the tables of the checker (`UPDATE=1 cargo test -p capstan-lang`); do not edit.

`=` states a fact, `<=` and `>=` state a limit, `in` states a choice. What is left out is decided by the
planner or has the default given here, which is then listed under the assumptions of the plan. Fields and
kinds that are *not planned yet* are understood and refused with E0900, so that nothing is silently ignored.
";

/// What holds for every kind.
const TEXT: &str = r#"
## The text of a plan

A file is UTF-8; a line or a comma ends a field, and `#` begins a comment that goes to the end of its line. `capstan fmt` writes the
one canonical form, `capstan explain E0101` tells more of a mistake.

| written | says |
|---|---|
| `param peak = 40 req/s` | a value with a name, which `--set peak="80 req/s"` and scenarios may change |
| `let nodes = 2 * 8` | a value with a name |
| `use catalog "own.toml" as own` | rows of a file beside the built-in catalog: `own.NAME`; without `as`, they replace rows of the same name |
| `use prices "prices.toml"` | dated prices and rates of currencies, in the form of `catalogs/offerings/` |
| `require cheap: chat.cost / chat.tokens <= 2 USD/Mtok else "too dear"` | a rule of a `budget`: the plan must keep it (exit 3); `prefer` and `warn` only tell |
| `set hall.power *= 1.2` | a change in a `scenario` |
| `site in [hall, use1]` | where a workload, and so its data, may be |
| `accelerator in [h100_sxm, l40s]` | a choice; names are those of `capstan catalog list`, as identifiers or, in quotes, as people know them |

Amounts have units, with or without a blank before them: `900 GB/s`, `38%`, `6 %/mo`, `$2.50/GPU/h`. `GB` is 10⁹ bytes and `GiB` 2³⁰; months
and years are calendar durations on a date, and 730 h and 8,760 h in a rate. Units: `ns us ms s min h d mo y`, `B` and `bit`, `W Wh`, `tok
req param FLOP`, `GPU node U user meter K IO`, and currencies (`USD EUR …`; `$ € £ ¥`), with the prefixes `k M G T P` and, of bytes, `Ki Mi Gi Ti Pi`.
Dates are `2027-01-31`, times `14:00`, ranges `2027-01-01 .. 2027-12-31`. Expressions have `+ - * /`, comparisons, `and or not`, parentheses.
Prices in another currency than the plan's need a dated rate in the file of `use prices`:

```toml
[[rate]]
of = "USD"
in = "EUR"
rate = 0.92
source = "European Central Bank"
as_of = "2026-08-20"
grade = "data_sheet"
```

A pair of currencies may have a row for each of several dates: the newest that is not after the planning date counts.
"#;

/// Returns `docs/language.md`.
pub fn language_reference() -> String {
    let mut page = HEAD.to_owned();
    page.push_str(TEXT);
    let metrics: Vec<String> = METRICS.iter().map(|row| format!("`{}`", row.0)).collect();
    push(
        &mut page,
        format_args!(
            "\nMetrics of rules: {}, alone for the whole plan, or of a workload (`chat.cost`) or a site (`hall.power`).\n",
            metrics.join(", ")
        ),
    );
    for table in KINDS {
        kind(&mut page, table, 2, &mut Vec::new(), " ");
    }
    page
}

/// Writing to a string cannot fail.
fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = page.write_fmt(text);
}

/// Writes a kind, then the blocks and records in it. `path` holds the kinds around it, `joint` stands before its brace.
fn kind(page: &mut String, table: &'static Table, level: usize, path: &mut Vec<&'static str>, joint: &str) {
    let marks = "#".repeat(level);
    path.push(table.kind);
    let title = path.join(" · ");
    push(page, format_args!("\n{marks} `{title}`\n\n{}", table.says));
    match table.label {
        LabelRule::Name => push(page, format_args!(" Written `{} NAME {{ … }}`.", table.kind)),
        LabelRule::Word(words) => push(page, format_args!(" Its name is one of `{}`.", words.join("`, `"))),
        LabelRule::None => push(page, format_args!(" Written `{}{joint}{{ … }}`.", table.kind)),
    }
    if table.rules {
        page.push_str(" It may hold rules: `require`, `prefer`, `warn`.");
    }
    if table.sets {
        page.push_str(" It may hold changes: `set PATH = VALUE`, also with `*=` and `+=`.");
    }
    page.push('\n');
    fields(page, table);
    for block in table.blocks {
        kind(page, block, level + 1, path, " ");
    }
    for row in table.fields {
        if let FieldType::Record(record) = row.takes {
            kind(page, record, level + 1, path, " = ");
        }
    }
    path.pop();
}

fn fields(page: &mut String, table: &Table) {
    let (used, later): (Vec<&FieldRow>, Vec<&FieldRow>) =
        table.fields.iter().partition(|row| row.status == Status::Used);
    if !used.is_empty() {
        page.push_str(
            "\n| field | with | takes | default | meaning | example |\n|---|---|---|---|---|---|\n",
        );
    }
    for row in used {
        let with: Vec<String> = row.operators.iter().map(|op| format!("`{}`", op.word())).collect();
        let default = if row.needed { "needed" } else { row.default };
        push(
            page,
            format_args!(
                "| `{}` | {} | {} | {default} | {} | `{} {}` |\n",
                row.name,
                with.join(", "),
                row.takes.words(),
                row.meaning,
                row.name,
                row.examples[0],
            ),
        );
    }
    let later: Vec<String> = later.iter().map(|row| format!("`{}`", row.name)).collect();
    if !later.is_empty() {
        push(page, format_args!("\nNot planned yet: {}.\n", later.join(", ")));
    }
}
