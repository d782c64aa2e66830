//! Packets and captures: from bytes to messages.

use std::io::Cursor;

use oyez_sbe::framing::{Framing, PacketError, optiq, pcap};
use oyez_sbe::message_length;

use crate::SCHEMAS;

const FRAMINGS: [Framing; 5] = [Framing::Plain, Framing::Sofh, Framing::B3, Framing::Cme, Framing::Optiq];

/// A byte that chooses a framing, then a payload; or a capture, each payload of which is cut in every framing.
pub(crate) fn any(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else { return };
    match FRAMINGS.get(usize::from(*choice) % (FRAMINGS.len() + 1)) {
        Some(framing) => cut(*framing, rest),
        None => capture(rest),
    }
}

fn capture(bytes: &[u8]) {
    let Ok(payloads) = pcap::payloads_of(Cursor::new(bytes.to_vec()), "fuzz.pcap") else { return };
    let mut payloads = payloads.with_tcp();
    while let Ok(Some(payload)) = payloads.next_payload() {
        FRAMINGS.iter().for_each(|framing| cut(*framing, payload.bytes));
    }
}

/// The messages are parts of what is cut, and no more than its bytes.
fn cut(framing: Framing, payload: &[u8]) {
    let (mut scratch, mut bytes) = (Vec::new(), 0);
    let each = |message: &[u8]| -> Result<(), PacketError> {
        bytes += message.len();
        Ok(())
    };
    let end = framing.cut(payload, &mut scratch, |bytes| message_length(&SCHEMAS[0], bytes), each);
    assert!(scratch.len() <= optiq::BODY_BYTES_MAX && scratch.capacity() <= 2 * optiq::BODY_BYTES_MAX);
    assert!(bytes <= payload.len().max(scratch.len()));
    match end {
        // All of it was handed over, but for what stands before each.
        Ok(()) if framing == Framing::Plain => assert_eq!(bytes, payload.len()),
        Ok(()) => (),
        Err(error) => crate::one_line(&error),
    }
}
