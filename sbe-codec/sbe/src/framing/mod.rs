//! From captures to messages: [`pcap`] gives the payloads of a capture, and a venue's module cuts each into SBE
//! messages: [`b3`], [`cme`], [`optiq`] and [`sofh`], or [`Framing`] by name.
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
pub mod cme;
mod ethernet;
mod lz4;
mod messages;
pub mod optiq;
pub mod pcap;
pub mod sofh;

use crate::error::DecodeError;
pub use messages::{Messages, PacketError};

/// How messages follow each other in a payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// One behind another, each as long as its schema says.
    Plain,
    /// [`sofh`]
    Sofh,
    /// [`b3`]
    B3,
    /// [`cme`]
    Cme,
    /// [`optiq`]
    Optiq,
}

impl Framing {
    /// Hands over the messages of a payload in order. `measure` gives the length of the message at the start of the
    /// bytes, and is asked where the framing does not say it; `scratch` takes what was compressed, and may be used again.
    ///
    /// # Errors
    /// Those of the framing, at the first byte that does not fit, and those of `each`. What came before was handed over.
    pub fn cut<E: From<PacketError>>(
        self,
        payload: &[u8],
        scratch: &mut Vec<u8>,
        measure: impl Fn(&[u8]) -> Result<usize, DecodeError>,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let messages = match self {
            Framing::Plain => return plain(payload, measure, each),
            Framing::Sofh => sofh::messages(payload),
            Framing::B3 => b3::Packet::parse(payload)?.messages(),
            Framing::Cme => cme::Packet::parse(payload)?.messages(),
            Framing::Optiq => optiq::Packet::parse(payload, scratch)?.messages(),
        };
        for message in messages {
            each(message?)?;
        }
        Ok(())
    }
}

fn plain<E: From<PacketError>>(
    payload: &[u8],
    measure: impl Fn(&[u8]) -> Result<usize, DecodeError>,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = payload;
    while !rest.is_empty() {
        let offset = payload.len() - rest.len();
        let length = measure(rest).map_err(|source| PacketError::Message { offset, source })?;
        // No schema has a message without a header, but a measure of the caller's own may say so.
        let (message, behind) = rest.split_at_checked(length.max(1)).unwrap_or((rest, &[]));
        each(message)?;
        rest = behind;
    }
    Ok(())
}
