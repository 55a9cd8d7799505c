//! Storage systems.

use capstan_types::catalog::Catalog;
use capstan_types::money::Currency;
use capstan_types::origin::Provenance;
use capstan_types::quantity::Dimension;
use capstan_types::storage::{Protection, StorageKind, StorageSystem};
use capstan_types::units::{Bytes, BytesPerSecond, Seconds, Watts};

use super::super::cell::{Cell, Read};
use super::super::row::{Field, Row, identifier, may, need};
use super::{above_zero, nowhere};

const KINDS: [(&str, StorageKind); 3] = [
    (StorageKind::WORDS[0], StorageKind::ALL[0]),
    (StorageKind::WORDS[1], StorageKind::ALL[1]),
    (StorageKind::WORDS[2], StorageKind::ALL[2]),
];

/// Reads `"3 copies"` or `"8+3"`.
fn protection(cell: Cell<'_>) -> Read<Protection> {
    let text = cell.text()?;
    let count = |part: &str| part.trim().parse().ok().filter(|n| (1..=32).contains(n));
    let found = match (text.split_once('+'), text.split_once(' ')) {
        (Some((data, parity)), _) => {
            count(data).zip(count(parity)).map(|(data, parity)| Protection::Erasure { data, parity })
        }
        (None, Some((copies, "copies" | "copy"))) => {
            count(copies).map(|copies| Protection::Copies { copies })
        }
        _ => None,
    };
    match found {
        Some(protection) => Ok(protection),
        None => cell.wrong(format!("`{text}` protects nothing"), "write `\"3 copies\"` or `\"8+3\"`"),
    }
}

fn price(row: &mut StorageSystem, cell: Cell<'_>) -> Read<()> {
    if cell.text()? == "unknown" {
        row.price = None;
        return Ok(());
    }
    let (amount, currency) = above_zero(cell, &cell.quantity(Dimension::MONEY)?, "")?;
    row.price = Some(amount);
    row.currency = currency;
    Ok(())
}

impl Row for StorageSystem {
    const KIND: &'static str = "storage";
    const KEYS: &'static [&'static str] = &["id"];
    const FIELDS: &'static [Field<Self>] = &[
        need("id", |row, cell| identifier(cell).map(|id| row.id = id)),
        need("names", |row, cell| cell.texts().map(|names| row.names = names)),
        need("kind", |row, cell| cell.choice(&KINDS).map(|kind| row.kind = kind)),
        need("drives", |row, cell| cell.some().map(|n| row.drives = n)),
        need("drive", |row, cell| cell.positive(Dimension::DATA).map(|size| row.drive = Bytes(size))),
        need("network", |row, cell| {
            cell.positive(Dimension::DATA_RATE).map(|rate| row.network = BytesPerSecond(rate))
        }),
        may("read", |row, cell| {
            cell.positive(Dimension::DATA_RATE).map(|rate| row.read = Some(BytesPerSecond(rate)))
        }),
        may("write", |row, cell| {
            cell.positive(Dimension::DATA_RATE).map(|rate| row.write = Some(BytesPerSecond(rate)))
        }),
        may("iops", |row, cell| cell.positive(Dimension::IO_RATE).map(|rate| row.operations = Some(rate))),
        may("opens", |row, cell| cell.positive(Dimension::IO_RATE).map(|rate| row.opens = Some(rate))),
        may("open_time", |row, cell| {
            cell.positive(Dimension::TIME).map(|time| row.open = Some(Seconds(time)))
        }),
        need("protection", |row, cell| protection(cell).map(|protection| row.protection = protection)),
        may("inside", |row, cell| cell.flag().map(|inside| row.inside = inside)),
        may("least_nodes", |row, cell| cell.count().map(|count| row.least_nodes = Some(count))),
        need("fill", |row, cell| cell.share().map(|share| row.fill = share)),
        may("free_nodes", |row, cell| cell.count().map(|n| row.free_nodes = n)),
        may("power", |row, cell| cell.positive(Dimension::POWER).map(|power| row.power = Some(Watts(power)))),
        may("height", |row, cell| {
            cell.positive(Dimension::RACK_UNITS).map(|height| row.height_u = Some(height))
        }),
        need("price", price),
    ];

    fn blank() -> Self {
        StorageSystem {
            id: String::new(),
            names: Vec::new(),
            kind: StorageKind::Unified,
            drives: 0,
            drive: Bytes::ZERO,
            network: BytesPerSecond::ZERO,
            read: None,
            write: None,
            operations: None,
            opens: None,
            open: None,
            protection: Protection::Copies { copies: 3 },
            inside: false,
            least_nodes: None,
            fill: 0.0,
            free_nodes: 0,
            power: None,
            height_u: None,
            price: None,
            currency: Currency::USD,
            provenance: nowhere(),
        }
    }

    fn key(&self) -> String {
        self.id.clone()
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    /// Nothing is read faster than the network of a node allows, nor into no room at all.
    fn judge(&self) -> Result<(), String> {
        let over = |rate: Option<BytesPerSecond>| rate.is_some_and(|rate| rate.get() > self.network.get());
        if over(self.read) || over(self.write) {
            return Err(format!("a node of `{}` is faster than its network", self.id));
        }
        if self.fill <= 0.0 {
            return Err(format!("nothing may be kept on `{}`", self.id));
        }
        Ok(())
    }

    fn provenance(&mut self) -> &mut Provenance {
        &mut self.provenance
    }

    fn list(catalog: &mut Catalog) -> &mut Vec<Self> {
        &mut catalog.storage
    }
}
