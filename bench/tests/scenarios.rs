//! Every scenario, tiny: it runs, checks what arrived, ends what it started, and prints what others read.

use serde_json::Value;
use std::process::{Command, Output};

fn bench(arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oyez-bench"));
    command.args(arguments.split(' ')).output().expect("the program runs")
}

/// Two processes that spin need two cores.
fn two_cores(test: &str) -> bool {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 {
        eprintln!("SKIPPED {test}: two cores are needed, and this process may use {cores}");
    }
    cores >= 2
}

fn object(arguments: &str) -> Value {
    let output = bench(&format!("{arguments} --format json"));
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one object, and nothing else")
}

fn is_ratio(ratio: &Value) -> bool {
    let [median, low, high] = ["median", "low", "high"].map(|part| ratio[part].as_f64().unwrap_or(f64::NAN));
    0.0 < low && low <= median && median <= high
}

#[test]
fn pingpong_tells_every_system_and_size_and_the_worst_ratio() {
    if !two_cores("pingpong_tells_every_system_and_size_and_the_worst_ratio") {
        return;
    }
    let data = env!("CARGO_TARGET_TMPDIR");
    let told = object(&format!(
        "pingpong --recorded --data {data} --sizes 32,51 --rounds 3 --messages 500 --durable-messages 6 --ring-mib 2"
    ));
    assert_eq!((&told["scenario"], &told["rounds"]), (&Value::from("pingpong"), &Value::from(3)));
    for system in ["limit", "oyez", "recorded", "ring"] {
        for size in ["32", "51"] {
            let round_trip_ns = &told["results"][system][size]["round_trip_ns"];
            // The first twentieth of each round is not counted.
            assert_eq!(round_trip_ns["count"], 3 * (500 - 25), "{system} {size}");
            let parts = ["p50", "p99", "p99_9", "p99_99", "max"].map(|part| round_trip_ns[part].as_u64().unwrap());
            assert!(parts[0] > 0 && parts.is_sorted(), "{system} {size}: {parts:?}");
        }
    }
    for size in ["32", "51"] {
        assert_eq!(told["results"]["recorded"][size]["durable_ns"]["count"], 6);
        assert_eq!(told["results"]["limit"][size]["durable_ns"]["count"], 6);
    }
    for ratio in ["p50_vs_limit", "ring_p50_vs_limit", "recorded_p50_vs_limit", "recorded_durable_p50_vs_limit"] {
        assert!(is_ratio(&told["ratios"][ratio]), "{ratio}: {}", told["ratios"][ratio]);
    }
    let of_size = |size: &str| told["results"]["oyez"][size]["p50_vs_limit"]["median"].as_f64().unwrap();
    assert_eq!(told["ratios"]["p50_vs_limit"]["median"].as_f64(), Some(of_size("32").max(of_size("51"))));
}

#[test]
fn large_tells_the_large_ones_way_and_what_it_costs_the_small_ones() {
    if !two_cores("large_tells_the_large_ones_way_and_what_it_costs_the_small_ones") {
        return;
    }
    let data = env!("CARGO_TARGET_TMPDIR");
    for recorded in ["", " --recorded"] {
        let told = object(&format!(
            "large{recorded} --data {data} --ring-mib 2 --size 1000000 --rounds 2 --messages 3 --every-ms 10 --small 51"
        ));
        assert_eq!(told["environment"]["ring_mib"], 4);
        let (large, small) = (&told["results"]["oyez"]["1000000"], &told["results"]["oyez"]["51"]);
        assert_eq!((&large["one_way_ns"]["count"], &large["one_way_ns_beside_small"]["count"]), (&6.into(), &6.into()));
        assert_eq!(small["round_trip_ns"]["count"], small["round_trip_ns_beside_large"]["count"]);
        assert!(told["results"]["memcpy"]["1000000"]["one_way_ns"].as_f64().unwrap() > 0.0);
        for ratio in ["large_p50_vs_memcpy", "small_p50_beside_large_vs_alone", "small_p99_beside_large_vs_alone"] {
            assert!(is_ratio(&told["ratios"][ratio]), "{ratio}: {}", told["ratios"][ratio]);
        }
    }
}

