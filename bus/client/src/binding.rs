//! What a topic's messages may be, as the catalog binds it to a schema, and the check of a message's header against it.

use oyez_ring::MESSAGE_BYTES_MIN;

/// Which messages may be published to a topic, by the SBE message header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Id of the schema.
    pub schema_id: u16,
    /// Lowest version of the schema.
    pub version_min: u16,
    /// Highest version of the schema.
    pub version_max: u16,
    /// Ids of the templates; empty: all of the schema.
    pub template_ids: Vec<u16>,
}

/// A message that its topic's binding does not allow: what was found, what is allowed, and where the catalog says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misfit {
    /// Too short to have a header.
    #[error("a message of {len_bytes} bytes, where its header alone takes {MESSAGE_BYTES_MIN}")]
    Header {
        /// Its length.
        len_bytes: usize,
    },
    /// Another schema.
    #[error("a message of schema {found}, where {allowed} is allowed (`schema`)")]
    Schema {
        /// Schema id in the message's header.
        found: u16,
        /// Schema id of the topic.
        allowed: u16,
    },
    /// Another version of the schema.
    #[error(
        "a message of version {found} of schema {schema_id}, where {version_min} to {version_max} are allowed \
         (`files`, `version_min`, `version_max`)"
    )]
    Version {
        /// Schema id in the message's header.
        schema_id: u16,
        /// Version in the message's header.
        found: u16,
        /// Lowest version allowed.
        version_min: u16,
        /// Highest version allowed.
        version_max: u16,
    },
    /// Another template.
    #[error(
        "a message of template {found} of schema {schema_id}, where {} are allowed (`files`, `templates`)",
        some(allowed)
    )]
    Template {
        /// Schema id in the message's header.
        schema_id: u16,
        /// Template id in the message's header.
        found: u16,
        /// Ids of the templates allowed.
        allowed: Vec<u16>,
    },
}

/// A binding laid out for the check of one header after the other: two comparisons and one bit, whatever comes.
#[derive(Clone, Debug)]
pub struct HeaderCheck {
    /// None where any message may be published.
    bound: Option<Bound>,
}

#[derive(Clone, Debug)]
struct Bound {
    binding: Binding,
    /// One bit for each template id, up to the highest that is allowed.
    templates: Box<[u64]>,
}

impl HeaderCheck {
    /// The check of messages of a topic with this binding.
    #[must_use]
    pub fn new(binding: Option<Binding>) -> HeaderCheck {
        HeaderCheck { bound: binding.map(Bound::new) }
    }

    /// Whether the message is one that the topic may have.
    ///
    /// # Errors
    /// [`Misfit`].
    #[inline]
    pub fn check(&self, message: &[u8]) -> Result<(), Misfit> {
        let Some(bound) = &self.bound else { return Ok(()) };
        match message.first_chunk::<MESSAGE_BYTES_MIN>() {
            Some(header) => bound.check(u64::from_le_bytes(*header)),
            None => Err(Misfit::Header { len_bytes: message.len() }),
        }
    }

    /// What is checked.
    #[must_use]
    pub fn binding(&self) -> Option<&Binding> {
        self.bound.as_ref().map(|bound| &bound.binding)
    }
}

impl Bound {
    fn new(binding: Binding) -> Bound {
        let Binding { template_ids, .. } = &binding;
        let highest = template_ids.iter().copied().max().unwrap_or(u16::MAX);
        let mut templates = vec![0; usize::from(highest) / 64 + 1].into_boxed_slice();
        template_ids.iter().for_each(|id| templates[usize::from(*id) / 64] |= 1 << (id % 64));
        if template_ids.is_empty() {
            templates.fill(u64::MAX);
        }
        Bound { binding, templates }
    }

    /// The header as one little-endian word: block length, template id, schema id, version.
    #[inline]
    fn check(&self, header: u64) -> Result<(), Misfit> {
        let (template_id, schema_id, version) = ((header >> 16) as u16, (header >> 32) as u16, (header >> 48) as u16);
        let Binding { schema_id: allowed, version_min, version_max, .. } = self.binding;
        let word = self.templates.get(usize::from(template_id) / 64);
        let is_listed = word.is_some_and(|word| word >> (template_id % 64) & 1 == 1);
        if schema_id == allowed && (version_min..=version_max).contains(&version) && is_listed {
            return Ok(());
        }
        Err(self.misfit(template_id, schema_id, version))
    }

