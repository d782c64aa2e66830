//! Readers that sleep, straight on the protocol: what hostile ones do harms nobody, and what is seen of them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use oyez_broker::stat::Stat;
use oyez_mem::memory;
use oyez_protocol::{FailureCode, Message};
use oyez_ring::{Area, AreaMut, Asleep, Epoch, Position, Progress, RegionMut, Sequence};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::house::House;
use crate::peer::{PATIENCE, Peer, now_ns, until};

/// A reader asleep, as small as can be.
struct Sleeper {
    peer: Peer,
    region: RegionMut,
    area: AreaMut,
}

impl Sleeper {
    fn of(house: &House, topic: &str) -> Sleeper {
        let mut peer = house.peer("sleeper");
        peer.subscribe(topic);
        let [area, _, _] = &peer.berths[0];
        memory::check_size(area, Area::LEN_BYTES as u64).expect("the size agreed");
        let region = RegionMut::map(area, Area::LEN_BYTES).expect("writable");
        Sleeper { peer, area: AreaMut::new(region.clone()), region }
    }

    fn ask(&self) {
        let [_, ask, _] = &self.peer.berths[0];
        // Full is as good as asked.
        let _ = rustix::io::write(ask, &1_u64.to_ne_bytes());
    }

    fn sleep_at(&self, position: Position) {
        self.area.sleep(Asleep { position, durability: 0 });
        self.ask();
    }

    fn bell(&self) -> &OwnedFd {
        &self.peer.berths[0][2]
    }

    /// Whether the bell rings in time, and silences it.
    fn rings(&self, at_most: Duration) -> bool {
        let timeout = Timespec::try_from(at_most).expect("a span");
        let rang = poll(&mut [PollFd::new(self.bell(), PollFlags::IN)], Some(&timeout)).expect("polled") > 0;
        rang && matches!(rustix::io::read(self.bell(), &mut [0; 64]), Ok(1..))
    }
}

pub(crate) fn stat(peer: &mut Peer) -> Stat {
    let received = until("a look", || {
        let received = peer.ask(Message::OpenStat {});
        matches!(received.packet.message, Message::StatOpened { .. }).then_some(received)
    });
    let Message::StatOpened { bytes } = received.packet.message else { panic!("looked at above") };
    let mut text = vec![0; bytes as usize];
    assert_eq!(rustix::io::pread(&received.descriptors[0], &mut text, 0), Ok(text.len()));
    serde_json::from_slice(&text).expect("the document")
}

#[test]
fn an_ask_wakes_the_core_and_a_message_rings_the_bell() {
    let house = House::with(
        "wake_max_us = 100000\nidle = \"block\"\n",
        "[[topics]]\nname = \"md\"\nring_mib = 2\nrecorded = false\npublish = [\"self\"]\n",
    );
    let mut owned = house.peer("owner").own("md");
    let sleeper = Sleeper::of(&house, "md");
    let behind = owned.writer.tail().position;
    owned.publish();
    let began = Instant::now();
    sleeper.sleep_at(behind);
    assert!(sleeper.rings(PATIENCE), "something is there already");
    // The core's own sleep is longer by far, and ten in a row are not luck.
    (0..10).for_each(|_| {
        sleeper.sleep_at(behind);
        assert!(sleeper.rings(PATIENCE));
    });
    assert!(began.elapsed() < Duration::from_millis(600), "{:?}: an ask does not wake the core", began.elapsed());
    sleeper.sleep_at(owned.writer.tail().position);
    assert!(!sleeper.rings(Duration::from_millis(250)), "nothing is there");
    owned.publish();
    assert!(sleeper.rings(PATIENCE));
}

fn reader(house: &House, start: oyez::Start) -> oyez::Subscriber {
    let bus = oyez::Bus::connect(oyez::Connect::new(&house.socket)).expect("a broker");
    bus.subscriber().topic("md", start).open().expect("a start")
}

#[test]
fn what_a_poll_brought_is_told_with_the_next_or_before_a_sleep_and_to_a_broker_that_is_back() {
    let house = House::new();
    let mut owned = house.peer("owner").own("md");
    let mut reader = reader(&house, oyez::Start::Earliest);
    let mut viewer = house.peer("viewer");
    let mut told = || stat(&mut viewer).readers[0].sequence;
    let poll = |reader: &mut oyez::Subscriber| {
        let mut messages = 0;
        let each = |event: oyez::Event<'_>| messages += u64::from(matches!(event.kind, oyez::EventKind::Message(_)));
        reader.poll(256, each).expect("nothing is wrong");
        messages
    };
    owned.publish_all(3);
    until("all of them", || (poll(&mut reader) == 3).then_some(()));
    assert_eq!(told(), 0, "they are not done with");
    poll(&mut reader);
    assert_eq!(told(), 3);
    owned.publish();
    assert_eq!(poll(&mut reader), 1);
    assert_eq!(told(), 3);
    reader.arm().expect("a bell");
    assert_eq!(told(), 4);
    house.kill_broker();
    until("another broker to be told", || {
        poll(&mut reader);
        let readers = stat(&mut house.peer("viewer")).readers;
        readers.first().is_some_and(|reader| reader.sequence == 4).then_some(())
    });
}

