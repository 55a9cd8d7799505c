//! `service { models = … }`: which models does a service answer with, and by which program?

use capstan_types::spec::{ModelServer, ServerKind};
use capstan_types::units::Seconds;

use super::checker::Checker;
use super::deploy::subdomain;
use super::fields::Fields;
use super::table::{Bounds, FACT, FieldRow, FieldType, Table};
use crate::codes;
use capstan_types::quantity::Dimension;

/// The programs.
const SERVERS: &[&str] = &[ServerKind::Triton.word(), ServerKind::TfServing.word()];

/// Models that are no language models.
pub(super) static MODELS: Table = Table::record(
    "models",
    "Models that are no language models (ONNX, TensorRT, TensorFlow, TorchScript), and the program that answers with them.",
    FIELDS,
);

static FIELDS: &[FieldRow] = &[
    FieldRow::new("server", FieldType::Word(SERVERS), FACT)
        .needed()
        .means("The program that `image` holds: Triton (HTTP at 8000, gRPC at 8001) or TensorFlow Serving (8501, 8500).")
        .shown("= triton", "= tf_serving"),
    FieldRow::new("volume", FieldType::Text, FACT)
        .needed()
        .means("Claim of the volume on which they lie: a folder for each model, as the program wants it. Machines of all instances mount it.")
        .shown("= \"vision\"", "= \"ranking\""),
    FieldRow::new("names", FieldType::Texts, FACT)
        .needed()
        .means("The models that are loaded, by the names of their folders.")
        .shown("= \"resnet50\"", "= [\"detect\", \"embed\"]"),
    FieldRow::new("max_batch", FieldType::Count(Dimension::REQUESTS), FACT)
        .bounds(Bounds::Within(1.0, 65_536.0))
        .default("as the program or the model has it")
        .means("Most requests that are computed at once. Triton takes it for models without a `config.pbtxt` of their own.")
        .shown("= 32", "= 8"),
    FieldRow::new("queue_delay", FieldType::Quantity(Dimension::TIME), FACT)
        .bounds(Bounds::Within(0.0, 60.0))
        .default("no wait")
        .means("How long a request waits for others at most; needs `max_batch`.")
        .shown("= 2 ms, max_batch = 32", "= 5 ms, max_batch = 32"),
];

/// Reads the models of a service; nothing where they cannot be read.
pub(super) fn read(checker: &Checker<'_>, service: &Fields, fields: &Fields) -> Option<ModelServer> {
    let complete = fields.complete(checker);
    let report = |code, at: &Fields, field: &str, message: String, help: &str| {
        let found = checker.values.error(code, at.place_of(field).span(), message);
        checker.values.report(found.help(help));
    };
    let server = ServerKind::ALL.into_iter().find(|kind| Some(kind.word()) == fields.word("server"));
    if let Some(server) = server.filter(|_| service.has("port")) {
        let (http, grpc) = (server.http_port(), server.grpc_port());
        let message = format!("`{}` answers at {http} (HTTP) and at {grpc} (gRPC)", server.word());
        report(codes::CONTRADICTION, service, "port", message, "leave `port` out");
    }
    let volume = fields.text("volume").unwrap_or_default();
    if volume.contains("://") {
        let message = format!("`{volume}` is an address, and models are read from a volume");
        let help = "put the models onto a volume that many machines can mount, and name its claim";
        report(codes::OUT_OF_RANGE, fields, "volume", message, help);
    } else if fields.has("volume") {
        subdomain(checker, volume, fields.place_of("volume").span());
    }
    if fields.has("queue_delay") && !fields.has("max_batch") {
        let message = "requests wait for a batch to be full, and it has no size".to_owned();
        report(codes::CONTRADICTION, fields, "queue_delay", message, "say how many: `max_batch = 32`");
    }
    let names = fields.names("names").unwrap_or_default();
    for (at, name) in names.iter().enumerate() {
        if !is_folder(name) {
            let message = format!("`{name}` is no name of a model's folder");
            report(codes::OUT_OF_RANGE, fields, "names", message, "letters, digits, `_`, `-` and `.`");
        } else if names[..at].contains(name) {
            let message = format!("the model `{name}` is named twice");
            report(codes::DUPLICATE_NAME, fields, "names", message, "name each model once");
        }
    }
    let server = server.filter(|_| complete)?;
    Some(ModelServer {
        server,
        volume: volume.to_owned(),
        names,
        max_batch: fields.small("max_batch"),
        queue_delay: fields.number("queue_delay").map(Seconds),
    })
}

/// Returns whether a name is one of a folder, which configurations and shells take as it is.
fn is_folder(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    name.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_') && name.chars().all(plain)
}
