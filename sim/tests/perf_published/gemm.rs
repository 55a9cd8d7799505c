//! The matrix-multiplication curves against every row of the kernel tables.

use capstan_sim::perf::{Device, roofline};
use capstan_types::hardware::Precision;
use capstan_types::testing;

/// Median error that the fit left on unseen shapes, per accelerator and precision.
const FITTED: [(&str, &str, &str, Precision, f64); 13] = [
    ("A100-SXM", "a100_sxm_80gb", "bfloat16", Precision::Bf16, 0.067),
    ("H100-SXM", "h100_sxm", "bfloat16", Precision::Bf16, 0.056),
    ("H100-SXM", "h100_sxm", "fp8", Precision::Fp8, 0.077),
    ("H100-SXM", "h100_sxm", "fp8_block", Precision::Fp8Block, 0.135),
    ("H200-SXM", "h200_sxm", "bfloat16", Precision::Bf16, 0.068),
    ("H200-SXM", "h200_sxm", "fp8", Precision::Fp8, 0.082),
    ("H200-SXM", "h200_sxm", "fp8_block", Precision::Fp8Block, 0.156),
    ("B200-SXM", "b200_sxm", "bfloat16", Precision::Bf16, 0.086),
    ("B200-SXM", "b200_sxm", "fp8", Precision::Fp8, 0.091),
    ("B200-SXM", "b200_sxm", "fp8_block", Precision::Fp8Block, 0.117),
    ("B200-SXM", "b200_sxm", "nvfp4", Precision::Nvfp4, 0.217),
    ("L40S", "l40s", "bfloat16", Precision::Bf16, 0.16),
    ("L40S", "l40s", "fp8", Precision::Fp8, 0.13),
];

#[test]
fn curves_follow_the_kernel_tables() {
    let Some(rows) = crate::data::rows("kernels/gemm.csv.gz") else { return };
    let catalog = testing::catalog();
    let mut worse = Vec::new();
    for (gpu, id, dtype, precision, fitted) in FITTED {
        let device = Device::resolve(&catalog, catalog.accelerator(id).unwrap()).unwrap();
        let curve = device.gemm(precision).unwrap();
        let errors = rows.iter().filter(|row| row["gpu"] == gpu && row["gemm_dtype"] == dtype).map(|row| {
            let size = |column| crate::data::number(row, column).unwrap();
            let time = roofline::gemm_alone(curve, device.bandwidth, size("m"), size("n"), size("k"));
            (time / size("latency_us") - 1.0).abs()
        });
        let median = crate::data::median(errors.collect());
        println!("{id} {dtype}: median {:.1} %, fitted {:.1} %", median * 100.0, fitted * 100.0);
        if median > 1.3 * fitted {
            worse.push(format!("{id} {dtype} {median:.3}"));
        }
    }
    assert!(worse.is_empty(), "{worse:?}");
}
