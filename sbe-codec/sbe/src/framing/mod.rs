//! From captures to messages: [`pcap`] gives the UDP payloads of a capture, and a venue's module cuts each into SBE
//! messages. So far [`b3`].
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use oyez_sbe::framing::{b3, pcap};
//!
//! let mut payloads = pcap::payloads("Incremental.pcap.gz")?;
//! while let Some(payload) = payloads.next_payload()? {
//!     for message in b3::Packet::parse(payload.bytes)?.messages() {
//!         println!("{} bytes at {} ns", message?.len(), payload.time_ns);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

pub mod b3;
mod ethernet;
pub mod pcap;
