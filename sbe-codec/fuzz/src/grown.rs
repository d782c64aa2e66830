//! What generated code reads of the schema with every kind of member, older and newer writers, and nested groups, in
//! both byte orders.

macro_rules! read {
    ($order:ident, $module:ident, $path:literal) => {
        pub(crate) mod $order {
            use oyez_sbe_runtime::Error;

            use self::$module::{Flags, Kind, Message, Side};
            use crate::values::{Show, Values, name};

            include!($path);

            show! {
                Flags, value => value.0.to_string();
                Kind, value => name(value.name(), value.0);
                Side, value => name(value.name(), value.0);
            }

            /// How long the message is, without a look at it.
            pub(crate) fn skip(bytes: &[u8]) -> Result<usize, Error> {
                Ok(bytes.len() - Message::decode(bytes)?.skip()?.rest().len())
            }

            /// The values of the message, and how long it is.
            pub(crate) fn read(bytes: &[u8]) -> Result<(Values, usize), Error> {
                let mut values = Values::default();
                let end = match Message::decode(bytes)? {
                    Message::All(all) => {
                        put!(values: all.i8(), all.i16(), all.i32(), all.i64(), all.u8(), all.u16(), all.u32(), all.u64());
                        put!(values: all.float(), all.double(), all.type_(), all.text(), all.word(), all.pair());
                        let point = all.point();
                        put!(values: all.code(), all.side(), all.flags(), point.x, &point.tag, point.inner.y);
                        put!(values: point.inner.side, point.z, all.maybe());
                        all.skip()?
                    }
                    Message::Grown(grown) => {
                        put!(values: grown.first(), grown.late(), grown.later());
                        let entries = grown.entries()?;
                        put!(values: entries.count());
                        for entry in &entries {
                            put!(values: entry.a(), entry.b());
                        }
                        let newer = entries.end().newer()?;
                        put!(values: newer.is_present().then_some(newer.count()));
                        for entry in &newer {
                            put!(values: entry.a());
                        }
                        let (note, after) = newer.end().note()?;
                        let (blob, end) = after.blob()?;
                        put!(values: note, blob);
                        end
                    }
                    Message::Nested(nested) => {
                        let outer = nested.outer()?;
                        put!(values: outer.count());
                        for entry in &outer {
                            let entry = entry?;
                            put!(values: entry.a());
                            let inner = entry.inner()?;
                            put!(values: inner.count());
                            for entry in &inner {
                                let entry = entry?;
                                put!(values: entry.b(), entry.note()?.0);
                            }
                            let flat = inner.end()?.flat()?;
                            put!(values: flat.count());
                            for entry in &flat {
                                put!(values: entry.c());
                            }
                            put!(values: flat.end().note()?.0);
                        }
                        let empty = outer.end()?.empty()?;
                        put!(values: empty.count());
                        let (blob, end) = empty.end().blob()?;
                        put!(values: blob);
                        end
                    }
                    Message::Narrow(narrow) => {
                        let entries = narrow.entries()?;
                        put!(values: entries.count());
                        for entry in &entries {
                            put!(values: entry.wide());
                        }
                        entries.end()
                    }
                };
                Ok((values, bytes.len() - end.rest().len()))
            }
        }
    };
}

read!(little, grown, "../../generate/tests/golden/grown.rs");
read!(big, grown_big, "../../generate/tests/golden/grown_big.rs");
