//! The UDP payload inside a captured frame: Ethernet with VLAN tags, Linux "cooked", or bare IP; IPv4 and IPv6.

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
const UDP: u8 = 17;

/// The payload; nothing if the frame is no whole UDP datagram: another protocol, or a fragment.
pub(super) fn udp_payload(link: Link, frame: &[u8]) -> Option<&[u8]> {
    let ip = match link {
        Link::Ip => frame,
        Link::LinuxCooked => after_type(frame, 14)?,
        Link::Ethernet => after_type(frame, 12)?,
    };
    let udp = match ip.first()? >> 4 {
        4 => ipv4(ip)?,
        6 => ipv6(ip)?,
        _ => return None,
    };
    // Ethernet pads short frames, so that the datagram's own length counts.
    let length = usize::from(u16_at(udp, 4)?);
    udp.get(8..length)
}

/// What follows the EtherType at `offset`, behind any VLAN tags.
fn after_type(frame: &[u8], mut offset: usize) -> Option<&[u8]> {
    while VLAN.contains(&u16_at(frame, offset)?) {
        offset += 4;
    }
    let ip = [IPV4, IPV6].contains(&u16_at(frame, offset)?);
    if ip { frame.get(offset + 2..) } else { None }
}

fn ipv4(packet: &[u8]) -> Option<&[u8]> {
    const MORE_FRAGMENTS_AND_OFFSET: u16 = 0x3FFF;
    let header = usize::from(packet[0] & 0x0F) * 4;
    let fragment = u16_at(packet, 6)? & MORE_FRAGMENTS_AND_OFFSET != 0;
    if fragment || *packet.get(9)? != UDP { None } else { packet.get(header.max(20)..) }
}

fn ipv6(packet: &[u8]) -> Option<&[u8]> {
    if *packet.get(6)? == UDP { packet.get(40..) } else { None }
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}