#[test]
fn latencies_are_counted_once_in_a_millisecond_of_publish_time() {
    let house = House::new();
    let mut owned = house.peer("owner").own("md");
    let mut reader = reader(&house, oyez::Start::Live);
    let mut viewer = house.peer("viewer");
    until("the ring", || (reader.poll(1, |_| {}).expect("nothing is wrong") == 0).then_some(()));
    assert!(reader.reads_ring(oyez::TopicIndex(0)));
    let start_ns = now_ns();
    let counted = [0, 999_999, 1_000_000, 1_999_999].map(|behind_ns| {
        let offered = owned.writer.offer(&[7; 64], start_ns + behind_ns).expect("a length in bounds");
        assert!(matches!(offered, oyez_ring::Offer::Published(_)));
        let mut is_here = false;
        let mut each = |event: oyez::Event<'_>| is_here |= matches!(event.kind, oyez::EventKind::Message(_));
        until("it", || (reader.poll(1, &mut each).expect("nothing is wrong") == 0).then_some(()));
        assert!(is_here);
        stat(&mut viewer).readers[0].latency.map_or(0, |latency| latency.count)
    });
    assert_eq!(counted, [1, 1, 2, 2]);
}

#[test]
fn areas_asks_and_bells_that_lie_harm_nobody() {
    let house = House::new();
    for topic in ["md", "scratch"] {
        let mut owned = house.peer("owner").own(topic);
        let (honest, hostile) = (Sleeper::of(&house, topic), Sleeper::of(&house, topic));
        // Blocking and full, so that a write to it would wait for ever.
        let [_, ask, bell] = &hostile.peer.berths[0];
        rustix::io::ioctl_fionbio(ask, false).expect("set");
        rustix::io::write(ask, &(u64::MAX - 1).to_ne_bytes()).expect("filled");
        rustix::io::ioctl_fionbio(ask, true).expect("set");
        rustix::io::ioctl_fionbio(bell, false).expect("set");
        assert!(
            rustix::net::send(bell, &[1], rustix::net::SendFlags::NOSIGNAL).is_err(),
            "the broker listens to bells"
        );
        for round in 0_u64..2_000 {
            let word = [0, 1, u64::MAX, round << 40, 1 << 63, owned.writer.tail().position.0 + 8][round as usize % 6];
            (0..Area::LEN_BYTES)
                .step_by(if round % 100 == 0 { 8 } else { 4_096 })
                .for_each(|at| hostile.region.store(at, word));
            hostile.sleep_at(Position(word));
        }
        for _ in 0..20 {
            honest.sleep_at(owned.writer.tail().position);
            (0..50).for_each(|_| hostile.ask());
            owned.publish();
            assert!(honest.rings(PATIENCE), "{topic}: not woken");
        }
        let seen = stat(&mut house.peer("viewer"));
        assert_eq!(seen.readers.iter().filter(|reader| reader.topic == topic).count(), 2, "{topic}");
        let punch = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        let [area, _, _] = &hostile.peer.berths[0];
        assert!(
            rustix::fs::ftruncate(area, 0).is_err()
                && rustix::fs::fcntl_add_seals(area, rustix::fs::SealFlags::FUTURE_WRITE).is_err()
        );
        // That is its own loss: zeros are as good as anything.
        rustix::fs::fallocate(area, punch, 0, Area::LEN_BYTES as u64).expect("punched");
        stat(&mut house.peer("viewer"));
        owned.release();
    }
    assert_eq!(house.keeper.count("the broker died"), 0);
}

#[test]
fn a_bell_that_is_closed_ends_the_subscription_and_a_connection_all_of_its_own() {
    let house = House::with(
        "segment_mib = 4\nareas_per_user_max = 3\nsubscriptions_max = 2\n",
        "[[topics]]\nname = \"md\"\nring_mib = 2\n",
    );
    let open = || Message::OpenSubscriber { partition: 0, topic: "md".into() };
    let (mut one, mut other) = (house.peer("one"), house.peer("other"));
    (0..2).for_each(|_| drop(one.subscribe("md")));
    assert_eq!(one.refusal(open()).0, FailureCode::SubscriptionLimit);
    other.subscribe("md");
    let (code, text) = other.refusal(open());
    assert!(code == FailureCode::SubscriptionLimit && text.contains("user"), "{text}");
    let seen = stat(&mut house.peer("viewer"));
    assert_eq!((seen.limits.subscriptions.used, seen.limits.subscriptions.refused), (3, 2));
    one.berths.pop();
    until("room again", || matches!(other.ask(open()).packet.message, Message::Subscribed { .. }).then_some(()));
    let kept = std::mem::take(&mut other.berths);
    drop(other);
    until("its end", || (stat(&mut house.peer("viewer")).readers.len() == 1).then_some(()));
    // What was kept of it rings no more.
    let hangs_up = poll(&mut [PollFd::new(&kept[0][2], PollFlags::HUP)], Some(&Timespec { tv_sec: 20, tv_nsec: 0 }));
    assert_eq!(hangs_up, Ok(1));
}

