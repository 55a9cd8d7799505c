//! Rows of measured training throughput: which are sense, and how far predictions of their job were off.
//!
//! The mean logarithm of measured / predicted is shrunk by how much runs of one job differ among themselves against how
//! much jobs differ from each other. One point of a mixture of experts says nearly all, one of a dense model little; a
//! point of another model says nothing at all (data of 272 published runs).

use super::{NINETY, Shown};
use crate::perf::training::known::{Family, OWN, QUANTITY};
use crate::tables::row::{self, Columns};
use crate::tables::{Kind, Names, Row, ask, training_job};
use capstan_types::catalog::{Catalog, Residual};
use capstan_types::origin::Provenance;
use std::collections::BTreeMap;
use std::io::Read;

/// Columns that hold what was measured: seconds of a step, or tokens per second and accelerator.
pub const TRAINING_MEASURED: [&str; 2] = ["step_time_s", "tokens_s_gpu"];

/// A measurement this many times its prediction, or that fraction, is of something else.
const SAME: f64 = 8.0;
/// Tokens that a rate and a time of one row say of the same step differ by rounding (published rows: 0.004 %).
const ROUNDED: f64 = 0.02;

/// How runs of one job differ among themselves, and jobs from each other, as standard deviations of logarithms.
fn spreads(family: &str) -> (f64, f64) {
    match family {
        "MoE" => (0.16, 0.36),
        "adapters" => (0.04, 0.08),
        _ => (0.038, 0.022),
    }
}

/// One job of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedJob {
    /// The correction, as a row of a catalog.
    pub row: Residual,
    /// Measurements.
    pub rows: usize,
    /// Median error before.
    pub before: f64,
    /// And after, each measurement predicted from the others of its job; `None` with fewer than two.
    pub after: Option<f64>,
}

/// What came of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// One per job, in order of names.
    pub jobs: Vec<TrainedJob>,
    /// Rows that are not used.
    pub refused: Vec<Shown>,
    /// Rows of the file.
    pub rows: usize,
}

/// Reads a table of measured training throughput.
///
/// # Errors
/// Where the text is no CSV, or lacks a column.
pub fn training(table: impl Read, catalog: &Catalog, provenance: &Provenance) -> Result<Trained, String> {
    // Corrections that are already there would be measured against themselves.
    let mut plain = catalog.clone();
    plain.residuals.retain(|row| row.table != OWN);
    let names = Names::new(&plain);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(table);
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    let header: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
    let has = |name: &&str| header.iter().any(|known| known == name);
    let missing: Vec<&str> =
        Kind::TrainingThroughput.columns().iter().copied().filter(|name| !has(name)).collect();
    if !missing.is_empty() {
        return Err(format!("the column {} is missing", missing.join(", ")));
    }
    let (mut jobs, mut refused, mut rows) = (BTreeMap::<String, Vec<f64>>::new(), Vec::new(), 0);
    for record in reader.byte_records() {
        let record = record.map_err(|error| error.to_string())?;
        rows += 1;
        let line = record.position().map_or(0, csv::Position::line);
        let record = match row::text(&record) {
            Ok(record) => record,
            Err(error) => {
                refused.push(Shown { line, reason: error.to_string() });
                continue;
            }
        };
        let cells: Vec<(&str, String)> =
            header.iter().zip(&record).map(|(name, cell)| (name.as_str(), cell.to_owned())).collect();
        let whole = if record.len() == header.len() {
            Ok(())
        } else {
            Err(format!("has {} cells where the header has {}", record.len(), header.len()))
        };
        match whole.and_then(|()| measured(&cells, &names)) {
            Ok((job, log)) => jobs.entry(job).or_default().push(log),
            Err(reason) => refused.push(Shown { line, reason }),
        }
    }
    let jobs = jobs.into_iter().map(|(job, logs)| summed(job, &logs, provenance)).collect();
    Ok(Trained { jobs, refused, rows })
}

