//! How long does a step take, by measured operator tables? The tables of one Vidur run, and its formula.
//!
//! Formula and table layout: data/vidur-profiles/README.md, "op-tables". Times in the tables are milliseconds for one
//! layer. Beyond its last row or column a table keeps its last value; [`OperatorTables::covers`] says whether that
//! would happen.

use std::str::FromStr;

use super::step::{Batch, StepTime};

/// Nanoseconds in a millisecond.
const NS_PER_MS: f64 = 1e6;
/// Vidur looks token counts up at multiples of 8.
const TOKEN_GRAIN: u32 = 8;
/// Milliseconds that Vidur adds to every all-reduce (`nccl_cpu_launch_overhead_ms`).
const ALL_REDUCE_LAUNCH_MS: f64 = 0.02;
/// Vidur's factor on attention with grouped queries when more than one request of a kind is in the batch.
const GROUPED_QUERY_FACTOR: f64 = 1.1;

/// The texts of the three tables, CSV with a header.
#[derive(Debug, Clone, Copy)]
pub struct TableTexts<'a> {
    /// `num_tokens` and one column `<operator>_ms` for each operator.
    pub by_tokens: &'a str,
    /// `batch_size,kv_cache_size,ms`.
    pub attn_decode: &'a str,
    /// `kv_cache_size,chunk,ms`.
    pub attn_prefill: &'a str,
}

/// The model that runs on the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layers {
    /// Layers of one pipeline stage.
    pub per_stage: u32,
    /// Whether several query heads share a KV head.
    pub grouped_query: bool,
}

/// Why texts are no operator tables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// A column is not there.
    #[error("the table `{table}` has no column `{column}`")]
    MissingColumn {
        /// Which table.
        table: &'static str,
        /// Which column.
        column: &'static str,
    },
    /// A cell is missing, is no number, or is negative.
    #[error("line {line} of the table `{table}` has no usable `{column}`")]
    BadCell {
        /// Which table.
        table: &'static str,
        /// Which line, from 1, the header included.
        line: usize,
        /// Which column.
        column: &'static str,
    },
    /// Rows are missing, doubled, too many, or not on a regular grid.
    #[error("the table `{0}` is no complete grid")]
    NotAGrid(&'static str),
}

/// The operator tables of one configuration, ready for look-up.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorTables {
    /// Nanoseconds of all but attention for one stage, by tokens / 8 rounded up.
    by_octet: Vec<f64>,
    /// Nanoseconds of saving keys and values for one stage, by tokens.
    save: Vec<f64>,
    /// Nanoseconds of handing on to the next stage, by tokens / 8 rounded up.
    send: Vec<f64>,
    decode: Grid,
    prefill: Grid,
    multiple: f64,
}

/// A dense table over (row, column), in nanoseconds for one stage.
#[derive(Debug, Clone, PartialEq)]
struct Grid {
    columns: usize,
    values: Vec<f64>,
}

impl Grid {
    fn at(&self, row: usize, column: usize) -> f64 {
        let row = row.min(self.values.len() / self.columns - 1);
        self.values[row * self.columns + column.min(self.columns - 1)]
    }
}

impl OperatorTables {
    /// Reads the tables.
    pub fn parse(texts: &TableTexts<'_>, layers: Layers) -> Result<OperatorTables, TableError> {
        let scale = NS_PER_MS * f64::from(layers.per_stage);
        let tokens = Tokens::parse(texts.by_tokens)?;
        let octets = tokens.rows.len() / TOKEN_GRAIN as usize;
        let by_octet = |ms: &dyn Fn(usize) -> f64| {
            (0..=octets).map(|octet| ms((octet * TOKEN_GRAIN as usize).max(1) - 1)).collect::<Vec<f64>>()
        };
        let decode = Rows::parse("attn_decode", texts.attn_decode, ["batch_size", "kv_cache_size", "ms"])?;
        let prefill = Rows::parse("attn_prefill", texts.attn_prefill, ["kv_cache_size", "chunk", "ms"])?;
        Ok(OperatorTables {
            by_octet: by_octet(&|row| tokens.step_ms(row) * scale),
            save: std::iter::once(0.0).chain(tokens.rows.iter().map(|row| row[SAVE] * scale)).collect(),
            send: by_octet(&|row| tokens.rows[row][SEND] * NS_PER_MS),
            decode: decode.grid("attn_decode", (1, 1), (0, Batch::KV_GRAIN), scale)?,
            prefill: prefill.grid("attn_prefill", (0, Batch::KV_GRAIN), (1, 1), scale)?,
            multiple: if layers.grouped_query { GROUPED_QUERY_FACTOR } else { 1.0 },
        })
    }

