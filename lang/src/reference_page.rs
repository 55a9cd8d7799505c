//! How does the reference of the language read?
//!
//! Written from the same tables that the checker uses, so that it cannot say anything else.

use std::fmt::Write;

use crate::check::KINDS;
use crate::check::table::{FieldRow, FieldType, LabelRule, Status, Table};

const HEAD: &str = "\
# The plan language: kinds and fields

Generated from the tables of the checker (`UPDATE=1 cargo test -p capstan-lang`); do not edit.

`=` states a fact, `<=` and `>=` state a limit, `in` states a choice. What is left out is decided by the
planner or has the default given here, which is then listed under the assumptions of the plan. Fields and
kinds that are *not planned yet* are understood and refused with E0900, so that nothing is silently ignored.
";

/// Returns `docs/language.md`.
pub fn language_reference() -> String {
    let mut page = HEAD.to_owned();
    let mut later = Vec::new();
    for table in KINDS {
        match table.status {
            Status::Used => kind(&mut page, table, 2, &mut Vec::new(), " "),
            Status::NotYet => later.push(*table),
        }
    }
    page.push_str("\n## Not planned yet\n\n");
    for table in later {
        push(&mut page, format_args!("- `{}`: {}\n", table.kind, table.says));
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
    let refused = table.blocks.iter().filter(|block| block.status == Status::NotYet);
    let refused: Vec<String> = refused.map(|block| format!("`{}`", block.kind)).collect();
    if !refused.is_empty() {
        push(page, format_args!("\nBlocks that are not planned yet: {}.\n", refused.join(", ")));
    }
    for block in table.blocks.iter().filter(|block| block.status == Status::Used) {
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
