//! Accelerator → node shape → fabric: what computes, in what machine, wired how.

use crate::origin::{Origin, Provenance};
use crate::units::{Bytes, BytesPerSecond, FlopPerSecond, Watts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A number format of weights, activations or cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// IEEE half precision.
    Fp16,
    /// Brain floating point.
    Bf16,
    /// 8-bit floating point, one scale per tensor or row.
    Fp8,
    /// 8-bit floating point, one scale per block of 128.
    Fp8Block,
    /// 8-bit integers.
    Int8,
    /// 4-bit integer weights (AWQ, GPTQ); the math is 16-bit.
    Int4,
    /// NVIDIA 4-bit floating point, a scale per 16.
    Nvfp4,
    /// OCP microscaling 4-bit floating point, a scale per 32.
    Mxfp4,
}

impl Precision {
    /// Every precision, in order.
    pub const ALL: [Self; 8] =
        [Self::Fp16, Self::Bf16, Self::Fp8, Self::Fp8Block, Self::Int8, Self::Int4, Self::Nvfp4, Self::Mxfp4];

    /// Returns the word of the plan language.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fp16 => "fp16",
            Self::Bf16 => "bf16",
            Self::Fp8 => "fp8",
            Self::Fp8Block => "fp8_block",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
            Self::Nvfp4 => "nvfp4",
            Self::Mxfp4 => "mxfp4",
        }
    }

    /// Returns the precision of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|precision| precision.word() == word)
    }

    /// Returns the bytes that one weight takes, scales included.
    ///
    /// nvfp4: 4 bits and an 8-bit scale per 16; mxfp4 and int4: 4 bits and about 0.03 B of scales
    /// (`step-time` coefficients: 0.5625 and 0.53).
    pub fn weight_bytes(self) -> f64 {
        match self {
            Self::Fp16 | Self::Bf16 => 2.0,
            Self::Fp8 | Self::Fp8Block | Self::Int8 => 1.0,
            Self::Nvfp4 => 0.5625,
            Self::Int4 | Self::Mxfp4 => 0.53,
        }
    }

    /// Returns the bytes of one activation value that a matrix multiplication reads.
    pub fn activation_bytes(self) -> f64 {
        match self {
            Self::Fp16 | Self::Bf16 | Self::Int4 => 2.0,
            Self::Fp8 | Self::Fp8Block | Self::Int8 | Self::Mxfp4 => 1.0,
            Self::Nvfp4 => 0.5625,
        }
    }

    /// Says whether it is a 16-bit floating point format.
    pub fn is_sixteen_bit(self) -> bool {
        matches!(self, Self::Fp16 | Self::Bf16)
    }

    /// Returns the precision whose peak rate bounds the math: weight-only formats compute in 16 bits,
    /// block-scaled ones at the rate of their element type.
    pub fn math(self) -> Self {
        match self {
            Self::Fp16 | Self::Int4 => Self::Bf16,
            Self::Fp8Block | Self::Mxfp4 => Self::Fp8,
            other => other,
        }
    }
}

/// How the accelerators of one node reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScaleUpKind {
    /// All-to-all through switches at full rate (NVLink with NVSwitch, UALink).
    Switched,
    /// A full mesh of direct links (xGMI, Gaudi Ethernet); the rate is the sum over peers.
    Mesh,
    /// Pairs joined by a bridge; beyond two, traffic crosses the host bus.
    Bridge,
    /// A torus of chips (TPU).
    Torus,
    /// The host bus only.
    Pcie,
}

/// The links between the accelerators of one scale-up domain.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScaleUp {
    /// How they are joined.
    pub kind: ScaleUpKind,
    /// Rate per accelerator and direction.
    #[serde(rename = "bandwidth_bytes_per_s")]
    pub bandwidth: BytesPerSecond,
    /// How many accelerators one domain can hold.
    pub domain: u32,
}

/// Most accelerators that one machine joins by links of its own: the eight of a baseboard.
const MACHINE: u32 = 8;

impl ScaleUp {
    /// Says whether the links leave the machine: of a rack or a pod (NVL72, a TPU's torus), whose domain is larger than
    /// any machine. Links of all others end at the machine, however few accelerators it holds.
    pub fn spans_machines(&self) -> bool {
        self.domain > MACHINE
    }
}

/// A hardware partition of an accelerator (MIG).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Slice {
    /// Profile name as the vendor spells it, such as `1g.10gb`.
    pub profile: String,
    /// How many of it one accelerator holds.
    pub most: u32,
}