#[test]
fn stream_tells_every_system_and_the_worst_ratio() {
    if !two_cores("stream_tells_every_system_and_the_worst_ratio") {
        return;
    }
    let data = env!("CARGO_TARGET_TMPDIR");
    let told =
        object(&format!("stream --recorded --data {data} --sizes 32,256 --rounds 2 --messages 5000 --ring-mib 2"));
    for system in ["limit", "memcpy", "oyez", "recorded", "ring_untimed"] {
        for size in ["32", "256"] {
            let rate = told["results"][system][size]["messages_per_s"].as_f64().unwrap_or_default();
            assert!(rate > 0.0, "{system} {size}");
        }
    }
    for ratio in ["rate_vs_limit", "rate_vs_memcpy", "recorded_rate_vs_limit", "ring_untimed_rate_vs_memcpy"] {
        assert!(is_ratio(&told["ratios"][ratio]), "{ratio}: {}", told["ratios"][ratio]);
    }
    let of_size = |size: &str| told["results"]["oyez"][size]["rate_vs_limit"]["median"].as_f64().unwrap();
    assert_eq!(told["ratios"]["rate_vs_limit"]["median"].as_f64(), Some(of_size("32").min(of_size("256"))));
}

#[test]
fn fanout_tells_what_publishing_costs_beside_each_number_of_sleepers() {
    if !two_cores("fanout_tells_what_publishing_costs_beside_each_number_of_sleepers") {
        return;
    }
    let data = env!("CARGO_TARGET_TMPDIR");
    let told =
        object(&format!("fanout --data {data} --subscribers 0,1,20 --rounds 2 --messages 6400 --size 51 --ring-mib 2"));
    for subscribers in ["0", "1", "20"] {
        let publish_ns = &told["results"]["oyez"][subscribers]["publish_ns"];
        // Batches of 64 messages, and the first twentieth of each round is not counted.
        assert_eq!(publish_ns["count"], 2 * (100 - 5), "{subscribers}");
        let parts = ["p50", "p99", "p99_9", "p99_99", "max"].map(|part| publish_ns[part].as_f64().unwrap());
        assert!(parts[0] > 0.0 && parts.is_sorted(), "{subscribers}: {parts:?}");
    }
    assert_eq!(told["results"]["oyez"]["20"]["p50_vs_0"], told["ratios"]["publish_p50_20_vs_0"]);
    assert!(is_ratio(&told["ratios"]["publish_p50_20_vs_0"]), "{}", told["ratios"]);
    assert_eq!(told["ratios"].as_object().map(serde_json::Map::len), Some(1));
}

#[test]
fn sleepers_tells_how_late_they_are_woken_and_what_the_broker_spends() {
    if !two_cores("sleepers_tells_how_late_they_are_woken_and_what_the_broker_spends") {
        return;
    }
    let data = env!("CARGO_TARGET_TMPDIR");
    let told = object(&format!(
        "sleepers --data {data} --subscribers 20 --wake-max-us 50,1000 --rounds 2 --messages 10 --idle-ms 50 --ring-mib 2"
    ));
    for period in ["50us", "1000us"] {
        let oyez = &told["results"]["oyez"][period];
        assert_eq!((&oyez["wake_ns"]["count"], &oyez["wake_all_ns"]["count"]), (&20.into(), &38.into()), "{period}");
        for share in [&oyez["cpu_percent"], &told["results"]["bare_loop"][period]["cpu_percent"]] {
            assert!(share.as_f64().is_some_and(|percent| percent > 0.0 && percent < 100.0), "{period}: {share}");
        }
        assert!(is_ratio(&oyez["cpu_vs_bare_loop"]) && is_ratio(&oyez["wake_p99_vs_promised"]), "{period}: {oyez}");
    }
    for ratio in ["cpu_vs_bare_loop", "wake_p99_vs_promised"] {
        assert!(is_ratio(&told["ratios"][ratio]), "{ratio}: {}", told["ratios"][ratio]);
    }
}

