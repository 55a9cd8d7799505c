//! Accelerators, machines and fabrics.

use capstan_types::catalog::Catalog;
use capstan_types::hardware::{Accelerator, Cooling, Fabric, Link, NodeShape, ScaleUp, ScaleUpKind, Slice};
use capstan_types::origin::Provenance;
use capstan_types::quantity::Dimension;
use capstan_types::units::{Bytes, BytesPerSecond, FlopPerSecond, Watts};
use std::collections::BTreeMap;

use super::super::cell::{Cell, Read};
use super::super::row::{Field, Row, identifier, may, need, record};
use super::nowhere;

const SCALE_UP_KINDS: [(&str, ScaleUpKind); 5] = [
    ("switched", ScaleUpKind::Switched),
    ("mesh", ScaleUpKind::Mesh),
    ("bridge", ScaleUpKind::Bridge),
    ("torus", ScaleUpKind::Torus),
    ("pcie", ScaleUpKind::Pcie),
];

const SCALE_UP: [Field<ScaleUp>; 3] = [
    need("kind", |row, cell| cell.choice(&SCALE_UP_KINDS).map(|kind| row.kind = kind)),
    need("bandwidth", |row, cell| {
        cell.positive(Dimension::DATA_RATE).map(|rate| row.bandwidth = BytesPerSecond(rate))
    }),
    need("domain", |row, cell| cell.some().map(|n| row.domain = n)),
];

fn slices(cell: Cell<'_>) -> Read<Vec<Slice>> {
    let slice = |(profile, most): (&toml::Spanned<toml::de::DeString<'_>>, _)| {
        Ok(Slice { profile: profile.get_ref().to_string(), most: Cell::new(most).some()? })
    };
    cell.table()?.iter().map(slice).collect()
}

fn scale_up(row: &mut Accelerator, cell: Cell<'_>) -> Read<()> {
    let blank = ScaleUp { kind: ScaleUpKind::Pcie, bandwidth: BytesPerSecond::ZERO, domain: 0 };
    let known = Some(row.scale_up).filter(|known| known.domain > 0);
    record(cell, known, blank, &SCALE_UP).map(|links| row.scale_up = links)
}

impl Row for Accelerator {
    const KIND: &'static str = "accelerator";
    const KEYS: &'static [&'static str] = &["id"];
    const FIELDS: &'static [Field<Self>] = &[
        need("id", |row, cell| identifier(cell).map(|id| row.id = id)),
        need("names", |row, cell| cell.texts().map(|names| row.names = names)),
        need("vendor", |row, cell| cell.text().map(|vendor| row.vendor = vendor.to_owned())),
        need("memory", |row, cell| cell.positive(Dimension::DATA).map(|size| row.memory = Bytes(size))),
        may("usable_memory", |row, cell| {
            cell.positive(Dimension::DATA).map(|size| row.usable_memory = Some(Bytes(size)))
        }),
        need("memory_bandwidth", |row, cell| {
            cell.positive(Dimension::DATA_RATE).map(|rate| row.memory_bandwidth = BytesPerSecond(rate))
        }),
        may("cache", |row, cell| cell.positive(Dimension::DATA).map(|size| row.cache = Some(Bytes(size)))),
        need("peaks", |row, cell| {
            let peaks = cell.by_precision(Dimension::FLOP_RATE)?;
            row.peaks.extend(peaks.into_iter().map(|(precision, rate)| (precision, FlopPerSecond(rate))));
            Ok(())
        }),
        may("achievable", |row, cell| {
            let rates = cell.by_precision(Dimension::FLOP_RATE)?;
            row.achievable
                .extend(rates.into_iter().map(|(precision, rate)| (precision, FlopPerSecond(rate))));
            Ok(())
        }),
        need("scale_up", scale_up),
        may("power", |row, cell| cell.positive(Dimension::POWER).map(|power| row.power = Some(Watts(power)))),
        may("slices", |row, cell| slices(cell).map(|slices| row.slices = slices)),
    ];

    fn blank() -> Self {
        Accelerator {
            id: String::new(),
            names: Vec::new(),
            vendor: String::new(),
            memory: Bytes::ZERO,
            usable_memory: None,
            memory_bandwidth: BytesPerSecond::ZERO,
            cache: None,
            peaks: BTreeMap::new(),
            achievable: BTreeMap::new(),
            scale_up: ScaleUp { kind: ScaleUpKind::Pcie, bandwidth: BytesPerSecond::ZERO, domain: 0 },
            power: None,
            slices: Vec::new(),
            provenance: nowhere(),
        }
    }

    fn key(&self) -> String {
        self.id.clone()
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn provenance(&mut self) -> &mut Provenance {
        &mut self.provenance
    }

    /// Nothing is ever faster than its peak, whoever measured it.
    fn judge(&self) -> Result<(), String> {
        for (precision, rate) in &self.achievable {
            let peak = self.peaks.get(precision);
            if peak.is_none_or(|peak| rate > peak) {
                return Err(format!(
                    "`achievable` in {} is above the peak, or there is no peak",
                    precision.word()
                ));
            }
        }
        Ok(())
    }

    fn list(catalog: &mut Catalog) -> &mut Vec<Self> {
        &mut catalog.accelerators
    }
}

