//! What clients may ask, and what they are told when they may not.

use oyez_protocol::{ConnectionError, FailureCode, Message, Packet, VERSION};
use oyez_ring::{Epoch, Position};

use crate::house::House;
use crate::peer::{PATIENCE, Peer};

fn open_publisher(topic: &str, partition: u16) -> Message {
    Message::OpenPublisher { partition, standby: false, topic: topic.into() }
}

fn open_subscriber(topic: &str) -> Message {
    Message::OpenSubscriber { partition: 0, topic: topic.into() }
}

#[test]
fn what_is_not_declared_or_not_allowed_is_refused_by_code_and_name() {
    let house = House::new();
    let mut peer = house.peer("asker");
    let mut refused = |message, code, part: &str| {
        let (found, text) = peer.refusal(message);
        assert_eq!(found, code, "{text}");
        assert!(text.contains(part) && text.contains("; "), "{text}");
    };
    refused(open_publisher("nope", 0), FailureCode::UnknownTopic, "nope");
    refused(open_subscriber("nope"), FailureCode::UnknownTopic, "nope");
    refused(open_publisher("md", 1), FailureCode::UnknownPartition, "md/1");
    refused(open_publisher("closed", 0), FailureCode::PublishDenied, "closed/0");
    refused(open_subscriber("closed"), FailureCode::SubscribeDenied, "closed/0");
    let epoch = Message::OpenEpoch { partition: 0, epoch: Epoch(1), wait: false, topic: "md".into() };
    refused(epoch, FailureCode::SubscribeDenied, "without OpenSubscriber");
    refused(Message::DescribeTopicAt { index: 9 }, FailureCode::UnknownTopic, "9");
    refused(Message::OpenSchema { index: 0, topic: "md".into() }, FailureCode::NoSchema, "md");
    peer.subscribe("scratch");
    let segment = |topic: &str, position| Message::OpenSegment { partition: 0, position, topic: topic.into() };
    assert_eq!(peer.refusal(segment("scratch", Position(0))).0, FailureCode::NotRecorded);
    peer.subscribe("md");
    assert_eq!(peer.refusal(segment("md", Position(1 << 40))).0, FailureCode::NotInJournal);
}

#[test]
fn topics_are_listed_and_described() {
    let house = House::new();
    let mut peer = house.peer("asker");
    let names: Vec<String> = (0..4)
        .map(|index| match peer.ask(Message::DescribeTopicAt { index }).packet.message {
            Message::Topic { index: found, count: 4, topic, .. } if found == index => topic,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["md", "written", "scratch", "closed"]);
    let describe = Message::DescribeTopic { partition: 0, topic: "closed".into() };
    let answer = peer.ask(describe).packet.message;
    let Message::Topic { may_publish, may_subscribe, state, newest, .. } = answer else { panic!("{answer:?}") };
    assert_eq!((may_publish, may_subscribe, state.as_str(), newest), (false, false, "idle", Epoch(0)));
}

#[test]
fn a_schema_is_handed_out_in_each_version_that_there_is() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/oyez-protocol.xml");
    let topics =
        format!("[schemas.talk]\nfile = {file:?}\n[[topics]]\nname = \"md\"\nschema = \"talk\"\nring_mib = 2\n");
    let house = House::with("segment_mib = 4\n", &topics);
    let mut peer = house.peer("asker");
    let mut answer = peer.ask(Message::OpenSchema { index: 0, topic: "md".into() });
    let expected = Message::SchemaOpened { version: oyez_protocol::VERSION, count: 1, schema: "talk".into() };
    assert_eq!(answer.packet.message, expected);
    let given = std::io::read_to_string(std::fs::File::from(answer.descriptors.remove(0))).expect("a text");
    assert_eq!(given, oyez_protocol::SCHEMA_XML);
    let (code, text) = peer.refusal(Message::OpenSchema { index: 1, topic: "md".into() });
    assert!(code == FailureCode::NoSchema && text.starts_with("md, version number 1 of its schema"), "{text}");
}

