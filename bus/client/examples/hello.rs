//! A message, out and in: `cargo run --example hello`.
use oyez::{Bus, EventKind, Start, Topic};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bus = Bus::in_process(&[Topic::new("greetings")])?;
    let mut subscriber = bus.subscriber().topic("greetings", Start::Live).open()?;
    let mut publisher = bus.publisher("greetings").open()?;
    println!("{:?}", publisher.offer(b"oyez, oyez, oyez")?);
    subscriber.poll(16, |event| match event.kind {
        EventKind::Message(message) => println!("{}: {}", message.sequence, message.bytes.escape_ascii()),
        other => println!("{other:?}"),
    })?;
    Ok(())
}
