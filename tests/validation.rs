//! Is docs/validation.md what the program says today, and does fitting again give the same bytes?
//!
//! Needs CAPSTAN_DATA. `UPDATE=1 cargo test --test validation` writes the page anew.

use capstan_types::testing::data;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn capstan(arguments: &[&str]) -> Output {
    let done = Command::new(env!("CARGO_BIN_EXE_capstan"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_clear()
        .env("LANG", "C.UTF-8")
        .output()
        .expect("the program starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    done
}

/// The page cannot be made without the data; with it, it has to be current.
#[test]
fn the_page_of_validation_is_current() {
    let Some(data) = data().map(|path| path.display().to_string()) else { return };
    let page = capstan(&["validate", "--data", &data, "--output", "markdown"]).stdout;
    let page = String::from_utf8(page).expect("the program prints UTF-8");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/validation.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, page).expect("the page can be written");
        return;
    }
    let shipped = fs::read_to_string(path).expect("docs/validation.md");
    assert!(shipped == page, "docs/validation.md is not current: UPDATE=1 cargo test --test validation");
}

/// A folder without measurements is said to be one, and where to say better.
#[test]
fn without_measurements_nothing_is_validated() {
    let empty = tempfile::tempdir().expect("a folder");
    let done = Command::new(env!("CARGO_BIN_EXE_capstan"))
        .args(["validate", "--data"])
        .arg(empty.path())
        .env_clear()
        .output()
        .expect("the program starts");
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&done.stderr).contains("serving_latency.csv"));
    let done =
        Command::new(env!("CARGO_BIN_EXE_capstan")).arg("validate").env_clear().output().expect("it starts");
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&done.stderr).contains("--data"));
}

/// Long: some hundred seconds of computing.
#[test]
#[ignore = "long: fits every curve and factor again"]
fn long_fitting_again_gives_the_same_bytes() {
    let Some(data) = data().map(|path| path.display().to_string()) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalogs");
    let names = ["engines.toml", "efficiencies_fit.toml", "efficiencies_kernels.toml"];
    fs::copy(shipped.join(names[0]), folder.path().join(names[0])).expect("a copy");
    let target = folder.path().to_str().expect("a plain path");
    capstan(&["fit", "--data", &data, "--catalogs", target]);
    for name in names {
        let (again, shipped) = (fs::read(folder.path().join(name)), fs::read(shipped.join(name)));
        assert!(again.expect("written") == shipped.expect("shipped"), "{name} is not what the fit gives");
    }
}
