//! The validation as a document.

use capstan_report::{Block, Document, Table};
use capstan_sim::fit::knobs::knobs;
use capstan_sim::fit::score::Score;
use capstan_sim::fit::validation::Validated;
use capstan_sim::tables::Kind;
use capstan_types::catalog::Catalog;

const WHAT: &str = "Every prediction of `capstan estimate --table` beside what was measured. An error is \
    |predicted / measured − 1|; bias is the median of predicted / measured, less 1; coverage is the share of \
    measurements inside the 90 % interval; order is the share of pairs between which a planner chooses (same model and \
    load, other accelerator or parallelism, measurements that differ by more than repeats do) that come out right. \
    A cell is one (model, accelerator, engine, precision). The baseline is the median that the neighbours measured: \
    rows of other cells under the same conditions. This page is what `capstan validate --output markdown` writes.";

const LEFT: &str = "Left out: the factors between kernels and steps are fitted without the cell, model, engine, \
    accelerator or precision that is predicted. What was chosen with all cells in view, the structure of the model, is \
    not, so expect new options of engines to be worse than any line here. Kernel curves come from kernel tables, which \
    no serving measurement touches. Factors of training rest on its three tables together.";

/// What other programs publish, or reached on the same rows: (program, figure, source).
const OTHERS: [(&str, &str, &str); 4] = [
    (
        "AIConfigurator 0.8.0",
        "time per output token 12.4 %, rows priced 59 %",
        "run on the rows of serving_latency",
    ),
    ("AIConfigurator 0.8.0", "time to first token 44.1 %", "run on the rows of serving_latency"),
    (
        "Calculon",
        "training step 11.7 % on SC'21 table 1, 27.1 % on Megatron-LM with H100",
        "run, commit caa4b11f",
    ),
    (
        "constant TFLOP/s",
        "training 15.8 % with the cell left out",
        "neighbours of the same GPU, precision and kind",
    ),
];

/// Returns the page.
pub fn document(validated: &[Validated], catalog: &Catalog) -> Document {
    let mut document = Document { title: "Validation".into(), blocks: Vec::new() };
    document.blocks.push(Block::Paragraph(WHAT.into()));
    document.section("All tables", [Block::Table(summary(validated)), Block::Paragraph(LEFT.into())]);
    document.section("Other programs", [Block::Table(others())]);
    for one in validated {
        let mut blocks = vec![Block::Paragraph(counts(one).into()), Block::Table(strata(one))];
        blocks.extend(chosen(one).map(|words| Block::Paragraph(words.into())));
        document.section(one.table, blocks);
    }
    document.section("Fitted factors", [Block::Table(factors(catalog))]);
    document.section("Residuals behind the intervals", [Block::Table(residuals(catalog))]);
    document
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn maybe(share: Option<f64>) -> String {
    share.map_or("–".to_owned(), percent)
}

const TITLES: [&str; 10] = [
    "Quantity",
    "Fitted without",
    ">Rows",
    ">Priced",
    ">Median",
    ">90th",
    ">Bias",
    ">Coverage",
    ">Order",
    ">Baseline",
];

fn line(score: &Score, first: &str, second: &str) -> Vec<capstan_report::Cell> {
    [
        first.to_owned(),
        second.to_owned(),
        score.measured.to_string(),
        score.priced.to_string(),
        percent(score.median),
        percent(score.p90),
        format!("{:+.1} %", score.bias * 100.0),
        maybe(score.covered),
        maybe(score.ordered.map(|(_, share)| share)),
        maybe(score.baseline),
    ]
    .into_iter()
    .map(Into::into)
    .collect()
}

fn summary(validated: &[Validated]) -> Table {
    let mut table = Table::new(&TITLES);
    for one in validated {
        let all = |scores: &[Score]| -> Vec<Score> {
            scores.iter().filter(|score| score.stratum == "all").cloned().collect()
        };
        for score in all(&one.in_sample) {
            let name = format!("{} {}", one.table, score.quantity);
            table.rows.push(line(&score, &name, "nothing"));
            for (left, scores) in &one.left_out {
                let same = scores.iter().find(|s| s.quantity == score.quantity && s.stratum == "all");
                table.rows.extend(same.map(|score| line(score, &name, left)));
            }
        }
    }
    table
}

fn others() -> Table {
    let mut table = Table::new(&["Program", "Median error", "How"]);
    table.rows = OTHERS.iter().map(|&(a, b, c)| vec![a.into(), b.into(), c.into()]).collect();
    table
}

fn counts(one: &Validated) -> String {
    let rejected: usize = one.rejections.values().sum();
    let priced = percent(1.0 - rejected as f64 / one.rows.max(1) as f64);
    let mut words = format!("{} rows, {priced} priced.", one.rows);
    for (reason, rows) in &one.rejections {
        words += &format!(" {rows}: {reason}.");
    }
    words
}

/// Strata of a table: with the cell left out where something was fitted, else as predicted.
fn strata(one: &Validated) -> Table {
    let mut titles = TITLES;
    titles[1] = "Rows with";
    let mut table = Table::new(&titles);
    let cell = one.left_out.iter().find(|(left, _)| *left == "cell");
    let scores = cell.map_or(&one.in_sample, |(_, scores)| scores);
    let rows = scores.iter().filter(|score| score.stratum != "all");
    table.rows = rows.map(|score| line(score, score.quantity, &score.stratum)).collect();
    table
}

fn chosen(one: &Validated) -> Option<String> {
    let best = one.best_degree?;
    Some(format!(
        "Of {} groups of rows that differ in their tensor-parallel degree alone, the degree that is predicted to be best \
         measured within 5 % of the best rate per accelerator in {}.",
        best.groups,
        percent(best.near)
    ))
}

fn factors(catalog: &Catalog) -> Table {
    let mut table = Table::new(&["Factor", ">Prior", ">Spread", ">Value", ">Cells"]);
    for knob in Kind::ALL.into_iter().flat_map(knobs) {
        let row = catalog.coefficients.iter().find(|row| row.name == knob.name);
        let short = capstan_sim::fit::text::short;
        let cells = row.map_or("–".to_owned(), |row| row.cells.to_string());
        let spread = format!("{:.2}", knob.spread);
        let cells = [knob.name.to_owned(), short(knob.prior), spread, short(knob.value(catalog)), cells];
        table.rows.push(cells.into_iter().map(Into::into).collect());
    }
    table
}

fn residuals(catalog: &Catalog) -> Table {
    let mut table =
        Table::new(&["Table", "Quantity", "Stratum", ">5 % below", ">5 % above", ">Cells", ">Rows"]);
    for row in &catalog.residuals {
        let number = |value: f64| format!("{value:.2}");
        let cells = [
            row.table.clone(),
            row.quantity.clone(),
            row.stratum.clone(),
            number(row.low),
            number(row.high),
            row.cells.to_string(),
            row.rows.to_string(),
        ];
        table.rows.push(cells.into_iter().map(Into::into).collect());
    }
    table
}
