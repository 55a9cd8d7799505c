//! Are the objects of a wave at work? Asked again and again until all are, one fails, or time is over.

use crate::api::{Api, Shelf};
use crate::event::Event;
use crate::look::AT_ONCE;
use crate::object::{Id, Object};
use crate::readiness::{State, stable_seconds, state};
use crate::served::{Served, items};
use crate::trouble::Trouble;
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{Event as ClusterEvent, Pod};
use kube::api::ListParams;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Between two looks at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// How long a failure must last: controllers report some that pass by themselves. Origin: Assumed.
const PATIENCE: Duration = Duration::from_secs(12);

/// Why a container does not start that starting again will not mend.
const HOPELESS: [&str; 7] = [
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
];

/// An object that is waited for.
struct Pending<'a> {
    object: &'a Object,
    ready_since: Option<Instant>,
    failed_since: Option<Instant>,
    told: String,
}

/// How waiting goes on.
pub(crate) struct Patience<'a> {
    pub(crate) api: &'a Api,
    pub(crate) served: &'a Served,
    /// How long at most.
    pub(crate) seconds: u64,
    pub(crate) say: &'a dyn Fn(Event),
    /// Whether to go on at all.
    pub(crate) check: &'a dyn Fn() -> Result<(), Trouble>,
}