    /// Says whether a step of so many tokens, decodes and KV tokens per sequence lies inside the tables.
    pub fn covers(&self, tokens: u32, decodes: u32, context: u32) -> bool {
        let grain = Batch::KV_GRAIN as usize;
        (tokens as usize) < self.save.len()
            && decodes as usize <= self.decode.values.len() / self.decode.columns
            && (context as usize).div_ceil(grain) < self.decode.columns
    }
}

impl StepTime for OperatorTables {
    fn nanoseconds(&self, batch: &Batch) -> f64 {
        let octet = (batch.tokens().div_ceil(TOKEN_GRAIN) as usize).min(self.by_octet.len() - 1);
        let mut ns = self.by_octet[octet] + self.save[(batch.tokens() as usize).min(self.save.len() - 1)];
        if batch.decodes > 0 {
            let mean = batch.decode_kv / u64::from(batch.decodes);
            let column = mean.div_ceil(u64::from(Batch::KV_GRAIN)) as usize;
            let factor = if batch.decodes > 1 { self.multiple } else { 1.0 };
            ns += self.decode.at(batch.decodes as usize - 1, column) * factor;
        }
        if batch.prefills > 0 {
            let chunk = (batch.prefill_squares as f64).sqrt().round_ties_even() as usize;
            let row = (batch.prefill_kv_rounded / u64::from(Batch::KV_GRAIN)) as usize;
            let factor = if batch.prefills > 1 { self.multiple } else { 1.0 };
            ns += self.prefill.at(row, chunk.max(1) - 1) * factor;
        }
        ns
    }

    fn stage_nanoseconds(&self, batch: &Batch, last: bool) -> f64 {
        let octet = (batch.tokens().div_ceil(TOKEN_GRAIN) as usize).min(self.send.len() - 1);
        self.nanoseconds(batch) + if last { 0.0 } else { self.send[octet] }
    }
}

/// Columns of `by_tokens`; a table without one of the optional ones has zeros there.
const COLUMNS: [&str; 12] = [
    "attn_pre_proj_ms",
    "attn_post_proj_ms",
    "attn_rope_ms",
    "input_layernorm_ms",
    "mlp_up_proj_ms",
    "mlp_down_proj_ms",
    "mlp_act_ms",
    "post_attention_layernorm_ms",
    "add_ms",
    "attn_kv_cache_save_ms",
    "all_reduce_ms",
    "send_recv_ms",
];
/// The first columns are simply added.
const N_SUMMED: usize = 9;
const SAVE: usize = 9;
const ALL_REDUCE: usize = 10;
const SEND: usize = 11;

/// The table by tokens: row i is for i + 1 tokens.
struct Tokens {
    rows: Vec<[f64; COLUMNS.len()]>,
    communicates: bool,
}

