//! What the fixture stands on: the checked plan and the catalog rows.

use super::{CLOUD, MODEL, OWN, PLAN_FILE, decimal, place, words};
use crate::blueprint::{InputFile, Inputs};
use crate::catalog::{Catalog, Engine, EngineFamily, Region};
use crate::hardware::{Accelerator, Fabric, Link, NodeShape, Precision, ScaleUp, ScaleUpKind, Slice};
use crate::model::Model;
use crate::money::Currency;
use crate::offering::{Offering, Ownership, PurchaseOption};
use crate::origin::{Grade, Origin, PriceGrade, Provenance};
use crate::spec::{
    Assumption, Beside, Budget, Buy, Checkpoint, Daily, Disaggregated, Fleet, Frame, Kubernetes, Limit, Load,
    Metric, Objective, OnFailure, Parallelism, Quota, Rack, Redundancy, Rule, RuleExpr, RuleKind,
    RuleOperator, Serve, Site, Slo, SloMetric, Spec, Train, TrainMethod, Uncertain,
};
use crate::storage::{Protection, StorageKind, StorageSystem};
use crate::traffic::{Lengths, Traffic};
use crate::units::{Bytes, BytesPerSecond, FlopPerSecond, RequestsPerSecond, Seconds, Tokens, Watts};
use jiff::civil::{Date, date};
use std::collections::BTreeMap;

/// Day on which the rented prices held; also the planning date.
pub(super) const RENTED_AS_OF: Date = date(2025, 11, 1);

/// Day on which the server was quoted.
pub(super) const OWNED_AS_OF: Date = date(2024, 8, 15);

fn limit<T>(value: T, start: u32, end: u32) -> Limit<T> {
    Limit { value, place: place(start, end) }
}

fn provenance(source: &str, as_of: Date, grade: Grade) -> Provenance {
    Provenance { source: source.to_owned(), as_of, grade }
}

pub(super) fn inputs() -> Inputs {
    let file = |role: &str, path: &str, digit: &str| InputFile {
        role: role.to_owned(),
        path: path.to_owned(),
        sha256: digit.repeat(64),
    };
    Inputs {
        files: vec![
            file("plan", PLAN_FILE, "a"),
            file("catalog", "built-in", "b"),
            file("prices", "built-in", "c"),
        ],
        overrides: Vec::new(),
        spec: spec(),
        catalog: catalog(),
        oldest_price_days: Some(443),
    }
}

fn spec() -> Spec {
    Spec {
        name: "chat_and_pretrain".to_owned(),
        frame: Frame {
            currency: Currency::USD,
            start: date(2027, 1, 1),
            end: date(2029, 12, 31),
            months: 36,
            discount_per_year: 0.09,
            minimize: Objective::NetPresentCost,
            seed: 1,
            as_of: RENTED_AS_OF,
            time_zone: Frame::UTC.to_owned(),
            beside: Beside::default(),
        },
        sites: vec![own_site(), cloud_site()],
        fleets: vec![Fleet {
            name: "hall".to_owned(),
            place: place(420, 480),
            shape: OWN.1.to_owned(),
            count: 16,
            site: OWN.0.to_owned(),
            since: None,
            until: None,
            book_value: None,
            committed_price_per_hour: None,
        }],
        models: vec![model()],
        serves: vec![serve()],
        trains: vec![train()],
        batches: Vec::new(),
        apps: Vec::new(),
        budgets: vec![budget()],
        fabrics: Vec::new(),
        storages: Vec::new(),
        datasets: Vec::new(),
        scenarios: words(&["flash_shock"]),
        uncertain: vec![Uncertain {
            name: "peak".to_owned(),
            place: place(420, 480),
            unit: "req/s".to_owned(),
            mid: 40.0,
            low: 25.0,
            high: 80.0,
            confidence: 0.9,
            value: 40.0,
        }],
        what_ifs: Vec::new(),
        deploy: Some(Kubernetes::plain("llm", true)),
        assumptions: assumptions(),
    }
}

pub(super) fn assumptions() -> Vec<Assumption> {
    let assumption =
        |text: &str, at| Assumption { text: text.to_owned(), place: at, origin: Origin::Assumed };
    vec![
        assumption("`chat` keeps its cache in 16 bits, like the model", Some(place(640, 652))),
        assumption("the seed is 1", Some(place(0, 24))),
        assumption("8 % of a node-hour of own machines is not modelled: staff and insurance", None),
    ]
}