/// A chip that computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Accelerator {
    /// Catalog name, an identifier such as `h100_sxm`.
    pub id: String,
    /// The names people know, such as `NVIDIA H100 SXM5 80GB`.
    pub names: Vec<String>,
    /// Who makes it.
    pub vendor: String,
    /// Memory as the vendor prints it (decimal gigabytes).
    #[serde(rename = "memory_bytes")]
    pub memory: Bytes,
    /// Memory that the driver reports, where somebody printed it.
    #[serde(rename = "usable_memory_bytes")]
    pub usable_memory: Option<Bytes>,
    /// Memory bandwidth.
    #[serde(rename = "memory_bandwidth_bytes_per_s")]
    pub memory_bandwidth: BytesPerSecond,
    /// Last-level cache, within which operators may read faster than memory allows.
    #[serde(rename = "cache_bytes")]
    pub cache: Option<Bytes>,
    /// Dense peak rate by math precision, without sparsity. A precision that is absent is not supported.
    #[serde(rename = "peaks_flop_per_s")]
    pub peaks: BTreeMap<Precision, FlopPerSecond>,
    /// Best matrix-multiplication rate that anybody measured, by math precision.
    #[serde(rename = "achievable_flop_per_s")]
    pub achievable: BTreeMap<Precision, FlopPerSecond>,
    /// Links to its neighbours.
    pub scale_up: ScaleUp,
    /// Board power limit; unknown where the maker prints none.
    #[serde(rename = "power_w")]
    pub power: Option<Watts>,
    /// Hardware partitions.
    pub slices: Vec<Slice>,
    /// Source and date.
    #[serde(flatten)]
    pub provenance: Provenance,
}

impl Accelerator {
    /// Returns the peak rate at which math of this precision runs, `None` where the chip lacks it.
    ///
    /// Both 16-bit floating point formats share one peak where the chip has both.
    pub fn peak(&self, precision: Precision) -> Option<FlopPerSecond> {
        let math = match precision {
            Precision::Fp16 | Precision::Int4 => self.sixteen(),
            other => other.math(),
        };
        self.peaks.get(&math).copied()
    }

    /// Returns the 16-bit floating point format of its fast units: bf16, or fp16 where it has no other (Volta, Turing).
    pub fn sixteen(&self) -> Precision {
        let only = self.peaks.contains_key(&Precision::Fp16) && !self.peaks.contains_key(&Precision::Bf16);
        if only { Precision::Fp16 } else { Precision::Bf16 }
    }

    /// Returns the precision that the math of such weights runs in: microscaled ones are widened to 16 bits where the chip
    /// has no 4-bit units (Ampere, Hopper).
    pub fn math_of(&self, weights: Precision) -> Precision {
        match weights {
            Precision::Mxfp4 if !self.peaks.contains_key(&Precision::Nvfp4) => self.sixteen(),
            Precision::Fp16 | Precision::Int4 => self.sixteen(),
            other => other.math(),
        }
    }

    /// Returns the memory that programs can use: the driver's figure, else 97 % of the printed one.
    ///
    /// 0.97 is the smallest ratio among published driver figures (A100 80 GB shows 79.2 GiB ≈ 85.0e9 B,
    /// which is above its printed 80e9; A10G 22.3 of 24 GB is 0.97 of 24e9·GiB); origin Assumed.
    pub fn programmable_memory(&self) -> (Bytes, Origin) {
        match self.usable_memory {
            Some(memory) => (memory, self.provenance.grade.origin()),
            None => (self.memory * 0.97, Origin::Assumed),
        }
    }
}

/// A machine: accelerators, host, local storage, ports, power and height.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeShape {
    /// Catalog name, `provider.instance` or `own.server`.
    pub id: String,
    /// The names people know, such as `p5.48xlarge`.
    pub names: Vec<String>,
    /// Who sells it by the hour, or `own` for a server that one buys.
    pub provider: String,
    /// What computes in it; `None` for a machine without accelerators.
    pub accelerator: Option<String>,
    /// How many accelerators it holds.
    pub accelerators: u32,
    /// Host processors as the vendor counts them (hardware threads).
    pub vcpus: Option<u32>,
    /// Host memory.
    #[serde(rename = "host_memory_bytes")]
    pub host_memory: Option<Bytes>,
    /// Local NVMe.
    #[serde(rename = "nvme_bytes")]
    pub nvme: Option<Bytes>,
    /// Network for accelerator traffic, whole node, per direction.
    #[serde(rename = "scale_out_bytes_per_s")]
    pub scale_out: Option<BytesPerSecond>,
    /// Highest power of the whole node.
    #[serde(rename = "power_w")]
    pub power: Option<Watts>,
    /// Height in rack units.
    pub height_u: Option<f64>,
    /// What it needs to be cooled by, where that is not air.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooling: Option<Cooling>,
    /// Source and date.
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// What carries heat away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cooling {
    /// Air alone.
    Air,
    /// Liquid to the chips, and air for the rest.
    Liquid,
}