#[test]
fn sbe_tells_both_messages_and_without_a_peer_no_ratio() {
    if cannot_compile("sbe_tells_both_messages_and_without_a_peer_no_ratio") {
        return;
    }
    let told = object("sbe --rounds 2 --messages 1000");
    for message in ["car", "order"] {
        for task in ["decode_ns", "encode_ns", "json_ns"] {
            let spent_ns = told["results"]["rust"][message][task].as_f64().unwrap_or_default();
            assert!(spent_ns > 0.0, "{message} {task}");
        }
    }
    assert_eq!(told["ratios"], serde_json::json!({}));
}

#[test]
fn sbe_stands_beside_the_reference_implementation() {
    // Maven only fetches what the gate may have fetched before.
    let tools: &[&str] = match std::env::var_os("OYEZ_SBE_REFERENCE") {
        Some(_) => &["g++", "java"],
        None => &["g++", "java", "mvn"],
    };
    if let Some(missing) = tools.iter().find(|tool| !runs(tool)) {
        eprintln!("SKIPPED sbe_stands_beside_the_reference_implementation: there is no {missing}");
        return;
    }
    if cannot_compile("sbe_stands_beside_the_reference_implementation") {
        return;
    }
    let told = object("sbe --peers sbe-cpp --rounds 2 --messages 1000");
    for ratio in ["decode_vs_cpp", "encode_vs_cpp", "json_vs_printer"] {
        assert!(is_ratio(&told["ratios"][ratio]), "{ratio}: {}", told["ratios"][ratio]);
    }
    let of = |message: &str| told["results"]["rust"][message]["decode_vs_cpp"]["median"].as_f64().unwrap();
    assert_eq!(told["ratios"]["decode_vs_cpp"]["median"].as_f64(), Some(of("car").max(of("order"))));
    let of = |message: &str| told["results"]["rust"][message]["json_vs_printer"]["median"].as_f64().unwrap();
    assert_eq!(told["ratios"]["json_vs_printer"]["median"].as_f64(), Some(of("car").min(of("order"))));
}

/// A compiler in root's home is out of an ordinary user's reach.
fn cannot_compile(test: &str) -> bool {
    let compiles = runs(&std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    if !compiles {
        eprintln!("SKIPPED {test}: cargo needs root here");
    }
    !compiles
}

fn runs(tool: &str) -> bool {
    Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success())
}

#[test]
fn without_compilers_the_peers_are_refused_with_the_package_that_is_missing() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oyez-bench"));
    let output = command.args(["pingpong", "--peers", "aeron"]).env("PATH", "/nowhere").output().expect("it runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("there is no cc; run: sudo apt-get install -y gcc"), "{error}");
    assert!(output.stdout.is_empty());
}

#[test]
fn what_cannot_be_measured_is_refused_in_one_line() {
    for (arguments, part) in [
        ("pingpong --cores 0 0", "cores"),
        ("stream --cores 99999 99998", "two are needed"),
        ("stream --data /nowhere/at/all", "make a folder"),
        ("pingpong --ring-mib 3", "power of two"),
        ("pingpong --sizes 7", "8..=4096"),
        ("pingpong --peers nobody", "iceoryx2"),
        ("stream --peers iceoryx2", "aeron"),
        ("fanout --peers aeron", "iceoryx2"),
        ("fanout --data /nowhere/at/all", "make a folder"),
        ("sleepers --wake-max-us 10", "50..=100000"),
        ("sleepers --data /nowhere/at/all", "make a folder"),
        ("sbe --core 99999", "cores"),
        ("sbe --peers nobody", "sbe-cpp"),
    ] {
        let output = bench(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert!(error.contains(part) && !error.contains("panicked"), "{arguments}: {error}");
        assert!(output.stdout.is_empty());
    }
}