/// Says something raw; the broker must hang up, and go on for others.
#[track_caller]
fn hung_up_on(house: &House, bytes: &[u8]) {
    let connection = oyez_protocol::Connection::connect(&house.socket).expect("a broker");
    rustix::net::send(&connection, bytes, rustix::net::SendFlags::empty()).expect("sent");
    let deadline = std::time::Instant::now() + PATIENCE;
    let answer = connection.receive(deadline).expect("told why").packet.message;
    assert!(matches!(answer, Message::Failure { code: FailureCode::BadMessage, .. }), "{answer:?}");
    assert!(matches!(connection.receive(deadline), Err(ConnectionError::HungUp)));
    house.peer("unharmed");
}

#[test]
fn who_breaks_the_protocol_is_hung_up_on() {
    let house = House::new();
    let packet = |message| Packet { correlation: 1, message }.encode();
    hung_up_on(&house, b"GET / HTTP/1.1\r\n\r\n");
    hung_up_on(&house, &[0; 60_000]);
    hung_up_on(&house, &packet(open_subscriber("md")));
    hung_up_on(&house, &packet(Message::EpochNotYet { newest: Epoch(1) }));
    let hello = packet(Message::Hello { version: VERSION, name: "x".into() });
    hung_up_on(&house, &hello[..hello.len() - 1]);
}

#[test]
fn a_later_version_is_refused_and_may_try_an_earlier_one() {
    let house = House::new();
    let connection = oyez_protocol::Connection::connect(&house.socket).expect("a broker");
    let deadline = std::time::Instant::now() + PATIENCE;
    let hello = |version| Message::Hello { version, name: "new".into() };
    let answer = connection.request(1, hello(VERSION + 1), deadline, |_| ()).expect("an answer").packet.message;
    assert!(matches!(answer, Message::Failure { code: FailureCode::Version, .. }), "{answer:?}");
    let answer = connection.request(2, hello(VERSION), deadline, |_| ()).expect("an answer").packet.message;
    assert!(matches!(answer, Message::Welcome { .. }), "{answer:?}");
}

#[test]
fn connections_and_subscriptions_have_their_limits() {
    let topics = "[[topics]]\nname = \"a\"\nring_mib = 2\nrecorded = false\n[[topics]]\nname = \"b\"\nring_mib = 2\nrecorded = false\n";
    let house = House::with("connections_max = 3\nsubscriptions_max = 1\n", topics);
    let mut peers: Vec<Peer> = (0..3).map(|_| house.peer("one")).collect();
    let connection = oyez_protocol::Connection::connect(&house.socket).expect("a broker");
    let answer = connection.receive(std::time::Instant::now() + PATIENCE).expect("told").packet.message;
    let Message::Failure { code: FailureCode::ConnectionLimit, text } = answer else { panic!("{answer:?}") };
    assert!(text.starts_with("`connections_max` = 3: too many"), "{text}");
    peers[0].subscribe("a");
    let (code, text) = peers[0].refusal(open_subscriber("b"));
    assert_eq!(code, FailureCode::SubscriptionLimit);
    assert!(text.starts_with("`subscriptions_max` = 1: too many"), "{text}");
    let limits = crate::sleepers::stat(&mut peers[1]).limits;
    assert_eq!((limits.connections.refused, limits.subscriptions.refused), (1, 1));
    let wait = |number| Message::OpenEpoch { partition: 0, epoch: Epoch(number), wait: true, topic: "a".into() };
    peers[0].connection().send(&Packet { correlation: 900, message: wait(1) }, &[]).expect("parked");
    assert_eq!(peers[0].refusal(wait(2)).0, FailureCode::TooManyRequests);
    peers.pop();
    house.peer("room again");
}

#[test]
fn a_client_that_never_reads_costs_nobody_anything() {
    let house = House::new();
    let deaf = house.peer("deaf");
    let question = Packet { correlation: 7, message: Message::DescribeTopicAt { index: 0 } };
    // Until the broker has hung up, or this side's own buffer is full.
    while deaf.connection().send(&question, &[]).is_ok() {}
    let mut owned = house.peer("owner").own("md");
    owned.publish();
    owned.release();
}