#[test]
fn what_is_seen_is_what_is() {
    let topics = "[[topics]]\nname = \"md\"\nring_mib = 2\npublish = [\"self\"]\nlatency_budget_us = 250\n";
    let house = House::with("segment_mib = 4\n", topics);
    let mut owned = house.peer("owner").own("md");
    let reader = Sleeper::of(&house, "md");
    owned.publish_all(10);
    let tail = owned.writer.tail();
    let (position, sequence) = (Position(tail.position.0 - 160), Sequence(8));
    reader.area.tell(Progress { epoch: Epoch(1), position, sequence, time_ns: tail.time_ns - 5 });
    (1..=100).for_each(|thousands| reader.area.record(thousands * 1_000));
    reader.area.sleep(Asleep { position, durability: 0 });
    let mut viewer = house.peer("viewer");
    let seen = until("all on disk", || {
        let seen = stat(&mut viewer);
        (seen.partitions[0].durable == tail.position.0).then_some(seen)
    });
    let partition = &seen.partitions[0];
    assert_eq!((partition.sequence, partition.position, partition.newest_ns), (10, tail.position.0, tail.time_ns));
    assert_eq!((partition.epoch, partition.state.as_str(), partition.latency_budget_us), (1, "owned", Some(250)));
    assert_eq!(partition.owner.as_ref().map(|owner| owner.name.as_str()), Some("owner"));
    let [reader] = &seen.readers[..] else { panic!("{:?}", seen.readers) };
    assert_eq!((reader.lag_messages, reader.lag_bytes, reader.lag_ns, reader.asleep), (2, 160, 5, true));
    let latency = reader.latency.expect("sampled");
    assert_eq!(latency.count, 100);
    assert!((50_000..52_000).contains(&latency.p50_ns) && (100_000..104_000).contains(&latency.max_ns), "{latency:?}");
    assert!(seen.cores[0].turns > 0 && seen.problems().is_empty() && seen.limits.descriptors.used > 10);
    // A user is shown so much and no more.
    let refused = (0..200).any(|_| {
        matches!(
            viewer.ask(Message::OpenStat {}).packet.message,
            Message::Failure { code: FailureCode::TooManyRequests, .. }
        )
    });
    assert!(refused, "each look is worth milliseconds");
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a listener");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: here\r\n\r\n").expect("asked");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}

#[test]
fn metrics_and_health_are_told_on_loopback_and_slow_askers_hold_nobody_up() {
    let topics = "[[topics]]\nname = \"md\"\nring_mib = 2\npublish = [\"self\"]\n";
    let house = House::with("segment_mib = 4\nhttp = \"127.0.0.1:0\"\n", topics);
    let line = house.keeper.line(&["metrics and health at http://"]);
    let (_, address) = line.split_once("http://").expect("an address");
    let mut owned = house.peer("owner").own("md");
    let sleeper = Sleeper::of(&house, "md");
    owned.publish_all(3);
    let healthy = get(address, "/health");
    assert!(healthy.starts_with("HTTP/1.1 200 OK") && healthy.ends_with("healthy\n"), "{healthy}");
    let metrics = until("three messages", || {
        let told = get(address, "/metrics");
        told.contains("oyez_partition_published_messages_total{topic=\"md\",partition=\"0\"} 3").then_some(told)
    });
    for part in [
        "# TYPE oyez_reader_lag_messages gauge",
        "oyez_reader_lag_messages{topic=\"md\",partition=\"0\",subscription=\"0\",pid=\"",
        "oyez_partition_owned{topic=\"md\",partition=\"0\"} 1",
        "oyez_limit_used{limit=\"subscriptions\"} 1",
        "oyez_core_turns_total{cpu=\"0\"}",
    ] {
        assert!(metrics.contains(part), "{part} is not in {metrics}");
    }
    let well_formed = |line: &str| {
        line.starts_with('#') || line.rsplit_once(' ').is_some_and(|(_, value)| value.parse::<f64>().is_ok())
    };
    let (_, body) = metrics.split_once("\r\n\r\n").expect("a body");
    assert!(body.lines().all(well_formed), "{body}");
    assert!(get(address, "/elsewhere").starts_with("HTTP/1.1 404"));
    // Who asks and says nothing, many of them; the broker goes on, and so does health once they are given up.
    let mute: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(address).expect("a listener")).collect();
    sleeper.sleep_at(owned.writer.tail().position);
    owned.publish();
    assert!(sleeper.rings(PATIENCE));
    until("an answer again", || {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        text.contains("healthy").then_some(())
    });
    drop(mute);
}