/// Returns the job of a row, and the logarithm of measured over predicted time.
fn measured(cells: &[(&str, String)], names: &Names<'_>) -> Result<(String, f64), String> {
    let priced = ask(Kind::TrainingThroughput, cells, names).map_err(|error| error.to_string())?;
    let number = |column: &str| {
        let text = &cells.iter().find(|(name, _)| *name == column)?.1;
        text.trim().parse::<f64>().ok().filter(|value| value.is_finite() && *value > 0.0)
    };
    let step = number(TRAINING_MEASURED[0]).zip(priced.number("predicted_step_time_s"));
    let rate = number(TRAINING_MEASURED[1]).zip(priced.number("predicted_tokens_s_gpu"));
    let ratios = step.zip(rate).map(|((step, of_step), (rate, of_rate))| (step / of_step, of_rate / rate));
    if let Some((by_step, by_rate)) = ratios.filter(|(step, rate)| (step / rate - 1.0).abs() > ROUNDED) {
        return Err(format!(
            "step_time_s says {by_step:.2} times what is predicted and tokens_s_gpu {by_rate:.2} times: one of them is wrong"
        ));
    }
    let ratio = match (step, rate) {
        (Some((measured, predicted)), _) => measured / predicted,
        (None, Some((measured, predicted))) => predicted / measured,
        (None, None) => return Err("there is neither a time of a step nor a rate".to_owned()),
    };
    let header: csv::StringRecord = cells.iter().map(|(name, _)| *name).collect();
    let record: csv::StringRecord = cells.iter().map(|(_, cell)| cell.as_str()).collect();
    let columns = Columns::new(&header);
    let job = training_job(&Row::new(&columns, &record), names).map_err(|error| error.to_string())?;
    let reached = priced.number("predicted_tflops_gpu").unwrap_or(0.0) * 1e12 / ratio;
    if reached > job.peak {
        return Err(format!(
            "{:.0} TFLOP/s are more than the {:.0} that {} can do in {}",
            reached / 1e12,
            job.peak / 1e12,
            job.accelerator,
            job.asked.word()
        ));
    }
    if !(1.0 / SAME..=SAME).contains(&ratio) {
        return Err(format!("takes {ratio:.2} times what is predicted: is it this model, and these units?"));
    }
    let family: Family = job.family;
    let name = format!("{} {} {} {}", family.word(), job.model, job.accelerator, job.precision.word());
    Ok((name, libm::log(ratio)))
}

/// Returns the mean of some logarithms, shrunk, and the standard deviation around it of one more: what is usual, or that
/// of these where it is more.
fn shrunk(family: &str, logs: &[f64]) -> (f64, f64) {
    let (within, between) = spreads(family);
    let (n, k) = (logs.len() as f64, within * within / (between * between));
    let mean = logs.iter().sum::<f64>() / n.max(1.0);
    // Among themselves: that the mean is drawn towards none is no contradiction.
    let around = logs.iter().map(|log| (log - mean) * (log - mean)).sum::<f64>() / n.max(1.0);
    (mean * n / (n + k), (within * (1.0 + 1.0 / (n + k)).sqrt()).max(around.sqrt()))
}