    #[cold]
    fn misfit(&self, template_id: u16, schema_id: u16, version: u16) -> Misfit {
        let Binding { schema_id: allowed, version_min, version_max, ref template_ids } = self.binding;
        if schema_id != allowed {
            return Misfit::Schema { found: schema_id, allowed };
        }
        if !(version_min..=version_max).contains(&version) {
            return Misfit::Version { schema_id, found: version, version_min, version_max };
        }
        Misfit::Template { schema_id, found: template_id, allowed: template_ids.clone() }
    }
}

/// The first of many, since a schema has hundreds.
fn some(template_ids: &[u16]) -> String {
    match template_ids.get(..8) {
        Some(first) if template_ids.len() > 8 => format!("{first:?} and {} more", template_ids.len() - 8),
        _ => format!("{template_ids:?}"),
    }
}

/// As the broker tells it.
pub(crate) fn told(binding: oyez_protocol::Binding, template_ids: Vec<u16>) -> Option<Binding> {
    let oyez_protocol::Binding { schema_id, version_min, version_max } = binding;
    Some(Binding { schema_id: schema_id?, version_min, version_max, template_ids })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(schema_id: u16, version: u16, template_id: u16) -> [u8; 8] {
        let words = [0xEEEE, template_id, schema_id, version].map(u16::to_le_bytes);
        std::array::from_fn(|at| words[at / 2][at % 2])
    }

    fn check(template_ids: &[u16]) -> HeaderCheck {
        let template_ids = template_ids.to_vec();
        HeaderCheck::new(Some(Binding { schema_id: 0, version_min: 3, version_max: 5, template_ids }))
    }

    #[test]
    fn only_what_is_bound_fits_and_the_rest_is_told_apart() {
        // 63, 64 and the last on both sides of a word's end; schema 0 is a schema like any other.
        let check = check(&[1, 63, 64, 65_535]);
        for template_id in 0..=u16::MAX {
            let fits = [1, 63, 64, 65_535].contains(&template_id);
            assert_eq!(check.check(&header(0, 4, template_id)).is_ok(), fits, "{template_id}");
        }
        for version in 0..=u16::MAX {
            assert_eq!(check.check(&header(0, version, 1)).is_ok(), (3..=5).contains(&version), "{version}");
        }
        let texts = [
            (header(7, 4, 1), "a message of schema 7, where 0 is allowed (`schema`)"),
            (header(0, 6, 1), "a message of version 6 of schema 0, where 3 to 5 are allowed"),
            (header(0, 5, 2), "a message of template 2 of schema 0, where [1, 63, 64, 65535] are allowed"),
        ];
        for (header, text) in texts {
            let misfit = check.check(&header).expect_err("it does not fit").to_string();
            assert!(misfit.starts_with(text) && misfit.ends_with("`)"), "{misfit}");
        }
        let misfit = check.check(&header(0, 4, 1)[..7]).expect_err("it has no header").to_string();
        assert_eq!(misfit, "a message of 7 bytes, where its header alone takes 8");
    }

    #[test]
    fn of_many_templates_some_are_told() {
        let ids: Vec<u16> = (1..=10).collect();
        let misfit = check(&ids).check(&header(0, 3, 0)).expect_err("it does not fit").to_string();
        assert!(misfit.contains("[1, 2, 3, 4, 5, 6, 7, 8] and 2 more"), "{misfit}");
    }

    #[test]
    fn beyond_the_highest_template_there_is_none() {
        let check = check(&[2, 1]);
        assert!(check.check(&header(0, 3, 2)).is_ok());
        assert!([0, 3, 64, 128, u16::MAX].iter().all(|&id| check.check(&header(0, 3, id)).is_err()));
    }

    #[test]
    fn a_schema_without_templates_takes_all_of_it_and_no_schema_takes_anything() {
        assert!((0..=u16::MAX).all(|id| check(&[]).check(&header(0, 3, id)).is_ok()));
        assert!(check(&[]).check(&header(1, 3, 1)).is_err());
        assert!(HeaderCheck::new(None).check(&[0xFF; 8]).is_ok() && HeaderCheck::new(None).check(&[]).is_ok());
    }
}
