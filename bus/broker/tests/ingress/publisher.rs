//! The process that is killed: hands in message after message under its name until it has handed in them all.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use oyez::{Bus, Connect, Durability, HandIn, Ingress, PublishError};

use crate::stage::{PATIENCE, TOPIC};

/// How it ends where it finds out that another had its name.
pub(crate) const LOST: i32 = 3;
pub(crate) const TASK: &str = "OYEZ_TEST_INGRESS";
/// How often a publisher looks how far it was taken.
const LOOK: u64 = 64;

/// What a publisher knows of itself: written before and after each step, and kept by the kernel when it is killed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Noted {
    /// It has begun to hand this number in.
    pub(crate) offering: u64,
    /// It was told that this number is accepted.
    pub(crate) accepted: u64,
    /// It was told that everything is durable.
    pub(crate) done: u64,
}

impl Noted {
    pub(crate) fn read(folder: &Path, publisher: u16) -> Noted {
        let mut bytes = [0; 24];
        let read = File::open(path(folder, publisher)).and_then(|file| file.read_exact_at(&mut bytes, 0));
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        read.map_or(Noted::default(), |()| Noted { offering: word(0), accepted: word(8), done: word(16) })
    }

    fn write(self, file: &File) {
        let words = [self.offering, self.accepted, self.done].map(u64::to_le_bytes);
        file.write_all_at(words.as_flattened(), 0).unwrap();
    }
}

fn path(folder: &Path, publisher: u16) -> std::path::PathBuf {
    folder.join(format!("noted-{publisher}"))
}

/// The one message of that publisher and number: of few lengths, or of up to a quarter of the ingress ring.
pub(crate) fn message(publisher: u16, number: u64, large: bool) -> Vec<u8> {
    let mixed = (number ^ u64::from(publisher) << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let len_bytes = if large { 16 + mixed as usize % 60_000 } else { [51, 68, 60, 460][mixed as usize % 4] };
    let mut bytes = vec![mixed as u8; len_bytes];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes[8..10].copy_from_slice(&publisher.to_le_bytes());
    bytes
}

pub(crate) fn process() {
    let Ok(task) = std::env::var(TASK) else { return };
    let [folder, publisher, messages, large] = task.splitn(4, ' ').collect::<Vec<_>>()[..] else { panic!("{task}") };
    let (folder, publisher) = (Path::new(folder), publisher.parse().unwrap());
    hand_in_all(folder, publisher, messages.parse().unwrap(), large == "true");
}

fn hand_in_all(folder: &Path, publisher: u16, messages: u64, large: bool) {
    let name = format!("p{publisher}");
    // The broker may be away at this very moment.
    let connect = || Connect::new(folder.join("bus.sock")).name(&name).timeout(PATIENCE);
    let bus = Bus::connect(connect()).unwrap();
    let mut ingress =
        bus.publisher(TOPIC).wait(PATIENCE).origin(&name).open().unwrap_or_else(|error| panic!("{error}"));
    let mut noted = Noted::read(folder, publisher);
    let told = ingress.accepted().unwrap().number;
    assert!((noted.accepted..=noted.offering).contains(&told), "{name} is told {told} after {noted:?}");
    let file = File::options().create(true).truncate(false).write(true).open(path(folder, publisher)).unwrap();
    while ingress.handed_in() < messages {
        let number = ingress.handed_in() + 1;
        let bytes = message(publisher, number, large);
        noted.offering = noted.offering.max(number);
        noted.write(&file);
        hand_in(&mut ingress, number, &bytes);
        if number.is_multiple_of(LOOK) {
            noted.accepted = ingress.accepted().unwrap().number;
            noted.write(&file);
        }
    }
    noted.accepted = ingress.wait(messages, Durability::Durable, PATIENCE).unwrap().number;
    noted.done = 1;
    noted.write(&file);
    match ingress.close(PATIENCE) {
        Ok(_) | Err(PublishError::Bus(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

#[allow(clippy::disallowed_methods, reason = "the end of this process is its answer")]
fn hand_in(ingress: &mut Ingress, number: u64, bytes: &[u8]) {
    loop {
        match ingress.offer(bytes) {
            Ok(HandIn::HandedIn(given)) => return assert_eq!(given, number),
            Ok(HandIn::BackPressured) => std::thread::sleep(Duration::from_micros(100)),
            Err(PublishError::Lost { why, .. }) if why.contains("another process") => std::process::exit(LOST),
            Err(error) => panic!("{error}"),
        }
    }
}