fn own_site() -> Site {
    Site {
        name: OWN.0.to_owned(),
        place: Some(place(130, 240)),
        provider: "own".to_owned(),
        region: None,
        power: Some(limit(Watts(1.2e6), 145, 165)),
        pue: 1.25,
        energy_price_per_kwh: Some(decimal("0.08")),
        colocation_price_per_kw_month: None,
        egress_price_per_gb: None,
        cooling: None,
        rack: Some(Rack { power: Some(limit(Watts(40e3), 205, 219)), height_u: 42.0 }),
        racks: Some(limit(12, 222, 232)),
        redundancy: Redundancy::NPlus1,
        zones: None,
        quotas: Vec::new(),
        lead_time_months: 2.0,
        time_zone: None,
    }
}

fn cloud_site() -> Site {
    Site {
        name: CLOUD.0.to_owned(),
        place: Some(place(250, 320)),
        provider: "aws".to_owned(),
        region: Some("us-east-1".to_owned()),
        power: None,
        pue: 1.0,
        energy_price_per_kwh: None,
        colocation_price_per_kw_month: None,
        egress_price_per_gb: None,
        cooling: None,
        rack: None,
        racks: None,
        redundancy: Redundancy::None,
        zones: Some(limit(2, 300, 310)),
        quotas: vec![Quota { accelerator: "h100_sxm".to_owned(), most: limit(128, 311, 319) }],
        lead_time_months: 0.0,
        time_zone: None,
    }
}

fn lengths(points: &[(f64, f64)]) -> Lengths {
    let mut lengths = Lengths { points: points.to_vec(), mean: 0.0 };
    lengths.mean = lengths.sampled_mean();
    lengths
}

/// Prompt lengths close to those of the Azure 2023 conversation trace.
pub(super) fn prompt() -> Lengths {
    lengths(&[(0.0, 3.0), (0.25, 396.0), (0.5, 1020.0), (0.9, 2447.0), (0.99, 4142.0), (1.0, 14_050.0)])
}

/// Output lengths close to those of the Azure 2023 conversation trace.
pub(super) fn output() -> Lengths {
    lengths(&[(0.0, 7.0), (0.5, 129.0), (0.9, 424.0), (0.99, 601.0), (1.0, 1000.0)])
}

fn serve() -> Serve {
    let buy = |option, at_least, at_most| Buy { option, at_least, at_most };
    let slo = |metric, target, start, end| Slo {
        metric,
        per_mille: 990,
        over: None,
        target: Seconds(target),
        place: place(start, end),
    };
    Serve {
        name: "chat".to_owned(),
        place: place(560, 900),
        model: MODEL.to_owned(),
        checkpoint: None,
        load: Load {
            traffic: Some("azure_2023_conversation".to_owned()),
            prompt: prompt(),
            output: output(),
            burstiness: 1.0,
            peak: RequestsPerSecond(40.0),
            growth_per_month: 0.01,
            daily: Daily::Diurnal { trough: 0.3, peak_at_hour: 14.0 },
            weekend: 0.7,
            trace: None,
            place: place(600, 740),
        },
        slos: vec![slo(SloMetric::Ttft, 0.5, 760, 773), slo(SloMetric::Tpot, 0.05, 788, 800)],
        availability: Some(limit(0.999, 805, 826)),
        engine: "vllm".to_owned(),
        precisions: vec![Precision::Bf16],
        kv_precision: None,
        accelerators: Some(words(&["h100_sxm", "h200_sxm", "l40s"])),
        parallelism: Parallelism::default(),
        max_sequences: None,
        step_tokens: None,
        queue_delay: None,
        buy: vec![
            buy(PurchaseOption::Owned, None, None),
            buy(PurchaseOption::Reserved { term_months: 36 }, Some(limit(0.2, 870, 889)), None),
            buy(PurchaseOption::Spot, None, Some(limit(0.3, 891, 902))),
            buy(PurchaseOption::OnDemand, None, None),
        ],
        sites: None,
        headroom: 0.1,
        min_replicas: 2,
        autoscale: None,
        prefix_caching: None,
        speculative: None,
        queue: None,
        on_failure: OnFailure::Retry,
        adapters: None,
        background: None,
        zones: None,
        disaggregated: Disaggregated::Never,
        stage: None,
    }
}