impl Patience<'_> {
    /// Waits until all objects are at work.
    pub(crate) async fn wait(&self, objects: &[Object]) -> Result<(), Trouble> {
        let began = Instant::now();
        let mut pending: Vec<Pending<'_>> = objects
            .iter()
            .map(|object| Pending { object, ready_since: None, failed_since: None, told: String::new() })
            .collect();
        let mut pause = PAUSE.0;
        loop {
            let looks = pending.iter().map(|one| self.look(&one.object.id));
            let states: Vec<Result<State, Trouble>> =
                futures_util::stream::iter(looks).buffered(AT_ONCE).collect().await;
            let mut left = Vec::new();
            for (one, state) in pending.into_iter().zip(states) {
                left.extend(self.judge(one, state?).await?);
            }
            if left.is_empty() {
                return Ok(());
            }
            pending = left;
            (self.check)()?;
            if began.elapsed() > Duration::from_secs(self.seconds) {
                return Err(self.late(&pending).await);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(PAUSE.1);
        }
    }

    /// Returns where an object stands, pods that cannot start included.
    async fn look(&self, id: &Id) -> Result<State, Trouble> {
        let Some(place) = self.served.place(id) else {
            return Ok(State::Waiting("its kind is not served yet".to_owned()));
        };
        let seen = self.api.get(&place).await?;
        if !seen.is_ok() {
            return Ok(State::Waiting(seen.message()));
        }
        let found = state(&seen.body);
        if !matches!(found, State::Waiting(_)) {
            return Ok(found);
        }
        let hopeless = self.pods(id, &seen.body).await?.into_iter().find(|reason| reason.hopeless);
        Ok(hopeless.map_or(found, |reason| State::Failed(reason.text)))
    }

    /// Returns the object if it must be waited for further.
    async fn judge<'a>(&self, mut one: Pending<'a>, state: State) -> Result<Option<Pending<'a>>, Trouble> {
        let id = &one.object.id;
        match state {
            State::Ready => {
                let since = *one.ready_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= Duration::from_secs(stable_seconds(&id.kind)) {
                    (self.say)(Event::Ready { object: id.clone() });
                    return Ok(None);
                }
                one.failed_since = None;
            }
            State::Failed(why) => {
                one.ready_since = None;
                if one.failed_since.get_or_insert_with(Instant::now).elapsed() >= PATIENCE {
                    let why = self.explained(id, &why).await;
                    return Err(Trouble::Failed { object: id.to_string(), why });
                }
                self.tell(&mut one, why);
            }
            State::Waiting(why) => {
                (one.ready_since, one.failed_since) = (None, None);
                self.tell(&mut one, why);
            }
        }
        Ok(Some(one))
    }

    /// Says what an object lacks, where that is news.
    fn tell(&self, one: &mut Pending<'_>, why: String) {
        if one.told != why {
            (self.say)(Event::Waiting { object: one.object.id.clone(), why: why.clone() });
            one.told = why;
        }
    }

    async fn late(&self, pending: &[Pending<'_>]) -> Trouble {
        let mut waiting = Vec::new();
        for one in pending.iter().take(5) {
            let why = self.explained(&one.object.id, &one.told).await;
            waiting.push(format!("{}: {why}", one.object.id));
        }
        if pending.len() > 5 {
            waiting.push(format!("and {} more", pending.len() - 5));
        }
        Trouble::TimedOut { seconds: self.seconds, waiting }
    }

    /// Returns a reason with all that the cluster says of an object: conditions, pods, the last events.
    async fn explained(&self, id: &Id, why: &str) -> String {
        let mut parts = vec![why.to_owned()];
        let live = match self.served.place(id) {
            Some(place) => self.api.get(&place).await.map(|seen| seen.body).unwrap_or_default(),
            None => Value::Null,
        };
        for row in items(&live["status"], "conditions").iter().filter(|row| row["status"] != "True") {
            parts.push(format!(
                "condition {} is {}: {}",
                word(&row["type"]),
                word(&row["status"]),
                word(&row["message"])
            ));
        }
        let reasons = self.pods(id, &live).await.unwrap_or_default();
        parts.extend(reasons.into_iter().map(|reason| reason.text).take(3));
        parts.extend(self.events(id).await);
        parts.dedup();
        parts.join("; ")
    }

    /// Returns what keeps the pods of a workload from running.
    async fn pods(&self, id: &Id, live: &Value) -> Result<Vec<Reason>, Trouble> {
        let (Some(namespace), Some(selector)) = (&id.namespace, selector(live)) else {
            return Ok(Vec::new());
        };
        let pods = Shelf::of::<Pod>(&(), Some(namespace));
        let listed = self.api.list(&pods, &ListParams::default().labels(&selector)).await?;
        Ok(items(&listed.body, "items").iter().filter_map(reason).collect())
    }

    /// Returns the last five events of an object.
    async fn events(&self, id: &Id) -> Vec<String> {
        let namespace = id.namespace.as_deref().unwrap_or("default");
        let of = format!("involvedObject.name={},involvedObject.kind={}", id.name, id.kind);
        let shelf = Shelf::of::<ClusterEvent>(&(), Some(namespace));
        let Ok(listed) = self.api.list(&shelf, &ListParams::default().fields(&of)).await else {
            return Vec::new();
        };
        let mut events: Vec<(&str, String)> = items(&listed.body, "items")
            .iter()
            .map(|event| {
                let text = format!("event {}: {}", word(&event["reason"]), word(&event["message"]));
                (event["lastTimestamp"].as_str().unwrap_or_default(), text)
            })
            .collect();
        events.sort();
        events.into_iter().rev().take(5).map(|(_, text)| text).collect()
    }
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Returns the selector of a workload's pods.
fn selector(live: &Value) -> Option<String> {
    if live["kind"] == "LeaderWorkerSet" {
        return Some(format!("leaderworkerset.sigs.k8s.io/name={}", live["metadata"]["name"].as_str()?));
    }
    // Of a workload of KServe, the labels that both of its parts share.
    if live["kind"] == "LLMInferenceService" {
        let (own, other) = (live["spec"]["labels"].as_object()?, &live["spec"]["prefill"]["labels"]);
        let shared = own.iter().filter(|(key, value)| other.get(key).is_none_or(|same| same == *value));
        let terms: Vec<String> = shared.map(|(key, value)| format!("{key}={}", word(value))).collect();
        return (!terms.is_empty()).then(|| terms.join(","));
    }
    let labels = match word(&live["kind"]) {
        "InferenceService" => live["spec"]["predictor"]["labels"].as_object()?,
        _ => live["spec"]["selector"]["matchLabels"].as_object()?,
    };
    let terms = labels.iter().map(|(key, value)| format!("{key}={}", word(value)));
    Some(terms.collect::<Vec<_>>().join(","))
}

/// What keeps a pod from running.
struct Reason {
    text: String,
    hopeless: bool,
}

fn reason(pod: &Value) -> Option<Reason> {
    let name = word(&pod["metadata"]["name"]);
    for container in items(&pod["status"], "containerStatuses") {
        let waiting = &container["state"]["waiting"];
        if let Some(cause) = waiting["reason"].as_str().filter(|cause| *cause != "ContainerCreating") {
            let text = format!("pod {name}: {cause}: {}", word(&waiting["message"]));
            return Some(Reason { text, hopeless: HOPELESS.contains(&cause) });
        }
    }
    let scheduled = items(&pod["status"], "conditions").iter().find(|row| row["type"] == "PodScheduled")?;
    (scheduled["status"] == "False").then(|| Reason {
        text: format!("pod {name}: {}: {}", word(&scheduled["reason"]), word(&scheduled["message"])),
        hopeless: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_says_why_it_does_not_run() {
        let waiting = |cause: &str| json!({"metadata": {"name": "a"}, "status": {"containerStatuses": [{"state": {"waiting": {"reason": cause, "message": "m"}}}]}});
        assert!(reason(&waiting("ImagePullBackOff")).expect("a reason").hopeless);
        assert!(reason(&waiting("ContainerCreating")).is_none());
        let unplaced = json!({"metadata": {"name": "a"}, "status": {"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]}});
        let found = reason(&unplaced).expect("a reason");
        assert_eq!((found.text.as_str(), found.hopeless), ("pod a: Unschedulable: 0/3 nodes", false));
    }

    #[test]
    fn a_selector_names_every_label() {
        let live =
            json!({"kind": "Deployment", "spec": {"selector": {"matchLabels": {"a/b": "c", "d": "e"}}}});
        assert_eq!(selector(&live).as_deref(), Some("a/b=c,d=e"));
        assert_eq!(selector(&json!({"kind": "ConfigMap"})), None);
        let parts = json!({"kind": "LLMInferenceService", "spec": {
            "labels": {"a": "b", "part": "decode"}, "prefill": {"labels": {"a": "b", "part": "prefill"}}}});
        assert_eq!(selector(&parts).as_deref(), Some("a=b"), "pods of both parts");
        let predictor = json!({"kind": "InferenceService", "spec": {"predictor": {"labels": {"a": "b"}}}});
        assert_eq!(selector(&predictor).as_deref(), Some("a=b"));
    }
}
