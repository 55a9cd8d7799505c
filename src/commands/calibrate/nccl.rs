//! What nccl-tests' all_reduce_perf prints: bytes and microseconds per message, and how many ranks took part.

/// One message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Message {
    pub(super) line: u64,
    pub(super) bytes: f64,
    pub(super) us: f64,
}

/// Returns the ranks and the messages; times are those out of place.
///
/// Columns: size, count, type, reduction, root, then time, algbw, busbw and errors, out of place and in place.
pub(super) fn read(text: &str) -> Result<(u32, Vec<Message>), String> {
    let named = text.lines().filter(|line| is_rank(line)).count() as u32;
    let other = ["all_gather", "reduce_scatter", "alltoall", "sendrecv", "broadcast"];
    let header = || text.lines().filter(|line| line.starts_with('#')).map(str::to_ascii_lowercase);
    if let Some(op) = other.into_iter().find(|op| header().any(|line| line.contains(&format!("{op}_perf")))) {
        return Err(format!("these are times of {op}; all_reduce_perf is what steps wait for"));
    }
    let mut messages = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |place: usize| words.get(place)?.parse::<f64>().ok().filter(|value| *value > 0.0);
        if let (Some(bytes), Some(us), false) = (number(0), number(5), line.trim_start().starts_with('#')) {
            messages.push(Message { line: index as u64 + 1, bytes, us });
        }
    }
    match (named, messages.is_empty()) {
        (0, _) => Err("it names no ranks (lines `#  Rank  0 …`)".to_owned()),
        (_, true) => Err("it holds no message".to_owned()),
        _ => Ok((named, messages)),
    }
}

/// `#  Rank  0 Group  0 Pid  1234 on  host device  0 [0x1b] NVIDIA H100 80GB HBM3`
fn is_rank(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.next() == Some("#")
        && words.next() == Some("Rank")
        && words.next().is_some_and(|n| n.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# nThread 1 nGpus 2 minBytes 8 maxBytes 134217728 step: 2(factor) warmup iters: 5 iters: 20
#
# Using devices
#  Rank  0 Group  0 Pid  1234 on   host device  0 [0x1b] NVIDIA H100 80GB HBM3
#  Rank  1 Group  0 Pid  1234 on   host device  1 [0x43] NVIDIA H100 80GB HBM3
#
#                                                              out-of-place                       in-place
#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
           8             2     float     sum      -1    12.34    0.00    0.00      0    12.01    0.00    0.00      0
   134217728      33554432     float     sum      -1    395.1  339.71  339.71      0    394.0  340.65  340.65      0
# Avg bus bandwidth    : 170.0
";

    #[test]
    fn messages_and_ranks_are_read() {
        let (ranks, messages) = read(TEXT).unwrap();
        assert_eq!((ranks, messages.len()), (2, 2));
        assert_eq!(messages[1], Message { line: 11, bytes: 134_217_728.0, us: 395.1 });
        assert!(read("# busbw\n").is_err());
        assert!(read(&format!("# all_gather_perf\n{TEXT}")).is_err());
    }
}
