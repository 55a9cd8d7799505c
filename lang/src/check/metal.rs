//! `deploy kubernetes { metal3 = … }`: which cluster do own machines join, and what is written to their disks?

use capstan_types::spec::MetalWish;

use super::checker::Checker;
use super::deploy::subdomain;
use super::fields::Fields;
use super::table::{FACT, FieldRow, FieldType, Table};
use crate::codes;

/// How own machines are made nodes.
pub(super) static METAL3: Table =
    Table::record("metal3", "How machines of own sites are made nodes by Cluster API and Metal3.", FIELDS);

static FIELDS: &[FieldRow] = &[
    FieldRow::new("cluster", FieldType::Text, FACT)
        .needed()
        .means("The `Cluster` of Cluster API that they join. It is this one: it describes itself (`clusterctl move`).")
        .shown("= \"prod\"", "= \"test\""),
    FieldRow::new("namespace", FieldType::Text, FACT)
        .default("`\"default\"`, as `clusterctl` has it")
        .means("Namespace of that `Cluster` and of the `BareMetalHost` of each machine.")
        .shown("= \"metal3\"", "= \"hosts\""),
    FieldRow::new("image", FieldType::Text, FACT)
        .needed()
        .means("Address of the image that is written to their disks; it holds the kubelet and kubeadm.")
        .shown("= \"http://10.0.0.2/node.qcow2\"", "= \"http://10.0.0.3/node.qcow2\""),
    FieldRow::new("checksum", FieldType::Text, FACT)
        .needed()
        .means("Address of a file with the SHA-256 digest of the image, or that digest itself.")
        .shown("= \"http://10.0.0.2/SHA256SUMS\"", "= \"http://10.0.0.3/SHA256SUMS\""),
    FieldRow::new("version", FieldType::Text, FACT)
        .needed()
        .means("Version of Kubernetes that the image holds, to the patch; the minor one is that of the cluster.")
        .shown("= \"1.28.15\"", "= \"1.28.14\""),
];

/// Reads what Cluster API and Metal3 must be told; `minor` is the minor version of the cluster.
pub(super) fn read_metal3(checker: &Checker<'_>, fields: &Fields, minor: u32) -> MetalWish {
    for field in ["cluster", "namespace"] {
        if let Some(text) = fields.text(field) {
            subdomain(checker, text, fields.place_of(field).span());
        }
    }
    let report = |field: &str, code, message: String, help: String| {
        let found = checker.values.error(code, fields.place_of(field).span(), message);
        checker.values.report(found.help(help));
    };
    let text = |field: &str| fields.text(field).unwrap_or_default();
    if fields.has("image") && !is_address(text("image")) {
        let help = "an address such as `\"http://10.0.0.2/node.qcow2\"`".to_owned();
        report("image", codes::OUT_OF_RANGE, format!("`{}` is no address of an image", text("image")), help);
    }
    let version = text("version").trim_start_matches('v');
    if fields.has("version") {
        let numbers: Vec<Option<u32>> = version.split('.').map(|number| number.parse().ok()).collect();
        match numbers.as_slice() {
            [Some(1), Some(own), Some(_)] if *own == minor => {}
            [Some(1), Some(_), Some(_)] => {
                let message =
                    format!("the image holds Kubernetes {version}, and the cluster is of 1.{minor}");
                report(
                    "version",
                    codes::CONTRADICTION,
                    message,
                    format!("say `version = \"1.{minor}\"` of both, or take another image"),
                );
            }
            _ => {
                let message = format!("`{}` is no whole version of Kubernetes", text("version"));
                report("version", codes::OUT_OF_RANGE, message, format!("with its patch: `\"1.{minor}.2\"`"));
            }
        }
    }
    if fields.complete(checker) && !checker.sites.iter().any(|site| site.is_own()) {
        let message = "machines of own sites are made nodes, and the plan has no own site".to_owned();
        report(
            "cluster",
            codes::CONTRADICTION,
            message,
            "leave `metal3` out; `karpenter` makes rented machines".to_owned(),
        );
    }
    MetalWish {
        cluster: text("cluster").to_owned(),
        namespace: fields.text("namespace").unwrap_or("default").to_owned(),
        image: text("image").to_owned(),
        checksum: text("checksum").to_owned(),
        version: format!("v{version}"),
    }
}

/// Returns whether a text is an address from which a machine can fetch (Ironic takes these two).
fn is_address(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && text.chars().all(|c| c.is_ascii_graphic()))
}
