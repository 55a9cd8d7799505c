//! What need not be computed? What prompts have in common, and tokens that are drafted: the plan's words in the numbers of
//! the estimate and of the simulator.
//!
//! The estimate takes it that half of a replica's cache is there for what prompts have in common, and that of equally
//! common beginnings those are found that fit; the simulator knows better and has the last word.

use capstan_sim::estimate::Shortcuts;
use capstan_sim::perf::{Device, Drafter, PreparedStep, Ranks, Reason, ServingMemory, Setup, Speculation};
use capstan_sim::serving::{self, Beginnings, CacheTier, Router, Summary};
use capstan_types::blueprint::Reused;
use capstan_types::hardware::NodeShape;
use capstan_types::model::Model;
use capstan_types::spec::{self, Draft, Part, PrefixCaching, Reuse, Routing, Serve, Speculative};
use capstan_types::units::{Bytes, BytesPerSecond};

/// Share of a replica's cache that the estimate gives to what prompts have in common. Origin: chosen.
const KEPT: f64 = 0.5;

/// Requests more than the fewest that a router bears for what can be reused. Origin: chosen; a replica runs many more at
/// once, so that the others hardly notice.
const SLACK: u32 = 8;

/// Returns how prompts begin alike, where the plan says it by a share; in a grain that `block_tokens` divides.
pub(crate) fn beginnings(serve: &Serve) -> Option<Beginnings> {
    match serve.prefix_caching.as_ref()?.reuse {
        Reuse::Share { share, beginnings, block_tokens } => {
            Some(Beginnings { n: beginnings, share, tokens: block_tokens })
        }
        Reuse::Hashes { .. } => None,
    }
}

/// Returns the tokens of a hash of the trace, where its hashes say what is reused.
pub(crate) fn hash_tokens(serve: &Serve) -> Option<u32> {
    match serve.prefix_caching.as_ref()?.reuse {
        Reuse::Hashes { block_tokens } => Some(block_tokens),
        Reuse::Share { .. } => None,
    }
}

/// Returns the tokens in which what is reused is found.
pub(crate) fn grain(serve: &Serve) -> Option<u32> {
    beginnings(serve).map(|beginnings| beginnings.tokens).or_else(|| hash_tokens(serve))
}

/// Returns which replica gets a request.
pub(crate) fn router(serve: &Serve) -> Router {
    match serve.prefix_caching.as_ref().map(|caching| caching.routing) {
        None | Some(Routing::LeastOutstanding) => Router::LeastOutstanding,
        Some(Routing::Prefix) => Router::Prefix { slack: SLACK },
        Some(Routing::Sticky) => Router::Sticky,
    }
}

/// Returns host memory and disk in blocks of `block_tokens` tokens, of which each takes `token` bytes on all ranks of a replica.
pub(crate) fn tiers(serve: &Serve, token: Bytes, block_tokens: u32) -> [CacheTier; 2] {
    let block = token.get() * f64::from(block_tokens);
    let tier = |tier: &spec::CacheTier| CacheTier {
        blocks: (tier.size.get() / block.max(1.0)).floor().min(f64::from(u32::MAX)) as u32,
        block_ns: (block / tier.bandwidth.get().max(1.0) * 1e9).ceil().min(1e18) as u64,
    };
    let caching = serve.prefix_caching.as_ref();
    let of = |part: fn(&PrefixCaching) -> Option<&spec::CacheTier>| {
        caching.and_then(part).map(tier).unwrap_or_default()
    };
    [of(|caching| caching.host.as_ref()), of(|caching| caching.disk.as_ref())]
}

/// Returns the bytes of one adapter on all ranks: its rank times the rows and columns of every linear layer, 16 bits each.
///
/// As LoRA has it (Hu et al., ICLR 2022): two matrices of `rank` beside each weight matrix; routed experts have none.
pub(crate) fn adapter_bytes(model: &Model, rank: u32) -> Bytes {
    let (hidden, layers) = (f64::from(model.hidden), f64::from(model.layers));
    let queries = f64::from(model.heads) * f64::from(model.head_dim);
    let keys = f64::from(model.kv_heads) * f64::from(model.head_dim);
    let attention = 2.0 * (hidden + queries) + 2.0 * (hidden + keys);
    let matrices = if model.gated { 3.0 } else { 2.0 };
    let dense = f64::from(model.dense_layers()) * matrices * (hidden + f64::from(model.ffn));
    Bytes(2.0 * f64::from(rank) * (layers * attention + dense))
}

