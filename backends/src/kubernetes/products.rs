//! Under which names does a cluster know an accelerator?
//!
//! Resource names of the vendors' device plugins, and the `nvidia.com/gpu.product` label that GPU Feature Discovery
//! makes from the driver's product name. Labels other than that of the H100 SXM are recalled, not read.

/// Returns the extended resource that the vendor's device plugin offers.
pub(super) fn resource(vendor: &str) -> &'static str {
    match vendor {
        "AMD" => "amd.com/gpu",
        "Intel" => "habana.ai/gaudi",
        "Google" => "google.com/tpu",
        "Huawei" => "huawei.com/Ascend910",
        _ => "nvidia.com/gpu",
    }
}

/// Returns the product label of an accelerator of the catalog, where it is known.
pub(super) fn nvidia_label(accelerator: &str) -> Option<&'static str> {
    Some(match accelerator {
        "v100_sxm2_16gb" => "Tesla-V100-SXM2-16GB",
        "v100_sxm2_32gb" => "Tesla-V100-SXM2-32GB",
        "v100_pcie_16gb" => "Tesla-V100-PCIE-16GB",
        "t4" => "Tesla-T4",
        "a10" => "NVIDIA-A10",
        "a10g" => "NVIDIA-A10G",
        "a30" => "NVIDIA-A30",
        "a100_pcie_40gb" => "NVIDIA-A100-PCIE-40GB",
        "a100_pcie_80gb" => "NVIDIA-A100-80GB-PCIe",
        "a100_sxm_40gb" => "NVIDIA-A100-SXM4-40GB",
        "a100_sxm_80gb" => "NVIDIA-A100-SXM4-80GB",
        "l4" => "NVIDIA-L4",
        "l40" => "NVIDIA-L40",
        "l40s" => "NVIDIA-L40S",
        "h100_pcie" => "NVIDIA-H100-PCIe",
        "h100_sxm" => "NVIDIA-H100-80GB-HBM3",
        "h100_nvl" => "NVIDIA-H100-NVL",
        "h200_sxm" => "NVIDIA-H200",
        "b200" => "NVIDIA-B200",
        _ => return None,
    })
}