fn train() -> Train {
    Train {
        dataset: None,
        method: TrainMethod::Full,
        name: "pretrain".to_owned(),
        place: place(910, 1180),
        model: MODEL.to_owned(),
        tokens: Tokens(2e12),
        batch: Tokens(4e6),
        sequence: 8192,
        start: Some(limit(date(2027, 2, 1), 1030, 1054)),
        finish: Some(limit(date(2027, 6, 30), 1058, 1082)),
        precisions: vec![Precision::Bf16],
        accelerators: None,
        parallelism: Parallelism::default(),
        checkpoint: Checkpoint { every: Some(limit(Seconds(1800.0), 1102, 1117)), keep: 3 },
        buy: vec![
            Buy { option: PurchaseOption::Owned, at_least: None, at_most: None },
            Buy { option: PurchaseOption::OnDemand, at_least: None, at_most: None },
        ],
        sites: None,
        interruptible: false,
    }
}

fn budget() -> Budget {
    let metric = |metric| Box::new(RuleExpr::Metric { subject: "chat".to_owned(), metric });
    let number = |value| Box::new(RuleExpr::Number { value });
    let at_most = |left, right| RuleExpr::Binary { operator: RuleOperator::AtMost, left, right };
    let unit_cost = RuleExpr::Binary {
        operator: RuleOperator::Divide,
        left: metric(Metric::Cost),
        right: metric(Metric::Tokens),
    };
    Budget {
        name: "fy27".to_owned(),
        days: None,
        capex: Some(limit(decimal("12000000"), 1236, 1252)),
        opex_per_month: Some(limit(decimal("250000"), 1254, 1270)),
        total: None,
        spot: None,
        rules: vec![
            Rule {
                kind: RuleKind::Require,
                label: Some("unit_cost".to_owned()),
                condition: at_most(Box::new(unit_cost), number(1.2e-6)),
                text: "chat.cost / chat.tokens <= 1.20 USD/Mtok".to_owned(),
                message: Some("serving margin below plan".to_owned()),
                place: place(1290, 1330),
            },
            Rule {
                kind: RuleKind::Prefer,
                label: Some("few_nodes".to_owned()),
                condition: at_most(metric(Metric::Nodes), number(6.0)),
                text: "chat.nodes <= 6".to_owned(),
                message: None,
                place: place(1380, 1395),
            },
        ],
    }
}

fn model() -> Model {
    Model {
        id: MODEL.to_owned(),
        names: words(&["meta-llama/Llama-3.1-70B-Instruct"]),
        layers: 80,
        hidden: 8192,
        heads: 64,
        kv_heads: 8,
        head_dim: 128,
        ffn: 28_672,
        vocab: 128_256,
        context: 131_072,
        params_total_b: 70.5537,
        params_active_b: 70.5537,
        ..Model::blank(provenance(
            "config.json of meta-llama/Llama-3.1-70B",
            date(2024, 7, 23),
            Grade::DataSheet,
        ))
    }
}

fn catalog() -> Catalog {
    Catalog {
        accelerators: vec![accelerator()],
        shapes: vec![
            shape(CLOUD.1, "p5.48xlarge", "aws", None),
            shape(OWN.1, "8 × H100 SXM5 server", "own", Some(8.0)),
        ],
        storage: vec![StorageSystem {
            id: "boxes".to_owned(),
            names: words(&["Boxes"]),
            kind: StorageKind::Object,
            drives: 10,
            drive: Bytes(1e13),
            network: BytesPerSecond(25e9),
            read: Some(BytesPerSecond(10e9)),
            write: None,
            operations: Some(1.2e6),
            opens: Some(5e4),
            open: None,
            protection: Protection::Copies { copies: 2 },
            inside: false,
            least_nodes: None,
            fill: 0.8,
            free_nodes: 1,
            power: Some(Watts(1000.0)),
            height_u: Some(2.0),
            price: None,
            currency: Currency::USD,
            provenance: provenance("data sheet of the box", RENTED_AS_OF, Grade::DataSheet),
        }],
        fabrics: vec![Fabric {
            id: "ndr_infiniband".to_owned(),
            names: words(&["NDR InfiniBand"]),
            port: BytesPerSecond(50e9),
            radix: 64,
            efficiency: 0.92,
            switch_power: Some(Watts(747.0)),
            link: Some(Link::InfiniBand),
            provenance: provenance("QM9700 data sheet", RENTED_AS_OF, Grade::DataSheet),
        }],
        regions: vec![Region {
            provider: "aws".to_owned(),
            id: "us-east-1".to_owned(),
            zones: Some(6),
            provenance: provenance("aws.amazon.com, global infrastructure", RENTED_AS_OF, Grade::DataSheet),
        }],
        offerings: offerings(),
        ownership: vec![Ownership {
            id: "default".to_owned(),
            life_months: 60,
            residual: 0.1,
            maintenance_per_year: 0.05,
            network_share: 0.0,
            provenance: provenance("straight line over five years", RENTED_AS_OF, Grade::Recalled),
        }],
        models: vec![model()],
        traffic: vec![Traffic {
            id: "azure_2023_conversation".to_owned(),
            names: words(&["AzureLLMInferenceTrace_conv"]),
            prompt: prompt(),
            output: output(),
            burstiness: 1.0,
            peak_to_mean: Some(1.9),
            provenance: provenance("AzurePublicDataset, 2023", date(2023, 11, 16), Grade::Measured),
        }],
        engines: vec![engine()],
        ..Catalog::default()
    }
}