/// Returns the adapters of a workload as the simulator has them.
pub(crate) fn adapters(serve: &Serve, adapter: Option<Bytes>, seed: u64) -> Option<serving::Adapters> {
    let of = serve.adapters.as_ref()?;
    let load_ns = adapter.map_or(0.0, |bytes| bytes.get() / of.bandwidth.get().max(1.0) * 1e9);
    Some(serving::Adapters::drawn(of.count, of.slots, load_ns.ceil().min(1e18) as u64, seed))
}

/// Returns the requests of a workload that yield, as the simulator has them.
pub(crate) fn background(serve: &Serve, seed: u64) -> Option<serving::Background> {
    let spec::Background { share, queue } = serve.background.as_ref()?;
    let most = queue.as_ref().map_or(u32::MAX, |limit| limit.value);
    Some(serving::Background::drawn(*share, most, seed))
}

/// Returns what a replica with this memory need not compute.
pub(crate) fn shortcuts(serve: &Serve, memory: &ServingMemory, ranks: Ranks) -> Shortcuts {
    let drafted = serve.speculative.as_ref().map_or(0.0, |speculative| f64::from(speculative.tokens));
    let mut shortcuts = Shortcuts { drafted, ..Shortcuts::default() };
    if serve.is_part(Part::Decode) {
        // The last token of a prompt is run here.
        shortcuts.reused = 1.0 - 1.0 / serve.load.prompt.mean.max(1.0);
    }
    let Some(caching) = &serve.prefix_caching else { return shortcuts };
    let token = replica_token(memory, ranks.of_sequence());
    let kept = memory.kv_tokens() * KEPT;
    let (all, found) = found_within(caching, serve);
    // What does not fit gives way to running requests anyway.
    (shortcuts.reused, shortcuts.kept_tokens) = (found(kept), if all <= kept { all } else { 0.0 });
    let mut reach = kept;
    let mut read_ns = 0.0;
    for tier in [&caching.host, &caching.disk].into_iter().flatten() {
        reach = reach.max(tier.size / token);
        let more = (found(reach) - shortcuts.reused).max(0.0);
        read_ns += more * token.get() / tier.bandwidth.get().max(1.0) * 1e9;
        shortcuts.reused += more;
    }
    shortcuts.shared = shortcuts.reused;
    if shortcuts.reused > 0.0 {
        shortcuts.read_back_ns = read_ns / shortcuts.reused;
    }
    shortcuts
}

/// Returns what was found of prompts over all runs, where they begin alike.
pub(crate) fn reused(serve: &Serve, runs: &[Summary]) -> Option<Reused> {
    serve.prefix_caching.as_ref()?;
    let sum = |part: fn(&Summary) -> u64| runs.iter().map(part).sum::<u64>() as f64;
    let found = sum(|run| run.reused_tokens);
    Some(Reused {
        share: found / (found + sum(|run| run.prefill_tokens)).max(1.0),
        read_back: sum(|run| run.read_back_tokens) / found.max(1.0),
    })
}

/// Returns the bytes of cache of one token on all `ranks` that hold a part of it.
pub(crate) fn replica_token(memory: &ServingMemory, ranks: u32) -> Bytes {
    memory.bytes_per_token * f64::from(ranks.max(1))
}

