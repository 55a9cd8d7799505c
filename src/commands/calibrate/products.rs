//! A table of measured matrix products, by precision.

use capstan_sim::calibrate::Product;
use capstan_types::hardware::Precision;
use std::collections::BTreeMap;

/// Products with their lines.
pub(super) type Rows = Vec<(u64, Product)>;

/// Reads m, n, k and latency_us; the precision is that of a column `precision` or `gemm_dtype`, or the given one.
pub(super) fn read(text: &str, given: Option<Precision>) -> Result<Vec<(Precision, Rows)>, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    let place = |name: &str| header.iter().position(|known| known.trim() == name);
    let of = |name: &str| place(name).ok_or_else(|| format!("the column {name} is missing"));
    let (m, n, k, us) = (of("m")?, of("n")?, of("k")?, of("latency_us")?);
    let word = place("precision").or(place("gemm_dtype"));
    let mut groups: BTreeMap<Precision, Rows> = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        // What is no number counts as zero, which is refused with its line.
        let number =
            |place: usize| record.get(place).and_then(|cell| cell.trim().parse().ok()).unwrap_or(0.0);
        let product = Product { m: number(m), n: number(n), k: number(k), us: number(us) };
        let precision = word.and_then(|place| named(record.get(place)?)).or(given);
        let precision =
            precision.ok_or_else(|| format!("line {line} says no precision; give --precision"))?;
        groups.entry(precision).or_default().push((line, product));
    }
    if groups.is_empty() {
        Err("there is no row below the header".to_owned())
    } else {
        Ok(groups.into_iter().collect())
    }
}

/// Kernels are also named by the types of their libraries.
fn named(word: &str) -> Option<Precision> {
    match word.trim().to_ascii_lowercase().as_str() {
        "bfloat16" => Some(Precision::Bf16),
        "float16" | "half" => Some(Precision::Fp16),
        other => Precision::from_word(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_read_by_precision_with_their_lines() {
        let text =
            "gemm_dtype,m,n,k,latency_us\nbfloat16,16,4096,4096,12.5\nfp8,16,4096,4096,9\nfp8,x,1,1,1\n";
        let groups = read(text, None).unwrap();
        assert_eq!(
            groups.iter().map(|(precision, _)| *precision).collect::<Vec<_>>(),
            [Precision::Bf16, Precision::Fp8]
        );
        assert_eq!(groups[1].1[1].0, 4);
        assert!(groups[1].1[1].1.m == 0.0);
        assert!(read("m,n,k,latency_us\n1,1,1,1\n", None).is_err());
        assert!(read("m,n,k\n", None).is_err() && read("m,n,k,latency_us\n", None).is_err());
    }
}
