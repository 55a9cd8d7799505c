//! What runs in containers beside models: services, and notebooks of people.

use crate::place::Place;
use crate::spec::{Buy, Limit};
use crate::units::{Bytes, Seconds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which kind of block asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppKind {
    /// Anything in a container.
    Service,
    /// Notebooks.
    Workspace,
}

impl AppKind {
    /// Returns the word of the language.
    pub fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Workspace => "workspace",
        }
    }
}

/// How much of an accelerator one instance has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Slice {
    /// All of it.
    Whole,
    /// A hardware partition.
    Profile {
        /// Its name, such as `1g.10gb`.
        profile: String,
    },
    /// A share of its time.
    Share {
        /// More than nothing, at most all.
        share: f64,
    },
}

impl Slice {
    /// Returns the words shown to people.
    pub fn words(&self) -> String {
        match self {
            Self::Whole => "a whole accelerator".to_owned(),
            Self::Profile { profile } => profile.clone(),
            Self::Share { share } => format!("{:.0} % of an accelerator", share * 100.0),
        }
    }
}

/// A program that answers with models that are no language models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServerKind {
    /// Triton Inference Server.
    Triton,
    /// TensorFlow Serving.
    TfServing,
}

impl ServerKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Triton, Self::TfServing];

    /// Returns the word of the language.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Triton => "triton",
            Self::TfServing => "tf_serving",
        }
    }

    /// Returns the port at which it answers over HTTP (the default of both programs).
    pub const fn http_port(self) -> u16 {
        match self {
            Self::Triton => 8000,
            Self::TfServing => 8501,
        }
    }

    /// Returns the port at which it answers over gRPC (the default of both programs).
    pub const fn grpc_port(self) -> u16 {
        match self {
            Self::Triton => 8001,
            Self::TfServing => 8500,
        }
    }
}

/// Models that a service answers with, and by which program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelServer {
    /// The program.
    pub server: ServerKind,
    /// Claim of the volume that holds a folder for each model.
    pub volume: String,
    /// Names of the models, which are those of their folders.
    pub names: Vec<String>,
    /// Requests that are computed at once at most; `None` is as the server or the model has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_batch: Option<u32>,
    /// How long a request waits for others; only with `max_batch`.
    #[serde(default, rename = "queue_delay_s", skip_serializing_if = "Option::is_none")]
    pub queue_delay: Option<Seconds>,
}

/// Hours of a weekday in which it is used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DayHours {
    /// First hour.
    pub from: u32,
    /// First hour in which it is not used any more; beyond 24 where they reach past midnight.
    pub until: u32,
}

/// A number of equal instances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct App {
    /// Its name.
    pub name: String,
    /// Where it is declared.
    pub place: Place,
    /// What asks for it.
    pub kind: AppKind,
    /// The container's image, where it is said.
    pub image: Option<String>,
    /// Where it answers, over TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Folder of the container in which it keeps its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount: Option<String>,
    /// The models that it answers with, where its image is a server of models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<ModelServer>,
    /// Instances at once.
    pub instances: u32,
    /// Hours of weekdays in which they run; all hours of all days where absent.
    pub hours: Option<DayHours>,
    /// Hardware threads of one instance.
    pub threads: f64,
    /// Memory of one instance.
    #[serde(rename = "memory_bytes")]
    pub memory: Bytes,
    /// Data that one instance keeps.
    #[serde(rename = "storage_bytes")]
    pub storage: Bytes,
    /// How much of an accelerator one instance has, if any.
    pub part: Option<Slice>,
    /// Accelerators that are allowed; `None` is any.
    pub accelerators: Option<Vec<String>>,
    /// Share of time in which all instances that are asked for are up.
    pub availability: Option<Limit<f64>>,
    /// How capacity may be bought.
    pub buy: Vec<Buy>,
    /// Sites it may run at; `None` is any.
    pub sites: Option<Vec<String>>,
}

impl App {
    /// Returns the instances at an hour: 0 to 23 on a weekday, 24 to 47 at a weekend.
    pub fn instances_at(&self, hour: usize) -> u32 {
        let is_used = |hours: DayHours| {
            let since = (hour + 24 - hours.from as usize) % 24;
            hour < 24 && since < (hours.until - hours.from) as usize
        };
        if self.hours.is_none_or(is_used) { self.instances } else { 0 }
    }
}