fn accelerator() -> Accelerator {
    let peaks = [(Precision::Bf16, 989.4e12), (Precision::Fp8, 1978.9e12), (Precision::Int8, 1978.9e12)];
    Accelerator {
        id: "h100_sxm".to_owned(),
        names: words(&["NVIDIA H100 SXM5 80GB"]),
        vendor: "NVIDIA".to_owned(),
        memory: Bytes(80e9),
        usable_memory: Some(Bytes(85.45e9)),
        memory_bandwidth: BytesPerSecond(3.35e12),
        cache: Some(Bytes(50e6)),
        peaks: peaks.into_iter().map(|(precision, rate)| (precision, FlopPerSecond(rate))).collect(),
        achievable: BTreeMap::new(),
        scale_up: ScaleUp { kind: ScaleUpKind::Switched, bandwidth: BytesPerSecond(450e9), domain: 8 },
        power: Some(Watts(700.0)),
        slices: vec![Slice { profile: "1g.10gb".to_owned(), most: 7 }],
        provenance: provenance("NVIDIA H100 data sheet", date(2023, 3, 1), Grade::DataSheet),
    }
}

fn shape(id: &str, name: &str, provider: &str, height_u: Option<f64>) -> NodeShape {
    NodeShape {
        id: id.to_owned(),
        names: words(&[name]),
        provider: provider.to_owned(),
        accelerator: Some("h100_sxm".to_owned()),
        accelerators: 8,
        vcpus: Some(192),
        host_memory: Some(Bytes(2.048e12)),
        nvme: Some(Bytes(30.4e12)),
        scale_out: Some(BytesPerSecond(400e9)),
        power: height_u.map(|_| Watts(10.2e3)),
        height_u,
        cooling: None,
        provenance: provenance("the vendor's page", RENTED_AS_OF, Grade::DataSheet),
    }
}

fn offerings() -> Vec<Offering> {
    let rented = |option, price: Option<&str>| Offering {
        shape: CLOUD.1.to_owned(),
        provider: "aws".to_owned(),
        region: "us-east-1".to_owned(),
        option,
        price: price.map(decimal),
        currency: Currency::USD,
        grade: PriceGrade::List,
        source: "skypilot-catalog v8, aws".to_owned(),
        as_of: RENTED_AS_OF,
        upfront: None,
        reclaimed_per_month: (option == PurchaseOption::Spot).then_some(0.2),
    };
    vec![
        rented(PurchaseOption::Reserved { term_months: 12 }, None),
        rented(PurchaseOption::Reserved { term_months: 36 }, Some("20.69505")),
        rented(PurchaseOption::OnDemand, Some("55.04")),
        rented(PurchaseOption::Spot, Some("14.7253")),
        Offering {
            shape: OWN.1.to_owned(),
            provider: "own".to_owned(),
            region: "all".to_owned(),
            option: PurchaseOption::Owned,
            price: Some(decimal("317000")),
            currency: Currency::USD,
            grade: PriceGrade::Quoted,
            source: "reseller quotation".to_owned(),
            as_of: OWNED_AS_OF,
            upfront: None,
            reclaimed_per_month: None,
        },
    ]
}

fn engine() -> Engine {
    Engine {
        id: "vllm".to_owned(),
        names: words(&["vLLM"]),
        family: EngineFamily::Vllm,
        version: "0.10.1".to_owned(),
        image: "vllm/vllm-openai".to_owned(),
        tag: "v0.10.1".to_owned(),
        memory_utilization: 0.9,
        reserved_bytes: 2e9,
        reserved_parallel_bytes: 1e9,
        activation_factor: 0.0,
        sampler_bytes: 0.0,
        block_tokens: 16,
        max_sequences: 256,
        step_tokens: 8192,
        host_step_us: 400.0,
        host_sequence_us: 6.0,
        layer_us: 4.0,
        prefill_step_us: 900.0,
        request_us: 800.0,
        prompt_token_us: 1.5,
        factor: 1.0,
        delivery_steps: 1.0,
        origin: Origin::Measured,
        provenance: provenance("own measurement", RENTED_AS_OF, Grade::Measured),
    }
}
