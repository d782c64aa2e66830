//! Reads the next COUNT messages of a topic, live: `subscribe SOCKET TOPIC COUNT`.
use oyez::{Bus, Connect, EventKind, Idle, Start};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [_, socket, topic, count] = &std::env::args().collect::<Vec<_>>()[..] else {
        return Err("subscribe SOCKET TOPIC COUNT".into());
    };
    let mut subscriber = Bus::connect(Connect::new(socket))?.subscriber().topic(topic, Start::Live).open()?;
    println!("subscribed");
    let (mut left, mut idle) = (count.parse::<usize>()?, Idle::back_off());
    while left > 0 {
        let given = subscriber.poll(left.min(256), |event| match event.kind {
            EventKind::Message(message) => {
                let number = message.bytes[8..].first_chunk().copied().map(u64::from_le_bytes);
                println!("message {}: {}", message.sequence, number.unwrap_or_default());
                left -= 1;
            }
            EventKind::Gap { from, to, .. } => println!("messages {from} to {to} are lost"),
            _ => {}
        })?;
        idle.rest(given);
    }
    Ok(())
}