impl Tokens {
    fn parse(text: &str) -> Result<Tokens, TableError> {
        let table = "by_tokens";
        let mut lines = text.lines().enumerate();
        let header: Vec<&str> =
            lines.next().map_or(vec![], |(_, line)| line.split(',').map(str::trim).collect());
        let places = COLUMNS.map(|column| header.iter().position(|name| *name == column));
        if let Some(index) = places[..N_SUMMED].iter().position(Option::is_none) {
            return Err(TableError::MissingColumn { table, column: COLUMNS[index] });
        }
        let count = header.iter().position(|name| *name == "num_tokens");
        let count = count.ok_or(TableError::MissingColumn { table, column: "num_tokens" })?;
        let mut rows = Vec::new();
        for (index, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let cells: Vec<&str> = line.split(',').collect();
            let bad = |column| TableError::BadCell { table, line: index + 1, column };
            if cell::<usize>(&cells, count).ok_or(bad("num_tokens"))? != rows.len() + 1 {
                return Err(TableError::NotAGrid(table));
            }
            let mut row = [0.0; COLUMNS.len()];
            for ((value, column), place) in row.iter_mut().zip(COLUMNS).zip(places) {
                if let Some(place) = place {
                    *value = milliseconds(&cells, place).ok_or(bad(column))?;
                }
            }
            rows.push(row);
        }
        if rows.len() < TOKEN_GRAIN as usize {
            return Err(TableError::NotAGrid(table));
        }
        let communicates = rows.iter().any(|row| row[ALL_REDUCE] != 0.0);
        Ok(Tokens { rows, communicates })
    }

    /// Returns the milliseconds of a layer without attention proper.
    fn step_ms(&self, row: usize) -> f64 {
        let row = &self.rows[row];
        let all_reduce = if self.communicates { row[ALL_REDUCE] + ALL_REDUCE_LAUNCH_MS } else { 0.0 };
        row[..N_SUMMED].iter().sum::<f64>() + 2.0 * all_reduce
    }
}

/// A table of (row key, column key, milliseconds).
struct Rows(Vec<(u32, u32, f64)>);

impl Rows {
    fn parse(table: &'static str, text: &str, columns: [&'static str; 3]) -> Result<Rows, TableError> {
        let mut lines = text.lines().enumerate();
        let header: Vec<&str> =
            lines.next().map_or(vec![], |(_, line)| line.split(',').map(str::trim).collect());
        let mut places = [0; 3];
        for (place, column) in places.iter_mut().zip(columns) {
            let found = header.iter().position(|name| *name == column);
            *place = found.ok_or(TableError::MissingColumn { table, column })?;
        }
        let mut rows = Vec::new();
        for (index, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let cells: Vec<&str> = line.split(',').collect();
            let bad = |column| TableError::BadCell { table, line: index + 1, column };
            let row = cell(&cells, places[0]).ok_or(bad(columns[0]))?;
            let column = cell(&cells, places[1]).ok_or(bad(columns[1]))?;
            rows.push((row, column, milliseconds(&cells, places[2]).ok_or(bad(columns[2]))?));
        }
        Ok(Rows(rows))
    }

    /// Puts the rows on a grid; keys run from a start in steps, and every cell is given exactly once.
    fn grid(
        self,
        table: &'static str,
        row: (u32, u32),
        column: (u32, u32),
        scale: f64,
    ) -> Result<Grid, TableError> {
        let place = |key: u32, (start, step): (u32, u32)| {
            let offset = key.checked_sub(start)?;
            (offset % step == 0).then_some((offset / step) as usize)
        };
        let broken = TableError::NotAGrid(table);
        let last = |key: fn(&(u32, u32, f64)) -> u32, axis| {
            self.0.iter().map(key).max().and_then(|k| place(k, axis))
        };
        let n_rows = last(|r| r.0, row).ok_or(broken.clone())? + 1;
        let columns = last(|r| r.1, column).ok_or(broken.clone())? + 1;
        if n_rows.checked_mul(columns) != Some(self.0.len()) {
            return Err(broken);
        }
        let mut values = vec![f64::NAN; self.0.len()];
        for (row_key, column_key, ms) in self.0 {
            let (Some(r), Some(c)) = (place(row_key, row), place(column_key, column)) else {
                return Err(broken);
            };
            values[r * columns + c] = ms * scale;
        }
        if values.iter().any(|value| value.is_nan()) { Err(broken) } else { Ok(Grid { columns, values }) }
    }
}

fn cell<T: FromStr>(cells: &[&str], place: usize) -> Option<T> {
    cells.get(place)?.trim().parse().ok()
}

