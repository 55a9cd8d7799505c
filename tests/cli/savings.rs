//! What need not be computed: prompts that begin alike, and tokens that are drafted, from the plan to the verdict.

use crate::surroundings::Place;
use capstan_types::blueprint::{Blueprint, VerdictStatus};
use capstan_types::simulation::Simulation;

/// A plan of one service, each replica on one H100, with its requests, its levels and what is said beside.
fn text(load: &str, beside: &str) -> String {
    format!(
        "plan p {{ currency = USD }}\nsite cloud {{ provider = aws, region = \"us-east-1\" }}\n\
         serve chat {{\n  model = \"meta-llama/Llama-3.1-8B-Instruct\"\n  accelerator = h100_sxm\n  \
         parallelism = {{ tensor = 1, pipeline = 1 }}\n  load = {{ {load} }}\n  {beside}\n}}\n"
    )
}

/// Plans it at 60 requests per second and returns its blueprint.
fn planned(place: &Place, beside: &str) -> Blueprint {
    let levels = "slo ttft { p99 <= 2 s }\n  slo tpot { p99 <= 60 ms }\n  ";
    let load = "rate = 60 req/s, prompt = 4 ktok, output = 200 tok";
    place.planned(text(load, &format!("{levels}{beside}")), 0)
}

fn rate(blueprint: &Blueprint) -> f64 {
    let placement = &blueprint.services[0].placements[0];
    placement.estimate.rate.get() * placement.derating
}

#[test]
fn prompts_that_begin_alike_need_fewer_replicas_and_the_report_says_what_was_found() {
    let place = Place::new();
    let plain = planned(&place, "");
    let alike = planned(&place, "prefix_caching = { reuse = 60%, beginnings = 10 }");
    assert!(plain.verdicts.iter().all(|verdict| verdict.reused.is_none()));
    assert!(rate(&alike) > 1.3 * rate(&plain), "{} {}", rate(&alike), rate(&plain));
    for verdict in &alike.verdicts {
        assert_eq!(verdict.status, VerdictStatus::Met);
        let reused = verdict.reused.expect("told");
        assert!((reused.share - 0.6).abs() < 0.02 && reused.read_back == 0.0, "{reused:?}");
    }
    let told = place.run(&["report", "b.json"]).exits(0);
    assert!(told.out.contains("of prompt tokens found"), "{}", told.told());
    let seen = place.run(&["simulate", "b.json", "--replications", "8", "--output", "json"]).exits(0);
    let simulation: Simulation = serde_json::from_str(&seen.out).expect("a simulation");
    assert!((simulation.runs[0].reused.expect("told").share - 0.6).abs() < 0.02);
}

#[test]
fn beginnings_that_do_not_fit_are_found_in_host_memory_or_not_at_all() {
    let place = Place::new();
    let said = |host: &str| format!("prefix_caching = {{ reuse = 80%, beginnings = 2000{host} }}");
    let without = planned(&place, &said(""));
    let with = planned(&place, &said(", host = { size = 150 GB, bandwidth = 50 GB/s }"));
    let found = |blueprint: &Blueprint| blueprint.verdicts[0].reused.expect("told");
    assert!(found(&without).share < 0.3, "{:?}", found(&without));
    assert!(found(&with).share > found(&without).share + 0.05, "{:?}", found(&with));
    assert!(found(&with).read_back > 0.2, "{:?}", found(&with));
    assert!(rate(&with) > rate(&without), "{} {}", rate(&with), rate(&without));
    let too_much = "prefix_caching = { reuse = 80%, host = { size = 90 TB, bandwidth = 50 GB/s } }";
    place.write(
        "q.plan",
        place.read("p.plan").replace(&said(", host = { size = 150 GB, bandwidth = 50 GB/s }"), too_much),
    );
    let seen = place.run(&["plan", "q.plan"]).exits(3);
    assert!(seen.out.contains("cache tier too large"), "{}", seen.told());
    let told = seen.told().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("90000 GB of host memory for the cache of one replica, of"), "{told}");
    assert!(told.contains("a smaller `size` of what `prefix_caching` keeps"), "{told}");
    assert!(!told.contains("less demand"), "{told}");
}

/// A machine of eight has 2,199 GB for its host: room for the caches of two replicas, which take half of it each.
#[test]
fn a_machine_holds_as_many_replicas_as_its_host_has_memory_for() {
    let place = Place::new();
    let roomy = "prefix_caching = { reuse = 80%, host = { size = 900 GB, bandwidth = 50 GB/s } }";
    let blueprint = planned(&place, roomy);
    let placement = &blueprint.services[0].placements[0];
    let pool = &blueprint.pools[0];
    assert_eq!((placement.candidate.replicas_per_node, placement.candidate.accelerators), (2, 1));
    let nodes = pool.needed.iter().flatten().copied().max().expect("it runs");
    assert_eq!(nodes, placement.peak_replicas().div_ceil(2));
    assert!(blueprint.audit.iter().all(|check| check.violations.is_empty()), "{:?}", blueprint.audit);
}

