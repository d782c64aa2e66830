//! The scenarios with peers, tiny, from the ordinary program on: it compiles them, which takes minutes the first time, and
//! so only `cargo xtask soak` runs this.

use serde_json::Value;
use std::process::Command;

/// `None` where they cannot be compiled here.
fn object(test: &str, arguments: &str) -> Option<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oyez-bench"));
    let output = command.args(arguments.split(' ')).args(["--format", "json", "--ring-mib", "2"]).output();
    let output = output.expect("the program runs");
    let error = String::from_utf8_lossy(&output.stderr);
    if error.contains("run: sudo apt-get install") {
        eprintln!("SKIPPED {test}: {}", error.trim_end());
        return None;
    }
    assert!(output.status.success(), "{arguments}: {error}");
    Some(serde_json::from_slice(&output.stdout).expect("one object, and nothing else"))
}

fn is_ratio(ratio: &Value) -> bool {
    let [median, low, high] = ["median", "low", "high"].map(|part| ratio[part].as_f64().unwrap_or(f64::NAN));
    0.0 < low && low <= median && median <= high
}

#[test]
fn pingpong_stands_beside_aeron_and_iceoryx2() {
    let Some(told) = object(
        "pingpong_stands_beside_aeron_and_iceoryx2",
        "pingpong --peers aeron,iceoryx2 --sizes 32,51 --rounds 2 --messages 500",
    ) else {
        return;
    };
    for peer in ["aeron", "iceoryx2"] {
        for size in ["32", "51"] {
            assert_eq!(told["results"][peer][size]["round_trip_ns"]["count"], 2 * (500 - 25), "{peer} {size}");
        }
        for ratio in [format!("p50_vs_{peer}"), format!("p99_vs_{peer}"), format!("{peer}_p50_vs_limit")] {
            assert!(is_ratio(&told["ratios"][&ratio]), "{ratio}: {}", told["ratios"]);
        }
    }
}

#[test]
fn stream_stands_beside_aeron() {
    let Some(told) =
        object("stream_stands_beside_aeron", "stream --peers aeron --sizes 32,256 --rounds 2 --messages 5000")
    else {
        return;
    };
    for ratio in ["rate_vs_aeron", "aeron_rate_vs_limit"] {
        assert!(is_ratio(&told["ratios"][ratio]), "{ratio}: {}", told["ratios"]);
    }
    let of_size = |size: &str| told["results"]["oyez"][size]["rate_vs_aeron"]["median"].as_f64().unwrap();
    assert_eq!(told["ratios"]["rate_vs_aeron"]["median"].as_f64(), Some(of_size("32").min(of_size("256"))));
}

#[test]
fn fanout_stands_beside_iceoryx2() {
    let Some(told) = object(
        "fanout_stands_beside_iceoryx2",
        "fanout --peers iceoryx2 --subscribers 0,20 --rounds 2 --messages 6400",
    ) else {
        return;
    };
    for ratio in ["publish_p50_20_vs_0", "publish_p50_20_vs_iceoryx2", "iceoryx2_publish_p50_20_vs_0"] {
        assert!(is_ratio(&told["ratios"][ratio]), "{ratio}: {}", told["ratios"]);
    }
}
