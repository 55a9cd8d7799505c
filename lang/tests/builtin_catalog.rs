//! Every row of the built-in catalogs loads, refers to rows that are there, and lies in a believable range.

use capstan_lang::catalog::{coverage, load};
use capstan_types::catalog::Catalog;
use capstan_types::offering::PurchaseOption;
use capstan_types::origin::{Grade, PriceGrade};
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../catalogs")
}

/// Returns the built-in files by name, those of `offerings` included.
fn files() -> Vec<(String, String)> {
    let mut paths = Vec::new();
    for folder in [folder(), folder().join("offerings")] {
        for entry in std::fs::read_dir(&folder).expect("the catalogs are in the repository") {
            let path = entry.expect("a readable folder").path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        (name, std::fs::read_to_string(&path).expect("a readable file"))
    };
    paths.into_iter().map(read).collect()
}

fn builtin() -> Catalog {
    let files = files();
    let texts: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let (catalog, diagnostics) = load(&texts);
    assert!(diagnostics.is_empty(), "{diagnostics:#?}");
    catalog
}

#[test]
fn every_row_loads() {
    let catalog = builtin();
    assert!(catalog.accelerators.len() >= 30);
    assert_eq!(catalog.models.len(), 54);
    assert_eq!(catalog.shapes.iter().filter(|shape| shape.provider != "own").count(), 74);
    assert!(catalog.traffic.len() >= 9);
    assert_eq!(catalog.engines.len(), 3);
    let rows: usize = files().iter().map(|(_, text)| text.matches("\n[[").count()).sum();
    let groups: usize = files().iter().map(|(_, text)| text.matches("\n[[offering]]").count()).sum();
    let loaded = catalog.accelerators.len()
        + catalog.shapes.len()
        + catalog.fabrics.len()
        + catalog.regions.len()
        + catalog.ownership.len()
        + catalog.models.len()
        + catalog.traffic.len()
        + catalog.engines.len()
        + catalog.gemm.len()
        + catalog.attention.len()
        + catalog.experts.len()
        + catalog.collectives.len();
    assert_eq!(loaded, rows - groups);
}

#[test]
fn the_order_of_files_and_rows_does_not_matter() {
    let mut files = files();
    files.reverse();
    let texts: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert_eq!(load(&texts).0, builtin());
}
