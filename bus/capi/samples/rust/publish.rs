//! Publishes COUNT messages and waits until the last of them is durable: `publish SOCKET TOPIC COUNT`.
use oyez::{Bus, Connect, Durability, Offer};
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [_, socket, topic, count] = &std::env::args().collect::<Vec<_>>()[..] else {
        return Err("publish SOCKET TOPIC COUNT".into());
    };
    let bus = Bus::connect(Connect::new(socket))?;
    let mut publisher = bus.publisher(topic).wait(Duration::from_secs(60)).open()?;
    let mut last = None;
    for number in 0..count.parse::<u64>()? {
        // SBE message header, and a number as the body; a generated codec would do this.
        let header = [8_u16, 1, 1, 0].map(u16::to_le_bytes);
        last = loop {
            let mut claim = publisher.claim(16)?;
            claim[..8].copy_from_slice(header.as_flattened());
            claim[8..].copy_from_slice(&number.to_le_bytes());
            match claim.commit()? {
                Offer::Published(published) => break Some(published),
                Offer::BackPressured => std::thread::yield_now(),
            }
        };
    }
    if let Some(published) = last {
        publisher.wait(published.position, Durability::Durable, Duration::from_secs(60))?;
        println!("published up to message {}, durable", published.sequence);
    }
    Ok(publisher.release()?)
}
