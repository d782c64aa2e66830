//! A million publishes, each polled, between two markers, for a tracer to look at: `million_publishes [SOCKET TOPIC [ORIGIN]] [--plant]`.
//!
//! The markers are two calls of `getppid`, which nothing else here makes. `--plant` puts one system call between them,
//! to see that it is seen. Without a socket the bus is in this process.
use oyez::{Bus, Connect, EventKind, HandIn, Offer, PublishError, Start, Topic};
use std::time::Duration;

const MESSAGES: u64 = 1_000_000;

/// Whether there was room.
type Offers = dyn FnMut(&[u8]) -> Result<bool, PublishError>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (plant, arguments): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument == "--plant");
    let plants = !plant.is_empty();
    let (bus, topic) = match &arguments[..] {
        [socket, topic, ..] => (Bus::connect(Connect::new(socket))?, topic.as_str()),
        _ => (Bus::in_process(&[Topic::new("md").ring_bytes(1 << 24)])?, "md"),
    };
    let publisher = bus.publisher(topic).wait(Duration::from_secs(5));
    let mut offer: Box<Offers> = match arguments.get(2) {
        None => {
            let mut publisher = publisher.open()?;
            Box::new(move |message| Ok(publisher.offer(message)? != Offer::BackPressured))
        }
        Some(origin) => {
            let mut ingress = publisher.origin(origin).open()?;
            Box::new(move |message| Ok(ingress.offer(message)? != HandIn::BackPressured))
        }
    };
    let mut subscriber = bus.subscriber().topic(topic, Start::Live).open()?;
    let (mut back_pressured, mut received) = (0_u64, 0_u64);
    let mut take = |received: &mut u64| {
        subscriber.poll(64, |event| *received += u64::from(matches!(event.kind, EventKind::Message(_))))
    };
    // Into the ring, which is done once, at an event.
    while !offer(&[0; 64])? {}
    while received == 0 {
        take(&mut received)?;
    }

    let _ = rustix::process::getppid();
    for number in 1..=MESSAGES {
        if plants && number == MESSAGES / 2 {
            let _ = rustix::process::getuid();
        }
        let message = [number; 8].map(u64::to_le_bytes);
        while !offer(message.as_flattened())? {
            back_pressured += 1;
            std::hint::spin_loop();
        }
        take(&mut received)?;
    }
    let _ = rustix::process::getppid();
    while received < MESSAGES + 1 {
        take(&mut received)?;
    }

    println!("published {MESSAGES}, back-pressured {back_pressured} times");
    Ok(())
}