impl Row for NodeShape {
    const KIND: &'static str = "shape";
    const KEYS: &'static [&'static str] = &["id"];
    const FIELDS: &'static [Field<Self>] = &[
        need("id", |row, cell| identifier(cell).map(|id| row.id = id)),
        need("names", |row, cell| cell.texts().map(|names| row.names = names)),
        need("provider", |row, cell| cell.text().map(|provider| row.provider = provider.to_owned())),
        may("accelerator", |row, cell| cell.text().map(|id| row.accelerator = Some(id.to_owned()))),
        need("accelerators", |row, cell| cell.count().map(|n| row.accelerators = n)),
        may("vcpus", |row, cell| cell.some().map(|n| row.vcpus = Some(n))),
        may("host_memory", |row, cell| {
            cell.positive(Dimension::DATA).map(|size| row.host_memory = Some(Bytes(size)))
        }),
        may("nvme", |row, cell| cell.positive(Dimension::DATA).map(|size| row.nvme = Some(Bytes(size)))),
        may("scale_out", |row, cell| {
            cell.positive(Dimension::DATA_RATE).map(|rate| row.scale_out = Some(BytesPerSecond(rate)))
        }),
        may("power", |row, cell| cell.positive(Dimension::POWER).map(|power| row.power = Some(Watts(power)))),
        may("height", |row, cell| {
            cell.positive(Dimension::RACK_UNITS).map(|height| row.height_u = Some(height))
        }),
        may("cooling", |row, cell| cell.choice(&Cooling::WORDS).map(|by| row.cooling = Some(by))),
    ];

    fn blank() -> Self {
        NodeShape {
            id: String::new(),
            names: Vec::new(),
            provider: String::new(),
            accelerator: None,
            accelerators: 0,
            vcpus: None,
            host_memory: None,
            nvme: None,
            scale_out: None,
            power: None,
            height_u: None,
            cooling: None,
            provenance: nowhere(),
        }
    }

    fn key(&self) -> String {
        self.id.clone()
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn refers_to(&self) -> Option<(&'static str, &str)> {
        self.accelerator.as_deref().map(|id| ("accelerator", id))
    }

    fn provenance(&mut self) -> &mut Provenance {
        &mut self.provenance
    }

    fn judge(&self) -> Result<(), String> {
        match (&self.accelerator, self.accelerators) {
            (Some(_), 0) => Err("`accelerator` is given, but `accelerators` is 0".to_owned()),
            (None, 1..) => Err("`accelerators` are counted, but `accelerator` does not say which".to_owned()),
            _ => Ok(()),
        }
    }

    fn list(catalog: &mut Catalog) -> &mut Vec<Self> {
        &mut catalog.shapes
    }
}

impl Row for Fabric {
    const KIND: &'static str = "fabric";
    const KEYS: &'static [&'static str] = &["id"];
    const FIELDS: &'static [Field<Self>] = &[
        need("id", |row, cell| identifier(cell).map(|id| row.id = id)),
        need("names", |row, cell| cell.texts().map(|names| row.names = names)),
        need("port", |row, cell| {
            cell.positive(Dimension::DATA_RATE).map(|rate| row.port = BytesPerSecond(rate))
        }),
        need("radix", |row, cell| cell.some().map(|n| row.radix = n)),
        need("efficiency", |row, cell| cell.share().map(|share| row.efficiency = share)),
        may("switch_power", |row, cell| {
            cell.positive(Dimension::POWER).map(|power| row.switch_power = Some(Watts(power)))
        }),
        may("link", |row, cell| cell.choice(&Link::WORDS).map(|link| row.link = Some(link))),
    ];

    fn blank() -> Self {
        Fabric {
            id: String::new(),
            names: Vec::new(),
            port: BytesPerSecond::ZERO,
            radix: 0,
            efficiency: 0.0,
            switch_power: None,
            link: None,
            provenance: nowhere(),
        }
    }

    fn key(&self) -> String {
        self.id.clone()
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn provenance(&mut self) -> &mut Provenance {
        &mut self.provenance
    }

    fn list(catalog: &mut Catalog) -> &mut Vec<Self> {
        &mut catalog.fabrics
    }
}