#[test]
fn drafted_tokens_need_fewer_replicas_where_they_are_accepted_and_take_the_memory_of_their_model() {
    let place = Place::new();
    let said =
        |what: &str| format!("batching = {{ sequences = 16 }}\n  speculative = {{ tokens = 4, {what} }}");
    let plain = planned(&place, "batching = { sequences = 16 }");
    let lucky = planned(&place, &said("acceptance = 80%, cost = 5%"));
    let unlucky = planned(&place, &said("acceptance = 5%, cost = 5%"));
    assert!(rate(&lucky) > 1.15 * rate(&plain), "{} {}", rate(&lucky), rate(&plain));
    assert!(rate(&unlucky) < rate(&plain), "{} {}", rate(&unlucky), rate(&plain));
    assert!(lucky.verdicts.iter().all(|verdict| verdict.status == VerdictStatus::Met));
    let tpot = |blueprint: &Blueprint| blueprint.services[0].placements[0].estimate.tpot.get();
    assert!(tpot(&lucky) < tpot(&unlucky), "{} {}", tpot(&lucky), tpot(&unlucky));
    let model = planned(&place, &said("acceptance = 80%, model = llama3_2_1b"));
    let tokens = |blueprint: &Blueprint| blueprint.services[0].placements[0].estimate.kv_tokens;
    assert!(tokens(&model) * 6 < tokens(&plain) * 5, "{} {}", tokens(&model), tokens(&plain));
}

#[test]
fn adapters_take_memory_and_those_without_a_place_wait() {
    let place = Place::new();
    let plain = planned(&place, "");
    let few = planned(&place, "adapters = { count = 64, rank = 64, slots = 4 }");
    let many = planned(&place, "adapters = { count = 64, rank = 64, slots = 64 }");
    let tokens = |blueprint: &Blueprint| blueprint.services[0].placements[0].estimate.kv_tokens;
    // Rank 64 on Llama 3.1 8B: 168 million values of 16 bits are 0.34 GB, as such adapters are published.
    let each = (tokens(&few) - tokens(&many)) as f64 / 60.0 * 131_072.0;
    assert!((each / 0.3355e9 - 1.0).abs() < 0.02, "{each}");
    assert!(tokens(&plain) > tokens(&few));
    assert!(rate(&few) < rate(&many), "four adapters at once are not enough: {} {}", rate(&few), rate(&many));
}

/// Mooncake's conversations, whose block hashes say what has been read before.
#[test]
fn the_block_hashes_of_a_trace_say_what_is_read_once() {
    let Some(data) = capstan_types::testing::data() else { return };
    let place = Place::new();
    let from = data.join("request-traces/mooncake-fast25/conversation.csv.gz");
    place.write("log.csv.gz", std::fs::read(from).expect("the trace"));
    let text = "plan p { currency = USD }\nsite cloud { provider = aws, region = \"us-east-1\" }\n\
                serve chat {\n  model = \"meta-llama/Llama-3.1-8B-Instruct\"\n  accelerator = h100_sxm\n  \
                load = { trace = \"log.csv.gz\" }\n  slo ttft { p90 <= 5 s }\n  \
                prefix_caching = { routing = prefix }\n}\n";
    place.write("p.plan", text);
    place.run(&["plan", "p.plan", "-o", "b.json"]).exits(0);
    let blueprint = place.blueprint("b.json");
    let hashes = blueprint.inputs.spec.serves[0].load.trace.as_ref().and_then(|trace| trace.hashes.clone());
    let hashes = hashes.expect("the trace has hashes");
    assert!((hashes.block_tokens.0..=hashes.block_tokens.1).contains(&512), "{:?}", hashes.block_tokens);
    // Published: 4.5, 21.5 and 36.2 % of the tokens at 1,000, 10,000 and 50,000 blocks; these are hashes.
    for (blocks, percent) in [(1_024.0, 4.5), (8_192.0, 19.0), (65_536.0, 36.7)] {
        let share = 100.0 * hashes.reusable_within(blocks);
        assert!((share - percent).abs() < 0.15 * percent, "{blocks}: {share} {percent}");
    }
    let reused = blueprint.verdicts[0].reused.expect("told");
    assert!(reused.share > 0.05 && reused.share < 0.374, "{reused:?}");
}

