//! Every kind of member, older and newer writers, nested groups: in both byte orders.

use oyez_sbe::{Schema, decode_json};
use oyez_sbe_runtime::Error;

const GROWN_XML: &str = include_str!("schemas/grown.xml");

mod little {
    include!("golden/grown.rs");
}

mod big {
    include!("golden/grown_big.rs");
}

/// A message, byte by byte.
struct Bytes {
    big: bool,
    bytes: Vec<u8>,
}

impl Bytes {
    fn u8(mut self, value: u8) -> Self {
        self.bytes.push(value);
        self
    }

    fn u16(mut self, value: u16) -> Self {
        self.bytes.extend(if self.big { value.to_be_bytes() } else { value.to_le_bytes() });
        self
    }

    fn u32(mut self, value: u32) -> Self {
        self.bytes.extend(if self.big { value.to_be_bytes() } else { value.to_le_bytes() });
        self
    }

    fn header(self, block_length: u16, template_id: u16, version: u16) -> Self {
        self.u16(block_length).u16(template_id).u16(77).u16(version)
    }

    fn text(self, text: &str) -> Self {
        text.bytes().fold(self.u8(text.len() as u8), Bytes::u8)
    }
}

/// What a receiver sees of `Grown`, from the generated code.
type Seen = (u32, Option<u16>, Option<u16>, Vec<(u16, Option<u16>)>, Option<Vec<u8>>, String, Option<Vec<u8>>);

