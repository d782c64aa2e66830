//! Round trips between two processes, each on a core of its own, both spinning:
//!
//! `ping_pong SOCKET THERE BACK ROUNDS pong` answers on BACK what comes on THERE,
//! `ping_pong SOCKET THERE BACK ROUNDS ping` tells the median of the round trips.
use oyez::{Bus, Connect, EventKind, Offer, PublishError, Publisher, Start, SubscribeError, Subscriber};
use std::time::Duration;

fn take(subscriber: &mut Subscriber) -> Result<(), SubscribeError> {
    let mut messages = 0;
    while messages == 0 {
        subscriber.poll(1, |event| messages += usize::from(matches!(event.kind, EventKind::Message(_))))?;
    }
    Ok(())
}

/// The publish time, ns.
fn send(publisher: &mut Publisher, number: u64) -> Result<u64, PublishError> {
    let mut message = [0; 64];
    message[..8].copy_from_slice(&[56, 0, 1, 0, 1, 0, 0, 0]);
    message[8..16].copy_from_slice(&number.to_le_bytes());
    loop {
        if let Offer::Published(published) = publisher.offer(&message)? {
            return Ok(published.time_ns);
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [_, socket, there, back, rounds, role] = &std::env::args().collect::<Vec<_>>()[..] else {
        return Err("ping_pong SOCKET THERE BACK ROUNDS ping|pong".into());
    };
    let (pings, rounds) = (role == "ping", rounds.parse::<u64>()?);
    let (out, into) = if pings { (there, back) } else { (back, there) };
    let bus = Bus::connect(Connect::new(socket))?;
    let mut publisher = bus.publisher(out).wait(Duration::from_secs(60)).open()?;
    let mut subscriber = bus.subscriber().topic(into, Start::Earliest).open()?;

    // From one publish to the next: no clock is read that the bus does not read by itself.
    let mut times_ns = Vec::new();
    for round in 0..rounds {
        if !pings {
            take(&mut subscriber)?;
        }
        times_ns.push(send(&mut publisher, round)?);
        if pings {
            take(&mut subscriber)?;
        }
    }
    if pings {
        let mut round_trips_ns: Vec<u64> = times_ns.windows(2).map(|two| two[1] - two[0]).collect();
        round_trips_ns.sort_unstable();
        println!("median round trip of {rounds}: {} ns", round_trips_ns[round_trips_ns.len() / 2]);
    }
    Ok(())
}