/// Where prompts wait for each other, a level that is for some of the requests only is held by fewer replicas.
#[test]
fn requests_in_the_background_yield_and_have_no_service_level() {
    let place = Place::new();
    let text = |beside: &str| {
        let load = "rate = 1.7 req/s, prompt = 6 ktok, output = 60 tok";
        text(load, &format!("slo ttft {{ p99 <= 450 ms }}\n  {beside}"))
            + "deploy kubernetes { namespace = \"chat\", load_test = k6 }\n"
    };
    let plain = place.planned(text(""), 0);
    let equal = |blueprint: &Blueprint| blueprint.verdicts.iter().all(|verdict| verdict.background.is_none());
    assert!(equal(&plain));
    let yielding = place.planned(text("background = { share = 50%, queue <= 40 req }"), 0);
    assert!(rate(&yielding) > 1.1 * rate(&plain), "{} {}", rate(&yielding), rate(&plain));
    for verdict in &yielding.verdicts {
        assert_eq!(verdict.status, VerdictStatus::Met);
        let seen = verdict.background.expect("told");
        let share = seen.requests as f64 / verdict.requests as f64;
        assert!((share - 0.5).abs() < 0.02, "{share}");
        assert!(seen.ttft_p99_s.expect("answered") > verdict.seen, "{seen:?} {:?}", verdict.seen);
    }
    let told = place.run(&["report", "b.json"]).exits(0);
    assert!(told.out.contains("in the background"), "{}", told.told());
    let asked = ["simulate", "b.json", "--replications", "8", "--requests", "r.csv", "--output", "json"];
    let simulation: Simulation = serde_json::from_str(&place.run(&asked).exits(0).out).expect("a simulation");
    assert!(simulation.runs[0].background.expect("told").requests > 0);
    let log = place.read("r.csv");
    let column = log.lines().next().and_then(|head| head.split(',').position(|name| name == "background"));
    let column = column.expect("a column");
    let words: std::collections::BTreeSet<&str> =
        log.lines().skip(1).filter_map(|row| row.split(',').nth(column)).collect();
    assert_eq!(words.into_iter().collect::<Vec<_>>(), ["false", "true"]);
    let emitted = place.run(&["emit", "b.json", "--target", "kubernetes", "-o", "out"]).exits(0);
    assert!(
        emitted.err.contains("\"priority\\\": 1") || emitted.told().contains("priority"),
        "{}",
        emitted.told()
    );
    let pods = place.read("out/kubernetes/10-chat/deployment.yaml");
    assert!(pods.contains("--scheduling-policy=priority"), "{pods}");
    let test = place.read("out/kubernetes/10-chat/configmap-load-test.yaml");
    assert!(test.contains("priority: Math.random() < 0.5 ? 1 : 0"), "{test}");
    place.write("q.plan", text("engine = sglang\n  background = { share = 50% }"));
    let seen = place.run(&["check", "q.plan"]).exits(1);
    assert!(seen.told().contains("requests in the background need vLLM"), "{}", seen.told());
}

/// A batch that is run to its end has places that nobody uses, and those who come late wait for the whole of it.
#[test]
fn static_batches_need_more_replicas_than_continuous_ones() {
    let place = Place::new();
    let text = |beside: &str| {
        let beside = format!("slo e2e {{ p99 <= 40 s }}\n  batching = {{ sequences = 32{beside} }}");
        text("traffic = azure_2023_conversation, peak = 20 req/s", &beside)
            + "deploy kubernetes { namespace = \"chat\" }\n"
    };
    let continuous = place.planned(text(""), 0);
    let fixed = place.planned(text(", queue_delay = 50 ms"), 0);
    let replicas = |of: &Blueprint| of.services[0].placements[0].peak_replicas();
    assert!(replicas(&fixed) > replicas(&continuous), "{} {}", replicas(&fixed), replicas(&continuous));
    let slower = |of: &Blueprint| of.verdicts[0].seen.get();
    assert!(slower(&fixed) > 1.3 * slower(&continuous), "{} {}", slower(&fixed), slower(&continuous));
    assert!(fixed.verdicts.iter().all(|verdict| verdict.status == VerdictStatus::Met));
    let emitted = place.run(&["emit", "b.json", "--target", "kubernetes", "-o", "out"]).exits(0);
    assert!(emitted.err.contains("a batcher such as Triton's"), "{}", emitted.told());
    place.write(
        "q.plan",
        text(", queue_delay = 50 ms").replace("slo e2e", "background = { share = 50% }\n  slo e2e"),
    );
    let seen = place.run(&["check", "q.plan"]).exits(1);
    assert!(seen.told().contains("`background` needs continuous batching"), "{}", seen.told());
}