fn summed(job: String, logs: &[f64], provenance: &Provenance) -> TrainedJob {
    let family = job.split(' ').next().unwrap_or_default();
    let (mean, deviation) = shrunk(family, logs);
    let error = |log: f64| (libm::exp(-log) - 1.0).abs();
    let without = |place: usize| {
        let others: Vec<f64> =
            logs.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, log)| *log).collect();
        error(logs[place] - shrunk(family, &others).0)
    };
    let after = (logs.len() > 1).then(|| super::median((0..logs.len()).map(without).collect())).flatten();
    let row = Residual {
        table: OWN.to_owned(),
        quantity: QUANTITY.to_owned(),
        stratum: job.clone(),
        low: libm::exp(mean - NINETY * deviation),
        high: libm::exp(mean + NINETY * deviation),
        cells: 1,
        rows: logs.len() as u32,
        provenance: provenance.clone(),
    };
    let before = super::median(logs.iter().map(|log| error(*log)).collect()).unwrap_or(0.0);
    TrainedJob { row, rows: logs.len(), before, after }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing;

    const HEAD: &str = "model,gpu,n_gpus,gbs,mbs,seq,precision,tp,pp,tokens_s_gpu\n";

    fn read(rows: &str) -> Trained {
        let catalog = testing::catalog();
        training(format!("{HEAD}{rows}").as_bytes(), &catalog, &testing::provenance()).unwrap()
    }

    #[test]
    fn one_point_of_a_mixture_says_nearly_all_and_one_of_a_dense_model_little() {
        let dense = read("llama3_1_70b,h100_sxm,64,128,1,8192,FP8,4,4,1000\n");
        let mixture = read("mixtral_8x7b,h100_sxm,64,256,1,4096,BF16,2,4,6000\n");
        let moved = |trained: &Trained| {
            let [job] = &trained.jobs[..] else { panic!("{trained:?}") };
            let middle = (job.row.low * job.row.high).sqrt();
            libm::log(middle) / -libm::log(1.0 / (1.0 + job.before))
        };
        let (dense, mixture) = (moved(&dense).abs(), moved(&mixture).abs());
        assert!(dense < 0.6 && mixture > 0.6, "{dense} {mixture}");
    }

    #[test]
    fn nonsense_is_refused_with_its_reason() {
        let trained = read(
            "llama3_1_70b,h100_sxm,64,128,1,8192,FP8,4,4,9000\n\
             llama3_1_70b,h100_sxm,64,128,1,8192,FP8,4,4,1\n\
             llama3_1_70b,h100_sxm,64,128,1,8192,FP8,4,4,\n\
             nobody_knows,h100_sxm,64,128,1,8192,FP8,4,4,1000\n\
             llama3_1_70b,h100_sxm,64,128\n",
        );
        let reasons: Vec<&str> = trained.refused.iter().map(|shown| shown.reason.as_str()).collect();
        assert_eq!((trained.rows, trained.jobs.len(), reasons.len()), (5, 0, 5), "{reasons:?}");
        assert!(reasons[0].contains("TFLOP/s are more than"), "{reasons:?}");
        assert!(reasons[1].contains("times what is predicted"), "{reasons:?}");
        assert!(reasons[2].contains("neither"), "{reasons:?}");
    }

    #[test]
    fn what_is_faster_than_its_own_precision_or_contradicts_itself_is_refused() {
        let catalog = testing::catalog();
        let read = |row: &str| {
            let head = "model,gpu,n_gpus,gbs,mbs,seq,precision,tp,pp,step_time_s,tokens_s_gpu\n";
            training(format!("{head}{row}").as_bytes(), &catalog, &testing::provenance()).unwrap()
        };
        // 1,349 TFLOP/s: more than 16-bit math reaches, less than 8-bit math does.
        let reason = |row: &str| read(row).refused.remove(0).reason;
        let fast = reason("llama3_1_8b,h100_sxm,8,128,1,8192,BF16,2,1,5,");
        assert!(fast.contains("TFLOP/s are more than the 989 that h100_sxm can do in bf16"), "{fast}");
        assert_eq!(read("llama3_1_8b,h100_sxm,8,128,1,8192,FP8,2,1,5,").refused, []);
        let torn = reason("llama3_1_8b,h100_sxm,8,128,1,8192,BF16,2,1,12,99999");
        assert!(torn.contains("step_time_s says") && torn.contains("one of them is wrong"), "{torn}");
        // 128 · 8192 tokens in 12 s on 8 accelerators.
        assert_eq!(read("llama3_1_8b,h100_sxm,8,128,1,8192,BF16,2,1,12,10923").refused, []);
    }

    #[test]
    fn runs_of_one_job_that_contradict_each_other_lie_within_its_interval() {
        let trained = read(
            "llama3_1_70b,h100_sxm,64,128,1,8192,FP8,4,4,1000\n\
             llama3_1_70b,h100_sxm,64,128,1,8192,FP8,4,4,300\n",
        );
        let [job] = &trained.jobs[..] else { panic!("{trained:?}") };
        assert!(job.rows == 2 && job.row.high / job.row.low > 1000.0 / 300.0, "{job:?}");
    }

    #[test]
    fn a_correction_is_that_of_its_job_alone() {
        let mut catalog = testing::catalog();
        let row = "llama3_1_70b,h100_sxm,64,128,1,8192,FP8,4,4,1000\n";
        let rows = row.repeat(10);
        catalog.residuals = read(&rows).jobs.into_iter().map(|job| job.row).collect();
        let predicted = |catalog: &Catalog, precision: &str| {
            let cells = [
                ("model", "llama3_1_70b"),
                ("gpu", "h100_sxm"),
                ("n_gpus", "64"),
                ("gbs", "128"),
                ("mbs", "1"),
                ("seq", "8192"),
                ("precision", precision),
                ("tp", "4"),
                ("pp", "4"),
            ];
            let cells = cells.map(|(name, cell)| (name, cell.to_owned()));
            let priced = ask(Kind::TrainingThroughput, &cells, &Names::new(catalog)).unwrap();
            priced.number("predicted_tokens_s_gpu").unwrap()
        };
        let corrected = predicted(&catalog, "FP8");
        let plain = predicted(&testing::catalog(), "FP8");
        assert!((corrected / 1000.0 - 1.0).abs() < (plain / 1000.0 - 1.0).abs() / 2.0, "{plain} {corrected}");
        assert_eq!(predicted(&catalog, "BF16"), predicted(&testing::catalog(), "BF16"));
    }
}
