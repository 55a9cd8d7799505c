//! `lock`: pins catalogs, prices and models beside the plans that stand on them.

use crate::builtin;
use crate::exit::Exit;
use crate::files::{self, Files, Folder, Here, TEXT_LIMIT};
use crate::lock_file::{self, NAME};
use crate::output::rewrite_file;
use crate::plan_file::{Beside, Checked};
use crate::render;
use crate::session::Session;
use capstan_lang::{Diagnostic, catalog::load, codes};
use capstan_types::catalog::Catalog;
use capstan_types::lock::{LOCK_FORMAT, Lock, Pin};
use jiff::civil::Date;
use std::collections::BTreeMap;

/// Pin the catalogs, prices and models that plans stand on, in `plan.lock` beside them
///
/// From then on a plan whose catalogs or prices are not the ones pinned ends with 1, in every command, until the lock is
/// updated: what CI answers changes only with a change that was reviewed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Plan files; those of one folder share its lock
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Take everything as it is now
    #[arg(long)]
    update: bool,
    #[command(flatten)]
    beside: Beside,
}

/// Writes one lock for each folder.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    let mut exit = Exit::Done;
    let mut folders: BTreeMap<String, Vec<Pin>> = BTreeMap::new();
    for file in &args.files {
        let mut checked = Checked::read(file, &args.beside);
        checked.diagnostics.retain(|one| one.code != codes::STALE_LOCK);
        session.say(&render::diagnostics(&checked.diagnostics, &checked.sources));
        if checked.diagnostics.iter().any(Diagnostic::is_error) {
            exit = exit.and(Exit::Failed);
            continue;
        }
        let folder = Folder::of(file);
        let pins = folders.entry(folder.shown(NAME)).or_default();
        pins.extend(lock_file::pins(&checked.files, &folder).into_iter().map(|pin| dated(pin, &folder)));
    }
    for (path, pins) in folders {
        exit = exit.and(write(&path, pins, args.update, session)?);
    }
    Ok(exit)
}

/// Adds the date of the newest price.
fn dated(pin: Pin, folder: &Folder) -> Pin {
    let newest = |catalog: &Catalog| -> Option<Date> { catalog.offerings.iter().map(|row| row.as_of).max() };
    let newest_price = if pin.path == "built-in" {
        newest(builtin::catalog())
    } else {
        let bytes = folder.read(&pin.path, TEXT_LIMIT).or_else(|_| Here.read(&pin.path, TEXT_LIMIT));
        let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        text.and_then(|text| newest(&load(&[(pin.path.as_str(), text.as_str())]).0))
    };
    Pin { newest_price, ..pin }
}

fn write(path: &str, pins: Vec<Pin>, update: bool, session: &Session) -> anyhow::Result<Exit> {
    let before = files::Here.read(path, TEXT_LIMIT).ok();
    let known = before.as_deref().map(lock_file::read);
    let mut all: BTreeMap<(String, String), Pin> = BTreeMap::new();
    // Other plans of the folder keep what they stand on.
    if let Some(Ok(lock)) = &known {
        all.extend(lock.pins.iter().map(|pin| ((pin.role.clone(), pin.path.clone()), pin.clone())));
    }
    all.extend(pins.into_iter().map(|pin| ((pin.role.clone(), pin.path.clone()), pin)));
    let lock = Lock { format: LOCK_FORMAT, pins: all.into_values().collect() };
    match known {
        Some(Ok(known)) if known == lock => session.say(&format!("{path} is as it should be\n")),
        Some(_) if !update => {
            session.say(&format!(
                "error: {path} is not what the plans stand on now\n  = help: `capstan lock --update FILE` takes \
                 everything as it is now\n"
            ));
            return Ok(Exit::Failed);
        }
        _ => {
            rewrite_file(path, lock_file::text(&lock).as_bytes())?;
            session.say(&format!("{path} is written: {} pinned\n", lock.pins.len()));
        }
    }
    Ok(Exit::Done)
}
