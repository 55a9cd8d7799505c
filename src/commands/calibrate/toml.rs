//! What was learned, as a catalog.

use super::told::Learned;
use capstan_types::catalog::{Calibration, CalibrationPoint, CollectiveEfficiency, GemmEfficiency, Residual};
use capstan_types::origin::Provenance;
use std::fmt::Write;

/// Returns the text of the catalog.
pub(super) fn catalog(learned: &Learned, provenance: &Provenance) -> String {
    let mut text = format!(
        "# Written by `capstan calibrate`. A plan says `use \"calibration.toml\"`; `capstan estimate --calibration` takes it \
         too.\n# Ratios are measured / predicted by version {}.\n\n[sources.own]\nsource = {}\nas_of = \"{}\"\ngrade = \
         \"measured\"\n",
        env!("CARGO_PKG_VERSION"),
        quoted(&provenance.source),
        provenance.as_of
    );
    match learned {
        Learned::Serving(read, _) => read.calibrations.iter().for_each(|row| calibration(&mut text, row)),
        Learned::Training(read) => read.jobs.iter().for_each(|job| residual(&mut text, &job.row)),
        Learned::AllReduce(fitted, _) => collective(&mut text, &fitted.row),
        Learned::Products(fitted) => fitted.iter().for_each(|(fitted, _)| gemm(&mut text, &fitted.row)),
    }
    text
}

/// Returns a text as TOML quotes it; control characters become blanks.
fn quoted(text: &str) -> String {
    let safe = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => " ".to_owned(),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(safe).collect::<String>())
}

fn calibration(text: &mut String, row: &Calibration) {
    let _ = write!(
        text,
        "\n[[calibration]]\nmodel = {}\naccelerator = {}\nengine = {}\nversion = {}\nprecision = \"{}\"\nranks = \
         \"{}\"  # {}\nfrom = \"own\"\npoints = [\n",
        quoted(&row.model),
        quoted(&row.accelerator),
        quoted(&row.engine),
        quoted(&row.engine_version),
        row.precision.word(),
        row.degrees.product(),
        if row.degrees.is_plain() {
            "tensor x pipeline"
        } else {
            "tensor x pipeline x groups with their own sequences x with their own experts"
        }
    );
    for CalibrationPoint { concurrency, input_tokens, output_tokens, tpot_ratio, ttft_ratio } in &row.points {
        let ratio = |name: &str, ratio: &Option<f64>| {
            ratio.map_or(String::new(), |ratio| format!(", {name} = {ratio:.5}"))
        };
        let _ = writeln!(
            text,
            "    {{ concurrency = {concurrency}, input = {input_tokens}, output = {output_tokens}{}{} }},",
            ratio("tpot", tpot_ratio),
            ratio("ttft", ttft_ratio)
        );
    }
    text.push_str("]\n");
}

fn residual(text: &mut String, row: &Residual) {
    let Residual { table, quantity, low, high, cells, rows, .. } = row;
    let _ = write!(
        text,
        "\n[[residual]]\ntable = \"{table}\"\nquantity = \"{quantity}\"\nstratum = {}\nlow = {low:.5}\nhigh = \
         {high:.5}\ncells = {cells}\nrows = {rows}\nfrom = \"own\"\n",
        quoted(&row.stratum)
    );
}

fn collective(text: &mut String, row: &CollectiveEfficiency) {
    let _ = write!(
        text,
        "\n[[collective]]\naccelerator = {}\nlatency = \"{} us\"\nexponent = {}\nefficiency = {:.5}\nroot = {}\norigin = \
         \"measured\"\nfrom = \"own\"\n",
        quoted(&row.accelerator),
        row.latency_us,
        row.exponent,
        row.efficiency,
        row.root
    );
}

fn gemm(text: &mut String, row: &GemmEfficiency) {
    let _ = write!(
        text,
        "\n[[gemm]]\naccelerator = {}\nprecision = \"{}\"\nt0 = \"{} us\"\ncompute = {:.5}\nmemory = {:.5}\np = {}\nhalf_m \
         = {}\nhalf_nk = \"{} Mparam\"\norigin = \"measured\"\nfrom = \"own\"\n",
        quoted(&row.accelerator),
        row.precision.word(),
        row.t0_us,
        row.compute,
        row.memory,
        row.p,
        row.half_m,
        row.half_nk_m
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin;
    use capstan_lang::catalog::load_over;
    use capstan_sim::calibrate;
    use capstan_sim::tables::Names;
    use capstan_types::hardware::Precision;

    fn provenance() -> Provenance {
        let source = "own measurements, a \"b\"\\c.csv".to_owned();
        Provenance {
            source,
            as_of: jiff::civil::date(2026, 11, 1),
            grade: capstan_types::origin::Grade::Measured,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let catalog = builtin::catalog();
        let table = "model,accelerator,engine,precision,tp,input_tokens,output_tokens,concurrency,ttft_ms,tpot_ms\n\
            llama3_1_8b,h100_sxm,vllm,bf16,2,1024,256,16,70,6.5\nllama3_1_8b,h100_sxm,vllm,bf16,2,1024,256,1,,4.5\n";
        let read = calibrate::serving(table.as_bytes(), &[], &Names::new(catalog), &provenance()).unwrap();
        let learned = Learned::Serving(read.clone(), "line");
        let text = super::catalog(&learned, &provenance());
        let (own, mistakes) = load_over(catalog, &[("calibration.toml", &text)]);
        assert!(mistakes.is_empty(), "{mistakes:?}\n{text}");
        let (again, written) = (&own.calibrations[0], &read.calibrations[0]);
        assert_eq!(again.provenance, written.provenance);
        for (again, written) in again.points.iter().zip(&written.points) {
            let near = |a: Option<f64>, b: Option<f64>| match (a, b) {
                (Some(a), Some(b)) => (a / b - 1.0).abs() < 1e-4,
                (a, b) => a == b,
            };
            assert!(near(again.tpot_ratio, written.tpot_ratio) && near(again.ttft_ratio, written.ttft_ratio));
        }
    }

    #[test]
    fn refitted_curves_stand_in_for_those_of_the_catalog() {
        let catalog = builtin::catalog();
        let chip = catalog.accelerator("h100_sxm").unwrap();
        let products = [capstan_sim::calibrate::Product { m: 4096.0, n: 8192.0, k: 8192.0, us: 1000.0 }];
        let fitted = calibrate::gemm(catalog, chip, Precision::Bf16, &products, &provenance()).unwrap();
        let written = fitted.row.clone();
        let text = super::catalog(&Learned::Products(vec![(fitted, vec![2])]), &provenance());
        let (own, mistakes) = load_over(catalog, &[("calibration.toml", &text)]);
        assert!(mistakes.is_empty(), "{mistakes:?}\n{text}");
        let row =
            own.gemm.iter().find(|row| row.accelerator == "h100_sxm" && row.precision == Precision::Bf16);
        assert!((row.unwrap().compute / written.compute - 1.0).abs() < 1e-4);
        let messages = [(1e9, 4000.0)];
        let fitted = calibrate::all_reduce(catalog, chip, 8, &messages, &provenance()).unwrap();
        let efficiency = fitted.row.efficiency;
        let text = super::catalog(&Learned::AllReduce(fitted, vec![1]), &provenance());
        let (own, mistakes) = load_over(catalog, &[("calibration.toml", &text)]);
        assert!(mistakes.is_empty(), "{mistakes:?}\n{text}");
        let row = own.collectives.iter().find(|row| row.accelerator == "h100_sxm").unwrap();
        assert!((row.efficiency / efficiency - 1.0).abs() < 1e-4);
    }
}