impl Cooling {
    /// Each with its word.
    pub const WORDS: [(&'static str, Self); 2] = [("air", Self::Air), ("liquid", Self::Liquid)];

    /// Heat that a cubic metre of air takes per kelvin, in kJ: density times heat capacity.
    const AIR_KJ_PER_M3_K: f64 = 1.2;

    /// By how much air is warmer behind a machine than before it, in kelvin. Origin: Assumed.
    pub const AIR_WARMER_BY_K: f64 = 15.0;

    /// Returns the air that carries away so much heat, in cubic metres per second.
    pub fn air_flow(heat: Watts) -> f64 {
        heat.kw() / (Self::AIR_KJ_PER_M3_K * Self::AIR_WARMER_BY_K)
    }
}

/// A network between nodes: what its switches and cables are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fabric {
    /// Catalog name, such as `ndr_infiniband`.
    pub id: String,
    /// The names people know.
    pub names: Vec<String>,
    /// Rate of one port, per direction.
    #[serde(rename = "port_bytes_per_s")]
    pub port: BytesPerSecond,
    /// Ports of one switch.
    pub radix: u32,
    /// Share of the port rate that collectives reach.
    pub efficiency: f64,
    /// Power of one switch.
    #[serde(rename = "switch_power_w")]
    pub switch_power: Option<Watts>,
    /// What its links speak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
    /// Source and date.
    #[serde(flatten)]
    pub provenance: Provenance,
}

impl Fabric {
    /// Returns the ports of such a switch, per plane, that the network of a node takes.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, at least 1 is left"
    )]
    pub fn ports(&self, scale_out: BytesPerSecond, planes: u32) -> u32 {
        (scale_out.get() / f64::from(planes) / self.port.get() - 1e-9).ceil().max(1.0) as u32
    }
}

/// What a link between nodes speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// InfiniBand.
    #[serde(rename = "infiniband")]
    InfiniBand,
    /// Ethernet, over which RDMA goes as RoCE.
    Ethernet,
}

impl Link {
    /// Every link with the word of the catalog.
    pub const WORDS: [(&'static str, Self); 2] =
        [("infiniband", Self::InfiniBand), ("ethernet", Self::Ethernet)];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_finds_its_precision() {
        for precision in Precision::ALL {
            assert_eq!(Precision::from_word(precision.word()), Some(precision));
        }
    }

    #[test]
    fn a_machine_of_ten_kilowatts_takes_half_a_cubic_metre_of_air_a_second() {
        // 10.2 kW / (1.2 kJ/m³K · 15 K)
        assert!((Cooling::air_flow(Watts(10.2e3)) - 0.5667).abs() < 1e-4);
    }

    #[test]
    fn a_chip_without_bf16_computes_in_fp16_what_is_sixteen_bits_wide_but_not_bf16() {
        let mut chip = crate::testing::accelerators().remove(0);
        let rate = chip.peaks[&Precision::Bf16];
        assert_eq!((chip.peak(Precision::Fp16), chip.peak(Precision::Bf16)), (Some(rate), Some(rate)));
        chip.peaks = BTreeMap::from([(Precision::Fp16, rate)]);
        assert_eq!((chip.peak(Precision::Fp16), chip.peak(Precision::Bf16)), (Some(rate), None));
        assert_eq!(
            (chip.peak(Precision::Int4), chip.math_of(Precision::Int4)),
            (Some(rate), Precision::Fp16)
        );
        assert_eq!(chip.math_of(Precision::Mxfp4), Precision::Fp16);
    }

    #[test]
    fn weight_only_formats_compute_in_sixteen_bits() {
        assert_eq!(Precision::Int4.math(), Precision::Bf16);
        assert_eq!(Precision::Fp16.math(), Precision::Bf16);
    }
}
