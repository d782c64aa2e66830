//! What `diff` says is so is what the decoder finds: messages of one version, read by another.

mod shared;

use std::collections::BTreeMap;
use std::path::Path;

use oyez_sbe::{
    Block, Composite, Data, DecodeError, Field, Group, Message, Schema, Slot, Value, Visitor, decode, diff,
};

/// Entries of each group, and bytes of each data, in the messages that are made up.
const ENTRIES: usize = 2;
const DATA_BYTES: usize = 3;

/// A writer of messages by a little-endian schema: any bytes in the blocks.
struct Writer {
    bytes: Vec<u8>,
    seed: u64,
}

impl Writer {
    fn message(schema: &Schema, message: &Message, seed: u64) -> Vec<u8> {
        let mut writer = Writer { bytes: Vec::new(), seed };
        let header = schema.header();
        let at = writer.zeros(header.size_bytes);
        writer.put(at, header.block_length, message.block.length_bytes as usize);
        writer.put(at, header.template_id, message.template_id.into());
        writer.put(at, header.version, schema.version.into());
        if let Some(slot) = header.schema_id {
            writer.put(at, slot, schema.id.into());
        }
        writer.block(&message.block);
        writer.bytes
    }

    fn zeros(&mut self, length: u32) -> usize {
        let at = self.bytes.len();
        self.bytes.resize(at + length as usize, 0);
        at
    }

    fn put(&mut self, at: usize, slot: Slot, number: usize) {
        let (start, size) = (at + slot.offset as usize, slot.primitive.size_bytes() as usize);
        self.bytes[start..start + size].copy_from_slice(&number.to_le_bytes()[..size]);
    }

    fn any(&mut self, length: usize) {
        for _ in 0..length {
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Small numbers too, so that enums meet values that they know.
            let byte = (self.seed >> 56) as u8;
            self.bytes.push(if self.seed & (1 << 40) == 0 { byte } else { byte % 8 });
        }
    }

    fn block(&mut self, block: &Block) {
        self.any(block.length_bytes as usize);
        for group in &block.groups {
            let at = self.zeros(group.dimension.size_bytes);
            self.put(at, group.dimension.block_length, group.block.length_bytes as usize);
            self.put(at, group.dimension.count, ENTRIES);
            (0..ENTRIES).for_each(|_| self.block(&group.block));
        }
        for data in &block.data {
            let at = self.zeros(data.start);
            self.put(at, data.length, DATA_BYTES);
            self.any(DATA_BYTES);
        }
    }
}

/// What a reader has found: each value by where it stands, as numbers stand there and whatever their names are.
#[derive(Default)]
struct Found {
    values: BTreeMap<String, String>,
    /// Of what is being read: offsets of composites, groups by their number, entries by theirs.
    path: Vec<String>,
    /// Groups and data seen so far at each level.
    behind: Vec<usize>,
    entries: Vec<usize>,
}

impl Found {
    fn of(schema: &Schema, message: &[u8]) -> Found {
        let mut found = Found { behind: vec![0], ..Found::default() };
        decode(schema, message, &mut found).expect("a message of a step that is compatible");
        found
    }

    fn next(&mut self) -> usize {
        let behind = self.behind.last_mut().expect("a level");
        *behind += 1;
        *behind
    }
}

impl Visitor for Found {
    fn value(&mut self, field: &Field, value: Value<'_>) {
        let value = match value {
            Value::Enum(_, number, _) => number.integer().expect("an integer").to_string(),
            Value::Set(_, bits) => bits.to_string(),
            Value::Int32(number) => number.to_string(),
            Value::UInt32(number) => number.to_string(),
            Value::Text(text) => format!("{:?}", text.bytes),
            other => format!("{other:?}"),
        };
        if field.size_bytes > 0 {
            self.values.insert(format!("{}/{}+{}", self.path.join("/"), field.offset, field.size_bytes), value);
        }
    }

    fn composite(&mut self, field: &Field, _composite: &Composite) {
        self.path.push(field.offset.to_string());
    }

    fn composite_end(&mut self) {
        self.path.pop();
    }

    fn group(&mut self, _group: &Group, count: Option<u32>) {
        let number = self.next();
        if let Some(count) = count {
            self.values.insert(format!("{}/group {number}", self.path.join("/")), count.to_string());
            self.path.push(format!("group {number}"));
            self.entries.push(0);
        }
    }

    fn entry(&mut self) -> Result<(), DecodeError> {
        let entry = self.entries.last_mut().expect("a group");
        *entry += 1;
        self.path.push(entry.to_string());
        self.behind.push(0);
        Ok(())
    }

    fn entry_end(&mut self) {
        self.path.pop();
        self.behind.pop();
    }

    fn group_end(&mut self) {
        self.path.pop();
        self.entries.pop();
    }

    fn data(&mut self, _data: &Data, bytes: Option<&[u8]>) {
        let number = self.next();
        self.values.insert(format!("{}/data {number}", self.path.join("/")), format!("{bytes:?}"));
    }
}

/// Where one reads all that the other does; gives how many values both have.
fn agree(reader: &Schema, writer: &Schema, old: &Schema, message: &Message) -> usize {
    let bytes = Writer::message(writer, message, u64::from(message.template_id) + 1);
    let [reader_found, writer_found] = [reader, writer].map(|schema| Found::of(schema, &bytes).values);
    let mut both = 0;
    let by_old = if std::ptr::eq(reader, old) { &reader_found } else { &writer_found };
    for place in by_old.keys() {
        let (read, written) = (reader_found.get(place), writer_found.get(place));
        assert_eq!(read, written, "{} at {place}", message.meta.name);
        both += 1;
    }
    both
}

/// All versions of a feed, the oldest first.
fn versions(folder: &Path, files: &str) -> Vec<Schema> {
    let paths = shared::files(folder, "xml").into_iter();
    let named = paths.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(files)));
    let mut schemas: Vec<_> = named.map(|path| Schema::load(path).expect("it is sound")).collect();
    schemas.sort_by_key(|schema| schema.version);
    schemas
}

#[test]
fn a_step_that_is_compatible_is_read() {
    let Some(root) = shared::folder("schemas", "diff") else { return };
    let (mut steps, mut values) = (0, 0);
    for (folder, files) in [
        ("euronext-optiq", "Euronext.Optiq.MarketDataGateway"),
        ("euronext-optiq", "Euronext.Optiq.OrderEntryGateway"),
        ("cme-mdp3", "Cme"),
        ("b3-umdf", "B3"),
        ("coinbase", ""),
        ("binance", "spot"),
        ("memx", ""),
    ] {
        let schemas = versions(&root.join(folder), files);
        for (at, new) in schemas.iter().enumerate() {
            for old in &schemas[..at] {
                let diff = diff(old, new);
                steps += usize::from(diff.readers()) + usize::from(diff.writers());
                let both = |message: &&Message| old.message_by_template(message.template_id).is_some();
                let readers = new.messages.iter().filter(|_| diff.readers()).filter(both);
                values += readers.map(|message| agree(old, new, old, message)).sum::<usize>();
                let writers = old.messages.iter().filter(|_| diff.writers());
                values += writers.map(|message| agree(new, old, old, message)).sum::<usize>();
            }
        }
    }
    println!("{steps} compatible steps, {values} values read alike");
    assert!(steps > 50 && values > 10_000, "{steps} steps, {values} values");
}
