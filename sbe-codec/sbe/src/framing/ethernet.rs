//! The UDP or TCP payload inside a captured frame: Ethernet with VLAN tags, Linux "cooked", or bare IP; IPv4 and IPv6.

/// What a capture's frames begin with (the LINKTYPE registry of tcpdump.org).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Link {
    Ethernet,
    LinuxCooked,
    Ip,
}

impl Link {
    pub(super) fn of_number(number: u32) -> Option<Link> {
        Some(match number {
            1 => Link::Ethernet,
            113 => Link::LinuxCooked,
            12 | 101 | 228 | 229 => Link::Ip,
            _ => return None,
        })
    }
}

const VLAN: [u16; 2] = [0x8100, 0x88A8];
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86DD;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// What a frame brings.
pub(super) enum Datagram<'a> {
    Udp(&'a [u8]),
    Tcp(Segment<'a>),
}

/// A piece of a TCP connection's one direction.
pub(super) struct Segment<'a> {
    /// Both addresses and ports.
    pub(super) flow: Flow,
    /// The number of its first byte, or of its SYN.
    pub(super) sequence: u32,
    /// How many numbers it takes: its bytes, SYN and FIN.
    pub(super) numbers: u32,
    pub(super) bytes: &'a [u8],
}

pub(super) type Flow = [u8; 36];

/// The payload; nothing if the frame is no whole UDP datagram or TCP segment: another protocol, or a fragment.
pub(super) fn datagram(link: Link, frame: &[u8]) -> Option<Datagram<'_>> {
    let ip = match link {
        Link::Ip => frame,
        Link::LinuxCooked => after_type(frame, 14)?,
        Link::Ethernet => after_type(frame, 12)?,
    };
    let (protocol, addresses, transport) = match ip.first()? >> 4 {
        4 => ipv4(ip)?,
        6 => ipv6(ip)?,
        _ => return None,
    };
    match protocol {
        // Ethernet pads short frames, so that the datagram's own length counts.
        UDP => transport.get(8..usize::from(u16_at(transport, 4)?)).map(Datagram::Udp),
        TCP => segment(addresses, transport).map(Datagram::Tcp),
        _ => None,
    }
}

fn segment<'a>(addresses: &[u8], tcp: &'a [u8]) -> Option<Segment<'a>> {
    const FIN: u8 = 1;
    const SYN: u8 = 2;
    let mut flow = [0; 36];
    flow[..4].copy_from_slice(tcp.get(..4)?);
    flow[4..4 + addresses.len()].copy_from_slice(addresses);
    let sequence = tcp.get(4..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))?;
    let (header, flags) = (usize::from(tcp.get(12)? >> 4) * 4, *tcp.get(13)?);
    let bytes = tcp.get(header.max(20)..)?;
    let numbers = bytes.len() as u32 + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
    Some(Segment { flow, sequence, numbers, bytes })
}

/// What follows the EtherType at `offset`, behind any VLAN tags.
fn after_type(frame: &[u8], mut offset: usize) -> Option<&[u8]> {
    while VLAN.contains(&u16_at(frame, offset)?) {
        offset += 4;
    }
    let ip = [IPV4, IPV6].contains(&u16_at(frame, offset)?);
    if ip { frame.get(offset + 2..) } else { None }
}

/// Protocol, addresses, and what the protocol has; its length is the packet's own where that says one.
type Parts<'a> = (u8, &'a [u8], &'a [u8]);

fn ipv4(packet: &[u8]) -> Option<Parts<'_>> {
    const MORE_FRAGMENTS_AND_OFFSET: u16 = 0x3FFF;
    let header = usize::from(packet[0] & 0x0F) * 4;
    let fragment = u16_at(packet, 6)? & MORE_FRAGMENTS_AND_OFFSET != 0;
    // A capture on the sending machine may come before the network card writes the length.
    let length = Some(usize::from(u16_at(packet, 2)?)).filter(|length| *length > 0).unwrap_or(packet.len());
    if fragment { None } else { Some((*packet.get(9)?, packet.get(12..20)?, packet.get(header.max(20)..length)?)) }
}

fn ipv6(packet: &[u8]) -> Option<Parts<'_>> {
    let length = Some(usize::from(u16_at(packet, 4)?)).filter(|length| *length > 0);
    let end = length.map_or(packet.len(), |length| 40 + length);
    Some((*packet.get(6)?, packet.get(8..40)?, packet.get(40..end)?))
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}
