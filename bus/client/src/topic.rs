//! What the catalog says of a topic, as far as a client needs it.

use crate::Durability;
use oyez_protocol::Message as Said;
use oyez_ring::{MESSAGE_BYTES_MIN, Position};

/// A topic as it is declared, and as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: u16,
    /// The highest durability it keeps: `Published` where it is not recorded.
    pub durability: Durability,
    /// Bytes of a ring.
    pub ring_bytes: u64,
    /// Hours that the journal keeps; 0 where it is not recorded.
    pub retention_h: u32,
    /// What may be published.
    pub templates: Templates,
    /// Name of the schema in the catalog; empty without one.
    pub schema: String,
    /// Whether this process may publish.
    pub may_publish: bool,
    /// Whether this process may subscribe.
    pub may_subscribe: bool,
    /// One word on partition 0: `idle`, `owned`, `ending`, `broken`, `journal-failed`, `closing`.
    pub state: String,
    /// Who owns partition 0.
    pub owner: Option<Owner>,
    /// Partition 0: the lowest position that the journal has; 0 where there is none.
    pub earliest: Position,
    /// Partition 0: everything below is written.
    pub written: Position,
    /// Partition 0: everything below is durable.
    pub durable: Position,
}

/// The owner of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its process.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// What it calls itself.
    pub name: String,
}

/// Which messages may be published, by the ids in the SBE message header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Templates {
    /// Id of the schema; 0: any message.
    pub schema_id: u16,
    /// Ids of the templates; empty: all of the schema.
    pub template_ids: Vec<u16>,
}

/// The check of a message header, as one mask and one compare for what was accepted last.
#[derive(Debug)]
pub(crate) struct TemplateCheck {
    templates: Templates,
    /// The bits of the header that matter.
    mask: u64,
    /// Those bits of the header accepted last.
    accepted: u64,
}

const SCHEMA_MASK: u64 = 0xFFFF << 32;
const TEMPLATE_MASK: u64 = 0xFFFF << 16;

impl TemplateCheck {
    pub(crate) fn new(templates: Templates) -> TemplateCheck {
        let mask = match (templates.schema_id, templates.template_ids.is_empty()) {
            (0, _) => 0,
            (_, true) => SCHEMA_MASK,
            _ => SCHEMA_MASK | TEMPLATE_MASK,
        };
        let schema = u64::from(templates.schema_id) << 32;
        let template = templates.template_ids.first().map_or(0, |id| u64::from(*id) << 16);
        TemplateCheck { accepted: (schema | template) & mask, templates, mask }
    }

    /// Whether the message may go out. One too short to have a header is for others to judge.
    #[inline(always)]
    pub(crate) fn accepts(&mut self, message: &[u8]) -> bool {
        let Some(header) = message.first_chunk::<MESSAGE_BYTES_MIN>() else { return true };
        let key = u64::from_le_bytes(*header) & self.mask;
        key == self.accepted || self.accepts_another(key)
    }

    #[cold]
    fn accepts_another(&mut self, key: u64) -> bool {
        let (schema_id, template_id) = ((key >> 32) as u16, (key >> 16) as u16);
        let listed = self.templates.template_ids.contains(&template_id);
        let accepted = schema_id == self.templates.schema_id && listed;
        if accepted {
            self.accepted = key;
        }
        accepted
    }

    /// What is allowed, for people.
    pub(crate) fn allowed(&self) -> String {
        let Templates { schema_id, template_ids } = &self.templates;
        match template_ids.is_empty() {
            true => format!("schema {schema_id}"),
            false => format!("schema {schema_id}, templates {template_ids:?}"),
        }
    }
}

/// Schema id and template id of a message that has a header.
pub(crate) fn ids_of(message: &[u8]) -> (u16, u16) {
    let word = |at: usize| message.get(at..at + 2).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    (word(4), word(2))
}

impl TopicInfo {
    /// A topic of an in-process bus.
    pub(crate) fn in_process(name: &str, ring_bytes: u64, templates: Templates) -> TopicInfo {
        TopicInfo {
            name: name.to_owned(),
            partitions: 1,
            durability: Durability::Published,
            ring_bytes,
            retention_h: 0,
            templates,
            schema: String::new(),
            may_publish: true,
            may_subscribe: true,
            state: "idle".to_owned(),
            owner: None,
            earliest: Position(0),
            written: Position(0),
            durable: Position(0),
        }
    }

    /// What the broker says, and how many topics there are; `None` where it says something else.
    pub(crate) fn told(said: Said) -> Option<(TopicInfo, u16)> {
        let Said::Topic {
            count,
            partitions,
            capacity,
            durability,
            retention_h,
            may_publish,
            may_subscribe,
            owner_pid,
            owner_uid,
            earliest,
            written,
            durable,
            schema_id,
            templates,
            topic,
            schema,
            owner,
            state,
            ..
        } = said
        else {
            return None;
        };
        let info = TopicInfo {
            name: topic,
            partitions,
            durability: durability.into(),
            ring_bytes: capacity,
            retention_h,
            templates: Templates { schema_id, template_ids: templates },
            schema,
            may_publish,
            may_subscribe,
            state,
            owner: (owner_pid != 0).then_some(Owner { pid: owner_pid, uid: owner_uid, name: owner }),
            earliest: if earliest == Position(u64::MAX) { Position(0) } else { earliest },
            written,
            durable,
        };
        Some((info, count))
    }
}

impl From<oyez_protocol::Durability> for Durability {
    fn from(said: oyez_protocol::Durability) -> Durability {
        match said {
            oyez_protocol::Durability::Published => Durability::Published,
            oyez_protocol::Durability::Written => Durability::Written,
            oyez_protocol::Durability::Durable => Durability::Durable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(schema_id: u16, template_id: u16) -> [u8; 8] {
        let mut bytes = [0xEE; 8];
        bytes[2..4].copy_from_slice(&template_id.to_le_bytes());
        bytes[4..6].copy_from_slice(&schema_id.to_le_bytes());
        bytes
    }

    #[test]
    fn only_what_is_declared_is_accepted_in_any_order() {
        let mut check = TemplateCheck::new(Templates { schema_id: 7, template_ids: vec![1, 2] });
        for (schema_id, template_id, accepted) in
            [(7, 1, true), (7, 2, true), (7, 3, false), (8, 1, false), (7, 1, true)]
        {
            assert_eq!(check.accepts(&header(schema_id, template_id)), accepted, "{schema_id}/{template_id}");
        }
        assert_eq!(check.allowed(), "schema 7, templates [1, 2]");
        assert_eq!(ids_of(&header(7, 3)), (7, 3));
    }

    #[test]
    fn a_schema_without_templates_accepts_all_of_it_and_no_schema_accepts_anything() {
        let mut schema = TemplateCheck::new(Templates { schema_id: 7, template_ids: vec![] });
        assert!(schema.accepts(&header(7, 9)) && schema.accepts(&header(7, 10)) && !schema.accepts(&header(6, 9)));
        let mut none = TemplateCheck::new(Templates::default());
        assert!(none.accepts(&header(1, 2)) && none.accepts(&[0xFF; 8]));
    }
}
