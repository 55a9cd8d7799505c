//! Under which names does an engine report? One table by engine and version, which rules, dashboards and autoscalers share.
//!
//! Names and bounds of SGLang were read in its sources (0.4.6, 0.5.6 and 0.5.10), those of vLLM in `v1/metrics/loggers.py`; those of
//! TensorRT-LLM (1.0) and of Triton are recalled. What a version does not have is `None`: an alert on it would never fire. It knows nothing of
//! queries.

use super::engine::{Family, HTTP_PORT};
use capstan_types::spec::SloMetric;

/// Major, minor and patch of a version.
type Since = (u32, u32, u32);

/// TPOT of each request, (last token − first) / (output tokens − 1); before, vLLM has only the gap between two tokens.
const VLLM_PER_REQUEST: Since = (0, 11, 0);

/// The oldest SGLang whose bounds were read.
const SGLANG_BOUNDS: Since = (0, 5, 6);

/// The SGLang in which answers are counted by status; 0.5.6 does not.
const SGLANG_ANSWERS: Since = (0, 5, 10);

/// Port at which Triton shows its metrics (its default).
pub(super) const TRITON_METRICS: u16 = 8002;

/// The oldest `trtllm-serve` with metrics for Prometheus.
const TENSORRT_LLM: Since = (1, 0, 0);

/// Upper bounds of vLLM's histograms, which TensorRT-LLM has taken over, in its first with more at the end.
const TTFT: [f64; 22] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0,
    80.0, 160.0, 640.0, 2560.0,
];
const VLLM_TTFT: &[f64] = TTFT.split_at(19).0;
const TPOT: [f64; 19] = [
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
];
const E2E: [f64; 21] = [
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0,
    960.0, 1920.0, 7680.0,
];

/// Those of SGLang; its first ends with 400 s.
const SGLANG_E2E: [f64; 22] = [
    0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 200.0, 400.0,
    600.0, 1200.0, 1800.0, 2400.0,
];
const SGLANG_TTFT: &[f64] = SGLANG_E2E.split_at(18).0;
const SGLANG_GAP: [f64; 23] = [
    0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04, 0.06, 0.08, 0.1, 0.2, 0.4, 0.6,
    0.8, 1.0, 2.0, 4.0, 6.0, 8.0,
];

/// How a service level is reported.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Level {
    /// The histogram, in seconds.
    pub(super) histogram: &'static str,
    /// Its upper bounds; none where they are not known.
    pub(super) bounds: &'static [f64],
    /// Whether it has one entry for each request, and not for each token.
    pub(super) per_request: bool,
}

/// How answers are counted by their status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) counter: &'static str,
    /// The matcher of all, after another.
    pub(super) all: &'static str,
    /// That of those that failed.
    pub(super) failed: &'static str,
}