fn milliseconds(cells: &[&str], place: usize) -> Option<f64> {
    cell(cells, place).filter(|ms: &f64| ms.is_finite() && *ms >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_tokens(n: u32, all_reduce: f64) -> String {
        let mut text = format!("num_tokens,{}\n", COLUMNS.join(","));
        for tokens in 1..=n {
            text += &format!("{tokens},1,1,1,1,1,1,1,1,1,0.5,{all_reduce},0.25\n");
        }
        text
    }

    const DECODE: &str = "batch_size,kv_cache_size,ms\n1,0,0.1\n1,64,0.2\n2,0,0.3\n2,64,0.4\n";
    const PREFILL: &str = "kv_cache_size,chunk,ms\n0,1,1\n0,2,2\n64,1,3\n64,2,4\n";

    fn parse(tokens: &str, decode: &str, prefill: &str) -> Result<OperatorTables, TableError> {
        let texts = TableTexts { by_tokens: tokens, attn_decode: decode, attn_prefill: prefill };
        OperatorTables::parse(&texts, Layers { per_stage: 2, grouped_query: true })
    }

    #[test]
    fn a_step_is_the_sum_that_the_formula_says() {
        let tables = parse(&by_tokens(16, 0.08), DECODE, PREFILL).unwrap();
        let decodes = Batch { decodes: 2, decode_kv: 3, ..Batch::default() };
        // Two layers of: nine operators of 1 ms, saving 0.5 ms, two all-reduces of 0.08 + 0.02 ms, attention × 1.1.
        let expect = 2.0 * (9.0 + 0.5 + 0.2 + 0.4 * 1.1) * NS_PER_MS;
        assert!((tables.nanoseconds(&decodes) - expect).abs() < 1e-3);
        assert!((tables.stage_nanoseconds(&decodes, false) - expect - 0.25 * NS_PER_MS).abs() < 1e-3);
        let mut prompt = Batch::default();
        prompt.add_prefill(1, 2, true);
        assert!((tables.nanoseconds(&prompt) - 2.0 * (9.0 + 0.5 + 0.2 + 4.0) * NS_PER_MS).abs() < 1e-3);
    }

    #[test]
    fn a_table_of_zero_all_reduces_means_no_communication() {
        let tables = parse(&by_tokens(16, 0.0), DECODE, PREFILL).unwrap();
        let one = Batch { decodes: 1, decode_kv: 1, ..Batch::default() };
        assert!((tables.nanoseconds(&one) - 2.0 * (9.0 + 0.5 + 0.2) * NS_PER_MS).abs() < 1e-3);
    }

    #[test]
    fn broken_tables_are_refused_with_their_place() {
        let tokens = by_tokens(8, 0.0);
        let missing = tokens.replace("mlp_act_ms", "mlp_fact_ms");
        let column = "mlp_act_ms";
        assert_eq!(
            parse(&missing, DECODE, PREFILL),
            Err(TableError::MissingColumn { table: "by_tokens", column })
        );
        let cell = DECODE.replace("0.3", "fast");
        let bad = TableError::BadCell { table: "attn_decode", line: 4, column: "ms" };
        assert_eq!(parse(&tokens, &cell, PREFILL), Err(bad));
        for decode in
            [DECODE.replace("2,64", "2,65"), DECODE.replace("2,64,0.4\n", ""), DECODE.replace("2,0", "2,64")]
        {
            assert_eq!(
                parse(&tokens, &decode, PREFILL),
                Err(TableError::NotAGrid("attn_decode")),
                "{decode}"
            );
        }
        assert!(parse("", "", "").is_err());
    }

    #[test]
    fn what_lies_beyond_the_tables_is_said() {
        let tables = parse(&by_tokens(16, 0.0), DECODE, PREFILL).unwrap();
        assert!(tables.covers(16, 2, 64));
        assert!(!tables.covers(17, 2, 64) && !tables.covers(16, 3, 64) && !tables.covers(16, 2, 65));
    }
}
