//! The process that is killed: takes the partition whenever it can be had, and publishes until it dies.

use crate::content::Mix;
use crate::stage::TOPIC;
use crate::witness::Witness;
use oyez::{Bus, Connect, Offer, PublishError, Publisher, Standby};
use std::path::Path;
use std::time::{Duration, Instant};

/// Messages go out in bursts of this many ms, so that two cores hold a publisher, a broker and readers.
const BURST_MS: u64 = 1;
/// One that is idle now and then is so after so many bursts, and for so long.
const BUSY_BURSTS: u64 = 40;
const IDLE: Duration = Duration::from_millis(20);

/// Whose turn it is; the other waits as a standby, or asks again and again.
pub(crate) fn run(socket: &Path, folder: &Path, messages_per_s: u64, mix: Mix, stands_by: bool, idles: bool) -> ! {
    let bus = loop {
        // The broker may be away at this very moment.
        match Bus::connect(Connect::new(socket).name("killed")) {
            Ok(bus) => break bus,
            Err(error) => eprintln!("publisher: {error}"),
        }
    };
    loop {
        let publisher = bus.publisher(TOPIC);
        let opened = match stands_by {
            true => stand_by(publisher.standby(), folder),
            false => publisher.wait(Duration::from_secs(60)).open(),
        };
        match opened {
            Ok(publisher) => publish(publisher, folder, messages_per_s, mix, idles),
            Err(error) => eprintln!("publisher: {error}"),
        }
    }
}

/// Tells by a file that it is warm.
fn stand_by(mut standby: Standby, folder: &Path) -> Result<Publisher, PublishError> {
    let warm = folder.join(format!("warm-{}", std::process::id()));
    let _ = std::fs::remove_file(&warm);
    loop {
        // Short until it is warm, so that the file is there soon.
        let patience = Duration::from_millis(if warm.exists() { 10_000 } else { 5 });
        if let Some(publisher) = standby.wait(patience)? {
            return Ok(publisher);
        }
        if standby.is_warm() {
            std::fs::write(&warm, "").unwrap();
        }
    }
}

fn publish(mut publisher: Publisher, folder: &Path, messages_per_s: u64, mix: Mix, idles: bool) {
    let mut witness = Witness::new(folder, publisher.epoch().0);
    let burst = messages_per_s * BURST_MS / 1000;
    let (mut due, mut bytes) = (Instant::now(), Vec::new());
    for bursts in 1_u64.. {
        for _ in 0..burst {
            let message = mix.message(publisher.next_sequence().0, &mut bytes);
            if !publish_one(&mut publisher, &mut witness, message, folder) {
                return;
            }
        }
        due += Duration::from_millis(BURST_MS);
        if idles && bursts.is_multiple_of(BUSY_BURSTS) {
            due += IDLE;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// Whether the partition is still ours. An epoch that was renewed has a witness of its own.
fn publish_one(publisher: &mut Publisher, witness: &mut Witness, message: &[u8], folder: &Path) -> bool {
    let begun = Instant::now();
    loop {
        witness.offering(message.len());
        let offer = publisher.offer(message);
        witness.offering(0);
        match offer {
            Ok(Offer::Published(published)) => {
                if published.epoch.0 != witness.epoch() {
                    *witness = Witness::new(folder, published.epoch.0);
                    witness.renewed(begun.elapsed());
                }
                witness.committed(published.sequence.0, published.position.0, published.time_ns);
                return true;
            }
            Ok(Offer::BackPressured) => {
                witness.back_pressured();
                std::thread::sleep(Duration::from_micros(100));
            }
            Err(error) if error.is_fatal() => {
                eprintln!("publisher: epoch {} is over: {error}", publisher.epoch());
                return false;
            }
            Err(error) => eprintln!("publisher: {error}"),
        }
    }
}