/// Returns the tokens that hold all that is ever reused, and the share of prompts found by the tokens that are kept.
fn found_within<'a>(caching: &PrefixCaching, serve: &'a Serve) -> (f64, Box<dyn Fn(f64) -> f64 + 'a>) {
    match caching.reuse {
        Reuse::Share { share, beginnings, .. } => {
            let all = f64::from(beginnings) * share * serve.load.prompt.mean;
            (all, Box::new(move |kept| if all > 0.0 { share * (kept / all).min(1.0) } else { 0.0 }))
        }
        Reuse::Hashes { block_tokens } => {
            let hashes = serve.load.trace.as_ref().and_then(|trace| trace.hashes.as_ref());
            let tokens = f64::from(block_tokens);
            let most = hashes.and_then(|hashes| hashes.reusable.last()).map_or(0, |&(blocks, _)| blocks);
            let found = move |kept| hashes.map_or(0.0, |hashes| hashes.reusable_within(kept / tokens));
            (most as f64 * tokens, Box::new(found))
        }
    }
}

/// Returns what a replica can send and receive: its part of the network of its machines.
pub(crate) fn network_of(shape: &NodeShape, accelerators: u32) -> Option<BytesPerSecond> {
    let of_node = shape.scale_out?;
    Some(of_node * (f64::from(accelerators) / f64::from(shape.accelerators.max(1))))
}

/// Returns to how many of at most `replicas_per_node` replicas a machine can give the host memory and disk that the plan
/// says for each.
///
/// # Errors
/// Where it can to none: by which factor it is too small, where that is known, and why in words.
pub(crate) fn held_by_tiers(
    serve: &Serve,
    shape: &NodeShape,
    replicas_per_node: u32,
) -> Result<u32, (Option<f64>, String)> {
    let Some(caching) = serve.prefix_caching.as_ref() else { return Ok(replicas_per_node) };
    let tiers =
        [(&caching.host, shape.host_memory, "host memory"), (&caching.disk, shape.nvme, "local disk")];
    let mut held = replicas_per_node;
    for (tier, there, what) in tiers {
        let Some(each) = tier.as_ref().map(|tier| tier.size) else { continue };
        let Some(there) = there else { return Err((None, format!("nobody knows how much {what} it has"))) };
        if each > there {
            let (asked, has) = (each.get() / 1e9, there.get() / 1e9);
            let words = format!(
                "{asked:.0} GB of {what} for the cache of one replica, of {has:.0} GB: a smaller `size` fits"
            );
            return Err((Some(each / there.max(Bytes(1.0))), words));
        }
        held = held.min((there / each).floor().min(f64::from(u32::MAX)) as u32);
    }
    Ok(held)
}

/// Returns the memory and the step of a replica on which tokens are drafted.
///
/// # Errors
/// A [`Reason`] where both models do not fit, or the draft model cannot run there.
pub(crate) fn speculating(
    speculative: &Speculative,
    draft: Option<&Model>,
    device: &Device,
    setup: &Setup<'_>,
    (memory, step): (ServingMemory, PreparedStep),
    context: u32,
) -> Result<(ServingMemory, PreparedStep), Reason> {
    let (memory, drafter) = match (&speculative.draft, draft) {
        (Draft::Cost { step_share }, _) => (memory, Drafter::Share(*step_share)),
        (Draft::Model { .. }, None) => {
            return Err(Reason::NotPositive { what: "the size of the draft model" });
        }
        (Draft::Model { .. }, Some(model)) => {
            let (beside, drafts) = draft_model(model, device, setup, context)?;
            (memory.beside(&beside), Drafter::Model(Box::new(drafts)))
        }
    };
    if let Some(refusal) = memory.refusal() {
        return Err(refusal);
    }
    let yields = speculative.tokens_per_step();
    Ok((memory, step.speculating(Speculation { tokens: speculative.tokens, yields, drafter })))
}

/// Returns memory and step of a draft model: split as the model is where that goes, else whole on each accelerator.
fn draft_model(
    model: &Model,
    device: &Device,
    setup: &Setup<'_>,
    context: u32,
) -> Result<(ServingMemory, PreparedStep), Reason> {
    let with = |tensor: u32| {
        let ranks = Ranks::of(tensor, 1);
        let setup = Setup { model, ranks, precision: model.published, ..*setup };
        let memory = ServingMemory::of(&setup, context.min(model.context))?;
        Ok((memory, PreparedStep::with_device(device, &setup)?))
    };
    with(setup.ranks.split.tensor).or_else(|_: Reason| with(1))
}