/// The same tests in one byte order.
macro_rules! tests {
    ($order:ident, $module:ident, $big:expr) => {
        mod $order {
            use super::*;
            use crate::$order::$module::*;

            fn message() -> Bytes {
                Bytes { big: $big, bytes: Vec::new() }
            }

            fn json(bytes: &[u8]) -> String {
                let xml = if $big { GROWN_XML.replace("littleEndian", "bigEndian") } else { GROWN_XML.to_owned() };
                let schema = Schema::parse(&xml, "grown.xml").expect("it is sound");
                let mut out = Vec::new();
                assert_eq!(decode_json(&schema, bytes, &mut out), Ok(bytes.len()));
                String::from_utf8(out).expect("JSON is UTF-8")
            }

            fn all_fields() -> all::Fields<'static> {
                let inner = Inner { y: None, side: Side(b'?') };
                all::Fields {
                    i8: -1,
                    i16: -2,
                    i32: -3,
                    i64: -4,
                    u8: 5,
                    u16: 6,
                    u32: 7,
                    u64: 8,
                    float: Some(1.5),
                    double: -2.25,
                    type_: b'T',
                    text: b"abc\0\0\0",
                    word: None,
                    pair: [-7, 7],
                    code: &[1, 2, 3],
                    side: Some(Side::SELL),
                    flags: Flags::FIRST | Flags::LAST,
                    point: Point { x: -9, tag: *b"pt", inner, z: Some(10) },
                    maybe: None,
                }
            }

            #[test]
            fn every_kind_is_written_and_read() {
                let mut buffer = [0xAA; 128];
                let fields = all_fields();
                assert_eq!(all::encode(&mut buffer, &fields), Ok(128));
                let expected = concat!(
                    r#"{"_t":"All","i8":-1,"i16":-2,"i32":-3,"i64":"-4","u8":5,"u16":6,"u32":7,"u64":"8","float":1.5,"#,
                    r#""double":-2.25,"type":"T","text":"abc","word":null,"pair":[-7,7],"code":"AQID","side":"Sell","#,
                    r#""flags":["first","last"],"point":{"x":-9,"scale":-2,"tag":"pt","Inner":{"y":null,"#,
                    r#""side":{"_unknown":63}},"z":10},"venue":"OYEZ","kind":"LIMIT_ORDER","maybe":null}"#
                );
                assert_eq!(json(&buffer), expected);
                let all = all::decode(&buffer).expect("it is sound");
                let (double, float, pair, code) = (all.double(), all.float(), all.pair(), all.code());
                let (side, flags, point, maybe) = (all.side(), all.flags(), all.point(), all.maybe());
                let (i8, i16, i32, i64) = (all.i8(), all.i16(), all.i32(), all.i64());
                let (u8, u16, u32, u64) = (all.u8(), all.u16(), all.u32(), all.u64());
                let (type_, text, word) = (all.type_(), all.text(), all.word());
                let read = all::Fields {
                    i8,
                    i16,
                    i32,
                    i64,
                    u8,
                    u16,
                    u32,
                    u64,
                    float,
                    double,
                    type_,
                    text,
                    word,
                    pair,
                    code,
                    side,
                    flags,
                    point,
                    maybe,
                };
                assert_eq!(read, fields);
                assert_eq!((all::VENUE, all::KIND, Point::SCALE), ("OYEZ", Kind::LIMIT_ORDER_2, -2));
                // Gaps and the end of the block are zeros, also in a buffer that was not.
                assert_eq!(buffer[8 + 108..], [0; 12]);
                for length in 0..buffer.len() {
                    all::decode(&buffer[..length]).expect_err("it is cut short");
                    let mut short = vec![0; length];
                    all::encode(&mut short, &fields).expect_err("the buffer is too small");
                }
            }

            #[test]
            fn null_values_are_none() {
                let mut buffer = [0; 128];
                let fields =
                    all::Fields { float: None, word: Some(b"\0ab\0"), side: None, maybe: Some(3), ..all_fields() };
                all::encode(&mut buffer, &fields).expect("there is room");
                let all = all::decode(&buffer).expect("it is sound");
                assert_eq!((all.float(), all.word(), all.side(), all.maybe()), (None, Some(b"\0ab\0"), None, Some(3)));
            }

            #[test]
            fn the_enums_of_rust_have_known_values_only() {
                assert_eq!(known::Side::try_from(Side::SELL), Ok(known::Side::Sell));
                assert_eq!(Kind::from(known::Kind::LimitOrder_2), Kind::LIMIT_ORDER_2);
                let refused = Error::UnknownValue { what: "enum Side", value: 63 };
                assert_eq!(known::Side::try_from(Side(b'?')), Err(refused));
            }

            fn see(bytes: &[u8]) -> Result<Seen, Error> {
                let message = grown::decode(bytes)?;
                let entries = message.entries()?;
                let list: Vec<_> = entries.into_iter().map(|entry| (entry.a(), entry.b())).collect();
                assert_eq!(list.len(), entries.count() as usize);
                let newer = entries.end().newer()?;
                let codes = newer.is_present().then(|| newer.into_iter().map(|entry| entry.a()).collect());
                let (note, after) = newer.end().note()?;
                let (blob, end) = after.blob()?;
                assert_eq!(end.rest(), b"");
                assert_eq!(message.skip()?.rest(), b"");
                let (note, blob) = (String::from_utf8_lossy(note).into_owned(), blob.map(<[u8]>::to_vec));
                Ok((message.first(), message.late(), message.later().map(|kind| kind.0), list, codes, note, blob))
            }

            /// Sees the message, and sees it refused at every length below its own.
            fn seen(message: Bytes) -> Seen {
                json(&message.bytes);
                for length in 0..message.bytes.len() {
                    see(&message.bytes[..length]).expect_err("it is cut short");
                }
                see(&message.bytes).expect("it is sound")
            }

            #[test]
            fn members_that_an_older_writer_does_not_have_are_absent() {
                let first = message().header(4, 2, 0).u32(9).u16(2).u16(2).u16(1).u16(2).text("old");
                let list = vec![(1, None), (2, None)];
                assert_eq!(seen(first), (9, None, None, list, None, "old".to_owned(), None));
                let second = message().header(6, 2, 1).u32(9).u16(8).u16(2).u16(0).text("");
                assert_eq!(seen(second), (9, Some(8), None, vec![], None, String::new(), None));
            }

            #[test]
            fn the_version_rules_where_the_block_is_long_enough() {
                let message = message().header(8, 2, 0).u32(9).u16(8).u16(2).u16(4).u16(1).u16(1).u16(2).text("");
                assert_eq!(seen(message), (9, None, None, vec![(1, None)], None, String::new(), None));
            }

            #[test]
            fn the_received_block_rules_where_the_version_says_more() {
                let message = message().header(4, 2, 3).u32(9).u16(2).u16(1).u16(1);
                let message = message.u16(1).u32(0).u32(0).text("").u32(1).u8(7);
                assert_eq!(seen(message), (9, None, None, vec![(1, None)], Some(vec![]), String::new(), Some(vec![7])));
            }

            #[test]
            fn what_a_newer_writer_adds_is_skipped() {
                let message = message().header(12, 2, 9).u32(9).u16(8).u16(2).u32(0xFFFF_FFFF);
                let message = message.u16(6).u16(2).u16(1).u16(2).u16(99).u16(3).u16(4).u16(99);
                // The dimension has a gap between its counts: 16 bits, a gap of 4 bytes, 32 bits.
                let message = message.u16(2).u32(0xEEEE_EEEE).u32(2).u8(5).u8(99).u8(6).u8(99);
                let message = message.text("new").u32(2).u8(1).u8(2);
                let list = vec![(1, Some(2)), (3, Some(4))];
                let expected = (9, Some(8), Some(2), list, Some(vec![5, 6]), "new".to_owned(), Some(vec![1, 2]));
                assert_eq!(seen(message), expected);
            }

            #[test]
            fn a_block_without_the_fields_of_every_version_is_refused() {
                let message = message().header(3, 2, 0).u32(9);
                let error = grown::decode(&message.bytes).expect_err("three bytes hold no u32");
                assert_eq!(error, Error::ShortBlock { what: "message Grown", length: 3, needed: 4 });
            }

            #[test]
            fn counts_without_bytes_are_refused() {
                let first = message().header(4, 2, 0).u32(9).u16(65_535).u16(65_535).u16(0);
                let error = see(&first.bytes).expect_err("there are no such bytes");
                assert!(
                    matches!(error, Error::Truncated { what: "group entries", needed: 4_294_836_225, .. }),
                    "{error}"
                );
                // Four billion entries of no bytes.
                let empty = message().header(8, 2, 2).u32(9).u32(0).u16(2).u16(0).u16(0).u32(0).u32(u32::MAX);
                let error = see(&empty.bytes).expect_err("too many for nothing");
                assert!(matches!(error, Error::EmptyEntries { what: "group newer", .. }), "{error}");
            }

            #[test]
            fn a_grown_message_is_written() {
                let mut buffer = [0xAA; 64];
                let fields = grown::Fields { first: 1, late: 2, later: None };
                let length = (|| {
                    let entries = grown::encode(&mut buffer, &fields)?.entries()?;
                    let entries = entries.push(&grown::entries::Fields { a: 3, b: 4 })?;
                    let newer = entries.end()?.newer()?.push(&grown::newer::Fields { a: 5 })?;
                    newer.end()?.note(b"n")?.blob(&[6])
                })();
                let bytes = &buffer[..length.expect("there is room")];
                let list = vec![(3, Some(4))];
                let expected = (1, Some(2), None, list, Some(vec![5]), "n".to_owned(), Some(vec![6]));
                assert_eq!(see(bytes), Ok(expected));
                let expected = r#""entries":[{"a":3,"b":4}],"newer":[{"a":5}],"note":"n","blob":"Bg=="}"#;
                assert!(json(bytes).ends_with(expected), "{}", json(bytes));
            }

            #[test]
            fn a_count_that_cannot_be_said_is_refused() {
                let mut buffer = [0; 1024];
                let fields = grown::Fields { first: 1, late: 2, later: Some(Kind::SELF) };
                let entries = grown::encode(&mut buffer, &fields).and_then(|encoder| encoder.entries());
                let newer = entries.and_then(|entries| entries.end()?.newer());
                let refused = newer.and_then(|newer| newer.end()?.note(&[0; 256]));
                assert_eq!(refused.err(), Some(Error::TooMany { what: "data note", count: 256 }));
            }

            #[test]
            fn a_block_length_that_the_schema_has_no_room_for_is_refused() {
                let mut buffer = [0; 1024];
                let entries = narrow::encode(&mut buffer, &narrow::Fields {}).and_then(|encoder| encoder.entries());
                let refused = entries.and_then(|entries| entries.end()).err();
                assert_eq!(refused, Some(Error::TooMany { what: "group entries", count: 300 }));
            }

            fn nested_message() -> Vec<u8> {
                let mut buffer = [0xAA; 256];
                let length = (|| {
                    let mut outer = nested::encode(&mut buffer, &nested::Fields {})?.outer()?;
                    for a in 1..=3_u16 {
                        let mut inner = outer.push(&nested::outer::Fields { a })?.inner()?;
                        for b in 0..a as u8 {
                            let note = [b'a' + b; 2];
                            inner = inner.push(&nested::outer::inner::Fields { b })?.note(&note)?;
                        }
                        let flat = inner.end()?.flat()?.push(&nested::outer::flat::Fields { c: 7 })?;
                        outer = flat.end()?.note(&[b'A'; 5])?;
                    }
                    let empty = outer.end()?.empty()?.push(&nested::empty::Fields {})?;
                    empty.end()?.blob(b"end")
                })();
                let length = length.expect("there is room");
                buffer[..length].to_vec()
            }

            /// The sum of all there is, and how many bytes of text.
            fn read_nested(bytes: &[u8]) -> Result<(u64, usize), Error> {
                let (mut sum, mut text) = (0, 0);
                let outer = nested::decode(bytes)?.outer()?;
                for entry in &outer {
                    let entry = entry?;
                    sum += u64::from(entry.a());
                    let inner = entry.inner()?;
                    for entry in &inner {
                        let entry = entry?;
                        sum += u64::from(entry.b());
                        text += entry.note()?.0.len();
                    }
                    let flat = inner.end()?.flat()?;
                    sum += flat.into_iter().map(|entry| u64::from(entry.c())).sum::<u64>();
                    text += flat.end().note()?.0.len();
                }
                let empty = outer.end()?.empty()?;
                let (blob, _) = empty.end().blob()?;
                Ok((sum, text + blob.len()))
            }

            #[test]
            fn nested_groups_are_written_and_read() {
                let bytes = nested_message();
                assert_eq!(read_nested(&bytes), Ok((6 + 4 + 21, 12 + 15 + 3)));
                let json = json(&bytes);
                let first =
                    r#"{"_t":"Nested","outer":[{"a":1,"inner":[{"b":0,"note":"aa"}],"flat":[{"c":7}],"note":"AAAAA"},"#;
                assert!(json.starts_with(first) && json.ends_with(r#""empty":[{}],"blob":"ZW5k"}"#), "{json}");
                for length in 0..bytes.len() {
                    read_nested(&bytes[..length]).expect_err("it is cut short");
                    nested::decode(&bytes[..length]).and_then(|message| message.skip()).expect_err("it is cut short");
                }
                assert_eq!(
                    nested::decode(&bytes).and_then(|message| message.skip()).map(|end| end.rest()),
                    Ok(&[][..])
                );
            }

            #[test]
            fn what_is_not_read_of_an_entry_is_skipped() {
                let bytes = nested_message();
                let outer = nested::decode(&bytes).and_then(|message| message.outer()).expect("it is sound");
                assert_eq!(outer.count(), 3);
                let mut entries = &outer;
                let first = entries.next().expect("there are three").expect("it is whole");
                // The first entry is read in part, when the second is asked for.
                let inner = first.inner().expect("it is whole");
                let second = entries.next().expect("there are three").expect("it is whole");
                assert_eq!((first.a(), second.a()), (1, 2));
                // What is read late of the first moves nothing.
                let flat = inner.end().and_then(|after| after.flat()).expect("it is whole");
                assert_eq!(flat.end().note().expect("it is whole").0, b"AAAAA");
                let third = entries.next().expect("there are three").expect("it is whole");
                assert_eq!(third.a(), 3);
                let (blob, end) = outer.end().and_then(|after| after.empty()?.end().blob()).expect("it is whole");
                assert_eq!((blob, end.rest()), (&b"end"[..], &[][..]));
            }

            #[test]
            fn after_an_error_there_are_no_more_entries() {
                let bytes = nested_message();
                let outer =
                    nested::decode(&bytes[..20]).and_then(|message| message.outer()).expect("it has its counts");
                let entries: Vec<_> = outer.into_iter().take(5).map(|entry| entry.is_ok()).collect();
                assert_eq!(entries, [true, false]);
            }
        }
    };
}

mod tests {
    use super::*;

    tests!(little, grown, false);
    tests!(big, grown_big, true);
}
