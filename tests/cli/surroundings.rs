//! A folder of its own for each test, and the program in it.

use assert_cmd::Command;
use capstan_types::blueprint::Blueprint;
use std::fs;
use std::path::PathBuf;

/// 2026-07-01, the day on which every test runs.
const TODAY: &str = "1782864000";

/// A hall with machines, network and storage of its own, of which everything that Kubernetes needs is asked for.
pub const HALL: &str = r#"plan hall_of_its_own { currency = USD, horizon = 2027-01-01 .. 2027-12-31 }
site hall { pue = 1.25, energy_price = 0.08 USD/kWh, colocation_price = 120 USD/kW/mo }
fleet a100 { shape = own.dgx_a100_8, count = 3, site = hall }
storage files { site = hall, system = ceph_nvme, capacity >= 100 TB }
storage kept { site = hall, tier = bulk, system = ceph_nvme }
dataset corpus { site = hall, tier = bulk, size = 50 TB }
train domain {
  model       = "meta-llama/Llama-3.1-8B-Instruct"
  tokens      = 5 Gtok
  batch       = 1 Mtok
  sequence    = 8192 tok
  accelerator = a100_sxm_80gb
  parallelism = { tensor = 8, pipeline = 2 }
  checkpoint  = { keep = 3 }
}
deploy kubernetes {
  namespace        = "own-hall"
  version          = "1.36"
  quota            = true
  priorities       = true
  storage          = rook
  network_operator = { rails = ["ibs1f0", "ibs2f0", "ibs3f0", "ibs4f0", "ibs5f0", "ibs6f0", "ibs7f0", "ibs8f0"] }
  metal3           = { cluster = "prod", namespace = "hosts", image = "http://10.0.0.2/node.qcow2", checksum = "http://10.0.0.2/SHA256SUMS", version = "1.36.2" }
  training         = { image = "registry.example.com/train:1.4", queue = kueue }
}
"#;

/// The beginning of a catalog: a provider that the built-in one does not know, with a region.
pub const LAB: &str = r#"
[sources.lab]
source = "price list of the lab"
as_of = "2026-06-01"
grade = "data_sheet"

[[region]]
provider = "lab"
id = "a"
from = "lab"
"#;

/// Of [`LAB`]: a machine without accelerators, and one with eight that can be partitioned.
pub const LAB_MACHINES: &str = r#"
[[shape]]
id = "lab.cpu"
names = []
provider = "lab"
accelerators = 0
vcpus = 64
host_memory = "256 GB"
from = "lab"

[[shape]]
id = "lab.a100"
names = []
provider = "lab"
accelerator = "a100_sxm_80gb"
accelerators = 8
vcpus = 96
host_memory = "1 TB"
from = "lab"

[[offering]]
shape = "lab.cpu"
from = "lab"
grade = "list"
prices = [{ region = "a", on_demand = "3 USD/h" }]

[[offering]]
shape = "lab.a100"
from = "lab"
grade = "list"
prices = [{ region = "a", on_demand = "20 USD/h" }]
"#;

/// A small machine of [`LAB`].
pub const LAB_G1: &str = r#"
[[shape]]
id = "lab.g1"
names = ["g1"]
provider = "lab"
accelerator = "l40s"
accelerators = 1
vcpus = 4
host_memory = "15.3 GiB"
from = "lab"
"#;

/// A fresh folder.
pub struct Place {
    dir: tempfile::TempDir,
}

/// What a run showed.
pub struct Seen {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Seen {
    /// Runs a program.
    pub fn of(program: &mut Command) -> Seen {
        let output = program.output().expect("the program runs");
        Seen {
            code: output.status.code().expect("no signal ended it"),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// Returns all of it, for goldens, without the version of the program.
    pub fn told(&self) -> String {
        let text = format!("exit {}\n--- out\n{}--- err\n{}", self.code, self.out, self.err);
        text.replace(env!("CARGO_PKG_VERSION"), "[version]")
    }

    /// Expects an exit code, and never a panic.
    #[track_caller]
    pub fn exits(self, code: i32) -> Seen {
        assert_eq!(self.code, code, "{}", self.told());
        assert!(!self.err.contains("panicked") && !self.err.contains("bug"), "{}", self.told());
        self
    }
}

impl Place {
    /// Makes it.
    pub fn new() -> Self {
        Place { dir: tempfile::tempdir().expect("a temporary folder") }
    }

    /// Returns a path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }

    /// Writes a blueprint as the program does.
    pub fn write_blueprint(&self, name: &str, blueprint: &Blueprint) {
        self.write(name, capstan_report::blueprint_text(blueprint));
    }

    /// Writes a plan, plans it and returns the blueprint; `code` is what that must end with.
    #[track_caller]
    pub fn planned(&self, plan: impl AsRef<[u8]>, code: i32) -> Blueprint {
        self.write("p.plan", plan);
        self.run(&["plan", "p.plan", "-o", "b.json"]).exits(code);
        self.blueprint("b.json")
    }

    /// Reads a blueprint.
    #[track_caller]
    pub fn blueprint(&self, name: &str) -> Blueprint {
        serde_json::from_str(&self.read(name)).expect("a blueprint")
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Returns the names of everything in it.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).expect("a folder");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Returns the program, ready to run here.
    pub fn program(&self) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_capstan"));
        program.current_dir(self.dir.path()).env_clear();
        program.env("COLUMNS", "100").env("SOURCE_DATE_EPOCH", TODAY);
        program
    }

    /// Runs the program.
    pub fn run(&self, arguments: &[&str]) -> Seen {
        self.run_with(arguments, "")
    }

    /// Runs the program with something on standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Seen {
        Seen::of(self.program().args(arguments).write_stdin(input))
    }
}
