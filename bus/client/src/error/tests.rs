use super::*;
use oyez_ring::Sequence;
use std::io;

fn topic() -> String {
    "md".to_owned()
}

fn bus_errors() -> Vec<(BusError, [&'static str; 2], bool)> {
    let socket = || "/run/bus.sock".to_owned();
    let refused = |code: FailureCode| BusError::Refused { code, text: format!("md/0: {code}") };
    let system = || io::ErrorKind::OutOfMemory.into();
    vec![
        (BusError::Connection(ConnectionError::HungUp), ["hung up", "connect again"], true),
        (
            BusError::Timeout { request: "OpenEpoch", socket: socket(), timeout_ms: 5 },
            ["/run/bus.sock has not answered OpenEpoch within 5 ms", "Connect::timeout"],
            true,
        ),
        (BusError::Away { socket: socket() }, ["/run/bus.sock", "try again"], true),
        (refused(FailureCode::UnknownTopic), ["md/0", "`oyez topic list`"], false),
        (refused(FailureCode::Closing), ["md/0", "connect again"], true),
        (BusError::Answer { request: "Hello", answer: "Topic" }, ["Hello with Topic", "upgrade"], false),
        (BusError::Memory { topic: topic(), source: MemoryError::Writable }, ["topic md", "do not use it"], false),
        (
            BusError::System { topic: topic(), step: "map its ring", source: system() },
            ["topic md: cannot map its ring", "ulimit"],
            true,
        ),
        (BusError::Unreadable { topic: topic(), why: "it is gone".to_owned() }, ["topic md", "it is gone"], false),
        (
            BusError::NotDeclared { topic: topic(), declared: "[\"a\"]".to_owned() },
            ["topic md: not declared", "add it to Bus::in_process"],
            false,
        ),
        (BusError::Declaration { topic: topic(), what: "declared twice; name it once" }, ["topic md", "once"], false),
    ]
}

#[test]
fn each_text_of_the_bus_names_the_thing_the_place_and_the_remedy() {
    for (error, parts, is_retriable) in bus_errors() {
        let text = error.to_string();
        assert!(parts.iter().all(|part| text.contains(part)) && text.lines().count() == 1, "{text}");
        assert_eq!((error.is_retriable(), error.is_fatal()), (is_retriable, !is_retriable), "{text}");
    }
}

#[test]
fn each_text_of_publishing_names_the_thing_the_place_and_the_remedy() {
    let (epoch, durable) = (Epoch(3), Position(640));
    let late = PublishError::Timeout {
        topic: topic(),
        partition: 2,
        position: Position(99),
        durability: Durability::Durable,
        reached: Position(64),
        timeout_ms: 20,
    };
    let origin = "gateway-a".to_owned();
    let unaccepted = PublishError::NotAccepted { topic: topic(), origin, number: 9, accepted: 7, timeout_ms: 20 };
    let misfit = Misfit::Template { schema_id: 7, found: 2, allowed: vec![1] };
    let kept = Durability::Published;
    // Text, whether to try again, whether to give the publisher up.
    let partition = 2;
    let cases: [(PublishError, [&str; 2], bool, bool); 11] = [
        (
            PublishError::NotGranted { topic: topic(), partition: 0, why: "owned by app (process 7)".to_owned() },
            ["topic md, partition 0: owned by app (process 7)", "`.wait(..)`"],
            true,
            false,
        ),
        (BusError::Away { socket: topic() }.into(), ["went away", "try again"], true, false),
        (
            PublishError::Length { topic: topic(), source: BadLength { len_bytes: 9_000, bytes_max: 8_192 } },
            ["topic md: a message of 9000 bytes: 8 to 8192 bytes fit", "declare a larger `ring_mib`"],
            false,
            false,
        ),
        (
            PublishError::Misfit { topic: topic(), misfit },
            ["topic md: a message of template 2 of schema 7, where [1] are allowed", "allow it in the catalog"],
            false,
            false,
        ),
        (
            PublishError::NotOwned { topic: topic(), partition },
            ["topic md, partition 2: not owned here", "`.partitions(..)`"],
            false,
            false,
        ),
        (
            PublishError::Closing { topic: topic(), partition, epoch },
            ["topic md, partition 2, epoch 3", "open a publisher"],
            false,
            true,
        ),
        (
            PublishError::Lost { topic: topic(), partition, epoch, why: "it ended".to_owned() },
            ["topic md, partition 2, epoch 3: it ended", "open a publisher"],
            false,
            true,
        ),
        (
            PublishError::JournalFailed { topic: topic(), partition, epoch, durable },
            ["below position 640 is safe", "open a publisher again once it is repaired"],
            false,
            true,
        ),
        (unaccepted, ["topic md, origin gateway-a: message 9", "wait again"], true, false),
        (
            late,
            ["topic md, partition 2: position 99 is not durable after 20 ms, only 64 is", "wait again"],
            true,
            false,
        ),
        (
            PublishError::NotKept { topic: topic(), asked: Durability::Written, kept },
            ["topic md keeps messages published, not written", "catalog"],
            false,
            false,
        ),
    ];
    for (error, parts, is_retriable, is_fatal) in cases {
        let text = error.to_string();
        assert!(parts.iter().all(|part| text.contains(part)) && text.lines().count() == 1, "{text}");
        assert_eq!((error.is_retriable(), error.is_fatal()), (is_retriable, is_fatal), "{text}");
    }
}

#[test]
fn each_text_of_subscribing_names_the_thing_the_place_and_the_remedy() {
    let cursor = |source| SubscribeError::Cursor { topic: topic(), partition: 0, source };
    let position = Position(8);
    let reason = oyez_ring::Reason::Length;
    let cases: [(SubscribeError, [&str; 2], bool); 9] = [
        (BusError::Away { socket: topic() }.into(), ["went away", "try again"], true),
        (SubscribeError::NoTopic, ["without a topic", "`.topic(..)`"], false),
        (
            SubscribeError::OneSequence { topic: topic(), partitions: 4 },
            ["topic md: a sequence counts within one of its 4 partitions", "`.partition(..)`"],
            false,
        ),
        (
            SubscribeError::NotKept { topic: topic(), asked: Durability::Durable, kept: Durability::Written },
            ["topic md keeps messages written, not durable", "catalog"],
            false,
        ),
        (
            SubscribeError::Timeout { topic: topic(), timeout_ms: 5 },
            ["topic md: the start was not found within 5 ms", "Connect::timeout"],
            true,
        ),
        (
            cursor(CursorError::Ahead { wanted: Sequence(9), next: Sequence(3) }),
            ["topic md, partition 0: message 9 was never published", "start at 3 or below"],
            false,
        ),
        (
            cursor(CursorError::UnknownEpoch { wanted: Epoch(9), newest: Epoch(3) }),
            ["epoch 9 never was, the newest is 3", "start at a sequence or a time"],
            false,
        ),
        (
            cursor(oyez_ring::Invalid { position, reason }.into()),
            ["topic md, partition 0: invalid frame at position 8", "ends its epoch"],
            true,
        ),
        (
            cursor(CursorError::Journal { position, source: "no such disk".into() }),
            ["topic md, partition 0: the journal cannot be read at position 8", "no such disk"],
            true,
        ),
    ];
    for (error, parts, is_retriable) in cases {
        let text = error.to_string();
        assert!(parts.iter().all(|part| text.contains(part)) && text.lines().count() == 1, "{text}");
        assert_eq!((error.is_retriable(), error.is_fatal()), (is_retriable, !is_retriable), "{text}");
    }
}
