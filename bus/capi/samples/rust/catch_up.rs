//! Goes on where it was, exactly: reads a topic up to its present end, and keeps its place in FILE:
//! `catch_up SOCKET TOPIC FILE`.
//!
//! The first run starts with the oldest message there is. Every message is taken once, whatever happens in between, or it
//! is said which are not to be had.
use oyez::{Bus, Connect, Epoch, EventKind, Idle, Sequence, Start, TopicIndex};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [_, socket, topic, file] = &std::env::args().collect::<Vec<_>>()[..] else {
        return Err("catch_up SOCKET TOPIC FILE".into());
    };
    let start = match std::fs::read_to_string(file) {
        Ok(place) => {
            let (epoch, sequence) = place.trim().split_once(' ').ok_or("no place in the file")?;
            Start::Resume { epoch: Epoch(epoch.parse()?), sequence: Sequence(sequence.parse()?) }
        }
        Err(_) => Start::Earliest,
    };
    let mut subscriber = Bus::connect(Connect::new(socket))?.subscriber().topic(topic, start).open()?;

    let (mut messages, mut caught_up, mut idle) = (0_u64, false, Idle::back_off());
    loop {
        let given = subscriber.poll(256, |event| match event.kind {
            EventKind::Message(_) => messages += 1,
            EventKind::CaughtUp { .. } => caught_up = true,
            EventKind::Gap { from, to, cause } => println!("messages {from} to {to} are lost: {cause:?}"),
            EventKind::Rewound { to, .. } => println!("messages from {to} on never happened: undo them"),
            _ => {}
        })?;
        if given == 0 && caught_up {
            break;
        }
        idle.rest(given);
    }
    let next = subscriber.next_sequence(TopicIndex(0)).ok_or("no message yet")?;
    std::fs::write(file, format!("{} {next}\n", subscriber.epoch(TopicIndex(0))))?;
    println!("took {messages} messages, next is {next}");
    Ok(())
}