impl Family {
    /// Returns the path of the metrics.
    pub(super) fn metrics_path(self) -> &'static str {
        match self {
            Self::Vllm | Self::Sglang | Self::Triton => "/metrics",
            Self::TensorRtLlm => "/prometheus/metrics",
        }
    }

    /// Returns name and number of the port of the metrics.
    pub(super) fn metrics_port(self) -> (&'static str, u16) {
        match self {
            Self::Vllm | Self::Sglang | Self::TensorRtLlm => ("http", HTTP_PORT),
            Self::Triton => ("metrics", TRITON_METRICS),
        }
    }

    /// Returns the gauge of requests that wait, where the engine has one.
    pub(super) fn queue_metric(self) -> Option<&'static str> {
        match self {
            Self::Vllm => Some("vllm:num_requests_waiting"),
            Self::Sglang => Some("sglang:num_queue_reqs"),
            // What Triton counts as pending it has not handed on yet; TensorRT-LLM's own queue is behind that.
            Self::TensorRtLlm | Self::Triton => None,
        }
    }

    /// Returns the gauge of requests that run, where the engine has one.
    pub(super) fn running_metric(self) -> Option<&'static str> {
        match self {
            Self::Vllm => Some("vllm:num_requests_running"),
            Self::Sglang => Some("sglang:num_running_reqs"),
            Self::TensorRtLlm | Self::Triton => None,
        }
    }

    /// Returns the counter of requests that were answered.
    pub(super) fn finished_metric(self, version: &str) -> Option<&'static str> {
        match self {
            Self::Vllm => Some("vllm:request_success_total"),
            Self::Sglang => Some("sglang:num_requests_total"),
            Self::Triton => Some("nv_inference_request_success"),
            Self::TensorRtLlm => {
                (!is_before(version, TENSORRT_LLM)).then_some("trtllm_request_success_total")
            }
        }
    }

    /// Returns how a service level is reported by a version, where it is.
    pub(super) fn level(self, metric: SloMetric, version: &str) -> Option<Level> {
        let of = |histogram, bounds| Level { histogram, bounds, per_request: true };
        match self {
            Self::Vllm => Some(match metric {
                SloMetric::Ttft => of("vllm:time_to_first_token_seconds", VLLM_TTFT),
                SloMetric::Tpot if is_before(version, VLLM_PER_REQUEST) => {
                    Level { per_request: false, ..of("vllm:time_per_output_token_seconds", &TPOT) }
                }
                SloMetric::Tpot => of("vllm:request_time_per_output_token_seconds", &TPOT),
                SloMetric::E2e => of("vllm:e2e_request_latency_seconds", &E2E),
            }),
            Self::Sglang => {
                let known =
                    |bounds: &'static [f64]| if is_before(version, SGLANG_BOUNDS) { &[] } else { bounds };
                Some(match metric {
                    SloMetric::Ttft => of("sglang:time_to_first_token_seconds", known(SGLANG_TTFT)),
                    SloMetric::Tpot => Level {
                        per_request: false,
                        ..of("sglang:inter_token_latency_seconds", known(&SGLANG_GAP))
                    },
                    SloMetric::E2e => of("sglang:e2e_request_latency_seconds", known(&SGLANG_E2E)),
                })
            }
            // Its histograms count milliseconds, with bounds too wide for a level.
            Self::Triton => None,
            Self::TensorRtLlm if is_before(version, TENSORRT_LLM) => None,
            Self::TensorRtLlm => Some(match metric {
                SloMetric::Ttft => of("trtllm_time_to_first_token_seconds", &TTFT),
                SloMetric::Tpot => of("trtllm_time_per_output_token_seconds", &TPOT),
                SloMetric::E2e => of("trtllm_e2e_request_latency_seconds", &E2E),
            }),
        }
    }

    /// Returns how a version counts answers by their status, where it does: vLLM by its instrumentation of FastAPI
    /// (`prometheus_fastapi_instrumentator`, statuses in groups), SGLang by its own, probes among them.
    pub(super) fn answers(self, version: &str) -> Option<Answers> {
        let (counter, all, failed) = match self {
            Self::Vllm => ("http_requests_total", "", "status=\"5xx\""),
            Self::Sglang if !is_before(version, SGLANG_ANSWERS) => {
                ("sglang:http_responses_total", ",endpoint=~\"/(v1/.*|generate)\"", "status_code=~\"5..\"")
            }
            Self::Sglang | Self::TensorRtLlm | Self::Triton => return None,
        };
        Some(Answers { counter, all, failed })
    }
}

/// Returns whether a version such as `0.10.1` or `v0.4.6.post5` lies before another; one without numbers does not.
fn is_before(version: &str, since: Since) -> bool {
    let mut numbers = version.trim_start_matches('v').split('.').map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { return false };
    let patch = numbers.next().and_then(Result::ok).unwrap_or(0);
    (major, minor, patch) < since
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(is_before("0.10.1", (0, 11, 0)));
        assert!(is_before("v0.9.0", (0, 11, 0)));
        assert!(!is_before("0.33.0", (0, 11, 0)));
        assert!(!is_before("1.2", (0, 11, 0)));
        assert!(!is_before("nightly", (0, 11, 0)));
        assert!(is_before("0.5.9", (0, 5, 10)) && !is_before("0.5.10", (0, 5, 10)));
        assert!(is_before("v0.4.6.post5", (0, 5, 6)));
    }

    /// Queries name a bound by its number, so a list that is out of order would name the wrong one.
    #[test]
    fn bounds_rise() {
        for family in [Family::Vllm, Family::Sglang, Family::TensorRtLlm] {
            for metric in [SloMetric::Ttft, SloMetric::Tpot, SloMetric::E2e] {
                let level = family.level(metric, "2.0").expect("the newest reports it");
                assert!(level.bounds.len() > 10 && level.bounds.is_sorted(), "{}", level.histogram);
            }
        }
        assert_eq!((VLLM_TTFT.last(), SGLANG_TTFT.last()), (Some(&80.0), Some(&400.0)));
    }
}
