//! What does an installed program know alone? The catalogs, as text, and read once.

use capstan_lang::catalog::load;
use capstan_types::blueprint::InputFile;
use capstan_types::catalog::Catalog;
use std::sync::OnceLock;

macro_rules! texts {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../catalogs/", $name)))),*]
    };
}

/// Every file below `catalogs/`, by its path there. A new file is added to this list, which a test compares.
pub const TEXTS: &[(&str, &str)] = texts![
    "accelerators.toml",
    "efficiencies.toml",
    "efficiencies_fit.toml",
    "efficiencies_kernels.toml",
    "engines.toml",
    "fabrics.toml",
    "market.toml",
    "models.toml",
    "offerings/aws.toml",
    "offerings/azure.toml",
    "offerings/gcp.toml",
    "offerings/lambda.toml",
    "offerings/nebius.toml",
    "offerings/oci.toml",
    "offerings/own.toml",
    "offerings/runpod.toml",
    "ownership.toml",
    "regions.toml",
    "shapes.toml",
    "storage.toml",
    "traffic.toml",
];

/// Returns what the program knows without any file of the user.
pub fn catalog() -> &'static Catalog {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    CATALOG.get_or_init(|| {
        let (catalog, mistakes) = load(TEXTS);
        assert!(mistakes.is_empty(), "the built-in catalogs are wrong: {mistakes:?}");
        catalog
    })
}

/// Returns the input that the built-in catalog is: one digest over the names and texts of its files.
pub fn input() -> InputFile {
    let parts = TEXTS.iter().flat_map(|(name, text)| [*name, "\0", text, "\0"]);
    let whole: Vec<u8> = parts.flat_map(str::bytes).collect();
    let sha256 = crate::files::sha256(&whole);
    InputFile { role: "catalog".to_owned(), path: "built-in".to_owned(), sha256 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_catalog_file_is_built_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/catalogs");
        let mut names = crate::files::folder(folder).expect("the catalogs can be read");
        names.retain(|(name, _)| name.ends_with(".toml"));
        let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, TEXTS.iter().map(|&(name, _)| name).collect::<Vec<_>>());
    }

    #[test]
    fn the_built_in_catalog_is_without_mistakes() {
        assert!(catalog().accelerators.len() > 10);
    }
}
